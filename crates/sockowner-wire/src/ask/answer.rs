//! Answers: what is told of each socket, and once in a packet each process and each component that many name.

use std::net::IpAddr;

use zerocopy::little_endian::U32;

use super::layout::{
    ComponentFixed, DELETED, DUMPABLE, FRAME_HAS_BUILD_ID, FRAME_HAS_PATH, FrameFixed, GENERATED, HAS_FILE,
    HAS_OFFSET, HAS_PATH, Head, KERNEL_THREAD, MAGIC, NO_COMPONENT, ProcessFixed, RoleFixed, SEES_ALL,
    SocketFixed,
};
use super::read::Cursor;
use super::{Place, VERSION};
use crate::Malformed;

/// Stands for a time that is not told.
pub const NO_TIME: i64 = i64::MIN;

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// An answer.
    Answered,
    /// Nothing is recorded.
    NothingRecorded,
    /// What is recorded could not be read.
    Failed,
    /// The question is of another version.
    OtherVersion,
}

/// An answer as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What came of the question.
    pub status: Status,
    /// Nothing is withheld from whoever asked.
    pub sees_all: bool,
    /// The pid namespace of all pids in it, by its inode number; 0: it tells none.
    pub namespace: u32,
    /// Where closed sockets go on.
    pub more: Option<Place>,
    /// Processes that roles name by their index.
    pub processes: Vec<Process>,
    /// The same for components.
    pub components: Vec<Component>,
    /// What is told of each socket.
    pub sockets: Vec<Told>,
}

/// What is told of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// There is nothing on it.
    NotRecorded,
    /// Nobody may be named to whoever asked.
    Withheld,
    /// This.
    Known(Box<Socket>),
}

/// A socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// Its cookie.
    pub cookie: u64,
    /// `IPPROTO_TCP` or `IPPROTO_UDP`.
    pub protocol: u8,
    /// Inode number of its network namespace.
    pub netns: u64,
    /// When it was created, in nanoseconds since 1970, or [`NO_TIME`].
    pub created: i64,
    /// When it was closed, as above.
    pub closed: i64,
    /// Id of its cgroup, 0 where that is not told.
    pub cgroup: u64,
    /// What a closed one was called.
    pub endpoint: Option<Endpoint>,
    /// Creator, binder, listener and acceptor; or the number of the reason why nobody is named, 0 for none.
    pub roles: [Result<Role, u8>; 4],
}

/// What a socket was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its own address.
    pub local: (IpAddr, u16),
    /// Its peer's.
    pub remote: Option<(IpAddr, u16)>,
}

/// A process in a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role {
    /// Index of the process.
    pub process: u32,
    /// Index of the component.
    pub component: Option<u32>,
    /// The thread, 0 where that is not told.
    pub tid: u32,
    /// When the call was made, in nanoseconds since 1970, or [`NO_TIME`].
    pub time: i64,
    /// How it is known.
    pub evidence: u8,
    /// The call did it beside.
    pub implicit: bool,
}

/// A process as it was at a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Its number in the answer's namespace, 0 where that is not told.
    pub pid: u32,
    /// When it started, in nanoseconds since boot.
    pub start: u64,
    /// The same in ticks of the clock.
    pub start_ticks: u64,
    /// The same in nanoseconds since 1970, or [`NO_TIME`].
    pub start_time: i64,
    /// When it was last noted, in nanoseconds since boot.
    pub seen: u64,
    /// Id of the cgroup it was in.
    pub cgroup: u64,
    /// Real, effective and saved user.
    pub users: [u32; 3],
    /// Device and inode number of its executable.
    pub file: Option<(u64, u64)>,
    /// Others of its user could look into it.
    pub dumpable: bool,
    /// Nothing had the executable's name any more.
    pub deleted: bool,
    /// A thread of the kernel.
    pub kernel_thread: bool,
    /// What it called itself.
    pub comm: Vec<u8>,
    /// Its name.
    pub name: Vec<u8>,
    /// Its executable's path.
    pub path: Option<Vec<u8>>,
}

/// The module that made a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Component {
    /// How it was established.
    pub evidence: u8,
    /// The call came from code that was made at run time.
    pub generated: bool,
    /// The module, and where in it.
    pub frame: Frame,
    /// The frame's offset is known.
    pub has_offset: bool,
    /// From the system call outwards.
    pub chain: Vec<Frame>,
}

/// A place in a module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Its name.
    pub name: Vec<u8>,
    /// Its path.
    pub path: Option<Vec<u8>>,
    /// Its build-id.
    pub build_id: Option<Vec<u8>>,
    /// The place.
    pub offset: u64,
}

