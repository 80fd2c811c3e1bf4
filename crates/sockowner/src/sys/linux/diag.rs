//! The socket half: sock_diag(7), dumps and exact lookups.
//!
//! Source: `net/ipv4/inet_diag.c`, `net/core/sock_diag.c`. Every user may ask; the answer is about the network
//! namespace in which the netlink socket was opened.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use sockowner_wire::inet_diag::{Request, Row, SOCK_DIAG_BY_FAMILY, TCPDIAG_GETSOCK};
use sockowner_wire::netlink::{self, DONE, ERROR, FLAG_DUMP_INTERRUPTED, OVERRUN};

use super::call::{ENOBUFS, ESTALE, with_room};
use super::door::Door;
use crate::{Error, ErrorKind, Result};

/// How often a dump is begun again before what it gave is taken with a gap.
const TRIES: u32 = 3;
/// The kernel fills at most 32 KiB for a reader with a buffer this large; grown where a datagram was cut all the same.
const BUFFER_LEN: usize = 32 * 1024;
/// A datagram beyond this is no sock_diag answer.
const BUFFER_MAX: usize = 1024 * 1024;

/// What a dump gave, each row made into a `T` as it came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dump<T> {
    pub(crate) rows: Vec<T>,
    /// Records that could not be read and were left out.
    pub(crate) malformed: u64,
    /// The table changed under each try: rows may be missing, or stale.
    pub(crate) interrupted: bool,
}

impl<T> Dump<T> {
    fn new(expected: usize) -> Self {
        Self { rows: with_room(expected), malformed: 0, interrupted: false }
    }

    /// Both together.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.rows.extend(other.rows);
        self.malformed += other.malformed;
        self.interrupted |= other.interrupted;
        self
    }
}

/// A netlink socket, opened again after a failure, so that the rest of a broken answer is never taken for the next one.
#[derive(Debug)]
pub(crate) struct Diag<D: Door> {
    open: Mutex<Option<Open<D>>>,
    /// Inode number of the network namespace it belongs to; `None` where `/proc` cannot tell.
    netns: Option<u64>,
    /// That namespace, where it was entered for it; `None`: the one of the thread that opened it.
    entered: Option<Arc<D::Namespace>>,
}

#[derive(Debug)]
struct Open<D: Door> {
    socket: D::Diag,
    sequence: u32,
    buffer: Vec<u8>,
    /// Who opened it. After fork(2) parent and child would read each other's answers.
    pid: u32,
}

/// How one try at a request went wrong.
enum Failure {
    /// The kernel said no to the request itself.
    Refused(io::Error),
    /// The answer was lost on the way; the same request may go through.
    Lost(io::Error),
    /// The answer could not be received.
    Broken(io::Error),
    /// The answer is not netlink.
    Malformed(sockowner_wire::Malformed),
}

impl Failure {
    fn into_error(self) -> Error {
        match self {
            Self::Refused(cause) => Error::io("ask sock_diag", cause),
            Self::Lost(cause) | Self::Broken(cause) => Error::io("receive from sock_diag", cause),
            Self::Malformed(malformed) => {
                Error::new(ErrorKind::Malformed, format!("read the answer of sock_diag: {malformed}"))
            }
        }
    }
}

impl<D: Door> Diag<D> {
    pub(crate) fn open(door: &D) -> Result<Self> {
        let open = Open::new(door)?;
        Ok(Self { open: Mutex::new(Some(open)), netns: own_netns(door), entered: None })
    }

    /// Of another network namespace, whose inode number is known.
    pub(crate) fn enter(door: &D, namespace: D::Namespace, netns: u64) -> Result<Self> {
        let open = Open::of(door.open_diag_in(&namespace), door)?;
        Ok(Self { open: Mutex::new(Some(open)), netns: Some(netns), entered: Some(Arc::new(namespace)) })
    }

