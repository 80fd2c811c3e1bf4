//! Rounds: in each, every contender once, and another one first.

use anyhow::{Result, bail};
use sockowner_testkit::load::{Load, sample};

use super::contender::{Contender, Group, Whose};
use super::figures::Times;
use super::listing::{rows, told_time};
use super::size::Size;
use super::truth::{Truth, Verdict};

/// Everything measured at one size.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) size: &'static Size,
    pub(super) results: Vec<Outcome>,
    /// Why there are none.
    pub(super) skipped: Option<String>,
}

/// What became of one contender.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) contender: Contender,
    pub(super) verdict: Verdict,
    pub(super) times: Times,
    /// The most memory of all runs, in bytes.
    pub(super) peak: u64,
    /// Why it does not count.
    pub(super) skipped: Option<String>,
}

impl Figures {
    pub(super) fn skipped(size: &'static Size, why: String) -> Self {
        Self { size, results: Vec::new(), skipped: Some(why) }
    }

    /// Whoever took part under this name.
    pub(super) fn of(&self, name: &str) -> Option<&Outcome> {
        self.results.iter().find(|outcome| outcome.contender.name == name && outcome.skipped.is_none())
    }
}

/// A round that only checks, and then `runs` that count.
pub(super) fn run(
    size: &'static Size,
    load: &Load,
    contenders: Vec<Contender>,
    runs: usize,
) -> Result<Figures> {
    let truth = Truth::new(load.truth());
    let mut results: Vec<Outcome> = contenders.into_iter().map(Outcome::new).collect();
    for outcome in &mut results {
        outcome.step(&truth, false)?;
        if let Some(why) = &outcome.skipped {
            eprintln!("SKIPPED {} at {}: {why}", outcome.contender.name, size.name);
        }
    }
    for round in 0..runs {
        eprintln!("{}: round {} of {runs}", size.name, round + 1);
        let count = results.len();
        for at in 0..count {
            results[(at + round) % count].step(&truth, true)?;
        }
    }
    Ok(Figures { size, results, skipped: None })
}

impl Outcome {
    fn new(contender: Contender) -> Self {
        let skipped = contender.cannot.clone();
        Self { contender, verdict: Verdict::default(), times: Times::default(), peak: 0, skipped }
    }

    /// Has it answer once. Only ours may not be wrong.
    fn step(&mut self, truth: &Truth, counts: bool) -> Result<()> {
        if self.skipped.is_some() {
            return Ok(());
        }
        let Contender { name, whose, .. } = self.contender;
        let sample = match sample(&self.contender.program, &self.contender.args) {
            Ok(sample) => sample,
            Err(why) => return self.leave(why),
        };
        let text = String::from_utf8_lossy(&sample.output);
        let rows = rows(self.contender.format, &text);
        let verdict = truth.judge(&self.contender, &rows);
        let took = match self.contender.group {
            Group::Command => Some(sample.wall),
            Group::Table | Group::One | Group::Before => told_time(&text),
        };
        let Some(took) = took.filter(|_| verdict.rows > 0 || verdict.expected == 0) else {
            let said = complaint(&String::from_utf8_lossy(&sample.errors));
            return self.leave(format!("{said} ({})", sample.status));
        };
        if let Some(fault) = verdict.fault(&self.contender) {
            bail!("{name}: {fault}");
        }
        if whose != Whose::Peer && !sample.status.success() {
            bail!("{name}: {}", sample.status);
        }
        // The worst of all runs is what is told.
        if !counts || verdict.owners < self.verdict.owners || verdict.rows < self.verdict.rows {
            self.verdict = verdict;
        }
        if counts {
            self.times.push(took);
            self.peak = self.peak.max(sample.peak);
        }
        Ok(())
    }

    fn leave(&mut self, why: String) -> Result<()> {
        if self.contender.whose == Whose::Ours {
            bail!("{}: {why}", self.contender.name);
        }
        self.skipped = Some(why);
        Ok(())
    }
}

/// The line that tells most of what went wrong: the first, but the last of what Python says.
fn complaint(errors: &str) -> String {
    let mut lines = errors.lines().filter(|line| !line.trim().is_empty());
    let first = lines.next().unwrap_or("it listed nothing");
    let told = if first.starts_with("Traceback") { lines.next_back().unwrap_or(first) } else { first };
    told.trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_one_line() {
        assert_eq!(complaint("\nerror: no such source\n\ntry --help\n"), "no such source");
        assert_eq!(complaint("Traceback (most recent call last):\n  File\nNo module\n"), "No module");
        assert_eq!(complaint(""), "it listed nothing");
    }
}
