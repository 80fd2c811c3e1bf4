//! Reading what the recorder noted.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use sockowner_wire::record::{Evidence, Origin, Party, ProcessRecord, SocketRecord};

use super::call::record::{self, INITIAL_PID_NAMESPACE, Maps};
use super::door::device;
use super::record::Clock;
use super::record_component::{self, Modules};
use crate::roles::Lived;
use crate::{
    Address, Component, Endpoint, Error, FileId, Pattern, Protocol, Recorded, RecordedProcess, Result, Role,
    RoleEvidence, RoleKind, RoleReason, Roles, StartTime, State,
};

/// `IPPROTO_TCP` and `IPPROTO_UDP`.
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;

/// The clock is corrected by so much without being set.
const CLOCK_MOVES: Duration = Duration::from_millis(1);
/// Processes, components and modules that are remembered.
const KNOWN_MAX: usize = 8192;

/// What the recorder noted, open for reading.
///
/// # Platform
/// Linux 5.19 and later for whoever is in the recorder's group; root with `CAP_BPF` before. Reading one socket is one to
/// five system calls.
#[derive(Debug)]
pub struct Reader {
    maps: Arc<Maps>,
    /// The reader's pid namespace; `None` where it cannot be told.
    namespace: Option<u32>,
    clock_offset: i64,
    known: Mutex<Known>,
}

/// What was read already: many sockets have one process, and many roles one component. Their keys are never another's.
#[derive(Debug, Default)]
pub(super) struct Known {
    processes: BTreeMap<u64, Arc<RecordedProcess>>,
    components: BTreeMap<u32, Arc<Component>>,
    modules: Modules,
    /// When the machine was started, by the wall clock's reading at that time.
    boot: Option<SystemTime>,
}

impl Known {
    /// Forgets it where the wall clock was set, or where it became much.
    fn refresh(&mut self, clock: &Clock) {
        let boot = clock.time(0);
        let moved = |(one, other): (SystemTime, SystemTime)| {
            one.duration_since(other).unwrap_or_else(|error| error.duration())
        };
        let is_set = self.boot.zip(boot).is_none_or(|both| moved(both) > CLOCK_MOVES);
        if is_set || self.processes.len() + self.components.len() + self.modules.len() > KNOWN_MAX {
            *self = Self { boot, ..Self::default() };
        }
    }
}

impl Reader {
    /// Opens it; `None`: nothing is recorded.
    ///
    /// # Errors
    /// Where the caller may not read it, or what is there is not what root's recorder makes.
    pub fn open() -> Result<Option<Self>> {
        let maps = record::open(true).map_err(|cause| Error::io("open the recorder's tables", cause))?;
        let namespace = record::pid_namespace();
        Ok(maps.map(|maps| Self {
            maps: Arc::new(maps),
            namespace,
            clock_offset: Clock::offset(),
            known: Mutex::default(),
        }))
    }

    /// What it notes, as seen from the pid namespace with this inode number; `None`: no process has a number.
    pub(super) fn seen_from(&self, namespace: Option<u32>) -> Self {
        Self {
            maps: Arc::clone(&self.maps),
            namespace,
            clock_offset: self.clock_offset,
            known: Mutex::default(),
        }
    }

    pub(super) fn maps(&self) -> &Maps {
        &self.maps
    }

    pub(super) fn clock(&self) -> Clock {
        Clock::read_at(self.clock_offset)
    }

