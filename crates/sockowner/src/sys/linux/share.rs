//! Sharing the iterators with those who may not load them.

use super::call::share;
use super::door::{Refusal, is_refused};
use crate::{Error, ErrorKind, Result};

/// With whom root shares the iterators that show everybody's sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shared {
    /// The number of the group; `None` where the directory is missing.
    pub group: Option<u32>,
}

/// Shares the iterators: whoever is in `group` can then see the owners of **every user's** sockets, and everybody those of
/// his own. What was shared before is replaced. It lasts until [`disable`], or the machine's next start.
///
/// # Platform
/// Linux 5.12 and later. Mounts a BPF file system at `/run/sockowner/bpf` and pins iterators there: needs root with
/// `CAP_BPF`, `CAP_PERFMON` and `CAP_SYS_ADMIN`.
///
/// # Errors
/// Where there is no such group, or a step is refused. Then nothing is shared.
pub fn enable(group: &str) -> Result<()> {
    let gid = gid_of("share with", group)?;
    share::enable(gid).map_err(|refusal| refuse("share", refusal))
}

/// The number of a group that root names; `purpose` says what for.
pub(super) fn gid_of(purpose: &str, group: &str) -> Result<u32> {
    let found =
        share::group(group).map_err(|cause| Error::io(format!("look up the group {group}"), cause))?;
    found.ok_or_else(|| {
        let why = format!(
            "{purpose} the group {group}: there is no such group; create it: groupadd --system {group}"
        );
        Error::new(ErrorKind::NotFound, why)
    })
}

/// Ends sharing; false where nothing was shared.
///
/// # Errors
/// Where a step is refused.
pub fn disable() -> Result<bool> {
    share::disable().map_err(|refusal| refuse("end sharing", refusal))
}

/// What is shared; `None`: nothing. Everybody may ask.
///
/// # Errors
/// Where it cannot be examined.
pub fn status() -> Result<Option<Shared>> {
    share::status().map_err(|cause| Error::io("examine /run/sockowner/bpf", cause))
}

/// The name of a group, where it has one.
///
/// # Errors
/// Where the system's name service fails.
pub fn group_name(gid: u32) -> Result<Option<String>> {
    share::group_name(gid).map_err(|cause| Error::io(format!("look up the group {gid}"), cause))
}

fn refuse(what: &str, refusal: Refusal) -> Error {
    let Refusal { step, error } = refusal;
    let kind = if is_refused(&error) { ErrorKind::NotPermitted } else { ErrorKind::System };
    Error::io(format!("{what}: {step}"), error).with_kind(kind)
}
