//! What is said on stderr: what could not be seen, why, and how to see it.

use std::fmt::Write as _;
use std::io::Write as _;

use sockowner::{Gap, GapReason, Snapshot};

use crate::text::shown;

/// Says `message` on stderr.
pub(crate) fn say(message: &str) {
    // Where stderr is closed or full there is nobody left to tell.
    let _ = writeln!(std::io::stderr().lock(), "sockowner: {message}");
}

/// Says, once each, what is missing from `snapshot`; with `doubts`, also that rows with a process may have more.
pub(crate) fn say_what_is_missing(snapshot: &Snapshot, doubts: bool) {
    for gap in snapshot.gaps().iter().filter(|gap| !Hidden::is_one(gap)) {
        say(&sentence(gap));
    }
    let rows = snapshot.entries();
    let without = rows.iter().filter(|entry| entry.is_not_permitted()).count();
    let hidden = Hidden::count(snapshot);
    if without > 0 {
        say(&closing(without, rows.len(), hidden, Rights::own()));
    } else if doubts && hidden.is_any() && !rows.is_empty() {
        say(&doubtful(hidden, Rights::own()));
    }
}

/// Processes that could not be looked into for want of permission.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hidden {
    /// Processes that are listed but may not be inspected.
    pub(crate) refused: u64,
    /// Further ones are not even listed.
    pub(crate) unlisted: bool,
}

impl Hidden {
    /// Those of `snapshot`.
    pub(crate) fn count(snapshot: &Snapshot) -> Self {
        let mut hidden = Self::default();
        for gap in snapshot.gaps().iter().filter(|gap| Self::is_one(gap)) {
            if gap.object.contains("hidepid") {
                hidden.unlisted = true;
            } else {
                hidden.refused += gap.count;
            }
        }
        hidden
    }

    /// Some process could not be looked into.
    pub(crate) fn is_any(self) -> bool {
        self.unlisted || self.refused > 0
    }

    /// `12 processes may not be inspected`.
    pub(crate) fn sentence(self) -> String {
        let refused = match self.refused {
            0 => None,
            1 => Some("1 process may not be inspected".to_owned()),
            count => Some(format!("{count} processes may not be inspected")),
        };
        let unlisted = self.unlisted.then(|| "other users' processes are not listed (hidepid)".to_owned());
        let both: Vec<_> = refused.into_iter().chain(unlisted).collect();
        match both.as_slice() {
            [] => "some processes may not be inspected".to_owned(),
            _ => both.join(", "),
        }
    }

    fn is_one(gap: &Gap) -> bool {
        gap.reason == GapReason::NotPermitted && matches!(gap.source, "proc" | "kcmp")
    }
}

/// One line for all rows without a process.
fn closing(without: usize, rows: usize, hidden: Hidden, rights: Rights) -> String {
    let verb = if without == 1 { "has" } else { "have" };
    let noun = if rows == 1 { "endpoint" } else { "endpoints" };
    format!("{without} of {rows} {noun} {verb} no process shown: {}; {}", hidden.sentence(), rights.advice())
}

/// The same where every row has one, but may have more.
fn doubtful(hidden: Hidden, rights: Rights) -> String {
    format!("further processes may have these endpoints too: {}; {}", hidden.sentence(), rights.advice())
}

/// The command line again, for root.
fn with_sudo(words: impl Iterator<Item = String>) -> String {
    let mut command = "sudo".to_owned();
    for (at, word) in words.enumerate() {
        let is_safe = |c: char| c.is_ascii_alphanumeric() || "-_./:,=@%+".contains(c);
        let word = match at {
            // The shell looks it up again.
            0 if !word.contains('/') => "sockowner",
            _ => &word,
        };
        if word.is_empty() || !word.chars().all(is_safe) {
            return "sudo sockowner".to_owned();
        }
        // Writing to a String does not fail.
        let _ = write!(command, " {word}");
    }
    command
}