    pub(super) fn known(&self, clock: &Clock) -> MutexGuard<'_, Known> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.refresh(clock);
        known
    }

    /// What is known of the socket with this cookie; `None`: nothing.
    ///
    /// # Errors
    /// Where the kernel refuses to tell.
    pub fn socket(&self, cookie: u64) -> Result<Option<Recorded>> {
        let read = |cause| Error::io(format!("read what was recorded of the socket {cookie}"), cause);
        let Some(record) = self.maps.sockets.get(&cookie).map_err(read)? else { return Ok(None) };
        let clock = self.clock();
        self.recorded(cookie, &record, &clock, &mut self.known(&clock)).map(Some).map_err(read)
    }

    /// What is known of these sockets, in their order.
    ///
    /// # Errors
    /// Where the kernel refuses to tell.
    pub fn sockets(&self, cookies: &[u64]) -> Result<Vec<Option<Recorded>>> {
        let read = |cause| Error::io("read what was recorded", cause);
        let clock = self.clock();
        let mut known = self.known(&clock);
        let mut read_one = |cookie: &u64| {
            let record = self.maps.sockets.get(cookie)?;
            record.map(|record| self.recorded(*cookie, &record, &clock, &mut known)).transpose()
        };
        cookies.iter().map(|cookie| read_one(cookie).map_err(read)).collect()
    }

    /// Closed sockets that were called so, the last closed first.
    ///
    /// # Errors
    /// Where the kernel refuses to tell.
    pub fn closed(&self, pattern: &Pattern) -> Result<Vec<Recorded>> {
        let read = |cause| Error::io("read what was recorded of closed sockets", cause);
        let mut found = Vec::new();
        self.maps
            .sockets
            .each(|cookie, record| {
                if record.closed != 0 && was_called(record, pattern) {
                    found.push((*cookie, *record));
                }
            })
            .map_err(read)?;
        found.sort_unstable_by_key(|(cookie, record)| (u64::MAX - record.closed, *cookie));
        let clock = self.clock();
        let mut known = self.known(&clock);
        let recorded =
            |(cookie, record): &(u64, SocketRecord)| self.recorded(*cookie, record, &clock, &mut known);
        found.iter().map(recorded).collect::<io::Result<_>>().map_err(read)
    }

    pub(super) fn recorded(
        &self,
        cookie: u64,
        record: &SocketRecord,
        clock: &Clock,
        known: &mut Known,
    ) -> io::Result<Recorded> {
        let mut missing = Vec::new();
        let mut role = |kind, party: &Party, component| -> io::Result<Option<Role>> {
            let process = match party.evidence() {
                Some(_) if party.process != 0 => self.process(party.process, clock, known)?,
                _ => None,
            };
            let mut found = process.and_then(|process| self.role(process, party, record, clock));
            if let Some(role) = &mut found {
                role.component = self.component(component, known)?;
            } else {
                missing.extend(reason(kind, party, record).map(|reason| (kind, reason)));
            }
            Ok(found)
        };
        let [creators, binders, listeners, acceptors] = record.components;
        let creator = role(RoleKind::Creator, &record.creator, creators)?;
        let binder = role(RoleKind::Binder, &record.binder, binders)?;
        let listener = role(RoleKind::Listener, &record.listener, listeners)?;
        let acceptor = role(RoleKind::Acceptor, &record.acceptor, acceptors)?;
        let is_older = record.origin() == Origin::Older;
        Ok(Recorded {
            cookie,
            protocol: protocol(record).unwrap_or(Protocol::Tcp),
            netns: record.netns.into(),
            created_at: if is_older { None } else { clock.time(record.created) },
            closed_at: if record.closed == 0 { None } else { clock.time(record.closed) },
            endpoint: (record.closed != 0).then(|| endpoint(record, State::CLOSE)).flatten(),
            cgroup: creator.as_ref().map(|role| role.process.cgroup),
            roles: Roles { creator, binder, listener, acceptor, missing },
        })
    }

    fn role(
        &self,
        process: Arc<RecordedProcess>,
        party: &Party,
        record: &SocketRecord,
        clock: &Clock,
    ) -> Option<Role> {
        let evidence = match party.evidence()? {
            Evidence::Call | Evidence::Implied => RoleEvidence::Call,
            Evidence::Inherited => RoleEvidence::Inherited,
            Evidence::FirstUser => RoleEvidence::FirstUser,
            Evidence::Closer => RoleEvidence::Closer,
            // Not understood is not known.
            _ => return None,
        };
        let time = party.after().and_then(|after| clock.time(record.created.saturating_add(after)));
        Some(Role {
            process,
            tid: (self.namespace == Some(INITIAL_PID_NAMESPACE)).then(|| party.tid()),
            time: time.filter(|_| evidence != RoleEvidence::Inherited),
            evidence,
            implicit: party.evidence() == Some(Evidence::Implied),
            service: None,
            container: None,
            component: None,
        })
    }

    pub(super) fn process(
        &self,
        key: u64,
        clock: &Clock,
        known: &mut Known,
    ) -> io::Result<Option<Arc<RecordedProcess>>> {
        if let Some(process) = known.processes.get(&key) {
            return Ok(Some(Arc::clone(process)));
        }
        let found = self.maps.processes.get(&key)?;
        let process = found.map(|record| self.describe(&record, clock)).transpose()?.map(Arc::new);
        // What is not there now may come.
        if let Some(process) = &process {
            known.processes.insert(key, Arc::clone(process));
        }
        Ok(process)
    }

    fn component(&self, key: u32, known: &mut Known) -> io::Result<Option<Arc<Component>>> {
        if key == 0 {
            return Ok(None);
        }
        if let Some(component) = known.components.get(&key) {
            return Ok(Some(Arc::clone(component)));
        }
        let component = record_component::component(&self.maps, key, &mut known.modules)?.map(Arc::new);
        if let Some(component) = &component {
            known.components.insert(key, Arc::clone(component));
        }
        Ok(component)
    }

    fn describe(&self, record: &ProcessRecord, clock: &Clock) -> io::Result<RecordedProcess> {
        let file = (record.inode != 0).then(|| {
            let (major, minor) = record.device();
            FileId { device: device(major, minor), inode: record.inode }
        });
        let executable = if record.path == 0 { None } else { self.maps.executables.get(&record.path)? };
        let path = executable
            .filter(|executable| (executable.inode, executable.device) == (record.inode, record.device))
            .and_then(|executable| executable.path())
            .map(|path| PathBuf::from(OsString::from_vec(path)));
        let comm = OsString::from_vec(record.comm().to_vec());
        let name = path.as_ref().and_then(|path| path.file_name()).map_or_else(|| comm.clone(), Into::into);
        let per_second = u128::from(clock.ticks_per_second);
        let ticks = u128::from(record.start) * per_second / 1_000_000_000;
        Ok(RecordedProcess {
            pid: match self.namespace {
                Some(INITIAL_PID_NAMESPACE) => Some(record.tgid),
                Some(namespace) => record.number_in(namespace),
                None => None,
            },
            start: StartTime {
                ticks: u64::try_from(ticks).unwrap_or(u64::MAX),
                time: clock.time(record.start),
            },
            name,
            comm,
            path,
            deleted: record.is_deleted(),
            file,
            uid: record.uid,
            effective_uid: record.euid,
            saved_uid: record.suid,
            dumpable: record.is_dumpable(),
            cgroup: record.cgroup,
            kernel_thread: record.is_kernel_thread(),
            lived: Lived { from: record.start, until: record.seen },
        })
    }
}

