//! Users who would keep others out.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags, recv, send};
use sockowner_record::serve::Limits;
use sockowner_testkit::privileges::ORDINARY_UID;
use sockowner_testkit::{Actor, eventually};
use sockowner_wire::ask::{COOKIES_MAX, Request};

use super::asking::{OTHER_UID, Recorder, SHARED, Serving, Who, line};

tests! {
    Alone who_floods_keeps_nobody_out;
    Alone what_is_no_question_ends_the_connection;
    Alone who_asks_nothing_is_let_go;
    Scene a_flood;
    Scene garbage_is_sent;
    Scene nothing_is_asked;
}

const HOSTILE: Who = Who::User(OTHER_UID);

fn mark(name: &str) -> String {
    format!("{SHARED}/{name}")
}

/// Connections by the thousand, each with questions whose answers nobody reads, until it is told to end.
fn a_flood() {
    let question = Request::Sockets((0..COOKIES_MAX).map(|cookie| cookie as u64).collect()).encode();
    let mut held = Vec::new();
    let mut count = 0_u32;
    while !Path::new(&mark("over")).exists() {
        // Refused where too many wait.
        if let Ok(socket) = line() {
            for _ in 0..4 {
                let _ = send(&socket, &question, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
            }
            held.push(socket);
            count += 1;
        }
        if held.len() > 700 {
            held.drain(..300);
        }
        if count == 3000 {
            fs::write(mark("flooded"), "").unwrap();
        }
    }
}

fn who_floods_keeps_nobody_out() {
    let _recorder = Recorder::start();
    let serving = Serving::start();
    let alpha = Actor::builder().exe(format!("{SHARED}/alpha")).uid(ORDINARY_UID).gid(ORDINARY_UID).spawn();
    let mine = alpha.tcp_listen("127.0.0.1:0");
    let flood = thread::spawn(|| HOSTILE.run("a_flood", &[]));
    let told = || Who::User(ORDINARY_UID).sees(&[&mine])[0].contains("/alpha/call");
    for _ in 0..3 {
        assert!(told());
    }
    eventually("3000 connections", || Path::new(&mark("flooded")).exists().then_some(()));
    for _ in 0..10 {
        assert!(told());
    }
    fs::write(mark("over"), "").unwrap();
    flood.join().unwrap();
    let served = serving.end();
    assert!(served.let_go > 1000, "{served:?}");
}

/// What is told of it is that the connection ends.
fn garbage_is_sent() {
    let question = Request::Sockets(vec![1, 2, 3]).encode();
    let mut oversize = question.clone();
    oversize.resize(1 << 16, 0);
    let mut longer = question.clone();
    longer.push(0);
    let mut packets = vec![oversize, longer, vec![b'x'; 100], vec![0; 4000]];
    packets.extend((1..question.len()).map(|length| question[..length].to_vec()));
    let count = packets.len();
    for packet in packets {
        let socket = line().unwrap();
        send(&socket, &packet, SendFlags::NOSIGNAL).unwrap();
        let mut room = [0; 100];
        let answer = recv(&socket, &mut room[..], RecvFlags::empty());
        // Reset, where more was sent than was read.
        assert!(matches!(answer, Ok((0, 0)) | Err(rustix::io::Errno::CONNRESET)), "{answer:?}");
    }
    println!("{count}");
}

fn what_is_no_question_ends_the_connection() {
    let _recorder = Recorder::start();
    let serving = Serving::start();
    let alpha = Actor::spawn();
    let some = alpha.tcp_listen("127.0.0.1:0");
    let count: u64 = HOSTILE.run("garbage_is_sent", &[]).trim().parse().unwrap();
    assert!(HOSTILE.run("a_question_tells", &[some.cookie.to_string()]).contains("Withheld"));
    // One was too long to be read.
    let served = serving.end();
    assert_eq!((served.malformed, served.answers), (count - 1, 1));
}

fn nothing_is_asked() {
    let socket = line().unwrap();
    let mut room = [0; 100];
    let answer = recv(&socket, &mut room[..], RecvFlags::empty());
    assert!(matches!(answer, Ok((0, 0))), "{answer:?}");
}

fn who_asks_nothing_is_let_go() {
    let _recorder = Recorder::start();
    let serving = Serving::start_with(Limits { idle: Duration::from_millis(20), ..Limits::default() });
    HOSTILE.run("nothing_is_asked", &[]);
    assert_eq!(serving.end().let_go, 1);
}
