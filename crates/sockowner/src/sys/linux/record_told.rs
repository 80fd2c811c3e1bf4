//! What is recorded, as far as whoever asks may be told: the answering side of `wire::ask`.
//!
//! The unit is a process in a role: it is told to the user that it was wholly of (its real, effective and saved one) while
//! others of that user could look into it. Of a socket nobody of which may be told nothing is but that it is noted: who names
//! a cookie, of an open or a closed one, learns that ([`Told::Withheld`] is not [`Told::NotRecorded`]). A list of closed
//! sockets tells neither by silence nor by a number how many others' there are.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use sockowner_wire::ask::{self, Packet, Place, Request, Status, Told, Version};
use sockowner_wire::record::{Party, SocketRecord};

use super::record_reader::{Known, Reader, TCP, UDP, was_called};
use crate::{
    Component, ComponentEvidence, ComponentFrame, Pattern, Protocol, Recorded, RecordedProcess, Role,
    RoleEvidence, RoleKind, RoleReason, Roles,
};

/// So many closed sockets are looked at for one answer: about as many as it has room for.
const PAGE: usize = 1024;

/// Who asks, as the kernel tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Asker {
    /// The user, in the initial user namespace. `None`: root, or a member of the recorder's group, who are told everything.
    pub uid: Option<u32>,
    /// The pid namespace by its inode number. `None`: it is not known, and no pid is told.
    pub namespace: Option<u32>,
}

impl Asker {
    /// Who is told of his own processes alone, or of everybody's (`None`), by their numbers in this pid namespace.
    pub fn new(uid: Option<u32>, namespace: Option<u32>) -> Self {
        Self { uid, namespace }
    }

    fn may_know(&self, process: &RecordedProcess) -> bool {
        self.uid.is_none_or(|uid| process.may_be_told_to(uid))
    }

    /// What of it he is told; `None` where he may know nobody in it.
    ///
    /// When a socket was created is told with its creator, binder or acceptor, its cgroup with its creator.
    fn told_of(&self, mut recorded: Recorded) -> Option<Recorded> {
        if self.uid.is_none() {
            return Some(recorded);
        }
        let Roles { creator, binder, listener, acceptor, missing } = &mut recorded.roles;
        for (kind, role) in RoleKind::ALL.into_iter().zip([creator, binder, listener, acceptor]) {
            if role.take_if(|role| !self.may_know(&role.process)).is_some() {
                missing.push((kind, RoleReason::NotPermitted));
            }
        }
        let Roles { creator, binder, listener, acceptor, .. } = &recorded.roles;
        let began_it = [creator, binder, acceptor].into_iter().any(Option::is_some);
        if !began_it && listener.is_none() {
            return None;
        }
        if !began_it {
            recorded.created_at = None;
        }
        if creator.is_none() {
            recorded.cgroup = None;
        }
        Some(recorded)
    }
}

/// What is answered to a question of his: one packet to one packet. `reader` is `None` where nothing is recorded. `None`:
/// the packet is no question.
#[doc(hidden)]
pub fn answer(reader: Option<&Reader>, asker: &Asker, packet: &[u8]) -> Option<Vec<u8>> {
    let request = match Request::decode(packet).ok()? {
        Ok(request) => request,
        Err(Version::Other) => return Some(Status::OtherVersion.encode()),
    };
    let Some(reader) = reader else { return Some(Status::NothingRecorded.encode()) };
    let reader = &reader.seen_from(asker.namespace);
    let answered = match request {
        Request::Sockets(cookies) => of_sockets(reader, asker, &cookies),
        Request::Closed { wanted, after } => of_closed(reader, asker, &pattern(&wanted)?, after),
    };
    Some(answered.unwrap_or_else(|_| Status::Failed.encode()))
}

