//! Processes that end before anybody could look at them, and what they leave.

use std::collections::BTreeMap;
use std::thread;

use sockowner::os::linux::record;
use sockowner::{Address, Attribution, Entry, Filter, Protocol, Query, RoleEvidence, State};
use sockowner_testkit::Requirement::Cgroup2;
use sockowner_testkit::cgroup::Scratch;
use sockowner_testkit::{Actor, Born, SocketOptions, eventually};

use super::ask::{Recorder, who};

tests! {
    Alone processes_that_only_connect_are_named_with_program_and_unit needs Cgroup2;
}

const UNITS: [&str; 2] = ["sockowner-live-short-a.service", "sockowner-live-short-b.service"];
const PROCESSES: usize = 10_000;
/// In one command.
const TOGETHER: usize = 500;

fn processes_that_only_connect_are_named_with_program_and_unit() {
    // Else a port that waits may be connected from again, after a second.
    std::fs::write("/proc/sys/net/ipv4/tcp_tw_reuse", "0").unwrap();
    let recorder = Recorder::start();
    let scratches = UNITS.map(|name| Scratch::new(&format!("/system.slice/{name}")));
    let dir = tempfile::tempdir().unwrap();
    let exes = UNITS.map(|name| dir.path().join(name));
    let parents = [0, 1].map(|at| Actor::builder().exe(&exes[at]).cgroup(&scratches[at]).spawn());
    let far = Actor::spawn();
    let queue = SocketOptions { backlog: Some(4_000), ..SocketOptions::default() };
    let listener = far.tcp_listen_with("127.0.0.1:0", queue);
    let mut born = [Vec::new(), Vec::new()];
    for _ in 0..PROCESSES / UNITS.len() / TOGETHER {
        thread::scope(|scope| {
            let live = |parent: &Actor| parent.short_lives(listener.addr, TOGETHER);
            let both = parents.each_ref().map(|parent| scope.spawn(move || live(parent)));
            both.into_iter().zip(&mut born).for_each(|(thread, born)| born.extend(thread.join().unwrap()));
        });
        // Only now: the connecting ends were closed first, so that it is they who wait.
        far.accept_many(listener.fd, UNITS.len() * TOGETHER);
        // They wait for a minute, which may not be enough for all batches together.
        let batch = born.iter().flat_map(|born| &born[born.len() - TOGETHER..]);
        let batch: BTreeMap<_, _> = batch.map(|born| (born.cookie, born.pid)).collect();
        assert_eq!(batch.len(), UNITS.len() * TOGETHER);
        all_that_waits_has_its_owner(&listener.addr.into(), &batch, &recorder);
    }
    let mut pids = BTreeMap::new();
    let mut unknown = 0;
    for ((born, exe), scratch) in born.iter().zip(&exes).zip(&scratches) {
        assert_eq!(born.len(), PROCESSES / UNITS.len());
        for Born { pid, cookie } in born {
            assert_eq!(pids.insert(*cookie, *pid), None);
            let Some(told) = recorder.about(*cookie) else {
                unknown += 1;
                continue;
            };
            assert_eq!(told.roles.creator.as_ref().map(who), Some((Some(*pid), RoleEvidence::Call, false)));
            let binder = told.roles.binder.unwrap();
            assert_eq!(who(&binder), (Some(*pid), RoleEvidence::Call, true));
            assert_eq!(binder.process.path.as_ref(), Some(exe));
            assert_eq!(binder.process.cgroup, scratch.id());
        }
    }
    // 99.99 % of them; what is not known was counted.
    let status = record::status().unwrap().unwrap();
    assert!(unknown * 10_000 <= pids.len(), "{unknown} of {PROCESSES} are unknown");
    assert!(unknown == 0 || status.dropped + status.not_recorded > 0, "{status:?}");
}

fn all_that_waits_has_its_owner(to: &Address, pids: &BTreeMap<u64, u32>, recorder: &Recorder) {
    let query = Query::new().unwrap();
    let filter = Filter::new().protocol(Protocol::Tcp).state(State::TIME_WAIT);
    let is_meant =
        |entry: &&Entry| entry.socket.endpoint.remote == Some(*to) && pids.contains_key(&entry.socket.cookie);
    // The other end's close comes a moment after the last was accepted.
    let snapshot = eventually("all in TIME_WAIT", || {
        let snapshot = query.snapshot(&filter).unwrap();
        (snapshot.iter().filter(is_meant).count() == pids.len()).then_some(snapshot)
    });
    for entry in snapshot.iter().filter(is_meant) {
        let pid = pids[&entry.socket.cookie];
        if recorder.reader.socket(entry.socket.cookie).unwrap().is_none() {
            continue;
        }
        let Attribution::Recorded(owner) = &entry.attribution else { panic!("{entry:?}") };
        assert_eq!((owner.process.pid, owner.exited), (pid, true), "{entry:?}");
        let service = owner.process.service.as_ref().unwrap();
        assert!(UNITS.contains(&service.name.as_str()), "{service:?}");
        let program = owner.process.name.to_str().unwrap();
        assert_eq!(program, service.name);
    }
}
