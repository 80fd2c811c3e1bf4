//! Opening and entering network namespaces (setns(2)).
#![expect(unsafe_code, reason = "ioctl NS_GET_NSTYPE has no safe wrapper")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::thread;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// `NSFS_MAGIC` (`linux/magic.h`).
const NSFS_MAGIC: u64 = 0x6e73_6673;
/// `NS_GET_NSTYPE` (ioctl_nsfs(2)): `_IO(0xb7, 3)`.
const NS_GET_NSTYPE: libc::Ioctl = 0xb703;

/// Opens the file at `path`, which has to stand for a network namespace.
pub(super) fn open(path: &[u8]) -> io::Result<OwnedFd> {
    // What is no namespace may be anything: a queue must not be waited for, nor a terminal taken.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
    let magic = u64::try_from(rustix::fs::fstatfs(&file)?.f_type);
    if magic != Ok(NSFS_MAGIC) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: NS_GET_NSTYPE takes no argument and touches no memory of this process; `file` is open across the call.
    let kind = unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_NSTYPE) };
    match kind {
        libc::CLONE_NEWNET => Ok(file),
        // Before Linux 4.11 it cannot be told; entering it will.
        ..0 if io::Error::last_os_error().raw_os_error() == Some(libc::ENOTTY) => Ok(file),
        ..0 => Err(io::Error::last_os_error()),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// Does `work` in a thread that enters the namespace and ends with it: no other thread is moved.
pub(super) fn inside<T: Send>(
    namespace: &OwnedFd,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    thread::scope(|threads| {
        let inside = || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            work()
        };
        match thread::Builder::new().spawn_scoped(threads, inside)?.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
