//! Giving root up inside a running scenario.
#![expect(
    unsafe_code,
    reason = "glibc's setresuid, the one that changes every thread, has no safe wrapper here"
)]

use std::io;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{CapabilitySets, set_capabilities, set_keep_capabilities};

pub use rustix::thread::CapabilitySet;

/// The ordinary user of the tests: any number that is not root's will do, the account need not exist.
pub const ORDINARY_UID: u32 = 1000;

/// Makes the whole process, all its threads, an ordinary user's: supplementary groups cleared, group and user
/// changed (real, effective and saved), all capabilities gone with them.
///
/// Meant for scenarios: first set the stage as root, then look at it as somebody else. Actors that root started
/// stay root's; they end with the scenario.
pub fn become_user(uid: u32, gid: u32) -> io::Result<()> {
    become_member(uid, gid, &[])
}

/// As [`become_user`], a member of these groups too.
pub fn become_member(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    // SAFETY: the kernel reads `groups.len()` numbers at the pointer, which the slice holds.
    check(unsafe { libc::setgroups(groups.len(), groups.as_ptr()) })?;
    // SAFETY: takes three numbers and touches no memory of ours; glibc applies it to every thread.
    check(unsafe { libc::setresgid(gid, gid, gid) })?;
    // SAFETY: as above.
    check(unsafe { libc::setresuid(uid, uid, uid) })?;
    // The change of user made the process undumpable, which a program started by that user would not be:
    // its own /proc directory would belong to root.
    set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    Ok(())
}

/// As [`become_user`], but the calling thread keeps these capabilities and what is started from it gets them not.
pub fn become_user_with(uid: u32, gid: u32, kept: CapabilitySet) -> io::Result<()> {
    set_keep_capabilities(true)?;
    become_user(uid, gid)?;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    Ok(set_capabilities(None, sets)?)
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
