//! What the recorder noted, beside what is seen now: one look for each socket, by its cookie; and who had what nobody has any
//! more.

use std::collections::{BTreeMap, BTreeSet};
use std::slice;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use sockowner_wire::ProcStat;

use super::bpf::Key;
use super::door::{Door, FileStat, is_gone, is_refused};
use super::process::{self, Frame};
use super::record_ask::{self, Asked};
use super::record_reader::Reader;
use super::users::Users;
use super::{Proc, System};
use crate::roles::Lived;
use crate::{
    Error, Executable, Gap, GapReason, Process, Record, RecordedOwner, RecordedProcess, Result, Role,
    RoleEvidence, RoleKind, Roles, Socket,
};

/// What is there while a recorder runs.
const TABLES: &str = "/run/sockowner/record/maps";
/// For so long it is taken to be there still. What a recorder noted that was stopped meanwhile is true all the same.
const SEEN_FOR: Duration = Duration::from_millis(10);
/// So many sockets are looked up together: what is told of them takes room.
const TOGETHER: usize = 4096;

/// The recorder's tables: opened when there are some, anew when there are others.
#[derive(Debug, Default)]
pub(super) struct Recorder(Mutex<Option<Opened>>);

#[derive(Debug)]
struct Opened {
    /// Device and inode number of their directory: each recorder has a file system of its own.
    directory: (u64, u64),
    reader: Arc<Reader>,
    /// When the directory was there.
    seen: Instant,
}

impl Recorder {
    /// What is recorded of each of these sockets, in their order; empty where nothing is.
    pub(super) fn read<D: Door>(&self, door: &D, sockets: &[Socket], gaps: &mut Vec<Gap>) -> Vec<Record> {
        if sockets.is_empty() {
            return Vec::new();
        }
        match self
            .open(door)
            .and_then(|reader| reader.map_or_else(|| Ok(Vec::new()), |it| look(&it, sockets)))
        {
            Ok(records) => records,
            Err(error) if error.is_not_permitted() => ask(sockets, gaps),
            Err(_) => {
                gaps.push(Gap::new("record", TABLES, GapReason::Malformed, 1));
                Vec::new()
            }
        }
    }

    /// As [`read`](Self::read) of one socket, mostly without a look whether there is a recorder still.
    pub(super) fn read_one<D: Door>(&self, door: &D, socket: &Socket, gaps: &mut Vec<Gap>) -> Option<Record> {
        let opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = opened.as_ref().filter(|opened| opened.seen.elapsed() < SEEN_FOR);
        let reader = seen.map(|opened| Arc::clone(&opened.reader));
        drop(opened);
        let found = reader.and_then(|reader| look(&reader, slice::from_ref(socket)).ok());
        found.unwrap_or_else(|| self.read(door, slice::from_ref(socket), gaps)).pop()
    }

    /// Costs one stat(2) where there is no recorder.
    fn open<D: Door>(&self, door: &D) -> Result<Option<Arc<Reader>>> {
        let mut opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = match door.stat_root(TABLES.as_bytes()) {
            Ok(FileStat { device, inode, .. }) => (device, inode),
            Err(error) if is_gone(&error) => {
                *opened = None;
                return Ok(None);
            }
            Err(error) if is_refused(&error) => return Ok(None),
            Err(error) => return Err(Error::io(format!("examine {TABLES}"), error)),
        };
        if let Some(opened) = opened.as_mut().filter(|opened| opened.directory == directory) {
            opened.seen = Instant::now();
            return Ok(Some(Arc::clone(&opened.reader)));
        }
        // What is there need not be root's: it is tried again, as another may come.
        *opened = None;
        let Some(reader) = Reader::open()?.map(Arc::new) else { return Ok(None) };
        *opened = Some(Opened { directory, reader: Arc::clone(&reader), seen: Instant::now() });
        Ok(Some(reader))
    }
}

