//! Tending the recorder's tables: the kernel adds, and this removes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use sockowner_wire::record::{Holding, NO_USER, Party};

use super::call::record::{self, Maps};
use super::record::{Clock, SOCKETS_MAX};
use crate::{Error, Result};

/// For so long a closed socket is kept, if there is room.
const CLOSED_FOR: u64 = 600 * SECOND;
/// A process that no socket names is kept for so long after it was last noted: a socket may be about to.
const PROCESS_FOR: u64 = 60 * SECOND;
const SECOND: u64 = 1_000_000_000;

/// What [`tend`] removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept {
    /// Closed sockets.
    pub sockets: u64,
    /// Processes that no socket names any more.
    pub processes: u64,
    /// Paths that no process names any more.
    pub executables: u64,
}

/// Removes what is too old: sockets that were closed ten minutes ago, or before half as many others as the table holds;
/// where it is soon half full, the oldest closed ones of users that will soon hold a quarter of it; and processes and
/// executables that nothing names any more, and users who hold nothing. To be called every half minute or so, and when it
/// [fills](Tender::is_filling); by one process at a time.
///
/// # Platform
/// Root, as [`start`](super::record::start).
///
/// # Errors
/// Where nothing is recorded, or a table cannot be read or changed.
pub fn tend() -> Result<Swept> {
    Tender::open()?.tend()
}

/// Who removes what is too old from one recorder's tables.
#[derive(Debug)]
pub struct Tender {
    maps: Maps,
}

impl Tender {
    /// Opens the tables.
    ///
    /// # Platform
    /// Root, as [`start`](super::record::start).
    ///
    /// # Errors
    /// Where nothing is recorded, or a table cannot be opened.
    pub fn open() -> Result<Self> {
        let tend = |cause| Error::io(WHAT, cause);
        let maps = record::open(false).map_err(tend)?.ok_or_else(|| tend(io::ErrorKind::NotFound.into()))?;
        Ok(Self { maps })
    }

    /// The table of sockets is soon half full, so that users with a large share of it would be refused: [`tend`](Self::tend)
    /// is due. Three system calls.
    ///
    /// # Errors
    /// Where a table cannot be read.
    pub fn is_filling(&self) -> Result<bool> {
        let read = || {
            let all = self.maps.total.get(&0)?.unwrap_or_default().sockets;
            let less = self.maps.total_removed.get(&0)?.unwrap_or_default().sockets;
            Ok(all.saturating_sub(less) > capacity(&self.maps)? / 32 * 15)
        };
        read().map_err(|cause| Error::io(WHAT, cause))
    }

    /// As [`tend`].
    ///
    /// # Errors
    /// Where a table cannot be read or changed.
    pub fn tend(&self) -> Result<Swept> {
        sweep(&self.maps, Clock::read().now).map_err(|cause| Error::io(WHAT, cause))
    }
}

const WHAT: &str = "tend the recorder's tables";

/// How many sockets fit.
fn capacity(maps: &Maps) -> io::Result<u64> {
    Ok(maps.settings.get(&0)?.map_or(SOCKETS_MAX, |settings| settings.sockets).into())
}

/// What is known of the sockets after one look.
#[derive(Default)]
struct Looked {
    /// When it was closed, its cookie, whom it is charged to.
    closed: Vec<(u64, u64, u32)>,
    /// How many are charged to each user.
    held: BTreeMap<u32, u64>,
    all: u64,
    /// Named by them, in order.
    processes: Vec<u64>,
}

fn sweep(maps: &Maps, now: u64) -> io::Result<Swept> {
    let mut looked = Looked::default();
    maps.sockets.each(|cookie, record| {
        looked.all += 1;
        *looked.held.entry(record.charged).or_default() += 1;
        if record.closed != 0 {
            looked.closed.push((record.closed, *cookie, record.charged));
        }
        for Party { process, .. } in record.parties() {
            // Most are the last one's.
            if process != 0 && !looked.processes.iter().rev().take(4).any(|last| *last == process) {
                looked.processes.push(process);
            }
        }
    })?;
    looked.closed.sort_unstable();
    looked.processes.sort_unstable();
    looked.processes.dedup();
    let mut removed = Removed::default();
    let whole = sweep_sockets(maps, &mut looked, now, &mut removed)
        .and_then(|()| sweep_processes(maps, &looked.processes, now, &mut removed));
    // What is gone is noted, whatever failed behind it.
    let swept = removed.note(maps);
    sweep_users(maps)?;
    whole.and(swept)
}

fn sweep_sockets(maps: &Maps, looked: &mut Looked, now: u64, removed: &mut Removed) -> io::Result<()> {
    for (cookie, user) in too_old(looked, capacity(maps)?, now) {
        if maps.sockets.remove(&cookie)? {
            removed.add(user, |holding| &mut holding.sockets);
        }
    }
    Ok(())
}

