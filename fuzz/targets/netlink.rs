//! Datagrams of arbitrary bytes from sock_diag: no panic, no byte read twice or from elsewhere, and a row that is understood
//! can be written again.
#![cfg_attr(fuzzing, no_main)]

#[path = "../frame.rs"]
#[macro_use]
mod frame;
#[path = "../input.rs"]
mod input;

use std::net::{IpAddr, SocketAddr};

use input::Input;
use sockowner_wire::inet_diag::{
    AF_INET, AF_INET6, AF_UNSPEC, Half, IPPROTO_MPTCP, IPPROTO_TCP, IPPROTO_UDP, Request, Row,
    SOCK_DIAG_BY_FAMILY,
};
use sockowner_wire::netlink::{HEADER_LEN, Message, attributes, messages, push_attribute, push_message};

target!(run);

fn run(bytes: &[u8]) {
    let Some((mode, rest)) = bytes.split_first() else { return };
    match mode % 4 {
        0 => check(rest),
        // A datagram of one message that is whole.
        1 => {
            let mut datagram = Vec::new();
            push_message(&mut datagram, SOCK_DIAG_BY_FAMILY, 2, 7, rest);
            let whole = messages(&datagram).next().expect("there is one").expect("it is whole");
            assert_eq!(whole, Message { kind: SOCK_DIAG_BY_FAMILY, flags: 2, sequence: 7, payload: rest });
            check(&datagram);
        }
        2 => check_attributes(rest),
        _ => check_written(rest),
    }
}

fn check(datagram: &[u8]) {
    let (mut taken, mut failed) = (0, false);
    for message in messages(datagram) {
        assert!(!failed, "something follows what is malformed");
        match message {
            Ok(message) => {
                taken += HEADER_LEN + message.payload.len();
                assert!(is_part(message.payload, datagram));
                check_message(&message);
            }
            Err(malformed) => {
                assert!(malformed.at <= datagram.len(), "{malformed}");
                failed = true;
            }
        }
    }
    assert!(taken <= datagram.len(), "{taken} bytes of {}", datagram.len());
}

fn check_message(message: &Message<'_>) {
    assert_eq!(message.errno().is_ok(), message.payload.len() >= 4);
    check_attributes(message.payload);
    if let Ok(row) = Row::decode(message.payload) {
        assert_eq!(row.local.is_ipv4(), row.remote.is_ipv4(), "{row:?}");
        assert_eq!(Row::decode(&row.encode()), Ok(plain(row)));
    }
    if let Ok(request) = Request::decode(message) {
        check_request(request);
    }
}

fn check_attributes(bytes: &[u8]) {
    let mut taken = 0;
    for attribute in attributes(bytes) {
        match attribute {
            Ok(attribute) => {
                taken += 4 + attribute.value.len();
                assert!(is_part(attribute.value, bytes) && attribute.kind <= 0x3fff, "{attribute:?}");
            }
            Err(malformed) => assert!(malformed.at <= bytes.len(), "{malformed}"),
        }
    }
    assert!(taken <= bytes.len(), "{taken} bytes of {}", bytes.len());
}

/// What is written is read, whatever other attributes stand behind it.
fn check_written(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let v6 = input.byte() % 2 == 1;
    let mut side = || {
        let (v6_octets, port) = (input.take::<16>(), u16::from_ne_bytes(input.take()));
        let [a, b, c, d, ..] = v6_octets;
        let ip = if v6 { IpAddr::from(v6_octets) } else { IpAddr::from([a, b, c, d]) };
        SocketAddr::new(ip, port)
    };
    let (local, remote) = (side(), side());
    let row = Row {
        state: input.byte(),
        local,
        remote,
        interface: u32::from_ne_bytes(input.take()),
        cookie: u64::from_ne_bytes(input.take()),
        uid: u32::from_ne_bytes(input.take()),
        inode: u32::from_ne_bytes(input.take()),
        cgroup: (input.byte() % 2 == 1).then(|| u64::from_ne_bytes(input.take())),
        v6only: (input.byte() % 2 == 1).then(|| input.byte() % 2 == 1),
    };
    let mut payload = row.encode();
    for _ in 0..input.byte() % 4 {
        // Of kinds that no row has.
        push_attribute(&mut payload, 0x1000 | u16::from(input.byte()), &input.take::<7>());
    }
    assert_eq!(Row::decode(&payload), Ok(plain(row)));
    let half = [None, Some(Half::Even), Some(Half::Odd)][usize::from(input.byte() % 3)];
    let protocol = [IPPROTO_TCP, IPPROTO_UDP, IPPROTO_MPTCP][usize::from(input.byte() % 3)];
    check_request(Request::Dump {
        family: [AF_INET, AF_INET6, AF_UNSPEC][usize::from(input.byte() % 3)],
        protocol,
        states: u32::from_ne_bytes(input.take()),
        local_port: local.port(),
        remote_port: remote.port(),
        half,
    });
    let (interface, cookie) = (row.interface, row.cookie);
    check_request(Request::Exact { protocol, local, remote, interface, cookie });
}

fn check_request(request: Request) {
    let datagram = request.encode(9);
    let message = messages(&datagram).next().expect("there is one").expect("it is whole");
    let again = Request::decode(&message).expect("it was written");
    // A request is written in one of several ways; what it means stays.
    assert_eq!(again.encode(9), datagram, "{request:?} became {again:?}");
}

/// A row in the form in which rows are read: addresses without scope and flow.
fn plain(row: Row) -> Row {
    let plain = |address: SocketAddr| SocketAddr::new(address.ip(), address.port());
    Row { local: plain(row.local), remote: plain(row.remote), ..row }
}

fn is_part(part: &[u8], whole: &[u8]) -> bool {
    part.is_empty() || whole.as_ptr_range().contains(&part.as_ptr())
}
