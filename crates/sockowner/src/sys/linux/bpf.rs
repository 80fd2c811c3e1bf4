//! The owner half without `/proc`: BPF iterators visit every descriptor of the host in one pass, and every process in
//! another.
//!
//! The programs are in `bpf/`; `bpf/*.insns` and `*.data` here are what they compile to. What an iterator tells of a
//! process is used where it is sure to be what proc(5) would tell; for the rest the process is held and read there.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use sockowner_wire::iterator::{HolderRow, IPPROTO_MPTCP, ProcessFixed, ProcessRow};

use super::cgroup::Named;
use super::door::{Door, FileStat, Pass, Refusal, Wanted, device, is_gone, is_refused};
use super::process::{self, DELETED, Frame};
use super::users::Users;
use super::walk::{Found, Hit};
use super::{Proc, System};
use crate::{Error, ErrorKind, Executable, FileId, Gap, Process};

/// Where root shares iterators.
const SHARED: &[u8] = b"/run/sockowner/bpf";
/// `/proc` counts start times in these; the iterators tell nanoseconds.
const NANOSECONDS: u64 = 1_000_000_000;

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
    descriptors: Vec<Descriptor>,
    processes: BTreeMap<Key, (ProcessFixed, Vec<u8>)>,
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
type Key = (u32, u64);

/// One descriptor that stands for a socket.
#[derive(Clone, Copy, Debug)]
struct Descriptor {
    inode: u64,
    cookie: Option<u64>,
    process: Key,
    tid: u32,
    fd: i32,
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
        self.look_for(door, Pass::Holders { wanted: Wanted::default(), pid: None }, is_wanted)
    }

    /// Looks at every descriptor of every process, or of one.
    fn look(&self, door: &D, wanted: Wanted<'_>, pid: Option<u32>) -> io::Result<Seen> {
        // A pinned iterator shows every network namespace, whatever is wanted.
        self.look_for(door, Pass::Holders { wanted, pid }, |row| {
            (wanted.netns == 0 || row.netns == wanted.netns)
                && (wanted.inodes.is_empty() || wanted.inodes.binary_search(&row.inode).is_ok())
        })
    }

    fn look_for(
        &self,
        door: &D,
        holders: Pass<'_>,
        mut is_wanted: impl FnMut(&HolderRow) -> bool,
    ) -> io::Result<Seen> {
        let mut seen = Seen::default();
        let pass = self.pass.lock().unwrap_or_else(PoisonError::into_inner);
        self.records(door, holders, |bytes| {
            let (row, rest) = HolderRow::take(bytes)?;
            if is_wanted(&row) {
                seen.descriptors.push(Descriptor::from(&row));
            }
            Some(rest.len())
        })?;
        drop(pass);
        let holders: BTreeSet<_> = seen.descriptors.iter().map(|descriptor| descriptor.process).collect();
        self.records(door, Pass::Processes, |bytes| {
            let (row, rest) = ProcessRow::take(bytes)?;
            let key = (row.fixed.pid, row.fixed.start);
            seen.visited.push(row.fixed.pid);
            if holders.contains(&key) {
                seen.processes.insert(key, (row.fixed, row.path.to_vec()));
            }
            Some(rest.len())
        })?;
        seen.visited.sort_unstable();
        Ok(seen)
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
            pending.extend_from_slice(piece);
            let mut left = pending.len();
            while let Some(rest) = take(&pending[pending.len() - left..]) {
                left = rest;
            }
            pending.drain(..pending.len() - left);
        })?;
        if pending.is_empty() {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "an iterator ended within a record"))
    }
}

