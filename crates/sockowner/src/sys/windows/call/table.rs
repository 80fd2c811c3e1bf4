//! The system's tables of sockets.

use std::ffi::c_void;
use std::io;
use std::sync::OnceLock;

use windows_sys::Win32::Foundation::{ERROR_INSUFFICIENT_BUFFER, NO_ERROR};
use windows_sys::Win32::NetworkManagement::IpHelper::{TCP_TABLE_OWNER_MODULE_ALL, UDP_TABLE_OWNER_MODULE};
use windows_sys::Win32::Networking::WinSock::{AF_INET, AF_INET6};

use super::length_of;
use super::library::IPHLPAPI;
use crate::sys::windows::door::{Fill, Table};

/// `GetExtendedTcpTable` and `GetExtendedUdpTable`: the classes of both are 32-bit numbers.
type GetTable = unsafe extern "system" fn(*mut c_void, *mut u32, i32, u32, i32, u32) -> u32;

pub(super) fn table(table: Table, into: &mut [u64]) -> io::Result<Fill> {
    static TCP: OnceLock<GetTable> = OnceLock::new();
    static UDP: OnceLock<GetTable> = OnceLock::new();
    let (known, name, class) = if table.tcp {
        (&TCP, c"GetExtendedTcpTable", TCP_TABLE_OWNER_MODULE_ALL)
    } else {
        (&UDP, c"GetExtendedUdpTable", UDP_TABLE_OWNER_MODULE)
    };
    let get = if let Some(get) = known.get() {
        *get
    } else {
        let address = IPHLPAPI.function(name)?;
        // SAFETY: both functions are declared so (reference: GetExtendedTcpTable, GetExtendedUdpTable).
        let get = unsafe { std::mem::transmute::<super::library::Address, GetTable>(address) };
        *known.get_or_init(|| get)
    };
    let family = if table.v6 { AF_INET6 } else { AF_INET };
    let mut size = length_of(into);
    // SAFETY: `into` is writable for `size` bytes and 8-aligned, as module rows require; the call writes at most `size`
    // bytes and stores the size it takes in `size` where that is not enough (reference: as above).
    let code = unsafe { get(into.as_mut_ptr().cast(), &raw mut size, 0, family.into(), class, 0) };
    match code {
        // The length of what was written is told by no system: the rows are counted, and checked against the buffer.
        NO_ERROR => Ok(Fill::Whole(size_of_val(into))),
        ERROR_INSUFFICIENT_BUFFER => Ok(Fill::Needs(size as usize)),
        code => Err(super::win32(code)),
    }
}
