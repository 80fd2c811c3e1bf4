//! What the recorder's sampling programs tell of one call (`bpf/sample.h`).

use std::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `STACK_ROOM`.
const STACK_ROOM: usize = 512;
/// `MAPPINGS_MAX`.
pub const MAPPINGS_MAX: usize = 8;
/// `NOTED_MAX`.
pub const NOTED_MAX: usize = 256;

/// `enum sample_traits`.
const WORKER: u8 = 1;
const COMPAT: u8 = 2;
const IO_URING: u8 = 4;
const MAPPED: u8 = 8;
const SITE: u8 = 16;
/// `SITES_MAX`.
pub const SITES_MAX: usize = 4;
/// `SLOT_IP`.
const SLOT_IP: u16 = 0xffff;

/// `enum call`: a socket call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Call {
    /// bind(2)
    Bind,
    /// connect(2)
    Connect,
    /// listen(2)
    Listen,
    /// accept(2)
    Accept,
    /// accept4(2)
    Accept4,
    /// Another, such as the sendto(2) that connects.
    Other(u8),
}

/// `struct sample`: one call of a process that was noted in a role.
#[derive(Clone, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Sample {
    /// The socket.
    pub cookie: u64,
    /// Nanoseconds since boot, suspended time included.
    pub time: u64,
    /// The role's [`process`](crate::record::Party::process).
    pub process: u64,
    /// The role's [`when`](crate::record::Party::when).
    pub when: u64,
    /// Of a listen that chose a port, the binder's; else 0.
    pub binder_when: u64,
    /// When the process started.
    pub start: u64,
    /// Of the user's code: the instruction behind the system call.
    pub ip: u64,
    /// Its stack pointer.
    pub sp: u64,
    /// Its frame pointer, or whatever it keeps in that register.
    pub bp: u64,
    /// The process, in the initial pid namespace.
    pub tgid: u32,
    /// The thread.
    pub tid: u32,
    /// Real user, in the initial user namespace.
    pub uid: u32,
    /// Which of a record's [`parties`](crate::record::SocketRecord::parties).
    pub role: u8,
    call: u8,
    traits: u8,
    mappings: u8,
    stack_length: u32,
    /// Room.
    pub zero: u32,
    stack: [u8; STACK_ROOM],
}

/// `struct sample_mapping`: a piece of a file that the process executes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SampleMapping {
    /// Its first address.
    pub start: u64,
    /// The address behind its last one.
    pub end: u64,
    /// Where in the file it begins, in bytes.
    pub offset: u64,
    /// The file's inode number.
    pub inode: u64,
    /// Key in the map of executables; 0 where the path was not kept.
    pub path: u64,
    /// See [`device`](Self::device).
    pub device: u32,
    /// Not 0: nothing has the file's name any more.
    pub deleted: u32,
}

/// `struct site_key`: where a process made a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SiteKey {
    /// As the [`Sample`] has it.
    pub process: u64,
    /// As the [`Sample`] has it.
    pub ip: u64,
}

/// `struct site`: a call site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Site {
    word: u64,
    slot: u16,
    zero: [u16; 3],
}

/// `struct known_sites`: those that are known of one key, the one that was added last first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct KnownSites {
    sites: [Site; SITES_MAX],
}

/// `struct noted`: a role whose component is found out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Noted {
    /// The socket.
    pub cookie: u64,
    /// As the [`Sample`] has them.
    pub process: u64,
    /// As the [`Sample`] has them.
    pub when: u64,
    /// Which of a record's parties.
    pub role: u32,
    /// Key in the map of components.
    pub component: u32,
}

/// `struct note_context`: what the program `note` is run with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct NoteContext {
    /// The caller's address of an array of [`Noted`].
    pub noted: u64,
    /// How many those are: [`NOTED_MAX`] at most.
    pub count: u32,
    /// How many were put into a record.
    pub done: u32,
}

/// `struct sample_counters`: of all processors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SampleCounters {
    /// Calls that were to be told.
    pub made: u64,
    /// That were not, as nobody had read those before.
    pub lost: u64,
}

