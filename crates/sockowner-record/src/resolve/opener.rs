//! The opener: hands over what a process executes, or executed when it was sampled, and `/proc/PID/maps`.
//!
//! The parser that asks may have been taken over. So the opener looks itself: the process must have been started when the
//! parser says, must execute something just there, and what it hands over is a regular file that begins as an ELF file does.
//!
//! Where the process has ended or gone on since, nobody can look any more: then the parser names a file by path, device and
//! inode. It may name any: all that the opener proves is that this is that file, and an ELF file.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::ExitCode;

use sockowner_component::{Device, Mapping};

use super::request::{ROOM, Refusal, Request, Whose, read_reply, reply};
use crate::call::channel::Channel;
use crate::call::files::{Found, Held, below, own_root};
use crate::call::maps::Maps;
use crate::call::rights::{Kept, close_others, give_up, is_alone};
use crate::call::seccomp::confine_opener;

/// What begins an ELF file.
const MAGIC: &[u8] = b"\x7fELF";

/// Runs the opener, which answers the parser at the other end of its standard input, until that is closed.
///
/// This is all that a process does: it gives up its rights first, for good.
pub fn opener() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn run() -> io::Result<()> {
    close_others()?;
    if !is_alone()? {
        return Err(io::ErrorKind::ResourceBusy.into());
    }
    let channel = Channel::of_stdin()?;
    give_up(Kept::OPENER)?;
    confine_opener()?;
    // The rights are given up: now it may be asked.
    channel.send(&reply(None))?;
    let mut buffer = vec![0; ROOM];
    loop {
        let received = match channel.receive(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            received => received?,
        };
        let Some(request) = Request::read(&buffer[..received.len]) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        match serve(&request) {
            Ok(file) => channel.send_with(&reply(None), Some(file.as_fd()))?,
            Err(refusal) => channel.send(&reply(Some(refusal)))?,
        }
    }
}

/// The first message of an opener: it is ready.
pub(super) fn is_ready(message: &[u8]) -> bool {
    read_reply(message) == Some(Ok(()))
}

fn serve(request: &Request) -> Result<File, Refusal> {
    match request {
        Request::Maps(whose) => hold(*whose)?.maps().map_err(|error| Refusal::of(&error)),
        Request::Mapped(whose, start, end) => mapped(&hold(*whose)?, *start, *end),
        Request::Named(device, inode, path) => named(*device, *inode, path),
    }
}

/// Holds the process, if it is the one that is meant.
fn hold(whose: Whose) -> Result<Held, Refusal> {
    let held = Held::hold(whose.pid).map_err(|_| Refusal::Gone)?;
    // What is read by the held directory is of this process or of none.
    let stat = held.stat().map_err(|_| Refusal::Gone)?;
    if start_ticks(&stat) == Some(whose.start_ticks) { Ok(held) } else { Err(Refusal::Gone) }
}

/// Field 22 of `/proc/PID/stat`. The name, which is field 2, may contain anything.
fn start_ticks(stat: &[u8]) -> Option<u64> {
    let behind = stat.iter().rposition(|&byte| byte == b')')?;
    let field = stat.get(behind + 2..)?.split(|&byte| byte == b' ').nth(22 - 3)?;
    str::from_utf8(field).ok()?.parse().ok()
}

fn mapped(held: &Held, start: u64, end: u64) -> Result<File, Refusal> {
    let maps = held.maps().map_err(|error| Refusal::of(&error))?;
    let at = Maps::new(maps).path_at(start).map_err(|_| Refusal::Gone)?;
    let mapping = at.filter(|mapping| (mapping.start, mapping.end) == (start, end) && mapping.is_file());
    let mapping = mapping.ok_or(Refusal::NotMapped)?;
    match held.mapped(start, end) {
        Ok(found) => open(&found),
        // Without the right to follow these links, the path is followed below the process's root.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => by_path(held, &mapping),
        Err(error) => Err(Refusal::of(&error)),
    }
}

fn by_path(held: &Held, mapping: &Mapping) -> Result<File, Refusal> {
    let path = mapping.path.as_deref().ok_or(Refusal::NotFound)?;
    let root = held.root().map_err(|error| Refusal::of(&error))?;
    let found = below(&root, path).map_err(|error| Refusal::of(&error))?;
    same(&found, mapping.device, mapping.inode)?;
    open(&found)
}

fn named(device: Device, inode: u64, path: &Path) -> Result<File, Refusal> {
    let root = own_root().map_err(|error| Refusal::of(&error))?;
    let found = below(&root, path).map_err(|error| Refusal::of(&error))?;
    same(&found, device, inode)?;
    open(&found)
}

/// On overlayfs and btrfs a mapping has other numbers than its file: there this fails, and nothing is opened.
fn same(found: &Found, device: Device, inode: u64) -> Result<(), Refusal> {
    if !found.is_regular {
        Err(Refusal::NotRegular)
    } else if (found.device, found.inode) == (device, inode) {
        Ok(())
    } else {
        Err(Refusal::OtherFile)
    }
}

