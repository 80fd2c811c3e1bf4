//! The real door: every system call of the Linux backend.
#![expect(unsafe_code, reason = "kcmp and open_by_handle_at have no safe wrapper")]

pub(crate) mod ask;
mod bpf;
mod diag;
mod memory;
mod namespace;
pub(crate) mod record;
mod record_load;
mod record_map;
pub(crate) mod sample;
mod sample_ring;
pub(crate) mod share;

use std::cmp::Ordering;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, ResolveFlags, Statx, StatxFlags};
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};

pub(super) use self::memory::with_room;
use super::door::{Door, FileKind, FileStat, Listed, Now, Pass, Refusal};

pub(crate) const ESRCH: i32 = libc::ESRCH;
pub(crate) const EMFILE: i32 = libc::EMFILE;
pub(crate) const ENFILE: i32 = libc::ENFILE;
pub(crate) const ENOMEM: i32 = libc::ENOMEM;
pub(crate) const ESTALE: i32 = libc::ESTALE;
pub(crate) const ENOBUFS: i32 = libc::ENOBUFS;

/// `PROC_SUPER_MAGIC` (statfs(2)).
const PROC_SUPER_MAGIC: u64 = 0x9fa0;
/// `PID_FS_MAGIC` (`linux/magic.h`): "PIDF".
const PID_FS_MAGIC: u64 = 0x5049_4446;
/// `KCMP_FILES` (kcmp(2)).
const KCMP_FILES: libc::c_int = 2;
/// `FILEID_KERNFS` (`linux/exportfs.h`): the handle is the 64-bit id of a kernfs node, for cgroups the cgroup's.
const FILEID_KERNFS: libc::c_int = 0xfe;
const DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The kernel this process runs on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kernel;

impl Door for Kernel {
    type Dir = OwnedFd;
    type Diag = OwnedFd;
    type Namespace = OwnedFd;
    type Iterators = bpf::Iterators;

    fn open_diag(&self) -> io::Result<OwnedFd> {
        Ok(diag::open()?)
    }

    fn open_namespace(&self, path: &[u8]) -> io::Result<(OwnedFd, u64)> {
        let file = namespace::open(path)?;
        let inode = statx(&file, b"", AtFlags::EMPTY_PATH)?.inode;
        Ok((file, inode))
    }

    fn open_diag_in(&self, namespace: &OwnedFd) -> io::Result<OwnedFd> {
        namespace::inside(namespace, || self.open_diag())
    }

    fn send(&self, diag: &OwnedFd, datagram: &[u8]) -> io::Result<()> {
        diag::send(diag, datagram)
    }

    fn receive(&self, diag: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(diag::receive(diag, buffer)?)
    }

    fn stat_diag(&self, diag: &OwnedFd) -> io::Result<FileStat> {
        statx(diag, b"", AtFlags::EMPTY_PATH)
    }

    fn interface_name(&self, diag: &OwnedFd, index: u32) -> io::Result<String> {
        Ok(rustix::net::netdevice::index_to_name(diag, index)?)
    }

    fn open_root(&self, path: &[u8]) -> io::Result<OwnedFd> {
        Ok(rustix::fs::openat(CWD, path, DIR, Mode::empty())?)
    }

    fn open_dir(&self, at: &OwnedFd, path: &[u8]) -> io::Result<OwnedFd> {
        Ok(rustix::fs::openat(at, path, DIR, Mode::empty())?)
    }

    fn is_procfs(&self, dir: &OwnedFd) -> io::Result<bool> {
        let magic = u64::try_from(rustix::fs::fstatfs(dir)?.f_type);
        Ok(magic == Ok(PROC_SUPER_MAGIC))
    }

    fn list(&self, dir: &OwnedFd, each: &mut dyn FnMut(Listed<'_>)) -> io::Result<()> {
        let mut buffer = [MaybeUninit::uninit(); 8192];
        let mut entries = RawDir::new(dir, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                each(Listed { name, inode: entry.ino(), is_dir: entry.file_type() == FileType::Directory });
            }
        }
        Ok(())
    }

    fn read_piece(&self, at: &OwnedFd, path: &[u8], into: &mut Vec<u8>) -> io::Result<()> {
        let file = open_file(at, path)?;
        loop {
            into.reserve(1024);
            let room = into.capacity() - into.len();
            if read_some(&file, into)? < room {
                return Ok(());
            }
        }
    }

    fn read(&self, at: &OwnedFd, path: &[u8], into: &mut Vec<u8>) -> io::Result<()> {
        let file = open_file(at, path)?;
        loop {
            into.reserve(1024);
            if read_some(&file, into)? == 0 {
                return Ok(());
            }
        }
    }