impl From<&HolderRow> for Descriptor {
    fn from(row: &HolderRow) -> Self {
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
    /// Looks at every descriptor of the sockets' network namespace; `inodes` as [`Wanted`] says.
    pub(super) fn look_everywhere(&self, bpf: &Bpf<D>, inodes: &[u64]) -> io::Result<Seen> {
        let netns = self.diag.netns().and_then(|netns| u32::try_from(netns).ok()).unwrap_or(0);
        bpf.look(&self.door, Wanted { netns, inodes }, None)
    }

    /// Who holds the sockets with these inode numbers (sorted), by what was seen.
    pub(super) fn recognise(
        &self,
        proc: &Proc<D>,
        frame: &Frame,
        users: &Users<'_, D>,
        (seen, shows_all): (&mut Seen, bool),
        wanted: &[u64],
        gaps: &mut Vec<Gap>,
    ) -> Found {
        let mut found = Found::default();
        seen.descriptors.retain(|descriptor| wanted.binary_search(&descriptor.inode).is_ok());
        self.one_of_each_table(&mut seen.descriptors);
        let keys: BTreeSet<_> = seen.descriptors.iter().map(|descriptor| descriptor.process).collect();
        let named = self.named(&keys, &seen.processes, gaps);
        let mut maker = Maker { system: self, proc, frame, named: &named, files: BTreeMap::new() };
        let mut processes: BTreeMap<Key, Arc<Process>> = BTreeMap::new();
        for key in keys {
            let (pid, _) = key;
            if pid == 0 {
                continue;
            }
            let made = match seen.processes.get(&key) {
                Some((row, path)) => maker.process(row, path),
                // Where processes are not told they are read.
                None if !shows_all => maker.by_proc(key),
                None => Err(io::ErrorKind::NotFound.into()),
            };
            match made {
                Ok(mut process) => {
                    process.user = process.uid.and_then(|uid| users.name(uid));
                    processes.insert(key, Arc::new(process));
                }
                Err(error) if is_gone(&error) => found.vanished.add(pid),
                Err(error) => found.fail(pid, error),
            }
        }
        let mut last: Option<(Key, &Arc<Process>)> = None;
        for descriptor in &seen.descriptors {
            let (pid, _) = descriptor.process;
            if pid == 0 {
                found.elsewhere.push(descriptor.inode);
                continue;
            }
            if last.is_none_or(|(key, _)| key != descriptor.process) {
                last = processes.get(&descriptor.process).map(|process| (descriptor.process, process));
            }
            if let Some((_, process)) = last {
                found.hits.push(Hit {
                    inode: descriptor.inode,
                    cookie: descriptor.cookie,
                    process: Arc::clone(process),
                    tid: descriptor.tid,
                    fd: descriptor.fd,
                });
            }
        }
        found
    }

    /// Threads that share one table beside the main thread's are visited one by one: keeps one of them.
    fn one_of_each_table(&self, descriptors: &mut Vec<Descriptor>) {
        let is_main = |descriptor: &Descriptor| descriptor.tid == descriptor.process.0;
        if descriptors.iter().all(is_main) {
            return;
        }
        let mut first: BTreeMap<(Key, i32, u64), Vec<u32>> = BTreeMap::new();
        descriptors.retain(|descriptor| {
            if is_main(descriptor) {
                return true;
            }
            let others = first.entry((descriptor.process, descriptor.fd, descriptor.inode)).or_default();
            // Where threads cannot be compared they are taken to share: the process is the same in any case.
            let shares = |&other: &u32| {
                let order = self.door.compare_descriptors(other, descriptor.tid);
                order.map_or(true, std::cmp::Ordering::is_eq)
            };
            let is_new = !others.iter().any(shares);
            if is_new {
                others.push(descriptor.tid);
            }
            is_new
        });
    }

    /// What the cgroups of these processes are called, by id.
    fn named(
        &self,
        keys: &BTreeSet<Key>,
        processes: &BTreeMap<Key, (ProcessFixed, Vec<u8>)>,
        gaps: &mut Vec<Gap>,
    ) -> BTreeMap<u64, Option<Named>> {
        let ids = keys.iter().filter_map(|key| processes.get(key)).map(|(row, _)| row.cgroup).collect();
        let paths = self.cgroups.paths(&self.door, ids, &BTreeSet::new(), gaps);
        paths
            .into_iter()
            .map(|(id, path)| {
                // What is in the root of this hierarchy may be in a unit of systemd's own older one.
                let is_known = path != b"/" || !self.cgroups.has_legacy_units();
                (id, is_known.then(|| Named::from(sockowner_wire::place(&path))))
            })
            .collect()
    }
}

/// Makes processes of rows.
struct Maker<'a, D: Door> {
    system: &'a System<D>,
    proc: &'a Proc<D>,
    frame: &'a Frame,
    named: &'a BTreeMap<u64, Option<Named>>,
    /// What is at a path, from the reader's root.
    files: BTreeMap<Vec<u8>, Option<FileStat>>,
}