/// Where the tables may not be read, the recorder's user part is asked; where that does not tell either, each socket says
/// that it may not be known.
fn ask(sockets: &[Socket], gaps: &mut Vec<Gap>) -> Vec<Record> {
    let cookies: Vec<_> = sockets.iter().map(|socket| socket.cookie).collect();
    let Some(Asked { mut records, failed }) = record_ask::sockets(&cookies) else {
        return vec![Record::NotPermitted; sockets.len()];
    };
    if let Some(error) = failed {
        let (reason, _) = record_ask::gap_reason(error.kind());
        gaps.push(Gap::new("record", format!("{} ({error})", record_ask::SOCKET), reason, 1));
    }
    records.resize(sockets.len(), Record::NotPermitted);
    records
}

fn look(reader: &Reader, sockets: &[Socket]) -> Result<Vec<Record>> {
    let mut records = Vec::with_capacity(sockets.len());
    for some in sockets.chunks(TOGETHER) {
        let cookies: Vec<_> = some.iter().map(|socket| socket.cookie).collect();
        let found = reader.sockets(&cookies)?.into_iter();
        records.extend(
            found.map(|found| found.map_or(Record::NotRecorded, |known| Record::Known(Box::new(known)))),
        );
    }
    Ok(records)
}

/// Each role of a record that somebody is known in.
pub(super) fn roles_mut(record: &mut Record) -> impl Iterator<Item = &mut Role> {
    let recorded = if let Record::Known(recorded) = record { Some(recorded) } else { None };
    recorded.into_iter().flat_map(|recorded| recorded.roles.each_mut())
}

/// The cgroups of the processes in a record.
pub(super) fn cgroup_ids(records: &[Record]) -> impl Iterator<Item = u64> {
    let roles = |record| RoleKind::ALL.into_iter().filter_map(move |kind| Record::role(record, kind));
    records.iter().flat_map(roles).map(|role| role.process.cgroup)
}

/// Who had the sockets that nobody has any more; each process is looked at once.
pub(super) struct FormerOwners<'a, D: Door> {
    system: &'a System<D>,
    proc: Option<&'a Proc<D>>,
    users: &'a Users<'a, D>,
    /// What is recorded of them lives as long as the records do.
    known: BTreeMap<*const RecordedProcess, (Arc<Process>, bool)>,
    living: Option<Living>,
}

/// Processes that lived in or after a tick of the clock, by number and start in nanoseconds.
struct Living {
    tick: u64,
    /// `None` where they cannot be told.
    processes: Option<BTreeSet<Key>>,
}

impl<'a, D: Door> FormerOwners<'a, D> {
    pub(super) fn new(system: &'a System<D>, proc: Option<&'a Proc<D>>, users: &'a Users<'a, D>) -> Self {
        Self { system, proc, users, known: BTreeMap::new(), living: None }
    }

    /// `None` where none is known, and where it cannot be told whether he has ended.
    pub(super) fn of(&mut self, record: &Record) -> Option<RecordedOwner> {
        let proc = self.proc?;
        let (kind, role) = last_role(&record.known()?.roles)?;
        let key = Arc::as_ptr(&role.process);
        if !self.known.contains_key(&key) {
            let (process, has_ended) = self.look_at(proc, role)?;
            self.known.insert(key, (Arc::new(process), has_ended));
        }
        let (process, exited) = self.known.get(&key)?.clone();
        Some(RecordedOwner { process, role: kind, exited })
    }

    fn look_at(&mut self, proc: &Proc<D>, role: &Role) -> Option<(Process, bool)> {
        let recorded = &role.process;
        let pid = recorded.pid?;
        let frame = self.system.frame(proc);
        let (mut process, has_ended) = match self.life(proc, &frame, pid, role) {
            Life::Lives(process) => (*process, false),
            Life::HasEnded => (former(pid, role, proc.users_are_initial), true),
            Life::Unknown => return None,
        };
        if process.executable.is_none() && !has_ended {
            // It may not be seen, or has changed: so it was at the call.
            process.executable = executable(recorded);
            process.name.clone_from(&recorded.name);
        }
        process.user = process.uid.and_then(|uid| self.users.name(uid));
        Some((process, has_ended))
    }

