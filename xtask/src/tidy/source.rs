//! The files under test, with what is not code blanked out.

use std::collections::BTreeSet;

use super::lexer::{matching, without_comments_and_strings};

/// A text file, named by its path from the root of the workspace.
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
    /// Rust and C: the text, comments and the contents of literals blanked, so that a rule sees code alone.
    /// Lines keep their numbers. Empty for other files.
    pub(super) code: String,
    /// `code` without test modules; empty in a test file.
    pub(super) shipped: String,
}

/// All files, with test modules recognized.
pub(super) struct Tree {
    files: Vec<File>,
}

/// A module that `#[cfg(test)]` stands before.
#[derive(Debug, PartialEq, Eq)]
struct TestModule {
    name: String,
    /// Where an inline module lies in the code, attribute included; None for `mod name;`.
    inline: Option<(usize, usize)>,
}

impl File {
    pub(super) fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let (path, text) = (path.into(), text.into());
        let code = match path.rsplit_once('.') {
            Some((_, "rs")) => without_comments_and_strings(&text, true),
            Some((_, "c" | "h")) => without_comments_and_strings(&text, false),
            _ => String::new(),
        };
        let is_test =
            path.split('/').rev().skip(1).any(|dir| ["tests", "benches", "fixtures"].contains(&dir));
        let shipped = if is_test { String::new() } else { without_test_modules(&code) };
        Self { path, text, code, shipped }
    }

    pub(super) fn is_rust(&self) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, extension)| extension == "rs")
    }

    /// True below any of these, each a file's path or a directory's, which ends in a slash.
    pub(super) fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| {
            if place.ends_with('/') { self.path.starts_with(place) } else { self.path == *place }
        })
    }
}

impl Tree {
    pub(super) fn new(mut files: Vec<File>) -> Self {
        let tests: BTreeSet<String> = files.iter().flat_map(test_module_paths).collect();
        for file in &mut files {
            if tests.iter().any(|test| file.is_in(&[&format!("{test}.rs"), &format!("{test}/")])) {
                file.shipped.clear();
            }
        }
        Self { files }
    }

    pub(super) fn files(&self) -> &[File] {
        &self.files
    }

    /// The Rust files of a crate's `src`.
    pub(super) fn sources_of(&self, crates: &[&str]) -> impl Iterator<Item = &File> {
        let places: Vec<String> = crates.iter().map(|name| format!("crates/{name}/src/")).collect();
        self.files
            .iter()
            .filter(move |file| file.is_rust() && places.iter().any(|place| file.path.starts_with(place)))
    }
}

/// Where the files of `#[cfg(test)] mod name;` lie, without `.rs` or `/mod.rs`.
fn test_module_paths(file: &File) -> Vec<String> {
    let Some(stem) = file.path.strip_suffix(".rs") else {
        return Vec::new();
    };
    let (dir, name) = stem.rsplit_once('/').unwrap_or(("", stem));
    let home = if ["mod", "lib", "main"].contains(&name) { dir } else { stem };
    let modules = test_modules(&file.code).into_iter().filter(|module| module.inline.is_none());
    modules.map(|module| format!("{home}/{}", module.name)).collect()
}

fn without_test_modules(code: &str) -> String {
    let mut shipped = code.to_owned();
    for (start, end) in test_modules(code).into_iter().filter_map(|module| module.inline) {
        let blank: String = code[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        // Blanking a character of several bytes shortens the text, so the end is filled up.
        let filler = " ".repeat(end - start - blank.len());
        shipped.replace_range(start..end, &(blank + &filler));
    }
    shipped
}

fn test_modules(code: &str) -> Vec<TestModule> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = code[from..].find("#[cfg(") {
        let start = from + at;
        let Some(end) = matching(code, start + 1) else {
            break;
        };
        from = end;
        let attribute = &code[start..end];
        if attribute != "#[cfg(test)]" && !attribute.starts_with("#[cfg(all(test,") {
            continue;
        }
        if let Some(module) = module_after(code, start, end) {
            from = module.inline.map_or(from, |(_, end)| end);
            found.push(module);
        }
    }
    found
}

/// The module that follows the attribute `start..end`, more attributes and a visibility allowed between.
fn module_after(code: &str, start: usize, end: usize) -> Option<TestModule> {
    let mut rest = code[end..].trim_start();
    while rest.starts_with("#[") {
        let offset = code.len() - rest.len();
        rest = code[matching(code, offset + 1)?..].trim_start();
    }
    for visibility in ["pub(crate) ", "pub(super) ", "pub "] {
        rest = rest.strip_prefix(visibility).unwrap_or(rest);
    }
    let rest = rest.strip_prefix("mod ")?.trim_start();
    let (name, body) = rest.split_at(rest.find(|c: char| !c.is_alphanumeric() && c != '_')?);
    let body = body.trim_start();
    let inline = if body.starts_with('{') {
        Some((start, matching(code, code.len() - body.len()).unwrap_or(code.len())))
    } else {
        None
    };
    Some(TestModule { name: name.into(), inline })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inline_test_module_is_blanked_to_its_brace() {
        let file = File::new(
            "src/a.rs",
            "fn a() {}\n#[cfg(test)]\n#[expect(dead_code)]\nmod tests {\n    fn b() { let ä = '}'; }\n}\nfn c() {}\n",
        );
        let lines: Vec<&str> = file.shipped.lines().map(str::trim_end).collect();
        assert_eq!(lines, ["fn a() {}", "", "", "", "", "", "fn c() {}"]);
    }

    #[test]
    fn only_modules_behind_cfg_test_are_tests() {
        let code = "#[cfg(target_os)] mod linux { } #[cfg(test)] fn f() {} mod tests { }";
        assert_eq!(test_modules(code), []);
        assert_eq!(test_modules("#[cfg(all(test, unix))] pub(crate) mod fake;")[0].name, "fake");
    }

    #[test]
    fn a_test_file_is_found_by_its_declaration_or_its_directory() {
        let tree = Tree::new(vec![
            File::new("crates/a/src/lib.rs", "#[cfg(test)]\nmod replay;\nmod sys;\n"),
            File::new("crates/a/src/replay.rs", "fn in_test() {}"),
            File::new("crates/a/src/sys/mod.rs", "#[cfg(test)] mod fake;"),
            File::new("crates/a/src/sys/fake/door.rs", "fn in_test() {}"),
            File::new("crates/a/src/tests.rs", "fn shipped() {}"),
            File::new("crates/a/tests/live.rs", "fn in_test() {}"),
        ]);
        let shipped: Vec<&str> = tree
            .files()
            .iter()
            .filter(|file| file.shipped.contains("fn"))
            .map(|file| file.path.as_str())
            .collect();
        assert_eq!(shipped, ["crates/a/src/tests.rs"]);
        assert!(tree.files().iter().all(|file| !file.shipped.contains("in_test")));
    }
}
