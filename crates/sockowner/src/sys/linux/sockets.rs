//! Lists sockets, and looks one up.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use sockowner_wire::inet_diag::{AF_UNSPEC, Half, IPPROTO_TCP, NO_COOKIE, Request, Row};

use super::System;
use super::diag::{Diag, Dump};
use super::door::Door;
use super::table::{Table, family_number, protocol_number, state, state_bits, tables};
use crate::sys::{Scope, Sockets};
use crate::{
    Address, Endpoint, Error, ErrorKind, Family, Gap, GapReason, Interface, Protocol, Result, Socket,
};

pub(super) const SOURCE: &str = "sock_diag";
/// With fewer TCP sockets in the network namespace one dump is as soon done as two halves.
const HALVED: usize = 8192;
/// Room is made for so many at once; more make room as they come.
const EXPECTED_MAX: usize = 1 << 20;
/// Where most sockets are: the kernel has listeners in a small table of their own.
const CONNECTED: u32 = !(1 << 10);

impl<D: Door> System<D> {
    /// Every socket in `scope`.
    pub(crate) fn sockets(&self, scope: &Scope) -> Result<Sockets> {
        // To ask how many processors there are costs more than the sockets of one port do.
        let threads = if scope.local_port == 0 { self.threads() } else { 1 };
        self.sockets_on(scope, threads)
    }

    /// The same with so many threads at most.
    pub(super) fn sockets_on(&self, scope: &Scope, threads: usize) -> Result<Sockets> {
        self.sockets_of(&self.diag, scope, threads)
    }

    /// The same of the network namespace that `diag` belongs to.
    pub(super) fn sockets_of(&self, diag: &Diag<D>, scope: &Scope, threads: usize) -> Result<Sockets> {
        let mut sockets = Sockets::default();
        let mut failed = None;
        let mut read = 0;
        for table in tables(scope) {
            let states = state_bits(table.protocol, &scope.states);
            if states == 0 {
                read += 1;
                continue;
            }
            match self.dump_table(diag, table, states, scope, threads) {
                Ok(dump) => {
                    read += 1;
                    take_dump(dump, &table.to_string(), &mut sockets);
                }
                // What both families were asked for at once each is asked for alone.
                Err(_) if table.family.is_none() => {
                    for family in Family::ALL {
                        let table = Table { family: Some(family), ..table };
                        match self.dump_table(diag, table, states, scope, threads) {
                            Ok(dump) => {
                                read += 1;
                                take_dump(dump, &table.to_string(), &mut sockets);
                            }
                            Err(error) => fail(table, error, &mut sockets, &mut failed),
                        }
                    }
                }
                // What this kernel does not have has no sockets.
                Err(error) if table.protocol == Protocol::Mptcp && self.lacks_mptcp(&error) => read += 1,
                Err(error) => fail(table, error, &mut sockets, &mut failed),
            }
        }
        self.name_interfaces(diag, &mut sockets.list);
        self.link_subflows(diag, scope, &mut sockets);
        match failed {
            Some(error) if read == 0 => Err(error),
            _ => Ok(sockets),
        }
    }

