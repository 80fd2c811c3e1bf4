//! Memory for what the caller gets: a lack of it is a code, not the end of the caller's program.
//!
//! So it is for tables and modules, whose size others decide. What the library below allocates for itself cannot fail
//! in stable Rust: there, a lack of memory aborts.

use crate::code::Code;

/// An empty list that `len` items fit into.
pub(crate) fn with_room<T>(len: usize) -> Result<Vec<T>, Code> {
    #[cfg(test)]
    scarcity::reserve()?;
    let mut list = Vec::new();
    list.try_reserve_exact(len).map_err(|_| Code::NOT_ENOUGH_MEMORY)?;
    Ok(list)
}

/// The list of `items`.
pub(crate) fn collected<T>(items: impl ExactSizeIterator<Item = T>) -> Result<Vec<T>, Code> {
    let mut list = with_room(items.len())?;
    list.extend(items);
    Ok(list)
}

/// A machine that is short of memory, for the calling thread.
#[cfg(test)]
pub(crate) mod scarcity {
    use std::cell::Cell;

    use crate::code::Code;

    thread_local! {
        /// How many reservations are left until one fails; 0 for none that will.
        static LEFT: Cell<u32> = const { Cell::new(0) };
        /// That one panics instead.
        static PANICS: Cell<bool> = const { Cell::new(false) };
    }

    /// As [`failing`], with a panic in the place of an error.
    pub(crate) fn panicking<R>(n: u32, work: impl FnOnce() -> R) -> R {
        PANICS.set(true);
        let result = failing(n, work);
        PANICS.set(false);
        result
    }

    /// Runs `work` with reservation number `n`, from 1, failing.
    pub(crate) fn failing<R>(n: u32, work: impl FnOnce() -> R) -> R {
        LEFT.set(n);
        let result = work();
        LEFT.set(0);
        result
    }

    pub(super) fn reserve() -> Result<(), Code> {
        let left = LEFT.get();
        LEFT.set(left.saturating_sub(1));
        assert!(left != 1 || !PANICS.get(), "injected");
        if left == 1 { Err(Code::NOT_ENOUGH_MEMORY) } else { Ok(()) }
    }

    /// Fails each reservation of `work` in turn: it must be 8 each time, with nothing written into the buffer and the
    /// size it was given, and no error once none fails. Yields how many reservations there are.
    pub(crate) fn each_in_turn(work: impl Fn(crate::argument::Buffer) -> Result<(), Code>) -> u32 {
        for n in 1.. {
            let mut room = [0xa5_u8; 4096];
            let mut size = 4096_u32;
            // SAFETY: `size` lives, and is used through the pointer alone, until the assertions.
            let pointer = unsafe { crate::argument::Size::new(&raw mut size) }.unwrap();
            // SAFETY: `room` has as many bytes as `size` says, and lives as long.
            let buffer = unsafe { crate::argument::Buffer::new(room.as_mut_ptr().cast(), pointer) };
            let result = failing(n, || work(buffer));
            if result.is_ok() {
                return n - 1;
            }
            assert_eq!((result, size), (Err(Code::NOT_ENOUGH_MEMORY), 4096), "reservation {n}");
            assert_eq!(room, [0xa5; 4096], "reservation {n}");
        }
        unreachable!("the loop has no end but its return")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c41_more_than_there_can_be_is_8() {
        assert_eq!(with_room::<u64>(usize::MAX).unwrap_err(), Code::NOT_ENOUGH_MEMORY);
        assert_eq!(collected([1, 2].iter()).unwrap(), [&1, &2]);
    }
}
