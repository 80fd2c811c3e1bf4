//! `NETLINK_SOCK_DIAG` for TCP, UDP and MPTCP (`linux/sock_diag.h`, `linux/inet_diag.h`, sock_diag(7)).
//!
//! Ports and addresses are in network byte order, everything else in the host's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use zerocopy::byteorder::{BigEndian, NativeEndian, U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

pub use self::half::Half;
pub use self::protocol::{IPPROTO_MPTCP, IPPROTO_TCP, IPPROTO_UDP};

use crate::Malformed;
use crate::netlink::{self, FLAG_DUMP, FLAG_REQUEST, attributes, push_attribute, push_message};

/// `SOCK_DIAG_BY_FAMILY`: the kind of requests, and of the rows that answer them.
pub const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// `TCPDIAG_GETSOCK`: the older kind of request, and of its rows: TCP alone, and of both families at once.
pub const TCPDIAG_GETSOCK: u16 = 18;
/// `AF_UNSPEC`: both families.
pub const AF_UNSPEC: u8 = 0;
/// `AF_INET`.
pub const AF_INET: u8 = 2;
/// `AF_INET6`.
pub const AF_INET6: u8 = 10;
/// `INET_DIAG_NOCOOKIE`: any socket with this tuple.
pub const NO_COOKIE: u64 = u64::MAX;

/// `INET_DIAG_SKV6ONLY`, one byte, on listening and closed IPv6 sockets.
const ATTRIBUTE_V6ONLY: u16 = 11;
/// `INET_DIAG_CGROUP_ID`, eight bytes, since Linux 5.8.
const ATTRIBUTE_CGROUP_ID: u16 = 21;
/// `1 << (INET_DIAG_TCLASS - 1)`: kernels of the 5.x series put the class and cgroup ids behind this bit.
const EXTENSION_TCLASS: u8 = 1 << 5;

/// `struct inet_diag_sockid`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct SocketId {
    local_port: U16<BigEndian>,
    remote_port: U16<BigEndian>,
    local: [u8; 16],
    remote: [u8; 16],
    interface: U32<NativeEndian>,
    cookie: [U32<NativeEndian>; 2],
}

/// `struct inet_diag_req_v2`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawRequest {
    family: u8,
    protocol: u8,
    extensions: u8,
    pad: u8,
    states: U32<NativeEndian>,
    id: SocketId,
}

/// `struct inet_diag_req`, of the older kind.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct OldRequest {
    family: u8,
    local_length: u8,
    remote_length: u8,
    extensions: u8,
    id: SocketId,
    states: U32<NativeEndian>,
    data: U32<NativeEndian>,
}

/// `struct inet_diag_msg`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawRow {
    family: u8,
    state: u8,
    timer: u8,
    retransmits: u8,
    id: SocketId,
    expires: U32<NativeEndian>,
    receive_queue: U32<NativeEndian>,
    send_queue: U32<NativeEndian>,
    uid: U32<NativeEndian>,
    inode: U32<NativeEndian>,
}

const _: () = assert!(size_of::<SocketId>() == 48);
const _: () = assert!(size_of::<RawRequest>() == 56);
const _: () = assert!(size_of::<OldRequest>() == 60);
const _: () = assert!(size_of::<RawRow>() == 72);

/// What to ask of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Every socket in one of `states` (a bit per state number) with these ports; 0 is any port.
    Dump {
        /// [`AF_INET`] or [`AF_INET6`]; of TCP also [`AF_UNSPEC`], which costs the kernel one walk over its tables where
        /// two requests cost two.
        family: u8,
        /// [`IPPROTO_TCP`], [`IPPROTO_UDP`] or [`IPPROTO_MPTCP`], of which each family is asked for by itself.
        protocol: u16,
        /// Bit `n` asks for sockets in state `n`.
        states: u32,
        /// Local port, 0 for any.
        local_port: u16,
        /// Remote port, 0 for any.
        remote_port: u16,
        /// Only this half of them.
        half: Option<Half>,
    },
    /// The one socket that a packet between these addresses would reach. **A lookup, not a match**: a listener
    /// may answer for a connection, a wildcard for an address, one socket for a group. Compare what comes back.
    Exact {
        /// [`IPPROTO_TCP`] or [`IPPROTO_UDP`]. MPTCP sockets cannot be looked up so.
        protocol: u16,
        /// The socket's own address.
        local: SocketAddr,
        /// Its peer; the unspecified address and port 0 where there is none.
        remote: SocketAddr,
        /// The interface it is bound to, 0 for none.
        interface: u32,
        /// Its cookie, or [`NO_COOKIE`].
        cookie: u64,
    },
}

