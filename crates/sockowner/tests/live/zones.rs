//! Interfaces: link-local addresses, and sockets that are bound to a device.

use sockowner::{Address, Endpoint, Entry, ErrorKind, Match, Query, Snapshot};
use sockowner_testkit::Requirement::Interface;
use sockowner_testkit::{Actor, SocketOptions, netns};

use super::ask::{assert_held, at, owner_of, query, told, who};

tests! {
    Host a_link_local_address_has_its_zone needs Interface;
    Host a_link_local_connection_has_its_zone_on_both_sides needs Interface;
    Host one_link_local_address_on_two_interfaces_is_told_apart needs Interface;
    Host a_socket_bound_to_a_device_tells_it needs Interface;
    Host a_connection_bound_to_a_device_is_found_by_its_addresses;
}

/// The interface and, where there is one, the address's zone.
fn interfaces(entry: &Entry) -> [Option<(u32, Option<String>)>; 2] {
    [entry.socket.interface, entry.socket.endpoint.local.zone]
        .map(|interface| Some((interface?.index(), interface?.name().map(str::to_owned))))
}

fn named(index: u32, name: &str) -> (u32, Option<String>) {
    (index, Some(name.to_owned()))
}

/// The cookies of what the pattern finds exactly.
fn exact(query: &Query, pattern: &str) -> Vec<u64> {
    let found = who(query, pattern);
    assert!(found.iter().all(|entry| entry.matched == Some(Match::Exact)), "{pattern}");
    found.iter().map(|entry| entry.socket.cookie).collect()
}

/// The cookie of the connection with these addresses.
fn recorded(query: &Query, local: Address, remote: Address) -> Option<u64> {
    query.recorded(local, remote).unwrap().map(|(socket, _)| socket.cookie)
}

fn a_link_local_address_has_its_zone() {
    let index = netns::add_dummy("zone0", &["fe80::1/64"]).unwrap();
    let actor = Actor::spawn();
    for sock in [
        actor.tcp_listen(format!("[fe80::1%{index}]:4711")),
        actor.udp_bind(format!("[fe80::1%{index}]:4712")),
    ] {
        let query = query();
        let entry = told(&query, &sock);
        assert_held(&entry, &[at(&actor, &sock)]);
        assert_eq!(interfaces(&entry), [0; 2].map(|_| Some(named(index, "zone0"))));
        let port = sock.addr.port();
        assert_eq!(entry.socket.endpoint.local.to_string(), format!("[fe80::1%zone0]:{port}"));
        assert_eq!(exact(&query, &format!("[fe80::1%zone0]:{port}")), [sock.cookie]);
        assert_eq!(exact(&query, &format!("[fe80::1%{index}]:{port}")), [sock.cookie]);
        assert_eq!(exact(&query, &format!("[fe80::1]:{port}")), [sock.cookie]);
        for other in ["lo", "zone", "zone00", "1", "0"] {
            assert_eq!(exact(&query, &format!("[fe80::1%{other}]:{port}")), [0; 0], "{other}");
        }
        assert_held(&owner_of(&query, &entry.socket), &[at(&actor, &sock)]);
    }
}

fn a_link_local_connection_has_its_zone_on_both_sides() {
    let index = netns::add_dummy("zone0", &["fe80::1/64"]).unwrap();
    let actor = Actor::spawn();
    let listener = actor.tcp_listen(format!("[fe80::1%{index}]:0"));
    let client = actor.tcp_connect(listener.addr);
    let server = actor.accept(listener.fd);
    let query = query();
    for sock in [&client, &server] {
        let entry = told(&query, sock);
        assert_held(&entry, &[at(&actor, sock)]);
        assert_eq!(interfaces(&entry)[1], Some(named(index, "zone0")));
        assert_eq!(entry.socket.endpoint.remote.unwrap().zone, entry.socket.endpoint.local.zone);
        let (a, b) = (sock.addr.port(), sock.peer.unwrap().port());
        let pattern = |zone: &str| format!("tcp/[fe80::1{zone}]:{a},[fe80::1{zone}]:{b}");
        assert_eq!(exact(&query, &pattern("")), [sock.cookie]);
        assert_eq!(exact(&query, &pattern("%zone0")), [sock.cookie]);
        assert_eq!(exact(&query, &pattern(&format!("%{index}"))), [sock.cookie]);
        assert_eq!(exact(&query, &pattern("%lo")), [0; 0]);
    }
}