    fn dump_table(
        &self,
        diag: &Diag<D>,
        table: Table,
        states: u32,
        scope: &Scope,
        threads: usize,
    ) -> Result<Dump<Socket>> {
        let request = |half| Request::Dump {
            family: table.family.map_or(AF_UNSPEC, family_number),
            protocol: protocol_number(table.protocol),
            states,
            local_port: scope.local_port,
            remote_port: scope.remote_port,
            half,
        };
        let ask = |asked: &Diag<D>, half, expected| {
            asked.dump(&self.door, &request(half), expected, |row| self.socket(diag, table.protocol, row))
        };
        let is_one = scope.local_port != 0 || scope.remote_port != 0 || states & CONNECTED == 0;
        if table.protocol != Protocol::Tcp || is_one {
            return ask(diag, None, 0);
        }
        // Elsewhere it is not told how many there are.
        let in_use = if diag.is_entered() { 0 } else { self.tcp_in_use() };
        if threads < 2 || in_use < HALVED {
            return ask(diag, None, in_use);
        }
        // Most of the time of a dump the kernel takes, and for two sockets it takes it on two processors.
        let Ok(second) = diag.another(&self.door) else { return ask(diag, None, in_use) };
        std::thread::scope(|threads| {
            let odd = || ask(&second, Some(Half::Odd), in_use / 2);
            let Ok(odd) = std::thread::Builder::new().spawn_scoped(threads, odd) else {
                return ask(diag, None, in_use);
            };
            // The others are put behind these.
            let even = ask(diag, Some(Half::Even), in_use);
            match odd.join() {
                Ok(odd) => Ok(even?.and(odd?)),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// How many TCP sockets the network namespace has, about; 0 where the kernel does not tell.
    fn tcp_in_use(&self) -> usize {
        let Ok(proc) = &self.proc else { return 0 };
        let count = |path: &[u8]| {
            let mut text = Vec::new();
            self.door.read_piece(&proc.dir, path, &mut text).ok()?;
            Some(sockowner_wire::sockstat_tcp(&text))
        };
        let files = [&b"thread-self/net/sockstat"[..], b"thread-self/net/sockstat6"];
        let count: u64 = files.into_iter().filter_map(count).fold(0, u64::saturating_add);
        usize::try_from(count).unwrap_or(usize::MAX).min(EXPECTED_MAX)
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
        let mut found = Sockets::default();
        found.list.extend(self.exact_connection(local, remote)?);
        let tables = [Protocol::Tcp, Protocol::Mptcp].map(|protocol| (protocol, Family::Ipv4)).to_vec();
        self.link_subflows(&self.diag, &Scope { tables, ..Scope::default() }, &mut found);
        Ok(found.list.pop())
    }

    /// The same, told as it is listed. What is bound to an interface is found where a zone names that one.
    pub(super) fn exact_connection(&self, local: Address, remote: Address) -> Result<Option<Socket>> {
        let wanted = |ip: IpAddr, port| SocketAddr::new(ip.to_canonical(), port);
        let zone = local.zone.or(remote.zone);
        let (local, remote) = (wanted(local.ip, local.port), wanted(remote.ip, remote.port));
        let request = Request::Exact {
            protocol: IPPROTO_TCP,
            local,
            remote,
            interface: zone.map_or(0, |zone| zone.index()),
            cookie: NO_COOKIE,
        };
        let row = self
            .diag
            .exact(&self.door, &request)
            .map_err(|error| error.context(format!("look up tcp {local},{remote}")))?;
        // What a packet would reach need not be this connection: a listener answers for one that is gone.
        let row = row.filter(|row| {
            wanted(row.local.ip(), row.local.port()) == local
                && wanted(row.remote.ip(), row.remote.port()) == remote
        });
        Ok(row.map(|row| self.named_socket(&self.diag, Protocol::Tcp, &row)))
    }

    /// The same socket as it is now; `None` when it is gone.
    pub(super) fn refresh(&self, diag: &Diag<D>, socket: &Socket) -> Result<Option<Socket>> {
        let endpoint = socket.endpoint;
        let side = |address: Address| SocketAddr::new(address.ip, address.port);
        let nobody = match endpoint.family {
            Family::Ipv4 => SocketAddr::from(([0; 4], 0)),
            Family::Ipv6 => SocketAddr::from(([0; 16], 0)),
        };
        let (own, peer) = (side(endpoint.local), endpoint.remote.map_or(nobody, side));
        let is_same = |row: &Row| {
            // MPTCP sockets of one listener share its cookie.
            let is_other = || {
                let has_other_file = socket.inode != 0 && socket.inode != row.inode.into();
                has_other_file || (row.local, row.remote) != (own, peer)
            };
            row.cookie == socket.cookie && !(endpoint.protocol == Protocol::Mptcp && is_other())
        };
        let found = |row: Row| {
            let now = self.named_socket(diag, endpoint.protocol, &row);
            Some(Socket { is_subflow: socket.is_subflow, ..now })
        };
        let request = Request::Exact {
            protocol: protocol_number(endpoint.protocol),
            local: own,
            remote: peer,
            interface: socket.interface.map_or(0, |interface| interface.index()),
            cookie: socket.cookie,
        };
        // An MPTCP socket is not looked up by its addresses.
        let row = match endpoint.protocol {
            Protocol::Mptcp => None,
            _ => diag.exact(&self.door, &request)?,
        };
        if let Some(row) = row.filter(is_same) {
            return Ok(found(row));
        }
        // A lookup reaches one of a group, and nothing that is only bound: look for the cookie among all of the port.
        let dump = diag.dump(
            &self.door,
            &Request::Dump {
                family: family_number(endpoint.family),
                protocol: protocol_number(endpoint.protocol),
                states: u32::MAX,
                local_port: endpoint.local.port,
                remote_port: 0,
                half: None,
            },
            0,
            |row| *row,
        )?;
        match dump.rows.into_iter().rfind(|row| is_same(row)) {
            Some(row) => Ok(found(row)),
            None if dump.interrupted => {
                Err(Error::new(ErrorKind::Changed, "the table changed under every try to list it"))
            }
            None if dump.malformed > 0 => {
                Err(Error::new(ErrorKind::Malformed, format!("{} rows could not be read", dump.malformed)))
            }
            None => Ok(None),
        }
    }

    fn named_socket(&self, diag: &Diag<D>, protocol: Protocol, row: &Row) -> Socket {
        let mut socket = [self.socket(diag, protocol, row)];
        self.name_interfaces(diag, &mut socket);
        let [socket] = socket;
        socket
    }

    /// The socket of a row; interfaces have their numbers alone.
    fn socket(&self, diag: &Diag<D>, protocol: Protocol, row: &Row) -> Socket {
        let interface = (row.interface != 0).then(|| Interface::new(row.interface, None));
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
            netns: diag.netns(),
            inode: row.inode.into(),
            cookie: row.cookie,
            // Without a file the kernel fills in 0, which is nobody's.
            uid: (row.inode != 0 || row.uid != 0)
                .then_some(row.uid)
                .filter(|&uid| Some(uid) != self.unmapped_uid()),
            cgroup: row.cgroup,
            v6only: row.v6only,
            is_subflow: false,
            told: (),
        }
    }

    fn unmapped_uid(&self) -> Option<u32> {
        self.proc.as_ref().ok().and_then(|proc| proc.unmapped_uid)
    }

    /// Asks for the names of interfaces, each once. One that is gone keeps its number.
    fn name_interfaces(&self, diag: &Diag<D>, sockets: &mut [Socket]) {
        let mut names = BTreeMap::new();
        let named = |interface: &mut Interface| {
            let index = interface.index();
            *interface = *names.entry(index).or_insert_with(|| {
                let name = diag
                    .with_socket(&self.door, |socket| self.door.interface_name(socket, index))
                    .ok()
                    .and_then(std::result::Result::ok);
                Interface::new(index, name.as_deref())
            });
        };
        let bound = sockets.iter_mut().filter(|socket| socket.interface.is_some());
        bound
            .flat_map(|Socket { interface, endpoint: Endpoint { local, remote, .. }, .. }| {
                let zones = [Some(&mut local.zone), remote.as_mut().map(|remote| &mut remote.zone)];
                zones.into_iter().flatten().flatten().chain(interface)
            })
            .for_each(named);
    }
}

/// Adds what a dump gave.
fn take_dump(dump: Dump<Socket>, table: &str, into: &mut Sockets) {
    let mut list = dump.rows;
    // A dump may repeat a row while the table changes. Of two the later one is right. Sockets are large and seldom
    // repeated: they are sorted only where that is needed. MPTCP sockets of one listener share its cookie.
    if has_repeated(list.iter().map(|socket| socket.cookie)) {
        let identity = |socket: &Socket| {
            let Endpoint { protocol, local, remote, .. } = socket.endpoint;
            (socket.cookie, (protocol == Protocol::Mptcp).then_some((socket.inode, local, remote)))
        };
        list.reverse();
        list.sort_by_key(identity);
        list.dedup_by_key(|socket| identity(socket));
    }
    if into.list.is_empty() {
        into.list = list;
    } else {
        into.list.append(&mut list);
    }
    if dump.malformed > 0 {
        into.gaps.push(Gap::new(SOURCE, table, GapReason::Malformed, dump.malformed));
    }
    if dump.interrupted {
        into.gaps.push(Gap::new(SOURCE, table, GapReason::Interrupted, 1));
    }
}

fn fail(table: Table, error: Error, sockets: &mut Sockets, failed: &mut Option<Error>) {
    sockets.gaps.push(Gap::new(SOURCE, table.to_string(), gap_reason(&error), 1));
    failed.get_or_insert(error.context(format!("read the {table} sockets")));
}

fn has_repeated(cookies: impl Iterator<Item = u64>) -> bool {
    let mut cookies: Vec<_> = cookies.collect();
    cookies.sort_unstable();
    cookies.windows(2).any(|two| two[0] == two[1])
}

pub(super) fn gap_reason(error: &Error) -> GapReason {
    match error.kind() {
        ErrorKind::NotPermitted => GapReason::NotPermitted,
        ErrorKind::Malformed => GapReason::Malformed,
        // No such protocol handler: the kernel's tcp_diag or udp_diag module is missing.
        ErrorKind::NotFound | ErrorKind::Unsupported => GapReason::Unsupported,
        _ => GapReason::Interrupted,
    }
}
