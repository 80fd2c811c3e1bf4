//! Sampling: registers and stack of each call that put a process into a role, so that it can be found out whose code made
//! it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use sockowner_wire::record::ProcessRecord;
use sockowner_wire::sample::{self as wire, Call, Sample, SampleMapping, SiteKey};

use super::call::record::{self, INITIAL_PID_NAMESPACE, Maps};
use super::call::sample::{self, Samples};
use super::record::{Clock, HookState, hook_states, refuse};
use super::record_sampled::{
    CallSample, CallSite, Noted, SampledCall, SampledMapping, SampledMappings, SampledRegisters,
};
use crate::{Error, ErrorKind, Result, RoleKind};

/// For a thousand calls from sites that are not known, or 1,500 of others. With four times as much each of them costs twice
/// as much: what is written is not in the processor's cache any more when it is its turn again.
const ROOM: u32 = 1024 * 1024;
/// What nobody took for so long is thrown away.
const KEPT_FOR: u64 = 10_000_000_000;

/// Samples the calls by which sockets get their binder, listener and acceptor, as long as it is there: nothing of it is left
/// in the kernel when it is dropped, or its process ends in whatever way. A recorder has to be running; when that is
/// stopped, nothing is sampled any more, and when it was started anew, there has to be another sampler.
///
/// A sample holds what was on the calling thread's stack, which may be secret.
#[derive(Debug)]
pub struct Sampler {
    samples: Samples,
    maps: Maps,
    /// The caller's pid namespace; `None` where it cannot be told.
    namespace: Option<u32>,
    clock_offset: i64,
    too_old: u64,
}

impl Sampler {
    /// Samples from now on; and whether that can be done at each place, or why not.
    ///
    /// # Platform
    /// Linux 5.17 and later, on x86-64. Root with `CAP_BPF`, `CAP_PERFMON` and `CAP_NET_ADMIN`. In the kernels whose cgroup
    /// programs cannot look for mappings (6.1), a process that ends at once takes them with it.
    ///
    /// # Errors
    /// Where nothing is recorded, a step is refused, or every place is.
    pub fn attach() -> Result<(Self, Vec<HookState>)> {
        Self::attach_with(ROOM)
    }

    /// As [`attach`](Self::attach), with so many bytes for what was not taken: for tests, beside which others make calls.
    #[doc(hidden)]
    pub fn attach_with(room: u32) -> Result<(Self, Vec<HookState>)> {
        let absent = || Error::new(ErrorKind::NotFound, "sample calls: nothing is recorded");
        let open = |cause| Error::io("open the recorder's tables", cause);
        let started = sample::start(room).map_err(|refusal| refuse("sample calls", refusal))?;
        let (samples, tried) = started.ok_or_else(absent)?;
        let maps = record::open(true).map_err(open)?.ok_or_else(absent)?;
        let mut states = hook_states(tried.hooks);
        if !samples.is_attached() {
            let mut reasons: Vec<_> = states.into_iter().filter_map(|state| state.refused).collect();
            reasons.dedup();
            let why = format!("sample calls: no hook can be had: {}", reasons.join("; "));
            return Err(Error::new(ErrorKind::Unsupported, why));
        }
        states.push(HookState {
            name: "find_vma",
            in_use: Some(tried.without_mappings.is_none()),
            refused: tried.without_mappings,
            lacking: "which library it was, where the process ended before somebody looked; and that it is no other one than at \
                      the call, where one was unloaded and another put in its place, be it for a moment or since",
        });
        let namespace = record::pid_namespace();
        Ok((Self { samples, maps, namespace, clock_offset: Clock::offset(), too_old: 0 }, states))
    }

