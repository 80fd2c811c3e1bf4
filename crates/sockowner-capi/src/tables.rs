//! The functions that fill tables: `GetExtendedTcpTable`, `GetTcpTable` and their like.

use std::ffi::{c_int, c_void};

use sockowner_wire::mib::{Detail, Layout};

use crate::argument::{Buffer, Size};
use crate::code::{Code, guarded};
use crate::table::{Asked, Part};

/// `AF_INET`, the same everywhere.
const AF_INET: u32 = 2;
/// `AF_INET6` of Windows.
const AF_INET6: u32 = 23;
/// `AF_INET6` of Linux: a program that was built there has this one.
const AF_INET6_LINUX: u32 = 10;

/// `AF_INET6`, or not; on Windows Linux' number is none.
fn is_v6(family: u32) -> Result<bool, Code> {
    match family {
        AF_INET => Ok(false),
        AF_INET6 => Ok(true),
        AF_INET6_LINUX if !cfg!(windows) => Ok(true),
        _ => Err(Code::INVALID_PARAMETER),
    }
}

/// Fills one table.
///
/// # Safety
/// `table` is NULL or writable for `*size` bytes; `size` is NULL or readable and writable. Neither need be aligned.
unsafe fn fill(asked: Result<Asked, Code>, table: *mut c_void, size: *mut u32) -> u32 {
    guarded(move || {
        // SAFETY: the caller's contract, handed on unchanged.
        let size = unsafe { Size::new(size) }?;
        // SAFETY: as above.
        let buffer = unsafe { Buffer::new(table, size) };
        asked?.answer(buffer)
    })
}

/// TCP endpoints, listeners or connections, with as much as `class` (`TCP_TABLE_CLASS`) says. See `iphlpapi.h`.
///
/// # Safety
/// `table` is NULL or writable for `*size` bytes; `size` is NULL or readable and writable. Neither need be aligned.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn GetExtendedTcpTable(
    table: *mut c_void,
    size: *mut u32,
    sorted: c_int,
    family: u32,
    class: c_int,
    _reserved: u32,
) -> u32 {
    let asked = || {
        let part = match class.rem_euclid(3) {
            0 => Part::Listeners,
            1 => Part::Connections,
            _ => Part::All,
        };
        let detail = match class {
            0..=2 => Detail::Basic,
            3..=5 => Detail::Pid,
            6..=8 => Detail::Module,
            _ => return Err(Code::INVALID_PARAMETER),
        };
        let v6 = is_v6(family)?;
        if v6 && detail == Detail::Basic {
            return Err(Code::NOT_SUPPORTED);
        }
        Ok(Asked { layout: Layout { tcp: true, v6, detail }, part, sorted: sorted != 0 })
    };
    // SAFETY: the caller's contract, handed on unchanged.
    unsafe { fill(asked(), table, size) }
}

/// UDP endpoints, with as much as `class` (`UDP_TABLE_CLASS`) says. See `iphlpapi.h`.
///
/// # Safety
/// As [`GetExtendedTcpTable`].
#[unsafe(no_mangle)]
pub unsafe extern "system" fn GetExtendedUdpTable(
    table: *mut c_void,
    size: *mut u32,
    sorted: c_int,
    family: u32,
    class: c_int,
    _reserved: u32,
) -> u32 {
    let asked = || {
        let detail = match class {
            0 => Detail::Basic,
            1 => Detail::Pid,
            2 => Detail::Module,
            _ => return Err(Code::INVALID_PARAMETER),
        };
        let layout = Layout { tcp: false, v6: is_v6(family)?, detail };
        Ok(Asked { layout, part: Part::All, sorted: sorted != 0 })
    };
    // SAFETY: the caller's contract, handed on unchanged.
    unsafe { fill(asked(), table, size) }
}

/// Defines one of the older functions: every endpoint, in one layout.
macro_rules! whole {
    ($name:ident, $tcp:literal, $v6:literal, $detail:ident) => {
        /// Every endpoint of one protocol and family. See `iphlpapi.h`.
        ///
        /// # Safety
        /// As [`GetExtendedTcpTable`].
        #[unsafe(no_mangle)]
        pub unsafe extern "system" fn $name(table: *mut c_void, size: *mut u32, sorted: c_int) -> u32 {
            let layout = Layout { tcp: $tcp, v6: $v6, detail: Detail::$detail };
            let asked = Asked { layout, part: Part::All, sorted: sorted != 0 };
            // SAFETY: the caller's contract, handed on unchanged.
            unsafe { fill(Ok(asked), table, size) }
        }
    };
}

whole!(GetTcpTable, true, false, Basic);
whole!(GetTcp6Table, true, true, Basic);
whole!(GetTcpTable2, true, false, Second);
whole!(GetTcp6Table2, true, true, Second);
whole!(GetUdpTable, false, false, Basic);
whole!(GetUdp6Table, false, true, Basic);
