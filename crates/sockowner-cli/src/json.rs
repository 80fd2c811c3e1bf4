//! The JSON document. Its keys and words are interface: they change only together with `SCHEMA`.
//!
//! Fields stand in the order in which they are written. Names that are not UTF-8 have U+FFFD in their place.

mod roles;

use std::borrow::Cow;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::Path;

use serde::{Serialize, Serializer};
use sockowner::{Attribution, Candidate, Entry, Evidence, Manager, Process, Reason, Snapshot};

use self::roles::Roles;
use crate::clock;

const SCHEMA: u32 = 1;

/// Writes `snapshot` as one document and a line feed.
pub(crate) fn write(out: &mut impl Write, snapshot: &Snapshot) -> io::Result<()> {
    let document = Document { schema: SCHEMA, endpoints: snapshot, gaps: snapshot };
    serde_json::to_writer(&mut *out, &document)?;
    out.write_all(b"\n")
}

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    #[serde(serialize_with = "endpoints")]
    endpoints: &'a Snapshot,
    #[serde(serialize_with = "gaps")]
    gaps: &'a Snapshot,
}

fn endpoints<S: Serializer>(snapshot: &Snapshot, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(snapshot.entries().iter().map(Endpoint::new))
}

fn gaps<S: Serializer>(snapshot: &Snapshot, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(snapshot.gaps().iter().map(|gap| Gap {
        source: gap.source,
        object: &gap.object,
        reason: gap.reason.as_str(),
        count: gap.count,
    }))
}

#[derive(Serialize)]
struct Gap<'a> {
    source: &'static str,
    object: &'a str,
    reason: &'static str,
    count: u64,
}

#[derive(Serialize)]
struct Endpoint<'a> {
    protocol: &'static str,
    family: &'static str,
    state: String,
    local_address: String,
    local_port: u16,
    remote_address: Option<String>,
    remote_port: Option<u16>,
    netns: Option<u64>,
    inode: u64,
    cookie: u64,
    uid: Option<u32>,
    user: Option<&'a str>,
    cgroup: Option<Cgroup<'a>>,
    service: Option<Service<'a>>,
    container: Option<Container<'a>>,
    owner: Option<Owner<'a>>,
    holders: Vec<Holder<'a>>,
    candidates: Vec<Member<'a>>,
    reason: Option<&'static str>,
    roles: Roles<'a>,
    created_at: Option<String>,
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    matched: Option<&'static str>,
    changed: bool,
}

#[derive(Serialize)]
struct Cgroup<'a> {
    id: u64,
    path: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
struct Service<'a> {
    name: &'a str,
    kind: &'static str,
    manager: &'static str,
    uid: Option<u32>,
}

#[derive(Serialize)]
struct Container<'a> {
    runtime: &'static str,
    id: &'a str,
    pod: Option<&'a str>,
    manager: Option<&'static str>,
    nested: Vec<Container<'a>>,
}

#[derive(Serialize)]
struct Owner<'a> {
    pid: u32,
    start_time: Option<String>,
    start_ticks: u64,
    name: Cow<'a, str>,
    comm: Cow<'a, str>,
    path: Option<Cow<'a, str>>,
    path_verified: bool,
    exe: Option<File>,
    uid: Option<u32>,
    user: Option<&'a str>,
    service: Option<Service<'a>>,
    exited: bool,
    evidence: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cmdline: Option<Vec<Cow<'a, str>>>,
}

#[derive(Serialize)]
struct File {
    device: u64,
    inode: u64,
}

#[derive(Serialize)]
struct Holder<'a> {
    pid: u32,
    tid: u32,
    fd: i32,
    start_time: Option<String>,
    name: Cow<'a, str>,
    path: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
struct Member<'a> {
    pid: u32,
    start_time: Option<String>,
    name: Cow<'a, str>,
    evidence: &'static str,
}

