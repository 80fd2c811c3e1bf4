//! What a person writes to name an endpoint: `:22`, `127.0.0.1:5432`, `[::1]:80`, `udp/[::]:53`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::{Address, Endpoint, Error, ErrorKind, Protocol, Result, Socket, State};

/// One side of a [`Pattern`]: a port, with or without an address.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Side {
    ip: Option<IpAddr>,
    zone: Option<String>,
    port: u16,
}

/// A side without a zone.
pub(crate) type PlainSide = (Option<IpAddr>, u16);

/// Names the endpoints to explain: a local side, and a remote one for a connection.
///
/// ```
/// # fn main() -> sockowner::Result<()> {
/// let listener: sockowner::Pattern = "tcp/127.0.0.1:5432".parse()?;
/// let connection: sockowner::Pattern = "127.0.0.1:5432,127.0.0.1:40112".parse()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    protocol: Option<Protocol>,
    local: Side,
    remote: Option<Side>,
}

/// How an endpoint met a [`Pattern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Match {
    /// It has the address that was asked for (or none was asked for).
    Exact,
    /// It listens on every address, and would serve the one that was asked for.
    Wildcard,
}

impl Match {
    /// `exact` or `wildcard`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Wildcard => "wildcard",
        }
    }
}

impl Pattern {
    /// The endpoints with this local address.
    pub fn local(ip: IpAddr, port: u16) -> Self {
        Self { protocol: None, local: Side { ip: Some(ip), zone: None, port }, remote: None }
    }

    /// The endpoints with this local port, on any address.
    pub fn port(port: u16) -> Self {
        Self { protocol: None, local: Side { ip: None, zone: None, port }, remote: None }
    }

    /// Only connections to this peer.
    #[must_use]
    pub fn connected_to(mut self, ip: IpAddr, port: u16) -> Self {
        self.remote = Some(Side { ip: Some(ip), zone: None, port });
        self
    }

    /// Only this protocol.
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = Some(protocol);
        self
    }

    /// A connection, from the two sides a person wrote.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] where one of them does not read as an endpoint.
    pub fn connection(local: &str, remote: &str) -> Result<Self> {
        if local.ends_with('-') {
            return Err(invalid(
                local,
                "it ends in '-': the shell took '>' for itself; write LOCAL REMOTE, or quote 'LOCAL->REMOTE'",
            ));
        }
        let mut pattern = Self::one_sided(local)?;
        let (protocol, side) = parse_side(remote)?;
        if let (Some(one), Some(other)) = (pattern.protocol, protocol) {
            if one != other {
                return Err(invalid(remote, "the two sides name different protocols"));
            }
        }
        pattern.protocol = pattern.protocol.or(protocol);
        pattern.remote = Some(side);
        Ok(pattern)
    }

    fn one_sided(text: &str) -> Result<Self> {
        let (protocol, local) = parse_side(text)?;
        Ok(Self { protocol, local, remote: None })
    }

    /// An endpoint's two sides, each an address, if any one will not do, and a port.
    pub(crate) fn of_sides(protocol: Option<Protocol>, local: PlainSide, remote: Option<PlainSide>) -> Self {
        let side = |(ip, port)| Side { ip, zone: None, port };
        Self { protocol, local: side(local), remote: remote.map(side) }
    }

    /// What [`of_sides`](Self::of_sides) takes; `None` where a zone is told.
    pub(crate) fn sides(&self) -> Option<(Option<Protocol>, PlainSide, Option<PlainSide>)> {
        let Self { protocol, local, remote } = self;
        let is_zoned = local.zone.is_some() || remote.as_ref().is_some_and(|side| side.zone.is_some());
        let plain = |side: &Side| (side.ip, side.port);
        (!is_zoned).then(|| (*protocol, plain(local), remote.as_ref().map(plain)))
    }

    /// The protocols that can match.
    pub(crate) fn protocols(&self) -> impl Iterator<Item = Protocol> {
        let only = self.protocol;
        Protocol::ALL.into_iter().filter(move |&protocol| only.is_none_or(|only| only == protocol))
    }

    pub(crate) fn local_port(&self) -> u16 {
        self.local.port
    }

    /// The remote port, 0 for any.
    pub(crate) fn remote_port(&self) -> u16 {
        self.remote.as_ref().map_or(0, |side| side.port)
    }

    /// Both addresses, where both are told, without a zone and in one family: what an exact lookup needs.
    pub(crate) fn tuple(&self) -> Option<(Address, Address)> {
        let remote = self.remote.as_ref()?;
        let (local_ip, remote_ip) = (self.local.ip?, remote.ip?);
        let complete = self.local.zone.is_none()
            && remote.zone.is_none()
            && local_ip.is_ipv4() == remote_ip.is_ipv4()
            && self.local.port != 0
            && remote.port != 0;
        complete.then(|| (Address::new(local_ip, self.local.port), Address::new(remote_ip, remote.port)))
    }

    /// How `endpoint` meets this pattern. `v6only`: the socket is known to refuse IPv4.
    pub(crate) fn matches(&self, endpoint: &Endpoint, v6only: bool) -> Option<Met> {
        if self.protocol.is_some_and(|protocol| protocol != endpoint.protocol) {
            return None;
        }
        if let Some(remote) = &self.remote {
            let is_same = endpoint.remote.is_some_and(|address| remote.is(&address));
            return (is_same && self.local.is(&endpoint.local)).then_some(Met::Exact);
        }
        if self.local.is(&endpoint.local) {
            return Some(Met::Exact);
        }
        if endpoint.local.port != self.local.port
            || !endpoint.local.is_wildcard()
            || !(endpoint.state.is_listening() || endpoint.state == State::BOUND)
        {
            return None;
        }
        // On every address of another interface than the one that is meant.
        let is_elsewhere = |zone: &str| endpoint.local.zone.is_some_and(|own| !own.is_called(zone));
        if self.local.zone.as_deref().is_some_and(is_elsewhere) {
            return None;
        }
        match (self.local.ip.map(|ip| ip.to_canonical())?, endpoint.local.ip) {
            (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => Some(Met::Wildcard),
            (IpAddr::V4(_), IpAddr::V6(_)) if !v6only => Some(Met::DualStackWildcard),
            _ => None,
        }
    }
}

