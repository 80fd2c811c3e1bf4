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
}

impl Identity {
    /// Whoever has this number now.
    pub const fn of_pid(pid: u32) -> Self {
        Self { pid, start_ticks: None, pidfd_inode: None, boot: None, cgroup: None }
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
    /// The unit of the system's manager in whose cgroup the process is and its socket was created.
    Service(String),
    /// A thread of the kernel.
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
            Self::Process(path) => path.file_name().unwrap_or(path.as_os_str()),
            other => other.path().as_os_str(),
        }
    }

    /// The whole path; for a service and the kernel the name again.
    pub fn path(&self) -> &Path {
        match self {
            Self::Process(path) => path,
            Self::Service(name) => Path::new(name),
            Self::Kernel => Path::new(Self::KERNEL),
            Self::NotPermitted => Path::new(""),
        }
    }
}

/// The module of a process: a service where it is one, else the executable.
///
/// Stateless: nothing is kept open between calls.
///
/// # Platform
/// Linux: `/proc/PID/{stat,exe,cgroup}`, held by one directory. The executable needs `PTRACE_MODE_READ_FSCREDS`.
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
            (Module::Service("ssh.service".into()), "ssh.service", "ssh.service"),
            (Module::Kernel, "System", "System"),
            (Module::NotPermitted, "", ""),
        ] {
            assert_eq!((module.name(), module.path()), (OsStr::new(name), Path::new(path)));
        }
    }
}