fn of_sockets(reader: &Reader, asker: &Asker, cookies: &[u64]) -> io::Result<Vec<u8>> {
    let (clock, mut known) = (reader.clock(), Known::default());
    let mut writing = Writing::default();
    for cookie in cookies {
        let told = match reader.maps().sockets.get(cookie)? {
            None => Told::NotRecorded,
            Some(record) => {
                let recorded = asker.told_of(reader.recorded(*cookie, &record, &clock, &mut known)?);
                recorded.map_or(Told::Withheld, |recorded| writing.prepare(&recorded))
            }
        };
        if !writing.add(&told) {
            break;
        }
    }
    Ok(writing.finish(asker, None))
}

fn of_closed(reader: &Reader, asker: &Asker, pattern: &Pattern, after: Option<Place>) -> io::Result<Vec<u8>> {
    let (clock, mut known) = (reader.clock(), Known::default());
    let place = |cookie: u64, record: &SocketRecord| (u64::MAX - record.closed, cookie);
    let after = after.map(|Place { closed, cookie }| (u64::MAX - closed, cookie));
    let mut found: Vec<(u64, SocketRecord)> = Vec::new();
    let (mut are_more, mut failed) = (false, None);
    let mut cut = |found: &mut Vec<(u64, SocketRecord)>| {
        found.sort_unstable_by_key(|(cookie, record)| place(*cookie, record));
        are_more |= found.len() > PAGE;
        found.truncate(PAGE);
    };
    reader.maps().sockets.each(|cookie, record| {
        let is_next = record.closed != 0 && after.is_none_or(|after| place(*cookie, record) > after);
        if failed.is_some() || !is_next || !was_called(record, pattern) {
            return;
        }
        // Others' are left out here, or a page of them would be all that is looked at.
        let mut may_know = |key| {
            let process = reader.process(key, &clock, &mut known)?;
            io::Result::Ok(process.is_some_and(|process| asker.may_know(&process)))
        };
        let parties = record.parties();
        let named = parties.iter().filter(|party| party.evidence().is_some() && party.process != 0);
        let may_know_one = |may, party: &Party| Ok(may || may_know(party.process)?);
        match named.into_iter().try_fold(asker.uid.is_none(), may_know_one) {
            Ok(true) => found.push((*cookie, *record)),
            Ok(false) => {}
            Err(error) => failed = Some(error),
        }
        if found.len() >= 2 * PAGE {
            cut(&mut found);
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    cut(&mut found);
    let mut writing = Writing::default();
    let mut last = None;
    for (cookie, record) in &found {
        let recorded = asker.told_of(reader.recorded(*cookie, record, &clock, &mut known)?);
        if let Some(recorded) = recorded {
            let told = writing.prepare(&recorded);
            if !writing.add(&told) {
                are_more = true;
                break;
            }
        }
        last = Some(Place { closed: record.closed, cookie: *cookie });
    }
    Ok(writing.finish(asker, last.filter(|_| are_more)))
}

fn pattern(wanted: &ask::Wanted) -> Option<Pattern> {
    let protocol = match wanted.protocol {
        0 => None,
        TCP => Some(Protocol::Tcp),
        UDP => Some(Protocol::Udp),
        _ => return None,
    };
    let side = |side: ask::Side| (side.ip, side.port);
    Some(Pattern::of_sides(protocol, side(wanted.local), wanted.remote.map(side)))
}

/// An answer that is being written: processes and components come once in it.
#[derive(Default)]
struct Writing {
    packet: Packet,
    processes: BTreeMap<*const RecordedProcess, (Arc<RecordedProcess>, u32)>,
    components: BTreeMap<*const Component, (Arc<Component>, u32)>,
    /// Before the socket that is being written.
    before: Option<ask::Mark>,
    count: usize,
}

impl Writing {
    /// Writes whom a socket names, and returns what is told of it.
    fn prepare(&mut self, recorded: &Recorded) -> Told {
        let roles = RoleKind::ALL.map(|kind| match recorded.roles.get(kind) {
            Some(role) => Ok(self.role(role)),
            None => Err(recorded.roles.reason(kind).map_or(0, |reason| number_of(&REASONS, &reason))),
        });
        let side = |address: crate::Address| (address.ip, address.port);
        Told::Known(Box::new(ask::Socket {
            cookie: recorded.cookie,
            protocol: if recorded.protocol == Protocol::Udp { UDP } else { TCP },
            netns: recorded.netns,
            created: nanoseconds(recorded.created_at),
            closed: nanoseconds(recorded.closed_at),
            cgroup: recorded.cgroup.unwrap_or(0),
            endpoint: recorded.endpoint.map(|endpoint| ask::Endpoint {
                local: side(endpoint.local),
                remote: endpoint.remote.map(side),
            }),
            roles,
        }))
    }

    fn role(&mut self, role: &Role) -> ask::Role {
        ask::Role {
            process: self.process(&role.process),
            component: role.component.as_ref().map(|component| self.component(component)),
            tid: role.tid.unwrap_or(0),
            time: nanoseconds(role.time),
            evidence: number_of(&EVIDENCES, &role.evidence),
            implicit: role.implicit,
        }
    }

    fn process(&mut self, process: &Arc<RecordedProcess>) -> u32 {
        let packet = &mut self.packet;
        let write = || (Arc::clone(process), packet.process(&written(process)));
        self.processes.entry(Arc::as_ptr(process)).or_insert_with(write).1
    }

    fn component(&mut self, component: &Arc<Component>) -> u32 {
        let packet = &mut self.packet;
        let write = || (Arc::clone(component), packet.component(&written_component(component)));
        self.components.entry(Arc::as_ptr(component)).or_insert_with(write).1
    }

    /// Adds a socket; false where there is no more room.
    fn add(&mut self, told: &Told) -> bool {
        self.packet.socket(told);
        // One has room in any case.
        if self.count > 0 && self.packet.is_too_long() {
            if let Some(before) = self.before {
                self.packet.undo(before);
            }
            return false;
        }
        self.count += 1;
        self.before = Some(self.packet.mark());
        true
    }

    fn finish(self, asker: &Asker, more: Option<Place>) -> Vec<u8> {
        self.packet.finish(asker.uid.is_none(), asker.namespace.unwrap_or(0), more)
    }
}

/// The numbers of words in packets: their places here, from 1.
pub(super) const EVIDENCES: [RoleEvidence; 4] =
    [RoleEvidence::Call, RoleEvidence::FirstUser, RoleEvidence::Closer, RoleEvidence::Inherited];
pub(super) const REASONS: [RoleReason; 3] =
    [RoleReason::NotRecorded, RoleReason::BeforeRecorder, RoleReason::NotPermitted];
pub(super) const GRADES: [ComponentEvidence; 5] = [
    ComponentEvidence::Cfi,
    ComponentEvidence::CallTarget,
    ComponentEvidence::CfiIndirect,
    ComponentEvidence::ReturnAddress,
    ComponentEvidence::ExecutableOnly,
];

fn number_of<T: PartialEq>(words: &[T], word: &T) -> u8 {
    let at = words.iter().position(|other| other == word);
    at.and_then(|at| u8::try_from(at + 1).ok()).unwrap_or(0)
}

fn nanoseconds(time: Option<SystemTime>) -> i64 {
    let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| i64::try_from(since.as_nanos()).ok()).unwrap_or(ask::NO_TIME)
}

fn written(process: &RecordedProcess) -> ask::Process {
    ask::Process {
        pid: process.pid.unwrap_or(0),
        start: process.lived.from,
        start_ticks: process.start.ticks,
        start_time: nanoseconds(process.start.time),
        seen: process.lived.until,
        cgroup: process.cgroup,
        users: [process.uid, process.effective_uid, process.saved_uid],
        file: process.file.map(|file| (file.device, file.inode)),
        dumpable: process.dumpable,
        deleted: process.deleted,
        kernel_thread: process.kernel_thread,
        comm: process.comm.as_bytes().to_vec(),
        name: process.name.as_bytes().to_vec(),
        path: process.path.as_ref().map(|path| path.as_os_str().as_bytes().to_vec()),
    }
}

/// Bytes of a chain: so one socket always has room.
const CHAIN_ROOM: usize = 6 << 10;

fn written_component(component: &Component) -> ask::Component {
    let Component { name, path, build_id, offset, evidence, generated, chain } = component;
    let mut left = CHAIN_ROOM;
    let frames = chain.iter().map(|frame| {
        let ComponentFrame { name, path, build_id, offset } = frame;
        written_frame(name, path.as_deref(), build_id.as_deref(), *offset)
    });
    let has_room = |frame: &ask::Frame| {
        let length = |text: &Option<Vec<u8>>| text.as_ref().map_or(0, Vec::len);
        let size = 16 + frame.name.len() + length(&frame.path) + length(&frame.build_id);
        let fits = size <= left;
        left = left.saturating_sub(size);
        fits
    };
    ask::Component {
        evidence: number_of(&GRADES, evidence),
        generated: *generated,
        has_offset: offset.is_some(),
        frame: written_frame(name, path.as_deref(), build_id.as_deref(), offset.unwrap_or(0)),
        chain: frames.take_while(has_room).collect(),
    }
}

fn written_frame(name: &OsStr, path: Option<&Path>, build_id: Option<&[u8]>, offset: u64) -> ask::Frame {
    ask::Frame {
        name: name.as_bytes().to_vec(),
        path: path.map(|path| path.as_os_str().as_bytes().to_vec()),
        build_id: build_id.map(<[u8]>::to_vec),
        offset,
    }
}

/// An answer that tells of one socket.
#[cfg(test)]
pub(super) fn written_answer(recorded: &Recorded, namespace: u32) -> Vec<u8> {
    let mut writing = Writing::default();
    let told = writing.prepare(recorded);
    assert!(writing.add(&told));
    writing.finish(&Asker { uid: None, namespace: Some(namespace) }, None)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::roles::Lived;
    use crate::{Address, Endpoint, FileId, StartTime, State};

    pub(in super::super) fn process(users: [u32; 3]) -> RecordedProcess {
        let [uid, effective_uid, saved_uid] = users;
        RecordedProcess {
            pid: Some(50),
            start: StartTime { ticks: 1000, time: Some(UNIX_EPOCH) },
            name: "alpha".into(),
            comm: "beta".into(),
            path: Some("/opt/alpha".into()),
            deleted: true,
            file: Some(FileId { device: 1, inode: 2 }),
            uid,
            effective_uid,
            saved_uid,
            dumpable: true,
            cgroup: 9,
            kernel_thread: false,
            lived: Lived { from: 3, until: 4 },
        }
    }

    fn frame(name: &str) -> ComponentFrame {
        ComponentFrame {
            name: name.into(),
            path: Some(format!("/lib/{name}").into()),
            build_id: Some(vec![1, 2, 3]),
            offset: 0x1234,
        }
    }

    pub(in super::super) fn role(process: RecordedProcess, evidence: RoleEvidence) -> Role {
        let component = Component {
            name: "libnio.so".into(),
            path: None,
            build_id: Some(vec![7; 20]),
            offset: Some(5),
            evidence: ComponentEvidence::CfiIndirect,
            generated: true,
            chain: vec![frame("libc.so.6"), frame("libnio.so")],
        };
        Role {
            process: Arc::new(process),
            tid: Some(51),
            time: Some(UNIX_EPOCH),
            evidence,
            implicit: true,
            service: None,
            container: None,
            component: Some(Arc::new(component)),
        }
    }

    pub(in super::super) fn recorded(roles: Roles) -> Recorded {
        let address = |text: &str| Address::from(text.parse::<std::net::SocketAddr>().unwrap());
        let (local, remote) = (address("[::1]:80"), Some(address("[::1]:4711")));
        Recorded {
            cookie: 77,
            protocol: Protocol::Tcp,
            netns: 8,
            created_at: Some(UNIX_EPOCH),
            closed_at: Some(UNIX_EPOCH),
            endpoint: Some(Endpoint::new(Protocol::Tcp, State::CLOSE, local, remote)),
            cgroup: Some(9),
            roles,
        }
    }

    const MINE: Asker = Asker { uid: Some(7), namespace: None };

    #[expect(clippy::unnecessary_wraps, reason = "it stands beside None")]
    fn by(users: [u32; 3]) -> Option<Role> {
        Some(role(process(users), RoleEvidence::Call))
    }

    #[test]
    fn only_who_was_wholly_his_is_told() {
        let everybody = Asker { uid: None, namespace: None };
        let told = |asker: &Asker, binder| {
            let recorded = recorded(Roles { binder, ..Roles::default() });
            asker
                .told_of(recorded.clone())
                .inspect(|told| assert_eq!(*told, Recorded { cgroup: told.cgroup, ..recorded }))
        };
        assert!(told(&MINE, by([7; 3])).is_some());
        for users in [[8, 7, 7], [7, 8, 7], [7, 7, 8], [0; 3]] {
            assert_eq!(told(&MINE, by(users)), None);
            assert!(told(&everybody, by(users)).is_some());
        }
        let closed = RecordedProcess { dumpable: false, ..process([7; 3]) };
        assert_eq!(told(&MINE, Some(role(closed, RoleEvidence::Call))), None);
        // Nobody is known: it may be anybody's.
        assert_eq!(told(&MINE, None), None);
        assert!(told(&everybody, None).is_some());
    }

    #[test]
    fn of_a_shared_socket_his_part_is_told() {
        let his = || by([7; 3]);
        let theirs = || by([8; 3]);
        let missing = vec![(RoleKind::Acceptor, RoleReason::NotRecorded)];
        let all = |creator, binder, listener| Roles {
            creator,
            binder,
            listener,
            acceptor: None,
            missing: missing.clone(),
        };
        for (roles, is_dated, has_cgroup) in [
            (all(his(), theirs(), theirs()), true, true),
            (all(theirs(), his(), theirs()), true, false),
            (all(theirs(), theirs(), his()), false, false),
            (Roles { acceptor: his(), creator: theirs(), ..Roles::default() }, true, false),
        ] {
            let told = MINE.told_of(recorded(roles.clone())).unwrap();
            assert_eq!((told.created_at.is_some(), told.cgroup.is_some()), (is_dated, has_cgroup));
            for kind in RoleKind::ALL {
                let is_his = roles.get(kind).is_some_and(|role| role.process.uid == 7);
                assert_eq!(told.roles.get(kind), roles.get(kind).filter(|_| is_his));
                let reason = if roles.get(kind).is_some() && !is_his {
                    Some(RoleReason::NotPermitted)
                } else {
                    roles.reason(kind)
                };
                assert_eq!(told.roles.reason(kind), reason);
            }
        }
    }

    #[test]
    fn one_socket_has_room_however_long_its_names_are() {
        let long = "x".repeat(4096);
        let mut writing = Writing::default();
        let one = || {
            let mut role = role(process([7; 3]), RoleEvidence::Call);
            let process = Arc::make_mut(&mut role.process);
            (process.name, process.comm, process.path) =
                (long.clone().into(), long.clone().into(), Some(long.clone().into()));
            let frame = ComponentFrame {
                name: long.clone().into(),
                path: Some(long.clone().into()),
                build_id: Some(vec![1; 4096]),
                offset: 0,
            };
            let component = Component {
                name: long.clone().into(),
                path: frame.path.clone(),
                build_id: frame.build_id.clone(),
                offset: None,
                evidence: ComponentEvidence::Cfi,
                generated: false,
                chain: vec![frame; 9],
            };
            role.component = Some(Arc::new(component));
            Some(role)
        };
        let roles =
            Roles { creator: one(), binder: one(), listener: one(), acceptor: one(), missing: Vec::new() };
        let told = writing.prepare(&recorded(roles.clone()));
        assert!(writing.add(&told) && !writing.packet.is_too_long());
        let told = writing.prepare(&recorded(roles));
        // It knows them already.
        assert!(writing.add(&told));
        let told = writing.prepare(&recorded(Roles {
            creator: one(),
            binder: one(),
            listener: one(),
            ..Roles::default()
        }));
        assert!(!writing.add(&told));
        let answer = ask::Answer::decode(&writing.finish(&MINE, None)).unwrap();
        assert_eq!((answer.sockets.len(), answer.processes.len()), (2, 4));
    }
}
