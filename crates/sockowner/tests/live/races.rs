//! While things change: numbers that come back, programs that are replaced, sockets that come and go.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use sockowner::{Entry, Evidence, Filter, GapReason, Process, Protocol, Query, Reason, State};
use sockowner_testkit::Requirement::NsLastPid;
use sockowner_testkit::{Actor, Sock, pid};

use super::ask::{assert_held, assert_unheld, at, awaited, holders, owner_of, query, told};
use super::seen::{file_id, public_dir, start_ticks, told_id};
use super::states::Pair;

tests! {
    Alone a_recycled_number_is_not_the_old_sockets_owner needs NsLastPid;
    Alone a_recycled_number_does_not_join_the_holders needs NsLastPid;
    Alone a_parent_goes_before_its_child_whatever_their_numbers needs NsLastPid;
    Alone sockets_that_were_closed_meanwhile_are_looked_at_again;
    Alone many_sockets_that_were_closed_meanwhile_are_looked_at_again;
    Alone a_number_that_keeps_coming_back_is_never_mixed_up needs NsLastPid;
    Alone a_program_that_keeps_changing_is_never_mixed_up;
    Alone sockets_that_come_and_go_are_never_strangers;
}

const NUMBER: u32 = 4711;

fn a_recycled_number_is_not_the_old_sockets_owner() {
    let query = query();
    let first = Actor::builder().pid(NUMBER).spawn();
    let old = first.tcp_listen("127.0.0.1:0");
    let before = told(&query, &old);
    assert_held(&before, &[at(&first, &old)]);
    drop(first);
    let second = Actor::builder().pid(NUMBER).spawn();
    let new = second.tcp_listen(old.addr);
    assert_eq!((second.pid(), new.fd), (NUMBER, old.fd), "all numbers are the same");
    let after = owner_of(&query, &before.socket);
    assert_unheld(&after, Reason::Gone);
    let now = told(&query, &new);
    assert_held(&now, &[at(&second, &new)]);
    assert_ne!(now.socket.cookie, before.socket.cookie);
}

fn a_recycled_number_does_not_join_the_holders() {
    let query = query();
    let first = Actor::builder().pid(NUMBER).spawn();
    let listener = first.tcp_listen("127.0.0.1:0");
    let other = Actor::spawn();
    let passed = first.pass_fd(listener.fd, &other);
    let before = told(&query, &listener);
    assert_eq!(holders(&before), [at(&first, &listener), at(&other, &passed)].into());
    drop(first);
    let second = Actor::builder().pid(NUMBER).spawn();
    let unrelated = second.tcp_listen("127.0.0.1:0");
    assert_eq!((second.pid(), unrelated.fd), (NUMBER, listener.fd));
    for entry in [told(&query, &passed), owner_of(&query, &before.socket)] {
        assert_held(&entry, &[at(&other, &passed)]);
        assert_eq!(entry.attribution.primary_owner().unwrap().1, Evidence::Holder);
    }
}

/// Within one tick of the clock start times do not tell, and numbers begin anew some time.
fn a_parent_goes_before_its_child_whatever_their_numbers() {
    // As often as it takes: a loaded machine is seldom so fast. The scenario has an end.
    let (parent, listener, child) = loop {
        let actor = Actor::builder().pid(NUMBER).spawn();
        let listener = actor.tcp_listen("127.0.0.1:0");
        pid::force_next(NUMBER - 1000).unwrap();
        let child = actor.fork();
        assert!(child < actor.pid());
        if start_ticks(child) == start_ticks(actor.pid()) {
            break (actor, listener, child);
        }
    };
    let entry = told(&query(), &listener);
    assert_held(&entry, &[at(&parent, &listener), (child, child, listener.fd)]);
}

