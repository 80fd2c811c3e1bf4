//! c42, c49, c50, and what the tables hold: compared with what the kernel shows in `/proc/thread-self/net`.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;

use sockowner_testkit::seccomp::{self, Call, Errno};
use sockowner_testkit::{Actor, Requirement, Sock, eventually, netns};

use super::call::{extended, plain, rows};
use super::row::{Kind, Row};
use super::workshop::{Compiler, Program, succeed};

tests! {
    Outside c42_netlink_refused_is_5 needs GCC, SECCOMP;
    Host c49_rows_are_in_the_order_of_numbers needs Requirement::Root;
    Host c50_time_wait_is_there_without_an_owner;
    Host tables_hold_what_the_kernel_shows;
    Host a_bound_socket_is_in_module_tables_alone;
    Host a_scope_is_the_interfaces_index needs Requirement::Interface;
}

const GCC: Requirement = Requirement::Custom("a C program", || Compiler::Gcc.supported());
const SECCOMP: Requirement = Requirement::Custom("seccomp", seccomp::supported);

const LISTEN: u32 = 2;
const TIME_WAIT: u32 = 11;
const BOUND: u32 = 100;

fn c42_netlink_refused_is_5() {
    let refused = Program { name: "refused", sources: &["refused.c", "check.c"] }.compiled(Compiler::Gcc);
    for (errno, code) in [(Errno::PERM, "5"), (Errno::ACCESS, "5"), (Errno::AFNOSUPPORT, "31")] {
        let mut command = Command::new(&refused);
        seccomp::refuse(&mut command, Call::NetlinkSocket, errno);
        succeed(command.arg(code));
    }
}

fn locals(kind: Kind) -> Vec<SocketAddr> {
    rows(kind).iter().map(Row::local).collect()
}

fn parsed<const N: usize>(addresses: [&str; N]) -> Vec<SocketAddr> {
    addresses.iter().map(|address| address.parse().unwrap()).collect()
}

fn c49_rows_are_in_the_order_of_numbers() {
    netns::add_address("lo", "192.168.0.1/32").unwrap();
    netns::add_address("lo", "10.0.0.1/32").unwrap();
    netns::add_address("lo", "2001:db8::1/128").unwrap();
    let actor = Actor::spawn();
    let v4 = ["10.0.0.1:256", "127.0.0.1:9", "127.0.0.1:10", "127.0.0.1:256", "192.168.0.1:9"];
    let v6 = ["[::1]:9", "[::1]:10", "[::1]:256", "[2001:db8::1]:9"];
    // Made in another order, so that the kernel's is not the answer.
    for at in [3, 0, 4, 2, 1] {
        actor.tcp_listen(v4[at]);
        actor.udp_bind(v4[at]);
    }
    for at in [2, 3, 0, 1] {
        actor.tcp_listen(v6[at]);
        actor.udp_bind(v6[at]);
    }
    for (kind, expected) in [(Kind::Tcp, parsed(v4)), (Kind::Udp, parsed(v4))] {
        assert_eq!(locals(kind), expected, "{kind:?}");
    }
    for (kind, expected) in [(Kind::Tcp6, parsed(v6)), (Kind::Udp6, parsed(v6))] {
        assert_eq!(locals(kind), expected, "{kind:?}");
    }
    // One local side: the remote one decides.
    for remote in ["127.0.0.1:256", "10.0.0.1:256", "127.0.0.1:10"] {
        actor.tcp_connect_from("127.0.0.1:5000", remote);
    }
    let all = rows(Kind::Tcp);
    let of_one: Vec<_> = all.iter().filter(|row| row.local().port() == 5000).map(Row::remote).collect();
    let expected = parsed(["10.0.0.1:256", "127.0.0.1:10", "127.0.0.1:256"]);
    assert_eq!(of_one, expected.into_iter().map(Some).collect::<Vec<_>>());
}

/// The states of rows with this local address.
fn states_at(local: SocketAddr) -> Vec<Row> {
    rows(Kind::Tcp).into_iter().filter(|row| row.local() == local).collect()
}

/// A connection whose near side has been closed, and so is in `TIME_WAIT`.
fn time_wait(near: &Actor, far: &Actor, listener: &Sock) -> SocketAddr {
    let client = near.tcp_connect(listener.addr);
    let server = far.accept(listener.fd);
    near.close_first(client.fd, far, server.fd);
    client.addr
}

