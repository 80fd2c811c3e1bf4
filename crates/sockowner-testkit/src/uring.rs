//! Socket calls through io_uring(7), whichever of the kernel's ways they take.
//!
//! Layouts: `linux/io_uring.h`, `linux/in.h`. One call at a time.
#![expect(unsafe_code, reason = "io_uring_setup, io_uring_enter and what they share with the kernel")]

use std::io;
use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

/// Entries of the ring.
const ENTRIES: u32 = 4;
/// `struct io_uring_params`, and in it: flags, features, offsets of the submission and the completion ring.
const PARAMS: usize = 30;
const FLAGS: usize = 2;
const IDLE: usize = 4;
const FEATURES: usize = 5;
const SQ: usize = 10;
const CQ: usize = 20;
const SETUP_SQPOLL: u32 = 1 << 1;
const FEATURE_SINGLE_MMAP: u32 = 1;
const OFFSET_SQES: i64 = 0x1000_0000;
const NEED_WAKEUP: u32 = 1;
const ENTER_GETEVENTS: u32 = 1;
const ENTER_WAKEUP: u32 = 2;
const SQE: usize = 64;
const CQE: usize = 16;
/// In an entry: worked on by a thread of the kernel's pool from the beginning.
const FLAG_ASYNC: u8 = 1 << 4;
/// Operations.
const ACCEPT: u8 = 13;
const CONNECT: u8 = 16;
const SOCKET: u8 = 45;
const BIND: u8 = 56;
const LISTEN: u8 = 57;

/// Who does what is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The calling thread, in io_uring_enter(2), as far as nothing has to be waited for.
    Inline,
    /// A thread of the process's pool (`IOSQE_ASYNC`).
    Worker,
    /// The thread that polls the ring (`IORING_SETUP_SQPOLL`).
    Poller,
}

/// A ring for one call after another.
#[derive(Debug)]
pub struct Uring {
    fd: OwnedFd,
    way: Way,
    rings: Mapping,
    entries: Mapping,
    params: [u32; PARAMS],
    /// `struct sockaddr_in` and its length, for as long as a call lasts.
    address: Box<([u8; 16], u32)>,
}

#[derive(Debug)]
struct Mapping {
    at: NonNull<u8>,
    length: usize,
}

/// `struct io_uring_sqe`.
struct Entry([u8; SQE]);

impl Uring {
    /// Makes one.
    pub fn new(way: Way) -> io::Result<Self> {
        let mut params = [0; PARAMS];
        if way == Way::Poller {
            params[FLAGS] = SETUP_SQPOLL;
            params[IDLE] = 50;
        }
        // SAFETY: the kernel reads and writes a `struct io_uring_params`, which has so many bytes, and returns a new
        // descriptor.
        let number = unsafe { libc::syscall(libc::SYS_io_uring_setup, ENTRIES, params.as_mut_ptr()) };
        let number = i32::try_from(check(number)?).map_err(io::Error::other)?;
        // SAFETY: as above: nobody else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(number) };
        if params[FEATURES] & FEATURE_SINGLE_MMAP == 0 {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let submissions = size(params[SQ + 6]) + size(params[0]) * 4;
        let completions = size(params[CQ + 5]) + size(params[1]) * CQE;
        let rings = Mapping::new(&fd, 0, submissions.max(completions))?;
        let entries = Mapping::new(&fd, OFFSET_SQES, size(params[0]) * SQE)?;
        Ok(Self { fd, way, rings, entries, params, address: Box::default() })
    }

    /// socket, bind and listen.
    pub fn listen(&mut self, at: SocketAddrV4) -> io::Result<OwnedFd> {
        let socket = self.socket()?;
        self.set_address(at);
        let address = ptr::from_ref(&self.address.0).expose_provenance();
        self.call(&Entry::new(BIND, socket.as_raw_fd()).number(16, address).number(8, 16))?;
        self.call(&Entry::new(LISTEN, socket.as_raw_fd()).word(24, 16))?;
        Ok(socket)
    }

    /// socket and connect.
    pub fn connect(&mut self, to: SocketAddrV4) -> io::Result<OwnedFd> {
        let socket = self.socket()?;
        self.set_address(to);
        let address = ptr::from_ref(&self.address.0).expose_provenance();
        self.call(&Entry::new(CONNECT, socket.as_raw_fd()).number(16, address).number(8, 16))?;
        Ok(socket)
    }

    /// Begins to accept, with the peer's address.
    pub fn begin_to_accept(&mut self, listener: BorrowedFd<'_>) -> io::Result<()> {
        self.address.1 = 16;
        let address = ptr::from_mut(&mut self.address.0).expose_provenance();
        let length = ptr::from_mut(&mut self.address.1).expose_provenance();
        self.submit(&Entry::new(ACCEPT, listener.as_raw_fd()).number(16, address).number(8, length))
    }

    /// The connection, once there is one.
    pub fn accepted(&mut self) -> io::Result<OwnedFd> {
        let number = self.complete()?;
        // SAFETY: the result of an accept is a descriptor that the kernel has just made for it.
        Ok(unsafe { OwnedFd::from_raw_fd(number) })
    }

    fn socket(&mut self) -> io::Result<OwnedFd> {
        let kind = Entry::new(SOCKET, libc::AF_INET).number(8, size(libc::SOCK_STREAM.cast_unsigned()));
        let number = self.call(&kind)?;
        // SAFETY: the result is a descriptor that the kernel has just made for it.
        Ok(unsafe { OwnedFd::from_raw_fd(number) })
    }

    fn set_address(&mut self, of: SocketAddrV4) {
        let to = &mut self.address.0;
        to[..2].copy_from_slice(&2_u16.to_ne_bytes());
        to[2..4].copy_from_slice(&of.port().to_be_bytes());
        to[4..8].copy_from_slice(&of.ip().octets());
    }

    fn call(&mut self, entry: &Entry) -> io::Result<i32> {
        self.submit(entry)?;
        self.complete()
    }

    fn submit(&mut self, entry: &Entry) -> io::Result<()> {
        let mut bytes = entry.0;
        if self.way == Way::Worker {
            bytes[1] |= FLAG_ASYNC;
        }
        let [tail, mask, flags, array] = [1, 2, 4, 6].map(|field| size(self.params[SQ + field]));
        let next = self.rings.word(tail).load(Ordering::Acquire);
        let slot = next & self.rings.word(mask).load(Ordering::Relaxed);
        self.entries.write(size(slot) * SQE, &bytes);
        self.rings.word(array + size(slot) * 4).store(slot, Ordering::Relaxed);
        self.rings.word(tail).store(next.wrapping_add(1), Ordering::SeqCst);
        if self.way != Way::Poller {
            return self.enter(1, 0, 0);
        }
        let sleeps = self.rings.word(flags).load(Ordering::SeqCst) & NEED_WAKEUP != 0;
        if sleeps { self.enter(1, 0, ENTER_WAKEUP) } else { Ok(()) }
    }

    /// Waits for the one result.
    fn complete(&mut self) -> io::Result<i32> {
        let [head, tail, mask, results] = [0, 1, 2, 5].map(|field| size(self.params[CQ + field]));
        let at = self.rings.word(head).load(Ordering::Acquire);
        while self.rings.word(tail).load(Ordering::Acquire) == at {
            self.enter(0, 1, ENTER_GETEVENTS)?;
        }
        let slot = at & self.rings.word(mask).load(Ordering::Relaxed);
        // `struct io_uring_cqe`: 8 bytes of ours, then the result.
        let result = self.rings.word(results + size(slot) * CQE + 8).load(Ordering::Relaxed).cast_signed();
        self.rings.word(head).store(at.wrapping_add(1), Ordering::Release);
        if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(result) }
    }

