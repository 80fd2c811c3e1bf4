//! Everything this backend asks of the kernel, as one trait: the real door is [`Kernel`](super::call::Kernel), the
//! tests' is the fake one.
//!
//! Paths are relative to a held directory wherever one exists, so that nothing is read twice by number.

use std::cmp::Ordering;
use std::fmt;
use std::io;
use std::time::{Duration, SystemTime};

/// What stat(2) tells of a file, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileStat {
    /// The file type bits of `st_mode`.
    pub(crate) kind: FileKind,
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) links: u32,
    pub(crate) size: u64,
    pub(crate) uid: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Socket,
    Directory,
    Other,
}

/// One entry of a directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listed<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) inode: u64,
    pub(crate) is_dir: bool,
}

impl Listed<'_> {
    /// The name as a pid, tid or descriptor: digits alone.
    pub(crate) fn number(&self) -> Option<u32> {
        let digits = self.name.iter().all(u8::is_ascii_digit);
        std::str::from_utf8(self.name).ok().filter(|_| digits)?.parse().ok()
    }
}

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// Since boot, suspended time included, as the caller's time namespace shows it.
    pub(crate) since_boot: Duration,
    pub(crate) wall: SystemTime,
    /// `_SC_CLK_TCK`.
    pub(crate) ticks_per_second: u64,
}

/// How many inode numbers an iterator can look for; more are sorted out by the reader (`bpf/rows.h`).
pub(crate) const WANTED_MAX: usize = 8;

/// One pass of an iterator.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pass<'a> {
    /// `struct holder_row` for every descriptor that stands for a wanted socket, at least: a shared iterator shows all.
    Holders { wanted: Wanted<'a>, pid: Option<u32> },
    /// `struct process_row` and a path for every process.
    Processes,
}

/// Which sockets' holders are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted<'a> {
    /// Those of this network namespace alone; 0 for all.
    pub(crate) netns: u32,
    /// Those with these inode numbers; none, or more than [`WANTED_MAX`], for all.
    pub(crate) inodes: &'a [u64],
    /// Those in these states, a bit each as the kernel numbers them; 0 for all.
    pub(crate) states: u32,
    /// What is known of the socket itself is told, too.
    pub(crate) describes: bool,
}

/// Which of several ways the kernel refused, and how.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// What was tried: `load a BPF program`.
    pub(crate) step: &'static str,
    pub(crate) error: io::Error,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step, self.error)
    }
}

/// The door to the kernel. Every method is one system call, or one open-use-close of a file.
pub(crate) trait Door: fmt::Debug + Sync + Send {
    /// A held directory.
    type Dir: fmt::Debug + Send + Sync;
    /// An open `NETLINK_SOCK_DIAG` socket.
    type Diag: fmt::Debug + Send;

    /// A held network namespace: it lives as long as it is held.
    type Namespace: fmt::Debug + Send + Sync;

    /// Iterators that can be read.
    type Iterators: fmt::Debug + Send + Sync;

    fn open_diag(&self) -> io::Result<Self::Diag>;
    /// The network namespace that the file at this path stands for, and its inode number; `InvalidInput` where it stands
    /// for none.
    fn open_namespace(&self, path: &[u8]) -> io::Result<(Self::Namespace, u64)>;
    /// As [`open_diag`](Self::open_diag), in that namespace. The calling thread stays where it is.
    fn open_diag_in(&self, namespace: &Self::Namespace) -> io::Result<Self::Diag>;
    fn send(&self, diag: &Self::Diag, datagram: &[u8]) -> io::Result<()>;
    /// Receives one datagram; the length is its real one, longer than `buffer` where it was cut.
    fn receive(&self, diag: &Self::Diag, buffer: &mut [u8]) -> io::Result<usize>;
    /// The file that stands for the socket: its device is sockfs.
    fn stat_diag(&self, diag: &Self::Diag) -> io::Result<FileStat>;
    /// Name of an interface in the socket's network namespace.
    fn interface_name(&self, diag: &Self::Diag, index: u32) -> io::Result<String>;

