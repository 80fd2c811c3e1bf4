//! The recorder's section of BENCHMARKS.md.

use std::fmt::Write as _;

use super::super::machine::Machine;
use super::{Figures, calls, lookup};

const TITLE: &str = "## The recorder\n";
/// What it comes before.
const NEXT: &str = "## How it is measured\n";

const METHOD: &str = "\
- Calls: one thread has both ends, so that nothing waits. `sockowner record run`, with all its default hooks and samples, is
  started and ended in turn, and is stopped while calls are timed: what it takes itself is told below, in each round in
  another order, and each state has slices of a millisecond or so, in turn for all rows. A figure is the median of rounds,
  a round that of its slices; the ratio is the median of the rounds' ratios. A round beside another recorder is left out.
  Before each slice's state begins, twenty thousand sockets came and went: so full is the table.
- A TCP cycle is socket and connect, accept4 with the peer's address, and both closed, the client's first: two sockets are
  recorded.
- Programs: the kernel's own count (`kernel.bpf_stats_enabled`) over cycles over IPv4; counting takes a part of what it
  counts. What the kernel does around each program is not in it.
- Lookups: in one process, everything open before. The exact lookup is one request and one answer of sock_diag,
  written and read by hand; what was recorded has process and path of each role.
- The user part: `sockowner record run` and all processes it has, over half a minute, by the scheduler's count; a wake-up
  is a voluntary switch away from it. Pages that its processes share count once. Before, fifteen thousand connections were made.
- Maps: what the kernel says each takes, after that.
";

/// The whole section.
pub(in super::super) fn section(machine: &Machine, figures: &Figures) -> String {
    let mut text = format!("{TITLE}\nWritten by `cargo xtask bench --recorder`, on {}", machine.date);
    for (what, value) in &machine.facts {
        let _ = write!(text, "; {what}: {value}");
    }
    text.push_str(".\n");
    if let Some(why) = &figures.skipped {
        let _ = writeln!(text, "\nSkipped: {why}");
        return text;
    }
    text.push_str(&targets(figures));
    text.push_str(&compared(figures));
    text.push_str(&programs(figures));
    text.push_str(&lookups(figures));
    text.push_str(&user_part(figures));
    text.push_str(&maps(figures));
    let _ = write!(text, "\n{METHOD}");
    text
}

/// The file with this section in place of the one that it has, or before the last.
pub(in super::super) fn replace(file: &str, section: &str) -> String {
    let at = file.find(TITLE).or_else(|| file.find(NEXT)).unwrap_or(file.len());
    let (before, rest) = file.split_at(at);
    let after = match rest.strip_prefix(TITLE) {
        Some(own) => own.find("\n## ").map_or("", |end| &own[end + 1..]),
        None => rest,
    };
    format!("{before}{section}\n{after}").trim_end().to_owned() + "\n"
}

fn targets(figures: &Figures) -> String {
    let of = |name: String| figures.of(&name);
    let ratio = |name: &str| Some(of(format!("lookup {name}"))? / of(format!("lookup {}", lookup::BARE))?);
    let lines = [
        ("kernel part: a TCP cycle, to the same without", 1.2, of(format!("ratio {}", calls::CYCLE))),
        ("one endpoint in process: to the exact lookup alone", 2.5, ratio(lookup::RECORDED)),
        ("user part at 1,000 connections a second: % of a core", 1.0, of("user percent of a core".into())),
        ("user part: resident MB", 15.0, of("user resident".into()).map(mega)),
        ("maps: MB", 32.0, Some(mega(figures.below("memory ").map(|(_, bytes)| bytes).sum()))),
        ("one record: bytes", 160.0, of("entry sockets".into())),
    ];
    let mut text = String::from("\n| target | at most | measured | |\n|---|--:|--:|---|\n");
    for (what, limit, measured) in lines {
        let verdict = match measured {
            None => "not measured",
            Some(value) if value <= limit => "met",
            Some(_) => "**NOT met**",
        };
        let measured = measured.map_or_else(|| "-".to_owned(), shown);
        let _ = writeln!(text, "| {what} | {limit} | {measured} | {verdict} |");
    }
    text
}

