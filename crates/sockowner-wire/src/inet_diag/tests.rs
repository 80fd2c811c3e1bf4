use std::collections::BTreeSet;

use proptest::prelude::*;

use super::half::Op;
use super::*;

/// A listener as Linux 6.18 answers it (little-endian host): `[::]:22`, uid 0, in a cgroup.
const LISTENER: &[u8] = &[
    10, // idiag_family: AF_INET6
    10, // idiag_state: TCP_LISTEN
    0, 0, // idiag_timer, idiag_retrans
    0x00, 0x16, // idiag_sport: 22, big-endian
    0x00, 0x00, // idiag_dport
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // idiag_src
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // idiag_dst
    2, 0, 0, 0, // idiag_if
    0x01, 0x20, 0, 0, 0x07, 0, 0, 0, // idiag_cookie: low word, high word
    0, 0, 0, 0, // idiag_expires
    0, 0, 0, 0, // idiag_rqueue
    128, 0, 0, 0, // idiag_wqueue: the backlog
    0, 0, 0, 0, // idiag_uid
    0x39, 0x30, 0, 0, // idiag_inode: 12345
    5, 0, 8, 0, 0, 0, 0, 0, // INET_DIAG_SHUTDOWN: 0, padded
    5, 0, 6, 0, 0, 0, 0, 0, // INET_DIAG_TCLASS: 0, padded
    5, 0, 11, 0, 1, 0, 0, 0, // INET_DIAG_SKV6ONLY: 1, padded
    12, 0, 21, 0, 0x5c, 0x0d, 0, 0, 0, 0, 0, 0, // INET_DIAG_CGROUP_ID: 3420
    8, 0, 0xff, 0x3f, 1, 2, 3, 4, // an attribute nobody knows
];

fn listener() -> Row {
    Row {
        state: 10,
        local: "[::]:22".parse().unwrap(),
        remote: "[::]:0".parse().unwrap(),
        interface: 2,
        cookie: 0x7_0000_2001,
        uid: 0,
        inode: 12345,
        cgroup: Some(3420),
        v6only: Some(true),
    }
}

#[test]
#[cfg(target_endian = "little")]
fn a_row_of_the_kernel_is_read() {
    assert_eq!(Row::decode(LISTENER), Ok(listener()));
}

#[test]
fn a_row_cut_anywhere_is_read_up_to_an_attribute_or_refused() {
    let bytes = listener().encode();
    for len in 0..bytes.len() {
        match Row::decode(&bytes[..len]) {
            Ok(row) => {
                assert!(len >= 72, "cut at {len}");
                assert_eq!((row.local, row.inode), (listener().local, 12345));
                assert!(row.cgroup.is_none(), "the last attribute was cut at {len}");
            }
            Err(_) => assert!(len < 72 || (len - 72) % 8 != 0 || len >= 80, "cut at {len}"),
        }
    }
}

#[test]
fn a_cgroup_id_of_another_size_is_refused() {
    let mut payload = Row { cgroup: None, ..listener() }.encode();
    push_attribute(&mut payload, ATTRIBUTE_CGROUP_ID, &[1, 2, 3, 4]);
    assert_eq!(Row::decode(&payload).unwrap_err().what, "cgroup id of an inet_diag row");
}

#[test]
fn a_family_nobody_asked_for_is_refused() {
    let mut payload = listener().encode();
    payload[0] = 1;
    assert_eq!(Row::decode(&payload).unwrap_err().what, "address family");
}

#[test]
#[cfg(target_endian = "little")]
fn a_dump_request_is_what_the_kernel_reads() {
    let request = Request::Dump {
        family: AF_INET,
        protocol: IPPROTO_TCP,
        states: 1 << 10,
        local_port: 443,
        remote_port: 0,
        half: None,
    };
    let mut expected = vec![
        72,
        0,
        0,
        0, // nlmsg_len
        20,
        0, // SOCK_DIAG_BY_FAMILY
        0x01,
        0x03, // NLM_F_REQUEST | NLM_F_DUMP
        9,
        0,
        0,
        0, // nlmsg_seq
        0,
        0,
        0,
        0, // nlmsg_pid
        2,
        6,
        1 << 5,
        0, // AF_INET, IPPROTO_TCP, the extension bit, pad
        0,
        4,
        0,
        0, // idiag_states: TCPF_LISTEN
        0x01,
        0xbb,
        0,
        0, // ports
    ];
    expected.extend([0; 32]); // addresses
    expected.extend([0, 0, 0, 0]); // interface
    expected.extend([0xff; 8]); // INET_DIAG_NOCOOKIE
    assert_eq!(request.encode(9), expected);
}

