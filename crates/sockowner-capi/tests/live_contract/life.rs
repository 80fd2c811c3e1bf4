//! c31 to c37: owners that end, change, or live elsewhere.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use sockowner_testkit::Requirement::{NsLastPid, OtherUser, PidNamespace};
use sockowner_testkit::privileges::{ORDINARY_UID, become_user};
use sockowner_testkit::{Actor, Requirement, Scenario, eventually};

use super::call::{
    INSUFFICIENT_BUFFER, NOT_FOUND, PARTIAL_COPY, ask, at_once, both, executable, load, module, row_at,
};
use super::row::{Kind, Row};
use super::service::NO_SERVICE;
use super::workshop::{Compiler, Program, scratch};

tests! {
    Alone c31_a_zombie_is_1168 needs OtherUser;
    Host c32_an_owner_that_dies_between_the_calls_is_1168;
    Alone c33_a_recycled_pid_is_1168 needs NsLastPid, NO_SERVICE;
    Host c34_an_exec_loop_is_one_of_its_programs_or_299 needs GCC;
    Host c35_a_process_without_its_main_thread_owns_its_socket needs NO_SERVICE;
    HidePid c36_a_hidden_process_is_two_empty_strings needs OtherUser;
    Host c37_a_pid_of_another_namespace_is_the_callers_number_or_0 needs PidNamespace, NO_SERVICE;
    Scene c37_seen_from_inside;
}

const GCC: Requirement = Requirement::Custom("a C program", || Compiler::Gcc.supported());

/// The executable of actors that have no other.
fn own() -> Result<(String, String), u32> {
    executable(&std::env::current_exe().unwrap())
}

fn c31_a_zombie_is_1168() {
    let actor = Actor::spawn();
    let zombie = actor.sleep_zombie();
    assert!(fs::read_to_string(format!("/proc/{zombie}/stat")).unwrap().contains(") Z "));
    let is_not_found = || {
        for kind in Kind::ALL {
            assert_eq!(module(&Row::by_hand(kind, zombie)), Err(NOT_FOUND));
            assert_eq!(ask(&Row::by_hand(kind, zombie), None, 7), (NOT_FOUND, 7));
        }
    };
    is_not_found();
    // Also for who may not inspect it: that it has ended is public.
    become_user(ORDINARY_UID, ORDINARY_UID).unwrap();
    is_not_found();
}

fn c32_an_owner_that_dies_between_the_calls_is_1168() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    let rows = [row_at(Kind::Tcp, listener.addr), Row::by_hand(Kind::Tcp, actor.pid())];
    let sizes = rows.each_ref().map(|row| {
        let (code, size) = ask(row, None, 0);
        assert_eq!(code, INSUFFICIENT_BUFFER);
        size
    });
    drop(actor);
    for (row, size) in rows.iter().zip(sizes) {
        let mut room = vec![0xa5; size as usize];
        assert_eq!(ask(row, Some(&mut room), size), (NOT_FOUND, size));
        assert!(room.iter().all(|byte| *byte == 0xa5));
    }
}

/// The 22nd field of `/proc/PID/stat`.
fn start_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(')').next().unwrap().split(' ').nth(20).unwrap().parse().unwrap()
}

fn c33_a_recycled_pid_is_1168() {
    const NUMBER: u32 = 4711;
    let first = Actor::builder().pid(NUMBER).spawn();
    let listener = first.tcp_listen("127.0.0.1:0");
    let row = row_at(Kind::Tcp, listener.addr);
    let ticks = start_ticks(NUMBER);
    assert_eq!((row.pid(), module(&row)), (NUMBER, own()));
    // Each proof for itself: the version of the words, start, pidfd, boot.
    for word in [1, 2, 5, 6].into_iter().filter(|word| row.info()[*word] != 0) {
        let other = row.clone().with_info(word, row.info()[word] ^ 1);
        assert_eq!(module(&other), Err(NOT_FOUND), "word {word}");
    }
    drop(first);
    assert_eq!(module(&row), Err(NOT_FOUND));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stranger");
    // On a kernel whose pidfds have no numbers, one that started in the same tick could not be told from the first.
    let stranger = eventually("a process that started later", || {
        let actor = Actor::builder().exe(&path).pid(NUMBER).spawn();
        (start_ticks(NUMBER) != ticks).then_some(actor)
    });
    assert_eq!(stranger.pid(), NUMBER);
    assert_eq!(module(&row), Err(NOT_FOUND), "never the new process");
    assert_eq!(module(&Row::by_hand(Kind::Tcp, NUMBER)), executable(&path), "a pid alone is believed");
    let new = stranger.tcp_listen(listener.addr);
    let again = row_at(Kind::Tcp, new.addr);
    assert_eq!(module(&again), executable(&path));
    assert_ne!(again.info(), row.info());
}