impl Pattern {
    /// What listens there can be reached at the address that is meant. What is bound to another interface than `lo` is not, at
    /// an address of the loopback: no packet to it comes from elsewhere.
    pub(crate) fn reaches(&self, socket: &Socket) -> bool {
        /// The index of `lo`, in every network namespace.
        const LOOPBACK: u32 = 1;
        let is_loopback = self.local.ip.is_some_and(|ip| ip.to_canonical().is_loopback());
        let is_elsewhere = socket.interface.is_some_and(|interface| interface.index() != LOOPBACK);
        self.local.zone.is_some() || !(is_loopback && is_elsewhere)
    }
}

/// How an endpoint met a pattern, as the kernel ranks sockets for an incoming packet: the best that is there serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Met {
    Exact,
    Wildcard,
    DualStackWildcard,
}

impl From<Met> for Match {
    fn from(met: Met) -> Self {
        match met {
            Met::Exact => Self::Exact,
            Met::Wildcard | Met::DualStackWildcard => Self::Wildcard,
        }
    }
}

/// What of `listed` is named by `pattern`, and how. Of the listeners of one protocol in one network namespace only the best
/// kind serves: one with the very address, else a wildcard, else one of both families. But what is bound to an interface
/// serves nothing that comes by another one.
pub(crate) fn served<T>(
    pattern: &Pattern,
    listed: impl IntoIterator<Item = T>,
    socket: impl Fn(&T) -> &Socket,
) -> Vec<(T, Match)> {
    let meets = |one: &T| {
        let socket = socket(one);
        let mut endpoint = socket.endpoint;
        endpoint.local.zone = endpoint.local.zone.or(socket.interface);
        pattern.matches(&endpoint, socket.v6only == Some(true))
    };
    let found: Vec<_> = listed.into_iter().filter_map(|one| meets(&one).map(|met| (one, met))).collect();
    let rivals = |one: &Socket, other: &Socket| {
        one.endpoint.protocol == other.endpoint.protocol
            && one.netns == other.netns
            && other.endpoint.state.is_listening()
            && (other.interface.is_none() || other.interface == one.interface)
    };
    let best = |one: &Socket| {
        let same = found.iter().filter(|(other, _)| rivals(one, socket(other)));
        same.map(|&(_, met)| met).min()
    };
    let serves: Vec<_> = found
        .iter()
        .map(|(one, met)| *met == Met::Exact || best(socket(one)).is_none_or(|best| *met == best))
        .collect();
    let served = found.into_iter().zip(serves).filter(|(_, serves)| *serves);
    served.map(|((one, met), _)| (one, met.into())).collect()
}

