//! Processes that own sockets: each is read once, by a handle where it may be opened.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::windows::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::buffer::{filled, text};
use super::door::{Door, GEN_FAILURE, Times, is_gone, is_refused};
use super::process_list::{self, Listed};
use super::services;
use super::system_time;
use super::users::Users;
use crate::{Executable, Gap, GapReason, Manager, Process, Reason, Service, StartTime};

/// The number of the process that stands for the system's own work.
pub(super) const SYSTEM: u32 = 4;
/// What the service manager runs: the parent of every process that it starts.
const MANAGER: &str = "services.exe";
/// Room for the processes and threads of a common machine.
const FIRST: usize = 256 << 10;

/// Processes, as far as they have been asked for.
#[derive(Debug)]
pub(super) struct Processes<'a, D> {
    door: &'a D,
    /// Empty where the list cannot be had.
    listed: BTreeMap<u32, Listed>,
    known: BTreeMap<u32, Result<Arc<Process>, Reason>>,
    users: Users,
    /// Once they have been asked for: the only service of a process, by its number and when it was created. What is not
    /// here has none, or several.
    services: Option<BTreeMap<(u32, u64), Arc<Service>>>,
    /// By number, creation and tag.
    tagged: BTreeMap<(u32, u64, u32), Option<Arc<Service>>>,
    gaps: Vec<Gap>,
    /// How many could not be opened.
    refused: u64,
    /// How many did not tell their user.
    without_user: u64,
    /// How many tags are nobody's, as far as could be found out.
    untold_tags: BTreeMap<GapReason, u64>,
}

impl<'a, D: Door> Processes<'a, D> {
    pub(super) fn new(door: &'a D) -> Self {
        let mut gaps = Vec::new();
        let listed = match list(door) {
            Ok((listed, malformed)) => {
                if malformed > 0 {
                    gaps.push(Gap::new("processes", "list", GapReason::Malformed, malformed));
                }
                listed.into_iter().map(|listed| (listed.pid, listed)).collect()
            }
            Err(error) => {
                gaps.push(Gap::new("processes", "list", reason(&error), 1));
                BTreeMap::new()
            }
        };
        Self {
            door,
            listed,
            known: BTreeMap::new(),
            users: Users::default(),
            services: None,
            tagged: BTreeMap::new(),
            gaps,
            refused: 0,
            without_user: 0,
            untold_tags: BTreeMap::new(),
        }
    }

    /// The process with this number now, or why nobody is named.
    pub(super) fn of(&mut self, pid: u32) -> Result<Arc<Process>, Reason> {
        if let Some(known) = self.known.get(&pid) {
            return known.clone();
        }
        let process = self.read(pid).map(Arc::new);
        self.known.insert(pid, process.clone());
        process
    }

    /// The service with this tag in a process.
    pub(super) fn service(&mut self, process: &Process, tag: u32) -> Option<Arc<Service>> {
        let key = (process.pid, process.start.ticks, tag);
        if let Some(known) = self.tagged.get(&key) {
            return known.clone();
        }
        let service = self.tagged(process, tag).or_else(|why| {
            // A tag is some service's: where only one lives there it is that one's.
            process.service.clone().ok_or(why)
        });
        if let Err(why) = &service {
            *self.untold_tags.entry(*why).or_default() += 1;
        }
        let service = service.ok();
        self.tagged.insert(key, service.clone());
        service
    }

    fn tagged(&self, process: &Process, tag: u32) -> Result<Arc<Service>, GapReason> {
        // While it is held nobody else has its number. Whom the caller may not hold he may still be told of.
        let held = open(self.door, process.pid);
        match &held {
            Ok((_, created)) if *created != process.start.ticks => return Err(GapReason::Gone),
            Err(error) if is_gone(error) => return Err(GapReason::Gone),
            Err(error) if !is_refused(error) => return Err(reason(error)),
            _ => {}
        }
        let name = self.door.service_by_tag(process.pid, tag).map_err(|error| reason(&error))?;
        if held.is_err() {
            // Then he is in a list that was made before, and has to be in one that is made after.
            let (after, _) = list(self.door).map_err(|error| reason(&error))?;
            let is_he = |listed: &Listed| (listed.pid, listed.created) == (process.pid, process.start.ticks);
            if !after.iter().any(is_he) {
                return Err(GapReason::Gone);
            }
        }
        if name.is_empty() { Err(GapReason::Malformed) } else { Ok(service(String::from_utf16_lossy(&name))) }
    }

    /// What could not be read.
    pub(super) fn gaps(self) -> Vec<Gap> {
        let mut gaps = self.gaps;
        for (object, count) in [("executables", self.refused), ("users", self.without_user)] {
            if count > 0 {
                gaps.push(Gap::new("processes", object, GapReason::NotPermitted, count));
            }
        }
        let tags = self.untold_tags.into_iter();
        gaps.extend(tags.map(|(why, count)| Gap::new("services", "tags", why, count)));
        gaps
    }

    fn read(&mut self, pid: u32) -> Result<Process, Reason> {
        let found = self.look(pid)?;
        let service = self.only_service(&found);
        Ok(Process { service, ..found })
    }

    /// The only service of a process. The manager, who takes long to answer, is asked only if he started it.
    fn only_service(&mut self, process: &Process) -> Option<Arc<Service>> {
        let &Process { pid, parent, start: StartTime { ticks, .. }, .. } = process;
        // It was there before the manager is asked.
        self.listed.get(&pid).filter(|listed| listed.created == ticks)?;
        let parent = String::from_utf16_lossy(&self.listed.get(&parent)?.name);
        if !parent.eq_ignore_ascii_case(MANAGER) {
            return None;
        }
        let Self { door, gaps, .. } = self;
        let services = self.services.get_or_insert_with(|| only_services(*door, gaps));
        services.get(&(pid, ticks)).cloned()
    }

