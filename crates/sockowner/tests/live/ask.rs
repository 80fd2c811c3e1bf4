//! Asking the library, and what every answer has to fulfil.

use std::collections::BTreeSet;

use sockowner::{
    Address, Attribution, Candidate, Entry, Evidence, Filter, Gap, GapReason, Holder, Match, Pattern,
    Protocol, Query, QueryBuilder, Reach, Reason, Snapshot, Socket, State,
};
use sockowner_testkit::{Actor, Sock, eventually};

use super::seen::assert_is_as_seen;

/// A descriptor that stands for a socket: process, thread, number.
pub(super) type Held = (u32, u32, i32);

/// With the source that the tests are for; where the one who asks may not have it, with what there is.
pub(super) fn builder() -> QueryBuilder {
    let wanted = Query::builder().source(crate::SOURCE);
    if wanted.open().is_ok() { wanted } else { Query::builder() }
}

/// Opens the library in the calling thread's network namespace.
pub(super) fn query() -> Query {
    builder().open().unwrap()
}

/// Everything there is.
pub(super) fn everything(query: &Query) -> Snapshot {
    let all = query.snapshot(&Filter::new()).unwrap();
    assert_complete(all.gaps());
    all
}

/// What is told of the endpoint that a person would write so.
pub(super) fn who(query: &Query, pattern: &str) -> Snapshot {
    who_matches(query, &pattern.parse().unwrap())
}

fn who_matches(query: &Query, pattern: &Pattern) -> Snapshot {
    let found = query.who(pattern).unwrap();
    assert_complete(found.gaps());
    assert!(found.iter().all(|entry| entry.matched.is_some()));
    found
}

/// Nothing is missing. On the host there may be processes that are out of reach even of root; none of them is a
/// test's.
pub(super) fn assert_complete(gaps: &[Gap]) {
    let is_alone = std::process::id() == 1;
    let is_strangers = |gap: &Gap| !is_alone && gap.source == "proc" && gap.reason == GapReason::NotPermitted;
    assert!(gaps.iter().all(is_strangers), "{gaps:?}");
}

/// All that is told of an actor's socket; see [`told_of`].
pub(super) fn told(query: &Query, sock: &Sock) -> Entry {
    let entry = told_of(query, &format!("{sock:?}"), |entry| entry.socket.cookie == sock.cookie);
    assert_eq!(entry.socket.inode, sock.inode);
    assert_eq!(without_zone(entry.socket.endpoint.local), sock.addr.into());
    assert_eq!(entry.socket.endpoint.remote.map(without_zone), sock.peer.map(Address::from));
    entry
}

/// All that is told of the connection with these addresses, from the point of view of `local`.
pub(super) fn told_between(query: &Query, local: &Sock, remote: &Sock) -> Entry {
    told_of(query, &format!("{local:?} to {remote:?}"), |entry| {
        without_zone(entry.socket.endpoint.local) == local.addr.into()
            && entry.socket.endpoint.remote.map(without_zone) == Some(remote.addr.into())
    })
}

/// All that is told of the only socket of that kind. All questions have to have one answer, and each of its processes
/// has to be what `/proc` shows.
pub(super) fn told_of(query: &Query, what: &str, is_it: impl Fn(&Entry) -> bool) -> Entry {
    let all = everything(query);
    let entry = only(all.iter().filter(|entry| is_it(entry)), what);
    assert_eq!(entry.matched, None);

    let endpoint = entry.socket.endpoint;
    let mut pattern = Pattern::local(endpoint.local.ip, endpoint.local.port);
    if let Some(remote) = endpoint.remote {
        pattern = pattern.connected_to(remote.ip, remote.port);
    }
    for pattern in [pattern.clone(), pattern.protocol(endpoint.protocol)] {
        let found = who_matches(query, &pattern);
        let found = only(found.iter().filter(|other| other.socket.cookie == entry.socket.cookie), what);
        assert_eq!(found.matched, Some(Match::Exact));
        assert_eq!(Told::new(&found), Told::new(&entry), "{pattern}");
    }

    let (listed, gaps) = query.sockets(&Filter::new()).unwrap();
    assert_complete(&gaps);
    let listed: Vec<_> = listed.into_iter().filter(|socket| socket.cookie == entry.socket.cookie).collect();
    let found = query.owners(listed).unwrap();
    assert_complete(found.gaps());
    assert_eq!(Told::new(&only(found.iter(), what)), Told::new(&entry));

    let near = owner_of(query, &entry.socket);
    let (found, whole) = (Told::new(&near), Told::new(&entry));
    assert!(found.holders.is_subset(&whole.holders), "{found:?} of {whole:?}");
    match reach(&near) {
        None | Some(Reach::Host) => assert_eq!(found, whole),
        Some(_) => assert!(!found.holders.is_empty()),
    }
    assert_eq!(Told { holders: whole.holders.clone(), owner: whole.owner, ..found }, whole);

    for holder in entry.attribution.holders() {
        assert_is_as_seen(&holder.process);
    }
    entry
}

