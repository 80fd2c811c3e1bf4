//! Packets of arbitrary bytes at both ends of the recorder's socket: no panic, and what is understood can be written again.
#![cfg_attr(fuzzing, no_main)]

#[path = "../frame.rs"]
#[macro_use]
mod frame;
#[path = "../input.rs"]
mod input;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use input::Input;
use sockowner_wire::ask::{
    ANSWER_MAX, Answer, COOKIES_MAX, Component, Endpoint, Frame, Packet, Place, Process, REQUEST_MAX,
    Request, Role, Side, Socket, Status, Told, Wanted,
};

target!(run);

/// What an encoder writes of a text.
const TEXT_MAX: usize = 4096;

fn run(bytes: &[u8]) {
    let Some((mode, rest)) = bytes.split_first() else { return };
    match mode % 4 {
        0 => check(rest),
        1 => check_changed(&sockets().encode(), rest),
        2 => check_changed(&closed().encode(), rest),
        _ => check_changed(&answer(), rest),
    }
}

fn check(packet: &[u8]) {
    check_question(packet);
    check_answer(packet);
}

/// The packet, with a few bytes that are others, and some left out at its end or added there.
fn check_changed(packet: &[u8], changes: &[u8]) {
    let mut input = Input::new(changes);
    let mut changed = packet.to_vec();
    for _ in 0..input.byte() % 8 {
        let [low, high, value] = input.take();
        let at = usize::from(u16::from_le_bytes([low, high])) % packet.len();
        changed[at] = value;
    }
    match input.byte() % 4 {
        1 => changed.truncate(usize::from(u16::from_le_bytes(input.take())) % packet.len()),
        2 => changed.extend_from_slice(&input.take::<16>()),
        _ => {}
    }
    let (is_question, is_answer) = (check_question(&changed), check_answer(&changed));
    assert!(!(is_question && is_answer), "a question is an answer");
    if changed == packet {
        assert!(is_question || is_answer, "what was written is not understood");
    }
}

/// Whether it is a question.
fn check_question(packet: &[u8]) -> bool {
    let request = match Request::decode(packet) {
        Err(malformed) => {
            assert!(malformed.at <= packet.len(), "{malformed}");
            return false;
        }
        // Another version's, whatever is in it.
        Ok(Err(_)) => return false,
        Ok(Ok(request)) => request,
    };
    if let Request::Sockets(cookies) = &request {
        assert!(cookies.len() <= COOKIES_MAX, "{} cookies", cookies.len());
    }
    let again = request.encode();
    assert!(packet.len() <= REQUEST_MAX && again.len() == packet.len(), "{} bytes", packet.len());
    assert_eq!(Request::decode(&again), Ok(Ok(request)));
    true
}

/// Whether it is an answer.
fn check_answer(packet: &[u8]) -> bool {
    let answer = match Answer::decode(packet) {
        Err(malformed) => {
            assert!(malformed.at <= packet.len(), "{malformed}");
            return false;
        }
        Ok(answer) => answer,
    };
    for role in roles(&answer) {
        let (processes, components) = (answer.processes.len(), answer.components.len());
        assert!((role.process as usize) < processes, "{role:?} of {processes}");
        assert!(role.component.is_none_or(|it| (it as usize) < components), "{role:?} of {components}");
    }
    if answer.status == Status::Answered && packet.len() <= ANSWER_MAX && texts_fit(&answer) {
        let again = written(&answer);
        assert!(again.len() <= packet.len(), "{} bytes became {}", packet.len(), again.len());
        assert_eq!(Answer::decode(&again), Ok(answer));
    }
    true
}

fn roles(answer: &Answer) -> impl Iterator<Item = &Role> {
    let known = answer.sockets.iter().filter_map(|told| match told {
        Told::Known(socket) => Some(&socket.roles),
        Told::NotRecorded | Told::Withheld => None,
    });
    known.flatten().flatten()
}

/// What is longer the encoder leaves out.
fn texts_fit(answer: &Answer) -> bool {
    let of_process = |it: &Process| [it.comm.len(), it.name.len(), it.path.as_ref().map_or(0, Vec::len)];
    let mut frames = answer.components.iter().flat_map(|it| [&it.frame].into_iter().chain(&it.chain));
    let of_frame = |it: &Frame| {
        [it.name.len(), it.path.as_ref().map_or(0, Vec::len), it.build_id.as_ref().map_or(0, Vec::len)]
    };
    let fits = |lengths: [usize; 3]| lengths.into_iter().all(|length| length <= TEXT_MAX);
    answer.processes.iter().all(|process| fits(of_process(process))) && frames.all(|it| fits(of_frame(it)))
}

fn written(answer: &Answer) -> Vec<u8> {
    let mut packet = Packet::default();
    for process in &answer.processes {
        packet.process(process);
    }
    for component in &answer.components {
        packet.component(component);
    }
    for told in &answer.sockets {
        packet.socket(told);
    }
    packet.finish(answer.sees_all, answer.namespace, answer.more)
}

fn sockets() -> Request {
    Request::Sockets(vec![1, 167_787, u64::MAX])
}

fn closed() -> Request {
    let wanted = Wanted {
        protocol: 6,
        local: Side { ip: Some(Ipv4Addr::LOCALHOST.into()), port: 40112 },
        remote: Some(Side { ip: Some(Ipv6Addr::LOCALHOST.into()), port: 443 }),
    };
    Request::Closed { wanted, after: Some(Place { closed: 9 << 40, cookie: 7 }) }
}

/// An answer that has one of everything.
fn answer() -> Vec<u8> {
    let process = Process {
        pid: 30079,
        start: 5 << 40,
        users: [1000; 3],
        file: Some((2049, 4711)),
        dumpable: true,
        comm: b"curl".to_vec(),
        name: b"curl".to_vec(),
        path: Some(b"/usr/bin/curl".to_vec()),
        ..Process::default()
    };
    let frame = Frame {
        name: b"libcurl.so.4".to_vec(),
        path: Some(b"/usr/lib/libcurl.so.4".to_vec()),
        build_id: Some(vec![0xab; 20]),
        offset: 0x1_f2e0,
    };
    let component = Component {
        evidence: 1,
        has_offset: true,
        chain: vec![frame.clone(), Frame::default()],
        frame,
        ..Component::default()
    };
    let role =
        |component| Role { process: 0, component, tid: 30079, time: 1 << 60, evidence: 1, implicit: true };
    let ip: IpAddr = Ipv4Addr::LOCALHOST.into();
    let socket = Socket {
        cookie: 167_787,
        protocol: 6,
        netns: 4_026_532_177,
        created: 1 << 60,
        closed: 1 << 60,
        cgroup: 424_694,
        endpoint: Some(Endpoint { local: (ip, 40112), remote: Some((ip, 443)) }),
        roles: [Ok(role(None)), Ok(role(Some(0))), Err(0), Err(1)],
    };
    let whole = Answer {
        status: Status::Answered,
        sees_all: false,
        namespace: 4_026_531_836,
        more: Some(Place { closed: 9 << 40, cookie: 7 }),
        processes: vec![process],
        components: vec![component],
        sockets: vec![Told::NotRecorded, Told::Withheld, Told::Known(Box::new(socket))],
    };
    written(&whole)
}
