//! Scenarios: what surrounds them is what was asked for, and what happens in them reaches the test.

use std::fs;
use std::path::Path;

use sockowner_testkit::libtest_mimic::Trial;
use sockowner_testkit::privileges::{self, ORDINARY_UID};
use sockowner_testkit::{
    Actor, ProcMount, Requirement, Scenario, live_test, netns, netns_test, pid, pidns, scenario_test,
};

use crate::seen::{alive, holds, panic_message, proc_dir, status};

pub(crate) const TABLE: &[(&str, fn())] = &[
    ("recycled", recycled),
    ("fails", || panic!("on purpose")),
    ("kills itself", || std::process::abort()),
    ("hidepid", hidepid),
    ("no proc", no_proc),
    ("user", user),
    ("root steps down", root_steps_down),
    ("shared", shared),
    ("another clock", || print!("{}", fs::read_to_string("/proc/uptime").unwrap())),
];

pub(crate) fn trials() -> Vec<Trial> {
    let needs = &[Requirement::PidNamespace];
    vec![
        live_test("a number comes back in a private pid namespace", needs, || {
            assert_eq!(pidns::inside("recycled"), "to standard output\nto standard error\n");
        }),
        live_test("a scenario's failure reaches the test", needs, failures),
        scenario_test(
            "hidepid hides other users' processes",
            &[],
            Scenario::new("hidepid").proc(ProcMount::HidePid),
        ),
        scenario_test(
            "a scenario can be without /proc",
            &[],
            Scenario::new("no proc").proc(ProcMount::Missing),
        ),
        scenario_test("a scenario can be an ordinary user's", &[], Scenario::new("user").user(1000, 1000)),
        scenario_test("a scenario can give root up", &[], Scenario::new("root steps down")),
        live_test("a scenario can have another clock", &[Requirement::TimeNamespace], clock),
        netns_test("a scenario can share namespaces", needs, || {
            netns::add_address("lo", "203.0.113.1/32").unwrap();
            Scenario::new("shared").shared_pids().shared_network().run();
        }),
    ]
}

fn recycled() {
    assert_eq!(std::process::id(), 1);
    pid::supported().unwrap();
    let first = Actor::builder().pid(4711).spawn();
    let old = first.tcp_listen("127.0.0.1:0");
    drop(first);
    let second = Actor::builder().pid(4711).spawn();
    assert_eq!(second.pid(), 4711);
    assert!(!holds(4711, old.inode));
    assert_eq!(Actor::builder().pid(4711).try_spawn().unwrap_err(), "there is a process 4711");
    pid::force_next(9000).unwrap();
    assert_eq!(second.fork(), 9000);
    let third = Actor::spawn();
    let orphan = third.fork();
    third.kill();
    assert_eq!(status(orphan, "PPid"), "1");
    drop(third);
    assert!(!alive(orphan));
    println!("to standard output");
    eprintln!("to standard error");
}

fn failures() {
    let message = panic_message(|| pidns::inside("fails"));
    assert!(message.contains("exit code 101") && message.contains("on purpose"), "{message}");
    let message = panic_message(|| pidns::inside("kills itself"));
    assert!(message.contains("kills itself"), "{message}");
    let message = panic_message(|| pidns::inside("never heard of"));
    assert!(message.contains("no scenario named \"never heard of\""), "{message}");
}

fn hidepid() {
    let actor = Actor::spawn();
    let own = Actor::builder().uid(ORDINARY_UID).gid(ORDINARY_UID).spawn();
    assert!(alive(actor.pid()));
    privileges::become_user(ORDINARY_UID, ORDINARY_UID).unwrap();
    assert!(!alive(actor.pid()));
    assert!(alive(own.pid()) && alive(1));
    drop(actor);
}

fn no_proc() {
    assert!(!Path::new("/proc/self").exists());
    assert_eq!(fs::read_dir("/proc").unwrap().count(), 0);
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    assert!(actor.fork() > actor.pid());
    actor.thread_with_own_fd_table("127.0.0.1:0");
    actor.exec();
    assert_eq!(actor.describe(listener.fd), listener);
}

fn user() {
    assert_eq!(status(1, "Uid"), "1000 1000 1000 1000");
    assert_eq!(status(1, "Groups"), "");
    assert_eq!(status(1, "CapEff"), "0000000000000000");
    // Its own /proc directory is readable, as an ordinary process's is.
    assert!(fs::read_dir("/proc/1/fd").unwrap().count() > 0);
    assert_eq!(crate::seen::owner(&proc_dir(1)), ORDINARY_UID);
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    assert!(holds(actor.pid(), listener.inode));
}

fn clock() {
    let uptime = |text: String| -> f64 { text.split(' ').next().unwrap().parse().unwrap() };
    let here = uptime(fs::read_to_string("/proc/uptime").unwrap());
    let there = uptime(Scenario::new("another clock").boot_clock_ahead(1_000_000).run());
    assert!(there > here + 999_999.0, "{there} {here}");
}

fn root_steps_down() {
    let roots = Actor::spawn();
    let listener = roots.tcp_listen("127.0.0.1:0");
    let child = roots.fork();
    assert!(holds(roots.pid(), listener.inode));
    privileges::become_user(ORDINARY_UID, ORDINARY_UID).unwrap();
    assert!(fs::read_dir(proc_dir(roots.pid()).join("fd")).is_err());
    roots.tcp_connect(listener.addr);
    // Neither may be killed any more: they have to end by themselves.
    let pid = roots.pid();
    drop(roots);
    assert!(!alive(pid) && !alive(child));
}

fn shared() {
    assert_ne!(std::process::id(), 1);
    let actor = Actor::spawn();
    actor.udp_bind("203.0.113.1:53");
}
