//! What is recorded, for whoever asks: read in the recorder's tables where the caller may, and asked of the recorder's user
//! part where he may not.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sockowner_wire::ask::{self, Answer, COOKIES_MAX, Request, Status, Told};

use super::call::ask::Line;
use super::call::record::pid_namespace;
use super::record_reader::{Reader, TCP, UDP};
use super::record_told::{EVIDENCES, GRADES, REASONS};
use crate::roles::Lived;
use crate::{
    Address, Component, ComponentFrame, Endpoint, Error, FileId, GapReason, Pattern, Protocol, Record,
    Recorded, RecordedProcess, Result, Role, RoleKind, RoleReason, Roles, StartTime, State,
};

/// Where the user part is asked.
pub(super) const SOCKET: &str = "/run/sockowner/record.sock";
/// So long all that is asked at once may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Closed sockets that were called so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closed {
    /// They, the last closed first.
    pub sockets: Vec<Recorded>,
    /// The caller is told of his own processes' sockets alone; whether others' were called so he may not know.
    pub withheld: bool,
}

/// Closed sockets that were called so; `None`: nothing is recorded.
///
/// # Platform
/// Linux. Root and the recorder's group read its tables and are told of all of them. Everybody else asks the recorder's
/// user part (`/run/sockowner/record.sock`), and is told of those in which a process has a role that was wholly his.
///
/// # Errors
/// Where what is recorded may not be read and nobody can be asked, or the answer fails to come.
pub fn closed(pattern: &Pattern) -> Result<Option<Closed>> {
    let refused = match Reader::open() {
        Ok(None) => return Ok(None),
        Ok(Some(reader)) => {
            return Ok(Some(Closed { sockets: reader.closed(pattern)?, withheld: false }));
        }
        Err(error) if error.is_not_permitted() => error,
        Err(error) => return Err(error),
    };
    let failed = |error: io::Error| {
        let kind = error.kind();
        let told = Error::io(format!("ask at {SOCKET} what was recorded of closed sockets"), error);
        told.with_kind(gap_reason(kind).1)
    };
    match Asking::begin().map_err(failed)? {
        None => Err(refused),
        Some(mut asking) => asking.closed(pattern).map_err(failed),
    }
}

/// What is told of sockets, as far as it came, and why the rest did not.
pub(super) struct Asked {
    pub(super) records: Vec<Record>,
    pub(super) failed: Option<io::Error>,
}

/// Asks what is recorded of the sockets with these cookies; `None`: nobody can be asked.
pub(super) fn sockets(cookies: &[u64]) -> Option<Asked> {
    let mut records = Vec::with_capacity(cookies.len());
    let failed = match Asking::begin() {
        Ok(None) => return None,
        Ok(Some(mut asking)) => asking.sockets(cookies, &mut records).err(),
        Err(error) => Some(error),
    };
    Some(Asked { records, failed })
}

/// What a failure is called, as a gap and as an error.
pub(super) fn gap_reason(kind: io::ErrorKind) -> (GapReason, crate::ErrorKind) {
    use crate::ErrorKind;
    match kind {
        io::ErrorKind::PermissionDenied => (GapReason::NotPermitted, ErrorKind::NotPermitted),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            (GapReason::Malformed, ErrorKind::Malformed)
        }
        io::ErrorKind::Unsupported => (GapReason::Unsupported, ErrorKind::Unsupported),
        io::ErrorKind::TimedOut => (GapReason::Interrupted, ErrorKind::System),
        _ => (GapReason::Gone, ErrorKind::System),
    }
}

/// A conversation with the user part.
struct Asking {
    line: Line,
    until: Instant,
    namespace: Option<u32>,
}

impl Asking {
    fn begin() -> io::Result<Option<Self>> {
        let until = Instant::now() + PATIENCE;
        let line = Line::open(until)?;
        Ok(line.map(|line| Self { line, until, namespace: pid_namespace() }))
    }

    /// `None`: nothing is recorded.
    fn ask(&mut self, request: &Request) -> io::Result<Option<Answer>> {
        let answer = Answer::decode(self.line.ask(&request.encode(), self.until)?).map_err(malformed)?;
        match answer.status {
            Status::Answered => Ok(Some(answer)),
            Status::NothingRecorded => Ok(None),
            Status::Failed => Err(io::Error::other("it could not read what was recorded")),
            Status::OtherVersion => {
                Err(io::Error::new(io::ErrorKind::Unsupported, "it is another version's"))
            }
        }
    }

