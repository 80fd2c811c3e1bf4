//! The answer: plain data.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// How the component was established, worst first. The words are interface: see [`Display`](fmt::Display).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// Nothing on the stack names a module. It is the executable; for code made at run time
    /// ([`Component::generated`]) it is the nearest module that is a file, if one was found.
    ExecutableOnly,
    /// The word at the stack pointer, behind a call of the symbol, where the library has no unwind information. For
    /// bind and listen alone, whose wrappers push no frame.
    ReturnAddress,
    /// Unwound, but a call on the way was by pointer: something may have been called that left no frame.
    CfiIndirect,
    /// A call on the way went to another function than the next inner frame's: it called the rest as its last act, and
    /// left no frame. Its module is the component.
    CallTarget,
    /// Unwound, and each call site on the way proves that it called the next inner frame.
    Cfi,
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ExecutableOnly => "executable_only",
            Self::ReturnAddress => "return_address",
            Self::CfiIndirect => "cfi_indirect",
            Self::CallTarget => "call_target",
            Self::Cfi => "cfi",
        })
    }
}

/// A module's build-id, as its linker wrote it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BuildId(pub(crate) Vec<u8>);

impl BuildId {
    /// Its bytes: 20 of them, mostly.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BuildId({self})")
    }
}

/// What a frame's code belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A module that may be the component.
    Module,
    /// A module that defines the called symbol itself, or the dynamic linker: passed over.
    Library,
    /// A file that could not be read.
    Unreadable,
    /// Code that no ELF file holds: made at run time.
    Generated,
    /// The kernel's vDSO.
    Vdso,
}

/// What ties a frame to the next inner one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Link {
    /// It is the innermost: the system call is its own.
    Entry,
    /// Its call site proves that it called the next inner frame.
    Proved,
    /// Its call site calls by pointer, or by a slot that cannot be resolved.
    Indirect,
    /// It called another function than the next inner frame: see the frame in between, if it is known.
    Broken,
    /// It has no frame on the stack: the next outer frame called it, and it called the next inner one as its last act.
    TailCalled,
    /// A signal stood in between.
    Signal,
    /// By the word at the stack pointer, or by frame pointers.
    Unproved,
}

/// One frame of the stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What its code belongs to.
    pub kind: Kind,
    /// What ties it to the next inner one.
    pub link: Link,
    /// Base name of the module; empty for anonymous memory.
    pub name: OsString,
    /// Path of the module as the process sees it.
    pub path: Option<PathBuf>,
    /// The module's build-id.
    pub build_id: Option<BuildId>,
    /// Where it stands: the instruction behind the call, or for [`Link::TailCalled`] the function. It is the address
    /// that the ELF file gives it (what addr2line takes); for code that no ELF file holds, the process's.
    pub offset: u64,
}

/// The module whose code made a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Base name of its path.
    pub name: OsString,
    /// Its path **as the process sees it**.
    pub path: PathBuf,
    /// Its build-id, if it has one that can be read.
    pub build_id: Option<BuildId>,
    /// The frame's [`offset`](Frame::offset). None where nothing on the stack is known of it.
    pub offset: Option<u64>,
    /// How it was established.
    pub grade: Grade,
    /// The call came from code that was made at run time, and this is only the nearest module.
    pub generated: bool,
    /// The frames from the system call outwards, also those beyond the component.
    pub chain: Vec<Frame>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grades_have_their_words_and_their_order() {
        use Grade::{CallTarget, Cfi, CfiIndirect, ExecutableOnly, ReturnAddress};
        let best_first = [Cfi, CallTarget, CfiIndirect, ReturnAddress, ExecutableOnly];
        assert!(best_first.is_sorted_by(|a, b| a > b));
        let words = best_first.map(|grade| grade.to_string());
        assert_eq!(words, ["cfi", "call_target", "cfi_indirect", "return_address", "executable_only"]);
        assert_eq!(BuildId(vec![0, 0xab]).to_string(), "00ab");
    }
}
