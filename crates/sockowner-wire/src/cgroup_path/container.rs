//! The forms in which container runtimes write a container into a cgroup path.

use super::{Runtime, split};

/// A place in a path.
#[derive(Clone, Copy)]
pub(super) struct Here<'a> {
    /// The name above; empty at the root of a host or container, `..` at the edge of what is seen.
    pub(super) parent: &'a [u8],
    /// The name at hand.
    pub(super) segment: &'a [u8],
    /// The rest of the path.
    pub(super) below: &'a [u8],
}

/// A container that begins at a place.
pub(super) struct Found<'a> {
    pub(super) runtime: Runtime,
    pub(super) id: Vec<u8>,
    pub(super) pod: Option<Vec<u8>>,
    /// What is below the container's cgroup.
    pub(super) below: &'a [u8],
}

impl<'a> Found<'a> {
    fn new(runtime: Runtime, id: &[u8], below: &'a [u8]) -> Self {
        Self { runtime, id: id.to_vec(), pod: None, below }
    }
}

/// The container whose cgroup `here` is, or whose cgroup's well-known parent it is.
pub(super) fn at(here: Here<'_>) -> Option<Found<'_>> {
    FORMS.iter().find_map(|form| form(here))
}

/// What is below the cgroup in which some runtimes wrap the container's own: nspawn, crun, Proxmox.
pub(super) fn inside(path: &[u8]) -> &[u8] {
    match split(path) {
        Some((b"payload" | b"container" | b"ns", below)) => below,
        _ => path,
    }
}

/// One way to write a container.
type Form = for<'a> fn(Here<'a>) -> Option<Found<'a>>;

const FORMS: [Form; 8] = [engine_unit, engine_colons, pod_slice, pod_directory, docker, ecs, lxc, nspawn];

/// The word before a container's id. `docker-<id>.scope` by systemd's cgroup driver, `crio-<id>` by
/// the other one, `...slice:cri-containerd:<id>` where kubelet and runtime disagree about the
/// driver. The monitors' words, `libpod-conmon` and `crio-conmon`, are not here: they are the
/// host's.
const ENGINES: [(&[u8], Runtime); 6] = [
    (b"docker", Runtime::Docker),
    (b"libpod", Runtime::Podman),
    (b"libpod-payload", Runtime::Podman),
    (b"cri-containerd", Runtime::Containerd),
    (b"nerdctl", Runtime::Containerd),
    (b"crio", Runtime::CriO),
];

/// The runtime and id of `<word><separator><id>`.
fn engine(name: &[u8], separator: u8) -> Option<(Runtime, &[u8])> {
    ENGINES.iter().find_map(|(word, runtime)| {
        let id = name.strip_prefix(*word)?.strip_prefix(&[separator])?;
        is_id(id).then_some((*runtime, id))
    })
}