/// The present owner of one socket, which was told of earlier.
pub(super) fn owner_of(query: &Query, socket: &Socket) -> Entry {
    let found = query.owner_of(socket).unwrap();
    assert_eq!(found.matched, None);
    found
}

/// What is told of an entry, but for the clock and for how it was asked.
#[derive(Debug, PartialEq)]
struct Told {
    socket: Socket,
    user: Option<String>,
    cgroup: Option<sockowner::Cgroup>,
    service: Option<sockowner::Service>,
    container: Option<sockowner::Container>,
    holders: BTreeSet<Held>,
    owner: Option<(u32, u64, Evidence)>,
    reason: Option<Reason>,
    candidates: Vec<u32>,
    changed: bool,
}

impl Told {
    fn new(entry: &Entry) -> Self {
        let owner = entry.attribution.primary_owner();
        Self {
            socket: entry.socket.clone(),
            user: entry.user.as_deref().map(str::to_owned),
            cgroup: entry.cgroup.clone(),
            service: entry.service.as_deref().cloned(),
            container: entry.container.as_deref().cloned(),
            holders: holders(entry),
            owner: owner.map(|(process, evidence)| (process.pid, process.start.ticks, evidence)),
            reason: entry.attribution.reason(),
            candidates: candidates(entry),
            changed: entry.changed,
        }
    }
}

fn only<'a>(mut entries: impl Iterator<Item = &'a Entry>, what: &str) -> Entry {
    let first = entries.next().unwrap_or_else(|| panic!("not found: {what}"));
    let rest: Vec<_> = entries.collect();
    assert!(rest.is_empty(), "more than one is {what}: {first:?} and {rest:?}");
    first.clone()
}

pub(super) fn without_zone(address: Address) -> Address {
    Address::new(address.ip, address.port)
}

/// Every descriptor that was told.
pub(super) fn holders(entry: &Entry) -> BTreeSet<Held> {
    let held = |holder: &Holder| (holder.process.pid, holder.tid, holder.fd);
    let set: BTreeSet<_> = entry.attribution.holders().iter().map(held).collect();
    assert_eq!(set.len(), entry.attribution.holders().len(), "none is told twice");
    set
}

pub(super) fn candidates(entry: &Entry) -> Vec<u32> {
    entry.candidates.iter().map(|Candidate { process, .. }| process.pid).collect()
}

/// How far was looked, where anybody was found.
pub(super) fn reach(entry: &Entry) -> Option<Reach> {
    match &entry.attribution {
        Attribution::Held(holders) => Some(holders.reach()),
        _ => None,
    }
}

/// The descriptor of an actor's socket.
pub(super) fn at(actor: &Actor, sock: &Sock) -> Held {
    (actor.pid(), actor.pid(), sock.fd)
}

/// These descriptors and no others stand for the socket, and the first one's process is named.
#[track_caller]
pub(super) fn assert_held(entry: &Entry, expected: &[Held]) {
    assert_eq!(holders(entry), expected.iter().copied().collect(), "{entry:?}");
    let is_only = expected.iter().all(|(pid, ..)| *pid == expected[0].0);
    let evidence = if is_only { Evidence::Holder } else { Evidence::EarliestHolder };
    let owner = entry.attribution.primary_owner().map(|(process, evidence)| (process.pid, evidence));
    assert_eq!(owner, Some((expected[0].0, evidence)), "{entry:?}");
    assert_eq!(entry.attribution.reason(), None);
    assert_eq!(candidates(entry), [], "where there is an owner there is nothing to guess");
}

/// Nobody is named, for this reason.
#[track_caller]
pub(super) fn assert_unheld(entry: &Entry, reason: Reason) {
    assert_eq!(entry.attribution, Attribution::Unattributed(reason), "{entry:?}");
    assert_eq!(entry.attribution.primary_owner(), None);
}

#[track_caller]
pub(super) fn assert_state(entry: &Entry, state: State) {
    assert_eq!(entry.socket.endpoint.state, state, "{entry:?}");
}

/// Waits until the only socket between these addresses is in the state, and yields what is told of it.
pub(super) fn awaited(query: &Query, local: &Sock, remote: &Sock, state: State) -> Entry {
    let filter = Filter::new().protocol(Protocol::Tcp).without_owners();
    eventually(&format!("{state} of {} to {}", local.addr, remote.addr), || {
        let all = query.snapshot(&filter).unwrap();
        let is_there = all.iter().any(|entry| {
            let endpoint = entry.socket.endpoint;
            endpoint.state == state
                && without_zone(endpoint.local) == local.addr.into()
                && endpoint.remote.map(without_zone) == Some(remote.addr.into())
        });
        is_there.then_some(())
    });
    let entry = told_between(query, local, remote);
    assert_state(&entry, state);
    entry
}
