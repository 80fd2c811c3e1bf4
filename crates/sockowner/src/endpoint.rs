//! What a socket is called: protocol, local and remote address, state.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use crate::{Error, ErrorKind};

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// Multipath TCP: what a program holds. The TCP sockets below it, its subflows, are told by themselves
    /// ([`Socket::is_subflow`](crate::Socket::is_subflow)).
    Mptcp,
}

impl Protocol {
    /// Every protocol this library asks for.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Mptcp];

    /// `tcp`, `udp` or `mptcp`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Mptcp => "mptcp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The family of a socket. An IPv6 socket that carries IPv4 traffic stays [`Family::Ipv6`], its addresses are mapped
/// ones (`::ffff:192.0.2.1`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Family {
    /// Both families.
    pub const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    /// `ipv4` or `ipv6`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The state of a socket.
///
/// Numbers are those of Linux (`net/tcp_states.h`); a number without a name is kept, and printed as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State(u8);

impl State {
    /// A connection on which data can flow; for UDP a socket with a fixed peer.
    pub const ESTABLISHED: Self = Self(1);
    /// A connection was asked for.
    pub const SYN_SENT: Self = Self(2);
    /// A peer asked for a connection; the handshake is not complete.
    pub const SYN_RECV: Self = Self(3);
    /// Closed here, the peer has yet to acknowledge.
    pub const FIN_WAIT1: Self = Self(4);
    /// Closed here and acknowledged; the peer has yet to close.
    pub const FIN_WAIT2: Self = Self(5);
    /// Closed on both sides; late packets are waited for. No process has it.
    pub const TIME_WAIT: Self = Self(6);
    /// Not connected and not listening.
    pub const CLOSE: Self = Self(7);
    /// The peer closed; the process here has yet to.
    pub const CLOSE_WAIT: Self = Self(8);
    /// Closed by both after one another; the last acknowledgement is awaited.
    pub const LAST_ACK: Self = Self(9);
    /// Accepts connections.
    pub const LISTEN: Self = Self(10);
    /// Closed by both at once.
    pub const CLOSING: Self = Self(11);
    /// Has an address and nothing more (Linux tells it from 6.8 on).
    pub const BOUND: Self = Self(13);
    /// A UDP socket that takes datagrams from anybody.
    pub const UNCONNECTED: Self = Self(0x80);

    const NAMES: [(Self, &'static str); 13] = [
        (Self::LISTEN, "LISTEN"),
        (Self::SYN_SENT, "SYN_SENT"),
        (Self::SYN_RECV, "SYN_RECV"),
        (Self::ESTABLISHED, "ESTABLISHED"),
        (Self::FIN_WAIT1, "FIN_WAIT1"),
        (Self::FIN_WAIT2, "FIN_WAIT2"),
        (Self::CLOSE_WAIT, "CLOSE_WAIT"),
        (Self::CLOSING, "CLOSING"),
        (Self::LAST_ACK, "LAST_ACK"),
        (Self::TIME_WAIT, "TIME_WAIT"),
        (Self::CLOSE, "CLOSE"),
        (Self::BOUND, "BOUND"),
        (Self::UNCONNECTED, "UNCONNECTED"),
    ];

    /// Every state that has a name.
    pub fn named() -> impl Iterator<Item = Self> {
        Self::NAMES.iter().map(|&(state, _)| state)
    }

    /// The state with this Linux number.
    pub const fn from_linux(number: u8) -> Self {
        Self(number)
    }

    /// The Linux number, [`UNCONNECTED`](Self::UNCONNECTED) excepted: Linux counts it as 7, [`CLOSE`](Self::CLOSE).
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The name, unless this is a number nobody has named.
    pub fn name(self) -> Option<&'static str> {
        Self::NAMES.iter().find(|&&(state, _)| state == self).map(|&(_, name)| name)
    }

    /// Waits for whoever comes: a listener, or a UDP socket without a fixed peer.
    pub fn is_listening(self) -> bool {
        matches!(self, Self::LISTEN | Self::UNCONNECTED)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => f.pad(&self.0.to_string()),
        }
    }
}

impl FromStr for State {
    type Err = Error;

    /// Takes the name in any case, with or without `_` and `-` (`fin-wait-1`), and `listening`, `closed`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let plain = |name: &str| name.replace(['-', '_'], "").to_ascii_uppercase();
        let wanted = match plain(text).as_str() {
            "LISTENING" => "LISTEN".to_owned(),
            "CLOSED" => "CLOSE".to_owned(),
            other => other.to_owned(),
        };
        Self::NAMES.iter().find(|&&(_, name)| plain(name) == wanted).map(|&(state, _)| state).ok_or_else(
            || {
                let names: Vec<_> = Self::NAMES.iter().map(|&(_, name)| name).collect();
                Error::new(
                    ErrorKind::InvalidInput,
                    format!("read state '{text}': not one of {}", names.join(", ")),
                )
            },
        )
    }
}

/// A network interface: its index and, where it could be had, its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interface {
    index: u32,
    /// NUL-padded; empty where the name is not known.
    name: [u8; Self::NAME_LEN],
}

