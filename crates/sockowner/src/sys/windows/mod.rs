//! Windows: sockets and who bound them from the tables of iphlpapi, processes by handles.
//!
//! [`door`] is all that is asked of the system, [`call`] asks the real one. [`tables`] lists sockets, [`processes`] reads
//! one process, [`process_list`] the list of all; [`attribute`] puts them together. [`services`] and [`users`] say which
//! service and which user a process is; [`module`] names one process in as few calls as can be, where [`permission`] lets
//! it. [`wine`] fills in what Wine's tables leave out, and runs nowhere else.

mod attribute;
mod buffer;
mod call;
mod door;
#[cfg(test)]
mod fake;
mod module;
mod permission;
mod process_list;
mod processes;
mod services;
mod tables;
#[cfg(test)]
mod tests;
mod users;
mod wine;

use self::call::Kernel;
use self::door::Door;
use super::{Options, Scope, Search, Sockets};
use crate::socket::system_time;
use crate::{
    Address, Entry, Error, ErrorKind, Gap, GapReason, Pattern, Protocol, Record, Result, RowOwner, Socket,
    Source, SourceState,
};

pub(crate) use self::module::module_of;

/// What a row says of its owner, and when the table was asked for. Rows that say the same are equal, whenever they said it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    row: RowOwner,
    /// A `FILETIME`. A process that did not exist by then is not the one that the row names, whatever its number.
    listed_at: u64,
}

impl PartialEq for Told {
    fn eq(&self, other: &Self) -> bool {
        self.row == other.row
    }
}

impl Eq for Told {}

#[expect(clippy::unnecessary_wraps, reason = "the backend's contract: not every system has such rows")]
pub(crate) fn row_owner(told: &Told) -> Option<&RowOwner> {
    Some(&told.row)
}

/// A process's start is told as a time of the calendar, which tells one boot from another.
pub(crate) fn boot() -> Option<u64> {
    None
}

/// Has this process be let into those of other users, where its token allows: enables `SeDebugPrivilege` in it. Returns
/// whether that is so; `false` where the token does not have it.
///
/// Windows gives an administrator's token this privilege, and has it disabled: some processes let nobody in without it. What
/// may be done with it goes far beyond what this library does, so nothing here enables it by itself.
///
/// # Errors
/// Where the token of this process may not be changed.
pub fn enable_debug_privilege() -> Result<bool> {
    call::enable_debug().map_err(|error| Error::io("enable SeDebugPrivilege", error))
}

pub(crate) fn no_visible_holder() -> &'static str {
    if call::is_wine() {
        "every Windows process was read and none has it: a native program's, not yet accepted, or lingering"
    } else {
        "who bound it has ended, or cannot be told from a later process with his number; who else has it the system does not tell"
    }
}

/// Nothing is seen while sockets are listed: owners come with the rows.
#[derive(Debug)]
pub(crate) enum Seen {}

/// The open backend.
#[derive(Debug)]
pub(crate) struct System<D: Door = Kernel> {
    door: D,
    options: Options,
}

impl System {
    pub(crate) fn open(options: Options) -> Result<Self> {
        Self::open_with(Kernel, options)
    }
}

impl<D: Door> System<D> {
    pub(crate) fn open_with(door: D, options: Options) -> Result<Self> {
        match options.source {
            Source::Auto => Ok(Self { door, options }),
            other => Err(Error::new(
                ErrorKind::Unsupported,
                format!("take owners from {other:?}: on Windows there is nothing to choose"),
            )),
        }
    }

    pub(crate) fn sources(&self) -> Vec<SourceState> {
        let tables = |detail| SourceState { source: Source::Tables, in_use: true, detail, refused: vec![] };
        if !self.door.is_wine() {
            return vec![tables(None)];
        }
        let state = |source, refused: Option<String>| SourceState {
            source,
            in_use: refused.is_none(),
            detail: None,
            refused: refused.into_iter().collect(),
        };
        let handles = self.door.wine_holders().err().map(|error| format!("{error:#}"));
        let bridge = match self.door.has_bridge() {
            Ok(true) => None,
            Ok(false) => Some("it was not found: not installed in this prefix, or WINEDLLPATH does not name its half in Linux; see packaging/wine".to_owned()),
            Err(error) => Some(format!("{error:#}")),
        };
        vec![
            state(Source::Handles, handles),
            state(Source::Bridge, bridge),
            tables(Some("Wine's name nobody, or some process that used the socket")),
        ]
    }

    /// No exact lookup is quicker than the table.
    #[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "the backend's contract")]
    pub(crate) fn connection(&self, _: Protocol, _: Address, _: Address) -> Result<Option<Socket>> {
        Ok(None)
    }

    /// There is no recorder.
    pub(crate) fn recorded(&self, local: Address, remote: Address) -> Result<Option<(Socket, Record)>> {
        let families = crate::Family::ALL.map(|family| (Protocol::Tcp, family));
        let scope = Scope { tables: families.into(), ..Scope::default() };
        let is_it =
            |socket: &Socket| socket.endpoint.local == local && socket.endpoint.remote == Some(remote);
        Ok(self.sockets(&scope)?.list.into_iter().find(is_it).map(|socket| (socket, Record::Nowhere)))
    }

    pub(crate) fn survey(&self, scope: &Scope) -> Result<(Sockets, Option<Seen>)> {
        let mut listed = self.sockets(scope)?;
        crate::snapshot::sort(&mut listed.list);
        Ok((listed, None))
    }

    /// There are no others.
    pub(crate) fn everywhere(&self, scope: &Scope, search: Search) -> Result<(Vec<Entry>, Vec<Gap>)> {
        let Sockets { list, gaps: mut missing } = self.sockets(scope)?;
        let (entries, gaps) = self.attribute(list, search, None)?;
        missing.extend(gaps);
        Ok((entries, missing))
    }

    /// Nothing keeps them.
    #[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "the backend's contract")]
    pub(crate) fn closed(&self, _: &Pattern) -> Result<Option<(Vec<Entry>, Vec<Gap>)>> {
        Ok(None)
    }

    #[expect(clippy::unused_self, reason = "the backend's contract")]
    pub(crate) fn netns(&self) -> Option<u64> {
        None
    }
}

impl Error {
    /// The same, of a part that could not be had.
    fn gap_reason(&self) -> GapReason {
        match self.kind() {
            ErrorKind::NotPermitted => GapReason::NotPermitted,
            ErrorKind::Malformed => GapReason::Malformed,
            ErrorKind::Unsupported => GapReason::Unsupported,
            _ => GapReason::Interrupted,
        }
    }
}
