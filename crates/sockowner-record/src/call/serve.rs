//! The calls of the server: a socket that is made safely, and who is at its other end.
#![expect(unsafe_code, reason = "two options of unix sockets have no safe wrapper")]

use std::ffi::c_int;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, listen, recv,
    send, socket_with,
};

/// The initial user namespace (`PROC_USER_INIT_INO`, `linux/proc_ns.h`).
const INITIAL_USER_NAMESPACE: u64 = 0xefff_fffd;
/// As many as may wait to be accepted.
const BACKLOG: i32 = 128;
/// `NGROUPS_MAX` (`linux/limits.h`).
const GROUPS_MAX: usize = 65_536;

/// A listening socket, and where it is.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: OwnedFd,
    dir: OwnedFd,
    name: Vec<u8>,
    inode: u64,
}

/// Which step failed, and how.
pub(crate) type Step<T> = Result<T, (&'static str, io::Error)>;

fn step<E: Into<io::Error>>(step: &'static str) -> impl Fn(E) -> (&'static str, io::Error) {
    move |error| (step, error.into())
}

impl Listener {
    /// Makes a socket for everybody, in a directory that only root can write. What has its name is replaced in one step.
    pub(crate) fn bind(path: &Path) -> Step<Self> {
        let refused = |why| ("examine its path", io::Error::new(io::ErrorKind::InvalidInput, why));
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(refused("it has no directory"));
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let dir =
            rustix::fs::openat(CWD, parent, flags, Mode::empty()).map_err(step("open its directory"))?;
        let stat = rustix::fs::fstat(&dir).map_err(step("examine its directory"))?;
        if stat.st_uid != 0 || stat.st_mode & 0o022 != 0 {
            return Err(refused("others than root can change its directory"));
        }
        let name = name.as_bytes().to_vec();
        let fresh = [&name[..], b".new"].concat();
        unlink(&dir, &fresh).map_err(step("remove what is left of another"))?;
        let kind = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, kind, None)
            .map_err(step("make a socket"))?;
        // In the very directory that was examined.
        let place = [format!("/proc/self/fd/{}/", dir.as_raw_fd()).as_bytes(), &fresh].concat();
        let address = SocketAddrUnix::new(&place[..]).map_err(step("bind"))?;
        rustix::net::bind(&socket, &address).map_err(step("bind"))?;
        let everybody = Mode::from_raw_mode(0o666);
        rustix::fs::chmodat(&dir, &fresh[..], everybody, AtFlags::empty())
            .map_err(step("give it its permissions"))?;
        let stat =
            rustix::fs::statat(&dir, &fresh[..], AtFlags::SYMLINK_NOFOLLOW).map_err(step("examine it"))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
            return Err(refused("it is replaced by something else"));
        }
        listen(&socket, BACKLOG).map_err(step("listen"))?;
        rustix::fs::renameat(&dir, &fresh[..], &dir, &name[..]).map_err(step("give it its name"))?;
        Ok(Self { socket, dir, name, inode: stat.st_ino })
    }

    /// Whoever is first in the queue; `None`: nobody waits.
    pub(crate) fn accept(&self) -> io::Result<Option<OwnedFd>> {
        match accept_with(&self.socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(socket) => Ok(Some(socket)),
            Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let stat = rustix::fs::statat(&self.dir, &self.name[..], AtFlags::SYMLINK_NOFOLLOW);
        // Another may have taken its place.
        if stat.is_ok_and(|stat| stat.st_ino == self.inode) {
            // Who connects to what is left is told that nobody listens.
            let _ = unlink(&self.dir, &self.name);
        }
    }
}

fn unlink(dir: &OwnedFd, name: &[u8]) -> rustix::io::Result<()> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

/// Users have the numbers here that the recorder notes.
pub(crate) fn is_in_initial_user_namespace() -> io::Result<bool> {
    Ok(rustix::fs::stat(c"/proc/self/ns/user")?.st_ino == INITIAL_USER_NAMESPACE)
}

/// What may happen, or has happened, to a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) to_read: bool,
    pub(crate) to_write: bool,
    pub(crate) ended: bool,
}

/// Waits until one of these can be read or written, as it is wished, or has ended.
pub(crate) fn wait(sockets: &[(BorrowedFd<'_>, Ready)], at_most: Duration) -> io::Result<Vec<Ready>> {
    let wished = |ready: Ready| {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, ready.to_read);
        flags.set(PollFlags::OUT, ready.to_write);
        flags
    };
    let mut polled: Vec<_> =
        sockets.iter().map(|(socket, ready)| PollFd::from_borrowed_fd(*socket, wished(*ready))).collect();
    let timeout = Timespec::try_from(at_most).map_err(io::Error::other)?;
    match rustix::event::poll(&mut polled, Some(&timeout)) {
        Err(Errno::INTR) => return Ok(vec![Ready::default(); sockets.len()]),
        other => other?,
    };
    let happened = |fd: &PollFd<'_>| {
        let events = fd.revents();
        Ready {
            to_read: events.contains(PollFlags::IN),
            to_write: events.contains(PollFlags::OUT),
            ended: events.intersects(PollFlags::ERR | PollFlags::NVAL | PollFlags::HUP),
        }
    };
    Ok(polled.iter().map(happened).collect())
}

