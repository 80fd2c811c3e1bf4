//! The cgroup half: from a socket's cgroup id to a path, a unit, a container. Needs no privilege.
//!
//! The id is the inode number of the directory in the cgroup2 file system (`kernel/cgroup/cgroup.c`), never reused
//! before a reboot.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use sockowner_wire::{Placement, Unit, mounts};

use super::door::{Door, FileKind, device, is_refused};
use crate::{Container, Gap, GapReason, Service};

/// Paths are kept for the life of the query, but not without limit: hosts that start containers all day have many.
const CACHE_MAX: usize = 8192;
/// Deeper than any real hierarchy; the kernel's own limit is `cgroup.max.depth`.
const DEPTH_MAX: usize = 64;

/// The cgroup2 file system, where one is mounted.
#[derive(Debug)]
pub(crate) struct Cgroups<D: Door> {
    mount: Option<Mount<D>>,
    /// What is mounted could be read at all.
    read_mounts: bool,
    /// systemd has a v1 hierarchy of its own, and something in it.
    legacy_units: bool,
    known: Mutex<BTreeMap<u64, Vec<u8>>>,
}

#[derive(Debug)]
struct Mount<D: Door> {
    dir: D::Dir,
    /// Where it is mounted.
    point: Vec<u8>,
    /// Its device. What has another one is mounted over it, and no cgroup.
    device: u64,
    /// The cgroup that is its top, as the reader sees it: `/` unless part of the hierarchy is mounted.
    top: Vec<u8>,
}

impl<D: Door> Cgroups<D> {
    /// Finds the mount in `mountinfo`, the text of `/proc/self/mountinfo`.
    pub(crate) fn find(door: &D, mountinfo: &[u8]) -> Self {
        let mut all: Vec<_> = mounts(mountinfo)
            .flatten()
            .filter(|mount| mount.fs_type == b"cgroup2")
            .map(|mount| {
                (mount.root.into_owned(), mount.mount_point.into_owned(), device(mount.major, mount.minor))
            })
            .collect();
        // The mount that shows most: the whole hierarchy before a part of it.
        all.sort_by_key(|(root, _, _)| (root != b"/", root.len()));
        let mount = all.into_iter().find_map(|(top, point, device)| {
            let mount = Mount { dir: door.open_root(&point).ok()?, point, top, device };
            // Something else may be mounted over it, with directories of anybody's choice.
            mount.id(door, b".").is_some().then_some(mount)
        });
        let legacy_units = mounts(mountinfo).flatten().any(|mount| {
            let is_systemds = mount.fs_type == b"cgroup" && mount.super_option(b"name") == Some(b"systemd");
            // Two links are its own; a mount that cannot be examined may have more.
            is_systemds && !door.stat_root(&mount.mount_point).is_ok_and(|top| top.links <= 2)
        });
        Self { mount, read_mounts: !mountinfo.is_empty(), legacy_units, known: Mutex::default() }
    }

    /// A process in the root of cgroup v2 may be in a unit all the same.
    pub(crate) fn has_legacy_units(&self) -> bool {
        self.legacy_units
    }

    /// The paths of these ids as they were when they were found first: a cgroup has one path as long as it is there, and an id
    /// is not used again. Those that are not known yet are looked for.
    pub(crate) fn former_paths(&self, door: &D, mut wanted: BTreeSet<u64>) -> BTreeMap<u64, Vec<u8>> {
        let mut found = BTreeMap::new();
        {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            wanted.retain(|id| known.get(id).is_none_or(|path| found.insert(*id, path.clone()).is_some()));
        }
        // What cannot be named is not.
        found.extend(self.paths(door, wanted, &BTreeSet::new(), &mut Vec::new()));
        found
    }

