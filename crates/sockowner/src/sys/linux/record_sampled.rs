//! What a sampled call is told as: plain data.

use std::fmt;
use std::path::PathBuf;

use crate::RoleKind;

/// One call of a process that was noted in a role.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallSample {
    /// The socket.
    pub cookie: u64,
    /// The role.
    pub role: RoleKind,
    /// The call.
    pub call: SampledCall,
    /// `io_uring_enter(2)` made it.
    pub io_uring: bool,
    /// A thread of io_uring's made it, which has neither registers nor a stack of the user's.
    pub worker: bool,
    /// 32-bit code made it.
    pub compat: bool,
    /// When: nanoseconds since boot, suspended time included, in the initial time namespace.
    pub time: u64,
    /// The process's key in the record: another one after exec(2), and never another process's.
    pub process: u64,
    /// Which call of the role's it was, as the record has it.
    pub when: u64,
    /// The process, in the initial pid namespace.
    pub initial_pid: u32,
    /// The thread, in the initial pid namespace.
    pub initial_tid: u32,
    /// The process, in the caller's pid namespace; `None` where it has no number there.
    pub pid: Option<u32>,
    /// When the process started, as [`time`](Self::time).
    pub start: u64,
    /// The same as `/proc/PID/stat` has it.
    pub start_ticks: u64,
    /// Its real user, in the initial user namespace.
    pub uid: u32,
    /// Where the user's code stood; zero for a [`worker`](Self::worker).
    pub registers: SampledRegisters,
    /// Its stack from [`rsp`](SampledRegisters::rsp) on: 512 bytes, or as many as could be read.
    pub stack: Vec<u8>,
    /// What the process executed at the call.
    pub mappings: SampledMappings,
}

/// Pieces of files that a process executed at a call, of which the registers and the stack speak.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SampledMappings {
    /// The kernel cannot tell them.
    Untold,
    /// The call site was [known](super::record::Sampler::knows): the one that holds its word, without its path.
    OfSite(SampledMapping),
    /// The first eight, or all if they are fewer.
    All(Vec<SampledMapping>),
}

impl SampledMappings {
    /// Those that were told.
    pub fn told(&self) -> &[SampledMapping] {
        match self {
            Self::Untold => &[],
            Self::OfSite(mapping) => std::slice::from_ref(mapping),
            Self::All(mappings) => mappings,
        }
    }
}

/// From where a process makes calls: an address in code, and where a sample has it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CallSite {
    /// As the [`CallSample`] has it.
    pub process: u64,
    /// As the [`CallSample`] has it.
    pub rip: u64,
    /// So many bytes from [`rsp`](SampledRegisters::rsp) on, a multiple of 8; `None`: it is `rip` itself.
    pub slot: Option<u16>,
    /// The address: what a function returns to, or `rip`.
    pub word: u64,
}

/// A socket call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SampledCall {
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
    Other,
}

/// Registers at the entry of a system call.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct SampledRegisters {
    /// The instruction behind the system call.
    pub rip: u64,
    /// The stack pointer.
    pub rsp: u64,
    /// The frame pointer, or whatever the code keeps in that register.
    pub rbp: u64,
}

/// A piece of a file that a process executes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SampledMapping {
    /// Its first address.
    pub start: u64,
    /// The address behind its last one.
    pub end: u64,
    /// Where in the file it begins, in bytes.
    pub offset: u64,
    /// Major and minor number of the file's device, as `/proc/PID/maps` has them.
    pub device: (u32, u32),
    /// The file's inode number.
    pub inode: u64,
    /// The file's path from the root of the **process's** mounts; `None` where it was not kept.
    pub path: Option<PathBuf>,
    /// Nothing had the file's name any more.
    pub deleted: bool,
}

/// A role whose component is found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noted {
    /// As the [`CallSample`] has it.
    pub cookie: u64,
    /// As the [`CallSample`] has it.
    pub role: RoleKind,
    /// As the [`CallSample`] has it.
    pub when: u64,
    /// As the [`CallSample`] has it.
    pub process: u64,
    /// What [`Store::component`](super::record::Store::component) gave.
    pub component: u32,
}

/// Neither registers nor the stack are shown: they hold the process's secrets.
impl fmt::Debug for CallSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallSample")
            .field("cookie", &self.cookie)
            .field("role", &self.role)
            .field("call", &self.call)
            .field("initial_pid", &self.initial_pid)
            .field("mappings", &self.mappings.told().len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CallSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallSite").field("process", &self.process).finish_non_exhaustive()
    }
}

impl fmt::Debug for SampledRegisters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SampledRegisters").finish_non_exhaustive()
    }
}

impl Drop for CallSample {
    fn drop(&mut self) {
        self.stack.fill(0);
        self.registers = SampledRegisters::default();
        // Somebody might look: so that it is done.
        std::hint::black_box(&*self);
    }
}
