//! One endpoint in full, for people: what is known, how it is known, and what is not.

mod component;
mod roles;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

use jiff::tz::TimeZone;
use sockowner::{
    Container, Entry, Evidence, Executable, Family, FileId, Holder, Manager, Match, Process, Reason, Service,
    State,
};

use crate::block::Block;
use crate::messages::Hidden;
use crate::text::{shown, shown_name, shown_os, shown_word};
use crate::{clock, list, naming, netns};

/// Sockets have a user, a cgroup and numbers of their own, processes a mount namespace. On Windows none of that.
const IS_LINUX: bool = cfg!(target_os = "linux");

/// Explains endpoints, each below the other.
#[derive(Debug)]
pub(crate) struct Page {
    asked: String,
    hidden: Hidden,
    width: Option<usize>,
    zone: TimeZone,
}

impl Page {
    /// For what met the pattern that was `asked`; sentences are divided at `width`.
    pub(crate) fn new(asked: &str, hidden: Hidden, width: Option<usize>) -> Self {
        Self { asked: shown(asked).into_owned(), hidden, width, zone: clock::local_zone() }
    }

    /// Explains one.
    pub(crate) fn write(&self, out: &mut impl Write, entry: &Entry) -> io::Result<()> {
        let mut block = Block::new(out, self.width);
        block.head(&entry.socket)?;
        if entry.matched == Some(Match::Wildcard) {
            let serves = if is_closed(entry) {
                "it listened on every address, so it served"
            } else {
                "it listens on every address, so it serves"
            };
            let by = entry.socket.interface.map(|interface| interface.to_string());
            let by =
                by.map(|name| format!(", for what comes by interface {}", shown(&name))).unwrap_or_default();
            let serves = format!("wildcard: {serves} {} too{by}", self.asked);
            block.sentence("match", &serves)?;
        }
        if entry.changed {
            block.sentence("changed", "its state was another one when the search for its owner began")?;
        }
        match entry.attribution.primary_owner() {
            Some((process, evidence)) => self.owner(&mut block, entry, process, evidence)?,
            None => unowned(&mut block, entry)?,
        }
        place(&mut block, entry)?;
        user(&mut block, entry)?;
        holders(&mut block, entry)?;
        self.candidates(&mut block, entry)?;
        socket(&mut block, entry)?;
        roles::write(&mut block, entry, &self.zone)
    }

    fn owner(
        &self,
        block: &mut Block<'_, impl Write>,
        entry: &Entry,
        process: &Process,
        evidence: Evidence,
    ) -> io::Result<()> {
        block.datum("owner", &format!("{}, {}", shown_name(&process.name), naming::pid(process.pid)))?;
        block.sentence("", &self.evidence(entry, evidence))?;
        executable(block, process)?;
        let uid = process.uid.map(|uid| format!("uid {uid}"));
        let user = match (&process.user, uid) {
            (Some(name), Some(uid)) => format!(" by user {} ({uid})", shown(name)),
            (Some(name), None) => format!(" by user {}", shown(name)),
            (None, Some(uid)) => format!(" by {uid}"),
            (None, None) => String::new(),
        };
        block.datum("", &format!("started {}{user}", self.started(process)))?;
        if let Some(words) = &process.command_line {
            block.datum("", &format!("command line: {}", command_line(words)))?;
        }
        // On Windows only a service that must be alone in its process is told of a process.
        let is_told = IS_LINUX || process.service.is_some();
        if is_told && (process.service != entry.service || process.container != entry.container) {
            let place = naming::place_of(process).unwrap_or_else(|| "no service or container".into());
            let then = if entry.attribution.has_exited() { "was" } else { "now" };
            block.datum("", &format!("{then} in {place}"))?;
        }
        Ok(())
    }

    fn evidence(&self, entry: &Entry, evidence: Evidence) -> String {
        let as_far = if self.hidden.is_any() {
            format!(", as far as may be seen: {}", self.hidden.sentence())
        } else {
            String::new()
        };
        match evidence {
            Evidence::Holder => format!("the only process that has it{as_far}"),
            Evidence::EarliestHolder => {
                let count = list::processes(entry);
                format!("the one that started first of {count} that have it: a convention, not proof{as_far}")
            }
            Evidence::Recorded => roles::former_owner(entry),
            other => other.as_str().to_owned(),
        }
    }

    fn started(&self, process: &Process) -> String {
        let time = process.start.time.and_then(|time| clock::local(time, &self.zone));
        time.unwrap_or_else(|| {
            if IS_LINUX {
                format!("{} clock ticks after boot", process.start.ticks)
            } else {
                "at a time that is not known".to_owned()
            }
        })
    }

    fn candidates(&self, block: &mut Block<'_, impl Write>, entry: &Entry) -> io::Result<()> {
        if entry.candidates.is_empty() {
            return Ok(());
        }
        block.sentence("candidates", "in the cgroup it was made in, which does not make them owners:")?;
        for candidate in entry.candidates.iter() {
            let process = &candidate.process;
            let (name, pid) = (shown_name(&process.name), process.pid);
            block.datum("", &format!("{name} pid {pid}, started {}", self.started(process)))?;
        }
        Ok(())
    }
}

