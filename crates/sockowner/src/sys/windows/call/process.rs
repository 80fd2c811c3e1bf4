//! What is asked of processes.

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};

use windows_sys::Wdk::System::SystemInformation::{NtQuerySystemInformation, SystemProcessInformation};
use windows_sys::Win32::Foundation::{
    FILETIME, STATUS_BUFFER_TOO_SMALL, STATUS_INFO_LENGTH_MISMATCH, WAIT_FAILED, WAIT_OBJECT_0,
};
use windows_sys::Win32::System::SystemInformation::GetSystemTimeAsFileTime;
use windows_sys::Win32::System::Threading::{
    GetProcessTimes, OpenProcess, PROCESS_NAME_WIN32, PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE,
    QueryFullProcessImageNameW, WaitForSingleObject,
};

use super::{check, length_of, status};
use crate::sys::windows::door::{Fill, Times};

pub(super) fn list(into: &mut [u64]) -> io::Result<Fill> {
    let mut length = 0;
    // SAFETY: `into` is writable for its length and 8-aligned, as the entries require; `length` is writable. No more than
    // the length is written (reference: NtQuerySystemInformation).
    let code = unsafe {
        NtQuerySystemInformation(
            SystemProcessInformation,
            into.as_mut_ptr().cast(),
            length_of(into),
            &raw mut length,
        )
    };
    match code {
        0 => Ok(Fill::Whole(length as usize)),
        STATUS_INFO_LENGTH_MISMATCH | STATUS_BUFFER_TOO_SMALL => Ok(Fill::Needs(length as usize)),
        code => Err(status(code)),
    }
}

pub(super) fn open(pid: u32) -> io::Result<OwnedHandle> {
    let rights = PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE;
    // SAFETY: takes three numbers and returns a handle that nobody else has.
    let handle = unsafe { OpenProcess(rights, 0, pid) };
    if handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `handle` was just opened, is no pseudo handle, is closed by CloseHandle, and nobody else owns it.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

pub(super) fn times(process: &OwnedHandle) -> io::Result<Times> {
    let mut times = [FILETIME::default(); 4];
    let [created, ended, kernel, user] = &mut times;
    // SAFETY: `process` is an open handle with the right to be asked; all four are writable.
    check(unsafe { GetProcessTimes(process.as_raw_handle(), created, ended, kernel, user) })?;
    Ok(Times { created: number(*created), ended: number(*ended) })
}

/// Not the precise time: processes are dated by the clock's last tick, and a date that is more precise would be later.
pub(super) fn now() -> u64 {
    let mut now = FILETIME::default();
    // SAFETY: `now` is writable.
    unsafe { GetSystemTimeAsFileTime(&raw mut now) };
    number(now)
}

fn number(time: FILETIME) -> u64 {
    u64::from(time.dwHighDateTime) << 32 | u64::from(time.dwLowDateTime)
}

pub(super) fn has_ended(process: &OwnedHandle) -> io::Result<bool> {
    // SAFETY: `process` is an open handle with the right to be waited for; no time is waited.
    match unsafe { WaitForSingleObject(process.as_raw_handle(), 0) } {
        WAIT_FAILED => Err(io::Error::last_os_error()),
        told => Ok(told == WAIT_OBJECT_0),
    }
}

pub(super) fn image(process: &OwnedHandle, into: &mut [u16]) -> io::Result<usize> {
    let mut length = u32::try_from(into.len()).unwrap_or(u32::MAX);
    let handle = process.as_raw_handle();
    // SAFETY: `process` is an open handle with the right to be asked; `into` is writable for `length` units, and no more
    // are written; the length without the NUL is stored (reference: QueryFullProcessImageNameW).
    check(unsafe {
        QueryFullProcessImageNameW(handle, PROCESS_NAME_WIN32, into.as_mut_ptr(), &raw mut length)
    })?;
    Ok(length as usize)
}