    /// Closes the socket until it is needed again.
    pub(crate) fn rest(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The namespace was entered for it.
    pub(crate) fn is_entered(&self) -> bool {
        self.entered.is_some()
    }

    pub(crate) fn netns(&self) -> Option<u64> {
        self.netns
    }

    /// A new socket for one that was given up. It belongs to the namespace of the thread that asks, which may have
    /// moved to another one meanwhile.
    fn open_again(&self, door: &D) -> Result<Open<D>> {
        if let Some(namespace) = &self.entered {
            return Open::of(door.open_diag_in(namespace), door);
        }
        if self.netns.is_none() || own_netns(door) != self.netns {
            let why =
                "open a sock_diag netlink socket again: this thread is not in the query's network namespace";
            return Err(Error::new(ErrorKind::System, why));
        }
        Open::new(door)
    }

    /// Something to do with the open socket itself.
    pub(crate) fn with_socket<T>(&self, door: &D, then: impl FnOnce(&D::Diag) -> T) -> Result<T> {
        let mut guard = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let open = match guard.take().filter(|open| open.pid == door.own_pid()) {
            Some(open) => open,
            None => self.open_again(door)?,
        };
        Ok(then(&guard.insert(open).socket))
    }

    /// Another one of the same network namespace, so that two answers can be read at once.
    pub(crate) fn another(&self, door: &D) -> Result<Self> {
        Ok(Self {
            open: Mutex::new(Some(self.open_again(door)?)),
            netns: self.netns,
            entered: self.entered.clone(),
        })
    }

    /// Everything that `request`, a [`Request::Dump`], asks for: so many rows about. `make` may not ask anything itself.
    pub(crate) fn dump<T>(
        &self,
        door: &D,
        request: &Request,
        expected: usize,
        mut make: impl FnMut(&Row) -> T,
    ) -> Result<Dump<T>> {
        let mut best = None;
        let mut failed = None;
        for _ in 0..TRIES {
            match self.ask(door, request, expected, &mut make)? {
                Ok(dump) if !dump.interrupted => return Ok(dump),
                Ok(dump) => best = Some(dump),
                Err(Failure::Lost(cause)) => failed = Some(Failure::Lost(cause)),
                Err(failure) => return Err(failure.into_error()),
            }
        }
        match (best, failed) {
            (Some(dump), _) => Ok(dump),
            (None, Some(failure)) => Err(failure.into_error()),
            (None, None) => Err(Error::new(ErrorKind::System, "ask sock_diag: no try was made")),
        }
    }

    /// The row that `request`, a [`Request::Exact`], reaches; `None` where there is none, or another with this tuple.
    pub(crate) fn exact(&self, door: &D, request: &Request) -> Result<Option<Row>> {
        let mut tries = TRIES;
        loop {
            tries -= 1;
            match self.ask(door, request, 1, &mut |row| *row)? {
                Ok(dump) => return Ok(dump.rows.into_iter().next()),
                Err(Failure::Lost(_)) if tries > 0 => {}
                Err(Failure::Refused(cause))
                    if cause.kind() == io::ErrorKind::NotFound || cause.raw_os_error() == Some(ESTALE) =>
                {
                    return Ok(None);
                }
                Err(failure) => return Err(failure.into_error()),
            }
        }
    }

    /// One request, one whole answer.
    fn ask<T>(
        &self,
        door: &D,
        request: &Request,
        expected: usize,
        make: &mut impl FnMut(&Row) -> T,
    ) -> Result<Result<Dump<T>, Failure>> {
        let mut guard = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut open = match guard.take().filter(|open| open.pid == door.own_pid()) {
            Some(open) => open,
            None => self.open_again(door)?,
        };
        let answer = open.ask(door, request, expected, make);
        // After a failure the rest of the answer may still be queued: the socket is given up.
        if matches!(answer, Ok(_) | Err(Failure::Refused(_))) {
            *guard = Some(open);
        }
        Ok(answer)
    }
}

impl<D: Door> Open<D> {
    fn new(door: &D) -> Result<Self> {
        Self::of(door.open_diag(), door)
    }

    fn of(socket: io::Result<D::Diag>, door: &D) -> Result<Self> {
        let socket = socket.map_err(|cause| {
            let unsupported =
                matches!(cause.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput);
            let error = Error::io("open a sock_diag netlink socket", cause);
            if unsupported { error.with_kind(ErrorKind::Unsupported) } else { error }
        })?;
        Ok(Self { socket, sequence: 0, buffer: vec![0; BUFFER_LEN], pid: door.own_pid() })
    }

    fn ask<T>(
        &mut self,
        door: &D,
        request: &Request,
        expected: usize,
        make: &mut impl FnMut(&Row) -> T,
    ) -> Result<Dump<T>, Failure> {
        self.sequence = self.sequence.wrapping_add(1);
        door.send(&self.socket, &request.encode(self.sequence)).map_err(Failure::Refused)?;
        let is_dump = matches!(request, Request::Dump { .. });
        let mut dump = Dump::new(expected);
        loop {
            let length = door.receive(&self.socket, &mut self.buffer).map_err(|cause| {
                let lost = cause.raw_os_error() == Some(ENOBUFS) || cause.kind() == io::ErrorKind::WouldBlock;
                if lost { Failure::Lost(cause) } else { Failure::Broken(cause) }
            })?;
            if length > self.buffer.len() {
                if length <= BUFFER_MAX {
                    self.buffer.resize(length, 0);
                }
                return Err(Failure::Lost(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("an answer of {length} bytes was cut"),
                )));
            }
            let is_over = take(&self.buffer[..length], self.sequence, make, &mut dump)?;
            if is_over || !is_dump && !dump.rows.is_empty() {
                return Ok(dump);
            }
        }
    }
}

/// Inode number of the calling thread's network namespace.
fn own_netns<D: Door>(door: &D) -> Option<u64> {
    door.stat_root(b"/proc/thread-self/ns/net").ok().map(|netns| netns.inode)
}

/// Takes one datagram of an answer into `dump`; true at its end.
fn take<T>(
    datagram: &[u8],
    sequence: u32,
    make: &mut impl FnMut(&Row) -> T,
    dump: &mut Dump<T>,
) -> Result<bool, Failure> {
    for message in netlink::messages(datagram) {
        let message = message.map_err(Failure::Malformed)?;
        if message.sequence != sequence {
            continue;
        }
        dump.interrupted |= message.flags & FLAG_DUMP_INTERRUPTED != 0;
        match message.kind {
            DONE => {
                // Old kernels end a dump without a number.
                return match message.errno().unwrap_or(0) {
                    0.. => Ok(true),
                    errno => Err(Failure::Refused(io::Error::from_raw_os_error(-errno))),
                };
            }
            ERROR => {
                return match message.errno().map_err(Failure::Malformed)? {
                    0.. => Ok(true),
                    errno => Err(Failure::Refused(io::Error::from_raw_os_error(-errno))),
                };
            }
            OVERRUN => return Err(Failure::Lost(io::Error::from_raw_os_error(ENOBUFS))),
            SOCK_DIAG_BY_FAMILY | TCPDIAG_GETSOCK => match Row::decode(message.payload) {
                Ok(row) => dump.rows.push(make(&row)),
                Err(_) => dump.malformed += 1,
            },
            _ => {}
        }
    }
    Ok(false)
}
