//! Names and paths as people see them: nothing in them can move the cursor, hide, or pass for another column.
//!
//! A name that is plain is shown as it is, backslashes included: `dev-sda\x2d1.service` is how systemd writes it. A
//! name that holds anything else is shown in double quotes, and then, as in many languages, `\xNN` is a control
//! character or a byte that is not UTF-8, `\u{NNNN}` a character that cannot be seen, `\\` and `\"` are themselves.
//! A name that begins with a quote is quoted too, so what is shown stands for one name alone.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar;

/// Stands for what was cut away.
pub(crate) const ELLIPSIS: char = '…';

/// `text` as people see it.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    if is_plain(text) { Cow::Borrowed(text) } else { Cow::Owned(quoted(text.as_bytes())) }
}

/// A name or path of the system as people see it.
pub(crate) fn shown_os(text: &OsStr) -> Cow<'_, str> {
    match text.to_str() {
        Some(text) => shown(text),
        None => Cow::Owned(quoted(text.as_encoded_bytes())),
    }
}

/// The name of a process, where words of ours may stand beside it or in its place: `(exited)`, `+3`, `, pid 1`. One that
/// might pass for these is quoted.
pub(crate) fn shown_name(name: &OsStr) -> Cow<'_, str> {
    match name.to_str() {
        Some(text) if is_plain(text) && poses(text) => Cow::Owned(quoted(text.as_bytes())),
        _ => shown_os(name),
    }
}

fn poses(name: &str) -> bool {
    name.starts_with('(') || name.ends_with(')') || name.contains(" +") || name.contains(", ")
}

/// A message that quotes what somebody typed: its lines stay, nothing in them can move the cursor.
pub(crate) fn tamed(message: &str) -> String {
    let mut shown = String::with_capacity(message.len());
    for c in message.chars() {
        match c {
            '\n' | '\\' | '"' => shown.push(c),
            c => push_escaped(&mut shown, c, false),
        }
    }
    shown
}

/// One word of a command line, so that it is seen where it ends.
pub(crate) fn shown_word(word: &OsStr) -> Cow<'_, str> {
    match word.to_str() {
        Some(text) if is_plain(text) && !text.contains([' ', '"', '\'']) => Cow::Borrowed(text),
        _ => Cow::Owned(quoted(word.as_encoded_bytes())),
    }
}

/// How many cells of a terminal `text` takes.
pub(crate) fn width(text: &str) -> usize {
    if text.bytes().all(is_printable_ascii) { text.len() } else { text.chars().map(cells).sum() }
}

/// The start of `text` that fits into `room` cells.
pub(crate) fn start(text: &str, room: usize) -> &str {
    let mut used = 0;
    let end = text.char_indices().find(|&(_, c)| {
        used += cells(c);
        used > room
    });
    end.map_or(text, |(at, _)| &text[..at])
}

/// The end of `text` that fits into `room` cells.
pub(crate) fn end(text: &str, room: usize) -> &str {
    let mut used = 0;
    let before = text.char_indices().rev().find(|&(_, c)| {
        used += cells(c);
        used > room
    });
    before.map_or(text, |(at, c)| &text[at + c.len_utf8()..])
}

/// Divides a sentence into lines of at most `room` cells; a longer word has a line of its own.
pub(crate) fn wrap(sentence: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in sentence.split(' ') {
        let needed = width(word);
        if used > 0 && used + 1 + needed > room {
            lines.push(String::new());
            used = 0;
        }
        if let Some(line) = lines.last_mut() {
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
        }
        used += needed;
    }
    lines
}

fn cells(c: char) -> usize {
    c.width().unwrap_or(0)
}

fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_framed = bytes.starts_with(b" ") || bytes.starts_with(b"\"") || bytes.ends_with(b" ");
    // Nearly every name is ASCII, and looked at once for each row.
    !(text.is_empty() || is_framed || bytes.windows(2).any(|two| two == b"  "))
        && (text.bytes().all(is_printable_ascii) || !text.contains(is_treacherous))
}

