//! From the records of iterators to processes that hold sockets.
//!
//! What a record tells of a process is used where it is sure to be what proc(5) would tell; for the rest the process is held
//! and read there.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;

use sockowner_wire::iterator::ProcessFixed;

use super::bpf::{Descriptor, Key, Seen, processes};
use super::cgroup::Named;
use super::door::{Door, FileStat, device, is_gone, is_refused};
use super::process::{self, DELETED, Frame};
use super::users::Users;
use super::walk::{Found, Hit};
use super::{Proc, System};
use crate::{Executable, FileId, Gap, Process};

/// `/proc` counts start times in fractions of a second; the iterators tell nanoseconds.
const NANOSECONDS: u64 = 1_000_000_000;

impl<D: Door> System<D> {
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
        let keys = processes(&seen.descriptors);
        let named = self.named(&keys, &seen.processes, gaps);
        let mut maker =
            Maker { system: self, proc, frame, named: &named, files: BTreeMap::new(), read: Vec::new() };
        let mut made: BTreeMap<Key, Arc<Process>> = BTreeMap::new();
        for key in keys {
            let (pid, _) = key;
            if pid == 0 {
                continue;
            }
            let process = match seen.processes.get(&key) {
                Some((row, path)) => maker.process(row, path),
                // Where processes are not told they are read.
                None if !shows_all => maker.by_proc(key),
                None => Err(io::ErrorKind::NotFound.into()),
            };
            match process {
                Ok(mut process) => {
                    process.user = process.uid.and_then(|uid| users.name(uid));
                    made.insert(key, Arc::new(process));
                }
                Err(error) if is_gone(&error) => found.vanished.add(pid),
                Err(error) => found.fail(pid, error),
            }
        }
        self.forget_successors(&maker.read, shows_all, &mut made, &mut found);
        let mut last: Option<(Key, &Arc<Process>)> = None;
        for descriptor in &seen.descriptors {
            let (pid, _) = descriptor.process;
            if pid == 0 {
                found.elsewhere.push(descriptor.inode);
                continue;
            }
            if last.is_none_or(|(key, _)| key != descriptor.process) {
                last = made.get(&descriptor.process).map(|process| (descriptor.process, process));
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

    /// What was read in `/proc` is a process's own only while that one lives: within one tick of the clock another may have
    /// got its number, and `/proc` does not tell them apart.
    fn forget_successors(
        &self,
        read: &[Key],
        shows_all: bool,
        made: &mut BTreeMap<Key, Arc<Process>>,
        found: &mut Found,
    ) {
        if read.is_empty() {
            return;
        }
        let living = match self.bpf() {
            Ok(bpf) => bpf.living(&self.door, shows_all),
            Err(_) => Err(io::ErrorKind::Unsupported.into()),
        };
        for key in read {
            let fate = living.as_ref().map(|living| living.contains(key));
            if matches!(fate, Ok(true)) {
                continue;
            }
            made.remove(key);
            match fate {
                Ok(_) => found.vanished.add(key.0),
                // As it came: what ran out must be known as such.
                Err(error) => found.fail(
                    key.0,
                    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error),
                ),
            }
        }
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
        keys: &[Key],
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
    /// Processes that were read in `/proc`.
    read: Vec<Key>,
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
    fn by_proc(&mut self, (pid, start): Key) -> io::Result<Process> {
        let door = &self.system.door;
        let dir = door.open_dir(&self.proc.dir, pid.to_string().as_bytes())?;
        let process = process::read(door, &dir, self.frame)?.process;
        let is_same = process.start.ticks == ticks(start, self.frame.now.ticks_per_second);
        if !is_same {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.read.push((pid, start));
        Ok(process)
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
