//! `/proc/PID/maps`: which files a process executes, and where.
//!
//! Reference: [proc_pid_maps(5)](https://man7.org/linux/man-pages/man5/proc_pid_maps.5.html).

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A device's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Device {
    /// The major number.
    pub major: u32,
    /// The minor number.
    pub minor: u32,
}

/// A piece of memory that a process may execute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Its first address.
    pub start: u64,
    /// The address behind its last one.
    pub end: u64,
    /// Where in the file it begins, in bytes.
    pub offset: u64,
    /// The file's device.
    pub device: Device,
    /// The file's inode, 0 where there is none: the vDSO, anonymous memory.
    pub inode: u64,
    /// The file's path as the process sees it, without ` (deleted)`; or a name of the kernel's own, as `[vdso]`.
    pub path: Option<PathBuf>,
    /// The text ended in ` (deleted)`: nothing has this path any more, unless a file is really called so.
    pub deleted: bool,
}

/// What the text of `/proc/PID/maps` holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maps {
    /// Executable mappings, by address.
    pub executable: Vec<Mapping>,
    /// Lines that could not be read.
    pub malformed: usize,
}

impl Mapping {
    /// It is a file's, and not anonymous.
    pub fn is_file(&self) -> bool {
        self.inode != 0
    }

    pub(crate) fn is_vdso(&self) -> bool {
        let names = ["[vdso]", "[vsyscall]"];
        !self.is_file()
            && self.path.as_deref().is_some_and(|path| names.iter().any(|name| path == Path::new(name)))
    }

    pub(crate) fn contains(&self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }
}

/// The executable mappings in the text of `/proc/PID/maps`. A line that cannot be read is skipped and counted, and so
/// is a last one without its newline: it may be cut short.
pub fn executable_mappings(text: &[u8]) -> Maps {
    let mut maps = Maps::default();
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        match line.strip_suffix(b"\n").and_then(parse) {
            Some((mapping, true)) => maps.executable.push(mapping),
            Some((_, false)) => {}
            None => maps.malformed += 1,
        }
    }
    maps.executable.sort_by_key(|mapping| mapping.start);
    maps
}

/// A line, and whether it is executable.
fn parse(line: &[u8]) -> Option<(Mapping, bool)> {
    let mut fields = line.splitn(6, |&byte| byte == b' ');
    let (start, end) = pair(fields.next()?, b'-')?;
    let permissions = fields.next()?;
    let offset = hexadecimal(fields.next()?)?;
    let (major, minor) = pair(fields.next()?, b':')?;
    let inode = decimal(fields.next()?)?;
    if start >= end || permissions.len() != 4 {
        return None;
    }
    let path = fields.next().unwrap_or_default().trim_ascii_start();
    let (path, deleted) = match path.strip_suffix(b" (deleted)") {
        Some(path) if inode != 0 => (path, true),
        _ => (path, false),
    };
    let path = (!path.is_empty()).then(|| PathBuf::from(OsString::from_vec(unescaped(path))));
    let device = Device { major: u32::try_from(major).ok()?, minor: u32::try_from(minor).ok()? };
    Some((Mapping { start, end, offset, device, inode, path, deleted }, permissions[2] == b'x'))
}

fn pair(field: &[u8], between: u8) -> Option<(u64, u64)> {
    let at = field.iter().position(|&byte| byte == between)?;
    Some((hexadecimal(&field[..at])?, hexadecimal(&field[at + 1..])?))
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    number(digits, 16)
}

fn decimal(digits: &[u8]) -> Option<u64> {
    number(digits, 10)
}

fn number(digits: &[u8], radix: u32) -> Option<u64> {
    // The signs that the standard library would take are no digits.
    let digits =
        str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|b| b.is_ascii_alphanumeric()))?;
    u64::from_str_radix(digits, radix).ok()
}

