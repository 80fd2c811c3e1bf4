//! Writing answers.

use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32};

use super::layout::{
    ComponentFixed, DELETED, DUMPABLE, FRAME_HAS_BUILD_ID, FRAME_HAS_PATH, FrameFixed, GENERATED, HAS_FILE,
    HAS_OFFSET, HAS_PATH, Head, KERNEL_THREAD, NO_COMPONENT, ProcessFixed, RoleFixed, SEES_ALL, SocketFixed,
};
use super::read::write_ip;
use super::{ANSWER_MAX, Component, Frame, Place, Process, Socket, Status, Told};

/// `PATH_MAX`: what is longer is left out.
const BYTES_MAX: usize = 4096;

/// An answer that is being written.
#[derive(Clone, Debug, Default)]
pub struct Packet {
    /// Processes, components, sockets.
    sections: [Section; 3],
}

#[derive(Clone, Debug, Default)]
struct Section {
    bytes: Vec<u8>,
    count: u32,
}

/// How far a packet was written.
#[derive(Clone, Copy, Debug)]
pub struct Mark([(usize, u32); 3]);

impl Packet {
    /// As far as it is now.
    pub fn mark(&self) -> Mark {
        Mark(self.sections.each_ref().map(|section| (section.bytes.len(), section.count)))
    }

    /// Takes back what was written since.
    pub fn undo(&mut self, Mark(marks): Mark) {
        for (section, (length, count)) in self.sections.iter_mut().zip(marks) {
            section.bytes.truncate(length);
            section.count = count;
        }
    }

    /// It is longer than a packet may be.
    pub fn is_too_long(&self) -> bool {
        let length: usize = self.sections.iter().map(|section| section.bytes.len()).sum();
        size_of::<Head>() + length > ANSWER_MAX
    }

    /// Adds a process; returns its index.
    pub fn process(&mut self, process: &Process) -> u32 {
        let path = process.path.as_deref().filter(|path| path.len() <= BYTES_MAX);
        let (device, inode) = process.file.unwrap_or_default();
        let flags = [
            (process.dumpable, DUMPABLE),
            (process.deleted, DELETED),
            (process.kernel_thread, KERNEL_THREAD),
            (process.file.is_some(), HAS_FILE),
            (path.is_some(), HAS_PATH),
        ];
        let flags: u16 = flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).sum();
        let texts = [fitting(&process.comm), fitting(&process.name), path.unwrap_or_default()];
        let [comm, name, path] = texts.map(length);
        let fixed = ProcessFixed {
            pid: process.pid.into(),
            users: process.users.map(U32::new),
            start: process.start.into(),
            start_ticks: process.start_ticks.into(),
            start_time: process.start_time.into(),
            seen: process.seen.into(),
            cgroup: process.cgroup.into(),
            device: device.into(),
            inode: inode.into(),
            flags: flags.into(),
            comm,
            name,
            path,
        };
        self.sections[0].add(fixed.as_bytes(), &texts)
    }

    /// Adds a component; returns its index.
    pub fn component(&mut self, component: &Component) -> u32 {
        let frames = u16::try_from(component.chain.len()).unwrap_or(u16::MAX);
        let generated = if component.generated { GENERATED } else { 0 };
        let has_offset = if component.has_offset { HAS_OFFSET } else { 0 };
        let flags = generated | has_offset;
        let fixed = ComponentFixed { evidence: component.evidence, flags, frames: frames.into() };
        let mut bytes = fixed.as_bytes().to_vec();
        for frame in std::iter::once(&component.frame).chain(component.chain.iter().take(frames.into())) {
            frame.write(&mut bytes);
        }
        self.sections[1].add(&bytes, &[])
    }

    /// Adds what is told of a socket.
    pub fn socket(&mut self, told: &Told) {
        let bytes = match told {
            Told::NotRecorded => vec![0],
            Told::Withheld => vec![1],
            Told::Known(socket) => socket.write(),
        };
        self.sections[2].add(&bytes, &[]);
    }

    /// The packet.
    pub fn finish(self, sees_all: bool, namespace: u32, more: Option<Place>) -> Vec<u8> {
        let [processes, components, sockets] = self.sections.each_ref().map(|section| section.count.into());
        let head = Head {
            flags: if sees_all { SEES_ALL } else { 0 }.into(),
            namespace: namespace.into(),
            more_closed: more.map_or(0, |place| place.closed).into(),
            more_cookie: more.map_or(0, |place| place.cookie).into(),
            processes,
            components,
            sockets,
            ..Head::new(Status::Answered)
        };
        let mut packet = head.as_bytes().to_vec();
        for section in &self.sections {
            packet.extend_from_slice(&section.bytes);
        }
        packet
    }
}