/// One gap for people.
fn sentence(gap: &Gap) -> String {
    let object = shown(&gap.object);
    let what = match gap.source {
        "sock_diag" => format!("the {object} sockets"),
        _ => object.into_owned(),
    };
    let count = match gap.count {
        0 | 1 => String::new(),
        count => format!(" ({count} times)"),
    };
    let why = match (gap.source, gap.reason) {
        ("sock_diag", GapReason::NotPermitted) => "could not be listed: permission denied",
        ("sock_diag", GapReason::Unsupported) => "could not be listed: this system does not offer them",
        ("sock_diag", GapReason::Malformed) => "have rows that cannot be read, which are left out",
        ("cgroup", GapReason::Unsupported) => "is not there, so units and containers may be missing",
        (_, GapReason::NotPermitted) => "could not be read: permission denied",
        (_, GapReason::Gone) => "vanished while it was read",
        (_, GapReason::Changed) => "changed at every try to read it",
        (_, GapReason::Malformed) => "could not be read: it does not have the form it should",
        (_, GapReason::Interrupted) => "changed under every try to list them: rows may be missing or stale",
        (_, GapReason::Unsupported) => "could not be read: this system does not offer it",
        (_, other) => return format!("{what}: {other}{count}"),
    };
    format!("{what} {why}{count}")
}

/// What this program may do, as far as it decides which advice is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rights {
    User,
    /// Root without the capabilities that it takes to look into every process, as in a container.
    Root,
    /// With them.
    Full,
}

impl Rights {
    /// `CAP_DAC_READ_SEARCH` and `CAP_SYS_PTRACE`, by their bits in capabilities(7).
    const NEEDED: u64 = 1 << 2 | 1 << 19;

    /// How to see what is not seen with these.
    fn advice(self) -> String {
        match self {
            Self::User => format!("run '{}' to see them", with_sudo(std::env::args())),
            Self::Root => {
                "root needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH for that, and lacks one here".to_owned()
            }
            Self::Full => "this system refuses that even to root".to_owned(),
        }
    }

    fn own() -> Self {
        Self::of(&std::fs::read_to_string("/proc/self/status").unwrap_or_default())
    }

    /// From the text of `/proc/self/status`; a user's where it does not tell.
    fn of(status: &str) -> Self {
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let capabilities = field("CapEff:").and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
        if capabilities.is_some_and(|have| have & Self::NEEDED == Self::NEEDED) {
            return Self::Full;
        }
        // Real, effective, saved, file system.
        let effective = field("Uid:").and_then(|uids| uids.split_whitespace().nth(1));
        if effective == Some("0") { Self::Root } else { Self::User }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIDDEN: Hidden = Hidden { refused: 95, unlisted: false };

    #[test]
    fn the_closing_line_says_how_many_why_and_how() {
        let line = closing(37, 120, HIDDEN, Rights::User);
        assert!(
            line.starts_with(
                "37 of 120 endpoints have no process shown: 95 processes may not be inspected; run 'sudo "
            ),
            "{line}"
        );
        let hidden = Hidden { refused: 1, unlisted: true };
        assert_eq!(
            closing(1, 1, hidden, Rights::Full),
            "1 of 1 endpoint has no process shown: 1 process may not be inspected, other users' processes are not \
             listed (hidepid); this system refuses that even to root"
        );
        assert_eq!(
            doubtful(HIDDEN, Rights::Full),
            "further processes may have these endpoints too: 95 processes may not be inspected; this system refuses \
             that even to root"
        );
    }

    #[test]
    fn rights_are_read_where_the_kernel_tells_them() {
        let status = |uid, capabilities| format!("Name:\tx\nUid:\t7\t{uid}\t7\t7\nCapEff:\t{capabilities}\n");
        assert_eq!(Rights::of(&status(1000, "0000000000000000")), Rights::User);
        assert_eq!(Rights::of(&status(1000, "0000000000080004")), Rights::Full);
        assert_eq!(Rights::of(&status(0, "00000000a80425fb")), Rights::Root);
        assert_eq!(Rights::of(&status(0, "000001ffffffffff")), Rights::Full);
        assert_eq!(Rights::of(""), Rights::User);
    }

    #[test]
    fn advice_repeats_the_command_where_a_shell_takes_it_as_it_is() {
        let advice = |words: &[&str]| with_sudo(words.iter().map(|word| (*word).to_owned()));
        assert_eq!(advice(&["sockowner", "who", "tcp/:22"]), "sudo sockowner who tcp/:22");
        assert_eq!(advice(&["./so", "-tl"]), "sudo ./so -tl");
        assert_eq!(advice(&["sockowner", "who", "[::1]:22"]), "sudo sockowner");
        assert_eq!(advice(&["sockowner", "--user", "a; rm"]), "sudo sockowner");
    }
}
