//! What is asked of Wine alone.

use std::ffi::c_void;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::windows::io::{AsRawHandle, AsRawSocket, FromRawHandle, OwnedHandle, RawHandle, RawSocket};
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

use windows_sys::Wdk::System::IO::NtDeviceIoControlFile;
use windows_sys::Win32::Foundation::{
    DuplicateHandle, HANDLE, NTSTATUS, STATUS_INVALID_CONNECTION, STATUS_INVALID_PARAMETER,
    STATUS_NOT_SAME_OBJECT, STATUS_NOT_SUPPORTED, STATUS_OBJECT_TYPE_MISMATCH, STATUS_PENDING,
};
use windows_sys::Win32::Storage::FileSystem::{FILE_TYPE_PIPE, GetFileType};
use windows_sys::Win32::System::IO::IO_STATUS_BLOCK;
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetCurrentProcessId, OpenProcess, PROCESS_DUP_HANDLE,
    PROCESS_QUERY_LIMITED_INFORMATION,
};

use super::turn::Turn;
use super::{check, library, process, status};
use crate::sys::windows::process_list::Listed;
use crate::sys::windows::wine::door::{Question, Sample, WineDoor};
use crate::sys::windows::wine::told::Told;
use crate::sys::windows::{buffer, process_list};
use crate::{Address, Protocol};

/// Bytes for the list of processes at the first try.
const PROCESSES: usize = 1 << 15;
/// What can be done by a duplicate, besides to ask it what it is.
const NO_ACCESS: u32 = 0;
/// How many handles are opened and closed again below the samples: more than a small process has.
const BELOW: usize = 64;

/// `NtCompareObjects`.
type Compare = unsafe extern "system" fn(HANDLE, HANDLE) -> NTSTATUS;

/// The Wine this process runs on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wine;

/// A socket of our own.
#[derive(Debug)]
pub(crate) enum OwnSocket {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

impl WineDoor for Wine {
    type Process = OwnedHandle;
    type Duplicate = OwnedHandle;
    type Turn = Turn;
    type Socket = OwnSocket;

    fn own_pid(&self) -> u32 {
        // SAFETY: takes nothing and returns a number.
        unsafe { GetCurrentProcessId() }
    }

    fn turn(&self) -> io::Result<Turn> {
        Turn::wait()
    }

    fn processes(&self) -> io::Result<(Vec<Listed>, u64)> {
        let filled = buffer::filled(PROCESSES, process::list)?;
        Ok(process_list::read(filled.bytes(), filled.address()))
    }

    fn open_holder(&self, pid: u32) -> io::Result<OwnedHandle> {
        // SAFETY: takes three numbers and returns a handle that nobody else has.
        let handle = unsafe { OpenProcess(PROCESS_DUP_HANDLE | PROCESS_QUERY_LIMITED_INFORMATION, 0, pid) };
        owned(handle)
    }

    fn created(&self, process: &OwnedHandle) -> io::Result<u64> {
        process::times(process).map(|times| times.created)
    }

    fn duplicate(&self, process: &OwnedHandle, handle: u32) -> io::Result<OwnedHandle> {
        let source: HANDLE = std::ptr::without_provenance_mut(handle as usize);
        let mut duplicate = null_mut();
        // SAFETY: takes nothing and returns a number that stands for this process.
        let here = unsafe { GetCurrentProcess() };
        // SAFETY: `process` is open with the right to have its handles duplicated; `source` is looked up there and need not
        // be valid; `duplicate` is writable. Nothing is closed there, and children do not inherit the duplicate.
        check(unsafe {
            DuplicateHandle(process.as_raw_handle(), source, here, &raw mut duplicate, NO_ACCESS, 0, 0)
        })?;
        owned(duplicate)
    }

    fn is_pipe(&self, duplicate: &OwnedHandle) -> bool {
        // SAFETY: `duplicate` is an open handle; of whatever object, its type is told without waiting.
        unsafe { GetFileType(duplicate.as_raw_handle()) == FILE_TYPE_PIPE }
    }

    fn ask(&self, duplicate: &OwnedHandle, question: Question, into: &mut [u8]) -> io::Result<Option<usize>> {
        // On the heap, so that it can be left to the system where the question is not answered at once.
        let mut room = Box::new((IO_STATUS_BLOCK::default(), [0_u8; 32]));
        let (block, answer) = &mut *room;
        let wanted = into.len().min(answer.len());
        // SAFETY: `duplicate` is an open handle. `block` and `answer` are writable, `answer` for at least `wanted` bytes;
        // they live until the question is answered: where that is not now, they are never freed. There is no input, no
        // event and no routine to call.
        let code = unsafe {
            NtDeviceIoControlFile(
                duplicate.as_raw_handle(),
                null_mut(),
                None,
                null(),
                block,
                question.code(),
                null(),
                0,
                answer.as_mut_ptr().cast::<c_void>(),
                u32::try_from(wanted).unwrap_or(0),
            )
        };
        match (question, code) {
            (_, 0) => {
                let length = room.0.Information.min(wanted);
                into[..length].copy_from_slice(&room.1[..length]);
                Ok(Some(length))
            }
            (_, STATUS_PENDING) => {
                Box::leak(room);
                Err(io::ErrorKind::WouldBlock.into())
            }
            (Question::Info, STATUS_NOT_SUPPORTED | STATUS_OBJECT_TYPE_MISMATCH)
            | (Question::Local, STATUS_INVALID_PARAMETER)
            | (Question::Peer, STATUS_INVALID_CONNECTION) => Ok(None),
            (_, code) => Err(status(code)),
        }
    }

