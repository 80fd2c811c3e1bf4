//! Reading a ring buffer of the kernel's (`BPF_MAP_TYPE_RINGBUF`).
//!
//! Reference: [ringbuf.rst](https://docs.kernel.org/bpf/ringbuf.html).
#![expect(unsafe_code, reason = "the ring buffer is shared memory")]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use super::record_map::info;

/// `BPF_MAP_TYPE_RINGBUF`, and of a record's header `BPF_RINGBUF_BUSY_BIT`, `_DISCARD_BIT`, `_HDR_SZ` (`linux/bpf.h`).
const RINGBUF: u32 = 27;
const BUSY: u32 = 1 << 31;
const DISCARDED: u32 = 1 << 30;
const HEADER_LEN: usize = 8;

/// A ring buffer, mapped.
#[derive(Debug)]
pub(crate) struct Ring {
    /// How far it was read: a page of its own, which alone may be written.
    consumer: Pages,
    /// How far it was written: a page, before the data, which are there twice in a row.
    producer: Pages,
    page: usize,
    size: usize,
    /// The map.
    _map: OwnedFd,
}

/// Mapped memory, in numbers of 8 bytes.
#[derive(Debug)]
struct Pages {
    start: NonNull<u64>,
    /// In bytes.
    length: usize,
}

// SAFETY: the memory is the process's, and every thread's alike; nothing of it is tied to the one that mapped it.
unsafe impl Send for Pages {}

impl Pages {
    fn map(map: &OwnedFd, offset: usize, length: usize, protection: libc::c_int) -> io::Result<Self> {
        let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
        let (anywhere, fd) = (std::ptr::null_mut(), map.as_raw_fd());
        // SAFETY: a new mapping, at an address that the kernel chooses, touches no memory that anybody has.
        let start = unsafe { libc::mmap(anywhere, length, protection, libc::MAP_SHARED, fd, offset) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { start, length })
    }

    /// The number at this offset; `None` beyond the end.
    fn number(&self, offset: usize) -> Option<&AtomicU64> {
        let end = offset.checked_add(8)?;
        if end > self.length || offset % 8 != 0 {
            return None;
        }
        let at = self.start.as_ptr().wrapping_add(offset / 8);
        // SAFETY: it lies within the mapping, which is there as long as `self`, and 8 divides its address, as it does that of
        // a page. The kernel reads and writes it atomically; where the mapping is read-only nobody here stores.
        Some(unsafe { AtomicU64::from_ptr(at) })
    }

    /// What the kernel has written, and does not touch as long as its place is not given back; `None` beyond the end.
    fn bytes(&self, offset: usize, length: usize) -> Option<&[u8]> {
        let end = offset.checked_add(length)?;
        if end > self.length || offset % 8 != 0 {
            return None;
        }
        let at = self.start.as_ptr().wrapping_add(offset / 8).cast::<u8>();
        // SAFETY: it lies within the mapping, which is there as long as `self`; whoever asks has seen that the record there is
        // complete, and gives its place back after the last use of the slice, so that the kernel does not write to it.
        Some(unsafe { std::slice::from_raw_parts(at, length) })
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: `map` made just this mapping, and whoever borrowed of it borrowed `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

impl Ring {
    /// Takes a map, if it is a ring buffer.
    pub(super) fn new(map: OwnedFd) -> io::Result<Self> {
        let info = info(&map)?;
        let page = rustix::param::page_size();
        let size = usize::try_from(info.max_entries).map_err(io::Error::other)?;
        if info.kind != RINGBUF || !size.is_power_of_two() || size < page {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let consumer = Pages::map(&map, 0, page, libc::PROT_READ | libc::PROT_WRITE)?;
        let producer = Pages::map(&map, page, page + 2 * size, libc::PROT_READ)?;
        Ok(Self { consumer, producer, page, size, _map: map })
    }

    /// How many bytes it holds.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Calls `each` with the records that are there, until it has said of `limit` that they count: each begins at an address
    /// that 8 divides, and its place is given back afterwards.
    pub(crate) fn read(&mut self, limit: usize, mut each: impl FnMut(&[u8]) -> bool) {
        let (Some(consumer), Some(producer)) = (self.consumer.number(0), self.producer.number(0)) else {
            return;
        };
        let mut at = consumer.load(Ordering::Relaxed);
        let mut told = 0;
        while told < limit && at < producer.load(Ordering::Acquire) {
            let place = self.page + (usize::try_from(at).unwrap_or(0) & (self.size - 1));
            let Some(header) = self.producer.number(place) else { return };
            // The first half of it.
            let [a, b, c, d, ..] = header.load(Ordering::Acquire).to_ne_bytes();
            let header = u32::from_ne_bytes([a, b, c, d]);
            if header & BUSY != 0 {
                return;
            }
            let length = usize::try_from(header & !DISCARDED).unwrap_or(0);
            let Some(record) = self.producer.bytes(place + HEADER_LEN, length) else { return };
            if header & DISCARDED == 0 {
                told += usize::from(each(record));
            }
            at += (HEADER_LEN + length).next_multiple_of(8) as u64;
            consumer.store(at, Ordering::Release);
        }
    }
}
