//! The backend over a made-up kernel that fails at each call in turn, and changes before each.

use std::sync::atomic::Ordering;

use sockowner_wire::inet_diag::{IPPROTO_UDP, Row};

use super::System;
use super::door::FileKind;
use super::fake::{DISK, Fake, FakeProcess, Node, World, sock, stat};
use super::tests::{OPTIONS, all, row, small, snapshot, tcp};
use crate::Reason;
use crate::sys::Search;

/// A world with everything in it that the backend looks at.
fn rich() -> World {
    let mut world = small();
    world.cgroup("/docker/abc", 78, &[400]);
    tcp(&mut world, Row { cgroup: Some(78), interface: 2, ..row("[fe80::1]:443", 20) });
    tcp(&mut world, Row { cgroup: Some(12345), uid: 1000, ..row("10.0.0.1:5432", 30) });
    world.rows.push((IPPROTO_UDP, Row { state: 7, ..row("0.0.0.0:53", 40) }));
    let fds = vec![(4, sock(20)), (5, sock(40))];
    world.process(FakeProcess { pid: 400, uid: 1000, cgroup: "/docker/abc", fds, ..FakeProcess::default() });
    let threads = vec![(501, vec![]), (502, vec![(7, sock(30))])];
    world.process(FakeProcess { pid: 500, uid: 1000, threads, ..FakeProcess::default() });
    world
}

/// Who truly holds what in [`rich`].
fn truth(inode: u64) -> (u32, u64) {
    match inode {
        10 => (100, 1000),
        20 | 40 => (400, 1000),
        30 => (500, 1000),
        _ => panic!("inode {inode} is not in the world"),
    }
}

#[test]
fn whichever_call_fails_nothing_is_wrong_and_nothing_is_silent() {
    whichever_call_fails(&rich());
    whichever_call_fails(&World { iterates: true, ..rich() });
}

fn whichever_call_fails(rich: &World) {
    let door = Fake::new(rich.clone());
    let calls = door.counter();
    let (whole, gaps) = snapshot(door).unwrap();
    assert_eq!(whole.len(), 4);
    assert_eq!(gaps, [], "the whole world can be read");
    for entry in &whole {
        assert_eq!(
            entry.attribution.primary_owner().map(|(p, _)| (p.pid, p.start.ticks)),
            Some(truth(entry.socket.inode))
        );
    }
    let total = calls.load(Ordering::SeqCst);
    assert!(total > 30, "{total}");
    // Refused, gone, process gone, input/output error, interrupted buffer.
    for errno in [13, 2, super::call::ESRCH, 5, super::call::ENOBUFS] {
        for n in 1..=total + 20 {
            let context = format!("call {n} failing with {errno}");
            let (entries, gaps) = match snapshot(Fake::new(rich.clone()).failing(n, errno)) {
                Ok(answer) => answer,
                Err(error) => {
                    assert!(format!("{error:#}").contains("os error") || errno == 2, "{context}: {error:#}");
                    continue;
                }
            };
            assert!(entries.len() == 4 || !gaps.is_empty(), "{context}: a table is missing in silence");
            for entry in &entries {
                match entry.attribution.primary_owner() {
                    Some((process, _)) => {
                        assert_eq!(
                            (process.pid, process.start.ticks),
                            truth(entry.socket.inode),
                            "{context}"
                        );
                    }
                    None => {
                        assert!(entry.attribution.reason().is_some(), "{context}: no owner and no reason");
                    }
                }
                let says_closed = errno == 2 || errno == super::call::ESRCH;
                let claims_all_read = entry.attribution.reason() == Some(Reason::NoVisibleHolder);
                assert!(says_closed || !claims_all_read, "{context}: {entry:?} {gaps:?}");
            }
        }
    }
}

#[test]
fn whenever_a_pid_is_recycled_the_new_process_is_never_named() {
    for (search, iterates) in
        [Search::Everywhere, Search::Nearest].into_iter().flat_map(|s| [(s, false), (s, true)])
    {
        for n in 1..200 {
            let door = Fake::new(World { iterates, ..small() }).changing(n, |world| {
                world.kill(100);
                // A stranger gets the number, and has a socket of its own.
                let fds = vec![(3, sock(888))];
                let exe = ("/usr/bin/stranger", 66);
                world.process(FakeProcess { pid: 100, start: 7777, exe, fds, ..FakeProcess::default() });
            });
            let Ok(system) = System::open_with(door, OPTIONS) else { panic!("call {n}: cannot be opened") };
            let listed = system.sockets(&all()).unwrap().list;
            let (entries, _) = system.attribute(listed, search, None).unwrap();
            match entries[0].attribution.primary_owner() {
                Some((process, _)) => {
                    assert_eq!((process.pid, process.start.ticks), (100, 1000), "call {n}");
                    assert_eq!(process.name, "daemon", "call {n}");
                    assert_eq!(process.executable.as_ref().unwrap().file.unwrap().inode, 7, "call {n}");
                }
                None => assert!(entries[0].attribution.reason().is_some(), "call {n}"),
            }
        }
    }
}

