//! What no committed file says, and which files are committed.

use super::Finding;
use super::lexer::find_word;
use super::source::Tree;

/// Directories of a developer's machine. Written in two halves so that this file does not name them.
const MACHINE_DIRS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

/// Names that stand for anyone in the directory of home directories, as a single letter does.
const ANYONE: &[&str] = &["user", "alice", "bob"];

const MACROS: &[&str] = &["todo!(", "unimplemented!("];
const MARKS: &[&str] = &[concat!("FIX", "ME"), concat!("X", "XX")];

const DOCUMENTS: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "PLATFORM.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    ".ci/run",
];

/// No absolute path that exists on one machine only.
pub(super) fn machine_paths(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files() {
        for (number, line) in file.text.lines().enumerate() {
            for dir in MACHINE_DIRS.iter().filter(|dir| names_machine_dir(line, dir)) {
                let message = format!("a path below {dir} exists on one machine only");
                findings.push(Finding::new(&file.path, number + 1, message));
            }
        }
    }
    findings
}

/// No `todo!()` and `unimplemented!()` in code, no mark of work left undone anywhere.
pub(super) fn left_undone(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files() {
        let macros = MACROS.iter().map(|word| (find_word(&file.code, word), word));
        let marks = MARKS.iter().map(|word| (find_word(&file.text, word), word));
        for (lines, word) in macros.chain(marks) {
            let message = format!("`{word}`: finish it, or file an issue");
            findings.extend(lines.into_iter().map(|line| Finding::new(&file.path, line, message.clone())));
        }
    }
    findings
}

/// The documents that every reader looks for are there.
pub(super) fn documents(tree: &Tree) -> Vec<Finding> {
    let is_there = |document: &&&str| tree.files().iter().any(|file| file.path == **document);
    let missing = DOCUMENTS.iter().filter(|document| !is_there(document));
    missing.map(|document| Finding::new(document, 0, "is missing")).collect()
}

/// True where an absolute path starts with `dir`: `/proc/1/root/` and `{prefix}/root/` are others.
fn names_machine_dir(line: &str, dir: &str) -> bool {
    line.match_indices(dir).any(|(at, _)| {
        let goes_on = |c: char| c.is_alphanumeric() || "_-.~}>)]*+%".contains(c);
        let continues = line[..at].chars().next_back().is_some_and(goes_on);
        let name: String =
            line[at + dir.len()..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let anyone = dir == MACHINE_DIRS[2] && (name.len() < 2 || ANYONE.contains(&name.as_str()));
        !continues && !anyone
    })
}

#[cfg(test)]
mod tests {
    use super::super::source::File;
    use super::*;

    fn lines(rule: fn(&Tree) -> Vec<Finding>, path: &str, text: &str) -> Vec<usize> {
        rule(&Tree::new(vec![File::new(path, text)])).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn paths_of_a_machine_are_caught() {
        let [work, root, home] = [MACHINE_DIRS[0], MACHINE_DIRS[1], MACHINE_DIRS[2]];
        let bad = format!("see {work}main\n\"{root}.cargo\"\n# {home}jane/src\nPATH=/bin:{root}bin\n");
        assert_eq!(lines(machine_paths, "README.md", &bad), [1, 2, 3, 4]);
        let good =
            format!("/proc/1{root}etc\n{{dir}}{root}etc\n{home}user/x\n{home}$USER/x\n{home}a b\n~{work}x\n");
        assert_eq!(lines(machine_paths, "README.md", &good), []);
    }

    #[test]
    fn work_left_undone_is_caught() {
        let [fix, cross] = [MARKS[0], MARKS[1]];
        let text =
            format!("fn a() {{ todo!() }}\nfn b() {{ unimplemented!() }}\n// {fix}: c\n// {cross} d\n");
        assert_eq!(lines(left_undone, "src/a.rs", &text), [1, 2, 3, 4]);
        assert_eq!(lines(left_undone, "src/a.sh", &format!("# {fix}\n")), [1]);
        assert_eq!(
            lines(left_undone, "src/a.rs", &format!("// todo!()\nlet a = \"/tmp/a.{cross}{cross}\";")),
            []
        );
    }

    #[test]
    fn missing_documents_are_caught() {
        let files = DOCUMENTS.iter().map(|path| File::new(*path, "")).collect();
        assert_eq!(documents(&Tree::new(files)), []);
        let none = documents(&Tree::new(vec![File::new("docs/README.md", "")]));
        assert_eq!(none.len(), DOCUMENTS.len());
    }
}
