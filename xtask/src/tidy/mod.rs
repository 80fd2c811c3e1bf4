//! `cargo xtask tidy`: what the house style demands and a program can check.
//!
//! A rule is a function from the tree to what breaks it. It comes with a test in which it catches a violation.

mod doors;
mod layers;
mod lexer;
mod purity;
mod shape;
mod source;
mod words;

use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

pub(crate) use layers::package_name;
use source::{File, Tree};

type Rule = fn(&Tree) -> Vec<Finding>;

const RULES: &[(&str, Rule)] = &[
    ("file length", shape::file_length),
    ("file names", shape::file_names),
    ("unsafe stands behind the platform edge", doors::unsafe_code),
    ("raw OS calls stand in call.rs", doors::os_calls),
    ("dependency direction", layers::direction),
    ("wire depends on no OS crate", layers::wire_without_os),
    ("crates inherit the workspace lints", layers::inherited_lints),
    ("wire knows no OS, no clock, no path", purity::wire),
    ("libraries print nothing and never exit", purity::silent_libraries),
    ("no default hasher", purity::hashers),
    ("no path of a developer's machine", words::machine_paths),
    ("nothing left undone", words::left_undone),
    ("the documents exist", words::documents),
];

/// One place that breaks a rule, or that a reader should question.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    /// From 1; 0 where it is about the file as a whole.
    line: usize,
    message: String,
    /// It fails the run; otherwise it is a note.
    fatal: bool,
}

/// How a run of tidy ended.
pub(crate) struct Summary {
    /// How many findings fail the run.
    pub(crate) fatal: usize,
    notes: usize,
    files: usize,
}

/// Checks the tree at `root` and prints what it finds.
pub(crate) fn run(root: &Path) -> Result<Summary> {
    let tree = read_tree(root)?;
    let mut summary = Summary { fatal: 0, notes: 0, files: tree.files().len() };
    for (rule, check) in RULES {
        for finding in check(&tree) {
            println!("{finding} [{rule}]");
            *(if finding.fatal { &mut summary.fatal } else { &mut summary.notes }) += 1;
        }
    }
    println!("tidy: {summary}");
    Ok(summary)
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.into(), line, message: message.into(), fatal: true }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}{}", if self.fatal { "" } else { "note: " }, self.message)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fatal, notes, files } = self;
        write!(f, "{} rules, {files} files, {fatal} violations, {notes} notes", RULES.len())
    }
}

/// Reads every text file that is or could be committed.
fn read_tree(root: &Path) -> Result<Tree> {
    let mut paths = match tracked(root) {
        Ok(paths) => paths,
        Err(e) => {
            println!("note: all files are read, for want of git's list: {e:#}");
            let mut paths = Vec::new();
            walk(root, "", &mut paths)?;
            paths
        }
    };
    paths.sort();
    paths.dedup();
    let mut files = Vec::new();
    for path in paths {
        // Listed but deleted, a submodule, or a dangling link: there is no text to check.
        if !root.join(&path).is_file() {
            continue;
        }
        let bytes = std::fs::read(root.join(&path)).with_context(|| format!("read {path}"))?;
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(File::new(path, text));
        }
    }
    ensure!(files.iter().any(File::is_rust), "no Rust file found below {}", root.display());
    Ok(Tree::new(files))
}

fn tracked(root: &Path) -> Result<Vec<String>> {
    let output = Command::new("git")
        .current_dir(root)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .context("start git")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    let list = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    Ok(list.split_terminator('\0').map(str::to_owned).collect())
}

fn walk(root: &Path, below: &str, paths: &mut Vec<String>) -> Result<()> {
    for entry in root.join(below).read_dir().with_context(|| format!("read directory {below}"))? {
        let entry = entry?;
        let name = entry.file_name().into_string().ok().context("a file name is not UTF-8")?;
        let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
        if !entry.file_type()?.is_dir() {
            paths.push(path);
        } else if name != "target" && name != ".git" {
            walk(root, &path, paths)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_list_files_find_this_one() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut walked = Vec::new();
        walk(root, "", &mut walked).expect("xtask is readable");
        assert!(walked.iter().any(|path| path == "src/tidy/mod.rs"));
        if let Ok(tracked) = tracked(root) {
            assert!(tracked.iter().any(|path| path == "src/tidy/mod.rs"));
        }
    }

    #[test]
    fn a_tree_without_rust_is_no_success() {
        let empty = std::env::temp_dir().join(format!("xtask-tidy-{}", std::process::id()));
        std::fs::create_dir(&empty).expect("a new directory");
        let result = run(&empty);
        std::fs::remove_dir(&empty).expect("an empty directory");
        assert!(result.is_err());
    }

    #[test]
    fn a_finding_says_where() {
        assert_eq!(Finding::new("a.rs", 3, "bad").to_string(), "a.rs:3: bad");
        assert_eq!(Finding::new("a.rs", 0, "bad").to_string(), "a.rs: bad");
    }
}
