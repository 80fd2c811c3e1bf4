//! Many processes, most of them gone when somebody asks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::thread;

use sockowner::os::linux::record;
use sockowner::{Address, Filter, Protocol, Query, Record, RoleEvidence, RoleKind};
use sockowner_testkit::Actor;
use sockowner_testkit::load::{Load, Shape};

use super::ask::{Recorder, who};

tests! {
    Alone short_lived_processes_are_all_named;
    Alone fifty_thousand_sockets_are_all_recorded;
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
    let mut missing = 0;
    for (pid, cookie, addr) in clients {
        assert!(seen.insert(cookie));
        let told = recorder.about(cookie).map(|told| (told.roles.creator, told.roles.binder, told.endpoint));
        let Some((Some(creator), Some(binder), Some(endpoint))) = told else {
            missing += 1;
            continue;
        };
        assert_eq!(who(&creator), (Some(pid), RoleEvidence::Call, false));
        assert_eq!(who(&binder), (Some(pid), RoleEvidence::Call, true));
        assert_eq!(binder.process.path.as_ref(), Some(&exe));
        assert_eq!(endpoint.local, addr.into());
    }
    assert_counted(missing, seen.len());
}

/// What is not known was counted, and is next to nothing. What is counted may be anybody's.
#[track_caller]
fn assert_counted(missing: usize, of: usize) {
    let status = record::status().unwrap().unwrap();
    let counted = status.dropped + status.not_recorded;
    assert!(u64::try_from(missing).unwrap() <= counted, "{missing} are missing: {status:?}");
    assert!(missing * 1_000 <= of, "{missing} of {of} are missing: {status:?}");
}

/// Each row of a snapshot has its roles, and each socket has its row.
fn fifty_thousand_sockets_are_all_recorded() {
    let _recorder = Recorder::start();
    let before = record::status().unwrap().unwrap();
    let shape = Shape { processes: 250, sockets: 200, others: 0 };
    let load = Load::start(shape, |_| None).unwrap();
    let after = record::status().unwrap().unwrap();
    let rows = u64::try_from(shape.rows()).unwrap() - after.dropped - after.not_recorded;
    // Others on the machine have sockets too; for each of these there were two calls at least.
    assert!(after.sockets.0 >= rows && after.sockets.0 <= after.capacity, "{after:?}");
    assert!(after.events - before.events >= 2 * rows, "{after:?}");
    assert!(after.processes >= 250, "{after:?}");
    assert!(after.memory <= 32 << 20, "{} bytes", after.memory);
    let query = Query::new().unwrap();
    let snapshot = query.snapshot(&Filter::new().protocol(Protocol::Tcp)).unwrap();
    assert_eq!((snapshot.entries().len(), snapshot.gaps()), (shape.rows(), &[][..]));
    let entries: BTreeMap<_, _> = snapshot
        .iter()
        .map(|entry| ((entry.socket.endpoint.local, entry.socket.endpoint.remote), entry))
        .collect();
    let truth = load.truth();
    let listeners: BTreeSet<_> =
        truth.iter().filter(|held| held.remote.is_none()).map(|held| held.local).collect();
    let mut missing = 0;
    for held in &truth {
        let address = |of| Address::from(SocketAddr::V4(of));
        let entry = entries[&(address(held.local), held.remote.map(address))];
        let owner = entry.attribution.primary_owner().map(|(process, _)| process.pid);
        assert_eq!(owner, Some(held.pid), "{held:?}");
        let role = |evidence| Some((Some(held.pid), evidence, false));
        let (call, inherited) = (role(RoleEvidence::Call), role(RoleEvidence::Inherited));
        let expected = match held.remote {
            None => [call, call, call, None],
            Some(_) if listeners.contains(&held.local) => [inherited, None, inherited, call],
            Some(_) => [call, call, None, None],
        };
        let roles = RoleKind::ALL.map(|kind| entry.record.role(kind).map(who));
        for (role, expected) in roles.iter().zip(&expected).filter(|(role, _)| role.is_some()) {
            assert_eq!(role, expected, "{held:?}");
        }
        missing += usize::from(!matches!(entry.record, Record::Known(_)) || roles != expected);
    }
    assert_counted(missing, truth.len());
}
