//! The recorder's sampling programs. Nothing of them is pinned: with the process that has them they end.

use std::io;
use std::os::fd::OwnedFd;

use sockowner_wire::sample::{KnownSites, NOTED_MAX, NoteContext, Noted, SampleCounters, SiteKey};
use zerocopy::IntoBytes;

use super::bpf::run;
use super::record::{Attached, open_kept};
use super::record_load::{self, Hook, MAPS, Object, Skeleton, attach, cgroup, refuse, tracepoint};
use super::record_map::Map;
use crate::sys::linux::door::Refusal;

pub(crate) use super::sample_ring::Ring;

const SAMPLE: Skeleton = (include_bytes!("../bpf/sample.insns"), include_bytes!("../bpf/sample.data"));
const PLAIN: Skeleton =
    (include_bytes!("../bpf/sample_plain.insns"), include_bytes!("../bpf/sample_plain.data"));
const LISTEN: Skeleton =
    (include_bytes!("../bpf/sample_listen.insns"), include_bytes!("../bpf/sample_listen.data"));

const HOOKS: &[Hook] = &[
    cgroup(c"sample_bind4", 12, "which library bound an IPv4 socket expressly"),
    cgroup(c"sample_bind6", 13, "which library bound an IPv6 socket expressly"),
    cgroup(c"sample_connect4", 10, "which library bound an IPv4 socket by connecting it"),
    cgroup(c"sample_connect6", 11, "which library bound an IPv6 socket by connecting it"),
    cgroup(c"sample_accept4", 29, "which library accepted an IPv4 connection"),
    cgroup(c"sample_accept6", 30, "which library accepted an IPv6 connection"),
];

/// Those of `bpf/sampler.h`: the ring buffer, the known call sites, the counters.
const OWN_MAPS: usize = 4;

/// The same with mappings and without, the better first; then what is at the tracepoint.
pub(super) static OBJECTS: [Object; 3] = [
    Object { skeleton: SAMPLE, maps: MAPS + OWN_MAPS, hooks: HOOKS, others: 1, is_first_use: false },
    Object { skeleton: PLAIN, maps: MAPS + OWN_MAPS, hooks: HOOKS, others: 1, is_first_use: false },
    Object {
        skeleton: LISTEN,
        maps: MAPS + OWN_MAPS,
        hooks: &[tracepoint(c"sample_listen", "which library listened")],
        others: 0,
        is_first_use: false,
    },
];

/// `NOTE_WASH` of `bpf/sample.h`, and what one piece takes: `WASHED_BYTES` and a header.
const NOTE_WASH: u32 = u32::MAX;
const WASHED: usize = 4096;

/// The programs at work.
#[derive(Debug)]
pub(crate) struct Samples {
    /// They end with these.
    links: Vec<OwnedFd>,
    note: OwnedFd,
    pub(crate) ring: Ring,
    pub(crate) known: Map<SiteKey, KnownSites>,
    counters: Map<u32, SampleCounters>,
}

/// What came of trying.
#[derive(Debug)]
pub(crate) struct Tried {
    pub(crate) hooks: Vec<Attached>,
    /// Why mappings are not told at the hooks in the cgroups.
    pub(crate) without_mappings: Option<String>,
}

/// Loads and attaches the sampling programs, with a ring buffer of so many bytes; `None` where nothing is recorded.
pub(crate) fn start(room: u32) -> Result<Option<(Samples, Tried)>, Refusal> {
    let kept = open_kept().map_err(|error| refuse("open what is recorded", error))?;
    let Some(mut maps) = kept else { return Ok(None) };
    let [best, plain, listen] = &OBJECTS;
    let (object, loaded, without_mappings) = match record_load::load(best, &maps, &[room]) {
        Ok(loaded) => (best, loaded, None),
        Err(refusal) => {
            // The reason of the better one matters only where the other can be had.
            let loaded = record_load::load(plain, &maps, &[room])?;
            (plain, loaded, Some(refusal.to_string()))
        }
    };
    let missing = || refuse("load the programs", io::ErrorKind::InvalidData.into());
    let mut programs = loaded.programs;
    let note = programs.pop().ok_or_else(missing)?;
    let own: [OwnedFd; OWN_MAPS] = loaded.maps.try_into().map_err(|_| missing())?;
    let again = |map: &OwnedFd| map.try_clone().map_err(|error| refuse("duplicate a descriptor", error));
    for map in &own {
        maps.push(again(map)?);
    }
    let mut links = Vec::new();
    let mut hooks = attach_all(object, Ok(programs), &mut links);
    let listening = record_load::load(listen, &maps, &[]).map(|loaded| loaded.programs);
    hooks.extend(attach_all(listen, listening, &mut links));
    let prepare = |error| refuse("prepare the maps", error);
    let [ring, known, counters, _turns] = own;
    let samples = Samples {
        links,
        note,
        ring: Ring::new(ring).map_err(prepare)?,
        known: Map::new(known).map_err(prepare)?,
        counters: Map::new(counters).map_err(prepare)?,
    };
    Ok(Some((samples, Tried { hooks, without_mappings })))
}

fn attach_all(
    object: &'static Object,
    programs: Result<Vec<OwnedFd>, Refusal>,
    links: &mut Vec<OwnedFd>,
) -> Vec<Attached> {
    let ready = programs.and_then(|programs| Ok((programs, object.root()?)));
    let (programs, root) = match ready {
        Ok(ready) => ready,
        Err(refusal) => {
            let refused = |hook| Attached { hook, refused: Some(refusal.to_string()) };
            return object.hooks.iter().map(refused).collect();
        }
    };
    let attach_one = |(hook, program)| {
        let link = attach(hook, program, root.as_ref());
        let refused =
            link.map(|link| links.push(link)).err().map(|error| refuse("attach", error).to_string());
        Attached { hook, refused }
    };
    object.hooks.iter().zip(&programs).map(attach_one).collect()
}

impl Samples {
    /// Some of them are attached.
    pub(crate) fn is_attached(&self) -> bool {
        !self.links.is_empty()
    }

    pub(crate) fn counters(&self) -> io::Result<SampleCounters> {
        Ok(self.counters.get(&0)?.unwrap_or_default())
    }

    /// Overwrites a part of the ring buffer, as far as it is free, and leaves the rest to be read first; how much of it.
    pub(crate) fn wash(&self) -> io::Result<usize> {
        let mut context = NoteContext { count: NOTE_WASH, ..NoteContext::default() };
        run(&self.note, context.as_mut_bytes())?;
        Ok(usize::try_from(context.done).unwrap_or(0) * WASHED)
    }

    /// Puts components into the records that still are as they were when they were sampled; into how many.
    pub(crate) fn note(&self, noted: &[Noted]) -> io::Result<usize> {
        let mut done = 0;
        for part in noted.chunks(NOTED_MAX) {
            let mut context = NoteContext {
                noted: part.as_ptr().addr() as u64,
                count: u32::try_from(part.len()).map_err(io::Error::other)?,
                done: 0,
            };
            // The program copies the part out of this process's memory, as read(2) would.
            run(&self.note, context.as_mut_bytes())?;
            done += usize::try_from(context.done).unwrap_or(0);
        }
        Ok(done)
    }
}