/// Why a role is empty that somebody must have had.
fn reason(kind: RoleKind, party: &Party, record: &SocketRecord) -> Option<RoleReason> {
    if party.evidence().is_some() {
        // There was no room for the process, or it is not understood.
        return Some(RoleReason::NotRecorded);
    }
    let is_older = match record.origin() {
        Origin::Older => matches!(kind, RoleKind::Creator | RoleKind::Binder),
        // Then its listener is.
        Origin::Child => matches!(kind, RoleKind::Creator | RoleKind::Listener),
        _ => false,
    };
    let is_missing = match record.origin() {
        // Such as the binder of a socket that the kernel chose a port for when a datagram was sent; or nobody bound it.
        Origin::Created => matches!(kind, RoleKind::Creator | RoleKind::Binder),
        // Accepted without asking for the peer's address; or not yet, or never.
        Origin::Child => kind == RoleKind::Acceptor,
        _ => false,
    };
    match (is_older && !record.is_refused(), is_older || is_missing) {
        (true, _) => Some(RoleReason::BeforeRecorder),
        (_, true) => Some(RoleReason::NotRecorded),
        _ => None,
    }
}

fn protocol(record: &SocketRecord) -> Option<Protocol> {
    match record.protocol {
        TCP => Some(Protocol::Tcp),
        UDP => Some(Protocol::Udp),
        _ => None,
    }
}

fn endpoint(record: &SocketRecord, state: State) -> Option<Endpoint> {
    if record.local_port == 0 {
        return None;
    }
    let local = Address::new(record.local()?, record.local_port);
    let remote = record.remote().filter(|_| record.remote_port != 0);
    let remote = remote.map(|ip| Address::new(ip, record.remote_port));
    Some(Endpoint::new(protocol(record)?, state, local, remote))
}

/// A wildcard listener would have served any address.
pub(super) fn was_called(record: &SocketRecord, pattern: &Pattern) -> bool {
    let was_listening = record.listener.evidence() == Some(Evidence::Call);
    let state = if was_listening { State::LISTEN } else { State::CLOSE };
    endpoint(record, state).is_some_and(|endpoint| pattern.matches(&endpoint, false).is_some())
}
