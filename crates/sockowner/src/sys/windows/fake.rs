//! A Windows without Windows: tables, processes and services that change or fail before a call that the test chooses.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use sockowner_wire::mib::{Detail, Layout, Row};

use super::door::{
    ACCESS_DENIED, Account, Door, Fill, GEN_FAILURE, INSUFFICIENT_BUFFER, INVALID_PARAMETER, Table, Times,
};
use super::process_list::tests::list_of;
use super::services::tests::list as list_of_services;
use super::wine::bridge::{Native, Owner};
use super::wine::holders::{Held, Holders};
use crate::{Gap, Result, Socket};

/// What lookups say where there is nothing (`ERROR_NOT_FOUND`).
const NOT_FOUND: i32 = 1168;

#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Debug, Default)]
pub(super) struct FakeProcess {
    pub(super) created: u64,
    pub(super) parent: u32,
    /// It cannot be opened.
    pub(super) refused: bool,
    /// It has ended; only who holds it already knows of it.
    pub(super) ended: bool,
    /// Somebody else holds it, so it can be opened even then, and tells of itself.
    pub(super) kept: bool,
    /// It lives without an image of its own: what is here is its name in the list.
    pub(super) imageless: bool,
    pub(super) image: Vec<u16>,
    pub(super) user: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct World {
    pub(super) now: u64,
    pub(super) processes: BTreeMap<u32, FakeProcess>,
    pub(super) rows: Vec<(Table, Row)>,
    /// Active services, with their processes.
    pub(super) services: Vec<(u32, &'static str)>,
    /// Processes whose services are such as share one.
    pub(super) shared: Vec<u32>,
    /// `None` where the system keeps no tags.
    pub(super) tags: Option<BTreeMap<(u32, u32), &'static str>>,
    pub(super) accounts: BTreeMap<Vec<u8>, (&'static str, &'static str)>,
    pub(super) is_administrator: bool,
    /// Whatever the room, it is too small by now.
    pub(super) grows: bool,
    /// Tables say that they have so many rows, services that there are so many.
    pub(super) count: Option<u32>,
    pub(super) is_wine: bool,
    pub(super) held: Vec<Held>,
    /// What could not be looked into.
    pub(super) missed: Vec<Gap>,
    /// `None` where there is no bridge.
    pub(super) natives: Option<Vec<Owner>>,
}

/// A change of the world.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// At once.
    Now(fn(&mut World)),
    /// As soon as nobody holds a process: a number that is held is not used again.
    Unheld(fn(&mut World)),
}

/// A handle to a process: number and creation time. Counts what is open.
#[derive(Debug)]
pub(super) struct Open(u32, u64, Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.2.fetch_sub(1, Relaxed);
    }
}

#[derive(Default)]
pub(super) struct FakeWindows {
    world: Mutex<World>,
    /// Before call n.
    pub(super) change: Mutex<Option<(usize, Change)>>,
    /// Call n fails, with this code.
    pub(super) fail: Option<(usize, i32)>,
    calls: AtomicUsize,
    open: Arc<AtomicUsize>,
}

impl fmt::Debug for FakeWindows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeWindows").finish_non_exhaustive()
    }
}

impl FakeWindows {
    pub(super) fn new(world: World) -> Self {
        Self { world: world.into(), ..Self::default() }
    }

    pub(super) fn calls(&self) -> usize {
        self.calls.load(Relaxed)
    }

    /// Handles that are open.
    pub(super) fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    fn call(&self) -> io::Result<MutexGuard<'_, World>> {
        let call = self.calls.fetch_add(1, Relaxed);
        let mut change = self.change.lock().unwrap();
        let is_due = match &*change {
            Some((at, Change::Now(_))) => *at <= call,
            Some((at, Change::Unheld(_))) => *at <= call && self.open() == 0,
            None => false,
        };
        let mut world = self.world();
        if is_due && let Some((_, Change::Now(change) | Change::Unheld(change))) = change.take() {
            change(&mut world);
        }
        match self.fail {
            Some((at, code)) if at == call => Err(error(code)),
            _ => Ok(world),
        }
    }

    /// The process that a handle stands for, while it lives.
    fn living(world: &World, process: &Open) -> Option<FakeProcess> {
        let found = world.processes.get(&process.0)?;
        (found.created == process.1 && !found.ended).then(|| found.clone())
    }
}

