//! Netlink framing: a datagram holds messages, a message holds attributes (`linux/netlink.h`).
//!
//! Headers are in the host's byte order; every record is padded to four bytes.

use zerocopy::byteorder::{I32, NativeEndian, U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::Malformed;

/// `NLMSG_NOOP`: to be ignored.
pub const NOOP: u16 = 1;
/// `NLMSG_ERROR`: the answer to a request that failed, or an acknowledgement.
pub const ERROR: u16 = 2;
/// `NLMSG_DONE`: the end of a dump.
pub const DONE: u16 = 3;
/// `NLMSG_OVERRUN`: data was lost.
pub const OVERRUN: u16 = 4;

/// `NLM_F_REQUEST`.
pub const FLAG_REQUEST: u16 = 0x01;
/// `NLM_F_DUMP_INTR`: the table changed under the dump, which may have skipped or repeated rows.
pub const FLAG_DUMP_INTERRUPTED: u16 = 0x10;
/// `NLM_F_DUMP` = `NLM_F_ROOT | NLM_F_MATCH`: all that match instead of one.
pub const FLAG_DUMP: u16 = 0x100 | 0x200;

const ALIGN: usize = 4;

/// `struct nlmsghdr`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct Header {
    pub(crate) len: U32<NativeEndian>,
    pub(crate) kind: U16<NativeEndian>,
    pub(crate) flags: U16<NativeEndian>,
    pub(crate) sequence: U32<NativeEndian>,
    pub(crate) port: U32<NativeEndian>,
}

/// Bytes of a message header.
pub const HEADER_LEN: usize = size_of::<Header>();
const _: () = assert!(HEADER_LEN == 16);

/// One message of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// [`ERROR`], [`DONE`], or what the protocol defines.
    pub kind: u16,
    /// `NLM_F_*`.
    pub flags: u16,
    /// The sequence number of the request this answers.
    pub sequence: u32,
    /// What follows the header.
    pub payload: &'a [u8],
}

impl Message<'_> {
    /// The error number in the payload of [`ERROR`] and [`DONE`] messages: negative on failure, 0 on success.
    pub fn errno(&self) -> Result<i32, Malformed> {
        I32::<NativeEndian>::read_from_prefix(self.payload)
            .map(|(number, _)| number.get())
            .map_err(|_| Malformed::new("netlink error number", HEADER_LEN))
    }
}

/// The messages of one datagram. Ends after the first malformed one: there is no way to find the next.
pub fn messages(datagram: &[u8]) -> Messages<'_> {
    Messages { datagram, at: 0 }
}

/// See [`messages`].
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    datagram: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.datagram.get(self.at..).filter(|rest| !rest.is_empty())?;
        let at = self.at;
        self.at = self.datagram.len();
        let Ok((header, _)) = Header::read_from_prefix(rest) else {
            return Some(Err(Malformed::new("netlink message header", at)));
        };
        let len = header.len.get() as usize;
        let Some(payload) = rest.get(HEADER_LEN..len) else {
            return Some(Err(Malformed::new("netlink message length", at)));
        };
        self.at = at.saturating_add(len.next_multiple_of(ALIGN));
        Some(Ok(Message {
            kind: header.kind.get(),
            flags: header.flags.get(),
            sequence: header.sequence.get(),
            payload,
        }))
    }
}

/// Appends one message to `datagram`.
pub fn push_message(datagram: &mut Vec<u8>, kind: u16, flags: u16, sequence: u32, payload: &[u8]) {
    let header = Header {
        len: U32::new(u32::try_from(HEADER_LEN + payload.len()).unwrap_or(u32::MAX)),
        kind: U16::new(kind),
        flags: U16::new(flags),
        sequence: U32::new(sequence),
        port: U32::new(0),
    };
    datagram.extend_from_slice(header.as_bytes());
    datagram.extend_from_slice(payload);
    datagram.resize(datagram.len().next_multiple_of(ALIGN), 0);
}

/// `struct nlattr`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct AttributeHeader {
    len: U16<NativeEndian>,
    kind: U16<NativeEndian>,
}

