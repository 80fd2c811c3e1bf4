//! What listens where the server should, and is none, or no good one.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::thread;

use rustix::fd::OwnedFd;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept, bind, listen, recv,
    send, socket_with,
};
use sockowner::os::linux::record;
use sockowner::{ErrorKind, Gap, GapReason, Pattern, Query, Record};
use sockowner_record::serve::Server;
use sockowner_testkit::privileges::{ORDINARY_UID, become_user};
use sockowner_wire::ask::{Answer, Packet, Socket, Status, Told};

use super::asking::{Recorder, SOCKET, Serving};

tests! {
    Alone a_socket_that_another_listens_at_is_refused;
    Alone a_socket_that_is_anothers_is_refused;
    Alone a_directory_that_others_can_write_is_refused;
    Alone who_does_not_answer_is_given_up;
    Alone who_hangs_up_is_given_up;
    Alone an_answer_that_is_none_is_refused;
    Alone an_answer_for_another_socket_is_refused;
    Alone another_versions_server_is_told;
    Alone who_cannot_read_what_is_recorded_says_so;
    Alone nothing_is_served_where_others_can_write;
}

fn bound() -> OwnedFd {
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
    bind(&socket, &SocketAddrUnix::new(SOCKET).unwrap()).unwrap();
    fs::set_permissions(SOCKET, fs::Permissions::from_mode(0o666)).unwrap();
    socket
}

/// Answers the first question so, and ends; `None`: hangs up. Root's, whoever this process becomes.
fn answering(answer: Option<Vec<u8>>) {
    let socket = bound();
    listen(&socket, 8).unwrap();
    thread::spawn(move || {
        loop {
            let client = accept(&socket).unwrap();
            let mut room = vec![0; 1 << 16];
            recv(&client, &mut room[..], RecvFlags::empty()).unwrap();
            if let Some(answer) = &answer {
                send(&client, answer, SendFlags::NOSIGNAL).unwrap();
            }
        }
    });
}

/// What an ordinary user is told of a socket of his own then, and of closed ones.
fn told() -> (Record, Vec<Gap>, Result<Option<record::Closed>, sockowner::Error>) {
    become_user(ORDINARY_UID, ORDINARY_UID).unwrap();
    let own = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let pattern = Pattern::port(own.local_addr().unwrap().port());
    let found = Query::new().unwrap().who(&pattern).unwrap();
    let [entry] = found.entries() else { panic!("{found:?}") };
    assert!(entry.attribution.primary_owner().is_some());
    let gaps = found.gaps().iter().filter(|gap| gap.source == "record").cloned().collect();
    (entry.record.clone(), gaps, record::closed(&pattern))
}

#[track_caller]
fn assert_given_up(reason: GapReason, kind: ErrorKind, why: &str) {
    let (record, gaps, closed) = told();
    assert_eq!(record, Record::NotPermitted);
    let [gap] = &gaps[..] else { panic!("{gaps:?}") };
    assert_eq!((gap.reason, gap.count), (reason, 1));
    assert!(gap.object.starts_with(SOCKET) && gap.object.contains(why), "{gap}");
    let error = closed.unwrap_err();
    assert_eq!(error.kind(), kind, "{error:#}");
    assert!(format!("{error:#}").contains(why), "{error:#}");
}

fn a_socket_that_another_listens_at_is_refused() {
    std::mem::forget(Recorder::start());
    let socket = bound();
    become_user(ORDINARY_UID, ORDINARY_UID).unwrap();
    // The file is root's, and what listens is not.
    listen(&socket, 8).unwrap();
    let asked = thread::spawn(move || {
        let client = accept(&socket).unwrap();
        recv(&client, &mut [0; 100][..], RecvFlags::empty()).map(|(length, _)| length)
    });
    let own = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let pattern = Pattern::port(own.local_addr().unwrap().port());
    let found = Query::new().unwrap().who(&pattern).unwrap();
    let gap = found.gaps().iter().find(|gap| gap.source == "record").unwrap();
    assert_eq!(gap.reason, GapReason::Malformed);
    assert!(gap.object.contains("not root's"), "{gap}");
    assert_eq!(found.entries()[0].record, Record::NotPermitted);
    // It was asked nothing.
    assert!(matches!(asked.join().unwrap(), Ok(0) | Err(rustix::io::Errno::CONNRESET)));
}

fn a_socket_that_is_anothers_is_refused() {
    std::mem::forget(Recorder::start());
    std::mem::forget(Serving::start());
    chown(SOCKET, Some(ORDINARY_UID), None).unwrap();
    assert_given_up(GapReason::Malformed, ErrorKind::Malformed, "not root's");
}

fn a_directory_that_others_can_write_is_refused() {
    std::mem::forget(Recorder::start());
    std::mem::forget(Serving::start());
    fs::set_permissions("/run/sockowner", fs::Permissions::from_mode(0o775)).unwrap();
    assert_given_up(GapReason::Malformed, ErrorKind::Malformed, "not root's");
}

fn who_does_not_answer_is_given_up() {
    std::mem::forget(Recorder::start());
    let socket = bound();
    listen(&socket, 8).unwrap();
    assert_given_up(GapReason::Interrupted, ErrorKind::System, "no answer in time");
}

fn who_hangs_up_is_given_up() {
    std::mem::forget(Recorder::start());
    answering(None);
    assert_given_up(GapReason::Gone, ErrorKind::System, "ended the connection");
}

fn an_answer_that_is_none_is_refused() {
    std::mem::forget(Recorder::start());
    answering(Some(vec![b'x'; 100]));
    assert_given_up(GapReason::Malformed, ErrorKind::Malformed, "malformed answer");
}

fn an_answer_for_another_socket_is_refused() {
    std::mem::forget(Recorder::start());
    let mut packet = Packet::default();
    let stranger = Socket {
        cookie: 1,
        protocol: 6,
        netns: 1,
        created: 0,
        closed: 0,
        cgroup: 0,
        endpoint: None,
        roles: [Err(0); 4],
    };
    packet.socket(&Told::Known(Box::new(stranger)));
    let packet = packet.finish(false, 0, None);
    assert!(Answer::decode(&packet).is_ok());
    answering(Some(packet));
    let (record, gaps, _) = told();
    assert_eq!((record, gaps[0].reason), (Record::NotPermitted, GapReason::Malformed));
}

fn another_versions_server_is_told() {
    std::mem::forget(Recorder::start());
    answering(Some(Status::OtherVersion.encode()));
    assert_given_up(GapReason::Unsupported, ErrorKind::Unsupported, "another version's");
}

fn who_cannot_read_what_is_recorded_says_so() {
    std::mem::forget(Recorder::start());
    answering(Some(Status::Failed.encode()));
    assert_given_up(GapReason::Gone, ErrorKind::System, "could not read");
}

fn nothing_is_served_where_others_can_write() {
    std::mem::forget(Recorder::start());
    fs::set_permissions("/run/sockowner", fs::Permissions::from_mode(0o777)).unwrap();
    let error = Server::bind(SOCKET.as_ref()).unwrap_err();
    assert!(error.to_string().contains("examine its path"), "{error}");
    fs::set_permissions("/run/sockowner", fs::Permissions::from_mode(0o755)).unwrap();
    // No link is followed.
    fs::rename("/run/sockowner", "/run/elsewhere").unwrap();
    std::os::unix::fs::symlink("/run/elsewhere", "/run/sockowner").unwrap();
    assert!(Server::bind(SOCKET.as_ref()).is_err());
}
