//! `TCPIP_OWNER_MODULE_BASIC_INFO`: two pointers, the name, the path, all in the caller's buffer.

use sockowner::Module;

use crate::argument::Buffer;
use crate::code::Code;

/// Bytes of a pointer on this machine; the struct holds two.
const POINTER: usize = size_of::<usize>();

/// Writes `module` into `buffer`, or the size it takes where it does not fit.
pub(crate) fn write(module: &Module, buffer: Buffer) -> Result<(), Code> {
    let name = utf16(module.name());
    let path = utf16(module.path().as_os_str());
    let needed = 2 * POINTER + 2 * (name.len() + path.len());
    buffer.check(u32::try_from(needed).map_err(|_| Code::NOT_ENOUGH_MEMORY)?)?;

    let name_at = buffer.address() + 2 * POINTER;
    let path_at = name_at + 2 * name.len();
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(needed).map_err(|_| Code::NOT_ENOUGH_MEMORY)?;
    bytes.extend(name_at.to_ne_bytes());
    bytes.extend(path_at.to_ne_bytes());
    bytes.extend(name.iter().chain(&path).flat_map(|unit| unit.to_ne_bytes()));
    buffer.fill(&bytes)
}

/// UTF-16 with a NUL at the end; U+FFFD for what is not UTF-8.
fn utf16(text: &std::ffi::OsStr) -> Vec<u16> {
    text.to_string_lossy().encode_utf16().chain([0]).collect()
}
