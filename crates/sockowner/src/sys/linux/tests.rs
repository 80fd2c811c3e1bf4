//! The backend over a made-up kernel: what is answered, and that no failure and no race makes an answer wrong.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use sockowner_wire::inet_diag::{IPPROTO_TCP, IPPROTO_UDP, Row};

use super::System;
use super::door::FileKind;
use super::fake::{DISK, Fake, FakeProcess, NETNS, Node, World, sock, stat};
use crate::sys::{Options, Scope, Search};
use crate::{
    Attribution, Entry, Evidence, Family, Gap, GapReason, Manager, Protocol, Reach, Reason, Result, Socket,
    Source, State,
};

pub(super) const OPTIONS: Options = Options { command_lines: false, threads: 1, source: Source::Auto };

pub(super) fn row(local: &str, inode: u32) -> Row {
    let local: SocketAddr = local.parse().unwrap();
    let nobody = if local.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    Row {
        state: State::LISTEN.number(),
        local,
        remote: nobody.parse().unwrap(),
        interface: 0,
        cookie: u64::from(inode) + 5000,
        uid: 0,
        inode,
        cgroup: None,
        v6only: None,
    }
}

pub(super) fn tcp(world: &mut World, row: Row) {
    world.rows.push((IPPROTO_TCP, row));
}

pub(super) fn all() -> Scope {
    let tables = Protocol::ALL.into_iter().flat_map(|p| Family::ALL.map(|f| (p, f))).collect();
    Scope { tables, ..Scope::default() }
}

/// Lists everything and looks for owners, as a snapshot does.
pub(super) fn snapshot(door: Fake) -> Result<(Vec<Entry>, Vec<Gap>)> {
    let system = System::open_with(door, OPTIONS)?;
    let (listed, seen) = system.survey(&all())?;
    let (entries, gaps) = system.attribute(listed.list, Search::Everywhere, seen)?;
    Ok((entries, [listed.gaps, gaps].concat()))
}

pub(super) fn holders(entry: &Entry) -> Vec<(u32, u32, i32)> {
    entry.attribution.holders().iter().map(|h| (h.process.pid, h.tid, h.fd)).collect()
}

/// A listener held by process 100, in a unit, beside a process that has nothing.
pub(super) fn small() -> World {
    let mut world = World::new();
    world.cgroup("/system.slice/daemon.service", 77, &[100]);
    tcp(&mut world, Row { cgroup: Some(77), ..row("127.0.0.1:80", 10) });
    world.process(FakeProcess {
        pid: 100,
        cgroup: "/system.slice/daemon.service",
        fds: vec![(0, stat(FileKind::Other, DISK, 10)), (3, sock(10))],
        ..FakeProcess::default()
    });
    world.process(FakeProcess { pid: 200, fds: vec![(3, sock(999))], ..FakeProcess::default() });
    let exe = stat(FileKind::Other, DISK, 7);
    world.nodes.insert(b"/usr/sbin/daemon".to_vec(), Node::Link { text: Vec::new(), stat: exe });
    world
}

#[test]
fn a_listener_is_told_with_process_file_unit_and_user() {
    let (entries, gaps) = snapshot(Fake::new(small())).unwrap();
    assert_eq!(gaps, []);
    let [entry] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!(entry.socket.netns, Some(NETNS));
    assert_eq!(entry.user.as_deref(), Some("root"));
    let cgroup = entry.cgroup.as_ref().unwrap();
    assert_eq!(
        (cgroup.id, cgroup.path.as_deref().unwrap().to_str()),
        (77, Some("/system.slice/daemon.service"))
    );
    let service = entry.service.as_ref().unwrap();
    assert_eq!((service.name.as_str(), service.manager), ("daemon.service", Manager::System));
    let (process, evidence) = entry.attribution.primary_owner().unwrap();
    assert_eq!((process.pid, evidence), (100, Evidence::Holder));
    assert_eq!(process.name, "daemon");
    assert_eq!(process.start.ticks, 1000);
    let time = process.start.time.unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(time.as_secs(), 1_000_010, "boot was at 1,000,000 s, it started 1000 ticks later");
    let executable = process.executable.as_ref().unwrap();
    assert!(executable.verified && !executable.deleted);
    assert_eq!(executable.file.unwrap().inode, 7);
    assert_eq!(process.service, entry.service);
    assert_eq!(process.command_line, None, "not asked for");
}