const _: () = {
    assert!(size_of::<Sample>() == 608);
    assert!(std::mem::offset_of!(Sample, tgid) == 72);
    assert!(std::mem::offset_of!(Sample, role) == 84);
    assert!(std::mem::offset_of!(Sample, stack) == 96);
    assert!(size_of::<SampleMapping>() == 48);
    assert!(size_of::<SiteKey>() == 16);
    assert!(size_of::<Site>() == 16);
    assert!(std::mem::offset_of!(Site, slot) == 8);
    assert!(size_of::<KnownSites>() == 64);
    assert!(size_of::<SampleCounters>() == 16);
    assert!(size_of::<Noted>() == 32);
    assert!(size_of::<NoteContext>() == 16);
};

impl Site {
    /// The word so many bytes from the stack pointer on; or, with `None`, the instruction pointer itself.
    pub fn new(slot: Option<u16>, word: u64) -> Self {
        Self { word, slot: slot.unwrap_or(SLOT_IP), zero: [0; 3] }
    }
}

impl KnownSites {
    /// Adds one, in the place of the oldest one where there is no room.
    pub fn add(&mut self, site: Site) {
        let at = self.sites.iter().position(|known| *known == site).unwrap_or(SITES_MAX - 1);
        if let Some(newer) = self.sites.get_mut(..=at) {
            newer.rotate_right(1);
        }
        let [first, ..] = &mut self.sites;
        *first = site;
    }
}

impl Sample {
    /// Reads one event, with the mappings that were told: one alone where [`is_of_known_site`](Self::is_of_known_site); `None`
    /// where the kernel cannot tell them. What is no event is `None`.
    pub fn read(bytes: &[u8]) -> Option<(&Self, Option<&[SampleMapping]>)> {
        let (sample, rest) = Self::ref_from_prefix(bytes).ok()?;
        if sample.is_of_known_site() {
            let (mapping, _) = <[SampleMapping; 1]>::ref_from_prefix(rest).ok()?;
            return Some((sample, Some(mapping)));
        }
        if sample.traits & MAPPED == 0 {
            return Some((sample, None));
        }
        let (mappings, _) = <[SampleMapping; MAPPINGS_MAX]>::ref_from_prefix(rest).ok()?;
        Some((sample, Some(mappings.get(..usize::from(sample.mappings))?)))
    }

    /// The call that was made.
    pub fn call(&self) -> Call {
        match self.call {
            1 => Call::Bind,
            2 => Call::Connect,
            3 => Call::Listen,
            4 => Call::Accept,
            5 => Call::Accept4,
            other => Call::Other(other),
        }
    }

    /// A thread of io_uring's made it: it has no user's registers, and no stack.
    pub fn is_worker(&self) -> bool {
        self.traits & WORKER != 0
    }

    /// 32-bit code made it: registers and stack are as that has them.
    pub fn is_compat(&self) -> bool {
        self.traits & COMPAT != 0
    }

    /// `io_uring_enter(2)` made it.
    pub fn is_io_uring(&self) -> bool {
        self.traits & IO_URING != 0
    }

    /// Its call site was known: of the mappings, that of the site alone is told.
    pub fn is_of_known_site(&self) -> bool {
        self.traits & SITE != 0
    }

    /// The user's stack from [`sp`](Self::sp) on, as far as it was read.
    pub fn stack(&self) -> &[u8] {
        let length = usize::try_from(self.stack_length).unwrap_or(usize::MAX);
        self.stack.get(..length).unwrap_or_default()
    }
}

/// Neither registers nor the stack are shown: they hold the process's secrets.
impl fmt::Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sample")
            .field("cookie", &self.cookie)
            .field("tgid", &self.tgid)
            .field("role", &self.role)
            .field("call", &self.call())
            .finish_non_exhaustive()
    }
}

impl SampleMapping {
    /// Major and minor number of the device of its file system, as the kernel keeps them.
    pub fn device(&self) -> (u32, u32) {
        (self.device >> 20, self.device & 0xf_ffff)
    }
}

#[cfg(test)]
mod tests;
