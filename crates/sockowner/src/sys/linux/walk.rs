//! The owner half: which processes hold these sockets, seen through `/proc/PID/fd` and every thread's own table.

use std::cmp::Ordering;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{self, AtomicUsize};

use super::door::{Door, FileKind, is_exhausted, is_gone, is_refused};
use super::process::{self, Frame};
use super::users::Users;
use crate::{Gap, GapReason, Process};

/// One descriptor that stands for a wanted socket.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    pub(crate) inode: u64,
    /// The socket's number, where the source tells it: inode numbers of 32 bits are used again.
    pub(crate) cookie: Option<u64>,
    pub(crate) process: Arc<Process>,
    pub(crate) tid: u32,
    pub(crate) fd: i32,
}

/// What a walk found, and what it could not look into.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) hits: Vec<Hit>,
    /// Sockets held by a process that has no number in the caller's pid namespace.
    pub(crate) elsewhere: Vec<u64>,
    /// cgroup v2 paths of the holders.
    pub(crate) cgroups: Vec<Vec<u8>>,
    /// Processes whose descriptors the caller may not see.
    pub(crate) refused: Tally,
    /// Threads that could not be compared with their main thread, so that a table of their own was not seen.
    pub(crate) uncompared: Tally,
    /// Processes seen holding a wanted socket that ended before they could be read.
    pub(crate) vanished: Tally,
    /// Processes that executed something new at every try to read them.
    pub(crate) changed: Tally,
    /// Processes that could not be read for another reason.
    pub(crate) failed: Tally,
    /// Descriptors or memory ran out: the search is no search.
    pub(crate) exhausted: Option<io::Error>,
}

/// A count of processes, and one of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) count: u64,
    pub(crate) example: u32,
}

impl Tally {
    pub(crate) fn add(&mut self, pid: u32) {
        self.count += 1;
        self.example = pid;
    }

    fn merge(&mut self, other: Self) {
        if other.count > 0 {
            self.count += other.count;
            self.example = other.example;
        }
    }

    fn gap(self, source: &'static str, file: &str, reason: GapReason) -> Option<Gap> {
        let object = match self.count {
            0 => return None,
            1 => format!("/proc/{}/{file}", self.example),
            _ => format!("/proc/*/{file}"),
        };
        Some(Gap::new(source, object, reason, self.count))
    }
}

impl Found {
    pub(crate) fn merge(&mut self, other: Self) {
        self.hits.extend(other.hits);
        self.elsewhere.extend(other.elsewhere);
        self.cgroups.extend(other.cgroups);
        self.refused.merge(other.refused);
        self.uncompared.merge(other.uncompared);
        self.vanished.merge(other.vanished);
        self.changed.merge(other.changed);
        self.failed.merge(other.failed);
        self.exhausted = self.exhausted.take().or(other.exhausted);
    }

    pub(crate) fn fail(&mut self, pid: u32, error: io::Error) {
        self.failed.add(pid);
        if is_exhausted(&error) {
            self.exhausted = Some(error);
        }
    }

    /// The inodes that somebody was seen holding, sorted.
    pub(crate) fn inodes(&self) -> Vec<u64> {
        let mut inodes: Vec<_> = self.hits.iter().map(|hit| hit.inode).collect();
        inodes.sort_unstable();
        inodes
    }

    /// A holder may be where this walk could not look.
    pub(crate) fn is_blind(&self) -> bool {
        self.refused.count + self.uncompared.count + self.failed.count > 0
    }

    pub(crate) fn gaps(&self) -> impl Iterator<Item = Gap> {
        [
            self.refused.gap("proc", "fd", GapReason::NotPermitted),
            self.uncompared.gap("kcmp", "task", GapReason::NotPermitted),
            self.vanished.gap("proc", "stat", GapReason::Gone),
            self.changed.gap("proc", "exe", GapReason::Changed),
            self.failed.gap("proc", "fd", GapReason::Malformed),
        ]
        .into_iter()
        .flatten()
    }
}

