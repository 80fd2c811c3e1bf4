//! What a query tells of sockets that are recorded.

use sockowner::RoleEvidence::Inherited;
use sockowner::RoleReason::{NotPermitted, NotRecorded};
use sockowner::{
    Address, Attribution, Entry, Evidence, Filter, Pattern, Protocol, Query, Reason, Record, RoleKind,
    RoleReason, State,
};
use sockowner_testkit::Requirement::{NsLastPid, OtherUser};
use sockowner_testkit::privileges::{ORDINARY_UID, become_member, become_user};
use sockowner_testkit::{Actor, Sock, eventually};

use super::ask::{Recorder, Who, by, called, gid, implied, who};

tests! {
    Alone roles_are_told_after_the_creator_is_gone;
    Alone a_fork_after_the_bind_did_not_bind;
    Alone what_nobody_has_any_more_has_an_owner;
    Alone who_has_ended_is_told_as_ended needs OtherUser;
    Alone a_successor_in_the_number_is_not_named needs NsLastPid;
    Alone what_nobody_accepted_has_no_owner;
    Alone a_recorder_may_come_and_go;
    Alone who_may_not_read_gets_the_rest needs OtherUser;
    Alone the_group_is_told_everything needs OtherUser;
}

/// The row of this socket in a snapshot.
fn listed(query: &Query, cookie: u64) -> Entry {
    let snapshot = query.snapshot(&Filter::new()).unwrap();
    assert!(snapshot.gaps().iter().all(|gap| gap.source != "record"), "{:?}", snapshot.gaps());
    snapshot.iter().find(|entry| entry.socket.cookie == cookie).unwrap().clone()
}

/// The row of this socket, as a snapshot, `who` and `owner_of` tell it.
fn told(query: &Query, cookie: u64) -> Entry {
    let entry = listed(query, cookie);
    let local = entry.socket.endpoint.local;
    let found = query.who(&Pattern::local(local.ip, local.port)).unwrap();
    let other = found.iter().find(|other| other.socket.cookie == cookie).unwrap();
    let near = query.owner_of(&entry.socket).unwrap();
    for other in [other, &near] {
        assert_eq!(roles(other), roles(&entry));
        assert_eq!(owner(other), owner(&entry));
        assert_eq!(other.attribution.has_exited(), entry.attribution.has_exited());
    }
    entry
}

fn roles(entry: &Entry) -> [Option<Who>; 4] {
    RoleKind::ALL.map(|kind| entry.record.role(kind).map(who))
}

fn reasons(entry: &Entry) -> [Option<RoleReason>; 4] {
    RoleKind::ALL.map(|kind| entry.role_reason(kind))
}

fn owner(entry: &Entry) -> Option<(u32, Evidence)> {
    entry.attribution.primary_owner().map(|(process, evidence)| (process.pid, evidence))
}

/// The cookie of the row of this connection, once it is in this state.
fn awaited(query: &Query, sock: &Sock, state: State) -> u64 {
    eventually("the connection's state", || {
        let (rows, _) = query.sockets(&Filter::new().protocol(Protocol::Tcp)).unwrap();
        let is_it = |row: &&sockowner::Socket| {
            let endpoint = &row.endpoint;
            endpoint.state == state
                && endpoint.local == sock.addr.into()
                && endpoint.remote == sock.peer.map(Address::from)
        };
        rows.iter().find(is_it).map(|row| row.cookie)
    })
}

fn roles_are_told_after_the_creator_is_gone() {
    let _recorder = Recorder::start();
    let query = Query::new().unwrap();
    let (first, second) = (Actor::spawn(), Actor::spawn());
    let listener = first.tcp_listen("127.0.0.1:0");
    let passed = first.pass_fd(listener.fd, &second);
    let expected = [called(&first), called(&first), called(&first), None];
    drop(first);
    let entry = told(&query, passed.cookie);
    assert_eq!(roles(&entry), expected);
    assert_eq!(reasons(&entry), [None; 4]);
    assert_eq!(owner(&entry), Some((second.pid(), Evidence::Holder)));
    let recorded = entry.record.known().unwrap();
    assert!(recorded.created_at.is_some());
    assert_eq!((recorded.cookie, Some(recorded.netns)), (entry.socket.cookie, entry.socket.netns));
    let creator = entry.record.role(RoleKind::Creator).unwrap();
    assert_eq!((&creator.service, &creator.container), (&entry.service, &entry.container));
}