    /// What became of the process in this role, which had this number.
    fn life(&mut self, proc: &Proc<D>, frame: &Frame, pid: u32, role: &Role) -> Life {
        let door = &self.system.door;
        let dir = match door.open_dir(&proc.dir, pid.to_string().as_bytes()) {
            Ok(dir) => dir,
            // It may be hidden.
            Err(error) if is_gone(&error) => {
                return if matches!(door.process_exists(pid), Ok(false)) {
                    Life::HasEnded
                } else {
                    Life::Unknown
                };
            }
            Err(_) => return Life::Unknown,
        };
        let mut text = Vec::with_capacity(1024);
        let read = door.read_piece(&dir, b"stat", &mut text).and_then(|()| process::read(door, &dir, frame));
        let is_zombie = ProcStat::parse(&text).is_ok_and(|stat| stat.is_zombie() && stat.num_threads < 2);
        match read {
            Ok(read) if read.process.start.ticks != role.process.start.ticks || is_zombie => Life::HasEnded,
            Ok(read) => match self.is_the_same(proc, pid, role) {
                Some(true) => Life::Lives(Box::new(read.process)),
                Some(false) => Life::HasEnded,
                None => Life::Unknown,
            },
            Err(error) if is_gone(&error) => Life::HasEnded,
            Err(_) => Life::Unknown,
        }
    }

    /// Whether the process that has the number now, and started in the same tick of the clock as the recorded one, is that
    /// one; `None` where it cannot be told.
    ///
    /// Another can have its number only if the recorded one ended before, so in that very tick: a hundredth of a second, in
    /// which all numbers would have to be given out, or somebody chose the next one. Whoever is known to have gone on in a
    /// later tick, by a call that he made or because he was seen then, is no such one, and has no successor that started in
    /// his tick. Of others the iterators tell the start in nanoseconds. Executable and user prove nothing: whoever starts a
    /// program twice has both.
    fn is_the_same(&mut self, proc: &Proc<D>, pid: u32, role: &Role) -> Option<bool> {
        let Self { system, living, .. } = self;
        let frame = system.frame(proc);
        let per_second = frame.now.ticks_per_second;
        let started = role.process.start.ticks;
        if tick(last_seen(role), per_second) > started {
            return Some(true);
        }
        if living.as_ref().is_none_or(|living| living.tick <= started) {
            let frame = if frame.ticks_now() > started {
                frame
            } else {
                // It has just started: a tick later it can be told from its successors.
                thread::sleep(Duration::from_secs(1) / u32::try_from(per_second).unwrap_or(100).max(1));
                system.frame(proc)
            };
            let bpf = system.bpf().ok();
            let processes = bpf.and_then(|bpf| bpf.living(&system.door, bpf.shows_all).ok());
            *living = Some(Living { tick: frame.ticks_now(), processes });
        }
        let living = living.as_ref().filter(|living| living.tick > started)?;
        let processes = living.processes.as_ref()?;
        if processes.contains(&(pid, role.process.lived.from)) {
            return Some(true);
        }
        // Whoever is not told of may be kept from the iterators.
        processes.range((pid, 0)..=(pid, u64::MAX)).next().map(|_| false)
    }
}

