//! Descriptors that travel: passed to another user's process, in flight, doubled.

use std::os::unix::net::UnixListener;

use sockowner::{Reach, Reason, State};
use sockowner_testkit::Requirement::OtherUser;
use sockowner_testkit::privileges::ORDINARY_UID;
use sockowner_testkit::{Actor, Sock};

use super::ask::{
    Held, assert_held, assert_state, assert_unheld, at, builder, candidates, everything, holders, owner_of,
    query, reach, told,
};
use super::seen::public_dir;

tests! {
    Alone a_passed_descriptor_makes_another_users_process_a_holder needs OtherUser;
    Host a_passed_descriptor_is_found_among_the_hosts_processes needs OtherUser;
    Alone a_descriptor_in_flight_has_no_visible_holder;
    Alone one_process_can_hold_a_socket_twice;
    Alone a_socket_file_opened_with_o_path_is_no_holder;
    Alone a_socket_of_many_processes_has_them_all;
    Alone a_closed_socket_is_gone;
    Alone a_new_listener_at_the_same_address_is_not_the_old_one;
}

fn ordinary_user() -> Actor {
    Actor::builder().uid(ORDINARY_UID).gid(ORDINARY_UID).spawn()
}

fn a_passed_descriptor_makes_another_users_process_a_holder() {
    let (giver, taker) = (Actor::spawn(), ordinary_user());
    let listener = giver.tcp_listen("127.0.0.1:0");
    let passed = giver.pass_fd(listener.fd, &taker);
    let query = query();
    let entry = told(&query, &listener);
    assert_held(&entry, &[at(&giver, &listener), at(&taker, &passed)]);
    assert_eq!(entry.socket.uid, Some(0));
    // The nearest circle has one of them; it says how far it reaches.
    let near = owner_of(&query, &entry.socket);
    assert!(holders(&near).contains(&at(&giver, &listener)));

    giver.close(listener.fd);
    let entry = told(&query, &passed);
    assert_held(&entry, &[at(&taker, &passed)]);
    assert_eq!((entry.socket.uid, entry.user.as_deref()), (Some(0), Some("root")), "the creator's");
    assert_eq!(entry.attribution.holders()[0].process.uid, Some(ORDINARY_UID));
    assert_eq!(holders(&owner_of(&query, &entry.socket)), holders(&entry));
}

fn a_passed_descriptor_is_found_among_the_hosts_processes() {
    let (giver, taker) = (ordinary_user(), Actor::spawn());
    let socket = giver.udp_bind("127.0.0.1:0");
    let passed = giver.pass_fd(socket.fd, &taker);
    drop(giver);
    let entry = told(&query(), &passed);
    assert_held(&entry, &[at(&taker, &passed)]);
    assert_eq!(entry.socket.uid, Some(ORDINARY_UID));
}

fn a_descriptor_in_flight_has_no_visible_holder() {
    let (giver, taker) = (Actor::spawn(), Actor::spawn());
    let dir = public_dir();
    let inbox = dir.path().join("inbox");
    taker.open_inbox(&inbox);
    let listener = giver.tcp_listen("127.0.0.1:0");
    giver.send_fd(&inbox, listener.fd);
    let query = query();
    assert_held(&told(&query, &listener), &[at(&giver, &listener)]);
    giver.close(listener.fd);
    let entry = told(&query, &listener);
    assert_unheld(&entry, Reason::NoVisibleHolder);
    assert_state(&entry, State::LISTEN);
    assert_eq!((entry.socket.uid, entry.changed), (Some(0), false));
    let received = taker.recv_fd(&inbox);
    assert_held(&told(&query, &received), &[at(&taker, &received)]);
}

fn one_process_can_hold_a_socket_twice() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    let again = actor.pass_fd(listener.fd, &actor);
    assert_ne!(again.fd, listener.fd);
    let query = query();
    assert_held(&told(&query, &listener), &[at(&actor, &listener), at(&actor, &again)]);
    actor.close(listener.fd);
    assert_held(&told(&query, &again), &[at(&actor, &again)]);
}

fn a_socket_file_opened_with_o_path_is_no_holder() {
    let dir = public_dir();
    let path = dir.path().join("socket");
    let _unix = UnixListener::bind(&path).unwrap();
    let (actor, other) = (Actor::spawn(), Actor::spawn());
    let listener = actor.tcp_listen("127.0.0.1:0");
    let mine = actor.o_path_open(&path);
    let theirs = other.o_path_open(&path);
    let query = query();
    let entry = told(&query, &listener);
    assert_held(&entry, &[at(&actor, &listener)]);
    assert_ne!(mine, listener.fd);
    assert_eq!(everything(&query).entries().len(), 1);
    other.close(theirs);
}

/// Enough of them for a second thread to help looking.
fn a_socket_of_many_processes_has_them_all() {
    let actor = Actor::spawn();
    let sockets: Vec<Sock> = (0..3).map(|_| actor.tcp_listen("127.0.0.1:0")).collect();
    let children: Vec<u32> = (0..150).map(|_| actor.fork()).collect();
    for threads in [0, 1, 4] {
        let query = builder().threads(threads).open().unwrap();
        for socket in &sockets {
            let family = children.iter().map(|child| (*child, *child, socket.fd));
            let family: Vec<Held> = [at(&actor, socket)].into_iter().chain(family).collect();
            assert_held(&told(&query, socket), &family);
        }
    }
}

fn a_closed_socket_is_gone() {
    let actor = Actor::spawn();
    let (listener, datagrams) = (actor.tcp_listen("127.0.0.1:0"), actor.udp_bind("127.0.0.1:0"));
    let query = query();
    for sock in [&listener, &datagrams] {
        let before = told(&query, sock);
        assert_eq!(reach(&before), Some(Reach::Host));
        actor.close(sock.fd);
        let after = owner_of(&query, &before.socket);
        assert_unheld(&after, Reason::Gone);
        assert_eq!((&after.socket, after.changed), (&before.socket, false));
        assert_eq!(candidates(&after), []);
    }
    assert_eq!(everything(&query).entries().len(), 0);
}

fn a_new_listener_at_the_same_address_is_not_the_old_one() {
    let (one, two) = (Actor::spawn(), Actor::spawn());
    let query = query();
    let old = one.tcp_listen("127.0.0.1:0");
    let before = told(&query, &old);
    one.close(old.fd);
    let new = two.tcp_listen(old.addr);
    assert_unheld(&owner_of(&query, &before.socket), Reason::Gone);
    let now = told(&query, &new);
    assert_held(&now, &[at(&two, &new)]);
    assert_held(&owner_of(&query, &now.socket), &[at(&two, &new)]);
}
