//! Who owns a socket where the owner is who made it what it is, not who has it; and what can be named for him.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::System;
use super::door::Door;
use super::process::DELETED;
use super::recorded::{FormerOwners, Recorder};
use super::users::Users;
use crate::{
    Address, Endpoint, Entry, Identity, Owning, Process, Protocol, RecordedProcess, Roles, Socket, State,
};

impl<D: Door> System<D> {
    /// One for each entry, in order.
    pub(crate) fn owning(&self, entries: &[Entry]) -> Vec<Option<Owning>> {
        let users = Users::new(&self.door);
        let mut living = FormerOwners::new(self, self.proc.as_ref().ok(), &users);
        let mut caller = |entry: &Entry| {
            let (kind, role) = entry.record.known()?.roles.caller()?;
            let is_same = |process: &Process| is(process, &role.process);
            let mut holders = entry.attribution.holders().iter().map(|holder| &holder.process);
            let process = match holders.find(|process| is_same(process)) {
                Some(holder) => Arc::clone(holder),
                None => living.of(&entry.record).filter(|owner| owner.role == kind && !owner.exited)?.process,
            };
            let component = role.component.as_deref().is_some_and(|it| it.is_proved_library(&role.process));
            Some(Owning { process, caller: Some(kind), component })
        };
        let owning = |entry: &Entry| {
            caller(entry).or_else(|| {
                let (process, _) = entry.attribution.primary_owner()?;
                let process = Arc::clone(process);
                let is_there = !entry.attribution.has_exited();
                is_there.then_some(Owning { process, caller: None, component: false })
            })
        };
        entries.iter().map(owning).collect()
    }
}

fn is(process: &Process, recorded: &RecordedProcess) -> bool {
    recorded.pid == Some(process.pid) && recorded.start.ticks == process.start.ticks
}

/// The library that made the call by which the socket of `identity` came to be what it is: if this process, which started
/// then, made it, and its executable, by this name, did not. One look at what is recorded now.
pub(super) fn component<D: Door>(
    door: &D,
    identity: &Identity,
    start_ticks: u64,
    exe: &[u8],
) -> Option<PathBuf> {
    let socket = socket(identity.component_of?);
    let record = Recorder::default().read(door, &[socket], &mut Vec::new()).pop()?;
    library(&record.known()?.roles, identity.pid, start_ticks, exe)
}

fn library(roles: &Roles, pid: u32, start_ticks: u64, exe: &[u8]) -> Option<PathBuf> {
    let (_, role) = roles.caller()?;
    let process = &role.process;
    let component = role.component.as_deref()?;
    let is_him = process.pid == Some(pid) && process.start.ticks == start_ticks;
    if !is_him || !component.is_proved_library(process) {
        return None;
    }
    let path = component.path.as_ref()?;
    let bytes = path.as_os_str().as_bytes();
    let is_executable = bytes == exe || exe.strip_suffix(DELETED) == Some(bytes);
    (!is_executable).then(|| path.clone())
}

