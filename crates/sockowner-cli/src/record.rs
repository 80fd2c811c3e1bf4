//! `sockowner record`: the kernel notes who makes and uses sockets.

mod components;
mod hooks;
mod kept;
mod part;
mod status;
mod tending;

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use sockowner::os::linux::record::{self, HookState, Reader};
use sockowner_record::resolve;

use crate::args::{Cli, Command as Asking, General, Hooks, Record};
use crate::call::{self, Ending};
use crate::messages::say;
use crate::rights::Rights;
use crate::{Status, text};
use hooks::Asked;
use kept::{COMPONENTS, HOOKS};
use tending::Rival;

/// What the recorder's group may read.
const MAPS: &str = "/run/sockowner/record/maps";
/// So many looks, of this length each, whether the process in the background has begun.
const LOOKS: u32 = 3_000;
const LOOK: Duration = Duration::from_millis(10);

/// What this process does where it is a part of the recorder, with next to no rights: nothing may be done before.
pub(crate) fn part_of(cli: &Cli) -> Option<fn() -> ExitCode> {
    match &cli.command {
        Some(Asking::Record(Record::Opener)) => Some(resolve::opener),
        Some(Asking::Record(Record::Parser)) => Some(resolve::parser),
        _ => None,
    }
}

/// Does what the command line says.
pub(crate) fn run(asked: &Record, general: &General) -> anyhow::Result<Status> {
    match asked {
        Record::Start { hooks, hooks_only } => {
            start(hooks)?;
            if let Some(silence) = tending::is_silent_for() {
                let seconds = silence.as_secs();
                bail!(
                    "tend what is recorded: the process that should has done nothing for {seconds} s: end it"
                );
            }
            if !hooks_only && tending::is_done() != Some(true) {
                tend_in_background().context("tend what is recorded")?;
            }
        }
        Record::Run { hooks, tend_only, detached } => return stay(hooks, *tend_only, *detached),
        Record::Stop => {
            let was_recorded = record::stop()?;
            HOOKS.forget()?;
            await_end()?;
            COMPONENTS.forget()?;
            say(if was_recorded {
                "nothing is recorded any more, and what was noted is gone"
            } else {
                "nothing was recorded"
            });
        }
        Record::Status => return status::tell(general),
        // main() has seen to these: nothing may be done before.
        Record::Opener | Record::Parser => {}
    }
    Ok(Status::Found)
}

/// Puts the hooks in, and says what became of them.
fn start(asked: &Hooks) -> anyhow::Result<()> {
    let group = &asked.group;
    if !call::is_root() {
        bail!("record: only root may attach programs to every user's sockets: run it with sudo");
    }
    // What cannot be opened is replaced, or says why it is not.
    let was_recorded = matches!(Reader::open(), Ok(Some(_)));
    let started = record::start(group, asked.first_use).map_err(|error| Rights::own().blamed(error))?;
    let hooks: Vec<_> = started.hooks.iter().map(Asked::from).collect();
    if let Err(error) = HOOKS.write(&hooks).context("note which hooks are refused") {
        say(&format!("{error:#}"));
    }
    for line in begun(group, was_recorded, &started.hooks.iter().map(Seen::from).collect::<Vec<_>>()) {
        say(&line);
    }
    Ok(())
}

/// The number of the group that can read what is recorded.
fn group_of() -> Option<u32> {
    Some(std::fs::metadata(MAPS).ok()?.gid())
}

/// A hook, as far as it is told of here.
#[derive(Debug)]
struct Seen<'a> {
    name: &'a str,
    refused: Option<&'a str>,
    lacking: &'a str,
}

impl<'a> From<&'a HookState> for Seen<'a> {
    fn from(hook: &'a HookState) -> Self {
        Self { name: hook.name, refused: hook.refused.as_deref(), lacking: hook.lacking }
    }
}

