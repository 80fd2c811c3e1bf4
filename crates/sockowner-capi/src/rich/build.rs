//! Builds a result for C out of a snapshot. What the library shares, the result shares.

mod roles;

use std::collections::BTreeMap;
use std::ffi::{OsStr, c_char};
use std::net::IpAddr;
use std::ptr::null;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use sockowner::{Address, Entry, RoleReason, Snapshot};

use super::arena::Arena;
use super::layout::{
    Answer, Candidate, Component, Container, Endpoint, Gap, Holder, NO_UID, Process, Roles, Service,
};
use super::text::bytes_of;

/// A result and what it points to. The result is first, so that a pointer to it is a pointer to both.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Whole {
    pub(super) answer: Answer,
    arena: Arena,
}

/// The result for `snapshot`.
pub(super) fn whole(snapshot: &Snapshot) -> Whole {
    let mut builder = Builder::default();
    let endpoints: Vec<_> = snapshot.iter().map(|entry| builder.endpoint(entry)).collect();
    let gaps: Vec<_> = snapshot.gaps().iter().map(|gap| builder.gap(gap)).collect();
    let mut arena = builder.arena;
    let answer = Answer {
        size: size_of::<Answer>(),
        endpoint_count: endpoints.len(),
        endpoints: arena.list(endpoints),
        gap_count: gaps.len(),
        gaps: arena.list(gaps),
        reserved: [0; 4],
    };
    Whole { answer, arena }
}

/// Keeps what was made, by the address of what it was made from.
#[derive(Default)]
struct Builder {
    arena: Arena,
    words: BTreeMap<&'static str, *const c_char>,
    processes: BTreeMap<*const sockowner::Process, *const Process>,
    services: BTreeMap<*const sockowner::Service, *const Service>,
    containers: BTreeMap<*const sockowner::Container, *const Container>,
    candidates: BTreeMap<*const sockowner::Candidate, *const *const Candidate>,
    texts: BTreeMap<*const u8, *const c_char>,
    components: BTreeMap<*const sockowner::Component, *const Component>,
    /// All roles of a socket of which nothing is recorded, by why.
    nobody: BTreeMap<[Option<RoleReason>; 4], *const Roles>,
}

impl Builder {
    /// A word of the interface: each is kept once.
    fn word(&mut self, word: &'static str) -> *const c_char {
        let arena = &mut self.arena;
        *self.words.entry(word).or_insert_with(|| arena.bytes(word.as_bytes()))
    }

    fn maybe_word(&mut self, word: Option<&'static str>) -> *const c_char {
        word.map_or(null(), |word| self.word(word))
    }

    /// A text that many endpoints share.
    fn shared(&mut self, text: Option<&[u8]>) -> *const c_char {
        let Some(text) = text else { return null() };
        let arena = &mut self.arena;
        *self.texts.entry(text.as_ptr()).or_insert_with(|| arena.bytes(text))
    }

    fn text(&mut self, text: Option<&str>) -> *const c_char {
        text.map_or(null(), |text| self.arena.bytes(text.as_bytes()))
    }

    fn name(&mut self, name: &OsStr) -> *const c_char {
        self.arena.bytes(&bytes_of(name))
    }

    /// A name that many endpoints share.
    fn shared_name(&mut self, name: Option<&OsStr>) -> *const c_char {
        let Some(name) = name else { return null() };
        let arena = &mut self.arena;
        let at = name.as_encoded_bytes().as_ptr();
        *self.texts.entry(at).or_insert_with(|| arena.bytes(&bytes_of(name)))
    }

    fn endpoint(&mut self, entry: &Entry) -> *const Endpoint {
        let socket = &entry.socket;
        let endpoint = &socket.endpoint;
        let (local, remote) = (endpoint.local, endpoint.remote);
        let owner = entry.attribution.primary_owner();
        let holders: Vec<_> = entry.attribution.holders().iter().map(|holder| self.holder(holder)).collect();
        let made = Endpoint {
            size: size_of::<Endpoint>(),
            protocol: self.word(endpoint.protocol.as_str()),
            family: self.word(endpoint.family.as_str()),
            state: match endpoint.state.name() {
                Some(name) => self.word(name),
                None => self.text(Some(&endpoint.state.to_string())),
            },
            local_address: self.text(Some(&local.host().to_string())),
            remote_address: self.text(remote.map(|remote| remote.host().to_string()).as_deref()),
            local_bytes: octets(local.ip),
            remote_bytes: remote.map_or([0; 16], |remote| octets(remote.ip)),
            local_scope: scope(&local),
            remote_scope: remote.as_ref().map_or(0, scope),
            local_port: local.port,
            remote_port: remote.map_or(0, |remote| remote.port),
            uid: socket.uid.unwrap_or(NO_UID),
            netns: socket.netns.unwrap_or(0),
            inode: socket.inode,
            cookie: socket.cookie,
            cgroup_id: socket.cgroup.unwrap_or(0),
            cgroup_path: {
                let path = entry.cgroup.as_ref().and_then(|cgroup| cgroup.path.as_ref());
                self.shared_name(path.map(|path| path.as_os_str()))
            },
            user: self.shared(entry.user.as_ref().map(|user| user.as_bytes())),
            service: self.service(entry.service.as_ref()),
            container: self.container(entry.container.as_ref()),
            owner: owner.map_or(null(), |(process, _)| self.owner(process, entry.attribution.has_exited())),
            evidence: self.maybe_word(owner.map(|(_, evidence)| evidence.as_str())),
            reason: self.maybe_word(entry.attribution.reason().map(sockowner::Reason::as_str)),
            matched: self.maybe_word(entry.matched.map(sockowner::Match::as_str)),
            holder_count: holders.len(),
            holders: self.arena.list(holders),
            candidate_count: entry.candidates.len(),
            candidates: self.candidates(&entry.candidates),
            created_at: entry.record.known().and_then(|known| known.created_at).map_or(0, nanoseconds),
            changed: entry.changed.into(),
            reserved32: 0,
            roles: self.roles(entry),
            closed_at: entry.record.known().and_then(|known| known.closed_at).map_or(0, nanoseconds),
            reserved: [0; 6],
        };
        self.arena.keep(made)
    }

