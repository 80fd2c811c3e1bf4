//! What a sample costs, and what the children need: told, and bounded where it is not time.

use std::fs;
use std::process::Command;

use sockowner_record::resolve::Sample;
use sockowner_testkit::Requirement::Root;

use super::components::library_and_user;
use super::daemon::{Daemon, Facts, boot, sample};
use super::tracer::trace;
use super::workshop::{GCC, TRACING, Workshop};

tests! {
    Outside what_a_sample_costs needs GCC, TRACING, Root;
}

/// Nanoseconds on a processor, of a process's first thread or another one.
fn cpu(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// A size in `/proc/PID/status`.
pub(super) fn kibibytes(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_matches([':', '\t', ' ', 'k', 'B']).trim().parse().unwrap()
}

fn what_a_sample_costs() {
    const BATCHES: usize = 200;
    const BATCH: usize = 100;
    let workshop = Workshop::open();
    let (_, program) = library_and_user(&workshop);
    let daemon = Daemon::start();
    let mut stops: Vec<(Sample, Sample)> = Vec::new();
    let mut is_told = false;
    trace(&mut Command::new(program), |stop| {
        stops.push((sample(stop, 1, Facts::Noted), sample(stop, 2, Facts::None)));
        if stops.len() < 6 || std::mem::replace(&mut is_told, true) {
            return;
        }
        for (facts, kind) in [(Facts::Noted, "noted"), (Facts::None, "asked")] {
            let [parser, opener] = daemon.children();
            let samples: Vec<Sample> = (0..BATCH)
                .map(|number| {
                    let (noted, unnoted) = &stops[number % stops.len()];
                    if facts == Facts::Noted { noted.clone() } else { unnoted.clone() }
                })
                .collect();
            // Each is known, and so are its mappings, before its time.
            daemon.resolve(samples.clone());
            let before = [cpu(parser), cpu(opener)];
            let (daemon_ns, right) = daemon.with(move |resolver| {
                let thread = rustix::time::ClockId::ThreadCPUTime;
                let now = || {
                    let time = rustix::time::clock_gettime(thread);
                    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap()
                };
                let (mut right, mut spent) = (0, 0);
                for _ in 0..BATCHES {
                    let mut samples = samples.clone();
                    for sample in &mut samples {
                        sample.time = boot();
                    }
                    let start = now();
                    right += resolver.resolve(samples).iter().filter(|answer| answer.is_ok()).count();
                    spent += now() - start;
                }
                (spent, right)
            });
            assert_eq!(right, BATCHES * BATCH);
            let count = (BATCHES * BATCH) as u64;
            let of = |pid, before| (cpu(pid) - before) / count;
            eprintln!(
                "cost per sample, mappings {kind}: daemon {} ns, parser {} ns, opener {} ns",
                daemon_ns / count,
                of(parser, before[0]),
                of(opener, before[1]),
            );
        }
        // Processes that are seen for the first time, whose files are known; and some that have ended.
        let [parser, opener] = daemon.children();
        for (kind, has_ended) in [("new", false), ("ended", true)] {
            let mut samples: Vec<Sample> =
                (0..BATCH as u64).map(|number| sample(stop, 1000 + number, Facts::Noted)).collect();
            for (sample, key) in samples.iter_mut().zip(5000..).filter(|_| has_ended) {
                (sample.process, sample.pid) = (key, None);
            }
            let before = [cpu(parser), cpu(opener)];
            assert!(daemon.resolve(samples).iter().all(Result::is_ok));
            let of = |pid, before| (cpu(pid) - before) / BATCH as u64;
            eprintln!(
                "cost per {kind} process: parser {} ns, opener {} ns",
                of(parser, before[0]),
                of(opener, before[1])
            );
        }
        for (name, pid) in ["parser", "opener"].into_iter().zip(daemon.children()) {
            let [resident, own] = ["VmRSS", "RssAnon"].map(|field| kibibytes(pid, field));
            eprintln!("memory of the {name}: {resident} KiB, {own} KiB of its own");
            assert!(own < 8 << 10, "{own} KiB");
        }
    });
    assert!(is_told);
}