/// Listed first, then closed, then looked for.
fn sockets_that_were_closed_meanwhile_are_looked_at_again() {
    let pair = Pair::new();
    let datagrams = pair.near.udp_bind("127.0.0.1:0");
    let query = query();
    let (listed, gaps) = query.sockets(&Filter::new()).unwrap();
    assert_eq!((listed.len(), gaps.len()), (4, 0));
    pair.near.close(pair.client.fd);
    awaited(&query, &pair.client, &pair.server, State::FIN_WAIT2);
    pair.near.close(datagrams.fd);
    let found = query.owners(listed).unwrap();
    let entry = |sock: &Sock| {
        let mut same = found.iter().filter(|entry| entry.socket.cookie == sock.cookie);
        same.next().unwrap()
    };
    assert_unheld(entry(&datagrams), Reason::Gone);
    assert_unheld(entry(&pair.client), Reason::NoHolder);
    assert_eq!(entry(&pair.client).socket.endpoint.state, State::FIN_WAIT2);
    assert!(entry(&pair.client).changed);
    assert_held(entry(&pair.server), &[at(&pair.far, &pair.server)]);
    assert_held(entry(&pair.listener), &[at(&pair.far, &pair.listener)]);
    assert!(found.gaps().is_empty());
}

/// So many that they are listed anew, rather than each looked up.
fn many_sockets_that_were_closed_meanwhile_are_looked_at_again() {
    let (near, far) = (Actor::spawn(), Actor::spawn());
    let listener = far.tcp_listen("[::1]:0");
    let pairs: Vec<_> =
        (0..100).map(|_| (near.tcp_connect(listener.addr), far.accept(listener.fd))).collect();
    let datagrams: Vec<_> = (0..100).map(|_| near.udp_bind("127.0.0.1:0")).collect();
    let query = query();
    let (listed, _) = query.sockets(&Filter::new()).unwrap();
    for sock in datagrams.iter().chain(pairs.iter().map(|(client, _)| client)) {
        near.close(sock.fd);
    }
    let (client, server) = &pairs[99];
    awaited(&query, client, server, State::FIN_WAIT2);
    let found = query.owners(listed).unwrap();
    assert_eq!(found.entries().len(), 301);
    for entry in &found {
        match (entry.socket.endpoint.protocol, entry.socket.endpoint.remote) {
            (Protocol::Udp, _) => assert_unheld(entry, Reason::Gone),
            (_, Some(peer)) if peer == listener.addr.into() => {
                assert_unheld(entry, Reason::NoHolder);
                assert_eq!((entry.socket.endpoint.state, entry.changed), (State::FIN_WAIT2, true));
            }
            _ => assert_eq!(holders(entry).first().map(|(pid, ..)| *pid), Some(far.pid())),
        }
    }
    assert!(found.gaps().is_empty());
}

/// Takes snapshots until `work` on another thread is done, and once more.
fn watch(
    query: &Query,
    work: impl FnOnce() + Send,
    mut check: impl FnMut(&Entry, &[sockowner::Gap]),
) -> usize {
    let is_done = AtomicBool::new(false);
    let mut snapshots = 0;
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            // Also when it fails.
            let _done = Done(&is_done);
            work();
        });
        loop {
            let last = is_done.load(Ordering::Acquire);
            let all = query.snapshot(&Filter::new()).unwrap();
            all.iter().for_each(|entry| check(entry, all.gaps()));
            snapshots += 1;
            if last {
                break;
            }
        }
        worker.join().unwrap();
    });
    snapshots
}

struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn processes(entry: &Entry) -> impl Iterator<Item = &Process> {
    entry.attribution.holders().iter().map(|holder| &*holder.process)
}

