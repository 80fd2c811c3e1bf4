//! Comparing what was said with what should have been: every byte, but for clock times.

use std::fmt::Display;

/// Stands for a time, in both texts.
const TIME: &str = "<time>";
/// How times are written: a zero for each digit, a `+` for either sign.
const SHAPES: [&str; 2] = ["0000-00-00T00:00:00.000Z", "0000-00-00 00:00:00 +00:00"];

/// What was said is `expected`, in which times are `<time>`.
#[track_caller]
pub(super) fn assert_text(said: &str, expected: &str) {
    let said = without_times(said);
    assert!(said == expected, "--- said\n{said}--- expected\n{expected}---");
}

fn without_times(text: &str) -> String {
    let mut rest = text;
    let mut told = String::with_capacity(text.len());
    while let Some(first) = rest.chars().next() {
        let shape = SHAPES.iter().find(|shape| has_shape(rest, shape));
        let (shown, length) =
            shape.map_or((&rest[..first.len_utf8()], first.len_utf8()), |s| (TIME, s.len()));
        told.push_str(shown);
        rest = &rest[length..];
    }
    told
}

fn has_shape(text: &str, shape: &str) -> bool {
    let fits = |(byte, wanted): (u8, u8)| match wanted {
        b'0' => byte.is_ascii_digit(),
        b'+' => matches!(byte, b'+' | b'-'),
        _ => byte == wanted,
    };
    text.len() >= shape.len() && text.bytes().zip(shape.bytes()).all(fits)
}

/// A text with names in angle brackets for what is different each time.
pub(super) struct Template {
    text: String,
}

impl Template {
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.to_owned() }
    }

    /// Puts `value` in the place of every `<name>`.
    pub(super) fn fill(&mut self, name: &str, value: impl Display) {
        self.text = self.text.replace(&format!("<{name}>"), &value.to_string());
    }

    /// The text so far.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The text, in which only times have still to be told.
    #[track_caller]
    pub(super) fn into_text(self) -> String {
        assert!(!self.text.replace(TIME, "").contains('<'), "a name is left in {}", self.text);
        self.text
    }
}
