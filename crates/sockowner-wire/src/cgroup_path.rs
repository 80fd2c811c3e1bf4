//! What a cgroup's path says of the service and the container of the processes in it.
//!
//! A path is a chain of names, and each was given by somebody. It is read from the root, keeping
//! track of who gave the names at hand, because everybody may use any name in the part that is
//! theirs:
//!
//! - Slices from the root on, and the one service below them, are named by the system's manager:
//!   there, only root can make a cgroup.
//! - Below a service or a scope, its own processes give the names (`Delegate=`, session scopes):
//!   no service is found there. So `/system.slice/a.service/ssh.service` is `a.service`.
//! - Below `/user.slice/user-N.slice/user@N.service`, and there alone, it is user N.
//! - Below a container's cgroup it is the container.
//!
//! Everything said here is relative to the root the path was read from: only in the host's first
//! cgroup namespace is `system` the host's own manager.

mod container;
mod unit;

use crate::proc_cgroup::REMOVED;
use unit::Kind;

/// The service and the container a cgroup path tells of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// The service, where a manager that is known named one.
    pub service: Option<Unit>,
    /// The outermost container: the host's.
    pub container: Option<Container>,
}

/// A service of systemd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// The full name, as systemd has it: `getty@tty1.service`, escapes such as `\x2d` kept.
    pub name: Vec<u8>,
    /// Who named it.
    pub manager: Manager,
    /// The user whose manager it is: the N of `user@N.service`. None unless `manager` is
    /// [`Manager::User`].
    pub uid: Option<u32>,
}

/// Who gave the name of a service or container, and so how far it can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manager {
    /// The system's manager, or another process of root outside of any unit.
    System,
    /// A user: any name, at will.
    User,
    /// A container, from within: any name, at will.
    Container,
}

impl Manager {
    /// `system`, `user` or `container`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Container => "container",
        }
    }
}

/// A container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// What runs it.
    pub runtime: Runtime,
    /// Its whole id; for [`Runtime::Lxc`] and [`Runtime::SystemdNspawn`] its name. LXC appends
    /// `-1`, `-2`, ... where a cgroup of the name exists already, which cannot be told from the
    /// name.
    pub id: Vec<u8>,
    /// The pod it belongs to: the UID of a Kubernetes pod, with dashes (a static pod's has none),
    /// or the id of a podman pod.
    pub pod: Option<Vec<u8>>,
    /// Who named the container's cgroup; None where that cannot be told from the path: below a
    /// service (which may be a container engine, or anybody), a scope, or outside the reader's
    /// cgroup namespace.
    pub manager: Option<Manager>,
    /// The containers within it, from the outside inwards. Each has [`Manager::Container`] and an
    /// empty `nested`: the list is flat.
    pub nested: Vec<Container>,
}

/// What runs a container, as far as the path tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Runtime {
    /// Docker.
    Docker,
    /// Podman (libpod).
    #[doc(alias = "libpod")]
    Podman,
    /// containerd, by its Kubernetes interface or by nerdctl.
    Containerd,
    /// CRI-O.
    CriO,
    /// Kubernetes, where the path does not tell which runtime serves it.
    Kubernetes,
    /// Amazon ECS, where the path does not tell which runtime serves it.
    Ecs,
    /// LXC, LXD or Incus.
    #[doc(alias = "LXD")]
    #[doc(alias = "Incus")]
    Lxc,
    /// systemd-nspawn.
    SystemdNspawn,
}

impl Runtime {
    /// `docker`, `podman`, `containerd`, `cri-o`, `kubernetes`, `ecs`, `lxc` or `systemd-nspawn`:
    /// the runtime's own spelling of its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Containerd => "containerd",
            Self::CriO => "cri-o",
            Self::Kubernetes => "kubernetes",
            Self::Ecs => "ecs",
            Self::Lxc => "lxc",
            Self::SystemdNspawn => "systemd-nspawn",
        }
    }
}

