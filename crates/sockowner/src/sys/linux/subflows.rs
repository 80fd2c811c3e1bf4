//! MPTCP sockets and the TCP sockets below them.
//!
//! Source: `net/mptcp/mptcp_diag.c`. A subflow has the inode number of its MPTCP socket (`net/mptcp/subflow.c`), whoever asks;
//! one that nobody accepted yet has none.

use std::collections::BTreeSet;

use sockowner_wire::inet_diag::{AF_INET, AF_INET6, IPPROTO_MPTCP, Request};

use super::System;
use super::diag::Diag;
use super::door::Door;
use super::sockets::gap_reason;
use crate::sys::{Scope, Sockets};
use crate::{Error, ErrorKind, Family, Gap, Protocol, Result, Socket};

impl<D: Door> System<D> {
    /// There are no MPTCP sockets, as the kernel has no MPTCP: it is not for want of a way to ask.
    pub(super) fn lacks_mptcp(&self, error: &Error) -> bool {
        matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported)
            && self
                .door
                .stat_root(b"/proc/sys/net/mptcp")
                .is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    }

    /// Says of each TCP socket whether it is below an MPTCP socket, where both were asked for.
    pub(super) fn link_subflows(&self, diag: &Diag<D>, scope: &Scope, sockets: &mut Sockets) {
        let has = |protocol| scope.tables.iter().any(|(asked, _)| *asked == protocol);
        let is_open = |socket: &Socket| socket.endpoint.protocol == Protocol::Tcp && socket.inode != 0;
        // That they could not be told is a gap already.
        let failed = sockets.gaps.iter().any(|gap| gap.object.starts_with(Protocol::Mptcp.as_str()));
        if !has(Protocol::Mptcp) || failed || !sockets.list.iter().any(is_open) {
            return;
        }
        let families = |(protocol, family): &(_, _)| (*protocol == Protocol::Mptcp).then_some(*family);
        let asked: Vec<_> = scope.tables.iter().filter_map(families).collect();
        let are_all_told = Family::ALL.iter().all(|family| asked.contains(family))
            && scope.states.is_empty()
            && (scope.local_port, scope.remote_port) == (0, 0);
        let inodes: BTreeSet<_> = if are_all_told {
            let own = sockets.list.iter().filter(|socket| socket.endpoint.protocol == Protocol::Mptcp);
            own.map(|socket| socket.inode).collect()
        } else {
            // Ports and states may be others than the subflow's.
            match self.mptcp_sockets(diag) {
                Ok(inodes) => inodes,
                Err(error) if self.lacks_mptcp(&error) => return,
                Err(error) => {
                    return sockets.gaps.push(Gap::new("sock_diag", "mptcp", gap_reason(&error), 1));
                }
            }
        };
        for socket in sockets.list.iter_mut().filter(|socket| is_open(socket)) {
            socket.is_subflow = inodes.contains(&socket.inode);
        }
    }

    /// Inode numbers of MPTCP sockets.
    fn mptcp_sockets(&self, diag: &Diag<D>) -> Result<BTreeSet<u64>> {
        let mut inodes = BTreeSet::new();
        for family in [AF_INET, AF_INET6] {
            let (protocol, states) = (IPPROTO_MPTCP, u32::MAX);
            let request =
                Request::Dump { family, protocol, states, local_port: 0, remote_port: 0, half: None };
            let dump = diag.dump(&self.door, &request, 0, |row| u64::from(row.inode))?;
            inodes.extend(dump.rows);
        }
        Ok(inodes)
    }
}

#[cfg(test)]
mod tests {
    use sockowner_wire::inet_diag::{IPPROTO_TCP, IPPROTO_UDP, Row};

    use super::super::fake::{Fake, FakeProcess, World, sock};
    use super::super::tests::{OPTIONS, all, holders, row, small, snapshot};
    use super::*;
    use crate::sys::Search;
    use crate::{Entry, GapReason, Reason};

    const CONNECTED: u8 = 1;

    /// A listener of MPTCP and two connections that it accepted, with one cookie as the kernel gives it them; each has a
    /// subflow, the last a second one from another port. Three processes hold them.
    fn multipath() -> World {
        let mut world = small();
        let peer = |text: &str| text.parse().unwrap();
        let whole = |inode| Row { cookie: 4711, ..row("10.0.0.1:443", inode) };
        let one = Row { state: CONNECTED, remote: peer("10.0.0.9:5001"), ..whole(21) };
        let other = Row { state: CONNECTED, remote: peer("10.0.0.9:5002"), ..whole(22) };
        let waits = Row { state: CONNECTED, remote: peer("10.0.0.9:5003"), ..whole(0) };
        world.rows.extend([whole(20), one, other, waits].map(|row| (IPPROTO_MPTCP, row)));
        let second = Row { local: peer("10.0.0.2:7777"), cookie: 99, ..other };
        let below = [(whole(20), 90), (one, 91), (other, 92), (waits, 93), (second, 94)];
        world.rows.extend(below.map(|(row, cookie)| (IPPROTO_TCP, Row { cookie, ..row })));
        for (pid, inode) in [(500, 20), (501, 21), (502, 22)] {
            world.process(FakeProcess { pid, fds: vec![(3, sock(inode))], ..FakeProcess::default() });
        }
        world
    }

