//! Keeping components: what is there already is not kept twice, and nobody takes the room of others.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::ffi::OsStrExt;

use sockowner_wire::record::{ComponentRecord, FRAMES_MAX, ModuleRecord, Settings};

use super::call::record::{self, Maps};
use super::record::Clock;
use super::record_component::record_of;
use crate::{Component, Error, Result};

/// For so long a look at which components sockets have is good enough.
const LOOK_FOR: u64 = 5_000_000_000;

/// The components that are kept. Whoever can read the recorder's tables can read them.
#[derive(Debug)]
pub struct Store {
    maps: Maps,
    components: Table<ComponentRecord>,
    modules: Table<ModuleRecord>,
    settings: Settings,
    /// Counts up with each use.
    tick: u64,
    looked: Option<Looked>,
}

/// What the sockets had at the last look.
#[derive(Debug)]
struct Looked {
    /// Nanoseconds since boot.
    at: u64,
    /// What was used since counts as the sockets'.
    tick: u64,
    components: BTreeSet<u32>,
}

impl Store {
    /// Opens the store, with what is in it. To be had by one process at a time.
    ///
    /// # Platform
    /// Root, as [`start`](super::record::start).
    ///
    /// # Errors
    /// Where nothing is recorded, or a table cannot be read or changed.
    pub fn open() -> Result<Self> {
        let open = |cause| Error::io("open the recorder's table of components", cause);
        let maps = record::open(false).map_err(open)?.ok_or_else(|| open(io::ErrorKind::NotFound.into()))?;
        Self::read(maps).map_err(open)
    }

    fn read(maps: Maps) -> io::Result<Self> {
        let mut settings = maps.settings.get(&0)?.unwrap_or_default();
        let mut components = Table::new(maps.components.capacity()?);
        let mut modules = Table::new(maps.modules.capacity()?);
        maps.modules.each(|key, module| {
            settings.module = settings.module.max(*key);
            modules.insert(*key, *module, 0);
        })?;
        let mut useless = Vec::new();
        maps.components.each(|key, component| {
            settings.component = settings.component.max(*key);
            if named(component).all(|module| module == 0 || modules.entries.contains_key(&module)) {
                components.insert(*key, *component, 0);
            } else {
                useless.push(*key);
            }
        })?;
        for key in useless {
            maps.components.remove(&key)?;
        }
        Ok(Self { maps, components, modules, settings, tick: 0, looked: None })
    }

    /// The key of a component of one of this user's processes, kept if it is not there yet; `None`: there is no room for it.
    /// Until a table is half full everybody has what he wants; from then on nobody more than a quarter, and his oldest that
    /// no socket has goes first. `user` is the initial user namespace's number.
    ///
    /// # Errors
    /// Where a table cannot be read or changed.
    pub fn component(&mut self, user: u32, component: &Component) -> Result<Option<u32>> {
        self.keep(user, component).map_err(|cause| {
            Error::io(format!("keep the component {}", component.name.to_string_lossy()), cause)
        })
    }

    fn keep(&mut self, user: u32, component: &Component) -> io::Result<Option<u32>> {
        self.tick += 1;
        let module = |name: &std::ffi::OsString, path: Option<&std::path::PathBuf>, id: Option<&Vec<u8>>| {
            let path = path.map(|path| path.as_os_str().as_bytes());
            ModuleRecord::new(name.as_bytes(), path, id.map(Vec::as_slice), user)
        };
        let own = module(&component.name, component.path.as_ref(), component.build_id.as_ref());
        let Some(own) = self.module(&own)? else { return Ok(None) };
        let mut chain = Vec::new();
        for frame in component.chain.iter().take(FRAMES_MAX) {
            if frame.name.is_empty() && frame.path.is_none() {
                chain.push(0);
                continue;
            }
            let module = module(&frame.name, frame.path.as_ref(), frame.build_id.as_ref());
            // What is beyond is not kept either.
            let Some(key) = self.module(&module)? else { break };
            chain.push(key);
        }
        let record = record_of(component, own, &chain, user);
        if let Some(key) = self.components.find(&record, self.tick) {
            return Ok(Some(key));
        }
        match self.components.room_for(user) {
            Room::Free => {}
            Room::Instead(whose) => {
                self.look()?;
                let oldest = self.components.oldest(&whose, |key, last| self.is_of_a_socket(key, last));
                let Some(oldest) = oldest else { return Ok(None) };
                self.remove_component(oldest)?;
            }
        }
        let Some(key) = self.settings.component.checked_add(1) else { return Ok(None) };
        self.settings.component = key;
        // First, so that no key is given twice whatever happens.
        self.maps.settings.set(&0, &self.settings)?;
        self.maps.components.set(&key, &record)?;
        self.components.insert(key, record, self.tick);
        Ok(Some(key))
    }

