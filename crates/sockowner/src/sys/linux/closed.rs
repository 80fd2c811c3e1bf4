//! Closed sockets, as far as a recorder keeps them: who had each last.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::System;
use super::attribute::Places;
use super::cgroup::Named;
use super::door::Door;
use super::record_ask::{self, Closed};
use super::recorded::{self, FormerOwners};
use super::users::Users;
use crate::{
    Attribution, Entry, Gap, GapReason, Pattern, Reason, Record, Recorded, Result, RoleKind, RoleReason,
    Socket,
};

impl<D: Door> System<D> {
    /// Inode number of the network namespace that it belongs to.
    pub(crate) fn netns(&self) -> Option<u64> {
        self.diag.netns()
    }

    /// The closed sockets that `pattern` names, the last closed first; `None`: nothing is recorded.
    pub(crate) fn closed(&self, pattern: &Pattern) -> Result<Option<(Vec<Entry>, Vec<Gap>)>> {
        let Some(Closed { sockets, withheld }) = record_ask::closed(pattern)? else { return Ok(None) };
        let (entries, mut gaps) = self.former(sockets);
        if withheld {
            gaps.push(Gap::new("record", "closed sockets", GapReason::NotPermitted, 1));
        }
        Ok(Some((entries, gaps)))
    }

    /// One entry for each socket that had a name, in order.
    fn former(&self, sockets: Vec<Recorded>) -> (Vec<Entry>, Vec<Gap>) {
        let mut gaps = Vec::new();
        let sockets = sockets.into_iter().filter_map(|known| Some((socket(&known)?, known)));
        let (sockets, records): (Vec<_>, Vec<_>) =
            sockets.map(|(socket, known)| (socket, Record::Known(Box::new(known)))).unzip();
        let mut ids: BTreeSet<_> = recorded::cgroup_ids(&records).collect();
        ids.extend(sockets.iter().filter_map(|socket| socket.cgroup));
        let places = Places::new(self.cgroups.paths(&self.door, ids, &BTreeSet::new(), &mut gaps));
        let users = Users::new(&self.door);
        let mut owners = FormerOwners::new(self, self.proc.as_ref().ok(), &users);
        let entry = |(socket, mut record): (Socket, Record)| {
            places.name_roles(&mut record);
            let attribution = match owners.of(&record) {
                Some(owner) => Attribution::Recorded(owner),
                None => Attribution::Unattributed(reason(&record)),
            };
            let Named { service, container } = places.named(socket.cgroup);
            Entry {
                user: None,
                cgroup: places.cgroup(&socket),
                service,
                container,
                attribution,
                candidates: Arc::default(),
                record,
                netns_name: self.name_of(socket.netns),
                matched: None,
                changed: false,
                socket,
            }
        };
        let entries = sockets.into_iter().zip(records).map(entry).collect();
        gaps.extend(users.gaps());
        (entries, gaps)
    }
}

/// What the kernel would tell of it if it were still there.
fn socket(known: &Recorded) -> Option<Socket> {
    Some(Socket {
        endpoint: known.endpoint?,
        interface: None,
        netns: Some(known.netns),
        inode: 0,
        cookie: known.cookie,
        uid: None,
        cgroup: known.cgroup,
        v6only: None,
        is_subflow: false,
        told: (),
    })
}

/// Why nobody is named.
fn reason(record: &Record) -> Reason {
    let is_withheld =
        |kind| record.known().is_some_and(|known| known.roles.reason(kind) == Some(RoleReason::NotPermitted));
    if is_withheld(RoleKind::Acceptor) || is_withheld(RoleKind::Binder) {
        Reason::NotPermitted
    } else {
        Reason::NoHolder
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, World};
    use super::super::tests::OPTIONS;
    use super::*;
    use crate::roles::Lived;
    use crate::{
        Address, Endpoint, Evidence, Protocol, RecordedProcess, Role, RoleEvidence, Roles, StartTime, State,
    };

    fn role(pid: u32, cgroup: u64) -> Role {
        Role {
            process: Arc::new(RecordedProcess {
                pid: Some(pid),
                start: StartTime { ticks: 1, time: None },
                name: "client".into(),
                comm: "client".into(),
                path: None,
                deleted: false,
                file: None,
                uid: 0,
                effective_uid: 0,
                saved_uid: 0,
                dumpable: true,
                cgroup,
                kernel_thread: false,
                lived: Lived::default(),
            }),
            tid: None,
            time: None,
            evidence: RoleEvidence::Call,
            implicit: false,
            service: None,
            container: None,
            component: None,
        }
    }

    fn closed(cookie: u64, port: Option<u16>, roles: Roles) -> Recorded {
        let endpoint = |port| {
            let local = Address::new([127, 0, 0, 1].into(), port);
            Endpoint::new(Protocol::Tcp, State::CLOSE, local, None)
        };
        Recorded {
            cookie,
            protocol: Protocol::Tcp,
            netns: 7,
            created_at: None,
            closed_at: None,
            endpoint: port.map(endpoint),
            cgroup: roles.creator.as_ref().map(|role| role.process.cgroup),
            roles,
        }
    }

    fn former(sockets: Vec<Recorded>) -> Vec<Entry> {
        let mut world = World::new();
        world.cgroup("/system.slice/daemon.service", 77, &[]);
        let system = System::open_with(Fake::new(world), OPTIONS).unwrap();
        let (entries, gaps) = system.former(sockets);
        assert_eq!(gaps, []);
        entries
    }

    #[test]
    fn who_had_it_last_and_where_is_told_in_the_order_given() {
        let roles = Roles { creator: Some(role(50, 77)), binder: Some(role(51, 77)), ..Roles::default() };
        let entries = former(vec![closed(9, Some(80), roles), closed(8, None, Roles::default()), {
            closed(3, Some(81), Roles { creator: Some(role(50, 78)), ..Roles::default() })
        }]);
        let cookies: Vec<_> = entries.iter().map(|entry| entry.socket.cookie).collect();
        assert_eq!(cookies, [9, 3], "what never had a name has none to be found by");
        let [one, other] = &entries[..] else { panic!("{entries:?}") };
        let (owner, evidence) = one.attribution.primary_owner().unwrap();
        assert_eq!((owner.pid, evidence, one.attribution.has_exited()), (51, Evidence::Recorded, true));
        let service = one.service.as_ref().unwrap();
        assert_eq!((service.name.as_str(), one.socket.inode), ("daemon.service", 0));
        let creator = one.record.role(RoleKind::Creator).unwrap();
        assert_eq!(creator.service.as_ref(), Some(service));
        assert_eq!((one.socket.netns, one.socket.uid), (Some(7), None));
        // Its cgroup is gone, and nobody is known to have bound it.
        assert_eq!((&other.service, other.attribution.reason()), (&None, Some(Reason::NoHolder)));
        assert_eq!(other.cgroup.as_ref().map(|cgroup| (cgroup.id, &cgroup.path)), Some((78, &None)));
    }

    #[test]
    fn what_may_not_be_told_is_no_absence() {
        for kind in RoleKind::ALL {
            let roles = Roles { missing: vec![(kind, RoleReason::NotPermitted)], ..Roles::default() };
            let expected = match kind {
                RoleKind::Acceptor | RoleKind::Binder => Reason::NotPermitted,
                _ => Reason::NoHolder,
            };
            assert_eq!(former(vec![closed(1, Some(80), roles)])[0].attribution.reason(), Some(expected));
        }
    }
}
