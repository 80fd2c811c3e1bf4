//! What an ordinary user is told: everything of their own, and why not of others'.

use std::path::PathBuf;

use sockowner::{Entry, ErrorKind, Filter, Gap, GapReason, Query, Reason, Snapshot, State};
use sockowner_testkit::Requirement::{Cgroup2, OtherUser, PidNamespace};
use sockowner_testkit::cgroup::{Scratch, mount_point};
use sockowner_testkit::privileges::{ORDINARY_UID, become_user};
use sockowner_testkit::{Actor, Scenario, Sock, eventually};

use super::ask::{assert_held, assert_state, assert_unheld, at, candidates, holders, query};
use super::seen::{comm, start_ticks, user_name};

tests! {
    Outside roots_listener_is_not_permitted_to_an_ordinary_user needs PidNamespace, Cgroup2, OtherUser;
    Scene an_ordinary_user_looks_at_roots_listener;
    Outside members_of_the_unit_are_candidates_and_never_owners needs PidNamespace, Cgroup2, OtherUser;
    Scene an_ordinary_user_looks_at_a_connection_that_left;
    Alone an_ordinary_user_is_told_all_of_their_own needs OtherUser;
    Alone an_undumpable_process_is_not_permitted_even_to_its_user needs OtherUser;
    Alone a_socket_shared_with_root_names_the_holder_that_is_seen needs OtherUser;
    Alone what_nobody_can_hold_is_told_without_a_right needs OtherUser;
    HidePid hidden_processes_are_a_gap needs OtherUser;
    HidePid hidepid_hides_nothing_from_root needs OtherUser;
    Outside whoever_runs_this_is_told_their_own;
    NoProc owners_need_proc_and_sockets_do_not;
}

/// From here on the whole test is an ordinary user's.
fn give_root_up() {
    become_user(ORDINARY_UID, ORDINARY_UID).unwrap();
}

fn ordinary_user() -> Actor {
    Actor::builder().uid(ORDINARY_UID).gid(ORDINARY_UID).spawn()
}

fn find(snapshot: &Snapshot, sock: &Sock) -> Entry {
    snapshot.iter().find(|entry| entry.socket.cookie == sock.cookie).unwrap().clone()
}

/// The three questions about a socket with one answer, and the gaps of the widest.
fn ask(query: &Query, sock: &Sock) -> (Entry, Vec<Gap>) {
    let all = query.snapshot(&Filter::new()).unwrap();
    let entry = find(&all, sock);
    let found = query.who(&sockowner::Pattern::port(sock.addr.port())).unwrap();
    assert_eq!(found.gaps(), all.gaps());
    for other in [find(&found, sock), query.owner_of(&entry.socket).unwrap()] {
        assert_eq!(other.attribution.reason(), entry.attribution.reason());
        assert_eq!((holders(&other), candidates(&other)), (holders(&entry), candidates(&entry)));
        assert_eq!((&other.service, &other.user), (&entry.service, &entry.user));
    }
    (entry, all.gaps().to_vec())
}

fn tell(gaps: &[Gap]) -> Vec<String> {
    gaps.iter().map(ToString::to_string).collect()
}

const UNIT: &str = "/system.slice/sockowner-live-rights.service";
const LEFT: &str = "/system.slice/sockowner-live-rights-left.service";

/// The directory of a cgroup that the test outside has made, and will remove when this one cannot.
fn dir(path: &str) -> PathBuf {
    mount_point().unwrap().join(&path[1..])
}

fn roots_listener_is_not_permitted_to_an_ordinary_user() {
    let _unit = Scratch::new(UNIT);
    Scenario::new("an_ordinary_user_looks_at_roots_listener").run();
}

fn an_ordinary_user_looks_at_roots_listener() {
    let roots = Actor::builder().cgroup(dir(UNIT)).spawn();
    let beside = Actor::builder().cgroup(dir(UNIT)).spawn();
    let own = ordinary_user();
    let (listener, datagrams) = (roots.tcp_listen("127.0.0.1:0"), roots.udp_bind("127.0.0.1:0"));
    let mine = own.tcp_listen("127.0.0.1:0");
    give_root_up();
    let query = query();
    for sock in [&listener, &datagrams] {
        let (entry, gaps) = ask(&query, sock);
        assert_unheld(&entry, Reason::NotPermitted);
        assert!(entry.is_not_permitted());
        assert_eq!((entry.socket.inode, entry.socket.uid), (sock.inode, Some(0)));
        assert_eq!(entry.user.as_deref(), Some("root"));
        let service = entry.service.as_deref().unwrap();
        assert_eq!(service.name, "sockowner-live-rights.service");
        assert_eq!(candidates(&entry), [roots.pid(), beside.pid()]);
        let candidate = &entry.candidates[0].process;
        assert_eq!(candidate.start.ticks, start_ticks(roots.pid()));
        assert_eq!((&candidate.comm, &candidate.name), (&comm(roots.pid()), &comm(roots.pid())));
        assert_eq!(candidate.executable, None);
        assert_eq!(tell(&gaps), ["proc /proc/*/fd: not_permitted (2)"]);
        assert_eq!((gaps[0].reason, gaps[0].count), (GapReason::NotPermitted, 2));
    }
    let (entry, _) = ask(&query, &mine);
    assert_held(&entry, &[at(&own, &mine)]);
    assert_eq!(entry.socket.uid, Some(ORDINARY_UID));
    assert!(query.snapshot(&Filter::new()).unwrap().lacks_permission());
}