fn error(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

/// Puts bytes into the room, if it is large enough.
fn put(bytes: &[u8], into: &mut [u64], grows: bool) -> Fill {
    let room = size_of_val(into);
    if bytes.len() > room || grows {
        return Fill::Needs(bytes.len().max(room) + 8);
    }
    for (word, bytes) in into.iter_mut().zip(bytes.chunks(8)) {
        let mut whole = [0; 8];
        whole[..bytes.len()].copy_from_slice(bytes);
        *word = u64::from_ne_bytes(whole);
    }
    Fill::Whole(bytes.len())
}

impl Door for FakeWindows {
    type Process = Open;

    fn now(&self) -> u64 {
        self.world().now
    }

    fn table(&self, table: Table, into: &mut [u64]) -> io::Result<Fill> {
        let world = self.call()?;
        let rows: Vec<_> =
            world.rows.iter().filter(|(of, _)| *of == table).map(|(_, row)| row.clone()).collect();
        let layout = Layout { tcp: table.tcp, v6: table.v6, detail: Detail::Module };
        let mut bytes = Vec::new();
        layout.push_table(&rows, &mut bytes);
        if let Some(count) = world.count {
            bytes[..4].copy_from_slice(&count.to_ne_bytes());
        }
        let fill = put(&bytes, into, world.grows);
        // As the system, which does not say how much it wrote.
        Ok(if let Fill::Whole(_) = fill { Fill::Whole(size_of_val(into)) } else { fill })
    }

    fn processes(&self, into: &mut [u64]) -> io::Result<Fill> {
        let world = self.call()?;
        let living = world.processes.iter().filter(|(_, process)| !process.ended);
        let listed: Vec<_> = living
            .map(|(&pid, process)| {
                let name = process.image.rsplit(|&unit| unit == b'\\'.into()).next().unwrap();
                (pid, process.parent, process.created, name.to_vec())
            })
            .collect();
        Ok(put(&list_of(&listed, into.as_ptr().addr()), into, world.grows))
    }

    fn open_process(&self, pid: u32) -> io::Result<Open> {
        let world = self.call()?;
        match world.processes.get(&pid) {
            Some(process) if process.refused => Err(error(ACCESS_DENIED)),
            Some(process) if !process.ended || process.kept => {
                self.open.fetch_add(1, Relaxed);
                Ok(Open(pid, process.created, Arc::clone(&self.open)))
            }
            _ => Err(error(INVALID_PARAMETER)),
        }
    }

    fn times(&self, process: &Open) -> io::Result<Times> {
        let world = self.call()?;
        let ended = u64::from(Self::living(&world, process).is_none());
        Ok(Times { created: process.1, ended })
    }

    fn has_ended(&self, process: &Open) -> io::Result<bool> {
        let world = self.call()?;
        Ok(Self::living(&world, process).is_none())
    }

    fn image(&self, process: &Open, into: &mut [u16]) -> io::Result<usize> {
        let world = self.call()?;
        let kept = world.processes.get(&process.0).filter(|kept| kept.kept).cloned();
        let image = Self::living(&world, process).or(kept).ok_or_else(|| error(GEN_FAILURE))?;
        if image.imageless {
            return Err(error(GEN_FAILURE));
        }
        let image = image.image;
        let room = into.get_mut(..image.len()).ok_or_else(|| error(INSUFFICIENT_BUFFER))?;
        room.copy_from_slice(&image);
        Ok(image.len())
    }

    fn system_directory(&self) -> io::Result<Vec<u16>> {
        let _world = self.call()?;
        Ok(r"C:\Windows\system32".encode_utf16().collect())
    }

    fn is_administrator(&self) -> io::Result<bool> {
        Ok(self.call()?.is_administrator)
    }

    fn user(&self, process: &Open) -> io::Result<Vec<u8>> {
        let world = self.call()?;
        Self::living(&world, process).map(|process| process.user).ok_or_else(|| error(GEN_FAILURE))
    }

    fn account(&self, sid: &[u8]) -> io::Result<Account> {
        let world = self.call()?;
        let (domain, name) = world.accounts.get(sid).ok_or_else(|| error(NOT_FOUND))?;
        Ok(Account { domain: domain.encode_utf16().collect(), name: name.encode_utf16().collect() })
    }

    fn service_by_tag(&self, pid: u32, tag: u32) -> io::Result<Vec<u16>> {
        let world = self.call()?;
        let tags = world.tags.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        let name = tags.get(&(pid, tag)).ok_or_else(|| error(NOT_FOUND))?;
        Ok(name.encode_utf16().collect())
    }

    fn services(&self, into: &mut [u64]) -> io::Result<(Fill, usize)> {
        let world = self.call()?;
        let count = world.count.map_or(world.services.len(), |count| count as usize);
        let list = list_of_services(&world.services, &world.shared, into.as_ptr().addr());
        Ok((put(&list, into, world.grows), count))
    }

    fn is_wine(&self) -> bool {
        self.world().is_wine
    }

    fn wine_holders(&self) -> Result<Holders> {
        let world = self.call().map_err(|error| crate::Error::io("look at handles", error))?;
        assert!(world.is_wine, "this is no Wine");
        Ok(Holders::new(world.held.clone(), world.missed.clone()))
    }

    fn has_bridge(&self) -> Result<bool> {
        Ok(self.call().map_err(|error| crate::Error::io("ask Linux", error))?.natives.is_some())
    }

    fn native_owners(&self, sockets: &[&Socket]) -> Result<Option<Vec<Owner>>> {
        let world = self.call().map_err(|error| crate::Error::io("ask Linux", error))?;
        assert!(world.is_wine, "this is no Wine");
        assert!(world.natives.as_ref().is_none_or(|natives| natives.len() == sockets.len()));
        Ok(world.natives.clone())
    }

    fn native_process(&self, flagged: u32) -> Result<Option<Native>> {
        let world = self.call().map_err(|error| crate::Error::io("ask Linux", error))?;
        let natives = world.natives.iter().flatten();
        Ok(natives.flatten().find(|native| native.pid == flagged).cloned())
    }
}
