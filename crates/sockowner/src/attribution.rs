//! Owners found, or the reason why not.

use std::fmt;
use std::sync::Arc;

use crate::{Evidence, Process, RoleKind};

/// Whether a socket has owners.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attribution {
    /// At least one process was seen holding it.
    Held(Holders),
    /// The system noted who made it. Linux: no process has it any more, and a recorder tells who had. Windows: whether any
    /// has it is not told.
    Recorded(RecordedOwner),
    /// None was, for this reason.
    Unattributed(Reason),
    /// Owners were not asked for.
    NotAsked,
}

impl Attribution {
    /// Every descriptor seen, earliest process first.
    pub fn holders(&self) -> &[Holder] {
        match self {
            Self::Held(holders) => holders.list.as_slice(),
            Self::Recorded(_) | Self::Unattributed(_) | Self::NotAsked => &[],
        }
    }

    /// Why there is no owner.
    pub const fn reason(&self) -> Option<Reason> {
        match self {
            Self::Unattributed(reason) => Some(*reason),
            Self::Held(_) | Self::Recorded(_) | Self::NotAsked => None,
        }
    }

    /// The owner is a process that has ended: its number may be another's by now.
    pub const fn has_exited(&self) -> bool {
        matches!(self, Self::Recorded(owner) if owner.exited)
    }

    /// The one process to name where only one can be named, and how it was chosen.
    ///
    /// Every reduction from the set of holders to a single owner is this one.
    pub fn primary_owner(&self) -> Option<(&Arc<Process>, Evidence)> {
        if let Self::Recorded(owner) = self {
            return Some((&owner.process, Evidence::Recorded));
        }
        let (first, rest) = self.holders().split_first()?;
        let is_only = rest.iter().all(|other| other.process.is(&first.process));
        let evidence = if is_only { Evidence::Holder } else { Evidence::EarliestHolder };
        Some((&first.process, evidence))
    }
}

impl Process {
    /// The same process: pid and start time agree.
    pub fn is(&self, other: &Self) -> bool {
        self.pid == other.pid && self.start.ticks == other.start.ticks
    }
}

/// The descriptors through which processes hold one socket. At least one, earliest process first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holders {
    list: List,
    reach: Reach,
}

/// Nearly every socket has a single holder, which then needs no memory of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
enum List {
    One(Holder),
    /// Two at least.
    Many(Vec<Holder>),
}

impl List {
    fn as_slice(&self) -> &[Holder] {
        match self {
            Self::One(holder) => std::slice::from_ref(holder),
            Self::Many(holders) => holders,
        }
    }
}

impl Holders {
    /// Sorts `holders` by the convention of [`Evidence::EarliestHolder`]; `None` where there is none.
    pub(crate) fn new(holders: impl IntoIterator<Item = Holder>, reach: Reach) -> Option<Self> {
        let mut holders = holders.into_iter();
        let first = holders.next()?;
        let Some(second) = holders.next() else {
            return Some(Self { list: List::One(first), reach });
        };
        let mut list: Vec<_> = [first, second].into_iter().chain(holders).collect();
        list.sort_by(|a, b| {
            let key =
                |holder: &Holder| (holder.process.start.ticks, holder.process.pid, holder.tid, holder.fd);
            key(a).cmp(&key(b))
        });
        ancestors_first(&mut list);
        Some(Self { list: List::Many(list), reach })
    }

    /// How far was looked for further holders.
    pub const fn reach(&self) -> Reach {
        self.reach
    }
}

/// Among processes of the same start tick, moves a parent before its children. The pid alone cannot tell: numbers wrap.
fn ancestors_first(list: &mut [Holder]) {
    for at in 0..list.len() {
        let start = list[at].process.start.ticks;
        let same_tick = list[at..].iter().take_while(|other| other.process.start.ticks == start).count();
        // Follow the parents that hold the socket too; a chain is no longer than the run, so this ends.
        let mut oldest = at;
        for _ in 0..same_tick {
            let parent = list[oldest].process.parent;
            match list[at..at + same_tick].iter().position(|other| other.process.pid == parent) {
                Some(found) if parent != list[oldest].process.pid => oldest = at + found,
                _ => break,
            }
        }
        list[at..=oldest].rotate_right(1);
    }
}

/// How far was looked for holders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reach {
    /// The processes in the socket's cgroup and below.
    Cgroup,
    /// Those, and the processes of the socket's user.
    User,
    /// Every process that the caller can see.
    Host,
}

/// One descriptor that stands for a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The process that has it.
    pub process: Arc<Process>,
    /// The thread in whose table it is: the pid, unless a thread has a table of its own.
    pub tid: u32,
    /// The descriptor.
    ///
    /// # Platform
    /// Windows: the value of the handle; -1 where that is not known, and for a native program under Wine.
    pub fd: i32,
}

/// Who made a socket what it is, as the system noted it at the call.
///
/// # Platform
/// Linux, while a recorder runs: who had a socket that nobody has any more (`TIME_WAIT`, an orphan). The process that
/// accepted it, was the first to use it, or closed it; of a connection that was made from here, the one that bound it, by
/// bind(2) or connect(2). Never one that had to do with its listener alone. Windows: of every socket, the process that bound
/// it, as the system's row says; it may have handed the socket on since.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordedOwner {
    /// The process: as it is now, or, where it has ended, as it was at the call.
    pub process: Arc<Process>,
    /// What it did: [`RoleKind::Acceptor`] or [`RoleKind::Binder`].
    pub role: RoleKind,
    /// It has ended. Never on Windows: there nobody is told of it any more.
    pub exited: bool,
}

