//! Lists sockets: the system's module tables.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use sockowner_wire::mib::{Detail, Layout, Row, Side, linux_state};

use super::buffer::filled;
use super::door::{Door, Table};
use super::{System, Told};
use crate::sys::{Scope, Sockets};
use crate::{
    Address, Endpoint, Error, ErrorKind, Family, Gap, GapReason, Interface, Protocol, Result, RowOwner,
    Socket, State,
};

/// Room for more than a thousand rows: under Wine each try takes long.
const FIRST: usize = 256 << 10;

impl<D: Door> System<D> {
    pub(crate) fn sockets(&self, scope: &Scope) -> Result<Sockets> {
        let mut sockets = Sockets::default();
        let mut failed = None;
        let mut read = 0;
        // Windows has no MPTCP.
        for &(protocol, family) in scope.tables.iter().filter(|(protocol, _)| *protocol != Protocol::Mptcp) {
            match self.table(protocol, family, scope, &mut sockets) {
                Ok(()) => read += 1,
                Err(error) => {
                    let reason = error.gap_reason();
                    sockets.gaps.push(Gap::new("iphlpapi", name_of((protocol, family)), reason, 1));
                    failed.get_or_insert(error);
                }
            }
        }
        match failed {
            Some(error) if read == 0 => Err(error),
            _ => Ok(sockets),
        }
    }

    fn table(&self, protocol: Protocol, family: Family, scope: &Scope, into: &mut Sockets) -> Result<()> {
        let context = || format!("read the {protocol} {family} sockets");
        let table = Table { tcp: protocol == Protocol::Tcp, v6: family == Family::Ipv6 };
        let (mut rows, mut listed_at) = self.rows(table).map_err(|error| error.context(context()))?;
        // One socket twice, or two of one name: the former hardly happens again.
        if self.door.is_wine()
            && twins(&rows) > 0
            && let Ok((again, then)) = self.rows(table)
            && twins(&again) < twins(&rows)
        {
            (rows, listed_at) = (again, then);
        }
        let mut unknown = 0;
        for row in rows {
            match socket(protocol, &row, listed_at) {
                Some(socket) => into.list.extend(scope.takes(&socket.endpoint).then_some(socket)),
                None => unknown += 1,
            }
        }
        if unknown > 0 {
            let object = format!("{protocol} {family} rows");
            into.gaps.push(Gap::new("iphlpapi", object, GapReason::Malformed, unknown));
        }
        Ok(())
    }

    /// The rows of a table, and when it was asked for.
    fn rows(&self, table: Table) -> Result<(Vec<Row>, u64)> {
        let listed_at = self.door.now();
        let filled = filled(FIRST, |buffer| self.door.table(table, buffer)).map_err(|error| {
            let is_old = error.kind() == io::ErrorKind::Unsupported;
            let error = Error::io("ask iphlpapi for its table", error);
            if is_old { error.with_kind(ErrorKind::Unsupported) } else { error }
        })?;
        let layout = Layout { tcp: table.tcp, v6: table.v6, detail: Detail::Module };
        let rows = layout.rows(filled.bytes());
        let rows = rows.map_err(|malformed| Error::new(ErrorKind::Malformed, malformed.to_string()))?;
        Ok((if self.door.is_wine() { of_wine(rows) } else { rows.collect() }, listed_at))
    }
}

/// What a table is called in gaps.
pub(super) fn name_of((protocol, family): (Protocol, Family)) -> String {
    format!("{protocol} {family}")
}

/// Wine reads its tables from Linux in pieces, while sockets come and go, so one can be there twice. A connection is told
/// once: no other has its addresses. And its rows tell numbers for zones that are no interface's.
fn of_wine(rows: impl Iterator<Item = Row>) -> Vec<Row> {
    let without_zone = |side: Side| Side { scope: 0, ..side };
    let mut connections = BTreeSet::new();
    rows.map(|row| Row { local: without_zone(row.local), remote: without_zone(row.remote), ..row })
        .filter(|row| row.remote.port == 0 || connections.insert(name(row)))
        .collect()
}

/// How many rows have a name that another one has before them.
fn twins(rows: &[Row]) -> usize {
    rows.len() - rows.iter().map(name).collect::<BTreeSet<_>>().len()
}

