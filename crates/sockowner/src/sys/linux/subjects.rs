//! Sockets while their owners are looked for, and whether they are still what they were.

use std::collections::{BTreeMap, BTreeSet};

use super::System;
use super::diag::Diag;
use super::door::Door;
use super::sockets::{SOURCE, gap_reason};
use super::table::Table;
use crate::sys::{Scope, Sockets};
use crate::{Family, Gap, Protocol, Result, Socket};

/// Beyond this many, sockets without a holder are looked at again in one listing rather than one by one.
const SINGLY: usize = 64;

/// Sockets while their owners are looked for. They are many and large: what is learned of them is kept beside them.
#[derive(Debug)]
pub(super) struct Subjects<'a, D: Door> {
    pub(super) sockets: Vec<Socket>,
    /// One for each.
    pub(super) marks: Vec<Mark>,
    /// Tables that could not be looked at again, each once: their sockets are told as they were.
    pub(super) gaps: Vec<Gap>,
    /// Of other network namespaces: those in which sockets can be looked up.
    entered: &'a [Diag<D>],
}

/// What became of a socket.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    /// Its state or file was another one when it was listed.
    pub(super) changed: bool,
    pub(super) gone: bool,
}

impl<'a, D: Door> Subjects<'a, D> {
    pub(super) fn new(sockets: Vec<Socket>, entered: &'a [Diag<D>]) -> Self {
        let marks = vec![Mark::default(); sockets.len()];
        Self { sockets, marks, gaps: Vec::new(), entered }
    }

    /// All of them are of this network namespace.
    pub(super) fn are_of(&self, netns: Option<u64>) -> bool {
        self.sockets.iter().all(|socket| socket.netns == netns)
    }

    /// Inode numbers of the sockets for which a file stands that somebody could hold, sorted.
    pub(super) fn wanted(&self) -> Vec<u64> {
        let open = self.sockets.iter().zip(&self.marks).filter(|(_, mark)| !mark.gone);
        let mut wanted: Vec<_> = open.map(|(socket, _)| socket.inode).filter(|&inode| inode != 0).collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted
    }

    /// Those of `inodes` that a socket still has that somebody could hold.
    pub(super) fn still_open(&self, inodes: &[u64]) -> Vec<u64> {
        self.wanted().into_iter().filter(|inode| inodes.binary_search(inode).is_ok()).collect()
    }
}

impl Mark {
    fn become_now(&mut self, socket: &mut Socket, now: Option<Socket>) {
        match now {
            Some(now) => {
                self.changed |= now.endpoint != socket.endpoint || now.inode != socket.inode;
                *socket = now;
            }
            None => self.gone = true,
        }
    }
}

/// Their cgroups.
pub(super) fn cgroup_ids(sockets: &[Socket]) -> BTreeSet<u64> {
    let mut ids: Vec<_> = sockets.iter().filter_map(|socket| socket.cgroup).collect();
    // Neighbours are often of one cgroup.
    ids.dedup();
    ids.into_iter().collect()
}

impl<D: Door> System<D> {
    /// Looks once more at sockets that nobody was seen to hold: they may be gone, or in another state. It is so after every
    /// look at processes: what is closed while they are looked at has no holder in the end, and is not open either.
    pub(super) fn look_again(&self, subjects: &mut Subjects<'_, D>, unheld: &[u64], may_be_hidden: bool) {
        let Subjects { sockets, marks, gaps, entered } = subjects;
        let open = sockets.iter_mut().zip(marks);
        let mut open: Vec<_> =
            open.filter(|(socket, _)| unheld.binary_search(&socket.inode).is_ok()).collect();
        let found = if open.len() <= SINGLY {
            self.refresh_each(open, entered)
        } else if may_be_hidden {
            // Most of them are other users': what they are now does not change the answer.
            return;
        } else {
            self.refresh_listed(&mut open, entered)
        };
        for gap in found {
            if !gaps.contains(&gap) {
                gaps.push(gap);
            }
        }
    }

