//! `sockowner share`: iterators for those who may not load them.

use std::io::Write as _;

use anyhow::Context as _;
use serde::Serialize;
use sockowner::os::linux::share::{self, Shared};

use crate::args::{General, Share};
use crate::messages::say;
use crate::rights::Rights;
use crate::{Status, output};

#[derive(Serialize)]
struct Document {
    schema: u32,
    shared: Option<Row>,
}

#[derive(Serialize)]
struct Row {
    gid: Option<u32>,
    group: Option<String>,
}

impl From<Shared> for Row {
    fn from(shared: Shared) -> Self {
        // A group that was deleted leaves its number.
        let group = shared.group.and_then(|gid| share::group_name(gid).ok().flatten());
        Self { gid: shared.group, group }
    }
}

/// Does what the command line says.
pub(crate) fn run(asked: &Share, general: &General) -> anyhow::Result<Status> {
    match asked {
        Share::Enable { group } => {
            share::enable(group).map_err(|error| Rights::own().blamed(error))?;
            say(&format!("the group {group} can now see the owners of every user's sockets"));
            Ok(Status::Found)
        }
        Share::Disable => {
            let was_shared = share::disable()?;
            say(if was_shared { "nothing is shared any more" } else { "nothing was shared" });
            Ok(Status::Found)
        }
        Share::Status => {
            let shared = share::status()?;
            if general.json {
                let document = Document { schema: 1, shared: shared.map(Row::from) };
                output::data(|out| {
                    serde_json::to_writer_pretty(&mut *out, &document)?;
                    writeln!(out)
                })
                .context(output::WRITING)?;
            } else {
                output::text(|out| writeln!(out, "{}", sentence(shared))).context(output::WRITING)?;
            }
            Ok(if shared.is_some() { Status::Found } else { Status::Nothing })
        }
    }
}

/// With whom is shared, or why that is not known.
pub(crate) fn in_words() -> String {
    match share::status() {
        Ok(shared) => sentence(shared),
        Err(error) => format!("unknown: {error:#}"),
    }
}

/// With whom is shared, for people.
fn sentence(shared: Option<Shared>) -> String {
    let Some(shared) = shared else { return "not shared".to_owned() };
    let Some(gid) = shared.group else {
        return "incomplete: run 'sudo sockowner share enable' again".to_owned();
    };
    // A group that was deleted leaves its number.
    match share::group_name(gid) {
        Ok(Some(name)) => format!("shared with the group {name}, and with everybody his own"),
        Ok(None) | Err(_) => format!("shared with the group number {gid}, and with everybody his own"),
    }
}