    /// Calls `each` with at most about `limit` samples that are there, in the order of the calls, and returns how many they
    /// were. None waits for this: it is to be asked again and again. What is older than ten seconds is not told any more.
    /// What `each` is given is overwritten afterwards.
    ///
    /// # Errors
    /// Where a table cannot be read.
    pub fn take(&mut self, limit: usize, mut each: impl FnMut(&CallSample)) -> Result<usize> {
        let Self { samples, maps, namespace, clock_offset, too_old } = self;
        let clock = Clock::read_at(*clock_offset);
        let mut known = Known { maps, namespace: *namespace, clock, pids: BTreeMap::new() };
        let (mut told, mut failed) = (0, None);
        samples.ring.read(limit, |bytes| {
            let Some((event, mappings)) = Sample::read(bytes) else { return false };
            if known.clock.now.saturating_sub(event.time) > KEPT_FOR {
                *too_old += 1;
                return false;
            }
            match known.tell(event, mappings) {
                Ok(None) => {}
                Err(error) => failed = Some(error),
                Ok(Some(mut sample)) => {
                    each(&sample);
                    told += 1;
                    // The listen chose a port, and so bound the socket.
                    if event.binder_when != 0 {
                        sample.role = RoleKind::Binder;
                        sample.when = event.binder_when;
                        each(&sample);
                        told += 1;
                    }
                }
            }
            true
        });
        match failed {
            Some(cause) => Err(Error::io("read who made a sampled call", cause)),
            None => Ok(told),
        }
    }

    /// Overwrites the ring buffer, in which samples that were taken are until it has come round. What comes in meanwhile is
    /// told to `each`, as by [`take`](Self::take). To be called when something was taken, every five seconds or so: it costs
    /// about as much as to write a megabyte.
    ///
    /// # Errors
    /// Where the kernel refuses it, or a table cannot be read.
    pub fn wash(&mut self, mut each: impl FnMut(&CallSample)) -> Result<()> {
        let size = self.samples.ring.size();
        let mut washed = 0;
        // What was not read yet is in the way at most once.
        for _ in 0..2 * (size >> 18) + 4 {
            let wash = self.samples.wash();
            washed += wash.map_err(|cause| Error::io("overwrite samples that were taken", cause))?;
            self.take(usize::MAX, &mut each)?;
            if washed > size {
                break;
            }
        }
        Ok(())
    }

    /// How many calls were to be sampled so far: `taken`, thrown away as [too old](Self::too_old), [lost](Self::lost), or
    /// still there.
    ///
    /// # Errors
    /// Where the kernel refuses to tell.
    pub fn made(&self) -> Result<u64> {
        self.counters().map(|counters| counters.made)
    }

    /// How many were not, as too many had not been taken.
    ///
    /// # Errors
    /// Where the kernel refuses to tell.
    pub fn lost(&self) -> Result<u64> {
        self.counters().map(|counters| counters.lost)
    }

    /// How many were thrown away, as nobody had taken them for ten seconds.
    pub fn too_old(&self) -> u64 {
        self.too_old
    }

    fn counters(&self) -> Result<sockowner_wire::sample::SampleCounters> {
        self.samples.counters().map_err(|cause| Error::io("count the samples", cause))
    }

    /// Says that a call site is known: the next samples from there have no mapping but that of its word. Four are known of a
    /// process and `rip`, and of four thousand such pairs those that it was said of last, or that made calls since.
    ///
    /// # Errors
    /// Where the kernel refuses it, or nobody's stack can have the site.
    pub fn knows(&self, site: &CallSite) -> Result<()> {
        let note = |cause| Error::io("note that a call site is known", cause);
        if site.slot.is_some_and(|slot| slot % 8 != 0) || site.word == 0 {
            return Err(note(io::ErrorKind::InvalidInput.into()));
        }
        let key = SiteKey { process: site.process, ip: site.rip };
        let mut sites = self.samples.known.get(&key).map_err(note)?.unwrap_or_default();
        sites.add(wire::Site::new(site.slot, site.word));
        self.samples.known.set(&key, &sites).map_err(note)
    }

    /// Says that nothing is known any more of what a process calls from this `rip`.
    ///
    /// # Errors
    /// Where the kernel refuses it.
    pub fn forget(&self, process: u64, rip: u64) -> Result<()> {
        let removed = self.samples.known.remove(&SiteKey { process, ip: rip });
        removed.map(drop).map_err(|cause| Error::io("forget a call site", cause))
    }

