//! `cargo xtask windows --bench`: what the Windows functions cost under Wine, beside what they are made of.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::prefix::{Prefix, windows_path};
use super::{build, built, compile, missing, target_dir};
use crate::gates::Outcome;
use crate::section;

const ROUNDS: usize = 31;

/// The section's heading, its own line.
pub(crate) const TITLE: &str = "## Windows functions under Wine\n";

const METHOD: &str = "\
- One program in C, `xtask/windows/bench.c`, with 500 TCP listeners of its own, in a fresh prefix; it loads `sockowner.dll`
  and the system's iphlpapi. All figures of a round are taken one behind the other; a figure is the median of the rounds,
  the ratio the median of the rounds' ratios.
- The owned table is `GetExtendedTcpTable` of `sockowner.dll`, class `TCP_TABLE_OWNER_MODULE_ALL`, IPv4, into a buffer that
  is large enough. The system's is the same call of the system's iphlpapi, which names no owner there. The handle query is
  `NtQuerySystemInformation` of all handles, and nothing done with them. Each own row is checked to have the true owner.
- `GetOwnerModuleFromTcpEntry` is asked about one own row, class basic, 200 times in a row; so is the process's image:
  `OpenProcess`, `QueryFullProcessImageNameW`, `CloseHandle`.
- Wine answers these through its server: figures are Wine's, not those of Windows.
";

/// Measures, and writes the section.
pub(crate) fn run(root: &Path) -> Result<Outcome> {
    if let Some(why) = missing() {
        println!("\nSKIPPED: {why}");
        return Ok(Outcome::Skipped(why));
    }
    let target = target_dir(root);
    build(root)?;
    let prefix = Prefix::create(root, &target)?;
    let program = target.join("wine-stubs/bench.exe");
    compile(root, "bench.c", &program, &["-lws2_32"])?;
    let mut command = Command::new("wine");
    command.arg(&program).arg(windows_path(&built(&target).join("sockowner.dll"))).arg(ROUNDS.to_string());
    prefix.enter(&mut command, "-all");
    println!("--> {ROUNDS} rounds");
    let done = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("start wine")?;
    let told = String::from_utf8_lossy(&done.stdout).into_owned();
    ensure!(done.status.success(), "the benchmark: {}: {told}", done.status);
    let figures = Figures::read(&told)?;
    let text = figures.section(&versions(&prefix)?);
    print!("{text}");
    let path = root.join("BENCHMARKS.md");
    let file = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    fs::write(&path, section::put(&file, TITLE, &text))
        .with_context(|| format!("write {}", path.display()))?;
    Ok(Outcome::Passed(String::new()))
}

/// When and where it was measured.
fn versions(prefix: &Prefix) -> Result<String> {
    let first_line = |program: &str, argument: &str| -> Result<String> {
        let mut command = Command::new(program);
        prefix.enter(&mut command, "-all");
        let done = command.arg(argument).stdin(Stdio::null()).output();
        let done = done.with_context(|| format!("start {program}"))?;
        Ok(String::from_utf8_lossy(&done.stdout).lines().next().unwrap_or_default().trim().to_owned())
    };
    let date = first_line("date", "+%Y-%m-%d")?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").context("read the kernel's version")?;
    let processors = fs::read_to_string("/proc/cpuinfo").context("read the processor's name")?;
    let mut models = processors.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = models.next().map_or("unknown", |(_, name)| name);
    let load = fs::read_to_string("/proc/loadavg").context("read the load")?;
    let load = load.split(' ').next().unwrap_or_default();
    Ok(format!(
        "on {date}; {}; processor: {model}, {} cores; kernel: Linux {}; load average after the run: {load}",
        first_line("wine", "--version")?,
        1 + models.count(),
        kernel.trim(),
    ))
}

/// What a round measures, in nanoseconds: the system's table, the handle query, the owned table, the owner of a row,
/// a process's image.
type Round = [f64; 5];

#[derive(Debug, PartialEq)]
struct Figures {
    rows: u64,
    rounds: Vec<Round>,
}

impl Figures {
    fn read(told: &str) -> Result<Self> {
        let mut figures = Self { rows: 0, rounds: Vec::new() };
        for line in told.lines() {
            match line.trim().split_once(' ') {
                Some(("rows", count)) => figures.rows = count.parse().context("the number of rows")?,
                Some(("round", round)) => {
                    let round: Vec<f64> = round.split(' ').map(str::parse).collect::<Result<_, _>>()?;
                    figures.rounds.push(Round::try_from(round).ok().context("five figures a round")?);
                }
                _ => {}
            }
        }
        ensure!(figures.rows >= 500, "the table had {} rows: {told}", figures.rows);
        ensure!(!figures.rounds.is_empty(), "there was no round: {told}");
        Ok(figures)
    }

    fn median(&self, of: impl Fn(&Round) -> f64) -> f64 {
        let mut all: Vec<f64> = self.rounds.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    }

    fn section(&self, versions: &str) -> String {
        let mut text = format!("{TITLE}\nWritten by `cargo xtask windows --bench`, {versions}.\n\n");
        text.push_str("| target | at most | measured | |\n|---|--:|--:|---|\n");
        let table = self.median(|[system, handles, owned, ..]| owned / (system + handles));
        let owner = self.median(|[.., owner, image]| owner / image);
        for (what, most, measured) in [
            (
                "whole owned table, 500 sockets: to the system's without owners and the handle query",
                4.0,
                table,
            ),
            ("`GetOwnerModuleFromTcpEntry`, warm: to asking the process's image alone", 1.5, owner),
        ] {
            let verdict = if measured <= most { "met" } else { "**NOT met**" };
            // Writing to a String does not fail.
            let _ = writeln!(text, "| {what} | {most} | {measured:.2} | {verdict} |");
        }
        text.push_str("\n| what | median µs |\n|---|--:|\n");
        let rows = format!("the system's table, {} rows", self.rows);
        let owned = "the owned table".to_owned();
        let names = [rows, "the handle query".into(), owned, "`GetOwnerModuleFromTcpEntry`".into()];
        for (at, name) in names.into_iter().chain(["a process's image".to_owned()]).enumerate() {
            let _ = writeln!(text, "| {name} | {:.1} |", self.median(|round| round[at]) / 1000.0);
        }
        let _ = write!(text, "\n{METHOD}");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_medians_of_ratios() {
        let told = "rows 507\r\nround 100 100 600 30 10\nround 100 100 900 10 10\nround 1 1 9 9 10\n";
        let figures = Figures::read(told).expect("it is whole");
        let text = figures.section("on a day");
        assert!(text.contains("handle query | 4 | 4.50 | **NOT met** |\n"), "{text}");
        assert!(text.contains("image alone | 1.5 | 1.00 | met |\n"), "{text}");
        assert!(text.contains("507 rows | 0.1 |\n"), "{text}");
    }

    #[test]
    fn what_is_not_whole_is_no_measurement() {
        for told in ["", "rows 507\n", "rows 3\nround 1 1 1 1 1\n", "rows 507\nround 1 1\n"] {
            assert!(Figures::read(told).is_err(), "{told}");
        }
    }
}
