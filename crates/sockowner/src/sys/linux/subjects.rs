//! Sockets while their owners are looked for, and whether they are still what they were.

use std::collections::{BTreeMap, BTreeSet};

use super::System;
use super::door::Door;
use crate::sys::Scope;
use crate::{Result, Socket};

/// Beyond this many, sockets without a holder are looked at again in one listing rather than one by one.
const SINGLY: usize = 64;

/// Sockets while their owners are looked for. They are many and large: what is learned of them is kept beside them.
#[derive(Debug)]
pub(super) struct Subjects {
    pub(super) sockets: Vec<Socket>,
    /// One for each.
    pub(super) marks: Vec<Mark>,
}

/// What became of a socket.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    /// Its state or file was another one when it was listed.
    pub(super) changed: bool,
    pub(super) gone: bool,
}

impl Subjects {
    pub(super) fn new(sockets: Vec<Socket>) -> Self {
        let marks = vec![Mark::default(); sockets.len()];
        Self { sockets, marks }
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
        subjects: &mut Subjects,
        unheld: &[u64],
        may_be_hidden: bool,
    ) -> Result<()> {
        let (mut open, abroad): (Vec<_>, Vec<_>) = subjects
            .iter_mut()
            .filter(|(socket, _)| unheld.binary_search(&socket.inode).is_ok())
            .partition(|(socket, _)| socket.netns == self.diag.netns());
        // Of another network namespace sock_diag knows nothing here: it was held, and nobody has it now.
        for (_, mark) in abroad {
            mark.gone = true;
        }
        if open.len() <= SINGLY {
            return self.refresh_each(open.into_iter());
        }
        if may_be_hidden {
            // Most of them are other users': what they are now does not change the answer.
            return Ok(());
        }
        let tables: BTreeSet<_> =
            open.iter().map(|(socket, _)| (socket.endpoint.protocol, socket.endpoint.family)).collect();
        let now = self.sockets(&Scope { tables: tables.into_iter().collect(), ..Scope::default() })?;
        let now: BTreeMap<_, _> =
            now.list.into_iter().map(|socket| ((socket.endpoint.protocol, socket.cookie), socket)).collect();
        for (socket, mark) in &mut open {
            let key = (socket.endpoint.protocol, socket.cookie);
            mark.become_now(socket, now.get(&key).cloned());
        }
        Ok(())
    }

    pub(super) fn refresh_each<'a>(
        &self,
        subjects: impl Iterator<Item = (&'a mut Socket, &'a mut Mark)>,
    ) -> Result<()> {
        for (socket, mark) in subjects {
            let now = self
                .refresh(socket)
                .map_err(|error| error.context(format!("look up {}", socket.endpoint)))?;
            mark.become_now(socket, now);
        }
        Ok(())
    }
}
