//! The backend over a Wine.

use super::super::wine::bridge::{FLAG, Native, Owner};
use super::super::wine::holders::Held;
use super::super::wine::told::Told;
use super::*;

/// A native process's number.
const FLAGGED: u32 = FLAG | 0x28;

pub(super) fn under_wine() -> World {
    let local = Address::new("127.0.0.1".parse().unwrap(), 80);
    let told = Told { protocol: Protocol::Tcp, local, peer: None, listens: true };
    let held = |pid, created, handle| Held { told, pid, created, handle, object: Some(0) };
    let rows =
        [(80, 0), (81, 0), (82, 44)].map(|(port, pid)| (TCP, row("127.0.0.1", port, LISTEN, pid, 0, 0)));
    World {
        rows: rows.into(),
        held: vec![held(40, 100, 8), held(48, 70, 12), held(44, 49, 16)],
        tags: None,
        is_wine: true,
        ..world()
    }
}

#[test]
fn the_holders_own_a_socket_and_the_bridge_tells_of_others() {
    let holders = |entry: &Entry| -> Vec<_> {
        entry.attribution.holders().iter().map(|holder| (holder.process.pid, holder.fd)).collect()
    };
    let (entries, gaps) = look(FakeWindows::new(under_wine())).1.unwrap();
    let listener = |entries: &[Entry], port| of_port(entries, port, State::LISTEN).clone();
    // The third is an earlier process of that number, which has ended.
    assert_eq!(holders(&listener(&entries, 80)), [(48, 12), (40, 8)]);
    assert_eq!(listener(&entries, 80).service.unwrap().name, "Dnscache", "the owner's, who started first");
    assert_eq!(listener(&entries, 81).attribution.reason(), Some(Reason::NoVisibleHolder));
    assert_eq!(holders(&listener(&entries, 82)), [(44, -1)], "who used it, by which handle is not known");
    let no_bridge = Gap::new("wine", "sockets of native programs", GapReason::Unsupported, 1);
    assert!(gaps.contains(&no_bridge), "{gaps:?}");

    let native = Native {
        pid: FLAGGED,
        start_ticks: 7,
        name: "sshd".into(),
        path: Some("/usr/sbin/sshd".into()),
        service: Some("ssh.service".into()),
    };
    let world = World { natives: Some(vec![Ok(native)]), ..under_wine() };
    let (entries, gaps) = look(FakeWindows::new(world.clone())).1.unwrap();
    assert_eq!(holders(&listener(&entries, 81)), [(FLAGGED, -1)]);
    assert_eq!(gaps, []);
    let flagged = Identity { start_ticks: Some(7), ..Identity::of_pid(FLAGGED) };
    assert_eq!(module_in(world.clone(), &flagged).unwrap(), Module::Process("/usr/sbin/sshd".into()));
    let earlier = Identity { start_ticks: Some(8), ..flagged };
    assert_eq!(module_in(world, &earlier).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(
        module_in(under_wine(), &flagged).unwrap_err().kind(),
        ErrorKind::NotFound,
        "there is no bridge"
    );
}

#[test]
fn a_number_is_not_the_systems_own() {
    assert_eq!(module_in(under_wine(), &Identity::of_pid(4)).unwrap(), Module::Process("System".into()));
}

#[test]
fn nobody_is_named_or_ruled_out_who_was_not_looked_at() {
    let reasons = |world: World, fail: Option<(usize, i32)>| {
        let mut door = FakeWindows::new(world);
        door.fail = fail;
        let (entries, _) = look(door).1.unwrap();
        [80, 81, 82].map(|port| of_port(&entries, port, State::LISTEN).attribution.reason())
    };
    let natives = |count| Some(vec![Err(Reason::NoVisibleHolder); count]);
    let refused = Some(Reason::NotPermitted);
    for natives in [None, natives(1)] {
        let missed = vec![Gap::new("wine", "handles of a process", GapReason::NotPermitted, 1)];
        let world = World { missed, natives, ..under_wine() };
        assert_eq!(reasons(world, None), [None, refused, None]);
    }
    // After the four tables and the list of processes.
    let look_fails = Some((5, NO_MEMORY));
    for natives in [None, natives(3)] {
        assert_eq!(
            reasons(World { natives, ..under_wine() }, look_fails),
            [refused; 3],
            "who used it least of all"
        );
    }
}

#[test]
fn a_socket_that_somebody_has_is_not_asked_about_further() {
    let mut world = World { natives: Some(vec![]), ..under_wine() };
    world.rows.truncate(1);
    world.held[1].object = Some(1);
    let (entries, gaps) = look(FakeWindows::new(world)).1.unwrap();
    let reason = of_port(&entries, 80, State::LISTEN).attribution.reason();
    assert_eq!(reason, Some(Reason::NotPermitted), "one of two, and which nobody knows");
    assert_eq!(gaps, [Gap::new("wine", "sockets of one name", GapReason::Changed, 1)]);
}

#[test]
fn a_connection_that_is_listed_twice_is_one() {
    let local = Address::new("127.0.0.1".parse().unwrap(), 5000);
    let peer = Some(Address { port: 80, ..local });
    let told = Told { protocol: Protocol::Tcp, local, peer, listens: false };
    let connection = (
        TCP,
        Row {
            remote: Side { port: 80, ..row("127.0.0.1", 80, 0, 0, 0, 0).local },
            ..row("127.0.0.1", 5000, ESTABLISHED, 0, 0, 0)
        },
    );
    let listener = (TCP, row("127.0.0.1", 81, LISTEN, 0, 0, 0));
    let rows = vec![connection.clone(), listener.clone(), connection, listener];
    let held = vec![Held { told, pid: 40, created: 100, handle: 8, object: Some(0) }];
    let (entries, _) = look(FakeWindows::new(World { rows, held, ..under_wine() })).1.unwrap();
    let listed: Vec<_> =
        entries.iter().map(|entry| (entry.socket.endpoint.local.port, entry.attribution.reason())).collect();
    let nobody = Some(Reason::NoVisibleHolder);
    assert_eq!(listed, [(5000, None), (81, nobody), (81, nobody)], "two can listen at one address");
}

#[test]
fn who_connects_is_named_where_it_can_be_nobody_else() {
    const SYN_SENT: u32 = 3;
    let local = Address::new("127.0.0.1".parse().unwrap(), 5000);
    let told = Told { protocol: Protocol::Tcp, local, peer: None, listens: false };
    let connecting = |to: u16| {
        let local = row("127.0.0.1", 5000, SYN_SENT, 0, 0, 0);
        (TCP, Row { remote: Side { port: to, ..local.local }, ..local })
    };
    let held = |handle, object| Held { told, pid: 40, created: 100, handle, object };
    // Linux says of so many that they are no native program's.
    let world = |rows: &[u16], held: &[Held], asked: usize| World {
        rows: rows.iter().map(|&to| connecting(to)).collect(),
        held: held.to_vec(),
        natives: Some(vec![Err(Reason::NoVisibleHolder); asked]),
        ..under_wine()
    };
    let told = |door: FakeWindows, port: u16| -> Vec<std::result::Result<Vec<u32>, Reason>> {
        let system = System::open_with(door, Options::default()).unwrap();
        let listed = system.sockets(&Scope { remote_port: port, ..scope() }).unwrap().list;
        let (entries, _) = system.attribute(listed, Search::Everywhere, None).unwrap();
        entries
            .iter()
            .map(|entry| match entry.attribution.reason() {
                Some(reason) => Err(reason),
                None => Ok(entry.attribution.holders().iter().map(|holder| holder.process.pid).collect()),
            })
            .collect()
    };
    let [one, again, other] = [8, 12, 16].map(|handle| held(handle, Some(u32::from(handle == 16))));
    let alone = [one.clone()];
    let of = |rows: &[u16], held: &[Held], port| {
        let asked = if port == 0 { rows.len() } else { 1 };
        told(FakeWindows::new(world(rows, held, asked)), port)
    };
    let unclear = || Err(Reason::NotPermitted);
    assert_eq!(of(&[80], &[one.clone(), again], 0), [Ok(vec![40; 2])]);
    assert_eq!(of(&[80], &[one, other], 0), [unclear()], "one of them has an address and nothing more");
    assert_eq!(of(&[80, 81], &alone, 0), [unclear(), unclear()]);
    assert_eq!(of(&[80, 81], &alone, 80), [unclear()], "whatever was asked about");
    assert_eq!(of(&[80], &[], 0), [Err(Reason::NoVisibleHolder)]);
    let uncompared = held(8, None);
    assert_eq!(of(&[80], &[uncompared.clone(), uncompared], 0), [unclear()]);
    // The four tables, the list of processes, the handles, the bridge: then the rows that connect.
    let door = failing(world(&[80], &alone, 1), 7, NO_MEMORY);
    assert_eq!(told(door, 0), [unclear()]);

    // The one whose connect failed keeps the handle, and Linux has given the port to others since.
    let native = Native { pid: FLAGGED, start_ticks: 7, name: "curl".into(), path: None, service: None };
    let bridged = |rows: &[u16], natives: Option<Vec<Owner>>| {
        told(FakeWindows::new(World { natives, ..world(rows, &alone, 0) }), 0)
    };
    let natives = |rows: &[u16], natives: Vec<Owner>| bridged(rows, Some(natives));
    assert_eq!(bridged(&[80], None), [unclear()], "which may have happened where Linux is not asked");
    assert_eq!(natives(&[80], vec![Ok(native.clone())]), [Ok(vec![FLAGGED])]);
    assert_eq!(natives(&[80], vec![Err(Reason::NoVisibleHolder)]), [Ok(vec![40])]);
    assert_eq!(natives(&[80], vec![Err(Reason::Gone)]), [Err(Reason::Gone)]);
    assert_eq!(
        natives(&[80, 81], vec![Ok(native), Err(Reason::NoVisibleHolder)]),
        [Ok(vec![FLAGGED]), unclear()]
    );
}

#[test]
fn a_listener_that_is_listed_twice_is_looked_for_again() {
    let listener = (TCP, row("127.0.0.1", 80, LISTEN, 0, 0, 0));
    let twice = World { rows: vec![listener.clone(), listener], ..under_wine() };
    let listed = |again: Change, fail: Option<(usize, i32)>| {
        let mut door = FakeWindows::new(twice.clone());
        door.fail = fail;
        *door.change.lock().unwrap() = Some((1, again));
        look(door).1.unwrap().0.len()
    };
    assert_eq!(listed(Change::Now(|world| world.rows.truncate(1)), None), 1);
    assert_eq!(listed(Change::Now(|_| ()), None), 2);
    assert_eq!(listed(Change::Now(|_| ()), Some((1, NO_MEMORY))), 2);
}
