//! Room for very many values.
#![expect(unsafe_code, reason = "madvise(2) has no safe wrapper")]

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
