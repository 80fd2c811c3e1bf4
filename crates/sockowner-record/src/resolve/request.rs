//! Messages between the parser and the opener: what is wanted, and what came of it. A descriptor comes with the reply.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use sockowner_component::{Device, Error};

use super::batch::VERSION;
use super::bytes::{PATH, Reader, Writer};

/// Bytes of a request.
pub(super) const ROOM: usize = PATH + 64;

/// Bytes of a reply.
pub(super) const REPLY: usize = 2;

/// A process, and not another that has its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Whose {
    pub(super) pid: u32,
    pub(super) start_ticks: u64,
}

/// What the parser asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// `/proc/PID/maps`.
    Maps(Whose),
    /// The file that the process executes just there.
    Mapped(Whose, u64, u64),
    /// The file of this path, if it is that file: nobody proves that a process executed it.
    Named(Device, u64, PathBuf),
}

const MAPS: u8 = b'm';
const MAPPED: u8 = b'x';
const NAMED: u8 = b'n';

impl Request {
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.clear();
        let mut writer = Writer(bytes);
        writer.u8(VERSION);
        match self {
            Self::Maps(whose) => {
                writer.u8(MAPS);
                writer.u32(whose.pid);
                writer.u64(whose.start_ticks);
            }
            Self::Mapped(whose, start, end) => {
                writer.u8(MAPPED);
                writer.u32(whose.pid);
                for number in [whose.start_ticks, *start, *end] {
                    writer.u64(number);
                }
            }
            Self::Named(device, inode, path) => {
                writer.u8(NAMED);
                writer.u32(device.major);
                writer.u32(device.minor);
                writer.u64(*inode);
                writer.bytes(path.as_os_str().as_bytes());
            }
        }
    }

    pub(super) fn read(message: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(message);
        let (version, kind) = (reader.u8()?, reader.u8()?);
        (version == VERSION).then_some(())?;
        let request = match kind {
            MAPS => Self::Maps(Whose { pid: reader.u32()?, start_ticks: reader.u64()? }),
            MAPPED => {
                let whose = Whose { pid: reader.u32()?, start_ticks: reader.u64()? };
                Self::Mapped(whose, reader.u64()?, reader.u64()?)
            }
            NAMED => {
                let device = Device { major: reader.u32()?, minor: reader.u32()? };
                Self::Named(device, reader.u64()?, reader.text(PATH)?.into())
            }
            _ => return None,
        };
        reader.end().map(|()| request)
    }
}

/// Why there is no descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The process has ended.
    Gone,
    /// The process executes nothing just there.
    NotMapped,
    /// No regular file.
    NotRegular,
    /// Another file than the one that is mapped.
    OtherFile,
    /// No ELF file.
    NotElf,
    /// The operating system says that there is none.
    NotFound,
    /// The operating system refuses.
    Denied,
    /// Anything else.
    Failed,
}

impl Refusal {
    const ALL: [Self; 8] = [
        Self::Gone,
        Self::NotMapped,
        Self::NotRegular,
        Self::OtherFile,
        Self::NotElf,
        Self::NotFound,
        Self::Denied,
        Self::Failed,
    ];

    pub(super) fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            io::ErrorKind::PermissionDenied => Self::Denied,
            _ => Self::Failed,
        }
    }

    /// As the resolver of components says it.
    pub(super) fn error(self) -> Error {
        let os = |kind| Error::Os { operation: "open", kind };
        match self {
            Self::Gone | Self::NotFound => os(io::ErrorKind::NotFound),
            Self::NotMapped | Self::OtherFile => Error::OtherFile,
            Self::NotRegular => Error::NotRegular,
            Self::NotElf => Error::NotElf,
            Self::Denied => os(io::ErrorKind::PermissionDenied),
            Self::Failed => os(io::ErrorKind::Other),
        }
    }
}

/// The bytes of a reply.
pub(super) fn reply(refusal: Option<Refusal>) -> [u8; REPLY] {
    let number = Refusal::ALL.iter().position(|known| Some(*known) == refusal);
    [VERSION, number.and_then(|number| u8::try_from(number + 1).ok()).unwrap_or(0)]
}

/// What a reply says: a descriptor comes with it, or why not. `None` where it is none.
pub(super) fn read_reply(message: &[u8]) -> Option<Result<(), Refusal>> {
    let [VERSION, number] = message else {
        return None;
    };
    match usize::from(*number).checked_sub(1) {
        None => Some(Ok(())),
        Some(number) => Refusal::ALL.get(number).map(|refusal| Err(*refusal)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests() -> [Request; 3] {
        let whose = Whose { pid: 4711, start_ticks: 99 };
        let named = Request::Named(Device { major: 8, minor: 1 }, 17, "/usr/lib/a b.so".into());
        [Request::Maps(whose), Request::Mapped(whose, 0x1000, 0x2000), named]
    }

    #[test]
    fn requests_arrive_as_they_were_sent() {
        let mut bytes = Vec::new();
        for request in requests() {
            request.write(&mut bytes);
            assert_eq!(Request::read(&bytes), Some(request));
            for len in 0..bytes.len() {
                assert_eq!(Request::read(&bytes[..len]), None, "{len} bytes");
            }
            assert_eq!(Request::read(&[&bytes[..], &[0]].concat()), None);
            bytes[0] += 1;
            assert_eq!(Request::read(&bytes), None);
        }
        let long = Request::Named(Device::default(), 0, "x".repeat(PATH).into());
        long.write(&mut bytes);
        assert!(bytes.len() <= ROOM);
        assert_eq!(Request::read(&bytes), Some(long));
        Request::Named(Device::default(), 0, "a\0b".into()).write(&mut bytes);
        assert_eq!(Request::read(&bytes), None);
    }

    #[test]
    fn replies_say_why_not() {
        assert_eq!(read_reply(&reply(None)), Some(Ok(())));
        for refusal in Refusal::ALL {
            assert_eq!(read_reply(&reply(Some(refusal))), Some(Err(refusal)));
        }
        for bytes in [&[][..], &[VERSION], &[VERSION, 9], &[VERSION + 1, 0], &[VERSION, 0, 0]] {
            assert_eq!(read_reply(bytes), None);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..100)) {
            let mut again = Vec::new();
            if let Some(request) = Request::read(&bytes) {
                request.write(&mut again);
                proptest::prop_assert_eq!(again, bytes);
            }
        }
    }
}
