//! Which endpoints a snapshot is to hold.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::{Attribution, Container, Endpoint, Entry, Family, Process, Protocol, Service, State};

/// Which endpoints a snapshot is to hold, and whether with owners. Empty means all.
///
/// Values of one kind are alternatives, different kinds must all be met:
/// `Filter::new().protocol(Protocol::Tcp).state(State::LISTEN).state(State::BOUND)`.
/// Protocol, family and state are asked of the kernel; the rest is compared afterwards, so that every holder of a
/// socket is found whichever of them was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    protocols: Vec<Protocol>,
    families: Vec<Family>,
    states: Vec<State>,
    pids: Vec<u32>,
    users: Vec<String>,
    units: Vec<String>,
    containers: Vec<String>,
    executables: Vec<OsString>,
    without_owners: bool,
    every_namespace: bool,
}

impl Filter {
    /// Every endpoint, with its owners.
    pub fn new() -> Self {
        Self::default()
    }

    /// This protocol.
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocols.push(protocol);
        self
    }

    /// This family.
    #[must_use]
    pub fn family(mut self, family: Family) -> Self {
        self.families.push(family);
        self
    }

    /// This state.
    #[must_use]
    pub fn state(mut self, state: State) -> Self {
        self.states.push(state);
        self
    }

    /// Whatever waits for others: listeners, and UDP sockets without a fixed peer.
    #[must_use]
    pub fn listening(self) -> Self {
        self.state(State::LISTEN).state(State::UNCONNECTED)
    }

    /// Held by this process.
    #[must_use]
    pub fn pid(mut self, pid: u32) -> Self {
        self.pids.push(pid);
        self
    }

    /// Whose socket, or a holder of it, belongs to this user: a name or a number. Windows: a name with or without its domain.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.users.push(user.into());
        self
    }

    /// Created in, or held by a process in, this unit. `ssh` stands for `ssh.service`, as for systemctl.
    /// Units of every manager match: look at [`Service::manager`] before trusting the name. Windows: a service's name.
    #[must_use]
    pub fn unit(mut self, unit: impl Into<String>) -> Self {
        const OTHER_TYPES: [&str; 9] =
            [".socket", ".scope", ".slice", ".timer", ".target", ".mount", ".path", ".device", ".swap"];
        let mut unit = unit.into();
        // Sockets are told by service; a unit of another type is looked for by its own name, and not found.
        if !cfg!(windows)
            && !unit.ends_with(".service")
            && !OTHER_TYPES.iter().any(|other| unit.ends_with(other))
        {
            unit.push_str(".service");
        }
        self.units.push(unit);
        self
    }

    /// Created in, or held by a process in, the container whose id (or pod's uid) begins so.
    #[must_use]
    pub fn container(mut self, id: impl Into<String>) -> Self {
        self.containers.push(id.into());
        self
    }

    /// Held by a process that runs this executable: a path, or a base name. Windows: without regard to capitals, and `/` is
    /// `\`.
    #[must_use]
    pub fn executable(mut self, path: impl AsRef<OsStr>) -> Self {
        self.executables.push(path.as_ref().to_owned());
        self
    }

    /// The sockets alone: no process is looked at.
    #[must_use]
    pub fn without_owners(mut self) -> Self {
        self.without_owners = true;
        self
    }

    /// Those of every network namespace, not of the query's alone. Tell them apart by
    /// [`Socket::netns`](crate::Socket::netns): the same addresses may be in several.
    ///
    /// # Platform
    /// Linux: those that are named under `/run/netns`, and those in which a process lives that may be inspected. To list one
    /// takes `CAP_SYS_ADMIN`; of others [`Source::Bpf`](crate::Source::Bpf) tells the sockets that a process has open. What
    /// could not be told is a [gap](crate::Snapshot::gaps). [`Entry::netns_name`] tells what each is called.
    #[must_use]
    pub fn every_namespace(mut self) -> Self {
        self.every_namespace = true;
        self
    }

    pub(crate) fn wants_every_namespace(&self) -> bool {
        self.every_namespace
    }

    pub(crate) fn wants_owners(&self) -> bool {
        !self.without_owners
    }

    pub(crate) fn protocols(&self) -> impl Iterator<Item = Protocol> {
        Protocol::ALL.into_iter().filter(|protocol| is_wanted(&self.protocols, protocol))
    }

    pub(crate) fn families(&self) -> impl Iterator<Item = Family> {
        Family::ALL.into_iter().filter(|family| is_wanted(&self.families, family))
    }

    /// The states asked for; empty for all.
    pub(crate) fn states(&self) -> &[State] {
        &self.states
    }

    pub(crate) fn takes_endpoint(&self, endpoint: &Endpoint) -> bool {
        is_wanted(&self.protocols, &endpoint.protocol)
            && is_wanted(&self.families, &endpoint.family)
            && is_wanted(&self.states, &endpoint.state)
    }

    /// What can be told only when owners are known.
    pub(crate) fn takes(&self, entry: &Entry) -> bool {
        let recorded = match &entry.attribution {
            Attribution::Recorded(owner) => Some(&*owner.process),
            _ => None,
        };
        let held = entry.attribution.holders();
        let processes = || held.iter().map(|holder| &*holder.process).chain(recorded);
        // Whoever has ended may have left his number to another.
        let has_exited = entry.attribution.has_exited();
        any_or_empty(&self.pids, |&pid| !has_exited && processes().any(|process| process.pid == pid))
            && any_or_empty(&self.users, |user| {
                is_user(user, entry.socket.uid, entry.user.as_deref())
                    || processes().any(|process| is_user(user, process.uid, process.user.as_deref()))
            })
            && any_or_empty(&self.units, |unit| {
                is_unit(unit, entry.service.as_deref())
                    || processes().any(|p| is_unit(unit, p.service.as_deref()))
            })
            && any_or_empty(&self.containers, |id| {
                is_container(id, entry.container.as_deref())
                    || processes().any(|p| is_container(id, p.container.as_deref()))
            })
            && any_or_empty(&self.executables, |path| processes().any(|process| runs(path, process)))
    }
}