const ATTRIBUTE_HEADER_LEN: usize = size_of::<AttributeHeader>();
const _: () = assert!(ATTRIBUTE_HEADER_LEN == 4);
/// `NLA_TYPE_MASK`: without the flags for nested and network byte order.
const TYPE_MASK: u16 = 0x3fff;

/// One attribute: its type and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// What the protocol numbers it.
    pub kind: u16,
    /// The value, without padding.
    pub value: &'a [u8],
}

/// The attributes in `bytes`. Ends after the first malformed one.
pub fn attributes(bytes: &[u8]) -> Attributes<'_> {
    Attributes { bytes, at: 0 }
}

/// See [`attributes`].
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        let at = self.at;
        self.at = self.bytes.len();
        let Ok((header, _)) = AttributeHeader::read_from_prefix(rest) else {
            return Some(Err(Malformed::new("netlink attribute header", at)));
        };
        let len = usize::from(header.len.get());
        let Some(value) = rest.get(ATTRIBUTE_HEADER_LEN..len) else {
            return Some(Err(Malformed::new("netlink attribute length", at)));
        };
        self.at = at.saturating_add(len.next_multiple_of(ALIGN));
        Some(Ok(Attribute { kind: header.kind.get() & TYPE_MASK, value }))
    }
}

/// Appends one attribute to `bytes`.
pub fn push_attribute(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let header = AttributeHeader {
        len: U16::new(u16::try_from(ATTRIBUTE_HEADER_LEN + value.len()).unwrap_or(u16::MAX)),
        kind: U16::new(kind),
    };
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Vec<u8> {
        let mut datagram = Vec::new();
        push_message(&mut datagram, 20, 2, 7, b"abcde");
        push_message(&mut datagram, DONE, 2, 7, &0i32.to_ne_bytes());
        datagram
    }

    #[test]
    fn messages_come_back_as_they_were_pushed() {
        let datagram = two();
        let read: Vec<_> = messages(&datagram).collect::<Result<_, _>>().unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].kind, read[0].flags, read[0].sequence), (20, 2, 7));
        assert_eq!(read[0].payload, b"abcde", "the padding is not part of the payload");
        assert_eq!(read[1].errno(), Ok(0));
    }

    #[test]
    fn a_datagram_cut_anywhere_gives_whole_messages_or_an_error() {
        let datagram = two();
        for len in 0..datagram.len() {
            let read: Vec<_> = messages(&datagram[..len]).collect();
            let whole = match len {
                0..=20 => 0,
                21..=43 => 1,
                _ => 2,
            };
            assert_eq!(read.iter().filter(|m| m.is_ok()).count(), whole, "cut at {len}");
            // Cut in the padding (21..=24) there is nothing left to misread.
            assert_eq!(read.iter().any(Result::is_err), !matches!(len, 0 | 21..=24), "cut at {len}");
        }
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        for len in [0u32, 15, 1000, u32::MAX] {
            let mut datagram = two();
            datagram[..4].copy_from_slice(&len.to_ne_bytes());
            let first = messages(&datagram).next().unwrap();
            assert_eq!(first, Err(Malformed::new("netlink message length", 0)), "{len}");
            assert_eq!(messages(&datagram).count(), 1, "nothing is read after it");
        }
    }

    #[test]
    fn attributes_come_back_without_padding_and_flags() {
        let mut bytes = Vec::new();
        push_attribute(&mut bytes, 8, &[3]);
        push_attribute(&mut bytes, 0x8015, &77u64.to_ne_bytes());
        let read: Vec<_> = attributes(&bytes).collect::<Result<_, _>>().unwrap();
        assert_eq!(
            read,
            [Attribute { kind: 8, value: &[3] }, Attribute { kind: 21, value: &77u64.to_ne_bytes() },]
        );
        for len in 0..bytes.len() {
            assert!(attributes(&bytes[..len]).count() <= 2, "cut at {len}");
        }
        bytes[0] = 0;
        assert_eq!(attributes(&bytes).next(), Some(Err(Malformed::new("netlink attribute length", 0))));
    }
}