/// Makes room for other users. What a program charges to one in just this moment may be charged to nobody: he has room for as
/// many more than his share.
fn sweep_users(maps: &Maps) -> io::Result<()> {
    let (mut users, mut removed) = (BTreeMap::new(), BTreeMap::new());
    maps.users.each(|user, holding| {
        users.insert(*user, *holding);
    })?;
    maps.users_removed.each(|user, holding| {
        removed.insert(*user, *holding);
    })?;
    for user in idle(&users, &removed) {
        if maps.users.get(&user)? != users.get(&user).copied() {
            continue;
        }
        // In this order: who comes back meanwhile has held less than nothing, which the programs take for nothing.
        maps.users.remove(&user)?;
        maps.users_removed.remove(&user)?;
    }
    Ok(())
}

/// Users who hold nothing, and of whom there is nothing to tell. None while something is held by users for whom there was no
/// room: it is to be taken off what they hold together, though there be room for each now.
fn idle(users: &BTreeMap<u32, Holding>, removed: &BTreeMap<u32, Holding>) -> Vec<u32> {
    let holds_nothing = |user: &u32, all: &Holding| {
        let less = removed.get(user).copied().unwrap_or_default();
        all.sockets <= less.sockets && all.processes <= less.processes && all.executables <= less.executables
    };
    if users.get(&NO_USER).is_some_and(|others| !holds_nothing(&NO_USER, others)) {
        return Vec::new();
    }
    let is_idle = |(user, all): &(&u32, &Holding)| {
        **user != NO_USER && all.not_recorded == 0 && holds_nothing(user, all)
    };
    users.iter().filter(is_idle).map(|(user, _)| *user).collect()
}

/// Which closed sockets are to go.
fn too_old(looked: &mut Looked, capacity: u64, now: u64) -> Vec<(u64, u32)> {
    let newer_than = now.saturating_sub(CLOSED_FOR);
    let surplus = looked.closed.len().saturating_sub(usize::try_from(capacity / 2).unwrap_or(usize::MAX));
    // Some time before it is half full, and well below that: so it is not soon half full again.
    let least = if looked.all > capacity / 8 * 3 { capacity / 16 * 5 } else { u64::MAX };
    let mut gone = Vec::new();
    for (index, (closed, cookie, user)) in looked.closed.iter().enumerate() {
        let held = looked.held.entry(*user).or_default();
        let is_over_its_share = looked.all > least && *held > capacity / 16 * 3;
        if *closed < newer_than || index < surplus || is_over_its_share {
            *held = held.saturating_sub(1);
            looked.all -= 1;
            gone.push((*cookie, *user));
        }
    }
    gone
}

fn sweep_processes(maps: &Maps, named: &[u64], now: u64, removed: &mut Removed) -> io::Result<()> {
    let before = now.saturating_sub(PROCESS_FOR);
    let mut unnamed = Vec::new();
    let mut paths = BTreeSet::new();
    maps.processes.each(|key, record| {
        if record.seen < before && named.binary_search(key).is_err() {
            unnamed.push(*key);
        } else {
            paths.insert(record.path);
        }
    })?;
    for key in unnamed {
        let Some(record) = maps.processes.take(&key)? else { continue };
        if record.seen < before {
            removed.add(record.charged, |holding| &mut holding.processes);
        } else {
            // It was noted meanwhile.
            paths.insert(record.path);
            maps.processes.set(&key, &record)?;
        }
    }
    let mut unnamed = Vec::new();
    // Those of samples are named by no process.
    let is_old = |seen: u32| u64::from(seen) * SECOND < before;
    maps.executables.each(|key, record| {
        if !paths.contains(key) && is_old(record.seen) {
            unnamed.push((*key, record.charged));
        }
    })?;
    if unnamed.is_empty() {
        return Ok(());
    }
    // A process that was noted since.
    maps.processes.each(|_, record| {
        paths.insert(record.path);
    })?;
    for (key, user) in unnamed {
        let is_seen = maps.executables.get(&key)?.is_some_and(|record| !is_old(record.seen));
        if !paths.contains(&key) && !is_seen && maps.executables.remove(&key)? {
            removed.add(user, |holding| &mut holding.executables);
        }
    }
    Ok(())
}

/// Counts of what was removed, by user.
#[derive(Default)]
struct Removed(BTreeMap<u32, Holding>);

impl Removed {
    fn add(&mut self, user: u32, field: impl FnOnce(&mut Holding) -> &mut u64) {
        *field(self.0.entry(user).or_default()) += 1;
    }

    /// Adds them to those of former times: the kernel takes them off what it added.
    fn note(self, maps: &Maps) -> io::Result<Swept> {
        let sum = self.0.values().copied().fold(Holding::default(), plus);
        // First of all: by this the programs know how full the tables are.
        let before = maps.total_removed.get(&0)?.unwrap_or_default();
        maps.total_removed.set(&0, &plus(before, sum))?;
        let mut noted = Ok(());
        for (user, holding) in self.0 {
            // One that fails is no reason to leave out the others.
            noted = note_of(maps, user, holding).and(noted);
        }
        noted.map(|()| Swept { sockets: sum.sockets, processes: sum.processes, executables: sum.executables })
    }
}

