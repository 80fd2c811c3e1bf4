//! Many sockets in one command, calls by io_uring, and descriptors that are left to an actor.

use std::collections::BTreeSet;
use std::net::{SocketAddr, SocketAddrV4, TcpListener};
use std::os::fd::{AsFd, AsRawFd};
use std::thread;

use sockowner_testkit::libtest_mimic::Trial;
use sockowner_testkit::uring::{Uring, Way, supported};
use sockowner_testkit::{Actor, Requirement, SockDiag, cookie_of, netns_test};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        netns_test("connections by the hundred have cookies of their own", &[], connections),
        netns_test("short lives are processes of their own", &[], short_lives),
        netns_test("an inherited listener accepts", &[], inherited),
        netns_test("a socket is made in steps", &[], steps),
        netns_test("a ring connects, listens and accepts in each way", &[IO_URING], ring),
        netns_test("an exact lookup tells the cookie", &[], exact_lookup),
    ]
}

const IO_URING: Requirement = Requirement::Custom("io_uring", supported);

fn connections() {
    const COUNT: usize = 300;
    let (near, far) = (Actor::spawn(), Actor::spawn());
    let listener = far.tcp_listen("127.0.0.1:0");
    let (clients, servers) = thread::scope(|scope| {
        let connecting = scope.spawn(|| near.connect_many(listener.addr, COUNT));
        let servers = far.accept_many(listener.fd, COUNT);
        (connecting.join().unwrap(), servers)
    });
    let datagrams = near.udp_bind_many("127.0.0.1:0", COUNT);
    let all: BTreeSet<_> = clients.into_iter().chain(servers).chain(datagrams).collect();
    assert_eq!(all.len(), 3 * COUNT);
    assert!(!all.contains(&listener.cookie));
}

fn short_lives() {
    let (parent, far) = (Actor::spawn(), Actor::spawn());
    let listener = far.tcp_listen("127.0.0.1:0");
    let born = parent.short_lives(listener.addr, 50);
    assert_eq!(far.accept_many(listener.fd, 50).len(), 50);
    let cookies: BTreeSet<_> = born.iter().map(|born| born.cookie).collect();
    assert_eq!(cookies.len(), 50);
    assert!(born.iter().all(|born| ![0, parent.pid(), far.pid()].contains(&born.pid)));
}

fn inherited() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let heir = Actor::builder().inherits(listener.as_fd()).spawn();
    let fd = listener.as_raw_fd();
    assert_eq!(heir.describe(fd).cookie, cookie_of(listener.as_fd()).unwrap());
    drop(listener);
    let client = Actor::spawn().tcp_connect(addr);
    assert_eq!(heir.accept_from(fd).peer, Some(client.addr));
}

fn steps() {
    let actor = Actor::spawn();
    let made = actor.tcp_unbound(false, true);
    assert_eq!(made.addr.port(), 0);
    let bound = actor.bind(made.fd, "127.0.0.1:0");
    assert_ne!(bound.addr.port(), 0);
    actor.listen(bound.fd);
    assert!(!actor.is_ready(bound.fd));
    let _client = actor.tcp_connect(bound.addr);
    assert!(actor.is_ready(bound.fd));
}

fn ring() {
    for way in [Way::Inline, Way::Worker, Way::Poller] {
        let (mut near, mut far) = (Uring::new(way).unwrap(), Uring::new(way).unwrap());
        let listener = far.listen(SocketAddrV4::new([127, 0, 0, 1].into(), 0)).unwrap();
        let at = TcpListener::from(listener.try_clone().unwrap()).local_addr().unwrap();
        let SocketAddr::V4(to) = at else { panic!("{at}") };
        let client = near.connect(to).unwrap();
        far.begin_to_accept(listener.as_fd()).unwrap();
        let server = far.accepted().unwrap();
        let [client, server] = [client, server].map(std::net::TcpStream::from);
        assert_eq!(server.peer_addr().unwrap(), client.local_addr().unwrap());
    }
}

fn exact_lookup() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    let client = actor.tcp_connect(listener.addr);
    let (SocketAddr::V4(local), SocketAddr::V4(remote)) = (client.addr, listener.addr) else {
        panic!("{client:?}")
    };
    let diag = SockDiag::open().unwrap();
    assert_eq!(diag.exact(local, remote).unwrap(), client.cookie);
    assert!(
        diag.exact(remote, SocketAddrV4::new(*local.ip(), 1)).is_ok_and(|cookie| cookie == listener.cookie)
    );
}
