//! Sockets of other network namespaces: those that somebody holds, as the iterators tell them.

use sockowner_wire::inet_diag::{AF_INET6, IPPROTO_TCP, IPPROTO_UDP};
use sockowner_wire::iterator::HolderRow;

use super::System;
use super::bpf::Seen;
use super::door::Door;
use super::sockets::state;
use crate::sys::{Scope, Sockets};
use crate::{Address, Endpoint, Error, Family, Gap, GapReason, Interface, Protocol, Result, Socket, Source};

/// What the gaps are about.
const ABROAD: &str = "other network namespaces";

impl<D: Door> System<D> {
    /// Sockets of every network namespace but the query's, and who was seen holding them. What no descriptor stands for
    /// (`TIME_WAIT` and the like) only a netlink socket in each namespace could tell: it is a gap.
    pub(crate) fn abroad(&self, scope: &Scope) -> Result<(Sockets, Option<Seen>)> {
        let gap = |reason, count| Gap::new("bpf", ABROAD, reason, count);
        let Some(bpf) = self.bpf().ok().filter(|bpf| bpf.shows_all) else {
            let gaps = vec![gap(GapReason::NotPermitted, 1)];
            return Ok((Sockets { list: Vec::new(), gaps }, None));
        };
        let mut sockets = Sockets::default();
        let mut others = 0;
        let home = self.diag.netns();
        let looked = bpf
            .look_abroad(&self.door, |row| {
                if home == Some(row.fixed.netns.into()) {
                    return false;
                }
                match socket(row) {
                    Some(socket) if is_in(scope, &socket) => {
                        sockets.list.push(socket);
                        true
                    }
                    Some(_) => false,
                    None => {
                        others += u64::from(row.socket.is_some_and(|socket| socket.local_port != 0));
                        false
                    }
                }
            })
            .map_err(|cause| Error::io("look at all descriptors with a BPF iterator", cause));
        let seen = match looked {
            Ok(seen) => seen,
            Err(error) if self.options.source == Source::Bpf => return Err(error),
            // The query's own namespace is told all the same.
            Err(_) => {
                let gaps = vec![gap(GapReason::Interrupted, 1)];
                return Ok((Sockets { list: Vec::new(), gaps }, None));
            }
        };
        sockets.list.sort_by_key(|socket| (socket.netns, socket.cookie));
        sockets.list.dedup_by_key(|socket| (socket.netns, socket.cookie));
        sockets.gaps.push(Gap::new("sock_diag", ABROAD, GapReason::Unsupported, 1));
        if others > 0 {
            sockets.gaps.push(gap(GapReason::Unsupported, others));
        }
        Ok((sockets, Some(seen)))
    }
}

fn is_in(scope: &Scope, socket: &Socket) -> bool {
    let Endpoint { protocol, family, state, .. } = socket.endpoint;
    scope.tables.contains(&(protocol, family)) && (scope.states.is_empty() || scope.states.contains(&state))
}

/// The socket of a row; `None` where it is bound to no port, or of a protocol that is not told here.
fn socket(HolderRow { fixed, socket }: &HolderRow) -> Option<Socket> {
    let row = socket.as_ref()?;
    let protocol = match u8::try_from(fixed.protocol) {
        Ok(IPPROTO_TCP) => Protocol::Tcp,
        Ok(IPPROTO_UDP) => Protocol::Udp,
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
    })
}