/// As much of a socket as its record is found by.
fn socket(cookie: u64) -> Socket {
    let nowhere = Address::new([0; 4].into(), 0);
    Socket {
        endpoint: Endpoint::new(Protocol::Tcp, State::CLOSE, nowhere, None),
        interface: None,
        netns: None,
        inode: 0,
        cookie,
        uid: None,
        cgroup: None,
        v6only: None,
        is_subflow: false,
        told: (),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, FakeProcess, World};
    use super::super::tests::OPTIONS;
    use super::*;
    use crate::roles::Lived;
    use crate::{
        Attribution, Component, ComponentEvidence, Holder, Holders, Reach, Reason, Record, Recorded, Role,
        RoleEvidence, RoleKind, StartTime,
    };

    const TICKS: u64 = 1000;
    /// Its length in nanoseconds.
    const TICK: u64 = 10_000_000;

    fn libnio() -> Component {
        let mut component = Component::new("libnio.so", ComponentEvidence::Cfi);
        component.path = Some("/lib/libnio.so".into());
        component
    }

    fn role(evidence: RoleEvidence, pid: u32, component: Option<Component>) -> Role {
        Role {
            process: Arc::new(RecordedProcess {
                pid: Some(pid),
                start: StartTime { ticks: TICKS, time: None },
                name: "java".into(),
                comm: "java".into(),
                path: Some("/usr/bin/java".into()),
                deleted: false,
                file: None,
                uid: 0,
                effective_uid: 0,
                saved_uid: 0,
                dumpable: true,
                cgroup: 9,
                kernel_thread: false,
                lived: Lived { from: TICKS * TICK, until: (TICKS + 1) * TICK },
            }),
            tid: None,
            time: None,
            evidence,
            implicit: false,
            service: None,
            container: None,
            component: component.map(Arc::new),
        }
    }

    fn bound(evidence: RoleEvidence, pid: u32) -> Roles {
        Roles { binder: Some(role(evidence, pid, Some(libnio()))), ..Roles::default() }
    }

    fn entry(roles: Roles, attribution: Attribution) -> Entry {
        let record = Record::Known(Box::new(Recorded {
            cookie: 1,
            protocol: Protocol::Tcp,
            netns: 1,
            created_at: None,
            closed_at: None,
            endpoint: None,
            cgroup: None,
            roles,
        }));
        Entry {
            socket: Socket { inode: 5, ..socket(1) },
            user: None,
            cgroup: None,
            service: None,
            container: None,
            attribution,
            candidates: Arc::default(),
            record,
            netns_name: None,
            matched: None,
            changed: false,
        }
    }

    /// By processes with these numbers that started then.
    fn held(by: &[(u32, u64)]) -> Attribution {
        let holder = |&(pid, ticks): &(u32, u64)| Holder {
            process: crate::attribution::tests::process(pid, ticks, 1),
            tid: pid,
            fd: 3,
        };
        Attribution::Held(Holders::new(by.iter().map(holder), Reach::Host).unwrap())
    }

    /// On a machine where processes 50 and 51 live.
    fn owning(entry: Entry) -> Option<(u32, Option<RoleKind>, bool)> {
        let mut world = World::new();
        for pid in [50, 51] {
            world.process(FakeProcess { pid, start: TICKS, ..FakeProcess::default() });
        }
        let system = System::open_with(Fake::new(world), OPTIONS).unwrap();
        let found = system.owning(&[entry]).pop().unwrap()?;
        Some((found.process.pid, found.caller, found.component))
    }

    const BOUND: Option<RoleKind> = Some(RoleKind::Binder);

    #[test]
    fn who_bound_it_owns_it_while_he_lives() {
        let bound_by = |pid, held| owning(entry(bound(RoleEvidence::Call, pid), held));
        assert_eq!(bound_by(50, held(&[(50, TICKS)])), Some((50, BOUND, true)));
        assert_eq!(bound_by(50, held(&[(40, 1), (50, TICKS)])), Some((50, BOUND, true)), "not the earliest");
        assert_eq!(bound_by(50, held(&[(51, TICKS)])), Some((50, BOUND, true)), "he lives, and passed it on");
        assert_eq!(bound_by(49, held(&[(51, TICKS)])), Some((51, None, false)), "he has ended");
        let unseen = Attribution::Unattributed(Reason::NotPermitted);
        assert_eq!(bound_by(50, unseen.clone()), Some((50, BOUND, true)));
        assert_eq!(bound_by(49, unseen), None);
    }

    #[test]
    fn another_with_his_number_is_not_he() {
        let later = held(&[(50, TICKS + 1)]);
        let mut world = World::new();
        world.process(FakeProcess { pid: 50, start: TICKS + 1, ..FakeProcess::default() });
        let system = System::open_with(Fake::new(world), OPTIONS).unwrap();
        let found = system.owning(&[entry(bound(RoleEvidence::Call, 50), later)]).pop().unwrap().unwrap();
        assert_eq!((found.process.start.ticks, found.caller, found.component), (TICKS + 1, None, false));
    }

    #[test]
    fn who_accepted_it_goes_before_who_bound_it_and_none_but_a_call_counts() {
        let of = |evidence| {
            let acceptor = Some(role(evidence, 51, None));
            owning(entry(Roles { acceptor, ..bound(RoleEvidence::Call, 50) }, held(&[(60, 1)])))
        };
        assert_eq!(of(RoleEvidence::Call), Some((51, Some(RoleKind::Acceptor), false)));
        for evidence in [RoleEvidence::FirstUser, RoleEvidence::Closer, RoleEvidence::Inherited] {
            assert_eq!(of(evidence), Some((60, None, false)), "{evidence}");
        }
        let inherited = entry(bound(RoleEvidence::Inherited, 50), held(&[(60, 1)]));
        assert_eq!(owning(inherited), Some((60, None, false)));
        assert_eq!(owning(entry(Roles::default(), held(&[(60, 1)]))), Some((60, None, false)));
    }

    #[test]
    fn a_proved_library_of_his_own_call_is_named() {
        let of = |component: Component, exe: &str| {
            let binder = Some(role(RoleEvidence::Call, 50, Some(component)));
            let roles = Roles { binder, ..Roles::default() };
            library(&roles, 50, TICKS, exe.as_bytes())
        };
        assert_eq!(of(libnio(), "/usr/bin/java"), Some("/lib/libnio.so".into()));
        assert_eq!(
            of(libnio(), "/usr/bin/later"),
            Some("/lib/libnio.so".into()),
            "it executed something since"
        );
        for exe in ["/lib/libnio.so", "/lib/libnio.so (deleted)"] {
            assert_eq!(of(libnio(), exe), None, "{exe}");
        }
        for evidence in [
            ComponentEvidence::CallTarget,
            ComponentEvidence::CfiIndirect,
            ComponentEvidence::ReturnAddress,
            ComponentEvidence::ExecutableOnly,
        ] {
            assert_eq!(of(Component { evidence, ..libnio() }, "/usr/bin/java"), None, "{evidence}");
        }
        assert_eq!(of(Component { generated: true, ..libnio() }, "/usr/bin/java"), None);
        assert_eq!(of(Component { path: None, ..libnio() }, "/usr/bin/java"), None);
        let own = Component { path: Some("/usr/bin/java".into()), ..libnio() };
        assert_eq!(of(own, "/usr/bin/later"), None, "what it ran then was no library");
        let roles = bound(RoleEvidence::Call, 50);
        assert_eq!(library(&roles, 51, TICKS, b""), None, "another process");
        assert_eq!(library(&roles, 50, TICKS + 1, b""), None, "another with its number");
        assert_eq!(library(&bound(RoleEvidence::Inherited, 50), 50, TICKS, b""), None);
        let without = Roles { binder: Some(role(RoleEvidence::Call, 50, None)), ..Roles::default() };
        assert_eq!(library(&without, 50, TICKS, b""), None);
    }
}
