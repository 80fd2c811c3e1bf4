//! From samples to components: what the kernel sampled is taken, resolved, and put into the record.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use sockowner::os::linux::record::{
    CallSample, CallSite, HookState, Noted, SampledCall, SampledMapping, SampledMappings, Sampler, Store,
};

use crate::resolve::{self, Call, Device, Facts, Mapping, Patience, Registers, Resolver, Sample, Unknown};

/// So many samples are resolved together: 1,000 connections a second make 100 in 50 ms.
const TOGETHER: usize = 128;
/// So long after something was taken it is overwritten.
const WASH: Duration = Duration::from_secs(5);
/// So many rounds are made at once, before anything else has its turn.
const ROUNDS: usize = 16;

/// Why calls are not followed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refuses it, or nothing is recorded.
    #[error(transparent)]
    Recorder(#[from] sockowner::Error),
    /// The processes that open and read modules do not begin.
    #[error("start the processes that read modules")]
    Children(#[source] io::Error),
}

type Result<T> = std::result::Result<T, Error>;

/// Finds out whose code made each call, as long as it is there. What is in the record by then stays.
#[derive(Debug)]
pub struct Follower {
    sampler: Sampler,
    resolver: Resolver,
    store: Store,
    counts: Counts,
    /// Since when there are samples in the ring buffer that were taken.
    dirty_since: Option<Instant>,
}

/// What came of all samples so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// What became of those that were asked for.
    pub resolved: resolve::Counts,
    /// Samples that the kernel could not keep, as too many had not been taken.
    pub lost: u64,
    /// Samples that nobody had taken for ten seconds: thrown away unread.
    pub too_old: u64,
    /// Calls whose code cannot be told: those of io_uring's workers and of 32-bit programs, and others than bind, connect,
    /// listen and accept.
    pub not_asked: u64,
    /// Samples from sites that were known, which carry one mapping alone.
    pub known_sites: u64,
    /// Components that there was no room for.
    pub no_room: u64,
    /// Components whose socket was gone by then, or whose role another process's.
    pub too_late: u64,
}

impl Follower {
    /// Follows from now on; and what can be sampled, or why not. `program`, with these arguments and then
    /// `opener` or `parser`, has to call [`opener`](resolve::opener) or [`parser`](resolve::parser).
    ///
    /// # Errors
    /// Where nothing is recorded, nothing can be sampled, or the processes cannot be started.
    pub fn start(program: &Path, arguments: &[&str]) -> Result<(Self, Vec<HookState>)> {
        Self::with(program, arguments, Patience::default(), Sampler::attach)
    }

    /// As [`start`](Self::start), with so many bytes for what was not taken, and this patience: for tests, beside which
    /// others make calls.
    #[doc(hidden)]
    pub fn start_with(
        program: &Path,
        arguments: &[&str],
        room: u32,
        patience: Patience,
    ) -> Result<(Self, Vec<HookState>)> {
        Self::with(program, arguments, patience, || Sampler::attach_with(room))
    }

    fn with(
        program: &Path,
        arguments: &[&str],
        patience: Patience,
        attach: impl FnOnce() -> sockowner::Result<(Sampler, Vec<HookState>)>,
    ) -> Result<(Self, Vec<HookState>)> {
        let store = Store::open()?;
        let resolver = Resolver::start_with(program, arguments, patience).map_err(Error::Children)?;
        // Last: nothing is sampled that nobody takes.
        let (sampler, hooks) = attach()?;
        Ok((Self { sampler, resolver, store, counts: Counts::default(), dirty_since: None }, hooks))
    }

    /// Takes what there is. To be called every 50 ms or so: nothing wakes the caller.
    ///
    /// # Errors
    /// Where the kernel refuses something. What was taken by then may be lost; it can be tried again.
    pub fn step(&mut self) -> Result<()> {
        for _ in 0..ROUNDS {
            if self.round()? < TOGETHER {
                break;
            }
        }
        if self.dirty_since.is_some_and(|since| since.elapsed() >= WASH) {
            self.dirty_since = None;
            self.wash()?;
        }
        Ok(())
    }

    /// What came of it so far.
    ///
    /// # Errors
    /// Where the kernel refuses to tell.
    pub fn counts(&self) -> Result<Counts> {
        let (lost, too_old) = (self.sampler.lost()?, self.sampler.too_old());
        Ok(Counts { resolved: self.resolver.counts().clone(), lost, too_old, ..self.counts.clone() })
    }

