//! Puts sockets, holders, cgroups and users together, and says why where there is no owner.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use sockowner_wire::place;

use super::bpf::Seen;
use super::call::with_room;
use super::cgroup::Named;
use super::door::Door;
use super::process::{self, Frame};
use super::recorded::{self, FormerOwners};
use super::search::Searched;
use super::subjects::{Mark, Subjects, cgroup_ids};
use super::users::Users;
use super::walk::Hit;
use super::{Proc, System};
use crate::sys::Search;
use crate::{
    Attribution, Candidate, Cgroup, Entry, Error, ErrorKind, Gap, GapReason, Holder, Holders, Reach, Reason,
    Record, Result, Socket,
};

impl<D: Door> System<D> {
    /// One entry for each socket, in order.
    pub(crate) fn attribute(
        &self,
        sockets: Vec<Socket>,
        search: Search,
        seen: Option<Seen>,
    ) -> Result<(Vec<Entry>, Vec<Gap>)> {
        self.attribute_among(Subjects::new(sockets, &[]), search, seen)
    }

    /// The same for sockets of several network namespaces.
    pub(super) fn attribute_among(
        &self,
        mut subjects: Subjects<'_, D>,
        search: Search,
        seen: Option<Seen>,
    ) -> Result<(Vec<Entry>, Vec<Gap>)> {
        let users = Users::new(&self.door);
        let mut gaps = Vec::new();
        let searched = match search {
            Search::Never => None,
            Search::Nearest | Search::Everywhere => {
                let proc = self.proc()?;
                if search == Search::Nearest {
                    self.refresh_all(&mut subjects)?;
                }
                let searched = self.search(proc, &mut subjects, search, seen, &users, &mut gaps)?;
                // Who asks for the nearest is told no gaps.
                if let Some(gap) = subjects.gaps.first().filter(|_| search == Search::Nearest) {
                    let why = format!("look again at the sockets that nobody holds: {gap}");
                    return Err(Error::new(ErrorKind::System, why));
                }
                gaps.append(&mut subjects.gaps);
                Some((proc, searched))
            }
        };
        let records = match search {
            Search::Never => Vec::new(),
            _ => self.recorder.read(&self.door, &subjects.sockets, &mut gaps),
        };
        let entries = self.entries(subjects, searched, records, &users, &mut gaps);
        gaps.extend(users.gaps());
        Ok((entries, gaps))
    }

    pub(super) fn proc(&self) -> Result<&Proc<D>> {
        self.proc.as_ref().map_err(|why| {
            Error::new(ErrorKind::Unsupported, format!("look for the processes that hold sockets: {why}"))
        })
    }

    pub(super) fn frame(&self, proc: &Proc<D>) -> Frame {
        Frame {
            now: self.door.now(),
            boot_offset: proc.boot_offset,
            unmapped_uid: proc.unmapped_uid,
            command_lines: self.options.command_lines,
        }
    }

    fn entries(
        &self,
        subjects: Subjects<'_, D>,
        searched: Option<(&Proc<D>, Searched)>,
        records: Vec<Record>,
        users: &Users<'_, D>,
        gaps: &mut Vec<Gap>,
    ) -> Vec<Entry> {
        let (proc, searched) = searched.unzip();
        let mut hints = BTreeSet::new();
        let mut reach = Reach::Host;
        let mut reason = None;
        let mut hits = Vec::new();
        let mut elsewhere = Vec::new();
        if let (Some(proc), Some(searched)) = (proc, searched) {
            gaps.extend(searched.found.gaps());
            if proc.hides_processes && searched.may_be_hidden {
                gaps.push(Gap::new("proc", "/proc (hidepid)", GapReason::NotPermitted, 1));
            }
            reason =
                Some(if searched.may_be_hidden { Reason::NotPermitted } else { Reason::NoVisibleHolder });
            elsewhere = searched.found.elsewhere;
            elsewhere.sort_unstable();
            reach = searched.reach;
            hints.extend(searched.found.cgroups);
            hits = searched.found.hits;
            hits.sort_by_key(|hit| hit.inode);
        }
        // Looked into once for each socket, so it is kept small.
        let inodes: Vec<_> = hits.iter().map(|hit| hit.inode).collect();
        let mut ids = cgroup_ids(&subjects.sockets);
        ids.extend(recorded::cgroup_ids(&records));
        let paths = self.cgroups.paths(&self.door, ids, &hints, gaps);
        let places = Places::new(paths);
        let mut candidates = Candidates { system: self, proc, known: BTreeMap::new() };
        let mut former_owners = FormerOwners::new(self, proc, users);
        let mut records = records.into_iter();
        let mut last_user = None;
        let mut user_name = |uid| match &last_user {
            Some((last, name)) if *last == uid => Option::clone(name),
            _ => last_user.insert((uid, users.name(uid))).1.clone(),
        };
        let to_entry = |(socket, Mark { changed, gone }): (Socket, Mark)| {
            let mut record = records.next().unwrap_or_default();
            places.name_roles(&mut record);
            let held = Holders::new(holders(&hits, &inodes, &socket), reach);
            let attribution = match (held, reason) {
                (Some(holders), _) => Attribution::Held(holders),
                (None, None) => Attribution::NotAsked,
                (None, Some(_)) if gone => Attribution::Unattributed(Reason::Gone),
                (None, Some(_)) if socket.inode == 0 => match former_owners.of(&record) {
                    Some(owner) => Attribution::Recorded(owner),
                    None => Attribution::Unattributed(Reason::NoHolder),
                },
                (None, Some(_)) if elsewhere.binary_search(&socket.inode).is_ok() => {
                    Attribution::Unattributed(Reason::OtherNamespace)
                }
                (None, Some(reason)) => Attribution::Unattributed(reason),
            };
            let place = socket.cgroup.and_then(|id| places.get(id));
            let named = places.named(socket.cgroup);
            let candidates = match (&attribution, socket.cgroup, place) {
                (Attribution::Unattributed(_), Some(id), Some(place)) => candidates.of(id, &place.path),
                _ => Arc::default(),
            };
            Entry {
                user: socket.uid.and_then(&mut user_name),
                cgroup: places.cgroup(&socket),
                service: named.service,
                container: named.container,
                attribution,
                candidates,
                record,
                netns_name: self.name_of(socket.netns),
                matched: None,
                changed,
                socket,
            }
        };
        let mut entries = with_room(subjects.sockets.len());
        entries.extend(subjects.sockets.into_iter().zip(subjects.marks).map(to_entry));
        entries
    }
}

