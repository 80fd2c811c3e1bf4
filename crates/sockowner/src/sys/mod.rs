//! What every platform does for the rest of the library. One backend per OS, chosen here and nowhere else.
//!
//! A backend is a module that defines:
//!
//! | name | what it is or does |
//! |---|---|
//! | `System` | the open backend; `Send + Sync`, one for the life of a [`Query`](crate::Query) |
//! | `System::open(Options) -> Result<System>` | opens it; fails only where no question could be answered |
//! | `System::sources(&self) -> Vec<SourceState>` | where owners can come from, and whether they do |
//! | `System::sockets(&self, &Scope) -> Result<Sockets>` | lists sockets without owners, in the caller's network namespace; a table that cannot be read while others can is a gap |
//! | `System::connection(&self, Protocol, Address, Address) -> Result<Option<Socket>>` | the one socket with exactly this local and remote address, if an exact lookup finds it; `None` says nothing |
//! | `System::recorded(&self, Address, Address) -> Result<Option<(Socket, Record)>>` | that connection, and what a recorder noted of it |
//! | `System::survey(&self, &Scope) -> Result<(Sockets, Option<Seen>)>` | lists sockets and, where it can, looks at all processes meanwhile |
//! | `System::everywhere(&self, &Scope, Search) -> Result<(Vec<Entry>, Vec<Gap>)>` | lists and attributes the sockets of every network namespace, as far as it can, and names the namespaces |
//! | `System::attribute(&self, Vec<Socket>, Search, Option<Seen>) -> Result<(Vec<Entry>, Vec<Gap>)>` | adds users, cgroups, services, owners or reasons; one entry for each socket, in order |
//! | `System::closed(&self, &Pattern) -> Result<Option<(Vec<Entry>, Vec<Gap>)>>` | closed sockets that were called so, the last closed first, with who had them last; `None` where nothing keeps them |
//! | `System::netns(&self) -> Option<u64>` | inode number of the network namespace that it belongs to |
//! | `System::owning(&self, &[Entry]) -> Vec<Option<Owning>>` | for each entry who made its socket what it is, if he lives; else its primary owner, if he lives |
//! | `Seen` | what a look at all processes gave; the rest of the library only hands it on |
//! | `Told` | what a row of the system says besides what a `Socket` has; `Clone + Debug + Default + Eq` |
//! | `row_owner(&Told) -> Option<&RowOwner>` | what of that is about the owner |
//! | `module_of(&Identity) -> Result<Module>` | one name and path for a process; stateless |
//! | `boot() -> Option<u64>` | a number for this boot of the machine |
//! | `no_visible_holder() -> &'static str` | what it means here that a socket has [no visible holder](crate::Reason::NoVisibleHolder), for people |
//!
//! A missing item is a compile error, not a surprise: there is no trait object. What a backend cannot know it leaves
//! `None`, with a [`Gap`] or a [`Reason`](crate::Reason); it never guesses.

use crate::{Family, Gap, Protocol, Socket, Source, State};

/// How a backend is to work.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// Read the arguments of processes.
    pub(crate) command_lines: bool,
    /// How many threads may look at processes at once; 0 lets the backend choose.
    pub(crate) threads: usize,
    /// Where owners are to come from.
    pub(crate) source: Source,
}

/// Which sockets to list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    /// Protocol and family of each table.
    pub(crate) tables: Vec<(Protocol, Family)>,
    /// The states; empty for all.
    pub(crate) states: Vec<State>,
    /// Local port, 0 for any.
    pub(crate) local_port: u16,
    /// Remote port, 0 for any.
    pub(crate) remote_port: u16,
}

/// Sockets without owners.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    pub(crate) list: Vec<Socket>,
    pub(crate) gaps: Vec<Gap>,
}

/// How to look for owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Search {
    /// Not at all.
    Never,
    /// The sockets may be old: see that each is still there first, then look at near processes, and further only
    /// while a socket is without a holder.
    Nearest,
    /// The sockets were just listed: look at every process.
    Everywhere,
}

#[cfg(target_os = "linux")]
pub(crate) mod linux;
#[cfg(target_os = "linux")]
pub(crate) use linux::{Seen, System, Told, boot, module_of, no_visible_holder, row_owner};

#[cfg(windows)]
pub(crate) mod windows;
#[cfg(windows)]
pub(crate) use windows::{Seen, System, Told, boot, module_of, no_visible_holder, row_owner};

#[cfg(not(any(target_os = "linux", windows)))]
mod unsupported;
#[cfg(not(any(target_os = "linux", windows)))]
pub(crate) use unsupported::{Seen, System, Told, boot, module_of, no_visible_holder, row_owner};
