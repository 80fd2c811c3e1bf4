//! The backend over a Windows that changes, fails, grows without end and lies.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::net::IpAddr;

use sockowner_wire::mib::{Row, Side};

use super::System;
use super::door::{ACCESS_DENIED, Table};
use super::fake::{Change, FakeProcess, FakeWindows, World};
use super::module::module;
use crate::query::listens;
use crate::sys::{Options, Scope, Search};
use crate::{
    Address, Attribution, Entry, ErrorKind, Family, Gap, GapReason, Identity, Module, Protocol, Reason,
    Result, RoleKind, Source, State,
};

mod wine;

use self::wine::under_wine;

const TCP: Table = Table { tcp: true, v6: false };
const UDP6: Table = Table { tcp: false, v6: true };
const LISTEN: u32 = 2;
const ESTABLISHED: u32 = 5;
const TIME_WAIT: u32 = 11;
/// `ERROR_NOT_ENOUGH_MEMORY`.
const NO_MEMORY: i32 = 8;

/// When it was created, and its path.
fn process(created: u64, image: &str) -> FakeProcess {
    let user = vec![1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];
    FakeProcess { created, image: image.encode_utf16().collect(), user, ..FakeProcess::default() }
}

fn row(ip: &str, port: u16, state: u32, pid: u32, created: u64, tag: u64) -> Row {
    let ip: IpAddr = ip.parse().unwrap();
    let side = |port| Side { ip, scope: 0, port };
    let mut info = [0; 16];
    info[0] = tag;
    Row { local: side(port), remote: side(0), state, pid, created, flags: 0, info }
}

/// When the tables are asked for.
const LISTED: u64 = 500;
const SERVER: &str = r"C:\Program Files\Server\server.exe";
const HOST: &str = r"C:\Windows\System32\svchost.exe";

/// A process that the service manager started.
fn hosted(created: u64, image: &str) -> FakeProcess {
    FakeProcess { parent: 36, ..process(created, image) }
}

/// A server, a process with two services and one with a service alone.
fn world() -> World {
    let hidden = FakeProcess { refused: true, ..process(60, r"C:\hidden.exe") };
    World {
        now: LISTED,
        processes: [
            (4, process(1, "System")),
            (36, process(10, r"C:\Windows\System32\services.exe")),
            (40, process(100, SERVER)),
            (44, hosted(50, HOST)),
            (48, hosted(70, HOST)),
            (52, hidden),
        ]
        .into(),
        rows: vec![
            (TCP, row("127.0.0.1", 80, LISTEN, 40, 150, 0)),
            (TCP, row("0.0.0.0", 445, LISTEN, 4, 2, 0)),
            (TCP, row("127.0.0.1", 80, TIME_WAIT, 0, 0, 0)),
            (TCP, row("0.0.0.0", 135, LISTEN, 44, 55, 7)),
            (TCP, row("0.0.0.0", 136, LISTEN, 44, 55, 8)),
            (TCP, row("0.0.0.0", 137, LISTEN, 44, 55, 99)),
            (TCP, row("0.0.0.0", 90, LISTEN, 52, 65, 5)),
            // Its process has ended; its number is another's; it was bound before that was created.
            (TCP, row("0.0.0.0", 91, LISTEN, 96, 65, 0)),
            (TCP, row("0.0.0.0", 92, LISTEN, 40, 99, 0)),
            (UDP6, row("::", 53, 0, 48, 75, 9)),
            // Bound so late that it may be a later process's with that number.
            (TCP, row("0.0.0.0", 93, LISTEN, 48, 1000, 0)),
            // When it was bound is not known.
            (TCP, row("0.0.0.0", 94, LISTEN, 40, 0, 0)),
        ],
        services: vec![(44, "RpcSs"), (44, "RpcEptMapper"), (48, "Dnscache"), (52, "Hidden")],
        shared: vec![44],
        tags: Some([((44, 7), "RpcSs"), ((44, 8), "RpcEptMapper"), ((52, 5), "Hidden")].into()),
        accounts: [(process(0, "").user, ("NT AUTHORITY", "SYSTEM"))].into(),
        is_administrator: true,
        ..World::default()
    }
}