/// `docker-<id>.scope`, `libpod-payload-<id>`, `/libpod_parent/libpod-<id>`.
fn engine_unit(here: Here<'_>) -> Option<Found<'_>> {
    let (segment, below) = match here {
        Here { parent: b"", segment: b"libpod_parent", below } => split(below)?,
        Here { segment, below, .. } => (segment, below),
    };
    let (runtime, id) = engine(segment.strip_suffix(b".scope").unwrap_or(segment), b'-')?;
    Some(Found { pod: pod_of_slice(here.parent), ..Found::new(runtime, id, below) })
}

/// `kubepods-pod<uid>.slice:cri-containerd:<id>`, all in one name.
fn engine_colons(here: Here<'_>) -> Option<Found<'_>> {
    let colon = here.segment.iter().position(|&b| b == b':')?;
    let (slice, name) = (&here.segment[..colon], &here.segment[colon + 1..]);
    let (runtime, id) = engine(name, b':').filter(|_| slice.ends_with(b".slice"))?;
    Some(Found { pod: pod_of_slice(slice), ..Found::new(runtime, id, here.below) })
}

/// `kubepods-burstable-pod<uid>.slice/<id>`.
fn pod_slice(here: Here<'_>) -> Option<Found<'_>> {
    let pod = kubernetes_pod_of_slice(here.parent).filter(|_| is_id(here.segment))?;
    Some(Found { pod: Some(pod), ..Found::new(Runtime::Kubernetes, here.segment, here.below) })
}

/// `kubepods/burstable/pod<uid>/<id>`, by kubelet's cgroup driver that is not systemd's. A
/// guaranteed pod has no level for its class; kind's nodes put `kubelet` before it.
fn pod_directory(here: Here<'_>) -> Option<Found<'_>> {
    const ABOVE: [&[&[u8]]; 3] = [&[b"kubelet"], &[b"kubepods"], &[b"burstable", b"besteffort"]];
    let (mut segment, mut below) = (here.segment, here.below);
    for names in ABOVE {
        if names.contains(&segment) {
            (segment, below) = split(below)?;
        }
    }
    let pod = segment.strip_prefix(b"pod").and_then(|uid| pod_uid(uid, b'-'))?;
    let (name, below) = split(below)?;
    let plain = is_id(name).then_some((Runtime::Kubernetes, name));
    let (runtime, id) = plain.or_else(|| engine(name, b'-'))?;
    Some(Found { pod: Some(pod), ..Found::new(runtime, id, below) })
}

/// `/docker/<id>`.
fn docker(here: Here<'_>) -> Option<Found<'_>> {
    let Here { segment: b"docker", below, .. } = here else {
        return None;
    };
    let (id, below) = split(below)?;
    is_id(id).then(|| Found::new(Runtime::Docker, id, below))
}

/// `/ecs/<task>/<id>`, with the cluster's name before the task or without. On Fargate the id is
/// `<32 hex digits>-<digits>`, on an instance the runtime's.
fn ecs(here: Here<'_>) -> Option<Found<'_>> {
    let Here { segment: b"ecs", below, .. } = here else {
        return None;
    };
    let (mut task, mut below) = split(below)?;
    if !is_task(task) {
        (task, below) = split(below)?;
    }
    let (id, below) = split(below)?;
    let fits = is_task(task) && (is_id(id) || is_fargate_id(id));
    fits.then(|| Found::new(Runtime::Ecs, id, below))
}

/// `lxc.payload.NAME` since LXC 4; before it `lxc.payload/NAME` and `/lxc/NAME`, which is also what
/// Proxmox has. The monitor's cgroups, `lxc.monitor`, are the host's.
fn lxc(here: Here<'_>) -> Option<Found<'_>> {
    let (name, below) = match here {
        Here { parent: b"", segment: b"lxc" | b"lxc.payload", below } => split(below)?,
        Here { segment, below, .. } => (segment.strip_prefix(b"lxc.payload.")?, below),
    };
    let fits = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    fits.then(|| Found::new(Runtime::Lxc, name, below))
}

/// `machine-NAME.scope` as machined makes it, and `systemd-nspawn@NAME.service`. In both the
/// container is in `payload`, and `supervisor` is nspawn itself.
fn nspawn(here: Here<'_>) -> Option<Found<'_>> {
    let slice = here.parent.strip_suffix(b".slice")?;
    if slice != b"machine" && !slice.starts_with(b"machine-") {
        return None;
    }
    let within = split(here.below).map(|(name, _)| name);
    let scope = here.segment.strip_prefix(b"machine-").and_then(|name| name.strip_suffix(b".scope"));
    let name = if let Some(escaped) = scope {
        // Virtual machines are registered with machined too, and their processes are the host's.
        let other = matches!(within, Some(b"supervisor" | b"libvirt"))
            || (within != Some(b"payload") && is_of_libvirt(escaped));
        if other {
            return None;
        }
        machine_name(escaped)?
    } else {
        // The service's own cgroup may hold either: only below it is it known.
        within.filter(|&name| name != b"supervisor")?;
        here.segment.strip_prefix(b"systemd-nspawn@")?.strip_suffix(b".service")?.to_vec()
    };
    is_machine_name(&name).then(|| Found::new(Runtime::SystemdNspawn, &name, here.below))
}

/// libvirt names its machines `<driver>-<number>-<name>`, once `<driver>-<name>`.
fn is_of_libvirt(escaped: &[u8]) -> bool {
    const DRIVERS: [&[u8]; 6] = [b"qemu", b"lxc", b"ch", b"xen", b"bhyve", b"vz"];
    let driver = |driver| Some(escaped.strip_prefix(driver)?.starts_with(br"\x2d"));
    DRIVERS.into_iter().any(|name| driver(name) == Some(true))
}

/// Undoes `unit_name_escape`: `\x2d` is a dash. A bare dash would be a slash, which no name has.
fn machine_name(escaped: &[u8]) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((&first, below)) = rest.split_first() {
        let (byte, below) = match (first, below) {
            (b'-', _) => return None,
            (b'\\', [b'x', high, low, below @ ..]) => (digit(*high)? << 4 | digit(*low)?, below),
            (byte, below) => (byte, below),
        };
        name.push(byte);
        rest = below;
    }
    Some(name)
}

/// A machine's name is that of a host.
fn is_machine_name(name: &[u8]) -> bool {
    const LONGEST: usize = 64;
    let fits = |b: &u8| b.is_ascii_alphanumeric() || b"-_.".contains(b);
    (1..=LONGEST).contains(&name.len()) && name.iter().all(fits)
}

/// The pod whose slice this is: of Kubernetes, or podman's `machine-libpod_pod_<id>.slice`.
fn pod_of_slice(slice: &[u8]) -> Option<Vec<u8>> {
    let podman = || {
        let name = slice.strip_suffix(b".slice")?;
        let last = name.rsplit(|&b| b == b'-').next()?;
        last.strip_prefix(b"libpod_pod_").filter(|id| is_id(id)).map(<[u8]>::to_vec)
    };
    kubernetes_pod_of_slice(slice).or_else(podman)
}

/// The pod of `kubepods-burstable-pod<uid>.slice`, below another slice's name or not
/// (`kubelet-kubepods-...`). A dash would be another level, so the UID has underscores.
fn kubernetes_pod_of_slice(slice: &[u8]) -> Option<Vec<u8>> {
    let mut levels = slice.strip_suffix(b".slice")?.rsplit(|&b| b == b'-');
    let uid = levels.next()?.strip_prefix(b"pod")?;
    let class = levels.next()?;
    let root = match class {
        b"burstable" | b"besteffort" => levels.next()?,
        root => root,
    };
    (root == b"kubepods").then(|| pod_uid(uid, b'_'))?
}

/// The UID of a pod, with dashes: a UUID, or for a static pod 32 hex digits.
fn pod_uid(written: &[u8], separator: u8) -> Option<Vec<u8>> {
    let fits = is_hex(written, 32) || is_uuid(written, separator);
    let dashed = |&b: &u8| if b == separator { b'-' } else { b };
    fits.then(|| written.iter().map(dashed).collect())
}

/// Whether these are the 64 digits of a container's id.
fn is_id(text: &[u8]) -> bool {
    is_hex(text, 64)
}

fn is_task(text: &[u8]) -> bool {
    is_hex(text, 32) || is_uuid(text, b'-')
}

fn is_fargate_id(text: &[u8]) -> bool {
    let Some((task, [b'-', number @ ..])) = text.split_at_checked(32) else {
        return false;
    };
    is_hex(task, 32) && !number.is_empty() && number.iter().all(u8::is_ascii_digit)
}

fn is_uuid(text: &[u8], separator: u8) -> bool {
    let mut groups = text.split(|&b| b == separator);
    let fit = [8, 4, 4, 4, 12].into_iter().all(|len| groups.next().is_some_and(|g| is_hex(g, len)));
    fit && groups.next().is_none()
}

fn is_hex(text: &[u8], len: usize) -> bool {
    text.len() == len && text.iter().all(|&b| digit(b).is_some())
}

/// The value of a hex digit; lower case, as all of these are written.
fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}