impl Section {
    fn add(&mut self, fixed: &[u8], texts: &[&[u8]]) -> u32 {
        self.bytes.extend_from_slice(fixed);
        for text in texts {
            self.bytes.extend_from_slice(text);
        }
        self.count += 1;
        self.count - 1
    }
}

impl Status {
    /// The packet of an answer that tells nothing else.
    pub fn encode(self) -> Vec<u8> {
        Head::new(self).as_bytes().to_vec()
    }
}

impl Frame {
    fn write(&self, into: &mut Vec<u8>) {
        let path = self.path.as_deref().filter(|path| path.len() <= BYTES_MAX);
        let build_id = self.build_id.as_deref().filter(|id| id.len() <= BYTES_MAX);
        let texts = [fitting(&self.name), path.unwrap_or_default(), build_id.unwrap_or_default()];
        let has_path = if path.is_some() { FRAME_HAS_PATH } else { 0 };
        let has_build_id = if build_id.is_some() { FRAME_HAS_BUILD_ID } else { 0 };
        let [name, path, build_id] = texts.map(length);
        let flags = (has_path | has_build_id).into();
        let fixed = FrameFixed { offset: self.offset.into(), flags, name, path, build_id };
        into.extend_from_slice(fixed.as_bytes());
        for text in texts {
            into.extend_from_slice(text);
        }
    }
}

impl Socket {
    fn write(&self) -> Vec<u8> {
        let (local_family, local) = write_ip(self.endpoint.map(|endpoint| endpoint.local.0));
        let peer = self.endpoint.and_then(|endpoint| endpoint.remote);
        let (remote_family, remote) = write_ip(peer.map(|(ip, _)| ip));
        let named = self.roles.iter().rev().fold(0, |named, role| named << 1 | u8::from(role.is_ok()));
        let fixed = SocketFixed {
            cookie: self.cookie.into(),
            netns: self.netns.into(),
            created: self.created.into(),
            closed: self.closed.into(),
            cgroup: self.cgroup.into(),
            local,
            remote,
            local_port: self.endpoint.map_or(0, |endpoint| endpoint.local.1).into(),
            remote_port: peer.map_or(0, |(_, port)| port).into(),
            local_family,
            remote_family,
            protocol: self.protocol,
            named,
            reasons: self.roles.map(|role| role.err().unwrap_or(0)),
        };
        let mut bytes = vec![2];
        bytes.extend_from_slice(fixed.as_bytes());
        for role in self.roles.iter().flatten() {
            let fixed = RoleFixed {
                process: role.process.into(),
                component: role.component.unwrap_or(NO_COMPONENT).into(),
                tid: role.tid.into(),
                evidence: role.evidence,
                implicit: role.implicit.into(),
                zero: 0.into(),
                time: role.time.into(),
            };
            bytes.extend_from_slice(fixed.as_bytes());
        }
        bytes
    }
}

/// What is too long is left out: a part of it would be another name.
fn fitting(text: &[u8]) -> &[u8] {
    if text.len() <= BYTES_MAX { text } else { &[] }
}

fn length(text: &[u8]) -> U16 {
    u16::try_from(text.len()).unwrap_or(0).into()
}
