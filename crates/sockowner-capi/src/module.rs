//! `TCPIP_OWNER_MODULE_BASIC_INFO`: two pointers, the name, the path, all in the caller's buffer.

use std::ffi::OsStr;

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
#[cfg(not(windows))]
fn utf16(text: &OsStr) -> Result<Vec<u16>, Code> {
    let text = text.to_string_lossy();
    terminated(text.len(), text.encode_utf16())
}

/// UTF-16 as the system has it, surrogates that stand alone included, with a NUL at the end.
#[cfg(windows)]
fn utf16(text: &OsStr) -> Result<Vec<u16>, Code> {
    use std::os::windows::ffi::OsStrExt as _;
    terminated(text.len(), text.encode_wide())
}

/// What `from` gives and a NUL, from a text of so many bytes: no character has more units than it has bytes in UTF-8.
fn terminated(bytes: usize, from: impl Iterator<Item = u16>) -> Result<Vec<u16>, Code> {
    let mut units = with_room(bytes + 1)?;
    units.extend(from);
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
        for text in ["", "a", "\u{e4}\u{20ac}\u{1f600}", "\u{10ffff}"] {
            let units: Vec<u16> = text.encode_utf16().chain([0]).collect();
            let made = utf16(text.as_ref()).unwrap();
            assert!(made.len() <= text.len() + 1);
            assert_eq!(made, units);
        }
    }

    #[test]
    #[cfg(unix)]
    fn what_is_not_utf_8_is_replaced() {
        use std::os::unix::ffi::OsStrExt;
        let broken = utf16(OsStr::from_bytes(b"a\xff\xe2\x82b")).unwrap();
        assert_eq!(broken, [0x61, 0xfffd, 0xfffd, 0x62, 0]);
    }

    #[test]
    #[cfg(windows)]
    fn surrogates_that_stand_alone_are_written_as_they_are() {
        use std::os::windows::ffi::OsStringExt;
        for units in [&[0xd800][..], &[0xdc00, 0x61], &[0x61, 0xd83d, 0xd83d, 0xde00], &[0xdfff, 0xd800]] {
            let text = std::ffi::OsString::from_wide(units);
            let mut expected = units.to_vec();
            expected.push(0);
            let made = utf16(&text).unwrap();
            assert!(made.len() <= text.len() + 1);
            assert_eq!(made, expected);
        }
    }
}
