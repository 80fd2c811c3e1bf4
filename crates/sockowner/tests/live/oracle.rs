//! The whole of a busy machine, compared with what ss(8) of iproute2 says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::process::{Command, Stdio};

use sockowner::{Address, Entry, Holder, Protocol, State};
use sockowner_testkit::Requirement::OtherUser;
use sockowner_testkit::privileges::ORDINARY_UID;
use sockowner_testkit::{Actor, Requirement, Sock, SocketOptions};

use super::ask::{awaited, everything, query};
use super::states::{Pair, fill};

tests! {
    Alone a_busy_machine_is_told_as_ss_tells_it needs OtherUser, SS;
    Host a_small_table_is_told_as_ss_tells_it needs SS;
}

const SS: Requirement = Requirement::Custom("ss of iproute2", || {
    let status = Command::new("ss").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(status.to_string()),
        Err(error) => Err(error.to_string()),
    }
});

/// One line of ss, or one entry. An address is `None` for any, as ss has one star for both families.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    state: &'static str,
    local: (Option<IpAddr>, u16),
    peer: (Option<IpAddr>, u16),
    inode: u64,
    uid: u32,
    /// Process and descriptor.
    holders: BTreeSet<(u32, i32)>,
}

/// By protocol and cookie.
type Table = BTreeMap<(Protocol, u64), Row>;

const STATES: [(State, &str); 12] = [
    (State::LISTEN, "LISTEN"),
    (State::SYN_SENT, "SYN-SENT"),
    (State::SYN_RECV, "SYN-RECV"),
    (State::ESTABLISHED, "ESTAB"),
    (State::FIN_WAIT1, "FIN-WAIT-1"),
    (State::FIN_WAIT2, "FIN-WAIT-2"),
    (State::TIME_WAIT, "TIME-WAIT"),
    (State::CLOSE_WAIT, "CLOSE-WAIT"),
    (State::LAST_ACK, "LAST-ACK"),
    (State::CLOSING, "CLOSING"),
    (State::UNCONNECTED, "UNCONN"),
    // ss asks for these only when told to.
    (State::BOUND, "UNCONN"),
];

fn by_ss() -> Table {
    let mut table = Table::new();
    for (protocol, option) in [(Protocol::Tcp, "-t"), (Protocol::Udp, "-u")] {
        let output = Command::new("ss").args(["-O", "-H", "-n", "-a", "-e", "-p", option]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let (cookie, row) = parse(line).unwrap_or_else(|| panic!("not understood: {line}"));
            assert!(table.insert((protocol, cookie), row).is_none(), "told twice: {line}");
        }
    }
    table
}

/// `ESTAB 0 0 127.0.0.1:80%lo 127.0.0.1:3000 users:(("a",pid=1,fd=3)) uid:1000 ino:7 sk:1f cgroup:/ <->`
fn parse(line: &str) -> Option<(u64, Row)> {
    let words: Vec<_> = line.split_whitespace().collect();
    let state = STATES.iter().find(|(_, name)| name == words.first().unwrap_or(&""))?.1;
    let word = |name: &str| words.iter().find_map(|word| word.strip_prefix(name));
    let cookie = u64::from_str_radix(word("sk:")?, 16).ok()?;
    let holders = word("users:").unwrap_or_default().split("pid=").skip(1).map(|part| {
        let (pid, rest) = part.split_once(",fd=")?;
        Some((pid.parse().ok()?, rest.split(')').next()?.parse().ok()?))
    });
    let row = Row {
        state,
        local: parse_address(words.get(3)?)?,
        peer: parse_address(words.get(4)?)?,
        inode: word("ino:")?.parse().ok()?,
        // Root's is left out.
        uid: word("uid:").map_or(Some(0), |uid| uid.parse().ok())?,
        holders: holders.collect::<Option<_>>()?,
    };
    Some((cookie, row))
}

fn parse_address(text: &str) -> Option<(Option<IpAddr>, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.split('%').next()?.trim_start_matches('[').trim_end_matches(']');
    let ip = if host == "*" { None } else { Some(host.parse().ok()?) };
    let port = if port == "*" { 0 } else { port.parse().ok()? };
    Some((ip.filter(|ip: &IpAddr| !ip.is_unspecified()), port))
}

/// The entry as ss would tell it.
fn by_library(entry: &Entry) -> Row {
    let endpoint = entry.socket.endpoint;
    let side = |address: Address| (Some(address.ip).filter(|ip| !ip.is_unspecified()), address.port);
    // ss reads /proc/PID/fd alone: no threads with a table of their own, no process whose main thread has ended.
    let is_seen_by_ss = |holder: &&Holder| holder.tid == holder.process.pid;
    Row {
        state: STATES.iter().find(|(state, _)| *state == endpoint.state).unwrap().1,
        local: side(endpoint.local),
        peer: endpoint.remote.map_or((None, 0), side),
        inode: entry.socket.inode,
        // Where there is no user the kernel says 0, and the library nothing.
        uid: entry.socket.uid.unwrap_or(0),
        holders: entry
            .attribution
            .holders()
            .iter()
            .filter(is_seen_by_ss)
            .map(|holder| (holder.process.pid, holder.fd))
            .collect(),
    }
}

