//! Who did what to a socket, as it was recorded.

use std::borrow::Cow;
use std::path::Path;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use sockowner::{Entry, RoleKind};

use super::{Service, lossy};
use crate::clock;

/// The four roles; without a recorder none is known, and no reason for each is worth telling.
#[derive(Serialize)]
pub(super) struct Roles<'a> {
    creator: Option<Role<'a>>,
    binder: Option<Role<'a>>,
    listener: Option<Role<'a>>,
    acceptor: Option<Role<'a>>,
    reasons: Reasons<'a>,
}

#[derive(Serialize)]
struct Role<'a> {
    pid: Option<u32>,
    start_time: Option<String>,
    name: Cow<'a, str>,
    path: Option<Cow<'a, str>>,
    uid: u32,
    unit: Option<Service<'a>>,
    time: Option<String>,
    evidence: &'static str,
    /// The calling code, which is not recorded.
    component: (),
}

/// Why roles are empty, by their names.
struct Reasons<'a>(&'a Entry);

impl<'a> Roles<'a> {
    pub(super) fn new(entry: &'a Entry) -> Self {
        let role = |kind| entry.record.role(kind).map(Role::new);
        Self {
            creator: role(RoleKind::Creator),
            binder: role(RoleKind::Binder),
            listener: role(RoleKind::Listener),
            acceptor: role(RoleKind::Acceptor),
            reasons: Reasons(entry),
        }
    }
}

impl<'a> Role<'a> {
    fn new(role: &'a sockowner::Role) -> Self {
        let process = &role.process;
        Self {
            pid: process.pid,
            start_time: process.start.time.and_then(clock::utc),
            name: lossy(&process.name),
            path: process.path.as_deref().map(Path::to_string_lossy),
            // As an owner's.
            uid: process.effective_uid,
            unit: role.service.as_deref().map(Service::new),
            time: role.time.and_then(clock::utc),
            evidence: role.evidence.as_str(),
            component: (),
        }
    }
}

impl Serialize for Reasons<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        for kind in RoleKind::ALL {
            if let Some(reason) = self.0.role_reason(kind) {
                map.serialize_entry(kind.as_str(), reason.as_str())?;
            }
        }
        map.end()
    }
}

/// When the socket was made.
pub(super) fn created_at(entry: &Entry) -> Option<String> {
    entry.record.known()?.created_at.and_then(clock::utc)
}
