//! Who is named, whatever became of the socket and of the process since.

use std::fs;
use std::path::Path;

use sockowner::RoleEvidence::{Closer, FirstUser, Inherited};
use sockowner::RoleReason::{BeforeRecorder, NotRecorded};
use sockowner_testkit::Requirement::{NsLastPid, OtherUser};
use sockowner_testkit::privileges::ORDINARY_UID;
use sockowner_testkit::{Actor, eventually, netns};

use super::FIRST_USE;
use super::ask::{Recorder, assert_is, assert_reasons, assert_roles, by, called, implied, is_of};

tests! {
    Alone a_listener_has_creator_binder_and_listener;
    Alone a_connect_binds;
    Alone datagram_sockets_are_noted;
    Alone a_forked_child_bound_nothing;
    Alone who_received_a_descriptor_bound_nothing;
    Alone the_creator_is_named_after_its_end;
    Alone the_program_is_the_one_that_bound;
    Alone a_path_that_is_not_had_whole_is_none;
    Alone the_user_is_the_one_that_bound needs OtherUser;
    Alone a_recycled_number_is_not_the_old_process needs NsLastPid;
    Alone a_connection_has_its_acceptor;
    Alone who_uses_a_connection_first_is_noted_on_request needs FIRST_USE;
    Alone who_closes_a_connection_is_noted;
    Alone what_nobody_accepted_has_a_listener;
    Alone sockets_from_before_are_marked;
    Alone namespaces_with_one_tuple_are_kept_apart;
    Alone a_process_in_another_pid_namespace_has_no_number_here;
}

fn a_listener_has_creator_binder_and_listener() {
    let recorder = Recorder::start();
    let actor = Actor::spawn();
    for address in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"] {
        let listener = actor.tcp_listen(address);
        let told = recorder.told(&listener);
        assert_roles(&told, [called(&actor), called(&actor), called(&actor), None]);
        assert_reasons(&told, [None; 4]);
        assert_eq!(told.netns, netns::inode());
        assert!(told.created_at.is_some() && told.cgroup.is_some());
        for role in [&told.roles.creator, &told.roles.binder, &told.roles.listener] {
            assert_is(role.as_ref(), &actor);
        }
    }
}

fn a_connect_binds() {
    let recorder = Recorder::start();
    let (near, far) = (Actor::spawn(), Actor::spawn());
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = far.tcp_listen(address);
        let client = near.tcp_connect(listener.addr);
        assert_roles(&recorder.told(&client), [called(&near), implied(&near), None, None]);
    }
    let listener = far.tcp_listen("127.0.0.1:0");
    let client = near.tcp_connect_from("127.0.0.1:0", listener.addr);
    assert_roles(&recorder.told(&client), [called(&near), called(&near), None, None]);
}

fn datagram_sockets_are_noted() {
    let recorder = Recorder::start();
    let actor = Actor::spawn();
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let bound = actor.udp_bind(address);
        assert_roles(&recorder.told(&bound), [called(&actor), called(&actor), None, None]);
        let unbound = actor.udp_unbound(bound.addr.is_ipv6());
        let told = recorder.told(&unbound);
        assert_roles(&told, [called(&actor), None, None, None]);
        assert_reasons(&told, [None, Some(NotRecorded), None, None]);
        let connected = actor.udp_connect(unbound.fd, bound.addr);
        assert_roles(&recorder.told(&connected), [called(&actor), implied(&actor), None, None]);
        // It has its port already.
        let other = Actor::spawn();
        let passed = actor.pass_fd(connected.fd, &other);
        let connected = other.udp_connect(passed.fd, bound.addr);
        assert_roles(&recorder.told(&connected), [called(&actor), implied(&actor), None, None]);
    }
}

fn a_forked_child_bound_nothing() {
    let recorder = Recorder::start();
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    let child = actor.fork();
    assert_ne!(child, actor.pid());
    assert_roles(&recorder.told(&listener), [called(&actor), called(&actor), called(&actor), None]);
    let pid = actor.pid();
    actor.kill();
    let told = recorder.told(&listener);
    assert_eq!(told.roles.binder.unwrap().process.pid, Some(pid), "the child has it, and did not bind it");
}

