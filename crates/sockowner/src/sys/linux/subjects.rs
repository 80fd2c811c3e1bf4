//! Sockets while their owners are looked for, and whether they are still what they were.

use std::collections::{BTreeMap, BTreeSet};

use super::System;
use super::diag::Diag;
use super::door::Door;
use crate::sys::Scope;
use crate::{Protocol, Result, Socket};

/// Beyond this many, sockets without a holder are looked at again in one listing rather than one by one.
const SINGLY: usize = 64;

/// Sockets while their owners are looked for. They are many and large: what is learned of them is kept beside them.
#[derive(Debug)]
pub(super) struct Subjects<'a, D: Door> {
    pub(super) sockets: Vec<Socket>,
    /// One for each.
    pub(super) marks: Vec<Mark>,
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
        Self { sockets, marks, entered }
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

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&mut Socket, &mut Mark)> {
        self.sockets.iter_mut().zip(&mut self.marks)
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
    pub(super) fn look_again(
        &self,
        subjects: &mut Subjects<'_, D>,
        unheld: &[u64],
        may_be_hidden: bool,
    ) -> Result<()> {
        let entered = subjects.entered;
        let mut open: Vec<_> =
            subjects.iter_mut().filter(|(socket, _)| unheld.binary_search(&socket.inode).is_ok()).collect();
        if open.len() <= SINGLY {
            return self.refresh_each(open.into_iter(), entered);
        }
        if may_be_hidden {
            // Most of them are other users': what they are now does not change the answer.
            return Ok(());
        }
        let tables: BTreeSet<_> =
            open.iter().map(|(socket, _)| (socket.endpoint.protocol, socket.endpoint.family)).collect();
        let scope = Scope { tables: tables.into_iter().collect(), ..Scope::default() };
        let places: BTreeSet<_> = open.iter().map(|(socket, _)| socket.netns).collect();
        let key = |socket: &Socket| {
            let protocol = socket.endpoint.protocol;
            // MPTCP sockets of one listener share its cookie.
            let inode = if protocol == Protocol::Mptcp { socket.inode } else { 0 };
            (socket.netns, protocol, socket.cookie, inode)
        };
        let mut now = BTreeMap::new();
        for diag in [&self.diag].into_iter().chain(entered).filter(|diag| places.contains(&diag.netns())) {
            let listed = self.sockets_of(diag, &scope, self.threads())?;
            now.extend(listed.list.into_iter().map(|socket| (key(&socket), socket)));
        }
        for (socket, mark) in &mut open {
            mark.become_now(socket, now.get(&key(socket)).cloned());
        }
        Ok(())
    }

    /// Looks sockets up that may be old.
    pub(super) fn refresh_all(&self, subjects: &mut Subjects<'_, D>) -> Result<()> {
        let entered = subjects.entered;
        self.refresh_each(subjects.iter_mut(), entered)
    }

    /// What can look the socket up.
    fn diag_of<'a>(&'a self, socket: &Socket, entered: &'a [Diag<D>]) -> Option<&'a Diag<D>> {
        [&self.diag].into_iter().chain(entered).find(|diag| diag.netns() == socket.netns)
    }

    fn refresh_each<'a>(
        &self,
        subjects: impl Iterator<Item = (&'a mut Socket, &'a mut Mark)>,
        entered: &[Diag<D>],
    ) -> Result<()> {
        for (socket, mark) in subjects {
            // In a namespace that was not entered nothing can be looked up.
            let Some(diag) = self.diag_of(socket, entered) else { continue };
            let now = self
                .refresh(diag, socket)
                .map_err(|error| error.context(format!("look up {}", socket.endpoint)))?;
            mark.become_now(socket, now);
        }
        Ok(())
    }
}
