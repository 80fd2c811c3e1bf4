//! The one list of gates, and running them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::cargo::{cargo, missing};
use crate::tests::Report;

/// One thing that has to hold before a commit is merged.
pub(crate) struct Gate {
    /// The name to run it by.
    pub(crate) name: &'static str,
    /// What it does, in one line.
    pub(crate) what: &'static str,
    /// It takes long, so that only `--full` runs it.
    pub(crate) full: bool,
    run: Run,
}

/// What became of a gate. The text says more, and is empty where there is no more to say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed(String),
    Failed(String),
    Skipped(String),
}

/// All gates, in the order they run.
pub(crate) const GATES: &[Gate] = &[
    always("fmt", "cargo fmt --all --check", fmt),
    always("clippy", "cargo clippy --workspace --all-targets, warnings denied", clippy),
    always("docs", "cargo doc --workspace --no-deps, warnings denied", docs),
    always("bpf", "the kernel programs' committed bytes are what their sources make", crate::bpf::check),
    always("tests", "unit, integration, live and doc tests", crate::tests::all),
    always("tidy", "the invariants of the house style", tidy),
    always("release", "cargo build --release, then run `sockowner`", release),
    always("targets", "it compiles for other targets, warnings denied", targets),
    full(
        "windows",
        "built by mingw; the tests, the program and the C library under Wine",
        crate::windows::run,
    ),
    full("kernel", "the kernel programs on Debian's stock kernel, emulated", crate::kernel::run),
    full("release-tests", "all tests again, optimized", crate::tests::optimized),
    full(
        "differential",
        "both sources of owners beside each other, 10,000 times",
        crate::tests::differential,
    ),
    full("record-full", "the recorder's proofs with the full counts", crate::tests::recorder),
    full("contract-full", "the C contract with valgrind and the full counts", crate::tests::contract),
    full("fuzz", "each fuzz target for 30 s, with the address sanitizer", crate::fuzz::run),
    full("stress", "the live tests three more times", crate::tests::stress),
    full("packages", "deb and rpm: made, compared, installed, used and removed", crate::packages::run),
    full("bench-smoke", "the benchmark on a small load: all answers are right", crate::bench::smoke),
];

type Run = fn(&Path, &mut Report) -> Result<Outcome>;

const fn always(name: &'static str, what: &'static str, run: Run) -> Gate {
    Gate { name, what, full: false, run }
}

const fn full(name: &'static str, what: &'static str, run: Run) -> Gate {
    Gate { name, what, full: true, run }
}

/// The gates as text, one a line: name, when it runs, what it does.
pub(crate) fn list() -> String {
    GATES.iter().fold(String::new(), |mut text, gate| {
        let when = if gate.full { "--full" } else { "always" };
        let _ = writeln!(text, "{:14} {when}  {}", gate.name, gate.what);
        text
    })
}

/// Runs the gates to the last one, whatever fails, and prints what became of them. True: none failed.
pub(crate) fn run<'a>(root: &Path, gates: impl Iterator<Item = &'a Gate>) -> Result<bool> {
    let mut report = Report::default();
    let mut table = String::new();
    let mut ok = true;
    for gate in gates {
        println!("\n==> {}: {}", gate.name, gate.what);
        let started = Instant::now();
        let outcome = (gate.run)(root, &mut report).unwrap_or_else(|e| Outcome::Failed(format!("{e:#}")));
        let took = started.elapsed();
        ok &= !matches!(outcome, Outcome::Failed(_));
        println!("<== {}: {} ({:.1} s)", gate.name, verdict(&outcome), took.as_secs_f64());
        writeln!(table, "{}", row(gate.name, &outcome, took))?;
    }
    print!("\ngates\n{table}");
    report.print();
    Ok(ok)
}

fn verdict(outcome: &Outcome) -> String {
    let (word, more) = match outcome {
        Outcome::Passed(more) => ("ok", more),
        Outcome::Failed(more) => ("FAILED", more),
        Outcome::Skipped(more) => ("skipped", more),
    };
    if more.is_empty() { word.into() } else { format!("{word}: {more}") }
}

fn row(name: &str, outcome: &Outcome, took: Duration) -> String {
    format!("  {name:14} {:7.1} s  {}", took.as_secs_f64(), verdict(outcome))
}

fn fmt(root: &Path, _: &mut Report) -> Result<Outcome> {
    if let Some(why) = missing(root, "fmt") {
        return Ok(Outcome::Skipped(why));
    }
    finish(&mut cargo(root, &["fmt", "--all", "--check"]))
}

