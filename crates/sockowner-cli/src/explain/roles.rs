//! Who created, bound, listened on and accepted a socket, for people.

use std::io::{self, Write};

use jiff::tz::TimeZone;
use sockowner::{
    Attribution, Component, Endpoint, Entry, Process, Record, Recorded, Role, RoleEvidence, RoleKind,
    RoleReason,
};

use super::component;
use crate::block::Block;
use crate::text::{shown_name, shown_os};
use crate::{clock, naming};

/// A line or two for each role; one for all where nothing is known.
pub(super) fn write(block: &mut Block<'_, impl Write>, entry: &Entry, zone: &TimeZone) -> io::Result<()> {
    let why = match &entry.record {
        Record::Known(recorded) => return known(block, entry, recorded, zone),
        Record::NotPermitted => "a recorder notes that, for root, its group, and whose process it was",
        Record::NotRecorded => "the recorder has nothing on this socket",
        _ => "nothing records that here",
    };
    block.sentence("not known", &format!("{}: {why}", unknown(&entry.socket.endpoint)))
}

/// What nobody can say without having watched.
fn unknown(endpoint: &Endpoint) -> &'static str {
    if endpoint.state.is_listening() {
        "who created and bound it, when, and from which library"
    } else {
        "who created, connected or accepted it, when, and from which library"
    }
}

fn known(
    block: &mut Block<'_, impl Write>,
    entry: &Entry,
    recorded: &Recorded,
    zone: &TimeZone,
) -> io::Result<()> {
    let local = |time| clock::local(time, zone);
    let created_at = recorded.created_at.and_then(local);
    for kind in RoleKind::ALL {
        let label = label(kind);
        let is_creator = kind == RoleKind::Creator;
        match (recorded.roles.get(kind), recorded.roles.reason(kind)) {
            (Some(role), _) => {
                let time = role.time.and_then(local);
                block.datum(label, &caller(role, time.as_deref()))?;
                if let Some(words) = evidence(role) {
                    block.sentence("", words)?;
                }
                if !is_told(recorded, kind, role) {
                    whereabouts(block, entry, role)?;
                }
                if let Some(it) = &role.component {
                    component::write(block, it, is_file_told(recorded, kind, it))?;
                }
                // The connection is younger than its listener.
                if let Some(time) = created_at.as_ref().filter(|_| is_creator && time.is_none()) {
                    block.datum("", &format!("the connection was established {time}"))?;
                }
            }
            (None, Some(reason)) => {
                let time = created_at.as_ref().filter(|_| is_creator);
                let time = time.map(|time| format!("{time}, by whom is ")).unwrap_or_default();
                block.sentence(label, &format!("{time}{}", unknown_role(reason)))?;
            }
            (None, None) => {}
        }
    }
    match recorded.closed_at.and_then(local) {
        Some(time) => block.datum("closed", &time),
        None => Ok(()),
    }
}

/// The roles that are told before this one.
fn before(recorded: &Recorded, kind: RoleKind) -> impl Iterator<Item = &Role> {
    let before = RoleKind::ALL.into_iter().take_while(move |other| *other != kind);
    before.filter_map(|other| recorded.roles.get(other))
}

/// The same process had a role before.
fn is_told(recorded: &Recorded, kind: RoleKind, role: &Role) -> bool {
    before(recorded, kind).any(|other| other.process == role.process)
}

/// The same file had made a call before.
fn is_file_told(recorded: &Recorded, kind: RoleKind, it: &Component) -> bool {
    before(recorded, kind)
        .filter_map(|other| other.component.as_deref())
        .any(|other| component::is_same_file(other, it))
}

fn label(kind: RoleKind) -> &'static str {
    match kind {
        RoleKind::Creator => "created",
        RoleKind::Binder => "bound by",
        RoleKind::Listener => "listened",
        RoleKind::Acceptor => "accepted by",
    }
}

fn unknown_role(reason: RoleReason) -> &'static str {
    match reason {
        RoleReason::NotRecorded => "not recorded",
        RoleReason::BeforeRecorder => "not known: before the recorder was started",
        RoleReason::NotPermitted => "not permitted",
        other => other.as_str(),
    }
}

fn caller(role: &Role, time: Option<&str>) -> String {
    let name = shown_name(&role.process.name);
    let pid = role.process.pid.map_or_else(|| "no pid here".to_owned(), |pid| format!("pid {pid}"));
    let time = time.map(|time| format!(", {time}")).unwrap_or_default();
    format!("{name}, {pid}{time}")
}

/// Of a call that was seen nothing need be said.
fn evidence(role: &Role) -> Option<&'static str> {
    match role.evidence {
        RoleEvidence::Call if role.implicit => {
            Some("by a connect or listen that had the kernel choose a port")
        }
        RoleEvidence::Call => None,
        RoleEvidence::FirstUser => Some("it was the first to use it; who accepted it may have been another"),
        RoleEvidence::Closer => Some("it was the last to close it; who accepted it may have been another"),
        RoleEvidence::Inherited => Some("its listener's"),
        other => Some(other.as_str()),
    }
}

/// The path and the place of a process that is not the owner, of which these are told above.
fn whereabouts(block: &mut Block<'_, impl Write>, entry: &Entry, role: &Role) -> io::Result<()> {
    let process = &role.process;
    let is_owner = |owner: &Process| {
        process.pid == Some(owner.pid)
            && process.start.ticks == owner.start.ticks
            && owner.executable.as_ref().map(|executable| &executable.path) == process.path.as_ref()
    };
    if entry.attribution.primary_owner().is_some_and(|(owner, _)| is_owner(owner)) {
        return Ok(());
    }
    if let Some(path) = &process.path {
        block.datum("", &shown_os(path.as_os_str()))?;
    }
    let place = naming::either(role.service.as_deref(), role.container.as_deref());
    match place.filter(|_| role.service != entry.service || role.container != entry.container) {
        Some(place) => block.datum("", &format!("in {place}")),
        None => Ok(()),
    }
}

/// How an owner is known that has the socket no more.
pub(super) fn former_owner(entry: &Entry) -> String {
    let Attribution::Recorded(owner) = &entry.attribution else { return String::new() };
    if !super::IS_LINUX {
        // The system's own record, of sockets that are open.
        return "recorded: the system noted that it bound or connected it".to_owned();
    }
    let did = match (owner.role, entry.record.role(owner.role).map(|role| role.evidence)) {
        (RoleKind::Acceptor, Some(RoleEvidence::FirstUser)) => "was the first to use it",
        (RoleKind::Acceptor, Some(RoleEvidence::Closer)) => "was the last to close it",
        (RoleKind::Acceptor, _) => "accepted it",
        _ => "bound or connected it",
    };
    let ended = if owner.exited { "; it has exited" } else { "" };
    format!("recorded: it {did}; no process has it any more{ended}")
}