fn open(found: &Found) -> Result<File, Refusal> {
    if !found.is_regular {
        return Err(Refusal::NotRegular);
    }
    let file = found.open().map_err(|error| Refusal::of(&error))?;
    let mut magic = [0; MAGIC.len()];
    match file.read_exact_at(&mut magic, 0) {
        Ok(()) if magic == MAGIC => Ok(file),
        Ok(()) => Err(Refusal::NotElf),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Refusal::NotElf),
        Err(error) => Err(Refusal::of(&error)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use rustix::fs::{major, minor};

    fn own() -> Whose {
        let stat = std::fs::read("/proc/self/stat").unwrap();
        Whose { pid: std::process::id(), start_ticks: start_ticks(&stat).unwrap() }
    }

    fn named_as(path: &Path) -> Request {
        let metadata = path.metadata().unwrap();
        let device = Device { major: major(metadata.dev()), minor: minor(metadata.dev()) };
        Request::Named(device, metadata.ino(), path.into())
    }

    #[test]
    fn the_start_is_found_behind_any_name() {
        let fields = (4..=52).map(|number| number.to_string()).collect::<Vec<_>>().join(" ");
        for name in ["cat", "a) b (c", ") R 1 2 3"] {
            assert_eq!(start_ticks(format!("1 ({name}) S {fields}\n").as_bytes()), Some(22), "{name}");
        }
        for text in ["", "1 (a", "1 (a)", "1 (a) S 4 5"] {
            assert_eq!(start_ticks(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn another_process_with_the_number_is_not_the_one() {
        assert!(serve(&Request::Maps(own())).is_ok());
        let other = Whose { start_ticks: own().start_ticks + 1, ..own() };
        assert_eq!(serve(&Request::Maps(other)).unwrap_err(), Refusal::Gone);
        assert_eq!(serve(&Request::Mapped(other, 0, 1)).unwrap_err(), Refusal::Gone);
        let none = Whose { pid: i32::MAX.unsigned_abs(), ..own() };
        assert_eq!(serve(&Request::Maps(none)).unwrap_err(), Refusal::Gone);
    }

    #[test]
    fn only_what_is_executed_just_there_is_opened() {
        let maps = std::fs::read("/proc/self/maps").unwrap();
        let mappings = sockowner_component::executable_mappings(&maps).executable;
        let mapping = mappings.iter().find(|mapping| mapping.is_file()).unwrap();
        let (start, end) = (mapping.start, mapping.end);
        // By either way, whatever rights there are.
        assert!(serve(&Request::Mapped(own(), start, end)).is_ok());
        assert!(by_path(&hold(own()).unwrap(), mapping).is_ok());
        for (start, end) in [(start, end - 4096), (start + 4096, end), (start, end + 4096), (0, 4096)] {
            assert_eq!(serve(&Request::Mapped(own(), start, end)).unwrap_err(), Refusal::NotMapped);
        }
        // A data segment is mapped too, but not executed.
        let text = String::from_utf8(maps).unwrap();
        let data = text.lines().find(|line| line.contains(" r--p ") && line.contains('/')).unwrap();
        let (start, end) = data.split(' ').next().unwrap().split_once('-').unwrap();
        let [start, end] = [start, end].map(|address| u64::from_str_radix(address, 16).unwrap());
        assert_eq!(serve(&Request::Mapped(own(), start, end)).unwrap_err(), Refusal::NotMapped);
        let vdso = mappings.iter().find(|mapping| !mapping.is_file()).unwrap();
        let vdso = Request::Mapped(own(), vdso.start, vdso.end);
        assert_eq!(serve(&vdso).unwrap_err(), Refusal::NotMapped);
    }

    #[test]
    fn a_named_file_is_that_file_and_an_elf_file() {
        let dir = tempfile::tempdir().unwrap();
        let (library, text) = (dir.path().join("a.so"), dir.path().join("a.txt"));
        std::fs::write(&library, b"\x7fELF and more").unwrap();
        std::fs::write(&text, b"a secret").unwrap();
        let request = named_as(&library);
        assert!(serve(&request).is_ok());
        assert_eq!(serve(&named_as(&text)).unwrap_err(), Refusal::NotElf);
        std::fs::write(&text, b"\x7fEL").unwrap();
        assert_eq!(serve(&named_as(&text)).unwrap_err(), Refusal::NotElf);
        assert_eq!(serve(&named_as(dir.path())).unwrap_err(), Refusal::NotRegular);
        assert_eq!(serve(&named_as(Path::new("/dev/null"))).unwrap_err(), Refusal::NotRegular);
        std::fs::rename(&text, &library).unwrap();
        assert_eq!(serve(&request).unwrap_err(), Refusal::OtherFile);
        std::fs::remove_file(&library).unwrap();
        assert_eq!(serve(&request).unwrap_err(), Refusal::NotFound);
        let magic = Path::new("/proc/self/exe");
        assert_eq!(serve(&named_as(magic)).unwrap_err(), Refusal::Failed);
    }

    #[test]
    fn a_fifo_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        assert_eq!(serve(&named_as(&fifo)).unwrap_err(), Refusal::NotRegular);
    }
}