/// Takes it off what a user holds, and what is more than that off what those hold together for whom there was no room: before
/// he had an entry he was one of them.
fn note_of(maps: &Maps, user: u32, holding: Holding) -> io::Result<()> {
    let before = maps.users_removed.get(&user)?.unwrap_or_default();
    let held = maps.users.get(&user)?.unwrap_or_default();
    let (own, others) = parted(holding, minus(held, before));
    for (user, holding) in [(user, own), (NO_USER, others)] {
        if holding != Holding::default() {
            let before = maps.users_removed.get(&user)?.unwrap_or_default();
            maps.users_removed.set(&user, &plus(before, holding))?;
        }
    }
    Ok(())
}

/// As much as there is, and the rest.
fn parted(wanted: Holding, there: Holding) -> (Holding, Holding) {
    let own = Holding {
        sockets: wanted.sockets.min(there.sockets),
        processes: wanted.processes.min(there.processes),
        executables: wanted.executables.min(there.executables),
        not_recorded: 0,
    };
    (own, minus(wanted, own))
}

fn minus(one: Holding, other: Holding) -> Holding {
    Holding {
        sockets: one.sockets.saturating_sub(other.sockets),
        processes: one.processes.saturating_sub(other.processes),
        executables: one.executables.saturating_sub(other.executables),
        not_recorded: 0,
    }
}

fn plus(one: Holding, other: Holding) -> Holding {
    Holding {
        sockets: one.sockets + other.sockets,
        processes: one.processes + other.processes,
        executables: one.executables + other.executables,
        not_recorded: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked(closed: &[(u64, u64, u32)], open: &[(u32, u64)]) -> Looked {
        let mut looked = Looked { closed: closed.to_vec(), ..Looked::default() };
        for (user, count) in open.iter().copied().chain(closed.iter().map(|(_, _, user)| (*user, 1))) {
            looked.all += count;
            *looked.held.entry(user).or_default() += count;
        }
        looked
    }

    fn holding(counts: [u64; 4]) -> Holding {
        let [sockets, processes, executables, not_recorded] = counts;
        Holding { sockets, processes, executables, not_recorded }
    }

    #[test]
    fn more_than_a_user_holds_was_held_by_those_without_room() {
        let (own, others) = parted(holding([5, 1, 0, 0]), holding([3, 4, 0, 9]));
        assert_eq!((own, others), (holding([3, 1, 0, 0]), holding([2, 0, 0, 0])));
        let overdrawn = minus(holding([1, 0, 0, 0]), holding([2, 0, 0, 0]));
        assert_eq!(parted(holding([1; 4]), overdrawn), (holding([0; 4]), holding([1, 1, 1, 0])));
    }

    #[test]
    fn users_who_hold_nothing_make_room() {
        let held = [
            (1, [9, 2, 1, 0], [9, 2, 1, 0]),
            (2, [9, 2, 1, 0], [8, 2, 1, 0]),
            (3, [9, 2, 1, 0], [9, 1, 1, 0]),
            (4, [9, 2, 1, 0], [9, 2, 0, 0]),
            // He is told of.
            (5, [9, 2, 1, 1], [9, 2, 1, 0]),
            (6, [0; 4], [0; 4]),
            // Something was charged to nobody.
            (7, [9, 2, 1, 0], [10, 2, 1, 0]),
        ];
        let mut users: BTreeMap<_, _> = held.iter().map(|(user, all, _)| (*user, holding(*all))).collect();
        let mut removed: BTreeMap<_, _> =
            held.iter().map(|(user, _, less)| (*user, holding(*less))).collect();
        removed.remove(&6);
        assert_eq!(idle(&users, &removed), [1, 6, 7]);
        users.insert(NO_USER, holding([3, 0, 0, 0]));
        assert_eq!(idle(&users, &removed), []);
        removed.insert(NO_USER, holding([3, 0, 0, 0]));
        assert_eq!(idle(&users, &removed), [1, 6, 7]);
    }

    #[test]
    fn what_was_closed_long_ago_goes() {
        let now = 2 * CLOSED_FOR;
        let mut looked = looked(&[(CLOSED_FOR - 1, 1, 0), (CLOSED_FOR, 2, 0)], &[]);
        assert_eq!(too_old(&mut looked, 100, now), [(1, 0)]);
    }

    #[test]
    fn half_of_the_table_may_be_closed() {
        let closed: Vec<_> = (1..=9).map(|one| (one, one, u32::try_from(one).unwrap())).collect();
        let mut looked = looked(&closed, &[]);
        assert_eq!(too_old(&mut looked, 16, 9), [(1, 1)]);
    }

    #[test]
    fn who_holds_nearly_a_quarter_gives_his_oldest_when_it_is_nearly_half_full() {
        let closed = [(1, 1, 7), (2, 2, 8), (3, 3, 7), (4, 4, 7), (5, 5, 8)];
        let mut half = looked(&closed, &[(7, 24)]);
        // 29 of 40, of which 27 are one user's; a quarter is 10.
        assert_eq!(too_old(&mut half, 40, 5), [(1, 7), (3, 7), (4, 7)]);
        let mut less = looked(&closed, &[(7, 8), (8, 2)]);
        assert_eq!(too_old(&mut less, 40, 5), []);
    }
}