/// What a start says.
fn begun(group: &str, was_recorded: bool, hooks: &[Seen<'_>]) -> Vec<String> {
    let refused = hooks.iter().filter(|hook| hook.refused.is_some());
    let missing = |hook: &Seen<'_>| {
        let why = text::shown(hook.refused.unwrap_or_default());
        format!("the hook {} is refused: {why}; not known without it: {}", hook.name, hook.lacking)
    };
    let mut lines: Vec<_> = refused.map(missing).collect();
    let in_use = hooks.len() - lines.len();
    let whom = format!("root and the group {group} can read it, for every user's sockets");
    lines.push(if was_recorded {
        format!("it was recorded already, and goes on with {in_use} of {} hooks; {whom}", hooks.len())
    } else {
        format!(
            "from now on it is recorded who makes and uses sockets, by {in_use} of {} hooks; {whom}",
            hooks.len()
        )
    });
    lines
}

/// Has a process without a terminal tend what is recorded; returns when it does.
fn tend_in_background() -> anyhow::Result<()> {
    let program = std::env::current_exe().context("find this program's file")?;
    let mut tender = Command::new(&program)
        .arg0("sockowner")
        .args(["record", "run", "--tend-only", "--detached"])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("start {}", program.display()))?;
    for _ in 0..LOOKS {
        if tending::is_done() == Some(true) {
            return Ok(());
        }
        if let Some(ended) = tender.try_wait().context("look after the process that was started for it")? {
            bail!("the process that was started for it ended at once ({ended}): try 'sockowner record run'");
        }
        thread::sleep(LOOK);
    }
    bail!("the process that was started for it does not begin")
}

/// Waits until no process has samples any more, or what was noted.
fn await_end() -> anyhow::Result<()> {
    for _ in 0..LOOKS {
        if tending::is_done() != Some(true) {
            return Ok(());
        }
        thread::sleep(LOOK);
    }
    bail!(
        "no hook is left and nothing is recorded any more, but the process that tended it does not end, \
         and keeps what was noted: look for 'sockowner record run'"
    )
}

/// Tends until it is wished that this process ends.
fn stay(asked: &Hooks, tend_only: bool, detached: bool) -> anyhow::Result<Status> {
    if detached {
        call::leave_session().context("leave the terminal")?;
    }
    let ending = Ending::awaited().context("await signals")?;
    call::keep_secrets().context("keep others from looking into this process")?;
    if !tend_only {
        start(asked)?;
    } else if !tending::is_recorded() {
        bail!("tend what is recorded: nothing is; 'sockowner record start' begins");
    }
    let rival = if detached { Rival::Leave } else { Rival::Await };
    if tending::go_on(&ending, rival)? {
        say("nothing is recorded any more: 'sockowner record stop' has ended it");
    }
    Ok(Status::Found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATE: Seen<'_> = Seen { name: "sock_create", refused: None, lacking: "creators" };

    #[test]
    fn a_start_says_who_can_read_it() {
        let whom = "root and the group g can read it, for every user's sockets";
        let first = format!("from now on it is recorded who makes and uses sockets, by 1 of 1 hooks; {whom}");
        assert_eq!(begun("g", false, &[CREATE]), [first]);
        let again = format!("it was recorded already, and goes on with 1 of 1 hooks; {whom}");
        assert_eq!(begun("g", true, &[CREATE]), [again]);
    }

    #[test]
    fn a_start_says_what_is_refused_and_why() {
        let refused = Seen {
            name: "getpeername4",
            refused: Some("attach: Operation not permitted (os error 1)"),
            lacking: "who accepted an IPv4 connection",
        };
        let said = begun("g", false, &[CREATE, refused]);
        let why = "the hook getpeername4 is refused: attach: Operation not permitted (os error 1); \
                   not known without it: who accepted an IPv4 connection";
        assert_eq!(said[0], why);
        assert!(said[1].contains("by 1 of 2 hooks"), "{said:?}");
        assert_eq!(said.len(), 2);
    }
}