/// The descriptors that stand for `socket`, of `hits` sorted by their `inodes`.
fn holders(hits: &[Hit], inodes: &[u64], socket: &Socket) -> impl Iterator<Item = Holder> {
    // Sockets without a file share the number 0, which nobody holds.
    let start = inodes.partition_point(|&inode| inode < socket.inode);
    let same = hits[start..].iter().take_while(|hit| hit.inode == socket.inode);
    same.filter(|hit| hit.cookie.is_none_or(|cookie| cookie == socket.cookie)).map(|hit| Holder {
        process: Arc::clone(&hit.process),
        tid: hit.tid,
        fd: hit.fd,
    })
}

/// What cgroups are called, by their ids.
pub(super) struct Places(BTreeMap<u64, Place>);

impl Places {
    pub(super) fn new(paths: BTreeMap<u64, Vec<u8>>) -> Self {
        Self(paths.into_iter().map(|(id, path)| (id, Place::new(&path))).collect())
    }

    fn get(&self, id: u64) -> Option<&Place> {
        self.0.get(&id)
    }

    /// The socket's.
    pub(super) fn cgroup(&self, socket: &Socket) -> Option<Cgroup> {
        let id = socket.cgroup?;
        Some(Cgroup { id, path: self.get(id).map(|place| Arc::clone(&place.path)) })
    }

    /// The unit and the container of the cgroup with this id.
    pub(super) fn named(&self, id: Option<u64>) -> Named {
        id.and_then(|id| self.get(id)).map(|place| place.named.clone()).unwrap_or_default()
    }

    /// Says of each process in a role where it was.
    pub(super) fn name_roles(&self, record: &mut Record) {
        for role in recorded::roles_mut(record) {
            Named { service: role.service, container: role.container } =
                self.named(Some(role.process.cgroup));
        }
    }
}

/// What a cgroup is called, made once for all its sockets.
struct Place {
    path: Arc<Path>,
    named: Named,
}

impl Place {
    fn new(path: &[u8]) -> Self {
        let named = Named::from(place(path));
        Self { path: Path::new(OsStr::from_bytes(path)).into(), named }
    }
}

/// The members of cgroups, each cgroup read once.
struct Candidates<'a, D: Door> {
    system: &'a System<D>,
    proc: Option<&'a Proc<D>>,
    known: BTreeMap<u64, Arc<[Candidate]>>,
}

impl<D: Door> Candidates<'_, D> {
    fn of(&mut self, id: u64, path: &Path) -> Arc<[Candidate]> {
        if let Some(known) = self.known.get(&id) {
            return Arc::clone(known);
        }
        let members: Arc<[Candidate]> = self.read(path.as_os_str().as_bytes()).into();
        self.known.insert(id, Arc::clone(&members));
        members
    }

    fn read(&self, path: &[u8]) -> Vec<Candidate> {
        let Some(proc) = self.proc else { return Vec::new() };
        let door = &self.system.door;
        let frame = self.system.frame(proc);
        let members = self.system.cgroups.members(door, path, false);
        members
            .into_iter()
            .filter_map(|pid| {
                // A member that ended is no candidate.
                let dir = door.open_dir(&proc.dir, pid.to_string().as_bytes()).ok()?;
                let process = process::read_public(door, &dir, &frame).ok()?;
                Some(Candidate { process: Arc::new(process) })
            })
            .collect()
    }
}
