//! Short names for table cells and for one line of text: protocols, reasons, users, units, containers.
//!
//! Anybody may call a unit of his own manager, or one inside his container, `ssh.service`. So only what the system's
//! manager named stands bare; the rest says in front of the name who gave it. In front, because ends are cut.

use std::borrow::Cow;
use std::fmt::Write as _;

use sockowner::{Container, Endpoint, Entry, Family, Manager, Process, Protocol, Reason, Service, State};

use crate::text::shown;

/// `tcp`, `udp`; `tcp6`, `udp6` for an IPv6 socket, as netstat has it.
pub(crate) fn protocol(endpoint: &Endpoint) -> Cow<'static, str> {
    match (endpoint.protocol, endpoint.family) {
        (Protocol::Tcp, Family::Ipv6) => "tcp6".into(),
        (Protocol::Udp, Family::Ipv6) => "udp6".into(),
        (Protocol::Mptcp, Family::Ipv6) => "mptcp6".into(),
        (protocol, _) => protocol.as_str().into(),
    }
}

/// `LISTEN`; a number where nobody has named the state.
pub(crate) fn state(state: State) -> Cow<'static, str> {
    state.name().map_or_else(|| state.to_string().into(), Cow::Borrowed)
}

/// `(not permitted)`: the reason as it stands where an owner would.
pub(crate) fn reason(reason: Reason) -> String {
    format!("({})", reason.as_str().replace('_', " "))
}

/// `pid 812`. Under Wine a pid with its highest bit set is a native program's, in Linux.
pub(crate) fn pid(pid: u32) -> String {
    const NATIVE: u32 = 1 << 31;
    if cfg!(windows) && pid & NATIVE != 0 {
        format!("native, Linux pid {}", pid & !NATIVE)
    } else {
        format!("pid {pid}")
    }
}

/// A user by name, else by number.
pub(crate) fn user(uid: Option<u32>, name: Option<&str>) -> Option<Cow<'_, str>> {
    match (name, uid) {
        (Some(name), _) => Some(shown(name)),
        (None, Some(uid)) => Some(uid.to_string().into()),
        (None, None) => None,
    }
}

/// The unit or container of an endpoint; its owner's where it has none itself.
pub(crate) fn place(entry: &Entry) -> Option<Cow<'_, str>> {
    let made_in = either(entry.service.as_deref(), entry.container.as_deref());
    made_in.or_else(|| {
        let (owner, _) = entry.attribution.primary_owner()?;
        place_of(owner)
    })
}

/// The unit or container that a process is in.
pub(crate) fn place_of(process: &Process) -> Option<Cow<'_, str>> {
    either(process.service.as_deref(), process.container.as_deref())
}

/// The unit, else the container.
pub(crate) fn either<'a>(
    service: Option<&'a Service>,
    container: Option<&'a Container>,
) -> Option<Cow<'a, str>> {
    service.map(self::service).or_else(|| container.map(|container| self::container(container).into()))
}

/// `ssh.service`, `user/1000/app.service`, `container/x.service`.
pub(crate) fn service(service: &Service) -> Cow<'_, str> {
    unit(&service.name, service.manager, service.uid)
}

fn unit(name: &str, manager: Manager, uid: Option<u32>) -> Cow<'_, str> {
    let name = shown(name);
    match (manager, uid) {
        (Manager::System, _) => name,
        (Manager::User, Some(uid)) => format!("user/{uid}/{name}").into(),
        (Manager::User, None) => format!("user/{name}").into(),
        (Manager::Container, _) => format!("container/{name}").into(),
    }
}

/// `docker/<id>`, `user/podman/<id>`; `?/docker/<id>` where the path does not tell who named it.
pub(crate) fn container(container: &Container) -> String {
    named_container(container.runtime.as_str(), &container.id, container.manager)
}

fn named_container(runtime: &str, id: &str, manager: Option<Manager>) -> String {
    let namer: Cow<'_, str> = match manager {
        Some(Manager::System) => "".into(),
        Some(manager) => format!("{}/", manager.as_str()).into(),
        None => "?/".into(),
    };
    format!("{namer}{runtime}/{}", shown(id))
}

/// A build-id in hexadecimal digits, as readelf(1) and debuginfod(8) have it.
pub(crate) fn build_id(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String does not fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_systems_units_stand_bare() {
        assert_eq!(unit("ssh.service", Manager::System, None), "ssh.service");
        assert_eq!(unit("ssh.service", Manager::User, Some(1000)), "user/1000/ssh.service");
        assert_eq!(unit("ssh.service", Manager::User, None), "user/ssh.service");
        assert_eq!(unit("ssh.service", Manager::Container, None), "container/ssh.service");
        assert_eq!(unit("a\x1b", Manager::System, None), r#""a\x1b""#);
    }

    #[test]
    fn a_container_says_who_named_it() {
        for (manager, expected) in [
            (Some(Manager::System), "podman/0123abcd"),
            (Some(Manager::User), "user/podman/0123abcd"),
            (Some(Manager::Container), "container/podman/0123abcd"),
            (None, "?/podman/0123abcd"),
        ] {
            assert_eq!(named_container("podman", "0123abcd", manager), expected);
        }
    }

    #[test]
    fn a_user_without_a_name_is_a_number_and_nobody_is_nobody() {
        assert_eq!(user(Some(0), Some("root")).as_deref(), Some("root"));
        assert_eq!(user(Some(4711), None).as_deref(), Some("4711"));
        assert_eq!(user(None, None), None);
    }

    #[test]
    fn reasons_are_words() {
        assert_eq!(reason(Reason::NotPermitted), "(not permitted)");
        assert_eq!(reason(Reason::NoVisibleHolder), "(no visible holder)");
    }
}