fn c50_time_wait_is_there_without_an_owner() {
    let (near, far) = (Actor::spawn(), Actor::spawn());
    let listener = far.tcp_listen("127.0.0.1:0");
    let local = time_wait(&near, &far, &listener);
    let row = eventually("TIME_WAIT", || {
        let row = states_at(local).pop()?;
        (row.state() == Some(TIME_WAIT)).then_some(row)
    });
    assert_eq!((row.remote(), row.pid(), row.info()), (Some(listener.addr), 0, [0; 16]));
    assert_eq!(super::call::module(&row), Err(super::call::NOT_FOUND));
}

/// A socket as both sides tell it: local, remote (TCP alone), state (TCP alone).
type Shown = (SocketAddr, Option<SocketAddr>, Option<u32>);

/// The lines of `/proc/thread-self/net/{tcp,tcp6,udp,udp6}`, which leave bound sockets out.
fn shown(kind: Kind) -> BTreeSet<Shown> {
    let name = match kind {
        Kind::Tcp => "tcp",
        Kind::Tcp6 => "tcp6",
        Kind::Udp => "udp",
        Kind::Udp6 => "udp6",
    };
    let text = fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap();
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let state = |number| kind.is_tcp().then(|| told_state(number));
        let remote = kind.is_tcp().then(|| address(fields[2]));
        (address(fields[1]), remote, state(u8::from_str_radix(fields[3], 16).unwrap()))
    };
    text.lines().skip(1).map(line).collect()
}

/// The contract's numbers for Linux' own.
fn told_state(linux: u8) -> u32 {
    match linux {
        1 => 5,
        2 => 3,
        3 => 4,
        4 => 6,
        5 => 7,
        6 => TIME_WAIT,
        8 => 8,
        9 => 10,
        10 => LISTEN,
        11 => 9,
        other => panic!("no state of a connection: {other}"),
    }
}

/// `0100007F:1F90`: 32-bit words as this machine has them in memory, then the port as a number.
fn address(text: &str) -> SocketAddr {
    let (words, port) = text.split_once(':').unwrap();
    let words = words.as_bytes().chunks(8);
    let bytes: Vec<u8> = words
        .flat_map(|word| u32::from_str_radix(std::str::from_utf8(word).unwrap(), 16).unwrap().to_ne_bytes())
        .collect();
    let ip: IpAddr = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(bytes) => Ipv4Addr::from(bytes).into(),
        Err(_) => Ipv6Addr::from(<[u8; 16]>::try_from(bytes.as_slice()).unwrap()).into(),
    };
    SocketAddr::new(ip, u16::from_str_radix(port, 16).unwrap())
}

fn told(kind: Kind) -> BTreeSet<Shown> {
    let all = rows(kind).into_iter().filter(|row| row.state() != Some(BOUND));
    all.map(|row| (row.local(), row.remote(), row.state())).collect()
}

fn tables_hold_what_the_kernel_shows() {
    let (near, far) = (Actor::spawn(), Actor::spawn());
    for (wildcard, loopback) in [("0.0.0.0:0", "127.0.0.1"), ("[::]:0", "[::1]")] {
        let listener = far.tcp_listen(wildcard);
        let target: SocketAddr = format!("{loopback}:{}", listener.addr.port()).parse().unwrap();
        let listener = Sock { addr: target, ..listener };
        // ESTABLISHED, CLOSE_WAIT and FIN_WAIT2, TIME_WAIT.
        near.tcp_connect(target);
        far.accept(listener.fd);
        let closing = near.tcp_connect(target);
        far.accept(listener.fd);
        near.shutdown_write(closing.fd);
        time_wait(&near, &far, &listener);
        let bound = near.udp_bind(wildcard);
        let other = far.udp_bind(format!("{loopback}:0"));
        far.udp_connect(other.fd, format!("{loopback}:{}", bound.addr.port()));
        if loopback == "[::1]" {
            // IPv4 traffic of an IPv6 socket is in the IPv6 table, and there alone.
            near.tcp_connect(format!("127.0.0.1:{}", target.port()));
            let mapped = far.accept(listener.fd);
            assert!(mapped.addr.to_string().contains("::ffff:127.0.0.1"));
            assert!(told(Kind::Tcp6).iter().any(|(local, ..)| *local == mapped.addr));
        }
    }
    for kind in Kind::ALL {
        eventually("both sides agree", || (told(kind) == shown(kind)).then_some(()));
        assert!(!told(kind).is_empty());
        assert_eq!(told(kind).len(), rows(kind).len(), "{kind:?}: no socket twice");
    }
    let states: BTreeSet<_> = told(Kind::Tcp).into_iter().filter_map(|(.., state)| state).collect();
    assert!(states.is_superset(&[LISTEN, 5, 7, 8, TIME_WAIT].into()), "{states:?}");
    for row in rows(Kind::Tcp).into_iter().filter(|row| row.state() == Some(LISTEN)) {
        assert_eq!(row.remote().unwrap().to_string(), "0.0.0.0:0");
    }
    every_table_has_the_same_rows();
}

