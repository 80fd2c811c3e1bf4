//! `sockowner who --closed`: what a recorder keeps of closed sockets.

use anyhow::Context as _;
use sockowner::{Pattern, Query, Snapshot};

use super::{as_written, quoted, show};
use crate::args::{General, Who};
use crate::messages::{say, say_what_is_missing};
use crate::text::shown;
use crate::{Status, json, output};

/// Explains the closed sockets that `pattern` names.
pub(super) fn run(
    asked: &Who,
    query: &Query,
    pattern: &Pattern,
    general: &General,
) -> anyhow::Result<Status> {
    let closed = match query.closed(pattern) {
        Err(error) if error.is_not_permitted() => return Err(error).context(REFUSED),
        other => other?,
    };
    let Some(closed) = closed else { return nothing_recorded(general) };
    let left_out = if asked.all_netns { 0 } else { closed.elsewhere() };
    let snapshot = if asked.all_netns { closed.everywhere() } else { closed.here() };
    show(&snapshot, pattern, asked, general)?;
    if snapshot.entries().is_empty() {
        say(&format!("no closed endpoint matches {}: {KEPT}", shown(&as_written(pattern))));
    }
    if left_out > 0 {
        say(&elsewhere(left_out));
    }
    // The text has its doubts beside each owner, lines of JSON have no room for them; with --strict the exit status is about them.
    say_what_is_missing(&snapshot, general.strict || asked.jsonl);
    Ok(Status::of(&snapshot, general.strict))
}

/// Where nobody can be asked who may read it.
const REFUSED: &str =
    "only root and the group that it is recorded for are told what is closed, as nobody tends it";

/// How long a recorder has what is closed.
const KEPT: &str = "one is kept for ten minutes, or until very many others are closed";

/// Nothing closed is known where nothing is recorded.
fn nothing_recorded(general: &General) -> anyhow::Result<Status> {
    let none = Snapshot::default();
    if general.json {
        output::data(|out| json::write(out, none.entries(), none.gaps())).context(output::WRITING)?;
    }
    say("nothing is recorded, so no closed endpoint is kept: 'sudo sockowner record start' begins");
    Ok(Status::of(&none, general.strict))
}

/// Tells of those that are not shown.
fn elsewhere(count: usize) -> String {
    let more = if count == 1 { "1 more was".to_owned() } else { format!("{count} more were") };
    format!("{more} in other network namespaces: --all-netns tells them too")
}

/// Tells of closed endpoints that were called so; `place` is the option that asks in the same network namespaces again.
pub(super) fn hint(query: &Query, pattern: &Pattern, asked: &Who, place: &str) -> Option<String> {
    // It is a hint: where it cannot be had, nothing is lost.
    let closed = query.closed(pattern).ok()??;
    let closed = if asked.all_netns { closed.everywhere() } else { closed.here() };
    let endpoints = match closed.entries().len() {
        0 => return None,
        1 => "1 endpoint that is closed was called so".to_owned(),
        count => format!("{count} endpoints that are closed were called so"),
    };
    Some(format!("{endpoints}: sockowner who --closed{place} {}", quoted(&shown(&pattern.to_string()))))
}
