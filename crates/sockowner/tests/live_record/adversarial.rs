//! Who is named where several could be taken for it: users that share a port, a socket or a table.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use sockowner::RoleEvidence::Inherited;
use sockowner::os::linux::record;
use sockowner::{Pattern, Query, Recorded, RoleEvidence, RoleKind};
use sockowner_testkit::Requirement::{Cgroup2, OtherUser};
use sockowner_testkit::cgroup::Scratch;
use sockowner_testkit::privileges::ORDINARY_UID;
use sockowner_testkit::{Actor, SocketOptions, eventually, netns};

use super::ask::{Recorder, Who, assert_roles, by, called, implied, who};

tests! {
    Alone each_role_is_whose_call_it_was needs OtherUser;
    Alone listeners_of_two_users_share_a_port needs OtherUser;
    Alone an_activated_service_accepts_what_its_activator_listens_on needs Cgroup2;
    Alone what_comes_and_goes_is_all_there needs OtherUser;
    Alone who_makes_sockets_without_end_takes_nothing_from_others needs OtherUser;
}

fn user(uid: u32) -> Actor {
    Actor::builder().uid(uid).gid(uid).spawn()
}

/// One user's socket, bound by another, on which a third listens and a fourth accepts.
fn each_role_is_whose_call_it_was() {
    let recorder = Recorder::start();
    let all = [0, 1, 2, 3].map(|more| user(ORDINARY_UID + more));
    let [creator, binder, listener, acceptor] = &all;
    let made = creator.tcp_unbound(false, false);
    let at_binder = creator.pass_fd(made.fd, binder);
    let bound = binder.bind(at_binder.fd, "127.0.0.1:0");
    let at_listener = binder.pass_fd(bound.fd, listener);
    listener.listen(at_listener.fd);
    let at_acceptor = listener.pass_fd(at_listener.fd, acceptor);
    let told = recorder.told(&at_acceptor);
    assert_roles(&told, [called(creator), called(binder), called(listener), None]);
    let client = Actor::spawn().tcp_connect(bound.addr);
    let server = acceptor.accept_from(at_acceptor.fd);
    assert_eq!(server.peer, Some(client.addr));
    let of_connection = recorder.told(&server);
    assert_roles(&of_connection, [by(creator, Inherited), None, by(listener, Inherited), called(acceptor)]);
    for (kind, actor) in
        RoleKind::ALL.into_iter().zip(0_u32..).filter(|(kind, _)| *kind != RoleKind::Acceptor)
    {
        assert_eq!(told.roles.get(kind).unwrap().process.uid, ORDINARY_UID + actor);
    }
    assert_eq!(of_connection.roles.acceptor.unwrap().process.uid, ORDINARY_UID + 3);
}

/// The kernel lets a socket share a port with sockets that the same user made, whoever binds them.
fn listeners_of_two_users_share_a_port() {
    let recorder = Recorder::start();
    let (one, two, near) = (user(ORDINARY_UID), user(ORDINARY_UID + 1), Actor::spawn());
    let first = one.tcp_unbound(false, true);
    let first = one.bind(first.fd, "127.0.0.1:0");
    one.listen(first.fd);
    let made = one.tcp_unbound(false, true);
    let second = one.pass_fd(made.fd, &two);
    let second = two.bind(second.fd, first.addr);
    two.listen(second.fd);
    assert_eq!(first.addr, second.addr);
    assert_roles(&recorder.told(&first), [called(&one), called(&one), called(&one), None]);
    assert_roles(&recorder.told(&second), [called(&one), called(&two), called(&two), None]);
    let mut served = [0; 2];
    let clients: Vec<_> = (0..64)
        .map(|_| {
            let client = near.tcp_connect(first.addr);
            let (which, actor, listener) = eventually("a listener has the connection", || {
                match [one.is_ready(first.fd), two.is_ready(second.fd)] {
                    [false, false] => None,
                    [true, false] => Some((0, &one, &first)),
                    [false, true] => Some((1, &two, &second)),
                    [true, true] => panic!("both listeners have it"),
                }
            });
            served[which] += 1;
            let server = actor.accept_from(listener.fd);
            assert_eq!(server.peer, Some(client.addr));
            let told = recorder.told(&server);
            assert_roles(&told, [by(&one, Inherited), None, by(actor, Inherited), called(actor)]);
            assert_eq!(
                told.roles.acceptor.unwrap().process.uid,
                ORDINARY_UID + u32::try_from(which).unwrap()
            );
            client
        })
        .collect();
    assert!(served.iter().all(|count| *count > 0), "one listener alone was served: {served:?}");
    assert_eq!(clients.len(), served.iter().sum::<usize>());
}