/// Looks for holders of the sockets with these inodes.
#[derive(Debug)]
pub(crate) struct Walk<'a, D: Door> {
    pub(crate) door: &'a D,
    /// `/proc`.
    pub(crate) proc: &'a D::Dir,
    /// Sorted.
    pub(crate) wanted: &'a [u64],
    /// The device of sockfs. A descriptor opened with `O_PATH` on the file of a unix socket is a socket too, with an
    /// inode number of another file system.
    pub(crate) sockfs: u64,
    /// The size of `/proc/PID/fd` is the number of descriptors (Linux 6.2 and later).
    pub(crate) counts_descriptors: bool,
    pub(crate) frame: Frame,
    pub(crate) users: &'a Users<'a, D>,
    pub(crate) threads: usize,
}

/// Where threads cannot be compared, so many are looked into one by one; more would cost too much.
const THREADS_UNCOMPARED: usize = 64;
/// Fewer processes than this are not worth a second thread.
const PIDS_PER_THREAD: usize = 64;

impl<D: Door> Walk<'_, D> {
    /// Looks into these processes.
    pub(crate) fn visit(&self, pids: &[u32]) -> Found {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut found = Found::default();
            while let Some(&pid) = pids.get(next.fetch_add(1, atomic::Ordering::Relaxed)) {
                self.visit_one(pid, &mut found);
            }
            found
        };
        let extra = self.threads.min(pids.len() / PIDS_PER_THREAD).saturating_sub(1);
        if extra == 0 {
            return work();
        }
        std::thread::scope(|scope| {
            // A thread that cannot be had leaves its share to the others.
            let helpers: Vec<_> = (0..extra)
                .filter_map(|_| std::thread::Builder::new().spawn_scoped(scope, work).ok())
                .collect();
            let mut found = work();
            for helper in helpers {
                match helper.join() {
                    Ok(part) => found.merge(part),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            found
        })
    }

    fn visit_one(&self, pid: u32, found: &mut Found) {
        let dir = match self.door.open_dir(self.proc, pid.to_string().as_bytes()) {
            Ok(dir) => dir,
            Err(error) if is_gone(&error) => return,
            Err(error) if is_refused(&error) => return found.refused.add(pid),
            Err(error) => return found.fail(pid, error),
        };
        let mut held = Vec::new();
        match self.descriptors(&dir, pid, &mut held, found) {
            Ok(()) => {}
            // What was seen before the end was true then; whether anybody else has it now is asked again.
            Err(error) if is_gone(&error) => {}
            Err(error) if is_refused(&error) => {
                if self.can_hold(&dir) {
                    found.refused.add(pid);
                }
            }
            Err(error) => found.fail(pid, error),
        }
        if held.is_empty() {
            return;
        }
        match process::read(self.door, &dir, &self.frame) {
            Ok(read) => {
                if read.changed {
                    found.changed.add(pid);
                }
                found.cgroups.extend(read.cgroup);
                let mut process = read.process;
                process.user = process.uid.and_then(|uid| self.users.name(uid));
                let process = Arc::new(process);
                found.hits.extend(held.into_iter().map(|(inode, tid, fd)| Hit {
                    inode,
                    cookie: None,
                    process: Arc::clone(&process),
                    tid,
                    fd,
                }));
            }
            Err(error) if is_gone(&error) => found.vanished.add(pid),
            Err(error) if is_refused(&error) => found.refused.add(pid),
            Err(error) => found.fail(pid, error),
        }
    }

    /// Adds `(inode, tid, fd)` of every wanted socket in the process behind `dir`.
    fn descriptors(
        &self,
        dir: &D::Dir,
        pid: u32,
        held: &mut Vec<(u64, u32, i32)>,
        found: &mut Found,
    ) -> io::Result<()> {
        // One thread more or less while looking is a process that changes while looking.
        let threads = self.door.stat(dir, b"task")?.links.saturating_sub(2);
        let fd_count = self.door.stat(dir, b"fd")?.size;
        let is_empty = self.counts_descriptors && fd_count == 0;
        if is_empty && threads <= 1 {
            return Ok(());
        }
        let mut main_has_ended = false;
        if !is_empty {
            match self.table(dir, b"fd", (pid, pid), held, found) {
                Err(error) if is_gone(&error) => main_has_ended = true,
                other => other?,
            }
        }
        if threads <= 1 {
            return Ok(());
        }
        self.own_tables(dir, pid, is_empty || main_has_ended, held, found)
    }

    /// Looks into the tables of threads that share none of those already seen.
    fn own_tables(
        &self,
        dir: &D::Dir,
        pid: u32,
        main_has_none: bool,
        held: &mut Vec<(u64, u32, i32)>,
        found: &mut Found,
    ) -> io::Result<()> {
        let mut tids = Vec::new();
        let tasks = self.door.open_dir(dir, b"task")?;
        self.door.list(&tasks, &mut |entry| tids.extend(entry.number()))?;
        tids.retain(|&tid| tid != pid);
        // Each stands for one table that was looked into, in the kernel's order of tables.
        let mut seen: Vec<u32> = if main_has_none { Vec::new() } else { vec![pid] };
        let mut alone = 0;
        for tid in tids {
            match self.place(&seen, tid) {
                Ok(Ok(_)) => {}
                Ok(Err(at)) => {
                    self.thread_table(dir, (pid, tid), held, found)?;
                    seen.insert(at, tid);
                }
                // One of the two threads ended, or kcmp is refused or missing. The table is read, shared or not.
                Err(error) => {
                    if !is_gone(&error) {
                        alone += 1;
                        if alone > THREADS_UNCOMPARED {
                            found.uncompared.add(pid);
                            return Ok(());
                        }
                    }
                    let mut also = Vec::new();
                    self.thread_table(dir, (pid, tid), &mut also, found)?;
                    also.retain(|(inode, _, fd)| !held.iter().any(|(i, _, f)| i == inode && f == fd));
                    held.append(&mut also);
                }
            }
        }
        Ok(())
    }

    /// Which of the threads in `seen` shares its table with `tid`, or where in their order it belongs.
    fn place(&self, seen: &[u32], tid: u32) -> io::Result<Result<usize, usize>> {
        let mut failed = None;
        let found = seen.binary_search_by(|&other| {
            self.door.compare_descriptors(other, tid).unwrap_or_else(|error| {
                failed = Some(error);
                // Ends the search.
                Ordering::Equal
            })
        });
        failed.map_or(Ok(found), Err)
    }

    fn thread_table(
        &self,
        dir: &D::Dir,
        (pid, tid): (u32, u32),
        held: &mut Vec<(u64, u32, i32)>,
        found: &mut Found,
    ) -> io::Result<()> {
        match self.table(dir, format!("task/{tid}/fd").as_bytes(), (pid, tid), held, found) {
            Err(error) if is_gone(&error) => Ok(()),
            other => other,
        }
    }

    /// Adds the wanted sockets of one descriptor table.
    fn table(
        &self,
        dir: &D::Dir,
        path: &[u8],
        (pid, tid): (u32, u32),
        held: &mut Vec<(u64, u32, i32)>,
        found: &mut Found,
    ) -> io::Result<()> {
        let table = self.door.open_dir(dir, path)?;
        let mut outcome = Ok(());
        let mut is_whole = true;
        self.door.list(&table, &mut |entry| {
            let Some(fd) = entry.number().and_then(|fd| i32::try_from(fd).ok()) else {
                return;
            };
            if outcome.is_err() {
                return;
            }
            match self.door.stat(&table, entry.name) {
                Ok(stat)
                    if stat.kind == FileKind::Socket
                        && stat.device == self.sockfs
                        && self.wanted.binary_search(&stat.inode).is_ok() =>
                {
                    held.push((stat.inode, tid, fd));
                }
                Ok(_) => {}
                // The descriptor was closed since it was listed.
                Err(error) if is_gone(&error) => {}
                // The directory of another user's process may be listed by root in a sandbox, its links not.
                Err(error) if is_refused(&error) => outcome = Err(error),
                // A broken file system behind one descriptor does not hide the others.
                Err(_) => is_whole = false,
            }
        })?;
        if !is_whole {
            found.failed.add(pid);
        }
        outcome
    }

    /// A process that refuses to be looked into could hold a socket: kernel threads and zombies cannot.
    fn can_hold(&self, dir: &D::Dir) -> bool {
        let mut text = Vec::new();
        if self.door.read_piece(dir, b"stat", &mut text).is_err() {
            return true;
        }
        match sockowner_wire::ProcStat::parse(&text) {
            Ok(stat) => !(stat.is_kernel_thread() || stat.is_zombie() && stat.num_threads <= 1),
            Err(_) => true,
        }
    }
}
