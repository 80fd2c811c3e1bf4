//! Pure decoders and encoders for `sockowner`: netlink and `inet_diag` messages, `/proc` and cgroup text.
//!
//! Bytes in, values out: nothing here calls an operating system, reads a clock or opens a path, so Linux formats are
//! tested on any host, fuzzed without a kernel, and a bug report replays from a file.
//!
//! This crate promises no API stability; use the `sockowner` crate.

pub mod ask;
mod cgroup_path;
pub mod inet_diag;
pub mod iterator;
mod malformed;
pub mod mib;
mod mountinfo;
pub mod native;
pub mod netlink;
mod proc_cgroup;
mod proc_stat;
mod proc_status;
pub mod record;
pub mod sample;
mod sockstat;

pub use cgroup_path::{Container, Manager, Placement, Runtime, Unit, place};
pub use malformed::Malformed;
pub use mountinfo::{Mount, mounts};
pub use proc_cgroup::{Membership, memberships};
pub use proc_stat::ProcStat;
pub use proc_status::{Uids, uids};
pub use sockstat::sockstat_tcp;