    fn look(&mut self, pid: u32) -> Result<Process, Reason> {
        let listed = self.listed.get(&pid);
        if pid == SYSTEM && !self.door.is_wine() {
            return Ok(system(listed));
        }
        let (found, error) = match open(self.door, pid) {
            Ok((process, created)) => match image(self.door, &process) {
                Ok(path) => {
                    let found = described(pid, created, listed, Some(path));
                    return Ok(Process { user: self.user(&process), ..found });
                }
                Err(error) if has_ended(self.door, &process, &error) => return Err(Reason::Gone),
                Err(error) => (Some(described(pid, created, listed, None)), error),
            },
            Err(error) if is_gone(&error) => return Err(Reason::Gone),
            Err(error) => (listed.map(|known| described(pid, known.created, listed, None)), error),
        };
        self.note(pid, &error);
        found.ok_or(Reason::NotPermitted)
    }

    fn user(&mut self, process: &D::Process) -> Option<Arc<str>> {
        let user = self.door.user(process).ok().and_then(|sid| self.users.named(self.door, sid));
        self.without_user += u64::from(user.is_none());
        user
    }

    fn note(&mut self, pid: u32, error: &io::Error) {
        if is_refused(error) {
            self.refused += 1;
        } else if has_no_image(error) {
            self.gaps.push(Gap::new("processes", "executables", GapReason::Unsupported, 1));
        } else {
            self.gaps.push(Gap::new("processes", format!("pid {pid}"), reason(error), 1));
        }
    }
}

/// A handle to the process with this number, and when it was created; [`is_gone`] where it has ended.
pub(super) fn open<D: Door>(door: &D, pid: u32) -> io::Result<(D::Process, u64)> {
    let process = door.open_process(pid)?;
    let Times { created, ended } = door.times(&process)?;
    // While a process lives its end need not be 0.
    if ended != 0 && door.has_ended(&process)? {
        return Err(io::Error::from_raw_os_error(super::door::INVALID_PARAMETER));
    }
    Ok((process, created))
}

/// The path of a process's executable.
pub(super) fn image<D: Door>(door: &D, process: &D::Process) -> io::Result<PathBuf> {
    let units = text(|buffer| door.image(process, buffer))?;
    Ok(OsString::from_wide(&units).into())
}

/// The process ended between the two calls: that is why the second failed.
pub(super) fn has_ended<D: Door>(door: &D, process: &D::Process, error: &io::Error) -> bool {
    door.has_ended(process).unwrap_or_else(|_| has_no_image(error))
}

/// What a process without an image gives for its path: one that has ended, or a part of the system (`Registry`).
pub(super) fn has_no_image(error: &io::Error) -> bool {
    error.raw_os_error() == Some(GEN_FAILURE)
}

/// The list of all processes, and how many entries of it are malformed.
pub(super) fn list<D: Door>(door: &D) -> io::Result<(Vec<Listed>, u64)> {
    let filled = filled(FIRST, |buffer| door.processes(buffer))?;
    Ok(process_list::read(filled.bytes(), filled.address()))
}

/// The only service of each process that has one. The manager tells numbers: of a process that is in a list made before and
/// in this one, made after he was asked, it is the service.
fn only_services<D: Door>(door: &D, gaps: &mut Vec<Gap>) -> BTreeMap<(u32, u64), Arc<Service>> {
    let active = match services::active(door) {
        Ok(active) => active,
        Err(error) => {
            gaps.push(Gap::new("services", format!("{error:#}"), error.gap_reason(), 1));
            return BTreeMap::new();
        }
    };
    let after = match list(door) {
        Ok((after, _)) => after,
        Err(error) => {
            gaps.push(Gap::new("processes", "list", reason(&error), 1));
            return BTreeMap::new();
        }
    };
    let only = |process: Listed| {
        let name = services::only(&active, process.pid)?;
        Some(((process.pid, process.created), service(name.to_owned())))
    };
    after.into_iter().filter_map(only).collect()
}

fn service(name: String) -> Arc<Service> {
    Arc::new(Service { name, manager: Manager::System, uid: None })
}

fn system(listed: Option<&Listed>) -> Process {
    let created = listed.map_or(0, |listed| listed.created);
    let process = described(SYSTEM, created, listed, None);
    let name = OsString::from(crate::Module::KERNEL);
    Process { name: name.clone(), comm: name, kernel_thread: true, ..process }
}

fn described(pid: u32, created: u64, listed: Option<&Listed>, path: Option<PathBuf>) -> Process {
    // An entry of the list that was made by an earlier process with this number.
    let listed = listed.filter(|listed| listed.created == created);
    let comm = listed.map(|listed| OsString::from_wide(&listed.name)).unwrap_or_default();
    let base = path.as_deref().and_then(Path::file_name).map(OsString::from);
    Process {
        pid,
        start: StartTime { ticks: created, time: system_time(created) },
        parent: listed.map_or(0, |listed| listed.parent),
        name: base.unwrap_or_else(|| comm.clone()),
        comm,
        executable: path.map(|path| Executable { path, verified: false, deleted: false, file: None }),
        uid: None,
        user: None,
        service: None,
        container: None,
        command_line: None,
        pidfd_inode: None,
        kernel_thread: false,
    }
}

fn reason(error: &io::Error) -> GapReason {
    match error.kind() {
        io::ErrorKind::PermissionDenied => GapReason::NotPermitted,
        io::ErrorKind::Unsupported => GapReason::Unsupported,
        _ => GapReason::Interrupted,
    }
}
