//! What the headers declare, without comments and spacing: a text that changes when, and only when, the interface does.

use std::fmt::Write as _;
use std::fs;

use super::workshop::source;

/// All that is installed but the list of layouts, which is asserted instead.
const HEADERS: [&str; 11] = [
    "iphlpapi.h",
    "iphlpapi_types.h",
    "iphlpapi_rows.h",
    "sockowner.h",
    "windows/iphlpapi.h",
    "windows/iprtrmib.h",
    "windows/tcpmib.h",
    "windows/udpmib.h",
    "windows/windows.h",
    "windows/winsock2.h",
    "windows/ws2tcpip.h",
];

/// The headers, one declaration, member or directive a line.
pub(super) fn declarations() -> String {
    let mut text = String::new();
    for header in HEADERS {
        let _ = writeln!(text, "==== sockowner/{header}");
        text.push_str(&normalised(&read(header)));
    }
    text
}

/// The names of the functions that the headers declare, sorted.
pub(super) fn functions() -> Vec<String> {
    let headers = ["iphlpapi.h", "sockowner.h"].map(|header| normalised(&read(header)));
    let lines = headers.iter().flat_map(|text| text.lines());
    let mut names: Vec<String> = lines.filter_map(function).map(str::to_owned).collect();
    names.sort_unstable();
    names
}

fn read(header: &str) -> String {
    fs::read_to_string(source("include/sockowner").join(header)).unwrap()
}

/// The name in `int name(arguments);`.
fn function(line: &str) -> Option<&str> {
    let declared = line.strip_suffix(");").filter(|line| !line.starts_with(['#', ' ']))?;
    let (before, _) = declared.split_once('(')?;
    let name = before.rsplit([' ', '*']).next()?;
    (!name.is_empty() && !before.starts_with("typedef")).then_some(name)
}

fn normalised(text: &str) -> String {
    let text = without_comments(text).replace("\\\n", " ");
    let mut out = String::new();
    let mut pending = String::new();
    let mut in_enum = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('#') {
            flush(&mut pending, &mut out);
            let _ = writeln!(out, "{}", words(line));
            continue;
        }
        for character in line.chars().chain([' ']) {
            pending.push(character);
            // A line for each declaration, member and enumerator.
            in_enum = match character {
                '{' => pending.split(' ').any(|word| word == "enum"),
                '}' => false,
                _ => in_enum,
            };
            if matches!(character, ';' | '{') || character == ',' && in_enum {
                flush(&mut pending, &mut out);
            }
        }
    }
    flush(&mut pending, &mut out);
    out
}

fn flush(pending: &mut String, out: &mut String) {
    let line = words(pending);
    if !line.is_empty() {
        let _ = writeln!(out, "{line}");
    }
    pending.clear();
}

fn words(text: &str) -> String {
    text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

fn without_comments(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, comment)) = rest.split_once("/*") {
        out.push_str(before);
        out.push(' ');
        rest = comment.split_once("*/").expect("a comment has an end").1;
    }
    out + rest
}
