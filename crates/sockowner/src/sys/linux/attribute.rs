//! Puts sockets, holders, cgroups and users together, and says why where there is no owner.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use sockowner_wire::place;

use super::cgroup::Named;
use super::door::Door;
use super::process::{self, Frame};
use super::users::Users;
use super::walk::{Found, Hit, Walk};
use super::{Proc, System};
use crate::sys::{Scope, Search};
use crate::{
    Attribution, Candidate, Cgroup, Entry, Error, ErrorKind, Gap, GapReason, Holder, Holders, Reach, Reason,
    Result, Socket,
};

/// Beyond this many, sockets without a holder are looked at again in one listing rather than one by one.
const SINGLY: usize = 64;
/// More threads than this do not help: the kernel's locks are shared.
const THREADS_MAX: usize = 4;

/// A socket while its owner is looked for.
#[derive(Debug)]
struct Subject {
    socket: Socket,
    changed: bool,
    gone: bool,
}

/// What a search for holders gave.
struct Searched {
    found: Found,
    reach: Reach,
}

impl<D: Door> System<D> {
    /// One entry for each socket, in order.
    pub(crate) fn attribute(&self, sockets: Vec<Socket>, search: Search) -> Result<(Vec<Entry>, Vec<Gap>)> {
        let mut subjects: Vec<_> =
            sockets.into_iter().map(|socket| Subject { socket, changed: false, gone: false }).collect();
        let users = Users::new(&self.door);
        let mut gaps = Vec::new();
        let searched = match search {
            Search::Never => None,
            Search::Nearest | Search::Everywhere => {
                let proc = self.proc()?;
                if search == Search::Nearest {
                    self.refresh_each(subjects.iter_mut())?;
                }
                Some((proc, self.search(proc, &mut subjects, search, &users, &mut gaps)?))
            }
        };
        let entries = self.entries(subjects, searched, &users, &mut gaps);
        gaps.extend(users.gaps());
        Ok((entries, gaps))
    }

    fn proc(&self) -> Result<&Proc<D>> {
        self.proc.as_ref().map_err(|why| {
            Error::new(ErrorKind::Unsupported, format!("look for the processes that hold sockets: {why}"))
        })
    }

    fn frame(&self, proc: &Proc<D>) -> Frame {
        Frame {
            now: self.door.now(),
            boot_offset: proc.boot_offset,
            unmapped_uid: proc.unmapped_uid,
            command_lines: self.options.command_lines,
        }
    }

    /// Looks for the holders of every subject that has a file.
    fn search(
        &self,
        proc: &Proc<D>,
        subjects: &mut [Subject],
        search: Search,
        users: &Users<'_, D>,
        gaps: &mut Vec<Gap>,
    ) -> Result<Searched> {
        let frame = self.frame(proc);
        let walk = |wanted: &[u64], pids: &[u32]| {
            let walk = Walk {
                door: &self.door,
                proc: &proc.dir,
                wanted,
                sockfs: proc.sockfs,
                counts_descriptors: proc.counts_descriptors,
                frame,
                users,
                threads: self.threads(),
            };
            walk.visit(pids)
        };
        let mut wanted = wanted(subjects);
        if wanted.is_empty() {
            return Ok(Searched { found: Found::default(), reach: Reach::Host });
        }
        let mut pids = self.pids(proc)?;
        let mut found = Found::default();
        if search == Search::Nearest {
            for reach in [Reach::Cgroup, Reach::User] {
                let near = match reach {
                    Reach::Cgroup => self.cgroup_members(subjects, gaps),
                    _ => self.same_user(proc, &pids, subjects),
                };
                pids.retain(|pid| near.binary_search(pid).is_err());
                found.merge(walk(&wanted, &near));
                retain_open(&mut wanted, &found);
                if wanted.is_empty() && found.exhausted.is_none() {
                    return Ok(Searched { found, reach });
                }
            }
        }
        found.merge(walk(&wanted, &pids));
        retain_open(&mut wanted, &found);
        if !wanted.is_empty() {
            let may_be_hidden = found.is_blind() || proc.hides_processes;
            self.look_again(subjects, &wanted, may_be_hidden)?;
            // A socket may have been handed on behind the search's back: to a process that was born meanwhile, or to one
            // that was looked into before. Where some cannot be looked into, a second look proves nothing.
            let mut again = self.pids(proc)?;
            if may_be_hidden {
                again.retain(|pid| pids.binary_search(pid).is_err());
            }
            let wanted =
                self::wanted(subjects).into_iter().filter(|inode| wanted.binary_search(inode).is_ok());
            let wanted: Vec<_> = wanted.collect();
            if !wanted.is_empty() {
                found.merge(walk(&wanted, &again));
            }
        }
        if let Some(exhausted) = found.exhausted.take() {
            return Err(Error::io("look into the processes in /proc", exhausted));
        }
        Ok(Searched { found, reach: Reach::Host })
    }

