//! `GetOwnerModuleFrom...`: from a row, or a pid and its words, to a module.

use std::ffi::{c_int, c_void};

use sockowner_wire::mib::{self, Detail, INFO_LEN, Layout};

use crate::argument::{Buffer, Size, bytes};
use crate::code::{Code, guarded};
use crate::{info, module};

/// `TCPIP_OWNER_MODULE_INFO_BASIC`, the one class there is.
const BASIC: c_int = 0;

const TCP: Layout = Layout { tcp: true, v6: false, detail: Detail::Module };
const TCP6: Layout = Layout { tcp: true, v6: true, detail: Detail::Module };
const UDP: Layout = Layout { tcp: false, v6: false, detail: Detail::Module };
const UDP6: Layout = Layout { tcp: false, v6: true, detail: Detail::Module };

/// Defines one entry function for rows of `$layout`, which are `$len` bytes long.
macro_rules! entry {
    ($name:ident, $layout:expr, $len:literal) => {
        const _: () = assert!($layout.row_size() == $len);

        /// The module of a row's owner. See `iphlpapi.h`.
        ///
        /// # Safety
        /// `row` is NULL or readable for one row; `buffer` is NULL or writable for `*size` bytes; `size` is NULL or
        /// readable and writable. None need be aligned.
        #[unsafe(no_mangle)]
        pub unsafe extern "system" fn $name(
            row: *const c_void,
            class: c_int,
            buffer: *mut c_void,
            size: *mut u32,
        ) -> u32 {
            guarded(move || {
                // SAFETY: the caller's contract, handed on unchanged.
                let size = unsafe { Size::new(size) };
                // SAFETY: as above; rows of this layout have `$len` bytes.
                let row = unsafe { bytes::<$len>(row) }?;
                let (pid, words) = $layout.owner(&row).ok_or(Code::INVALID_PARAMETER)?;
                let bound_at = $layout.created(&row).unwrap_or(0);
                // SAFETY: as above.
                let buffer = unsafe { Buffer::new(buffer, size?) };
                answer(pid, &words, bound_at, class, buffer)
            })
        }
    };
}

entry!(GetOwnerModuleFromTcpEntry, TCP, 160);
entry!(GetOwnerModuleFromTcp6Entry, TCP6, 192);
entry!(GetOwnerModuleFromUdpEntry, UDP, 160);
entry!(GetOwnerModuleFromUdp6Entry, UDP6, 176);

/// The module of the process with this pid, if `info` proves it. See `iphlpapi.h`.
///
/// # Safety
/// `info` is NULL or readable for 16 words of 64 bits; `buffer` is NULL or writable for `*size` bytes; `size` is NULL
/// or readable and writable. None need be aligned.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn GetOwnerModuleFromPidAndInfo(
    pid: u32,
    info: *const u64,
    class: c_int,
    buffer: *mut c_void,
    size: *mut u32,
) -> u32 {
    guarded(move || {
        // SAFETY: the caller's contract, handed on unchanged.
        let size = unsafe { Size::new(size) }?;
        // SAFETY: as above; 16 words of 8 bytes.
        let words = unsafe { bytes::<{ INFO_LEN * 8 }>(info.cast()) }?;
        let words = mib::info(&words).ok_or(Code::INVALID_PARAMETER)?;
        // SAFETY: as above.
        let buffer = unsafe { Buffer::new(buffer, size) };
        answer(pid, &words, 0, class, buffer)
    })
}

/// Arguments are judged before the owner, the owner before the size of the buffer.
fn answer(
    pid: u32,
    words: &[u64; INFO_LEN],
    bound_at: u64,
    class: c_int,
    buffer: Buffer,
) -> Result<(), Code> {
    if class != BASIC {
        return Err(Code::INVALID_PARAMETER);
    }
    let identity = info::identity(pid, words, bound_at)?;
    module::write(&sockowner::module_of(&identity)?, buffer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::scarcity::{failing, panicking};

    /// Asks for this process with room enough. What the call left of the buffer and of the size, where it failed, is
    /// what was in them.
    fn ask() -> u32 {
        let words = [0_u64; INFO_LEN];
        let mut room = [0xa5_u8; 16384];
        let mut size = 16384;
        // SAFETY: 16 words, and a buffer of `size` bytes.
        let code = unsafe {
            GetOwnerModuleFromPidAndInfo(
                std::process::id(),
                words.as_ptr(),
                BASIC,
                room.as_mut_ptr().cast(),
                &raw mut size,
            )
        };
        if code != 0 {
            assert_eq!((size, room), (16384, [0xa5; 16384]), "{code}");
        }
        code
    }

    #[test]
    fn c40_a_panic_in_an_exported_function_is_1359_and_nothing_written() {
        let codes = [1, 2, 3, 4].map(|n| panicking(n, ask));
        assert_eq!(codes, [1359, 1359, 1359, 0]);
        assert_eq!(ask(), 0, "and it goes on");
    }

    #[test]
    fn c41_an_exported_function_without_memory_is_8_and_nothing_written() {
        assert_eq!([1, 2, 3, 4].map(|n| failing(n, ask)), [8, 8, 8, 0]);
    }
}
