//! Numbers and texts in a message: bounded, little-endian, one after the other.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// `PATH_MAX`.
pub(super) const PATH: usize = 4096;

/// The length that stands for no path.
const NONE: u16 = u16::MAX;

/// Writes a message.
#[derive(Debug)]
pub(super) struct Writer<'a>(pub(super) &'a mut Vec<u8>);

impl Writer<'_> {
    pub(super) fn u8(&mut self, number: u8) {
        self.0.push(number);
    }

    pub(super) fn u16(&mut self, number: u16) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn u32(&mut self, number: u32) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn u64(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// At most 64 KiB; the callers know that.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let len = u16::try_from(bytes.len()).unwrap_or(NONE - 1);
        self.u16(len);
        self.0.extend_from_slice(&bytes[..len.into()]);
    }

    /// As above, or nothing.
    pub(super) fn option(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bytes(bytes),
            None => self.u16(NONE),
        }
    }
}

/// What should be there is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Reads a message; what is not there, or not as it should be, is `None`.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        self.u8().and_then(|byte| (byte <= 1).then_some(byte == 1))
    }

    fn sized(&mut self, len: u16, most: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::from(len)).filter(|_| usize::from(len) <= most)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn bytes(&mut self, most: usize) -> Option<&'a [u8]> {
        let len = self.u16()?;
        self.sized(len, most)
    }

    /// As [`bytes`](Self::bytes), or nothing.
    pub(super) fn option(&mut self, most: usize) -> Result<Option<&'a [u8]>, Malformed> {
        match self.u16().ok_or(Malformed)? {
            NONE => Ok(None),
            len => self.sized(len, most).map(Some).ok_or(Malformed),
        }
    }

    /// Text of the OS: no NUL.
    pub(super) fn text(&mut self, most: usize) -> Option<OsString> {
        text(self.bytes(most)?)
    }

    pub(super) fn path(&mut self) -> Result<Option<PathBuf>, Malformed> {
        let path = self.option(PATH)?;
        path.map(|path| text(path).map(PathBuf::from).ok_or(Malformed)).transpose()
    }

    /// Bytes that are left.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Nothing is left.
    pub(super) fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

fn text(bytes: &[u8]) -> Option<OsString> {
    (!bytes.contains(&0)).then(|| OsString::from_vec(bytes.to_vec()))
}
