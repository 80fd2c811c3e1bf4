//! `sockowner wait`: until somebody listens.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use sockowner::{Pattern, Query};

use crate::args::{General, List, Wait};
use crate::messages::{say, say_what_is_missing};
use crate::text::shown;
use crate::who::sides;
use crate::{Status, list, netns, output};

/// Between two looks. One takes a few dozen microseconds: no process is looked at.
const PAUSE: Duration = Duration::from_millis(50);

/// Waits for what the command line names.
pub(crate) fn run(asked: &Wait, general: &General) -> anyhow::Result<Status> {
    let pattern: Pattern = asked.endpoint.parse()?;
    let written = pattern.to_string();
    if sides(&written).1.is_some() {
        bail!("wait for {}: a connection does not listen; name one side", shown(&written));
    }
    let query = netns::open(Query::builder().source(general.source.into()), general)?;
    // What is too long to be told is as good as for ever.
    let end = asked.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let snapshot = loop {
        let snapshot = query.listening(&pattern)?;
        let now = Instant::now();
        if !snapshot.entries().is_empty() || end.is_some_and(|end| end <= now) {
            break snapshot;
        }
        std::thread::sleep(end.map_or(PAUSE, |end| PAUSE.min(end.saturating_duration_since(now))));
    };
    list::write(&List::default(), general, &snapshot, snapshot.entries()).context(output::WRITING)?;
    if snapshot.entries().is_empty() {
        say(&format!("nobody listens at {}{}", shown(&written), waited(asked.timeout)));
    }
    say_what_is_missing(&snapshot, general.strict || !general.json);
    Ok(Status::of(&snapshot, general.strict))
}

/// ` after 5 seconds`.
fn waited(timeout: Option<Duration>) -> String {
    match timeout.map(|timeout| timeout.as_secs_f64()) {
        None | Some(0.0) => String::new(),
        Some(1.0) => " after 1 second".to_owned(),
        Some(seconds) => format!(" after {seconds} seconds"),
    }
}
