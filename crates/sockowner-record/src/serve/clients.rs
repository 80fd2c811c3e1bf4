//! Who is connected, and whose turn it is.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use sockowner::os::linux::record::Asker;
use sockowner_wire::ask::REQUEST_MAX;

use super::Limits;
use super::call::{self, Peer, Ready};

/// One connection.
#[derive(Debug)]
pub(super) struct Client {
    socket: OwnedFd,
    peer: Peer,
    /// The pid namespace, once it was looked for.
    namespace: OnceCell<Option<u32>>,
    /// An answer that was not taken yet.
    answer: Option<Vec<u8>>,
    /// When he came, or was answered last.
    since: Instant,
    ready: Ready,
    is_over: bool,
}

impl Client {
    pub(super) fn new(socket: OwnedFd, peer: Peer, now: Instant) -> Self {
        let (namespace, answer, ready) = (OnceCell::new(), None, Ready::default());
        Self { socket, peer, namespace, answer, since: now, ready, is_over: false }
    }

    pub(super) fn uid(&self) -> u32 {
        self.peer.uid
    }

    /// Who asks, where members of this group are told everything.
    pub(super) fn asker(&self, group: Option<u32>) -> Asker {
        let is_member = group.is_some_and(|group| self.peer.groups.contains(&group));
        let sees_all = self.peer.uid == 0 || is_member;
        let namespace = *self.namespace.get_or_init(|| self.peer.namespace(&self.socket));
        Asker::new((!sees_all).then_some(self.peer.uid), namespace)
    }

    /// The packet that came; `None` where none did, or it cannot be a question.
    pub(super) fn receive(&mut self) -> Option<Vec<u8>> {
        let mut room = vec![0; REQUEST_MAX + 1];
        match call::receive(&self.socket, &mut room) {
            Ok(None) => return None,
            Ok(Some(length @ 1..=REQUEST_MAX)) => {
                room.truncate(length);
                return Some(room);
            }
            // The end, or more than anybody asks.
            Ok(Some(_)) | Err(_) => self.is_over = true,
        }
        None
    }

    /// Answers as soon as he reads.
    pub(super) fn answer(&mut self, packet: Vec<u8>, now: Instant) {
        self.since = now;
        self.answer = Some(packet);
        self.send(now);
    }

    fn send(&mut self, now: Instant) {
        let Some(packet) = &self.answer else { return };
        match call::send_now(&self.socket, packet) {
            Ok(true) => {
                self.answer = None;
                self.since = now;
            }
            Ok(false) => {}
            Err(_) => self.is_over = true,
        }
    }

    pub(super) fn end(&mut self) {
        self.is_over = true;
    }
}

/// All of them, he first who was served longest ago.
#[derive(Debug)]
pub(super) struct Clients {
    all: Vec<Client>,
    limits: Limits,
    /// Users who wait for as long as they were served.
    paused: BTreeMap<u32, Instant>,
}

impl Clients {
    pub(super) fn new(limits: Limits) -> Self {
        Self { all: Vec::new(), limits, paused: BTreeMap::new() }
    }

    /// What each waits for.
    pub(super) fn wishes(&self) -> impl Iterator<Item = (BorrowedFd<'_>, Ready)> {
        self.all.iter().map(|client| {
            let to_write = client.answer.is_some();
            let to_read = !to_write && !self.paused.contains_key(&client.uid());
            (client.socket.as_fd(), Ready { to_read, to_write, ended: false })
        })
    }

    /// When somebody's time is over, or his turn comes.
    pub(super) fn next_time(&self) -> Option<Instant> {
        let ends = self.all.iter().map(|client| client.since + self.limits.idle);
        ends.chain(self.paused.values().copied()).min()
    }

    /// Takes note of what became possible, in the order of [`wishes`](Self::wishes): who hung up is gone, who waits for his
    /// answer gets it. Returns how many were let go as their time was over.
    pub(super) fn note(&mut self, ready: &[Ready], now: Instant) -> u64 {
        for (client, ready) in self.all.iter_mut().zip(ready) {
            client.ready = *ready;
            if ready.to_write {
                client.send(now);
            }
        }
        self.all.retain(|client| !client.ready.ended && !client.is_over);
        let before = self.all.len();
        self.all.retain(|client| now.saturating_duration_since(client.since) < self.limits.idle);
        u64::try_from(before - self.all.len()).unwrap_or(0)
    }

    /// Ends pauses that are over.
    pub(super) fn wake(&mut self, now: Instant) {
        self.paused.retain(|_, until| *until > now);
    }

    /// One of each user who has something to ask: he whose turn it is.
    pub(super) fn turns(&mut self) -> impl Iterator<Item = &mut Client> {
        let mut users = BTreeSet::new();
        self.all.iter_mut().filter(move |client| client.ready.to_read && users.insert(client.peer.uid))
    }

    /// After a round: users who were served wait for as long as that took, so that nobody has more than half of the time.
    pub(super) fn rest(&mut self, took: BTreeMap<u32, Duration>, now: Instant) {
        self.paused.extend(took.into_iter().map(|(uid, took)| (uid, now + took)));
        self.all.retain(|client| !client.is_over);
        self.all.sort_by_key(|client| client.since);
    }

    /// Takes one in; returns how many had to go for it. A user who has too many loses the one that asked longest ago; where
    /// all are too many, he does who has most.
    pub(super) fn admit(&mut self, client: Client) -> u64 {
        let uid = client.uid();
        let of_his = self.all.iter().filter(|other| other.uid() == uid).count();
        let mut let_go = 0;
        if of_his >= self.limits.of_one_user {
            let_go += u64::from(self.end_longest_idle_of(uid));
        } else if self.all.len() >= self.limits.clients {
            let_go += u64::from(self.end_longest_idle());
        }
        self.all.push(client);
        let_go
    }

    /// Lets one go of the user who has most; false where nobody is there.
    pub(super) fn end_longest_idle(&mut self) -> bool {
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        for client in &self.all {
            *counts.entry(client.uid()).or_default() += 1;
        }
        // Of several with as many, he who was served longest ago.
        let most = counts.values().copied().max();
        let user = self.all.iter().map(Client::uid).find(|uid| counts.get(uid).copied() == most);
        user.is_some_and(|uid| self.end_longest_idle_of(uid))
    }

    fn end_longest_idle_of(&mut self, uid: u32) -> bool {
        let all = self.all.iter().enumerate().filter(|(_, client)| client.uid() == uid);
        let longest = all.min_by_key(|(_, client)| client.since).map(|(index, _)| index);
        if let Some(index) = longest {
            self.all.remove(index);
        }
        longest.is_some()
    }
}
