//! Why a stack could not be followed, or a file not be read.

use std::io;

/// What stood in the way. Small and comparable, so that it can be kept and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("{operation} the module: {kind}")]
    Os {
        /// What was tried: `open`, `read`.
        operation: &'static str,
        /// The kind of its error.
        kind: io::ErrorKind,
    },
    /// A FIFO, a device, a directory.
    #[error("the module is no regular file")]
    NotRegular,
    /// The path names another file than the one that is mapped.
    #[error("the path names another file than the mapping")]
    OtherFile,
    /// The file ends before what its headers announce.
    #[error("the module ends before {0}")]
    Truncated(&'static str),
    /// A file without ELF's magic number: data, or code made at run time.
    #[error("the file is no ELF module")]
    NotElf,
    /// Well-formed, but not for us: 32 bit, another architecture, an encoding nobody uses.
    #[error("not supported: {0}")]
    Unsupported(&'static str),
    /// It contradicts the format.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// [`Limits::steps`](crate::Limits::steps) are used up.
    #[error("too much work")]
    TooMuchWork,
    /// No executable mapping has this address.
    #[error("the address is in no executable mapping")]
    NoMapping,
    /// The module says nothing about how to unwind here.
    #[error("no unwind information for the address")]
    NoCfi,
    /// What is needed lies outside the stack that was read.
    #[error("the stack that was read ends before it is needed")]
    StackEnds,
    /// The outermost frame was reached.
    #[error("the stack has no more frames")]
    Outermost,
    /// A return address that no call precedes.
    #[error("no call stands before the return address")]
    NoCall,
    /// A tail call, and what it went to cannot be told.
    #[error("a tail call to an unknown function")]
    UnknownTarget,
    /// The instruction pointer is not behind a system call: the code is not what was there at the call.
    #[error("no system call stands before the instruction pointer")]
    NoSystemCall,
    /// Code that is in no file: made at run time.
    #[error("the code was made at run time")]
    Generated,
    /// The vDSO, which is in no file.
    #[error("the code is the vdso's")]
    Vdso,
    /// The chain is as long as [`Limits::frames`](crate::Limits::frames) allow.
    #[error("too many frames")]
    TooManyFrames,
}

impl Error {
    pub(crate) fn os(operation: &'static str, error: &io::Error) -> Self {
        Self::Os { operation, kind: error.kind() }
    }
}
