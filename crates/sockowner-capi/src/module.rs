//! `TCPIP_OWNER_MODULE_BASIC_INFO`: two pointers, the name, the path, all in the caller's buffer.

use sockowner::Module;

use crate::argument::Buffer;
use crate::code::Code;
use crate::room::with_room;

/// Bytes of a pointer on this machine; the struct holds two.
const POINTER: usize = size_of::<usize>();

/// Writes `module` into `buffer`, or the size it takes where it does not fit.
pub(crate) fn write(module: &Module, buffer: Buffer) -> Result<(), Code> {
    let name = utf16(module.name())?;
    let path = utf16(module.path().as_os_str())?;
    let needed = 2 * POINTER + 2 * (name.len() + path.len());
    buffer.check(u32::try_from(needed).map_err(|_| Code::NOT_ENOUGH_MEMORY)?)?;

    let name_at = buffer.address() + 2 * POINTER;
    let path_at = name_at + 2 * name.len();
    let mut bytes = with_room(needed)?;
    bytes.extend(name_at.to_ne_bytes());
    bytes.extend(path_at.to_ne_bytes());
    bytes.extend(name.iter().chain(&path).flat_map(|unit| unit.to_ne_bytes()));
    buffer.fill(&bytes)
}

/// UTF-16 with a NUL at the end; U+FFFD for what is not UTF-8.
fn utf16(text: &std::ffi::OsStr) -> Result<Vec<u16>, Code> {
    let text = text.to_string_lossy();
    // No character has more units than it has bytes in UTF-8.
    let mut units = with_room(text.len() + 1)?;
    units.extend(text.encode_utf16());
    units.push(0);
    Ok(units)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::scarcity;

    #[test]
    fn c41_a_module_without_memory_is_8_and_nothing_written() {
        let module = Module::Process("/usr/sbin/daemon".into());
        let reservations = scarcity::each_in_turn(|buffer| write(&module, buffer));
        assert_eq!(reservations, 3, "the name, the path, and both with their pointers");
    }

    #[test]
    fn text_of_any_kind_fits_into_the_room_made_for_it() {
        use std::os::unix::ffi::OsStrExt;
        for text in ["", "a", "\u{e4}\u{20ac}\u{1f600}", "\u{10ffff}"] {
            let units: Vec<u16> = text.encode_utf16().chain([0]).collect();
            assert_eq!(utf16(text.as_ref()).unwrap(), units);
        }
        let broken = utf16(std::ffi::OsStr::from_bytes(b"a\xff\xe2\x82b")).unwrap();
        assert_eq!(broken, [0x61, 0xfffd, 0xfffd, 0x62, 0]);
    }
}
