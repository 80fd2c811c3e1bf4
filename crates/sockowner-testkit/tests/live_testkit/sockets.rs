//! Each socket command, looked at from outside.

use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::panic::resume_unwind;

use sockowner_testkit::libtest_mimic::Trial;
use sockowner_testkit::{Actor, Requirement, SocketOptions, eventually, live_test, netns, netns_test};

use crate::seen::{holds, panic_message, proc_dir, tcp_rows};

const SYN_SENT: &str = "02";
const SYN_RECV: &str = "03";
const FIN_WAIT1: &str = "04";
const FIN_WAIT2: &str = "05";
const TIME_WAIT: &str = "06";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        netns_test("a tcp connection has its two ends", &[], tcp_connection),
        netns_test("a connection can start at a chosen address", &[], tcp_connect_from),
        netns_test("a full queue keeps a connection in SYN_SENT", &[], full_queue),
        netns_test("a connection can stay in SYN_RECV", &[], deferred),
        netns_test("reuseport listeners share an address", &[], reuseport),
        netns_test("v6only is set as asked", &[], v6only),
        netns_test("a listener can be bound to a device", &[], device),
        netns_test("an mptcp listener listens", &[MPTCP], mptcp),
        netns_test("a bound socket does not listen", &[], bound_only),
        netns_test("udp sockets bind and connect", &[], udp),
        netns_test("close leaves TIME_WAIT or an orphan or nothing", &[], endings),
        live_test("an O_PATH descriptor is no socket", &[], o_path),
        netns_test("link-local addresses have a zone", &[Requirement::Interface], zone),
        live_test("the thread's network namespace is private", &[Requirement::Netns], private_netns),
        netns_test("an address can be added to lo", &[], address_on_lo),
        netns_test("a failing command panics with the actor's message", &[], failure),
    ]
}

const MPTCP: Requirement = Requirement::Custom("MPTCP", || {
    std::fs::metadata("/proc/sys/net/mptcp").map(drop).map_err(|error| error.to_string())
});

fn tcp_connection() {
    let actor = Actor::spawn();
    for any in ["127.0.0.1:0", "[::1]:0"] {
        let listener = actor.tcp_listen(any);
        assert_ne!(listener.addr.port(), 0);
        assert_eq!(listener.peer, None);
        let client = actor.tcp_connect(listener.addr);
        let server = actor.accept(listener.fd);
        assert_eq!((Some(client.addr), client.peer), (server.peer, Some(server.addr)));
        assert_eq!(server.addr, listener.addr);
        let mut inodes = [listener.inode, client.inode, server.inode];
        assert!(inodes.iter().all(|inode| *inode != 0 && holds(actor.pid(), *inode)));
        inodes.sort_unstable();
        assert!(inodes.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(client.cookie != 0 && client.cookie != server.cookie && client.cookie != listener.cookie);
        assert_eq!(actor.describe(client.fd), client);
        actor.close(client.fd);
        assert!(!holds(actor.pid(), client.inode));
    }
}

fn tcp_connect_from() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("0.0.0.0:4001");
    let client = actor.tcp_connect_from("127.1.2.3:4000", "127.0.0.9:4001");
    assert_eq!((client.addr, client.peer), (parsed("127.1.2.3:4000"), Some(parsed("127.0.0.9:4001"))));
    assert_eq!(actor.accept(listener.fd).addr, parsed("127.0.0.9:4001"));
}

fn full_queue() {
    let actor = Actor::spawn();
    let options = SocketOptions { backlog: Some(0), ..SocketOptions::default() };
    let listener = actor.tcp_listen_with("127.0.0.1:0", options);
    actor.tcp_connect(listener.addr);
    let late = actor.tcp_connect_begin(listener.addr);
    assert_eq!(tcp_rows(late.addr.port(), SYN_SENT), 1);
}

fn deferred() {
    let actor = Actor::spawn();
    let options = SocketOptions { defer_accept: true, ..SocketOptions::default() };
    let listener = actor.tcp_listen_with("127.0.0.1:0", options);
    let client = actor.tcp_connect(listener.addr);
    assert_eq!(tcp_rows(listener.addr.port(), SYN_RECV), 1);
    actor.send(client.fd, 1);
    assert_eq!(actor.accept(listener.fd).peer, Some(client.addr));
}

fn reuseport() {
    let (one, two) = (Actor::spawn(), Actor::spawn());
    let options = SocketOptions { reuseport: true, ..SocketOptions::default() };
    let first = one.tcp_listen_with("127.0.0.1:0", options.clone());
    let second = two.tcp_listen_with(first.addr, options.clone());
    assert_eq!(first.addr, second.addr);
    assert_ne!(first.inode, second.inode);
    let first = one.udp_bind_with("127.0.0.1:0", options.clone());
    assert_eq!(two.udp_bind_with(first.addr, options).addr, first.addr);
}

fn v6only() {
    let actor = Actor::spawn();
    let with = |only| SocketOptions { v6only: Some(only), ..SocketOptions::default() };
    let both = actor.tcp_listen_with("[::]:0", with(false));
    let client = actor.tcp_connect(format!("127.0.0.1:{}", both.addr.port()));
    let server = actor.accept(both.fd);
    assert!(client.addr.is_ipv4() && server.addr.is_ipv6());
    let one = actor.tcp_listen_with("[::]:0", with(true));
    let message = panic_message(|| actor.tcp_connect(format!("127.0.0.1:{}", one.addr.port())));
    assert!(message.contains("refused"), "{message}");
}

