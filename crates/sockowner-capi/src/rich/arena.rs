//! Everything one result consists of, freed together.

use std::ffi::{CString, c_char};

/// Owns values to which a result holds plain pointers.
#[derive(Debug, Default)]
pub(super) struct Arena {
    kept: Vec<Kept>,
}

#[derive(Debug)]
struct Kept {
    value: *mut (),
    /// Frees `value`, as the type it was made from.
    free: unsafe fn(*mut ()),
}

impl Arena {
    /// Keeps `value`; the pointer is good until the arena is dropped.
    pub(super) fn keep<T>(&mut self, value: T) -> *const T {
        /// # Safety
        /// `value` came from `Box::<T>::into_raw` and is freed once.
        unsafe fn free<T>(value: *mut ()) {
            // SAFETY: the contract above.
            drop(unsafe { Box::from_raw(value.cast::<T>()) });
        }
        let value = Box::into_raw(Box::new(value));
        self.kept.push(Kept { value: value.cast(), free: free::<T> });
        value
    }

    /// Keeps a list; NULL where it is empty.
    pub(super) fn list<T>(&mut self, list: Vec<T>) -> *const T {
        if list.is_empty() {
            return std::ptr::null();
        }
        let kept = self.keep(list);
        // SAFETY: `keep` gave a pointer to a list that is alive as long as the arena.
        unsafe { (*kept).as_ptr() }
    }

    /// Keeps a string. A NUL within, which no name of the system's has, ends it.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> *const c_char {
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        let kept = self.keep(CString::new(&bytes[..end]).unwrap_or_default());
        // SAFETY: `keep` gave a pointer to a string that is alive as long as the arena.
        unsafe { (*kept).as_ptr() }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        for kept in self.kept.drain(..) {
            // SAFETY: `keep` made the pair: the pointer from `Box::<T>::into_raw`, the function for the same `T`; each
            // is drained, and so freed, once.
            unsafe { (kept.free)(kept.value) };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    #[test]
    fn what_is_kept_stays_where_it_is_until_the_end() {
        let mut arena = Arena::default();
        let one = arena.keep(7u64);
        let list = arena.list(vec![1u16, 2, 3]);
        let text = arena.bytes(b"a\0b");
        for number in 0..1000 {
            arena.keep(number);
        }
        // SAFETY: the arena is alive, and this is the number it keeps.
        assert_eq!(unsafe { *one }, 7);
        // SAFETY: the arena is alive, and keeps a list of three.
        assert_eq!(unsafe { std::slice::from_raw_parts(list, 3) }, [1, 2, 3]);
        // SAFETY: the arena is alive, and keeps a C string.
        assert_eq!(unsafe { CStr::from_ptr(text) }, c"a");
        assert!(arena.list::<u8>(Vec::new()).is_null());
    }
}
