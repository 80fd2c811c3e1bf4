//! MPTCP sockets, and the TCP sockets below them.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::process::Command;

use rustix::net::{AddressFamily, SocketType, connect, ipproto, socket};
use sockowner::{Entry, Filter, Match, Protocol, Query, Reason, State};
use sockowner_testkit::Requirement::{self, Interface, OtherUser};
use sockowner_testkit::privileges::{ORDINARY_UID, become_user};
use sockowner_testkit::{Actor, Sock, SocketOptions, eventually, netns};

use super::ask::{assert_held, assert_state, assert_unheld, at, everything, owner_of, query, who};

tests! {
    Alone an_mptcp_connection_has_its_subflows needs MPTCP;
    Alone an_mptcp_connection_of_ipv6_has_its_subflows needs MPTCP;
    Alone a_client_of_tcp_alone_meets_an_mptcp_listener needs MPTCP;
    Alone what_falls_back_to_tcp_is_still_held needs MPTCP;
    Alone a_connection_nobody_accepted_has_no_holder needs MPTCP;
    Alone further_subflows_have_the_same_holder needs MPTCP, Interface, IP_MPTCP;
    Alone a_user_is_told_of_his_own_subflows needs MPTCP, OtherUser;
    Host other_namespaces_have_mptcp_sockets needs MPTCP;
}

const MPTCP: Requirement = Requirement::Custom("MPTCP", || {
    let enabled =
        std::fs::read_to_string("/proc/sys/net/mptcp/enabled").map_err(|error| error.to_string())?;
    if enabled.trim() == "1" { Ok(()) } else { Err("net.mptcp.enabled is 0".to_owned()) }
});

const IP_MPTCP: Requirement = Requirement::Custom("ip mptcp", || {
    let ended = Command::new("ip").args(["mptcp", "limits"]).output().map_err(|error| error.to_string())?;
    if ended.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&ended.stderr).into_owned()) }
});

fn listen(actor: &Actor, addr: &str) -> Sock {
    actor.tcp_listen_with(addr, SocketOptions { mptcp: true, ..SocketOptions::default() })
}

/// A connection that this process has.
fn connected(to: SocketAddr) -> TcpStream {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket(family, SocketType::STREAM, Some(ipproto::MPTCP)).unwrap();
    connect(&socket, &to).unwrap();
    socket.into()
}

/// What is told of `protocol` with this local address.
fn of(all: &[Entry], protocol: Protocol, local: SocketAddr, state: State) -> Entry {
    let mut found = all.iter().filter(|entry| {
        let endpoint = entry.socket.endpoint;
        endpoint.protocol == protocol && endpoint.local == local.into() && endpoint.state == state
    });
    let entry = found.next().unwrap_or_else(|| panic!("no {protocol} {local} {state}")).clone();
    assert!(found.next().is_none());
    entry
}

/// An MPTCP socket and the TCP socket below it are told, with the same file and the same holder.
fn assert_both(query: &Query, local: SocketAddr, state: State, holder: (u32, u32, i32)) -> [Entry; 2] {
    let all = everything(query).into_parts().0;
    let [whole, subflow] = [Protocol::Mptcp, Protocol::Tcp].map(|protocol| of(&all, protocol, local, state));
    for entry in [&whole, &subflow] {
        assert_held(entry, &[holder]);
        assert_held(&owner_of(query, &entry.socket), &[holder]);
        assert_state(&owner_of(query, &entry.socket), state);
    }
    assert!(!whole.socket.is_subflow && subflow.socket.is_subflow);
    assert_eq!(whole.socket.inode, subflow.socket.inode);
    assert_eq!(whole.socket.cgroup, subflow.socket.cgroup);
    [whole, subflow]
}

fn an_mptcp_connection_has_its_subflows() {
    a_connection_is_told("127.0.0.1");
}

fn an_mptcp_connection_of_ipv6_has_its_subflows() {
    a_connection_is_told("[::1]");
}

