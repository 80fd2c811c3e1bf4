//! Buffers that the system fills, and says so where they are too small.

use std::io;

use zerocopy::IntoBytes;

use super::door::{Fill, INSUFFICIENT_BUFFER};

/// How often a buffer is made larger for what grows meanwhile.
const TRIES: u32 = 8;
/// No table and no list is larger; a size beyond it is not believed.
const MOST: usize = 1 << 28;
/// Units of the longest path there is, with its NUL.
const LONGEST_PATH: usize = 1 << 15;

/// What the system filled.
#[derive(Debug)]
pub(super) struct Filled {
    words: Vec<u64>,
    length: usize,
}

impl Filled {
    pub(super) fn bytes(&self) -> &[u8] {
        let bytes = self.words.as_bytes();
        bytes.get(..self.length).unwrap_or(bytes)
    }

    /// Where it stands: what the system put in may point into it.
    pub(super) fn address(&self) -> usize {
        self.words.as_ptr().addr()
    }
}

/// Has `fill` fill a buffer of `first` bytes, or of as many as it asks for, with some to spare. An error where it is never
/// content.
pub(super) fn filled(
    first: usize,
    mut fill: impl FnMut(&mut [u64]) -> io::Result<Fill>,
) -> io::Result<Filled> {
    let mut size = first;
    let mut words = Vec::new();
    for _ in 0..TRIES {
        let count = size.div_ceil(8);
        words.clear();
        words.try_reserve_exact(count).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        words.resize(count, 0);
        match fill(&mut words)? {
            Fill::Whole(length) => return Ok(Filled { words, length }),
            Fill::Needs(needed) => size = (needed + needed / 8).max(size * 2).min(MOST),
        }
    }
    Err(io::Error::new(io::ErrorKind::ResourceBusy, "it grew at every try to read it"))
}

/// Has `fill` write text of units into a buffer that grows up to the longest path.
pub(super) fn text(mut fill: impl FnMut(&mut [u16]) -> io::Result<usize>) -> io::Result<Vec<u16>> {
    let mut room = 260;
    loop {
        let mut units = vec![0; room];
        match fill(&mut units) {
            Err(error) if error.raw_os_error() == Some(INSUFFICIENT_BUFFER) && room < LONGEST_PATH => {
                room = (room * 4).min(LONGEST_PATH);
            }
            Err(error) => return Err(error),
            Ok(length) => {
                units.truncate(length);
                return Ok(units);
            }
        }
    }
}