    fn of(entries: &[Entry], protocol: Protocol, inode: u64) -> Vec<&Entry> {
        let is_it = |e: &&Entry| e.socket.endpoint.protocol == protocol && e.socket.inode == inode;
        entries.iter().filter(is_it).collect()
    }

    #[test]
    fn mptcp_sockets_with_one_cookie_are_told_apart() {
        for iterates in [false, true] {
            let (entries, gaps) = snapshot(Fake::new(World { iterates, ..multipath() })).unwrap();
            assert_eq!(gaps, []);
            assert_eq!(of(&entries, Protocol::Mptcp, 0)[0].attribution.reason(), Some(Reason::NoHolder));
            for (pid, inode, subflows) in [(500, 20, 1), (501, 21, 1), (502, 22, 2)] {
                let [whole] = of(&entries, Protocol::Mptcp, inode)[..] else { panic!("{entries:?}") };
                assert_eq!(holders(whole), [(pid, pid, 3)]);
                assert!(!whole.socket.is_subflow);
                let below = of(&entries, Protocol::Tcp, inode);
                assert_eq!(below.len(), subflows);
                for entry in below {
                    assert!(entry.socket.is_subflow);
                    assert_eq!(holders(entry), [(pid, pid, 3)]);
                }
            }
            assert!(!of(&entries, Protocol::Tcp, 10)[0].socket.is_subflow);
            // Each is found again by what it is.
            let system = System::open_with(Fake::new(multipath()), OPTIONS).unwrap();
            for entry in &entries {
                let again = system.attribute(vec![entry.socket.clone()], Search::Nearest, None).unwrap().0;
                assert_eq!(again[0].socket, entry.socket);
                assert_eq!(holders(&again[0]), holders(entry));
            }
        }
    }

    #[test]
    fn an_accepted_one_that_is_closed_is_not_its_listener() {
        let (entries, _) = snapshot(Fake::new(multipath())).unwrap();
        let old = of(&entries, Protocol::Mptcp, 21)[0].socket.clone();
        let mut world = multipath();
        world.rows.retain(|(_, row)| row.inode != 21);
        let system = System::open_with(Fake::new(world), OPTIONS).unwrap();
        let again = system.attribute(vec![old], Search::Nearest, None).unwrap().0;
        assert_eq!(again[0].attribution.reason(), Some(Reason::Gone));
    }

    #[test]
    fn subflows_are_told_where_both_protocols_are_asked_for() {
        let system = System::open_with(Fake::new(multipath()), OPTIONS).unwrap();
        let told = |scope: &Scope| {
            let listed = system.sockets(scope).unwrap().list;
            listed.iter().filter(|socket| socket.is_subflow).count()
        };
        assert_eq!(told(&all()), 4);
        // The MPTCP socket has another port.
        assert_eq!(told(&Scope { local_port: 7777, ..all() }), 1);
        let tables = Family::ALL.map(|family| (Protocol::Tcp, family)).to_vec();
        assert_eq!(told(&Scope { tables, ..Scope::default() }), 0);
    }

    #[test]
    fn a_kernel_without_mptcp_lacks_nothing() {
        let without = World { unknown: vec![IPPROTO_MPTCP], ..small() };
        let (entries, gaps) = snapshot(Fake::new(without.clone())).unwrap();
        assert_eq!((entries.len(), gaps), (1, Vec::new()));
        // Where there is MPTCP, and no way to ask for it, its sockets are missing.
        let mut world = without;
        world.dir("/proc/sys/net/mptcp", 60, 0);
        let (entries, gaps) = snapshot(Fake::new(world)).unwrap();
        assert_eq!(entries.len(), 1);
        let told: Vec<_> = gaps.iter().map(|gap| (gap.source, &*gap.object, gap.reason)).collect();
        let reason = GapReason::Unsupported;
        assert_eq!(told, [("sock_diag", "mptcp ipv4", reason), ("sock_diag", "mptcp ipv6", reason)]);
        // Another protocol that is missing is never passed over.
        let (_, gaps) = snapshot(Fake::new(World { unknown: vec![IPPROTO_UDP], ..small() })).unwrap();
        assert_eq!(gaps.len(), 2);
    }
}