fn a_connection_is_told(host: &str) {
    let actor = Actor::spawn();
    let listener = listen(&actor, &format!("{host}:0"));
    let client = connected(listener.addr);
    let server = actor.accept(listener.fd);
    let query = query();
    let own = std::process::id();
    let here = client.local_addr().unwrap();
    assert_both(&query, listener.addr, State::LISTEN, at(&actor, &listener));
    assert_both(&query, here, State::ESTABLISHED, (own, own, client.as_raw_fd()));
    let [whole, subflow] = assert_both(&query, server.addr, State::ESTABLISHED, at(&actor, &server));
    assert_eq!(everything(&query).entries().len(), 6);

    // By name: both, or one; the connection too.
    let protocols = |pattern: &str| {
        let found = who(&query, pattern);
        assert!(found.iter().all(|entry| entry.matched == Some(Match::Exact)));
        found.iter().map(|entry| entry.socket.endpoint.protocol).collect::<Vec<_>>()
    };
    assert_eq!(protocols(&here.to_string()), [Protocol::Tcp, Protocol::Mptcp]);
    assert_eq!(protocols(&format!("mptcp/{here}")), [Protocol::Mptcp]);
    assert_eq!(protocols(&format!("tcp/{here}")), [Protocol::Tcp]);
    let connection = who(&query, &format!("{},{here}", listener.addr)).into_parts().0;
    assert_eq!(connection.len(), 2);
    let told = of(&connection, Protocol::Tcp, server.addr, State::ESTABLISHED);
    assert_eq!(told.socket, subflow.socket);
    assert_eq!(connection[1].socket, whole.socket);

    // By filter.
    let only = |filter: Filter| query.snapshot(&filter).unwrap().into_parts().0;
    let mptcp = only(Filter::new().protocol(Protocol::Mptcp));
    assert!(mptcp.len() == 3 && mptcp.iter().all(|e| e.socket.endpoint.protocol == Protocol::Mptcp));
    let tcp = only(Filter::new().protocol(Protocol::Tcp));
    assert!(tcp.len() == 3 && tcp.iter().all(|e| e.socket.endpoint.protocol == Protocol::Tcp));
    let established = only(Filter::new().state(State::ESTABLISHED));
    assert_eq!(established.len(), 4);
    let below = established.iter().filter(|entry| entry.socket.is_subflow);
    assert_eq!(below.count(), 2);
}

fn a_client_of_tcp_alone_meets_an_mptcp_listener() {
    let actor = Actor::spawn();
    let listener = listen(&actor, "127.0.0.1:0");
    let client = actor.tcp_connect(listener.addr);
    let server = actor.accept(listener.fd);
    let query = query();
    assert_both(&query, listener.addr, State::LISTEN, at(&actor, &listener));
    let all = everything(&query).into_parts().0;
    for sock in [&client, &server] {
        let entry = of(&all, Protocol::Tcp, sock.addr, State::ESTABLISHED);
        assert_held(&entry, &[at(&actor, sock)]);
        assert!(!entry.socket.is_subflow, "it is no MPTCP connection");
    }
    assert_eq!(all.len(), 4);
}

fn what_falls_back_to_tcp_is_still_held() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    let client = connected(listener.addr);
    let server = actor.accept(listener.fd);
    let query = query();
    let own = std::process::id();
    let here = client.local_addr().unwrap();
    assert_both(&query, here, State::ESTABLISHED, (own, own, client.as_raw_fd()));
    let all = everything(&query).into_parts().0;
    assert_held(&of(&all, Protocol::Tcp, server.addr, State::ESTABLISHED), &[at(&actor, &server)]);
}

fn a_connection_nobody_accepted_has_no_holder() {
    let actor = Actor::spawn();
    let listener = listen(&actor, "127.0.0.1:0");
    let _client = connected(listener.addr);
    eventually("it can be accepted", || actor.is_ready(listener.fd).then_some(()));
    let all = everything(&query()).into_parts().0;
    for protocol in [Protocol::Mptcp, Protocol::Tcp] {
        let entry = of(&all, protocol, listener.addr, State::ESTABLISHED);
        assert_unheld(&entry, Reason::NoHolder);
        assert_eq!((entry.socket.inode, entry.socket.is_subflow), (0, false), "no file tells");
    }
}

