//! Network and pid namespaces: whose sockets and whose numbers a query tells.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Barrier;
use std::thread;

use rustix::param::clock_ticks_per_second;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use sockowner::{Entry, Filter, Identity, Reason, State, module_of};
use sockowner_testkit::Requirement::{PidNamespace, Root, TimeNamespace};
use sockowner_testkit::{Actor, Scenario, Sock, netns};

use super::ask::{
    assert_held, assert_state, assert_unheld, at, candidates, everything, holders, owner_of, query, told, who,
};

tests! {
    Host a_holder_in_a_child_pid_namespace_has_the_readers_number needs PidNamespace;
    Alone a_thread_in_a_child_pid_namespace_has_the_readers_number needs PidNamespace;
    Host a_holder_outside_of_the_readers_pid_namespace_is_not_visible needs PidNamespace;
    Scene a_reader_in_a_child_pid_namespace;
    Host each_network_namespace_has_its_own_answer;
    Host a_query_belongs_to_the_namespace_it_was_opened_in needs Root;
    Host a_holder_may_be_in_another_network_namespace;
    Outside start_times_are_those_of_the_first_time_namespace needs PidNamespace, TimeNamespace;
    Scene a_reader_whose_clock_is_a_week_ahead;
    Alone many_threads_get_the_same_answers;
}

fn a_holder_in_a_child_pid_namespace_has_the_readers_number() {
    let actor = Actor::builder().new_pid_namespace().spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    let child = actor.fork();
    let entry = told(&query(), &listener);
    assert_ne!(actor.pid(), 1);
    assert_held(&entry, &[at(&actor, &listener), (child, child, listener.fd)]);
}

fn a_thread_in_a_child_pid_namespace_has_the_readers_number() {
    let actor = Actor::builder().new_pid_namespace().spawn();
    let thread = actor.thread_with_own_fd_table("127.0.0.1:0");
    let query = query();
    assert_held(&told(&query, &thread.sock), &[(actor.pid(), thread.tid, thread.sock.fd)]);
    let after = actor.listen_in_thread_and_exit_main("127.0.0.1:0");
    let entry = told(&query, &after);
    let (pid, tid, fd) = *holders(&entry).first().unwrap();
    assert_eq!((pid, fd), (actor.pid(), after.fd));
    assert_ne!(tid, pid);
}

const PORT: u16 = 4711;

fn a_holder_outside_of_the_readers_pid_namespace_is_not_visible() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen(format!("127.0.0.1:{PORT}"));
    Scenario::new("a_reader_in_a_child_pid_namespace").shared_network().run();
    assert_held(&told(&query(), &listener), &[at(&actor, &listener)]);
}

fn a_reader_in_a_child_pid_namespace() {
    // Numbers that a holder outside could be mistaken for.
    let actors: Vec<_> = (0..8).map(|_| Actor::spawn()).collect();
    let query = query();
    let found = who(&query, &format!("127.0.0.1:{PORT}"));
    let entry = &found.entries()[0];
    assert_unheld(entry, Reason::NoVisibleHolder);
    assert_state(entry, State::LISTEN);
    assert_eq!((entry.socket.uid, entry.user.as_deref()), (Some(0), Some("root")));
    assert_eq!(entry.socket.netns, Some(netns::inode()));
    // Of its cgroup only the processes that have a number here are told, if it is theirs, too.
    let own = |pid: &u32| *pid == 1 || actors.iter().any(|actor| actor.pid() == *pid);
    assert!(candidates(entry).iter().all(own), "{entry:?}");
    assert_unheld(&owner_of(&query, &entry.socket), Reason::NoVisibleHolder);
    let ours = actors[3].udp_bind("127.0.0.1:0");
    assert_held(&told(&query, &ours), &[at(&actors[3], &ours)]);
}

fn each_network_namespace_has_its_own_answer() {
    let listen = || {
        let actor = Actor::spawn();
        let listener = actor.tcp_listen(format!("127.0.0.1:{PORT}"));
        (actor, listener)
    };
    let check = |actor: &Actor, listener: &Sock| {
        let query = query();
        let entry = told(&query, listener);
        assert_held(&entry, &[at(actor, listener)]);
        assert_eq!(entry.socket.netns, Some(netns::inode()));
        assert_eq!(everything(&query).entries().len(), 1);
        entry.socket.netns
    };
    let (actor, listener) = listen();
    let outer = check(&actor, &listener);
    let inner = netns::inside(|| {
        let (actor, listener) = listen();
        check(&actor, &listener)
    });
    assert_ne!(outer, inner);
    check(&actor, &listener);
}

