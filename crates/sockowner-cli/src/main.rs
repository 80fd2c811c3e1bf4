//! `sockowner`: who owns this socket?
//!
//! Data goes to stdout, everything said about it to stderr. What is found out comes from the library; this program
//! asks, and shows.

mod address;
mod args;
mod block;
#[cfg(target_os = "linux")]
mod call;
mod clock;
mod explain;
mod field;
mod help;
mod json;
mod list;
mod messages;
mod naming;
mod netns;
mod nothing;
mod output;
#[cfg(target_os = "linux")]
mod record;
mod rights;
#[cfg(target_os = "linux")]
mod share;
mod status;
mod table;
mod text;
mod usage;
mod wait;
#[cfg(feature = "tui")]
mod watch;
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
    #[cfg(target_os = "linux")]
    if let Some(part) = record::part_of(&cli) {
        return part();
    }
    #[cfg(windows)]
    rights::Rights::enable();
    let ended = match &cli.command {
        Some(Command::Who(asked)) => who::run(asked, &cli.general),
        Some(Command::Wait(asked)) => wait::run(asked, &cli.general),
        Some(Command::Status) => status::run(&cli.general),
        #[cfg(target_os = "linux")]
        Some(Command::Share(asked)) => share::run(asked, &cli.general),
        #[cfg(target_os = "linux")]
        Some(Command::Record(asked)) => record::run(asked, &cli.general),
        #[cfg(feature = "tui")]
        Some(Command::Watch(asked)) => watch::run(asked, &cli.general),
        None => list::run(&cli.list, &cli.general),
    };
    match ended {
        Ok(status) => status.into(),
        Err(error) => {
            messages::say(&format!("{error:#}"));
            ExitCode::from(FAILURE)
        }
    }
}