    /// Finds the paths of these ids. `hints`: cgroup paths of processes, tried first. Ids that are missing from the
    /// answer belong to removed cgroups, or to ones outside the reader's view.
    pub(crate) fn paths(
        &self,
        door: &D,
        mut wanted: BTreeSet<u64>,
        hints: &BTreeSet<Vec<u8>>,
        gaps: &mut Vec<Gap>,
    ) -> BTreeMap<u64, Vec<u8>> {
        let mut found = BTreeMap::new();
        if wanted.is_empty() {
            return found;
        }
        let Some(mount) = &self.mount else {
            let what = if self.read_mounts { "the cgroup2 file system" } else { "/proc/self/mountinfo" };
            gaps.push(Gap::new("cgroup", what, GapReason::Unsupported, 1));
            return found;
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.retain(|id| {
            let Some(path) = known.get(id) else { return true };
            if mount.below(path).and_then(|path| mount.id(door, path)) == Some(*id) {
                found.insert(*id, path.clone());
            } else {
                // Removed: ids are not used again, so it stays so.
                known.remove(id);
            }
            false
        });
        let mut fresh = BTreeMap::new();
        for hint in hints {
            if wanted.is_empty() {
                break;
            }
            let id = mount.below(hint).and_then(|path| mount.id(door, path));
            if let Some(id) = id.filter(|id| wanted.remove(id)) {
                fresh.insert(id, hint.clone());
            }
        }
        let mut may_open_by_id = true;
        wanted.retain(|&id| {
            if !may_open_by_id {
                return true;
            }
            match door.cgroup_path(&mount.dir, id) {
                Ok(path) => match mount.seen(&path) {
                    Some(path) => fresh.insert(id, path).is_some(),
                    None => false,
                },
                Err(error) => {
                    // ESTALE: no such cgroup any more. Everything else says nothing about the cgroup.
                    let removed = error.raw_os_error() == Some(super::call::ESTALE)
                        || error.kind() == io::ErrorKind::NotFound;
                    may_open_by_id &= removed;
                    !removed
                }
            }
        });
        if !wanted.is_empty() {
            mount.walk(door, &mut wanted, &mut fresh, gaps);
        }
        if known.len() + fresh.len() > CACHE_MAX {
            known.clear();
        }
        known.extend(fresh.iter().map(|(id, path)| (*id, path.clone())));
        found.append(&mut fresh);
        found
    }

    /// The processes in the cgroup at `path`; below it too with `below`. The root has all and so tells nothing.
    pub(crate) fn members(&self, door: &D, path: &[u8], below: bool) -> Vec<u32> {
        let mut pids = Vec::new();
        let Some(mount) = self.mount.as_ref().filter(|_| path != b"/") else {
            return pids;
        };
        let Some(start) = mount.below(path) else {
            return pids;
        };
        let mut todo = vec![start.to_vec()];
        let mut text = Vec::new();
        while let Some(path) = todo.pop() {
            text.clear();
            // A threaded cgroup has no such list, a removed one no processes.
            if door.read(&mount.dir, &join(&path, b"cgroup.procs"), &mut text).is_ok() {
                let lines =
                    text.split(|&byte| byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
                // 0 stands for a process that has no number in the reader's pid namespace.
                pids.extend(lines.filter_map(|line| line.parse().ok()).filter(|&pid: &u32| pid != 0));
            }
            if below && depth(&path) < DEPTH_MAX {
                todo.extend(children(door, &mount.dir, &path).into_iter().flatten().map(|(path, _)| path));
            }
        }
        pids.sort_unstable();
        pids.dedup();
        pids
    }
}

impl<D: Door> Mount<D> {
    /// The id of the cgroup at `path`, relative to the mount.
    fn id(&self, door: &D, path: &[u8]) -> Option<u64> {
        let stat = door.stat(&self.dir, path).ok()?;
        (stat.device == self.device && stat.kind == FileKind::Directory).then_some(stat.inode)
    }

    /// The cgroup path `path` as a path relative to the mount; `None` where the mount does not show it.
    fn below<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        let rest = match self.top.as_slice() {
            b"/" => path,
            top => path.strip_prefix(top)?,
        };
        match rest {
            b"" | b"/" => Some(b"."),
            // Above the reader's root there is nothing to open.
            _ if rest.starts_with(b"/..") => None,
            _ => rest.strip_prefix(b"/"),
        }
    }

    /// The absolute path of a cgroup directory as a cgroup path.
    fn seen(&self, path: &[u8]) -> Option<Vec<u8>> {
        let rest = match self.point.as_slice() {
            b"/" => path,
            point => path.strip_prefix(point)?,
        };
        match rest {
            b"" | b"/" => Some(self.top.clone()),
            _ if !rest.starts_with(b"/") || rest.ends_with(b" (deleted)") => None,
            _ if self.top == b"/" => Some(rest.to_vec()),
            _ => Some([self.top.as_slice(), rest].concat()),
        }
    }

    /// Walks the hierarchy until every id is found; directory entries carry the id, so no file is looked at.
    fn walk(
        &self,
        door: &D,
        wanted: &mut BTreeSet<u64>,
        found: &mut BTreeMap<u64, Vec<u8>>,
        gaps: &mut Vec<Gap>,
    ) {
        let mut refused = 0;
        let mut todo = vec![b".".to_vec()];
        if let Some(top) = self.id(door, b".").filter(|top| wanted.remove(top)) {
            found.insert(top, self.top.clone());
        }
        while let Some(path) = todo.pop() {
            if wanted.is_empty() {
                return;
            }
            if self.id(door, &path).is_none() {
                continue;
            }
            match children(door, &self.dir, &path) {
                Ok(children) => {
                    for (path, id) in children {
                        if wanted.remove(&id) {
                            let seen = join(if self.top == b"/" { b"" } else { &self.top }, &path);
                            found.insert(id, seen);
                        }
                        if depth(&path) < DEPTH_MAX {
                            todo.push(path);
                        }
                    }
                }
                Err(error) => refused += u64::from(is_refused(&error)),
            }
        }
        if refused > 0 {
            gaps.push(Gap::new("cgroup", "cgroup directories", GapReason::NotPermitted, refused));
        }
    }
}

/// The directories in `path`, as paths relative to `root`, with their ids.
fn children<D: Door>(door: &D, root: &D::Dir, path: &[u8]) -> io::Result<Vec<(Vec<u8>, u64)>> {
    let mut children = Vec::new();
    let dir = door.open_dir(root, path)?;
    door.list(&dir, &mut |entry| {
        if entry.is_dir {
            let path = if path == b"." { entry.name.to_vec() } else { join(path, entry.name) };
            children.push((path, entry.inode));
        }
    })?;
    Ok(children)
}

fn depth(path: &[u8]) -> usize {
    path.split(|&byte| byte == b'/').count()
}

fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    [path, b"/", name].concat()
}

/// The unit and the container a cgroup path names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Named {
    pub(crate) service: Option<Arc<Service>>,
    pub(crate) container: Option<Arc<Container>>,
}

impl From<Placement> for Named {
    fn from(placement: Placement) -> Self {
        let service = |unit: Unit| Service { name: text(unit.name), manager: unit.manager, uid: unit.uid };
        Self {
            service: placement.service.map(|unit| Arc::new(service(unit))),
            container: placement.container.map(|found| Arc::new(container(found))),
        }
    }
}

fn container(found: sockowner_wire::Container) -> Container {
    Container {
        runtime: found.runtime,
        id: text(found.id),
        pod: found.pod.map(text),
        manager: found.manager,
        nested: found.nested.into_iter().map(container).collect(),
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
