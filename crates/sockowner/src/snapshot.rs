//! An owned, ordered set of endpoints with their owners, and what could not be read.

use std::cmp::Ordering;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use crate::{
    Address, Attribution, Candidate, Cgroup, Container, Endpoint, Match, Protocol, Reason, Record, RoleKind,
    RoleReason, Service, Socket, State,
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
    /// The unit of that cgroup: the creator's, which may not be the present owner's. Windows: the service that bound it, by
    /// the tag that the system keeps; Wine, which keeps none: the owner's.
    pub service: Option<Arc<Service>>,
    /// The container of that cgroup.
    pub container: Option<Arc<Container>>,
    /// Who holds it, or why nobody is named.
    pub attribution: Attribution,
    /// Where there is no owner: the processes in the socket's cgroup. Not owners. Shared
    /// by all endpoints of one cgroup.
    pub candidates: Arc<[Candidate]>,
    /// Who created, bound, listened on and accepted it, and when, where that is recorded.
    pub record: Record,
    /// What its network namespace is called, where [every](crate::Filter::every_namespace) one was asked for: its name under
    /// `/run/netns`, else `pid:N` after a process that lives in it, never the caller, else its inode number. Where one was
    /// asked for by name, process or path: that name, `pid:N`, or that path.
    pub netns_name: Option<Arc<str>>,
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

    /// When the socket got its name ([`Recorded::bound_at`](crate::Recorded::bound_at)). `None` where that is not known.
    ///
    /// # Platform
    /// Linux: while a recorder runs. Windows: as the system's row has it; Wine's has none.
    #[doc(alias = "liCreateTimestamp")]
    pub fn bound_at(&self) -> Option<SystemTime> {
        let by_row = || crate::socket::system_time(self.socket.row_owner()?.bound_at);
        self.record.known().and_then(crate::Recorded::bound_at).or_else(by_row)
    }

    /// Why it is not known who was in a role; `None` where it is known, where there need not have been anybody, and where
    /// nothing is recorded.
    pub fn role_reason(&self, kind: RoleKind) -> Option<RoleReason> {
        let reason = match &self.record {
            Record::Nowhere => return None,
            Record::Known(recorded) => return recorded.roles.reason(kind),
            Record::NotPermitted => RoleReason::NotPermitted,
            Record::NotRecorded => RoleReason::NotRecorded,
        };
        // Without a record a connection may have been made from either side.
        let Endpoint { protocol, state, .. } = self.socket.endpoint;
        let must_have_been = match kind {
            RoleKind::Creator => true,
            RoleKind::Binder => state.is_listening() || protocol == Protocol::Udp,
            RoleKind::Listener => state == State::LISTEN,
            RoleKind::Acceptor => false,
        };
        must_have_been.then_some(reason)
    }
}