impl<'a> Endpoint<'a> {
    fn new(entry: &'a Entry) -> Self {
        let socket = &entry.socket;
        let endpoint = &socket.endpoint;
        let (owner, exited) = (entry.attribution.primary_owner(), entry.attribution.has_exited());
        Self {
            protocol: endpoint.protocol.as_str(),
            family: endpoint.family.as_str(),
            state: endpoint.state.to_string(),
            local_address: endpoint.local.host().to_string(),
            local_port: endpoint.local.port,
            remote_address: endpoint.remote.map(|remote| remote.host().to_string()),
            remote_port: endpoint.remote.map(|remote| remote.port),
            netns: socket.netns,
            inode: socket.inode,
            cookie: socket.cookie,
            uid: socket.uid,
            user: entry.user.as_deref(),
            cgroup: entry.cgroup.as_ref().map(|cgroup| Cgroup {
                id: cgroup.id,
                path: cgroup.path.as_deref().map(Path::to_string_lossy),
            }),
            service: entry.service.as_deref().map(Service::new),
            container: entry.container.as_deref().map(Container::new),
            owner: owner.map(|(process, evidence)| Owner::new(process, evidence, exited)),
            holders: holders(&entry.attribution),
            candidates: entry.candidates.iter().map(Member::new).collect(),
            reason: entry.attribution.reason().map(Reason::as_str),
            roles: Roles::new(entry),
            created_at: roles::created_at(entry),
            matched: entry.matched.map(sockowner::Match::as_str),
            changed: entry.changed,
        }
    }
}

fn holders(attribution: &Attribution) -> Vec<Holder<'_>> {
    let list = attribution.holders().iter();
    list.map(|holder| Holder {
        pid: holder.process.pid,
        tid: holder.tid,
        fd: holder.fd,
        start_time: start_time(&holder.process),
        name: lossy(&holder.process.name),
        path: path(&holder.process),
    })
    .collect()
}

impl<'a> Owner<'a> {
    fn new(process: &'a Process, evidence: Evidence, exited: bool) -> Self {
        let executable = process.executable.as_ref();
        let words = process.command_line.as_ref();
        Self {
            pid: process.pid,
            start_time: start_time(process),
            start_ticks: process.start.ticks,
            name: lossy(&process.name),
            comm: lossy(&process.comm),
            path: path(process),
            path_verified: executable.is_some_and(|executable| executable.verified),
            exe: executable
                .and_then(|executable| executable.file)
                .map(|file| File { device: file.device, inode: file.inode }),
            uid: process.uid,
            user: process.user.as_deref(),
            service: process.service.as_deref().map(Service::new),
            exited,
            evidence: evidence.as_str(),
            cmdline: words.map(|words| words.iter().map(|word| lossy(word)).collect()),
        }
    }
}

impl<'a> Member<'a> {
    fn new(candidate: &'a Candidate) -> Self {
        Self {
            pid: candidate.process.pid,
            start_time: start_time(&candidate.process),
            name: lossy(&candidate.process.name),
            evidence: Candidate::EVIDENCE,
        }
    }
}

impl<'a> Service<'a> {
    fn new(service: &'a sockowner::Service) -> Self {
        Self { name: &service.name, kind: "unit", manager: service.manager.as_str(), uid: service.uid }
    }
}

impl<'a> Container<'a> {
    fn new(container: &'a sockowner::Container) -> Self {
        Self {
            runtime: container.runtime.as_str(),
            id: &container.id,
            pod: container.pod.as_deref(),
            manager: container.manager.map(Manager::as_str),
            nested: container.nested.iter().map(Self::new).collect(),
        }
    }
}

fn start_time(process: &Process) -> Option<String> {
    process.start.time.and_then(clock::utc)
}

fn path(process: &Process) -> Option<Cow<'_, str>> {
    let executable = process.executable.as_ref()?;
    Some(executable.path.to_string_lossy())
}

fn lossy(text: &OsStr) -> Cow<'_, str> {
    text.to_string_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_snapshot_is_a_whole_document() {
        let mut out = Vec::new();
        write(&mut out, &Snapshot::default()).unwrap();
        assert_eq!(out, b"{\"schema\":1,\"endpoints\":[],\"gaps\":[]}\n");
    }
}
