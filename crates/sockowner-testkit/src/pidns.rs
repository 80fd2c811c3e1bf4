//! Scenarios: named functions of the test binary, each run by a re-execution of it in namespaces of its own.
//!
//! A thread can enter a network namespace and leave no trace; a private `/proc`, private process numbers and another
//! user belong to a whole process. So such a test consists of a function that [`main_prelude`](crate::main_prelude)
//! knows by name, and of a trial that has [`Scenario::run`] run it.
#![expect(unsafe_code, reason = "unshare is unsafe in rustix for the sake of one flag that is not used here")]

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::panic::catch_unwind;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio, exit};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::{UnshareFlags, gettid, unshare_unsafe};

use crate::role::{SCENARIO, own_exe};
use crate::{netns, privileges};

const DEADLINE: Duration = Duration::from_secs(600);
/// With the full counts.
const DEADLINE_FULL: Duration = Duration::from_secs(3000);
/// The scenario that does nothing but start: what [`supported`] runs.
const PROBE: &str = "testkit: probe";

/// What a scenario finds at `/proc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcMount {
    /// A fresh procfs of the scenario's pid namespace.
    Fresh,
    /// The same, mounted `hidepid=2`: other users' processes have no directory.
    HidePid,
    /// An empty tmpfs: there is no procfs.
    Missing,
}

/// How to run a named scenario. By default it is pid 1 of a new pid namespace, as root, in a new network namespace
/// with `lo` up and a new mount namespace with a fresh `/proc`.
#[derive(Debug, Clone)]
#[must_use = "nothing happens before `run`"]
pub struct Scenario {
    name: String,
    proc: ProcMount,
    user: Option<(u32, u32)>,
    shared_pids: bool,
    shared_network: bool,
    /// For the test's side alone: the process is born into its time namespace.
    boot_clock_ahead: Option<u32>,
    /// For the test's side alone, as the process inherits them.
    variables: Vec<(String, OsString)>,
}

impl Scenario {
    /// The scenario registered under `name` with [`main_prelude`](crate::main_prelude).
    pub fn new(name: &str) -> Self {
        let name = name.to_owned();
        Self {
            name,
            proc: ProcMount::Fresh,
            user: None,
            shared_pids: false,
            shared_network: false,
            boot_clock_ahead: None,
            variables: Vec::new(),
        }
    }

    /// Chooses what stands at `/proc`.
    pub fn proc(mut self, proc: ProcMount) -> Self {
        self.proc = proc;
        self
    }

    /// Runs the function as this user with all groups dropped, after the mounting. To set the stage as root first,
    /// call [`privileges::become_user`] in the function instead.
    pub fn user(mut self, uid: u32, gid: u32) -> Self {
        self.user = Some((uid, gid));
        self
    }

    /// Stays in the test's pid namespace (not as pid 1 then): the host's processes are there.
    pub fn shared_pids(mut self) -> Self {
        self.shared_pids = true;
        self
    }

    /// Stays in the network namespace of the calling thread.
    pub fn shared_network(mut self) -> Self {
        self.shared_network = true;
        self
    }

    /// Puts it into a time namespace of its own, in which the machine was started so many seconds earlier.
    pub fn boot_clock_ahead(mut self, seconds: u32) -> Self {
        self.boot_clock_ahead = Some(seconds);
        self
    }

    /// Adds a variable to its environment.
    pub fn variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// Runs it to its end and returns what it printed (standard output, then standard error).
    ///
    /// # Panics
    ///
    /// When it failed, with its output.
    #[track_caller]
    pub fn run(&self) -> String {
        self.outcome().unwrap_or_else(|why| panic!("{why}"))
    }

    /// As [`run`](Self::run), without the panic.
    pub fn outcome(&self) -> Result<String, String> {
        match self.try_run() {
            Ok((status, output)) if status.success() => Ok(output),
            Ok((status, output)) => {
                Err(format!("the scenario {:?} failed: {}\n{output}", self.name, tell(status)))
            }
            Err(error) => Err(format!("start the scenario {:?}: {error}", self.name)),
        }
    }

    fn try_run(&self) -> io::Result<(ExitStatus, String)> {
        let mut child = self.start()?;
        // Held until the end: the scenario ends when this pipe closes, whatever becomes of the test.
        let lifeline = child.stdin.take();
        let output = child.wait_with_output()?;
        drop(lifeline);
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        Ok((output.status, text))
    }

    fn start(&self) -> io::Result<Child> {
        let mut command = Command::new(own_exe());
        command.args([SCENARIO, &self.name]).args(self.words());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let mut flags = UnshareFlags::empty();
        flags.set(UnshareFlags::NEWPID, !self.shared_pids);
        flags.set(UnshareFlags::NEWTIME, self.boot_clock_ahead.is_some());
        // Both are for the children of this thread, not for itself.
        netns::on_fresh_thread(|| {
            // SAFETY: the flag the function is unsafe for, a private descriptor table, is not among these.
            unsafe { unshare_unsafe(flags) }?;
            if let Some(seconds) = self.boot_clock_ahead {
                // A thread has this file too, but only where it is not looked for: not below task/.
                let offsets = format!("/proc/{}/timens_offsets", gettid());
                fs::write(offsets, format!("boottime {seconds} 0\n"))?;
            }
            command.spawn()
        })
    }