    /// Adds what is told of each.
    fn sockets(&mut self, cookies: &[u64], records: &mut Vec<Record>) -> io::Result<()> {
        while let Some(left) = cookies.get(records.len()..).filter(|left| !left.is_empty()) {
            let asked = &left[..left.len().min(COOKIES_MAX)];
            let Some(answer) = self.ask(&Request::Sockets(asked.to_vec()))? else {
                records.resize(cookies.len(), Record::Nowhere);
                return Ok(());
            };
            if answer.sockets.is_empty() || answer.sockets.len() > asked.len() {
                return Err(malformed("it tells of other sockets than it was asked for"));
            }
            let understood = Understood::new(&answer, self.namespace);
            for (told, cookie) in answer.sockets.iter().zip(asked) {
                records.push(match told {
                    Told::NotRecorded => Record::NotRecorded,
                    Told::Withheld => Record::NotPermitted,
                    Told::Known(socket) if socket.cookie == *cookie => {
                        Record::Known(Box::new(understood.recorded(socket)?))
                    }
                    Told::Known(_) => {
                        return Err(malformed("it tells of other sockets than it was asked for"));
                    }
                });
            }
        }
        Ok(())
    }

    fn closed(&mut self, pattern: &Pattern) -> io::Result<Option<Closed>> {
        let Some((protocol, local, remote)) = pattern.sides() else {
            // The recorder keeps no zones.
            return Ok(Some(Closed { sockets: Vec::new(), withheld: true }));
        };
        let protocol = protocol.map_or(0, |protocol| if protocol == Protocol::Udp { UDP } else { TCP });
        let side = |(ip, port)| ask::Side { ip, port };
        let wanted = ask::Wanted { protocol, local: side(local), remote: remote.map(side) };
        let mut closed = Closed::default();
        let mut after = None;
        loop {
            let Some(answer) = self.ask(&Request::Closed { wanted, after })? else { return Ok(None) };
            let understood = Understood::new(&answer, self.namespace);
            for told in &answer.sockets {
                if let Told::Known(socket) = told {
                    closed.sockets.push(understood.recorded(socket)?);
                }
            }
            closed.withheld |= !answer.sees_all;
            if answer.more.is_none() {
                return Ok(Some(closed));
            }
            // Else there would be no end.
            let goes_on = answer.more.is_some_and(|next| {
                after.is_none_or(|last: ask::Place| {
                    (u64::MAX - next.closed, next.cookie) > (u64::MAX - last.closed, last.cookie)
                })
            });
            if !goes_on {
                return Err(malformed("it tells the same again"));
            }
            after = answer.more;
        }
    }
}

/// The processes and components of an answer.
struct Understood {
    processes: Vec<Arc<RecordedProcess>>,
    components: Vec<Option<Arc<Component>>>,
    /// Its numbers are those of the caller's pid namespace.
    is_ours: bool,
}

impl Understood {
    fn new(answer: &Answer, namespace: Option<u32>) -> Self {
        // Numbers of another namespace would name other processes here: whoever connected need not be who asks.
        let is_ours = answer.namespace != 0 && namespace == Some(answer.namespace);
        let process = |process: &ask::Process| Arc::new(process_of(process, is_ours));
        Self {
            processes: answer.processes.iter().map(process).collect(),
            components: answer.components.iter().map(|it| component_of(it).map(Arc::new)).collect(),
            is_ours,
        }
    }

    fn recorded(&self, socket: &ask::Socket) -> io::Result<Recorded> {
        let protocol = match socket.protocol {
            TCP => Protocol::Tcp,
            UDP => Protocol::Udp,
            _ => return Err(malformed("it tells of a protocol that nobody asked for")),
        };
        let mut roles = Roles::default();
        for (kind, told) in RoleKind::ALL.into_iter().zip(&socket.roles) {
            let role = match told {
                // Not understood is not known.
                Ok(role) => self.role(role).ok_or(Some(RoleReason::NotRecorded)),
                Err(number) => Err(word(&REASONS, *number)),
            };
            let slot = match kind {
                RoleKind::Creator => &mut roles.creator,
                RoleKind::Binder => &mut roles.binder,
                RoleKind::Listener => &mut roles.listener,
                RoleKind::Acceptor => &mut roles.acceptor,
            };
            match role {
                Ok(role) => *slot = Some(role),
                Err(reason) => roles.missing.extend(reason.map(|reason| (kind, reason))),
            }
        }
        let endpoint = socket.endpoint.map(|endpoint| {
            let address = |(ip, port)| Address::new(ip, port);
            Endpoint::new(protocol, State::CLOSE, address(endpoint.local), endpoint.remote.map(address))
        });
        Ok(Recorded {
            cookie: socket.cookie,
            protocol,
            netns: socket.netns,
            created_at: time(socket.created),
            closed_at: time(socket.closed),
            endpoint,
            cgroup: Some(socket.cgroup).filter(|&cgroup| cgroup != 0),
            roles,
        })
    }

    fn role(&self, role: &ask::Role) -> Option<Role> {
        let component = role.component.and_then(|index| self.components.get(index as usize));
        Some(Role {
            process: Arc::clone(self.processes.get(role.process as usize)?),
            tid: Some(role.tid).filter(|&tid| tid != 0 && self.is_ours),
            time: time(role.time),
            evidence: word(&EVIDENCES, role.evidence)?,
            implicit: role.implicit,
            service: None,
            container: None,
            component: component.cloned().flatten(),
        })
    }
}

