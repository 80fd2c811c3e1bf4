//! Many sockets, and many who look.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use sockowner::{Filter, Protocol, Query};

use super::child::Puppet;
use super::{is_same, pids, pids_of, snapshot};

pub(super) fn five_hundred_sockets() {
    let mut other = Puppet::new();
    let own: Vec<_> = (0..250).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let others: Vec<_> = (0..250).map(|_| other.address("listen 127.0.0.1:0")).collect();
    let told = snapshot();
    for listener in &own {
        assert_eq!(pids(&told, Protocol::Tcp, listener.local_addr().unwrap(), None), [std::process::id()]);
    }
    for local in others {
        assert_eq!(pids(&told, Protocol::Tcp, local, None), [other.pid()]);
    }
}

/// Who looks has duplicates of everybody's handles meanwhile, and is never named for it: also where he is older than
/// whose sockets they are.
pub(super) fn while_others_look() {
    let mut lookers = [Puppet::new(), Puppet::new()];
    let mut server = Puppet::new();
    let locals: Vec<_> = (0..100).map(|_| server.address("listen 127.0.0.1:0")).collect();
    // Without the tables, which take longer than looking at handles.
    let query = Query::new().unwrap();
    let (mut sockets, _) = query.sockets(&Filter::new()).unwrap();
    sockets.retain(|socket| locals.iter().any(|&local| is_same(socket.endpoint.local, local)));
    assert_eq!(sockets.len(), locals.len());
    std::thread::scope(|scope| {
        for looker in &mut lookers {
            scope.spawn(|| drop(looker.tell("look")));
        }
        scope.spawn(|| (0..20).for_each(|_| drop(query.owners(sockets.clone()).unwrap())));
        for _ in 0..20 {
            for entry in &query.owners(sockets.clone()).unwrap() {
                assert_eq!(pids_of(entry), [server.pid()]);
            }
        }
    });
}

/// A process that starts has no handle yet: Wine's server, asked for the handles of all, crashes over it.
pub(super) fn while_programs_start() {
    let own = TcpListener::bind("127.0.0.1:0").unwrap();
    let query = Query::new().unwrap();
    let (mut sockets, _) = query.sockets(&Filter::new()).unwrap();
    sockets.retain(|socket| is_same(socket.endpoint.local, own.local_addr().unwrap()));
    let start = || {
        // Nothing is inherited.
        let loops = ["/c", "for /l %i in (1,1,30) do start /b cmd /c exit"];
        assert!(Command::new("cmd").args(loops).stdout(Stdio::null()).status().unwrap().success());
    };
    std::thread::scope(|scope| {
        let starts = [scope.spawn(start), scope.spawn(start)];
        let mut asked = 0;
        while asked < 20 || !starts.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            let found = query.owners(sockets.clone()).unwrap();
            assert_eq!(found.iter().map(pids_of).collect::<Vec<_>>(), [[std::process::id()]]);
            asked += 1;
        }
    });
}