    fn same(&self, one: &OwnedHandle, other: &OwnedHandle) -> io::Result<bool> {
        static COMPARE: OnceLock<Option<library::Address>> = OnceLock::new();
        let compare = *COMPARE.get_or_init(|| library::ntdll(c"NtCompareObjects"));
        let compare = compare.ok_or(io::ErrorKind::Unsupported)?;
        // SAFETY: the function is declared so (reference: CompareObjectHandles, which wraps it).
        let compare = unsafe { std::mem::transmute::<library::Address, Compare>(compare) };
        // SAFETY: both are open handles.
        match unsafe { compare(one.as_raw_handle(), other.as_raw_handle()) } {
            0 => Ok(true),
            STATUS_NOT_SAME_OBJECT => Ok(false),
            code => Err(status(code)),
        }
    }

    fn samples(&self) -> io::Result<[Sample<OwnSocket>; 2]> {
        let any_port = (Ipv4Addr::LOCALHOST, 0);
        let below = (0..BELOW).map(|_| self.open_holder(self.own_pid())).collect::<io::Result<Vec<_>>>()?;
        let tcp = TcpListener::bind(any_port)?;
        let udp = UdpSocket::bind(any_port)?;
        udp.connect(udp.local_addr()?)?;
        drop(below);
        let told = |protocol, local: SocketAddr, peer: Option<SocketAddr>, listens| Told {
            protocol,
            local: local.into(),
            peer: peer.map(Address::from),
            listens,
        };
        let listener = told(Protocol::Tcp, tcp.local_addr()?, None, true);
        let to_itself = told(Protocol::Udp, udp.local_addr()?, Some(udp.local_addr()?), false);
        Ok([
            Sample { handle: value(tcp.as_raw_socket())?, socket: OwnSocket::Tcp(tcp), told: listener },
            Sample { handle: value(udp.as_raw_socket())?, socket: OwnSocket::Udp(udp), told: to_itself },
        ])
    }

    fn proven(&self) -> &OnceLock<()> {
        static PROVEN: OnceLock<()> = OnceLock::new();
        &PROVEN
    }
}

/// Under Wine a socket is a handle, and those have 32 bits.
fn value(socket: RawSocket) -> io::Result<u32> {
    u32::try_from(socket).map_err(|_| io::ErrorKind::Unsupported.into())
}

fn owned(handle: RawHandle) -> io::Result<OwnedHandle> {
    if handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: each caller just made the handle; it is no pseudo handle, is closed by CloseHandle, and nobody else owns it.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::sys::windows::wine::holders::Held;
    use crate::sys::windows::wine::walk::{self, look};

    /// Handles of this process: here GetProcessHandleCount always tells the same.
    pub(in super::super) fn open_handles() -> usize {
        let (processes, _) = Wine.processes().unwrap();
        let own = processes.iter().find(|process| process.pid == Wine.own_pid()).unwrap();
        let process = Wine.open_holder(own.pid).unwrap();
        walk::numbers(own).unwrap().filter(|&number| Wine.duplicate(&process, number).is_ok()).count()
    }

    #[test]
    fn looking_leaves_no_handle_open() {
        if library::ntdll(c"wine_get_version").is_none() {
            eprintln!("SKIPPED looking_leaves_no_handle_open: this is not Wine");
            return;
        }
        let (listener, datagrams) =
            (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("[::1]:0").unwrap());
        let held = look(&Wine).unwrap();
        let own: Vec<_> = held.all().iter().filter(|held| held.pid == Wine.own_pid()).collect();
        for local in [listener.local_addr().unwrap(), datagrams.local_addr().unwrap()] {
            let is_it =
                |held: &&&Held| (held.told.local.ip, held.told.local.port) == (local.ip(), local.port());
            assert_eq!(own.iter().filter(is_it).count(), 1, "{local}");
        }
        let before = open_handles();
        for _ in 0..100 {
            look(&Wine).unwrap();
        }
        // Other tests open and close some meanwhile; a leak would be of hundreds.
        assert!(open_handles() < before + 100, "{before} before, {} now", open_handles());
    }
}
