//! JSON whose strings do nothing to a terminal: what could move the cursor or hide is escaped, which readers of JSON undo.

use std::io::{self, Write};

use serde_json::ser::Formatter;

use crate::text;

/// Compact, and escapes more than JSON demands.
pub(super) struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: Write + ?Sized>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        escape(out, fragment)
    }
}

/// `json`, which has no line feed within a string, as the same value that does nothing to a terminal, line by line.
#[cfg(feature = "tui")]
pub(super) fn lines(json: &str) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(json.len());
    // Beside its strings JSON has plain characters alone.
    for (at, line) in json.lines().enumerate() {
        if at > 0 {
            out.push(b'\n');
        }
        escape(&mut out, line)?;
    }
    Ok(out)
}

fn escape<W: Write + ?Sized>(out: &mut W, fragment: &str) -> io::Result<()> {
    if fragment.bytes().all(text::is_printable_ascii) {
        return out.write_all(fragment.as_bytes());
    }
    let mut rest = fragment;
    while let Some((at, c)) = rest.char_indices().find(|&(_, c)| text::is_treacherous(c)) {
        out.write_all(&rest.as_bytes()[..at])?;
        for unit in c.encode_utf16(&mut [0; 2]) {
            write!(out, "\\u{unit:04x}")?;
        }
        rest = &rest[at + c.len_utf8()..];
    }
    out.write_all(rest.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize as _;

    #[test]
    fn what_could_deceive_is_escaped_and_read_as_it_was() {
        for (text, expected) in [
            ("plain \"x\" naïve 日本語", r#""plain \"x\" naïve 日本語""#),
            ("\x1b[2J\n", r#""\u001b[2J\n""#),
            ("a\u{9b}31m\u{7f}b", r#""a\u009b31m\u007fb""#),
            ("exe\u{202e}gnp.\u{200b}", r#""exe\u202egnp.\u200b""#),
            ("\u{e0041}", r#""\udb40\udc41""#),
        ] {
            let mut written = Vec::new();
            text.serialize(&mut serde_json::Serializer::with_formatter(&mut written, Harmless)).unwrap();
            assert_eq!(std::str::from_utf8(&written).unwrap(), expected);
            assert_eq!(serde_json::from_slice::<String>(&written).unwrap(), text);
        }
    }
    #[cfg(feature = "tui")]
    #[test]
    fn lines_are_harmless_and_read_as_they_were() {
        let value = serde_json::json!({
            "name": "a\u{9b}31m\u{7f}\u{202e}\n\u{2028}\r\u{1b}[2J", "path": ["日本語", "\u{e0041}\u{0}"], "\u{85}": null
        });
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        let written = String::from_utf8(lines(&pretty).unwrap()).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&written).unwrap(), value);
        assert!(!written.chars().any(|c| c != '\n' && text::is_treacherous(c)), "{written:?}");
        assert_eq!(written.lines().count(), pretty.split('\n').count());
    }
}