fn scope() -> Scope {
    let tables = [Protocol::Tcp, Protocol::Udp]
        .into_iter()
        .flat_map(|protocol| Family::ALL.map(|family| (protocol, family)));
    Scope { tables: tables.collect(), ..Scope::default() }
}

type Looked = Result<(Vec<Entry>, Vec<Gap>)>;

fn look(door: FakeWindows) -> (System<FakeWindows>, Looked) {
    let system = System::open_with(door, Options::default()).unwrap();
    let looked = system.sockets(&scope()).and_then(|listed| {
        let (entries, gaps) = system.attribute(listed.list, Search::Everywhere, None)?;
        Ok((entries, [listed.gaps, gaps].concat()))
    });
    (system, looked)
}

fn of_port(entries: &[Entry], port: u16, state: State) -> &Entry {
    let is_it =
        |entry: &&Entry| (entry.socket.endpoint.local.port, entry.socket.endpoint.state) == (port, state);
    entries.iter().find(is_it).unwrap_or_else(|| panic!("{port} is not listed"))
}

/// Pid, name and service.
fn told(entry: &Entry) -> (u32, &OsStr, Option<&str>) {
    match &entry.attribution {
        Attribution::Recorded(owner) => {
            assert_eq!((owner.role, owner.exited), (RoleKind::Binder, false));
            let service = entry.service.as_ref().map(|service| service.name.as_str());
            (owner.process.pid, &owner.process.name, service)
        }
        other => panic!("{other:?}"),
    }
}

fn failing(world: World, call: usize, code: i32) -> FakeWindows {
    let mut door = FakeWindows::new(world);
    door.fail = Some((call, code));
    door
}

#[test]
fn each_row_tells_who_bound_its_socket_or_why_nobody_is_named() {
    let (system, looked) = look(FakeWindows::new(world()));
    let (entries, gaps) = looked.unwrap();
    let listener = |port| of_port(&entries, port, State::LISTEN);
    let svchost = OsStr::new("svchost.exe");
    assert_eq!(told(listener(80)), (40, OsStr::new("server.exe"), None));
    assert_eq!(told(listener(445)), (4, OsStr::new("System"), None));
    assert_eq!(told(listener(135)), (44, svchost, Some("RpcSs")));
    assert_eq!(told(listener(136)), (44, svchost, Some("RpcEptMapper")));
    assert_eq!(told(listener(137)), (44, svchost, None), "a tag of none, and two services live there");
    let datagrams = of_port(&entries, 53, State::UNCONNECTED);
    assert_eq!(told(datagrams), (48, svchost, Some("Dnscache")), "a tag of none, and one lives there");
    assert_eq!(told(listener(94)), (40, OsStr::new("server.exe"), None), "he was there before it was listed");
    let hidden = (52, OsStr::new("hidden.exe"), Some("Hidden"));
    assert_eq!(told(listener(90)), hidden, "by the list, which needs no right");
    let reasons = [listener(91), listener(92), of_port(&entries, 80, State::TIME_WAIT)]
        .map(|entry| entry.attribution.reason());
    let ended = Some(Reason::NoVisibleHolder);
    assert_eq!(reasons, [ended, ended, Some(Reason::NoHolder)]);
    assert!([91, 92].iter().all(|&port| listens(listener(port))), "others may have it");

    let process = |port| listener(port).attribution.primary_owner().unwrap().0;
    assert_eq!(process(80).user.as_deref(), Some(r"NT AUTHORITY\SYSTEM"));
    assert_eq!(process(80).executable.as_ref().unwrap().path.as_os_str(), SERVER);
    assert!(process(445).kernel_thread && process(445).executable.is_none());
    assert_eq!((process(90).executable.as_ref(), process(90).user.as_ref()), (None, None));
    let refused = Gap::new("processes", "executables", GapReason::NotPermitted, 1);
    // Those of 137 and 53; who is 53's is known otherwise.
    assert_eq!(gaps, [refused, Gap::new("services", "tags", GapReason::Interrupted, 1)]);
    assert_eq!(system.door.open(), 0);
}

