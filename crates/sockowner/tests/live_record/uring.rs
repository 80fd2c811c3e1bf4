//! Calls that are made through io_uring: in the calling thread, in a thread of its pool, in the thread that polls.

use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};
use std::thread;

use sockowner::{Recorded, RoleEvidence, RoleKind};
use sockowner_testkit::uring::{Uring, Way, supported};
use sockowner_testkit::{Actor, Requirement, cookie_of, eventually};

use super::ask::{Recorder, Who, assert_roles, by, called, implied, who};

tests! {
    Alone a_ring_that_is_entered_is_the_callers needs IO_URING;
    Alone a_rings_workers_are_the_callers needs IO_URING;
    Alone a_rings_poller_is_the_callers needs IO_URING;
    Alone an_accept_that_ends_in_another_call_is_nobody_elses needs IO_URING;
}

const IO_URING: Requirement = Requirement::Custom("io_uring", supported);

/// This process, by a call of its own, or one that it made beside.
#[expect(clippy::unnecessary_wraps, reason = "it stands beside None")]
fn own(evidence: RoleEvidence, is_implicit: bool) -> Option<Who> {
    Some((Some(std::process::id()), evidence, is_implicit))
}

/// The main thread, whose process number this is, waits in the call with this number.
fn is_in(call: &str) -> bool {
    let text = std::fs::read_to_string("/proc/self/syscall").unwrap();
    text.split(' ').next() == Some(call)
}

/// As `asm/unistd_64.h` and the generic table have it.
const IO_URING_ENTER: &str = "426";

fn ends(socket: &OwnedFd) -> (SocketAddr, SocketAddr) {
    // Of a copy, which closes nothing of the socket.
    let stream = std::net::TcpStream::from(socket.try_clone().unwrap());
    (stream.local_addr().unwrap(), stream.peer_addr().unwrap())
}

fn told(recorder: &Recorder, socket: &OwnedFd) -> Recorded {
    recorder.about(cookie_of(socket.as_fd()).unwrap()).unwrap()
}

/// Of several connections each end in turn is this process's.
fn each_role_is_the_callers(way: Way) {
    let recorder = Recorder::start();
    let other = Actor::spawn();
    let mut ring = Uring::new(way).unwrap();
    let listener = ring.listen(SocketAddrV4::new([127, 0, 0, 1].into(), 0)).unwrap();
    let at = std::net::TcpListener::from(listener.try_clone().unwrap()).local_addr().unwrap();
    let (call, inherited) = (own(RoleEvidence::Call, false), own(RoleEvidence::Inherited, false));
    assert_roles(&told(&recorder, &listener), [call, call, call, None]);
    // The connection is there when it is asked for; and it is waited for.
    let client = other.tcp_connect(at);
    ring.begin_to_accept(listener.as_fd()).unwrap();
    let first = (ring.accepted().unwrap(), client);
    ring.begin_to_accept(listener.as_fd()).unwrap();
    let second = thread::scope(|scope| {
        let connecting = scope.spawn(|| {
            eventually("the wait in io_uring_enter", || is_in(IO_URING_ENTER).then_some(()));
            other.tcp_connect(at)
        });
        (ring.accepted().unwrap(), connecting.join().unwrap())
    });
    for (server, client) in [first, second] {
        assert_eq!(ends(&server), (at, client.addr));
        assert_roles(&told(&recorder, &server), [inherited, None, inherited, call]);
    }
    let theirs = other.tcp_listen("127.0.0.1:0");
    let SocketAddr::V4(to) = theirs.addr else { panic!("{theirs:?}") };
    let client = ring.connect(to).unwrap();
    assert_roles(&told(&recorder, &client), [call, own(RoleEvidence::Call, true), None, None]);
    let server = other.accept_from(theirs.fd);
    assert_eq!(server.peer, Some(ends(&client).0));
    let inherited = by(&other, RoleEvidence::Inherited);
    assert_roles(&recorder.told(&server), [inherited, None, inherited, called(&other)]);
    let back = other.tcp_connect(at);
    assert_roles(&recorder.told(&back), [called(&other), implied(&other), None, None]);
}

/// The connection comes while the calling thread is in another call, which is interrupted to accept it.
fn an_accept_that_ends_in_another_call_is_nobody_elses() {
    let recorder = Recorder::start();
    let other = Actor::spawn();
    let mut ring = Uring::new(Way::Inline).unwrap();
    let listener = ring.listen(SocketAddrV4::new([127, 0, 0, 1].into(), 0)).unwrap();
    let at = std::net::TcpListener::from(listener.try_clone().unwrap()).local_addr().unwrap();
    ring.begin_to_accept(listener.as_fd()).unwrap();
    // The command is a write, and a wait for its answer.
    let client = other.tcp_connect(at);
    let server = ring.accepted().unwrap();
    assert_eq!(ends(&server), (at, client.addr));
    let known = told(&recorder, &server);
    let acceptor = known.roles.acceptor.as_ref().map(who);
    assert!(acceptor.is_none() || acceptor == own(RoleEvidence::Call, false), "{known:?}");
    assert_eq!(known.roles.reason(RoleKind::Acceptor).is_none(), acceptor.is_some());
    assert_eq!(known.roles.listener.as_ref().map(who), own(RoleEvidence::Inherited, false));
}

fn a_ring_that_is_entered_is_the_callers() {
    each_role_is_the_callers(Way::Inline);
}

fn a_rings_workers_are_the_callers() {
    each_role_is_the_callers(Way::Worker);
}

fn a_rings_poller_is_the_callers() {
    each_role_is_the_callers(Way::Poller);
}