/// The process that owns a socket where the owner is who made it what it is, as on Windows, and only one that lives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Owning {
    /// The process.
    pub process: Arc<Process>,
    /// The recorded call that it made: [`RoleKind::Acceptor`] or [`RoleKind::Binder`]. `None`: who made it is not known, or
    /// has ended, and this is the [primary owner](Attribution::primary_owner).
    pub caller: Option<RoleKind>,
    /// The call came from a library, which [`module_of`](crate::module_of) can name.
    pub component: bool,
}

/// A process in the cgroup in which a socket was created: it may know more, **it is not an owner**.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Candidate {
    /// The process.
    pub process: Arc<Process>,
}

impl Candidate {
    /// What makes it one.
    pub const EVIDENCE: &'static str = "cgroup_member";
}

/// Why a socket has no owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// A process that could not be inspected, nearly always for want of a right, may hold it.
    NotPermitted,
    /// No file stands for it: `TIME_WAIT`, a handshake, an orphan, or not yet accepted.
    NoHolder,
    /// Every process was read and none has it: the kernel's own, in flight between processes, in io_uring, or held in
    /// another pid namespace. On Windows: it is there, who bound it has ended or cannot be told from a later process
    /// with his number, and who else has it is not told.
    NoVisibleHolder,
    /// Its holder has no number in the reader's pid namespace.
    OtherNamespace,
    /// It vanished while it was looked for.
    Gone,
}

impl Reason {
    /// The word of the interface: `not_permitted`, `no_holder`, ...
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotPermitted => "not_permitted",
            Self::NoHolder => "no_holder",
            Self::NoVisibleHolder => "no_visible_holder",
            Self::OtherNamespace => "other_namespace",
            Self::Gone => "gone",
        }
    }

    /// One sentence for people.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::NotPermitted => "a process that could not be inspected for want of permission may hold it",
            Self::NoHolder => "no process has it: closed and lingering, or not yet accepted",
            Self::NoVisibleHolder => crate::sys::no_visible_holder(),
            Self::OtherNamespace => "its process has no number in this pid namespace",
            Self::Gone => "it vanished while it was looked for",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::StartTime;

    pub(crate) fn process(pid: u32, ticks: u64, parent: u32) -> Arc<Process> {
        Arc::new(Process {
            pid,
            start: StartTime { ticks, time: None },
            parent,
            name: "p".into(),
            comm: "p".into(),
            executable: None,
            uid: None,
            user: None,
            service: None,
            container: None,
            command_line: None,
            pidfd_inode: None,
            kernel_thread: false,
        })
    }

    fn held_by(processes: &[(u32, u64, u32)]) -> Attribution {
        let list: Vec<_> = processes
            .iter()
            .map(|&(pid, ticks, parent)| Holder { process: process(pid, ticks, parent), tid: pid, fd: 3 })
            .collect();
        Attribution::Held(Holders::new(list, Reach::Host).unwrap())
    }

    fn order(attribution: &Attribution) -> Vec<u32> {
        attribution.holders().iter().map(|holder| holder.process.pid).collect()
    }

    #[test]
    fn one_process_is_the_holder_however_many_descriptors_it_has() {
        let attribution = held_by(&[(7, 100, 1), (7, 100, 1)]);
        let (owner, evidence) = attribution.primary_owner().unwrap();
        assert_eq!((owner.pid, evidence), (7, Evidence::Holder));
    }

    #[test]
    fn of_several_the_earliest_is_named_and_marked_as_a_convention() {
        let attribution = held_by(&[(5, 300, 1), (9, 100, 1), (7, 200, 9)]);
        assert_eq!(order(&attribution), [9, 7, 5]);
        let (owner, evidence) = attribution.primary_owner().unwrap();
        assert_eq!((owner.pid, evidence), (9, Evidence::EarliestHolder));
    }

    #[test]
    fn a_recycled_pid_is_another_process() {
        let attribution = held_by(&[(7, 100, 1), (7, 200, 1)]);
        assert_eq!(attribution.primary_owner().unwrap().1, Evidence::EarliestHolder);
    }

    #[test]
    fn at_equal_ticks_an_ancestor_goes_first_even_with_a_higher_pid() {
        assert_eq!(
            order(&held_by(&[(3, 100, 32000), (32000, 100, 31000), (31000, 100, 1)])),
            [31000, 32000, 3]
        );
        assert_eq!(order(&held_by(&[(8, 100, 1), (5, 100, 1)])), [5, 8], "strangers by number");
        assert_eq!(order(&held_by(&[(2, 100, 3), (3, 100, 2)])).len(), 2, "a loop that cannot be ends");
    }

    #[test]
    fn whom_a_recorder_tells_owns_what_nobody_holds() {
        for exited in [false, true] {
            let owner = RecordedOwner { process: process(7, 100, 1), role: RoleKind::Binder, exited };
            let attribution = Attribution::Recorded(owner);
            let (owner, evidence) = attribution.primary_owner().unwrap();
            assert_eq!((owner.pid, evidence), (7, Evidence::Recorded));
            assert_eq!((attribution.has_exited(), attribution.reason()), (exited, None));
            assert_eq!(attribution.holders(), []);
        }
        assert!(!held_by(&[(7, 100, 1)]).has_exited());
    }

    #[test]
    fn nobody_is_no_holder() {
        assert_eq!(Holders::new(Vec::new(), Reach::Host), None);
        assert_eq!(Attribution::NotAsked.primary_owner(), None);
        let unattributed = Attribution::Unattributed(Reason::Gone);
        assert_eq!((unattributed.primary_owner(), unattributed.reason()), (None, Some(Reason::Gone)));
    }
}
