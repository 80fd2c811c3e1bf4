//! The socket at which the recorder's user part is asked.
#![expect(unsafe_code, reason = "rustix has no credentials of a process that has no number here")]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Instant;

use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv, send,
    socket_with,
};
use sockowner_wire::ask::ANSWER_MAX;

const DIR: &str = "/run/sockowner";
const PATH: &str = "/run/sockowner/record.sock";
const OTHERS_MAY_WRITE: u32 = 0o022;

/// A connection to it.
#[derive(Debug)]
pub(crate) struct Line {
    socket: OwnedFd,
    room: Vec<u8>,
}

impl Line {
    /// Connects, if it is root's; `None`: nobody is there.
    pub(crate) fn open(until: Instant) -> io::Result<Option<Self>> {
        // Nobody else can put another socket where only root can write.
        for (path, kind) in [(DIR, FileType::Directory), (PATH, FileType::Socket)] {
            let stat = match rustix::fs::lstat(path) {
                Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
                other => other?,
            };
            // A socket is written to by whoever connects.
            let is_open = kind == FileType::Directory && stat.st_mode & OTHERS_MAY_WRITE != 0;
            if FileType::from_raw_mode(stat.st_mode) != kind || stat.st_uid != 0 || is_open {
                return Err(not_roots());
            }
        }
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        match patiently(&socket, Timeout::Send, until, || connect(&socket, &SocketAddrUnix::new(PATH)?)) {
            // Gone meanwhile, or left by one that has ended.
            Err(Errno::NOENT | Errno::CONNREFUSED) => return Ok(None),
            other => other.map_err(told)?,
        }
        // Whoever listens, and not whoever answers: a file is easier given away than a listener.
        if !is_roots(&socket)? {
            return Err(not_roots());
        }
        Ok(Some(Self { socket, room: vec![0; ANSWER_MAX + 1] }))
    }

    /// Sends a packet and awaits the one that answers it.
    pub(crate) fn ask(&mut self, packet: &[u8], until: Instant) -> io::Result<&[u8]> {
        let Self { socket, room } = self;
        patiently(socket, Timeout::Send, until, || send(&*socket, packet, SendFlags::NOSIGNAL))
            .map_err(told)?;
        let (length, _) =
            patiently(socket, Timeout::Recv, until, || recv(&*socket, &mut room[..], RecvFlags::empty()))
                .map_err(told)?;
        match length {
            0 => Err(told(Errno::CONNRESET)),
            length if length > ANSWER_MAX => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "its answer is longer than any may be"))
            }
            length => Ok(&room[..length]),
        }
    }
}

/// Root made the socket at the other end listen.
fn is_roots(socket: &OwnedFd) -> io::Result<bool> {
    let mut credentials = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let size = size_of::<libc::ucred>();
    let mut length = libc::socklen_t::try_from(size).map_err(io::Error::other)?;
    // SAFETY: SO_PEERCRED writes at most `length` bytes, those of `credentials`, whose fields are numbers of any value, and
    // their number at `length`. Both outlive the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(length as usize == size && credentials.uid == 0)
}

/// Makes a call that may wait, as long as is left.
fn patiently<T>(
    socket: &OwnedFd,
    kind: Timeout,
    until: Instant,
    mut call: impl FnMut() -> rustix::io::Result<T>,
) -> rustix::io::Result<T> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        // A timeout of nothing would be none.
        if left.is_zero() {
            return Err(Errno::AGAIN);
        }
        sockopt::set_socket_timeout(socket, kind, Some(left))?;
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

fn told(error: Errno) -> io::Error {
    match error {
        Errno::AGAIN => io::Error::new(io::ErrorKind::TimedOut, "no answer in time"),
        Errno::PIPE | Errno::CONNRESET => {
            io::Error::new(io::ErrorKind::UnexpectedEof, "it ended the connection")
        }
        error => error.into(),
    }
}

fn not_roots() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is not root's")
}
