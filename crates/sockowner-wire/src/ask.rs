//! Asking the recorder's user part what was recorded: each question is one packet, and each answer.
//!
//! Numbers are little-endian. An answer to a list of cookies tells the sockets in the list's order, as far as the packet
//! reaches: the rest is to be asked for again. One to closed sockets says where to go on. Whoever reads one believes nothing:
//! lengths, numbers and references are checked, and what is not understood is malformed.

mod answer;
mod layout;
mod packet;
mod read;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

pub use self::answer::{Answer, Component, Endpoint, Frame, NO_TIME, Process, Role, Socket, Status, Told};
pub use self::packet::{Mark, Packet};

use self::read::{Cursor, write_ip};
use crate::Malformed;

/// Which version of the packets this module reads and writes.
pub const VERSION: u16 = 1;
/// So many cookies fit into a question.
pub const COOKIES_MAX: usize = 512;
/// A question is at most this long.
pub const REQUEST_MAX: usize = size_of::<Head>() + COOKIES_MAX * 8;
/// An answer is at most this long: what a socket's buffer holds everywhere.
pub const ANSWER_MAX: usize = 128 << 10;

const MAGIC: [u8; 4] = *b"sowq";
const SOCKETS: u16 = 1;
const CLOSED: u16 = 2;
const PORT_ALONE: u8 = 1;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// What is known of the sockets with these cookies? [`COOKIES_MAX`] at most.
    Sockets(Vec<u64>),
    /// Which closed sockets were called so?
    Closed {
        /// So.
        wanted: Wanted,
        /// Those that were closed before this place; `None` from the last closed on.
        after: Option<Place>,
    },
}

/// What closed sockets are to have been called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// `IPPROTO_TCP` or `IPPROTO_UDP`, 0 for both.
    pub protocol: u8,
    /// Their own side.
    pub local: Side,
    /// Their peer's, where only connections are wanted.
    pub remote: Option<Side>,
}

/// A port, with or without an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Side {
    /// The address; `None` for any.
    pub ip: Option<IpAddr>,
    /// The port.
    pub port: u16,
}

/// A place in the order of closed sockets: the last closed first, at one time the lower cookie first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// When the socket was closed, in nanoseconds since boot.
    pub closed: u64,
    /// Its cookie.
    pub cookie: u64,
}

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Head {
    magic: [u8; 4],
    version: U16,
    kind: U16,
    count: U32,
}

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct WantedFixed {
    protocol: u8,
    local_family: u8,
    /// 0: no peer is wanted; [`PORT_ALONE`].
    remote_family: u8,
    zero: u8,
    local_port: U16,
    remote_port: U16,
    local: [u8; 16],
    remote: [u8; 16],
    /// Never 0 for a place.
    after_closed: U64,
    after_cookie: U64,
}

impl Request {
    /// The packet.
    pub fn encode(&self) -> Vec<u8> {
        let head = |kind: u16, count: usize| Head {
            magic: MAGIC,
            version: VERSION.into(),
            kind: kind.into(),
            count: u32::try_from(count).unwrap_or(u32::MAX).into(),
        };
        match self {
            Self::Sockets(cookies) => {
                let mut packet = head(SOCKETS, cookies.len()).as_bytes().to_vec();
                packet.extend(cookies.iter().flat_map(|cookie| cookie.to_le_bytes()));
                packet
            }
            Self::Closed { wanted, after } => {
                let mut packet = head(CLOSED, 0).as_bytes().to_vec();
                packet.extend_from_slice(WantedFixed::new(wanted, *after).as_bytes());
                packet
            }
        }
    }

    /// The question in a packet; [`Err`](Version::Other) where another version asks.
    ///
    /// # Errors
    /// Where the packet is nothing of the kind.
    pub fn decode(packet: &[u8]) -> Result<Result<Self, Version>, Malformed> {
        let mut cursor = Cursor::new(packet, "a question to the recorder");
        let head: Head = cursor.fixed()?;
        if head.magic != MAGIC {
            return Err(cursor.malformed());
        }
        if head.version.get() != VERSION {
            return Ok(Err(Version::Other));
        }
        let request = match head.kind.get() {
            SOCKETS => {
                let count = head.count.get();
                if count as usize > COOKIES_MAX {
                    return Err(cursor.malformed());
                }
                let cookies = (0..count).map(|_| cursor.fixed::<U64>().map(U64::get));
                Self::Sockets(cookies.collect::<Result<_, _>>()?)
            }
            CLOSED => WantedFixed::read(&mut cursor)?,
            _ => return Err(cursor.malformed()),
        };
        cursor.end()?;
        Ok(Ok(request))
    }
}

/// Whose version a question is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Another than [`VERSION`].
    Other,
}

impl WantedFixed {
    fn new(wanted: &Wanted, after: Option<Place>) -> Self {
        let (local_family, local) = write_ip(wanted.local.ip);
        let (family, remote) = write_ip(wanted.remote.and_then(|side| side.ip));
        Self {
            protocol: wanted.protocol,
            local_family,
            remote_family: if wanted.remote.is_some() && family == 0 { PORT_ALONE } else { family },
            zero: 0,
            local_port: wanted.local.port.into(),
            remote_port: wanted.remote.map_or(0, |side| side.port).into(),
            local,
            remote,
            after_closed: after.map_or(0, |place| place.closed).into(),
            after_cookie: after.map_or(0, |place| place.cookie).into(),
        }
    }

    fn read(cursor: &mut Cursor<'_>) -> Result<Request, Malformed> {
        let fixed: Self = cursor.fixed()?;
        let local = Side { ip: cursor.ip(fixed.local_family, fixed.local)?, port: fixed.local_port.get() };
        let remote_port = fixed.remote_port.get();
        let remote = match fixed.remote_family {
            0 => None,
            PORT_ALONE => Some(Side { ip: None, port: remote_port }),
            family => Some(Side { ip: cursor.ip(family, fixed.remote)?, port: remote_port }),
        };
        let place = Place { closed: fixed.after_closed.get(), cookie: fixed.after_cookie.get() };
        Ok(Request::Closed {
            wanted: Wanted { protocol: fixed.protocol, local, remote },
            after: (place.closed != 0).then_some(place),
        })
    }
}