#[test]
fn a_process_belongs_to_its_effective_user() {
    let mut world = small();
    world.file("/proc/100/status", "Name:\tdaemon\nUid:\t1\t2\t3\t4\n");
    let (entries, _) = snapshot(Fake::new(world)).unwrap();
    assert_eq!(entries[0].attribution.holders()[0].process.uid, Some(2));
}

#[test]
fn a_cgroup_that_was_removed_has_no_path_any_more() {
    let door = Fake::new(small());
    let world = door.world();
    let system = System::open_with(door, OPTIONS).unwrap();
    let path = || {
        let listed = system.sockets(&all()).unwrap().list;
        let (entries, _) = system.attribute(listed, Search::Never, None).unwrap();
        entries[0].cgroup.clone().unwrap().path
    };
    assert!(path().is_some());
    world.lock().unwrap().nodes.retain(|path, _| !path.starts_with(b"/cg/"));
    assert_eq!(path(), None);
}

#[test]
fn a_broken_answer_is_not_asked_again_in_another_namespace() {
    let mut refused = 0;
    for n in 1..60 {
        // The exchange fails, and from then on the thread is elsewhere.
        let door = Fake::new(small()).failing(n, super::call::ENOBUFS).changing(n, |world| {
            let other = stat(FileKind::Other, 4, NETNS + 1);
            let node = Node::Link { text: Vec::new(), stat: other };
            world.nodes.insert(b"/proc/thread-self/ns/net".to_vec(), node);
        });
        let Ok(system) = System::open_with(door, OPTIONS) else { continue };
        for _ in 0..2 {
            match system.sockets(&all()) {
                // Opened while it was elsewhere already, or never broken: one namespace all the time.
                Ok(listed) => assert!(listed.list.iter().all(|socket| socket.netns == system.diag.netns())),
                Err(error) => {
                    let said = format!("{error:#}");
                    assert!(said.contains("not in the query's network namespace"), "call {n}: {said}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 0, "no exchange was broken");
}

#[test]
fn all_holders_are_told_and_every_descriptor() {
    let mut world = small();
    world.process(FakeProcess {
        pid: 101,
        start: 1500,
        parent: 100,
        fds: vec![(3, sock(10)), (9, sock(10))],
        ..FakeProcess::default()
    });
    let (entries, _) = snapshot(Fake::new(world)).unwrap();
    assert_eq!(holders(&entries[0]), [(100, 100, 3), (101, 101, 3), (101, 101, 9)]);
    assert_eq!(entries[0].attribution.primary_owner().unwrap().1, Evidence::EarliestHolder);
}

#[test]
fn an_inode_of_another_file_system_is_no_socket_of_ours() {
    let mut world = small();
    // Opened with O_PATH, the file of a unix socket is a socket as well, and its maker can choose the number.
    let forged = stat(FileKind::Socket, DISK, 10);
    world.process(FakeProcess { pid: 50, start: 1, fds: vec![(3, forged)], ..FakeProcess::default() });
    let (entries, _) = snapshot(Fake::new(world)).unwrap();
    assert_eq!(holders(&entries[0]), [(100, 100, 3)]);
}

#[test]
fn a_thread_with_a_table_of_its_own_is_looked_into() {
    let mut world = World::new();
    tcp(&mut world, row("127.0.0.1:80", 10));
    world.process(FakeProcess {
        pid: 100,
        fds: vec![(3, sock(11))],
        threads: vec![(101, vec![]), (102, vec![(5, sock(10))])],
        ..FakeProcess::default()
    });
    let (entries, gaps) = snapshot(Fake::new(world)).unwrap();
    assert_eq!(holders(&entries[0]), [(100, 102, 5)]);
    assert_eq!(gaps, []);
}

/// A process with so many threads, the last of which has a table of its own.
fn threaded(threads: u32) -> World {
    let mut world = World::new();
    tcp(&mut world, row("127.0.0.1:80", 10));
    let mut threads: Vec<_> = (101..=100 + threads).map(|tid| (tid, vec![(3, sock(11))])).collect();
    threads.last_mut().unwrap().1.push((5, sock(10)));
    world.process(FakeProcess { pid: 100, fds: vec![(3, sock(11))], threads, ..FakeProcess::default() });
    world
}

#[test]
fn threads_that_cannot_be_compared_are_looked_into_one_by_one() {
    const ENOSYS: i32 = 38;
    let door = Fake::new(threaded(3));
    door.world().lock().unwrap().kcmp_fails = Some(ENOSYS);
    let (entries, gaps) = snapshot(door).unwrap();
    assert_eq!(holders(&entries[0]), [(100, 103, 5)]);
    assert_eq!(gaps, []);
}

#[test]
fn too_many_threads_that_cannot_be_compared_are_a_gap_and_a_reason() {
    const EPERM: i32 = 1;
    let door = Fake::new(threaded(65));
    door.world().lock().unwrap().kcmp_fails = Some(EPERM);
    let (entries, gaps) = snapshot(door).unwrap();
    assert_eq!(gaps, [Gap::new("kcmp", "/proc/100/task", GapReason::NotPermitted, 1)]);
    assert_eq!(entries[0].attribution.reason(), Some(Reason::NotPermitted));
}

#[test]
fn a_thread_that_ends_hides_no_other() {
    let door = Fake::new(threaded(200));
    // Whoever the last thread is compared with has ended since it was listed.
    door.world().lock().unwrap().ended = (101..300).collect();
    let (entries, gaps) = snapshot(door).unwrap();
    assert_eq!(holders(&entries[0]), [(100, 300, 5)]);
    assert_eq!(gaps, []);
}

#[test]
fn many_tables_are_compared_in_few_calls() {
    let calls = |threads| {
        let door = Fake::new(threaded(threads));
        let calls = door.counter();
        let (entries, _) = snapshot(door).unwrap();
        assert_eq!(entries[0].attribution.holders().len(), 1);
        calls.load(Ordering::SeqCst)
    };
    let (few, many) = (calls(100), calls(1600));
    assert!(many < few * 30, "{few} calls for 100 threads, {many} for 1600");
}

#[test]
fn a_proc_of_another_pid_namespace_names_nobody() {
    let door = Fake::new(small());
    door.world().lock().unwrap().own_pid = Some(1);
    let error = snapshot(door).unwrap_err();
    assert!(format!("{error:#}").contains("/proc shows another pid namespace"), "{error:#}");
}

#[test]
fn what_is_mounted_over_the_cgroups_names_no_unit() {
    for over in ["/cg", "/cg/system.slice"] {
        let mut world = small();
        for node in world.nodes.iter_mut().filter(|(path, _)| path.starts_with(over.as_bytes())) {
            if let Node::Dir { stat } = node.1 {
                // A tmpfs, with an inode number for whoever makes enough files.
                stat.device = 77;
            }
        }
        let (entries, _) = snapshot(Fake::new(world)).unwrap();
        assert_eq!(entries[0].service, None, "{over}");
        assert_eq!(entries[0].cgroup.as_ref().unwrap().path, None, "{over}");
    }
}

#[test]
fn after_a_fork_the_child_has_a_socket_of_its_own() {
    let door = Fake::new(small());
    let (world, calls) = (door.world(), door.counter());
    let system = System::open_with(door, OPTIONS).unwrap();
    let count = || {
        let before = calls.load(Ordering::SeqCst);
        assert_eq!(system.sockets(&all()).unwrap().list.len(), 1);
        calls.load(Ordering::SeqCst) - before
    };
    let parent = count();
    world.lock().unwrap().own_pid = Some(9001);
    assert!(count() > parent, "it was opened again");
    assert_eq!(count(), parent);
}

#[test]
fn a_process_whose_main_thread_ended_is_read_through_another() {
    let mut world = World::new();
    tcp(&mut world, row("127.0.0.1:80", 10));
    world.process(FakeProcess {
        pid: 100,
        state: 'Z',
        exe: ("", 0),
        threads: vec![(101, vec![(5, sock(10))])],
        ..FakeProcess::default()
    });
    let exe = Node::Link { text: b"/usr/bin/real".to_vec(), stat: stat(FileKind::Other, DISK, 3) };
    world.nodes.insert(b"/proc/100/task/101/exe".to_vec(), exe);
    let (entries, _) = snapshot(Fake::new(world)).unwrap();
    assert_eq!(holders(&entries[0]), [(100, 101, 5)]);
    let process = &entries[0].attribution.holders()[0].process;
    assert_eq!(process.name, "real");
}

#[test]
fn rows_without_a_file_have_no_holder_and_no_user() {
    let mut world = small();
    let connection = |state: State, uid| Row {
        state: state.number(),
        remote: "10.0.0.1:9".parse().unwrap(),
        uid,
        cookie: u64::from(state.number()),
        ..row("127.0.0.1:80", 0)
    };
    tcp(&mut world, connection(State::TIME_WAIT, 0));
    tcp(&mut world, connection(State::ESTABLISHED, 33));
    let (entries, _) = snapshot(Fake::new(world)).unwrap();
    let of = |state| entries.iter().find(|entry| entry.socket.endpoint.state == state).unwrap();
    let time_wait = of(State::TIME_WAIT);
    assert_eq!((time_wait.socket.uid, time_wait.user.as_deref()), (None, None), "never root's");
    assert_eq!(time_wait.attribution, Attribution::Unattributed(Reason::NoHolder));
    let waiting = of(State::ESTABLISHED);
    assert_eq!(waiting.socket.uid, Some(33), "not yet accepted: its listener's user");
    assert_eq!(waiting.attribution.reason(), Some(Reason::NoHolder));
}

#[test]
fn a_private_process_makes_the_answer_not_permitted_and_its_unit_stays_public() {
    let mut world = World::new();
    world.cgroup("/system.slice/daemon.service", 77, &[100]);
    tcp(&mut world, Row { cgroup: Some(77), ..row("127.0.0.1:80", 10) });
    world.process(FakeProcess {
        pid: 100,
        fds: vec![(3, sock(10))],
        private: true,
        ..FakeProcess::default()
    });
    let (entries, gaps) = snapshot(Fake::new(world)).unwrap();
    assert_eq!(entries[0].attribution.reason(), Some(Reason::NotPermitted));
    assert_eq!(entries[0].service.as_ref().unwrap().name, "daemon.service");
    let candidates: Vec<_> =
        entries[0].candidates.iter().map(|c| (c.process.pid, c.process.name.clone())).collect();
    assert_eq!(candidates, [(100, "daemon".into())]);
    assert_eq!(gaps, [Gap::new("proc", "/proc/100/fd", GapReason::NotPermitted, 1)]);
}

#[test]
fn a_kernel_thread_or_zombie_that_refuses_hides_nothing() {
    const PF_KTHREAD: u32 = 0x0020_0000;
    for (flags, state) in [(PF_KTHREAD, 'I'), (0, 'Z')] {
        let mut world = World::new();
        tcp(&mut world, row("127.0.0.1:80", 10));
        let fds = vec![(3, sock(11))];
        world.process(FakeProcess { pid: 2, flags, state, fds, private: true, ..FakeProcess::default() });
        let (entries, gaps) = snapshot(Fake::new(world)).unwrap();
        assert_eq!(entries[0].attribution.reason(), Some(Reason::NoVisibleHolder), "{state}");
        assert_eq!(gaps, []);
    }
}

#[test]
fn hidden_processes_are_a_gap_and_a_reason() {
    let mut world = World::new();
    let options = "25 1 0:5 / /proc rw - proc proc rw,hidepid=invisible\n";
    world.file("/proc/self/mountinfo", options);
    tcp(&mut world, row("127.0.0.1:80", 10));
    let (entries, gaps) = snapshot(Fake::new(world)).unwrap();
    assert_eq!(entries[0].attribution.reason(), Some(Reason::NotPermitted));
    assert!(gaps.contains(&Gap::new("proc", "/proc (hidepid)", GapReason::NotPermitted, 1)), "{gaps:?}");
}

#[test]
fn without_proc_owners_are_an_error_and_sockets_are_not() {
    let mut world = World::new();
    world.nodes.retain(|path, _| !path.starts_with(b"/proc"));
    tcp(&mut world, row("127.0.0.1:80", 10));
    let system = System::open_with(Fake::new(world), OPTIONS).unwrap();
    let listed = system.sockets(&all()).unwrap().list;
    let error = system.attribute(listed.clone(), Search::Everywhere, None).unwrap_err();
    assert!(
        format!("{error:#}").starts_with("look for the processes that hold sockets: open /proc: "),
        "{error:#}"
    );
    let (entries, _) = system.attribute(listed, Search::Never, None).unwrap();
    assert_eq!((entries[0].attribution.clone(), entries[0].socket.netns), (Attribution::NotAsked, None));
}

#[test]
fn paths_are_the_processs_own_words() {
    for (text, on_disk, name, path, verified, deleted) in [
        ("/usr/bin/a", Some(("/usr/bin/a", 7)), "a", "/usr/bin/a", true, false),
        ("/usr/bin/a (deleted)", None, "a", "/usr/bin/a", false, true),
        ("/usr/bin/a (deleted)", Some(("/usr/bin/a", 8)), "a", "/usr/bin/a", false, true),
        (
            "/usr/bin/a (deleted)",
            Some(("/usr/bin/a (deleted)", 7)),
            "a (deleted)",
            "/usr/bin/a (deleted)",
            true,
            false,
        ),
        // Another mount namespace shows its own file under the name of ours.
        ("/usr/bin/ss", Some(("/usr/bin/ss", 8)), "ss", "/usr/bin/ss", false, false),
    ] {
        let mut world = World::new();
        tcp(&mut world, row("127.0.0.1:80", 10));
        world.process(FakeProcess {
            pid: 100,
            exe: (text, 7),
            fds: vec![(3, sock(10))],
            ..FakeProcess::default()
        });
        if let Some((path, inode)) = on_disk {
            let stat = stat(FileKind::Other, DISK, inode);
            world.nodes.insert(path.as_bytes().to_vec(), Node::Link { text: Vec::new(), stat });
        }
        let (entries, _) = snapshot(Fake::new(world)).unwrap();
        let process = &entries[0].attribution.holders()[0].process;
        let executable = process.executable.as_ref().unwrap();
        assert_eq!(process.name.to_str(), Some(name), "{text}");
        assert_eq!(executable.path.to_str(), Some(path), "{text}");
        assert_eq!(
            (executable.verified, executable.deleted),
            (verified, deleted),
            "{text} on disk {on_disk:?}"
        );
    }
}

#[test]
fn states_families_and_zones_are_the_kernels() {
    let mut world = World::new();
    let link_local = Row { interface: 4, ..row("[fe80::1]:22", 0) };
    tcp(&mut world, Row { state: 42, cookie: 1, ..row("127.0.0.1:1", 0) });
    tcp(&mut world, link_local);
    world.rows.push((IPPROTO_UDP, Row { state: 7, interface: 2, ..row("127.0.0.53:53", 12) }));
    let system = System::open_with(Fake::new(world), OPTIONS).unwrap();
    let listed = system.sockets(&all()).unwrap().list;
    let shown: Vec<_> = listed.iter().map(|socket| socket.endpoint.to_string()).collect();
    assert_eq!(
        shown,
        ["tcp 127.0.0.1:1 42", "tcp [fe80::1%eth4]:22 LISTEN", "udp 127.0.0.53:53 UNCONNECTED"]
    );
    assert_eq!(listed[2].interface.unwrap().name(), Some("eth2"), "bound to an interface, without a zone");
    let listening = Scope { states: vec![State::UNCONNECTED], ..all() };
    assert_eq!(system.sockets(&listening).unwrap().list.len(), 1);
}

#[test]
fn a_repeated_row_is_told_once_and_the_later_one_counts() {
    let mut world = small();
    tcp(&mut world, Row { state: State::CLOSE.number(), cgroup: Some(77), ..row("127.0.0.1:80", 10) });
    let system = System::open_with(Fake::new(world), OPTIONS).unwrap();
    let listed = system.sockets(&all()).unwrap().list;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].endpoint.state, State::BOUND, "closed, and keeps its port");
}

#[test]
fn an_exact_lookup_that_reaches_a_listener_is_no_connection() {
    let system = System::open_with(Fake::new(small()), OPTIONS).unwrap();
    let side = |text: &str| text.parse::<SocketAddr>().unwrap().into();
    let found = system.connection(Protocol::Tcp, side("127.0.0.1:80"), side("127.0.0.1:4000")).unwrap();
    assert_eq!(found, None);
}

/// The one socket of [`small`].
fn listener(system: &System<Fake>) -> Socket {
    system.sockets(&all()).unwrap().list.remove(0)
}

#[test]
fn the_nearest_search_ends_where_somebody_is_seen() {
    let door = Fake::new(small());
    let calls = door.counter();
    let system = System::open_with(door, OPTIONS).unwrap();
    let socket = listener(&system);
    let before = calls.load(Ordering::SeqCst);
    let (entries, _) = system.attribute(vec![socket], Search::Nearest, None).unwrap();
    let narrow = calls.load(Ordering::SeqCst) - before;
    let Attribution::Held(held) = &entries[0].attribution else { panic!("{entries:?}") };
    assert_eq!(held.reach(), Reach::Cgroup);
    assert_eq!(holders(&entries[0]), [(100, 100, 3)]);

    let mut world = small();
    for pid in 300..400 {
        world.process(FakeProcess { pid, ..FakeProcess::default() });
    }
    let door = Fake::new(world);
    let calls = door.counter();
    let system = System::open_with(door, OPTIONS).unwrap();
    let socket = listener(&system);
    let before = calls.load(Ordering::SeqCst);
    system.attribute(vec![socket], Search::Nearest, None).unwrap();
    assert_eq!(
        calls.load(Ordering::SeqCst) - before,
        narrow,
        "a hundred more processes elsewhere cost nothing"
    );
}

#[test]
fn the_nearest_search_goes_on_to_the_user_and_to_the_host() {
    for (uid, reach) in [(0, Reach::User), (1000, Reach::Host)] {
        let mut world = World::new();
        world.cgroup("/system.slice/sshd.service", 77, &[1]);
        tcp(&mut world, Row { cgroup: Some(77), ..row("127.0.0.1:22", 10) });
        world.process(FakeProcess { pid: 1, uid: 33, ..FakeProcess::default() });
        world.process(FakeProcess { pid: 100, uid, fds: vec![(3, sock(10))], ..FakeProcess::default() });
        let system = System::open_with(Fake::new(world), OPTIONS).unwrap();
        let socket = listener(&system);
        let (entries, _) = system.attribute(vec![socket], Search::Nearest, None).unwrap();
        let Attribution::Held(held) = &entries[0].attribution else { panic!("{entries:?}") };
        assert_eq!(held.reach(), reach);
        assert_eq!(holders(&entries[0]), [(100, 100, 3)], "the member of the cgroup is no owner");
    }
}

#[test]
fn an_old_socket_is_gone_or_told_as_it_is_now() {
    let door = Fake::new(small());
    let world = door.world();
    let system = System::open_with(door, OPTIONS).unwrap();
    let socket = listener(&system);
    // Closed, and another one has its address and even its inode number.
    world.lock().unwrap().rows[0].1.cookie += 1;
    let (entries, _) = system.attribute(vec![socket.clone()], Search::Nearest, None).unwrap();
    assert_eq!(entries[0].attribution, Attribution::Unattributed(Reason::Gone));
    // The same one, shut down meanwhile.
    world.lock().unwrap().rows[0].1.cookie -= 1;
    world.lock().unwrap().rows[0].1.state = State::CLOSE.number();
    let (entries, _) = system.attribute(vec![socket], Search::Nearest, None).unwrap();
    assert!(entries[0].changed);
    assert_eq!(entries[0].socket.endpoint.state, State::BOUND);
}