impl Request {
    /// The whole datagram to send.
    pub fn encode(&self, sequence: u32) -> Vec<u8> {
        let (flags, raw, protocol, half) = match *self {
            Self::Dump { family, protocol, states, local_port, remote_port, half } => {
                let id = SocketId {
                    local_port: U16::new(local_port),
                    remote_port: U16::new(remote_port),
                    local: [0; 16],
                    remote: [0; 16],
                    interface: U32::new(0),
                    cookie: split(NO_COOKIE),
                };
                if family == AF_UNSPEC && protocol == IPPROTO_TCP {
                    let old = OldRequest {
                        family,
                        local_length: 0,
                        remote_length: 0,
                        extensions: EXTENSION_TCLASS,
                        id,
                        states: U32::new(states),
                        data: U32::new(0),
                    };
                    return message(
                        TCPDIAG_GETSOCK,
                        FLAG_REQUEST | FLAG_DUMP,
                        sequence,
                        old.as_bytes(),
                        None,
                        half,
                    );
                }
                let raw = RawRequest {
                    family,
                    protocol: protocol::short(protocol),
                    extensions: EXTENSION_TCLASS,
                    pad: 0,
                    states: U32::new(states),
                    id,
                };
                (FLAG_REQUEST | FLAG_DUMP, raw, protocol, half)
            }
            Self::Exact { protocol, local, remote, interface, cookie } => {
                // The UDP handler reads the request from the packet's side: source is the peer.
                let (source, destination) =
                    if protocol == IPPROTO_UDP { (remote, local) } else { (local, remote) };
                (
                    FLAG_REQUEST,
                    RawRequest {
                        family: family_of(local.ip()),
                        protocol: protocol::short(protocol),
                        extensions: EXTENSION_TCLASS,
                        pad: 0,
                        states: U32::new(u32::MAX),
                        id: SocketId {
                            local_port: U16::new(source.port()),
                            remote_port: U16::new(destination.port()),
                            local: octets(source.ip()),
                            remote: octets(destination.ip()),
                            interface: U32::new(interface),
                            cookie: split(cookie),
                        },
                    },
                    protocol,
                    None,
                )
            }
        };
        let long = (u16::from(raw.protocol) != protocol).then_some(protocol);
        message(SOCK_DIAG_BY_FAMILY, flags, sequence, raw.as_bytes(), long, half)
    }

    /// Reads a request back: the kernel's side of [`encode`](Self::encode), for tests that play the kernel.
    pub fn decode(message: &netlink::Message<'_>) -> Result<Self, Malformed> {
        let malformed = || Malformed::new("inet_diag request", message.payload.len());
        if message.kind == TCPDIAG_GETSOCK {
            let (old, rest) = OldRequest::read_from_prefix(message.payload).map_err(|_| malformed())?;
            return Ok(Self::Dump {
                family: old.family,
                protocol: IPPROTO_TCP,
                states: old.states.get(),
                local_port: old.id.local_port.get(),
                remote_port: old.id.remote_port.get(),
                half: Half::find(rest),
            });
        }
        let (raw, rest) = RawRequest::read_from_prefix(message.payload).map_err(|_| malformed())?;
        let protocol = protocol::find(rest).unwrap_or_else(|| raw.protocol.into());
        if message.flags & FLAG_DUMP == FLAG_DUMP {
            return Ok(Self::Dump {
                family: raw.family,
                protocol,
                states: raw.states.get(),
                local_port: raw.id.local_port.get(),
                remote_port: raw.id.remote_port.get(),
                half: Half::find(rest),
            });
        }
        let source = SocketAddr::new(address(raw.family, raw.id.local)?, raw.id.local_port.get());
        let destination = SocketAddr::new(address(raw.family, raw.id.remote)?, raw.id.remote_port.get());
        let (local, remote) =
            if protocol == IPPROTO_UDP { (destination, source) } else { (source, destination) };
        Ok(Self::Exact {
            protocol,
            local,
            remote,
            interface: raw.id.interface.get(),
            cookie: join(raw.id.cookie),
        })
    }
}

/// One socket as the kernel tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The kernel's state number (`net/tcp_states.h`); UDP has 1 (connected) and 7 (not).
    pub state: u8,
    /// The socket's own address; decides the family.
    pub local: SocketAddr,
    /// Its peer; the unspecified address and port 0 where there is none. Of the same family as `local`.
    pub remote: SocketAddr,
    /// Index of the interface it is bound to, 0 for none.
    pub interface: u32,
    /// The kernel's number for this socket, unique since boot.
    pub cookie: u64,
    /// Who owns the socket's inode. **0 says nothing** where `inode` is 0.
    pub uid: u32,
    /// Inode in sockfs; 0 where no file exists (yet or any more).
    pub inode: u32,
    /// Id of the cgroup v2 directory in which the socket was created.
    pub cgroup: Option<u64>,
    /// Whether an IPv6 socket refuses IPv4; told of listening and unconnected ones.
    pub v6only: Option<bool>,
}