fn a_query_belongs_to_the_namespace_it_was_opened_in() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen(format!("127.0.0.1:{PORT}"));
    let query = query();
    let before = told(&query, &listener);
    // The namespace lives on with the process in it.
    let (_stranger, theirs, elsewhere) = netns::inside(|| {
        let stranger = Actor::spawn();
        let theirs = stranger.tcp_listen(format!("127.0.0.1:{PORT}"));
        (stranger, theirs, File::open("/proc/thread-self/ns/net").unwrap())
    });
    move_into_link_name_space(elsewhere.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    assert_ne!(Some(netns::inode()), before.socket.netns, "this thread is elsewhere now");
    let after = told(&query, &listener);
    assert_held(&after, &[at(&actor, &listener)]);
    assert_eq!(after.socket.netns, before.socket.netns);
    assert_held(&owner_of(&query, &before.socket), &[at(&actor, &listener)]);
    assert!(everything(&query).iter().all(|entry| entry.socket.cookie != theirs.cookie));
}

/// Made here, held by a process that lives elsewhere.
fn a_holder_may_be_in_another_network_namespace() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    let query = query();
    netns::inside(|| {
        let stranger = Actor::spawn();
        let passed = actor.pass_fd(listener.fd, &stranger);
        actor.close(listener.fd);
        assert_held(&told(&query, &passed), &[at(&stranger, &passed)]);
        assert_eq!(everything(&super::ask::query()).entries().len(), 0);
    });
}

const WEEK: u32 = 7 * 24 * 60 * 60;

fn start_times_are_those_of_the_first_time_namespace() {
    Scenario::new("a_reader_whose_clock_is_a_week_ahead").boot_clock_ahead(WEEK).run();
}

fn a_reader_whose_clock_is_a_week_ahead() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    let found = who(&query(), &listener.addr.to_string());
    let process = &found.entries()[0].attribution.holders()[0].process;
    let shown = super::seen::start_ticks(actor.pid());
    assert_eq!(process.start.ticks + u64::from(WEEK) * clock_ticks_per_second(), shown);
    // By the clock on the wall it is now, give or take that the clock is set meanwhile.
    let started = process.start.time.unwrap();
    let age = started.elapsed().unwrap_or_else(|ahead| ahead.duration());
    assert!(age.as_secs() < u64::from(WEEK) / 2, "{age:?}");
    // Told with all proofs, it is recognised.
    assert_eq!(module_of(&Identity::of(process)).unwrap().name(), process.name);
}

fn many_threads_get_the_same_answers() {
    const THREADS: usize = 8;
    const ROUNDS: usize = 20;
    let actors: Vec<_> = (0..THREADS).map(|_| Actor::spawn()).collect();
    let socks: Vec<_> = actors.iter().map(|actor| actor.tcp_listen("127.0.0.1:0")).collect();
    let query = query();
    let rows: Vec<_> = socks.iter().map(|sock| told(&query, sock).socket).collect();
    let barrier = Barrier::new(THREADS);
    let (query, actors, socks, rows, barrier) = (&query, &actors, &socks, &rows, &barrier);
    thread::scope(|scope| {
        for number in 0..THREADS {
            scope.spawn(move || {
                barrier.wait();
                for round in 0..ROUNDS {
                    let which = (number + round) % THREADS;
                    assert_held(&owner_of(query, &rows[which]), &[at(&actors[which], &socks[which])]);
                    let all = query.snapshot(&Filter::new()).unwrap();
                    let owner = |entry: &Entry| entry.attribution.primary_owner().map(|(p, _)| p.pid);
                    let found: Vec<_> = all.iter().map(|entry| (entry.socket.cookie, owner(entry))).collect();
                    for (actor, sock) in actors.iter().zip(socks) {
                        assert!(found.contains(&(sock.cookie, Some(actor.pid()))), "{found:?}");
                    }
                    assert_eq!(found.len(), THREADS);
                }
            });
        }
    });
}
