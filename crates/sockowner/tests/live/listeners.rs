//! Sockets that wait for others: what is told of them, and which of them an address means.

use sockowner::{Entry, Family, Filter, Match, Protocol, Query, Snapshot, State};
use sockowner_testkit::Requirement::OtherUser;
use sockowner_testkit::privileges::ORDINARY_UID;
use sockowner_testkit::{Actor, SocketOptions, netns};

use super::ask::{assert_held, assert_state, at, everything, query, told, who};
use super::seen::user_name;

tests! {
    Alone a_listener_is_told_whole;
    Host a_listener_is_told_among_the_hosts_processes;
    Alone an_ordinary_users_listener_is_theirs needs OtherUser;
    Alone reuseport_listeners_have_each_their_own_owner;
    Alone reuseport_listeners_can_be_held_by_two_users needs OtherUser;
    Alone a_dual_stack_listener_serves_ipv4;
    Alone a_v6only_listener_does_not_serve_ipv4;
    Alone an_ipv4_connection_to_a_dual_stack_listener_is_ipv6;
    Alone the_specific_listener_goes_before_the_wildcard;
    Alone udp_sockets_are_told_connected_or_not;
    Alone udp_wildcards_serve_specific_addresses;
    Alone listeners_come_first_and_in_order;
}

fn reuseport() -> SocketOptions {
    SocketOptions { reuseport: true, ..SocketOptions::default() }
}

fn v6only(only: bool) -> SocketOptions {
    SocketOptions { v6only: Some(only), ..SocketOptions::default() }
}

/// Cookie and match of each entry.
fn matches(found: &Snapshot) -> Vec<(u64, Match)> {
    found.iter().map(|entry| (entry.socket.cookie, entry.matched.unwrap())).collect()
}

fn a_listener_is_told_whole() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    let entry = told(&query(), &listener);
    let socket = &entry.socket;
    assert_eq!((socket.endpoint.protocol, socket.endpoint.family), (Protocol::Tcp, Family::Ipv4));
    assert_state(&entry, State::LISTEN);
    assert_eq!(socket.endpoint.remote, None);
    assert_eq!(socket.interface, None);
    assert_eq!(socket.netns, Some(netns::inode()));
    assert_eq!((socket.uid, entry.user.as_deref()), (Some(0), Some("root")));
    assert_eq!(socket.v6only, None);
    assert!(!entry.changed);
    assert_held(&entry, &[at(&actor, &listener)]);
    let process = &entry.attribution.holders()[0].process;
    assert_eq!(process.parent, std::process::id());
    let executable = process.executable.as_ref().unwrap();
    assert!(executable.verified && !executable.deleted);
}

fn a_listener_is_told_among_the_hosts_processes() {
    let actor = Actor::spawn();
    let (v4, v6) = (actor.tcp_listen("127.0.0.1:0"), actor.tcp_listen("[::1]:0"));
    let query = query();
    assert_held(&told(&query, &v4), &[at(&actor, &v4)]);
    let entry = told(&query, &v6);
    assert_held(&entry, &[at(&actor, &v6)]);
    assert_eq!(entry.socket.endpoint.family, Family::Ipv6);
    assert_eq!(entry.socket.netns, Some(netns::inode()));
}

fn an_ordinary_users_listener_is_theirs() {
    let actor = Actor::builder().uid(ORDINARY_UID).gid(ORDINARY_UID).spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    let entry = told(&query(), &listener);
    assert_eq!(entry.socket.uid, Some(ORDINARY_UID));
    assert_eq!(entry.user.as_deref(), user_name(ORDINARY_UID).as_deref());
    assert_held(&entry, &[at(&actor, &listener)]);
    assert_eq!(entry.attribution.holders()[0].process.uid, Some(ORDINARY_UID));
}

fn reuseport_listeners_have_each_their_own_owner() {
    let (one, two) = (Actor::spawn(), Actor::spawn());
    let first = one.tcp_listen_with("127.0.0.1:0", reuseport());
    let second = two.tcp_listen_with(first.addr, reuseport());
    let query = query();
    assert_held(&told(&query, &first), &[at(&one, &first)]);
    assert_held(&told(&query, &second), &[at(&two, &second)]);
    let mut both = matches(&who(&query, &first.addr.to_string()));
    both.sort_unstable();
    let mut cookies = [first.cookie, second.cookie];
    cookies.sort_unstable();
    assert_eq!(both, cookies.map(|cookie| (cookie, Match::Exact)));
}

