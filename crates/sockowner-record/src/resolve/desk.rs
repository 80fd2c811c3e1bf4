//! The parser's side of the opener: asks, and keeps what it was given.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, io};

use sockowner_component::{Device, Error, Identity, Mapping, Opened, Opener, ReadAt};

use super::request::{self, Refusal, Request, Whose};
use crate::call::channel::Channel;
use crate::call::files::{device_number, identity};

/// Files kept open. While one is open no other can have its device and inode.
const FILES: usize = 96;

/// Asks the opener, which has so much time as the daemon set on the channel: a file's server may never answer.
#[derive(Debug)]
pub(super) struct Desk {
    opener: Channel,
    buffer: Vec<u8>,
    /// By device and inode, as stat(2) tells them.
    files: BTreeMap<(u64, u64), Kept>,
    /// The number of the batch under way.
    turn: u64,
    lost: bool,
}

#[derive(Debug)]
struct Kept {
    file: Arc<File>,
    identity: Identity,
    /// When it was asked for last.
    used: u64,
    /// When it was seen last to be in this state.
    seen: u64,
}

/// A file that is read by several.
struct Shared(Arc<File>);

impl ReadAt for Shared {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(&*self.0, buffer, offset)
    }
}

impl Desk {
    pub(super) fn new(opener: Channel) -> Self {
        Self { opener, buffer: Vec::new(), files: BTreeMap::new(), turn: 0, lost: false }
    }

    /// The opener did not answer, or made no sense: there is no use asking again.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    /// A new batch: files have to be looked at again.
    pub(super) fn next_turn(&mut self) {
        self.turn += 1;
    }

    /// `/proc/PID/maps` of that process.
    pub(super) fn maps(&mut self, whose: Whose) -> Result<File, Refusal> {
        self.ask(&Request::Maps(whose))
    }

    /// The file is as it was when it was opened.
    pub(super) fn is_unchanged(&mut self, known: &Identity) -> bool {
        let turn = self.turn;
        let Some(kept) = self.files.get_mut(&(known.device, known.inode)) else {
            return false;
        };
        kept.used = turn;
        if kept.seen != turn {
            match identity(&kept.file) {
                Ok(now) if now == kept.identity => kept.seen = turn,
                _ => {
                    self.files.remove(&(known.device, known.inode));
                    return false;
                }
            }
        }
        kept.identity == *known
    }

    fn open(&mut self, whose: Option<Whose>, mapping: &Mapping) -> Result<Opened, Error> {
        let numbers = (device_number(mapping.device), mapping.inode);
        if let Some(kept) = self.files.get(&numbers) {
            let known = kept.identity;
            if self.is_unchanged(&known)
                && let Some(kept) = self.files.get(&numbers)
            {
                return Ok(Opened { file: Box::new(Shared(Arc::clone(&kept.file))), identity: known });
            }
        }
        let mut opened = Err(Refusal::Gone);
        if let Some(whose) = whose {
            opened = self.ask(&Request::Mapped(whose, mapping.start, mapping.end));
        }
        // Of a process that has ended or gone on since, what it had mapped may still be found.
        if let (Err(Refusal::Gone | Refusal::NotMapped), Some(path)) = (&opened, &mapping.path) {
            opened = self.ask(&Request::Named(mapping.device, mapping.inode, path.clone()));
        }
        let file = Arc::new(opened.map_err(Refusal::error)?);
        let identity =
            identity(&file).map_err(|error| Error::Os { operation: "examine", kind: error.kind() })?;
        self.keep(Arc::clone(&file), identity);
        Ok(Opened { file: Box::new(Shared(file)), identity })
    }

    fn keep(&mut self, file: Arc<File>, identity: Identity) {
        if self.files.len() >= FILES {
            let oldest = self.files.iter().min_by_key(|(_, kept)| kept.used).map(|(numbers, _)| *numbers);
            oldest.and_then(|numbers| self.files.remove(&numbers));
        }
        let kept = Kept { file, identity, used: self.turn, seen: self.turn };
        self.files.insert((identity.device, identity.inode), kept);
    }

    fn ask(&mut self, request: &Request) -> Result<File, Refusal> {
        if self.lost {
            return Err(Refusal::Failed);
        }
        request.write(&mut self.buffer);
        let mut reply = [0; request::REPLY];
        let received = self.opener.send(&self.buffer).and_then(|()| self.opener.receive(&mut reply));
        let answer = received.ok().and_then(|received| {
            match (request::read_reply(&reply[..received.len])?, received.descriptor) {
                (Ok(()), Some(descriptor)) => Some(Ok(descriptor.into())),
                (Err(refusal), None) => Some(Err(refusal)),
                _ => None,
            }
        });
        self.lost = answer.is_none();
        answer.unwrap_or(Err(Refusal::Failed))
    }
}

/// The way to a process's files, by the desk.
#[derive(Clone)]
pub(super) struct Way {
    desk: Arc<Mutex<Desk>>,
    whose: Option<Whose>,
}

impl Way {
    pub(super) fn new(desk: &Arc<Mutex<Desk>>, whose: Option<Whose>) -> Self {
        Self { desk: Arc::clone(desk), whose }
    }
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Way").field("whose", &self.whose).finish_non_exhaustive()
    }
}

impl Opener for Way {
    fn open(&self, mapping: &Mapping) -> Result<Opened, Error> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner).open(self.whose, mapping)
    }
}

/// Two mappings are of one file at one place, whatever their paths say.
pub(super) fn is_same(one: &Mapping, other: &Mapping) -> bool {
    let place = |mapping: &Mapping| (mapping.start, mapping.end, mapping.offset);
    let file = |mapping: &Mapping| -> (Device, u64) { (mapping.device, mapping.inode) };
    place(one) == place(other) && file(one) == file(other)
}

/// Two mappings are at one place, of files of one path; on overlayfs and btrfs the kernel has several numbers for a file.
pub(super) fn is_alike(one: &Mapping, other: &Mapping) -> bool {
    let place = |mapping: &Mapping| (mapping.start, mapping.end, mapping.offset);
    place(one) == place(other) && one.device != other.device && one.path.is_some() && one.path == other.path
}
