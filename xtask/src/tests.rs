//! Which test commands a gate runs, and adding up what they report.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::cargo::{cargo, missing};
use crate::gates::Outcome;
use crate::suite::{self, Suite};
use crate::summary::{Counts, Harness};

/// Keeps the live tests from nextest: they are run alone, so that their reasons for skipping are seen. And those under
/// Wine: they take what the gate `windows` builds, and it runs them.
const ORDINARY: &str = "not binary(/^(live|wine)(_|$)/)";

/// What the tests of all gates so far reported.
#[derive(Default)]
pub(crate) struct Report {
    counts: Counts,
    reasons: BTreeSet<String>,
}

impl Report {
    pub(crate) fn add(&mut self, name: &str, suite: &Suite) {
        self.counts += suite.counts;
        let silent = suite.counts.skipped.saturating_sub(suite.reasons.len() as u64);
        if silent > 0 {
            self.reasons.insert(format!("{name}: {silent} skipped without a stated reason"));
        }
        self.reasons.extend(suite.reasons.iter().cloned());
    }

    /// Prints why tests were skipped, then the total, alone on the last line.
    pub(crate) fn print(&self) {
        if !self.reasons.is_empty() {
            println!("\nskipped tests, and why");
            for line in by_reason(&self.reasons) {
                println!("  {line}");
            }
        }
        println!("\ntotal: {}", self.counts);
    }
}

/// Each reason once, with the first of the tests that have it and how many more do; from `NAME: why`.
fn by_reason(reasons: &BTreeSet<String>) -> Vec<String> {
    let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for reason in reasons {
        let (name, why) = reason.split_once(": ").unwrap_or(("", reason));
        names.entry(why).or_default().push(name);
    }
    let line = |(why, names): (&str, Vec<&str>)| match names.as_slice() {
        [first, others @ ..] if !others.is_empty() => format!("{first} and {} more: {why}", others.len()),
        names => format!("{}: {why}", names.concat()),
    };
    names.into_iter().map(line).collect()
}

/// Every test once.
pub(crate) fn all(root: &Path, report: &mut Report) -> Result<Outcome> {
    every_test(root, &[], &[], report)
}

