//! Lists sockets, and looks one up.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use sockowner_wire::inet_diag::{AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP, NO_COOKIE, Request, Row};

use super::System;
use super::diag::Dump;
use super::door::Door;
use crate::sys::{Scope, Sockets};
use crate::{
    Address, Endpoint, Error, ErrorKind, Family, Gap, GapReason, Interface, Protocol, Result, Socket, State,
};

/// `TCP_CLOSE`. UDP counts an unconnected socket as closed, TCP one that is bound and nothing more: the number 13 of
/// `TCP_BOUND_INACTIVE` stands in requests alone.
const CLOSED: u8 = 7;
const SOURCE: &str = "sock_diag";

impl<D: Door> System<D> {
    /// Every socket in `scope`.
    pub(crate) fn sockets(&self, scope: &Scope) -> Result<Sockets> {
        let mut sockets = Sockets::default();
        let mut names = InterfaceNames::default();
        let mut failed = None;
        let mut read = 0;
        for &(protocol, family) in &scope.tables {
            let states = state_bits(protocol, &scope.states);
            if states == 0 {
                read += 1;
                continue;
            }
            let request = Request::Dump {
                family: family_number(family),
                protocol: protocol_number(protocol),
                states,
                local_port: scope.local_port,
                remote_port: scope.remote_port,
            };
            let table = format!("{protocol} {family}");
            match self.diag.dump(&self.door, &request) {
                Ok(dump) => {
                    read += 1;
                    self.take_dump(protocol, &table, dump, &mut names, &mut sockets);
                }
                Err(error) => {
                    sockets.gaps.push(Gap::new(SOURCE, table.clone(), gap_reason(&error), 1));
                    failed.get_or_insert(error.context(format!("read the {table} sockets")));
                }
            }
        }
        match failed {
            Some(error) if read == 0 => Err(error),
            _ => Ok(sockets),
        }
    }

    /// The socket with exactly these addresses, of either family where they are IPv4. TCP alone: of UDP sockets
    /// several may share both addresses.
    pub(crate) fn connection(
        &self,
        protocol: Protocol,
        local: Address,
        remote: Address,
    ) -> Result<Option<Socket>> {
        if protocol != Protocol::Tcp {
            return Ok(None);
        }
        let wanted = |ip: IpAddr, port| SocketAddr::new(ip.to_canonical(), port);
        let (local, remote) = (wanted(local.ip, local.port), wanted(remote.ip, remote.port));
        let request =
            Request::Exact { protocol: IPPROTO_TCP, local, remote, interface: 0, cookie: NO_COOKIE };
        let row = self
            .diag
            .exact(&self.door, &request)
            .map_err(|error| error.context(format!("look up tcp {local},{remote}")))?;
        // What a packet would reach need not be this connection: a listener answers for one that is gone.
        let row = row.filter(|row| {
            wanted(row.local.ip(), row.local.port()) == local
                && wanted(row.remote.ip(), row.remote.port()) == remote
        });
        Ok(row.map(|row| self.socket(protocol, &row, &mut InterfaceNames::default())))
    }

    /// The same socket as it is now; `None` when it is gone.
    pub(super) fn refresh(&self, socket: &Socket) -> Result<Option<Socket>> {
        let endpoint = socket.endpoint;
        let side = |address: Address| SocketAddr::new(address.ip, address.port);
        let nobody = match endpoint.family {
            Family::Ipv4 => SocketAddr::from(([0; 4], 0)),
            Family::Ipv6 => SocketAddr::from(([0; 16], 0)),
        };
        let request = Request::Exact {
            protocol: protocol_number(endpoint.protocol),
            local: side(endpoint.local),
            remote: endpoint.remote.map_or(nobody, side),
            interface: socket.interface.map_or(0, |interface| interface.index()),
            cookie: socket.cookie,
        };
        let mut names = InterfaceNames::default();
        let row = self.diag.exact(&self.door, &request)?;
        if let Some(row) = row.filter(|row| row.cookie == socket.cookie) {
            return Ok(Some(self.socket(endpoint.protocol, &row, &mut names)));
        }
        // A lookup reaches one of a group, and nothing that is only bound: look for the cookie among all of the port.
        let dump = self.diag.dump(
            &self.door,
            &Request::Dump {
                family: family_number(endpoint.family),
                protocol: protocol_number(endpoint.protocol),
                states: u32::MAX,
                local_port: endpoint.local.port,
                remote_port: 0,
            },
        )?;
        let row = dump.rows.into_iter().rfind(|row| row.cookie == socket.cookie);
        Ok(row.map(|row| self.socket(endpoint.protocol, &row, &mut names)))
    }