#[test]
fn an_exact_udp_request_swaps_the_roles() {
    let request = Request::Exact {
        protocol: IPPROTO_UDP,
        local: "127.0.0.1:53".parse().unwrap(),
        remote: "0.0.0.0:0".parse().unwrap(),
        interface: 0,
        cookie: 5,
    };
    let datagram = request.encode(1);
    let (raw, _) = RawRequest::read_from_prefix(&datagram[netlink::HEADER_LEN..]).unwrap();
    assert_eq!((raw.id.local_port.get(), raw.id.remote_port.get()), (0, 53));
    assert_eq!(raw.id.remote[..4], [127, 0, 0, 1]);
    assert_eq!(decoded(&datagram), request);
}

fn decoded(datagram: &[u8]) -> Request {
    Request::decode(&netlink::messages(datagram).next().unwrap().unwrap()).unwrap()
}

#[test]
fn dump_requests_survive_the_wire() {
    let tables = [
        (AF_UNSPEC, IPPROTO_TCP),
        (AF_INET, IPPROTO_TCP),
        (AF_INET6, IPPROTO_UDP),
        (AF_INET, IPPROTO_MPTCP),
        (AF_INET6, IPPROTO_MPTCP),
    ];
    for (family, protocol) in tables {
        for half in [None, Some(Half::Even), Some(Half::Odd)] {
            let request =
                Request::Dump { family, protocol, states: 0x13, local_port: 1, remote_port: 2, half };
            assert_eq!(decoded(&request.encode(1)), request);
        }
    }
}

/// As `linux/inet_diag.h` has it: the protocol is too large for its field, and stands in an attribute of 32 bits.
#[test]
#[cfg(target_endian = "little")]
fn a_request_for_mptcp_is_what_the_kernel_reads() {
    let protocol = IPPROTO_MPTCP;
    let request =
        Request::Dump { family: AF_INET, protocol, states: 2, local_port: 0, remote_port: 0, half: None };
    let datagram = request.encode(1);
    assert_eq!(datagram.len(), netlink::HEADER_LEN + 56 + 8);
    // No other protocol's sockets come where the attribute is not known.
    assert_eq!(datagram[netlink::HEADER_LEN..][..2], [AF_INET, 0]);
    assert_eq!(datagram[netlink::HEADER_LEN + 56..], [8, 0, 3, 0, 6, 1, 0, 0]);
    // A number of another size asks for nothing.
    let mut cut = datagram[netlink::HEADER_LEN..].to_vec();
    cut.truncate(56);
    push_attribute(&mut cut, protocol::ATTRIBUTE, &[6, 1]);
    let message =
        netlink::Message { kind: SOCK_DIAG_BY_FAMILY, flags: FLAG_DUMP, sequence: 1, payload: &cut };
    assert!(matches!(Request::decode(&message), Ok(Request::Dump { protocol: 0, .. })));
}

/// An MPTCP connection as Linux 6.18 answers it (little-endian host).
const CONNECTION: &[u8] = &[
    2, // idiag_family: AF_INET
    1, // idiag_state: TCP_ESTABLISHED
    0, 0, // idiag_timer, idiag_retrans
    0xcb, 0x76, // idiag_sport: 52086
    0xe1, 0x7b, // idiag_dport: 57723
    127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // idiag_src
    127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // idiag_dst
    0, 0, 0, 0, // idiag_if
    0x88, 0x3a, 0xd5, 0x02, 0, 0, 0, 0, // idiag_cookie
    0, 0, 0, 0, // idiag_expires
    0, 0, 0, 0, // idiag_rqueue
    0, 0, 0, 0, // idiag_wqueue
    0, 0, 0, 0, // idiag_uid
    0xec, 0xde, 0x01, 0x05, // idiag_inode: 84008684
    5, 0, 8, 0, 0, 0, 0, 0, // INET_DIAG_SHUTDOWN: 0, padded
    12, 0, 21, 0, 1, 0, 0, 0, 0, 0, 0, 0, // INET_DIAG_CGROUP_ID: 1
];