impl Side {
    /// `address` is what this side names. IPv4 is the same mapped or not.
    fn is(&self, address: &Address) -> bool {
        self.port == address.port
            && self.ip.is_none_or(|ip| ip.to_canonical() == address.ip.to_canonical())
            && self.zone.as_deref().is_none_or(|zone| address.zone.is_some_and(|own| own.is_called(zone)))
    }
}

impl FromStr for Pattern {
    type Err = Error;

    /// `[tcp/|udp/|mptcp/]ADDRESS:PORT`, the address left out for any; two of them with `,` or `->` for a connection.
    fn from_str(text: &str) -> Result<Self> {
        match parted(text) {
            Some((local, remote)) => Self::connection(local.trim(), remote.trim()),
            None if text.ends_with('-') => Self::connection(text, ""),
            None => Self::one_sided(text.trim()),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(protocol) = self.protocol {
            write!(f, "{protocol}/")?;
        }
        write!(f, "{}", self.local)?;
        match &self.remote {
            Some(remote) => write!(f, ",{remote}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = self.zone.as_ref().map(|zone| format!("%{zone}")).unwrap_or_default();
        match self.ip {
            None => write!(f, ":{}", self.port),
            Some(IpAddr::V4(ip)) => write!(f, "{ip}{zone}:{}", self.port),
            Some(IpAddr::V6(ip)) => write!(f, "[{ip}{zone}]:{}", self.port),
        }
    }
}

/// Both sides, where `->` or else `,` parts them. In brackets neither does: the name of an interface may hold them.
fn parted(text: &str) -> Option<(&str, &str)> {
    let is_outside = |at: &usize| text[..*at].rfind('[') <= text[..*at].rfind(']');
    let find = |separator: &str| {
        let at = text.match_indices(separator).map(|(at, _)| at).find(is_outside)?;
        Some((&text[..at], &text[at + separator.len()..]))
    };
    find("->").or_else(|| find(","))
}

fn invalid(text: &str, why: &str) -> Error {
    let escaped = text.escape_debug();
    Error::new(ErrorKind::InvalidInput, format!("read endpoint '{escaped}': {why}"))
}

/// `[tcp/|udp/|mptcp/]ADDRESS:PORT`.
fn parse_side(text: &str) -> Result<(Option<Protocol>, Side)> {
    let (protocol, rest) = match text.split_once('/') {
        None => (None, text),
        Some((word, rest)) => match word.to_ascii_lowercase().as_str() {
            "tcp" => (Some(Protocol::Tcp), rest),
            "udp" => (Some(Protocol::Udp), rest),
            "mptcp" => (Some(Protocol::Mptcp), rest),
            _ => return Err(invalid(text, "the protocol before '/' is none of tcp, udp and mptcp")),
        },
    };
    let Some((host, port)) = rest.rsplit_once(':') else {
        let why = if rest.parse::<u16>().is_ok() {
            format!("a port is written with a colon, as in ':{rest}'")
        } else {
            "it has no ':PORT'".to_owned()
        };
        return Err(invalid(text, &why));
    };
    let port = parse_port(text, port)?;
    let (ip, zone) = parse_host(text, host)?;
    Ok((protocol, Side { ip, zone, port }))
}

fn parse_port(text: &str, port: &str) -> Result<u16> {
    if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        let why = if port.ends_with(']') || port.contains('%') {
            "it has no ':PORT' after the address".to_owned()
        } else {
            format!("the port '{}' is not a number from 1 to 65535", port.escape_debug())
        };
        return Err(invalid(text, &why));
    }
    match port.parse() {
        Ok(0) | Err(_) => Err(invalid(text, &format!("port {port} is not in 1 to 65535"))),
        Ok(port) => Ok(port),
    }
}

fn parse_host(text: &str, host: &str) -> Result<(Option<IpAddr>, Option<String>)> {
    if host.is_empty() || host == "*" {
        return Ok((None, None));
    }
    if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let (ip, zone) = match inner.split_once('%') {
            Some((_, "")) => return Err(invalid(text, "the zone after '%' is empty")),
            Some((ip, zone)) => (ip, Some(zone.to_owned())),
            None => (inner, None),
        };
        let ip: Ipv6Addr = ip
            .parse()
            .map_err(|_| invalid(text, &format!("'{}' is not an IPv6 address", ip.escape_debug())))?;
        return Ok((Some(ip.into()), zone));
    }
    if host.contains(':') {
        return Err(invalid(text, "an IPv6 address is written in brackets, as in '[::1]:80'"));
    }
    let (ip, zone) = match host.split_once('%') {
        Some((_, "")) => return Err(invalid(text, "the zone after '%' is empty")),
        Some((ip, zone)) => (ip, Some(zone.to_owned())),
        None => (host, None),
    };
    ip.parse::<Ipv4Addr>().map(|ip| (Some(ip.into()), zone)).map_err(|_| {
        invalid(text, &format!("'{}' is not an IPv4 address; names are never resolved", ip.escape_debug()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Interface, State};

    fn endpoint(local: &str, state: State) -> Endpoint {
        let local: std::net::SocketAddr = local.parse().unwrap();
        Endpoint::new(Protocol::Tcp, state, local.into(), None)
    }

    #[test]
    fn what_people_write_is_read_and_printed_back() {
        for text in [
            ":22",
            "127.0.0.1:5432",
            "[::1]:80",
            "[fe80::1%eth0]:22",
            "[fe80::1%a,b]:22",
            "0.0.0.0%eth0:80",
            "[fe80::1%a->b]:22",
            "[fe80::1%a,b]:22,[fe80::2%c,d]:23",
            "tcp/:53",
            "udp/[::]:53",
            "mptcp/:443",
            "127.0.0.1:1,127.0.0.1:2",
            "tcp/[::1]:1,[::1]:2",
        ] {
            assert_eq!(text.parse::<Pattern>().unwrap().to_string(), text);
        }
        assert_eq!("1.2.3.4:1->5.6.7.8:2".parse::<Pattern>().unwrap().to_string(), "1.2.3.4:1,5.6.7.8:2");
        let zoned = "[fe80::1%a,b]:1->[fe80::1%c->d]:2".parse::<Pattern>().unwrap();
        assert_eq!(zoned.to_string(), "[fe80::1%a,b]:1,[fe80::1%c->d]:2");
        assert_eq!("*:22".parse::<Pattern>().unwrap(), Pattern::port(22));
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "it has no ':PORT'"),
            ("22", "a port is written with a colon, as in ':22'"),
            ("localhost:22", "'localhost' is not an IPv4 address; names are never resolved"),
            (":", "the port '' is not a number from 1 to 65535"),
            (":0", "port 0 is not in 1 to 65535"),
            (":70000", "port 70000 is not in 1 to 65535"),
            (":99999999999999999999", "port 99999999999999999999 is not in 1 to 65535"),
            (":-1", "the port '-1' is not a number from 1 to 65535"),
            (":+1", "the port '+1' is not a number from 1 to 65535"),
            ("::1:80", "an IPv6 address is written in brackets, as in '[::1]:80'"),
            ("[::1]", "it has no ':PORT' after the address"),
            ("[::1],[::2]:80", "it has no ':PORT' after the address"),
            ("[::1%]:80", "the zone after '%' is empty"),
            ("[::g]:80", "'::g' is not an IPv6 address"),
            ("300.1.1.1:80", "'300.1.1.1' is not an IPv4 address; names are never resolved"),
            ("sctp/:80", "the protocol before '/' is none of tcp, udp and mptcp"),
            ("127.0.0.1:80-", "it ends in '-'"),
            ("tcp/:1,udp/:2", "the two sides name different protocols"),
        ] {
            let error = text.parse::<Pattern>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
            let said = error.to_string();
            assert!(said.starts_with("read endpoint '") && said.contains(why), "{text}: {said}");
        }
        let error = "\u{1b}[31m:x".parse::<Pattern>().unwrap_err().to_string();
        assert!(!error.contains('\u{1b}'), "control characters are escaped: {error}");
    }

    #[test]
    fn a_specific_address_finds_the_wildcard_that_would_serve_it() {
        let asked: Pattern = "127.0.0.1:80".parse().unwrap();
        let listens = |local| asked.matches(&endpoint(local, State::LISTEN), false);
        assert_eq!(listens("127.0.0.1:80"), Some(Met::Exact));
        assert_eq!(listens("0.0.0.0:80"), Some(Met::Wildcard));
        assert_eq!(listens("[::]:80"), Some(Met::DualStackWildcard));
        assert_eq!(listens("[::ffff:127.0.0.1]:80"), Some(Met::Exact));
        assert_eq!(listens("127.0.0.2:80"), None);
        assert_eq!(listens("0.0.0.0:81"), None);
        assert_eq!(asked.matches(&endpoint("[::]:80", State::LISTEN), true), None, "v6only refuses IPv4");
        assert_eq!(asked.matches(&endpoint("0.0.0.0:80", State::ESTABLISHED), false), None);
        let v6: Pattern = "[::1]:80".parse().unwrap();
        assert_eq!(v6.matches(&endpoint("0.0.0.0:80", State::LISTEN), false), None);
        assert_eq!(v6.matches(&endpoint("[::]:80", State::LISTEN), true), Some(Met::Wildcard));
    }

    #[test]
    fn what_is_bound_to_an_interface_serves_nothing_that_comes_by_another() {
        let socket = |local: &str, index: u32| Socket {
            endpoint: endpoint(local, State::LISTEN),
            interface: (index > 0).then(|| Interface::new(index, Some(&format!("eth{index}")))),
            netns: Some(1),
            inode: 2,
            cookie: 3,
            uid: None,
            cgroup: None,
            v6only: None,
            is_subflow: false,
            told: crate::sys::Told::default(),
        };
        let on = |text: &str, sockets: &[(&str, u32)]| -> Vec<_> {
            let sockets: Vec<_> = sockets.iter().map(|&(local, index)| socket(local, index)).collect();
            let found = served(&text.parse().unwrap(), &sockets, |socket| socket);
            found
                .iter()
                .map(|(socket, met)| (socket.interface.map_or(0, |interface| interface.index()), *met))
                .collect()
        };
        let (exact, wildcard) = (Match::Exact, Match::Wildcard);
        let asked = "127.0.0.1:80";
        assert_eq!(on(asked, &[("127.0.0.1:80", 0), ("0.0.0.0:80", 0)]), [(0, exact)]);
        assert_eq!(on(asked, &[("127.0.0.1:80", 2), ("0.0.0.0:80", 0)]), [(2, exact), (0, wildcard)]);
        assert_eq!(on(asked, &[("127.0.0.1:80", 2), ("0.0.0.0:80", 2)]), [(2, exact)]);
        assert_eq!(on(asked, &[("127.0.0.1:80", 0), ("0.0.0.0:80", 2)]), [(0, exact)]);
        assert_eq!(on(asked, &[("0.0.0.0:80", 2), ("0.0.0.0:80", 0)]), [(2, wildcard), (0, wildcard)]);
        let zoned = "127.0.0.1%eth2:80";
        assert_eq!(on(zoned, &[("0.0.0.0:80", 2), ("0.0.0.0:80", 3)]), [(2, wildcard)]);
        assert_eq!(on(zoned, &[("127.0.0.1:80", 2), ("127.0.0.1:80", 3)]), [(2, exact)]);
        let reached =
            |text: &str, index| text.parse::<Pattern>().unwrap().reaches(&socket("0.0.0.0:80", index));
        assert_eq!([0, 1, 2].map(|index| reached(asked, index)), [true, true, false]);
        assert!(reached(zoned, 2) && reached("192.0.2.1:80", 2) && reached(":80", 2));
    }

    #[test]
    fn a_connection_matches_both_sides_only() {
        let asked: Pattern = "127.0.0.1:80,127.0.0.1:4000".parse().unwrap();
        let mut connection = endpoint("[::ffff:127.0.0.1]:80", State::ESTABLISHED);
        assert_eq!(asked.matches(&connection, false), None, "no peer");
        let remote: std::net::SocketAddr = "[::ffff:127.0.0.1]:4000".parse().unwrap();
        connection.remote = Some(remote.into());
        assert_eq!(asked.matches(&connection, false), Some(Met::Exact));
        assert!(asked.tuple().is_some() && Pattern::port(80).tuple().is_none());
    }

    #[test]
    fn a_zone_is_compared_by_name_and_by_index() {
        let mut endpoint = endpoint("[fe80::1]:22", State::LISTEN);
        endpoint.local.zone = Some(Interface::new(4, Some("eth0")));
        for (text, found) in [
            ("[fe80::1%eth0]:22", true),
            ("[fe80::1%4]:22", true),
            ("[fe80::1%eth1]:22", false),
            ("[fe80::1]:22", true),
        ] {
            let asked: Pattern = text.parse().unwrap();
            assert_eq!(asked.matches(&endpoint, false).is_some(), found, "{text}");
        }
    }
}
