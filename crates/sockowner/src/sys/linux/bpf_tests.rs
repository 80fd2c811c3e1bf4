//! The iterators' half over a made-up kernel: what is put together, and what is not believed.

use super::System;
use super::door::FileKind;
use super::fake::{DISK, Fake, FakeProcess, Node, World, sock, stat};
use super::tests::{all, holders, row, small, snapshot, tcp};
use crate::sys::{Options, Search};
use crate::{Attribution, Entry, ErrorKind, GapReason, Reach, Reason, Source};

fn iterating() -> World {
    World { iterates: true, ..small() }
}

fn only(door: Fake) -> Entry {
    let (mut entries, gaps) = snapshot(door).unwrap();
    assert_eq!((entries.len(), gaps), (1, Vec::new()));
    entries.remove(0)
}

#[test]
fn both_sources_tell_the_same() {
    assert_eq!(only(Fake::new(iterating())), only(Fake::new(small())));
}

#[test]
fn a_source_that_is_demanded_is_used_or_refused_with_every_reason() {
    let options = Options { source: Source::Bpf, ..Options::default() };
    let error = System::open_with(Fake::new(small()), options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let text = format!("{error:#}");
    assert!(text.contains("load a BPF program: ") && text.contains("open the shared iterators: "), "{text}");
    System::open_with(Fake::new(iterating()), options).unwrap();
    // Numbers of users are told as they are in the initial user namespace.
    let mut world = iterating();
    world.file("/proc/self/uid_map", "         0       1000          1\n");
    let error = System::open_with(Fake::new(world), options).unwrap_err();
    assert!(format!("{error:#}").contains("user namespace"), "{error:#}");
}

#[test]
fn processes_that_may_not_be_looked_into_hide_nothing_from_an_iterator() {
    let mut world = iterating();
    let private = FakeProcess { pid: 300, private: true, uid: 7, ..FakeProcess::default() };
    world.process(private);
    tcp(&mut world, row("127.0.0.1:81", 11));
    let (entries, gaps) = snapshot(Fake::new(world)).unwrap();
    assert_eq!(gaps, []);
    assert_eq!(holders(&entries[0]), [(100, 100, 3)]);
    assert_eq!(entries[1].attribution.reason(), Some(Reason::NoVisibleHolder));
}

#[test]
fn another_socket_with_the_same_inode_number_is_not_held() {
    let mut world = iterating();
    let mut twin = row("127.0.0.2:80", 10);
    twin.cookie += 1;
    tcp(&mut world, twin);
    let (entries, _) = snapshot(Fake::new(world)).unwrap();
    let told: Vec<_> = entries.iter().map(|e| (e.socket.cookie, holders(e))).collect();
    assert_eq!(told, [(5010, vec![(100, 100, 3)]), (5011, Vec::new())]);
}

#[test]
fn a_file_that_is_not_the_one_at_its_path_is_asked_of_proc() {
    let mut world = iterating();
    let other = stat(FileKind::Other, DISK, 8);
    world.nodes.insert(b"/usr/sbin/daemon".to_vec(), Node::Link { text: Vec::new(), stat: other });
    let entry = only(Fake::new(world));
    let executable = entry.attribution.holders()[0].process.executable.clone().unwrap();
    assert_eq!((executable.verified, executable.file.unwrap().inode), (false, 7));
}

#[test]
fn a_table_that_several_threads_share_is_told_once() {
    let mut world = iterating();
    let threads = vec![(101, vec![(9, sock(10))]), (102, vec![(9, sock(10))])];
    world.kill(100);
    world.process(FakeProcess { pid: 100, threads, ..FakeProcess::default() });
    let entry = only(Fake::new(world.clone()));
    assert_eq!(holders(&entry), [(100, 101, 9), (100, 102, 9)], "two tables with the same number in each");
    world.shares_tables = true;
    assert_eq!(holders(&only(Fake::new(world))), [(100, 101, 9)]);
}

#[test]
fn a_pass_that_fails_is_a_gap_and_proc_answers() {
    let fails = (1..60).filter(|&n| {
        let Ok(system) = System::open_with(Fake::new(iterating()).failing(n, 5), Options::default()) else {
            return false;
        };
        let Ok(listed) = system.sockets(&all()) else { return false };
        if !listed.gaps.is_empty() {
            return false;
        }
        let Ok((entries, gaps)) = system.attribute(listed.list, Search::Everywhere, None) else {
            return false;
        };
        let is_told = gaps.iter().any(|gap| gap.source == "bpf" && gap.reason == GapReason::Interrupted);
        assert!(!is_told || holders(&entries[0]) == [(100, 100, 3)], "call {n}");
        is_told
    });
    assert!(fails.count() > 0);
}

#[test]
fn one_socket_is_found_near_without_a_program_and_far_with_one() {
    for (cgroup, loads) in [("/system.slice/daemon.service", false), ("/elsewhere", true)] {
        let mut world = iterating();
        world.cgroup("/elsewhere", 99, &[]);
        world.process(FakeProcess { pid: 100, cgroup, fds: vec![(3, sock(10))], ..FakeProcess::default() });
        let near: &[u32] = if loads { &[] } else { &[100] };
        world.cgroup("/system.slice/daemon.service", 77, near);
        let door = Fake::new(world);
        let system = System::open_with(door, Options::default()).unwrap();
        let listed = system.sockets(&all()).unwrap().list;
        let (entries, _) = system.attribute(listed, Search::Nearest, None).unwrap();
        assert_eq!(holders(&entries[0]), [(100, 100, 3)]);
        assert_eq!(system.bpf.get().is_some(), loads);
    }
    // Once loaded, an iterator looks near, too: also at processes that may not be looked into.
    let mut world = iterating();
    let fds = vec![(3, sock(10))];
    world.process(FakeProcess { pid: 100, private: true, fds, ..FakeProcess::default() });
    let options = Options { source: Source::Bpf, ..Options::default() };
    let system = System::open_with(Fake::new(world), options).unwrap();
    let listed = system.sockets(&all()).unwrap().list;
    let (entries, _) = system.attribute(listed, Search::Nearest, None).unwrap();
    let Attribution::Held(near) = &entries[0].attribution else { panic!("{entries:?}") };
    assert_eq!((holders(&entries[0]), near.reach()), (vec![(100, 100, 3)], Reach::Cgroup));
}

#[test]
fn a_process_that_iterators_do_not_come_by_is_looked_into() {
    let mut world = World { unvisited: vec![100], ..iterating() };
    assert_eq!(holders(&only(Fake::new(world.clone()))), [(100, 100, 3)]);
    let fds = vec![(3, sock(10))];
    world.process(FakeProcess { pid: 100, private: true, fds, ..FakeProcess::default() });
    let (entries, gaps) = snapshot(Fake::new(world)).unwrap();
    assert_eq!(entries[0].attribution.reason(), Some(Reason::NotPermitted), "it may be the one");
    assert_eq!(gaps.len(), 1);
}

#[test]
fn an_iterator_for_ones_own_sockets_tells_their_holders_and_leaves_the_rest_to_proc() {
    let mut world = World { shares_own: Some(7), ..small() };
    // Ours, with a process that may not be looked into; another's, likewise; another's, with ours.
    for (inode, uid, pid, private) in [(21, 7, 300, true), (22, 8, 301, true), (23, 8, 302, false)] {
        let local = format!("127.0.0.2:{inode}");
        tcp(&mut world, sockowner_wire::inet_diag::Row { uid, ..row(&local, inode) });
        let fds = vec![(3, sock(inode.into()))];
        world.process(FakeProcess { pid, fds, private, ..FakeProcess::default() });
    }
    let (entries, gaps) = snapshot(Fake::new(world)).unwrap();
    let told: Vec<_> = entries.iter().map(|e| (e.socket.inode, holders(e), e.attribution.reason())).collect();
    assert_eq!(
        told,
        [
            (21, vec![(300, 300, 3)], None),
            (22, vec![], Some(Reason::NotPermitted)),
            (23, vec![(302, 302, 3)], None),
            (10, vec![(100, 100, 3)], None),
        ]
    );
    assert_eq!(gaps.len(), 1);
}

#[test]
fn on_a_small_host_programs_are_loaded_only_for_what_may_not_be_looked_into() {
    let mut world = iterating();
    world.file("/proc/sys/fs/file-nr", "1024\t0\t9000\n");
    for (private, loads) in [(false, false), (true, true)] {
        world.kill(100);
        let fds = vec![(3, sock(10))];
        world.process(FakeProcess { pid: 100, private, fds, ..FakeProcess::default() });
        let system = System::open_with(Fake::new(world.clone()), Options::default()).unwrap();
        for _ in 0..2 {
            let (listed, seen) = system.survey(&all()).unwrap();
            let (entries, gaps) = system.attribute(listed.list, Search::Everywhere, seen).unwrap();
            assert_eq!((holders(&entries[0]), gaps), (vec![(100, 100, 3)], Vec::new()));
            assert_eq!(system.bpf.get().is_some(), loads);
        }
    }
    world.file("/proc/sys/fs/file-nr", "100000\t0\t900000\n");
    let system = System::open_with(Fake::new(world), Options::default()).unwrap();
    system.survey(&all()).unwrap();
    assert!(system.bpf.get().is_some());
}