#[test]
fn whenever_a_socket_is_closed_it_is_told_as_held_or_as_gone() {
    for (search, iterates) in
        [Search::Everywhere, Search::Nearest].into_iter().flat_map(|s| [(s, false), (s, true)])
    {
        for n in 1..200 {
            let door = Fake::new(World { iterates, ..small() }).changing(n, |world| {
                world.kill(100);
                world.rows.clear();
            });
            let Ok(system) = System::open_with(door, OPTIONS) else { panic!("call {n}: cannot be opened") };
            let listed = system.sockets(&all()).unwrap().list;
            let (entries, _) = system.attribute(listed, search, None).unwrap();
            for entry in entries {
                match entry.attribution.primary_owner() {
                    Some((process, _)) => {
                        assert_eq!((process.pid, process.start.ticks), (100, 1000), "call {n}");
                    }
                    None => {
                        assert_eq!(entry.attribution.reason(), Some(Reason::Gone), "call {n}, {search:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_process_that_executes_another_program_is_told_as_one_of_both() {
    for (n, iterates) in (1..120).flat_map(|n| [(n, false), (n, true)]) {
        let door = Fake::new(World { iterates, ..small() }).changing(n, |world| {
            let new = Node::Link { text: b"/usr/bin/other".to_vec(), stat: stat(FileKind::Other, DISK, 8) };
            world.nodes.insert(b"/proc/100/exe".to_vec(), new);
        });
        let (entries, _) = snapshot(door).unwrap();
        let process = &entries[0].attribution.holders()[0].process;
        let executable = process.executable.as_ref().unwrap();
        let told = (executable.path.to_str().unwrap(), executable.file.unwrap().inode);
        assert!(matches!(told, ("/usr/sbin/daemon", 7) | ("/usr/bin/other", 8)), "call {n}: {told:?}");
    }
}

#[test]
fn a_socket_that_closes_meanwhile_is_gone() {
    let mut world = World::new();
    tcp(&mut world, row("127.0.0.1:80", 10));
    world.process(FakeProcess { pid: 100, ..FakeProcess::default() });
    let system = System::open_with(Fake::new(world), OPTIONS).unwrap();
    let mut listed = system.sockets(&all()).unwrap().list;
    assert_eq!(listed.len(), 1);
    listed[0].cookie = 1;
    let (entries, _) = system.attribute(listed, Search::Everywhere, None).unwrap();
    assert_eq!(entries[0].attribution.reason(), Some(Reason::Gone));
}

#[test]
fn a_young_process_without_a_pidfd_is_waited_for() {
    let mut world = small();
    // It starts in the tick of the clock.
    world.process(FakeProcess {
        pid: 100,
        start: 360_000,
        fds: vec![(3, sock(10))],
        ..FakeProcess::default()
    });
    for (fails, waited) in [(None, 0), (Some(1), 10), (Some(38), 10)] {
        let door = Fake::new(World { pidfd_fails: fails, ..world.clone() });
        let after = door.world();
        let (entries, _) = snapshot(door).unwrap();
        let process = &entries[0].attribution.holders()[0].process;
        assert_eq!(process.pidfd_inode.is_some(), fails.is_none());
        assert_eq!(after.lock().unwrap().waited.as_millis(), waited);
    }
}

#[test]
fn running_out_of_descriptors_is_an_error_and_no_answer() {
    let total = {
        let door = Fake::new(rich());
        let calls = door.counter();
        snapshot(door).unwrap();
        calls.load(Ordering::SeqCst)
    };
    let mut errors = 0;
    for n in 1..total {
        match snapshot(Fake::new(rich()).failing(n, super::call::EMFILE)) {
            Err(error) => {
                assert!(format!("{error:#}").ends_with("(os error 24)"), "call {n}: {error:#}");
                errors += 1;
            }
            Ok((entries, gaps)) => {
                for entry in entries {
                    let owner = entry.attribution.primary_owner().map(|(p, _)| (p.pid, p.start.ticks));
                    assert!(
                        owner == Some(truth(entry.socket.inode)) || !gaps.is_empty(),
                        "call {n}: {entry:?}"
                    );
                }
            }
        }
    }
    assert!(errors > 20, "{errors} of {total}");
}