fn members_of_the_unit_are_candidates_and_never_owners() {
    let _unit = Scratch::new(LEFT);
    Scenario::new("an_ordinary_user_looks_at_a_connection_that_left").run();
}

fn an_ordinary_user_looks_at_a_connection_that_left() {
    // All of it is this user's, but for the process that has the connection now.
    let stayed = Actor::builder().cgroup(dir(LEFT)).uid(ORDINARY_UID).gid(ORDINARY_UID).spawn();
    let holder = Actor::spawn();
    let listener = stayed.tcp_listen("127.0.0.1:0");
    let client = stayed.tcp_connect(listener.addr);
    let accepted = stayed.accept(listener.fd);
    let passed = stayed.pass_fd(accepted.fd, &holder);
    stayed.close(accepted.fd);
    give_root_up();
    let query = query();
    let (entry, gaps) = ask(&query, &passed);
    assert_unheld(&entry, Reason::NotPermitted);
    assert_eq!(candidates(&entry), [stayed.pid()]);
    let service = entry.service.as_deref().unwrap();
    assert_eq!(service.name, "sockowner-live-rights-left.service");
    assert_eq!(tell(&gaps), [format!("proc /proc/{}/fd: not_permitted", holder.pid())]);
    let (entry, _) = ask(&query, &client);
    assert_held(&entry, &[at(&stayed, &client)]);
}

fn an_ordinary_user_is_told_all_of_their_own() {
    let own = ordinary_user();
    let listener = own.tcp_listen("127.0.0.1:0");
    let child = own.fork();
    let thread = own.thread_with_own_fd_table("127.0.0.1:0");
    give_root_up();
    let query = query();
    let entry = super::ask::told(&query, &listener);
    assert_held(&entry, &[at(&own, &listener), (child, child, listener.fd)]);
    assert_eq!(entry.user.as_deref(), user_name(ORDINARY_UID).as_deref());
    let executable = entry.attribution.holders()[0].process.executable.as_ref().unwrap();
    assert_eq!(executable.path, std::env::current_exe().unwrap());
    assert_held(&super::ask::told(&query, &thread.sock), &[(own.pid(), thread.tid, thread.sock.fd)]);
}

fn an_undumpable_process_is_not_permitted_even_to_its_user() {
    let own = ordinary_user();
    let listener = own.tcp_listen("127.0.0.1:0");
    own.drop_dumpable();
    assert_held(&super::ask::told(&query(), &listener), &[at(&own, &listener)]);
    give_root_up();
    let (entry, gaps) = ask(&query(), &listener);
    assert_unheld(&entry, Reason::NotPermitted);
    assert_eq!(entry.socket.uid, Some(ORDINARY_UID));
    assert_eq!(entry.user.as_deref(), user_name(ORDINARY_UID).as_deref());
    assert_eq!(tell(&gaps), [format!("proc /proc/{}/fd: not_permitted", own.pid())]);
}

/// A holder is seen, so there is an answer; the gap says that there may be more.
fn a_socket_shared_with_root_names_the_holder_that_is_seen() {
    let (own, roots) = (ordinary_user(), Actor::spawn());
    let listener = roots.tcp_listen("127.0.0.1:0");
    let passed = roots.pass_fd(listener.fd, &own);
    give_root_up();
    let (entry, gaps) = ask(&query(), &passed);
    assert_held(&entry, &[at(&own, &passed)]);
    assert_eq!((entry.socket.uid, entry.user.as_deref()), (Some(0), Some("root")));
    assert_eq!(tell(&gaps), [format!("proc /proc/{}/fd: not_permitted", roots.pid())]);
}

