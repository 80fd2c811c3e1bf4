//! Sockets of other network namespaces.

use std::collections::BTreeSet;

use sockowner::{Entry, Filter, GapReason, Protocol, Query, Source, State};
use sockowner_testkit::{Actor, Sock, netns};

use super::ask::{assert_held, at, query};

tests! {
    Host the_same_addresses_in_two_namespaces_are_two_endpoints;
    Host without_iterators_other_namespaces_are_a_gap;
}

const PORT: u16 = 4713;

/// An actor with a listener and a datagram socket.
fn spread() -> (Actor, Sock, Sock, u64) {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen(format!("[::1]:{PORT}"));
    let datagrams = actor.udp_bind(format!("127.0.0.1:{PORT}"));
    (actor, listener, datagrams, netns::inode())
}

fn the_same_addresses_in_two_namespaces_are_two_endpoints() {
    let here = spread();
    let there = netns::inside(spread);
    let query = query();
    let all = query.snapshot(&Filter::new().every_namespace()).unwrap();
    let find = |sock: &Sock, netns| -> Entry {
        let is_it = |e: &&Entry| e.socket.netns == Some(netns) && e.socket.cookie == sock.cookie;
        let mut found = all.iter().filter(is_it);
        let entry = found.next().unwrap().clone();
        assert!(found.next().is_none());
        entry
    };
    for (actor, listener, datagrams, netns) in [&here, &there] {
        let entry = find(listener, *netns);
        assert_held(&entry, &[at(actor, listener)]);
        assert_eq!(entry.socket.endpoint.to_string(), format!("tcp [::1]:{PORT} LISTEN"));
        // As sock_diag tells it at home.
        let home = find(&here.1, here.3).socket;
        assert_eq!((entry.socket.v6only, entry.socket.uid), (home.v6only, home.uid));
        assert_eq!((entry.socket.cgroup, home.uid), (home.cgroup, Some(0)));
        let entry = find(datagrams, *netns);
        assert_held(&entry, &[at(actor, datagrams)]);
        assert_eq!(entry.socket.endpoint.state, State::UNCONNECTED);
    }
    let is_told = |source| all.gaps().iter().any(|gap| gap.source == source);
    assert!(is_told("sock_diag"), "what nobody holds there is not told: {:?}", all.gaps());
    let tcp = query.snapshot(&Filter::new().every_namespace().protocol(Protocol::Tcp)).unwrap();
    assert!(tcp.iter().all(|entry| entry.socket.endpoint.protocol == Protocol::Tcp));
    let home = query.snapshot(&Filter::new()).unwrap();
    assert_eq!(home.iter().map(|e| e.socket.netns).collect::<BTreeSet<_>>(), BTreeSet::from([Some(here.3)]));
}

fn without_iterators_other_namespaces_are_a_gap() {
    let (_actor, _, _, netns) = netns::inside(spread);
    let query = Query::builder().source(Source::Proc).open().unwrap();
    let all = query.snapshot(&Filter::new().every_namespace()).unwrap();
    assert!(all.iter().all(|entry| entry.socket.netns != Some(netns)));
    assert!(all.gaps().iter().any(|g| g.source == "bpf" && g.reason == GapReason::NotPermitted));
}
