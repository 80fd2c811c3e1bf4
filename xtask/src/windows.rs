//! The Windows side, built by mingw and run by Wine: `cargo xtask windows`.
//!
//! A program that Wine cannot run may end well having done nothing. So what counts is what test programs print: each
//! that is started has to tell its result.

mod bench;
mod prefix;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::cargo::{cargo, copy_of};
use crate::gates::{Outcome, has_std};
use crate::suite::{self, Suite};
use crate::summary::{Counts, Harness};
use crate::tests::Report;
use prefix::Prefix;

pub(crate) use bench::{TITLE as BENCH_TITLE, run as bench};

/// What is built for.
pub(crate) const TARGET: &str = "x86_64-pc-windows-gnu";
/// Its C compiler, and the linker.
const COMPILER: &str = "x86_64-w64-mingw32-gcc";
/// The crates whose own tests run there.
const CRATES: [&str; 4] = ["sockowner-wire", "sockowner", "sockowner-cli", "sockowner-capi"];
/// Begins the names of tests on this side that start programs on the other.
const FROM_OUTSIDE: &str = "wine_";
/// Of two halves, one for each side.
const BRIDGE: &str = "sockowner-wine-bridge";
/// Where those find `sockowner.dll` and `sockowner.exe`.
const BUILT: &str = "SOCKOWNER_WINDOWS_TARGET";
/// What the trial of one C source file on both sides prints.
const SAME_SOURCE: &str = "same source: ";
const SAME_SOURCE_OK: &str = "same source: linux ok, wine ok";

/// `cargo xtask windows`: the last lines say whether one source file did for both sides, and what all tests came to.
pub(crate) fn command(root: &Path) -> Result<bool> {
    let mut report = Report::default();
    let Ok(done) = everything(root, &mut report)? else {
        println!("windows: 0 passed, 0 failed, 0 skipped: nothing was run");
        return Ok(true);
    };
    report.print();
    let outcome = done.judge();
    if let Outcome::Failed(why) = &outcome {
        println!("\nFAILED: {why}");
    }
    done.print();
    Ok(matches!(outcome, Outcome::Passed(_)))
}

/// The gate.
pub(crate) fn run(root: &Path, report: &mut Report) -> Result<Outcome> {
    let done = match everything(root, report)? {
        Ok(done) => done,
        Err(why) => return Ok(Outcome::Skipped(why)),
    };
    done.print();
    Ok(done.judge())
}

/// Builds and runs all of it; the inner `Err` is why that cannot be done here.
fn everything(root: &Path, report: &mut Report) -> Result<Result<Done, String>> {
    if let Some(why) = missing() {
        println!("\nSKIPPED: nothing was built for Windows, and nothing was run under Wine: {why}");
        return Ok(Err(why));
    }
    let target = target_dir(root);
    let prefix = Prefix::create(root, &target)?;
    let mut done = Done::default();
    done.run("the crates' own tests", own_tests(root)?, &prefix, report)?;
    build(root)?;
    for (name, test) in from_outside(root)? {
        let mut command = cargo(root, &["test", "-p", &name, "--test", &test]);
        command.env(BUILT, built(&target));
        done.run(&format!("{name} {test}"), command, &prefix, report)?;
    }
    done.conclude();
    Ok(Ok(done))
}

/// Why nothing can be built or run here; None where it can.
fn missing() -> Option<String> {
    let mut lacking = Vec::new();
    if !has_std(TARGET) {
        lacking.push(format!("no standard library (`rustup target add {TARGET}`)"));
    }
    for (program, package) in
        [(COMPILER, "gcc-mingw-w64-x86-64"), ("wine", "wine"), ("wineserver", "wine and wine64")]
    {
        if !is_installed(program) {
            lacking.push(format!("{program} is not installed (Debian: {package})"));
        }
    }
    (!lacking.is_empty()).then(|| lacking.join("; "))
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

fn target_dir(root: &Path) -> PathBuf {
    root.join(std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from))
}

/// Where the release profile's files for Windows are.
fn built(target: &Path) -> PathBuf {
    target.join(TARGET).join("release")
}

