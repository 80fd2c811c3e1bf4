//! Who did what to a socket, as it was recorded.

use std::borrow::Cow;
use std::path::Path;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use sockowner::{ComponentFrame, Entry, RoleKind};

use super::{Service, lossy};
use crate::{clock, naming};

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
    component: Option<Component<'a>>,
}

/// The calling code.
#[derive(Serialize)]
struct Component<'a> {
    name: Cow<'a, str>,
    path: Option<Cow<'a, str>>,
    build_id: Option<String>,
    offset: Option<u64>,
    evidence: &'static str,
    generated: bool,
    chain: Vec<Frame<'a>>,
}

#[derive(Serialize)]
struct Frame<'a> {
    name: Cow<'a, str>,
    path: Option<Cow<'a, str>>,
    build_id: Option<String>,
    offset: u64,
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
            component: role.component.as_deref().map(Component::new),
        }
    }
}

impl<'a> Component<'a> {
    fn new(component: &'a sockowner::Component) -> Self {
        Self {
            name: lossy(&component.name),
            path: component.path.as_deref().map(Path::to_string_lossy),
            build_id: component.build_id.as_deref().map(naming::build_id),
            offset: component.offset,
            evidence: component.evidence.as_str(),
            generated: component.generated,
            chain: component.chain.iter().map(Frame::new).collect(),
        }
    }
}

impl<'a> Frame<'a> {
    fn new(frame: &'a ComponentFrame) -> Self {
        Self {
            name: lossy(&frame.name),
            path: frame.path.as_deref().map(Path::to_string_lossy),
            build_id: frame.build_id.as_deref().map(naming::build_id),
            offset: frame.offset,
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

/// When its last descriptor was closed.
pub(super) fn closed_at(entry: &Entry) -> Option<String> {
    entry.record.known()?.closed_at.and_then(clock::utc)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockowner::ComponentEvidence;

    #[test]
    fn a_component_has_the_same_keys_always() {
        let bare = sockowner::Component::new("x", ComponentEvidence::ExecutableOnly);
        assert_eq!(
            serde_json::to_string(&Component::new(&bare)).unwrap(),
            r#"{"name":"x","path":null,"build_id":null,"offset":null,"evidence":"executable_only","generated":false,"chain":[]}"#
        );
        let mut whole = sockowner::Component::new("libnio.so", ComponentEvidence::Cfi);
        whole.path = Some("/lib/libnio.so".into());
        whole.build_id = Some(vec![0, 0x1f, 0xff]);
        whole.offset = Some(0x10);
        whole.generated = true;
        whole.chain = vec![ComponentFrame::new("libc.so.6", 7), ComponentFrame::new("", u64::MAX)];
        assert_eq!(
            serde_json::to_string(&Component::new(&whole)).unwrap(),
            concat!(
                r#"{"name":"libnio.so","path":"/lib/libnio.so","build_id":"001fff","offset":16,"evidence":"cfi","#,
                r#""generated":true,"chain":[{"name":"libc.so.6","path":null,"build_id":null,"offset":7},"#,
                r#"{"name":"","path":null,"build_id":null,"offset":18446744073709551615}]}"#
            )
        );
    }
}
