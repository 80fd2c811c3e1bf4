//! What is asked about services.

use std::ffi::c_void;
use std::io;
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

use windows_sys::Win32::Foundation::{ERROR_MORE_DATA, LocalFree, NO_ERROR};
use windows_sys::Win32::System::Services::{
    CloseServiceHandle, EnumServicesStatusExW, OpenSCManagerW, SC_ENUM_PROCESS_INFO, SC_HANDLE,
    SC_MANAGER_CONNECT, SC_MANAGER_ENUMERATE_SERVICE, SERVICE_ACTIVE, SERVICE_WIN32,
};

use super::length_of;
use super::library::{Address, Library};
use crate::sys::windows::door::Fill;

/// Has the tag query. Others export a function of that name too, which need not work.
static ADVAPI32: Library = Library::new("advapi32.dll");
/// `I_QueryTagInformation`: no machine's name, the level, and what that level is about.
type QueryTag = unsafe extern "system" fn(*const c_void, i32, *mut NameFromTag) -> u32;
/// `TagInfoLevelNameFromTag`.
const NAME_FROM_TAG: i32 = 1;
/// `eTagTypeService`.
const OF_SERVICE: u32 = 1;
/// No service's name has more units (256).
const LONGEST_NAME: usize = 1 << 10;
/// The service manager takes no larger buffer.
const MOST: u32 = 256 << 10;

/// `SC_SERVICE_TAG_QUERY`: the first two are asked, the others told.
#[repr(C)]
#[derive(Debug)]
struct NameFromTag {
    pid: u32,
    tag: u32,
    kind: u32,
    name: *mut u16,
}

/// Name of the service with this tag in a process.
pub(super) fn by_tag(pid: u32, tag: u32) -> io::Result<Vec<u16>> {
    static QUERY: OnceLock<Option<QueryTag>> = OnceLock::new();
    let query = *QUERY.get_or_init(|| {
        let address = ADVAPI32.function(c"I_QueryTagInformation").ok()?;
        // SAFETY: the function takes three arguments of this width and returns a Win32 code.
        Some(unsafe { std::mem::transmute::<Address, QueryTag>(address) })
    });
    let query = query.ok_or(io::ErrorKind::Unsupported)?;
    let mut asked = NameFromTag { pid, tag, kind: 0, name: null_mut() };
    // SAFETY: no name stands for this machine; `asked` has the layout of this level and is writable.
    let code = unsafe { query(null(), NAME_FROM_TAG, &raw mut asked) };
    let units = if asked.name.is_null() {
        Vec::new()
    } else {
        // SAFETY: the system points to a text of its own that ends with a NUL, which is freed only below.
        let units = unsafe { until_nul(asked.name) };
        // SAFETY: whoever asks frees the name so, once.
        unsafe { LocalFree(asked.name.cast()) };
        units
    };
    match (code, asked.kind) {
        (NO_ERROR, OF_SERVICE) => Ok(units),
        (NO_ERROR, _) => Err(io::ErrorKind::InvalidData.into()),
        (code, _) => Err(super::win32(code)),
    }
}

/// The text at `start`, as far as a name may go.
///
/// # Safety
/// A text there ends with a NUL.
unsafe fn until_nul(start: *const u16) -> Vec<u16> {
    let mut units = Vec::new();
    while units.len() < LONGEST_NAME {
        // SAFETY: no unit before was the NUL, so this one is still of the text.
        match unsafe { start.wrapping_add(units.len()).read() } {
            0 => break,
            unit => units.push(unit),
        }
    }
    units
}

/// The service manager; closed when this is dropped.
#[derive(Debug)]
struct Manager(SC_HANDLE);

impl Drop for Manager {
    fn drop(&mut self) {
        // SAFETY: the handle was opened for this value alone, and is closed once.
        unsafe { CloseServiceHandle(self.0) };
    }
}

/// Fills `into` with the active services, and says how many there are.
pub(super) fn list(into: &mut [u64]) -> io::Result<(Fill, usize)> {
    let rights = SC_MANAGER_CONNECT | SC_MANAGER_ENUMERATE_SERVICE;
    // SAFETY: no names stand for this machine and for its active services.
    let manager = unsafe { OpenSCManagerW(null(), null(), rights) };
    if manager.is_null() {
        return Err(io::Error::last_os_error());
    }
    let manager = Manager(manager);
    let size = length_of(into).min(MOST);
    let (mut more, mut count, mut from) = (0, 0, 0);
    // SAFETY: the manager is open with the right to list; `into` is writable for `size` bytes and 8-aligned, as the entries
    // require; the three numbers are writable, and the last is 0 to begin with the first. There is no group.
    let done = unsafe {
        EnumServicesStatusExW(
            manager.0,
            SC_ENUM_PROCESS_INFO,
            SERVICE_WIN32,
            SERVICE_ACTIVE,
            into.as_mut_ptr().cast(),
            size,
            &raw mut more,
            &raw mut count,
            &raw mut from,
            null(),
        )
    };
    if done != 0 {
        return Ok((Fill::Whole(size as usize), count as usize));
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error().and_then(|code| u32::try_from(code).ok()) == Some(ERROR_MORE_DATA) {
        if size == MOST {
            return Err(io::Error::other("more are active than it tells at once"));
        }
        return Ok((Fill::Needs(size as usize + more as usize), 0));
    }
    Err(error)
}

#[cfg(test)]
mod tests;