/// Builds what users get: the program, the library for C, and the bridge, with the example that is its test's.
fn build(root: &Path) -> Result<()> {
    println!("--> what users get, optimized");
    let started = Instant::now();
    let for_windows = ["build", "--release", "--target", TARGET];
    let mut steps = vec![[&for_windows[..], &["-p", "sockowner-cli", "-p", "sockowner-capi"]].concat()];
    if root.join("crates").join(BRIDGE).is_dir() {
        steps.push([&for_windows[..], &["-p", BRIDGE, "--lib", "--examples"]].concat());
        // Of the profile of the test that looks for it.
        steps.push(vec!["build", "-p", BRIDGE]);
    }
    for args in steps {
        let status = cargo(root, &args).status().context("start cargo")?;
        ensure!(status.success(), "cargo {}: {status}", args.join(" "));
    }
    println!("<-- {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// The tests that start Wine themselves, as crate and test: `tests/wine_*.rs` of each crate.
fn from_outside(root: &Path) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for dir in root.join("crates").read_dir().context("read crates/")? {
        let dir = dir?;
        let name = dir.file_name().to_string_lossy().into_owned();
        let tests = tests_of(&dir.path())?.into_iter().filter(|test| test.starts_with(FROM_OUTSIDE));
        found.extend(tests.map(|test| (name.clone(), test)));
    }
    found.sort();
    Ok(found)
}

/// The tests that can run there, of all crates in one command, so that much is compiled at once: not those in Linux's
/// namespaces, nor those that start Wine themselves.
fn own_tests(root: &Path) -> Result<Command> {
    let mut command = cargo(root, &["test", "--no-fail-fast", "--target", TARGET, "--lib", "--bins"]);
    for name in CRATES {
        command.args(["-p", name]);
        for test in tests_of(&root.join("crates").join(name))? {
            if !test.starts_with(FROM_OUTSIDE) && !test.starts_with("live") {
                command.args(["--test", &test]);
            }
        }
    }
    Ok(command)
}

/// The integration tests of the crate in `dir`.
fn tests_of(dir: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let Ok(files) = dir.join("tests").read_dir() else { return Ok(names) };
    for file in files {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.insert(path.file_stem().unwrap_or_default().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

/// What was run so far, and what became of it.
#[derive(Default)]
struct Done {
    counts: Counts,
    failures: Vec<String>,
    /// The line of the trial itself.
    same_source: Option<String>,
}

impl Done {
    fn run(&mut self, name: &str, command: Command, prefix: &Prefix, report: &mut Report) -> Result<()> {
        println!("--> {name}");
        let started = Instant::now();
        let again = copy_of(&command, command.get_args());
        let (mut suite, told) = run_in(command, prefix, "-all").with_context(|| format!("run {name}"))?;
        println!("<-- {:.1} s", started.elapsed().as_secs_f64());
        if let Some(why) = silent(&told, suite.summaries) {
            suite.fail(why);
        }
        if suite.failure.is_some() && suite.counts.failed <= 1 {
            println!("--> {name}, again, to see what Wine says of it; this does not count");
            run_in(again, prefix, "-all,err+all").with_context(|| format!("run {name} again"))?;
        }
        self.counts += suite.counts;
        report.add(name, &suite);
        self.failures.extend(suite.failure.map(|why| format!("{name}: {why}")));
        let line = told.lines().rev().find_map(|line| Some(&line[line.find(SAME_SOURCE)?..]));
        self.same_source = line.map(|line| line.trim_end().to_owned()).or(self.same_source.take());
        Ok(())
    }

    /// One source file has to do for both sides. That it does is told by its trial, or by nobody.
    fn conclude(&mut self) {
        if self.same_source.as_deref() == Some(SAME_SOURCE_OK) {
            return;
        }
        let told = self.same_source.clone();
        self.failures.push(told.unwrap_or_else(|| "no trial told that one source file does for both".into()));
        // The total cannot look clean.
        self.counts.failed = self.counts.failed.max(1);
    }

    fn judge(&self) -> Outcome {
        if self.failures.is_empty() {
            Outcome::Passed(self.counts.to_string())
        } else {
            Outcome::Failed(format!("{} ({})", self.failures.join("; "), self.counts))
        }
    }

    fn print(&self) {
        println!("\n{}", self.same_source.as_deref().unwrap_or("same source: not told by its trial"));
        println!("windows: {}", self.counts);
    }
}

/// A test program that was started and told no result; `told` is all output, `results` how many results are in it.
fn silent(told: &str, results: usize) -> Option<String> {
    let started = told.lines().filter(|line| line.trim_start().starts_with("Running ")).count();
    (started != results).then(|| format!("{started} test programs were started, {results} told a result"))
}

/// Runs a test command with Wine, shows what it prints, and gives that too.
fn run_in(mut command: Command, prefix: &Prefix, debug: &str) -> Result<(Suite, String)> {
    prefix.enter(&mut command, debug);
    suite::compile(&command)?;
    let told = Arc::new(Mutex::new(Vec::new()));
    let (out, err) = (Tee(std::io::stdout(), told.clone()), Tee(std::io::stderr(), told.clone()));
    let suite = suite::run(command, Harness::Libtest, out, err)?;
    let told = std::mem::take(&mut *told.lock().unwrap_or_else(PoisonError::into_inner));
    Ok((suite, String::from_utf8_lossy(&told).into_owned()))
}

/// Writes to both.
struct Tee<W>(W, Arc<Mutex<Vec<u8>>>);

impl<W: Write> Write for Tee<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write_all(bytes)?;
        self.1.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// Compiles a C source file of this crate for Windows.
fn compile(root: &Path, source: &str, to: &Path, args: &[&str]) -> Result<()> {
    if let Some(dir) = to.parent() {
        fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    }
    let source = root.join("xtask/windows").join(source);
    let mut command = Command::new(COMPILER);
    command.args(["-std=gnu99", "-O2", "-Wall", "-Wextra", "-Werror", "-D_WIN32_WINNT=0x0600", "-o"]);
    let status = command.arg(to).arg(&source).args(args).status().context("start the C compiler")?;
    ensure!(status.success(), "compile {}: {status}", source.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_tells_nothing_is_noticed() {
        let told = "     Running unittests src/lib.rs (a.exe)\nx\n     Running tests/cli.rs (b.exe)\n";
        assert_eq!(silent(told, 2), None);
        assert_eq!(silent(told, 1).as_deref(), Some("2 test programs were started, 1 told a result"));
        assert_eq!(silent("", 0), None);
    }

    #[test]
    fn only_the_trial_itself_says_that_one_source_does_for_both() {
        let counts = Counts { passed: 3, ..Counts::default() };
        let judged = |line: Option<&str>| {
            let same_source = line.map(str::to_owned);
            let mut done = Done { counts, same_source, ..Done::default() };
            done.conclude();
            done.judge()
        };
        assert_eq!(judged(Some(SAME_SOURCE_OK)), Outcome::Passed("3 passed, 0 failed, 0 skipped".into()));
        assert!(matches!(judged(None), Outcome::Failed(_)));
        assert!(matches!(judged(Some("same source: linux ok, wine FAILED")), Outcome::Failed(_)));
    }
}
