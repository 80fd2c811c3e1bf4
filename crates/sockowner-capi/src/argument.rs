//! The caller's pointers: read without alignment, written only at the end.

use std::ffi::c_void;

use crate::code::Code;

/// A `PDWORD` that says how large a buffer is, and is told how much of it is needed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size(*mut u32);

impl Size {
    /// # Safety
    /// `pointer` is NULL, or points to a `DWORD` that may be read and written for as long as the value is used; it
    /// need not be aligned.
    pub(crate) unsafe fn new(pointer: *mut u32) -> Result<Self, Code> {
        if pointer.is_null() { Err(Code::INVALID_PARAMETER) } else { Ok(Self(pointer)) }
    }

    fn get(self) -> u32 {
        // SAFETY: not NULL (checked by `new`) and readable (its contract); unaligned reads are allowed here.
        unsafe { self.0.read_unaligned() }
    }

    fn set(self, size: u32) {
        // SAFETY: not NULL (checked by `new`) and writable (its contract); unaligned writes are allowed here.
        unsafe { self.0.write_unaligned(size) }
    }
}

/// A buffer of the caller's, and the `PDWORD` beside it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buffer {
    start: *mut u8,
    size: Size,
}

impl Buffer {
    /// # Safety
    /// `start` is NULL or writable for `*size` bytes, without any alignment.
    pub(crate) unsafe fn new(start: *mut c_void, size: Size) -> Self {
        Self { start: start.cast(), size }
    }

    /// Where the buffer begins, for pointers into it.
    pub(crate) fn address(self) -> usize {
        self.start.addr()
    }

    /// There is a buffer with room for more than an empty table: the caller has reason to think that all fits.
    pub(crate) fn is_earnest(self) -> bool {
        const EMPTY: u32 = 8;
        !self.start.is_null() && self.size.get() > EMPTY
    }

    /// Whether `needed` bytes fit. If not, the caller is told how many are needed, and nothing else is written.
    pub(crate) fn check(self, needed: u32) -> Result<(), Code> {
        if self.start.is_null() || self.size.get() < needed {
            self.size.set(needed);
            return Err(Code::INSUFFICIENT_BUFFER);
        }
        Ok(())
    }

    /// Copies `bytes` into the buffer and tells how many there are.
    pub(crate) fn fill(self, bytes: &[u8]) -> Result<(), Code> {
        let needed = u32::try_from(bytes.len()).map_err(|_| Code::NOT_ENOUGH_MEMORY)?;
        self.check(needed)?;
        // SAFETY: `start` is not NULL and writable for `*size` >= `bytes.len()` bytes (`check`, and the contract of
        // `new`); bytes need no alignment; `bytes` is ours and cannot overlap the caller's memory.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.start, bytes.len()) };
        self.size.set(needed);
        Ok(())
    }
}

/// The first `N` bytes behind `pointer`.
///
/// # Safety
/// `pointer` is NULL, or readable for `N` bytes; it need not be aligned.
pub(crate) unsafe fn bytes<const N: usize>(pointer: *const c_void) -> Result<[u8; N], Code> {
    if pointer.is_null() {
        return Err(Code::INVALID_PARAMETER);
    }
    // SAFETY: not NULL, readable for `N` bytes (the caller's contract); an array of bytes has alignment 1.
    Ok(unsafe { pointer.cast::<[u8; N]>().read() })
}
