//! Looks for the holders of sockets: by the iterators in one pass, or process by process in `/proc`; near first, or
//! everywhere; and once more for what nobody was seen to hold.

use std::collections::BTreeSet;

use super::bpf::{Bpf, Seen};
use super::door::Door;
use super::process::Frame;
use super::subjects::{Subjects, cgroup_ids};
use super::table::states;
use super::users::Users;
use super::walk::{Found, Walk};
use super::{Proc, System};
use crate::sys::{Scope, Search, Sockets};
use crate::{Error, Gap, GapReason, Reach, Result, Source, snapshot};

/// More threads than this do not help: the kernel's locks are shared.
const THREADS_MAX: usize = 4;
/// With fewer files open on the host, a walk takes less time than loading programs does.
const FEW_FILES: u64 = 2000;
/// Up to so many processes an iterator is run for each; for more it is sooner run for all.
const NEAR_MAX: usize = 16;

/// What a search for holders gave.
pub(super) struct Searched {
    pub(super) found: Found,
    pub(super) reach: Reach,
    /// A holder may be where nobody looked.
    pub(super) may_be_hidden: bool,
}

/// Where a search stands.
#[derive(Default)]
struct SoFar {
    found: Found,
    /// Inode numbers of the sockets without a holder, sorted.
    wanted: Vec<u64>,
    /// Processes that were looked into, sorted.
    visited: Vec<u32>,
}

/// What every way of searching needs.
struct Ground<'a, D: Door> {
    proc: &'a Proc<D>,
    frame: Frame,
    users: &'a Users<'a, D>,
    /// Looks into these processes in `/proc` for the sockets with these inode numbers.
    walk: &'a dyn Fn(&[u64], &[u32]) -> Found,
}

impl<D: Door> System<D> {
    /// Lists sockets in order, and looks at all processes meanwhile where that takes one pass.
    ///
    /// What is seen may be older than the list: a socket that was made in between is without a holder, and looked for
    /// again.
    pub(crate) fn survey(&self, scope: &Scope) -> Result<(Sockets, Option<Seen>)> {
        // Loading takes a while: sockets are listed meanwhile. Whether there is anything to load is soon known.
        let can = self.is_bpf_worthwhile() && (self.door.can_load_iterators() || self.bpf().is_ok());
        if !can {
            let mut sockets = self.sockets(scope)?;
            snapshot::sort(&mut sockets.list);
            return Ok((sockets, None));
        }
        std::thread::scope(|threads| {
            let states = states(scope);
            let look =
                move || self.bpf().ok().map(|bpf| self.look_everywhere(bpf, self.diag.netns(), &[], states));
            // Where no thread can be had, one looks after the other.
            let look = std::thread::Builder::new().spawn_scoped(threads, look).ok();
            let others = usize::from(look.is_some());
            let mut sockets = self.sockets_on(scope, self.threads().saturating_sub(others))?;
            snapshot::sort(&mut sockets.list);
            let seen = match look.map(std::thread::ScopedJoinHandle::join) {
                None | Some(Ok(None)) => None,
                // A look that failed is taken again, and tells why.
                Some(Ok(Some(seen))) => seen.ok(),
                Some(Err(panic)) => std::panic::resume_unwind(panic),
            };
            Ok((sockets, seen))
        })
    }

    /// Looks for the holders of every subject that has a file.
    pub(super) fn search(
        &self,
        proc: &Proc<D>,
        subjects: &mut Subjects<'_, D>,
        search: Search,
        seen: Option<Seen>,
        users: &Users<'_, D>,
        gaps: &mut Vec<Gap>,
    ) -> Result<Searched> {
        let frame = self.frame(proc);
        let mut so_far = SoFar { wanted: subjects.wanted(), ..SoFar::default() };
        if so_far.wanted.is_empty() {
            return Ok(Searched { found: so_far.found, reach: Reach::Host, may_be_hidden: false });
        }
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
        let ground = Ground { proc, frame, users, walk: &walk };
        if search == Search::Nearest {
            if let Some(reach) = self.search_near(&ground, subjects, &mut so_far, gaps)? {
                let may_be_hidden = so_far.found.is_blind() || proc.hides_processes;
                return Ok(Searched { found: so_far.found, reach, may_be_hidden });
            }
        }
        let worthwhile = self.worthwhile_bpf();
        let searched = self.search_host(worthwhile, &ground, subjects, so_far, seen, gaps)?;
        if worthwhile.is_some() || !searched.may_be_hidden {
            return Ok(searched);
        }
        // What may not be looked into is worth a program.
        match self.bpf() {
            Ok(bpf) => {
                let anew = SoFar { wanted: subjects.wanted(), ..SoFar::default() };
                self.search_host(Some(bpf), &ground, subjects, anew, None, gaps)
            }
            Err(_) => Ok(searched),
        }
    }

    /// The iterators, but where they would have to be loaded first, and so few files are open that a look into `/proc` is
    /// sooner done.
    fn worthwhile_bpf(&self) -> Option<&Bpf<D>> {
        if self.is_bpf_worthwhile() { self.bpf().ok() } else { None }
    }