    fn module(&mut self, record: &ModuleRecord) -> io::Result<Option<u32>> {
        if let Some(key) = self.modules.find(record, self.tick) {
            return Ok(Some(key));
        }
        match self.modules.room_for(record.charged) {
            Room::Free => {}
            Room::Instead(whose) => {
                self.look()?;
                let of_sockets: BTreeSet<u32> = self
                    .components
                    .entries
                    .iter()
                    .filter(|(key, entry)| self.is_of_a_socket(**key, entry.last))
                    .flat_map(|(_, entry)| named(&entry.record))
                    .collect();
                let is_used = |key: u32, last| last == self.tick || of_sockets.contains(&key);
                let Some(oldest) = self.modules.oldest(&whose, is_used) else { return Ok(None) };
                self.remove_module(oldest)?;
            }
        }
        let Some(key) = self.settings.module.checked_add(1) else { return Ok(None) };
        self.settings.module = key;
        self.maps.settings.set(&0, &self.settings)?;
        self.maps.modules.set(&key, record)?;
        self.modules.insert(key, *record, self.tick);
        Ok(Some(key))
    }

    fn remove_component(&mut self, key: u32) -> io::Result<()> {
        self.maps.components.remove(&key)?;
        self.components.remove(key);
        Ok(())
    }

    /// What names it goes before it.
    fn remove_module(&mut self, key: u32) -> io::Result<()> {
        let entries = self.components.entries.iter();
        let naming = entries.filter(|(_, entry)| named(&entry.record).any(|module| module == key));
        for component in naming.map(|(component, _)| *component).collect::<Vec<_>>() {
            self.remove_component(component)?;
        }
        self.maps.modules.remove(&key)?;
        self.modules.remove(key);
        Ok(())
    }

    /// A socket has this component, or may be about to.
    fn is_of_a_socket(&self, key: u32, last: u64) -> bool {
        self.looked.as_ref().is_none_or(|looked| last >= looked.tick || looked.components.contains(&key))
    }

    fn look(&mut self) -> io::Result<()> {
        let at = Clock::read().now;
        if self.looked.as_ref().is_some_and(|looked| at.saturating_sub(looked.at) < LOOK_FOR) {
            return Ok(());
        }
        let mut components = BTreeSet::new();
        self.maps.sockets.each(|_, record| components.extend(record.components))?;
        self.looked = Some(Looked { at, tick: self.tick, components });
        Ok(())
    }
}

/// The modules that a component names.
fn named(record: &ComponentRecord) -> impl Iterator<Item = u32> {
    std::iter::once(record.module).chain(record.frames().iter().map(|frame| frame.module))
}

/// Where there is room for one more.
#[derive(Debug, PartialEq, Eq)]
enum Room {
    Free,
    /// In place of the oldest of these users', or of anybody's where that is empty.
    Instead(Vec<u32>),
}

/// What a table holds.
#[derive(Debug)]
struct Table<V> {
    capacity: usize,
    /// Whoever it is charged to.
    keys: BTreeMap<V, u32>,
    entries: BTreeMap<u32, Entry<V>>,
    /// By user.
    held: BTreeMap<u32, usize>,
}

#[derive(Debug)]
struct Entry<V> {
    record: V,
    /// When it was used last.
    last: u64,
}

/// What is charged to a user.
trait Charged: Copy + Ord {
    fn charged(&mut self) -> &mut u32;

    fn user(mut self) -> u32 {
        *self.charged()
    }

    fn of_nobody(mut self) -> Self {
        *self.charged() = 0;
        self
    }
}

impl Charged for ComponentRecord {
    fn charged(&mut self) -> &mut u32 {
        &mut self.charged
    }
}

impl Charged for ModuleRecord {
    fn charged(&mut self) -> &mut u32 {
        &mut self.charged
    }
}

