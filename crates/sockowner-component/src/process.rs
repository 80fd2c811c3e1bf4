//! A process, as far as its code matters.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::{Device, Error, Identity, Mapping, Memory, Opener};

/// The file that a process was started from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executable {
    /// Its device.
    pub device: Device,
    /// Its inode.
    pub inode: u64,
    /// Its path as the process sees it.
    pub path: PathBuf,
}

/// A process with its mappings, and the way to its files.
///
/// It belongs to one state of the process: after an exec, or when an address is in no mapping, make another one. What
/// is found out about the process's files is kept in it, and what is found out about a file in [`Modules`].
///
/// [`Modules`]: crate::Modules
pub struct Process {
    pub(crate) mappings: Vec<Mapping>,
    pub(crate) states: Vec<State>,
    pub(crate) executable: Option<Executable>,
    pub(crate) opener: Box<dyn Opener + Send>,
    pub(crate) memory: Option<Box<dyn Memory + Send>>,
    pub(crate) partial: bool,
}

/// What is known of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nobody has asked.
    Unknown,
    /// A module, and what is to be added to its addresses.
    Module(Identity, u64),
    /// Not to be had.
    Failed(Error),
}

impl Process {
    /// A process that executes these `mappings`, whose files `opener` opens.
    pub fn new(mut mappings: Vec<Mapping>, opener: impl Opener + Send + 'static) -> Self {
        mappings.sort_by_key(|mapping| mapping.start);
        let states = vec![State::Unknown; mappings.len()];
        Self { mappings, states, executable: None, opener: Box::new(opener), memory: None, partial: false }
    }

    /// With its executable. Without, it is the lowest mapped file that is an executable.
    #[must_use]
    pub fn with_executable(self, executable: Executable) -> Self {
        Self { executable: Some(executable), ..self }
    }

    /// With its memory: then slots of the GOT are read, and not derived from what the modules define.
    #[must_use]
    pub fn with_memory(self, memory: impl Memory + Send + 'static) -> Self {
        Self { memory: Some(Box::new(memory)), ..self }
    }

    /// Of which some mappings are known and others not. What a name stands for cannot be told then, as any of the others
    /// may define it too.
    #[must_use]
    pub fn partial(self) -> Self {
        Self { partial: true, ..self }
    }

    /// The file of a mapping, where it was opened and is a module.
    pub fn identity(&self, mapping: usize) -> Option<Identity> {
        match self.states.get(mapping) {
            Some(State::Module(identity, _)) => Some(*identity),
            _ => None,
        }
    }

    /// The number of the mapping that holds `address`.
    pub fn mapping_of(&self, address: u64) -> Option<usize> {
        self.find(address)
    }

    /// Its executable mappings, by address.
    pub fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    /// The number of the mapping that holds `address`.
    pub(crate) fn find(&self, address: u64) -> Option<usize> {
        let behind = self.mappings.partition_point(|mapping| mapping.start <= address);
        let number = behind.checked_sub(1)?;
        self.mappings.get(number)?.contains(address).then_some(number)
    }

    /// The word at an address of its memory.
    pub(crate) fn word(&self, address: u64) -> Option<u64> {
        self.memory.as_ref()?.word(address)
    }

    /// The path of its executable, where that is known.
    pub(crate) fn executable_path(&self) -> Option<&Path> {
        self.executable.as_ref().map(|executable| executable.path.as_path())
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("mappings", &self.mappings.len())
            .field("executable", &self.executable)
            .finish_non_exhaustive()
    }
}
