//! Just enough of the Rust and C grammars to tell code from comments and literals, and to find names.

/// The text with comments and literals replaced by blanks. Lines stay where they are.
pub(super) fn without_comments_and_strings(text: &str, rust: bool) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = end_of_blank(&chars, at, rust);
        if end == at {
            code.push(chars[at]);
            at += 1;
        } else {
            code.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    code
}

/// Where the bracket that opens at byte `start` is closed: the position after it. None where it is not.
pub(super) fn matching(code: &str, start: usize) -> Option<usize> {
    let open = code[start..].chars().next()?;
    let close = match open {
        '{' => '}',
        '[' => ']',
        '(' => ')',
        _ => return None,
    };
    let mut depth = 0_usize;
    for (at, c) in code[start..].char_indices() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth -= 1;
            if depth == 0 {
                return Some(start + at + c.len_utf8());
            }
        }
    }
    None
}

/// The lines, from 1, where `word` stands: not as a part of a longer name.
pub(super) fn find_word(code: &str, word: &str) -> Vec<usize> {
    let mut lines = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let stands = line.match_indices(word).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            let after = line[at + word.len()..].chars().next();
            let joins_before = word.starts_with(is_name) && before.is_some_and(is_name);
            let joins_after = word.ends_with(is_name) && after.is_some_and(is_name);
            !joins_before && !joins_after
        });
        if stands {
            lines.push(number + 1);
        }
    }
    lines
}

/// The lines, from 1, where Rust code names `path` (`std::fs`), also as `use std::{fs, io}`.
pub(super) fn find_path(code: &str, path: &str) -> Vec<usize> {
    let below = format!("{path}::");
    let imported = imports(code).into_iter().filter(|(_, used)| used == path || used.starts_with(&below));
    let mut lines = find_word(code, path);
    lines.extend(imported.map(|(line, _)| line));
    lines.sort_unstable();
    lines.dedup();
    lines
}

/// The paths that `use` items name, groups expanded, each with the line of its `use`.
pub(super) fn imports(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("use ") {
        if code[..at].chars().next_back().is_some_and(is_name) {
            continue;
        }
        let item = &code[at + 4..];
        let item = &item[..item.find(';').unwrap_or(item.len())];
        let line = code[..at].matches('\n').count() + 1;
        let mut paths = Vec::new();
        expand("", item, &mut paths);
        found.extend(paths.into_iter().map(|path| (line, path)));
    }
    found
}

fn expand(prefix: &str, item: &str, paths: &mut Vec<String>) {
    let item = item.trim();
    let item = item.strip_prefix("::").unwrap_or(item);
    let group = item.find('{').and_then(|open| Some((open, matching(item, open)?)));
    if let Some((open, end)) = group {
        let prefix = format!("{prefix}{}", item[..open].trim());
        let mut depth = 0;
        let top_level_comma = |c: char| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            c == ',' && depth == 0
        };
        item[open + 1..end - 1].split(top_level_comma).for_each(|part| expand(&prefix, part, paths));
    } else if !item.is_empty() {
        let name = item.split(" as ").next().unwrap_or(item).trim();
        let path = format!("{prefix}{name}");
        paths.push(path.strip_suffix("::self").map_or(path.clone(), str::to_owned));
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The end of the comment or literal that starts at `at`; `at` itself where none starts.
fn end_of_blank(chars: &[char], at: usize, rust: bool) -> usize {
    let next = chars.get(at + 1).copied();
    match chars[at] {
        '/' if next == Some('/') => position(chars, at, |c| c == '\n'),
        '/' if next == Some('*') => end_of_block_comment(chars, at, rust),
        '"' => end_of_quoted(chars, at + 1, '"'),
        'r' if rust => end_of_raw_string(chars, at).unwrap_or(at),
        '\'' if next == Some('\\') => end_of_quoted(chars, at + 1, '\''),
        '\'' if chars.get(at + 2) == Some(&'\'') => at + 3,
        // A lifetime.
        _ => at,
    }
}

fn end_of_block_comment(chars: &[char], start: usize, nested: bool) -> usize {
    let mut depth = 0;
    let mut at = start;
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') if nested || depth == 0 => (depth, at) = (depth + 1, at + 2),
            ('*', '/') => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

fn end_of_quoted(chars: &[char], mut at: usize, quote: char) -> usize {
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            c if c == quote => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// The end of `r"..."` or `r#"..."#` (also `br`, `cr`) where `r` is at `at`.
fn end_of_raw_string(chars: &[char], at: usize) -> Option<usize> {
    let before = |back: usize| at.checked_sub(back).and_then(|at| chars.get(at)).copied();
    let prefixed = matches!(before(1), Some('b' | 'c')) && !before(2).is_some_and(is_name);
    if before(1).is_some_and(is_name) && !prefixed {
        return None;
    }
    let quote = position(chars, at + 1, |c| c != '#');
    if chars.get(quote) != Some(&'"') {
        return None;
    }
    let hashes = quote - at - 1;
    let closes = |end: &usize| {
        chars[*end] == '"' && chars[end + 1..].iter().take_while(|&&c| c == '#').count() >= hashes
    };
    Some((quote + 1..chars.len()).find(closes).map_or(chars.len(), |end| end + 1 + hashes))
}

fn position(chars: &[char], from: usize, found: impl Fn(char) -> bool) -> usize {
    (from..chars.len()).find(|&at| found(chars[at])).unwrap_or(chars.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        without_comments_and_strings(text, true).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_and_literals_are_no_code() {
        assert_eq!(code("a // b\nc /* d /* e */ f */ g"), "a c g");
        assert_eq!(code(r#"a("b \" c", 'd', '\'', '"', '\u{41}') e"#), "a( , , , , ) e");
        assert_eq!(code(r###"r"a\" b r#"c " d"# e br##"f "# g"## h for"i" j"###), "b e b h for j");
        assert_eq!(code("fn a<'b>(c: &'b str, d: r#type)"), "fn a<'b>(c: &'b str, d: r#type)");
        assert_eq!(without_comments_and_strings("/* a /* b */ c", false).trim(), "c");
        assert_eq!(without_comments_and_strings("\"a\nb\"\nc", true).lines().nth(2), Some("c"));
    }

    #[test]
    fn a_word_is_not_a_part_of_a_name() {
        assert_eq!(find_word("unsafe_code\nunsafe {\nnot_unsafe", "unsafe"), [2]);
        assert_eq!(find_word("std::os::unix::fs\nnix::unistd", "nix::"), [2]);
        assert_eq!(find_word("eprintln!()\nprintln!()", "println!"), [2]);
    }

    #[test]
    fn a_path_is_found_however_it_is_imported() {
        for import in [
            "use std::fs;",
            "use std::{io, fs};",
            "use std::{io::{self, Read}, fs::{self, File}};",
            "pub use ::std::{\n    fs as files,\n};",
            "fn a() { std::fs::read() }",
        ] {
            assert_eq!(find_path(import, "std::fs").first(), Some(&1), "{import}");
        }
        assert_eq!(find_path("use std::{io::fs, net};\nuse std::fsx;", "std::fs"), []);
    }

    #[test]
    fn brackets_match() {
        assert_eq!(matching("a{b{}c}d", 1), Some(7));
        assert_eq!(matching("{", 0), None);
    }
}