/// Told from the record alone: the kernel has no row of it.
fn is_closed(entry: &Entry) -> bool {
    let is_recorded = entry.record.known().is_some_and(|recorded| recorded.closed_at.is_some());
    is_recorded && entry.socket.endpoint.state == State::CLOSE
}

fn unowned(block: &mut Block<'_, impl Write>, entry: &Entry) -> io::Result<()> {
    match entry.attribution.reason() {
        Some(reason) => {
            let sentence = match reason {
                Reason::NotPermitted if is_closed(entry) => {
                    "who had it last is recorded, for root, its group, and whose process it was"
                }
                _ if is_closed(entry) => "who had it last is not recorded, or nobody ever had",
                _ => reason.sentence(),
            };
            let words = format!("{} {sentence}", naming::reason(reason));
            block.sentence("owner", &words)
        }
        None => block.sentence("owner", "not asked for"),
    }
}

fn executable(block: &mut Block<'_, impl Write>, process: &Process) -> io::Result<()> {
    match &process.executable {
        Some(executable) => {
            block.datum("", &shown_os(executable.path.as_os_str()))?;
            if let Some(doubt) = doubt(executable) {
                block.sentence("", &doubt)?;
            }
        }
        None if process.kernel_thread => block.sentence("", "a thread of the kernel")?,
        None => block.sentence("", "its executable may not be seen by you, or is gone")?,
    }
    // The kernel cuts this name at 15 bytes.
    let (name, comm) = (process.name.as_encoded_bytes(), process.comm.as_encoded_bytes());
    if !name.starts_with(comm) {
        block.datum("", &format!("calls itself {}", shown_os(&process.comm)))?;
    }
    Ok(())
}

/// The words as a shell would take them. A program that overwrites its arguments with a title leaves the rest of them
/// empty; those are counted instead of shown.
pub(crate) fn command_line(words: &[OsString]) -> String {
    let empty = words.iter().rev().take_while(|word| word.is_empty()).count();
    let shown = if empty > 1 { &words[..words.len() - empty] } else { words };
    let line = shown.iter().map(|word| shown_word(word)).collect::<Vec<_>>().join(" ");
    if empty > 1 { format!("{line} (and {empty} empty words)") } else { line }
}

/// What keeps a path from naming the file that runs.
fn doubt(executable: &Executable) -> Option<String> {
    let why = match (executable.deleted, executable.verified) {
        (true, _) => "deleted since it was started",
        (false, true) => return None,
        (false, false) if !IS_LINUX => "not verified",
        (false, false) => "as its own mount namespace has it, not verified",
    };
    let file = executable.file.map(file).unwrap_or_default();
    Some(format!("({why}{file})"))
}

/// Device and inode; the device as stat(1) and mountinfo write it.
fn file(file: FileId) -> String {
    let device = file.device;
    let major = (device >> 8 & 0xfff) | (device >> 32 & !0xfff);
    let minor = (device & 0xff) | (device >> 12 & 0xffff_ff00);
    format!("; device {major}:{minor}, inode {}", file.inode)
}

/// Service, container and cgroup of the socket's making.
fn place(block: &mut Block<'_, impl Write>, entry: &Entry) -> io::Result<()> {
    if !IS_LINUX {
        let known = entry.service.as_ref().or_else(|| entry.attribution.primary_owner()?.0.service.as_ref());
        return match known {
            Some(service) => block.datum("service", &service_in_words(service)),
            None => block.datum("service", "none that is known"),
        };
    }
    let path = entry.cgroup.as_ref().map(|cgroup| cgroup.path.as_deref());
    let unknown = match path {
        None if is_closed(entry) => Some("not known: not recorded"),
        None => Some("not known: the kernel tells no cgroup of this socket"),
        Some(None) => Some("not known: the cgroup was removed, or lies outside your view"),
        Some(Some(_)) => None,
    };
    match (&entry.service, unknown) {
        (Some(service), _) => block.datum("service", &service_in_words(service))?,
        (None, Some(unknown)) => block.sentence("service", unknown)?,
        (None, None) => block.datum("service", "none")?,
    }
    match (&entry.container, unknown) {
        (Some(container), _) => container_lines(block, container)?,
        (None, Some(_)) => block.datum("container", "not known")?,
        (None, None) => block.datum("container", "none")?,
    }
    let Some(cgroup) = &entry.cgroup else { return Ok(()) };
    let path = cgroup.path.as_deref().map(Path::as_os_str).map(shown_os);
    block.datum("cgroup", &format!("{} (id {})", path.as_deref().unwrap_or("path not known"), cgroup.id))
}

fn service_in_words(service: &Service) -> String {
    let named_by = match (service.manager, service.uid) {
        (Manager::System, _) => "",
        (Manager::User, Some(uid)) => &format!(" (the name is the choice of uid {uid})"),
        (Manager::User, None) => " (the name is a user's choice)",
        (Manager::Container, _) => " (the name is the container's choice)",
    };
    format!("{}{named_by}", naming::service(service))
}

