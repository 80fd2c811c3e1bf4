//! Who holds which socket.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};

use socket2::{Domain, Socket, Type};
use sockowner::{Evidence, Protocol, Reason, State};

use super::child::Puppet;
use super::{pids, pids_of, rows, snapshot};

const ANY_PORT: &str = "127.0.0.1:0";

pub(super) fn a_listener_is_its_process() {
    let mut server = Puppet::new();
    let local = server.address("listen 127.0.0.1:0");
    let any = server.address("listen 0.0.0.0:0");
    let own = TcpListener::bind(ANY_PORT).unwrap();
    let told = snapshot();
    assert_eq!(pids(&told, Protocol::Tcp, local, None), [server.pid()], "{:?}", told.gaps());
    assert_eq!(pids(&told, Protocol::Tcp, any, None), [server.pid()]);
    assert_eq!(pids(&told, Protocol::Tcp, own.local_addr().unwrap(), None), [std::process::id()]);
    let row = rows(&told, Protocol::Tcp, local, None)[0];
    let (owner, evidence) = row.attribution.primary_owner().unwrap();
    assert_eq!(evidence, Evidence::Holder);
    let name = std::env::current_exe().unwrap();
    assert_eq!(Some(owner.name.as_os_str()), name.file_name());
}

pub(super) fn both_ends_of_a_connection() {
    let (mut server, mut client) = (Puppet::new(), Puppet::new());
    let local = server.address("listen 127.0.0.1:0");
    let peer = client.address(&format!("connect {local}"));
    assert_eq!(server.address("accept"), peer);
    let told = snapshot();
    assert_eq!(pids(&told, Protocol::Tcp, local, Some(peer)), [server.pid()]);
    assert_eq!(pids(&told, Protocol::Tcp, peer, Some(local)), [client.pid()]);
}

/// The listener is this process's, the accepted socket another one's alone: it inherited that, and it is closed here.
pub(super) fn an_accepted_socket_is_not_the_listener() {
    let listener = TcpListener::bind(ANY_PORT).unwrap();
    let local = listener.local_addr().unwrap();
    let client = TcpStream::connect(local).unwrap();
    let peer = client.local_addr().unwrap();
    let accepted = Socket::from(listener.accept().unwrap().0);
    accepted.set_no_inherit(false).unwrap();
    let worker = Puppet::new();
    drop(accepted);
    let told = snapshot();
    assert_eq!(pids(&told, Protocol::Tcp, local, None), [std::process::id()]);
    assert_eq!(pids(&told, Protocol::Tcp, local, Some(peer)), [worker.pid()]);
    assert_eq!(pids(&told, Protocol::Tcp, peer, Some(local)), [std::process::id()]);
}

pub(super) fn what_waits_for_accept_is_nobodys() {
    let listener = TcpListener::bind(ANY_PORT).unwrap();
    let local = listener.local_addr().unwrap();
    let client = TcpStream::connect(local).unwrap();
    let told = snapshot();
    let waiting = rows(&told, Protocol::Tcp, local, Some(client.local_addr().unwrap()));
    assert_eq!(pids_of(waiting[0]), []);
    assert_eq!(waiting[0].attribution.primary_owner(), None);
}

pub(super) fn a_shared_port_has_each_its_own_holder() {
    let (mut one, mut other) = (Puppet::new(), Puppet::new());
    let local = one.address("datagrams 127.0.0.1:0 -");
    assert_eq!(other.address(&format!("datagrams {local} -")), local);
    let told = snapshot();
    let rows = rows(&told, Protocol::Udp, local, None);
    let mut found: Vec<_> = rows.iter().map(|row| pids_of(row)).collect();
    found.sort();
    let mut expected = [vec![one.pid()], vec![other.pid()]];
    expected.sort();
    assert_eq!(found, expected, "{:?}", told.gaps());
}

pub(super) fn an_inherited_socket_has_both_holders() {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    listener.listen(4).unwrap();
    listener.set_no_inherit(false).unwrap();
    let local = listener.local_addr().unwrap().as_socket().unwrap();
    let mut child = Puppet::new();
    let told = snapshot();
    let mut both = [std::process::id(), child.pid()];
    both.sort_unstable();
    assert_eq!(pids(&told, Protocol::Tcp, local, None), both);
    let (owner, evidence) = rows(&told, Protocol::Tcp, local, None)[0].attribution.primary_owner().unwrap();
    assert_eq!((owner.pid, evidence), (std::process::id(), Evidence::EarliestHolder));
    // Who uses it makes no difference.
    drop(listener);
    let told = snapshot();
    assert_eq!(pids(&told, Protocol::Tcp, local, None), [child.pid()]);
    child.tell("are you still there");
}

pub(super) fn datagrams_connected_and_not() {
    let mut puppet = Puppet::new();
    let open = puppet.address("datagrams 127.0.0.1:0 -");
    let any = puppet.address("datagrams 0.0.0.0:0 -");
    let connected = puppet.address(&format!("datagrams 127.0.0.1:0 {open}"));
    let told = snapshot();
    for local in [open, any, connected] {
        assert_eq!(pids(&told, Protocol::Udp, local, None), [puppet.pid()], "{local}");
    }
}