/// Nothing but a space or a sign of ASCII.
pub(crate) fn is_printable_ascii(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

/// Would do something other than be seen: controls, marks that turn the direction of writing, whatever takes no cell,
/// and whatever looks like a space.
pub(crate) fn is_treacherous(c: char) -> bool {
    if matches!(c, ' '..='~') {
        return false;
    }
    c.is_control()
        || c.is_whitespace()
        || cells(c) == 0
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{115f}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// `bytes` in quotes, and escaped.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len() + 8);
    shown.push('"');
    for chunk in bytes.utf8_chunks() {
        let mut characters = chunk.valid().chars().peekable();
        // A space beside another or at an edge could pass for the space between columns.
        let mut is_first = true;
        while let Some(c) = characters.next() {
            let is_edge = is_first || characters.peek().is_none_or(|&next| next == ' ');
            is_first = c == ' ';
            push_escaped(&mut shown, c, is_edge);
        }
        for byte in chunk.invalid() {
            push_byte(&mut shown, *byte);
        }
    }
    shown.push('"');
    shown
}

fn push_escaped(shown: &mut String, c: char, is_edge: bool) {
    match c {
        '\\' | '"' => shown.extend(['\\', c]),
        ' ' if is_edge => push_byte(shown, b' '),
        '\0'..='\x1f' | '\x7f' => push_byte(shown, c as u8),
        c if is_treacherous(c) => {
            // Writing to a String does not fail.
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
        }
        c => shown.push(c),
    }
}

fn push_byte(shown: &mut String, byte: u8) {
    // Writing to a String does not fail.
    let _ = write!(shown, "\\x{byte:02x}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_shown_as_they_are() {
        for name in
            ["nginx", "tmux: server", r"app-org\x2dgnome.service", "日本語", "naïve", "a\"b", "(sd-pam)"]
        {
            assert_eq!(shown(name), name);
        }
    }

    #[test]
    fn a_name_that_could_pass_for_our_words_is_quoted() {
        for name in ["curl (exited)", "nginx +3", "(no holder)", "(not permitted)", "sshd, pid 1"] {
            assert_eq!(shown_name(name.as_ref()), format!("\"{name}\""));
        }
        for name in ["curl", "libstdc++-test", "g++", "a,b", "Web Content", "x(1)y"] {
            assert_eq!(shown_name(name.as_ref()), name);
        }
        assert_eq!(shown_name("a (b)\n".as_ref()), shown_os("a (b)\n".as_ref()));
    }

    #[test]
    fn what_could_deceive_is_quoted_and_escaped() {
        for (name, expected) in [
            ("", r#""""#),
            ("\x1b[31mred", r#""\x1b[31mred""#),
            ("a\nb\tc\x7f", r#""a\x0ab\x09c\x7f""#),
            ("\u{9b}31m", r#""\u{9b}31m""#),
            ("exe\u{202e}gnp.", r#""exe\u{202e}gnp.""#),
            ("ssh\u{200b}d", r#""ssh\u{200b}d""#),
            ("\u{feff}\u{e0041}x", r#""\u{feff}\u{e0041}x""#),
            ("a\u{a0}b\u{3000}", r#""a\u{a0}b\u{3000}""#),
            ("e\u{301}", r#""e\u{301}""#),
            ("\\\x1b", r#""\\\x1b""#),
            ("\"x\"", r#""\"x\"""#),
            ("sshd  ssh.service", r#""sshd\x20\x20ssh.service""#),
            (" a b ", r#""\x20a b\x20""#),
        ] {
            assert_eq!(shown(name), expected, "{name:?}");
        }
    }

    #[test]
    fn no_two_names_look_the_same() {
        let names = ["\x1b", r"\x1b", r#""\x1b""#, "\u{1b}\\", r"\\x1b", " ", "\"", r"\x20"];
        let looks: std::collections::BTreeSet<_> = names.iter().map(|name| shown(name)).collect();
        assert_eq!(looks.len(), names.len(), "{looks:?}");
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_no_utf8_are_kept_apart() {
        use std::os::unix::ffi::OsStrExt;
        assert_eq!(shown_os(OsStr::from_bytes(b"a\xff\xc3b\xe2\x80")), r#""a\xff\xc3b\xe2\x80""#);
        assert_eq!(shown_os(OsStr::from_bytes(b"plain")), "plain");
    }

    #[test]
    fn messages_keep_their_lines_alone() {
        assert_eq!(tamed("bad '\x1b[2J\u{202e}'\n  tip: \"x\""), "bad '\\x1b[2J\\u{202e}'\n  tip: \"x\"");
    }

    #[test]
    fn words_of_a_command_line_are_kept_apart() {
        let show = |word| shown_word(OsStr::new(word)).into_owned();
        assert_eq!(show("--listen=[::]:80"), "--listen=[::]:80");
        assert_eq!(show("a b"), r#""a b""#);
        assert_eq!(show(""), r#""""#);
        assert_eq!(show("it's"), r#""it's""#);
    }

    #[test]
    fn cells_are_counted_not_bytes() {
        assert_eq!(width("日本"), 4);
        assert_eq!(width("naïve"), 5);
        assert_eq!((start("日本語", 5), end("日本語", 3)), ("日本", "語"));
        assert_eq!((start("abc", 3), end("abc", 9), start("abc", 0)), ("abc", "abc", ""));
    }

    #[test]
    fn sentences_are_divided_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("incomprehensible it is", 5), ["incomprehensible", "it is"]);
        assert_eq!(wrap("", 5), [""]);
    }
}