/// Something that could not be read, so that silence never looks like an answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Gap {
    /// Where it is from: `sock_diag`, `proc`, `kcmp`, `cgroup`, `record`, `netns`; Windows: `iphlpapi`, `processes`,
    /// `services`, `wine`.
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
    pub(crate) fn new(mut entries: Vec<Entry>, gaps: Vec<Gap>) -> Self {
        entries.sort_by(|one, other| order(&one.socket, &other.socket));
        Self::in_order(entries, gaps)
    }

    /// Of entries whose sockets are in order.
    pub(crate) fn in_order(entries: Vec<Entry>, mut gaps: Vec<Gap>) -> Self {
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

/// Puts sockets in the order in which a snapshot has them.
pub(crate) fn sort(sockets: &mut [Socket]) {
    let mut places: Vec<_> = sockets.iter().map(place).zip(0_usize..).collect();
    places.sort_unstable_by(|(one, i), (other, j)| {
        one.cmp(other).then_with(|| order(&sockets[*i], &sockets[*j]))
    });
    // Sockets are large, and each moves once: where another went that was here before is found in its place.
    for here in 0..places.len() {
        let mut from = places[here].1;
        while from < here {
            from = places[from].1;
        }
        places[here].1 = from;
        sockets.swap(here, from);
    }
}

/// Listeners first, then by protocol, local address, peer; at last as it pleases, but always the same.
fn order(one: &Socket, other: &Socket) -> Ordering {
    let (a, b) = (&one.endpoint, &other.endpoint);
    place(one)
        .cmp(&place(other))
        .then_with(|| side(&a.local).cmp(&side(&b.local)))
        .then_with(|| a.remote.as_ref().map(side).cmp(&b.remote.as_ref().map(side)))
        .then_with(|| a.state.cmp(&b.state))
        .then_with(|| one.netns.cmp(&other.netns))
        .then_with(|| one.cookie.cmp(&other.cookie))
}

/// The first part of that order in one number, which tells most sockets apart.
fn place(socket: &Socket) -> u128 {
    let Endpoint { protocol, state, local, remote, .. } = &socket.endpoint;
    let protocol: u8 = match protocol {
        Protocol::Tcp => 0,
        Protocol::Udp => 1,
        Protocol::Mptcp => 2,
    };
    let head = u128::from(!state.is_listening()) << 19
        | u128::from(protocol) << 17
        | u128::from(local.port) << 1
        | u128::from(local.ip.is_ipv6());
    match local.ip {
        IpAddr::V4(ip) => {
            let peer = match remote {
                Some(Address { ip: IpAddr::V4(ip), port, .. }) => {
                    1 << 48 | u64::from(u32::from(*ip)) << 16 | u64::from(*port)
                }
                _ => 0,
            };
            head << 108 | u128::from(u32::from(ip)) << 49 | u128::from(peer)
        }
        IpAddr::V6(ip) => head << 108 | u128::from(ip) >> 20,
    }
}
/// An address in the order of [`Address`]; in one snapshot an interface has one name.
fn side(address: &Address) -> (IpAddr, u16, Option<u32>) {
    (address.ip, address.port, address.zone.map(|zone| zone.index()))
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

    fn address(text: &str, zone: Option<Interface>) -> Address {
        Address { zone, ..Address::from(text.parse::<std::net::SocketAddr>().unwrap()) }
    }

    fn addresses() -> Vec<Address> {
        let texts = [
            "0.0.0.0:0",
            "1.2.3.4:80",
            "1.2.3.4:443",
            "127.0.0.1:80",
            "255.0.0.1:1",
            "[::]:80",
            "[::1]:80",
            "[::2]:80",
            "[fe80::1]:22",
            "[fe80::1]:80",
            "[fe80:0:0:1::]:80",
            "[ff00::]:1",
        ];
        let zones = [None, Some(Interface::new(1, Some("lo"))), Some(Interface::new(2, Some("eth0")))];
        let mut addresses = Vec::new();
        for text in texts {
            let zones = zones.into_iter().filter(|zone| zone.is_none() || text.starts_with("[fe8"));
            addresses.extend(zones.map(|zone| address(text, zone)));
        }
        addresses
    }

    /// The order as it is promised, without a thought about time.
    fn rank(socket: &Socket) -> impl Ord + use<> {
        let Endpoint { protocol, state, local, remote, .. } = socket.endpoint;
        (!state.is_listening(), protocol, local.port, local, remote, state, socket.cookie)
    }

    #[test]
    fn the_fast_order_is_the_promised_one() {
        let mut sockets = Vec::new();
        for local in addresses() {
            let peers = addresses().into_iter().filter(|peer| peer.ip.is_ipv4() == local.ip.is_ipv4());
            for (state, remote) in
                peers.map(|peer| (State::ESTABLISHED, Some(peer))).chain([(State::LISTEN, None)])
            {
                for protocol in [Protocol::Udp, Protocol::Mptcp, Protocol::Tcp] {
                    let cookie = u64::try_from(sockets.len()).unwrap() * 7919 % 4096;
                    sockets.push(Socket {
                        endpoint: Endpoint::new(protocol, state, local, remote),
                        interface: None,
                        netns: None,
                        inode: 1,
                        cookie,
                        uid: None,
                        cgroup: None,
                        v6only: None,
                        is_subflow: false,
                        told: crate::sys::Told::default(),
                    });
                }
            }
        }
        // As it comes from the kernel: in no order.
        sockets.sort_by_key(|socket| socket.cookie);
        let mut expected = sockets.clone();
        expected.sort_by_key(rank);
        sort(&mut sockets);
        assert_eq!(sockets, expected);
        assert!(expected.is_sorted_by(|one, other| order(one, other).is_lt()));
    }
}
