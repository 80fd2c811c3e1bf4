//! The program: its arguments, and what it does in turn.

mod calls;
mod contender;
mod figures;
mod listing;
mod machine;
mod recorder;
mod report;
mod rounds;
mod size;
mod targets;
mod truth;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use sockowner_testkit::cgroup::Scratch;
use sockowner_testkit::load::Load;
use sockowner_testkit::{Requirement, main_prelude, netns};

use contender::Setting;
use rounds::Figures;
use size::Size;

const RUNS: usize = 10;
/// What a run that cannot be made here exits with; `cargo xtask` knows it.
const SKIPPED: u8 = 77;

/// What is asked for.
#[derive(Debug)]
struct Options {
    /// The program `sockowner`.
    program: PathBuf,
    python: PathBuf,
    sizes: Vec<&'static Size>,
    runs: usize,
    /// Where the report goes.
    write: Option<PathBuf>,
    /// The recorder is measured too; alone where there is no size.
    recorder: bool,
    smoke: bool,
    /// Measure nothing: keep the load, for a profiler.
    hold: bool,
}

/// The whole program.
pub(crate) fn main() -> ExitCode {
    main_prelude(recorder::SCENES);
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some((contender::CALL, rest)) = args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return calls::main(rest);
    }
    for need in [Requirement::Root, Requirement::Netns] {
        if let Err(why) = need.check() {
            eprintln!("SKIPPED bench: {why}");
            return ExitCode::from(SKIPPED);
        }
    }
    match Options::parse(&args).and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sockowner-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let machine = machine::describe(options);
    let mut all = Vec::new();
    for &size in &options.sizes {
        eprintln!("{}: starting {} processes", size.title, size.shape.processes);
        if let Err(why) = size.shape.supported() {
            eprintln!("SKIPPED {}: {why}", size.name);
            all.push(Figures::skipped(size, why));
            continue;
        }
        // Whatever is started from here belongs to the new namespace, with its main thread.
        all.push(netns::inside(|| measure(size, options))?);
    }
    if options.hold {
        return Ok(());
    }
    let mut report = match &options.write {
        _ if !options.sizes.is_empty() => report::write(&machine, &all, options.runs),
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?,
        None => String::new(),
    };
    if options.recorder {
        let figures = recorder::run(&options.program, options.smoke)?;
        report = recorder::replace(&report, &recorder::section(&machine, &figures));
    }
    println!("{report}");
    if let Some(path) = &options.write {
        std::fs::write(path, report).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

fn measure(size: &'static Size, options: &Options) -> Result<Figures> {
    // Before the load, so that it is removed after it.
    let cgroup = Scratch::try_new("/sockowner-bench");
    let few = size.few();
    let place = |index: usize| {
        let cgroup = cgroup.as_ref().ok().filter(|_| few.contains(&index))?;
        Some(cgroup.dir().to_owned())
    };
    let load = Load::start(size.shape, place).map_err(anyhow::Error::msg)?;
    if options.hold {
        let pid = load.pids().first().copied().unwrap_or_default();
        eprintln!("{}: `nsenter --net --target {pid}` is there; end of input ends it", size.title);
        std::io::stdin().read_line(&mut String::new())?;
        return Ok(Figures::skipped(size, String::new()));
    }
    let no_cgroup = cgroup.as_ref().err().cloned();
    let setting =
        Setting { program: &options.program, python: &options.python, size, load: &load, no_cgroup };
    let contenders = contender::all(&setting)?;
    rounds::run(size, &load, contenders, options.runs)
}

impl Options {
    fn parse(args: &[String]) -> Result<Self> {
        let mut options = Self {
            program: PathBuf::new(),
            python: PathBuf::from("python3"),
            sizes: Vec::new(),
            runs: RUNS,
            write: None,
            recorder: false,
            smoke: false,
            hold: false,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--program" => options.program = value()?.into(),
                "--python" => options.python = value()?.into(),
                "--write" => options.write = Some(value()?.into()),
                "--size" => options.sizes.push(Size::named(value()?)?),
                "--runs" => options.runs = value()?.parse().context("--runs needs a number")?,
                "--recorder" => options.recorder = true,
                "--smoke" => options.smoke = true,
                "--hold" => options.hold = true,
                other => bail!("unknown: {other}"),
            }
        }
        ensure!(options.runs > 0, "--runs needs at least 1");
        ensure!(options.program.is_file(), "--program PATH is needed: {}", options.program.display());
        if options.smoke {
            ensure!(options.sizes.is_empty() && options.write.is_none(), "--smoke has a size of its own");
            options.sizes = if options.recorder { Vec::new() } else { vec![&size::SMOKE] };
            options.runs = 1;
            options.recorder = true;
        } else if options.sizes.is_empty() && !options.recorder {
            options.sizes = size::ALL.iter().collect();
            options.recorder = true;
        }
        Ok(options)
    }
}