    /// The options as arguments for [`Scenario::from_words`].
    fn words(&self) -> [String; 4] {
        let user = self.user.map_or(String::from("-"), |(uid, gid)| format!("{uid}:{gid}"));
        [format!("{:?}", self.proc), user, self.shared_pids.to_string(), self.shared_network.to_string()]
    }

    fn from_words(words: &[String]) -> Option<Self> {
        let [name, proc, user, shared_pids, shared_network] = words else {
            return None;
        };
        let proc = [ProcMount::Fresh, ProcMount::HidePid, ProcMount::Missing]
            .into_iter()
            .find(|mount| format!("{mount:?}") == *proc)?;
        let user = match user.split_once(':') {
            Some((uid, gid)) => Some((uid.parse().ok()?, gid.parse().ok()?)),
            None => None,
        };
        let (shared_pids, shared_network) = (shared_pids.parse().ok()?, shared_network.parse().ok()?);
        Some(Self { proc, user, shared_pids, shared_network, ..Self::new(name) })
    }

    /// In the scenario's process: makes the surroundings that were asked for.
    fn set_stage(&self) -> io::Result<()> {
        let mut flags = UnshareFlags::NEWNS;
        if !self.shared_network {
            flags |= UnshareFlags::NEWNET;
        }
        // SAFETY: the flag the function is unsafe for, a private descriptor table, is not among these.
        unsafe { unshare_unsafe(flags) }?;
        mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)?;
        let (kind, options) = match self.proc {
            ProcMount::Fresh => (c"proc", c""),
            ProcMount::HidePid => (c"proc", c"hidepid=2"),
            ProcMount::Missing => (c"tmpfs", c"mode=555"),
        };
        mount(kind, "/proc", kind, MountFlags::NOSUID | MountFlags::NODEV, options)?;
        if !self.shared_network {
            netns::bring_lo_up()?;
        }
        if let Some((uid, gid)) = self.user {
            privileges::become_user(uid, gid)?;
        }
        Ok(())
    }
}

/// Runs a named scenario with the defaults of [`Scenario`] and returns what it printed.
#[track_caller]
pub fn inside(name: &str) -> String {
    Scenario::new(name).run()
}

/// In a scenario: puts a new, empty directory over another one, for as long as the scenario lasts and for nobody else.
pub fn cover(dir: &Path) -> io::Result<()> {
    Ok(mount(c"cover", dir, c"tmpfs", MountFlags::empty(), c"mode=0755")?)
}

/// Whether scenarios in a pid namespace of their own work here, else why not.
pub fn supported() -> Result<(), String> {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    ANSWER
        .get_or_init(|| match Scenario::new(PROBE).try_run() {
            Ok((status, _)) if status.success() => Ok(()),
            Ok((status, output)) => {
                Err(format!("no private pid namespace: {} {}", tell(status), output.trim()))
            }
            Err(error) => Err(format!("no private pid namespace: {error}")),
        })
        .clone()
}

/// Whether scenarios in a time namespace of their own work here, else why not.
pub fn time_supported() -> Result<(), String> {
    match Scenario::new(PROBE).boot_clock_ahead(1).try_run() {
        Ok((status, _)) if status.success() => Ok(()),
        Ok((status, output)) => Err(format!("no private time namespace: {} {}", tell(status), output.trim())),
        Err(error) => Err(format!("no private time namespace: {error}")),
    }
}

/// The life of a scenario's process.
pub(crate) fn serve(known: &[(&str, fn())], words: &[String]) -> ! {
    let Some(scenario) = Scenario::from_words(words) else {
        eprintln!("malformed scenario arguments: {words:?}");
        exit(102);
    };
    let function = known.iter().find(|(name, _)| *name == scenario.name).map(|(_, function)| *function);
    if function.is_none() && scenario.name != PROBE {
        eprintln!("no scenario named {:?} was given to main_prelude", scenario.name);
        exit(102);
    }
    if let Err(error) = scenario.set_stage() {
        eprintln!("set the stage: {error}");
        exit(103);
    }
    thread::spawn(watch);
    match function.map_or(Ok(()), catch_unwind) {
        Ok(()) => exit(0),
        // The panic's message is on standard error already.
        Err(_) => exit(101),
    }
}

/// Ends the process when the test that started it is gone or the deadline over.
fn watch() {
    let stdin = io::stdin();
    let mut ends = [PollFd::new(&stdin, PollFlags::empty())];
    let limit = if std::env::var_os("SOCKOWNER_FULL").is_some() { DEADLINE_FULL } else { DEADLINE };
    let deadline = Timespec::try_from(limit).expect("a short time");
    // Interrupted when glibc has every thread change its user.
    match retry_on_intr(|| poll(&mut ends, Some(&deadline))) {
        Ok(0) => eprintln!("the scenario took longer than {} s", limit.as_secs()),
        Ok(_) => eprintln!("the test that started the scenario is gone"),
        Err(error) => eprintln!("watch the scenario: {error}"),
    }
    exit(104);
}

fn tell(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}
