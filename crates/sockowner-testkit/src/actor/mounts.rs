//! A mount namespace of the actor's own, in which a file has another one's path.
#![expect(unsafe_code, reason = "unshare is unsafe in rustix for the sake of one flag that is not used here")]

use std::path::Path;

use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::server::{Outcome, context};

/// Puts `source` over `target`, for this process and its children alone.
pub(super) fn bind(source: &Path, target: &Path) -> Outcome<()> {
    // SAFETY: the flag the function is unsafe for, a private descriptor table, is not among these.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.map_err(context("unshare CLONE_NEWNS"))?;
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)
        .map_err(context("make the mounts private"))?;
    mount_bind(source, target)
        .map_err(|error| format!("mount {} over {}: {error}", source.display(), target.display()))
}
