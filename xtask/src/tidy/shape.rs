//! Files: how long, and what they are called.

use super::Finding;
use super::source::{File, Tree};

const STOP: usize = 700;
const QUESTION: usize = 400;

/// Names under which anything could be put.
const EMPTY_NAMES: &[&str] = &["utils", "util", "helpers", "helper", "common", "misc"];

/// Hand-written code outside tests: stop at 700 lines, question at 400.
pub(super) fn file_length(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files().iter().filter(|file| !file.code.is_empty() && !is_generated(file)) {
        let length = shipped_lines(file);
        if length > QUESTION {
            let fatal = length > STOP;
            let limit = if fatal { STOP } else { QUESTION };
            let message = format!("{length} lines outside tests, more than {limit}: divide it");
            findings.push(Finding { path: file.path.clone(), line: 0, message, fatal });
        }
    }
    findings
}

/// No `utils.rs` and the like, nor a directory module of that name.
pub(super) fn file_names(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files().iter().filter(|file| file.is_rust()) {
        let stem = file.path.strip_suffix("/mod.rs").or(file.path.strip_suffix(".rs")).unwrap_or(&file.path);
        let name = stem.rsplit('/').next().unwrap_or(stem);
        if EMPTY_NAMES.contains(&name) {
            findings.push(Finding::new(&file.path, 0, format!("`{name}` says nothing: name the thing")));
        }
    }
    findings
}

/// Generators mark what they write, by convention, among the first lines.
fn is_generated(file: &File) -> bool {
    file.text.lines().take(5).any(|line| line.contains(concat!("@", "generated")))
}

/// Lines up to the last with shipped code, less the test modules before it.
fn shipped_lines(file: &File) -> usize {
    let in_test = |(code, shipped): &(&str, &str)| !code.trim().is_empty() && shipped.trim().is_empty();
    let last = file.shipped.lines().collect::<Vec<_>>().into_iter().rposition(|line| !line.trim().is_empty());
    let end = last.map_or(0, |last| last + 1);
    let tests = file.code.lines().zip(file.shipped.lines()).take(end).filter(in_test).count();
    end - tests
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(rule: fn(&Tree) -> Vec<Finding>, path: &str, text: &str) -> Vec<Finding> {
        rule(&Tree::new(vec![File::new(path, text)]))
    }

    #[test]
    fn long_files_are_noted_then_refused() {
        let lines = |count: usize| "fn a() {}\n".repeat(count);
        assert_eq!(findings(file_length, "src/a.rs", &lines(400)), []);
        assert!(!findings(file_length, "src/a.rs", &lines(401))[0].fatal);
        assert!(!findings(file_length, "src/a.rs", &lines(700))[0].fatal);
        assert!(findings(file_length, "src/a.rs", &lines(701))[0].fatal);
        assert!(findings(file_length, "bpf/a.c", &lines(701))[0].fatal);
    }

    #[test]
    fn tests_and_generated_files_may_be_long() {
        let body = "fn a() {}\n".repeat(800);
        let module = format!("fn b() {{}}\n#[cfg(test)]\nmod tests {{\n{body}}}\n");
        assert_eq!(findings(file_length, "src/a.rs", &module), []);
        assert_eq!(findings(file_length, "crates/a/tests/live.rs", &body), []);
        let generated = format!("// @{}\n{body}", "generated");
        assert_eq!(findings(file_length, "bpf/vmlinux.h", &generated), []);
    }

    #[test]
    fn code_after_a_test_module_counts() {
        let long = "fn a() {}\n".repeat(701);
        let hidden = format!("#[cfg(test)]\nmod tests {{\n    fn b() {{}}\n}}\n{long}");
        assert!(findings(file_length, "src/a.rs", &hidden)[0].message.starts_with("701 lines"));
    }

    #[test]
    fn names_that_say_nothing_are_refused() {
        for path in ["src/utils.rs", "crates/a/tests/common/mod.rs", "src/misc.rs", "src/helpers.rs"] {
            assert_eq!(findings(file_names, path, "").len(), 1, "{path}");
        }
        assert_eq!(findings(file_names, "src/common_name.rs", ""), []);
    }
}
