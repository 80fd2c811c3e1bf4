//! What the recorder noted, beside what is seen now: one look for each socket, by its cookie; and who had what nobody has any
//! more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use sockowner_wire::ProcStat;

use super::door::{Door, FileStat, is_gone, is_refused};
use super::process::{self, Frame};
use super::record_reader::Reader;
use super::users::Users;
use super::{Proc, System};
use crate::{
    Error, Executable, Gap, GapReason, Process, Record, RecordedOwner, RecordedProcess, Result, Role,
    RoleEvidence, RoleKind, Roles, Socket,
};

/// What is there while a recorder runs.
const TABLES: &str = "/run/sockowner/record/maps";
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
            // Each socket tells it.
            Err(error) if error.is_not_permitted() => vec![Record::NotPermitted; sockets.len()],
            Err(_) => {
                gaps.push(Gap::new("record", TABLES, GapReason::Malformed, 1));
                Vec::new()
            }
        }
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
        if let Some(opened) = opened.as_ref().filter(|opened| opened.directory == directory) {
            return Ok(Some(Arc::clone(&opened.reader)));
        }
        // What is there need not be root's: it is tried again, as another may come.
        *opened = None;
        let Some(reader) = Reader::open()?.map(Arc::new) else { return Ok(None) };
        *opened = Some(Opened { directory, reader: Arc::clone(&reader) });
        Ok(Some(reader))
    }
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
    known: BTreeMap<*const RecordedProcess, Option<(Arc<Process>, bool)>>,
}

impl<'a, D: Door> FormerOwners<'a, D> {
    pub(super) fn new(system: &'a System<D>, proc: Option<&'a Proc<D>>, users: &'a Users<'a, D>) -> Self {
        Self { system, proc, users, known: BTreeMap::new() }
    }

    /// `None` where none is known, and where it cannot be told whether he has ended.
    pub(super) fn of(&mut self, record: &Record) -> Option<RecordedOwner> {
        let proc = self.proc?;
        let (kind, role) = last_role(&record.known()?.roles)?;
        let key = Arc::as_ptr(&role.process);
        if !self.known.contains_key(&key) {
            let found = self.look_at(proc, role);
            self.known.insert(key, found.map(|(process, has_ended)| (Arc::new(process), has_ended)));
        }
        let (process, exited) = self.known.get(&key)?.clone()?;
        Some(RecordedOwner { process, role: kind, exited })
    }

    fn look_at(&self, proc: &Proc<D>, role: &Role) -> Option<(Process, bool)> {
        let recorded = &role.process;
        let pid = recorded.pid?;
        let frame = self.system.frame(proc);
        let (mut process, has_ended) = match self.life(proc, &frame, pid, recorded.start.ticks) {
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

    /// What became of the process with this number that started then.
    fn life(&self, proc: &Proc<D>, frame: &Frame, pid: u32, start_ticks: u64) -> Life {
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
            Ok(read) if read.process.start.ticks != start_ticks || is_zombie => Life::HasEnded,
            Ok(read) => Life::Lives(Box::new(read.process)),
            Err(error) if is_gone(&error) => Life::HasEnded,
            Err(_) => Life::Unknown,
        }
    }
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
    use super::super::fake::{Fake, FakeProcess, World};
    use super::super::tests::OPTIONS;
    use super::*;
    use crate::{Protocol, Recorded, RoleReason, StartTime};

    const TICKS: u64 = 1000;

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
        };
        let process = Arc::new(process);
        Role { process, tid: None, time: None, evidence, implicit: false, service: None, container: None }
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
