//! Room for very many values, and a page that children do not inherit.
#![expect(unsafe_code, reason = "mmap(2) and madvise(2) have no safe wrapper")]

use std::sync::OnceLock;
use std::sync::atomic::{self, AtomicU64};

use rustix::time::{ClockId, clock_gettime};

/// Less than this fits into few pages anyway.
const LARGE: usize = 4 * 1024 * 1024;

/// An empty vector with room for so many values. Where that is much memory, the kernel is asked for large pages: to fill
/// thousands of small ones costs more than what is written into them.
pub(crate) fn with_room<T>(count: usize) -> Vec<T> {
    let mut room: Vec<T> = Vec::with_capacity(count);
    let spare = room.spare_capacity_mut();
    if size_of_val(spare) >= LARGE {
        let page = rustix::param::page_size();
        let start = spare.as_mut_ptr().cast::<libc::c_void>();
        let skipped = start.align_offset(page);
        let length = size_of_val(spare).saturating_sub(skipped) / page * page;
        // SAFETY: the pages are wholly within the spare room, which nobody else has; advice on the size of pages changes
        // nothing of what is in them.
        unsafe { libc::madvise(start.wrapping_byte_add(skipped), length, libc::MADV_HUGEPAGE) };
        // Where the kernel has no large pages it says so, and small ones do.
    }
    room
}

/// In a page that the kernel fills with zeros in every child (madvise(2), `MADV_WIPEONFORK`, Linux 4.14): pids do not
/// tell, as a child in another pid namespace may have its parent's.
pub(super) fn process_mark() -> u64 {
    static PAGE: OnceLock<Option<&'static AtomicU64>> = OnceLock::new();
    let Some(mark) = PAGE.get_or_init(wiped_in_children) else { return 0 };
    let known = mark.load(atomic::Ordering::Acquire);
    if known != 0 {
        return known;
    }
    let now = clock_gettime(ClockId::Boottime);
    let fresh = super::duration(now.tv_sec, now.tv_nsec).as_nanos();
    let fresh = u64::try_from(fresh).unwrap_or(u64::MAX) | 1;
    mark.compare_exchange(0, fresh, atomic::Ordering::AcqRel, atomic::Ordering::Acquire)
        .map_or_else(|other| other, |_| fresh)
}

fn wiped_in_children() -> Option<&'static AtomicU64> {
    let length = rustix::param::page_size();
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new private mapping of one page: no address is asked for and no memory of this process is touched.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), length, access, flags, -1, 0) };
    if page == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: the range is the page that was just mapped; in children it is zero, a valid value of what is put there.
    let advised = unsafe { libc::madvise(page, length, libc::MADV_WIPEONFORK) };
    if advised != 0 {
        // SAFETY: the page was just mapped, and nothing points into it.
        unsafe { libc::munmap(page, length) };
        return None;
    }
    // SAFETY: the page is aligned, zeroed, readable and writable, is never unmapped, and is used as this atomic alone.
    Some(unsafe { &*page.cast::<AtomicU64>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_and_nothing_in_it() {
        for count in [0, 1, 100, 1_000_000] {
            let mut room = with_room(count);
            assert!(room.is_empty() && room.capacity() >= count);
            room.extend((0..count).map(|number| (number, [7_u8; 9])));
            assert!(room.iter().enumerate().all(|(at, &value)| value == (at, [7; 9])));
        }
        assert!(with_room::<()>(usize::MAX).is_empty());
    }
}
