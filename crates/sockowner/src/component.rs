//! Which module of a process made a call. Plain data.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use crate::RecordedProcess;

/// The ELF module whose code made a call: a shared library, or the executable where that did it itself.
///
/// It is what the process's own stack and code say: unlike a pid or an executable, a process can forge it.
///
/// # Platform
/// Linux on x86-64, while a recorder runs: `os::linux::record`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "GetOwnerModuleFromTcpEntry")]
pub struct Component {
    /// Base name of its path.
    pub name: OsString,
    /// Its path as the **process** sees it: in another mount namespace this names another file, or none. `None`: it was too
    /// long to be kept.
    pub path: Option<PathBuf>,
    /// The module's build-id: 20 bytes, mostly. `None` where it has none, or could not be read.
    pub build_id: Option<Vec<u8>>,
    /// Where the call returns to, as an address of the ELF file (what addr2line takes). `None` where nothing on the stack is
    /// known of the module.
    pub offset: Option<u64>,
    /// How it was established.
    pub evidence: ComponentEvidence,
    /// The call came from code that was made at run time, and this is only the nearest module that is a file.
    pub generated: bool,
    /// The frames from the system call outwards, as far as they were kept: libc's mostly first.
    pub chain: Vec<ComponentFrame>,
}

impl Component {
    /// One of which nothing but its name is known.
    pub fn new(name: impl Into<OsString>, evidence: ComponentEvidence) -> Self {
        Self {
            name: name.into(),
            path: None,
            build_id: None,
            offset: None,
            evidence,
            generated: false,
            chain: Vec::new(),
        }
    }

    /// It is proved by the stack ([`ComponentEvidence::Cfi`]), and not the executable of `process`, which made the call: what
    /// can be named where neither doubt nor grade can be told.
    pub fn is_proved_library(&self, process: &RecordedProcess) -> bool {
        self.evidence == ComponentEvidence::Cfi
            && !self.generated
            && self.path.is_some()
            && self.path != process.path
    }
}

/// One frame of a caller's stack.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ComponentFrame {
    /// Base name of the module; empty for memory that no file holds.
    pub name: OsString,
    /// The module's path as the process sees it.
    pub path: Option<PathBuf>,
    /// The module's build-id.
    pub build_id: Option<Vec<u8>>,
    /// As [`Component::offset`]; for memory that no ELF file holds, the process's address.
    pub offset: u64,
}

impl ComponentFrame {
    /// One of which nothing but its name and place are known.
    pub fn new(name: impl Into<OsString>, offset: u64) -> Self {
        Self { name: name.into(), path: None, build_id: None, offset }
    }
}

/// How a component was established, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ComponentEvidence {
    /// The stack was unwound, and each call site on the way proves that it called the next inner frame.
    Cfi,
    /// A call on the way went to another function than the next inner frame's, which called the rest as its last act and left
    /// no frame. Its module is the component.
    CallTarget,
    /// Unwound, but a call on the way was by pointer: something may have been called that left no frame.
    CfiIndirect,
    /// The word at the stack pointer. For bind and listen alone, whose wrappers push no frame.
    ReturnAddress,
    /// Nothing on the stack names a module: it is the executable, or what [`generated`](Component::generated) says.
    ExecutableOnly,
}

impl ComponentEvidence {
    /// `cfi`, `call_target`, `cfi_indirect`, `return_address` or `executable_only`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cfi => "cfi",
            Self::CallTarget => "call_target",
            Self::CfiIndirect => "cfi_indirect",
            Self::ReturnAddress => "return_address",
            Self::ExecutableOnly => "executable_only",
        }
    }
}

impl fmt::Display for ComponentEvidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
