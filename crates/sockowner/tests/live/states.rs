//! Every state a TCP socket can be in, and who is told to have it.

use sockowner::{Entry, Filter, Protocol, Reason, State};
use sockowner_testkit::Requirement::OtherUser;
use sockowner_testkit::privileges::ORDINARY_UID;
use sockowner_testkit::{Actor, Requirement, Sock, SocketOptions};

use super::ask::{
    assert_held, assert_state, assert_unheld, at, awaited, candidates, everything, owner_of, query, told,
    told_between, who,
};

pub(super) const TELLS_BOUND: Requirement = Requirement::Custom("Linux 6.8", || {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").map_err(|error| error.to_string())?;
    let mut numbers = release.split(['.', '-']).map_while(|part| part.trim().parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= (6, 8) { Ok(()) } else { Err(format!("this is {}", release.trim())) }
});

tests! {
    Alone both_ends_of_a_connection_have_their_owners;
    Alone a_connection_that_is_not_there_is_not_found;
    Alone a_socket_that_is_only_bound_is_told needs TELLS_BOUND;
    Alone time_wait_is_nobodys;
    Alone time_wait_of_an_ordinary_user_is_nobodys needs OtherUser;
    Alone an_orphan_with_unsent_data_has_no_holder;
    Alone an_orphan_that_waits_for_its_peer_has_no_holder;
    Alone a_half_closed_connection_has_its_owners;
    Alone both_ends_closing_at_once_have_their_owners;
    Alone the_last_acknowledgement_is_awaited_without_a_holder;
    Alone a_reset_connection_is_gone;
    Alone a_reset_connection_keeps_the_address_it_chose needs TELLS_BOUND;
    Alone a_connection_that_is_not_answered_has_its_owner;
    Alone a_handshake_is_nobodys;
    Alone states_are_asked_of_the_kernel;
}

/// Two actors and a connection from the first to the second.
pub(super) struct Pair {
    pub(super) near: Actor,
    pub(super) far: Actor,
    pub(super) listener: Sock,
    pub(super) client: Sock,
    pub(super) server: Sock,
}

impl Pair {
    pub(super) fn new() -> Self {
        Self::of(Actor::spawn(), Actor::spawn())
    }

    pub(super) fn of(near: Actor, far: Actor) -> Self {
        let listener = far.tcp_listen("127.0.0.1:0");
        let client = near.tcp_connect(listener.addr);
        let server = far.accept(listener.fd);
        Self { near, far, listener, client, server }
    }
}

/// More than fits into all buffers.
pub(super) fn fill(actor: &Actor, sock: &Sock) {
    let much = 1 << 30;
    assert!(actor.send(sock.fd, much) < much);
}

/// Closed here and never accepted there, or without a peer that answers: no inode, no user, no cgroup but the old.
fn assert_is_nobodys(entry: &Entry) {
    assert_unheld(entry, Reason::NoHolder);
    assert_eq!((entry.socket.inode, entry.socket.uid, entry.user.as_deref()), (0, None, None));
    assert_eq!(entry.socket.v6only, None);
}

/// A row without a cgroup: nothing is known of who made it.
fn assert_has_no_cgroup(entry: &Entry) {
    assert_eq!((entry.socket.cgroup, &entry.cgroup), (None, &None));
    assert_eq!((&entry.service, &entry.container), (&None, &None));
    assert_eq!(candidates(entry), []);
}

fn both_ends_of_a_connection_have_their_owners() {
    let pair = Pair::new();
    let query = query();
    let (near, far) = (told(&query, &pair.client), told(&query, &pair.server));
    assert_held(&near, &[at(&pair.near, &pair.client)]);
    assert_held(&far, &[at(&pair.far, &pair.server)]);
    assert_state(&near, State::ESTABLISHED);
    assert_state(&far, State::ESTABLISHED);
    assert_eq!(near.socket.uid, Some(0));
}

/// A packet to such a connection would reach the listener, which is not what was asked for.
fn a_connection_that_is_not_there_is_not_found() {
    let pair = Pair::new();
    let query = query();
    let (here, there) = (pair.server.addr, pair.client.addr);
    for (local, remote) in [
        (here.to_string(), String::from("127.0.0.1:1")),
        (here.to_string(), format!("127.0.0.2:{}", there.port())),
        (String::from("127.0.0.1:1"), here.to_string()),
        (there.to_string(), there.to_string()),
    ] {
        for protocol in ["", "tcp/", "udp/"] {
            let pattern = format!("{protocol}{local},{remote}");
            assert_eq!(who(&query, &pattern).entries().len(), 0, "{pattern}");
        }
    }
    assert_eq!(who(&query, &format!("{here},{there}")).entries().len(), 1);
}

fn a_socket_that_is_only_bound_is_told() {
    let actor = Actor::spawn();
    let query = query();
    for address in ["127.0.0.1:0", "[::]:0"] {
        let bound = actor.tcp_bind_only(address);
        let entry = told(&query, &bound);
        assert_state(&entry, State::BOUND);
        assert_held(&entry, &[at(&actor, &bound)]);
        assert_held(&owner_of(&query, &entry.socket), &[at(&actor, &bound)]);
        let found = query.snapshot(&Filter::new().state(State::BOUND)).unwrap();
        assert_eq!(found.entries().len(), 1);
        assert!(query.snapshot(&Filter::new().state(State::CLOSE)).unwrap().entries().is_empty());
        actor.close(bound.fd);
        assert_unheld(&owner_of(&query, &entry.socket), Reason::Gone);
    }
}

fn time_wait_is_nobodys() {
    time_wait(&Pair::new());
}

fn time_wait_of_an_ordinary_user_is_nobodys() {
    let ordinary = || Actor::builder().uid(ORDINARY_UID).gid(ORDINARY_UID).spawn();
    time_wait(&Pair::of(ordinary(), ordinary()));
}

fn time_wait(pair: &Pair) {
    let query = query();
    let live = told(&query, &pair.client);
    assert_eq!(live.socket.cookie, pair.client.cookie);
    pair.near.close_first(pair.client.fd, &pair.far, pair.server.fd);
    let entry = awaited(&query, &pair.client, &pair.server, State::TIME_WAIT);
    assert_is_nobodys(&entry);
    assert_has_no_cgroup(&entry);
    assert_eq!(entry.socket.cookie, live.socket.cookie, "it was that connection");
    assert!(!entry.changed);
    let later = owner_of(&query, &live.socket);
    assert_unheld(&later, Reason::NoHolder);
    assert!(later.changed);
    assert_eq!(later.socket, entry.socket);
}

fn an_orphan_with_unsent_data_has_no_holder() {
    let pair = Pair::new();
    fill(&pair.near, &pair.client);
    let query = query();
    let live = told(&query, &pair.client);
    pair.near.close(pair.client.fd);
    let entry = awaited(&query, &pair.client, &pair.server, State::FIN_WAIT1);
    assert_is_nobodys(&entry);
    assert_eq!(entry.socket.cookie, live.socket.cookie);
    assert_eq!(entry.socket.cgroup, live.socket.cgroup);
    assert_held(&told(&query, &pair.server), &[at(&pair.far, &pair.server)]);
}

fn an_orphan_that_waits_for_its_peer_has_no_holder() {
    let pair = Pair::new();
    let query = query();
    let live = told(&query, &pair.client);
    pair.near.close(pair.client.fd);
    let entry = awaited(&query, &pair.client, &pair.server, State::FIN_WAIT2);
    assert_is_nobodys(&entry);
    assert_has_no_cgroup(&entry);
    assert_eq!(entry.socket.cookie, live.socket.cookie);
    let peer = awaited(&query, &pair.server, &pair.client, State::CLOSE_WAIT);
    assert_held(&peer, &[at(&pair.far, &pair.server)]);
}

fn a_half_closed_connection_has_its_owners() {
    let pair = Pair::new();
    let query = query();
    let before = told(&query, &pair.client);
    pair.near.shutdown_write(pair.client.fd);
    let near = awaited(&query, &pair.client, &pair.server, State::FIN_WAIT2);
    assert_held(&near, &[at(&pair.near, &pair.client)]);
    let far = awaited(&query, &pair.server, &pair.client, State::CLOSE_WAIT);
    assert_held(&far, &[at(&pair.far, &pair.server)]);
    // Asked with the row of before, the answer is of now and says so.
    let now = owner_of(&query, &before.socket);
    assert_state(&now, State::FIN_WAIT2);
    assert!(now.changed);
    assert_held(&now, &[at(&pair.near, &pair.client)]);
}

fn both_ends_closing_at_once_have_their_owners() {
    let pair = Pair::new();
    let query = query();
    fill(&pair.near, &pair.client);
    pair.near.shutdown_write(pair.client.fd);
    let near = awaited(&query, &pair.client, &pair.server, State::FIN_WAIT1);
    assert_held(&near, &[at(&pair.near, &pair.client)]);
    pair.far.shutdown_write(pair.server.fd);
    let near = awaited(&query, &pair.client, &pair.server, State::CLOSING);
    assert_held(&near, &[at(&pair.near, &pair.client)]);
    let far = awaited(&query, &pair.server, &pair.client, State::FIN_WAIT2);
    assert_held(&far, &[at(&pair.far, &pair.server)]);
}

fn the_last_acknowledgement_is_awaited_without_a_holder() {
    let pair = Pair::new();
    let query = query();
    pair.near.shutdown_write(pair.client.fd);
    awaited(&query, &pair.server, &pair.client, State::CLOSE_WAIT);
    fill(&pair.far, &pair.server);
    pair.far.close(pair.server.fd);
    let far = awaited(&query, &pair.server, &pair.client, State::LAST_ACK);
    assert_is_nobodys(&far);
    assert_eq!(far.socket.cookie, pair.server.cookie);
    assert_held(&told(&query, &pair.client), &[at(&pair.near, &pair.client)]);
}

fn a_reset_connection_is_gone() {
    let pair = Pair::new();
    let query = query();
    let (near, far) = (told(&query, &pair.client), told(&query, &pair.server));
    pair.near.set_linger_zero(pair.client.fd);
    pair.near.close(pair.client.fd);
    for before in [near, far] {
        // The peer's descriptor is open still, but its connection has no address and is in no table.
        assert_unheld(&owner_of(&query, &before.socket), Reason::Gone);
    }
    assert_eq!(everything(&query).entries().len(), 1, "the listener");
}

fn a_reset_connection_keeps_the_address_it_chose() {
    let (near, far) = (Actor::spawn(), Actor::spawn());
    let listener = far.tcp_listen("127.0.0.1:0");
    let client = near.tcp_connect_from("127.0.0.1:3000", listener.addr);
    let server = far.accept(listener.fd);
    far.set_linger_zero(server.fd);
    far.close(server.fd);
    let query = query();
    let entry = awaited(&query, &client, &listener, State::CLOSE);
    assert_held(&entry, &[at(&near, &client)]);
    assert_eq!(entry.socket.cookie, client.cookie);
    let found = query.snapshot(&Filter::new().state(State::CLOSE)).unwrap();
    assert_eq!(found.entries().len(), 1);
    assert!(query.snapshot(&Filter::new().state(State::BOUND)).unwrap().entries().is_empty());
}

fn a_connection_that_is_not_answered_has_its_owner() {
    let (near, far) = (Actor::spawn(), Actor::spawn());
    let options = SocketOptions { backlog: Some(0), ..SocketOptions::default() };
    let listener = far.tcp_listen_with("127.0.0.1:0", options);
    near.tcp_connect(listener.addr);
    let late = near.tcp_connect_begin(listener.addr);
    let query = query();
    let entry = told_between(&query, &late, &listener);
    assert_state(&entry, State::SYN_SENT);
    assert_held(&entry, &[at(&near, &late)]);
    assert_eq!((entry.socket.cookie, entry.socket.uid), (late.cookie, Some(0)));
}

fn a_handshake_is_nobodys() {
    let (near, far) = (Actor::spawn(), Actor::spawn());
    let options = SocketOptions { defer_accept: true, ..SocketOptions::default() };
    let listener = far.tcp_listen_with("127.0.0.1:0", options);
    let client = near.tcp_connect(listener.addr);
    let query = query();
    let entry = awaited(&query, &listener, &client, State::SYN_RECV);
    assert_is_nobodys(&entry);
    assert_has_no_cgroup(&entry);
    assert_held(&told(&query, &client), &[at(&near, &client)]);
    // The data that was waited for makes it a connection: the same cookie, and a holder once it is accepted.
    near.send(client.fd, 1);
    let server = far.accept(listener.fd);
    assert_eq!(server.cookie, entry.socket.cookie);
    let now = owner_of(&query, &entry.socket);
    assert_held(&now, &[at(&far, &server)]);
    assert!(now.changed);
    assert_state(&now, State::ESTABLISHED);
}

fn states_are_asked_of_the_kernel() {
    let pair = Pair::new();
    let query = query();
    pair.near.shutdown_write(pair.client.fd);
    awaited(&query, &pair.client, &pair.server, State::FIN_WAIT2);
    let listed = |filter: Filter| -> Vec<_> {
        let found = query.snapshot(&filter).unwrap();
        found.iter().map(|entry| entry.socket.cookie).collect()
    };
    let tcp = || Filter::new().protocol(Protocol::Tcp);
    assert_eq!(listed(tcp().state(State::LISTEN)), [pair.listener.cookie]);
    assert_eq!(listed(tcp().state(State::FIN_WAIT2)), [pair.client.cookie]);
    let both = tcp().state(State::CLOSE_WAIT).state(State::LISTEN);
    assert_eq!(listed(both), [pair.listener.cookie, pair.server.cookie]);
    assert_eq!(listed(tcp().state(State::ESTABLISHED)), [0; 0]);
    assert_eq!(listed(Filter::new().protocol(Protocol::Udp)), [0; 0]);
    assert_eq!(who(&query, "udp/:1").entries().len(), 0);
}
