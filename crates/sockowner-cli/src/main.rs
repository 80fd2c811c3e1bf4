//! `sockowner`: who owns this socket?
//!
//! Data goes to stdout, everything said about it to stderr. What is found out comes from the library; this program
//! asks, and shows.

mod address;
mod args;
mod block;
mod call;
mod clock;
mod explain;
mod help;
mod json;
mod list;
mod messages;
mod naming;
mod nothing;
mod output;
mod record;
mod share;
mod status;
mod table;
mod text;
mod usage;
mod who;

use std::process::ExitCode;

use sockowner::Snapshot;

use crate::args::Command;

/// Exit status of wrong usage and of failures.
const FAILURE: u8 = 2;

/// How an answered question ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Found,
    Nothing,
    /// With `--strict`: something is missing for want of permission. That nothing matched is then not sure.
    LacksPermission,
}

impl Status {
    fn of(snapshot: &Snapshot, strict: bool) -> Self {
        if strict && snapshot.lacks_permission() {
            Self::LacksPermission
        } else if snapshot.entries().is_empty() {
            Self::Nothing
        } else {
            Self::Found
        }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(match status {
            Status::Found => 0,
            Status::Nothing => 1,
            Status::LacksPermission => 3,
        })
    }
}

fn main() -> ExitCode {
    let cli = match usage::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return usage::report(&error),
    };
    let ended = match &cli.command {
        Some(Command::Who(asked)) => who::run(asked, &cli.general),
        Some(Command::Status) => status::run(&cli.general),
        Some(Command::Share(asked)) => share::run(asked, &cli.general),
        Some(Command::Record(asked)) => record::run(asked, &cli.general),
        None => list::run(&cli),
    };
    match ended {
        Ok(status) => status.into(),
        Err(error) => {
            messages::say(&format!("{error:#}"));
            ExitCode::from(FAILURE)
        }
    }
}
