//! An owned, ordered set of endpoints with their owners, and what could not be read.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::{
    Address, Attribution, Candidate, Cgroup, Container, Family, Match, Protocol, Reason, Service, Socket,
    State,
};

/// One endpoint and all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// What the system says of the socket itself.
    pub socket: Socket,
    /// Name of the socket's user.
    pub user: Option<Arc<str>>,
    /// The cgroup in which the socket was **created**. Public: it needs no right to read.
    pub cgroup: Option<Cgroup>,
    /// The unit of that cgroup: the creator's, which may not be the present owner's.
    pub service: Option<Arc<Service>>,
    /// The container of that cgroup.
    pub container: Option<Arc<Container>>,
    /// Who holds it, or why nobody is named.
    pub attribution: Attribution,
    /// Where there is no owner: the processes in the socket's cgroup. Not owners. Shared
    /// by all endpoints of one cgroup.
    pub candidates: Arc<[Candidate]>,
    /// How it met the pattern that was asked for.
    pub matched: Option<Match>,
    /// Its state was another one when the sockets were listed than when its owner was looked for.
    pub changed: bool,
}

impl Entry {
    /// Without an owner because the caller lacks a right.
    pub fn is_not_permitted(&self) -> bool {
        self.attribution.reason() == Some(Reason::NotPermitted)
    }
}

/// Something that could not be read, so that silence never looks like an answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Gap {
    /// Where it is from: `sock_diag`, `proc`, `kcmp`, `cgroup`.
    pub source: &'static str,
    /// What it is: a table, a path, or a pattern that stands for `count` paths.
    pub object: String,
    /// Why it could not be read.
    pub reason: GapReason,
    /// How many there are of it.
    pub count: u64,
}

/// Why something could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum GapReason {
    /// The system refuses it to this caller.
    NotPermitted,
    /// It vanished.
    Gone,
    /// It changed at every try.
    Changed,
    /// It does not have the form it should.
    Malformed,
    /// The kernel's table changed under every try to list it: rows may be missing or stale.
    Interrupted,
    /// This system does not offer it.
    Unsupported,
}

impl GapReason {
    /// The word of the interface: `not_permitted`, `gone`, ...
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotPermitted => "not_permitted",
            Self::Gone => "gone",
            Self::Changed => "changed",
            Self::Malformed => "malformed",
            Self::Interrupted => "interrupted",
            Self::Unsupported => "unsupported",
        }
    }
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Gap {
    pub(crate) fn new(
        source: &'static str,
        object: impl Into<String>,
        reason: GapReason,
        count: u64,
    ) -> Self {
        Self { source, object: object.into(), reason, count }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.source, self.object, self.reason)?;
        match self.count {
            0 | 1 => Ok(()),
            count => write!(f, " ({count})"),
        }
    }
}

/// The answer to a question: endpoints, and gaps.
///
/// Listeners come first; then by protocol, local port, local address and peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    entries: Vec<Entry>,
    gaps: Vec<Gap>,
}

impl Snapshot {
    pub(crate) fn new(mut entries: Vec<Entry>, mut gaps: Vec<Gap>) -> Self {
        // Ranks are small and made once, entries are large: they move once, at the end.
        entries.sort_by_cached_key(|entry| Rank::of(&entry.socket));
        gaps.sort();
        Self { entries, gaps }
    }

    /// The endpoints.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// One endpoint after the other.
    pub fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.entries.iter()
    }

    /// What could not be read.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// Something is missing for want of a right: an endpoint's owner, or a whole source.
    pub fn lacks_permission(&self) -> bool {
        self.entries.iter().any(Entry::is_not_permitted)
            || self.gaps.iter().any(|gap| gap.reason == GapReason::NotPermitted)
    }

    /// The endpoints by value, and the gaps.
    pub fn into_parts(self) -> (Vec<Entry>, Vec<Gap>) {
        (self.entries, self.gaps)
    }
}

/// Where a socket stands in a snapshot: by its first field first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    waits_for_nobody: bool,
    protocol: Protocol,
    port: u16,
    local: Side,
    remote: Option<Side>,
    state: State,
    cookie: u64,
}

impl Rank {
    fn of(socket: &Socket) -> Self {
        let endpoint = &socket.endpoint;
        Self {
            waits_for_nobody: !endpoint.state.is_listening(),
            protocol: endpoint.protocol,
            port: endpoint.local.port,
            local: Side::from(&endpoint.local),
            remote: endpoint.remote.as_ref().map(Side::from),
            state: endpoint.state,
            cookie: socket.cookie,
        }
    }
}

/// An address in the order of [`Address`], in numbers that are soon compared.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Side {
    family: Family,
    ip: u128,
    port: u16,
    /// In one snapshot an interface has one name.
    zone: Option<u32>,
}

impl From<&Address> for Side {
    fn from(address: &Address) -> Self {
        let (family, ip) = match address.ip {
            IpAddr::V4(ip) => (Family::Ipv4, u32::from(ip).into()),
            IpAddr::V6(ip) => (Family::Ipv6, ip.into()),
        };
        Self { family, ip, port: address.port, zone: address.zone.map(|zone| zone.index()) }
    }
}

impl<'a> IntoIterator for &'a Snapshot {
    type Item = &'a Entry;
    type IntoIter = std::slice::Iter<'a, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Interface;

    #[test]
    fn an_address_has_the_same_place_in_numbers() {
        let zoned = |text: &str, zone| {
            let mut address = Address::from(text.parse::<std::net::SocketAddr>().unwrap());
            address.zone = zone;
            address
        };
        let mut addresses = Vec::new();
        for text in [
            "0.0.0.0:0",
            "1.2.3.4:80",
            "1.2.3.4:443",
            "127.0.0.1:80",
            "255.0.0.1:1",
            "[::]:80",
            "[::1]:80",
            "[fe80::1]:22",
            "[fe80::1]:80",
            "[fe80:0:0:1::]:80",
            "[ff00::]:1",
        ] {
            for zone in [None, Some(Interface::new(1, Some("lo"))), Some(Interface::new(2, Some("eth0")))] {
                addresses.push(zoned(text, zone));
            }
        }
        for one in &addresses {
            for other in &addresses {
                assert_eq!(Side::from(one).cmp(&Side::from(other)), one.cmp(other), "{one} {other}");
            }
        }
    }
}
