//! What happens when the table fills.

use sockowner::os::linux::record;
use sockowner_testkit::Requirement::OtherUser;
use sockowner_testkit::privileges::ORDINARY_UID;
use sockowner_testkit::{Actor, Sock, eventually};

use super::ask::{Recorder, assert_roles, called};

tests! {
    Alone who_makes_sockets_without_end_takes_no_more_than_a_share needs OtherUser;
    Alone a_small_table_keeps_count needs OtherUser;
    Alone users_that_go_on_for_long_are_not_refused needs OtherUser;
}

/// A table of so many.
const ROOM: u32 = 1024;
const GREEDY: u32 = ORDINARY_UID;
const MODEST: u32 = ORDINARY_UID + 1;
/// Users that no other test has at the same time.
const OTHERS: u32 = 900_000;

fn user(uid: u32) -> Actor {
    Actor::builder().uid(uid).gid(uid).spawn()
}

fn refused() -> u64 {
    let status = record::status().unwrap().unwrap();
    status.not_recorded_of.iter().find(|(uid, _)| *uid == GREEDY).map_or(0, |(_, count)| *count)
}

fn who_makes_sockets_without_end_takes_no_more_than_a_share() {
    let recorder = Recorder::start_with(false, ROOM);
    let (greedy, modest) = (user(GREEDY), user(MODEST));
    let made: Vec<Sock> = (0..700).map(|_| greedy.udp_bind("127.0.0.1:0")).collect();
    let recorded = |socks: &[Sock]| socks.iter().filter(|sock| recorder.about(sock.cookie).is_some()).count();
    let held = recorded(&made);
    // Up to half of it everybody has what he wants; the host's sockets take some.
    assert!(held > 256 && held <= 512, "{held}");
    assert!(recorded(&made[..256]) == 256);
    let last = greedy.udp_bind("127.0.0.1:0");
    assert_eq!(recorder.about(last.cookie), None);
    // Each is noted or counted, and none is counted twice.
    let refused = refused();
    assert!(refused >= 701 - u64::try_from(held).unwrap() && refused <= 701, "{refused} and {held}");
    // Others are not touched.
    let other = modest.udp_bind("127.0.0.1:0");
    assert_roles(&recorder.told(&other), [called(&modest), called(&modest), None, None]);
    // What is closed makes room, the oldest first.
    for sock in &made[..100] {
        greedy.close(sock.fd);
    }
    eventually("its end", || recorder.about(made[0].cookie).unwrap().closed_at);
    let swept = record::tend().unwrap();
    assert!(swept.sockets > 0, "{swept:?}");
    assert_eq!(recorder.about(made[0].cookie), None);
    assert!(recorder.about(other.cookie).is_some());
    let next = greedy.udp_bind("127.0.0.1:0");
    assert_roles(&recorder.told(&next), [called(&greedy), called(&greedy), None, None]);
}

/// The host's sockets come and go meanwhile: what was begun less what was removed is what is there.
fn a_small_table_keeps_count() {
    let recorder = Recorder::start_with(false, ROOM);
    let actor = user(GREEDY + OTHERS);
    for _ in 0..10 {
        let socks: Vec<_> = (0..100).map(|_| actor.udp_bind("127.0.0.1:0")).collect();
        assert!(recorder.about(socks[0].cookie).is_some(), "there is room again after each turn");
        for sock in &socks {
            actor.close(sock.fd);
        }
        record::tend().unwrap();
    }
    let status = record::status().unwrap().unwrap();
    assert!(status.sockets.0 + status.sockets.1 <= u64::from(ROOM), "{status:?}");
}

/// Two that have half of the table together, and never more than the time between two looks adds to it.
fn users_that_go_on_for_long_are_not_refused() {
    const TURN: usize = 500;
    const TURNS: usize = 24;
    let _recorder = Recorder::start_with(false, 16_384);
    let users = [GREEDY, MODEST].map(|uid| user(uid + OTHERS));
    for turn in 0..TURNS {
        for user in &users {
            assert_eq!(user.udp_bind_many("127.0.0.1:0", TURN).len(), TURN);
        }
        record::tend().unwrap();
        let status = record::status().unwrap().unwrap();
        let refused =
            status.not_recorded_of.iter().filter(|(uid, _)| [GREEDY + OTHERS, MODEST + OTHERS].contains(uid));
        assert_eq!(refused.collect::<Vec<_>>(), Vec::<&(u32, u64)>::new(), "turn {turn}: {status:?}");
    }
}