fn who_received_a_descriptor_bound_nothing() {
    let recorder = Recorder::start();
    let (first, second) = (Actor::spawn(), Actor::spawn());
    let bound = first.tcp_bind_only("127.0.0.1:0");
    let passed = first.pass_fd(bound.fd, &second);
    first.close(bound.fd);
    assert_roles(&recorder.told(&passed), [called(&first), called(&first), None, None]);
}

fn the_creator_is_named_after_its_end() {
    let recorder = Recorder::start();
    let (first, second) = (Actor::spawn(), Actor::spawn());
    let listener = first.tcp_listen("127.0.0.1:0");
    let before = recorder.told(&listener);
    let passed = first.pass_fd(listener.fd, &second);
    drop(first);
    let after = recorder.told(&passed);
    let process = |told: &sockowner::Recorded| {
        let process = told.roles.creator.clone().unwrap().process;
        (process.pid, process.start.ticks, process.path.clone(), process.comm.clone())
    };
    assert_eq!(process(&after), process(&before));
}

fn the_program_is_the_one_that_bound() {
    let recorder = Recorder::start();
    let dir = tempfile::tempdir().unwrap();
    let (alpha, beta) = (dir.path().join("alpha"), dir.path().join("beta"));
    let actor = Actor::builder().exe(&alpha).spawn();
    let first = actor.tcp_listen("127.0.0.1:0");
    actor.exec_copy(&beta);
    let second = actor.tcp_listen("127.0.0.1:0");
    actor.unlink_self_exe();
    let third = actor.tcp_listen("127.0.0.1:0");
    let program = |sock| {
        let process = recorder.told(sock).roles.binder.unwrap().process;
        (process.pid, process.path.clone().unwrap(), process.name.clone())
    };
    let pid = Some(actor.pid());
    assert_eq!(program(&first), (pid, alpha, "alpha".into()));
    assert_eq!(program(&second), (pid, beta.clone(), "beta".into()));
    // What is known of the process was noted before its executable lost its name.
    assert_eq!(program(&third), (pid, beta, "beta".into()));
}

/// What could be told of it would be another file's path.
fn a_path_that_is_not_had_whole_is_none() {
    /// Of `bpf/record.h`: `PATH_ROOM`.
    const ROOM: usize = 416;
    let recorder = Recorder::start();
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let program_at = |exe: &Path| {
        fs::create_dir_all(exe.parent().unwrap()).unwrap();
        let actor = Actor::builder().exe(exe).spawn();
        let process = recorder.told(&actor.tcp_listen("127.0.0.1:0")).roles.binder.unwrap().process;
        assert_eq!(process.pid, Some(actor.pid()));
        assert!(process.file.is_some());
        process.path.clone()
    };
    let deep = dir.join("d/".repeat(70)).join("program");
    assert_eq!(program_at(&deep), None);
    // Its last three names fill the room, and there are more.
    let long = dir.join("l".repeat(206)).join("m".repeat(200)).join("program");
    assert_eq!(long.strip_prefix(dir).unwrap().as_os_str().len() + 1, ROOM);
    assert_eq!(program_at(&long), None);
    let half = dir.join("l".repeat(200));
    let whole = half.join("p".repeat(ROOM - half.as_os_str().len() - 1));
    assert_eq!(program_at(&whole), Some(whole));
}

fn the_user_is_the_one_that_bound() {
    let recorder = Recorder::start();
    let actor = Actor::builder().uid(ORDINARY_UID).gid(ORDINARY_UID).spawn();
    let first = actor.tcp_listen("127.0.0.1:0");
    actor.drop_dumpable();
    let second = actor.tcp_listen("127.0.0.1:0");
    let process = |sock| recorder.told(sock).roles.binder.unwrap().process;
    let (first, second) = (process(&first), process(&second));
    for process in [&first, &second] {
        assert_eq!([process.uid, process.effective_uid, process.saved_uid], [ORDINARY_UID; 3]);
    }
    assert!(first.may_be_told_to(ORDINARY_UID) && !first.may_be_told_to(ORDINARY_UID + 1));
    assert!(!second.dumpable && !second.may_be_told_to(ORDINARY_UID));
    let roots = Actor::spawn();
    assert!(!process(&roots.tcp_listen("127.0.0.1:0")).may_be_told_to(ORDINARY_UID));
}

