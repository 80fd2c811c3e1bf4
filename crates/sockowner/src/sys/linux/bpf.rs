//! The owner half without `/proc`: BPF iterators visit every descriptor of the host in one pass, and every process in
//! another.
//!
//! The programs are in `bpf/`; `bpf/*.insns` and `*.data` here are what they compile to.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Mutex, PoisonError};

use sockowner_wire::inet_diag::IPPROTO_MPTCP;
use sockowner_wire::iterator::{HolderFixed, HolderRow, ProcessFixed, ProcessRow};

use super::door::{Door, Pass, Refusal, Wanted};
use super::{Proc, System};
use crate::{Error, ErrorKind};

/// Where root shares iterators.
const SHARED: &[u8] = b"/run/sockowner/bpf";

/// Iterators that show every process of the caller's pid namespace.
#[derive(Debug)]
pub(crate) struct Bpf<D: Door> {
    iterators: D::Iterators,
    /// They show everybody's sockets, not one user's alone.
    pub(super) shows_all: bool,
    /// How they were had.
    pub(super) origin: &'static str,
    /// One pass at a time: what is wanted is told to all of them.
    pass: Mutex<()>,
}

/// Why there are none: every way, and how the kernel refused it.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) Vec<String>);

impl Refused {
    pub(crate) fn to_error(&self) -> Error {
        Error::new(ErrorKind::Unsupported, format!("use the BPF source: {}", self.0.join("; ")))
    }
}

/// What one look at all descriptors gave. It is as old as its pass.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(super) descriptors: Vec<Descriptor>,
    pub(super) processes: BTreeMap<Key, (ProcessFixed, Vec<u8>)>,
    /// Every process that was visited, sorted.
    visited: Vec<u32>,
}

impl Seen {
    /// Those of `pids` that were not visited: too young, or kept from iterators, as some kernels keep their first process.
    pub(super) fn unvisited(&self, pids: &[u32]) -> Vec<u32> {
        pids.iter().copied().filter(|pid| self.visited.binary_search(pid).is_err()).collect()
    }
}

/// A process: its number, and when it started in nanoseconds.
pub(super) type Key = (u32, u64);

/// One descriptor that stands for a socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Descriptor {
    pub(super) inode: u64,
    pub(super) cookie: Option<u64>,
    pub(super) process: Key,
    pub(super) tid: u32,
    pub(super) fd: i32,
}

impl<D: Door> Bpf<D> {
    /// The best that can be had: loaded by the caller, else shared by root.
    pub(crate) fn open(door: &D, proc: &Proc<D>) -> Result<Self, Refused> {
        if !proc.users_are_initial {
            return Err(Refused(vec![
                "this user namespace has other user numbers than the iterators tell".to_owned(),
            ]));
        }
        let opened = |iterators, origin| {
            let shows_all = door.show_all(&iterators);
            let origin = if shows_all { origin } else { "shared by root: the sockets of this user" };
            Ok(Self { iterators, shows_all, origin, pass: Mutex::default() })
        };
        let own = match door.load_iterators() {
            Ok(iterators) => return opened(iterators, "loaded by this process"),
            Err(refusal) => refusal,
        };
        match door.open_shared(SHARED) {
            Ok(iterators) => opened(iterators, "shared by root"),
            Err(shared) => Err(Refused([own, shared].iter().map(Refusal::to_string).collect())),
        }
    }

    /// Looks at every descriptor in every network namespace, and keeps what `is_wanted`.
    pub(super) fn look_abroad(
        &self,
        door: &D,
        is_wanted: impl FnMut(&HolderRow) -> bool,
    ) -> io::Result<Seen> {
        let wanted = Wanted { describes: true, ..Wanted::default() };
        self.look_for(door, Pass::Holders { wanted, pid: None }, is_wanted)
    }

    /// Looks at the descriptors of these processes alone.
    pub(super) fn look_at(&self, door: &D, inodes: &[u64], pids: &[u32]) -> io::Result<Seen> {
        let mut seen = Seen::default();
        let wanted = Wanted { inodes, ..Wanted::default() };
        for &pid in pids {
            self.add_descriptors(door, Pass::Holders { wanted, pid: Some(pid) }, &mut seen, |row| {
                inodes.binary_search(&row.fixed.inode).is_ok()
            })?;
        }
        self.add_processes(door, &mut seen)?;
        Ok(seen)
    }

    /// Processes that live now; where only one user's sockets are shown, those that hold some.
    pub(super) fn living(&self, door: &D, shows_all: bool) -> io::Result<BTreeSet<Key>> {
        let mut living = BTreeSet::new();
        if !shows_all {
            let seen = self.look(door, Wanted::default())?;
            living.extend(seen.descriptors.iter().map(|descriptor| descriptor.process));
        }
        self.records(door, Pass::Processes, |bytes| {
            let (row, rest) = ProcessRow::take(bytes)?;
            living.insert((row.fixed.pid, row.fixed.start));
            Some(rest.len())
        })?;
        Ok(living)
    }