    /// By one listing of each place. What is not in a table that could not be read whole may be there all the same.
    fn refresh_listed(&self, subjects: &mut [(&mut Socket, &mut Mark)], entered: &[Diag<D>]) -> Vec<Gap> {
        let tables: BTreeSet<_> = subjects.iter().map(|(socket, _)| table(socket)).collect();
        let scope = Scope { tables: tables.iter().copied().collect(), ..Scope::default() };
        let places: BTreeSet<_> = subjects.iter().map(|(socket, _)| socket.netns).collect();
        let key = |socket: &Socket| {
            let protocol = socket.endpoint.protocol;
            // MPTCP sockets of one listener share its cookie.
            let inode = if protocol == Protocol::Mptcp { socket.inode } else { 0 };
            (socket.netns, protocol, socket.cookie, inode)
        };
        let mut now = BTreeMap::new();
        let mut whole = BTreeSet::new();
        let mut gaps = Vec::new();
        for diag in [&self.diag].into_iter().chain(entered).filter(|diag| places.contains(&diag.netns())) {
            let listed = self.sockets_of(diag, &scope, self.threads()).unwrap_or_else(|error| {
                let unread = |table: &_| Gap::new(SOURCE, name(*table), gap_reason(&error), 1);
                Sockets { list: Vec::new(), gaps: tables.iter().map(unread).collect() }
            });
            now.extend(listed.list.into_iter().map(|socket| (key(&socket), socket)));
            // The gap of both families' table is each one's.
            let is_whole = |(protocol, family): &(Protocol, Family)| {
                let names = [protocol.to_string(), name((*protocol, *family))];
                !listed.gaps.iter().any(|gap| names.contains(&gap.object))
            };
            whole.extend(tables.iter().filter(|table| is_whole(table)).map(|table| (diag.netns(), *table)));
            gaps.extend(listed.gaps.into_iter().map(|gap| of_place(gap, diag)));
        }
        for (socket, mark) in subjects {
            let now = now.get(&key(socket)).cloned();
            if now.is_some() || whole.contains(&(socket.netns, table(socket))) {
                mark.become_now(socket, now);
            }
        }
        gaps
    }

    /// Looks sockets up that may be old. What cannot be looked up may be another one by now.
    pub(super) fn refresh_all(&self, subjects: &mut Subjects<'_, D>) -> Result<()> {
        for (socket, mark) in subjects.sockets.iter_mut().zip(&mut subjects.marks) {
            // In a namespace that was not entered nothing can be looked up.
            let Some(diag) = self.diag_of(socket, subjects.entered) else { continue };
            let now = self
                .refresh(diag, socket)
                .map_err(|error| error.context(format!("look up {}", socket.endpoint)))?;
            mark.become_now(socket, now);
        }
        Ok(())
    }

    /// What can look the socket up.
    fn diag_of<'a>(&'a self, socket: &Socket, entered: &'a [Diag<D>]) -> Option<&'a Diag<D>> {
        [&self.diag].into_iter().chain(entered).find(|diag| diag.netns() == socket.netns)
    }

    /// One by one. A socket that cannot be looked up, and what is in its table after it, stays as it was.
    fn refresh_each(&self, subjects: Vec<(&mut Socket, &mut Mark)>, entered: &[Diag<D>]) -> Vec<Gap> {
        let mut failed = BTreeSet::new();
        let mut gaps = Vec::new();
        for (socket, mark) in subjects {
            let Some(diag) = self.diag_of(socket, entered) else { continue };
            let place = (socket.netns, table(socket));
            if failed.contains(&place) {
                continue;
            }
            match self.refresh(diag, socket) {
                Ok(now) => mark.become_now(socket, now),
                // It may have taken seconds.
                Err(error) => {
                    failed.insert(place);
                    let gap = Gap::new(SOURCE, name(place.1), gap_reason(&error), 1);
                    gaps.push(of_place(gap, diag));
                }
            }
        }
        gaps
    }
}

/// The table that it is in.
fn table(socket: &Socket) -> (Protocol, Family) {
    (socket.endpoint.protocol, socket.endpoint.family)
}

/// As gaps tell it.
fn name((protocol, family): (Protocol, Family)) -> String {
    Table { protocol, family: Some(family) }.to_string()
}

/// A gap in the tables of this network namespace.
fn of_place<D: Door>(gap: Gap, diag: &Diag<D>) -> Gap {
    match diag.netns().filter(|_| diag.is_entered()) {
        Some(netns) => Gap { object: format!("{} in network namespace {netns}", gap.object), ..gap },
        None => gap,
    }
}

#[cfg(test)]
mod tests {
    use sockowner_wire::inet_diag::{IPPROTO_TCP, IPPROTO_UDP, Row};

    use super::super::fake::{Fake, World};
    use super::super::tests::{OPTIONS, all, row, small};
    use super::*;
    use crate::sys::Search;
    use crate::{Entry, GapReason, Reason};

    /// So many sockets of each protocol that nobody holds.
    fn unheld(count: u16) -> World {
        let mut world = small();
        for (protocol, state, first) in [(IPPROTO_TCP, 10, 10_000), (IPPROTO_UDP, 7, 20_000)] {
            world.rows.extend((first..first + count).map(|port| {
                let row = row(&format!("127.0.0.1:{port}"), port.into());
                (protocol, Row { state, ..row })
            }));
        }
        world
    }