impl<D: Door> Maker<'_, D> {
    fn process(&mut self, row: &ProcessFixed, path: &[u8]) -> io::Result<Process> {
        let ticks = ticks(row.start, self.frame.now.ticks_per_second);
        if let Some(process) = self.by_row(row, path, ticks) {
            return Ok(process);
        }
        match self.by_proc((row.pid, row.start)) {
            Ok(mut process) => {
                if process.executable.is_none() {
                    claim_path(&mut process, row, path);
                }
                Ok(process)
            }
            // The reader may not look there: the kernel's word is all there is.
            Err(error) if is_refused(&error) || is_gone(&error) && self.proc.hides_processes => {
                let mut process = self.bare(row, ticks);
                claim_path(&mut process, row, path);
                Ok(process)
            }
            Err(error) => Err(error),
        }
    }

    /// The process as the row tells it; `None` where proc(5) may tell it otherwise, or more.
    fn by_row(&mut self, row: &ProcessFixed, path: &[u8], ticks: u64) -> Option<Process> {
        let is_young = ticks >= self.frame.ticks_now();
        if self.frame.command_lines || is_young || self.named.get(&row.cgroup)?.is_none() {
            return None;
        }
        let mut process = self.bare(row, ticks);
        if !row.is_kernel_thread() {
            let (major, minor) = row.device();
            let file = self.file(path)?;
            if file.device != device(major, minor) || file.inode != row.inode {
                return None;
            }
            let path = PathBuf::from(OsString::from_vec(path.to_vec()));
            path.file_name()?.clone_into(&mut process.name);
            let file = Some(FileId { device: file.device, inode: file.inode });
            process.executable = Some(Executable { path, verified: true, deleted: false, file });
        }
        Some(process)
    }

    /// The process without its executable.
    fn bare(&self, row: &ProcessFixed, ticks: u64) -> Process {
        let comm = OsString::from_vec(row.comm().to_vec());
        let named = self.named.get(&row.cgroup).and_then(Option::as_ref);
        Process {
            pid: row.pid,
            start: self.frame.start_time_of(ticks),
            parent: row.parent,
            name: comm.clone(),
            comm,
            executable: None,
            uid: Some(row.uid),
            user: None,
            service: named.and_then(|named| named.service.clone()),
            container: named.and_then(|named| named.container.clone()),
            command_line: None,
            pidfd_inode: None,
            kernel_thread: row.is_kernel_thread(),
        }
    }

    /// What is at a path, from the reader's root.
    fn file(&mut self, path: &[u8]) -> Option<FileStat> {
        if let Some(file) = self.files.get(path) {
            return *file;
        }
        let file = Some(path).filter(|path| !path.is_empty());
        let file = file.and_then(|path| self.system.door.stat_cached(path).ok());
        self.files.insert(path.to_vec(), file);
        file
    }

    /// The process as proc(5) tells it, if it is still that one.
    fn by_proc(&self, (pid, start): Key) -> io::Result<Process> {
        let door = &self.system.door;
        let dir = door.open_dir(&self.proc.dir, pid.to_string().as_bytes())?;
        let process = process::read(door, &dir, self.frame)?.process;
        let is_same = process.start.ticks == ticks(start, self.frame.now.ticks_per_second);
        if is_same { Ok(process) } else { Err(io::ErrorKind::NotFound.into()) }
    }
}

/// A path that cannot be compared with the file.
fn claim_path(process: &mut Process, row: &ProcessFixed, path: &[u8]) {
    if path.is_empty() || row.is_kernel_thread() {
        return;
    }
    let stripped = path.strip_suffix(DELETED);
    let path = PathBuf::from(OsString::from_vec(stripped.unwrap_or(path).to_vec()));
    if let Some(name) = path.file_name() {
        name.clone_into(&mut process.name);
    }
    process.executable = Some(Executable { path, verified: false, deleted: stripped.is_some(), file: None });
}

/// As field 22 of `/proc/PID/stat` counts.
fn ticks(nanoseconds: u64, per_second: u64) -> u64 {
    nanoseconds / (NANOSECONDS / per_second.max(1)).max(1)
}