/// The kernel refuses another user's socket in the group, so one of the group's is handed over.
fn reuseport_listeners_can_be_held_by_two_users() {
    let (one, maker) = (Actor::spawn(), Actor::spawn());
    let other = Actor::builder().uid(ORDINARY_UID).gid(ORDINARY_UID).spawn();
    let first = one.tcp_listen_with("127.0.0.1:0", reuseport());
    let second = maker.tcp_listen_with(first.addr, reuseport());
    let passed = maker.pass_fd(second.fd, &other);
    drop(maker);
    let query = query();
    assert_held(&told(&query, &first), &[at(&one, &first)]);
    let entry = told(&query, &passed);
    assert_held(&entry, &[at(&other, &passed)]);
    assert_eq!(entry.socket.uid, Some(0));
    assert_eq!(entry.attribution.holders()[0].process.uid, Some(ORDINARY_UID));
    assert_eq!(who(&query, &first.addr.to_string()).entries().len(), 2);
}

fn a_dual_stack_listener_serves_ipv4() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen_with("[::]:0", v6only(false));
    let query = query();
    let entry = told(&query, &listener);
    assert_eq!(entry.socket.v6only, Some(false));
    let port = listener.addr.port();
    for address in ["127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]"] {
        for pattern in [format!("{address}:{port}"), format!("tcp/{address}:{port}")] {
            let found = who(&query, &pattern);
            assert_eq!(matches(&found), [(listener.cookie, Match::Wildcard)], "{pattern}");
            assert_held(&found.entries()[0], &[at(&actor, &listener)]);
        }
    }
    for pattern in [format!(":{port}"), format!("[::]:{port}")] {
        assert_eq!(matches(&who(&query, &pattern)), [(listener.cookie, Match::Exact)], "{pattern}");
    }
    assert_eq!(matches(&who(&query, &format!("udp/127.0.0.1:{port}"))), []);
}

fn a_v6only_listener_does_not_serve_ipv4() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen_with("[::]:0", v6only(true));
    let query = query();
    assert_eq!(told(&query, &listener).socket.v6only, Some(true));
    let port = listener.addr.port();
    for address in ["127.0.0.1", "[::ffff:127.0.0.1]", "0.0.0.0"] {
        assert_eq!(matches(&who(&query, &format!("{address}:{port}"))), [], "{address}");
    }
    let served = who(&query, &format!("[::1]:{port}"));
    assert_eq!(matches(&served), [(listener.cookie, Match::Wildcard)]);
    // The port is free for an IPv4 listener, which then serves IPv4.
    let other = actor.tcp_listen(format!("0.0.0.0:{port}"));
    assert_eq!(matches(&who(&query, &format!("127.0.0.1:{port}"))), [(other.cookie, Match::Wildcard)]);
}

fn an_ipv4_connection_to_a_dual_stack_listener_is_ipv6() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen_with("[::]:0", v6only(false));
    let client = actor.tcp_connect(format!("127.0.0.1:{}", listener.addr.port()));
    let server = actor.accept(listener.fd);
    let mapped = actor.tcp_connect(format!("[::ffff:127.0.0.1]:{}", listener.addr.port()));
    let query = query();
    let family = |entry: &Entry| entry.socket.endpoint.family;
    for (sock, expected) in [(&client, Family::Ipv4), (&server, Family::Ipv6), (&mapped, Family::Ipv6)] {
        let entry = told(&query, sock);
        assert_eq!(family(&entry), expected);
        assert_held(&entry, &[at(&actor, sock)]);
    }
    let (a, b) = (listener.addr.port(), client.addr.port());
    for pattern in [
        format!("127.0.0.1:{a},127.0.0.1:{b}"),
        format!("tcp/127.0.0.1:{a}->127.0.0.1:{b}"),
        format!("[::ffff:127.0.0.1]:{a},[::ffff:127.0.0.1]:{b}"),
        format!("tcp/[::ffff:127.0.0.1]:{a},[::ffff:127.0.0.1]:{b}"),
        format!("tcp/:{a},:{b}"),
    ] {
        assert_eq!(matches(&who(&query, &pattern)), [(server.cookie, Match::Exact)], "{pattern}");
    }
}

