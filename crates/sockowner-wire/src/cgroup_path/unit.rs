//! Names of units, as systemd writes them into cgroup paths.
//!
//! Follows systemd's own reading of such paths, `cg_path_get_unit` and `cg_path_decode_unit` in
//! `src/basic/cgroup-util.c`, except that nothing below a `user@N.service` in another place than
//! the user's own is taken for that user's.

use super::split;
use crate::proc_stat::decimal;

/// What a name in a cgroup path is, to systemd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// A slice: it holds units, and its cgroup is never delegated.
    Slice,
    /// A service, by its name.
    Service(&'a [u8]),
    /// A scope, or no unit at all.
    Other,
}

pub(super) fn kind(segment: &[u8]) -> Kind<'_> {
    let name = unescaped(segment);
    if name.ends_with(b".slice") && is_unit(name) && !name.contains(&b'@') {
        Kind::Slice
    } else if name.ends_with(b".service") && is_unit(name) {
        Kind::Service(name)
    } else {
        Kind::Other
    }
}

/// Where `path` stands in the manager of a user: the user, the manager's name, what is below it.
///
/// Only the one place counts where systemd puts it: a directory of that name elsewhere may have
/// been made by somebody else than root.
pub(super) fn user_manager(path: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let (b"user.slice", below) = split(path)? else {
        return None;
    };
    let (slice, below) = split(below)?;
    let (manager, below) = split(below)?;
    let digits = slice.strip_prefix(b"user-")?.strip_suffix(b".slice")?;
    let same = manager.strip_prefix(b"user@")?.strip_suffix(b".service")?;
    let canonical = digits == b"0" || !digits.starts_with(b"0");
    let uid = decimal(digits).filter(|_| canonical && digits == same)?;
    Some((uid, manager, below))
}

/// Undoes `cg_escape`: a unit whose name would clash with a file of the cgroup file system, such as
/// `cpu.service`, has an underscore before it there.
fn unescaped(segment: &[u8]) -> &[u8] {
    segment.strip_prefix(b"_").unwrap_or(segment)
}

/// Whether a name with one of the suffixes above can be a running unit's (`unit_name_is_valid`):
/// not too long, of the characters allowed, and no template without an instance.
fn is_unit(name: &[u8]) -> bool {
    const LONGEST: usize = 255;
    let suffix = name.iter().rposition(|&b| b == b'.').unwrap_or(0);
    let stem = &name[..suffix];
    name.len() <= LONGEST
        && !stem.is_empty()
        && stem.iter().all(|b| b.is_ascii_alphanumeric() || b":-_.\\@".contains(b))
        && !stem.starts_with(b"@")
        && !stem.ends_with(b"@")
}
