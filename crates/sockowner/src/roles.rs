//! Who created, bound, listened on and accepted a socket, as the kernel noted it at the call. Plain data.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::{Container, Endpoint, FileId, Protocol, Service, StartTime};

/// What a recorder knows of a socket, as far as the caller may be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Record {
    /// Nothing is recorded here, or owners were not asked for.
    #[default]
    Nowhere,
    /// There is a recorder, which this caller may not read.
    NotPermitted,
    /// There is one that has nothing on this socket.
    NotRecorded,
    /// This.
    Known(Box<Recorded>),
}

impl Record {
    /// What is known; `None` where that is nothing.
    pub fn known(&self) -> Option<&Recorded> {
        match self {
            Self::Known(recorded) => Some(recorded),
            Self::Nowhere | Self::NotPermitted | Self::NotRecorded => None,
        }
    }

    /// Who was in the role.
    pub fn role(&self, kind: RoleKind) -> Option<&Role> {
        self.known()?.roles.get(kind)
    }
}

/// What was recorded of one socket.
///
/// # Platform
/// Linux, while a recorder runs: `os::linux::record`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recorded {
    /// The kernel's number for the socket; never reused before a reboot.
    pub cookie: u64,
    /// Its protocol.
    pub protocol: Protocol,
    /// Inode number of its network namespace.
    pub netns: u64,
    /// When it was created; for a connection that came in, when it was established. `None`: before the recorder was
    /// started, or past it.
    pub created_at: Option<SystemTime>,
    /// When its last descriptor was closed; `None` while it is open. Of a connection that nobody accepted: when it ended.
    pub closed_at: Option<SystemTime>,
    /// What it was called last, for a closed socket that was bound.
    pub endpoint: Option<Endpoint>,
    /// Id of the cgroup in which it was created, or its listener was; `None` where that is not known.
    pub cgroup: Option<u64>,
    /// Who had to do with it.
    pub roles: Roles,
}

/// The processes that had to do with a socket, each in its role. `None`: nobody, or nobody is known; then
/// [`reason`](Self::reason) tells which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Roles {
    /// Called socket(2): for a connection that came in, to make its listener ([`RoleEvidence::Inherited`]).
    pub creator: Option<Role>,
    /// Bound it: by bind(2), or by the connect(2) or listen(2) that had the kernel choose a port.
    #[doc(alias = "GetOwnerModuleFromTcpEntry")]
    pub binder: Option<Role>,
    /// Called listen(2): for a connection that came in, on its listener ([`RoleEvidence::Inherited`]).
    pub listener: Option<Role>,
    /// Accepted it.
    pub acceptor: Option<Role>,
    /// Why a role that somebody must have had is empty.
    pub(crate) missing: Vec<(RoleKind, RoleReason)>,
}

impl Roles {
    /// Who was in the role.
    pub fn get(&self, kind: RoleKind) -> Option<&Role> {
        match kind {
            RoleKind::Creator => self.creator.as_ref(),
            RoleKind::Binder => self.binder.as_ref(),
            RoleKind::Listener => self.listener.as_ref(),
            RoleKind::Acceptor => self.acceptor.as_ref(),
        }
    }

    pub(crate) fn each_mut(&mut self) -> impl Iterator<Item = &mut Role> {
        let Self { creator, binder, listener, acceptor, .. } = self;
        [creator, binder, listener, acceptor].into_iter().flatten()
    }

    /// Why it is not known who was in the role; `None` where it is known, and where there need not have been anybody.
    pub fn reason(&self, kind: RoleKind) -> Option<RoleReason> {
        self.missing.iter().find(|(missing, _)| *missing == kind).map(|(_, reason)| *reason)
    }
}

/// The four roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RoleKind {
    /// Called socket(2).
    Creator,
    /// Bound it.
    Binder,
    /// Called listen(2).
    Listener,
    /// Accepted it.
    Acceptor,
}

impl RoleKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Creator, Self::Binder, Self::Listener, Self::Acceptor];

    /// `creator`, `binder`, `listener` or `acceptor`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Creator => "creator",
            Self::Binder => "binder",
            Self::Listener => "listener",
            Self::Acceptor => "acceptor",
        }
    }
}

impl fmt::Display for RoleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A process in a role.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Role {
    /// The process, as it was at the call.
    pub process: Arc<RecordedProcess>,
    /// The thread, in the initial pid namespace; `None` for a reader in another one.
    pub tid: Option<u32>,
    /// When the call was made, by the clock's present reading. `None` for an inherited role, and 52 days after the
    /// socket's creation.
    pub time: Option<SystemTime>,
    /// How it is known.
    pub evidence: RoleEvidence,
    /// Of a binder: bound by a connect or a listen, not by a bind.
    pub implicit: bool,
    /// The unit of the cgroup that the process was in; `None` also where that cgroup is gone by now.
    pub service: Option<Arc<Service>>,
    /// The container of that cgroup.
    pub container: Option<Arc<Container>>,
}

/// How it is known who was in a role, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RoleEvidence {
    /// It made the call.
    Call,
    /// It was the first to send or receive on an accepted connection. Who accepted it may have been another.
    FirstUser,
    /// It closed the last descriptor of an accepted connection, or ended having it. Who accepted it may have been another.
    Closer,
    /// It is the listening socket's, on which the connection came in.
    Inherited,
}

impl RoleEvidence {
    /// `call`, `first_user`, `closer` or `inherited`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::FirstUser => "first_user",
            Self::Closer => "closer",
            Self::Inherited => "inherited",
        }
    }
}

impl fmt::Display for RoleEvidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why it is not known who was in a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RoleReason {
    /// The call passed the recorder by, or there was no room to note it.
    NotRecorded,
    /// The socket is older than the recorder.
    BeforeRecorder,
    /// The caller may not be told.
    NotPermitted,
}

impl RoleReason {
    /// `not_recorded`, `before_recorder` or `not_permitted`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotRecorded => "not_recorded",
            Self::BeforeRecorder => "before_recorder",
            Self::NotPermitted => "not_permitted",
        }
    }
}

impl fmt::Display for RoleReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A process as it was at a call. It may have ended since, and its number may be another's: [`start`](Self::start) tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordedProcess {
    /// Its number in the reader's pid namespace; `None` where it has none there.
    pub pid: Option<u32>,
    /// When it started.
    pub start: StartTime,
    /// Base name of the executable; where its path is not known, [`comm`](Self::comm).
    pub name: OsString,
    /// What it called itself (15 bytes at most, **chosen by the process**).
    pub comm: OsString,
    /// The executable's path from the root of the **process's** mounts: in another mount namespace this names another
    /// file, or none.
    pub path: Option<PathBuf>,
    /// Nothing had the executable's name any more.
    pub deleted: bool,
    /// The executable itself.
    pub file: Option<FileId>,
    /// Its real user, in the initial user namespace.
    pub uid: u32,
    /// Its effective user.
    pub effective_uid: u32,
    /// Its saved user.
    pub saved_uid: u32,
    /// Others of its user could look into it.
    pub dumpable: bool,
    /// Id of the cgroup it was in.
    pub cgroup: u64,
    /// A thread of the kernel.
    pub kernel_thread: bool,
}

impl RecordedProcess {
    /// Whether the user `uid`, without further rights, may be told what it did: it was wholly his own.
    pub fn may_be_told_to(&self, uid: u32) -> bool {
        self.dumpable && [self.uid, self.effective_uid, self.saved_uid] == [uid; 3]
    }
}
