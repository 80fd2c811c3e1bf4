//! The half in Windows: what a program under Wine calls.
#![expect(unsafe_code, reason = "the edge to Wine")]

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::OnceLock;

use sockowner_wire::native::Letter;
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};

/// There is no other half (`STATUS_NOT_SUPPORTED`).
const NOT_SUPPORTED: i32 = 0xc000_00bb_u32.cast_signed();

/// `MemoryWineUnixFuncs`: a handle to the functions of the other half.
const UNIX_FUNCTIONS: u32 = 1000;
/// `NtCurrentProcess()`.
const THIS_PROCESS: isize = -1;

/// `NtQueryVirtualMemory`.
type Query = unsafe extern "system" fn(isize, *const c_void, u32, *mut u64, usize, *mut usize) -> i32;
/// Calls a function of the other half: its handle, number and argument.
type Dispatch = unsafe extern "system" fn(u64, u32, *mut c_void) -> i32;

unsafe extern "C" {
    /// Where this library begins in memory; the linker defines it.
    static __ImageBase: u8;
}

/// Takes a letter to the other half, and returns its `NTSTATUS`: `STATUS_NOT_SUPPORTED` where there is none.
///
/// # Safety
/// As its other half: `letter` points to a whole [`Letter`], and what it says of its buffers is true.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn SockownerBridgeAsk(letter: *mut Letter) -> i32 {
    static BRIDGE: OnceLock<Option<(u64, Dispatch)>> = OnceLock::new();
    let Some((functions, dispatch)) = BRIDGE.get_or_init(bridge) else {
        return NOT_SUPPORTED;
    };
    // SAFETY: the other half has one function, number 0, which demands of `letter` what this one does.
    unsafe { dispatch(*functions, 0, letter.cast()) }
}

/// The other half, and how it is called; `None` where this is not Wine, or has no such thing.
fn bridge() -> Option<(u64, Dispatch)> {
    let name: Vec<u16> = "ntdll.dll\0".encode_utf16().collect();
    // SAFETY: `name` ends with a NUL and lives across the call; every process has this library.
    let ntdll = unsafe { GetModuleHandleW(name.as_ptr()) };
    if ntdll.is_null() {
        return None;
    }
    // SAFETY: `ntdll` is loaded for good; the name ends with a NUL.
    unsafe { GetProcAddress(ntdll, c"wine_get_version".as_ptr().cast()) }?;
    // SAFETY: as above.
    let query = unsafe { GetProcAddress(ntdll, c"NtQueryVirtualMemory".as_ptr().cast()) }?;
    // SAFETY: as above.
    let dispatcher = unsafe { GetProcAddress(ntdll, c"__wine_unix_call_dispatcher".as_ptr().cast()) }?;

    // SAFETY: the function is declared so (reference: VirtualQuery, which wraps it; its lengths have a pointer's size).
    let query = unsafe { std::mem::transmute::<unsafe extern "system" fn() -> isize, Query>(query) };
    let mut functions = 0;
    let here: *const c_void = (&raw const __ImageBase).cast();
    // SAFETY: `here` is only looked up; `functions` is writable for the 8 bytes that this class takes; no length is asked.
    let status = unsafe {
        query(THIS_PROCESS, here, UNIX_FUNCTIONS, &raw mut functions, size_of::<u64>(), null_mut())
    };
    if status != 0 || functions == 0 {
        return None;
    }
    // The name is a variable's that holds the function.
    let dispatcher: *const Option<Dispatch> = (dispatcher as *const ()).cast();
    // SAFETY: under Wine the name is such a variable's, which is set before any library is loaded and never changes.
    let dispatch = unsafe { *dispatcher }?;
    Some((functions, dispatch))
}
