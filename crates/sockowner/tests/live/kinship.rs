//! Processes and threads that have a socket from another: fork, exec, threads with tables of their own.

use sockowner::{Attribution, Process, Reason};
use sockowner_testkit::{Actor, eventually};

use super::ask::{assert_held, assert_unheld, at, everything, holders, owner_of, query, told, who};
use super::seen::{file_id, public_dir, start_ticks, told_id};

tests! {
    Alone a_forked_child_holds_the_listener_too;
    Host a_child_that_outlives_its_parent_is_the_holder;
    Alone an_exec_keeps_the_holder_and_tells_the_new_program;
    Alone a_thread_with_its_own_table_is_told;
    Host a_thread_is_found_among_the_hosts_processes;
    Alone threads_that_share_a_table_are_told_once;
    Alone a_process_without_its_main_thread_is_told;
    Alone a_zombie_hides_nothing;
}

/// The one process that holds it.
fn process_of(entry: &sockowner::Entry) -> &Process {
    &entry.attribution.holders()[0].process
}

fn a_forked_child_holds_the_listener_too() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    let (one, two) = (actor.fork(), actor.fork());
    let query = query();
    let entry = told(&query, &listener);
    let fd = listener.fd;
    assert_held(&entry, &[at(&actor, &listener), (one, one, fd), (two, two, fd)]);
    let order: Vec<_> = entry.attribution.holders().iter().map(|holder| holder.process.pid).collect();
    assert_eq!(order, [actor.pid(), one, two], "earliest first");
    actor.kill_child(one);
    assert_held(&told(&query, &listener), &[at(&actor, &listener), (two, two, fd)]);
}

fn a_child_that_outlives_its_parent_is_the_holder() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    let child = actor.fork();
    let query = query();
    let both = [at(&actor, &listener), (child, child, listener.fd)];
    assert_held(&told(&query, &listener), &both);
    actor.kill();
    let entry = told(&query, &listener);
    assert_held(&entry, &both[1..]);
    assert_eq!(process_of(&entry).parent, std::process::id());
    assert_eq!(process_of(&entry).start.ticks, start_ticks(child));
}

fn an_exec_keeps_the_holder_and_tells_the_new_program() {
    let dir = public_dir();
    let path = dir.path().join("another program");
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    let query = query();
    let before = told(&query, &listener);
    actor.exec();
    let same = told(&query, &listener);
    assert_held(&same, &[at(&actor, &listener)]);
    assert_eq!(process_of(&same).executable, process_of(&before).executable);
    actor.exec_copy(&path);
    let after = told(&query, &listener);
    assert_held(&after, &[at(&actor, &listener)]);
    assert!(process_of(&after).is(process_of(&before)), "pid and start time stay");
    let (old, new) = (process_of(&before).executable.as_ref(), process_of(&after).executable.as_ref());
    assert_ne!(old, new);
    let new = new.unwrap();
    assert_eq!((&new.path, new.verified, new.deleted), (&path, true, false));
    assert_eq!(told_id(new.file), file_id(&path));
    assert_eq!(process_of(&after).name, "another program");
    assert_eq!(process_of(&after).comm, "another program");
}

fn a_thread_with_its_own_table_is_told() {
    let actor = Actor::spawn();
    let shared = actor.tcp_listen("127.0.0.1:0");
    let threads = [0, 1].map(|_| actor.thread_with_own_fd_table("127.0.0.1:0"));
    let query = query();
    for thread in &threads {
        assert_held(&told(&query, &thread.sock), &[(actor.pid(), thread.tid, thread.sock.fd)]);
    }
    assert_held(&told(&query, &shared), &[at(&actor, &shared)]);
    let before = told(&query, &threads[0].sock);
    actor.end_thread(threads[0].tid);
    let after = eventually("the end of the thread's listener", || {
        let entry = owner_of(&query, &before.socket);
        matches!(entry.attribution, Attribution::Unattributed(_)).then_some(entry)
    });
    assert_unheld(&after, Reason::Gone);
    assert!(who(&query, &threads[0].sock.addr.to_string()).entries().is_empty());
    assert_held(&told(&query, &threads[1].sock), &[(actor.pid(), threads[1].tid, threads[1].sock.fd)]);
}

fn a_thread_is_found_among_the_hosts_processes() {
    let actor = Actor::spawn();
    let thread = actor.thread_with_own_fd_table("127.0.0.1:0");
    assert_held(&told(&query(), &thread.sock), &[(actor.pid(), thread.tid, thread.sock.fd)]);
}

/// This process is one with several threads and a table for all of them.
fn threads_that_share_a_table_are_told_once() {
    use std::os::fd::AsRawFd;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let other = std::thread::spawn(move || ended.recv());
    let pattern = listener.local_addr().unwrap().to_string();
    let found = who(&query(), &pattern);
    let own = std::process::id();
    assert_eq!(holders(&found.entries()[0]), [(own, own, listener.as_raw_fd())].into());
    drop(end);
    other.join().unwrap().unwrap_err();
}

fn a_process_without_its_main_thread_is_told() {
    let actor = Actor::spawn();
    let before = actor.tcp_listen("127.0.0.1:0");
    let after = actor.listen_in_thread_and_exit_main("127.0.0.1:0");
    let query = query();
    let entry = told(&query, &after);
    let (pid, tid, fd) = *holders(&entry).first().unwrap();
    assert_eq!((pid, fd), (actor.pid(), after.fd));
    assert_ne!(tid, pid, "the main thread has no table any more");
    assert_held(&entry, &[(pid, tid, after.fd)]);
    assert_held(&told(&query, &before), &[(pid, tid, before.fd)]);
    let executable = process_of(&entry).executable.as_ref().unwrap();
    assert_eq!((executable.path.clone(), executable.verified), (std::env::current_exe().unwrap(), true));
    // A thread with a table of its own beside it.
    let other = actor.thread_with_own_fd_table("127.0.0.1:0");
    assert_held(&told(&query, &other.sock), &[(pid, other.tid, other.sock.fd)]);
    assert_held(&told(&query, &after), &[(pid, tid, after.fd)]);
}

fn a_zombie_hides_nothing() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    let zombie = actor.sleep_zombie();
    let query = query();
    assert_held(&told(&query, &listener), &[at(&actor, &listener)]);
    let row = told(&query, &listener).socket;
    actor.close(listener.fd);
    assert_unheld(&owner_of(&query, &row), Reason::Gone);
    assert!(everything(&query).gaps().is_empty(), "a zombie is no gap: {zombie}");
}