/// The kernel writes a newline as `\012`, and nothing else so.
fn unescaped(path: &[u8]) -> Vec<u8> {
    const NEWLINE: &[u8] = b"\\012";
    let mut rest = path;
    let mut whole = Vec::with_capacity(path.len());
    while let Some((&byte, behind)) = rest.split_first() {
        if let Some(behind) = rest.strip_prefix(NEWLINE) {
            whole.push(b'\n');
            rest = behind;
        } else {
            whole.push(byte);
            rest = behind;
        }
    }
    whole
}

/// The last part of a path.
pub(crate) fn file_name(path: &Path) -> OsString {
    let bytes = path.as_os_str().as_bytes();
    let name = bytes.rsplit(|&byte| byte == b'/').next().unwrap_or(bytes);
    OsString::from_vec(name.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"\
55d0c0a00000-55d0c0a01000 r--p 00000000 08:01 131 /usr/bin/cat
55d0c0a01000-55d0c0a05000 r-xp 00001000 08:01 131                        /usr/bin/cat
7f0000000000-7f0000001000 rwxp 00000000 00:00 0 
7f1000000000-7f1000002000 r-xs 00003000 103:1ff 18446744073709551615 /a b\\012c (deleted)
7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0                          [vdso]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
";

    #[test]
    fn the_executable_mappings_are_told() {
        let maps = executable_mappings(TEXT);
        assert_eq!(maps.malformed, 0);
        let [cat, anonymous, odd, vdso, vsyscall] = maps.executable.as_slice() else {
            panic!("{maps:?}");
        };
        assert_eq!((cat.start, cat.end, cat.offset), (0x55d0_c0a0_1000, 0x55d0_c0a0_5000, 0x1000));
        assert_eq!((cat.device, cat.inode), (Device { major: 8, minor: 1 }, 131));
        assert_eq!(cat.path.as_deref(), Some(Path::new("/usr/bin/cat")));
        assert!(cat.is_file() && !cat.deleted && !cat.is_vdso());
        assert_eq!(anonymous.path, None);
        assert!(!anonymous.is_file());
        assert_eq!(odd.path.as_deref(), Some(Path::new("/a b\nc")));
        assert_eq!((odd.device, odd.inode), (Device { major: 0x103, minor: 0x1ff }, u64::MAX));
        assert!(odd.deleted);
        assert!(vdso.is_vdso() && vsyscall.is_vdso());
    }

    #[test]
    fn a_text_cut_anywhere_has_the_lines_before_the_cut() {
        for len in 0..TEXT.len() {
            let maps = executable_mappings(&TEXT[..len]);
            let lines = TEXT[..len].split(|&byte| byte == b'\n').count() - 1;
            assert_eq!(maps.executable.len(), lines.saturating_sub(1));
            assert_eq!(maps.malformed, usize::from(len > 0 && TEXT[len - 1] != b'\n'));
        }
    }

    #[test]
    fn malformed_lines_are_counted() {
        for line in [
            "",
            "1000-2000 r-xp 0 0:0",
            "2000-1000 r-xp 0 0:0 0",
            "1000-1000 r-xp 0 0:0 0",
            "+1000-2000 r-xp 0 0:0 0",
            "1000-2000 r-x 0 0:0 0",
            "1000-2000 r-xp 0 0:0 -1",
            "1000-2000 r-xp 0 100000000:0 0",
            "1000-20000000000000000 r-xp 0 0:0 0",
            "1000:2000 r-xp 0 0-0 0",
        ] {
            let maps = executable_mappings(format!("{line}\n").as_bytes());
            assert_eq!((maps.executable.len(), maps.malformed), (0, 1), "{line}");
        }
    }

    #[test]
    fn a_name_is_the_last_part() {
        assert_eq!(file_name(Path::new("/usr/lib/libc.so.6")), "libc.so.6");
        assert_eq!(file_name(Path::new("[vdso]")), "[vdso]");
        assert_eq!(file_name(Path::new("")), "");
    }
}