fn a_fork_after_the_bind_did_not_bind() {
    let _recorder = Recorder::start();
    let query = Query::new().unwrap();
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("[::1]:0");
    let child = actor.fork();
    let expected = [called(&actor), called(&actor), called(&actor), None];
    let entry = told(&query, listener.cookie);
    assert_eq!((roles(&entry), owner(&entry)), (expected, Some((actor.pid(), Evidence::EarliestHolder))));
    actor.kill();
    let entry = told(&query, listener.cookie);
    assert_eq!((roles(&entry), owner(&entry)), (expected, Some((child, Evidence::Holder))));
}

fn what_nobody_has_any_more_has_an_owner() {
    let _recorder = Recorder::start();
    let query = Query::new().unwrap();
    let (near, far) = (Actor::spawn(), Actor::spawn());
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = far.tcp_listen(address);
        for near_first in [true, false] {
            let client = near.tcp_connect(listener.addr);
            let server = far.accept_from(listener.fd);
            let (near_end, far_end) = ((&near, &client), (&far, &server));
            let [first, second] = if near_first { [near_end, far_end] } else { [far_end, near_end] };
            let (actor, sock) = first;
            let role = if near_first { RoleKind::Binder } else { RoleKind::Acceptor };
            let inherited = by(&far, Inherited);
            let expected = if near_first {
                [called(&near), implied(&near), None, None]
            } else {
                [inherited, None, inherited, called(&far)]
            };
            actor.close(sock.fd);
            // An orphan, and what is left of it.
            for state in [State::FIN_WAIT2, State::TIME_WAIT] {
                let cookie = awaited(&query, sock, state);
                assert_eq!(cookie, sock.cookie);
                let entry = told(&query, cookie);
                assert_eq!((entry.socket.endpoint.state, entry.socket.inode), (state, 0));
                assert_eq!(roles(&entry), expected);
                assert_eq!(owner(&entry), Some((actor.pid(), Evidence::Recorded)));
                let Attribution::Recorded(owner) = &entry.attribution else { panic!("{entry:?}") };
                assert_eq!((owner.role, owner.exited), (role, false));
                assert_eq!((entry.attribution.holders(), entry.attribution.reason()), (&[][..], None));
                assert!(entry.candidates.is_empty());
                if state == State::FIN_WAIT2 {
                    second.0.close(second.1.fd);
                }
            }
        }
    }
}

fn who_has_ended_is_told_as_ended() {
    let _recorder = Recorder::start();
    let query = Query::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alpha");
    let far = Actor::spawn();
    let near = Actor::builder().exe(&path).uid(ORDINARY_UID).gid(ORDINARY_UID).spawn();
    let listener = far.tcp_listen("127.0.0.1:0");
    let client = near.tcp_connect(listener.addr);
    let server = far.accept_from(listener.fd);
    near.close(client.fd);
    far.close(server.fd);
    let cookie = awaited(&query, &client, State::TIME_WAIT);
    let living = told(&query, cookie).attribution.primary_owner().unwrap().0.clone();
    let pid = near.pid();
    near.kill();
    // While it ends, each question may meet it in another state.
    eventually("the end of the owner", || listed(&query, cookie).attribution.has_exited().then_some(()));
    let entry = told(&query, cookie);
    assert_eq!(owner(&entry), Some((pid, Evidence::Recorded)));
    let ended = entry.attribution.primary_owner().unwrap().0;
    assert!(ended.is(&living));
    assert_eq!((&ended.name, &ended.comm, ended.uid), (&living.name, &living.comm, Some(ORDINARY_UID)));
    assert_eq!(ended.user, living.user);
    let executable = ended.executable.as_ref().unwrap();
    assert_eq!((executable.path.as_path(), executable.verified), (path.as_path(), false));
    assert_eq!(executable.file, living.executable.as_ref().unwrap().file);
    // It is nobody's whose number is asked for.
    let asked = query.snapshot(&Filter::new().pid(pid)).unwrap();
    assert_eq!(asked.entries(), []);
}

const NUMBER: u32 = 4711;

