//! What a decoder says of bytes that are not what they should be.

use std::fmt;

/// Bytes that do not have the form they should: which form, and where it broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The thing that was being read, as a noun phrase: `the start time of a stat line`.
    pub what: &'static str,
    /// Offset of the first byte that does not fit, from the start of the input.
    pub at: usize,
}

impl Malformed {
    /// `what` broke at byte `at`.
    pub const fn new(what: &'static str, at: usize) -> Self {
        Self { what, at }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed {} at byte {}", self.what, self.at)
    }
}

impl std::error::Error for Malformed {}
