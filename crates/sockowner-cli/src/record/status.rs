//! `sockowner record status`: what is recorded, what is missing, and what it takes.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use sockowner::os::linux::record;
use sockowner::os::linux::share::group_name;

use super::components::Components;
use super::hooks::Asked;
use super::kept::{COMPONENTS, HOOKS};
use super::tending;
use crate::args::General;
use crate::text::shown;
use crate::{Status, output};

#[derive(Serialize)]
struct Document {
    schema: u32,
    recorder: Option<Recorder>,
}

#[derive(Debug, Serialize)]
struct Recorder {
    hooks: Vec<Hook>,
    group: Option<Group>,
    /// `None`: the caller may not know.
    tended: Option<bool>,
    /// The process that tends has done nothing for so long, where that is too long.
    silent_for_seconds: Option<u64>,
    running_for_seconds: u64,
    events: u64,
    dropped: u64,
    not_recorded: u64,
    not_recorded_of: Vec<NotRecorded>,
    open: u64,
    closed: u64,
    capacity: u64,
    oldest_closed_seconds: Option<u64>,
    processes: u64,
    memory_bytes: u64,
    /// `None`: nobody tends.
    components: Option<Components>,
}

#[derive(Debug, Serialize)]
struct Hook {
    name: &'static str,
    in_use: Option<bool>,
    /// By the last start; `None` where that is not known.
    asked_for: Option<bool>,
    refused: Option<String>,
    lacking: &'static str,
}

#[derive(Debug, Serialize)]
struct Group {
    gid: u32,
    name: Option<String>,
}

#[derive(Debug, Serialize)]
struct NotRecorded {
    uid: u32,
    sockets: u64,
}

/// Tells it.
pub(super) fn tell(general: &General) -> anyhow::Result<Status> {
    let status = match record::status() {
        Err(error) if error.is_not_permitted() => {
            return Err(error).context("only root and the group that it is recorded for are told");
        }
        other => other?,
    };
    let recorder = status.map(|status| Recorder::new(status, HOOKS.read::<Vec<Asked>>().as_deref()));
    let ended = match &recorder {
        None => Status::Nothing,
        Some(recorder) if general.strict && recorder.is_not_permitted() => Status::LacksPermission,
        Some(_) => Status::Found,
    };
    if general.json {
        let document = Document { schema: 1, recorder };
        output::data(|out| {
            serde_json::to_writer_pretty(&mut *out, &document)?;
            writeln!(out)
        })
        .context(output::WRITING)?;
    } else {
        output::text(|out| match &recorder {
            None => writeln!(out, "nothing is recorded"),
            Some(recorder) => recorder.write(out),
        })
        .context(output::WRITING)?;
    }
    Ok(ended)
}

impl Recorder {
    fn new(status: record::Status, asked: Option<&[Asked]>) -> Self {
        let hook = |hook: record::HookState| {
            let kept = asked.map(|asked| asked.iter().find(|asked| asked.name == hook.name));
            let refused = || kept.flatten()?.refused.clone();
            Hook {
                name: hook.name,
                // What was refused is not there, for whomever.
                in_use: hook.in_use.or_else(|| refused().map(|_| false)),
                asked_for: kept.map(|kept| kept.is_some()),
                refused: if hook.in_use == Some(true) { None } else { hook.refused.or_else(refused) },
                lacking: hook.lacking,
            }
        };
        let not_recorded = |(uid, sockets)| NotRecorded { uid, sockets };
        Self {
            hooks: status.hooks.into_iter().map(hook).collect(),
            group: super::group_of().map(|gid| Group { gid, name: group_name(gid).ok().flatten() }),
            tended: tending::is_done(),
            silent_for_seconds: tending::is_silent_for().map(|silence| silence.as_secs()),
            running_for_seconds: status.running_for.as_secs(),
            events: status.events,
            dropped: status.dropped,
            not_recorded: status.not_recorded,
            not_recorded_of: status.not_recorded_of.into_iter().map(not_recorded).collect(),
            open: status.sockets.0,
            closed: status.sockets.1,
            capacity: status.capacity,
            oldest_closed_seconds: status.oldest_closed.as_ref().map(Duration::as_secs),
            processes: status.processes,
            memory_bytes: status.memory,
            // What a process left that ended is old.
            components: COMPONENTS.read().filter(|_| tending::is_done() != Some(false)),
        }
    }

