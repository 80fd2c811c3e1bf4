//! What the recorder costs: the kernel at each call, whoever asks, and the process that tends it.
//!
//! Each scene is a process in namespaces of its own, with a `/run` of its own, in which the recorder's pins are: however it
//! ends, nothing of it stays in the kernel. It prints its figures, `NAME NUMBER` a line.

mod calls;
mod lookup;
mod report;
mod slices;
mod switch;
mod tending;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Error, Result, bail};
use sockowner_testkit::{Scenario, pidns};

pub(super) use report::{replace, section};

/// All that the program can run by name; see [`sockowner_testkit::main_prelude`].
pub(super) const SCENES: &[(&str, fn())] = &[
    (PROBE, || end(switch::probe())),
    ("recorder: calls", || end(calls::measure(is_quick()))),
    ("recorder: lookup", || end(lookup::measure(is_quick()))),
    ("recorder: tending", || end(tending::measure(is_quick()))),
];
const PROBE: &str = "recorder: probe";

/// Environment of a scene: the program `sockowner`; and that it is to be short.
const PROGRAM: &str = "SOCKOWNER_BENCH_PROGRAM";
const QUICK: &str = "SOCKOWNER_BENCH_QUICK";

/// Live tests have recorders of their own, for some minutes.
const PATIENCE: Duration = Duration::from_secs(300);

/// One figure, by its name.
type Figure = (String, f64);

/// All figures, or why there are none.
#[derive(Debug)]
pub(super) struct Figures {
    all: Vec<Figure>,
    skipped: Option<String>,
}

impl Figures {
    fn of(&self, name: &str) -> Option<f64> {
        self.all.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// Those whose names begin so, by the rest of their names.
    fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.all.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, *value)))
    }
}

/// Runs every scene.
pub(super) fn run(program: &Path, is_quick: bool) -> Result<Figures> {
    let scenario = |name: &str| {
        let scenario = Scenario::new(name).variable(PROGRAM, program);
        let scenario = if is_quick { scenario.variable(QUICK, "1") } else { scenario };
        scenario.outcome().map_err(Error::msg)
    };
    let refused = match pidns::supported() {
        Ok(()) => scenario(PROBE)?.lines().find_map(|line| line.strip_prefix("REFUSED ").map(str::to_owned)),
        Err(why) => Some(why),
    };
    let refused = refused.map_or_else(await_others, |why| Ok(Some(why)))?;
    if let Some(why) = refused {
        eprintln!("SKIPPED recorder: {why}");
        return Ok(Figures { all: Vec::new(), skipped: Some(why) });
    }
    let mut all = Vec::new();
    for (name, _) in SCENES.iter().filter(|(name, _)| *name != PROBE) {
        eprintln!("{name}");
        for line in scenario(name)?.lines() {
            let figure = line.rsplit_once(' ').and_then(|(name, number)| Some((name, number.parse().ok()?)));
            match figure {
                Some((name, number)) => all.push((name.to_owned(), number)),
                None => bail!("{name}: no figure: {line}"),
            }
        }
    }
    Ok(Figures { all, skipped: None })
}

/// Waits for the end of other recorders; says so where it does not come.
fn await_others() -> Result<Option<String>> {
    let begun = Instant::now();
    while switch::others()? > 0 {
        if begun.elapsed() > PATIENCE {
            return Ok(Some("another recorder runs on this machine".to_owned()));
        }
        thread::sleep(Duration::from_secs(1));
    }
    Ok(None)
}

fn is_quick() -> bool {
    std::env::var_os(QUICK).is_some()
}

/// The end of a scene.
fn end(result: Result<Vec<Figure>>) {
    match result {
        Ok(figures) => figures.iter().for_each(|(name, value)| println!("{name} {value}")),
        Err(error) => {
            eprintln!("{error:#}");
            std::process::exit(1);
        }
    }
}

/// The program `sockowner`.
fn program() -> Result<std::ffi::OsString> {
    std::env::var_os(PROGRAM).context("a scene is started by the benchmark")
}