/// A connection that nobody accepted, and one in `TIME_WAIT`.
fn what_nobody_can_hold_is_told_without_a_right() {
    let roots = Actor::spawn();
    let listener = roots.tcp_listen("127.0.0.1:0");
    let [first, second] = [0, 1].map(|_| roots.tcp_connect(listener.addr));
    let server = roots.accept(listener.fd);
    assert_eq!(server.peer, Some(first.addr));
    roots.close_first(first.fd, &roots, server.fd);
    give_root_up();
    let all = eventually("TIME_WAIT", || {
        let all = query().snapshot(&Filter::new()).unwrap();
        (find(&all, &first).socket.endpoint.state == State::TIME_WAIT).then_some(all)
    });
    let entry = find(&all, &first);
    assert_unheld(&entry, Reason::NoHolder);
    assert_eq!((entry.socket.uid, entry.user), (None, None));
    let pending = all.iter().find(|entry| entry.socket.endpoint.remote == Some(second.addr.into())).unwrap();
    assert_state(pending, State::ESTABLISHED);
    assert_unheld(pending, Reason::NoHolder);
}

fn hidden_processes_are_a_gap() {
    let (roots, own) = (Actor::spawn(), ordinary_user());
    let (theirs, mine) = (roots.tcp_listen("127.0.0.1:0"), own.tcp_listen("127.0.0.1:0"));
    give_root_up();
    let query = query();
    let (entry, gaps) = ask(&query, &theirs);
    assert_unheld(&entry, Reason::NotPermitted);
    assert_eq!((entry.socket.uid, entry.user.as_deref()), (Some(0), Some("root")));
    assert_eq!(tell(&gaps), ["proc /proc (hidepid): not_permitted"]);
    let (entry, gaps) = ask(&query, &mine);
    assert_held(&entry, &[at(&own, &mine)]);
    assert_eq!(tell(&gaps), ["proc /proc (hidepid): not_permitted"]);
}

fn hidepid_hides_nothing_from_root() {
    let (roots, other) = (Actor::spawn(), ordinary_user());
    let query = query();
    for actor in [&roots, &other] {
        let listener = actor.tcp_listen("127.0.0.1:0");
        assert_held(&super::ask::told(&query, &listener), &[at(actor, &listener)]);
    }
}

/// On the host as it is, without a right or a namespace: other sockets may come and go, others' are not permitted.
fn whoever_runs_this_is_told_their_own() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    let child = actor.fork();
    let client = actor.tcp_connect(listener.addr);
    let server = actor.accept(listener.fd);
    let thread = actor.thread_with_own_fd_table("127.0.0.1:0");
    let datagrams = actor.udp_bind("127.0.0.1:0");
    let query = query();
    let all = query.snapshot(&Filter::new()).unwrap();
    let both = [at(&actor, &listener), (child, child, listener.fd)];
    for (sock, state, held) in [
        (&listener, State::LISTEN, &both[..]),
        (&client, State::ESTABLISHED, &[at(&actor, &client)]),
        (&server, State::ESTABLISHED, &[at(&actor, &server)]),
        (&thread.sock, State::LISTEN, &[(actor.pid(), thread.tid, thread.sock.fd)]),
        (&datagrams, State::UNCONNECTED, &[at(&actor, &datagrams)]),
    ] {
        let pattern = format!("127.0.0.1:{}", sock.addr.port()).parse().unwrap();
        let entry = find(&all, sock);
        for entry in
            [&entry, &find(&query.who(&pattern).unwrap(), sock), &query.owner_of(&entry.socket).unwrap()]
        {
            assert_state(entry, state);
            assert_held(entry, held);
            let process = &entry.attribution.holders()[0].process;
            super::seen::assert_is_as_seen(process);
            assert_eq!(entry.socket.uid, process.uid);
        }
    }
}

fn owners_need_proc_and_sockets_do_not() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    let query = query();
    let all = query.snapshot(&Filter::new().without_owners()).unwrap();
    let entry = find(&all, &listener);
    // Where cgroups are mounted stands in /proc, too.
    let gaps: &[&str] = match entry.socket.cgroup {
        Some(_) => &["cgroup /proc/self/mountinfo: unsupported"],
        None => &[],
    };
    assert_eq!(tell(all.gaps()), gaps);
    assert_eq!(all.entries().len(), 1);
    assert_state(&entry, State::LISTEN);
    assert_eq!(entry.attribution, sockowner::Attribution::NotAsked);
    assert_eq!((entry.socket.inode, entry.socket.uid), (listener.inode, Some(0)));
    assert_eq!(entry.socket.netns, None, "only /proc tells");
    for error in [
        query.snapshot(&Filter::new()).unwrap_err(),
        query.who(&sockowner::Pattern::port(listener.addr.port())).unwrap_err(),
        query.owner_of(&entry.socket).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let message = format!("{error:#}");
        assert_eq!(
            message,
            "look for the processes that hold sockets: no proc file system is mounted at /proc"
        );
    }
}