fn the_specific_listener_goes_before_the_wildcard() {
    let (one, two) = (Actor::spawn(), Actor::spawn());
    let wildcard = one.tcp_listen_with("0.0.0.0:0", reuseport());
    let port = wildcard.addr.port();
    let specific = two.tcp_listen_with(format!("127.0.0.1:{port}"), reuseport());
    let dual = one.tcp_listen_with(format!("[::]:{port}"), v6only(true));
    let query = query();
    let found = who(&query, &format!("127.0.0.1:{port}"));
    assert_eq!(matches(&found), [(specific.cookie, Match::Exact)]);
    assert_held(&found.entries()[0], &[at(&two, &specific)]);
    let found = who(&query, &format!("127.0.0.2:{port}"));
    assert_eq!(matches(&found), [(wildcard.cookie, Match::Wildcard)]);
    assert_held(&found.entries()[0], &[at(&one, &wildcard)]);
    let mut all: Vec<_> = matches(&who(&query, &format!(":{port}")));
    all.sort_unstable();
    let mut cookies = [wildcard.cookie, specific.cookie, dual.cookie];
    cookies.sort_unstable();
    assert_eq!(all, cookies.map(|cookie| (cookie, Match::Exact)));
    // A connection to it does not stand in the listener's way, and is found with it.
    let client = one.tcp_connect(specific.addr);
    let server = two.accept(specific.fd);
    let found = matches(&who(&query, &specific.addr.to_string()));
    assert_eq!(found, [(specific.cookie, Match::Exact), (server.cookie, Match::Exact)]);
    assert_eq!(matches(&who(&query, &client.addr.to_string())), [(client.cookie, Match::Exact)]);
}

fn udp_sockets_are_told_connected_or_not() {
    let (one, two) = (Actor::spawn(), Actor::spawn());
    let (open, listener) = (one.udp_bind("127.0.0.1:0"), one.tcp_listen("127.0.0.1:0"));
    let unbound = two.udp_unbound(false);
    let connected = two.udp_connect(unbound.fd, open.addr);
    let query = query();
    let entry = told(&query, &open);
    assert_state(&entry, State::UNCONNECTED);
    assert_eq!(entry.socket.endpoint.protocol, Protocol::Udp);
    assert_held(&entry, &[at(&one, &open)]);
    let entry = told(&query, &connected);
    assert_state(&entry, State::ESTABLISHED);
    assert_held(&entry, &[at(&two, &connected)]);

    let listed = |filter: &Filter| cookies(&query, filter);
    let mut waiting = [open.cookie, listener.cookie];
    waiting.sort_unstable();
    assert_eq!(listed(&Filter::new().listening()), waiting);
    assert_eq!(listed(&Filter::new().state(State::ESTABLISHED)), [connected.cookie]);
    assert_eq!(listed(&Filter::new().protocol(Protocol::Udp).listening()), [open.cookie]);
    let pattern = format!("udp/{},{}", connected.addr, open.addr);
    assert_eq!(matches(&who(&query, &pattern)), [(connected.cookie, Match::Exact)]);
}

fn cookies(query: &Query, filter: &Filter) -> Vec<u64> {
    let found = query.snapshot(filter).unwrap();
    let mut cookies: Vec<_> = found.iter().map(|entry| entry.socket.cookie).collect();
    cookies.sort_unstable();
    cookies
}

fn udp_wildcards_serve_specific_addresses() {
    let actor = Actor::spawn();
    let dual = actor.udp_bind_with("[::]:0", v6only(false));
    let port = dual.addr.port();
    let query = query();
    let asked = |address: &str| matches(&who(&query, &format!("{address}:{port}")));
    assert_eq!(told(&query, &dual).socket.v6only, Some(false));
    assert_eq!(asked("127.0.0.1"), [(dual.cookie, Match::Wildcard)]);
    // A socket with a peer serves nobody else.
    let peer = actor.udp_bind("[::1]:0");
    actor.udp_connect(dual.fd, peer.addr);
    assert_eq!(asked("127.0.0.1"), []);
    assert_eq!(asked("[::1]"), [(dual.cookie, Match::Exact)], "the kernel gave it this address");
}

fn listeners_come_first_and_in_order() {
    let actor = Actor::spawn();
    let waiting = [
        actor.tcp_listen("127.0.0.1:4001"),
        actor.tcp_listen("127.0.0.2:4001"),
        actor.tcp_listen("0.0.0.0:4002"),
        actor.udp_bind("127.0.0.1:4000"),
    ];
    let client = actor.tcp_connect_from("127.0.0.1:3000", waiting[0].addr);
    let server = actor.accept(waiting[0].fd);
    let expected: Vec<_> = waiting.iter().chain([&client, &server]).map(|sock| sock.cookie).collect();
    let found: Vec<_> = everything(&query()).iter().map(|entry| entry.socket.cookie).collect();
    assert_eq!(found, expected);
}
