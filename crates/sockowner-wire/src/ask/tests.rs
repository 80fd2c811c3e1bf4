use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

fn ip() -> impl Strategy<Value = IpAddr> {
    any::<IpAddr>()
}

fn side() -> impl Strategy<Value = Side> {
    (proptest::option::of(ip()), any::<u16>()).prop_map(|(ip, port)| Side { ip, port })
}

fn place() -> impl Strategy<Value = Place> {
    (1_u64.., any::<u64>()).prop_map(|(closed, cookie)| Place { closed, cookie })
}

fn request() -> impl Strategy<Value = Request> {
    let closed = (any::<u8>(), side(), proptest::option::of(side()), proptest::option::of(place()));
    prop_oneof![
        proptest::collection::vec(any::<u64>(), 0..=COOKIES_MAX).prop_map(Request::Sockets),
        closed.prop_map(|(protocol, local, remote, after)| Request::Closed {
            wanted: Wanted { protocol, local, remote },
            after,
        }),
    ]
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..20)
}

fn process() -> impl Strategy<Value = Process> {
    let numbers = (any::<u32>(), any::<[u64; 4]>(), any::<i64>(), any::<[u32; 3]>());
    let rest =
        (any::<Option<(u64, u64)>>(), any::<[bool; 3]>(), text(), text(), proptest::option::of(text()));
    (numbers, rest).prop_map(|((pid, longs, start_time, users), (file, traits, comm, name, path))| {
        let [start, start_ticks, seen, cgroup] = longs;
        let [dumpable, deleted, kernel_thread] = traits;
        let times =
            Process { pid, start, start_ticks, start_time, seen, cgroup, users, ..Process::default() };
        Process { file, dumpable, deleted, kernel_thread, comm, name, path, ..times }
    })
}

fn frame() -> impl Strategy<Value = Frame> {
    (text(), proptest::option::of(text()), proptest::option::of(text()), any::<u64>())
        .prop_map(|(name, path, build_id, offset)| Frame { name, path, build_id, offset })
}

fn component() -> impl Strategy<Value = Component> {
    (any::<u8>(), any::<bool>(), any::<bool>(), frame(), proptest::collection::vec(frame(), 0..4)).prop_map(
        |(evidence, generated, has_offset, frame, chain)| Component {
            evidence,
            generated,
            frame,
            has_offset,
            chain,
        },
    )
}

const PROCESSES: u32 = 2;
const COMPONENTS: u32 = 1;

fn role() -> impl Strategy<Value = Result<Role, u8>> {
    let component = proptest::option::of(0..COMPONENTS);
    let known = (0..PROCESSES, component, any::<u32>(), any::<i64>(), any::<u8>(), any::<bool>());
    prop_oneof![
        any::<u8>().prop_map(Err),
        known.prop_map(|(process, component, tid, time, evidence, implicit)| Ok(Role {
            process,
            component,
            tid,
            time,
            evidence,
            implicit
        })),
    ]
}

