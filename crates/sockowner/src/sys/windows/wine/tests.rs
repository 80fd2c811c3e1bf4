//! The walk and its answers over a Wine that changes and fails.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;

use super::door::{Question, WineDoor};
use super::fake::{FakeProcess, FakeWine, Object, SELF, World, address, connected, listener, socket, udp};
use super::holders::{Answer, Held, Holders};
use super::told::Told;
use super::walk::look;
use crate::sys::windows::door::ACCESS_DENIED;
use crate::sys::windows::process_list::Listed;
use crate::{Address, Endpoint, GapReason, Interface, Protocol, Socket, State};

fn process(created: u64, handles: impl IntoIterator<Item = (u32, Object)>) -> FakeProcess {
    FakeProcess { created, handles: handles.into_iter().collect(), ..FakeProcess::default() }
}

/// The process that looks, with its samples.
fn own() -> FakeProcess {
    process(500, [(0x10, socket(1, listener(65001))), (0x14, socket(2, udp(65002)))])
}

/// A server with a listener and an accepted connection, its client, and a child of the server that has the listener too.
fn world() -> World {
    let shared = socket(10, listener(80));
    World::from([
        (SELF, own()),
        (40, process(100, [(4, shared.clone()), (8, socket(11, connected(80, 5000))), (12, Object::Device)])),
        (44, process(200, [(4, socket(12, connected(5000, 80))), (8, Object::Pipe)])),
        (48, process(300, [(20, shared), (24, socket(13, udp(53)))])),
    ])
}

fn row(told: Told) -> Socket {
    let state = match told.protocol {
        Protocol::Tcp if told.listens => State::LISTEN,
        Protocol::Tcp => State::ESTABLISHED,
        Protocol::Udp | Protocol::Mptcp => State::UNCONNECTED,
    };
    let peer = told.peer.filter(|_| told.protocol == Protocol::Tcp);
    row_of(Endpoint::new(told.protocol, state, told.local, peer))
}

pub(super) fn row_of(endpoint: Endpoint) -> Socket {
    Socket {
        endpoint,
        interface: None,
        netns: None,
        inode: 0,
        cookie: 0,
        uid: None,
        cgroup: None,
        v6only: None,
        is_subflow: false,
        told: crate::sys::Told::default(),
    }
}

fn answers<'a>(holders: &'a Holders, rows: &[Socket]) -> Vec<Answer<'a>> {
    holders.answers(&rows.iter().collect::<Vec<_>>())
}

/// Pids and handles of an answer.
fn who(answer: Answer<'_>) -> Vec<(u32, u32)> {
    match answer {
        Answer::Held(held) => held.iter().map(|held| (held.pid, held.handle)).collect(),
        Answer::Nobody | Answer::Unclear => Vec::new(),
    }
}

#[test]
fn each_socket_has_all_of_its_holders_and_no_others() {
    let door = FakeWine::new(world());
    let holders = look(&door).unwrap();
    let rows =
        [listener(80), connected(80, 5000), connected(5000, 80), udp(53), listener(81), connected(80, 5001)];
    let answers = answers(&holders, &rows.map(row));
    let who: Vec<_> = answers.iter().map(|&answer| who(answer)).collect();
    assert_eq!(who, [vec![(40, 4), (48, 20)], vec![(40, 8)], vec![(44, 4)], vec![(48, 24)], vec![], vec![]]);
    assert_eq!(answers[4..], [Answer::Nobody, Answer::Nobody]);
    assert_eq!((holders.gaps.len(), door.open.get()), (0, 0));
}

#[test]
fn a_connection_that_waits_for_accept_is_not_its_listeners() {
    let holders = look(&FakeWine::new(world())).unwrap();
    assert_eq!(answers(&holders, &[row(connected(80, 6000))]), [Answer::Nobody]);
    let told = listener(80);
    for state in [State::TIME_WAIT, State::SYN_RECV] {
        let row = row_of(Endpoint::new(Protocol::Tcp, state, told.local, Some(address(5000))));
        assert_eq!(answers(&holders, &[row]), [Answer::Nobody]);
    }
}

#[test]
fn a_socket_that_only_has_an_address_is_not_the_listener_there() {
    let mut world = world();
    let bound = Told { listens: false, ..listener(80) };
    world.insert(60, process(50, [(4, socket(20, bound))]));
    let holders = look(&FakeWine::new(world)).unwrap();
    assert_eq!(who(answers(&holders, &[row(listener(80))])[0]), [(40, 4), (48, 20)]);
}

