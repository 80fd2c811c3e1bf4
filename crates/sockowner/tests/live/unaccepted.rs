//! Connections that nobody has accepted yet: no file stands for them, and the listener's cgroup is all that is known.

use sockowner::{Entry, Reason, State};
use sockowner_testkit::Requirement::{Cgroup2, OtherUser};
use sockowner_testkit::cgroup::Scratch;
use sockowner_testkit::privileges::ORDINARY_UID;
use sockowner_testkit::{Actor, Sock};

use super::ask::{
    assert_held, assert_state, assert_unheld, at, candidates, everything, owner_of, query, told, told_between,
};

tests! {
    Alone the_listeners_unit_has_the_candidates needs Cgroup2;
    Alone a_connection_belongs_to_whoever_accepts_it needs Cgroup2;
    Alone an_ordinary_users_connection_is_not_roots needs OtherUser;
    Alone a_connection_that_is_never_accepted_goes_with_its_listener;
}

/// The server's end: established, and nobody's.
fn pending(query: &sockowner::Query, listener: &Sock, client: &Sock) -> Entry {
    let entry = told_between(query, listener, client);
    assert_state(&entry, State::ESTABLISHED);
    assert_eq!(entry.socket.inode, 0);
    assert_unheld(&entry, Reason::NoHolder);
    entry
}

fn the_listeners_unit_has_the_candidates() {
    let unit = Scratch::new("/system.slice/sockowner-live-pending.service");
    let worker = Scratch::new("/system.slice/sockowner-live-pending.service/worker");
    let server = Actor::builder().cgroup(&unit).spawn();
    let beside = Actor::builder().cgroup(&unit).spawn();
    let below = Actor::builder().cgroup(&worker).spawn();
    let client = Actor::spawn();
    let listener = server.tcp_listen("127.0.0.1:0");
    let connection = client.tcp_connect(listener.addr);
    let query = query();
    let entry = pending(&query, &listener, &connection);
    assert_eq!((entry.socket.uid, entry.user.as_deref()), (None, None), "0 is what stands there");
    assert_eq!(entry.cgroup.as_ref().map(|cgroup| cgroup.id), Some(unit.id()));
    let service = entry.service.as_deref().map(|service| service.name.as_str());
    assert_eq!(service, Some("sockowner-live-pending.service"));
    assert_eq!(candidates(&entry), [server.pid(), beside.pid()], "not those below: {}", below.pid());
    for candidate in entry.candidates.iter() {
        let process = &candidate.process;
        assert_eq!(process.start.ticks, super::seen::start_ticks(process.pid));
        assert_eq!(process.comm, super::seen::comm(process.pid));
        assert_eq!(Some(process.name.as_os_str()), std::env::current_exe().unwrap().file_name());
    }

    let accepted = server.accept(listener.fd);
    assert_eq!(accepted.cookie, entry.socket.cookie);
    let now = told(&query, &accepted);
    assert_held(&now, &[at(&server, &accepted)]);
    assert_eq!(now.socket.uid, Some(0));
    // Asked with the row of before.
    let later = owner_of(&query, &entry.socket);
    assert_held(&later, &[at(&server, &accepted)]);
    assert!(later.changed);
}

/// Prefork servers: one listens, another accepts.
fn a_connection_belongs_to_whoever_accepts_it() {
    let unit = Scratch::new("/system.slice/sockowner-live-prefork.service");
    let [first, second] = [0, 1].map(|_| Actor::builder().cgroup(&unit).spawn());
    let listener = first.tcp_listen("127.0.0.1:0");
    let passed = first.pass_fd(listener.fd, &second);
    let client = Actor::spawn();
    let connection = client.tcp_connect(listener.addr);
    let query = query();
    let entry = pending(&query, &listener, &connection);
    assert_eq!(candidates(&entry), [first.pid(), second.pid()]);
    let accepted = second.accept(passed.fd);
    assert_held(&told(&query, &accepted), &[at(&second, &accepted)]);
    assert_held(&told(&query, &listener), &[at(&first, &listener), at(&second, &passed)]);
    assert_held(&told(&query, &connection), &[at(&client, &connection)]);
}

fn an_ordinary_users_connection_is_not_roots() {
    let server = Actor::builder().uid(ORDINARY_UID).gid(ORDINARY_UID).spawn();
    let listener = server.tcp_listen("127.0.0.1:0");
    let client = Actor::spawn();
    let connection = client.tcp_connect(listener.addr);
    let query = query();
    let entry = pending(&query, &listener, &connection);
    // Older kernels ask the file, and there is none.
    assert!(matches!(entry.socket.uid, Some(ORDINARY_UID) | None), "{entry:?}");
    let accepted = server.accept(listener.fd);
    assert_eq!(told(&query, &accepted).socket.uid, Some(ORDINARY_UID));
}

fn a_connection_that_is_never_accepted_goes_with_its_listener() {
    let (server, client) = (Actor::spawn(), Actor::spawn());
    let listener = server.tcp_listen("127.0.0.1:0");
    let connection = client.tcp_connect(listener.addr);
    let query = query();
    let entry = pending(&query, &listener, &connection);
    server.close(listener.fd);
    assert_unheld(&owner_of(&query, &entry.socket), Reason::Gone);
    assert_eq!(everything(&query).entries().len(), 0, "the client's was reset");
}