    fn holder(&mut self, holder: &sockowner::Holder) -> *const Holder {
        let made = Holder {
            size: size_of::<Holder>(),
            process: self.process(&holder.process),
            tid: holder.tid,
            fd: holder.fd,
            reserved: [0; 2],
        };
        self.arena.keep(made)
    }

    fn candidates(&mut self, list: &Arc<[sockowner::Candidate]>) -> *const *const Candidate {
        if list.is_empty() {
            return null();
        }
        if let Some(&made) = self.candidates.get(&list.as_ptr()) {
            return made;
        }
        let made = list.iter().map(|candidate| {
            let made = Candidate {
                size: size_of::<Candidate>(),
                process: self.process(&candidate.process),
                evidence: self.word(sockowner::Candidate::EVIDENCE),
                reserved: [0; 2],
            };
            self.arena.keep(made)
        });
        let made = made.collect();
        let made = self.arena.list(made);
        self.candidates.insert(list.as_ptr(), made);
        made
    }

    fn process(&mut self, process: &Arc<sockowner::Process>) -> *const Process {
        self.owner(process, false)
    }

    fn owner(&mut self, process: &Arc<sockowner::Process>, exited: bool) -> *const Process {
        if let Some(&made) = self.processes.get(&Arc::as_ptr(process)) {
            return made;
        }
        let executable = process.executable.as_ref();
        let file = executable.and_then(|executable| executable.file);
        let made = Process {
            size: size_of::<Process>(),
            name: self.name(&process.name),
            comm: self.name(&process.comm),
            path: executable.map_or(null(), |executable| self.name(executable.path.as_os_str())),
            user: self.shared(process.user.as_ref().map(|user| user.as_bytes())),
            service: self.service(process.service.as_ref()),
            container: self.container(process.container.as_ref()),
            start_ticks: process.start.ticks,
            start_time: process.start.time.map_or(0, nanoseconds),
            exe_device: file.map_or(0, |file| file.device),
            exe_inode: file.map_or(0, |file| file.inode),
            pid: process.pid,
            uid: process.uid.unwrap_or(NO_UID),
            path_verified: executable.is_some_and(|executable| executable.verified).into(),
            exited: exited.into(),
            reserved: [0; 4],
        };
        let made = self.arena.keep(made);
        self.processes.insert(Arc::as_ptr(process), made);
        made
    }

    fn service(&mut self, service: Option<&Arc<sockowner::Service>>) -> *const Service {
        let Some(service) = service else { return null() };
        if let Some(&made) = self.services.get(&Arc::as_ptr(service)) {
            return made;
        }
        let made = Service {
            size: size_of::<Service>(),
            name: self.text(Some(&service.name)),
            kind: self.word("unit"),
            manager: self.word(service.manager.as_str()),
            uid: service.uid.unwrap_or(NO_UID),
            reserved32: 0,
            reserved: [0; 2],
        };
        let made = self.arena.keep(made);
        self.services.insert(Arc::as_ptr(service), made);
        made
    }

    fn container(&mut self, container: Option<&Arc<sockowner::Container>>) -> *const Container {
        let Some(container) = container else { return null() };
        if let Some(&made) = self.containers.get(&Arc::as_ptr(container)) {
            return made;
        }
        let made = self.one_container(container);
        self.containers.insert(Arc::as_ptr(container), made);
        made
    }

    fn one_container(&mut self, container: &sockowner::Container) -> *const Container {
        let nested: Vec<_> = container.nested.iter().map(|nested| self.one_container(nested)).collect();
        let made = Container {
            size: size_of::<Container>(),
            runtime: self.word(container.runtime.as_str()),
            id: self.text(Some(&container.id)),
            pod: self.text(container.pod.as_deref()),
            manager: self.maybe_word(container.manager.map(sockowner::Manager::as_str)),
            nested_count: nested.len(),
            nested: self.arena.list(nested),
            reserved: [0; 2],
        };
        self.arena.keep(made)
    }

    fn gap(&mut self, gap: &sockowner::Gap) -> *const Gap {
        let made = Gap {
            size: size_of::<Gap>(),
            source: self.word(gap.source),
            object: self.text(Some(&gap.object)),
            reason: self.word(gap.reason.as_str()),
            count: gap.count,
            reserved: [0; 2],
        };
        self.arena.keep(made)
    }
}

fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&ip.octets());
            bytes
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}

fn scope(address: &Address) -> u32 {
    address.zone.map_or(0, |zone| zone.index())
}

/// Since 1970; 0, which is "not known", for what does not fit.
fn nanoseconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).ok().and_then(|since| since.as_nanos().try_into().ok()).unwrap_or(0)
}
