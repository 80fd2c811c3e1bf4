//! Whether a file is still what it was at a call, by its times.

use sockowner_component::Identity;

use crate::call::clock;

/// How sure it has to be that a file did not change after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Nothing speaks for it.
    None,
    /// It did change, so that its times have to be taken with their coarseness.
    Time,
    /// The kernel noted the mapping with other numbers: the file may also have been put in the place of that one since.
    Name,
}

/// The file has changed after `time`, in nanoseconds since boot: its content, or in case of doubt anything about it.
pub(super) fn is_later(identity: &Identity, time: u64, doubt: Doubt) -> bool {
    // In this order: what passes between the two makes the call earlier than it was, never later.
    let wall = clock::wall();
    let age = i64::try_from(clock::boot().saturating_sub(time)).unwrap_or(i64::MAX);
    is_after(identity, wall.saturating_sub(age), doubt)
}

/// The same, of a call at this time of day, in nanoseconds since 1970.
fn is_after(identity: &Identity, call: i64, doubt: Doubt) -> bool {
    /// Files' times are those of the kernel's last tick; there are a hundred a second at least.
    const COARSENESS: i64 = 20_000_000;
    let nanoseconds =
        |(seconds, rest): (i64, i64)| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
    let (modified, changed) = (nanoseconds(identity.modified), nanoseconds(identity.changed));
    let when = match doubt {
        Doubt::None => modified.min(changed),
        Doubt::Time => modified.min(changed).saturating_add(COARSENESS),
        Doubt::Name => changed.saturating_add(COARSENESS),
    };
    when > call
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changed_after_the_call_is_not_that_of_the_call() {
        const SECOND: i64 = 1_000_000_000;
        let seconds = 1_700_000_000;
        let identity = |modified: i64, changed: i64| Identity {
            device: 1,
            inode: 2,
            size: 3,
            modified: (seconds + modified, 0),
            changed: (seconds + changed, 0),
        };
        let call = (seconds - 100) * SECOND;
        for doubt in [Doubt::None, Doubt::Time, Doubt::Name] {
            assert!(!is_after(&identity(-200, -200), call, doubt));
            assert!(is_after(&identity(-50, -50), call, doubt));
        }
        // Unlinked since, or with a date that somebody made up.
        assert!(!is_after(&identity(-200, -50), call, Doubt::Time));
        assert!(!is_after(&identity(500, -200), call, Doubt::Time));
        assert!(is_after(&identity(-200, -50), call, Doubt::Name));
        // Just before, by a clock that ticks.
        let just_after = seconds * SECOND + 10_000_000;
        assert!(!is_after(&identity(0, 0), just_after, Doubt::None));
        assert!(is_after(&identity(0, 0), just_after, Doubt::Time));
    }

    #[test]
    fn calls_are_as_long_ago_as_the_clock_since_boot_tells() {
        let second = clock::wall() / 1_000_000_000;
        let ago = |seconds: i64| Identity {
            device: 1,
            inode: 2,
            size: 3,
            modified: (second - seconds, 0),
            changed: (second - seconds, 0),
        };
        // However long this takes, within a minute.
        let call = clock::boot().saturating_sub(100_000_000_000);
        assert!(!is_later(&ago(170), call, Doubt::None));
        assert!(is_later(&ago(90), call, Doubt::None));
    }
}
