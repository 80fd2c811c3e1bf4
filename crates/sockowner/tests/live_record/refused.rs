//! Sockets that there was no room for at first.

use sockowner::RoleReason::NotRecorded;
use sockowner::os::linux::record;
use sockowner_testkit::Requirement::OtherUser;
use sockowner_testkit::privileges::ORDINARY_UID;
use sockowner_testkit::{Actor, Sock, eventually};

use super::ask::{Recorder, assert_reasons, assert_roles, called, implied};

tests! {
    Alone what_was_refused_is_not_taken_for_older needs OtherUser;
}

const ROOM: u32 = 1024;

/// Each is admitted at a later call, as soon as there is room: the host's sockets take some of it.
fn what_was_refused_is_not_taken_for_older() {
    let recorder = Recorder::start_with(false, ROOM);
    let greedy = Actor::builder().uid(ORDINARY_UID).gid(ORDINARY_UID).spawn();
    let other = Actor::spawn();
    let made: Vec<Sock> = (0..700).map(|_| greedy.udp_bind("127.0.0.1:0")).collect();
    let refused = |make: &dyn Fn() -> Sock| {
        let mut socks: Vec<Sock> = (0..50).map(|_| make()).collect();
        socks.retain(|sock| recorder.about(sock.cookie).is_none());
        socks
    };
    let mut unbound = refused(&|| greedy.udp_unbound(false));
    let mut bound = refused(&|| greedy.tcp_bind_only("127.0.0.1:0"));
    let mut listeners = refused(&|| greedy.tcp_listen("127.0.0.1:0"));
    let listener = listeners.pop().unwrap();
    let target = other.udp_bind("127.0.0.1:0");
    for sock in &made {
        greedy.close(sock.fd);
    }
    let admitted = |call: &mut dyn FnMut() -> u64| {
        eventually("room", || {
            record::tend().unwrap();
            let cookie = call();
            recorder.about(cookie)
        })
    };
    let told = admitted(&mut || greedy.udp_connect(unbound.pop().unwrap().fd, target.addr).cookie);
    assert_roles(&told, [None, implied(&greedy), None, None]);
    assert_reasons(&told, [Some(NotRecorded), None, None, None]);
    assert_eq!(told.created_at, None);
    // Its listener never was admitted.
    let told = admitted(&mut || {
        let _client = other.tcp_connect(listener.addr);
        greedy.accept_from(listener.fd).cookie
    });
    assert_roles(&told, [None, None, None, called(&greedy)]);
    assert_reasons(&told, [Some(NotRecorded), None, Some(NotRecorded), None]);
    for socks in [&mut bound, &mut listeners] {
        let told = admitted(&mut || {
            let Sock { fd, cookie, .. } = socks.pop().unwrap();
            greedy.close(fd);
            cookie
        });
        assert_reasons(&told, [Some(NotRecorded), Some(NotRecorded), None, None]);
    }
}
