//! Both sources beside each other, while processes and sockets come and go: whatever was there all the time both tell
//! alike, and neither tells anything twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use sockowner::{Entry, Filter, Query, Reason, Snapshot, Source};
use sockowner_testkit::Requirement::{NsLastPid, PidNamespace};
use sockowner_testkit::{Actor, Scenario};

tests! {
    Outside both_sources_tell_the_same_under_churn needs PidNamespace, NsLastPid;
    Scene both_sources_beside_each_other;
}

/// The number that processes take turns with.
const NUMBER: u32 = 900;
/// Comparisons in one scene.
const ROUNDS: usize = 100;

/// What a person would compare: everything but the wall clock's reading.
fn essence(entry: &Entry) -> String {
    let holders: Vec<_> = entry
        .attribution
        .holders()
        .iter()
        .map(|holder| {
            let p = &holder.process;
            let of_whom = (p.pid, p.start.ticks, p.parent, p.uid, p.user.as_deref());
            let what = (&p.name, &p.comm, &p.executable, p.service.as_deref(), p.container.as_deref());
            format!("{of_whom:?} {what:?} {} {}", holder.tid, holder.fd)
        })
        .collect();
    let reason = entry.attribution.reason().map(Reason::as_str);
    format!("{:?} {:?} {:?} {reason:?} {holders:?}", entry.socket, entry.cgroup, entry.service)
}

/// By cookie; a socket that is told twice ends the test.
fn table(snapshot: &Snapshot) -> BTreeMap<u64, String> {
    let mut table = BTreeMap::new();
    for entry in snapshot {
        let before = table.insert(entry.socket.cookie, essence(entry));
        assert_eq!(before, None, "{entry:?} is told twice");
        let holders = entry.attribution.holders().iter();
        let distinct: BTreeSet<_> = holders.clone().map(|h| (h.process.pid, h.tid, h.fd)).collect();
        assert_eq!(distinct.len(), holders.len(), "{entry:?}");
    }
    table
}

/// In full it takes ten minutes.
fn both_sources_tell_the_same_under_churn() {
    let scenes = if std::env::var_os("SOCKOWNER_FULL").is_some() { 10_000 / ROUNDS } else { 1 };
    (0..scenes).for_each(|_| {
        Scenario::new("both_sources_beside_each_other").run();
    });
}

fn both_sources_beside_each_other() {
    let open = |source| Query::builder().source(source).open().unwrap();
    let (proc, bpf) = (open(Source::Proc), open(Source::Bpf));
    let (near, far) = (Actor::spawn(), Actor::spawn());
    let listener = far.tcp_listen("127.0.0.1:0");
    let steady: Vec<_> = (0..8).map(|_| near.tcp_connect(listener.addr)).collect();
    far.accept(listener.fd);
    near.fork();
    near.udp_bind("127.0.0.1:0");
    let is_done = AtomicBool::new(false);
    let mut compared = 0;
    thread::scope(|scope| {
        let numbers = scope.spawn(|| {
            while !is_done.load(Ordering::Acquire) {
                let actor = Actor::builder().pid(NUMBER).spawn();
                let listener = actor.tcp_listen("127.0.0.1:0");
                actor.fork();
                // Of the two that end next, the child may be the first: the listener would have one holder, two, and
                // the same one again.
                actor.close(listener.fd);
            }
        });
        let sockets = scope.spawn(|| {
            let (client, server) = (Actor::spawn(), Actor::spawn());
            let listener = server.tcp_listen("127.0.0.1:0");
            while !is_done.load(Ordering::Acquire) {
                let one = client.tcp_connect(listener.addr);
                let other = server.accept(listener.fd);
                // Handed on, and closed where it came from.
                let handed = server.pass_fd(other.fd, &client);
                server.close(other.fd);
                client.set_linger_zero(one.fd);
                client.close(one.fd);
                client.close(handed.fd);
            }
        });
        let compare = || {
            for round in 0..ROUNDS {
                let ask = |query: &Query| query.snapshot(&Filter::new()).unwrap();
                let (before, told, after) = (ask(&proc), ask(&bpf), ask(&proc));
                let (before, told, after) = (table(&before), table(&told), table(&after));
                for (cookie, entry) in &before {
                    // What changed between may have been seen by one and not by the other. Nothing here becomes again
                    // what it was: a row that two looks tell alike was so all the time.
                    if after.get(cookie) == Some(entry) {
                        assert_eq!(told.get(cookie), Some(entry), "round {round}");
                        compared += 1;
                    }
                }
            }
        };
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(compare));
        is_done.store(true, Ordering::Release);
        numbers.join().unwrap();
        sockets.join().unwrap();
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
    });
    assert!(compared >= ROUNDS * steady.len(), "{compared} rows were there all the time");
}