#[test]
fn the_system_is_named_though_the_clock_was_set_back() {
    let mut set_back = world();
    // It was dated by a clock that was ahead.
    set_back.processes.get_mut(&4).unwrap().created = LISTED + 1;
    set_back.rows.push((TCP, row("0.0.0.0", 139, LISTEN, 4, 0, 0)));
    set_back.processes.get_mut(&40).unwrap().created = LISTED + 1;
    let (entries, _) = look(FakeWindows::new(set_back)).1.unwrap();
    for port in [445, 139] {
        assert_eq!(told(of_port(&entries, port, State::LISTEN)).0, 4, "{port}");
    }
    let server = of_port(&entries, 80, State::LISTEN);
    assert_eq!(server.attribution.reason(), Some(Reason::NoVisibleHolder), "any other number may be");
}

#[test]
fn an_account_without_a_name_is_its_identifier_and_arguments_are_not_read() {
    let (mut options, door) =
        (Options::default(), FakeWindows::new(World { accounts: BTreeMap::new(), ..world() }));
    options.command_lines = true;
    let system = System::open_with(door, options).unwrap();
    let listed = system.sockets(&scope()).unwrap().list;
    let (entries, gaps) = system.attribute(listed, Search::Everywhere, None).unwrap();
    let (process, _) = of_port(&entries, 80, State::LISTEN).attribution.primary_owner().unwrap();
    assert_eq!((process.user.as_deref(), process.command_line.as_ref()), (Some("S-1-5-18"), None));
    assert!(gaps.contains(&Gap::new("processes", "arguments", GapReason::Unsupported, 1)), "{gaps:?}");
}

#[test]
fn a_row_tells_when_its_socket_was_bound() {
    let mut dated = world();
    // A second of 1970.
    dated.rows[0].1.created = 116_444_736_010_000_000;
    let (entries, _) = look(FakeWindows::new(dated)).1.unwrap();
    let bound_at = of_port(&entries, 80, State::LISTEN).bound_at();
    assert_eq!(bound_at, Some(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1)));
    assert_eq!(of_port(&entries, 80, State::TIME_WAIT).bound_at(), None);
}