    fn take_dump(
        &self,
        protocol: Protocol,
        table: &str,
        dump: Dump,
        names: &mut InterfaceNames,
        into: &mut Sockets,
    ) {
        let mut rows = dump.rows;
        // A dump may repeat a row while the table changes. Of two the later one is right. Rows are large and seldom
        // repeated: they are sorted only where that is needed.
        if has_repeated(rows.iter().map(|row| row.cookie)) {
            rows.reverse();
            rows.sort_by_key(|row| row.cookie);
            rows.dedup_by_key(|row| row.cookie);
        }
        into.list.reserve(rows.len());
        into.list.extend(rows.iter().map(|row| self.socket(protocol, row, names)));
        if dump.malformed > 0 {
            into.gaps.push(Gap::new(SOURCE, table, GapReason::Malformed, dump.malformed));
        }
        if dump.interrupted {
            into.gaps.push(Gap::new(SOURCE, table, GapReason::Interrupted, 1));
        }
    }

    fn socket(&self, protocol: Protocol, row: &Row, names: &mut InterfaceNames) -> Socket {
        let interface = (row.interface != 0).then(|| self.interface(row.interface, names));
        let address = |side: SocketAddr| {
            let mut address = Address::from(side);
            if matches!(side.ip(), IpAddr::V6(ip) if ip.is_unicast_link_local()) {
                address.zone = interface;
            }
            address
        };
        let has_peer = row.remote.port() != 0 || !row.remote.ip().is_unspecified();
        let state = state(protocol, row.state, has_peer);
        Socket {
            endpoint: Endpoint::new(
                protocol,
                state,
                address(row.local),
                has_peer.then(|| address(row.remote)),
            ),
            interface,
            netns: self.diag.netns(),
            inode: row.inode.into(),
            cookie: row.cookie,
            // Without a file the kernel fills in 0, which is nobody's.
            uid: (row.inode != 0 || row.uid != 0)
                .then_some(row.uid)
                .filter(|&uid| Some(uid) != self.unmapped_uid()),
            cgroup: row.cgroup,
            v6only: row.v6only,
        }
    }

    fn unmapped_uid(&self) -> Option<u32> {
        self.proc.as_ref().ok().and_then(|proc| proc.unmapped_uid)
    }

    fn interface(&self, index: u32, names: &mut InterfaceNames) -> Interface {
        *names.0.entry(index).or_insert_with(|| {
            let name = self
                .diag
                .with_socket(&self.door, |socket| self.door.interface_name(socket, index))
                .ok()
                // An interface that is gone leaves its index.
                .and_then(std::result::Result::ok);
            Interface::new(index, name.as_deref())
        })
    }
}

/// The state that the kernel's number stands for.
pub(super) fn state(protocol: Protocol, number: u8, has_peer: bool) -> State {
    match (protocol, number) {
        (Protocol::Udp, CLOSED) => State::UNCONNECTED,
        // With a peer it is a connection that was reset and keeps the port it had asked for.
        (Protocol::Tcp, CLOSED) if !has_peer => State::BOUND,
        (_, number) => State::from_linux(number),
    }
}

fn has_repeated(cookies: impl Iterator<Item = u64>) -> bool {
    let mut cookies: Vec<_> = cookies.collect();
    cookies.sort_unstable();
    cookies.windows(2).any(|two| two[0] == two[1])
}

/// Interfaces already asked for.
#[derive(Default)]
struct InterfaceNames(BTreeMap<u32, Interface>);

const fn family_number(family: Family) -> u8 {
    match family {
        Family::Ipv4 => AF_INET,
        Family::Ipv6 => AF_INET6,
    }
}

const fn protocol_number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => IPPROTO_TCP,
        Protocol::Udp => IPPROTO_UDP,
    }
}

/// One bit for each state, as the kernel numbers them for this protocol. Bits that an older kernel does not know it
/// ignores.
fn state_bits(protocol: Protocol, states: &[State]) -> u32 {
    if states.is_empty() {
        return u32::MAX;
    }
    let number = |state: &State| match (protocol, *state) {
        (Protocol::Udp, State::UNCONNECTED) => Some(CLOSED),
        (Protocol::Udp, State::ESTABLISHED) => Some(State::ESTABLISHED.number()),
        (Protocol::Udp, _) | (Protocol::Tcp, State::UNCONNECTED) => None,
        // What is closed is listed while it is bound.
        (Protocol::Tcp, State::CLOSE) => Some(State::BOUND.number()),
        (Protocol::Tcp, state) => Some(state.number()),
    };
    states.iter().filter_map(number).filter(|&number| number < 32).fold(0, |bits, number| bits | 1 << number)
}

fn gap_reason(error: &Error) -> GapReason {
    match error.kind() {
        ErrorKind::NotPermitted => GapReason::NotPermitted,
        ErrorKind::Malformed => GapReason::Malformed,
        // No such protocol handler: the kernel's tcp_diag or udp_diag module is missing.
        ErrorKind::NotFound | ErrorKind::Unsupported => GapReason::Unsupported,
        _ => GapReason::Interrupted,
    }
}