    fn read_link(&self, at: &OwnedFd, path: &[u8]) -> io::Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(at, path, Vec::with_capacity(128))?.into_bytes())
    }

    fn stat(&self, at: &OwnedFd, path: &[u8]) -> io::Result<FileStat> {
        statx(at, path, AtFlags::empty())
    }

    fn stat_cached(&self, path: &[u8]) -> io::Result<FileStat> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        // The cache misses now and then when names change elsewhere; a path in use is found at a second look.
        let mut tries = 3;
        let file = loop {
            tries -= 1;
            match rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED) {
                Err(Errno::AGAIN) if tries > 0 => {}
                // Before Linux 5.12 there is no such look-up; sandboxes that do not know it refuse it.
                Err(Errno::NOSYS | Errno::INVAL | Errno::PERM) => {
                    break rustix::fs::openat(CWD, path, flags, Mode::empty())?;
                }
                other => break other?,
            }
        };
        statx(&file, b"", AtFlags::EMPTY_PATH)
    }

    fn compare_descriptors(&self, one: u32, other: u32) -> io::Result<Ordering> {
        let pid = |number: u32| {
            // A number that is none of the kernel's stands for no process.
            libc::pid_t::try_from(number)
                .map_err(|_| io::Error::from_raw_os_error(ESRCH))
                .map(libc::c_long::from)
        };
        let (one, other) = (pid(one)?, pid(other)?);
        let unused: libc::c_long = 0;
        // SAFETY: kcmp(2) takes five integers and no pointer: it reads and writes no memory of this process.
        let order = unsafe { libc::syscall(libc::SYS_kcmp, one, other, KCMP_FILES, unused, unused) };
        match order {
            ..0 => Err(io::Error::last_os_error()),
            0 => Ok(Ordering::Equal),
            1 => Ok(Ordering::Less),
            2 => Ok(Ordering::Greater),
            // Different, and the kernel tells no order.
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn process_mark(&self) -> u64 {
        memory::process_mark()
    }

    fn wait(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    fn own_pid(&self) -> u32 {
        std::process::id()
    }

    fn cgroup_path(&self, root: &OwnedFd, id: u64) -> io::Result<Vec<u8>> {
        /// `struct file_handle` with the eight bytes of a kernfs id.
        #[repr(C)]
        struct Handle {
            bytes: libc::c_uint,
            kind: libc::c_int,
            id: [u8; 8],
        }
        const _: () = assert!(size_of::<Handle>() == 16);
        let mut handle = Handle { bytes: 8, kind: FILEID_KERNFS, id: id.to_ne_bytes() };
        // SAFETY: `handle` is laid out as `struct file_handle` (two ints, then `handle_bytes` = 8 bytes) and lives
        // across the call, which only reads it; `root` is an open descriptor.
        let fd = unsafe {
            libc::open_by_handle_at(
                root.as_raw_fd(),
                (&raw mut handle).cast(),
                libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC,
            )
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just opened, is not negative, and nobody else owns it.
        let dir = unsafe { OwnedFd::from_raw_fd(fd) };
        if statx(&dir, b"", AtFlags::EMPTY_PATH)?.inode != id {
            return Err(io::ErrorKind::NotFound.into());
        }
        let link = format!("/proc/thread-self/fd/{}", dir.as_raw_fd());
        Ok(rustix::fs::readlink(link, Vec::with_capacity(128))?.into_bytes())
    }

    fn stat_root(&self, path: &[u8]) -> io::Result<FileStat> {
        statx(CWD, path, AtFlags::empty())
    }

    fn process_exists(&self, pid: u32) -> io::Result<bool> {
        match pidfd(pid) {
            Ok(_) => Ok(true),
            Err(Errno::SRCH | Errno::INVAL) => Ok(false),
            // Before Linux 5.3: asking for the right to signal tells as much.
            Err(Errno::NOSYS) => match rustix::process::test_kill_process(number(pid)?) {
                Ok(()) | Err(Errno::PERM) => Ok(true),
                Err(Errno::SRCH) => Ok(false),
                Err(error) => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    fn pidfd_inode(&self, pid: u32) -> io::Result<Option<u64>> {
        // All pidfds of a kernel are of one file system.
        static IS_PIDFS: OnceLock<bool> = OnceLock::new();
        let pidfd = match pidfd(pid) {
            Err(Errno::NOSYS) => return Ok(None),
            other => other?,
        };
        let is_pidfs = *IS_PIDFS.get_or_init(|| {
            rustix::fs::fstatfs(&pidfd).is_ok_and(|fs| u64::try_from(fs.f_type) == Ok(PID_FS_MAGIC))
        });
        if !is_pidfs {
            return Ok(None);
        }
        Ok(Some(statx(&pidfd, b"", AtFlags::EMPTY_PATH)?.inode))
    }

    fn can_load_iterators(&self) -> bool {
        let wanted = rustix::thread::CapabilitySet::BPF | rustix::thread::CapabilitySet::PERFMON;
        let admin = rustix::thread::CapabilitySet::SYS_ADMIN;
        rustix::thread::capabilities(None)
            .is_ok_and(|own| own.effective.contains(wanted) || own.effective.contains(admin))
    }

    fn load_iterators(&self) -> Result<bpf::Iterators, Refusal> {
        bpf::load()
    }

    fn open_shared(&self, path: &[u8]) -> Result<bpf::Iterators, Refusal> {
        bpf::open_shared(path)
    }

    fn show_all(&self, iterators: &bpf::Iterators) -> bool {
        iterators.show_all()
    }

    fn iterate(
        &self,
        iterators: &bpf::Iterators,
        pass: Pass<'_>,
        each: &mut dyn FnMut(&[u8]),
    ) -> io::Result<()> {
        bpf::iterate(iterators, pass, each)
    }

    fn user_name(&self, uid: u32) -> io::Result<Option<String>> {
        let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid))?;
        Ok(user.map(|user| user.name))
    }

    fn now(&self) -> Now {
        let since_boot = clock_gettime(ClockId::Boottime);
        let wall = clock_gettime(ClockId::Realtime);
        Now {
            since_boot: duration(since_boot.tv_sec, since_boot.tv_nsec),
            wall: UNIX_EPOCH
                .checked_add(duration(wall.tv_sec, wall.tv_nsec))
                .unwrap_or(SystemTime::UNIX_EPOCH),
            ticks_per_second: rustix::param::clock_ticks_per_second(),
        }
    }
}

fn duration(seconds: i64, nanoseconds: i64) -> Duration {
    Duration::new(u64::try_from(seconds).unwrap_or(0), u32::try_from(nanoseconds).unwrap_or(0))
}

fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    rustix::io::retry_on_intr(&mut call)
}

fn open_file(at: &OwnedFd, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    rustix::fs::openat(at, path, flags, Mode::empty())
}

/// Appends what one read gives.
fn read_some(file: &OwnedFd, into: &mut Vec<u8>) -> rustix::io::Result<usize> {
    retry(|| rustix::io::read(file, rustix::buffer::spare_capacity(&mut *into)))
}

fn number(pid: u32) -> rustix::io::Result<rustix::process::Pid> {
    i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).ok_or(Errno::SRCH)
}

fn pidfd(pid: u32) -> rustix::io::Result<OwnedFd> {
    rustix::process::pidfd_open(number(pid)?, rustix::process::PidfdFlags::empty())
}

fn older_stat(at: impl AsFd, path: &[u8], flags: AtFlags) -> io::Result<FileStat> {
    let found = rustix::fs::statat(at, path, flags.difference(AtFlags::STATX_DONT_SYNC))?;
    Ok(FileStat {
        kind: kind(FileType::from_raw_mode(found.st_mode)),
        device: found.st_dev,
        inode: found.st_ino,
        links: u32::try_from(found.st_nlink).unwrap_or(u32::MAX),
        size: u64::try_from(found.st_size).unwrap_or(0),
        uid: found.st_uid,
    })
}

fn kind(file_type: FileType) -> FileKind {
    match file_type {
        FileType::Socket => FileKind::Socket,
        FileType::Directory => FileKind::Directory,
        _ => FileKind::Other,
    }
}

/// `AT_STATX_DONT_SYNC`: what the kernel has, without asking a server or a FUSE daemon that may never answer.
fn statx(at: impl AsFd, path: &[u8], flags: AtFlags) -> io::Result<FileStat> {
    let flags = flags | AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    let mask = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::NLINK | StatxFlags::SIZE | StatxFlags::UID;
    let found: Statx = match rustix::fs::statx(&at, path, flags, mask) {
        // Before Linux 4.11, or in a sandbox that does not know it. The older call may wait for a file system.
        Err(Errno::NOSYS) => return older_stat(at, path, flags),
        found => found?,
    };
    Ok(FileStat {
        kind: kind(FileType::from_raw_mode(found.stx_mode.into())),
        device: rustix::fs::makedev(found.stx_dev_major, found.stx_dev_minor),
        inode: found.stx_ino,
        links: found.stx_nlink,
        size: found.stx_size,
        uid: found.stx_uid,
    })
}