    /// Puts components into the record, where the role still is that of the sample; and into how many.
    ///
    /// # Errors
    /// Where the kernel refuses it.
    pub fn note(&self, noted: &[Noted]) -> Result<usize> {
        let number = |role| match role {
            RoleKind::Creator => 0,
            RoleKind::Binder => 1,
            RoleKind::Listener => 2,
            RoleKind::Acceptor => 3,
        };
        let noted: Vec<_> = noted
            .iter()
            .map(|noted| sockowner_wire::sample::Noted {
                cookie: noted.cookie,
                process: noted.process,
                when: noted.when,
                role: number(noted.role),
                component: noted.component,
            })
            .collect();
        self.samples.note(&noted).map_err(|cause| Error::io("note whose code made calls", cause))
    }
}

/// What is needed to tell of an event.
struct Known<'a> {
    maps: &'a Maps,
    namespace: Option<u32>,
    clock: Clock,
    /// In the caller's namespace: many calls are one process's.
    pids: BTreeMap<u64, Option<u32>>,
}

impl Known<'_> {
    /// `None` where it is not understood.
    fn tell(&mut self, event: &Sample, mappings: Option<&[SampleMapping]>) -> io::Result<Option<CallSample>> {
        let Some(role) = RoleKind::ALL.get(usize::from(event.role)) else { return Ok(None) };
        let ticks = u128::from(event.start) * u128::from(self.clock.ticks_per_second) / 1_000_000_000;
        let mapping = |mapping: &SampleMapping| {
            Ok(SampledMapping {
                start: mapping.start,
                end: mapping.end,
                offset: mapping.offset,
                device: mapping.device(),
                inode: mapping.inode,
                path: self.path(mapping)?,
                deleted: mapping.deleted != 0,
            })
        };
        let mappings = match mappings {
            None => SampledMappings::Untold,
            Some([of_site]) if event.is_of_known_site() => SampledMappings::OfSite(mapping(of_site)?),
            Some(all) => SampledMappings::All(all.iter().map(mapping).collect::<io::Result<_>>()?),
        };
        Ok(Some(CallSample {
            cookie: event.cookie,
            role: *role,
            call: match event.call() {
                Call::Bind => SampledCall::Bind,
                Call::Connect => SampledCall::Connect,
                Call::Listen => SampledCall::Listen,
                Call::Accept => SampledCall::Accept,
                Call::Accept4 => SampledCall::Accept4,
                _ => SampledCall::Other,
            },
            io_uring: event.is_io_uring(),
            worker: event.is_worker(),
            compat: event.is_compat(),
            time: event.time,
            process: event.process,
            when: event.when,
            initial_pid: event.tgid,
            initial_tid: event.tid,
            pid: self.pid(event)?,
            start: event.start,
            start_ticks: u64::try_from(ticks).unwrap_or(u64::MAX),
            uid: event.uid,
            registers: SampledRegisters { rip: event.ip, rsp: event.sp, rbp: event.bp },
            stack: event.stack().to_vec(),
            mappings,
        }))
    }

    fn path(&self, mapping: &SampleMapping) -> io::Result<Option<PathBuf>> {
        if mapping.path == 0 {
            return Ok(None);
        }
        let file = self.maps.executables.get(&mapping.path)?;
        let file = file.filter(|file| (file.inode, file.device) == (mapping.inode, mapping.device));
        Ok(file.and_then(|file| file.path()).map(|path| OsString::from_vec(path).into()))
    }

    fn pid(&mut self, event: &Sample) -> io::Result<Option<u32>> {
        match self.namespace {
            Some(INITIAL_PID_NAMESPACE) => Ok(Some(event.tgid)),
            None => Ok(None),
            Some(namespace) => {
                if let Some(pid) = self.pids.get(&event.process) {
                    return Ok(*pid);
                }
                let record: Option<ProcessRecord> = self.maps.processes.get(&event.process)?;
                let pid = record.and_then(|record| record.number_in(namespace));
                self.pids.insert(event.process, pid);
                Ok(pid)
            }
        }
    }
}
