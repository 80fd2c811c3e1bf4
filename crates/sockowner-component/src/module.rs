//! One ELF file, and what has been found out about it.

use std::collections::BTreeMap;

use crate::blocks::Blocks;
use crate::elf::Elf;
use crate::fde::{self, Fde};
use crate::limits::Budget;
use crate::site::{self, Site};
use crate::slot::{self, Slot};
use crate::symbol::{self, Definition};
use crate::{BuildId, Error, ReadAt};

/// Answers kept of each kind.
const KEPT: usize = 64;

/// Entries of `.eh_frame` with more bytes are not kept.
const LARGE: usize = 1024;

#[derive(Debug)]
pub(crate) struct Module {
    elf: Elf,
    /// By first address.
    functions: BTreeMap<u64, Fde>,
    definitions: BTreeMap<Vec<u8>, Vec<Definition>>,
    slots: BTreeMap<u64, Option<Slot>>,
    /// The sample that used it last, by number.
    pub(crate) used: u64,
}

impl Module {
    pub(crate) fn open(file: Box<dyn ReadAt + Send>, budget: &mut Budget) -> Result<Self, Error> {
        let elf = Elf::parse(Blocks::new(file), budget)?;
        Ok(Self {
            elf,
            functions: BTreeMap::new(),
            definitions: BTreeMap::new(),
            slots: BTreeMap::new(),
            used: 0,
        })
    }

    pub(crate) fn build_id(&self) -> Option<&BuildId> {
        self.elf.build_id.as_ref()
    }

    /// Whether a process can be started from it: not so a library.
    pub(crate) fn is_executable(&self) -> bool {
        self.elf.is_executable
    }

    /// See [`Elf::bias`].
    pub(crate) fn bias(&self, start: u64, offset: u64) -> Option<u64> {
        self.elf.bias(start, offset)
    }

    /// Whether code of this module can be at `address`.
    pub(crate) fn is_code(&self, address: u64) -> bool {
        self.elf.is_code(address)
    }

    /// The entry of `.eh_frame` that holds `address`.
    pub(crate) fn function(&mut self, address: u64, budget: &mut Budget) -> Result<Option<Fde>, Error> {
        let known = self.functions.range(..=address).next_back();
        if let Some((_, fde)) = known.filter(|(_, fde)| address < fde.end) {
            return Ok(Some(fde.clone()));
        }
        let Some(at) = fde::find(&mut self.elf, address, budget)? else {
            return Ok(None);
        };
        let found = fde::read(&mut self.elf, at, budget)?.bounded(address)?;
        if let Some(fde) = found.as_ref().filter(|fde| fde.section.len() <= LARGE) {
            keep(&mut self.functions);
            self.functions.insert(fde.start, fde.clone());
        }
        Ok(found)
    }

    /// Whether a function begins at `address`.
    pub(crate) fn is_function(&mut self, address: u64, budget: &mut Budget) -> Result<bool, Error> {
        Ok(self.function(address, budget)?.is_some_and(|fde| fde.start == address))
    }

    /// What this module defines under a name.
    pub(crate) fn definitions(&mut self, name: &[u8], budget: &mut Budget) -> Result<&[Definition], Error> {
        if !self.definitions.contains_key(name) {
            let found = symbol::definitions(&mut self.elf, name, budget)?;
            keep(&mut self.definitions);
            self.definitions.insert(name.to_vec(), found);
        }
        Ok(self.definitions.get(name).map_or(&[], Vec::as_slice))
    }

    /// It is the dynamic linker: it alone defines both of these.
    pub(crate) fn is_dynamic_linker(&mut self, budget: &mut Budget) -> Result<bool, Error> {
        Ok(!self.definitions(b"_r_debug", budget)?.is_empty()
            && !self.definitions(b"__tls_get_addr", budget)?.is_empty())
    }

    /// What the slot of the GOT at `address` is for; None where there is no slot.
    pub(crate) fn slot(&mut self, address: u64, budget: &mut Budget) -> Result<Option<Slot>, Error> {
        if let Some(known) = self.slots.get(&address) {
            return Ok(known.clone());
        }
        let found = slot::find(&mut self.elf, address, budget)?;
        keep(&mut self.slots);
        self.slots.insert(address, found.clone());
        Ok(found)
    }

    /// What calls before the return address `address`.
    pub(crate) fn site(&mut self, address: u64, budget: &mut Budget) -> Result<Site, Error> {
        let mut bytes = [0; site::BEFORE];
        // Fewer where the module's code begins in between.
        for len in (2..=site::BEFORE).rev() {
            let Some(start) = address.checked_sub(len as u64).filter(|start| self.elf.is_code(*start)) else {
                continue;
            };
            self.elf.read_exact(start, &mut bytes[..len], "its code", budget)?;
            return Ok(site::decode(&bytes[..len], address));
        }
        Ok(site::decode(&[], address))
    }

    /// The code before `address` is a system call.
    pub(crate) fn is_behind_system_call(&mut self, address: u64, budget: &mut Budget) -> Result<bool, Error> {
        const SYSCALL: [u8; 2] = [0x0f, 0x05];
        /// That of 32-bit programs, which others may use as well.
        const INT_80: [u8; 2] = [0xcd, 0x80];
        let mut bytes = [0; 2];
        let len = self.elf.read(address.wrapping_sub(2), &mut bytes, budget)?;
        Ok(len == bytes.len() && (bytes == SYSCALL || bytes == INT_80))
    }

    /// Forgets what was read, but not what was found out.
    pub(crate) fn shed(&mut self) {
        self.elf.blocks.shed();
    }

    /// Bytes of the file that are kept.
    pub(crate) fn weight(&self) -> usize {
        self.elf.blocks.weight()
    }

    /// The slot by which the code at `address` jumps at once.
    pub(crate) fn stub(&mut self, address: u64, budget: &mut Budget) -> Result<Option<u64>, Error> {
        let mut bytes = [0; site::STUB];
        let len = self.elf.read(address, &mut bytes, budget)?;
        Ok(site::stub(&bytes[..len], address))
    }
}

/// Makes room for one more.
fn keep<K: Ord, V>(kept: &mut BTreeMap<K, V>) {
    if kept.len() >= KEPT {
        kept.clear();
    }
}
