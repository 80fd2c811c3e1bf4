//! How much work a question may cause, and how much is kept.

use crate::Error;

/// Bounds. They hold whatever a process and its files contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Steps of work for one sample; a step is a block read, an entry of a table looked at, or a few bytes of CFI.
    pub steps: u64,
    /// Frames of a chain.
    pub frames: usize,
    /// Modules kept between samples; each keeps its file open and about 100 KiB.
    pub modules: usize,
    /// Bytes of files kept between samples, of all modules together.
    pub bytes: usize,
    /// Mappings of a process that are looked at.
    pub mappings: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { steps: 1 << 20, frames: 16, modules: 96, bytes: 2 << 20, mappings: 4096 }
    }
}

/// What is left of [`Limits::steps`].
#[derive(Debug)]
pub(crate) struct Budget {
    allowed: u64,
    left: u64,
}

impl Budget {
    pub(crate) fn new(allowed: u64) -> Self {
        Self { allowed, left: allowed }
    }

    pub(crate) fn spend(&mut self, steps: u64) -> Result<(), Error> {
        let left = self.left.checked_sub(steps);
        self.left = left.unwrap_or(0);
        left.map(drop).ok_or(Error::TooMuchWork)
    }

    pub(crate) fn spent(&self) -> u64 {
        self.allowed - self.left
    }
}