    fn open_root(&self, path: &[u8]) -> io::Result<Self::Dir>;
    fn open_dir(&self, at: &Self::Dir, path: &[u8]) -> io::Result<Self::Dir>;
    /// The directory is a mounted proc(5).
    fn is_procfs(&self, dir: &Self::Dir) -> io::Result<bool>;
    /// Calls `each` with every entry but `.` and `..`.
    fn list(&self, dir: &Self::Dir, each: &mut dyn FnMut(Listed<'_>)) -> io::Result<()>;
    /// Appends the file's whole content, for files that the kernel writes in one piece (`stat`, `status`, `cgroup`): a
    /// read that leaves room has met the end.
    fn read_piece(&self, at: &Self::Dir, path: &[u8], into: &mut Vec<u8>) -> io::Result<()>;
    /// Appends the file's whole content.
    fn read(&self, at: &Self::Dir, path: &[u8], into: &mut Vec<u8>) -> io::Result<()>;
    fn read_link(&self, at: &Self::Dir, path: &[u8]) -> io::Result<Vec<u8>>;
    /// Follows links. Never waits for the file system behind them: a descriptor may lead to a hung NFS or FUSE mount.
    fn stat(&self, at: &Self::Dir, path: &[u8]) -> io::Result<FileStat>;
    /// [`stat`](Self::stat) of an absolute path, from the kernel's cache alone: `WouldBlock` where it is not cached.
    fn stat_cached(&self, path: &[u8]) -> io::Result<FileStat>;
    /// The order of two threads' descriptor tables, the same at every call; equal is one shared table. Both threads are
    /// named by their numbers in the caller's pid namespace.
    fn compare_descriptors(&self, one: u32, other: u32) -> io::Result<Ordering>;
    /// A number that a child made by fork(2), or a like call, does not have in common with its parent; 0 where none can be
    /// had.
    fn process_mark(&self) -> u64;
    /// Lets some time pass.
    fn wait(&self, duration: Duration);
    /// The caller's own number in its own pid namespace.
    fn own_pid(&self) -> u32;
    /// Path of the cgroup directory with this id, below the mount held by `root`, as the caller sees it.
    fn cgroup_path(&self, root: &Self::Dir, id: u64) -> io::Result<Vec<u8>>;

    /// [`stat`](Self::stat) of an absolute path.
    fn stat_root(&self, path: &[u8]) -> io::Result<FileStat>;
    /// A process has this number, whether or not `/proc` shows it.
    fn process_exists(&self, pid: u32) -> io::Result<bool>;
    /// Inode number of a pidfd for this process; `None` where all pidfds share one (before Linux 6.9).
    fn pidfd_inode(&self, pid: u32) -> io::Result<Option<u64>>;

    /// The caller has what [`load_iterators`](Self::load_iterators) needs, as far as can be told without trying.
    fn can_load_iterators(&self) -> bool;
    /// Loads the iterators that show every process.
    fn load_iterators(&self) -> Result<Self::Iterators, Refusal>;
    /// Opens those that root shares in `path`.
    fn open_shared(&self, path: &[u8]) -> Result<Self::Iterators, Refusal>;
    /// They show every process and every socket; otherwise the sockets of one user, and of processes their numbers alone.
    fn show_all(&self, iterators: &Self::Iterators) -> bool;
    /// Reads one pass to its end; `each` gets pieces that need not end with a record. One pass over holders at a time:
    /// what is wanted is told to all of them.
    fn iterate(
        &self,
        iterators: &Self::Iterators,
        pass: Pass<'_>,
        each: &mut dyn FnMut(&[u8]),
    ) -> io::Result<()>;

    fn user_name(&self, uid: u32) -> io::Result<Option<String>>;
    fn now(&self) -> Now;
}

/// `ESRCH` and its like: the process behind a held directory is gone.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(super::call::ESRCH)
}

/// Descriptors or memory of the caller, or of the machine, are used up: nothing that follows can be believed.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(super::call::EMFILE | super::call::ENFILE | super::call::ENOMEM))
}

/// A device as stat(2) numbers it, from the two numbers of mountinfo.
pub(crate) fn device(major: u32, minor: u32) -> u64 {
    let (major, minor) = (u64::from(major), u64::from(minor));
    (major & 0xffff_f000) << 32 | (major & 0xfff) << 8 | (minor & 0xffff_ff00) << 12 | minor & 0xff
}

pub(crate) fn is_refused(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}