/// Every test once, optimized as the release profile has it, but each crate by itself: to optimize all crates of each test
/// program together takes longer than all tests.
pub(crate) fn optimized(root: &Path, report: &mut Report) -> Result<Outcome> {
    let by_crate = [("CARGO_PROFILE_RELEASE_LTO", "off"), ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")];
    every_test(root, &["--release"], &by_crate, report)
}

fn every_test(
    root: &Path,
    profile: &[&str],
    settings: &[(&str, &str)],
    report: &mut Report,
) -> Result<Outcome> {
    let with = |args: &[&str]| {
        let mut command = cargo(root, &[args, profile].concat());
        command.envs(settings.iter().copied());
        command
    };
    if let Some(why) = missing(root, "nextest") {
        println!("with `cargo test`, for want of nextest ({why})");
        let everything = with(&["test", "--workspace", "--no-fail-fast"]);
        return run(vec![("cargo test".into(), everything, Harness::Libtest)], report);
    }
    let ordinary = with(&["nextest", "run", "--workspace", "--no-fail-fast", "-E", ORDINARY]);
    let mut suites = vec![("nextest".into(), ordinary, Harness::Nextest)];
    for (package, target) in live_suites(root)? {
        let command = with(&["test", "-p", &package, "--test", &target]);
        suites.push((format!("{package} {target}"), command, Harness::Libtest));
    }
    suites.push(("doc tests".into(), with(&["test", "--workspace", "--doc"]), Harness::Libtest));
    run(suites, report)
}

/// Both sources beside each other, 10,000 times.
pub(crate) fn differential(root: &Path, report: &mut Report) -> Result<Outcome> {
    let mut command = cargo(root, &["test", "-p", "sockowner", "--test", "live_bpf", "--", "churn"]);
    command.env("SOCKOWNER_FULL", "1");
    run(vec![("sockowner live_bpf, in full".into(), command, Harness::Libtest)], report)
}

/// Half a million connections, each of which the recorder has to have noted, or counted.
pub(crate) fn recorder(root: &Path, report: &mut Report) -> Result<Outcome> {
    let args = ["test", "-p", "sockowner", "--test", "live_record", "--", "what_comes_and_goes"];
    let mut command = cargo(root, &args);
    command.env("SOCKOWNER_FULL", "1");
    run(vec![("sockowner live_record, in full".into(), command, Harness::Libtest)], report)
}

/// The C contract with what takes minutes: under valgrind, and with all the calls that it demands.
pub(crate) fn contract(root: &Path, report: &mut Report) -> Result<Outcome> {
    let mut command = cargo(root, &["test", "-p", "sockowner-capi", "--test", "live_contract"]);
    command.env("SOCKOWNER_FULL", "1");
    run(vec![("sockowner-capi live_contract, in full".into(), command, Harness::Libtest)], report)
}

/// The live tests three times, to catch those that pass by luck.
pub(crate) fn stress(root: &Path, report: &mut Report) -> Result<Outcome> {
    let mut live = live_suites(root)?;
    // It compiles C for minutes; whatever of it could be flaky is staged by the same test kit as the others.
    live.retain(|(_, target)| target != "live_contract");
    if live.is_empty() {
        return Ok(Outcome::Skipped("there is no live test".into()));
    }
    let mut suites = Vec::new();
    for round in 1..=3 {
        for (package, target) in &live {
            let command = cargo(root, &["test", "-p", package, "--test", target]);
            suites.push((format!("{package} {target}, round {round}"), command, Harness::Libtest));
        }
    }
    run(suites, report)
}

/// Runs the suites to the last one. A run that executed no test proves nothing, so it failed.
fn run(suites: Vec<(String, Command, Harness)>, report: &mut Report) -> Result<Outcome> {
    let mut counts = Counts::default();
    let mut failures = Vec::new();
    for (name, command, harness) in suites {
        println!("--> {name}");
        suite::compile(&command)?;
        let suite = suite::run(command, harness, std::io::stdout(), std::io::stderr())
            .with_context(|| format!("run {name}"))?;
        counts += suite.counts;
        report.add(&name, &suite);
        failures.extend(suite.failure.map(|why| format!("{name}: {why}")));
    }
    Ok(judge(counts, failures))
}

fn judge(counts: Counts, mut failures: Vec<String>) -> Outcome {
    if failures.is_empty() && counts.executed() == 0 {
        failures.push("no test was executed".into());
    }
    if failures.is_empty() {
        Outcome::Passed(counts.to_string())
    } else {
        Outcome::Failed(format!("{} ({counts})", failures.join("; ")))
    }
}

/// The live test targets, as package and target name: `tests/live*.rs` of each crate.
fn live_suites(root: &Path) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for entry in root.join("crates").read_dir().context("read crates/")? {
        let dir = entry?.path();
        let Ok(tests) = dir.join("tests").read_dir() else {
            continue;
        };
        for test in tests {
            let test = test?.path();
            let is_target = test.extension().is_some_and(|e| e == "rs") || test.join("main.rs").is_file();
            let name = test.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if is_target && (name == "live" || name.starts_with("live_")) {
                found.push((package_name(&dir)?, name));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn package_name(dir: &Path) -> Result<String> {
    let manifest = dir.join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).with_context(|| format!("read {}", manifest.display()))?;
    crate::tidy::package_name(&text)
        .map(str::to_owned)
        .with_context(|| format!("no package name in {}", manifest.display()))
}

#[cfg(test)]
mod outcomes {
    use super::*;

    #[test]
    fn nothing_executed_is_a_failure() {
        let outcome =
            |counts, failures: &[&str]| judge(counts, failures.iter().map(ToString::to_string).collect());
        let none = Counts { skipped: 4, ..Counts::default() };
        let why = "no test was executed (0 passed, 0 failed, 4 skipped)";
        assert_eq!(outcome(none, &[]), Outcome::Failed(why.into()));
        let some = Counts { passed: 1, ..none };
        assert_eq!(outcome(some, &[]), Outcome::Passed("1 passed, 0 failed, 4 skipped".into()));
        let why = "live: signal: 11 (1 passed, 0 failed, 4 skipped)";
        assert_eq!(outcome(some, &["live: signal: 11"]), Outcome::Failed(why.into()));
    }

    #[test]
    fn a_skip_without_a_reason_is_told() {
        let mut report = Report::default();
        let mut suite = Suite::default();
        suite.counts.skipped = 2;
        suite.reasons.insert("netns: no privilege".into());
        report.add("live", &suite);
        let lines: Vec<&str> = report.reasons.iter().map(String::as_str).collect();
        assert_eq!(lines, ["live: 1 skipped without a stated reason", "netns: no privilege"]);
    }

    #[test]
    fn a_reason_that_several_tests_have_is_told_once() {
        let reasons = ["a: no root", "b: no root", "c: no root", "d: no clang: not found"].map(String::from);
        let lines = by_reason(&reasons.into());
        assert_eq!(lines, ["d: no clang: not found", "a and 2 more: no root"]);
    }

    #[test]
    fn live_suites_are_found_by_their_names() {
        let root = std::env::temp_dir().join(format!("xtask-live-{}", std::process::id()));
        let tests = root.join("crates/a/tests");
        std::fs::create_dir_all(tests.join("live_dir")).expect("a new directory");
        std::fs::write(root.join("crates/a/Cargo.toml"), "[package]\nname = \"owner\"\n").expect("writable");
        for file in ["live.rs", "live_a.rs", "liveness.rs", "live_dir/main.rs", "live.txt", "golden.rs"] {
            std::fs::write(tests.join(file), "").expect("writable");
        }
        let found = live_suites(&root);
        std::fs::remove_dir_all(&root).expect("ours");
        let names: Vec<String> =
            found.expect("readable").into_iter().map(|(p, n)| format!("{p} {n}")).collect();
        assert_eq!(names, ["owner live", "owner live_a", "owner live_dir"]);
    }
}