fn compared(figures: &Figures) -> String {
    let mut text = String::from("\n| call | off ns | on ns | added ns | ratio |\n|---|--:|--:|--:|--:|\n");
    for name in calls::WORKS {
        let [off, on, added] = ["off", "on", "added"]
            .map(|state| figures.of(&format!("{state} {name}")).map_or("-".into(), nanos));
        let ratio = figures.of(&format!("ratio {name}")).map_or("-".into(), shown);
        let _ = writeln!(text, "| {name} | {off} | {on} | {added} | {ratio} |");
    }
    let disturbed = figures.of("disturbed rounds").unwrap_or_default();
    if disturbed > 0.0 {
        let _ = writeln!(text, "\nLeft out, beside another recorder: {disturbed} rounds.");
    }
    text
}

fn programs(figures: &Figures) -> String {
    let mut text = String::from("\n| program | runs a cycle | ns a run | ns a cycle |\n|---|--:|--:|--:|\n");
    let mut sum = 0.0;
    for (name, runs) in figures.below("runs ") {
        let each = figures.of(&format!("nanos {name}")).unwrap_or_default();
        sum += runs * each;
        let _ = writeln!(text, "| {name} | {} | {} | {} |", shown(runs), nanos(each), nanos(runs * each));
    }
    let _ = writeln!(text, "| *together* | | | {} |", nanos(sum));
    text
}

fn lookups(figures: &Figures) -> String {
    let mut text = String::from("\n| lookup | ns | to the exact lookup |\n|---|--:|--:|\n");
    let bare = figures.of(&format!("lookup {}", lookup::BARE));
    for name in lookup::WORKS {
        let took = figures.of(&format!("lookup {name}"));
        let ratio = took.zip(bare).map_or("-".into(), |(took, bare)| shown(took / bare));
        let _ = writeln!(text, "| {name} | {} | {ratio} |", took.map_or("-".into(), nanos));
    }
    text
}

fn user_part(figures: &Figures) -> String {
    let mut text = String::from("\n| user part | |\n|---|--:|\n");
    for (name, value) in figures.below("user ") {
        let (name, value) = match name {
            name if name.starts_with("resident") => (format!("{name} MB"), mega(value)),
            other => (other.to_owned(), value),
        };
        let _ = writeln!(text, "| {name} | {} |", shown(value));
    }
    text
}

fn maps(figures: &Figures) -> String {
    let mut text = String::from("\n| map | bytes a value | entries at most | MB |\n|---|--:|--:|--:|\n");
    for (name, bytes) in figures.below("memory ") {
        let [value, entries] =
            ["entry", "entries"].map(|what| figures.of(&format!("{what} {name}")).unwrap_or_default());
        let _ = writeln!(text, "| {name} | {value} | {entries} | {:.2} |", mega(bytes));
    }
    text
}

fn mega(bytes: f64) -> f64 {
    bytes / 1e6
}

fn nanos(value: f64) -> String {
    if value.abs() < 1000.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

/// Whole where it is large.
fn shown(value: f64) -> String {
    if value.fract() == 0.0 || value >= 1000.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(all: &[(&str, f64)]) -> Figures {
        let all = all.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        Figures { all, skipped: None }
    }

    #[test]
    fn a_section_takes_the_place_of_the_former_one() {
        let file = format!("# B\n\n{TITLE}\nold\n\n### part\n\n{NEXT}\nend\n");
        let section = format!("{TITLE}\nnew\n");
        assert_eq!(replace(&file, &section), format!("# B\n\n{TITLE}\nnew\n\n{NEXT}\nend\n"));
        assert_eq!(replace(&format!("# B\n\n{NEXT}\nend\n"), &section), replace(&file, &section));
        assert_eq!(replace("# B\n\n", &section), format!("# B\n\n{TITLE}\nnew\n"));
        let last = replace("# B\n\n", &section);
        assert_eq!(replace(&last, &section), last);
    }

    #[test]
    fn a_target_is_met_missed_or_not_measured() {
        let met = figures(&[("entry sockets", 160.0), ("user percent of a core", 1.01)]);
        let text = targets(&met);
        assert!(text.contains("| one record: bytes | 160 | 160 | met |"), "{text}");
        assert!(text.contains("% of a core | 1 | 1.01 | **NOT met** |"), "{text}");
        assert!(
            text.contains("| kernel part: a TCP cycle, to the same without | 1.2 | - | not measured |"),
            "{text}"
        );
    }

    #[test]
    fn what_programs_take_is_added_up() {
        let all = figures(&[("runs a", 2.0), ("nanos a", 100.0), ("runs b", 0.5), ("nanos b", 10.0)]);
        let text = programs(&all);
        assert!(
            text.contains("| a | 2 | 100.0 | 200.0 |") && text.contains("| *together* | | | 205.0 |"),
            "{text}"
        );
    }
}
