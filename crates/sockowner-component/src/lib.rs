//! Which module of a process issued a socket call.
//!
//! Given the registers at the system call's entry, the first bytes of the user's stack and the executable mappings of
//! the process, [`Modules::resolve`] names the ELF module whose code made the call: the shared library, or the
//! executable where that did it itself. Nothing here traces anything or knows BPF; a recorder takes the [`Sample`].
//!
//! 1. The stack is unwound by `.eh_frame`, from the system call outwards.
//! 2. Modules that define the called symbol in `.dynsym` themselves are passed over (libc, interposers, sanitizers),
//!    and so are the dynamic linker and the vDSO. The first module that remains is the component.
//! 3. Its [`Grade`] says how that was established. [`Grade::Cfi`] is given only where each call site on the way proves
//!    that nothing stood in between: a direct call, or one through a slot of the GOT, of the very function in which the
//!    next inner frame stands. A tail call leaves no frame; its target is named as [`Grade::CallTarget`].
//!
//! # What a component is not
//! The stack and the code belong to the process. One that forges its stack, or rewrites its code, is told as it
//! pretends to be: a component is what a program says of itself, unlike its pid or its executable. And a program that
//! turns slots of the GOT over to hooks is seen through only where its [`Memory`] can be read.
//!
//! # Hostile files
//! ELF files are their owners' data. They are read piece by piece by pread, never mapped; each step is counted, and
//! the [`Limits`] end it; whatever is malformed is an [`Error`], never a panic. Who may open which file is the
//! [`Opener`]'s.
//!
//! # Platform
//! Linux on x86-64, 64-bit processes. This crate promises no API stability.

#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]

mod blocks;
mod call;
mod cfi;
mod component;
mod elf;
mod error;
mod fde;
mod limits;
mod link;
mod maps;
mod module;
mod modules;
mod open;
mod process;
mod sample;
mod site;
mod slot;
mod symbol;
mod trace;
mod walk;

pub use call::{Files, ProcessMemory};
pub use component::{BuildId, Component, Frame, Grade, Kind, Link};
pub use error::Error;
pub use limits::Limits;
pub use maps::{Device, Mapping, Maps, executable_mappings};
pub use modules::{Modules, Resolution};
pub use open::{Identity, Memory, Opened, Opener, ReadAt};
pub use process::{Executable, Process};
pub use sample::{Call, Registers, Sample};
pub use trace::{CallSite, Location, Trace};