#[test]
fn sockets_that_share_a_name_are_told_apart() {
    let mut world = world();
    world.insert(60, process(50, [(4, socket(20, udp(53))), (8, socket(20, udp(53)))]));
    let holders = look(&FakeWine::new(world.clone())).unwrap();
    let two = [row(udp(53)), row(udp(53))];
    let mut told: Vec<_> = answers(&holders, &two).into_iter().map(who).collect();
    told.sort();
    assert_eq!(told, [vec![(48, 24)], vec![(60, 4), (60, 8)]]);
    assert_eq!(answers(&holders, &two[..1]), [Answer::Unclear], "which of the two it is nobody knows");
    let three = [row(udp(53)), row(udp(53)), row(udp(53))];
    let told = answers(&holders, &three);
    assert_eq!(told.iter().filter(|&&answer| answer == Answer::Nobody).count(), 1, "a native program's");

    let cannot_compare = FakeWine { compares: false, ..FakeWine::new(world) };
    let holders = look(&cannot_compare).unwrap();
    assert_eq!(answers(&holders, &two), [Answer::Unclear; 2]);
    assert_eq!(who(answers(&holders, &[row(listener(80))])[0]), [(40, 4), (48, 20)]);
}

#[test]
fn the_same_address_in_two_zones_is_in_doubt() {
    let local = |zone: u32| Address {
        zone: (zone != 0).then(|| Interface::new(zone, None)),
        ..Address::new(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1).into(), 53)
    };
    let told = |zone| Told { protocol: Protocol::Udp, local: local(zone), peer: None, listens: false };
    let held =
        |zone, pid, object| Held { told: told(zone), pid, created: 1, handle: 4, object: Some(object) };
    let one = Holders::new(vec![held(2, 40, 0)], Vec::new());
    for zone in [0, 2, 0x2000] {
        assert_eq!(
            who(answers(&one, &[row(told(zone))])[0]),
            [(40, 4)],
            "rows tell no zone, or odd ones: {zone}"
        );
    }
    assert_eq!(answers(&one, &[row(told(0)), row(told(0))]), [Answer::Unclear; 2]);
    let two = Holders::new(vec![held(2, 40, 0), held(3, 44, 1)], Vec::new());
    assert_eq!(answers(&two, &[row(told(2)), row(told(3))]), [Answer::Unclear; 2]);
}

#[test]
fn mapped_and_wildcard_addresses_are_the_rows_own() {
    let mapped = |port| Address::new(std::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(), port);
    let any = Address::new(Ipv6Addr::UNSPECIFIED.into(), 80);
    let listening = Told { local: any, ..listener(80) };
    let accepted = Told { local: mapped(80), peer: Some(mapped(5000)), listens: false, ..listening };
    let server = process(100, [(4, socket(10, listening)), (8, socket(11, accepted))]);
    let holders = look(&FakeWine::new(World::from([(SELF, own()), (40, server)]))).unwrap();
    let rows = [listening, accepted, connected(80, 5000), listener(80)].map(row);
    let who: Vec<_> = answers(&holders, &rows).into_iter().map(who).collect();
    assert_eq!(who, [vec![(40, 4)], vec![(40, 8)], vec![], vec![]]);
}

#[test]
fn who_looks_waits_for_his_turn() {
    /// What WaitForSingleObject gives where the time is over.
    const TIMEOUT: i32 = 258;
    let door = FakeWine { fail: Some((0, TIMEOUT)), ..FakeWine::new(world()) };
    assert_eq!(look(&door).unwrap_err().raw_os_error(), Some(TIMEOUT));
    assert_eq!((door.calls.get(), door.open.get()), (1, 0), "nothing else was asked");
}

#[test]
fn what_is_closed_while_it_is_looked_at_is_no_gap() {
    let close = |world: &mut World| {
        world.get_mut(&48).unwrap().handles.remove(&20);
    };
    for call in 0.. {
        let door = FakeWine { change: Some((call, Box::new(close))), ..FakeWine::new(world()) };
        assert_eq!(look(&door).unwrap().gaps, [], "before call {call}");
        if door.calls.get() <= call {
            break;
        }
    }
}

#[test]
fn however_empty_a_table_is_its_last_handle_is_found() {
    let mut world = world();
    world.insert(60, process(50, [(0x8_0000, socket(20, udp(54)))]));
    let holders = look(&FakeWine::new(world)).unwrap();
    assert_eq!(who(answers(&holders, &[row(udp(54))])[0]), [(60, 0x8_0000)]);
}

#[test]
fn what_cannot_be_looked_into_is_a_gap() {
    let mut world = world();
    world.get_mut(&44).unwrap().refused = true;
    world.get_mut(&48).unwrap().handles.insert(28, Object::Odd);
    world.insert(52, FakeProcess { counted: Some(u32::MAX), ..process(400, []) });
    let holders = look(&FakeWine::new(world)).unwrap();
    let gaps: Vec<_> = holders.gaps.iter().map(|gap| (gap.reason, gap.count)).collect();
    let malformed = (GapReason::Malformed, 1);
    assert_eq!(gaps, [(GapReason::NotPermitted, 1), malformed, malformed]);
    assert_eq!(answers(&holders, &[row(connected(5000, 80))]), [Answer::Nobody]);
}

#[test]
fn a_wine_that_tells_otherwise_is_asked_no_further() {
    let listens_not = Told { listens: false, ..listener(65001) };
    // The last: how many handles there are, not how many there is room for.
    let wrong = [
        (socket(1, listens_not), None),
        (socket(1, udp(65001)), None),
        (socket(1, listener(65001)), Some(2)),
    ];
    for (number, (object, counted)) in wrong.into_iter().enumerate() {
        let mut world = world();
        let own = world.get_mut(&SELF).unwrap();
        own.handles.insert(0x10, object);
        own.counted = counted;
        let door = Misleading(FakeWine::new(world));
        let error = look(&door).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Unsupported, "{number}: {error}");
        assert_eq!(door.0.open.get(), 0);
    }
}