    /// Something is not told to the caller.
    fn is_not_permitted(&self) -> bool {
        self.tended.is_none() || self.hooks.iter().any(|hook| hook.in_use.is_none())
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let label = |label: &str| format!("{label:14}");
        writeln!(out, "{}for {}", label("recording"), spoken(self.running_for_seconds))?;
        let group = self.group.as_ref().map(|group| match &group.name {
            Some(name) => format!(" and the group {}", shown(name)),
            // A group that was deleted leaves its number.
            None => format!(" and the group number {}", group.gid),
        });
        writeln!(out, "{}root{}", label("readable by"), group.unwrap_or_default())?;
        let silent = self
            .silent_for_seconds
            .map(|seconds| format!("no: the process that should has done nothing for {}", spoken(seconds)));
        let tended = match self.tended {
            Some(true) => silent.as_deref().unwrap_or("yes"),
            Some(false) => "no: the tables fill up; 'sudo sockowner record run --tend-only' tends them",
            None => "only root is told",
        };
        writeln!(out, "{}{tended}", label("tended"))?;
        for (at, hook) in self.hooks.iter().enumerate() {
            let heading = if at == 0 { "hooks" } else { "" };
            writeln!(out, "{}{:20}{}", label(heading), hook.name, hook.verdict())?;
            if hook.in_use == Some(false) {
                writeln!(out, "{}{:20}not known: {}", label(""), "", hook.lacking)?;
            }
        }
        writeln!(out, "{}{} seen, {} dropped", label("events"), self.events, self.dropped)?;
        let oldest = self.oldest_closed_seconds.map(|age| format!(", the first {} ago", spoken(age)));
        writeln!(
            out,
            "{}{} open, {} closed{}; room for {}",
            label("sockets"),
            self.open,
            self.closed,
            oldest.unwrap_or_default(),
            self.capacity
        )?;
        let why = if self.not_recorded == 0 { "" } else { ": their users held too large a share" };
        writeln!(out, "{}{}{why}", label("not recorded"), self.not_recorded)?;
        for user in &self.not_recorded_of {
            // That is no user's number: (uid_t)-1.
            let is_others = user.uid == u32::MAX;
            let who = if is_others { "others together".to_owned() } else { format!("uid {}", user.uid) };
            writeln!(out, "{}{who}: {}", label(""), user.sockets)?;
        }
        writeln!(out, "{}{}", label("processes"), self.processes)?;
        // Tenths, rounded.
        let tenths = (u128::from(self.memory_bytes) * 10 + (1 << 19)) >> 20;
        writeln!(out, "{}{}.{} MiB of the kernel's", label("memory"), tenths / 10, tenths % 10)?;
        self.components.iter().try_for_each(|components| components.write(out, label))
    }
}

impl Hook {
    fn verdict(&self) -> String {
        match (self.in_use, &self.refused, self.asked_for) {
            (Some(true), ..) => "in use".to_owned(),
            (_, Some(why), _) => format!("refused: {}", shown(why)),
            (Some(false), None, Some(false)) => "not asked for".to_owned(),
            (Some(false), None, _) => "not in use".to_owned(),
            (None, None, _) => "only root is told".to_owned(),
        }
    }
}

/// Whole seconds in the two largest units that they have.
fn spoken(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    if days > 0 {
        format!("{days} d {} h", hours % 24)
    } else if hours > 0 {
        format!("{hours} h {} min", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes} min {} s", seconds % 60)
    } else {
        format!("{seconds} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(
        name: &'static str,
        in_use: Option<bool>,
        asked_for: Option<bool>,
        refused: Option<&str>,
    ) -> Hook {
        Hook { name, in_use, asked_for, refused: refused.map(str::to_owned), lacking: "who came" }
    }

    fn recorder() -> Recorder {
        Recorder {
            hooks: vec![
                hook("sock_create", Some(true), Some(true), None),
                hook("post_bind4", Some(false), Some(true), Some("attach: \u{1b}no")),
                hook("sock_recv_length", Some(false), Some(false), None),
                hook("sock_release", Some(false), None, None),
            ],
            group: Some(Group { gid: 7, name: Some("readers".to_owned()) }),
            tended: Some(true),
            silent_for_seconds: None,
            running_for_seconds: 3_723,
            events: 99,
            dropped: 1,
            not_recorded: 5,
            not_recorded_of: vec![NotRecorded { uid: 1000, sockets: 5 }],
            open: 3,
            closed: 4,
            capacity: 64,
            oldest_closed_seconds: Some(61),
            processes: 2,
            memory_bytes: 3 << 19,
            components: None,
        }
    }

    fn text(recorder: &Recorder) -> String {
        let mut text = Vec::new();
        recorder.write(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn people_are_told_all_of_it() {
        let told = "\
recording     for 1 h 2 min
readable by   root and the group readers
tended        yes
hooks         sock_create         in use
              post_bind4          refused: \"attach: \\x1bno\"
                                  not known: who came
              sock_recv_length    not asked for
                                  not known: who came
              sock_release        not in use
                                  not known: who came
events        99 seen, 1 dropped
sockets       3 open, 4 closed, the first 1 min 1 s ago; room for 64
not recorded  5: their users held too large a share
              uid 1000: 5
processes     2
memory        1.5 MiB of the kernel's
";
        assert_eq!(text(&recorder()), told);
    }

    #[test]
    fn what_only_root_is_told_is_no_answer() {
        let mut seen = recorder();
        assert!(!seen.is_not_permitted());
        seen.tended = None;
        seen.hooks = vec![hook("sock_create", None, Some(true), None)];
        assert!(seen.is_not_permitted());
        let told = text(&seen);
        assert!(told.contains("tended        only root is told\n"), "{told}");
        assert!(
            told.contains("sock_create         only root is told\n") && !told.contains("who came"),
            "{told}"
        );
        seen.tended = Some(false);
        seen.group = None;
        let told = text(&seen);
        assert!(
            told.contains("tended        no: the tables fill up") && told.contains(" by   root\n"),
            "{told}"
        );
    }

    #[test]
    fn programs_get_every_key() {
        let document = serde_json::to_value(Document { schema: 1, recorder: Some(recorder()) }).unwrap();
        let recorder = &document["recorder"];
        assert_eq!((&document["schema"], &recorder["memory_bytes"]), (&1.into(), &(3 << 19).into()));
        assert_eq!(recorder["not_recorded_of"][0]["uid"], 1000);
        assert_eq!(recorder["hooks"][1]["refused"], "attach: \u{1b}no");
        assert!(recorder["hooks"][0]["refused"].is_null());
        let none = serde_json::to_value(Document { schema: 1, recorder: None }).unwrap();
        assert!(none["recorder"].is_null());
    }

    #[test]
    fn times_have_two_units() {
        let told = [(0, "0 s"), (59, "59 s"), (60, "1 min 0 s"), (3_599, "59 min 59 s"), (90_000, "1 d 1 h")];
        for (seconds, text) in told {
            assert_eq!(spoken(seconds), text);
        }
    }
}
