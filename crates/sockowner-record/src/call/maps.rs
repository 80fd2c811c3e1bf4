//! What `/proc/PID/maps` tells, by the kernel's answers to single questions where it gives them (Linux 6.11).
#![expect(unsafe_code, reason = "the ioctl PROCMAP_QUERY has no safe wrapper")]

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::ioctl::{Opcode, Updater, ioctl, opcode};
use sockowner_component::{Device, Mapping, executable_mappings};

/// `struct procmap_query` of `<linux/fs.h>`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct Query {
    size: u64,
    flags: u64,
    address: u64,
    vma_start: u64,
    vma_end: u64,
    vma_flags: u64,
    vma_page_size: u64,
    vma_offset: u64,
    inode: u64,
    dev_major: u32,
    dev_minor: u32,
    vma_name_size: u32,
    build_id_size: u32,
    vma_name_addr: u64,
    build_id_addr: u64,
}

const _: () = assert!(size_of::<Query>() == 104);

/// The request, as the filter of system calls has to know it.
pub(crate) const PROCMAP_QUERY: Opcode = opcode::read_write::<Query>(b'f', 17);

const EXECUTABLE: u64 = 0x04;
const COVERING_OR_NEXT: u64 = 0x10;

/// `PATH_MAX`, and ` (deleted)`.
const NAME: usize = 4096 + 16;

/// Text of more bytes is not read.
const TEXT: usize = 8 << 20;

/// The mappings of one address space: of a process from one exec to the next, or its end.
#[derive(Debug)]
pub(crate) struct Maps {
    file: File,
    /// The kernel answers single questions.
    answers: bool,
}

impl Maps {
    pub(crate) fn new(file: File) -> Self {
        Self { file, answers: true }
    }

    /// The executable mappings, at most `limit`. An error where the process has another address space now, or none.
    pub(crate) fn list(&mut self, limit: usize) -> io::Result<Vec<Mapping>> {
        let mut mappings = Vec::new();
        let mut name = vec![0; NAME];
        let mut at = 0;
        while self.answers && mappings.len() < limit {
            match query(&self.file, at, COVERING_OR_NEXT | EXECUTABLE, &mut name) {
                Ok(Some(mapping)) => {
                    at = mapping.end;
                    mappings.push(mapping);
                }
                Ok(None) => return Ok(mappings),
                Err(error) if error.raw_os_error() == Some(Errno::NOTTY.raw_os_error()) => {
                    self.answers = false;
                }
                Err(error) => return Err(error),
            }
        }
        if self.answers {
            return Ok(mappings);
        }
        mappings = self.text()?;
        mappings.truncate(limit);
        Ok(mappings)
    }

    /// The executable mapping that holds an address, without its path where that costs anything. Errors as above.
    pub(crate) fn at(&mut self, address: u64) -> io::Result<Option<Mapping>> {
        if self.answers {
            match query(&self.file, address, EXECUTABLE, &mut []) {
                Err(error) if error.raw_os_error() == Some(Errno::NOTTY.raw_os_error()) => {
                    self.answers = false;
                }
                answer => return answer,
            }
        }
        let mut mappings = self.text()?.into_iter();
        Ok(mappings.find(|mapping| (mapping.start..mapping.end).contains(&address)))
    }

    /// As [`at`](Self::at), with its path.
    pub(crate) fn path_at(&mut self, address: u64) -> io::Result<Option<Mapping>> {
        let at = self.at(address)?;
        if !self.answers || at.is_none() {
            return Ok(at);
        }
        query(&self.file, address, EXECUTABLE, &mut vec![0; NAME])
    }