/// Compares the two tables of this namespace, and yields the states that were met.
fn compare() -> BTreeSet<State> {
    let all = everything(&query());
    let mut theirs = by_ss();
    // A newer ss may list them all the same.
    theirs.retain(|(protocol, _), row| *protocol == Protocol::Udp || row.state != "UNCONN");
    let is_told_by_ss = |entry: &&Entry| entry.socket.endpoint.state != State::BOUND;
    let ours: Table = all
        .iter()
        .filter(is_told_by_ss)
        .map(|entry| ((entry.socket.endpoint.protocol, entry.socket.cookie), by_library(entry)))
        .collect();
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (key, row) in &ours {
        assert_eq!(Some(row), theirs.get(key), "{key:?}");
    }
    all.iter().map(|entry| entry.socket.endpoint.state).collect()
}

fn options() -> SocketOptions {
    SocketOptions::default()
}

/// One connection in each state in which one can be kept, and all that live in it.
fn every_state() -> (Vec<Pair>, Vec<Actor>) {
    let query = query();
    let half_closed = Pair::new();
    half_closed.near.shutdown_write(half_closed.client.fd);

    let orphan = Pair::new();
    fill(&orphan.near, &orphan.client);
    orphan.near.close(orphan.client.fd);

    let abandoned = Pair::new();
    abandoned.near.close(abandoned.client.fd);

    let over = Pair::new();
    over.near.close(over.client.fd);
    over.far.close(over.server.fd);

    let last = Pair::new();
    last.near.shutdown_write(last.client.fd);
    awaited(&query, &last.server, &last.client, State::CLOSE_WAIT);
    fill(&last.far, &last.server);
    last.far.close(last.server.fd);

    let crossing = Pair::new();
    fill(&crossing.near, &crossing.client);
    crossing.near.shutdown_write(crossing.client.fd);
    crossing.far.shutdown_write(crossing.server.fd);

    let (near, far) = (Actor::spawn(), Actor::spawn());
    let full = far.tcp_listen_with("127.0.0.1:0", SocketOptions { backlog: Some(0), ..options() });
    near.tcp_connect(full.addr);
    near.tcp_connect_begin(full.addr);
    let deferring = far.tcp_listen_with("127.0.0.1:0", SocketOptions { defer_accept: true, ..options() });
    near.tcp_connect(deferring.addr);
    far.tcp_bind_only("127.0.0.1:0");

    awaited(&query, &orphan.client, &orphan.server, State::FIN_WAIT1);
    for pair in [&half_closed, &abandoned] {
        awaited(&query, &pair.client, &pair.server, State::FIN_WAIT2);
    }
    awaited(&query, &over.client, &over.server, State::TIME_WAIT);
    awaited(&query, &last.server, &last.client, State::LAST_ACK);
    awaited(&query, &crossing.client, &crossing.server, State::CLOSING);
    (vec![half_closed, orphan, abandoned, over, last, crossing], vec![near, far])
}

/// Two dozen actors, each with sockets of all sorts, some of them with one another's.
fn crowd() -> Vec<Actor> {
    let actors: Vec<_> = (0..24)
        .map(|number| match number % 3 {
            0 => Actor::builder().uid(ORDINARY_UID).gid(ORDINARY_UID).spawn(),
            _ => Actor::spawn(),
        })
        .collect();
    let shared = SocketOptions { reuseport: true, ..options() };
    for pair in actors.windows(2) {
        let [one, two] = pair else { unreachable!("windows of two") };
        let listeners: Vec<Sock> = ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"]
            .iter()
            .map(|address| one.tcp_listen_with(address, shared.clone()))
            .collect();
        let v6only = SocketOptions { v6only: Some(true), ..options() };
        one.tcp_listen_with("[::]:0", v6only.clone());
        one.udp_bind_with("[::]:0", v6only);
        let datagrams = one.udp_bind("127.0.0.1:0");
        let unbound = two.udp_unbound(false);
        two.udp_connect(unbound.fd, datagrams.addr);
        two.udp_bind("[::]:0");
        for (host, listener) in ["127.0.0.1", "127.0.0.2", "[::1]", "127.0.0.1"].iter().zip(&listeners) {
            two.tcp_connect(format!("{host}:{}", listener.addr.port()));
        }
        one.accept(listeners[1].fd);
        one.accept(listeners[3].fd);
        one.pass_fd(listeners[0].fd, two);
        one.pass_fd(listeners[2].fd, one);
    }
    for actor in actors.iter().step_by(5) {
        actor.fork();
        actor.fork();
        actor.thread_with_own_fd_table("127.0.0.1:0");
    }
    actors
}

fn a_busy_machine_is_told_as_ss_tells_it() {
    let _crowd = crowd();
    let _lives = every_state();
    let expected: BTreeSet<_> = STATES.iter().map(|(state, _)| *state).collect();
    let mut met = compare();
    if super::states::TELLS_BOUND.check().is_err() {
        met.insert(State::BOUND);
    }
    assert_eq!(met, expected);
}

/// Among the host's processes.
fn a_small_table_is_told_as_ss_tells_it() {
    let pair = Pair::new();
    pair.near.fork();
    pair.far.udp_bind("[::]:0");
    assert_eq!(compare(), [State::LISTEN, State::ESTABLISHED, State::UNCONNECTED].into());
}