    fn threads(&self) -> usize {
        match self.options.threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(THREADS_MAX),
            threads => threads,
        }
    }

    /// Every process the caller can see, sorted.
    fn pids(&self, proc: &Proc<D>) -> Result<Vec<u32>> {
        let mut pids = Vec::new();
        // The kernel goes on where a directory was left, so each listing needs a directory of its own.
        let fresh = self.door.open_dir(&proc.dir, b".");
        fresh
            .and_then(|dir| self.door.list(&dir, &mut |entry| pids.extend(entry.number())))
            .map_err(|cause| Error::io("list the processes in /proc", cause))?;
        pids.sort_unstable();
        Ok(pids)
    }

    fn cgroup_members(&self, subjects: &[Subject], gaps: &mut Vec<Gap>) -> Vec<u32> {
        let ids = cgroup_ids(subjects);
        let paths = self.cgroups.paths(&self.door, ids, &BTreeSet::new(), gaps);
        let mut members: Vec<_> =
            paths.values().flat_map(|path| self.cgroups.members(&self.door, path, true)).collect();
        members.sort_unstable();
        members.dedup();
        members
    }

    /// The processes whose directory belongs to a socket's user: an order to look in, nothing more.
    fn same_user(&self, proc: &Proc<D>, pids: &[u32], subjects: &[Subject]) -> Vec<u32> {
        let uids: BTreeSet<_> = subjects.iter().filter_map(|subject| subject.socket.uid).collect();
        let is_theirs = |pid: &u32| {
            self.door.stat(&proc.dir, pid.to_string().as_bytes()).is_ok_and(|dir| uids.contains(&dir.uid))
        };
        pids.iter().copied().filter(is_theirs).collect()
    }

    /// Looks once more at sockets that nobody was seen to hold: they may be gone, or in another state.
    fn look_again(&self, subjects: &mut [Subject], unheld: &[u64], may_be_hidden: bool) -> Result<()> {
        let is_unheld = |subject: &&mut Subject| unheld.binary_search(&subject.socket.inode).is_ok();
        let mut open: Vec<_> = subjects.iter_mut().filter(is_unheld).collect();
        if open.len() <= SINGLY {
            return self.refresh_each(open.into_iter());
        }
        if may_be_hidden {
            // Most of them are other users': what they are now does not change the answer.
            return Ok(());
        }
        let tables: BTreeSet<_> = open
            .iter()
            .map(|subject| (subject.socket.endpoint.protocol, subject.socket.endpoint.family))
            .collect();
        let now = self.sockets(&Scope { tables: tables.into_iter().collect(), ..Scope::default() })?;
        let now: BTreeMap<_, _> =
            now.list.into_iter().map(|socket| ((socket.endpoint.protocol, socket.cookie), socket)).collect();
        for subject in &mut open {
            let key = (subject.socket.endpoint.protocol, subject.socket.cookie);
            subject.become_now(now.get(&key).cloned());
        }
        Ok(())
    }

    fn refresh_each<'a>(&self, subjects: impl Iterator<Item = &'a mut Subject>) -> Result<()> {
        for subject in subjects {
            let now = self
                .refresh(&subject.socket)
                .map_err(|error| error.context(format!("look up {}", subject.socket.endpoint)))?;
            subject.become_now(now);
        }
        Ok(())
    }

    fn entries(
        &self,
        subjects: Vec<Subject>,
        searched: Option<(&Proc<D>, Searched)>,
        users: &Users<'_, D>,
        gaps: &mut Vec<Gap>,
    ) -> Vec<Entry> {
        let (proc, searched) = searched.unzip();
        let mut hints = BTreeSet::new();
        let mut reach = Reach::Host;
        let mut reason = None;
        let mut hits = Vec::new();
        if let (Some(proc), Some(searched)) = (proc, searched) {
            gaps.extend(searched.found.gaps());
            if proc.hides_processes {
                gaps.push(Gap::new("proc", "/proc (hidepid)", GapReason::NotPermitted, 1));
            }
            let may_be_hidden = searched.found.is_blind() || proc.hides_processes;
            reason = Some(if may_be_hidden { Reason::NotPermitted } else { Reason::NoVisibleHolder });
            reach = searched.reach;
            hints.extend(searched.found.cgroups);
            hits = searched.found.hits;
            hits.sort_by_key(|hit| hit.inode);
        }
        let ids = cgroup_ids(&subjects);
        let paths = self.cgroups.paths(&self.door, ids, &hints, gaps);
        let cgroups: BTreeMap<_, _> = paths.into_iter().map(|(id, path)| (id, Place::new(&path))).collect();
        let mut candidates = Candidates { system: self, proc, known: BTreeMap::new() };
        let to_entry = |subject: Subject| {
            let Subject { socket, changed, gone } = subject;
            let held = Holders::new(holders(&hits, socket.inode), reach);
            let attribution = match (held, reason) {
                (Some(holders), _) => Attribution::Held(holders),
                (None, None) => Attribution::NotAsked,
                (None, Some(_)) if gone => Attribution::Unattributed(Reason::Gone),
                (None, Some(_)) if socket.inode == 0 => Attribution::Unattributed(Reason::NoHolder),
                (None, Some(reason)) => Attribution::Unattributed(reason),
            };
            let place = socket.cgroup.and_then(|id| cgroups.get(&id));
            let named = place.map(|place| place.named.clone()).unwrap_or_default();
            let candidates = match (&attribution, socket.cgroup, place) {
                (Attribution::Unattributed(_), Some(id), Some(place)) => candidates.of(id, &place.path),
                _ => Arc::default(),
            };
            Entry {
                user: socket.uid.and_then(|uid| users.name(uid)),
                cgroup: socket
                    .cgroup
                    .map(|id| Cgroup { id, path: place.map(|place| Arc::clone(&place.path)) }),
                service: named.service,
                container: named.container,
                attribution,
                candidates,
                matched: None,
                changed,
                socket,
            }
        };
        subjects.into_iter().map(to_entry).collect()
    }
}