fn process_of(process: &ask::Process, is_ours: bool) -> RecordedProcess {
    let [uid, effective_uid, saved_uid] = process.users;
    RecordedProcess {
        pid: Some(process.pid).filter(|&pid| pid != 0 && is_ours),
        start: StartTime { ticks: process.start_ticks, time: time(process.start_time) },
        name: text(&process.name),
        comm: text(&process.comm),
        path: process.path.as_deref().map(|path| PathBuf::from(text(path))),
        deleted: process.deleted,
        file: process.file.map(|(device, inode)| FileId { device, inode }),
        uid,
        effective_uid,
        saved_uid,
        dumpable: process.dumpable,
        cgroup: process.cgroup,
        kernel_thread: process.kernel_thread,
        lived: Lived { from: process.start, until: process.seen },
    }
}

/// `None` where how it was established is not understood.
fn component_of(component: &ask::Component) -> Option<Component> {
    let ComponentFrame { name, path, build_id, offset } = frame_of(&component.frame);
    Some(Component {
        name,
        path,
        build_id,
        offset: component.has_offset.then_some(offset),
        evidence: word(&GRADES, component.evidence)?,
        generated: component.generated,
        chain: component.chain.iter().map(frame_of).collect(),
    })
}

fn frame_of(frame: &ask::Frame) -> ComponentFrame {
    ComponentFrame {
        name: text(&frame.name),
        path: frame.path.as_deref().map(|path| PathBuf::from(text(path))),
        build_id: frame.build_id.clone(),
        offset: frame.offset,
    }
}

fn text(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

fn time(nanoseconds: i64) -> Option<SystemTime> {
    Some(UNIX_EPOCH + Duration::from_nanos(u64::try_from(nanoseconds).ok()?))
}

/// The word with this number.
fn word<T: Copy>(words: &[T], number: u8) -> Option<T> {
    words.get(usize::from(number).checked_sub(1)?).copied()
}

fn malformed(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::super::record_told::tests::{process, recorded, role};
    use super::super::record_told::written_answer;
    use super::*;
    use crate::RoleEvidence;

    const NAMESPACE: u32 = 9;

    fn answer(recorded: &Recorded) -> Answer {
        Answer::decode(&written_answer(recorded, NAMESPACE)).unwrap()
    }

    fn read(answer: &Answer, namespace: Option<u32>) -> Recorded {
        let [Told::Known(socket)] = &answer.sockets[..] else { panic!("{answer:?}") };
        Understood::new(answer, namespace).recorded(socket).unwrap()
    }

    fn told() -> Recorded {
        let role = |evidence| Some(role(process([1, 2, 3]), evidence));
        recorded(Roles {
            creator: role(RoleEvidence::Inherited),
            binder: None,
            listener: None,
            acceptor: role(RoleEvidence::FirstUser),
            missing: vec![
                (RoleKind::Binder, RoleReason::NotPermitted),
                (RoleKind::Listener, RoleReason::BeforeRecorder),
            ],
        })
    }

    fn answer_of_told() -> Answer {
        answer(&told())
    }

    #[test]
    fn what_is_told_arrives_whole() {
        let told = told();
        assert_eq!(read(&answer(&told), Some(NAMESPACE)), told);
        let little = Recorded {
            created_at: None,
            closed_at: None,
            endpoint: None,
            cgroup: None,
            protocol: Protocol::Udp,
            roles: Roles::default(),
            ..told
        };
        assert_eq!(read(&answer(&little), Some(NAMESPACE)), little);
    }

    #[test]
    fn numbers_of_another_namespace_are_not_taken() {
        for namespace in [None, Some(NAMESPACE + 1), Some(0)] {
            let read = read(&answer(&told()), namespace);
            let role = read.roles.creator.unwrap();
            assert_eq!((role.process.pid, role.tid), (None, None));
            assert_eq!(role.process.name, "alpha");
        }
    }

    #[test]
    fn what_is_not_understood_is_not_known() {
        let mut answer = answer_of_told();
        let Told::Known(socket) = &mut answer.sockets[0] else { panic!() };
        for role in socket.roles.iter_mut().flatten() {
            role.evidence = 200;
        }
        socket.roles[1] = Err(200);
        let roles = read(&answer, Some(NAMESPACE)).roles;
        assert_eq!((&roles.creator, &roles.acceptor), (&None, &None));
        let reasons = RoleKind::ALL.map(|kind| roles.reason(kind));
        let none = Some(RoleReason::NotRecorded);
        assert_eq!(reasons, [none, None, Some(RoleReason::BeforeRecorder), none]);
        let mut graded = answer_of_told();
        graded.components.iter_mut().for_each(|component| component.evidence = 0);
        let role = read(&graded, Some(NAMESPACE)).roles.creator.unwrap();
        assert_eq!(role.component, None);
    }
}