fn container_lines(block: &mut Block<'_, impl Write>, container: &Container) -> io::Result<()> {
    let named_by = match container.manager {
        Some(Manager::System) => "",
        Some(Manager::User) => " (the name is a user's choice)",
        Some(Manager::Container) => " (the name is another container's choice)",
        None => " (the path does not tell who named it)",
    };
    block.datum("container", &format!("{}{named_by}", naming::container(container)))?;
    if let Some(pod) = &container.pod {
        block.datum("", &format!("in pod {}", shown(pod)))?;
    }
    for nested in &container.nested {
        block.datum("", &format!("inside it {}", naming::container(nested)))?;
    }
    Ok(())
}

fn user(block: &mut Block<'_, impl Write>, entry: &Entry) -> io::Result<()> {
    let value = match (&entry.user, entry.socket.uid) {
        (Some(name), Some(uid)) => format!("{} (uid {uid})", shown(name)),
        (Some(name), None) => shown(name).into_owned(),
        (None, Some(uid)) => format!("uid {uid}, which has no name"),
        // A socket has none there: its owner's stands with the owner.
        (None, None) if !IS_LINUX => return Ok(()),
        (None, None) => "not known: the kernel tells none of a socket without a file".to_owned(),
    };
    block.datum("user", &value)
}

/// What a process has a socket by.
const DESCRIPTOR: &str = if IS_LINUX { "fd" } else { "handle" };

/// More descriptors of one process are counted; JSON has them all.
const FDS_SHOWN: usize = 16;

/// All who have it, the descriptors of one table in one line.
fn holders(block: &mut Block<'_, impl Write>, entry: &Entry) -> io::Result<()> {
    let holders = entry.attribution.holders();
    let owner = holders.first().map(|holder| &holder.process);
    let is_same = |one: &Holder, other: &Holder| one.process.is(&other.process) && one.tid == other.tid;
    let mut label = "holders";
    for table in holders.chunk_by(is_same) {
        let Some(Holder { process, tid, .. }) = table.first() else {
            continue;
        };
        let thread = if *tid == process.pid {
            String::new()
        } else {
            format!(" thread {tid}, which has a table of its own,")
        };
        // Of a native program's under Wine, and of one that Wine's table names, no handle is known.
        let known: Vec<_> = table.iter().map(|holder| holder.fd).filter(|&fd| fd >= 0).collect();
        let mut fds: Vec<_> = known.iter().take(FDS_SHOWN).map(ToString::to_string).collect();
        if known.len() > FDS_SHOWN {
            fds.push(format!("and {} more", known.len() - FDS_SHOWN));
        }
        let mut line = format!("{} {}{thread}", shown_name(&process.name), naming::pid(process.pid));
        if !fds.is_empty() {
            line = format!("{line} {DESCRIPTOR} {}", fds.join(", "));
        }
        let path = |process: &Process| process.executable.as_ref().map(|executable| executable.path.clone());
        if let Some(path) =
            path(process).filter(|own| owner.and_then(|owner| path(owner)).as_ref() != Some(own))
        {
            line = format!("{line}, {}", shown_os(path.as_os_str()));
        }
        if owner.is_some_and(|owner| (owner.uid, &owner.user) != (process.uid, &process.user)) {
            let user = naming::user(process.uid, process.user.as_deref());
            line = format!("{line}, user {}", user.as_deref().unwrap_or("not known"));
        }
        block.datum(label, &line)?;
        label = "";
    }
    Ok(())
}

fn socket(block: &mut Block<'_, impl Write>, entry: &Entry) -> io::Result<()> {
    let socket = &entry.socket;
    if IS_LINUX {
        let inode = match socket.inode {
            0 => "no inode (no file stands for it)".to_owned(),
            inode => format!("inode {inode}"),
        };
        let mut facts = format!("{inode}, cookie {}", socket.cookie);
        if let Some(netns) = socket.netns {
            let called =
                netns::name(entry).map_or_else(|| netns.to_string(), |name| format!("{name} ({netns})"));
            facts = format!("{facts}, network namespace {called}");
        }
        block.datum("socket", &facts)?;
        if socket.is_subflow {
            block.sentence("", "a subflow of the MPTCP socket with the same inode")?;
        }
    }
    if let Some(interface) = socket.interface {
        block.datum("", &format!("bound to interface {}", shown(&interface.to_string())))?;
    }
    let is_any = socket.endpoint.family == Family::Ipv6 && socket.endpoint.local.is_wildcard();
    match socket.v6only {
        Some(true) if is_any => block.sentence("", "IPv6 only"),
        Some(false) if is_any => block.sentence("", "serves IPv4 too"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_title_leaves_empty_is_counted() {
        let line = |words: &[&str]| command_line(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(line(&["postgres: writer", "", "", ""]), r#""postgres: writer" (and 3 empty words)"#);
        assert_eq!(line(&["sh", "-c", ""]), r#"sh -c """#);
    }
}