impl<V: Charged> Table<V> {
    fn new(capacity: u32) -> Self {
        let capacity = usize::try_from(capacity).unwrap_or(usize::MAX);
        Self { capacity, keys: BTreeMap::new(), entries: BTreeMap::new(), held: BTreeMap::new() }
    }

    fn find(&mut self, record: &V, now: u64) -> Option<u32> {
        let key = *self.keys.get(&record.of_nobody())?;
        self.entries.get_mut(&key)?.last = now;
        Some(key)
    }

    fn insert(&mut self, key: u32, record: V, now: u64) {
        self.keys.insert(record.of_nobody(), key);
        if self.entries.insert(key, Entry { record, last: now }).is_none() {
            *self.held.entry(record.user()).or_default() += 1;
        }
    }

    fn remove(&mut self, key: u32) {
        let Some(Entry { record, .. }) = self.entries.remove(&key) else { return };
        self.keys.remove(&record.of_nobody());
        if let Some(held) = self.held.get_mut(&record.user()) {
            *held -= 1;
        }
    }

    fn room_for(&self, user: u32) -> Room {
        let is_over = |user: u32| self.held.get(&user).is_some_and(|held| *held > self.capacity / 4);
        if self.entries.len() < self.capacity / 2 {
            return Room::Free;
        }
        if is_over(user) {
            return Room::Instead(vec![user]);
        }
        if self.entries.len() < self.capacity {
            return Room::Free;
        }
        Room::Instead(self.held.keys().copied().filter(|user| is_over(*user)).collect())
    }

    /// The one of these users', or of anybody's where that is empty, that was used last the longest time ago.
    fn oldest(&self, users: &[u32], is_used: impl Fn(u32, u64) -> bool) -> Option<u32> {
        let is_theirs = |record: V| users.is_empty() || users.contains(&record.user());
        let unused =
            |(key, entry): &(&u32, &Entry<V>)| is_theirs(entry.record) && !is_used(**key, entry.last);
        let oldest = self.entries.iter().filter(unused).min_by_key(|(key, entry)| (entry.last, **key));
        oldest.map(|(key, _)| *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(offset: u64, user: u32) -> ComponentRecord {
        ComponentRecord { offset, charged: user, ..ComponentRecord::default() }
    }

    fn table(capacity: u32, of: &[u32]) -> Table<ComponentRecord> {
        let mut table = Table::new(capacity);
        for (key, user) in (1..).zip(of) {
            table.insert(key, record(key.into(), *user), key.into());
        }
        table
    }

    #[test]
    fn what_is_there_is_found_whoever_it_is_charged_to() {
        let mut table = table(8, &[7, 8]);
        assert_eq!(table.find(&record(1, 9), 5), Some(1));
        assert_eq!(table.find(&record(3, 7), 5), None);
        table.remove(1);
        assert_eq!(table.find(&record(1, 7), 5), None);
        assert_eq!(table.held[&7], 0);
        table.remove(1);
    }

    #[test]
    fn nobody_has_more_than_a_quarter_of_what_is_half_full() {
        assert_eq!(table(8, &[7, 7, 7]).room_for(7), Room::Free);
        let half = table(8, &[7, 7, 7, 8]);
        assert_eq!((half.room_for(7), half.room_for(8)), (Room::Instead(vec![7]), Room::Free));
        let full = table(8, &[7, 7, 7, 8, 8, 8, 9, 9]);
        assert_eq!((full.room_for(9), full.room_for(7)), (Room::Instead(vec![7, 8]), Room::Instead(vec![7])));
        let fair = table(8, &[7, 7, 8, 8, 9, 9, 10, 10]);
        assert_eq!(fair.room_for(11), Room::Instead(vec![]));
    }

    #[test]
    fn the_oldest_that_nobody_uses_goes() {
        let mut table = table(8, &[7, 7, 8, 8]);
        assert_eq!(table.oldest(&[8], |_, _| false), Some(3));
        assert_eq!(table.oldest(&[], |_, _| false), Some(1));
        table.find(&record(1, 7), 9);
        assert_eq!(table.oldest(&[], |_, _| false), Some(2));
        assert_eq!(table.oldest(&[7], |key, _| key == 2), Some(1));
        assert_eq!(table.oldest(&[7], |_, _| true), None);
    }
}