const NUMBER: u32 = 4711;

fn a_recycled_number_is_not_the_old_process() {
    let recorder = Recorder::start();
    let dir = tempfile::tempdir().unwrap();
    let other = Actor::spawn();
    let mut told = Vec::new();
    for name in ["alpha", "beta"] {
        let actor = Actor::builder().exe(dir.path().join(name)).pid(NUMBER).spawn();
        let listener = actor.tcp_listen("127.0.0.1:0");
        told.push(actor.pass_fd(listener.fd, &other));
    }
    let process = |sock| recorder.told(sock).roles.binder.unwrap().process;
    let (first, second) = (process(&told[0]), process(&told[1]));
    assert_eq!((first.pid, second.pid), (Some(NUMBER), Some(NUMBER)));
    assert_eq!((first.name.to_str(), second.name.to_str()), (Some("alpha"), Some("beta")));
    assert!(first.start.time < second.start.time);
}

/// An actor accepts without asking for the peer's address.
fn a_connection_has_its_acceptor() {
    let recorder = Recorder::start();
    let (near, far) = (Actor::spawn(), Actor::spawn());
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = far.tcp_listen(address);
        let _client = near.tcp_connect(listener.addr);
        let server = far.accept(listener.fd);
        let told = recorder.told(&server);
        let inherited = by(&far, Inherited);
        assert_roles(&told, [inherited, None, inherited, None]);
        assert_reasons(&told, [None, None, None, Some(NotRecorded)]);
        assert!(told.created_at.is_some());
        let _client = near.tcp_connect(listener.addr);
        let server = far.accept_from(listener.fd);
        assert_roles(&recorder.told(&server), [inherited, None, inherited, called(&far)]);
        // getpeername(2), by another process, is not an accept.
        let passed = far.pass_fd(server.fd, &near);
        near.describe(passed.fd);
        assert_roles(&recorder.told(&passed), [inherited, None, inherited, called(&far)]);
    }
}

fn who_uses_a_connection_first_is_noted_on_request() {
    let recorder = Recorder::start_with(true, 131_072);
    let (near, far, other) = (Actor::spawn(), Actor::spawn(), Actor::spawn());
    let listener = far.tcp_listen("127.0.0.1:0");
    let inherited = by(&far, Inherited);
    let client = near.tcp_connect(listener.addr);
    let server = far.accept(listener.fd);
    let passed = far.pass_fd(server.fd, &other);
    assert_roles(&recorder.told(&server), [inherited, None, inherited, None]);
    assert_eq!(other.send(passed.fd, 1), 1);
    assert_eq!(far.send(server.fd, 1), 1);
    assert_roles(&recorder.told(&server), [inherited, None, inherited, by(&other, FirstUser)]);
    assert_eq!(near.send(client.fd, 1), 1);
    assert_roles(&recorder.told(&client), [called(&near), implied(&near), None, None]);
    // Better evidence is kept.
    let _client = near.tcp_connect(listener.addr);
    let server = far.accept_from(listener.fd);
    let passed = far.pass_fd(server.fd, &other);
    assert_eq!(other.send(passed.fd, 1), 1);
    assert_roles(&recorder.told(&server), [inherited, None, inherited, called(&far)]);
}