/// Of a socket that was used the rows do tell a pid: of any process that has it, not of who bound it.
pub(super) fn who_used_a_socket_is_one_of_its_holders() {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket.set_no_inherit(false).unwrap();
    let child = Puppet::new();
    let local = socket.local_addr().unwrap();
    socket.send_to(b"to myself", &local).unwrap();
    let told = snapshot();
    let local = local.as_socket().unwrap();
    let mut both = [std::process::id(), child.pid()];
    both.sort_unstable();
    assert_eq!(pids(&told, Protocol::Udp, local, None), both);
    let holders = rows(&told, Protocol::Udp, local, None)[0].attribution.holders();
    assert!(holders.iter().all(|holder| holder.fd > 0), "{holders:?}");
}

pub(super) fn both_families() {
    let (mut server, mut client) = (Puppet::new(), Puppet::new());
    let local = server.address("listen [::1]:0");
    let peer = client.address(&format!("connect {local}"));
    server.tell("accept");
    let datagrams = client.address("datagrams [::]:0 -");
    // One socket for both families: a connection by IPv4 is in the table of IPv6.
    let dual = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
    dual.set_only_v6(false).unwrap();
    dual.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into()).unwrap();
    dual.listen(4).unwrap();
    let dual_local = dual.local_addr().unwrap().as_socket().unwrap();
    let by_v4 = client.address(&format!("connect 127.0.0.1:{}", dual_local.port()));
    let (_accepted, mapped) = dual.accept().unwrap();
    let mapped = mapped.as_socket().unwrap();
    let mapped_local = SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), dual_local.port()));
    let told = snapshot();
    let own = std::process::id();
    assert_eq!(pids(&told, Protocol::Tcp, local, None), [server.pid()]);
    assert_eq!(pids(&told, Protocol::Tcp, local, Some(peer)), [server.pid()]);
    assert_eq!(pids(&told, Protocol::Tcp, peer, Some(local)), [client.pid()]);
    assert_eq!(pids(&told, Protocol::Udp, datagrams, None), [client.pid()]);
    assert_eq!(pids(&told, Protocol::Tcp, dual_local, None), [own]);
    assert_eq!(pids(&told, Protocol::Tcp, mapped_local, Some(mapped)), [own]);
    let to_v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, dual_local.port()));
    assert_eq!(pids(&told, Protocol::Tcp, by_v4, Some(to_v4)), [client.pid()]);
}

/// Two sockets may have the same address as long as only one of them listens.
pub(super) fn an_address_alone_makes_no_listener() {
    let reusing = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket
    };
    let bound = reusing();
    bound.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    bound.set_no_inherit(false).unwrap();
    let local = bound.local_addr().unwrap();
    let with_address = Puppet::new();
    let listener = reusing();
    listener.bind(&local).unwrap();
    listener.listen(4).unwrap();
    let told = snapshot();
    let found = pids(&told, Protocol::Tcp, local.as_socket().unwrap(), None);
    assert_eq!(found, [std::process::id()], "not {}", with_address.pid());
}

/// Of sockets that are not connected yet Wine tells no peer; and no bridge says here that they are no native program's.
pub(super) fn who_waits_to_be_connected_is_not_guessed() {
    // It has room for one or two that nobody accepts: the others stay where they are.
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let server = listener.local_addr().unwrap();
    let connecting = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _ = socket.connect(&server);
        socket
    };
    let clients: Vec<_> = (0..8).map(|_| connecting()).collect();
    let told = snapshot();
    let server = server.as_socket().unwrap();
    let mut waiting = 0;
    for client in &clients {
        let local = client.local_addr().unwrap().as_socket().unwrap();
        let row = rows(&told, Protocol::Tcp, local, Some(server))[0];
        if row.socket.endpoint.state == State::SYN_SENT {
            assert_eq!((pids_of(row), row.attribution.reason()), (vec![], Some(Reason::NotPermitted)));
            waiting += 1;
        } else {
            assert_eq!(pids_of(row), [std::process::id()], "{}", row.socket.endpoint);
        }
    }
    assert!(waiting > 0, "all were connected");
    let of_one_name = told.gaps().iter().find(|gap| gap.object == "sockets of one name");
    assert_eq!(of_one_name.map(|gap| gap.count), Some(waiting));
}

pub(super) fn who_is_gone_is_not_named() {
    let mut server = Puppet::new();
    let local = server.address("listen 127.0.0.1:0");
    let peer = TcpStream::connect(local).unwrap();
    server.tell("accept");
    server.tell("close");
    let told = snapshot();
    assert_eq!(rows(&told, Protocol::Tcp, local, None).len(), 0);
    // What is left of its end of the connection: closed on one side, and nobody's.
    for row in rows(&told, Protocol::Tcp, local, Some(peer.local_addr().unwrap())) {
        assert_eq!(pids_of(row), []);
        let reason = row.attribution.reason();
        assert!(matches!(reason, Some(Reason::NoHolder | Reason::NoVisibleHolder)), "{reason:?}");
    }
}
