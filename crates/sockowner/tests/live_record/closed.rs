//! Sockets that no process has any more.

use sockowner::{Address, Filter, Pattern, Protocol, Query, Recorded, RoleEvidence, State};
use sockowner_testkit::Requirement::OtherUser;
use sockowner_testkit::privileges::ORDINARY_UID;
use sockowner_testkit::{Actor, Sock, eventually};

use super::ask::{Recorder, assert_roles, by, called, implied, is_of};

tests! {
    Alone a_socket_in_time_wait_has_its_owner;
    Alone a_closed_socket_is_found_by_its_name;
    Alone who_was_killed_closed_its_sockets needs OtherUser;
    Alone who_hid_itself_is_hidden_when_it_ends needs OtherUser;
    Alone a_reset_connection_keeps_its_name;
}

/// The last that was closed and called so.
fn closed(recorder: &Recorder, sock: &Sock) -> Recorded {
    let mut pattern = Pattern::local(sock.addr.ip(), sock.addr.port());
    if let Some(peer) = sock.peer {
        pattern = pattern.connected_to(peer.ip(), peer.port());
    }
    // Whoever looks at a descriptor while it is closed has the file a moment longer.
    let it = eventually(&format!("{sock:?} is closed"), || {
        let found = recorder.reader.closed(&pattern).unwrap();
        found.into_iter().next().filter(|it| it.cookie == sock.cookie)
    });
    let endpoint = it.endpoint.unwrap();
    assert_eq!((endpoint.local, endpoint.remote), (sock.addr.into(), sock.peer.map(Address::from)));
    assert_eq!(endpoint.state, State::CLOSE);
    assert!(it.closed_at.unwrap() >= it.created_at.unwrap());
    it
}

fn a_socket_in_time_wait_has_its_owner() {
    let recorder = Recorder::start();
    let (near, far) = (Actor::spawn(), Actor::spawn());
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = far.tcp_listen(address);
        for near_first in [true, false] {
            let client = near.tcp_connect(listener.addr);
            let server = far.accept_from(listener.fd);
            if near_first {
                near.close_first(client.fd, &far, server.fd);
            } else {
                far.close_first(server.fd, &near, client.fd);
            }
            let waiting = if near_first { &client } else { &server };
            let query = Query::new().unwrap();
            let row = eventually("a row in TIME_WAIT", || {
                let (rows, _) = query.sockets(&Filter::new().protocol(Protocol::Tcp)).unwrap();
                rows.into_iter().find(|row| {
                    row.endpoint.state == State::TIME_WAIT
                        && row.endpoint.local == waiting.addr.into()
                        && row.endpoint.remote == waiting.peer.map(Address::from)
                })
            });
            assert_eq!(row.cookie, waiting.cookie);
            let told = recorder.about(row.cookie).unwrap();
            let inherited = by(&far, RoleEvidence::Inherited);
            if near_first {
                assert_roles(&told, [called(&near), implied(&near), None, None]);
            } else {
                assert_roles(&told, [inherited, None, inherited, called(&far)]);
            }
        }
    }
}

