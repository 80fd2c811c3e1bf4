//! Everything this backend asks of the system, as one trait: the real door is [`Kernel`](super::call::Kernel), the tests'
//! is the fake one.
//!
//! Errors carry the system's own number: a Win32 code, also where the call returned an `NTSTATUS`.

use std::fmt;
use std::io;

use super::wine::Holders;
use super::wine::bridge::{Native, Owner};
use crate::{Result, Socket};

/// `ERROR_ACCESS_DENIED`.
pub(crate) const ACCESS_DENIED: i32 = 5;
/// `ERROR_GEN_FAILURE`: what a process that has ended gives for its image, and one that lives and has none.
pub(crate) const GEN_FAILURE: i32 = 31;
/// `ERROR_INVALID_PARAMETER`: what OpenProcess gives for a number that no process has.
pub(crate) const INVALID_PARAMETER: i32 = 87;
/// `ERROR_INSUFFICIENT_BUFFER`.
pub(crate) const INSUFFICIENT_BUFFER: i32 = 122;

/// One table of the system, all of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Table {
    /// TCP, else UDP.
    pub(crate) tcp: bool,
    /// IPv6, else IPv4.
    pub(crate) v6: bool,
}

/// What became of a buffer that the system was to fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    /// It holds everything, in so many bytes; what the system did not tell the length of, in all of its bytes.
    Whole(usize),
    /// It is too small; so many bytes would have done at this moment. 0 where the system does not say.
    Needs(usize),
}

/// When a process began and ended, in units of 100 ns since the begin of 1601 (`FILETIME`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) created: u64,
    /// Of a process that lives this need not mean anything; see [`Door::has_ended`].
    pub(crate) ended: u64,
}

/// What an account is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) domain: Vec<u16>,
    pub(crate) name: Vec<u16>,
}

/// The door to the system. Every method is one call, or an open-use-close, and closes what it opened.
pub(crate) trait Door: fmt::Debug + Send + Sync {
    /// A handle to a process: its number is nobody else's while one is open.
    type Process: fmt::Debug;

    /// The time by which processes are dated, as a `FILETIME`. Of what is created later none is dated before it; what was
    /// created just before may have the same date.
    fn now(&self) -> u64;
    /// Fills `into` with one module table (`GetExtendedTcpTable`, `GetExtendedUdpTable`).
    fn table(&self, table: Table, into: &mut [u64]) -> io::Result<Fill>;
    /// Fills `into` with the list of all processes (`SystemProcessInformation`), which needs no right.
    fn processes(&self, into: &mut [u64]) -> io::Result<Fill>;

    /// Opens a process with the right to ask what it is, and no more.
    fn open_process(&self, pid: u32) -> io::Result<Self::Process>;
    fn times(&self, process: &Self::Process) -> io::Result<Times>;
    fn has_ended(&self, process: &Self::Process) -> io::Result<bool>;
    /// Path of its executable (`QueryFullProcessImageNameW`): how many units of `into` it takes.
    /// [`INSUFFICIENT_BUFFER`] where it does not fit.
    fn image(&self, process: &Self::Process, into: &mut [u16]) -> io::Result<usize>;

    /// Path of the system's directory, without a separator at its end.
    fn system_directory(&self) -> io::Result<Vec<u16>>;
    /// The caller's token has the group of administrators, and has it enabled.
    fn is_administrator(&self) -> io::Result<bool>;
    /// The security identifier of a process's user.
    fn user(&self, process: &Self::Process) -> io::Result<Vec<u8>>;
    /// What the account with this security identifier is called.
    fn account(&self, sid: &[u8]) -> io::Result<Account>;
    /// Name of the service with this tag in a process. `Unsupported` where the system keeps no tags.
    fn service_by_tag(&self, pid: u32, tag: u32) -> io::Result<Vec<u16>>;
    /// Fills `into` with the active services (`EnumServicesStatusExW`), and says how many there are.
    fn services(&self, into: &mut [u64]) -> io::Result<(Fill, usize)>;

    /// This is Wine, as far as can be told: only there anything below [`wine`](super::wine) is asked.
    fn is_wine(&self) -> bool;
    /// Who holds Wine's own sockets.
    fn wine_holders(&self) -> Result<Holders>;
    /// Linux can be asked about native programs.
    fn has_bridge(&self) -> Result<bool>;
    /// Who owns sockets of native programs, one answer for each. `Ok(None)`: there is no bridge to ask.
    fn native_owners(&self, sockets: &[&Socket]) -> Result<Option<Vec<Owner>>>;
    /// The native process with this flagged pid. `Ok(None)`: there is none, or no bridge to ask.
    fn native_process(&self, flagged: u32) -> Result<Option<Native>>;
}

/// No process has the number.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    error.raw_os_error() == Some(INVALID_PARAMETER)
}

pub(crate) fn is_refused(error: &io::Error) -> bool {
    error.raw_os_error() == Some(ACCESS_DENIED)
}