impl Answer {
    /// The answer in a packet.
    ///
    /// # Errors
    /// Where the packet is nothing of the kind, or another version's.
    pub fn decode(packet: &[u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(packet, "answer of the recorder");
        let head: Head = cursor.fixed()?;
        let status = match head.status.get() {
            0 => Status::Answered,
            1 => Status::NothingRecorded,
            2 => Status::Failed,
            3 => Status::OtherVersion,
            _ => return Err(cursor.malformed()),
        };
        let is_of_this_version = head.version.get() == VERSION || status == Status::OtherVersion;
        if head.magic != MAGIC || !is_of_this_version {
            return Err(cursor.malformed());
        }
        let processes = cursor.many(head.processes.get(), Process::read)?;
        let components = cursor.many(head.components.get(), Component::read)?;
        let limits = [processes.len(), components.len()];
        let sockets = cursor.many(head.sockets.get(), |cursor| Told::read(cursor, limits))?;
        cursor.end()?;
        let more = Place { closed: head.more_closed.get(), cookie: head.more_cookie.get() };
        Ok(Self {
            status,
            sees_all: head.flags.get() & SEES_ALL != 0,
            namespace: head.namespace.get(),
            more: (more.closed != 0).then_some(more),
            processes,
            components,
            sockets,
        })
    }
}

impl Process {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let fixed: ProcessFixed = cursor.fixed()?;
        let has = |flag| fixed.flags.get() & flag != 0;
        Ok(Self {
            pid: fixed.pid.get(),
            start: fixed.start.get(),
            start_ticks: fixed.start_ticks.get(),
            start_time: fixed.start_time.get(),
            seen: fixed.seen.get(),
            cgroup: fixed.cgroup.get(),
            users: fixed.users.map(U32::get),
            file: has(HAS_FILE).then(|| (fixed.device.get(), fixed.inode.get())),
            dumpable: has(DUMPABLE),
            deleted: has(DELETED),
            kernel_thread: has(KERNEL_THREAD),
            comm: cursor.bytes(fixed.comm)?,
            name: cursor.bytes(fixed.name)?,
            path: Some(cursor.bytes(fixed.path)?).filter(|_| has(HAS_PATH)),
        })
    }
}

impl Component {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let fixed: ComponentFixed = cursor.fixed()?;
        Ok(Self {
            evidence: fixed.evidence,
            generated: fixed.flags & GENERATED != 0,
            has_offset: fixed.flags & HAS_OFFSET != 0,
            frame: Frame::read(cursor)?,
            chain: cursor.many(fixed.frames.get().into(), Frame::read)?,
        })
    }
}

impl Frame {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let fixed: FrameFixed = cursor.fixed()?;
        let has = |flag| fixed.flags.get() & flag != 0;
        Ok(Self {
            offset: fixed.offset.get(),
            name: cursor.bytes(fixed.name)?,
            path: Some(cursor.bytes(fixed.path)?).filter(|_| has(FRAME_HAS_PATH)),
            build_id: Some(cursor.bytes(fixed.build_id)?).filter(|_| has(FRAME_HAS_BUILD_ID)),
        })
    }
}

impl Told {
    fn read(cursor: &mut Cursor<'_>, limits: [usize; 2]) -> Result<Self, Malformed> {
        match cursor.fixed::<u8>()? {
            0 => Ok(Self::NotRecorded),
            1 => Ok(Self::Withheld),
            2 => Ok(Self::Known(Box::new(Socket::read(cursor, limits)?))),
            _ => Err(cursor.malformed()),
        }
    }
}

impl Socket {
    fn read(cursor: &mut Cursor<'_>, limits: [usize; 2]) -> Result<Self, Malformed> {
        let fixed: SocketFixed = cursor.fixed()?;
        let local = cursor.ip(fixed.local_family, fixed.local)?;
        let remote = cursor.ip(fixed.remote_family, fixed.remote)?;
        let mut roles = fixed.reasons.map(Err);
        for (index, role) in roles.iter_mut().enumerate() {
            if fixed.named >> index & 1 != 0 {
                *role = Ok(Role::read(cursor, limits)?);
            }
        }
        Ok(Self {
            cookie: fixed.cookie.get(),
            protocol: fixed.protocol,
            netns: fixed.netns.get(),
            created: fixed.created.get(),
            closed: fixed.closed.get(),
            cgroup: fixed.cgroup.get(),
            endpoint: local.map(|ip| Endpoint {
                local: (ip, fixed.local_port.get()),
                remote: remote.map(|ip| (ip, fixed.remote_port.get())),
            }),
            roles,
        })
    }
}

impl Role {
    fn read(cursor: &mut Cursor<'_>, [processes, components]: [usize; 2]) -> Result<Self, Malformed> {
        let fixed: RoleFixed = cursor.fixed()?;
        let component = Some(fixed.component.get()).filter(|&index| index != NO_COMPONENT);
        let is_there = |index: u32, count| (index as usize) < count;
        if !is_there(fixed.process.get(), processes)
            || component.is_some_and(|component| !is_there(component, components))
        {
            return Err(cursor.malformed());
        }
        Ok(Self {
            process: fixed.process.get(),
            component,
            tid: fixed.tid.get(),
            time: fixed.time.get(),
            evidence: fixed.evidence,
            implicit: fixed.implicit != 0,
        })
    }
}