#[test]
#[cfg(target_endian = "little")]
fn a_row_of_an_mptcp_connection_is_read() {
    let expected = Row {
        state: 1,
        local: "127.0.0.1:52086".parse().unwrap(),
        remote: "127.0.0.1:57723".parse().unwrap(),
        interface: 0,
        cookie: 0x02d5_3a88,
        uid: 0,
        inode: 84_008_684,
        cgroup: Some(1),
        v6only: None,
    };
    assert_eq!(Row::decode(CONNECTION), Ok(expected));
}

/// As the kernel runs it (`net/ipv4/inet_diag.c`, `inet_diag_bc_run`).
fn runs_to_its_end(program: &[Op], local_port: u16, remote_port: u16) -> bool {
    let mut left = isize::try_from(size_of_val(program)).unwrap();
    let mut at = 0;
    while left > 0 {
        let (op, port) = (&program[at / 4], program.get(at / 4 + 1).map_or(0, |op| op.no.get()));
        let yes = match op.code {
            Half::LOCAL_GE => local_port >= port,
            Half::REMOTE_GE => remote_port >= port,
            Half::JUMP => false,
            other => panic!("instruction {other}"),
        };
        let step = if yes { usize::from(op.yes) } else { usize::from(op.no.get()) };
        left -= isize::try_from(step).unwrap();
        at += step;
    }
    left == 0
}

/// What the kernel demands of a program (`inet_diag_bc_audit`): every jump leads to an instruction, to the end or just
/// beyond.
#[test]
fn the_program_of_a_half_is_one_that_the_kernel_takes() {
    for half in [Half::Even, Half::Odd] {
        let program = half.program();
        let mut starts = BTreeSet::from([program.len(), program.len() + 1]);
        let mut at = 0;
        while at < program.len() {
            starts.insert(at);
            at += usize::from(program[at].yes) / 4;
        }
        assert_eq!(at, program.len());
        let instructions = starts.iter().filter(|&&at| at < program.len());
        for &at in instructions {
            let to = at + usize::from(program[at].no.get()) / 4;
            assert!(to > at && starts.contains(&to), "{at} to {to}");
        }
    }
}

#[test]
fn each_socket_is_in_the_half_that_the_kernel_takes_it_for() {
    let stripes = (0..=u16::MAX).step_by(2048).flat_map(|port| [port, port + 1, port + 1000, port + 2047]);
    let ports: Vec<_> = stripes.chain([443, 60_999]).collect();
    for (local, remote) in ports.iter().flat_map(|&local| ports.iter().map(move |&remote| (local, remote))) {
        let [even, odd] = [Half::Even, Half::Odd].map(|half| {
            let takes = runs_to_its_end(&half.program(), local, remote);
            assert_eq!(takes, half.takes(local, remote), "{half:?} {local} {remote}");
            takes
        });
        assert_ne!(even, odd, "{local} {remote}");
    }
}

prop_compose! {
    fn any_row()(
        v6: bool, state: u8, local: [u8; 16], remote: [u8; 16], ports: (u16, u16), interface: u32, cookie: u64,
        uid: u32, inode: u32, cgroup: Option<u64>, v6only: Option<bool>,
    ) -> Row {
        let family = if v6 { AF_INET6 } else { AF_INET };
        Row {
            state, interface, cookie, uid, inode, cgroup, v6only,
            local: SocketAddr::new(address(family, local).unwrap(), ports.0),
            remote: SocketAddr::new(address(family, remote).unwrap(), ports.1),
        }
    }
}

proptest! {
    #[test]
    fn rows_survive_the_wire(row in any_row()) {
        prop_assert_eq!(Row::decode(&row.encode()), Ok(row));
    }

    #[test]
    fn random_bytes_never_panic(bytes: Vec<u8>, dump: bool) {
        let _ = Row::decode(&bytes);
        let flags = if dump { FLAG_DUMP } else { 0 };
        for kind in [SOCK_DIAG_BY_FAMILY, TCPDIAG_GETSOCK] {
            let _ = Request::decode(&netlink::Message { kind, flags, sequence: 1, payload: &bytes });
        }
        for message in netlink::messages(&bytes).flatten() {
            let _ = message.errno();
            let _ = Row::decode(message.payload);
        }
        let _ = attributes(&bytes).count();
    }
}
