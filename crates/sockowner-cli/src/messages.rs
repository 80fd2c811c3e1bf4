//! What is said on stderr: what could not be seen, why, and how to see it.

use std::io::Write as _;

use sockowner::{Gap, GapReason, Snapshot};

use crate::rights::Rights;
use crate::text::shown;

/// Says `message` on stderr.
pub(crate) fn say(message: &str) {
    // Where stderr is closed or full there is nobody left to tell.
    let _ = writeln!(std::io::stderr().lock(), "sockowner: {message}");
}

/// Says, once each, what is missing from `snapshot`; with `doubts`, also that rows with a process may have more.
pub(crate) fn say_what_is_missing(snapshot: &Snapshot, doubts: bool) {
    let rows = snapshot.entries();
    let without = rows.iter().filter(|entry| entry.is_not_permitted()).count();
    for sentence in missing(snapshot.gaps(), without, rows.len(), doubts) {
        say(&sentence);
    }
}

/// Says what `gaps` are, once each; of so many rows so many are without a process for want of permission.
pub(crate) fn missing(gaps: &[Gap], without: usize, rows: usize, doubts: bool) -> Vec<String> {
    let told = gaps.iter().filter(|gap| !Hidden::is_one(gap) && !is_of_the_system(gap));
    let mut said: Vec<_> = told.map(sentence).collect();
    let hidden = Hidden::of(gaps);
    if without > 0 {
        said.push(closing(without, rows, hidden, Rights::own()));
    } else if doubts && hidden.is_any() && rows > 0 {
        let only_paths = gaps.iter().filter(|gap| Hidden::is_one(gap)).all(|gap| gap.source == PATHS);
        let say_of = if only_paths { nameless } else { doubtful };
        said.push(say_of(hidden, Rights::own()));
    }
    said
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
        Self::of(snapshot.gaps())
    }

    /// Those among `gaps`.
    pub(crate) fn of(gaps: &[Gap]) -> Self {
        let mut hidden = Self::default();
        for gap in gaps.iter().filter(|gap| Self::is_one(gap)) {
            if gap.object.contains("hidepid") {
                hidden.unlisted = true;
            } else if gap.source == PATHS {
                // For each thing that is asked of a process the same ones are counted.
                hidden.refused = hidden.refused.max(gap.count);
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
        gap.reason == GapReason::NotPermitted && is_a_process(gap.source, &gap.object)
    }
}

/// Of Windows, which tells owners by itself: what is refused there is no more than their paths and users.
const PATHS: &str = "processes";

/// Of Wine: what native programs have, or nobody yet.
const NATIVE: &str = "sockets of native programs";

/// Whether a gap of this name stands for processes that could not be looked into.
fn is_a_process(source: &str, object: &str) -> bool {
    matches!((source, object), ("proc" | "kcmp" | PATHS, _) | ("wine", "handles of a process"))
}

/// Whether a gap of this name says no more than what system this is: JSON has it, people need not read it each time.
fn is_of_the_system(gap: &Gap) -> bool {
    // Processes that have no executable: parts of Windows itself.
    let has_none = (gap.object.as_str(), gap.reason) == ("executables", GapReason::Unsupported);
    gap.source == PATHS && (gap.object == "arguments" || has_none)
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

/// The same where the owner is known by name anyway, but not everything about him.
fn nameless(hidden: Hidden, rights: Rights) -> String {
    format!("some paths and users of processes are not shown: {}; {}", hidden.sentence(), rights.advice())
}

/// One gap for people.
fn sentence(gap: &Gap) -> String {
    let what = what(gap.source, &gap.object, gap.reason);
    let count = match gap.count {
        0 | 1 => String::new(),
        count => format!(" ({count} times)"),
    };
    match why(gap.source, &gap.object, gap.reason) {
        Some(why) => format!("{what} {why}{count}"),
        None => format!("{what}: {}{count}", gap.reason),
    }
}

/// What a gap of this name stands for.
fn what(source: &str, object: &str, reason: GapReason) -> String {
    let shown = shown(object);
    match source {
        "iphlpapi" => format!("the {shown} sockets"),
        // Wine's table does not tell the two apart.
        "wine" if reason == GapReason::Unsupported && object == NATIVE => {
            "sockets that no Windows program has (native programs', or not yet accepted)".to_owned()
        }
        "services" if object == "tags" => "the services of some owners".to_owned(),
        "services" => format!("services: {shown}"),
        PATHS if object == "list" => "the list of processes".to_owned(),
        "sock_diag" => match shown.split_once(" in ") {
            Some((table, place)) => format!("the {table} sockets in {place}"),
            None => format!("the {shown} sockets"),
        },
        "bpf" if is_number(object) => format!("sockets in network namespace {shown}"),
        "netns" if object.starts_with('/') => "network namespaces of processes".to_owned(),
        "netns" => format!("network namespace {shown}"),
        _ => shown.into_owned(),
    }
}

fn is_number(object: &str) -> bool {
    object.bytes().all(|byte| byte.is_ascii_digit())
}

/// Why a gap of this name is there, behind the words for what it is.
fn why(source: &str, object: &str, reason: GapReason) -> Option<&'static str> {
    Some(match (source, reason) {
        ("record", GapReason::NotPermitted) => {
            "that others had may match too: only root and the group that it is recorded for are told of them"
        }
        ("sock_diag" | "iphlpapi", GapReason::NotPermitted) => "could not be listed: permission denied",
        ("sock_diag" | "iphlpapi", GapReason::Unsupported) => {
            "could not be listed: this system does not offer them"
        }
        ("sock_diag" | "iphlpapi", GapReason::Malformed) => {
            "have rows that cannot be read, which are left out"
        }
        ("bpf", GapReason::Unsupported) if is_number(object) => {
            "could not be read: this system does not offer them"
        }
        ("services", GapReason::Unsupported) => "could not be told by this system",
        ("services", GapReason::Interrupted) => "could not be told",
        ("wine", GapReason::Unsupported) if object == NATIVE => {
            "have no owner here: Wine does not tell native ones', and its bridge to Linux was not found (see packaging/wine)"
        }
        ("netns", GapReason::NotPermitted) if object.starts_with('/') => {
            "could not be told, so some may be missing: permission denied"
        }
        ("netns", GapReason::NotPermitted) => "could not be entered: permission denied",
        ("netns", GapReason::Unsupported) => {
            "has no name or process that can be seen: what nobody holds there is missing"
        }
        ("wine", GapReason::Changed) if object == "sockets of one name" => {
            "cannot be told apart, so no owner is named"
        }
        ("wine", GapReason::Changed) => "changed while it was looked at, so a holder may be missing",
        ("wine", GapReason::Interrupted) => "(so owners may be missing)",
        ("cgroup", GapReason::Unsupported) => "is not there, so units and containers may be missing",
        (_, GapReason::NotPermitted) => "could not be read: permission denied",
        (_, GapReason::Gone) => "vanished while it was read",
        (_, GapReason::Changed) => "changed at every try to read it",
        (_, GapReason::Malformed) => "could not be read: it does not have the form it should",
        ("record", GapReason::Interrupted) => "gave no answer: what was recorded is not told",
        (_, GapReason::Interrupted) => "changed under every try to list them: rows may be missing or stale",
        (_, GapReason::Unsupported) => "could not be read: this system does not offer it",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIDDEN: Hidden = Hidden { refused: 95, unlisted: false };

    #[test]
    fn what_stands_for_a_process_is_counted_and_the_rest_is_told() {
        for (source, object) in
            [("proc", "/proc/*/fd"), (PATHS, "executables"), ("wine", "handles of a process")]
        {
            assert!(is_a_process(source, object), "{source}");
        }
        for (source, object) in
            [("wine", "a handle"), ("wine", "sockets of native programs"), ("record", "x")]
        {
            assert!(!is_a_process(source, object), "{source}");
        }
    }

    #[test]
    fn a_gap_says_what_it_stands_for() {
        let told = |source, object| {
            let reason = GapReason::Unsupported;
            format!("{} {}", what(source, object, reason), why(source, object, reason).unwrap())
        };
        assert_eq!(
            told("bpf", "4026532177"),
            "sockets in network namespace 4026532177 could not be read: this system does not offer them"
        );
        assert_eq!(told("bpf", "iterators"), "iterators could not be read: this system does not offer it");
        assert_eq!(
            told("sock_diag", "udp in network namespace blue"),
            "the udp sockets in network namespace blue could not be listed: this system does not offer them"
        );
    }

    #[test]
    fn wines_gaps_have_each_its_own_cause() {
        let why = |object| why("wine", object, GapReason::Unsupported).unwrap();
        assert!(why(NATIVE).contains("its bridge to Linux was not found"));
        for object in ["handles: look at the handles of processes", "a handle"] {
            assert_eq!(why(object), "could not be read: this system does not offer it");
        }
    }

    #[test]
    fn the_closing_line_says_how_many_why_and_how() {
        let line = closing(37, 120, HIDDEN, Rights::User);
        assert!(
            line.starts_with(
                "37 of 120 endpoints have no process shown: 95 processes may not be inspected; run "
            ) && line.ends_with(&Rights::User.advice()),
            "{line}"
        );
        let hidden = Hidden { refused: 1, unlisted: true };
        let advice = Rights::User.advice();
        assert_eq!(
            closing(1, 1, hidden, Rights::User),
            format!(
                "1 of 1 endpoint has no process shown: 1 process may not be inspected, other users' processes are \
                 not listed (hidepid); {advice}"
            )
        );
        let more = "95 processes may not be inspected";
        assert_eq!(
            doubtful(HIDDEN, Rights::User),
            format!("further processes may have these endpoints too: {more}; {advice}")
        );
        assert_eq!(
            nameless(HIDDEN, Rights::User),
            format!("some paths and users of processes are not shown: {more}; {advice}")
        );
    }
}