fn is_wanted<T: PartialEq>(wanted: &[T], value: &T) -> bool {
    wanted.is_empty() || wanted.contains(value)
}

fn any_or_empty<T>(wanted: &[T], is_met: impl FnMut(&T) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(is_met)
}

fn is_user(wanted: &str, uid: Option<u32>, name: Option<&str>) -> bool {
    let is_called_so = |name: &str| {
        let without_domain = name.split_once('\\').map(|(_, name)| name);
        is_name(name, wanted) || cfg!(windows) && without_domain.is_some_and(|name| is_name(name, wanted))
    };
    name.is_some_and(is_called_so) || uid.is_some_and(|uid| wanted.parse() == Ok(uid))
}

fn is_unit(wanted: &str, service: Option<&Service>) -> bool {
    service.is_some_and(|service| is_name(&service.name, wanted))
}

/// Windows makes no difference between capitals and others in the names of users and services.
fn is_name(name: &str, wanted: &str) -> bool {
    name == wanted || cfg!(windows) && name.to_lowercase() == wanted.to_lowercase()
}

fn is_container(wanted: &str, container: Option<&Container>) -> bool {
    container.is_some_and(|container| {
        !wanted.is_empty()
            && (container.id.starts_with(wanted)
                || container.pod.as_ref().is_some_and(|pod| pod.starts_with(wanted))
                || container.nested.iter().any(|nested| is_container(wanted, Some(nested))))
    })
}

fn runs(wanted: &OsStr, process: &Process) -> bool {
    process.executable.as_ref().is_some_and(|executable| {
        let path: &Path = &executable.path;
        is_file(path.as_os_str(), wanted) || path.file_name().is_some_and(|name| is_file(name, wanted))
    })
}

/// Windows makes no difference between capitals and others in the names of files, and takes both separators.
fn is_file(name: &OsStr, wanted: &OsStr) -> bool {
    let spelled = |name: &OsStr| name.to_str().map(|name| name.replace('/', r"\").to_lowercase());
    name == wanted || cfg!(windows) && spelled(wanted).is_some_and(|wanted| spelled(name) == Some(wanted))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Executable;

    #[test]
    fn nothing_asked_is_everything() {
        let filter = Filter::new();
        assert_eq!(filter.protocols().count(), 3);
        assert_eq!(filter.families().count(), 2);
        assert!(filter.wants_owners() && filter.states().is_empty());
    }

    #[test]
    #[cfg(windows)]
    fn names_go_without_case_and_users_without_domain() {
        let user = Some(r"NT AUTHORITY\SYSTEM");
        for wanted in [r"NT AUTHORITY\SYSTEM", r"nt authority\system", "System"] {
            assert!(is_user(wanted, None, user), "{wanted}");
        }
        assert!(!is_user("NT AUTHORITY", None, user) && !is_user("", None, user));
        let service = Service { name: "Dnscache".into(), manager: crate::Manager::System, uid: None };
        let units = Filter::new().unit("DNSCache").units;
        assert!(is_unit(&units[0], Some(&service)));
    }

    #[test]
    fn files_go_by_path_and_by_base_name() {
        let process = |path: &str| {
            let mut process = Arc::unwrap_or_clone(crate::attribution::tests::process(1, 1, 0));
            process.executable =
                Some(Executable { path: path.into(), deleted: false, verified: false, file: None });
            process
        };
        let [path, base] = if cfg!(windows) { [r"Z:\tmp\Lst.exe", "Lst.exe"] } else { ["/tmp/Lst", "Lst"] };
        let runs = |wanted: &str| runs(OsStr::new(wanted), &process(path));
        assert!(runs(path) && runs(base) && !runs("st.exe") && !runs(""));
        for wanted in [r"z:\TMP\lst.EXE", "Z:/tmp/Lst.exe", "lst.exe", "/TMP/lst", "lst"] {
            let is_so = cfg!(windows) && wanted.ends_with(['e', 'E']);
            assert_eq!(runs(wanted), is_so, "{wanted}");
        }
    }

    #[test]
    #[cfg(not(windows))]
    fn a_unit_is_found_with_and_without_its_suffix() {
        assert_eq!(Filter::new().unit("ssh"), Filter::new().unit("ssh.service"));
        assert_eq!(Filter::new().unit("snap.x.y"), Filter::new().unit("snap.x.y.service"));
        assert_eq!(Filter::new().unit("ssh.socket").units, ["ssh.socket"]);
    }

    #[test]
    fn users_go_by_name_and_by_number() {
        assert!(is_user("0", Some(0), Some("root")) && is_user("root", Some(0), Some("root")));
        assert!(!is_user("0", None, None), "a TIME_WAIT row is nobody's");
        assert!(!is_user("roo", Some(0), Some("root")));
    }
}