fn name(row: &Row) -> [(IpAddr, u16); 2] {
    [&row.local, &row.remote].map(|side| (side.ip, side.port))
}

impl Scope {
    fn takes(&self, endpoint: &Endpoint) -> bool {
        let is_port = |asked: u16, port: u16| asked == 0 || asked == port;
        (self.states.is_empty() || self.states.contains(&endpoint.state))
            && is_port(self.local_port, endpoint.local.port)
            && is_port(self.remote_port, endpoint.remote.map_or(0, |remote| remote.port))
    }
}

/// The socket of a row; `None` for a state that has no name anywhere.
fn socket(protocol: Protocol, row: &Row, listed_at: u64) -> Option<Socket> {
    let state = match protocol {
        Protocol::Udp => State::UNCONNECTED,
        // Windows has no other that is listed.
        Protocol::Tcp | Protocol::Mptcp => State::from_linux(linux_state(row.state)?),
    };
    let has_peer = protocol == Protocol::Tcp && !matches!(state, State::LISTEN | State::BOUND);
    let local = address(&row.local);
    let remote = has_peer.then(|| address(&row.remote));
    Some(Socket {
        endpoint: Endpoint::new(protocol, state, local, remote),
        interface: local.zone,
        netns: None,
        inode: 0,
        cookie: 0,
        uid: None,
        cgroup: None,
        v6only: None,
        is_subflow: false,
        told: Told {
            row: RowOwner { pid: row.pid, bound_at: row.created, flags: row.flags, info: row.info },
            listed_at,
        },
    })
}

/// Only of a link-local address the scope is an interface: Wine has another number there for others.
fn address(side: &Side) -> Address {
    let is_link_local = matches!(side.ip, IpAddr::V6(ip) if ip.is_unicast_link_local() || ip.is_multicast());
    let zone = (side.scope != 0 && is_link_local).then(|| Interface::new(side.scope, None));
    Address { zone, ..Address::new(side.ip, side.port) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ip: &str, scope: u32, state: u32) -> Row {
        let side = Side { ip: ip.parse().unwrap(), scope, port: 80 };
        Row { local: side, remote: side, state, pid: 4, created: 5, flags: 1, info: [6; 16] }
    }

    #[test]
    fn only_a_link_local_address_has_an_interface() {
        let zone = |ip| socket(Protocol::Udp, &row(ip, 7, 0), 9).unwrap().endpoint.local.zone;
        assert_eq!(zone("fe80::1"), Some(Interface::new(7, None)));
        assert_eq!((zone("::1"), zone("::"), zone("2001:db8::1")), (None, None, None));
    }

    #[test]
    fn a_row_keeps_what_it_says_of_its_owner_and_a_listener_has_no_peer() {
        let listener = socket(Protocol::Tcp, &row("127.0.0.1", 0, 2), 9).unwrap();
        assert_eq!((listener.endpoint.state, listener.endpoint.remote), (State::LISTEN, None));
        assert_eq!(listener.told.row, RowOwner { pid: 4, bound_at: 5, flags: 1, info: [6; 16] });
        assert_eq!(listener.told.listed_at, 9);
        let later = socket(Protocol::Tcp, &row("127.0.0.1", 0, 2), 10).unwrap();
        assert_eq!(listener, later, "the same socket, listed twice");
        let connection = socket(Protocol::Tcp, &row("127.0.0.1", 0, 5), 9).unwrap();
        assert_eq!(connection.endpoint.remote, Some(connection.endpoint.local));
        assert_eq!(socket(Protocol::Tcp, &row("127.0.0.1", 0, 99), 9), None, "no state has this number");
    }

    #[test]
    fn a_scope_takes_by_state_and_by_either_port() {
        let endpoint = socket(Protocol::Tcp, &row("127.0.0.1", 0, 2), 9).unwrap().endpoint;
        let takes = |state, local_port, remote_port| {
            Scope { states: vec![state], local_port, remote_port, ..Scope::default() }.takes(&endpoint)
        };
        assert!(takes(State::LISTEN, 0, 0) && takes(State::LISTEN, 80, 0));
        assert!(!takes(State::ESTABLISHED, 0, 0));
        assert!(!takes(State::LISTEN, 81, 0) && !takes(State::LISTEN, 0, 80));
    }
}
