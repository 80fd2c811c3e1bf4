//! Sockets of every network namespace: listed inside of those that can be entered; of others those that somebody holds,
//! as the iterators tell them.

use std::collections::BTreeMap;
use std::sync::Arc;

use sockowner_wire::inet_diag::{AF_INET6, IPPROTO_MPTCP, IPPROTO_TCP, IPPROTO_UDP};
use sockowner_wire::iterator::HolderRow;

use super::System;
use super::bpf::Seen;
use super::diag::Diag;
use super::door::Door;
use super::namespaces::{Namespaces, SOURCE, label, reason};
use super::subjects::Subjects;
use super::table::state;
use crate::sys::{Scope, Search, Sockets};
use crate::{
    Address, Endpoint, Entry, Error, Family, Gap, GapReason, Interface, Protocol, Result, Socket, Source,
};

impl<D: Door> System<D> {
    /// The sockets of every network namespace, and who holds them. One that cannot be entered is a gap; of such a one the
    /// iterators, where all they show may be seen, tell the sockets that somebody holds.
    pub(crate) fn everywhere(&self, scope: &Scope, search: Search) -> Result<(Vec<Entry>, Vec<Gap>)> {
        let Sockets { mut list, mut gaps } = self.sockets(scope)?;
        let Some(home) = self.diag.netns() else {
            // Among others it would be told a second time.
            gaps.push(Gap::new(SOURCE, "/proc/thread-self/ns/net", GapReason::Unsupported, 1));
            let (entries, more) = self.attribute(list, search, None)?;
            gaps.extend(more);
            return Ok((entries, gaps));
        };
        let namespaces = self.namespaces(&mut gaps);
        let mut entered = Vec::new();
        for (&netns, known) in namespaces.iter().filter(|(netns, _)| **netns != home) {
            let name = label(&namespaces, netns);
            let listed = self.enter(netns, known).and_then(|diag| {
                let sockets = self.sockets_of(&diag, scope, self.threads())?;
                diag.rest();
                entered.push(diag);
                Ok(sockets)
            });
            match listed {
                Ok(sockets) => {
                    list.extend(sockets.list);
                    gaps.extend(sockets.gaps.into_iter().map(|gap| Gap {
                        object: format!("{} in network namespace {name}", gap.object),
                        ..gap
                    }));
                }
                Err(error) => gaps.push(Gap::new(SOURCE, &*name, reason(&error), 1)),
            }
        }
        let seen = match search {
            Search::Never => None,
            _ => self.look_abroad(scope, &namespaces, &entered, &mut list, &mut gaps)?,
        };
        let (mut entries, more) = self.attribute_among(Subjects::new(list, &entered), search, seen)?;
        gaps.extend(more);
        let mut names = BTreeMap::new();
        for Entry { socket, netns_name, .. } in &mut entries {
            *netns_name = socket
                .netns
                .map(|netns| Arc::clone(names.entry(netns).or_insert_with(|| label(&namespaces, netns))));
        }
        Ok((entries, gaps))
    }

    /// Looks at every descriptor, and adds the sockets of namespaces that were not listed.
    fn look_abroad(
        &self,
        scope: &Scope,
        namespaces: &Namespaces,
        entered: &[Diag<D>],
        list: &mut Vec<Socket>,
        gaps: &mut Vec<Gap>,
    ) -> Result<Option<Seen>> {
        // Without iterators there is /proc.
        let Some(bpf) = self.bpf().ok().filter(|bpf| bpf.shows_all) else { return Ok(None) };
        let mut inodes: Vec<_> = list.iter().map(|socket| socket.inode).collect();
        inodes.sort_unstable();
        let mut listed: Vec<_> = entered.iter().map(Diag::netns).collect();
        listed.push(self.diag.netns());
        let mut others = Vec::new();
        let mut untold = BTreeMap::new();
        let looked = bpf.look_abroad(&self.door, |row| {
            let netns = u64::from(row.fixed.netns);
            if listed.contains(&Some(netns)) {
                return inodes.binary_search(&row.fixed.inode).is_ok();
            }
            let described = socket(row);
            if described.is_none() && row.socket.is_none_or(|socket| socket.local_port == 0) {
                return false;
            }
            *untold.entry(netns).or_insert(0) += u64::from(described.is_none());
            let wanted = described.filter(|socket| is_in(scope, socket));
            let is_wanted = wanted.is_some();
            others.extend(wanted);
            is_wanted
        });
        let seen = match looked {
            Ok(seen) => seen,
            Err(cause) if self.options.source == Source::Bpf => {
                return Err(Error::io("look at all descriptors with a BPF iterator", cause));
            }
            Err(_) => {
                gaps.push(Gap::new("bpf", "iterators", GapReason::Interrupted, 1));
                return Ok(None);
            }
        };
        others.sort_by_key(|socket| (socket.netns, socket.cookie, socket.inode));
        others.dedup_by_key(|socket| (socket.netns, socket.cookie, socket.inode));
        list.extend(others);
        for (netns, others) in untold {
            // What nobody holds there is not told; one that was known already is a gap.
            if !namespaces.contains_key(&netns) {
                gaps.push(Gap::new(SOURCE, netns.to_string(), GapReason::Unsupported, 1));
            }
            if others > 0 {
                gaps.push(Gap::new("bpf", netns.to_string(), GapReason::Unsupported, others));
            }
        }
        Ok(Some(seen))
    }
}

fn is_in(scope: &Scope, socket: &Socket) -> bool {
    let Endpoint { protocol, family, state, .. } = socket.endpoint;
    scope.tables.contains(&(protocol, family)) && (scope.states.is_empty() || scope.states.contains(&state))
}

/// The socket of a row; `None` where it is bound to no port, or of a protocol that is not told here.
fn socket(HolderRow { fixed, socket }: &HolderRow) -> Option<Socket> {
    let row = socket.as_ref()?;
    let protocol = match fixed.protocol {
        IPPROTO_TCP => Protocol::Tcp,
        IPPROTO_UDP => Protocol::Udp,
        IPPROTO_MPTCP => Protocol::Mptcp,
        _ => return None,
    };
    if row.local_port == 0 {
        return None;
    }
    let interface = (row.interface != 0).then(|| Interface::new(row.interface, None));
    let side = |ip: std::net::IpAddr, port| {
        let mut address = Address::from(std::net::SocketAddr::new(ip, port));
        if matches!(ip, std::net::IpAddr::V6(ip) if ip.is_unicast_link_local()) {
            address.zone = interface;
        }
        address
    };
    let (local, remote) = (row.local()?, row.remote()?);
    let has_peer = row.remote_port != 0 || !remote.is_unspecified();
    let state = state(protocol, row.state, has_peer);
    let endpoint = Endpoint::new(
        protocol,
        state,
        side(local, row.local_port),
        has_peer.then(|| side(remote, row.remote_port)),
    );
    let tells_v6only = endpoint.family == Family::Ipv6 && state.is_listening();
    Some(Socket {
        endpoint,
        interface,
        netns: Some(fixed.netns.into()),
        inode: fixed.inode,
        cookie: fixed.cookie,
        uid: Some(row.uid),
        cgroup: (row.cgroup != 0).then_some(row.cgroup),
        v6only: (tells_v6only && row.family == AF_INET6).then(|| row.is_v6only()),
        is_subflow: false,
        told: (),
    })
}
