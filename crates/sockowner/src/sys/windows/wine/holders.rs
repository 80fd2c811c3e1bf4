//! Who holds Wine's own sockets: the found handles, in order, and which rows of the tables they stand for.

use std::net::IpAddr;

use super::told::Told;
use crate::{Address, Endpoint, Gap, Protocol, Socket, State};

/// A handle of a process that stands for a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) told: Told,
    pub(crate) pid: u32,
    /// When that very process was created (`FILETIME`).
    pub(crate) created: u64,
    /// The handle's value in that process.
    pub(crate) handle: u32,
    /// Tells apart sockets of one name: handles with the same number stand for the same socket. `None` where that could
    /// not be told.
    pub(crate) object: Option<u32>,
}

/// Every socket that a process of this Wine has, and what could not be looked into.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    /// In order of [`Name`] and object.
    list: Vec<Held>,
    pub(crate) gaps: Vec<Gap>,
}

/// Who holds the socket of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer<'a> {
    /// By these handles, at least one.
    Held(&'a [Held]),
    /// No process of this Wine that could be looked into.
    Nobody,
    /// Several sockets are called so, and which of them the row is cannot be told.
    Unclear,
}

/// What a row of the tables tells of a socket, and the socket of itself: protocol, whether it listens, local address, and
/// of TCP its peer. Zones are left out: Wine's rows tell numbers there that are no interface's.
type Name = (Protocol, bool, Side, Option<Side>);
type Side = (IpAddr, u16);

impl Holders {
    pub(crate) fn new(mut list: Vec<Held>, gaps: Vec<Gap>) -> Self {
        list.sort_by_key(|held| (name_of(&held.told), held.object, held.pid, held.handle));
        Self { list, gaps }
    }

    /// Runs of handles that have the same name, each with two at least.
    pub(super) fn alike(&mut self) -> impl Iterator<Item = &mut [Held]> {
        let same = |one: &Held, other: &Held| name_of(&one.told) == name_of(&other.told);
        self.list.chunk_by_mut(same).filter(|run| run.len() > 1)
    }

    /// Puts in order what [`alike`](Self::alike) has told apart, without the handles that `remains` refuses.
    pub(super) fn sorted_again(self, remains: impl FnMut(&Held) -> bool) -> Self {
        let Self { mut list, gaps } = self;
        list.retain(remains);
        Self::new(list, gaps)
    }

    #[cfg(test)]
    pub(crate) fn all(&self) -> &[Held] {
        &self.list
    }

    /// Who holds each of these sockets, which are rows of the system's tables. They are asked about together because rows
    /// can be equal: then any of them may be any of the sockets of that name, and each gets another one.
    pub(crate) fn answers(&self, sockets: &[&Socket]) -> Vec<Answer<'_>> {
        let mut answers = vec![Answer::Nobody; sockets.len()];
        let mut rows: Vec<(Name, usize)> = Vec::with_capacity(sockets.len());
        rows.extend(
            sockets.iter().enumerate().filter_map(|(at, socket)| Some((name_in_row(&socket.endpoint)?, at))),
        );
        rows.sort_unstable();
        for rows in rows.chunk_by(|(one, _), (other, _)| one == other) {
            let held = rows.first().map_or(&[][..], |(name, _)| self.named(name));
            let objects: Vec<_> = held.chunk_by(|one, other| one.object == other.object).collect();
            // Which of several it is cannot be told where objects could not be compared, nor in which zone each row is.
            let whole = |held: &Held| held.object.is_some() && held.told.local.zone.is_none();
            let clear = objects.len() <= rows.len() && (rows.len() == 1 || held.iter().all(whole));
            let mut objects = objects.into_iter();
            for &(_, at) in rows {
                answers[at] = match objects.next() {
                    _ if !clear => Answer::Unclear,
                    Some(held) => Answer::Held(held),
                    None => Answer::Nobody,
                };
            }
        }
        answers
    }

    /// Who connects from the local address of a row in `SYN_SENT`: until it is connected its handle tells no peer, nor does
    /// that of a socket that has an address and nothing more. `others` are the rows in that state,
    /// where they could be listed.
    pub(crate) fn connecting(&self, endpoint: &Endpoint, others: Option<&[Socket]>) -> Answer<'_> {
        let &Endpoint { protocol, local, .. } = endpoint;
        let held = self.named(&name_of(&Told { protocol, local, peer: None, listens: false }));
        let Some(object) = held.first().map(|held| held.object) else { return Answer::Nobody };
        let is_one = object.is_some() && held.iter().all(|held| held.object == object);
        let side = |endpoint: &Endpoint| (endpoint.protocol, endpoint.local.ip, endpoint.local.port);
        let is_other = |other: &Socket| {
            side(&other.endpoint) == side(endpoint) && other.endpoint.remote != endpoint.remote
        };
        let is_alone = others.is_some_and(|others| !others.iter().any(is_other));
        if is_one && is_alone { Answer::Held(held) } else { Answer::Unclear }
    }

    fn named(&self, name: &Name) -> &[Held] {
        let start = self.list.partition_point(|held| name_of(&held.told) < *name);
        let rest = &self.list[start..];
        &rest[..rest.partition_point(|held| name_of(&held.told) == *name)]
    }
}

fn name_of(told: &Told) -> Name {
    let side = |address: Address| (address.ip, address.port);
    // The system's rows of UDP have no peer.
    let peer = told.peer.filter(|_| told.protocol == Protocol::Tcp && !told.listens);
    (told.protocol, told.listens, side(told.local), peer.map(side))
}

/// `None` where no process has the row's socket, whatever it is called.
fn name_in_row(endpoint: &Endpoint) -> Option<Name> {
    let &Endpoint { protocol, state, local, remote, .. } = endpoint;
    if protocol == Protocol::Tcp && matches!(state, State::TIME_WAIT | State::SYN_RECV) {
        return None;
    }
    let listens = protocol == Protocol::Tcp && state == State::LISTEN;
    Some(name_of(&Told { protocol, local, peer: remote, listens }))
}