fn a_closed_socket_is_found_by_its_name() {
    let recorder = Recorder::start();
    let (near, far) = (Actor::spawn(), Actor::spawn());
    for (any, one) in [("0.0.0.0:0", "127.0.0.1"), ("[::]:0", "[::1]")] {
        let listener = far.tcp_listen(any);
        let port = listener.addr.port();
        let client = near.tcp_connect(format!("{one}:{port}"));
        let server = far.accept_from(listener.fd);
        near.close(client.fd);
        far.close(server.fd);
        // Before the listener, for it is told behind it.
        closed(&recorder, &server);
        far.close(listener.fd);
        assert_roles(&closed(&recorder, &client), [called(&near), implied(&near), None, None]);
        assert_eq!(closed(&recorder, &server).roles.acceptor.unwrap().process.pid, Some(far.pid()));
        let told = closed(&recorder, &listener);
        assert_roles(&told, [called(&far), called(&far), called(&far), None]);
        // By the port alone, and by an address that it would have served; what was closed last comes first.
        let ip = one.trim_matches(['[', ']']).parse().unwrap();
        for pattern in [Pattern::port(port), Pattern::local(ip, port)] {
            let cookies: Vec<_> =
                recorder.reader.closed(&pattern).unwrap().iter().map(|told| told.cookie).collect();
            assert_eq!(cookies, [listener.cookie, server.cookie], "{pattern}");
        }
        let none = Pattern::port(port).protocol(Protocol::Udp);
        assert_eq!(recorder.reader.closed(&none).unwrap(), []);
    }
    let datagrams = near.udp_bind("127.0.0.1:0");
    assert_eq!(recorder.reader.closed(&Pattern::port(datagrams.addr.port())).unwrap(), []);
    near.close(datagrams.fd);
    assert_roles(&closed(&recorder, &datagrams), [called(&near), called(&near), None, None]);
}

fn who_was_killed_closed_its_sockets() {
    let recorder = Recorder::start();
    let dir = tempfile::tempdir().unwrap();
    let exe = dir.path().join("program");
    let near = Actor::spawn();
    let (pid, client, listener, acceptor) = eventually("no other process closes the connection", || {
        let far = Actor::builder().exe(&exe).uid(ORDINARY_UID).gid(ORDINARY_UID).spawn();
        let listener = far.tcp_listen("127.0.0.1:0");
        let client = near.tcp_connect(listener.addr);
        let server = far.accept(listener.fd);
        let pid = far.pid();
        far.kill();
        let acceptor = closed(&recorder, &server).roles.acceptor.unwrap();
        is_of([&near, &far], &acceptor).then_some((pid, client, listener, acceptor))
    });
    assert_eq!((acceptor.process.pid, acceptor.evidence), (Some(pid), RoleEvidence::Closer));
    // As it was while it lived: it has no memory any more, and so no executable, when it closes its sockets.
    assert_eq!(acceptor.process.path.as_deref(), Some(exe.as_path()));
    assert!(acceptor.process.may_be_told_to(ORDINARY_UID));
    let told = closed(&recorder, &listener);
    let listener = told.roles.listener.unwrap();
    assert_eq!(listener.process, acceptor.process);
    assert_eq!(recorder.told(&client).closed_at, None);
}

/// Others of its user may not look into it at its end.
fn who_hid_itself_is_hidden_when_it_ends() {
    let recorder = Recorder::start();
    let near = Actor::spawn();
    let far = Actor::builder().uid(ORDINARY_UID).gid(ORDINARY_UID).spawn();
    let listener = far.tcp_listen("127.0.0.1:0");
    let _client = near.tcp_connect(listener.addr);
    let server = far.accept(listener.fd);
    far.drop_dumpable();
    let _noted = far.udp_bind("127.0.0.1:0");
    far.kill();
    let acceptor = closed(&recorder, &server).roles.acceptor.unwrap();
    assert_eq!(acceptor.evidence, RoleEvidence::Closer);
    assert!(acceptor.process.path.is_some());
    assert!(!acceptor.process.may_be_told_to(ORDINARY_UID));
}

fn a_reset_connection_keeps_its_name() {
    let recorder = Recorder::start();
    let (near, far) = (Actor::spawn(), Actor::spawn());
    let listener = far.tcp_listen("127.0.0.1:0");
    let client = near.tcp_connect(listener.addr);
    let server = far.accept_from(listener.fd);
    far.set_linger_zero(server.fd);
    far.close(server.fd);
    // The kernel took its port away with the reset.
    eventually("the reset", || (near.describe(client.fd).peer.is_none()).then_some(()));
    near.close(client.fd);
    assert_roles(&closed(&recorder, &client), [called(&near), implied(&near), None, None]);
    assert_roles(
        &closed(&recorder, &server),
        [by(&far, RoleEvidence::Inherited), None, by(&far, RoleEvidence::Inherited), called(&far)],
    );
}