fn clippy(root: &Path, _: &mut Report) -> Result<Outcome> {
    if let Some(why) = missing(root, "clippy") {
        return Ok(Outcome::Skipped(why));
    }
    finish(&mut cargo(root, &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn docs(root: &Path, _: &mut Report) -> Result<Outcome> {
    finish(cargo(root, &["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
}

fn tidy(root: &Path, _: &mut Report) -> Result<Outcome> {
    let result = crate::tidy::run(root)?;
    let text = result.to_string();
    Ok(if result.fatal == 0 { Outcome::Passed(text) } else { Outcome::Failed(text) })
}

/// Other C library, other word size, other operating system: each finds what the host's compiler lets pass.
const TARGETS: [&str; 3] = ["x86_64-unknown-linux-musl", "i686-unknown-linux-gnu", crate::windows::TARGET];

/// What is checked for a target: on another operating system everything that users get, else the library.
fn checked(target: &str) -> &'static [&'static str] {
    if target == crate::windows::TARGET {
        &["sockowner", "sockowner-capi", "sockowner-cli"]
    } else {
        &["sockowner"]
    }
}

fn targets(root: &Path, _: &mut Report) -> Result<Outcome> {
    let (installed, absent): (Vec<&str>, Vec<&str>) = TARGETS.into_iter().partition(|target| has_std(target));
    if installed.is_empty() {
        return Ok(Outcome::Skipped(format!("`rustup target add {}` first", TARGETS.join(" "))));
    }
    for target in &installed {
        let mut check = cargo(root, &["check", "--target", target]);
        check.args(checked(target).iter().flat_map(|package| ["--package", package]));
        check.env("RUSTFLAGS", "-D warnings");
        match finish(&mut check)? {
            Outcome::Passed(_) => {}
            other => return Ok(other),
        }
    }
    let mut what = installed.join(", ");
    if !absent.is_empty() {
        let _ = write!(what, "; skipped, not installed: {}", absent.join(", "));
    }
    Ok(Outcome::Passed(what))
}

/// The standard library for `target` is installed.
pub(crate) fn has_std(target: &str) -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(["--print", "target-libdir", "--target", target]).output();
    output.is_ok_and(|output| {
        output.status.success() && Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir()
    })
}

/// Builds what users build, and runs the program: 0 (found) and 1 (nothing matched) are both answers.
fn release(root: &Path, _: &mut Report) -> Result<Outcome> {
    let built = finish(&mut cargo(root, &["build", "--release"]))?;
    if built != Outcome::Passed(String::new()) {
        return Ok(built);
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let program =
        root.join(target).join("release").join(format!("sockowner{}", std::env::consts::EXE_SUFFIX));
    let mut command = Command::new(&program);
    command.stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().with_context(|| format!("run {}", program.display()))?;
    let lines = output.stdout.split(|&byte| byte == b'\n').count() - 1;
    ensure!(matches!(output.status.code(), Some(0 | 1)), "{}: {}", program.display(), output.status);
    Ok(Outcome::Passed(format!("`sockowner`: {}, {lines} lines", output.status)))
}

fn finish(command: &mut Command) -> Result<Outcome> {
    let status = command.status().with_context(|| format!("start {}", command.get_program().display()))?;
    Ok(if status.success() { Outcome::Passed(String::new()) } else { Outcome::Failed(status.to_string()) })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_row_never_hides_what_happened() {
        let second = Duration::from_secs(1);
        assert_eq!(row("fmt", &Outcome::Passed(String::new()), second), "  fmt                1.0 s  ok");
        assert!(row("fmt", &Outcome::Failed("exit 1".into()), second).ends_with("FAILED: exit 1"));
        assert!(row("fmt", &Outcome::Skipped("absent".into()), second).ends_with("skipped: absent"));
    }

    #[test]
    fn one_failed_gate_fails_the_run_and_stops_nothing() {
        static RAN: AtomicUsize = AtomicUsize::new(0);
        let bad = always("bad", "", |_, _| anyhow::bail!("no"));
        let good = always("good", "", |_, _| {
            RAN.fetch_add(1, Ordering::Relaxed);
            Ok(Outcome::Passed(String::new()))
        });
        assert!(!run(Path::new("."), [&bad, &good].into_iter()).expect("prints"));
        assert!(run(Path::new("."), [&good].into_iter()).expect("prints"));
        assert_eq!(RAN.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn names_are_unique_and_listed() {
        let list = list();
        for gate in GATES {
            let line = |line: &&str| line.split(' ').next() == Some(gate.name);
            assert_eq!(list.lines().filter(line).count(), 1, "{}", gate.name);
        }
    }
}
