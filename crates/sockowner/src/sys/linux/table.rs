//! The tables of sock_diag: protocols, families and states as the kernel numbers them.

use std::fmt;

use sockowner_wire::inet_diag::{AF_INET, AF_INET6, IPPROTO_MPTCP, IPPROTO_TCP, IPPROTO_UDP};

use crate::sys::Scope;
use crate::{Family, Protocol, State};

/// `TCP_CLOSE`. UDP counts an unconnected socket as closed, TCP one that is bound and nothing more: the number 13 of
/// `TCP_BOUND_INACTIVE` stands in requests alone.
const CLOSED: u8 = 7;
/// `TCPF_BOUND_INACTIVE`.
const BOUND: u32 = 1 << 13;

/// What one dump tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    pub(super) protocol: Protocol,
    /// `None` for both.
    pub(super) family: Option<Family>,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.family {
            Some(family) => write!(f, "{} {family}", self.protocol),
            None => write!(f, "{}", self.protocol),
        }
    }
}

/// The tables to read: both families of TCP are one.
pub(super) fn tables(scope: &Scope) -> Vec<Table> {
    let has = |family| scope.tables.contains(&(Protocol::Tcp, family));
    let both = Family::ALL.into_iter().all(has);
    let mut tables: Vec<_> = scope
        .tables
        .iter()
        .filter(|(protocol, _)| !(both && *protocol == Protocol::Tcp))
        .map(|&(protocol, family)| Table { protocol, family: Some(family) })
        .collect();
    if both {
        tables.insert(0, Table { protocol: Protocol::Tcp, family: None });
    }
    tables
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

pub(super) const fn family_number(family: Family) -> u8 {
    match family {
        Family::Ipv4 => AF_INET,
        Family::Ipv6 => AF_INET6,
    }
}

pub(super) const fn protocol_number(protocol: Protocol) -> u16 {
    match protocol {
        Protocol::Tcp => IPPROTO_TCP,
        Protocol::Udp => IPPROTO_UDP,
        Protocol::Mptcp => IPPROTO_MPTCP,
    }
}

/// One bit for each state, as the kernel numbers them for this protocol. Bits that an older kernel does not know it
/// ignores.
pub(super) fn state_bits(protocol: Protocol, states: &[State]) -> u32 {
    if states.is_empty() {
        return u32::MAX;
    }
    let number = |state: &State| match (protocol, *state) {
        (Protocol::Udp, State::UNCONNECTED) => Some(CLOSED),
        (Protocol::Udp, State::ESTABLISHED) => Some(State::ESTABLISHED.number()),
        (Protocol::Udp, _) | (_, State::UNCONNECTED) => None,
        // What is closed is listed while it is bound.
        (Protocol::Tcp, State::CLOSE) => Some(State::BOUND.number()),
        (_, state) => Some(state.number()),
    };
    states.iter().filter_map(number).filter(|&number| number < 32).fold(0, |bits, number| bits | 1 << number)
}

/// The states in `scope` as the kernel numbers them in the socket itself; 0 for all.
pub(super) fn states(scope: &Scope) -> u32 {
    if scope.states.is_empty() {
        return 0;
    }
    let bits = scope.tables.iter().map(|&(protocol, _)| state_bits(protocol, &scope.states));
    let bits = bits.fold(0, |all, bits| all | bits);
    // The number 13 is for requests alone.
    bits & !BOUND | u32::from(bits & BOUND != 0) << CLOSED
}
