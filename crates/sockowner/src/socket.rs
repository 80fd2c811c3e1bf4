//! One socket as the system tells it, without an owner.

use crate::{Endpoint, Interface};

/// One socket as the system tells it: what it is called, and the numbers that name it.
///
/// # Platform
/// Linux: a row of sock_diag(7), readable by every user for its own network namespace.
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
    /// The kernel's own number for it, never reused before a reboot.
    pub cookie: u64,
    /// The user its inode belongs to. `None` where the system tells none (`TIME_WAIT`): never root by default.
    pub uid: Option<u32>,
    /// Id of the cgroup v2 directory in which it was created; an accepted socket has its listener's.
    pub cgroup: Option<u64>,
    /// An IPv6 socket that refuses IPv4; told of listening and unconnected ones only.
    pub v6only: Option<bool>,
}
