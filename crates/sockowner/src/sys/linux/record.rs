//! The recorder: starting, stopping, examining. What it notes is read by [`Reader`].

use std::time::Duration;

use super::call::record::{self, Sizes};
use super::call::share;
use super::door::{Door, Refusal, is_refused};
use super::process::boot_offset;
use super::share::{gid_of, group_name};
use crate::{Error, ErrorKind, Result};

pub use super::record_reader::Reader;
pub use super::record_sample::Sampler;
pub use super::record_sampled::{
    CallSample, CallSite, Noted, SampledCall, SampledMapping, SampledMappings, SampledRegisters,
};
pub use super::record_store::Store;
pub use super::record_tend::{Swept, Tender, tend};

/// Sockets, live and closed, that are kept.
pub(super) const SOCKETS_MAX: u32 = 131_072;
const PROCESSES_MAX: u32 = 20_480;
const EXECUTABLES_MAX: u32 = 1024;

/// A place in the kernel where something is noted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HookState {
    /// As the kernel calls it: `sock_create`, `post_bind4`.
    pub name: &'static str,
    /// It is attached. `None`: the caller may not know.
    pub in_use: Option<bool>,
    /// Why it is not, where it was just tried.
    pub refused: Option<String>,
    /// What is not known without it: `creators and creation times`.
    pub lacking: &'static str,
}

/// What [`start`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Started {
    /// Each hook that was asked for.
    pub hooks: Vec<HookState>,
}

/// What the recorder does, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Each hook that there is.
    pub hooks: Vec<HookState>,
    /// For how long it records.
    pub running_for: Duration,
    /// Calls that were looked at.
    pub events: u64,
    /// That could not be noted, as a table was full or memory short.
    pub dropped: u64,
    /// Sockets that were not noted, as their user held more than a quarter of a table that was half full.
    pub not_recorded: u64,
    /// The same by user, the initial user namespace's numbers.
    pub not_recorded_of: Vec<(u32, u64)>,
    /// Sockets that are held: open, and closed.
    pub sockets: (u64, u64),
    /// How many fit.
    pub capacity: u64,
    /// Processes that are held.
    pub processes: u64,
    /// Components that are held: places in modules that made calls.
    pub components: u64,
    /// Modules that those are in.
    pub modules: u64,
    /// Bytes of the kernel's memory that all this takes.
    pub memory: u64,
    /// Age of the socket that was closed first of those that are held.
    pub oldest_closed: Option<Duration>,
}

/// Records who makes and uses sockets from now on; root and whoever is in `group` can read it. Where it is recorded already,
/// hooks that are missing are tried again, and what was noted stays. `first_use` also notes who first sends or receives on a
/// connection, which costs something at each call that does. It lasts until [`stop`], or the machine's next start, whether
/// or not a process of ours lives; but somebody has to [`tend`] it.
///
/// # Platform
/// Linux 5.17 and later. Mounts a BPF file system at `/run/sockowner/record`, keeps maps and links there, and attaches
/// programs to the root of cgroup v2: needs root with `CAP_BPF`, `CAP_PERFMON`, `CAP_NET_ADMIN` and `CAP_SYS_ADMIN`. No
/// program can refuse a call.
///
/// # Errors
/// Where there is no such group, it is recorded for another one already, a step is refused, or every hook is. Then nothing is
/// recorded that was not before.
pub fn start(group: &str, first_use: bool) -> Result<Started> {
    start_with(group, first_use, SOCKETS_MAX)
}

/// As [`start`], with room for so many sockets: for tests of what happens when it is used up.
#[doc(hidden)]
pub fn start_with(group: &str, first_use: bool, sockets: u32) -> Result<Started> {
    let gid = gid_of("record for", group)?;
    if let Some(other) = record::kept_for().filter(|&other| other != gid) {
        let other = group_name(other)?.unwrap_or_else(|| format!("number {other}"));
        let why = format!(
            "record for the group {group}: it is recorded for the group {other} already; \
             'sockowner record stop' ends that, and forgets what was noted"
        );
        return Err(Error::new(ErrorKind::System, why));
    }
    let now = Clock::read().now;
    let sizes = Sizes { sockets, processes: PROCESSES_MAX, executables: EXECUTABLES_MAX, now };
    let states = record::start(gid, first_use, sizes).map_err(|refusal| refuse("record", refusal))?;
    if states.iter().all(|state| state.refused.is_some()) {
        record::stop().map_err(|refusal| refuse("record", refusal))?;
        let mut reasons: Vec<_> = states.into_iter().filter_map(|state| state.refused).collect();
        reasons.dedup();
        let kind = if share::is_root() { ErrorKind::Unsupported } else { ErrorKind::NotPermitted };
        return Err(Error::new(kind, format!("record: no hook can be had: {}", reasons.join("; "))));
    }
    Ok(Started { hooks: hook_states(states) })
}

