//! One socket as the system tells it, without an owner.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::sys::{self, Told};
use crate::{Endpoint, Interface};

/// One socket as the system tells it: what it is called, and the numbers that name it.
///
/// # Platform
/// Linux: a row of sock_diag(7), readable by every user for its own network namespace. Windows: a row of
/// `GetExtendedTcpTable` or `GetExtendedUdpTable`, readable by every user; it has no number of its own, no user and no
/// cgroup, and a UDP row no peer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Socket {
    /// Protocol, addresses, state.
    pub endpoint: Endpoint,
    /// The interface it is bound to (`SO_BINDTODEVICE`, or the scope of a link-local address).
    pub interface: Option<Interface>,
    /// Inode number of its network namespace; `None` where `/proc` cannot tell.
    pub netns: Option<u64>,
    /// Inode number in sockfs. 0 where no file stands for it: not yet accepted, orphaned, `TIME_WAIT`.
    pub inode: u64,
    /// The kernel's own number for it, never reused before a reboot. An MPTCP socket that was accepted has its listener's.
    pub cookie: u64,
    /// The user its inode belongs to. `None` where the system tells none (`TIME_WAIT`): never root by default.
    pub uid: Option<u32>,
    /// Id of the cgroup v2 directory in which it was created; an accepted socket has its listener's.
    pub cgroup: Option<u64>,
    /// An IPv6 socket that refuses IPv4; told of listening and unconnected ones only.
    pub v6only: Option<bool>,
    /// A TCP socket below an MPTCP socket, which has the same inode number and the same holders. Told where both were asked
    /// for, of one that was accepted.
    pub is_subflow: bool,
    /// What the system's row said besides.
    pub(crate) told: Told,
}

impl Socket {
    /// What the system's own table says of the owner. `None` where its rows say nothing of that kind.
    ///
    /// # Platform
    /// Windows: as the row had it, whoever has the number now. Linux: none.
    pub fn row_owner(&self) -> Option<&RowOwner> {
        sys::row_owner(&self.told)
    }
}

/// What the system's own table says of a socket's owner, as it says it: nothing of it is verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowOwner {
    /// The process that bound the socket; 0 for nobody, or not known.
    #[doc(alias = "dwOwningPid")]
    pub pid: u32,
    /// When it was bound, in units of 100 ns since the begin of 1601 (`FILETIME`); 0 for not known.
    #[doc(alias = "liCreateTimestamp")]
    pub bound_at: u64,
    /// Of UDP, flags: the lowest bit is set where the port was chosen by who bound it. Of TCP 0.
    #[doc(alias = "SpecificPortBind")]
    pub flags: u32,
    /// What else the system keeps of the owner: the first word is the tag of a service.
    #[doc(alias = "OwningModuleInfo")]
    pub info: [u64; 16],
}

/// The time of a `FILETIME`: 100 ns since the begin of 1601; `None` for one before 1970, 0 among them.
pub(crate) fn system_time(file_time: u64) -> Option<SystemTime> {
    /// From 1601 to 1970.
    const EPOCH: u64 = 116_444_736_000_000_000;
    let since = file_time.checked_sub(EPOCH)?;
    let nanoseconds = u32::try_from(since % 10_000_000).ok()? * 100;
    UNIX_EPOCH.checked_add(Duration::new(since / 10_000_000, nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_time_is_a_time_of_the_calendar_and_0_is_none() {
        // 2026-11-23 14:00:00.0000001
        let time = UNIX_EPOCH + Duration::new(1_795_442_400, 100);
        assert_eq!(system_time(134_399_160_000_000_001), Some(time));
        assert_eq!(system_time(116_444_736_000_000_000), Some(UNIX_EPOCH));
        assert_eq!((system_time(0), system_time(116_444_735_999_999_999)), (None, None));
        assert!(system_time(u64::MAX).is_none_or(|time| time > UNIX_EPOCH));
    }
}
