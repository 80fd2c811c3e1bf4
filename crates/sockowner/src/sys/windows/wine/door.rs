//! What is asked of Wine alone: a part of the door to the system that Windows is never asked to open.

use std::fmt;
use std::io;
use std::sync::OnceLock;

use super::told::Told;
use crate::sys::windows::process_list::Listed;

/// `STATUS_INVALID_HANDLE` as a Win32 code: there is no handle with this number, or no longer.
const INVALID_HANDLE: i32 = 6;
/// `ERROR_TOO_MANY_OPEN_FILES`, `ERROR_NOT_ENOUGH_MEMORY`, `ERROR_OUTOFMEMORY`, `ERROR_NO_SYSTEM_RESOURCES`,
/// `ERROR_COMMITMENT_LIMIT`.
const EXHAUSTED: [i32; 5] = [4, 8, 14, 1450, 1455];

/// A question to a socket, as the control code by which Wine's own Winsock asks it. Each only tells, and changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Question {
    /// Family, type and protocol, 32 bits each.
    Info,
    /// The local address, a `sockaddr`.
    Local,
    /// The peer's address, a `sockaddr`.
    Peer,
    /// Whether it listens (`SO_ACCEPTCONN`), 32 bits.
    Listens,
}

impl Question {
    pub(crate) const fn code(self) -> u32 {
        match self {
            Self::Info => 0x12_0368,
            Self::Local => 0x1_202f,
            Self::Peer => 0x12_0360,
            Self::Listens => 0x12_036c,
        }
    }
}

/// A socket of this process, of which everything is known.
#[derive(Debug)]
pub(crate) struct Sample<S> {
    /// Keeps it open.
    pub(crate) socket: S,
    /// Value of its handle.
    pub(crate) handle: u32,
    pub(crate) told: Told,
}

/// The part of the door that is Wine's. Every method is one call, or an open-use-close, and closes what it opened.
pub(crate) trait WineDoor: fmt::Debug {
    /// A handle to a process, with the right to have its handles duplicated.
    type Process: fmt::Debug;
    /// A duplicate of another process's handle, without any access: it can be asked what it is, and nothing else.
    type Duplicate: fmt::Debug;
    /// While it is kept no other program, and no other thread, looks at handles.
    type Turn: fmt::Debug;
    /// A socket of this process.
    type Socket: fmt::Debug;

    fn own_pid(&self) -> u32;
    /// Waits until nobody else looks at handles: duplicates that he has open would be taken for his sockets. Not for ever.
    fn turn(&self) -> io::Result<Self::Turn>;
    /// All processes, and how many entries of their list do not have the form they should.
    fn processes(&self) -> io::Result<(Vec<Listed>, u64)>;
    fn open_holder(&self, pid: u32) -> io::Result<Self::Process>;
    /// When it was created (`FILETIME`).
    fn created(&self, process: &Self::Process) -> io::Result<u64>;
    fn duplicate(&self, process: &Self::Process, handle: u32) -> io::Result<Self::Duplicate>;
    /// `FILE_TYPE_PIPE`: a socket, or a pipe. Nothing else may be asked further.
    fn is_pipe(&self, duplicate: &Self::Duplicate) -> bool;
    /// The answer's length in `into`. `None` where there is nothing to tell: it is no socket, it has no address, it has no
    /// peer.
    fn ask(
        &self,
        duplicate: &Self::Duplicate,
        question: Question,
        into: &mut [u8],
    ) -> io::Result<Option<usize>>;
    /// Both stand for the same object. `Unsupported` where this Wine cannot tell.
    fn same(&self, one: &Self::Duplicate, other: &Self::Duplicate) -> io::Result<bool>;
    /// A TCP socket that listens, and a UDP socket whose peer is itself, both on the loopback interface. Handles with lower
    /// numbers than theirs were closed again.
    fn samples(&self) -> io::Result<[Sample<Self::Socket>; 2]>;
    /// It is proven that this Wine tells what it should.
    fn proven(&self) -> &OnceLock<()>;
}

pub(super) fn is_closed(error: &io::Error) -> bool {
    error.raw_os_error() == Some(INVALID_HANDLE)
}

/// Handles or memory are used up: nothing that follows can be believed.
pub(super) fn is_exhausted(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::OutOfMemory
        || error.raw_os_error().is_some_and(|code| EXHAUSTED.contains(&code))
}