    fn text(&self) -> io::Result<Vec<Mapping>> {
        let mut text = Vec::new();
        let mut piece = vec![0; 1 << 16];
        loop {
            let read = self.file.read_at(&mut piece, text.len() as u64)?;
            text.extend_from_slice(&piece[..read]);
            if read == 0 {
                break;
            }
            if text.len() > TEXT {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
        }
        let maps = executable_mappings(&text);
        // Each process has some; without an address space there is no text.
        if maps.executable.is_empty() {
            return Err(Errno::SRCH.into());
        }
        Ok(maps.executable)
    }
}

/// The mapping at `address` or, if the flags say so, the first behind it. Its path, if there is room for it.
fn query(file: &File, address: u64, flags: u64, name: &mut [u8]) -> io::Result<Option<Mapping>> {
    let mut query = Query {
        size: size_of::<Query>() as u64,
        flags,
        address,
        vma_name_size: u32::try_from(name.len()).unwrap_or(0),
        vma_name_addr: if name.is_empty() { 0 } else { name.as_mut_ptr().expose_provenance() as u64 },
        ..Query::default()
    };
    // SAFETY: it is the request that this structure is for, which the kernel reads and writes in place.
    let request = unsafe { Updater::<PROCMAP_QUERY, Query>::new(&mut query) };
    // SAFETY: besides the structure the kernel writes at most `vma_name_size` bytes at `vma_name_addr`. These are those of
    // `name`, which is borrowed mutably for longer than the call. On another file or an older kernel the request is unknown,
    // and nothing is written (proc_pid_maps(5)).
    match unsafe { ioctl(file, request) } {
        Ok(()) => {}
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    // With its NUL.
    let len = usize::try_from(query.vma_name_size).unwrap_or(0).min(name.len());
    let path = name[..len].split(|&byte| byte == 0).next().unwrap_or_default();
    let (path, deleted) = match path.strip_suffix(b" (deleted)") {
        Some(path) if query.inode != 0 => (path, true),
        _ => (path, false),
    };
    Ok(Some(Mapping {
        start: query.vma_start,
        end: query.vma_end,
        offset: query.vma_offset,
        device: Device { major: query.dev_major, minor: query.dev_minor },
        inode: query.inode,
        path: (!path.is_empty()).then(|| PathBuf::from(OsString::from_vec(path.to_vec()))),
        deleted,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Maps {
        Maps::new(File::open("/proc/self/maps").unwrap())
    }

    #[test]
    fn answers_and_text_tell_the_same() {
        let (mut by_answers, mut by_text) = (own(), own());
        by_text.answers = false;
        let (answers, text) = (by_answers.list(4096).unwrap(), by_text.list(4096).unwrap());
        let files =
            |list: &[Mapping]| list.iter().filter(|mapping| mapping.is_file()).cloned().collect::<Vec<_>>();
        assert!(!files(&text).is_empty());
        assert_eq!(files(&answers), files(&text));
        for mapping in files(&text) {
            let told = by_answers.at(mapping.end - 1).unwrap().unwrap();
            assert_eq!(Mapping { path: mapping.path.clone(), deleted: mapping.deleted, ..told }, mapping);
            assert_eq!(by_text.at(mapping.start).unwrap().unwrap(), mapping);
        }
        assert_eq!(by_answers.at(1).unwrap(), None);
        assert_eq!(by_answers.list(1).unwrap().len(), 1);
    }

    #[test]
    fn no_address_space_is_an_error() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let path = format!("/proc/{}/maps", child.id());
        // It may still be under way to its program.
        let (mut maps, mut text) = sockowner_testkit::eventually("the mappings of a child", || {
            let [mut maps, mut text] = [&path, &path].map(|path| Maps::new(File::open(path).unwrap()));
            text.answers = false;
            let is_there = |maps: &mut Maps| maps.list(10).is_ok_and(|list| !list.is_empty());
            (is_there(&mut maps) && is_there(&mut text)).then_some((maps, text))
        });
        child.kill().unwrap();
        child.wait().unwrap();
        for maps in [&mut maps, &mut text] {
            assert_eq!(maps.list(10).unwrap_err().raw_os_error(), Some(Errno::SRCH.raw_os_error()));
            assert_eq!(maps.at(1).unwrap_err().raw_os_error(), Some(Errno::SRCH.raw_os_error()));
        }
    }
}
