//! What this crate asks of the world: files and, if there is one, the process's memory.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::{Error, Mapping};

/// A file that is read at any place, by pread(2).
pub trait ReadAt {
    /// Reads some bytes at `offset`; none at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

/// One state of one file: what is known of a module is kept under this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// The device, as `st_dev` of stat(2).
    pub device: u64,
    /// The inode number on it.
    pub inode: u64,
    /// Its size in bytes.
    pub size: u64,
    /// When its content changed last, in seconds and nanoseconds.
    pub modified: (i64, i64),
    /// When its inode changed last, in seconds and nanoseconds: nobody can set this one back.
    pub changed: (i64, i64),
}

/// A file that an [`Opener`] opened.
pub struct Opened {
    /// The file.
    pub file: Box<dyn ReadAt + Send>,
    /// Which one it is.
    pub identity: Identity,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// Opens the files that a process has mapped.
///
/// Implementations answer for what they hand over: a regular file, the one that is mapped and not another of its name,
/// opened without waiting for anybody. [`Files`](crate::Files) is one for a reader that sees the process's paths.
pub trait Opener {
    /// Opens the mapped file.
    fn open(&self, mapping: &Mapping) -> Result<Opened, Error>;
}

/// The memory of the process, while there is one: it tells what slots of the GOT really hold.
pub trait Memory {
    /// The word at `address`. None where it cannot be read.
    fn word(&self, address: u64) -> Option<u64>;
}
