//! One connection, and what is recorded of it: no process is looked at.

use std::collections::BTreeSet;
use std::slice;

use super::System;
use super::attribute::Places;
use super::door::Door;
use super::recorded;
use crate::sys::Scope;
use crate::{Address, Error, ErrorKind, Family, Protocol, Record, Result, Socket, State};

/// The states of connections. A socket that was reset keeps its addresses, and is none.
const CONNECTED: [State; 9] = [
    State::ESTABLISHED,
    State::SYN_SENT,
    State::SYN_RECV,
    State::FIN_WAIT1,
    State::FIN_WAIT2,
    State::TIME_WAIT,
    State::CLOSE_WAIT,
    State::LAST_ACK,
    State::CLOSING,
];

impl<D: Door> System<D> {
    /// The connection with exactly these addresses, and what is recorded of it.
    pub(crate) fn recorded(&self, local: Address, remote: Address) -> Result<Option<(Socket, Record)>> {
        let Some(socket) = self.one_connection(local, remote)? else { return Ok(None) };
        let mut gaps = Vec::new();
        let record = self.recorder.read_one(&self.door, &socket, &mut gaps);
        if let Some(gap) = gaps.first() {
            let what = format!("read what is recorded of {}: {}", socket.endpoint, gap.object);
            return Err(Error::new(ErrorKind::System, format!("{what}: {}", gap.reason)));
        }
        let mut record = record.unwrap_or_default();
        let ids: BTreeSet<_> = recorded::cgroup_ids(slice::from_ref(&record)).collect();
        let places = Places::new(self.cgroups.former_paths(&self.door, ids));
        places.name_roles(&mut record);
        Ok(Some((socket, record)))
    }

    /// The connection with exactly these addresses, whatever interface it is bound to where none is told.
    fn one_connection(&self, local: Address, remote: Address) -> Result<Option<Socket>> {
        let zone = local.zone.or(remote.zone);
        let found = self.exact_connection(local, remote)?;
        if found.is_some() || zone.is_some() {
            return Ok(found);
        }
        // A lookup without an interface does not reach what is bound to one.
        let listed = self.sockets(&Scope {
            tables: Family::ALL.map(|family| (Protocol::Tcp, family)).to_vec(),
            states: CONNECTED.to_vec(),
            local_port: local.port,
            remote_port: remote.port,
        })?;
        let is_same = |one: Address, other: Address| {
            (one.ip.to_canonical(), one.port) == (other.ip.to_canonical(), other.port)
        };
        let mut found = listed.list.into_iter().filter(|socket| {
            is_same(socket.endpoint.local, local)
                && socket.endpoint.remote.is_some_and(|address| is_same(address, remote))
        });
        let what = || format!("look up tcp {local},{remote}");
        match (found.next(), found.next(), listed.gaps.first()) {
            (None, _, Some(gap)) => {
                let why = format!("{}: {}: {}", what(), gap.object, gap.reason);
                Err(Error::new(ErrorKind::System, why))
            }
            (_, Some(_), _) => {
                let why = "there is one on each of several interfaces, and no address has a zone";
                Err(Error::new(ErrorKind::InvalidInput, format!("{}: {why}", what())))
            }
            (found, None, _) => Ok(found),
        }
    }
}
