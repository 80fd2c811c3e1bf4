//! One program at a time looks at handles.

use std::io;
use std::marker::PhantomData;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr::null;

use windows_sys::Win32::Foundation::{WAIT_ABANDONED, WAIT_FAILED, WAIT_OBJECT_0};
use windows_sys::Win32::System::Threading::{CreateMutexW, ReleaseMutex, WaitForSingleObject};
use windows_sys::core::w;

/// So long it is waited for others. A look takes a tenth of a second; one that was stopped keeps its turn.
const MILLISECONDS: u32 = 10_000;

/// A mutex of the whole prefix, held. It belongs to the thread that waited for it.
#[derive(Debug)]
pub(crate) struct Turn {
    mutex: OwnedHandle,
    stays: PhantomData<*const ()>,
}

impl Turn {
    pub(super) fn wait() -> io::Result<Self> {
        // SAFETY: the name is NUL-terminated and static; no security descriptor is given; it is not owned at once.
        let handle = unsafe { CreateMutexW(null(), 0, w!("Global\\sockowner-handles")) };
        if handle.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `handle` was just opened, is no pseudo handle, is closed by CloseHandle, and nobody else owns it.
        let mutex = unsafe { OwnedHandle::from_raw_handle(handle) };
        // SAFETY: `mutex` is an open handle with the right to be waited for.
        match unsafe { WaitForSingleObject(mutex.as_raw_handle(), MILLISECONDS) } {
            // Whoever ended without giving it back has left nothing behind: his duplicates ended with him.
            WAIT_OBJECT_0 | WAIT_ABANDONED => Ok(Self { mutex, stays: PhantomData }),
            WAIT_FAILED => Err(io::Error::last_os_error()),
            _ => Err(io::Error::new(io::ErrorKind::TimedOut, "another program has looked at them for 10 s")),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // SAFETY: `mutex` is an open handle, and this thread, in which it was waited for, has it: a `Turn` cannot be sent to
        // another.
        let released = unsafe { ReleaseMutex(self.mutex.as_raw_handle()) };
        debug_assert_ne!(released, 0, "{}", io::Error::last_os_error());
    }
}