fn told() -> impl Strategy<Value = Told> {
    let endpoint = (any::<(IpAddr, u16)>(), any::<Option<(IpAddr, u16)>>());
    let endpoint = proptest::option::of(endpoint.prop_map(|(local, remote)| Endpoint { local, remote }));
    let roles = [role(), role(), role(), role()];
    let known = (any::<[u64; 3]>(), any::<u8>(), any::<[i64; 2]>(), endpoint, roles);
    prop_oneof![
        Just(Told::NotRecorded),
        Just(Told::Withheld),
        known.prop_map(|([cookie, netns, cgroup], protocol, [created, closed], endpoint, roles)| {
            Told::Known(Box::new(Socket {
                cookie,
                protocol,
                netns,
                created,
                closed,
                cgroup,
                endpoint,
                roles,
            }))
        }),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    let processes = proptest::collection::vec(process(), PROCESSES as usize);
    let components = proptest::collection::vec(component(), COMPONENTS as usize);
    let sockets = proptest::collection::vec(told(), 0..6);
    (any::<bool>(), any::<u32>(), proptest::option::of(place()), processes, components, sockets).prop_map(
        |(sees_all, namespace, more, processes, components, sockets)| Answer {
            status: Status::Answered,
            sees_all,
            namespace,
            more,
            processes,
            components,
            sockets,
        },
    )
}

fn written(answer: &Answer) -> Vec<u8> {
    let mut packet = Packet::default();
    for (index, process) in (0..).zip(&answer.processes) {
        assert_eq!(packet.process(process), index);
    }
    for (index, component) in (0..).zip(&answer.components) {
        assert_eq!(packet.component(component), index);
    }
    answer.sockets.iter().for_each(|told| packet.socket(told));
    packet.finish(answer.sees_all, answer.namespace, answer.more)
}

proptest! {
    #[test]
    fn questions_are_read_as_they_were_written(request in request()) {
        let packet = request.encode();
        prop_assert!(packet.len() <= REQUEST_MAX);
        prop_assert_eq!(Request::decode(&packet), Ok(Ok(request)));
    }

    #[test]
    fn answers_are_read_as_they_were_written(answer in answer()) {
        prop_assert_eq!(Answer::decode(&written(&answer)), Ok(answer));
    }

    #[test]
    fn part_of_a_packet_is_malformed(request in request(), answer in answer(), cut in 1..400_usize) {
        for whole in [request.encode(), written(&answer)] {
            let part = &whole[..whole.len().saturating_sub(cut)];
            prop_assert!(Request::decode(part).is_err() && Answer::decode(part).is_err());
            let longer = [&whole[..], &[0]].concat();
            prop_assert!(Request::decode(&longer).is_err() && Answer::decode(&longer).is_err());
        }
    }

    #[test]
    fn no_bytes_are_too_odd(request in request(), answer in answer(), flips in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8)) {
        for mut packet in [request.encode(), written(&answer)] {
            for (at, byte) in &flips {
                let at = at % packet.len();
                packet[at] = *byte;
            }
            // What is understood can be written again, and has no reference to what is not there.
            if let Ok(Ok(request)) = Request::decode(&packet) {
                prop_assert_eq!(Request::decode(&request.encode()), Ok(Ok(request)));
            }
            if let Ok(answer) = Answer::decode(&packet) {
                for told in &answer.sockets {
                    let Told::Known(socket) = told else { continue };
                    for role in socket.roles.iter().flatten() {
                        prop_assert!((role.process as usize) < answer.processes.len());
                        prop_assert!(role.component.is_none_or(|it| (it as usize) < answer.components.len()));
                    }
                }
            }
        }
    }

    #[test]
    fn arbitrary_bytes_are_no_packet(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Request::decode(&bytes).is_err());
        prop_assert!(Answer::decode(&bytes).is_err());
    }
}

#[test]
fn another_version_is_told_from_garbage() {
    let mut packet = Request::Sockets(vec![7]).encode();
    packet[4] += 1;
    assert_eq!(Request::decode(&packet), Ok(Err(Version::Other)));
    packet[0] += 1;
    assert!(Request::decode(&packet).is_err());
    let mut packet = Status::OtherVersion.encode();
    packet[4] += 1;
    assert_eq!(Answer::decode(&packet).map(|answer| answer.status), Ok(Status::OtherVersion));
    let mut packet = Packet::default().finish(false, 0, None);
    packet[4] += 1;
    assert!(Answer::decode(&packet).is_err());
}

#[test]
fn a_question_has_no_more_cookies_than_it_may() {
    let longest = Request::Sockets(vec![u64::MAX; COOKIES_MAX]).encode();
    assert_eq!(longest.len(), REQUEST_MAX);
    assert!(Request::decode(&longest).is_ok());
    assert!(Request::decode(&Request::Sockets(vec![0; COOKIES_MAX + 1]).encode()).is_err());
}

#[test]
fn what_does_not_fit_is_taken_back() {
    let mut packet = Packet::default();
    let long = Process { name: vec![b'x'; 4096], path: Some(vec![b'y'; 4096]), ..Process::default() };
    let mut count = 0;
    loop {
        let mark = packet.mark();
        packet.process(&long);
        packet.socket(&Told::Withheld);
        if packet.is_too_long() {
            packet.undo(mark);
            break;
        }
        count += 1;
    }
    let packet = packet.finish(false, 0, None);
    assert!(count > 0 && packet.len() <= ANSWER_MAX);
    let answer = Answer::decode(&packet).unwrap();
    assert_eq!((answer.processes, answer.sockets), (vec![long; count], vec![Told::Withheld; count]));
}

#[test]
fn what_is_too_long_is_left_out() {
    let mut packet = Packet::default();
    let long = || vec![b'x'; 4097];
    packet.process(&Process {
        name: long(),
        path: Some(long()),
        comm: b"comm".to_vec(),
        ..Process::default()
    });
    let frame = Frame { name: long(), path: Some(long()), build_id: Some(long()), offset: 9 };
    packet.component(&Component { frame: frame.clone(), chain: vec![frame], ..Component::default() });
    let answer = Answer::decode(&packet.finish(false, 0, None)).unwrap();
    assert_eq!(answer.processes, [Process { comm: b"comm".to_vec(), ..Process::default() }]);
    let frame = Frame { offset: 9, ..Frame::default() };
    let component = Component { frame: frame.clone(), chain: vec![frame], ..Component::default() };
    assert_eq!(answer.components, [component]);
}
