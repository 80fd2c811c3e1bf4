//! Functions that are looked for when they are needed: not every system has them, or ours has the same name.

use std::ffi::{CStr, c_void};
use std::io;
use std::ptr::null_mut;
use std::sync::OnceLock;

use windows_sys::Win32::Foundation::HMODULE;
use windows_sys::Win32::System::LibraryLoader::{
    GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT, GetModuleHandleExW,
    GetModuleHandleW, GetProcAddress, LOAD_LIBRARY_SEARCH_SYSTEM32, LoadLibraryExW,
};
use windows_sys::Win32::System::SystemInformation::GetSystemDirectoryW;

/// Address of a function of a library; it is never unloaded.
pub(crate) type Address = unsafe extern "system" fn() -> isize;

/// A library of the system, loaded once and for good.
#[derive(Debug)]
pub(super) struct Library {
    name: &'static str,
    /// 0 where it cannot be had.
    module: OnceLock<usize>,
}

/// The system's own iphlpapi.
pub(super) static IPHLPAPI: Library = Library::new("iphlpapi.dll");

impl Library {
    pub(super) const fn new(name: &'static str) -> Self {
        Self { name, module: OnceLock::new() }
    }

    /// The function called `name`; an error where there is none.
    pub(super) fn function(&self, name: &CStr) -> io::Result<Address> {
        let module = *self.module.get_or_init(|| load(self.name, name).map_or(0, HMODULE::addr));
        let module: HMODULE = std::ptr::without_provenance_mut(module);
        address(module, name).ok_or_else(|| {
            let name = name.to_string_lossy();
            io::Error::new(io::ErrorKind::Unsupported, format!("{} has no {name}", self.name))
        })
    }
}

/// A function of ntdll, which every process has loaded.
pub(crate) fn ntdll(name: &CStr) -> Option<Address> {
    let library: Vec<u16> = "ntdll.dll\0".encode_utf16().collect();
    // SAFETY: `library` ends with a NUL and lives across the call.
    let module = unsafe { GetModuleHandleW(library.as_ptr()) };
    address(module, name)
}

pub(super) fn address(module: HMODULE, name: &CStr) -> Option<Address> {
    if module.is_null() {
        return None;
    }
    // SAFETY: `module` is loaded and stays so; `name` ends with a NUL.
    unsafe { GetProcAddress(module, name.as_ptr().cast()) }
}

/// Loads a library of the system's directory. If it is a proxy (`packaging/wine`), whose functions are this library's, the
/// original is beside it, with `_orig` in its name.
fn load(name: &str, function: &CStr) -> Option<HMODULE> {
    let is_other = |&module: &HMODULE| {
        address(module, function).is_none_or(|found| module_of(found as *const c_void) != this_module())
    };
    load_path(name).filter(is_other).or_else(|| {
        let stem = name.strip_suffix(".dll")?;
        load_path(&format!("{stem}_orig.dll")).filter(is_other)
    })
}

pub(super) fn load_path(name: &str) -> Option<HMODULE> {
    let mut path = system_directory().ok()?;
    path.push(b'\\'.into());
    path.extend(name.encode_utf16());
    path.push(0);
    // SAFETY: `path` ends with a NUL and lives across the call; a library of the system may be loaded at any time but
    // within DllMain, where nothing of this crate is called.
    let module = unsafe { LoadLibraryExW(path.as_ptr(), null_mut(), LOAD_LIBRARY_SEARCH_SYSTEM32) };
    (!module.is_null()).then_some(module)
}

/// The library or program that this code is in.
fn this_module() -> HMODULE {
    static HERE: u8 = 0;
    module_of((&raw const HERE).cast())
}

/// The library or program that an address is in; NULL where it is in none.
fn module_of(address: *const c_void) -> HMODULE {
    let mut module = null_mut();
    let flags = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
    // SAFETY: with this flag the second argument is any address within a module, and is not read; `module` is writable.
    let found = unsafe { GetModuleHandleExW(flags, address.cast(), &raw mut module) };
    if found == 0 { null_mut() } else { module }
}

/// The system's directory, without a separator at its end.
pub(super) fn system_directory() -> io::Result<Vec<u16>> {
    // SAFETY: no buffer, so nothing is written; the size that it takes is returned.
    let needed = unsafe { GetSystemDirectoryW(null_mut(), 0) };
    let mut path = vec![0; needed as usize];
    // SAFETY: `path` is writable for `needed` units.
    let length = unsafe { GetSystemDirectoryW(path.as_mut_ptr(), needed) };
    if length == 0 {
        return Err(io::Error::last_os_error());
    }
    if length >= needed {
        // It does not change while the system runs.
        return Err(io::ErrorKind::InvalidData.into());
    }
    path.truncate(length as usize);
    Ok(path)
}
