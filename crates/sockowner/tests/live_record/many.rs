//! Many processes, most of them gone when somebody asks.

use std::collections::BTreeSet;
use std::thread;

use sockowner_testkit::Actor;

use super::ask::{Recorder, who};
use sockowner::RoleEvidence;

tests! {
    Alone short_lived_processes_are_all_named;
}

fn short_lived_processes_are_all_named() {
    const THREADS: usize = 4;
    const PROCESSES: usize = 250;
    let recorder = Recorder::start();
    let far = Actor::spawn();
    let listener = far.tcp_listen("127.0.0.1:0");
    let run = || {
        let run_one = |_| {
            let actor = Actor::spawn();
            let client = actor.tcp_connect(listener.addr);
            (actor.pid(), client.cookie, client.addr)
        };
        (0..PROCESSES).map(run_one).collect::<Vec<_>>()
    };
    let accept = || {
        for _ in 0..THREADS * PROCESSES {
            far.close(far.accept(listener.fd).fd);
        }
    };
    let clients = thread::scope(|scope| {
        let accepting = scope.spawn(accept);
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(run)).collect();
        let clients: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        accepting.join().unwrap();
        clients
    });
    let exe = std::env::current_exe().unwrap();
    let mut seen = BTreeSet::new();
    for (pid, cookie, addr) in clients {
        let told = recorder.about(cookie).unwrap();
        assert_eq!(told.roles.creator.as_ref().map(who), Some((Some(pid), RoleEvidence::Call, false)));
        let binder = told.roles.binder.unwrap();
        assert_eq!(who(&binder), (Some(pid), RoleEvidence::Call, true));
        assert_eq!(binder.process.path.as_ref(), Some(&exe));
        assert_eq!(told.endpoint.unwrap().local, addr.into());
        assert!(seen.insert(cookie));
    }
    let status = sockowner::os::linux::record::status().unwrap().unwrap();
    assert_eq!((status.dropped, status.not_recorded), (0, 0));
}
