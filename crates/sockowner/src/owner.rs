//! Who can own a socket: processes, and the services and containers they run in. Plain data.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

pub use sockowner_wire::{Manager, Runtime};

/// When a process started. With the pid this is its identity: pids are recycled, the pair is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StartTime {
    /// Clock ticks since boot, in the initial time namespace (Linux: field 22 of `/proc/PID/stat`, 100 a second). Windows:
    /// units of 100 ns since the begin of 1601 (`FILETIME`).
    pub ticks: u64,
    /// The same as wall-clock time, by the clock's present reading: it moves when the clock is set.
    pub time: Option<SystemTime>,
}

/// Device and inode number: names one file whatever the path says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct FileId {
    /// The device, as `st_dev` of stat(2).
    pub device: u64,
    /// The inode number on it.
    pub inode: u64,
}

/// The executable a process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Executable {
    /// Its path **as the process sees it**: in another mount namespace this names another file, or none.
    /// Without the kernel's ` (deleted)`.
    pub path: PathBuf,
    /// The path, opened from the reader's root, is this very file.
    pub verified: bool,
    /// Nothing has this name any more.
    pub deleted: bool,
    /// The file itself; where it cannot be examined, `None`.
    pub file: Option<FileId>,
}

/// A process, as it was while it was held for reading.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Process {
    /// Its number in the reader's pid namespace.
    pub pid: u32,
    /// When it started.
    pub start: StartTime,
    /// Its parent's number, 0 for none that the reader can see.
    pub parent: u32,
    /// Base name of the executable; where that cannot be read, [`comm`](Self::comm).
    pub name: OsString,
    /// What the process calls itself (15 bytes at most, **chosen by the process**).
    pub comm: OsString,
    /// Its executable; `None` for kernel threads, and where the caller may not see it.
    pub executable: Option<Executable>,
    /// Its effective user.
    pub uid: Option<u32>,
    /// That user's name. Windows, which has no number: `DOMAIN\\name`, or the security identifier of an account without one.
    pub user: Option<Arc<str>>,
    /// The unit whose cgroup it is in now. Windows: the service that lives in it; of several, none.
    pub service: Option<Arc<Service>>,
    /// The container whose cgroup it is in now.
    pub container: Option<Arc<Container>>,
    /// Its arguments, where they were asked for. **They carry secrets, and the process chooses them.**
    pub command_line: Option<Vec<OsString>>,
    /// Inode number of its pidfd, never reused before a reboot (Linux 6.9 and later). `None` too where the start time
    /// alone tells it from any later process: it is asked for only in the tick in which a process starts.
    pub pidfd_inode: Option<u64>,
    /// A thread of the kernel, decided by its flag.
    pub kernel_thread: bool,
}

/// A systemd unit of type service; on Windows a service.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Service {
    /// The unit's name with its suffix: `ssh.service`, `getty@tty1.service`. A Windows service's as it is: `Dnscache`.
    pub name: String,
    /// Who gave the name. Only [`Manager::System`] names are the administrator's; the others are any user's choice.
    pub manager: Manager,
    /// The user whose manager it is, for [`Manager::User`].
    pub uid: Option<u32>,
}

/// A container, or a pod's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Container {
    /// What runs it.
    pub runtime: Runtime,
    /// Its id, whole.
    pub id: String,
    /// The pod's uid, with dashes, in Kubernetes.
    pub pod: Option<String>,
    /// Who gave the name: the system, a user (rootless), or an outer container. `None`: the path does not tell.
    pub manager: Option<Manager>,
    /// Containers inside it, outermost first.
    pub nested: Vec<Container>,
}

/// A cgroup v2 directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cgroup {
    /// Its id, the directory's inode number; never reused before a reboot.
    pub id: u64,
    /// Its path from the root of the hierarchy as the reader sees it. `None`: removed, or outside the reader's view.
    pub path: Option<Arc<Path>>,
}
