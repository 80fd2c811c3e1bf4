//! **Who owns this socket?** Every TCP and UDP endpoint with the processes that hold it, and the service or container
//! it was made in.
//!
//! Open a [`Query`]; ask it for a [`snapshot`](Query::snapshot) of all endpoints, for everything about
//! [one endpoint](Query::who), or for [the owner of one socket](Query::owner_of).
//!
//! An answer is data with its evidence: a socket has zero, one or many [holders](Attribution::holders); where there is
//! none, a [`Reason`] says why; what could not be read at all is in [`Snapshot::gaps`]. "Unknown, because" is preferred
//! to a guess everywhere.

#![cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "much of what a recorder tells is Linux's alone")
)]

mod attribution;
mod closed;
mod component;
mod endpoint;
mod error;
mod evidence;
mod filter;
mod module;
pub mod os;
mod owner;
mod pattern;
mod query;
mod roles;
mod snapshot;
mod socket;
mod sys;

pub use attribution::{Attribution, Candidate, Holder, Holders, Owning, Reach, Reason, RecordedOwner};
pub use closed::Closed;
pub use component::{Component, ComponentEvidence, ComponentFrame};
pub use endpoint::{Address, Endpoint, Family, Interface, Protocol, State};
pub use error::{Error, ErrorKind, Result};
pub use evidence::Evidence;
pub use filter::Filter;
pub use module::{Identity, Module, boot, module_of};
pub use owner::{Cgroup, Container, Executable, FileId, Manager, Process, Runtime, Service, StartTime};
pub use pattern::{Match, Pattern};
pub use query::{Query, QueryBuilder, Source, SourceState, Survey};
pub use roles::{Record, Recorded, RecordedProcess, Role, RoleEvidence, RoleKind, RoleReason, Roles};
pub use snapshot::{Entry, Gap, GapReason, Snapshot};
pub use socket::{RowOwner, Socket};

#[doc = include_str!("../PLATFORM.md")]
pub mod platform {}