/// The kernel makes further subflows by itself, from other addresses and ports.
fn further_subflows_have_the_same_holder() {
    let ip = |words: &str| {
        let ended = Command::new("ip").args(words.split(' ')).output().unwrap();
        assert!(ended.status.success(), "ip {words}: {}", String::from_utf8_lossy(&ended.stderr));
    };
    netns::add_dummy("many0", &["10.9.0.1/24", "10.9.0.2/24"]).unwrap();
    ip("mptcp limits set subflow 2 add_addr_accepted 2");
    ip("mptcp endpoint add 10.9.0.2 dev many0 subflow");
    let actor = Actor::spawn();
    let listener = listen(&actor, "0.0.0.0:4711");
    let mut client = connected("10.9.0.1:4711".parse().unwrap());
    let server = actor.accept(listener.fd);
    // A subflow joins once data was acknowledged.
    std::io::Write::write_all(&mut client, b"x").unwrap();
    assert_eq!(actor.send(server.fd, 1), 1);
    let query = query();
    let own = std::process::id();
    let joined = eventually("a second subflow joins on both sides", || {
        let all = everything(&query).into_parts().0;
        let is_joined = |entry: &&Entry| {
            let endpoint = entry.socket.endpoint;
            let sides =
                [Some(endpoint.local), endpoint.remote].map(|side| side.map(|side| side.ip.to_string()));
            endpoint.protocol == Protocol::Tcp
                && endpoint.state == State::ESTABLISHED
                && sides.contains(&Some("10.9.0.2".to_owned()))
        };
        let joined: Vec<_> = all.iter().filter(is_joined).cloned().collect();
        (joined.len() == 2).then_some((joined, all))
    });
    let (joined, all) = joined;
    let here = client.local_addr().unwrap();
    let whole = of(&all, Protocol::Mptcp, here, State::ESTABLISHED);
    let theirs = of(&all, Protocol::Mptcp, server.addr, State::ESTABLISHED);
    for entry in &joined {
        let is_client = entry.socket.endpoint.remote.unwrap().port == 4711;
        let (of, holder) =
            if is_client { (&whole, (own, own, client.as_raw_fd())) } else { (&theirs, at(&actor, &server)) };
        assert!(entry.socket.is_subflow);
        assert_eq!(entry.socket.inode, of.socket.inode);
        assert_held(entry, &[holder]);
        // Its port is none of the MPTCP socket's; asked for alone it is linked all the same.
        let found = who(&query, &entry.socket.endpoint.local.to_string());
        let same = found.iter().find(|other| other.socket.cookie == entry.socket.cookie).unwrap();
        assert!(same.socket.is_subflow);
        let remote = entry.socket.endpoint.remote.unwrap();
        let found = who(&query, &format!("{},{remote}", entry.socket.endpoint.local));
        assert!(found.entries()[0].socket.is_subflow);
    }
}

fn a_user_is_told_of_his_own_subflows() {
    let own = Actor::builder().uid(ORDINARY_UID).gid(ORDINARY_UID).spawn();
    let (listener, roots) = (listen(&own, "127.0.0.1:0"), Actor::spawn());
    let theirs = listen(&roots, "127.0.0.1:0");
    become_user(ORDINARY_UID, ORDINARY_UID).unwrap();
    let query = Query::new().unwrap();
    let all = query.snapshot(&Filter::new()).unwrap().into_parts().0;
    let [whole, subflow] =
        [Protocol::Mptcp, Protocol::Tcp].map(|protocol| of(&all, protocol, listener.addr, State::LISTEN));
    assert_held(&whole, &[at(&own, &listener)]);
    assert_held(&subflow, &[at(&own, &listener)]);
    assert!(subflow.socket.is_subflow);
    let [whole, subflow] =
        [Protocol::Mptcp, Protocol::Tcp].map(|protocol| of(&all, protocol, theirs.addr, State::LISTEN));
    assert_unheld(&whole, Reason::NotPermitted);
    assert!(subflow.socket.is_subflow);
}

fn other_namespaces_have_mptcp_sockets() {
    let spread = || {
        let actor = Actor::spawn();
        let listener = listen(&actor, "127.0.0.1:4711");
        (actor, listener, netns::inode())
    };
    let here = spread();
    let there = netns::inside(spread);
    let all = query().snapshot(&Filter::new().every_namespace()).unwrap().into_parts().0;
    for (actor, listener, netns) in [&here, &there] {
        let theirs: Vec<_> = all.iter().filter(|e| e.socket.netns == Some(*netns)).cloned().collect();
        let whole = of(&theirs, Protocol::Mptcp, listener.addr, State::LISTEN);
        let subflow = of(&theirs, Protocol::Tcp, listener.addr, State::LISTEN);
        assert_held(&whole, &[at(actor, listener)]);
        assert_held(&subflow, &[at(actor, listener)]);
        assert!(subflow.socket.is_subflow);
        assert_eq!(theirs.len(), 2);
    }
}