fn one_link_local_address_on_two_interfaces_is_told_apart() {
    let indices = ["zone0", "zone1"].map(|name| (name, netns::add_dummy(name, &["fe80::1/64"]).unwrap()));
    let actors = [Actor::spawn(), Actor::spawn()];
    let listeners: Vec<_> = indices
        .iter()
        .zip(&actors)
        .map(|((_, index), actor)| actor.tcp_listen(format!("[fe80::1%{index}]:4711")))
        .collect();
    let query = query();
    for (((name, index), actor), listener) in indices.iter().zip(&actors).zip(&listeners) {
        let entry = told(&query, listener);
        assert_held(&entry, &[at(actor, listener)]);
        assert_eq!(interfaces(&entry)[1], Some(named(*index, name)));
        assert_eq!(exact(&query, &format!("[fe80::1%{name}]:4711")), [listener.cookie]);
    }
    let mut both = exact(&query, "[fe80::1]:4711");
    both.sort_unstable();
    let mut cookies = [listeners[0].cookie, listeners[1].cookie];
    cookies.sort_unstable();
    assert_eq!(both, cookies);

    // The same ports between the same addresses, once on each interface.
    let ends = [0, 1].map(|which| {
        let zone = indices[which].1;
        let client = actors[which]
            .tcp_connect_from(format!("[fe80::1%{zone}]:3000"), format!("[fe80::1%{zone}]:4711"));
        (client, actors[which].accept(listeners[which].fd))
    });
    for which in [0, 1] {
        let (client, server) = &ends[which];
        for sock in [client, server] {
            assert_held(&told(&query, sock), &[at(&actors[which], sock)]);
        }
        let zone = indices[which].0;
        let pattern = format!("tcp/[fe80::1%{zone}]:3000,[fe80::1%{zone}]:4711");
        assert_eq!(exact(&query, &pattern), [client.cookie]);
        let Endpoint { local, remote, .. } = told(&query, client).socket.endpoint;
        assert_eq!(recorded(&query, local, remote.unwrap()), Some(client.cookie));
    }
    let [local, remote] = [3000, 4711].map(|port| Address::new("fe80::1".parse().unwrap(), port));
    let error = query.recorded(local, remote).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:#}");
    assert_eq!(exact(&query, "tcp/[fe80::1]:3000,[fe80::1]:4711").len(), 2, "both are meant");
}

fn a_socket_bound_to_a_device_tells_it() {
    let index = netns::add_dummy("device0", &["192.0.2.1/24"]).unwrap();
    let actor = Actor::spawn();
    let on = |name: &str| SocketOptions { device: Some(name.to_owned()), ..SocketOptions::default() };
    let query = query();
    for sock in [
        actor.tcp_listen_with("0.0.0.0:4711", on("device0")),
        actor.tcp_listen_with("[::]:4712", on("device0")),
        actor.udp_bind_with("192.0.2.1:4713", on("device0")),
    ] {
        let entry = told(&query, &sock);
        assert_held(&entry, &[at(&actor, &sock)]);
        assert_eq!(interfaces(&entry), [Some(named(index, "device0")), None], "an address of no zone");
        assert_held(&owner_of(&query, &entry.socket), &[at(&actor, &sock)]);
    }
    // One port, one address, two devices.
    let other = Actor::spawn();
    let sock = other.tcp_listen_with("0.0.0.0:4711", on("lo"));
    let entry = told(&query, &sock);
    assert_held(&entry, &[at(&other, &sock)]);
    assert_eq!(interfaces(&entry)[0], Some(named(1, "lo")));
    assert_held(&owner_of(&query, &entry.socket), &[at(&other, &sock)]);
    assert_eq!(exact(&query, "0.0.0.0:4711").len(), 2);
    // What each serves is what comes by its device; to the loopback nothing comes by another.
    let cookies = |found: Snapshot| -> Vec<_> { found.iter().map(|entry| entry.socket.cookie).collect() };
    let served = |text: &str| cookies(query.who(&text.parse().unwrap()).unwrap());
    let reached = |text: &str| cookies(query.listening(&text.parse().unwrap()).unwrap());
    assert_eq!(served("127.0.0.1:4711").len(), 2);
    assert_eq!(served("127.0.0.1%lo:4711"), [sock.cookie]);
    assert_eq!(reached("127.0.0.1:4711"), [sock.cookie]);
    assert_eq!(reached("192.0.2.1:4711").len(), 2);
    assert_eq!(reached("[::1]:4712"), []);
    // One with the very address is before another by its own device alone.
    let special = actor.tcp_listen_with("127.0.0.1:4714", SocketOptions { reuseport: true, ..on("device0") });
    let reuseport = SocketOptions { reuseport: true, ..SocketOptions::default() };
    let everywhere = other.tcp_listen_with("0.0.0.0:4714", reuseport);
    let mut both = [special.cookie, everywhere.cookie];
    both.sort_unstable();
    let mut found = served("127.0.0.1:4714");
    found.sort_unstable();
    assert_eq!(found, both);
    assert_eq!(reached("127.0.0.1:4714"), [everywhere.cookie]);
    // The kernel's word.
    let _client = actor.tcp_connect("127.0.0.1:4714");
    let _server = other.accept(everywhere.fd);
}

fn a_connection_bound_to_a_device_is_found_by_its_addresses() {
    let actor = Actor::spawn();
    let on_lo = SocketOptions { device: Some("lo".to_owned()), ..SocketOptions::default() };
    let query = query();
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = actor.tcp_listen_with(address, on_lo.clone());
        let client = actor.tcp_connect(listener.addr);
        // It is bound as its listener is.
        let server = actor.accept(listener.fd);
        let (mut local, remote) = (Address::from(server.addr), Address::from(client.addr));
        let interface = query.recorded(local, remote).unwrap().unwrap().0.interface;
        assert_eq!(interface.map(|interface| interface.index()), Some(1));
        assert_eq!(recorded(&query, local, remote), Some(server.cookie));
        assert_eq!(recorded(&query, remote, local), Some(client.cookie));
        local.zone = interface;
        assert_eq!(recorded(&query, local, remote), Some(server.cookie));
        local.port = 1;
        assert_eq!(recorded(&query, local, remote), None);
    }
}