fn a_successor_in_the_number_is_not_named() {
    let _recorder = Recorder::start();
    let query = Query::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let far = Actor::spawn();
    let listener = far.tcp_listen("127.0.0.1:0");
    let near = Actor::builder().exe(dir.path().join("alpha")).pid(NUMBER).spawn();
    let client = near.tcp_connect(listener.addr);
    let server = far.accept_from(listener.fd);
    near.close(client.fd);
    far.close(server.fd);
    let cookie = awaited(&query, &client, State::TIME_WAIT);
    drop(near);
    let successor = Actor::builder().exe(dir.path().join("beta")).pid(NUMBER).spawn();
    assert_eq!(successor.pid(), NUMBER);
    let entry = told(&query, cookie);
    let Attribution::Recorded(owner) = &entry.attribution else { panic!("{entry:?}") };
    assert_eq!((owner.process.pid, owner.process.name.to_str()), (NUMBER, Some("alpha")));
    assert!(owner.exited);
}

fn what_nobody_accepted_has_no_owner() {
    let _recorder = Recorder::start();
    let query = Query::new().unwrap();
    let (near, far) = (Actor::spawn(), Actor::spawn());
    let listener = far.tcp_listen("127.0.0.1:0");
    let client = near.tcp_connect(listener.addr);
    let mirrored = Sock { addr: listener.addr, peer: Some(client.addr), ..client.clone() };
    let entry = told(&query, awaited(&query, &mirrored, State::ESTABLISHED));
    assert_eq!(entry.attribution, Attribution::Unattributed(Reason::NoHolder));
    let inherited = by(&far, Inherited);
    assert_eq!(roles(&entry), [inherited, None, inherited, None]);
    assert_eq!(reasons(&entry), [None, None, None, Some(NotRecorded)]);
}

/// One query throughout.
fn a_recorder_may_come_and_go() {
    super::ask::private_run();
    let query = Query::new().unwrap();
    let actor = Actor::spawn();
    let (listener, datagrams) = (actor.tcp_listen("127.0.0.1:0"), actor.udp_bind("127.0.0.1:0"));
    for sock in [&listener, &datagrams] {
        let entry = told(&query, sock.cookie);
        assert_eq!((&entry.record, reasons(&entry)), (&Record::Nowhere, [None; 4]));
    }
    for _ in 0..2 {
        let recorder = Recorder::start();
        let none = Some(NotRecorded);
        for (sock, expected) in
            [(&listener, [none, none, none, None]), (&datagrams, [none, none, None, None])]
        {
            let entry = told(&query, sock.cookie);
            assert_eq!((&entry.record, reasons(&entry)), (&Record::NotRecorded, expected));
            assert_eq!(owner(&entry), Some((actor.pid(), Evidence::Holder)));
        }
        let during = actor.tcp_listen("127.0.0.1:0");
        assert_eq!(roles(&told(&query, during.cookie))[1], called(&actor));
        let without = query.snapshot(&Filter::new().without_owners()).unwrap();
        assert!(without.iter().all(|entry| entry.record == Record::Nowhere));
        drop(recorder);
        assert_eq!(told(&query, during.cookie).record, Record::Nowhere);
    }
}

fn who_may_not_read_gets_the_rest() {
    // Until the end of the test's mount namespace.
    std::mem::forget(Recorder::start());
    become_user(ORDINARY_UID, ORDINARY_UID).unwrap();
    let query = Query::new().unwrap();
    let own = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = own.local_addr().unwrap().port();
    let found = query.who(&Pattern::port(port)).unwrap();
    let [entry] = found.entries() else { panic!("{found:?}") };
    assert_eq!(owner(entry), Some((std::process::id(), Evidence::Holder)));
    assert_eq!(entry.record, Record::NotPermitted);
    let refused = Some(NotPermitted);
    assert_eq!(reasons(entry), [refused, refused, refused, None]);
    assert!(found.gaps().iter().all(|gap| gap.source != "record"), "{:?}", found.gaps());
}

fn the_group_is_told_everything() {
    // Until the end of the test's mount namespace.
    std::mem::forget(Recorder::start());
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    become_member(ORDINARY_UID, ORDINARY_UID, &[gid()]).unwrap();
    let found = Query::new().unwrap().who(&Pattern::port(listener.addr.port())).unwrap();
    let [entry] = found.entries() else { panic!("{found:?}") };
    assert_eq!(roles(entry), [called(&actor), called(&actor), called(&actor), None]);
    // Others' processes are not looked into for all that.
    assert_eq!(entry.attribution.reason(), Some(Reason::NotPermitted));
}
