//! The real door: every system call of the Windows backend.
#![expect(unsafe_code, reason = "the system's functions have no safe wrapper")]

mod library;
mod native;
mod process;
mod service;
mod table;
mod token;
mod turn;
mod wine;

use std::io;
use std::os::windows::io::OwnedHandle;
use std::sync::OnceLock;

use windows_sys::Win32::Foundation::NTSTATUS;

use super::door::{Account, Door, Fill, Table, Times};
use super::wine::bridge::{self, Native, Owner};
use super::wine::holders::Holders;
use super::wine::walk;
use crate::{Result, Socket};

/// The system this process runs on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kernel;

impl Door for Kernel {
    type Process = OwnedHandle;

    fn now(&self) -> u64 {
        process::now()
    }

    fn table(&self, table: Table, into: &mut [u64]) -> io::Result<Fill> {
        table::table(table, into)
    }

    fn processes(&self, into: &mut [u64]) -> io::Result<Fill> {
        process::list(into)
    }

    fn open_process(&self, pid: u32) -> io::Result<OwnedHandle> {
        process::open(pid)
    }

    fn times(&self, process: &OwnedHandle) -> io::Result<Times> {
        process::times(process)
    }

    fn has_ended(&self, process: &OwnedHandle) -> io::Result<bool> {
        process::has_ended(process)
    }

    fn image(&self, process: &OwnedHandle, into: &mut [u16]) -> io::Result<usize> {
        process::image(process, into)
    }

    fn system_directory(&self) -> io::Result<Vec<u16>> {
        static DIRECTORY: OnceLock<Vec<u16>> = OnceLock::new();
        if let Some(known) = DIRECTORY.get() {
            return Ok(known.clone());
        }
        let directory = library::system_directory()?;
        Ok(DIRECTORY.get_or_init(|| directory).clone())
    }

    fn is_administrator(&self) -> io::Result<bool> {
        token::is_administrator()
    }

    fn user(&self, process: &OwnedHandle) -> io::Result<Vec<u8>> {
        token::user(process)
    }

    fn account(&self, sid: &[u8]) -> io::Result<Account> {
        token::account(sid)
    }

    fn service_by_tag(&self, pid: u32, tag: u32) -> io::Result<Vec<u16>> {
        service::by_tag(pid, tag)
    }

    fn services(&self, into: &mut [u64]) -> io::Result<(Fill, usize)> {
        service::list(into)
    }

    fn is_wine(&self) -> bool {
        is_wine()
    }

    fn wine_holders(&self) -> Result<Holders> {
        walk::look(&wine::Wine)
    }

    fn has_bridge(&self) -> Result<bool> {
        bridge::is_there(native::ask)
    }

    fn native_owners(&self, sockets: &[&Socket]) -> Result<Option<Vec<Owner>>> {
        bridge::owners(native::ask, sockets)
    }

    fn native_process(&self, flagged: u32) -> Result<Option<Native>> {
        bridge::process(native::ask, flagged)
    }
}

pub(super) use token::enable_debug;

/// ntdll has a function that only Wine's has.
pub(super) fn is_wine() -> bool {
    static IS_WINE: OnceLock<bool> = OnceLock::new();
    *IS_WINE.get_or_init(|| library::ntdll(c"wine_get_version").is_some())
}

/// The last error of this thread where `done` is the FALSE of the system.
fn check(done: windows_sys::core::BOOL) -> io::Result<()> {
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The Win32 code for the status of a native call.
fn status(status: NTSTATUS) -> io::Error {
    // SAFETY: takes a number and returns one.
    let code = unsafe { windows_sys::Win32::Foundation::RtlNtStatusToDosError(status) };
    win32(code)
}

/// The error with this Win32 code.
fn win32(code: u32) -> io::Error {
    io::Error::from_raw_os_error(i32::from_ne_bytes(code.to_ne_bytes()))
}

/// Bytes of a buffer as the system counts them.
fn length_of<T>(buffer: &[T]) -> u32 {
    u32::try_from(size_of_val(buffer)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
