//! BENCHMARKS.md.

use std::fmt::Write as _;

use super::contender::{Contender, Expects, Group, names};
use super::machine::Machine;
use super::rounds::{Figures, Outcome};
use super::targets::{self, megabytes};

const HEAD: &str = "\
# Benchmarks

Written by `cargo xtask bench`, as root, on a machine with `ss`, `lsof`, `netstat` and psutil
(`--python PATH` names the Python that has it). Peers that are missing are skipped.
`cargo xtask bench --size 500x99 --runs 5` measures one size and writes nothing; `cargo xtask bench --recorder` measures the
recorder and writes its section alone.
";

const METHOD: &str = "\
## How it is measured

- The load is made by processes in a private network namespace: each has a listener and established connections whose
  both ends it holds. All other processes of the machine are there too, as they are for a user.
- Rows and owners are compared with what the load holds, in every run. One that is missing or wrong in an answer of
  sockowner ends the benchmark. Of peers it is told.
- A round is every contender once, and each round begins with another one. A round before the first is not counted.
- Commands: from before the start of the process to its end; standard output is a file in memory.
- Library calls: a fresh process for each, which takes the time itself: opening, asking, everything that is needed for the
  first answer. Start of the process (and of Python), printing and freeing are not counted. `owner_of` is asked about a
  row that was listed before; the time is that of the question.
- `sockowner open` opens a query and asks nothing. With source bpf that loads the programs, and the rest is what it
  takes with source proc. The empty pass also asks for the owners of a socket that is closed: one look at all
  descriptors and processes, in which no descriptor matches.
- `sockowner sockets` is opened with source proc: a sock_diag dump and nothing else.
- `listeners` does not tell the remote end: rows that it merges are missing.
- Peak memory is the most that a process had resident, measured by the kernel. A process of the benchmark cannot show
  less than the 3 MB of what starts it; library calls include what prints their result.
- The ratio is that of medians, to the contender named behind it.
";

/// The whole file.
pub(super) fn write(machine: &Machine, all: &[Figures], runs: usize) -> String {
    let mut text = String::from(HEAD);
    let _ = write!(text, "\n## Machine\n\n| what | value |\n|---|---|\n| date | {} |\n", machine.date);
    for (what, value) in machine.facts.iter().chain(&machine.versions) {
        let _ = writeln!(text, "| {what} | {value} |");
    }
    let _ = writeln!(text, "| rounds | {runs} |");
    let _ = writeln!(text, "| sources of owners | {} |", sources(all));
    text.push_str(&promised(all));
    for figures in all {
        text.push_str(&table(figures));
    }
    let _ = write!(text, "\n{METHOD}");
    text
}

/// Which sources worked.
fn sources(all: &[Figures]) -> String {
    let outcomes = || all.iter().flat_map(|figures| &figures.results);
    let told = [("/proc", names::PROC), ("BPF", names::BPF)].map(|(source, name)| {
        match outcomes().find(|outcome| outcome.contender.name == name) {
            Some(Outcome { skipped: None, .. }) => format!("{source} worked"),
            Some(Outcome { skipped: Some(why), .. }) => format!("{source} did not: {}", cell(why)),
            None => format!("{source} was not tried"),
        }
    });
    told.join("; ")
}

fn promised(all: &[Figures]) -> String {
    let lines = targets::lines(all);
    if lines.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "\n## Targets\n\n| size | what | at most | median | min | |\n|---|---|--:|--:|--:|---|\n",
    );
    for line in lines {
        let targets::Line { size, text: what, limit, median, min, verdict } = line;
        let _ = writeln!(text, "| {size} | {what} | {limit} | {median} | {min} | {verdict} |");
    }
    text
}

fn table(figures: &Figures) -> String {
    let mut text = format!("\n## {}\n\n", figures.size.title);
    if let Some(why) = &figures.skipped {
        let _ = writeln!(text, "Skipped: {why}");
        return text;
    }
    let shape = figures.size.shape;
    let _ = writeln!(
        text,
        "{} sockets, {} descriptors in {} processes; {} of these have a cgroup of their own.\n",
        grouped(shape.rows()),
        grouped(shape.descriptors()),
        grouped(shape.processes),
        grouped(figures.size.few().len()),
    );
    text.push_str("| contender | rows | owners | min ms | median ms | ratio | peak MB |\n");
    text.push_str("|---|--:|--:|--:|--:|---|--:|\n");
    for (group, title) in [
        (Group::Command, "commands"),
        (Group::Table, "library calls: the whole table"),
        (Group::One, "library calls: one endpoint"),
        (Group::Before, "library calls: what comes before an answer"),
    ] {
        let _ = writeln!(text, "| *{title}* | | | | | | |");
        let of_group = |outcome: &&Outcome| outcome.contender.group == group && outcome.skipped.is_none();
        for outcome in figures.results.iter().filter(of_group) {
            let _ = writeln!(text, "{}", row(figures, outcome));
        }
    }
    let skipped = figures.results.iter().filter_map(|outcome| Some((outcome, outcome.skipped.as_ref()?)));
    let skipped: Vec<_> = skipped.collect();
    if !skipped.is_empty() {
        text.push_str("\nSkipped:\n");
    }
    for (Outcome { contender, .. }, why) in skipped {
        let _ = writeln!(text, "- {}: {}", shown(contender), cell(why));
    }
    text
}

fn row(figures: &Figures, outcome: &Outcome) -> String {
    let Outcome { contender, verdict, times, peak, .. } = outcome;
    let of = |found: usize| match grouped(found) {
        _ if verdict.expected == 0 => String::from("-"),
        all if found == verdict.expected => all,
        some => format!("{some} of {}", grouped(verdict.expected)),
    };
    let mut owners = if contender.owners { of(verdict.owners) } else { String::from("-") };
    if verdict.wrong > 0 {
        let _ = write!(owners, ", {} wrong", grouped(verdict.wrong));
    }
    let mut rows = of(verdict.rows);
    if verdict.extra > 0 {
        let _ = write!(rows, ", {} too many", grouped(verdict.extra));
    }
    let reference = contender.reference.filter(|&name| name != contender.name);
    let ratio = reference.and_then(|name| Some((name, figures.of(name)?))).map(|(name, reference)| {
        let ratio = times.to(&reference.times).median;
        let digits = if ratio < 0.1 { 3 } else { 2 };
        format!("{ratio:.digits$} x `{name}`")
    });
    let ratio = ratio.unwrap_or_else(|| String::from("-"));
    let (name, min, median) = (shown(contender), millis(times.min()), millis(times.median()));
    format!("| {name} | {rows} | {owners} | {min} | {median} | {ratio} | {:.1} |", megabytes(*peak))
}

fn shown(contender: &Contender) -> String {
    let what = match contender.expects {
        Expects::Listeners => ", listeners alone",
        Expects::All | Expects::One(_) | Expects::Nothing => "",
    };
    match contender.group {
        Group::Command => format!("`{}`{what}", contender.name),
        Group::Table | Group::One | Group::Before => contender.name.to_owned(),
    }
}

fn millis(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Text that cannot end a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(
            [7, 999, 1000, 49_500, 1_000_000].map(grouped),
            ["7", "999", "1,000", "49,500", "1,000,000"]
        );
        assert_eq!([0.1234, 12.34, 1234.5].map(millis), ["0.12", "12.3", "1234"]);
    }
}
