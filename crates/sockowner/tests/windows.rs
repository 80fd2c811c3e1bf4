//! The library against the real system: Windows, or Wine.
#![cfg(windows)]

use std::net::{TcpListener, UdpSocket};

use sockowner::{Filter, Identity, Module, Pattern, Query, State, module_of};

#[test]
fn own_sockets_are_listed() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("[::1]:0").unwrap();
    let query = Query::new().unwrap();
    let snapshot = query.snapshot(&Filter::new()).unwrap();
    for (address, state) in
        [(tcp.local_addr().unwrap(), State::LISTEN), (udp.local_addr().unwrap(), State::UNCONNECTED)]
    {
        let own = snapshot.iter().find(|entry| entry.socket.endpoint.local == address.into());
        assert_eq!(own.unwrap().socket.endpoint.state, state, "{:?}", snapshot.gaps());
    }
    let port: Pattern = format!(":{}", tcp.local_addr().unwrap().port()).parse().unwrap();
    assert_eq!(query.who(&port).unwrap().entries().len(), 1);
}

#[test]
fn the_owner_of_an_own_socket_is_this_process_with_its_user() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let snapshot = Query::new().unwrap().snapshot(&Filter::new().listening()).unwrap();
    let local = tcp.local_addr().unwrap().into();
    let entry = snapshot.iter().find(|entry| entry.socket.endpoint.local == local).unwrap();
    let (process, _) = entry.attribution.primary_owner().unwrap();
    assert_eq!(process.pid, std::process::id());
    let executable = process.executable.as_ref().unwrap();
    assert_eq!(executable.path, std::env::current_exe().unwrap());
    let (user, name) = (process.user.as_deref().unwrap(), std::env::var("USERNAME").unwrap());
    assert_eq!(user.rsplit('\\').next(), Some(&*name), "{user}");
    let by_user = Query::new().unwrap().snapshot(&Filter::new().user(name)).unwrap();
    assert!(by_user.iter().any(|entry| entry.socket.endpoint.local == local));
    assert_eq!((&entry.service, &process.service), (&None, &None));
}

#[test]
fn this_process_is_its_executable() {
    let module = module_of(&Identity::of_pid(std::process::id())).unwrap();
    assert_eq!(module, Module::Process(std::env::current_exe().unwrap()));
}