/// Its samples are what they should be, whatever the handles stand for.
#[derive(Debug)]
struct Misleading(FakeWine);

impl WineDoor for Misleading {
    type Process = <FakeWine as WineDoor>::Process;
    type Duplicate = <FakeWine as WineDoor>::Duplicate;
    type Turn = <FakeWine as WineDoor>::Turn;
    type Socket = ();

    fn own_pid(&self) -> u32 {
        self.0.own_pid()
    }
    fn turn(&self) -> std::io::Result<Self::Turn> {
        self.0.turn()
    }
    fn processes(&self) -> std::io::Result<(Vec<Listed>, u64)> {
        self.0.processes()
    }
    fn open_holder(&self, pid: u32) -> std::io::Result<Self::Process> {
        assert_eq!(pid, SELF, "another process was looked into");
        self.0.open_holder(pid)
    }
    fn created(&self, process: &Self::Process) -> std::io::Result<u64> {
        self.0.created(process)
    }
    fn duplicate(&self, process: &Self::Process, handle: u32) -> std::io::Result<Self::Duplicate> {
        self.0.duplicate(process, handle)
    }
    fn is_pipe(&self, duplicate: &Self::Duplicate) -> bool {
        self.0.is_pipe(duplicate)
    }
    fn ask(
        &self,
        duplicate: &Self::Duplicate,
        question: Question,
        into: &mut [u8],
    ) -> std::io::Result<Option<usize>> {
        self.0.ask(duplicate, question, into)
    }
    fn same(&self, one: &Self::Duplicate, other: &Self::Duplicate) -> std::io::Result<bool> {
        self.0.same(one, other)
    }
    fn samples(&self) -> std::io::Result<[super::door::Sample<()>; 2]> {
        let mut samples = self.0.samples()?;
        samples[0].told = listener(65001);
        Ok(samples)
    }
    fn proven(&self) -> &std::sync::OnceLock<()> {
        self.0.proven()
    }
}

/// What is true of a world: pid, creation time, handle, name.
type Truth = BTreeSet<(u32, u64, u32, String)>;

fn truth(world: &World) -> Truth {
    let mut truth = Truth::new();
    for (&pid, process) in world {
        for (&handle, what) in &process.handles {
            if let Object::Socket(_, told) = what {
                truth.insert((pid, process.created, handle, format!("{told:?}")));
            }
        }
    }
    truth
}

fn told_by(holders: &Holders) -> Truth {
    holders
        .all()
        .iter()
        .map(|held| (held.pid, held.created, held.handle, format!("{:?}", held.told)))
        .collect()
}

#[test]
fn whatever_changes_meanwhile_nobody_gets_what_he_never_had() {
    type Change = fn(&mut World);
    let changes: [(&str, Change); 4] = [
        ("a handle is closed and its number used again", |world| {
            if let Some(server) = world.get_mut(&40) {
                server.handles.insert(4, socket(90, listener(8080)));
            }
        }),
        ("a process ends and its number is used again", |world| {
            world.insert(40, process(900, [(4, socket(91, udp(9))), (8, socket(92, udp(10)))]));
        }),
        ("a process ends", |world| {
            world.remove(&48);
        }),
        ("a socket of that name is made by another", |world| {
            world.remove(&40);
            world.remove(&48);
            world.insert(70, process(950, [(4, socket(93, listener(80)))]));
        }),
    ];
    for (what, change) in changes {
        let mut after = world();
        change(&mut after);
        let ever: Truth = truth(&world()).union(&truth(&after)).cloned().collect();
        let mut call = 0;
        loop {
            let mut door = FakeWine::new(world());
            door.change = Some((call, Box::new(change)));
            let holders = look(&door).unwrap();
            let told = told_by(&holders);
            assert!(told.is_subset(&ever), "{what}, before call {call}: {told:?}");
            assert_eq!(door.open.get(), 0, "{what}, before call {call}");
            if door.calls.get() <= call {
                break;
            }
            call += 1;
        }
        assert!(call > 20, "{call} calls");
    }
}

#[test]
fn whichever_call_fails_the_rest_is_true_and_nothing_stays_open() {
    let ever = truth(&world());
    for code in [ACCESS_DENIED, 1450, 31] {
        let mut call = 0;
        loop {
            let door = FakeWine { fail: Some((call, code)), ..FakeWine::new(world()) };
            let result = look(&door);
            assert_eq!(door.open.get(), 0, "call {call}");
            if let Ok(holders) = &result {
                assert!(told_by(holders).is_subset(&ever), "call {call}");
            }
            if door.calls.get() <= call {
                assert_eq!(told_by(&result.unwrap()), ever);
                break;
            }
            call += 1;
        }
        assert!(call > 20, "{call} calls");
    }
}