const UNIT: &str = "sockowner-live-activated.service";

/// The test is the activator: the service inherits the listener through fork and exec.
fn an_activated_service_accepts_what_its_activator_listens_on() {
    let _recorder = Recorder::start();
    let scratch = Scratch::new(&format!("/system.slice/{UNIT}"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (addr, fd) = (listener.local_addr().unwrap(), listener.as_raw_fd());
    let dir = tempfile::tempdir().unwrap();
    let exe = dir.path().join("service");
    let service = Actor::builder().exe(&exe).cgroup(&scratch).inherits(listener.as_fd()).spawn();
    let near = Actor::spawn();
    let client = near.tcp_connect(addr);
    let server = service.accept_from(fd);
    let query = Query::new().unwrap();
    let activator = |evidence| Some((Some(std::process::id()), evidence, false));
    let found = query.who(&Pattern::local(addr.ip(), addr.port())).unwrap();
    let told = |cookie| found.iter().find(|entry| entry.socket.cookie == cookie).unwrap();
    let roles = |cookie| RoleKind::ALL.map(|kind| told(cookie).record.role(kind).map(who));
    let listening = service.describe(fd).cookie;
    let call = activator(RoleEvidence::Call);
    assert_eq!(roles(listening), [call, call, call, None]);
    let inherited = activator(Inherited);
    let accepted: [Option<Who>; 4] = [inherited, None, inherited, called(&service)];
    assert_eq!(roles(server.cookie), accepted);
    assert_eq!(server.peer, Some(client.addr));
    let acceptor = told(server.cookie).record.role(RoleKind::Acceptor).unwrap();
    assert_eq!(acceptor.service.as_ref().unwrap().name, UNIT);
    assert_eq!(acceptor.process.path.as_ref(), Some(&exe));
    let unit =
        |kind| told(server.cookie).record.role(kind).unwrap().service.as_ref().map(|it| it.name.clone());
    assert!(
        [RoleKind::Creator, RoleKind::Listener].map(unit).iter().all(|name| name.as_deref() != Some(UNIT))
    );
    // Both have the listener, and the service alone when the activator gives it up.
    let pids = |found: &sockowner::Snapshot| {
        let entry = found.iter().find(|entry| entry.socket.cookie == listening).unwrap();
        entry.attribution.holders().iter().map(|holder| holder.process.pid).collect::<Vec<_>>()
    };
    let mut both = pids(&found);
    both.sort_unstable();
    assert_eq!(both, [std::process::id(), service.pid()]);
    drop(listener);
    let found = query.who(&Pattern::local(addr.ip(), addr.port())).unwrap();
    assert_eq!(pids(&found), [service.pid()]);
    let entry = found.iter().find(|entry| entry.socket.cookie == listening).unwrap();
    assert_eq!(RoleKind::ALL.map(|kind| entry.record.role(kind).map(who)), [call, call, call, None]);
}

/// In a shorter queue who is slow to accept has others wait for a second.
fn queue() -> SocketOptions {
    SocketOptions { backlog: Some(4_000), ..SocketOptions::default() }
}

/// A user whom no other test has at the same time, as what is refused is counted by user, and for the whole machine.
fn own_user(number: u32) -> u32 {
    let namespace = u32::try_from(netns::inode() & 0xf_ffff).unwrap();
    1_000_000 + 4 * namespace + number
}

/// Sockets of this user that were refused a place; and calls of anybody that could not be noted.
fn lost(uid: u32) -> (u64, u64) {
    let status = record::status().unwrap().unwrap();
    let refused = status.not_recorded_of.iter().find(|(user, _)| *user == uid);
    (refused.map_or(0, |(_, count)| *count), status.dropped)
}

/// How many of these closed sockets are not known, or not in all these roles. Nobody else is named in any.
fn unknown(recorder: &Recorder, cookies: &[u64], expected: [Option<Who>; 4]) -> u64 {
    // Whoever looks at a descriptor while it is closed has the file a moment longer.
    let mut open = Vec::new();
    let closed = || {
        let known = recorder.reader.sockets(cookies).unwrap();
        open = known.iter().flatten().filter(|told| told.closed_at.is_none()).cloned().collect();
        open.is_empty().then_some(known)
    };
    let known = catch_unwind(AssertUnwindSafe(|| eventually("all are closed", closed)));
    let known =
        known.unwrap_or_else(|_| panic!("{} of {} are open: {:#?}", open.len(), cookies.len(), open[0]));
    let is_whole = |told: &Recorded| {
        let roles = RoleKind::ALL.map(|kind| told.roles.get(kind).map(who));
        for (role, expected) in roles.iter().zip(&expected) {
            let names = |role: &Option<Who>| role.as_ref().and_then(|(pid, ..)| *pid);
            assert!(role.is_none() || names(role) == names(expected), "{told:#?} for {expected:?}");
        }
        roles == expected
    };
    let whole = known.iter().flatten().filter(|told| is_whole(told)).count();
    u64::try_from(cookies.len() - whole).unwrap()
}

/// Half a million connections with `SOCKOWNER_FULL`: each end of each is looked for, and what is missing was counted.
fn what_comes_and_goes_is_all_there() {
    const EACH: usize = 4_000;
    let turns = if std::env::var_os("SOCKOWNER_FULL").is_some() { 500_000 / EACH } else { 5 };
    let recorder = Recorder::start();
    let uid = own_user(0);
    let (near, far) = (user(uid), user(uid));
    let inherited = by(&far, Inherited);
    let mut all_missing = 0;
    let mut seen = BTreeSet::new();
    for turn in 0..turns {
        let before = lost(uid);
        let listener = far.tcp_listen_with("127.0.0.1:0", queue());
        let (clients, servers) = thread::scope(|scope| {
            let connecting = scope.spawn(|| near.connect_many(listener.addr, EACH));
            let servers = far.accept_many(listener.fd, EACH);
            (connecting.join().unwrap(), servers)
        });
        far.close(listener.fd);
        assert!(clients.iter().chain(&servers).all(|cookie| seen.insert(*cookie)), "a cookie comes twice");
        let missing = unknown(&recorder, &clients, [called(&near), implied(&near), None, None])
            + unknown(&recorder, &servers, [inherited, None, inherited, called(&far)])
            + unknown(&recorder, &[listener.cookie], [called(&far), called(&far), called(&far), None]);
        let after = lost(uid);
        let (refused, dropped) = (after.0 - before.0, after.1 - before.1);
        // What is dropped may be anybody's.
        let is_counted = missing >= refused && missing <= refused + dropped;
        assert!(is_counted, "turn {turn}: {missing} are missing, {refused} refused, {dropped} dropped");
        all_missing += missing;
        record::tend().unwrap();
    }
    assert_eq!(seen.len(), 2 * EACH * turns);
    // Other tests' sockets take room at the same time. Where that is all of it, this proves nothing.
    assert!(all_missing * 10 < u64::try_from(seen.len()).unwrap(), "{all_missing} are missing");
}

/// A table of which the one would fill all, and the others' is but a part.
fn who_makes_sockets_without_end_takes_nothing_from_others() {
    const ROOM: u32 = 16_384;
    const GREEDY: usize = 30_000;
    const MODEST: usize = 1_500;
    let recorder = Recorder::start_with(false, ROOM);
    let (greedy_uid, modest_uid) = (own_user(0), own_user(1));
    let (greedy, near, far) = (user(greedy_uid), user(modest_uid), user(modest_uid));
    let listener = far.tcp_listen_with("127.0.0.1:0", queue());
    let (his, clients, servers) = thread::scope(|scope| {
        let his = scope.spawn(|| greedy.udp_bind_many("127.0.0.1:0", GREEDY));
        let clients = scope.spawn(|| near.connect_many(listener.addr, MODEST));
        let servers = far.accept_many(listener.fd, MODEST);
        (his.join().unwrap(), clients.join().unwrap(), servers)
    });
    let missing = unknown(&recorder, &his, [called(&greedy), called(&greedy), None, None]);
    let inherited = by(&far, Inherited);
    let of_others = unknown(&recorder, &clients, [called(&near), implied(&near), None, None])
        + unknown(&recorder, &servers, [inherited, None, inherited, called(&far)]);
    let ((refused, dropped), others) = (lost(greedy_uid), lost(modest_uid));
    // What is dropped may be anybody's.
    let is_counted = missing >= refused && missing + of_others <= refused + dropped;
    assert!(is_counted, "{missing} and {of_others} are missing, {refused} refused, {dropped} dropped");
    assert_eq!(others.0, 0);
    assert!(of_others * 100 <= u64::try_from(MODEST).unwrap(), "{of_others} are missing");
    let known = GREEDY - usize::try_from(missing).unwrap();
    assert!(missing > 0 && known >= usize::try_from(ROOM / 4).unwrap(), "{known} of {GREEDY} are known");
}
