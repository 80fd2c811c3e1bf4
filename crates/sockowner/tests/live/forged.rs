//! Answers that are not the kernel's.

use std::fs;

use rustix::io::Errno;
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, sendto, socket_with};
use sockowner::Snapshot;
use sockowner_testkit::{Actor, Sock};
use sockowner_wire::inet_diag::{Row, SOCK_DIAG_BY_FAMILY};
use sockowner_wire::netlink::push_message;

use super::ask::{everything, query, who};

tests! {
    Host nobody_but_the_kernel_tells_what_sockets_there_are;
}

/// The kernel's number of the state.
const LISTEN: u8 = 10;
const PORT: u16 = 6666;

/// The numbers of the sock_diag sockets in this network namespace.
fn readers() -> Vec<u32> {
    let table = fs::read_to_string("/proc/thread-self/net/netlink").unwrap();
    let number = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let is_diag = fields.next() == Some("4");
        fields.next().filter(|_| is_diag)?.parse().ok()
    };
    table.lines().filter_map(number).filter(|&number| number != 0).collect()
}

/// Sends each of them what looks like a row of the answers it waits for: a listener with `held`'s file.
fn forge(held: &Sock) {
    let row = Row {
        state: LISTEN,
        local: ([127, 0, 0, 1], PORT).into(),
        remote: ([0, 0, 0, 0], 0).into(),
        interface: 0,
        cookie: held.cookie + 1,
        uid: 0,
        inode: held.inode.try_into().unwrap(),
        cgroup: None,
        v6only: None,
    };
    let mut datagram = Vec::new();
    for sequence in 1..=100 {
        push_message(&mut datagram, SOCK_DIAG_BY_FAMILY, 2, sequence, &row.encode());
    }
    let sender =
        socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(SOCK_DIAG)).unwrap();
    let readers = readers();
    assert!(!readers.is_empty(), "who asks has a socket");
    for reader in readers {
        let sent = sendto(&sender, &datagram, SendFlags::empty(), &SocketAddrNetlink::new(reader, 0));
        // The kernel may refuse to deliver it. A refusal to this sender would make the test an empty one.
        assert!(matches!(sent, Ok(_) | Err(Errno::CONNREFUSED)), "{sent:?}");
    }
}

fn nobody_but_the_kernel_tells_what_sockets_there_are() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    let query = query();
    let assert_true = |told: &Snapshot, count| {
        assert_eq!(told.entries().len(), count, "{told:?}");
        assert!(told.iter().all(|entry| entry.socket.cookie == listener.cookie), "{told:?}");
    };
    // The first question has made the query's socket known.
    assert_true(&everything(&query), 1);
    forge(&listener);
    assert_true(&everything(&query), 1);
    forge(&listener);
    assert_true(&who(&query, &format!("tcp/127.0.0.1:{PORT}")), 0);
    forge(&listener);
    assert_true(&who(&query, &format!("tcp/{}", listener.addr)), 1);
}