fn c34_an_exec_loop_is_one_of_its_programs_or_299() {
    const TURNS: &str = "300";
    let program = Program { name: "exec_loop", sources: &["exec_loop.c"] }.compiled(Compiler::Gcc);
    // A second name for the file is a second path, and nobody has it open for writing.
    let paths = [program, scratch().join("exec_loop-again")];
    fs::hard_link(&paths[0], &paths[1]).unwrap();
    let mut command = Command::new(&paths[0]);
    let mut child = command.args(&paths).arg(TURNS).stdin(Stdio::null()).spawn().unwrap();
    let row = Row::by_hand(Kind::Tcp, child.id());
    let mut seen = BTreeSet::new();
    // It stays a zombie until it is waited for: the number is nobody else's.
    loop {
        match ask(&row, None, 0).0 {
            NOT_FOUND => break,
            code => assert!(matches!(code, INSUFFICIENT_BUFFER | PARTIAL_COPY), "{code}"),
        }
        seen.insert(at_once(&row));
    }
    assert!(child.wait().unwrap().success());
    let mut expected: BTreeSet<_> = paths.iter().map(|path| executable(path)).collect();
    expected.extend([Err(PARTIAL_COPY), Err(NOT_FOUND)]);
    assert!(seen.is_subset(&expected), "{seen:?}");
    assert!(!seen.is_disjoint(&paths.iter().map(|path| executable(path)).collect()), "{seen:?}");
}

fn c35_a_process_without_its_main_thread_owns_its_socket() {
    let actor = Actor::spawn();
    let before = actor.tcp_listen("127.0.0.1:0");
    let earlier = row_at(Kind::Tcp, before.addr);
    let after = actor.listen_in_thread_and_exit_main("127.0.0.1:0");
    for listener in [&before, &after] {
        let row = row_at(Kind::Tcp, listener.addr);
        assert_eq!((row.pid(), module(&row)), (actor.pid(), own()));
    }
    assert_eq!(module(&earlier), own());
    assert_eq!(module(&Row::by_hand(Kind::Tcp, actor.pid())), own());
}

fn c36_a_hidden_process_is_two_empty_strings() {
    let roots = Actor::spawn();
    let dead = Actor::spawn();
    let (hidden, gone) = (roots.pid(), dead.pid());
    drop(dead);
    load();
    become_user(ORDINARY_UID, ORDINARY_UID).unwrap();
    assert!(!fs::exists(format!("/proc/{hidden}")).unwrap());
    for kind in Kind::ALL {
        assert_eq!(module(&Row::by_hand(kind, hidden)), both(""));
        assert_eq!(module(&Row::by_hand(kind, gone)), Err(NOT_FOUND));
        assert_eq!(module(&Row::by_hand(kind, u32::MAX)), Err(NOT_FOUND));
    }
}

const ADDRESS: &str = "127.0.0.1:3737";

fn c37_a_pid_of_another_namespace_is_the_callers_number_or_0() {
    let inner = Actor::builder().new_pid_namespace().spawn();
    let listener = inner.tcp_listen("127.0.0.1:0");
    let row = row_at(Kind::Tcp, listener.addr);
    assert_ne!(inner.pid(), 1, "it is 1 for itself");
    assert_eq!((row.pid(), module(&row)), (inner.pid(), own()));
    let outer = Actor::spawn();
    outer.tcp_listen(ADDRESS);
    assert_eq!(row_at(Kind::Tcp, ADDRESS.parse().unwrap()).pid(), outer.pid());
    Scenario::new("c37_seen_from_inside").shared_network().run();
}

fn c37_seen_from_inside() {
    // Numbers that an owner outside could be mistaken for.
    let actors: Vec<_> = (0..8).map(|_| Actor::spawn()).collect();
    let row = row_at(Kind::Tcp, ADDRESS.parse().unwrap());
    assert_eq!((row.pid(), row.info()), (0, [0; 16]));
    assert_eq!(module(&row), Err(NOT_FOUND));
    let own_listener = actors[3].tcp_listen("127.0.0.1:0");
    let row = row_at(Kind::Tcp, own_listener.addr);
    assert_eq!((row.pid(), module(&row)), (actors[3].pid(), own()));
}