    /// Looks at every descriptor of every process.
    fn look(&self, door: &D, wanted: Wanted<'_>) -> io::Result<Seen> {
        // A pinned iterator shows every network namespace and every state, whatever is wanted.
        self.look_for(door, Pass::Holders { wanted, pid: None }, |HolderRow { fixed, .. }| {
            (wanted.netns == 0 || fixed.netns == wanted.netns)
                && (wanted.inodes.is_empty() || wanted.inodes.binary_search(&fixed.inode).is_ok())
        })
    }

    fn look_for(
        &self,
        door: &D,
        holders: Pass<'_>,
        is_wanted: impl FnMut(&HolderRow) -> bool,
    ) -> io::Result<Seen> {
        let mut seen = Seen::default();
        self.add_descriptors(door, holders, &mut seen, is_wanted)?;
        self.add_processes(door, &mut seen)?;
        Ok(seen)
    }

    fn add_descriptors(
        &self,
        door: &D,
        holders: Pass<'_>,
        seen: &mut Seen,
        mut is_wanted: impl FnMut(&HolderRow) -> bool,
    ) -> io::Result<()> {
        let _pass = self.pass.lock().unwrap_or_else(PoisonError::into_inner);
        self.records(door, holders, |bytes| {
            let (row, rest) = HolderRow::take(bytes)?;
            if is_wanted(&row) {
                seen.descriptors.push(Descriptor::from(&row.fixed));
            }
            Some(rest.len())
        })
    }

    /// Adds the processes that have these descriptors, and the numbers of all.
    fn add_processes(&self, door: &D, seen: &mut Seen) -> io::Result<()> {
        let holders = processes(&seen.descriptors);
        self.records(door, Pass::Processes, |bytes| {
            let (row, rest) = ProcessRow::take(bytes)?;
            let key = (row.fixed.pid, row.fixed.start);
            seen.visited.push(row.fixed.pid);
            if holders.binary_search(&key).is_ok() {
                seen.processes.insert(key, (row.fixed, row.path.to_vec()));
            }
            Some(rest.len())
        })?;
        seen.visited.sort_unstable();
        Ok(())
    }

    /// Reads a pass record by record; `take` returns what is left after the first, or `None` where there is no whole one.
    fn records(
        &self,
        door: &D,
        pass: Pass<'_>,
        mut take: impl FnMut(&[u8]) -> Option<usize>,
    ) -> io::Result<()> {
        let mut pending = Vec::new();
        door.iterate(&self.iterators, pass, &mut |piece| {
            // Nearly every piece ends with a record: it is read where it lies.
            if !pending.is_empty() {
                pending.extend_from_slice(piece);
            }
            let bytes = if pending.is_empty() { piece } else { &pending };
            let mut left = bytes.len();
            while let Some(rest) = take(&bytes[bytes.len() - left..]) {
                left = rest;
            }
            pending = bytes[bytes.len() - left..].to_vec();
        })?;
        if pending.is_empty() {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "an iterator ended within a record"))
    }
}

/// The processes of these descriptors, sorted, each once. A process's descriptors stand together.
pub(super) fn processes(descriptors: &[Descriptor]) -> Vec<Key> {
    let mut processes: Vec<Key> = Vec::new();
    for descriptor in descriptors {
        if processes.last() != Some(&descriptor.process) {
            processes.push(descriptor.process);
        }
    }
    processes.sort_unstable();
    processes.dedup();
    processes
}

impl From<&HolderFixed> for Descriptor {
    fn from(row: &HolderFixed) -> Self {
        Self {
            inode: row.inode,
            // The subflows of an MPTCP socket have its inode number, and cookies of their own.
            cookie: (row.protocol != IPPROTO_MPTCP).then_some(row.cookie),
            process: (row.pid, row.start),
            tid: row.tid,
            fd: row.fd,
        }
    }
}

impl<D: Door> System<D> {
    /// Looks at every descriptor that stands for a socket of the network namespace, `None` for all; `inodes` and `states` as
    /// [`Wanted`] says.
    pub(super) fn look_everywhere(
        &self,
        bpf: &Bpf<D>,
        netns: Option<u64>,
        inodes: &[u64],
        states: u32,
    ) -> io::Result<Seen> {
        let netns = netns.and_then(|netns| u32::try_from(netns).ok()).unwrap_or(0);
        bpf.look(&self.door, Wanted { netns, inodes, states, describes: false })
    }
}
