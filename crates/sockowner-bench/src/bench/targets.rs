//! What was promised, and whether it holds.

use super::contender::names;
use super::rounds::Figures;

/// One promise.
struct Target {
    size: &'static str,
    text: &'static str,
    test: Test,
}

enum Test {
    /// Takes at most so many times as long as the reference.
    Ratio { ours: &'static str, reference: &'static str, limit: f64 },
    /// Has at most so many megabytes resident.
    Memory { ours: &'static str, limit: f64 },
    /// What the command takes longer than the library is at most so many times the library's time.
    Beyond { command: &'static str, library: &'static str, limit: f64 },
}

/// A row of the table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) size: &'static str,
    pub(super) text: &'static str,
    pub(super) limit: String,
    /// By medians.
    pub(super) median: String,
    pub(super) min: String,
    pub(super) verdict: String,
}

const TARGETS: &[Target] = &[
    ratio("500x99", "/proc: library, to netstat2", names::SNAPSHOT_PROC, names::NETSTAT2, 0.65),
    ratio("500x99", "/proc: library, to listeners", names::SNAPSHOT_PROC, names::LISTENERS, 0.5),
    ratio("500x99", "/proc: command, to `ss -tnap`", names::PROC, names::SS_OWNERS, 0.25),
    ratio("500x99", "`--no-owners`, to `ss -tna`", names::NO_OWNERS, names::SS, 0.5),
    ratio(
        "500x99",
        "/proc: one endpoint, its cgroup holds 1 % of the processes, to listeners",
        names::OWNER_FEW_PROC,
        names::LISTENERS_PORT,
        0.1,
    ),
    ratio(
        "500x99",
        "/proc: one endpoint, its cgroup holds the other 99 %, to listeners",
        names::OWNER_MANY_PROC,
        names::LISTENERS_PORT,
        0.5,
    ),
    memory("/proc: memory of the command, MB", names::PROC),
    beyond("/proc: what the command adds to the library", names::PROC, names::SNAPSHOT_PROC),
    ratio("500x99", "BPF: command with owners, to `ss -tna` without", names::AUTO, names::SS, 0.7),
    ratio("500x99", "BPF: command, to `ss -tnap`", names::AUTO, names::SS_OWNERS, 0.06),
    ratio("500x99", "BPF: library, to our own plain dump", names::SNAPSHOT, names::DUMP, 1.4),
    ratio("2000x5", "BPF: command with owners, to `ss -tna` without", names::AUTO, names::SS, 1.0),
    ratio("2000x5", "BPF: command, to `ss -tnap`", names::AUTO, names::SS_OWNERS, 0.15),
    ratio("1m", "BPF: listeners, to `ss -tlnp`", names::LISTENERS_BPF, names::SS_LISTENERS, 0.08),
    ratio("500x99", "BPF: program load, to the whole command", names::OPEN_BPF, names::BPF, 0.1),
    ratio(
        "500x99",
        "BPF: `who`, to an empty iterator pass and the load",
        names::WHO_BPF,
        names::EMPTY_PASS,
        1.3,
    ),
    memory("BPF: memory of the command, MB", names::BPF),
    beyond("BPF: what the command adds to the library", names::BPF, names::SNAPSHOT_BPF),
];

const fn ratio(
    size: &'static str,
    text: &'static str,
    ours: &'static str,
    reference: &'static str,
    limit: f64,
) -> Target {
    Target { size, text, test: Test::Ratio { ours, reference, limit } }
}

const fn memory(text: &'static str, ours: &'static str) -> Target {
    Target { size: "500x99", text, test: Test::Memory { ours, limit: 40.0 } }
}

const fn beyond(text: &'static str, command: &'static str, library: &'static str) -> Target {
    Target { size: "500x99", text, test: Test::Beyond { command, library, limit: 1.0 } }
}

/// The targets of the sizes that were measured.
pub(super) fn lines(all: &[Figures]) -> Vec<Line> {
    let of_size = |target: &&Target| all.iter().any(|figures| figures.size.name == target.size);
    TARGETS.iter().filter(of_size).filter_map(|target| line(target, all)).collect()
}

fn line(target: &Target, all: &[Figures]) -> Option<Line> {
    let figures = all.iter().find(|figures| figures.size.name == target.size)?;
    let missing = |names: &[&str]| {
        // What is asked without a choice of the source shows BPF where that works.
        let bpf = target.text.starts_with("BPF").then_some(names::OPEN_BPF);
        let missing = names.iter().copied().chain(bpf).find(|name| figures.of(name).is_none())?;
        Some(format!("not measured: no `{missing}`"))
    };
    let line = |limit: String, values: Result<(f64, f64, bool), String>| {
        let (median, min, verdict) = match values {
            Ok((median, min, met)) => {
                let shown = |value: f64| if value.is_nan() { "-".into() } else { format!("{value:.2}") };
                (shown(median), shown(min), if met { "met" } else { "**NOT met**" }.into())
            }
            Err(why) => ("-".into(), "-".into(), why),
        };
        Line { size: target.size, text: target.text, limit, median, min, verdict }
    };
    Some(match target.test {
        Test::Ratio { ours, reference, limit } => line(
            limit.to_string(),
            missing(&[ours, reference]).map_or(Ok(()), Err).and_then(|()| {
                let (ours, reference) = (figures.of(ours), figures.of(reference));
                let ratio = ours.zip(reference).map(|(ours, reference)| ours.times.to(&reference.times));
                let ratio = ratio.ok_or("not measured")?;
                Ok((ratio.median, ratio.min, ratio.median <= limit))
            }),
        ),
        Test::Memory { ours, limit } => line(
            limit.to_string(),
            missing(&[ours]).map_or(Ok(()), Err).and_then(|()| {
                let peak = megabytes(figures.of(ours).ok_or("not measured")?.peak);
                Ok((peak, f64::NAN, peak <= limit))
            }),
        ),
        Test::Beyond { command, library, limit } => line(
            limit.to_string(),
            missing(&[command, library]).map_or(Ok(()), Err).and_then(|()| {
                let both = figures.of(command).zip(figures.of(library)).ok_or("not measured")?;
                let (command, library) = (&both.0.times, &both.1.times);
                let median = command.median() / library.median() - 1.0;
                Ok((median, command.min() / library.min() - 1.0, median <= limit))
            }),
        ),
    })
}

/// Millions of bytes.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(super) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