impl Interface {
    /// `IFNAMSIZ`, the NUL included.
    const NAME_LEN: usize = 16;

    /// An interface by index; a name that is longer than a kernel's is dropped.
    pub fn new(index: u32, name: Option<&str>) -> Self {
        let mut bytes = [0; Self::NAME_LEN];
        if let Some(name) = name.filter(|name| name.len() < Self::NAME_LEN) {
            bytes[..name.len()].copy_from_slice(name.as_bytes());
        }
        Self { index, name: bytes }
    }

    /// Its index in its network namespace.
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// Its name, where it could be had.
    pub fn name(&self) -> Option<&str> {
        let end = self.name.iter().position(|&byte| byte == 0).unwrap_or(Self::NAME_LEN);
        std::str::from_utf8(&self.name[..end]).ok().filter(|name| !name.is_empty())
    }

    /// `text` names this interface, by name or by index.
    pub fn is_called(&self, text: &str) -> bool {
        self.name() == Some(text) || text.parse() == Ok(self.index)
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => f.pad(&self.index.to_string()),
        }
    }
}

impl fmt::Debug for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({self})", self.index)
    }
}

/// One side of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Address {
    /// The IP address; unspecified (`0.0.0.0`, `::`) for a wildcard.
    pub ip: IpAddr,
    /// The port, in host byte order.
    pub port: u16,
    /// The interface a link-local address belongs to.
    pub zone: Option<Interface>,
}

impl Address {
    /// `ip` and `port`, without a zone.
    pub const fn new(ip: IpAddr, port: u16) -> Self {
        Self { ip, port, zone: None }
    }

    /// The address without brackets and port, with `%zone` where there is one: `fe80::1%eth0`.
    pub fn host(&self) -> impl fmt::Display + use<> {
        Host(*self)
    }

    /// Any address of its family.
    pub const fn is_wildcard(&self) -> bool {
        self.ip.is_unspecified()
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::new(address.ip(), address.port())
    }
}

struct Host(Address);

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.zone {
            Some(zone) => write!(f, "{}%{zone}", self.0.ip),
            None => write!(f, "{}", self.0.ip),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            IpAddr::V4(_) => write!(f, "{}:{}", Host(*self), self.port),
            IpAddr::V6(_) => write!(f, "[{}]:{}", Host(*self), self.port),
        }
    }
}

/// What a socket is called. Several sockets may share it: a `SO_REUSEPORT` group has one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Endpoint {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The socket's family, which decides the form of both addresses.
    pub family: Family,
    /// The socket's state.
    pub state: State,
    /// Its own address.
    pub local: Address,
    /// Its peer's, where it has one.
    pub remote: Option<Address>,
}

impl Endpoint {
    /// An endpoint; the family is the local address's.
    pub const fn new(protocol: Protocol, state: State, local: Address, remote: Option<Address>) -> Self {
        let family = match local.ip {
            IpAddr::V4(_) => Family::Ipv4,
            IpAddr::V6(_) => Family::Ipv6,
        };
        Self { protocol, family, state, local, remote }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.protocol, self.local)?;
        if let Some(remote) = self.remote {
            write!(f, " -> {remote}")?;
        }
        write!(f, " {}", self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_print_as_the_field_names_them_and_unknown_ones_as_numbers() {
        assert_eq!(State::from_linux(6).to_string(), "TIME_WAIT");
        assert_eq!(State::from_linux(42).to_string(), "42");
        assert_eq!("time-wait".parse::<State>().unwrap(), State::TIME_WAIT);
        assert_eq!("fin-wait-1".parse::<State>().unwrap(), State::FIN_WAIT1);
        assert_eq!("listening".parse::<State>().unwrap(), State::LISTEN);
        let error = "HALF".parse::<State>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().starts_with("read state 'HALF': not one of LISTEN,"), "{error}");
    }

    #[test]
    fn addresses_print_with_brackets_and_zone_where_they_need_them() {
        let mut address = Address::from("[fe80::1]:22".parse::<SocketAddr>().unwrap());
        address.zone = Some(Interface::new(3, Some("eth0")));
        assert_eq!(address.to_string(), "[fe80::1%eth0]:22");
        assert_eq!(address.host().to_string(), "fe80::1%eth0");
        address.zone = Some(Interface::new(3, None));
        assert_eq!(address.to_string(), "[fe80::1%3]:22", "an index where there is no name");
        let v4 = Address::from("127.0.0.1:80".parse::<SocketAddr>().unwrap());
        assert_eq!(v4.to_string(), "127.0.0.1:80");
    }

    #[test]
    fn an_interface_answers_to_its_name_and_its_index() {
        let eth0 = Interface::new(2, Some("eth0"));
        assert!(eth0.is_called("eth0") && eth0.is_called("2"));
        assert!(!eth0.is_called("eth1") && !Interface::new(2, None).is_called(""));
        assert_eq!(Interface::new(1, Some("a-name-too-long-for-the-kernel")).name(), None);
    }
}
