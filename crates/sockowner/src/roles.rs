//! Who created, bound, listened on and accepted a socket, as the kernel noted it at the call. Plain data.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::{Component, Container, Endpoint, FileId, Protocol, Service, StartTime};

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

impl Recorded {
    /// When the socket got its name: when it was bound, by bind(2), connect(2) or listen(2); for a connection that came in,
    /// when it was established. `None` where that is not known.
    #[doc(alias = "liCreateTimestamp")]
    pub fn bound_at(&self) -> Option<SystemTime> {
        let is_inherited = |role: &Role| role.evidence == RoleEvidence::Inherited;
        let Roles { creator, binder, listener, .. } = &self.roles;
        if [creator, listener].into_iter().flatten().any(is_inherited) {
            return self.created_at;
        }
        binder.as_ref().filter(|role| role.evidence == RoleEvidence::Call)?.time
    }
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

    /// Who made the call by which the socket came to be what it is: who accepted it; where nobody is known to have, who bound
    /// it. `None` also where that is known otherwise than by the call.
    pub fn caller(&self) -> Option<(RoleKind, &Role)> {
        let acceptor = self.acceptor.as_ref().map(|role| (RoleKind::Acceptor, role));
        let binder = || self.binder.as_ref().map(|role| (RoleKind::Binder, role));
        acceptor.or_else(binder).filter(|(_, role)| role.evidence == RoleEvidence::Call)
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
    /// The module whose code made the call. `None` where it is not known: it is found out shortly after the call, by the
    /// recorder's user part; and never for an inherited role.
    pub component: Option<Arc<Component>>,
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
    /// What tells it from others with its number.
    pub(crate) lived: Lived,
}

/// Of a process's life: nanoseconds since boot, in the initial time namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lived {
    /// When it began.
    pub(crate) from: u64,
    /// A time at which it went on.
    pub(crate) until: u64,
}

impl RecordedProcess {
    /// Whether the user `uid`, without further rights, may be told what it did: it was wholly his own.
    pub fn may_be_told_to(&self, uid: u32) -> bool {
        self.dumpable && [self.uid, self.effective_uid, self.saved_uid] == [uid; 3]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: RoleEvidence = RoleEvidence::Call;
    const INHERITED: RoleEvidence = RoleEvidence::Inherited;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds)
    }

    fn role(evidence: RoleEvidence, seconds: u64) -> Role {
        let process = RecordedProcess {
            pid: Some(1),
            start: StartTime { ticks: 1, time: None },
            name: "p".into(),
            comm: "p".into(),
            path: None,
            deleted: false,
            file: None,
            uid: 0,
            effective_uid: 0,
            saved_uid: 0,
            dumpable: true,
            cgroup: 1,
            kernel_thread: false,
            lived: Lived::default(),
        };
        Role {
            process: Arc::new(process),
            tid: None,
            time: (evidence != INHERITED).then(|| at(seconds)),
            evidence,
            implicit: false,
            service: None,
            container: None,
            component: None,
        }
    }

    /// Made at the time 10.
    fn recorded(roles: Roles) -> Recorded {
        Recorded {
            cookie: 1,
            protocol: Protocol::Tcp,
            netns: 1,
            created_at: Some(at(10)),
            closed_at: None,
            endpoint: None,
            cgroup: None,
            roles,
        }
    }

    #[test]
    fn a_name_is_got_by_the_bind_and_a_connection_that_came_in_has_it_from_the_first() {
        let bound_at = |roles| recorded(roles).bound_at();
        let own = Roles { creator: Some(role(CALL, 10)), binder: Some(role(CALL, 12)), ..Roles::default() };
        assert_eq!(bound_at(own), Some(at(12)));
        let unbound = Roles { creator: Some(role(CALL, 10)), ..Roles::default() };
        assert_eq!(bound_at(unbound), None, "when it was made is another time");
        let acceptor = || Some(role(CALL, 15));
        let child = Roles { listener: Some(role(INHERITED, 0)), acceptor: acceptor(), ..Roles::default() };
        assert_eq!(bound_at(child), Some(at(10)));
        let older =
            Recorded { created_at: None, ..recorded(Roles { acceptor: acceptor(), ..Roles::default() }) };
        assert_eq!(older.bound_at(), None);
    }
}