/// Two programs take turns with one number, each with a port of its own.
fn a_number_that_keeps_coming_back_is_never_mixed_up() {
    const TURNS: usize = 40;
    let dir = public_dir();
    let programs = [("alpha", 4001), ("beta", 4002)].map(|(name, port)| (dir.path().join(name), port));
    let query = query();
    let mut seen = BTreeSet::new();
    // Each is there for a moment: they go on until one was seen.
    let is_seen = AtomicBool::new(false);
    let work = || {
        for turn in 0..50 * TURNS {
            if turn >= TURNS && is_seen.load(Ordering::Acquire) {
                break;
            }
            let (path, port) = &programs[turn % 2];
            let actor = Actor::builder().exe(path).pid(NUMBER).spawn();
            actor.tcp_listen(format!("127.0.0.1:{port}"));
            actor.fork();
        }
    };
    watch(&query, work, |entry, _| {
        let port = entry.socket.endpoint.local.port;
        let (path, _) = programs.iter().find(|(_, theirs)| *theirs == port).unwrap();
        for process in processes(entry) {
            let executable = process.executable.as_ref();
            // A process that is about to end has none.
            assert!(executable.is_none_or(|executable| executable.path == *path), "{entry:?}");
            seen.insert((process.pid == NUMBER, port));
            is_seen.fetch_or(process.pid == NUMBER, Ordering::AcqRel);
        }
    });
    assert!(seen.iter().any(|(is_it, _)| *is_it), "the test has seen something: {seen:?}");
}

fn a_program_that_keeps_changing_is_never_mixed_up() {
    const TURNS: usize = 40;
    let dir = public_dir();
    let paths = ["alpha", "beta"].map(|name| dir.path().join(name));
    std::fs::copy(std::env::current_exe().unwrap(), &paths[0]).unwrap();
    std::fs::copy(std::env::current_exe().unwrap(), &paths[1]).unwrap();
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    actor.exec_at(&paths[0]);
    let files = paths.each_ref().map(file_id);
    let query = query();
    let mut seen = BTreeSet::new();
    let work = || (1..TURNS).for_each(|turn| actor.exec_at(&paths[turn % 2]));
    watch(&query, work, |entry, gaps| {
        assert_eq!(holders(entry), [at(&actor, &listener)].into());
        let executable = entry.attribution.holders()[0].process.executable.as_ref().unwrap();
        let which = paths.iter().position(|path| *path == executable.path).unwrap();
        let is_said_to_change = gaps.iter().any(|gap| gap.reason == GapReason::Changed);
        assert!(told_id(executable.file) == files[which] || is_said_to_change, "{entry:?}");
        seen.insert(which);
    });
    assert!(!seen.is_empty());
}

fn sockets_that_come_and_go_are_never_strangers() {
    const ROUNDS: usize = 300;
    const SNAPSHOTS: usize = 50;
    let (near, far) = (Actor::spawn(), Actor::spawn());
    let listener = far.tcp_listen("127.0.0.1:0");
    let known = Mutex::new(BTreeSet::from([(listener.inode, far.pid())]));
    let query = query();
    let mut told = BTreeSet::new();
    let mut snapshots = 0;
    // A fast machine takes another turn.
    while snapshots < SNAPSHOTS {
        let work = || {
            for _ in 0..ROUNDS {
                let client = near.tcp_connect(listener.addr);
                let server = far.accept(listener.fd);
                known.lock().unwrap().extend([(client.inode, near.pid()), (server.inode, far.pid())]);
                // Every second connection ends in TIME_WAIT.
                if client.addr.port() % 2 == 0 {
                    near.set_linger_zero(client.fd);
                }
                near.close(client.fd);
                far.close(server.fd);
            }
        };
        snapshots += watch(&query, work, |entry, gaps| {
            let is_busy = |gap: &sockowner::Gap| gap.reason == GapReason::Interrupted;
            assert!(gaps.iter().all(is_busy), "{gaps:?}");
            told.extend(processes(entry).map(|process| (entry.socket.inode, process.pid)));
            assert_ne!(entry.attribution.reason(), Some(Reason::NotPermitted));
            if entry.socket.inode == 0 {
                assert_unheld(entry, Reason::NoHolder);
            }
            if entry.socket.endpoint.state == State::LISTEN {
                assert_held(entry, &[at(&far, &listener)]);
            }
        });
    }
    let known = known.into_inner().unwrap();
    assert!(told.is_subset(&known), "{:?}", told.difference(&known));
}