    fn enter(&self, submitted: u32, wanted: u32, flags: u32) -> io::Result<()> {
        loop {
            let fd = self.fd.as_raw_fd();
            // SAFETY: without a signal mask the call takes numbers alone. What the entries point to is this ring's own
            // `address`, which lives as long as it does.
            let entered = unsafe {
                libc::syscall(libc::SYS_io_uring_enter, fd, submitted, wanted, flags, ptr::null::<u8>(), 0)
            };
            match check(entered) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other.map(drop),
            }
        }
    }
}

impl Entry {
    fn new(operation: u8, fd: i32) -> Self {
        let mut bytes = [0; SQE];
        bytes[0] = operation;
        bytes[4..8].copy_from_slice(&fd.to_ne_bytes());
        Self(bytes)
    }

    fn number(mut self, at: usize, number: usize) -> Self {
        self.0[at..at + 8].copy_from_slice(&(number as u64).to_ne_bytes());
        self
    }

    fn word(mut self, at: usize, number: u32) -> Self {
        self.0[at..at + 4].copy_from_slice(&number.to_ne_bytes());
        self
    }
}

impl Mapping {
    fn new(fd: &OwnedFd, offset: i64, length: usize) -> io::Result<Self> {
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        // SAFETY: a new mapping, wherever the kernel likes, of a file that this function's caller has open.
        let at = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                flags,
                fd.as_raw_fd(),
                offset,
            )
        };
        match NonNull::new(at) {
            Some(there) if at != libc::MAP_FAILED => Ok(Self { at: there.cast(), length }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn word(&self, at: usize) -> &AtomicU32 {
        assert!(at + 4 <= self.length && at.is_multiple_of(4), "{at} of {}", self.length);
        // SAFETY: within the mapping, as asserted, which starts at a page and lives as long as `self`.
        let word = unsafe { self.at.add(at) };
        // SAFETY: aligned to 4, as asserted; and the kernel as well as this process reads and writes it as a whole.
        unsafe { AtomicU32::from_ptr(word.cast().as_ptr()) }
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= self.length, "{at} of {}", self.length);
        // SAFETY: within the mapping, as asserted.
        let target = unsafe { self.at.add(at) };
        // SAFETY: so many bytes are there; the kernel reads this entry only after the ring's tail has passed it.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), target.as_ptr(), bytes.len()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and nothing borrows from it any more.
        unsafe { libc::munmap(self.at.as_ptr().cast(), self.length) };
    }
}

/// A 64-bit kernel's, as the ring's layout is here.
fn size(number: u32) -> usize {
    number as usize
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Whether this kernel does all of it, else why not.
pub fn supported() -> Result<(), String> {
    let all = || {
        let mut ring = Uring::new(Way::Inline)?;
        ring.listen(SocketAddrV4::new([127, 0, 0, 1].into(), 0))
    };
    all().map(drop).map_err(|error| format!("no listener by io_uring: {error}"))
}