impl Subject {
    /// A file stands for it that somebody could hold.
    fn is_open(&self) -> bool {
        self.socket.inode != 0 && !self.gone
    }

    fn become_now(&mut self, now: Option<Socket>) {
        match now {
            Some(now) => {
                self.changed |= now.endpoint != self.socket.endpoint || now.inode != self.socket.inode;
                self.socket = now;
            }
            None => self.gone = true,
        }
    }
}

fn wanted(subjects: &[Subject]) -> Vec<u64> {
    let mut wanted: Vec<_> =
        subjects.iter().filter(|subject| subject.is_open()).map(|subject| subject.socket.inode).collect();
    wanted.sort_unstable();
    wanted.dedup();
    wanted
}

/// Keeps the inodes that nobody was seen to hold.
fn retain_open(wanted: &mut Vec<u64>, found: &Found) {
    let held = found.inodes();
    wanted.retain(|inode| held.binary_search(inode).is_err());
}

fn cgroup_ids(subjects: &[Subject]) -> BTreeSet<u64> {
    subjects.iter().filter_map(|subject| subject.socket.cgroup).collect()
}

/// The descriptors that stand for `inode`, of `hits` sorted by inode.
fn holders(hits: &[Hit], inode: u64) -> Vec<Holder> {
    // Sockets without a file share the number 0, which nobody holds.
    let start = hits.partition_point(|hit| hit.inode < inode);
    let same = hits[start..].iter().take_while(|hit| hit.inode == inode);
    same.map(|hit| Holder { process: Arc::clone(&hit.process), tid: hit.tid, fd: hit.fd }).collect()
}

/// What a cgroup is called, made once for all its sockets.
struct Place {
    path: Arc<Path>,
    named: Named,
}

impl Place {
    fn new(path: &[u8]) -> Self {
        let named = Named::from(place(path));
        Self { path: Path::new(OsStr::from_bytes(path)).into(), named }
    }
}

/// The members of cgroups, each cgroup read once.
struct Candidates<'a, D: Door> {
    system: &'a System<D>,
    proc: Option<&'a Proc<D>>,
    known: BTreeMap<u64, Arc<[Candidate]>>,
}

impl<D: Door> Candidates<'_, D> {
    fn of(&mut self, id: u64, path: &Path) -> Arc<[Candidate]> {
        if let Some(known) = self.known.get(&id) {
            return Arc::clone(known);
        }
        let members: Arc<[Candidate]> = self.read(path.as_os_str().as_bytes()).into();
        self.known.insert(id, Arc::clone(&members));
        members
    }

    fn read(&self, path: &[u8]) -> Vec<Candidate> {
        let Some(proc) = self.proc else { return Vec::new() };
        let door = &self.system.door;
        let frame = self.system.frame(proc);
        let members = self.system.cgroups.members(door, path, false);
        members
            .into_iter()
            .filter_map(|pid| {
                // A member that ended is no candidate.
                let dir = door.open_dir(&proc.dir, pid.to_string().as_bytes()).ok()?;
                let process = process::read_public(door, &dir, &frame).ok()?;
                Some(Candidate { process: Arc::new(process) })
            })
            .collect()
    }
}
