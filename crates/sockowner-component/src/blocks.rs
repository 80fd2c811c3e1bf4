//! A file read block by block, when a block is needed, with a few blocks kept.

use std::collections::BTreeMap;
use std::fmt;

use crate::limits::Budget;
use crate::{Error, ReadAt};

const BLOCK: usize = 4096;

/// Blocks kept of one file.
const KEPT: usize = 16;

pub(crate) struct Blocks {
    file: Box<dyn ReadAt + Send>,
    /// By number. A short one is the file's last.
    kept: BTreeMap<u64, Vec<u8>>,
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocks").field("kept", &self.kept.len()).finish_non_exhaustive()
    }
}

impl Blocks {
    pub(crate) fn new(file: Box<dyn ReadAt + Send>) -> Self {
        Self { file, kept: BTreeMap::new() }
    }

    /// Bytes kept.
    pub(crate) fn weight(&self) -> usize {
        self.kept.values().map(Vec::len).sum()
    }

    /// Forgets all blocks; they are read again when they are needed.
    pub(crate) fn shed(&mut self) {
        self.kept.clear();
    }

    /// As many bytes at `offset` as there are, up to the buffer's length.
    pub(crate) fn read(
        &mut self,
        offset: u64,
        buffer: &mut [u8],
        budget: &mut Budget,
    ) -> Result<usize, Error> {
        let mut done = 0;
        while done < buffer.len() {
            let Some(at) = offset.checked_add(done as u64) else {
                break;
            };
            let block = self.block(at / BLOCK as u64, budget)?;
            // Less than `BLOCK`.
            let within = usize::try_from(at % BLOCK as u64).unwrap_or(BLOCK);
            let bytes = block.get(within..).unwrap_or_default();
            let len = bytes.len().min(buffer.len() - done);
            if len == 0 {
                break;
            }
            buffer[done..done + len].copy_from_slice(&bytes[..len]);
            done += len;
        }
        Ok(done)
    }

    /// All bytes of the buffer, or [`Error::Truncated`] before `what`.
    pub(crate) fn read_exact(
        &mut self,
        offset: u64,
        buffer: &mut [u8],
        what: &'static str,
        budget: &mut Budget,
    ) -> Result<(), Error> {
        if self.read(offset, buffer, budget)? == buffer.len() { Ok(()) } else { Err(Error::Truncated(what)) }
    }

    fn block(&mut self, number: u64, budget: &mut Budget) -> Result<&[u8], Error> {
        if !self.kept.contains_key(&number) {
            budget.spend(16)?;
            if self.kept.len() >= KEPT {
                self.kept.clear();
            }
            let mut block = vec![0; BLOCK];
            let mut len = 0;
            // Each turn reads something, or ends it.
            while len < BLOCK {
                let Some(at) = number.checked_mul(BLOCK as u64).and_then(|at| at.checked_add(len as u64))
                else {
                    break;
                };
                match self.file.read_at(&mut block[len..], at) {
                    Ok(0) => break,
                    Ok(read) => len += read.min(BLOCK - len),
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => budget.spend(1)?,
                    Err(error) => return Err(Error::os("read", &error)),
                }
            }
            block.truncate(len);
            self.kept.insert(number, block);
        }
        Ok(self.kept.get(&number).map_or(&[], Vec::as_slice))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_ends_where_the_file_does() {
        let bytes: Vec<u8> = (0..10_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let mut blocks = Blocks::new(Box::new(bytes.clone()));
        let mut budget = Budget::new(1000);
        let mut buffer = [0; 5000];
        assert_eq!(blocks.read(4000, &mut buffer, &mut budget), Ok(5000));
        assert_eq!(buffer, bytes[4000..9000]);
        assert_eq!(blocks.read(9000, &mut buffer, &mut budget), Ok(1000));
        assert_eq!(blocks.read(u64::MAX - 1, &mut buffer, &mut budget), Ok(0));
        assert_eq!(blocks.read_exact(9999, &mut buffer[..2], "it", &mut budget), Err(Error::Truncated("it")));
    }

    #[test]
    fn each_block_costs_once() {
        let mut blocks = Blocks::new(Box::new(vec![0; 8192]));
        let mut budget = Budget::new(32);
        for _ in 0..100 {
            assert_eq!(blocks.read(4000, &mut [0; 200], &mut budget), Ok(200));
        }
        assert_eq!(blocks.read(8192, &mut [0; 1], &mut budget), Err(Error::TooMuchWork));
    }
}
