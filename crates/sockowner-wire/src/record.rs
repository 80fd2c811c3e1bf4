//! Values of the recorder's maps (`bpf/record.h`): sockets, the processes that made and used them, and what is counted.
//!
//! Numbers are in the host's byte order; addresses are bytes in network order. Times are nanoseconds since boot in the
//! initial time namespace, suspended time included.

use std::net::IpAddr;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::iterator::address;

mod component;

pub use component::{ComponentFrame, ComponentRecord, FRAMES_MAX, ModuleRecord};

/// `RECORD_LAYOUT`: which version of these values this module reads.
pub const LAYOUT: u32 = 2;
/// `NO_USER`: stands for all users that have no entry of their own.
pub const NO_USER: u32 = u32::MAX;
/// `PATH_ROOM`.
const PATH_ROOM: usize = 416;
/// `PID_LEVELS`.
const PID_LEVELS: usize = 5;
const WHEN_EVIDENCE: u32 = 22;
const WHEN_AFTER: u32 = 26;
const WHEN_UNIT: u32 = 14;

/// `enum evidence`: how a role is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Evidence {
    /// The process made the call that the role is named after.
    Call,
    /// The connect or listen that chose a port.
    Implied,
    /// The listening socket's, of which this one is a connection.
    Inherited,
    /// The first process that sent or received.
    FirstUser,
    /// The process that closed the last descriptor.
    Closer,
    /// Another, which a newer recorder writes.
    Other(u8),
}

/// `enum origin`: where a record begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// At a later call: the socket is older than the recorder, or was made past it.
    Older,
    /// At socket(2).
    Created,
    /// When the connection was established, or accepted: its creator is its listener's.
    Child,
    /// Another, which a newer recorder writes.
    Other(u8),
}

/// `struct party`: a process in a role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Party {
    /// Key in the map of processes; 0 where there was no room for it.
    pub process: u64,
    /// See [`tid`](Self::tid), [`evidence`](Self::evidence), [`after`](Self::after).
    pub when: u64,
}

impl Party {
    /// The thread, in the initial pid namespace.
    pub fn tid(&self) -> u32 {
        u32::try_from(self.when & ((1 << WHEN_EVIDENCE) - 1)).unwrap_or(0)
    }

    /// How the role is known; `None` where nobody is known in it.
    pub fn evidence(&self) -> Option<Evidence> {
        Some(match u8::try_from(self.when >> WHEN_EVIDENCE & 15).unwrap_or(0) {
            0 => return None,
            1 => Evidence::Call,
            2 => Evidence::Implied,
            3 => Evidence::Inherited,
            4 => Evidence::FirstUser,
            5 => Evidence::Closer,
            other => Evidence::Other(other),
        })
    }

    /// Nanoseconds from the record's beginning; `None` where they are more than can be noted, which are 52 days.
    pub fn after(&self) -> Option<u64> {
        let units = self.when >> WHEN_AFTER;
        (units != u64::MAX >> WHEN_AFTER).then_some(units << WHEN_UNIT)
    }
}

/// `struct socket_record`: one socket; the key is its cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SocketRecord {
    /// When the record begins: see [`origin`](Self::origin).
    pub created: u64,
    /// When the last descriptor was closed; 0 while it is open.
    pub closed: u64,
    /// Who called socket(2); of a connection that came in, for its listener.
    pub creator: Party,
    /// Who bound it.
    pub binder: Party,
    /// Who listened; of a connection that came in, on its listener.
    pub listener: Party,
    /// Who accepted it.
    pub acceptor: Party,
    /// See [`local`](Self::local).
    pub local: [u8; 16],
    /// See [`remote`](Self::remote).
    pub remote: [u8; 16],
    /// Inode number of its network namespace.
    pub netns: u32,
    /// The user whose share of the table it takes, in the initial user namespace.
    pub charged: u32,
    /// 0 where it was not bound.
    pub local_port: u16,
    /// 0 where it had no peer.
    pub remote_port: u16,
    /// `AF_INET` or `AF_INET6`.
    pub family: u8,
    /// `IPPROTO_TCP` or `IPPROTO_UDP`.
    pub protocol: u8,
    /// See [`origin`](Self::origin).
    pub origin: u8,
    /// See [`is_refused`](Self::is_refused).
    pub refused: u8,
    /// Keys in the map of components, in the order of [`parties`](Self::parties); 0 where none is known.
    pub components: [u32; 4],
}

const _: () = {
    assert!(size_of::<SocketRecord>() == 144);
    assert!(std::mem::offset_of!(SocketRecord, creator) == 16);
    assert!(std::mem::offset_of!(SocketRecord, local) == 80);
    assert!(std::mem::offset_of!(SocketRecord, netns) == 112);
    assert!(std::mem::offset_of!(SocketRecord, family) == 124);
    assert!(std::mem::offset_of!(SocketRecord, components) == 128);
};

impl SocketRecord {
    /// Where the record begins.
    pub fn origin(&self) -> Origin {
        match self.origin {
            0 => Origin::Older,
            1 => Origin::Created,
            2 => Origin::Child,
            other => Origin::Other(other),
        }
    }

    /// At socket(2) there was no room to note it; of a connection that came in, its listener.
    pub fn is_refused(&self) -> bool {
        self.refused != 0
    }

    /// The socket's own address as it was last; `None` for a family that is neither.
    pub fn local(&self) -> Option<IpAddr> {
        address(self.family, self.local)
    }

    /// Its peer's; all zero where it had none.
    pub fn remote(&self) -> Option<IpAddr> {
        address(self.family, self.remote)
    }