#[test]
fn no_other_source_can_be_chosen() {
    for source in [Source::Bpf, Source::Proc, Source::Tables, Source::Handles, Source::Bridge] {
        let options = Options { source, ..Options::default() };
        let error = System::open_with(FakeWindows::new(world()), options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}

#[test]
fn sources_are_told_with_what_is_missing() {
    let states = |door: FakeWindows| -> Vec<_> {
        let sources = System::open_with(door, Options::default()).unwrap().sources();
        sources.into_iter().map(|state| (state.source, state.in_use, state.refused.len())).collect()
    };
    assert_eq!(states(FakeWindows::new(world())), [(Source::Tables, true, 0)]);
    let tables = (Source::Tables, true, 0);
    let wine = |handles: bool, bridge: bool| {
        [
            (Source::Handles, handles, usize::from(!handles)),
            (Source::Bridge, bridge, usize::from(!bridge)),
            tables,
        ]
    };
    assert_eq!(states(FakeWindows::new(under_wine())), wine(true, false));
    let bridged = || FakeWindows::new(World { natives: Some(vec![]), ..under_wine() });
    assert_eq!(states(bridged()), wine(true, true));
    for (call, expected) in [(0, wine(false, true)), (1, wine(true, false))] {
        let mut door = bridged();
        door.fail = Some((call, ACCESS_DENIED));
        assert_eq!(states(door), expected);
    }
}

/// What may be said of a world: port, pid, creation time; and of that process, which service it may be told to be.
#[derive(Debug, Default)]
struct Truth {
    owners: BTreeSet<(u16, u32, u64)>,
    services: BTreeSet<(u32, u64, String)>,
    images: BTreeSet<(u32, u64, String)>,
}

impl Truth {
    fn add(&mut self, world: &World) {
        for (&pid, process) in &world.processes {
            let bound_at = |row: &Row| if row.created == 0 { LISTED } else { row.created };
            let is_his = |row: &Row| row.pid == pid && process.created <= bound_at(row);
            let rows = world.rows.iter().filter(|(_, row)| is_his(row));
            self.owners.extend(rows.map(|(_, row)| (row.local.port, pid, process.created)));
            let held = world.held.iter().filter(|held| (held.pid, held.created) == (pid, process.created));
            self.owners.extend(held.map(|held| (held.told.local.port, pid, process.created)));
            let here = world.services.iter().filter(|(of, _)| *of == pid);
            self.services.extend(here.map(|(_, name)| (pid, process.created, (*name).to_owned())));
            self.images.insert((pid, process.created, String::from_utf16_lossy(&process.image)));
        }
    }

    fn check(&self, entries: &[Entry], when: &str) {
        for entry in entries {
            let Some((process, _)) = entry.attribution.primary_owner() else { continue };
            let (pid, created) = (process.pid, process.start.ticks);
            let owner = (entry.socket.endpoint.local.port, pid, created);
            // Of the system's own process the list may not be had; it is what it is by its number.
            assert!(self.owners.contains(&owner) || pid == 4, "{when}: {owner:?}");
            for service in [&entry.service, &process.service].into_iter().flatten() {
                let service = (pid, created, service.name.clone());
                assert!(self.services.contains(&service), "{when}: {service:?}");
            }
            if let Some(executable) = &process.executable {
                let image = (pid, created, executable.path.display().to_string());
                assert!(self.images.contains(&image), "{when}: {image:?}");
            }
        }
    }
}

#[test]
fn whichever_call_fails_the_rest_is_true_and_nothing_stays_open() {
    let user = |entry: &Entry| entry.attribution.primary_owner()?.0.user.as_deref().map(str::to_owned);
    let codes = [ACCESS_DENIED, NO_MEMORY, 31, 87];
    for (world, code) in [world, under_wine].iter().flat_map(|world| codes.map(|code| (world, code))) {
        let mut truth = Truth::default();
        truth.add(&world());
        let (untroubled, untroubled_gaps) = look(FakeWindows::new(world())).1.unwrap();
        let mut call = 0;
        loop {
            let (system, looked) = look(failing(world(), call, code));
            let when = format!("call {call} fails with {code}");
            assert_eq!(system.door.open(), 0, "{when}");
            let (entries, gaps) = looked.unwrap_or_else(|error| panic!("{when}: {error:#}"));
            truth.check(&entries, &when);
            if system.door.calls() <= call {
                break;
            }
            // What is not known is never silence: there is a gap, a reason, or the identifier of a user.
            let is_told = gaps.iter().any(|gap| !untroubled_gaps.contains(gap))
                || entries.iter().zip(&untroubled).any(|(now, before)| {
                    now.attribution.reason().is_some() && before.attribution.reason().is_none()
                })
                || entries.iter().any(|entry| user(entry).as_deref() == Some("S-1-5-18"))
                // Whose process has ended, as these codes say, is a holder no more.
                || [31, 87].contains(&code)
                    && entries.iter().zip(&untroubled).any(|(now, before)| {
                        now.attribution.holders().len() < before.attribution.holders().len()
                    });
            assert!(entries == untroubled || is_told, "{when}: {gaps:?}");
            call += 1;
        }
        assert!(call > 20, "{call} calls");
    }
}

/// The server and both service processes end, and their numbers are used again.
fn recycled(world: &mut World) {
    world.processes.insert(40, hosted(900, r"C:\other.exe"));
    world.processes.insert(44, hosted(910, r"C:\another.exe"));
    world.processes.insert(48, hosted(920, HOST));
    world.processes.insert(52, FakeProcess { refused: true, ..process(930, r"C:\seen.exe") });
    world.services = vec![(48, "Spooler"), (40, "Fax"), (52, "Veiled")];
    world.tags = Some([((48, 9), "Spooler"), ((40, 7), "Fax"), ((52, 5), "Veiled")].into());
}

fn ended(world: &mut World) {
    for pid in [40, 44, 48, 52] {
        if let Some(process) = world.processes.get_mut(&pid) {
            process.ended = true;
        }
    }
    world.services.clear();
}

const CHANGES: [(&str, Change); 2] =
    [("their numbers are used again", Change::Unheld(recycled)), ("they end", Change::Now(ended))];

#[test]
fn whatever_changes_meanwhile_nobody_is_named_who_never_bound_it() {
    let worlds = [world, under_wine];
    for (world, (what, change)) in worlds.iter().flat_map(|world| CHANGES.map(|change| (world, change))) {
        let mut truth = Truth::default();
        let mut after = world();
        truth.add(&after);
        let (Change::Now(make) | Change::Unheld(make)) = change;
        make(&mut after);
        truth.add(&after);
        let mut call = 0;
        loop {
            let door = FakeWindows::new(world());
            *door.change.lock().unwrap() = Some((call, change));
            let (system, looked) = look(door);
            truth.check(&looked.unwrap().0, &format!("before call {call} {what}"));
            assert_eq!(system.door.open(), 0);
            if system.door.calls() <= call {
                break;
            }
            call += 1;
        }
        assert!(call > 20, "{call} calls");
    }
}

#[test]
fn what_grows_at_every_try_ends_with_an_error() {
    let (system, looked) = look(FakeWindows::new(World { grows: true, ..world() }));
    let error = looked.unwrap_err();
    assert!(format!("{error:#}").contains("it grew at every try"), "{error:#}");
    assert!(system.door.calls() <= 4 * 8, "{} calls", system.door.calls());

    // The list of processes, and after it that of services: nothing is known but by opening processes.
    for (call, source, object) in [(4, "processes", "list"), (5, "services", "ask the service manager")] {
        let door = FakeWindows::new(world());
        *door.change.lock().unwrap() = Some((call, Change::Now(|world| world.grows = true)));
        let (entries, gaps) = look(door).1.unwrap();
        assert_eq!(told(of_port(&entries, 80, State::LISTEN)).0, 40);
        let datagrams = of_port(&entries, 53, State::UNCONNECTED);
        assert_eq!(told(datagrams).2, None);
        let is_it = |gap: &Gap| gap.source == source && gap.object.starts_with(object);
        assert!(gaps.iter().any(is_it), "{gaps:?}");
    }
}

#[test]
fn a_count_that_lies_is_an_error_and_no_row_is_believed() {
    for count in [11, u32::MAX, u32::MAX / 160] {
        let error = look(FakeWindows::new(World { count: Some(1 << 20 | count), ..world() })).1.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{error:#}");
        assert!(format!("{error:#}").contains("fewer rows than it counts"), "{error:#}");
    }
    // Of services alone: none is named.
    let door = FakeWindows::new(world());
    *door.change.lock().unwrap() = Some((5, Change::Now(|world| world.count = Some(u32::MAX))));
    let (entries, gaps) = look(door).1.unwrap();
    let datagrams = of_port(&entries, 53, State::UNCONNECTED);
    assert_eq!(told(datagrams).2, None);
    assert!(
        gaps.iter().any(|gap| (gap.source, gap.reason) == ("services", GapReason::Malformed)),
        "{gaps:?}"
    );
}

#[test]
fn a_socket_that_went_with_who_bound_it_is_gone_and_does_not_listen() {
    let is_80 = |entry: &&Entry| entry.socket.endpoint.local.port == 80;
    let (mut call, mut gone) = (0, 0);
    loop {
        let door = FakeWindows::new(world());
        let ends = |world: &mut World| {
            world.processes.get_mut(&40).unwrap().ended = true;
            world.rows.retain(|(_, row)| row.pid != 40);
        };
        *door.change.lock().unwrap() = Some((call, Change::Now(ends)));
        let (system, looked) = look(door);
        let (entries, _) = looked.unwrap();
        for entry in entries.iter().filter(is_80).filter(|entry| entry.socket.endpoint.state == State::LISTEN)
        {
            let reason = entry.attribution.reason();
            assert!(matches!(reason, None | Some(Reason::Gone)), "before call {call}: {reason:?}");
            assert_eq!(listens(entry), reason.is_none());
            gone += usize::from(reason.is_some());
        }
        if system.door.calls() <= call {
            break;
        }
        call += 1;
    }
    assert!(gone > 0, "in none of {call}");
}

#[test]
fn a_socket_is_not_called_gone_where_its_table_cannot_be_read_again() {
    let table = Gap::new("iphlpapi", "tcp ipv4", GapReason::Interrupted, 1);
    // Of one table the second look fails as a whole; of two, one is read.
    for family in [None, Some(row("::", 95, LISTEN, 96, 65, 0))] {
        let mut world = world();
        world.rows.extend(family.map(|row| (Table { tcp: true, v6: true }, row)));
        let calls = look(FakeWindows::new(world.clone())).0.door.calls();
        let mut seen = 0;
        for call in 4..calls {
            let (_, looked) = look(failing(world.clone(), call, NO_MEMORY));
            let (entries, gaps) = looked.unwrap();
            if gaps.contains(&table) {
                let listener = of_port(&entries, 91, State::LISTEN);
                assert_eq!(listener.attribution.reason(), Some(Reason::NoVisibleHolder), "call {call}");
                assert!(listens(listener));
                seen += 1;
            }
        }
        assert_eq!(seen, 1);
    }
}

#[test]
fn a_connection_that_lingers_when_it_is_looked_for_again_is_nobodys() {
    let mut lingering = world();
    lingering.rows = vec![(TCP, row("127.0.0.1", 5000, ESTABLISHED, 96, 65, 0))];
    let door = FakeWindows::new(lingering);
    // After the four tables, before the second look.
    let lingers = |world: &mut World| (world.rows[0].1.state, world.rows[0].1.pid) = (TIME_WAIT, 0);
    *door.change.lock().unwrap() = Some((4, Change::Now(lingers)));
    let (entries, _) = look(door).1.unwrap();
    let entry = of_port(&entries, 5000, State::TIME_WAIT);
    assert_eq!((entry.attribution.reason(), entry.changed), (Some(Reason::NoHolder), true));
}

#[test]
fn sockets_that_may_be_old_are_looked_for_again() {
    let system = System::open_with(FakeWindows::new(world()), Options::default()).unwrap();
    let listed = system.sockets(&scope()).unwrap().list;
    system.door.world().rows.retain(|(_, row)| row.local.port != 445);
    system.door.world().rows[0].1.created = 160;
    let (entries, _) = system.attribute(listed, Search::Nearest, None).unwrap();
    let reason = |port| of_port(&entries, port, State::LISTEN).attribution.reason();
    assert_eq!(
        (reason(445), reason(80)),
        (Some(Reason::Gone), Some(Reason::Gone)),
        "another one has its name"
    );
    assert_eq!(told(of_port(&entries, 135, State::LISTEN)).0, 44);
}

#[test]
fn who_lives_without_an_image_is_named_without_a_path() {
    let mut world = world();
    world.processes.insert(56, FakeProcess { imageless: true, ..process(20, "Registry") });
    world.rows.push((TCP, row("0.0.0.0", 95, LISTEN, 56, 65, 0)));
    let (entries, gaps) = look(FakeWindows::new(world.clone())).1.unwrap();
    let entry = of_port(&entries, 95, State::LISTEN);
    assert_eq!(told(entry), (56, OsStr::new("Registry"), None));
    assert_eq!(entry.attribution.primary_owner().unwrap().0.executable, None);
    assert!(gaps.contains(&Gap::new("processes", "executables", GapReason::Unsupported, 1)), "{gaps:?}");
    assert_eq!(module_in(world.clone(), &of(56, 20, 0)).unwrap(), Module::NotPermitted);
    world.processes.get_mut(&56).unwrap().ended = true;
    world.processes.get_mut(&56).unwrap().kept = true;
    let (entries, _) = look(FakeWindows::new(world.clone())).1.unwrap();
    let reason = of_port(&entries, 95, State::LISTEN).attribution.reason();
    assert_eq!(reason, Some(Reason::NoVisibleHolder));
    assert_eq!(module_in(world, &of(56, 20, 0)).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn who_has_ended_is_not_named_though_somebody_holds_him() {
    let mut world = world();
    let server = world.processes.get_mut(&40).unwrap();
    (server.ended, server.kept) = (true, true);
    let (entries, _) = look(FakeWindows::new(world.clone())).1.unwrap();
    let listener = of_port(&entries, 80, State::LISTEN);
    assert_eq!((listener.attribution.reason(), listens(listener)), (Some(Reason::NoVisibleHolder), true));
    assert_eq!(module_in(world, &of(40, 100, 0)).unwrap_err().kind(), ErrorKind::NotFound);
}

fn of(pid: u32, created: u64, tag: u32) -> Identity {
    Identity { start_ticks: Some(created), service_tag: Some(tag), ..Identity::of_pid(pid) }
}

fn module_in(world: World, identity: &Identity) -> Result<Module> {
    let door = FakeWindows::new(world);
    let told = module(&door, identity);
    assert_eq!(door.open(), 0, "{identity:?}");
    told
}

#[test]
fn a_module_is_the_service_else_the_executable() {
    let service = |name: &str| Module::Service(name.into());
    for (identity, expected) in [
        (of(40, 100, 0), Module::Process(SERVER.into())),
        (of(44, 50, 7), service("RpcSs")),
        (of(44, 50, 8), service("RpcEptMapper")),
        (of(44, 50, 0), Module::Process(HOST.into())),
        (of(44, 50, u32::MAX), Module::Process(HOST.into())),
        // A tag of none: the only service of the process, and no one of several.
        (of(44, 50, 99), Module::Process(HOST.into())),
        (of(48, 70, 99), service("Dnscache")),
        (Identity::of_pid(48), Module::Process(HOST.into())),
        (Identity::of_pid(4), Module::Kernel),
        (Identity::of_pid(52), Module::NotPermitted),
        (of(52, 60, 7), Module::NotPermitted),
    ] {
        assert_eq!(module_in(world(), &identity).unwrap(), expected, "{identity:?}");
    }
    let without_tags = World { tags: None, ..world() };
    assert_eq!(module_in(without_tags.clone(), &of(48, 70, 1)).unwrap(), service("Dnscache"));
    assert_eq!(module_in(without_tags, &of(44, 50, 1)).unwrap(), Module::Process(HOST.into()));
}

#[test]
fn the_one_service_that_is_seen_in_a_shared_process_is_not_named_for_a_tag_of_none() {
    let mut hidden = World { tags: None, ..world() };
    hidden.services.retain(|(_, name)| *name != "RpcEptMapper");
    let (entries, _) = look(FakeWindows::new(hidden.clone())).1.unwrap();
    for port in [135, 136, 137] {
        let entry = of_port(&entries, port, State::LISTEN);
        assert_eq!(told(entry), (44, OsStr::new("svchost.exe"), None), "{port}");
        assert_eq!(entry.attribution.primary_owner().unwrap().0.service, None);
    }
    assert_eq!(module_in(hidden.clone(), &of(44, 50, 8)).unwrap(), Module::Process(HOST.into()));
    // Wine gives each a process of its own.
    hidden.is_wine = true;
    assert_eq!(module_in(hidden, &of(44, 50, 8)).unwrap(), Module::Service("RpcSs".into()));
}

#[test]
fn who_is_no_administrator_is_told_nothing_of_the_systems_own() {
    let user = || World { is_administrator: false, ..world() };
    for identity in [of(44, 50, 7), of(44, 50, 0), of(48, 70, 9), Identity::of_pid(44)] {
        assert_eq!(module_in(user(), &identity).unwrap(), Module::NotPermitted, "{identity:?}");
    }
    assert_eq!(module_in(user(), &of(40, 100, 0)).unwrap(), Module::Process(SERVER.into()));
    assert_eq!(module_in(user(), &Identity::of_pid(4)).unwrap(), Module::Kernel);
    // Whose service it is says nothing of where it is: a program of its own is told, with its service.
    let mut own = user();
    own.tags = Some([((40, 5), "Server")].into());
    assert_eq!(module_in(own, &of(40, 100, 5)).unwrap(), Module::Service("Server".into()));
}

#[test]
fn whose_number_is_anothers_now_is_not_found() {
    let bound_at = |pid, bound_at| Identity { bound_at: Some(bound_at), ..Identity::of_pid(pid) };
    for identity in [
        Identity::of_pid(0),
        Identity::of_pid(96),
        Identity::of_pid(u32::MAX),
        // The system would open 40 for it.
        Identity::of_pid(41),
        of(40, 99, 0),
        of(52, 61, 0),
        bound_at(40, 99),
        bound_at(52, 59),
    ] {
        let error = module_in(world(), &identity).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{identity:?}");
    }
    for identity in [bound_at(40, 100), bound_at(40, 0)] {
        assert_eq!(module_in(world(), &identity).unwrap(), Module::Process(SERVER.into()));
    }
}

#[test]
fn of_a_module_too_every_call_may_fail_and_every_process_end() {
    for identity in [of(40, 100, 0), of(44, 50, 7), of(48, 70, 99), of(52, 60, 0), Identity::of_pid(41)] {
        let right = module_in(world(), &identity).ok();
        let is_right = |told: &Module| {
            // Where the service cannot be had there is the executable.
            Some(told) == right.as_ref()
                || *told == Module::NotPermitted
                || matches!(right, Some(Module::Service(_))) && *told == Module::Process(HOST.into())
        };
        let each = |door: &dyn Fn(usize) -> FakeWindows| {
            for call in 0.. {
                let door = door(call);
                let told = module(&door, &identity);
                assert_eq!(door.open(), 0);
                assert!(told.as_ref().map_or(true, is_right), "{identity:?}, call {call}: {told:?}");
                if door.calls() <= call {
                    break;
                }
            }
        };
        for code in [ACCESS_DENIED, NO_MEMORY, 31, 87] {
            each(&|call| failing(world(), call, code));
        }
        for (_, change) in CHANGES {
            each(&|call| {
                let door = FakeWindows::new(world());
                *door.change.lock().unwrap() = Some((call, change));
                door
            });
        }
    }
}

#[test]
fn a_path_is_what_it_is_however_long_and_odd() {
    let mut long = world();
    // Half of a pair in it.
    let image: Vec<u16> =
        r"D:\".encode_utf16().chain([0xd83d]).chain(std::iter::repeat_n(97, 32_000)).collect();
    long.processes.get_mut(&40).unwrap().image.clone_from(&image);
    let Module::Process(path) = module_in(long, &of(40, 100, 0)).unwrap() else { panic!("no process") };
    let units: Vec<u16> = std::os::windows::ffi::OsStrExt::encode_wide(path.as_os_str()).collect();
    assert_eq!(units, image);
}

#[test]
fn a_second_look_does_not_make_a_later_process_the_binder() {
    // Of this row the system does not tell when it was bound.
    let world = World { rows: vec![(TCP, row("127.0.0.1", 80, LISTEN, 40, 0, 0))], now: 90, ..world() };
    let (entries, _) = look(FakeWindows::new(World { now: 101, ..world.clone() })).1.unwrap();
    assert_eq!(entries[0].attribution.primary_owner().unwrap().0.pid, 40);
    let door = FakeWindows::new(world);
    // It was created at 100: another's number until then.
    *door.change.lock().unwrap() = Some((4, Change::Now(|world| world.now = 101)));
    let (entries, _) = look(door).1.unwrap();
    assert_eq!(entries[0].attribution.reason(), Some(Reason::NoVisibleHolder));
}
