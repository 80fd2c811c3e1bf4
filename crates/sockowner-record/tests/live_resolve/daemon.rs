//! A resolver on a thread of its own, so that its children are not those of the thread that traces; and its samples.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use sockowner::{Component, ComponentEvidence};
use sockowner_record::resolve::{self, Counts, Patience, Resolved, Resolver, Sample, Unknown};

use super::tracer::Stop;

pub(super) type Answer = Result<Arc<Component>, Unknown>;

type Job = Box<dyn FnOnce(&mut Resolver) + Send>;

#[derive(Debug)]
pub(super) struct Daemon {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// The children answer, however long they wait for a processor.
pub(super) const PATIENT: Patience = Patience {
    start: Duration::from_secs(60),
    opener: Duration::from_secs(30),
    parser: Duration::from_secs(60),
    age: Duration::from_secs(60),
};

impl Daemon {
    pub(super) fn start() -> Self {
        Self::start_with(PATIENT)
    }

    pub(super) fn start_with(patience: Patience) -> Self {
        let (jobs, todo) = channel::<Job>();
        let thread = std::thread::spawn(move || {
            let program = std::env::current_exe().expect("this program");
            let resolver = Resolver::start_with::<&str>(&program, &[], patience);
            let mut resolver = resolver.expect("start the children");
            for job in todo {
                job(&mut resolver);
            }
        });
        Self { jobs: Some(jobs), thread: Some(thread) }
    }

    pub(super) fn with<T: Send + 'static>(&self, job: impl FnOnce(&mut Resolver) -> T + Send + 'static) -> T {
        let (result, wanted) = channel();
        let job: Job = Box::new(move |resolver| {
            let _ = result.send(job(resolver));
        });
        self.jobs.as_ref().unwrap().send(job).expect("the daemon's thread");
        wanted.recv().expect("the daemon's thread")
    }

    pub(super) fn resolve(&self, samples: Vec<Sample>) -> Vec<Answer> {
        self.answers(samples).into_iter().map(|answer| answer.map(|resolved| resolved.component)).collect()
    }

    /// With the sites.
    pub(super) fn answers(&self, samples: Vec<Sample>) -> Vec<Result<Resolved, Unknown>> {
        let count = samples.len();
        let answers = self.with(|resolver| resolver.resolve(samples));
        assert_eq!(answers.len(), count);
        answers
    }

    pub(super) fn one(&self, sample: Sample) -> Answer {
        self.resolve(vec![sample]).remove(0)
    }

    pub(super) fn counts(&self) -> Counts {
        self.with(|resolver| resolver.counts().clone())
    }

    /// Parser and opener.
    pub(super) fn children(&self) -> [u32; 2] {
        self.with(|resolver| resolver.children()).expect("children")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.jobs = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Whether the kernel tells the mappings with a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Facts {
    Noted,
    None,
}

/// What the kernel would have noted at this stop, under this key.
pub(super) fn sample(stop: &Stop, process: u64, facts: Facts) -> Sample {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", stop.pid)).expect("stat of a tracee");
    let behind = stat.rsplit_once(')').unwrap().1;
    let registers = stop.sample.registers;
    let words = stop.sample.stack.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap()));
    let mut mappings = Vec::new();
    for address in std::iter::once(registers.rip).chain(words).filter(|_| facts == Facts::Noted) {
        let held = stop.mappings.iter().find(|mapping| (mapping.start..mapping.end).contains(&address));
        if let Some(mapping) = held.filter(|mapping| mapping.is_file() && !mappings.contains(*mapping))
            && mappings.len() < 8
        {
            mappings.push(mapping.clone());
        }
    }
    Sample {
        process,
        pid: Some(stop.pid),
        start_ticks: behind.split_whitespace().nth(22 - 3).unwrap().parse().unwrap(),
        uid: 0,
        time: boot(),
        call: stop.sample.call,
        registers,
        stack: stop.sample.stack.clone(),
        mappings,
        facts: match facts {
            Facts::Noted => resolve::Facts::All,
            Facts::None => resolve::Facts::None,
        },
        executable: None,
    }
}

/// Nanoseconds since boot.
pub(super) fn boot() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    u64::try_from(time.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap()
}

#[track_caller]
pub(super) fn assert_told(answer: &Answer, path: &Path, evidence: ComponentEvidence) {
    let component =
        answer.as_ref().unwrap_or_else(|unknown| panic!("{} expected: {unknown}", path.display()));
    let told = (component.path.as_deref(), component.evidence);
    assert_eq!(told, (Some(path), evidence), "{component:#?}");
}