    /// Everybody in a role, known or not.
    pub fn parties(&self) -> [Party; 4] {
        [self.creator, self.binder, self.listener, self.acceptor]
    }
}

/// A number that a process has in a pid namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PidNumber {
    /// The namespace's inode number; 0 where there is no such level.
    pub namespace: u32,
    /// The process's number there.
    pub pid: u32,
}

/// `struct process_record`: one process as it was at a call. After exec(2), or a change of users or cgroup, it has
/// another record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ProcessRecord {
    /// When the process started.
    pub start: u64,
    /// When it was last noted, to a second.
    pub seen: u64,
    /// Id of the cgroup v2 directory it was in.
    pub cgroup: u64,
    /// Inode number of its executable, 0 for none.
    pub inode: u64,
    /// Key in the map of executables; 0 where the path was not kept.
    pub path: u64,
    /// Its number in the initial pid namespace.
    pub tgid: u32,
    /// See [`device`](Self::device).
    pub device: u32,
    /// Differs after each exec(2).
    pub image: u32,
    /// Real user, in the initial user namespace.
    pub uid: u32,
    /// Effective user.
    pub euid: u32,
    /// Saved user.
    pub suid: u32,
    /// See [`is_dumpable`](Self::is_dumpable).
    pub traits: u32,
    /// The user whose share of the table it takes.
    pub charged: u32,
    /// In the namespaces below the initial one, outermost first; deeper ones than there is room for are left out.
    pub numbers: [PidNumber; PID_LEVELS],
    /// See [`comm`](Self::comm).
    pub comm: [u8; 16],
}

const _: () = {
    assert!(size_of::<ProcessRecord>() == 128);
    assert!(std::mem::offset_of!(ProcessRecord, tgid) == 40);
    assert!(std::mem::offset_of!(ProcessRecord, numbers) == 72);
    assert!(std::mem::offset_of!(ProcessRecord, comm) == 112);
};

impl ProcessRecord {
    /// Others of its user could look into it.
    pub fn is_dumpable(&self) -> bool {
        self.traits & 1 != 0
    }

    /// A thread of the kernel.
    pub fn is_kernel_thread(&self) -> bool {
        self.traits & 2 != 0
    }

    /// Nothing had its executable's name any more.
    pub fn is_deleted(&self) -> bool {
        self.traits & 4 != 0
    }

    /// Major and minor number of the device of the executable's file system, as the kernel keeps them.
    pub fn device(&self) -> (u32, u32) {
        (self.device >> 20, self.device & 0xf_ffff)
    }

    /// Its number in the pid namespace with this inode number, which is not the initial one.
    pub fn number_in(&self, namespace: u32) -> Option<u32> {
        let at = self.numbers.iter().find(|number| number.namespace == namespace && namespace != 0)?;
        Some(at.pid)
    }

    /// What it called itself.
    pub fn comm(&self) -> &[u8] {
        let end = self.comm.iter().position(|&byte| byte == 0).unwrap_or(self.comm.len());
        &self.comm[..end]
    }
}

/// `struct executable_record`: the path of a file that is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ExecutableRecord {
    /// Its inode number.
    pub inode: u64,
    /// Its device, as in [`ProcessRecord`].
    pub device: u32,
    /// The user whose share of the table it takes.
    pub charged: u32,
    /// When it was last noted, in seconds since boot.
    pub seen: u32,
    /// Length of `parts`; 0 while they are being written.
    pub length: u32,
    /// See [`path`](Self::path).
    pub parts: [u8; PATH_ROOM],
}

const _: () = {
    assert!(size_of::<ExecutableRecord>() == 440);
    assert!(std::mem::offset_of!(ExecutableRecord, parts) == 24);
};

impl ExecutableRecord {
    /// The path from the root of its mounts; `None` where it is not whole.
    pub fn path(&self) -> Option<Vec<u8>> {
        let parts = self.parts.get(..usize::try_from(self.length).ok()?)?.strip_suffix(&[0])?;
        let mut path = Vec::with_capacity(parts.len() + 1);
        for part in parts.split(|&byte| byte == 0).rev() {
            path.push(b'/');
            path.extend_from_slice(part);
        }
        Some(path)
    }
}

/// `struct holding`: how many records were begun for a user, or by all; or how many of them were removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Holding {
    /// Of sockets.
    pub sockets: u64,
    /// Of processes.
    pub processes: u64,
    /// Of executables.
    pub executables: u64,
    /// Sockets that were not, as the user's share was used up.
    pub not_recorded: u64,
}

/// `struct counters`: of one processor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Counters {
    /// Calls that were looked at.
    pub events: u64,
    /// That could not be noted, as a table was full or memory short.
    pub dropped: u64,
    /// Sockets that were not, as their user's share was used up.
    pub refused: u64,
}

/// `struct settings`: set before anything runs, but for the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Settings {
    /// [`LAYOUT`].
    pub layout: u32,
    /// How many the table of sockets holds.
    pub sockets: u32,
    /// That of processes.
    pub processes: u32,
    /// That of executables.
    pub executables: u32,
    /// When the recorder was started.
    pub started: u64,
    /// The last key that a component was given: keys count up, and none is given again.
    pub component: u32,
    /// The last that a module was given.
    pub module: u32,
}

const _: () = {
    assert!(size_of::<Holding>() == 32);
    assert!(size_of::<Counters>() == 24);
    assert!(size_of::<Settings>() == 32);
};

#[cfg(test)]
mod tests;