    /// What becomes of them where the world changes after they were listed.
    fn looked_at(world: World, change: impl FnOnce(&mut World)) -> (Vec<Entry>, Vec<Gap>) {
        let door = Fake::new(world);
        let after = door.world();
        let system = System::open_with(door, OPTIONS).unwrap();
        let listed = system.sockets(&all()).unwrap().list;
        change(&mut after.lock().unwrap());
        system.attribute(listed, Search::Everywhere, None).unwrap()
    }

    /// The reasons of a protocol's sockets without an owner, each with how often it is given.
    fn reasons(entries: &[Entry], protocol: Protocol) -> BTreeMap<Reason, usize> {
        let mut counts = BTreeMap::new();
        let its = entries.iter().filter(|entry| entry.socket.endpoint.protocol == protocol);
        for reason in its.filter_map(|entry| entry.attribution.reason()) {
            *counts.entry(reason).or_default() += 1;
        }
        counts
    }

    fn told(gaps: &[Gap]) -> Vec<(&str, GapReason)> {
        gaps.iter().map(|gap| (&*gap.object, gap.reason)).collect()
    }

    /// Where they are looked up singly, and where they are listed.
    const COUNTS: [(u16, usize); 2] = [(10, 10), (70, 70)];

    #[test]
    fn a_table_that_cannot_be_looked_at_again_says_nothing_of_its_sockets() {
        for (count, all) in COUNTS {
            let (entries, gaps) = looked_at(unheld(count), |world| {
                world.unknown = vec![IPPROTO_UDP];
                world.rows.retain(|(_, row)| row.local.port() != 10_005);
            });
            let tcp = BTreeMap::from([(Reason::NoVisibleHolder, all - 1), (Reason::Gone, 1)]);
            assert_eq!(reasons(&entries, Protocol::Tcp), tcp);
            assert_eq!(reasons(&entries, Protocol::Udp), BTreeMap::from([(Reason::NoVisibleHolder, all)]));
            assert_eq!(told(&gaps), [("udp ipv4", GapReason::Unsupported)]);
        }
    }

    #[test]
    fn a_second_look_that_fails_leaves_the_answer_of_the_first() {
        for (count, all) in COUNTS {
            let (entries, mut gaps) =
                looked_at(unheld(count), |world| world.unknown = vec![IPPROTO_TCP, IPPROTO_UDP]);
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                assert_eq!(reasons(&entries, protocol), BTreeMap::from([(Reason::NoVisibleHolder, all)]));
            }
            assert_eq!(entries.iter().filter(|entry| !entry.attribution.holders().is_empty()).count(), 1);
            gaps.sort();
            assert_eq!(
                told(&gaps),
                [("tcp ipv4", GapReason::Unsupported), ("udp ipv4", GapReason::Unsupported)]
            );
        }
    }

    #[test]
    fn what_is_missing_in_a_table_with_gaps_is_not_gone() {
        let reasons_why = [GapReason::Interrupted, GapReason::Malformed];
        for ((count, all), why) in COUNTS.into_iter().flat_map(|c| reasons_why.map(|why| (c, why))) {
            let (entries, gaps) = looked_at(unheld(count), |world| {
                world.spoils_dumps = Some(why);
                // It may be that they are closed, or that they are among what was not told.
                world.rows.retain(|(protocol, _)| *protocol == IPPROTO_UDP);
            });
            assert_eq!(reasons(&entries, Protocol::Tcp), BTreeMap::from([(Reason::NoVisibleHolder, all)]));
            assert!(told(&gaps).contains(&("tcp ipv4", why)), "{gaps:?}");
        }
    }

    #[test]
    fn who_asks_for_one_socket_is_told_of_a_failure() {
        let mut failed = 0;
        for n in 1..100 {
            let door = Fake::new(unheld(1)).changing(n, |world| world.unknown = vec![IPPROTO_TCP]);
            let Ok(system) = System::open_with(door, OPTIONS) else { continue };
            let listed = system.sockets(&all()).unwrap().list;
            let unheld = listed.into_iter().filter(|socket| socket.endpoint.local.port == 10_000).collect();
            match system.attribute(unheld, Search::Nearest, None) {
                Err(_) => failed += 1,
                Ok((_, gaps)) => assert!(gaps.iter().all(|gap| gap.source != SOURCE), "call {n}: {gaps:?}"),
            }
        }
        assert!(failed > 10, "{failed}");
    }
}
