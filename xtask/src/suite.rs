//! One test command: its output passed on line by line as it comes, and what it reports.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::cargo::copy_of;
use crate::summary::{Counts, Harness, skip_reason};

/// How long output may stay open after the command ended, held by a process that a test left behind.
const LINGER: Duration = Duration::from_secs(30);

/// No test command needs as long as this: one that does hangs, and must not hang the run.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// What one test command reported.
#[derive(Default, Debug)]
pub(crate) struct Suite {
    pub(crate) counts: Counts,
    /// How many summary lines it printed.
    pub(crate) summaries: usize,
    pub(crate) reasons: BTreeSet<String>,
    /// Why it counts as failed.
    pub(crate) failure: Option<String>,
}

/// Compiles what a cargo command tests, before the clock of [`run`] starts. What cannot be compiled fails there again, and
/// counts; doc tests are compiled as they run.
pub(crate) fn compile(command: &Command) -> Result<()> {
    let args: Vec<_> = command.get_args().collect();
    if !args.contains(&"--doc".as_ref()) {
        let own = args.iter().position(|arg| *arg == "--").unwrap_or(args.len());
        // nextest takes no word on failures where nothing is run.
        let asked = args[..own].iter().copied().filter(|arg| *arg != "--no-fail-fast");
        copy_of(command, asked.chain(["--no-run".as_ref()])).status().context("start cargo")?;
    }
    Ok(())
}

/// Runs a test command, passes its output on line by line, and reads the counts out of it.
pub(crate) fn run(
    command: Command,
    harness: Harness,
    out: impl Write + Send + 'static,
    err: impl Write + Send + 'static,
) -> Result<Suite> {
    run_for(LIMIT, command, harness, out, err)
}

fn run_for(
    limit: Duration,
    mut command: Command,
    harness: Harness,
    out: impl Write + Send + 'static,
    err: impl Write + Send + 'static,
) -> Result<Suite> {
    // A group of its own, so that all of it can be ended.
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn()?;
    let started = Instant::now();
    let (sender, lines) = mpsc::channel();
    forward(child.stdout.take().context("stdout is piped")?, out, sender.clone());
    forward(child.stderr.take().context("stderr is piped")?, err, sender);

    let mut suite = Suite::default();
    let mut ended: Option<Instant> = None;
    loop {
        match lines.recv_timeout(Duration::from_millis(100)) {
            Ok(line) => suite.read(&line, harness),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if ended.is_none() && child.try_wait()?.is_some() {
            ended = Some(Instant::now());
        }
        if ended.is_none() && started.elapsed() > limit {
            suite.failure = Some(format!("did not end within {} s", limit.as_secs()));
            let group = format!("-{}", child.id());
            Command::new("kill").args(["-KILL", "--", &group]).status()?;
            break;
        }
        if ended.is_some_and(|ended| ended.elapsed() > LINGER) {
            suite.failure = Some("left a process behind that holds its output open".into());
            break;
        }
    }
    let status = child.wait()?;
    suite.conclude((!status.success()).then(|| status.to_string()));
    Ok(suite)
}

/// Copies lines from a child to `out` and to the reader of the counts, until the child's end is closed.
fn forward(from: impl Read + Send + 'static, mut out: impl Write + Send + 'static, lines: Sender<String>) {
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|len| len > 0) {
            let copied = out.write_all(&line).and_then(|()| out.flush());
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if copied.is_err() || lines.send(text).is_err() {
                break;
            }
            line.clear();
        }
    });
}

impl Suite {
    fn read(&mut self, line: &str, harness: Harness) {
        if let Some(counts) = harness.summary(line) {
            self.counts += counts;
            self.summaries += 1;
        }
        self.reasons.extend(skip_reason(line).map(str::to_owned));
    }

    /// It failed for this reason, where there is no other yet.
    pub(crate) fn fail(&mut self, why: String) {
        self.failure.get_or_insert(why);
        self.conclude(None);
    }

    /// Settles whether the suite failed. A failure in which no failed test is named (a crash, a compile error,
    /// a missing summary) still counts as one, so that the total cannot look clean.
    fn conclude(&mut self, status: Option<String>) {
        let no_summary = || (self.summaries == 0).then(|| "printed no test summary".into());
        let failed_tests = || (self.counts.failed > 0).then(|| "tests failed".into());
        self.failure = self.failure.take().or(status).or_else(no_summary).or_else(failed_tests);
        if self.failure.is_some() && self.counts.failed == 0 {
            self.counts.failed = 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn shell(script: &str) -> Suite {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null());
        run(command, Harness::Libtest, std::io::sink(), std::io::sink()).expect("sh starts")
    }

    #[test]
    fn counts_and_reasons_are_read_from_both_streams() {
        let suite = shell(
            "echo 'SKIPPED netns: no privilege' >&2; echo 'test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured'",
        );
        assert_eq!(suite.failure, None);
        assert_eq!(suite.counts, Counts { passed: 2, failed: 0, skipped: 1 });
        assert!(suite.reasons.contains("netns: no privilege"));
    }

    #[test]
    fn a_failure_without_a_failed_test_counts_as_one() {
        let crashed = shell("kill -SEGV $$");
        assert_eq!((crashed.counts.failed, crashed.failure.is_some()), (1, true));
        let silent = shell("exit 0");
        assert_eq!((silent.counts.failed, silent.failure.is_some()), (1, true));
        let lying = shell("echo 'test result: FAILED. 0 passed; 3 failed; 0 ignored'");
        assert_eq!((lying.counts.failed, lying.failure.is_some()), (3, true));
    }

    #[test]
    fn a_suite_that_hangs_is_ended_and_failed() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & wait"]).stdin(Stdio::null());
        let limit = Duration::from_millis(300);
        let suite = run_for(limit, command, Harness::Libtest, std::io::sink(), std::io::sink());
        let suite = suite.expect("sh starts");
        assert_eq!(suite.counts.failed, 1);
        assert!(suite.failure.is_some_and(|why| why.starts_with("did not end within")));
    }

    #[test]
    fn what_is_tested_is_compiled_first() {
        let file = std::env::temp_dir().join(format!("xtask-compile-{}", std::process::id()));
        let compiled = |args: &[&str]| {
            std::fs::write(&file, "").expect("writable");
            let mut command = Command::new("sh");
            command.args(["-c", "echo \"$@\" >$FILE", "sh"]).args(args).env("FILE", &file);
            compile(&command).expect("sh starts");
            std::fs::read_to_string(&file).expect("readable")
        };
        assert_eq!(compiled(&["test", "-p", "a", "--", "churn"]), "test -p a --no-run\n");
        assert_eq!(compiled(&["nextest", "run", "--no-fail-fast"]), "nextest run --no-run\n");
        assert_eq!(compiled(&["test", "--doc"]), "");
        std::fs::remove_file(&file).expect("ours");
    }

    #[test]
    fn output_is_passed_on_unchanged() {
        #[derive(Clone, Default)]
        struct Copy(Arc<Mutex<Vec<u8>>>);
        impl Write for Copy {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().expect("not poisoned").write(bytes)
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let copy = Copy::default();
        let mut command = Command::new("printf");
        command.arg(r"a\n\377\n last").stdin(Stdio::null());
        run(command, Harness::Libtest, copy.clone(), std::io::sink()).expect("printf starts");
        assert_eq!(copy.0.lock().expect("not poisoned").as_slice(), b"a\n\xff\n last");
    }
}