impl Row {
    /// Reads the payload of a [`SOCK_DIAG_BY_FAMILY`] message. Unknown attributes are skipped.
    pub fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let (raw, rest) =
            RawRow::read_from_prefix(payload).map_err(|_| Malformed::new("inet_diag row", payload.len()))?;
        let mut row = Self {
            state: raw.state,
            local: SocketAddr::new(address(raw.family, raw.id.local)?, raw.id.local_port.get()),
            remote: SocketAddr::new(address(raw.family, raw.id.remote)?, raw.id.remote_port.get()),
            interface: raw.id.interface.get(),
            cookie: join(raw.id.cookie),
            uid: raw.uid.get(),
            inode: raw.inode.get(),
            cgroup: None,
            v6only: None,
        };
        for attribute in attributes(rest) {
            let attribute = attribute
                .map_err(|e| Malformed::new("attribute of an inet_diag row", size_of::<RawRow>() + e.at))?;
            match (attribute.kind, attribute.value) {
                (ATTRIBUTE_CGROUP_ID, value) => {
                    let id = <[u8; 8]>::try_from(value)
                        .map_err(|_| Malformed::new("cgroup id of an inet_diag row", size_of::<RawRow>()))?;
                    row.cgroup = Some(u64::from_ne_bytes(id));
                }
                (ATTRIBUTE_V6ONLY, &[v6only]) => row.v6only = Some(v6only != 0),
                _ => {}
            }
        }
        Ok(row)
    }

    /// The payload that [`decode`](Self::decode) reads, for tests that play the kernel.
    pub fn encode(&self) -> Vec<u8> {
        let raw = RawRow {
            family: family_of(self.local.ip()),
            state: self.state,
            timer: 0,
            retransmits: 0,
            id: SocketId {
                local_port: U16::new(self.local.port()),
                remote_port: U16::new(self.remote.port()),
                local: octets(self.local.ip()),
                remote: octets(self.remote.ip()),
                interface: U32::new(self.interface),
                cookie: split(self.cookie),
            },
            expires: U32::new(0),
            receive_queue: U32::new(0),
            send_queue: U32::new(0),
            uid: U32::new(self.uid),
            inode: U32::new(self.inode),
        };
        let mut payload = raw.as_bytes().to_vec();
        if let Some(v6only) = self.v6only {
            push_attribute(&mut payload, ATTRIBUTE_V6ONLY, &[u8::from(v6only)]);
        }
        if let Some(id) = self.cgroup {
            push_attribute(&mut payload, ATTRIBUTE_CGROUP_ID, &id.to_ne_bytes());
        }
        payload
    }
}

/// A request, its protocol where its own field has no room for that, and which half of the answer is wanted.
fn message(
    kind: u16,
    flags: u16,
    sequence: u32,
    request: &[u8],
    protocol: Option<u16>,
    half: Option<Half>,
) -> Vec<u8> {
    let mut payload = request.to_vec();
    if let Some(protocol) = protocol {
        protocol::push(protocol, &mut payload);
    }
    if let Some(half) = half {
        half.push(&mut payload);
    }
    let mut datagram = Vec::with_capacity(netlink::HEADER_LEN + payload.len());
    push_message(&mut datagram, kind, flags, sequence, &payload);
    datagram
}

const fn family_of(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(_) => AF_INET,
        IpAddr::V6(_) => AF_INET6,
    }
}

fn address(family: u8, bytes: [u8; 16]) -> Result<IpAddr, Malformed> {
    match family {
        AF_INET => Ok(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into()),
        AF_INET6 => Ok(Ipv6Addr::from(bytes).into()),
        _ => Err(Malformed::new("address family", 0)),
    }
}

fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&ip.octets());
            bytes
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// The kernel hands a cookie over as two words, the low one first.
#[expect(clippy::cast_possible_truncation, reason = "the two halves of the cookie")]
const fn split(cookie: u64) -> [U32<NativeEndian>; 2] {
    [U32::new(cookie as u32), U32::new((cookie >> 32) as u32)]
}

const fn join(cookie: [U32<NativeEndian>; 2]) -> u64 {
    (cookie[1].get() as u64) << 32 | cookie[0].get() as u64
}

mod half;
mod protocol;
#[cfg(test)]
mod tests;