fn who_closes_a_connection_is_noted() {
    let recorder = Recorder::start();
    let (near, far, other) = (Actor::spawn(), Actor::spawn(), Actor::spawn());
    let listener = far.tcp_listen("127.0.0.1:0");
    let inherited = by(&far, Inherited);
    // Whoever looks at the descriptor meanwhile has the file a moment longer, and may be the one who closes it.
    let told = eventually("no other process closes the connection", || {
        let _client = near.tcp_connect(listener.addr);
        let server = far.accept(listener.fd);
        let passed = far.pass_fd(server.fd, &other);
        far.close(server.fd);
        assert!(recorder.told(&server).roles.acceptor.is_none(), "it is open");
        other.close(passed.fd);
        eventually("its end", || recorder.reader.socket(server.cookie).unwrap().unwrap().closed_at);
        let told = recorder.about(server.cookie).unwrap();
        is_of([&near, &far, &other], told.roles.acceptor.as_ref().unwrap()).then_some(told)
    });
    assert_roles(&told, [inherited, None, inherited, by(&other, Closer)]);
}

fn what_nobody_accepted_has_a_listener() {
    let recorder = Recorder::start();
    let (near, far) = (Actor::spawn(), Actor::spawn());
    let listener = far.tcp_listen("127.0.0.1:0");
    let client = near.tcp_connect(listener.addr);
    let pattern = sockowner::Pattern::local(listener.addr.ip(), listener.addr.port())
        .connected_to(client.addr.ip(), client.addr.port());
    assert_eq!(recorder.reader.closed(&pattern).unwrap(), []);
    far.close(listener.fd);
    let told = eventually("the end of what nobody accepted", || {
        recorder.reader.closed(&pattern).unwrap().into_iter().next()
    });
    let inherited = by(&far, Inherited);
    assert_roles(&told, [inherited, None, inherited, None]);
}

fn sockets_from_before_are_marked() {
    let (near, far) = (Actor::spawn(), Actor::spawn());
    let listener = far.tcp_listen("127.0.0.1:0");
    let unbound = near.udp_unbound(false);
    let bound = near.udp_bind("127.0.0.1:0");
    let recorder = Recorder::start();
    assert_eq!(recorder.about(listener.cookie), None);
    let connected = near.udp_connect(unbound.fd, bound.addr);
    let told = recorder.told(&connected);
    assert_roles(&told, [None, implied(&near), None, None]);
    assert_reasons(&told, [Some(BeforeRecorder), None, None, None]);
    assert_eq!((told.created_at, told.cgroup), (None, None));
    // Bound before.
    let told = recorder.told(&near.udp_connect(bound.fd, bound.addr));
    assert_roles(&told, [None; 4]);
    assert_reasons(&told, [Some(BeforeRecorder), Some(BeforeRecorder), None, None]);
    let _client = near.tcp_connect(listener.addr);
    let told = recorder.told(&far.accept_from(listener.fd));
    assert_roles(&told, [None, None, None, called(&far)]);
    assert_reasons(&told, [Some(BeforeRecorder), None, Some(BeforeRecorder), None]);
    assert!(told.created_at.is_some());
    far.close(listener.fd);
    let told = eventually("the listener's end", || recorder.about(listener.cookie));
    assert_reasons(&told, [Some(BeforeRecorder), Some(BeforeRecorder), None, None]);
    assert_eq!(told.endpoint.unwrap().local, listener.addr.into());
}

fn namespaces_with_one_tuple_are_kept_apart() {
    let recorder = Recorder::start();
    let here = Actor::spawn();
    let mine = here.tcp_listen("127.0.0.1:4711");
    let (theirs, there, netns) = netns::inside(|| {
        let there = Actor::spawn();
        (there.tcp_listen("127.0.0.1:4711"), there, netns::inode())
    });
    assert_ne!(mine.cookie, theirs.cookie);
    let (one, other) = (recorder.told(&mine), recorder.told(&theirs));
    assert_roles(&one, [called(&here), called(&here), called(&here), None]);
    assert_roles(&other, [called(&there), called(&there), called(&there), None]);
    assert_eq!((one.netns, other.netns), (netns::inode(), netns));
}

fn a_process_in_another_pid_namespace_has_no_number_here() {
    let recorder = Recorder::start();
    let inner = Actor::builder().new_pid_namespace().spawn();
    let listener = inner.tcp_listen("127.0.0.1:0");
    // Seen from above it has one.
    assert_roles(&recorder.told(&listener), [called(&inner), called(&inner), called(&inner), None]);
}