fn device() {
    let actor = Actor::spawn();
    let on = |name: &str| SocketOptions { device: Some(name.to_owned()), ..SocketOptions::default() };
    let listener = actor.tcp_listen_with("0.0.0.0:0", on("lo"));
    actor.tcp_connect(format!("127.0.0.1:{}", listener.addr.port()));
    actor.accept(listener.fd);
    let message = panic_message(|| actor.tcp_listen_with("0.0.0.0:0", on("none")));
    assert!(message.contains("SO_BINDTODEVICE none"), "{message}");
}

fn mptcp() {
    let actor = Actor::spawn();
    let options = SocketOptions { mptcp: true, ..SocketOptions::default() };
    let listener = actor.tcp_listen_with("127.0.0.1:0", options);
    actor.tcp_connect(listener.addr);
    assert_ne!(actor.accept(listener.fd).inode, 0);
}

fn bound_only() {
    let actor = Actor::spawn();
    let bound = actor.tcp_bind_only("127.0.0.1:0");
    assert_ne!(bound.addr.port(), 0);
    let message = panic_message(|| actor.tcp_connect(bound.addr));
    assert!(message.contains("refused"), "{message}");
}

fn udp() {
    let actor = Actor::spawn();
    let bound = actor.udp_bind("127.0.0.1:0");
    let unbound = actor.udp_unbound(false);
    assert_eq!((unbound.addr, unbound.peer), (parsed("0.0.0.0:0"), None));
    let connected = actor.udp_connect(unbound.fd, bound.addr);
    assert_eq!((connected.inode, connected.peer), (unbound.inode, Some(bound.addr)));
    assert_eq!(connected.addr.ip(), bound.addr.ip());
    assert_eq!(actor.udp_connect(bound.fd, connected.addr).peer, Some(connected.addr));
    assert_eq!(actor.udp_unbound(true).addr, parsed("[::]:0"));
}

fn endings() {
    let (near, far) = (Actor::spawn(), Actor::spawn());
    let listener = far.tcp_listen("127.0.0.1:0");
    let connect = || (near.tcp_connect(listener.addr), far.accept(listener.fd));

    let (client, server) = connect();
    near.close_first(client.fd, &far, server.fd);
    eventually("TIME_WAIT", || (tcp_rows(client.addr.port(), TIME_WAIT) == 1).then_some(()));

    let (client, server) = connect();
    near.shutdown_write(client.fd);
    eventually("FIN_WAIT2", || (tcp_rows(client.addr.port(), FIN_WAIT2) == 1).then_some(()));
    assert!(holds(near.pid(), client.inode));
    far.close(server.fd);

    let (client, _server) = connect();
    let many = 1 << 30;
    let sent = near.send(client.fd, many);
    assert!(sent > 0 && sent < many, "{sent}");
    near.close(client.fd);
    assert_eq!(tcp_rows(client.addr.port(), FIN_WAIT1), 1);

    let (client, _server) = connect();
    near.set_linger_zero(client.fd);
    near.close(client.fd);
    assert!(["04", "05", "06"].iter().all(|state| tcp_rows(client.addr.port(), state) == 0));
}

fn o_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let _listener = UnixListener::bind(&path).unwrap();
    let actor = Actor::spawn();
    let fd = actor.o_path_open(&path);
    let link = proc_dir(actor.pid()).join("fd").join(fd.to_string());
    assert_eq!(std::fs::read_link(link).unwrap(), path);
    actor.close(fd);
}

fn zone() {
    let index = netns::add_dummy("test0", &["fe80::1/64", "192.0.2.1/24"]).unwrap();
    let actor = Actor::spawn();
    let listener = actor.tcp_listen(format!("[fe80::1%{index}]:0"));
    let SocketAddr::V6(addr) = listener.addr else { panic!("{}", listener.addr) };
    assert_eq!(addr.scope_id(), index);
    actor.tcp_connect(listener.addr);
    assert_eq!(actor.accept(listener.fd).addr, listener.addr);
    actor.udp_bind("192.0.2.1:0");
}

fn private_netns() {
    let outside = netns::inode();
    let inside = netns::inside(|| {
        let actor = Actor::spawn();
        let link = std::fs::read_link(proc_dir(actor.pid()).join("ns/net")).unwrap();
        assert_eq!(link.as_os_str(), format!("net:[{}]", netns::inode()).as_str());
        netns::inode()
    });
    assert_ne!(inside, outside);
    assert_eq!(netns::inode(), outside);
    assert_eq!(panic_message(|| netns::inside(|| resume_unwind(Box::new("as it was")))), "as it was");
}

fn address_on_lo() {
    netns::add_address("lo", "198.51.100.7/32").unwrap();
    let actor = Actor::spawn();
    assert_eq!(actor.udp_bind("198.51.100.7:53").addr, parsed("198.51.100.7:53"));
    let error = netns::add_address("none", "198.51.100.7/32").unwrap_err();
    assert!(error.contains("add 198.51.100.7/32 to none"), "{error}");
}

fn failure() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    let message = panic_message(|| actor.tcp_listen(listener.addr));
    let wanted = format!("bind {}: Address already in use", listener.addr);
    assert!(message.contains(&wanted) && message.contains(&actor.pid().to_string()), "{message}");
    assert!(panic_message(|| actor.close(99)).contains("no command made a descriptor 99"));
    assert_eq!(actor.describe(listener.fd), listener);
}

fn parsed(addr: &str) -> SocketAddr {
    addr.parse().unwrap()
}
