//! The user part: `sockowner record run`, whatever processes it has, while a thousand connections a second are made.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sockowner::os::linux::record;

use super::calls::{Cycle, to_f64};
use super::{Figure, switch};

const PER_SECOND: u32 = 1_000;
/// That many are made together.
const TOGETHER: u32 = 10;
/// Connections before it is measured: the table is never empty where it runs for long.
const BEFORE: u32 = 15_000;
const SECONDS: u32 = 30;
const SECONDS_SHORT: u32 = 2;

/// Process and thread.
type Thread = (u32, u32);

/// What all processes of the program have used.
#[derive(Debug, Default)]
struct Used {
    /// By thread: nanoseconds of a processor, and how often it waited.
    threads: BTreeMap<Thread, (u64, u64)>,
    processes: usize,
    /// Bytes that are resident: what several processes share once, and in each.
    resident: u64,
    each: u64,
}

pub(super) fn measure(is_quick: bool) -> Result<Vec<Figure>> {
    switch::private_run()?;
    let running = switch::Running::start()?;
    let mut cycle = Cycle::listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))?;
    let seconds = if is_quick { SECONDS_SHORT } else { SECONDS };
    for _ in 0..if is_quick { 0 } else { BEFORE } {
        cycle.turn()?;
    }
    thread::sleep(Duration::from_secs(if is_quick { 0 } else { 5 }));
    let before = Used::now(running.pid())?;
    let start = Instant::now();
    for slot in 0..seconds * PER_SECOND / TOGETHER {
        let due = start + Duration::from_secs(1) / (PER_SECOND / TOGETHER) * slot;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        (0..TOGETHER).try_for_each(|_| cycle.turn())?;
    }
    let after = Used::now(running.pid())?;
    let elapsed = start.elapsed().as_secs_f64();
    let status = record::status()?.context("nothing is recorded any more")?;
    let (nanos, waits) = after.since(&before);
    let mut figures = vec![
        ("user connections a second".to_owned(), f64::from(seconds * PER_SECOND) / elapsed),
        ("user seconds".to_owned(), elapsed),
        ("user processes".to_owned(), to_f64(after.processes as u64)),
        ("user percent of a core".to_owned(), to_f64(nanos) / 1e7 / elapsed),
        ("user wake-ups a second".to_owned(), to_f64(waits) / elapsed),
        ("user resident".to_owned(), to_f64(after.resident)),
        ("user resident, shared pages in each".to_owned(), to_f64(after.each)),
        ("user dropped".to_owned(), to_f64(status.dropped)),
        ("user not recorded".to_owned(), to_f64(status.not_recorded)),
        ("user sockets".to_owned(), to_f64(status.sockets.0 + status.sockets.1)),
    ];
    for (name, map) in switch::maps()? {
        figures.push((format!("entry {name}"), to_f64(map.value)));
        figures.push((format!("entries {name}"), to_f64(map.entries)));
        figures.push((format!("memory {name}"), to_f64(map.memory)));
    }
    running.stop()?;
    Ok(figures)
}

impl Used {
    fn now(main: u32) -> Result<Self> {
        let mut used = Self::default();
        for pid in family(main)? {
            match Self::of(pid) {
                Ok(one) => used.add(one),
                // A child that was replaced meanwhile, and has no memory any more.
                Err(error) if pid != main && is_gone(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(used)
    }

    fn of(pid: u32) -> Result<Self> {
        let dir = Path::new("/proc").join(pid.to_string());
        let status = fs::read_to_string(dir.join("status"))?;
        let shared_once = fs::read_to_string(dir.join("smaps_rollup"))?;
        let mut used = Self {
            threads: BTreeMap::new(),
            processes: 1,
            resident: field(&shared_once, "Pss:") * 1024,
            each: field(&status, "VmRSS:") * 1024,
        };
        for task in fs::read_dir(dir.join("task"))? {
            let task = task?.path();
            let tid = task.file_name().and_then(|name| name.to_str()?.parse().ok()).unwrap_or_default();
            let scheduled = fs::read_to_string(task.join("schedstat"))?;
            let nanos = scheduled.split(' ').next().and_then(|number| number.parse().ok());
            let waits = field(&fs::read_to_string(task.join("status"))?, "voluntary_ctxt_switches:");
            used.threads.insert((pid, tid), (nanos.context("read schedstat")?, waits));
        }
        Ok(used)
    }

    fn add(&mut self, other: Self) {
        let Self { threads, processes, resident, each } = other;
        self.threads.extend(threads);
        self.processes += processes;
        self.resident += resident;
        self.each += each;
    }

    /// Of what was there before only what came to it.
    fn since(&self, before: &Self) -> (u64, u64) {
        self.threads.iter().fold((0, 0), |(nanos, waits), (thread, after)| {
            let before = before.threads.get(thread).copied().unwrap_or_default();
            (nanos + after.0.saturating_sub(before.0), waits + after.1.saturating_sub(before.1))
        })
    }
}

/// A process and all that descend from it: every one but the scene, which is the first process of its pid namespace and
/// has no other child.
fn family(main: u32) -> Result<Vec<u32>> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if pid != std::process::id() {
            all.push(pid);
        }
    }
    ensure!(all.contains(&main), "the program has ended");
    Ok(all)
}

fn is_gone(error: &anyhow::Error) -> bool {
    /// `ESRCH`: what a zombie gives for its memory.
    const NO_PROCESS: i32 = 3;
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(NO_PROCESS))
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_begins_later_counts_from_its_beginning() {
        let used = |threads: Vec<(Thread, (u64, u64))>| Used {
            threads: threads.into_iter().collect(),
            ..Used::default()
        };
        let before = used(vec![((1, 1), (100, 10)), ((2, 2), (7, 7))]);
        let after = used(vec![((1, 1), (150, 12)), ((3, 3), (20, 1))]);
        assert_eq!(after.since(&before), (70, 3));
    }

    #[test]
    fn fields_have_their_whole_name() {
        let text = "VmHWM:\t    9 kB\nVmRSS:\t    4 kB\nnonvoluntary_ctxt_switches:\t8\n";
        assert_eq!((field(text, "VmRSS:"), field(text, "voluntary_ctxt_switches:")), (4, 0));
    }
}
