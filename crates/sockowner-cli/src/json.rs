//! The JSON document, and lines of JSON. Their keys and words are interface: they change only together with `SCHEMA`; keys
//! may be added.
//!
//! Fields stand in the order in which they are written. Names that are not UTF-8 have U+FFFD in their place.

mod harmless;
mod roles;

use std::borrow::{Borrow, Cow};
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use serde_json::Serializer;
use sockowner::{Attribution, Candidate, Entry, Evidence, Manager, Process, Reason};

use self::harmless::Harmless;
use self::roles::Roles;
use crate::clock;

const SCHEMA: u32 = 1;

/// Writes `entries` as one document and a line feed; one after the other, so that none is in memory twice.
pub(crate) fn write<R: Borrow<Entry>>(
    out: &mut impl Write,
    entries: &[R],
    gaps: &[sockowner::Gap],
) -> io::Result<()> {
    let document = Document { schema: SCHEMA, endpoints: entries, gaps };
    document.serialize(&mut Serializer::with_formatter(&mut *out, Harmless))?;
    out.write_all(b"\n")
}

/// Writes `entries` as a line each. Gaps have no line: they are for stderr to tell.
pub(crate) fn write_lines<R: Borrow<Entry>>(out: &mut impl Write, entries: &[R]) -> io::Result<()> {
    for entry in entries {
        let line = Line { schema: SCHEMA, endpoint: Endpoint::new(entry.borrow()) };
        line.serialize(&mut Serializer::with_formatter(&mut *out, Harmless))?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// One endpoint as a document has it, in lines.
#[cfg(feature = "tui")]
pub(crate) fn endpoint(entry: &Entry) -> io::Result<String> {
    let written = harmless::lines(&serde_json::to_string_pretty(&Endpoint::new(entry))?)?;
    String::from_utf8(written).map_err(io::Error::other)
}

#[derive(Serialize)]
struct Document<'a, R: Borrow<Entry>> {
    schema: u32,
    #[serde(serialize_with = "endpoints")]
    endpoints: &'a [R],
    #[serde(serialize_with = "gaps")]
    gaps: &'a [sockowner::Gap],
}

#[derive(Serialize)]
struct Line<'a> {
    schema: u32,
    #[serde(flatten)]
    endpoint: Endpoint<'a>,
}

fn endpoints<S: serde::Serializer, R: Borrow<Entry>>(entries: &[R], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(entries.iter().map(|entry| Endpoint::new(entry.borrow())))
}

fn gaps<S: serde::Serializer>(gaps: &[sockowner::Gap], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(gaps.iter().map(|gap| Gap {
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
    netns_name: Option<&'a str>,
    interface: Option<String>,
    /// Windows has neither.
    inode: Option<u64>,
    cookie: Option<u64>,
    subflow: bool,
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
    closed_at: Option<String>,
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
    deleted: bool,
    exe: Option<File>,
    uid: Option<u32>,
    user: Option<&'a str>,
    service: Option<Service<'a>>,
    container: Option<Container<'a>>,
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
    /// Not known of those that no handle was seen of.
    fd: Option<i32>,
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
            netns_name: entry.netns_name.as_deref(),
            interface: socket.interface.map(|interface| interface.to_string()),
            inode: cfg!(target_os = "linux").then_some(socket.inode),
            cookie: cfg!(target_os = "linux").then_some(socket.cookie),
            subflow: socket.is_subflow,
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
            closed_at: roles::closed_at(entry),
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
        fd: (holder.fd >= 0).then_some(holder.fd),
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
            deleted: executable.is_some_and(|executable| executable.deleted),
            exe: executable
                .and_then(|executable| executable.file)
                .map(|file| File { device: file.device, inode: file.inode }),
            uid: process.uid,
            user: process.user.as_deref(),
            service: process.service.as_deref().map(Service::new),
            container: process.container.as_deref().map(Container::new),
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
    use sockowner::Snapshot;

    #[test]
    fn without_entries_the_document_is_whole_and_there_is_no_line() {
        let none = Snapshot::default();
        let mut out = Vec::new();
        write(&mut out, none.entries(), none.gaps()).unwrap();
        assert_eq!(out, b"{\"schema\":1,\"endpoints\":[],\"gaps\":[]}\n");
        let mut out = Vec::new();
        write_lines(&mut out, none.entries()).unwrap();
        assert_eq!(out, b"");
    }
}