    fn is_bpf_worthwhile(&self) -> bool {
        match (self.options.source, self.bpf.get()) {
            (Source::Proc, _) => false,
            (_, Some(bpf)) => bpf.is_ok(),
            (Source::Auto, None) => self.open_files().is_none_or(|files| files >= FEW_FILES),
            (source, None) => source == Source::Bpf,
        }
    }

    /// How many files are open on the host: the first number of `/proc/sys/fs/file-nr`.
    fn open_files(&self) -> Option<u64> {
        let proc = self.proc.as_ref().ok()?;
        let mut text = Vec::new();
        self.door.read_piece(&proc.dir, b"sys/fs/file-nr", &mut text).ok()?;
        std::str::from_utf8(&text).ok()?.split_ascii_whitespace().next()?.parse().ok()
    }

    /// Looks at near processes only; tells how near somebody was seen holding every socket.
    fn search_near(
        &self,
        &Ground { proc, frame, users, walk }: &Ground<'_, D>,
        subjects: &Subjects<'_, D>,
        so_far: &mut SoFar,
        gaps: &mut Vec<Gap>,
    ) -> Result<Option<Reach>> {
        let SoFar { found, wanted, visited } = so_far;
        for reach in [Reach::Cgroup, Reach::User] {
            let mut near = match reach {
                Reach::Cgroup => self.cgroup_members(subjects, gaps),
                // One pass over all is sooner done than a look at each.
                _ if self.worthwhile_bpf().is_some_and(|bpf| bpf.shows_all) => break,
                _ => self.same_user(proc, &self.pids(proc)?, subjects),
            };
            near.retain(|pid| visited.binary_search(pid).is_err());
            match self.look_near(wanted, &near) {
                Some(mut seen) => {
                    found.merge(self.recognise(proc, &frame, users, (&mut seen, true), wanted, gaps));
                }
                None => found.merge(walk(wanted, &near)),
            }
            visited.extend(near);
            visited.sort_unstable();
            retain_open(wanted, found);
            if wanted.is_empty() && found.exhausted.is_none() {
                return Ok(Some(reach));
            }
        }
        Ok(None)
    }

    /// Looks at all processes: with these iterators, in `/proc` where there are none, where they fail, and for what they do
    /// not show.
    fn search_host(
        &self,
        bpf: Option<&Bpf<D>>,
        ground: &Ground<'_, D>,
        subjects: &mut Subjects<'_, D>,
        so_far: SoFar,
        seen: Option<Seen>,
        gaps: &mut Vec<Gap>,
    ) -> Result<Searched> {
        let SoFar { mut found, mut wanted, mut visited } = so_far;
        if let Some(bpf) = bpf {
            // What could not be looked into so far is looked into now.
            found = Found { hits: found.hits, cgroups: found.cgroups, ..Found::default() };
            match self.search_by_iterator(bpf, ground, subjects, &wanted, seen, gaps) {
                Ok(more) => {
                    found.merge(more);
                    if bpf.shows_all {
                        let may_be_hidden = found.is_blind();
                        return Ok(Searched { found, reach: Reach::Host, may_be_hidden });
                    }
                    retain_open(&mut wanted, &found);
                    visited.clear();
                }
                // With this source alone there is no other way.
                Err(error) if self.options.source == Source::Bpf => return Err(error),
                Err(_) => {
                    gaps.push(Gap::new("bpf", "iterators", GapReason::Interrupted, 1));
                    visited.clear();
                }
            }
        }
        self.search_by_walk(ground, subjects, wanted, &visited, &mut found)?;
        let may_be_hidden = found.is_blind() || ground.proc.hides_processes;
        Ok(Searched { found, reach: Reach::Host, may_be_hidden })
    }

    /// Looks at these processes alone, each with an iterator of its own: `None` where these are not loaded yet, where the
    /// kernel cannot (before Linux 6.1), or where it is not worth it.
    fn look_near(&self, wanted: &[u64], pids: &[u32]) -> Option<Seen> {
        let bpf = self.bpf.get()?.as_ref().ok().filter(|bpf| bpf.shows_all && pids.len() <= NEAR_MAX)?;
        bpf.look_at(&self.door, wanted, pids).ok()
    }

