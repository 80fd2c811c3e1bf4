//! One name and path for a process: what a table of modules shows.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::{Process, Result, sys};

/// Names one process: its pid, and what proves that the number is still that process's.
///
/// Every proof that is given must agree; without any, the pid alone is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// The number in the caller's pid namespace.
    pub pid: u32,
    /// When it started, in clock ticks of the initial time namespace ([`StartTime::ticks`](crate::StartTime::ticks)).
    pub start_ticks: Option<u64>,
    /// Inode number of its pidfd, never reused before a reboot (Linux 6.9 and later).
    pub pidfd_inode: Option<u64>,
    /// The boot it lived in ([`boot`]).
    pub boot: Option<u64>,
    /// The cgroup in which its socket was created. Only with it a service can be named.
    pub cgroup: Option<u64>,
    /// The cookie of its socket, by which what was recorded of it is found. Only with it a component can be named.
    pub component_of: Option<u64>,
    /// The tag of the service that bound its socket, the first word of [`RowOwner::info`](crate::RowOwner::info). Only
    /// with it a Windows service can be named; 0 is none. Where the system keeps no tags (Wine) any other number asks for
    /// the one service that lives in the process.
    pub service_tag: Option<u32>,
    /// When its socket was bound ([`RowOwner::bound_at`](crate::RowOwner::bound_at)): a process that started later is
    /// not the owner. Windows alone.
    pub bound_at: Option<u64>,
}

impl Identity {
    /// Whoever has this number now.
    pub const fn of_pid(pid: u32) -> Self {
        Self {
            pid,
            start_ticks: None,
            pidfd_inode: None,
            boot: None,
            cgroup: None,
            component_of: None,
            service_tag: None,
            bound_at: None,
        }
    }

    /// This process and no other.
    pub fn of(process: &Process) -> Self {
        Self {
            start_ticks: Some(process.start.ticks),
            pidfd_inode: process.pidfd_inode,
            boot: boot(),
            ..Self::of_pid(process.pid)
        }
    }
}

/// What to name for a process where there is room for one name and one path.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Module {
    /// The executable: its path as the process sees it, without the kernel's ` (deleted)`.
    Process(PathBuf),
    /// The unit of the system's manager in whose cgroup the process is and its socket was created. Windows: the service that
    /// bound the socket.
    Service(String),
    /// The library that made the process's call, proved by its stack: its path as the process saw it.
    Component(PathBuf),
    /// A thread of the kernel; on Windows, the process with the number 4.
    Kernel,
    /// The process is there, and the caller may not inspect it.
    NotPermitted,
}

impl Module {
    /// What a kernel thread is called.
    pub const KERNEL: &'static str = "System";

    /// The base name, the unit's name, `System`, or nothing where the caller may not know.
    pub fn name(&self) -> &OsStr {
        match self {
            Self::Process(path) | Self::Component(path) => path.file_name().unwrap_or(path.as_os_str()),
            other => other.path().as_os_str(),
        }
    }

    /// The whole path; for a service and the kernel the name again.
    pub fn path(&self) -> &Path {
        match self {
            Self::Process(path) | Self::Component(path) => path,
            Self::Service(name) => Path::new(name),
            Self::Kernel => Path::new(Self::KERNEL),
            Self::NotPermitted => Path::new(""),
        }
    }
}

/// The module of a process: a service where it is one, else the library whose call made its socket what it is, else the
/// executable.
///
/// Stateless: nothing is kept open between calls.
///
/// # Platform
/// Linux: `/proc/PID/{stat,exe,cgroup}`, held by one directory. The executable needs `PTRACE_MODE_READ_FSCREDS`, and so does
/// everything that is named in its place; a library also a recorder that the caller may read. Windows: a handle that may only
/// be asked what the process is, kept open while it is. What runs from the system's directory, and its services, only
/// administrators are told of, as by iphlpapi; a service by its tag, or as the one of a process that no
/// other may share.
///
/// # Errors
/// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) where the process is gone, or its number another's now;
/// [`ErrorKind::Changed`](crate::ErrorKind::Changed) where it executes something new at every try.
#[doc(alias = "GetOwnerModuleFromPidAndInfo")]
pub fn module_of(identity: &Identity) -> Result<Module> {
    sys::module_of(identity)
}

/// A number for this boot of the machine, by which numbers of an earlier one are recognised. `None` where the system
/// does not tell.
///
/// # Platform
/// Linux: the first 64 bits of `/proc/sys/kernel/random/boot_id`.
pub fn boot() -> Option<u64> {
    sys::boot()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_and_the_kernel_have_their_name_for_a_path() {
        for (module, name, path) in [
            (Module::Process("/usr/sbin/sshd".into()), "sshd", "/usr/sbin/sshd"),
            (Module::Process("/".into()), "/", "/"),
            (Module::Component("/lib/libnio.so".into()), "libnio.so", "/lib/libnio.so"),
            (Module::Service("ssh.service".into()), "ssh.service", "ssh.service"),
            (Module::Kernel, "System", "System"),
            (Module::NotPermitted, "", ""),
        ] {
            assert_eq!((module.name(), module.path()), (OsStr::new(name), Path::new(path)));
        }
    }
}