/// What the path of a cgroup says, as [`memberships`](crate::memberships) gives it: that of the
/// unified hierarchy, or of `name=systemd`. A ` (deleted)` at its end is passed over.
///
/// The service is the first one from the root. Two services are managers of others and give way to
/// what they manage: `user@N.service`, which is the answer (the system's) where no service of the
/// user's is found below it, in a scope of the user's for example; and
/// `systemd-nspawn@NAME.service`, below which its container has the say.
///
/// A path that begins with `/..` lies outside the reader's cgroup namespace. What precedes it is
/// hidden and could be anybody's, so no service is found there, and containers have no manager.
pub fn place(path: &[u8]) -> Placement {
    let path = path.strip_suffix(REMOVED).unwrap_or(path);
    if path.first() != Some(&b'/') {
        return Placement::default();
    }
    if let Some(visible) = outside(path) {
        return Reading::new(None).read(b"..", visible);
    }
    if let Some((uid, manager, below)) = unit::user_manager(path) {
        let reading = Reading { uid: Some(uid), ..Reading::new(Some(Manager::User)) };
        let mut placement = reading.read(manager, below);
        placement.service = placement
            .service
            .or_else(|| Some(Unit { name: manager.to_vec(), manager: Manager::System, uid: None }));
        return placement;
    }
    Reading::new(Some(Manager::System)).read(b"", path)
}

/// A path on its way from the root.
struct Reading {
    /// Who gives the names at hand; None is not known.
    namer: Option<Manager>,
    /// The user, for [`Manager::User`].
    uid: Option<u32>,
    /// Nothing but slices since the root of that namer: its next service can be believed.
    laid_out: bool,
    found: Placement,
}

impl Reading {
    fn new(namer: Option<Manager>) -> Self {
        Self { namer, uid: None, laid_out: namer.is_some(), found: Placement::default() }
    }

    /// Reads `rest`, which stands in the cgroup `parent`; an empty parent is the namer's root.
    fn read<'a>(mut self, mut parent: &'a [u8], mut rest: &'a [u8]) -> Placement {
        while let Some((segment, below)) = split(rest) {
            if let Some(found) = container::at(container::Here { parent, segment, below }) {
                rest = container::inside(found.below);
                parent = b"";
                self.enter(found);
            } else {
                self.pass(segment);
                parent = segment;
                rest = below;
            }
        }
        self.found
    }

    fn enter(&mut self, found: container::Found<'_>) {
        let container = Container {
            runtime: found.runtime,
            id: found.id,
            pod: found.pod,
            manager: self.namer,
            nested: Vec::new(),
        };
        let outermost = match &mut self.found.container {
            Some(outermost) => {
                outermost.nested.push(container);
                outermost
            }
            none => none.insert(container),
        };
        // What an unknown hand named a container may be none: then nobody known speaks within.
        self.laid_out = outermost.manager.is_some();
        self.namer = Some(Manager::Container);
    }

    fn pass(&mut self, segment: &[u8]) {
        match unit::kind(segment) {
            Kind::Slice => return,
            Kind::Service(name) => self.serve(name),
            Kind::Other => {}
        }
        self.laid_out = false;
        // Below this the host's names end. A user's part, or a container's, is theirs throughout.
        self.namer = self.namer.filter(|&namer| namer != Manager::System);
    }

    fn serve(&mut self, name: &[u8]) {
        let (true, Some(manager), None) = (self.laid_out, self.namer, &self.found.service) else {
            return;
        };
        let uid = self.uid.filter(|_| manager == Manager::User);
        self.found.service = Some(Unit { name: name.to_vec(), manager, uid });
    }
}

/// What follows the leading `..` of a path; None where it has none.
fn outside(path: &[u8]) -> Option<&[u8]> {
    let mut visible = None;
    let mut rest = path;
    while let Some((b"..", below)) = split(rest) {
        visible = Some(below);
        rest = below;
    }
    visible
}

/// The first name of a path, and what is below it.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = path.iter().position(|&b| b != b'/')?;
    let path = &path[start..];
    let end = path.iter().position(|&b| b == b'/').unwrap_or(path.len());
    Some(path.split_at(end))
}

#[cfg(test)]
mod tests;