/// What became of hooks that were just tried.
pub(super) fn hook_states(tried: Vec<record::Attached>) -> Vec<HookState> {
    let state = |state: record::Attached| HookState {
        name: state.hook.name.to_str().unwrap_or_default(),
        in_use: Some(state.refused.is_none()),
        refused: state.refused,
        lacking: state.hook.lacking,
    };
    tried.into_iter().map(state).collect()
}

/// Detaches every hook and forgets what was noted; false where nothing was recorded.
///
/// # Errors
/// Where a step is refused.
pub fn stop() -> Result<bool> {
    record::stop().map_err(|refusal| refuse("end recording", refusal))
}

/// What the recorder does; `None`: there is none.
///
/// # Platform
/// Root, and whoever is in the group that it was started for. Only root is told which hooks are attached.
///
/// # Errors
/// Where it cannot be examined.
pub fn status() -> Result<Option<Status>> {
    let examine = |cause| Error::io("examine /run/sockowner/record", cause);
    let Some(maps) = record::open(true).map_err(examine)? else { return Ok(None) };
    let clock = Clock::read();
    let mut closed = 0;
    let mut all = 0;
    let mut first = None;
    maps.sockets
        .each(|_, record| {
            all += 1;
            if record.closed != 0 {
                closed += 1;
                first = Some(first.map_or(record.closed, |first: u64| first.min(record.closed)));
            }
        })
        .map_err(examine)?;
    let mut processes = 0;
    maps.processes.each(|_, _| processes += 1).map_err(examine)?;
    let (mut components, mut modules) = (0, 0);
    maps.components.each(|_, _| components += 1).map_err(examine)?;
    maps.modules.each(|_, _| modules += 1).map_err(examine)?;
    let mut not_recorded_of = Vec::new();
    maps.users
        .each(|user, holding| {
            if holding.not_recorded > 0 {
                not_recorded_of.push((*user, holding.not_recorded));
            }
        })
        .map_err(examine)?;
    not_recorded_of.sort_unstable();
    let counters = maps.counters().map_err(examine)?;
    let started = maps.settings.get(&0).map_err(examine)?.map_or(clock.now, |settings| settings.started);
    let hooks = record::attached().into_iter().map(|(hook, open)| HookState {
        name: hook.name.to_str().unwrap_or_default(),
        in_use: open.map_or_else(|error| (!is_refused(&error)).then_some(false), |()| Some(true)),
        refused: None,
        lacking: hook.lacking,
    });
    Ok(Some(Status {
        hooks: hooks.collect(),
        running_for: clock.since(started),
        events: counters.events,
        dropped: counters.dropped,
        not_recorded: counters.refused,
        not_recorded_of,
        sockets: (all - closed, closed),
        capacity: maps.sockets.capacity().map_err(examine)?.into(),
        processes,
        components,
        modules,
        memory: maps.memory(),
        oldest_closed: first.map(|first| clock.since(first)),
    }))
}

pub(super) fn refuse(what: &str, refusal: Refusal) -> Error {
    let Refusal { step, error } = refusal;
    let kind = if is_refused(&error) { ErrorKind::NotPermitted } else { ErrorKind::System };
    Error::io(format!("{what}: {step}"), error).with_kind(kind)
}

/// One reading of both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// Nanoseconds since boot, in the initial time namespace.
    pub(super) now: u64,
    wall: std::time::SystemTime,
    pub(super) ticks_per_second: u64,
}

impl Clock {
    pub(super) fn read() -> Self {
        Self::read_at(Self::offset())
    }

    /// Where the [`offset`](Self::offset) is known already.
    pub(super) fn read_at(offset: i64) -> Self {
        let now = super::call::Kernel.now();
        let shown = u64::try_from(now.since_boot.as_nanos()).unwrap_or(u64::MAX);
        Self {
            now: shown.saturating_add_signed(-offset),
            wall: now.wall,
            ticks_per_second: now.ticks_per_second,
        }
    }

    /// What the caller's time namespace adds to the boot clock, which stays while a process lives.
    pub(super) fn offset() -> i64 {
        // In ticks of a nanosecond.
        boot_offset(&record::clock_offsets(), 1_000_000_000)
    }

    pub(super) fn since(&self, then: u64) -> Duration {
        Duration::from_nanos(self.now.saturating_sub(then))
    }

    /// By the wall clock's present reading.
    pub(super) fn time(&self, then: u64) -> Option<std::time::SystemTime> {
        self.wall.checked_sub(self.since(then))
    }
}
