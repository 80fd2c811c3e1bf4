//! Other processes' files, opened without waiting for anybody and without being led astray.
//!
//! By openat(2) and openat2(2) alone: the filter of system calls knows no open(2).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Statx, StatxFlags, makedev, openat, openat2, statx,
};
use sockowner_component::{Device, Identity};

/// A process, held by its directory in `/proc`: its number may be given to another, but this leads to no other.
#[derive(Debug)]
pub(crate) struct Held(OwnedFd);

/// A file that was found and not opened: nobody has noticed yet.
#[derive(Debug)]
pub(crate) struct Found {
    file: OwnedFd,
    /// It is a regular file.
    pub(crate) is_regular: bool,
    pub(crate) device: Device,
    pub(crate) inode: u64,
}

impl Held {
    /// The process that has this number now.
    pub(crate) fn hold(pid: u32) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(openat(CWD, format!("/proc/{pid}"), flags, Mode::empty())?))
    }

    /// `/proc/PID/stat`.
    pub(crate) fn stat(&self) -> io::Result<Vec<u8>> {
        let file = self.open("stat")?;
        let mut text = vec![0; 1024];
        let len = rustix::io::read(&file, &mut text)?;
        text.truncate(len);
        Ok(text)
    }

    /// `/proc/PID/maps`.
    pub(crate) fn maps(&self) -> io::Result<File> {
        self.open("maps")
    }

    fn open(&self, name: &str) -> io::Result<File> {
        Ok(openat(&self.0, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?.into())
    }

    /// The file that is mapped just there, whether it still has a name or not.
    pub(crate) fn mapped(&self, start: u64, end: u64) -> io::Result<Found> {
        let link = format!("map_files/{start:x}-{end:x}");
        Found::examine(openat(&self.0, link, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// Its root directory.
    pub(crate) fn root(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(openat(&self.0, "root", flags, Mode::empty())?)
    }
}

/// The root directory of this process.
pub(crate) fn own_root() -> io::Result<OwnedFd> {
    Ok(openat(CWD, "/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// What a path names below `root`. No link leads out of there.
pub(crate) fn below(root: &OwnedFd, path: &Path) -> io::Result<Found> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    Found::examine(openat2(root, path, flags, Mode::empty(), resolve)?)
}

impl Found {
    fn examine(file: OwnedFd) -> io::Result<Self> {
        // What its server said last will do: it is not asked.
        let found = examine(file.as_fd(), AtFlags::STATX_DONT_SYNC)?;
        Ok(Self {
            is_regular: FileType::from_raw_mode(found.stx_mode.into()) == FileType::RegularFile,
            device: Device { major: found.stx_dev_major, minor: found.stx_dev_minor },
            inode: found.stx_ino,
            file,
        })
    }

    /// Opens it for reading.
    pub(crate) fn open(&self) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        Ok(openat(CWD, path, flags, Mode::empty())?.into())
    }
}

fn examine(file: BorrowedFd<'_>, flags: AtFlags) -> io::Result<Statx> {
    Ok(statx(file, "", AtFlags::EMPTY_PATH | flags, StatxFlags::BASIC_STATS)?)
}

/// Which file this is, and in which state.
pub(crate) fn identity(file: &File) -> io::Result<Identity> {
    let found = rustix::fs::fstat(file)?;
    #[expect(clippy::useless_conversion, reason = "the types of these fields differ between architectures")]
    Ok(Identity {
        device: found.st_dev,
        inode: found.st_ino,
        size: u64::try_from(found.st_size).unwrap_or(0),
        modified: (found.st_mtime.into(), i64::try_from(found.st_mtime_nsec).unwrap_or(0)),
        changed: (found.st_ctime.into(), i64::try_from(found.st_ctime_nsec).unwrap_or(0)),
    })
}

/// A device in one number, as an [`Identity`] has it.
pub(crate) fn device_number(device: Device) -> u64 {
    makedev(device.major, device.minor)
}
