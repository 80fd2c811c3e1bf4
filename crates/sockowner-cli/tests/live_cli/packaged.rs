//! What reads man pages and completions has nothing to complain of.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sockowner_testkit::Requirement;

const BASH: Requirement = Requirement::Custom("bash", || installed("bash"));
const ZSH: Requirement = Requirement::Custom("zsh", || installed("zsh"));
const FISH: Requirement = Requirement::Custom("fish", || installed("fish"));
const GROFF: Requirement = Requirement::Custom("groff", || installed("groff"));

tests! {
    Alone bash_completes needs BASH;
    Alone zsh_reads_its_completions needs ZSH;
    Alone fish_reads_its_completions needs FISH;
    Alone fish_completes needs FISH;
    Alone groff_reads_every_page needs GROFF;
}

fn installed(reader: &str) -> Result<(), String> {
    let version =
        Command::new(reader).arg("--version").output().map_err(|error| format!("not found: {error}"))?;
    if version.status.success() { Ok(()) } else { Err(format!("`{reader} --version`: {}", version.status)) }
}

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging")
}

/// What `reader` says of `file`; it has nothing to complain of.
#[track_caller]
fn read(reader: &str, options: &[&str], file: &Path) -> String {
    let output = Command::new(reader).args(options).arg(file).stdin(Stdio::null()).output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{reader}: {}\n{complaints}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn bash_completes() {
    // As bash calls it: the words so far, and which of them is to be completed.
    let script = "source \"$0\"; COMP_WORDS=(sockowner $1); COMP_CWORD=$((${#COMP_WORDS[@]} - 1));
        _sockowner sockowner \"${COMP_WORDS[-1]}\" \"${COMP_WORDS[-2]}\"; echo \"${COMPREPLY[@]}\"";
    for (words, expected) in [
        ("--js", "--jsonl --json"),
        ("who --js", "--jsonl --json"),
        ("--sort local_p", "local_port"),
        ("rec", "record"),
        ("record st", "start stop status"),
        ("record start --h", "--hooks-only --help"),
        ("record run --det", ""),
        ("record start --net", ""),
        ("who --net", "--netns"),
        ("--source b", "bpf"),
    ] {
        let file = packaging().join("completions/sockowner.bash");
        let output =
            Command::new("bash").args(["--norc", "-c", script]).arg(file).arg(words).output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert_eq!((told.trim_end(), &*complaints), (expected, ""), "{words}");
    }
}

fn zsh_reads_its_completions() {
    read("zsh", &["-n"], &packaging().join("completions/_sockowner"));
}

fn fish_reads_its_completions() {
    read("fish", &["--no-execute"], &packaging().join("completions/sockowner.fish"));
}

fn fish_completes() {
    let home = tempfile::tempdir().unwrap();
    for (words, expected) in [
        ("-o local_p", "local_port"),
        ("--source b", "bpf"),
        ("-t --source b", "bpf"),
        ("watch -o local_p", "local_port"),
        ("--netns blue wai", "wait"),
        ("status --net", ""),
    ] {
        let output = Command::new("fish")
            .args(["--no-config", "-c", "source $argv[1]; complete -C \"sockowner $argv[2]\""])
            .arg(packaging().join("completions/sockowner.fish"))
            .arg(words)
            .env("HOME", home.path())
            .output()
            .unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        let told: Vec<_> = told.lines().filter_map(|line| line.split('\t').next()).collect();
        assert_eq!(told.join(" "), expected, "{words}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

fn groff_reads_every_page() {
    let pages: Vec<_> =
        fs::read_dir(packaging().join("man")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(pages.len() > 4, "{pages:?}");
    for page in pages {
        let shown = read("groff", &["-man", "-Tutf8", "-P-cbou", "-ww"], &page);
        for section in ["NAME", "SYNOPSIS", "EXIT STATUS", "FILES", "EXAMPLES", "SEE ALSO"] {
            assert!(shown.lines().any(|line| line.contains(section)), "{}: {section}", page.display());
        }
        assert!(shown.contains("User Commands"), "{shown}");
    }
}