/// As field 22 of `/proc/PID/stat` counts.
fn tick(nanoseconds: u64, per_second: u64) -> u64 {
    let ticks = u128::from(nanoseconds) * u128::from(per_second) / 1_000_000_000;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

/// The last time at which it is known to have gone on, in nanoseconds since boot: when it was noted last, or made the call.
fn last_seen(role: &Role) -> u64 {
    let Lived { from, until } = role.process.lived;
    // Both are by one reading of the clock.
    let since_start = role.time.zip(role.process.start.time);
    let since_start = since_start.and_then(|(call, start)| call.duration_since(start).ok());
    let call = since_start.and_then(|since| u64::try_from(since.as_nanos()).ok());
    until.max(call.map_or(0, |call| from.saturating_add(call)))
}

enum Life {
    Lives(Box<Process>),
    HasEnded,
    Unknown,
}

/// Who used a socket last: who accepted it; else, as nobody did, who bound it, which for a connection made from here is
/// mostly its connect(2). What its listener's processes did says nothing of who had it.
fn last_role(roles: &Roles) -> Option<(RoleKind, &Role)> {
    let known = |kind| Some((kind, roles.get(kind)?));
    let role = known(RoleKind::Acceptor).or_else(|| known(RoleKind::Binder));
    role.filter(|(_, role)| role.evidence != RoleEvidence::Inherited)
}

/// A process that has ended, as it was at the call.
fn former(pid: u32, role: &Role, users_are_initial: bool) -> Process {
    let recorded = &role.process;
    Process {
        pid,
        start: recorded.start,
        parent: 0,
        name: recorded.name.clone(),
        comm: recorded.comm.clone(),
        executable: executable(recorded),
        uid: users_are_initial.then_some(recorded.effective_uid),
        user: None,
        service: role.service.clone(),
        container: role.container.clone(),
        command_line: None,
        pidfd_inode: None,
        kernel_thread: recorded.kernel_thread,
    }
}

fn executable(recorded: &RecordedProcess) -> Option<Executable> {
    let RecordedProcess { path, deleted, file, .. } = recorded;
    path.clone().map(|path| Executable { path, verified: false, deleted: *deleted, file: *file })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::super::fake::{Fake, FakeProcess, World};
    use super::super::tests::OPTIONS;
    use super::*;
    use crate::{Protocol, Recorded, RoleReason, StartTime};

    const TICKS: u64 = 1000;
    const TICK: u64 = 10_000_000;
    /// As the fake iterators tell it.
    const START: u64 = TICKS * TICK + 4711;

    fn role(evidence: RoleEvidence, pid: Option<u32>) -> Role {
        let process = RecordedProcess {
            pid,
            start: StartTime { ticks: TICKS, time: None },
            name: "then".into(),
            comm: "then".into(),
            path: Some("/opt/then".into()),
            deleted: false,
            file: None,
            uid: 1,
            effective_uid: 2,
            saved_uid: 3,
            dumpable: true,
            cgroup: 9,
            kernel_thread: false,
            lived: Lived { from: START, until: START + TICK },
        };
        let process = Arc::new(process);
        Role {
            process,
            tid: None,
            time: None,
            evidence,
            implicit: false,
            service: None,
            container: None,
            component: None,
        }
    }

    fn record(roles: Roles) -> Record {
        Record::Known(Box::new(Recorded {
            cookie: 1,
            protocol: Protocol::Tcp,
            netns: 1,
            created_at: None,
            closed_at: None,
            endpoint: None,
            cgroup: None,
            roles,
        }))
    }

    fn bound_by(pid: Option<u32>) -> Record {
        record(Roles { binder: Some(role(RoleEvidence::Call, pid)), ..Roles::default() })
    }

    fn owner(world: World, record: &Record) -> Option<RecordedOwner> {
        let system = System::open_with(Fake::new(world), OPTIONS).unwrap();
        let users = Users::new(&system.door);
        let mut owners = FormerOwners::new(&system, system.proc.as_ref().ok(), &users);
        let owner = owners.of(record);
        assert_eq!(owners.of(record), owner, "what is known is the same");
        owner
    }

    fn with(process: FakeProcess) -> World {
        let mut world = World::new();
        world.process(process);
        world
    }

    fn process() -> FakeProcess {
        FakeProcess { pid: 50, start: TICKS, ..FakeProcess::default() }
    }

    #[test]
    fn who_lives_is_told_as_he_is_now_and_who_has_ended_as_he_was() {
        let record = bound_by(Some(50));
        let living = owner(with(process()), &record).unwrap();
        assert_eq!((living.process.name.to_str(), living.exited), (Some("daemon"), false));
        assert_eq!(living.role, RoleKind::Binder);
        let private = FakeProcess { private: true, ..process() };
        let living = owner(with(private), &record).unwrap();
        assert_eq!((living.process.name.to_str(), living.exited), (Some("then"), false));
        let later = FakeProcess { start: TICKS + 1, ..process() };
        let zombie = FakeProcess { state: 'Z', ..process() };
        for world in [World::new(), with(later), with(zombie)] {
            let ended = owner(world, &record).unwrap();
            assert!(ended.exited);
            assert_eq!((ended.process.name.to_str(), ended.process.start.ticks), (Some("then"), TICKS));
            let executable = ended.process.executable.as_ref().unwrap();
            assert_eq!((executable.path.to_str(), executable.verified), (Some("/opt/then"), false));
        }
    }

    #[test]
    fn where_it_cannot_be_told_who_lives_nobody_is_named() {
        let hidden = World { hidden: vec![50], ..World::new() };
        assert_eq!(owner(hidden, &bound_by(Some(50))), None);
        assert_eq!(owner(with(process()), &bound_by(None)), None, "another pid namespace's");
    }

    /// Bound by a process that is known to have lived for so long, and called at that time after its start.
    fn bound_by_one_of(lived: Lived, called: Option<u64>) -> Record {
        let start = SystemTime::UNIX_EPOCH;
        let mut role = role(RoleEvidence::Call, Some(50));
        role.time = called.map(|after| start + Duration::from_nanos(after));
        let process = Arc::make_mut(&mut role.process);
        process.lived = lived;
        process.start.time = Some(start);
        record(Roles { binder: Some(role), ..Roles::default() })
    }

    #[test]
    fn whose_start_may_be_a_successors_is_not_named() {
        let whole = |from, until| Lived { from, until };
        let end_of_tick = (TICKS + 1) * TICK;
        let at_once = whole(START, START);
        // He lived in the next tick, by a call or because he was noted then.
        let lived_on = [
            (whole(START, end_of_tick), None),
            (at_once, Some(end_of_tick - START)),
            (whole(START, end_of_tick), Some(0)),
        ];
        for (lived, called) in lived_on {
            let living = owner(with(process()), &bound_by_one_of(lived, called)).unwrap();
            assert_eq!((living.process.name.to_str(), living.exited), (Some("daemon"), false));
        }
        let in_his_tick = [
            (at_once, None),
            (whole(START, end_of_tick - 1), None),
            (at_once, Some(end_of_tick - START - 1)),
        ];
        for (lived, called) in in_his_tick {
            let record = bound_by_one_of(lived, called);
            assert_eq!(owner(with(process()), &record), None);
            // Iterators tell them apart.
            let iterates = |process| World { iterates: true, ..with(process) };
            assert!(!owner(iterates(process()), &record).unwrap().exited);
            let other = bound_by_one_of(whole(lived.from - 1, lived.until - 1), called);
            assert!(owner(iterates(process()), &other).unwrap().exited);
            // They do not come by him, or by anybody at this time.
            let unvisited = World { unvisited: vec![50], ..iterates(process()) };
            assert_eq!(owner(unvisited, &record), None);
            // Who has another tick is another in any case.
            let later = FakeProcess { start: TICKS + 1, ..process() };
            assert!(owner(with(later), &record).unwrap().exited);
        }
    }

    #[test]
    fn only_who_used_the_socket_itself_owned_it() {
        let listener = || Some(role(RoleEvidence::Inherited, Some(50)));
        let of_listener = Roles { creator: listener(), listener: listener(), ..Roles::default() };
        assert_eq!(owner(with(process()), &record(of_listener.clone())), None);
        for evidence in [RoleEvidence::Call, RoleEvidence::FirstUser, RoleEvidence::Closer] {
            let acceptor = Some(role(evidence, Some(50)));
            let roles = Roles { acceptor, binder: listener(), ..of_listener.clone() };
            assert_eq!(owner(with(process()), &record(roles)).unwrap().role, RoleKind::Acceptor);
        }
        let inherited = Roles { binder: listener(), ..Roles::default() };
        assert_eq!(owner(with(process()), &record(inherited)), None);
        let created = Roles { creator: Some(role(RoleEvidence::Call, Some(50))), ..Roles::default() };
        assert_eq!(owner(with(process()), &record(created)), None, "who connected it is not known");
        for nothing in [Record::Nowhere, Record::NotPermitted, Record::NotRecorded] {
            assert_eq!(owner(with(process()), &nothing), None);
        }
        let missing = vec![(RoleKind::Acceptor, RoleReason::NotRecorded)];
        assert_eq!(owner(with(process()), &record(Roles { missing, ..of_listener })), None);
    }
}
