//! Children that do not answer.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sockowner::ComponentEvidence::Cfi;
use sockowner_record::resolve::{Patience, Unknown};
use sockowner_testkit::Requirement::Root;
use sockowner_testkit::eventually;

use super::components::library_and_user;
use super::daemon::{Daemon, Facts, assert_told, sample};
use super::fuse::{FUSE, Fuse, NAME};
use super::tracer::trace;
use super::workshop::{GCC, TRACING, Workshop};

tests! {
    Outside a_parser_that_was_killed_is_replaced needs GCC, TRACING, Root;
    Outside a_parser_that_is_stuck_is_replaced needs GCC, TRACING, Root;
    Outside an_opener_that_was_killed_is_replaced needs GCC, TRACING, Root;
    Outside an_opener_that_is_stuck_is_replaced needs GCC, TRACING, Root;
    Outside a_file_whose_server_never_answers_is_not_waited_for needs GCC, TRACING, Root, FUSE;
    Outside who_gets_children_stuck_is_passed_over needs GCC, TRACING, Root;
    Outside the_children_end_with_the_daemon needs Root;
}

const PARSER: usize = 0;
const OPENER: usize = 1;

/// Who is stuck is waited for so long. Far apart: it is the opener that is lost, where it is the opener that is stuck.
const STUCK: Patience = Patience {
    start: Duration::from_secs(60),
    opener: Duration::from_secs(2),
    parser: Duration::from_secs(10),
    age: Duration::from_secs(60),
};

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid.cast_signed()), signal).expect("signal a child");
}

/// At the first call of the program a child gets a signal. Then `first` samples are asked, of which `lost` come out so, and
/// after that others.
fn disturb(child: usize, what: Signal, first: usize, lost: &[Unknown]) {
    let workshop = Workshop::open();
    let (library, program) = library_and_user(&workshop);
    let daemon = Daemon::start_with(STUCK);
    let mut is_first = true;
    trace(&mut Command::new(program), |stop| {
        if std::mem::take(&mut is_first) {
            let before = daemon.children();
            signal(before[child], what);
            // Different processes, so that each needs the opener.
            let samples = (0..first as u64).map(|number| sample(stop, 10 + number, Facts::Noted)).collect();
            let answers = daemon.resolve(samples);
            let unknown: Vec<Unknown> = answers.iter().filter_map(|answer| answer.clone().err()).collect();
            assert_eq!(unknown, lost);
            answers
                .iter()
                .filter(|answer| answer.is_ok())
                .for_each(|answer| assert_told(answer, &library, Cfi));
            assert_told(&daemon.one(sample(stop, 1, Facts::Noted)), &library, Cfi);
            let after = daemon.children();
            assert!(before.iter().all(|pid| !after.contains(pid)), "{before:?} {after:?}");
            // Nothing is left of those.
            eventually("the end of the first children", || {
                daemon.resolve(Vec::new());
                let is_there = |pid: &u32| Path::new(&format!("/proc/{pid}")).exists();
                (!before.iter().any(is_there)).then_some(())
            });
            let counts = daemon.counts();
            let expected = if child == PARSER { (1, 0) } else { (0, 1) };
            assert_eq!((counts.parsers_lost, counts.openers_lost), expected);
            assert_eq!(counts.samples(), first as u64 + 1);
        }
    });
    assert!(!is_first);
}

fn a_parser_that_was_killed_is_replaced() {
    disturb(PARSER, Signal::SIGKILL, 1, &[Unknown::ParserLost]);
    disturb(PARSER, Signal::SIGKILL, 3, &[]);
}

fn a_parser_that_is_stuck_is_replaced() {
    disturb(PARSER, Signal::SIGSTOP, 1, &[Unknown::ParserLost]);
    disturb(PARSER, Signal::SIGSTOP, 3, &[]);
}

fn an_opener_that_was_killed_is_replaced() {
    disturb(OPENER, Signal::SIGKILL, 3, &[Unknown::OpenerLost]);
}

fn an_opener_that_is_stuck_is_replaced() {
    disturb(OPENER, Signal::SIGSTOP, 3, &[Unknown::OpenerLost]);
}

fn a_file_whose_server_never_answers_is_not_waited_for() {
    let workshop = Workshop::open();
    let plugin = workshop.library("component.c", "plugin.so", &[]);
    let loader = workshop.program("loader.c", "loader", &[]);
    let (library, user) = library_and_user(&workshop);
    let place = workshop.path("mounted");
    std::fs::create_dir(&place).unwrap();
    let fuse = Fuse::mount(&place, std::fs::read(plugin).unwrap());
    let served = place.join(NAME);
    let daemon = Daemon::start_with(STUCK);
    let mut is_first = true;
    trace(Command::new(loader).arg(&served), |stop| {
        if std::mem::take(&mut is_first) {
            fuse.is_silent.store(true, Ordering::SeqCst);
            assert_eq!(daemon.one(sample(stop, 1, Facts::Noted)), Err(Unknown::OpenerLost));
            assert_eq!(daemon.one(sample(stop, 1, Facts::Noted)), Err(Unknown::PassedOver));
            fuse.is_silent.store(false, Ordering::SeqCst);
        }
        // Another opener asks for the file again.
        assert_told(&daemon.one(sample(stop, 2, Facts::Noted)), &served, Cfi);
    });
    assert!(!is_first);
    assert_eq!(daemon.counts().openers_lost, 1);
    trace(&mut Command::new(user), |stop| {
        assert_told(&daemon.one(sample(stop, 3, Facts::Noted)), &library, Cfi);
    });
}

fn who_gets_children_stuck_is_passed_over() {
    let workshop = Workshop::open();
    let (library, program) = library_and_user(&workshop);
    let daemon = Daemon::start_with(STUCK);
    let mut is_first = true;
    trace(&mut Command::new(program), |stop| {
        if std::mem::take(&mut is_first) {
            signal(daemon.children()[OPENER], Signal::SIGKILL);
            assert_eq!(daemon.one(sample(stop, 1, Facts::Noted)), Err(Unknown::OpenerLost));
            assert_eq!(daemon.one(sample(stop, 1, Facts::Noted)), Err(Unknown::PassedOver));
            assert_told(&daemon.one(sample(stop, 2, Facts::Noted)), &library, Cfi);
        }
    });
}

fn the_children_end_with_the_daemon() {
    let daemon = Daemon::start_with(STUCK);
    let children = daemon.children();
    drop(daemon);
    for pid in children {
        eventually("the end of a child", || (!Path::new(&format!("/proc/{pid}")).exists()).then_some(()));
    }
}
