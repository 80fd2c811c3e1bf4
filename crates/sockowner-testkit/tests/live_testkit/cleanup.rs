//! Nothing is left behind, whatever happens.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{self, Command, Stdio};
use std::thread;

use sockowner_testkit::cgroup::{Scratch, mount_point};
use sockowner_testkit::libtest_mimic::Trial;
use sockowner_testkit::{Actor, Requirement, eventually, live_test};

use crate::seen::{alive, panic_message, status};

/// First argument of a copy of this program that starts actors and is killed over it.
pub(crate) const ABANDON: &str = "--abandon-actors";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        live_test("a dropped actor leaves nothing", &[], || {
            let actor = Actor::spawn();
            let family = family(&actor);
            drop(actor);
            assert_gone(&family);
        }),
        live_test("a panic leaves no process", &[], panicked),
        live_test("a killed test leaves no process", &[], || abandon_and_wait(None)),
        live_test("an actor that lost its main thread leaves nothing", &[], || {
            let actor = Actor::spawn();
            actor.listen_in_thread_and_exit_main("127.0.0.1:0");
            let family = family(&actor);
            drop(actor);
            assert_gone(&family);
        }),
        live_test("a killed actor's family is found", &[], || {
            let actor = Actor::spawn();
            let family = family(&actor);
            actor.kill();
            assert!(panic_message(|| actor.fork()).contains("no answer"));
            drop(actor);
            assert_gone(&family);
        }),
        live_test("a panic leaves no cgroup", &[Requirement::Cgroup2], cgroups),
        live_test("one cgroup path is used by one test at a time", &[Requirement::Cgroup2], turns),
        live_test("a cgroup left by a crashed test is used again", &[Requirement::Cgroup2], crashed),
    ]
}

/// The actor, two sleeping children and a zombie.
fn family(actor: &Actor) -> [u32; 4] {
    let family = [actor.pid(), actor.fork(), actor.sleep_zombie(), actor.fork()];
    assert!(family.iter().all(|pid| alive(*pid)));
    family
}

fn assert_gone(family: &[u32]) {
    for pid in family {
        assert!(!alive(*pid), "{pid} is left: {}", status(*pid, "State"));
    }
}

fn panicked() {
    let mut left = None;
    panic_message(|| {
        let actor = Actor::spawn();
        left = Some(family(&actor));
        actor.close(99);
    });
    assert_gone(&left.unwrap());
}

/// What the copy of this program does until it is killed: it has actors, in the cgroup that it was given, if any.
pub(crate) fn abandon() -> ! {
    let scratch = std::env::args().nth(2).map(|path| Scratch::new(&path));
    let actor = Actor::spawn();
    let family = family(&actor);
    if let Some(scratch) = &scratch {
        family
            .iter()
            .filter(|pid| !status(**pid, "State").starts_with('Z'))
            .for_each(|pid| scratch.move_in(*pid));
    }
    println!("{}", family.map(|pid| pid.to_string()).join(" "));
    loop {
        thread::park();
    }
}

/// Starts such a copy, kills it when its actors are there, and waits for their end.
fn abandon_and_wait(cgroup: Option<&str>) {
    let mut test = Command::new(std::env::current_exe().unwrap())
        .arg(ABANDON)
        .args(cgroup)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(test.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let family: Vec<u32> = line.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(family.len(), 4);
    test.kill().unwrap();
    test.wait().unwrap();
    // A zombie is reaped by whoever adopts it, which is not this crate's to vouch for.
    let ended = |pid: &u32| !alive(*pid) || status(*pid, "State").starts_with('Z');
    eventually("the end of the actors", || family.iter().all(ended).then_some(()));
}

fn cgroups() {
    let top = format!("/testkit-{}.slice", process::id());
    let leaf = format!("{top}/middle.slice/docker/{}", "0123456789abcdef".repeat(4));
    let mut pid = 0;
    panic_message(|| {
        let scratch = Scratch::new(&leaf);
        let _beside = Scratch::new(&format!("{top}/beside"));
        let actor = Actor::builder().cgroup(&scratch).spawn();
        pid = actor.pid();
        actor.fork();
        assert!(dir(&leaf).exists());
        actor.close(99);
    });
    assert!(!alive(pid));
    assert!(!dir(&top).exists());
}

fn turns() {
    let path = format!("/testkit-turns-{}/leaf", process::id());
    let take = || {
        for _ in 0..20 {
            let scratch = Scratch::new(&path);
            let actor = Actor::builder().cgroup(&scratch).spawn();
            assert_eq!(scratch.procs(), [actor.pid()]);
        }
    };
    thread::scope(|scope| {
        scope.spawn(take);
        take();
    });
    assert!(!dir(&path).exists() && !dir(&path).parent().unwrap().exists());
}

fn crashed() {
    let path = format!("/testkit-crashed-{}/leaf", process::id());
    abandon_and_wait(Some(&path));
    assert!(dir(&path).exists());
    let scratch = Scratch::new(&path);
    assert!(scratch.procs().is_empty());
    drop(scratch);
    assert!(!dir(&path).parent().unwrap().exists());
}

fn dir(path: &str) -> PathBuf {
    mount_point().unwrap().join(path.trim_start_matches('/'))
}