    /// Looks at every process through the iterators, and once more for what nobody was seen to hold.
    fn search_by_iterator(
        &self,
        bpf: &Bpf<D>,
        ground: &Ground<'_, D>,
        subjects: &mut Subjects<'_, D>,
        wanted: &[u64],
        seen: Option<Seen>,
        gaps: &mut Vec<Gap>,
    ) -> Result<Found> {
        let Ground { proc, frame, users, walk } = ground;
        let netns = self.diag.netns().filter(|_| subjects.are_of(self.diag.netns()));
        let look = |inodes: &[u64]| {
            self.look_everywhere(bpf, netns, inodes, 0)
                .map_err(|cause| Error::io("look at all descriptors with a BPF iterator", cause))
        };
        let mut seen = seen.map_or_else(|| look(wanted), Ok)?;
        let mut found = self.recognise(proc, frame, users, (&mut seen, bpf.shows_all), wanted, gaps);
        let mut unvisited = Vec::new();
        if bpf.shows_all {
            // Who else has it can be told only of those that were visited.
            unvisited = seen.unvisited(&self.pids(proc)?);
            found.merge(walk(wanted, &unvisited));
        }
        let mut left = wanted.to_vec();
        retain_open(&mut left, &found);
        // What shows one user's sockets says nothing about the others.
        if bpf.shows_all && !left.is_empty() {
            self.look_again(subjects, &left, false);
            let mut left = subjects.still_open(&left);
            if !left.is_empty() {
                let mut seen = look(&left)?;
                let again = self.recognise(proc, frame, users, (&mut seen, bpf.shows_all), &left, gaps);
                retain_open(&mut left, &again);
                found.merge(again);
                let mut born = seen.unvisited(&self.pids(proc)?);
                born.retain(|pid| unvisited.binary_search(pid).is_err());
                let born = walk(&left, &born);
                retain_open(&mut left, &born);
                found.merge(born);
                self.look_again(subjects, &left, false);
            }
        }
        match found.exhausted.take() {
            Some(exhausted) => Err(Error::io("read the processes that hold sockets", exhausted)),
            None => Ok(found),
        }
    }

    /// Looks into every process in `/proc` but those already `visited`, and once more for what nobody was seen to hold.
    fn search_by_walk(
        &self,
        &Ground { proc, walk, .. }: &Ground<'_, D>,
        subjects: &mut Subjects<'_, D>,
        mut wanted: Vec<u64>,
        visited: &[u32],
        found: &mut Found,
    ) -> Result<()> {
        if wanted.is_empty() {
            return Ok(());
        }
        let pids = self.pids(proc)?;
        let rest: Vec<_> = pids.iter().copied().filter(|pid| visited.binary_search(pid).is_err()).collect();
        found.merge(walk(&wanted, &rest));
        retain_open(&mut wanted, found);
        if !wanted.is_empty() {
            let may_be_hidden = found.is_blind() || proc.hides_processes;
            self.look_again(subjects, &wanted, may_be_hidden);
            // A socket may have been handed on behind the search's back: to a process that was born meanwhile, or to one
            // that was looked into before. Where some cannot be looked into, a second look proves nothing.
            let mut again = self.pids(proc)?;
            if may_be_hidden {
                again.retain(|pid| rest.binary_search(pid).is_err());
            }
            let mut wanted = subjects.still_open(&wanted);
            if !wanted.is_empty() {
                let second = walk(&wanted, &again);
                retain_open(&mut wanted, &second);
                found.merge(second);
                self.look_again(subjects, &wanted, may_be_hidden);
            }
        }
        match found.exhausted.take() {
            Some(exhausted) => Err(Error::io("look into the processes in /proc", exhausted)),
            None => Ok(()),
        }
    }

    pub(super) fn threads(&self) -> usize {
        match self.options.threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(THREADS_MAX),
            threads => threads,
        }
    }

    /// Every process the caller can see, sorted.
    pub(super) fn pids(&self, proc: &Proc<D>) -> Result<Vec<u32>> {
        let mut pids = Vec::new();
        // The kernel goes on where a directory was left, so each listing needs a directory of its own.
        let fresh = self.door.open_dir(&proc.dir, b".");
        fresh
            .and_then(|dir| self.door.list(&dir, &mut |entry| pids.extend(entry.number())))
            .map_err(|cause| Error::io("list the processes in /proc", cause))?;
        pids.sort_unstable();
        Ok(pids)
    }

    fn cgroup_members(&self, subjects: &Subjects<'_, D>, gaps: &mut Vec<Gap>) -> Vec<u32> {
        let ids = cgroup_ids(&subjects.sockets);
        let paths = self.cgroups.paths(&self.door, ids, &BTreeSet::new(), gaps);
        let mut members: Vec<_> =
            paths.values().flat_map(|path| self.cgroups.members(&self.door, path, true)).collect();
        members.sort_unstable();
        members.dedup();
        members
    }

    /// The processes whose directory belongs to a socket's user: an order to look in, nothing more.
    fn same_user(&self, proc: &Proc<D>, pids: &[u32], subjects: &Subjects<'_, D>) -> Vec<u32> {
        let uids: BTreeSet<_> = subjects.sockets.iter().filter_map(|socket| socket.uid).collect();
        let is_theirs = |pid: &u32| {
            self.door.stat(&proc.dir, pid.to_string().as_bytes()).is_ok_and(|dir| uids.contains(&dir.uid))
        };
        pids.iter().copied().filter(is_theirs).collect()
    }
}

/// Keeps the inodes that nobody was seen to hold.
fn retain_open(wanted: &mut Vec<u64>, found: &Found) {
    let held = found.inodes();
    wanted.retain(|inode| held.binary_search(inode).is_err());
}