/// The tables without owners, and with the pid alone, are the same rows with less in them, in the same order.
fn every_table_has_the_same_rows() {
    let first = |kind, length: usize| -> Vec<Vec<u8>> {
        rows(kind).iter().map(|row| row.bytes()[..length].to_vec()).collect()
    };
    // The one row that begins with its state.
    let state_first = |rows: Vec<Vec<u8>>| -> Vec<Vec<u8>> {
        rows.into_iter().map(|row| [&row[48..52], &row[..48]].concat()).collect()
    };
    let in_host = |rows: Vec<Vec<u8>>| -> Vec<Vec<u8>> {
        // TcpConnectionOffloadStateInHost, 0.
        rows.into_iter().map(|row| [row, vec![0; 4]].concat()).collect()
    };
    assert_eq!(extended(Kind::Tcp, 2, 20), first(Kind::Tcp, 20));
    assert_eq!(extended(Kind::Tcp, 5, 24), first(Kind::Tcp, 24));
    assert_eq!(extended(Kind::Tcp6, 5, 56), first(Kind::Tcp6, 56));
    for (class, row_size) in [(0, 8), (1, 12)] {
        assert_eq!(extended(Kind::Udp, class, row_size), first(Kind::Udp, row_size));
    }
    for (class, row_size) in [(0, 24), (1, 28)] {
        assert_eq!(extended(Kind::Udp6, class, row_size), first(Kind::Udp6, row_size));
    }
    assert_eq!(plain("GetTcpTable", 20), first(Kind::Tcp, 20));
    assert_eq!(plain("GetTcp6Table", 52), state_first(first(Kind::Tcp6, 52)));
    assert_eq!(plain("GetTcpTable2", 28), in_host(first(Kind::Tcp, 24)));
    assert_eq!(plain("GetTcp6Table2", 60), in_host(first(Kind::Tcp6, 56)));
    assert_eq!(plain("GetUdpTable", 8), first(Kind::Udp, 8));
    assert_eq!(plain("GetUdp6Table", 24), first(Kind::Udp6, 24));
}

fn a_bound_socket_is_in_module_tables_alone() {
    let actor = Actor::spawn();
    let bound = [actor.tcp_bind_only("127.0.0.1:0"), actor.tcp_bind_only("[::1]:0")];
    for (kind, socket) in [Kind::Tcp, Kind::Tcp6].into_iter().zip(bound) {
        // Before Linux 6.8 nobody tells of them.
        for row in rows(kind) {
            assert_eq!((row.state(), row.local(), row.pid()), (Some(BOUND), socket.addr, actor.pid()));
        }
    }
    assert!(extended(Kind::Tcp, 2, 20).is_empty() && extended(Kind::Tcp, 5, 24).is_empty());
    assert!(extended(Kind::Tcp6, 5, 56).is_empty() && plain("GetTcpTable", 20).is_empty());
    assert!(plain("GetTcp6Table", 52).is_empty() && plain("GetTcpTable2", 28).is_empty());
    assert!(plain("GetTcp6Table2", 60).is_empty());
}

fn a_scope_is_the_interfaces_index() {
    let index = netns::add_dummy("contract", &["fe80::1/64"]).unwrap();
    let actor = Actor::spawn();
    let sockets = [
        (Kind::Tcp6, actor.tcp_listen(format!("[fe80::1%{index}]:0"))),
        (Kind::Udp6, actor.udp_bind(format!("[fe80::1%{index}]:0"))),
    ];
    for (kind, socket) in sockets {
        let [row] = &rows(kind)[..] else { panic!("one socket of {kind:?}") };
        assert_eq!((row.local().ip(), row.local().port()), (socket.addr.ip(), socket.addr.port()));
        assert_eq!(row.local_scope(), index);
    }
}