/// A packet, as far as there is room for it; `None`: there is none yet. Descriptors that come with it are not taken.
pub(crate) fn receive(socket: &OwnedFd, room: &mut [u8]) -> io::Result<Option<usize>> {
    match recv(socket, room, RecvFlags::DONTWAIT) {
        Ok((length, _)) => Ok(Some(length)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Sends a packet; false where there is no room for it yet.
pub(crate) fn send_now(socket: &OwnedFd, packet: &[u8]) -> io::Result<bool> {
    match send(socket, packet, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
        Ok(_) => Ok(true),
        Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS | Errno::NOMEM) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Who connected, as he was when he did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// His effective user and group, and his other groups.
    pub(crate) uid: u32,
    pub(crate) groups: Vec<u32>,
    /// His process's number here; `None` where it has none.
    pid: Option<u32>,
}

pub(crate) fn peer(socket: &OwnedFd) -> io::Result<Peer> {
    let mut credentials = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let length = option(socket, libc::SO_PEERCRED, std::slice::from_mut(&mut credentials))?;
    if length != size_of::<libc::ucred>() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut groups = vec![u32::MAX; GROUPS_MAX];
    let length = option(socket, libc::SO_PEERGROUPS, &mut groups)?;
    groups.truncate(length / size_of::<u32>());
    groups.push(credentials.gid);
    groups.shrink_to_fit();
    let pid = u32::try_from(credentials.pid).ok().filter(|&pid| pid != 0);
    Ok(Peer { uid: credentials.uid, groups, pid })
}

/// What may be written by the kernel as any bytes.
trait Plain: Copy {}
impl Plain for libc::ucred {}
impl Plain for u32 {}
impl Plain for c_int {}

/// An option of a socket, as many bytes of it as are returned.
fn option<T: Plain>(socket: &OwnedFd, name: c_int, into: &mut [T]) -> io::Result<usize> {
    let mut length = libc::socklen_t::try_from(size_of_val(into)).map_err(io::Error::other)?;
    // SAFETY: the kernel writes at most `length` bytes at the pointer, which are those of `into`, borrowed mutably; any
    // bytes are a `T`, as `Plain` says. It writes their number at `length`, which outlives the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            name,
            into.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    usize::try_from(length).map_err(io::Error::other)
}

impl Peer {
    /// The pid namespace of the process that connected, by its inode number; `None` where that cannot be told.
    ///
    /// That it is this one everybody may know. Another's number takes the right to look into the process, which has to live
    /// still: its number may be another's now. Before Linux 6.5 that cannot be told; whoever asks does not take numbers of
    /// another namespace than his own.
    pub(crate) fn namespace(&self, socket: &OwnedFd) -> Option<u32> {
        let process = match peer_pidfd(socket) {
            Ok(process) => Some(process),
            Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => None,
            Err(_) => return None,
        };
        let about = process.as_ref().map_or_else(
            || self.pid.map(|pid| format!("/proc/{pid}/status")),
            |process| Some(format!("/proc/self/fdinfo/{}", process.as_raw_fd())),
        );
        if fs::read(about?).is_ok_and(|about| is_on_this_level(&about)) {
            return namespace_of("self");
        }
        let namespace = namespace_of(&self.pid?.to_string())?;
        let Some(process) = process else { return Some(namespace) };
        // A pidfd can be read once its process has ended.
        let wished = Ready { to_read: true, ..Ready::default() };
        let ready = wait(&[(process.as_fd(), wished)], Duration::ZERO).ok()?;
        (ready == [Ready::default()]).then_some(namespace)
    }
}

fn peer_pidfd(socket: &OwnedFd) -> io::Result<OwnedFd> {
    let mut fd: c_int = -1;
    option(socket, libc::SO_PEERPIDFD, std::slice::from_mut(&mut fd))?;
    if fd < 0 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    // SAFETY: SO_PEERPIDFD returned a new descriptor, which nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn namespace_of(process: &str) -> Option<u32> {
    u32::try_from(rustix::fs::stat(format!("/proc/{process}/ns/pid")).ok()?.st_ino).ok()
}

/// The process has a number in the namespace of this `/proc` and in no other, by its status or what is told of its pidfd.
fn is_on_this_level(about: &[u8]) -> bool {
    let mut lines = about.split(|&byte| byte == b'\n');
    let numbers = lines.find_map(|line| line.strip_prefix(b"NSpid:")).unwrap_or_default();
    let mut numbers = numbers.split(u8::is_ascii_whitespace).filter(|number| !number.is_empty());
    // 0 and -1 stand for none.
    let is_number = |number: &[u8]| number.iter().all(u8::is_ascii_digit) && number != b"0";
    numbers.next().is_some_and(is_number) && numbers.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_one_number_is_on_this_level() {
        assert!(is_on_this_level(b"Name:\tNSpid:\nNSpid:\t4711\nNSsid:\t1\t2\n"));
        assert!(!is_on_this_level(b"NSpid:\t4711\t1\n"));
        assert!(!is_on_this_level(b"NSpid:\n") && !is_on_this_level(b"Name:\tx\n"));
        assert!(!is_on_this_level(b"Pid:\t0\nNSpid:\t0\n") && !is_on_this_level(b"NSpid:\t-1\n"));
    }

    #[test]
    fn the_kernel_tells_who_connected() {
        let kind = SocketFlags::CLOEXEC;
        let (one, _other) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, kind, None).unwrap();
        let peer = peer(&one).unwrap();
        assert_eq!(peer.uid, rustix::process::geteuid().as_raw());
        assert!(peer.groups.contains(&rustix::process::getegid().as_raw()));
        for group in rustix::process::getgroups().unwrap() {
            assert!(peer.groups.contains(&group.as_raw()));
        }
        let own = u32::try_from(rustix::fs::stat("/proc/self/ns/pid").unwrap().st_ino).unwrap();
        assert_eq!((peer.pid, peer.namespace(&one)), (Some(std::process::id()), Some(own)));
    }
}