    /// Overwrites what was taken: until the ring buffer has come round it is there still.
    fn wash(&mut self) -> Result<()> {
        let mut asked = Vec::new();
        let mut taken = 0;
        self.sampler.wash(|call| {
            taken += 1;
            asked.extend(sample(call).map(|sample| (Asked::from(call), sample)));
        })?;
        self.answer(taken, asked)
    }

    fn round(&mut self) -> Result<usize> {
        let mut asked = Vec::new();
        let taken = self.sampler.take(TOGETHER, |call| {
            asked.extend(sample(call).map(|sample| (Asked::from(call), sample)));
        })?;
        self.answer(taken, asked)?;
        Ok(taken)
    }

    /// Resolves those of the calls that can be asked for.
    fn answer(&mut self, taken: usize, asked: Vec<(Asked, Sample)>) -> Result<()> {
        self.counts.not_asked += (taken - asked.len()) as u64;
        if taken > 0 {
            self.dirty_since.get_or_insert_with(Instant::now);
        }
        if asked.is_empty() {
            return Ok(());
        }
        let (calls, samples): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
        let mut noted = Vec::with_capacity(calls.len());
        for (call, answer) in calls.iter().zip(self.resolver.resolve(samples)) {
            let process = call.noted.process;
            self.counts.known_sites += u64::from(call.of_known_site);
            let resolved = match answer {
                Ok(resolved) => resolved,
                // Why there is none is counted by the resolver. What is known does not help any more.
                Err(Unknown::Changed) => {
                    self.sampler.forget(process, call.rip)?;
                    continue;
                }
                Err(_) => continue,
            };
            match self.store.component(call.uid, &resolved.component)? {
                Some(component) => noted.push(Noted { component, ..call.noted }),
                None => self.counts.no_room += 1,
            }
            if let Some(site) = resolved.site {
                // The next samples from there need not carry all mappings.
                let (slot, word) = (site.slot, site.word);
                self.sampler.knows(&CallSite { process, rip: call.rip, slot, word })?;
            }
        }
        let reached = self.sampler.note(&noted)?;
        self.counts.too_late += noted.len().saturating_sub(reached) as u64;
        Ok(())
    }
}

/// What is kept of a call while it is resolved: none of its secrets, but an address of code.
struct Asked {
    noted: Noted,
    uid: u32,
    rip: u64,
    of_known_site: bool,
}

impl From<&CallSample> for Asked {
    fn from(call: &CallSample) -> Self {
        let CallSample { cookie, role, when, process, uid, .. } = *call;
        let noted = Noted { cookie, role, when, process, component: 0 };
        let of_known_site = matches!(call.mappings, SampledMappings::OfSite(_));
        Self { noted, uid, rip: call.registers.rip, of_known_site }
    }
}

/// `None`: whose code it was cannot be told.
fn sample(call: &CallSample) -> Option<Sample> {
    if call.worker || call.compat {
        return None;
    }
    Some(Sample {
        process: call.process,
        pid: call.pid,
        start_ticks: call.start_ticks,
        uid: call.uid,
        time: call.time,
        call: match call.call {
            SampledCall::Bind => Call::Bind,
            SampledCall::Connect => Call::Connect,
            SampledCall::Listen => Call::Listen,
            SampledCall::Accept => Call::Accept,
            SampledCall::Accept4 => Call::Accept4,
            _ => return None,
        },
        registers: Registers { rip: call.registers.rip, rsp: call.registers.rsp, rbp: call.registers.rbp },
        stack: call.stack.clone(),
        mappings: call.mappings.told().iter().map(mapping).collect(),
        facts: match call.mappings {
            SampledMappings::OfSite(_) => Facts::Site,
            SampledMappings::All(_) => Facts::All,
            _ => Facts::None,
        },
        executable: None,
    })
}

fn mapping(mapping: &SampledMapping) -> Mapping {
    let (major, minor) = mapping.device;
    Mapping {
        start: mapping.start,
        end: mapping.end,
        offset: mapping.offset,
        device: Device { major, minor },
        inode: mapping.inode,
        path: mapping.path.clone(),
        deleted: mapping.deleted,
    }
}
