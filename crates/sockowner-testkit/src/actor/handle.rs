//! The test's end of an actor: its two pipes, and its end.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};

use super::Builder;
use super::protocol::{Command, Reply, Sock};
use crate::wait::{self, PATIENCE};

/// Longer than the actor's own time limits, so that its message is the one that is seen.
const REPLY_DEADLINE: Duration = Duration::from_secs(90);

/// A child process that holds sockets for a test; each method has it do one thing and yields the result.
///
/// Addresses are given as a `SocketAddr` or its text: `"127.0.0.1:0"`, `"[fe80::1%2]:80"` with the zone as a number.
/// Descriptors are numbers of the actor's table.
///
/// It leads a process group of its own. On drop, that is also when the test panics, the whole group is killed and
/// reaped; when the test process dies, the closed pipe ends actor and children. For the reaping, the first actor
/// makes the test process a child subreaper.
///
/// # Panics
///
/// Every method that commands the actor panics when the actor fails, with its message.
#[derive(Debug)]
pub struct Actor {
    pid: Pid,
    pipes: Mutex<Pipes>,
    exe: Mutex<Option<PathBuf>>,
}

#[derive(Debug)]
struct Pipes {
    /// Taken to end the actor.
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
}

impl Actor {
    /// Starts an actor that is what this process is: same user, namespaces and cgroup.
    #[track_caller]
    pub fn spawn() -> Self {
        Self::builder().spawn()
    }

    /// Starts describing an actor that is something else.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Its process number, in the test's pid namespace.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Kills the actor alone and reaps it, so that its number is free; children it forked live on.
    ///
    /// # Panics
    ///
    /// When it was killed before.
    #[track_caller]
    pub fn kill(&self) {
        if let Err(error) = self.kill_leader() {
            panic!("kill the actor {}: {error}", self.pid());
        }
    }

    fn kill_leader(&self) -> io::Result<()> {
        kill_process(self.pid, Signal::KILL)?;
        waitid(WaitId::Pid(self.pid), WaitIdOptions::EXITED)?;
        Ok(())
    }

    /// Takes over a process that was just started with its standard input and output as pipes, and waits for it to
    /// be at work.
    pub(super) fn adopt(mut child: Child, exe: Option<PathBuf>) -> Result<Self, String> {
        let pid = Pid::from_child(&child);
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().expect("it was made with pipes"));
        let actor = Self { pid, pipes: Mutex::new(Pipes { stdin, stdout }), exe: Mutex::new(exe) };
        match actor.pipes().receive() {
            Ok(Reply::Done) => {}
            Ok(other) => return Err(format!("the actor began with: {other}")),
            Err(error) => return Err(format!("the actor did not start: {error}")),
        }
        Ok(actor)
    }

    #[track_caller]
    pub(super) fn call(&self, command: &Command) -> Reply {
        match self.pipes().exchange(command) {
            Ok(Reply::Failed { message }) => panic!("actor {}: {command}: {message}", self.pid()),
            Ok(reply) => reply,
            Err(error) => panic!("actor {}: {command}: no answer: {error}", self.pid()),
        }
    }

    /// The copy that it runs, if it does not run the test's own executable.
    pub(super) fn exe(&self) -> std::sync::MutexGuard<'_, Option<PathBuf>> {
        self.exe.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pipes(&self) -> std::sync::MutexGuard<'_, Pipes> {
        self.pipes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the group has a process that this one has still to reap. As long as it has, the group's number
    /// cannot belong to anybody else.
    fn has_group(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        waitid(WaitId::Pgid(Some(self.pid)), options).is_ok()
    }

    /// Reaps what has ended of the group; `Some` when nothing is left.
    fn reap(&self) -> Option<()> {
        loop {
            match waitid(WaitId::Pgid(Some(self.pid)), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => return None,
                Err(_) => return Some(()),
            }
        }
    }
}

/// Commands by the type of their reply.
impl Actor {
    #[track_caller]
    pub(super) fn sock(&self, command: &Command) -> Sock {
        match self.call(command) {
            Reply::Socket { sock } => sock,
            other => self.unexpected(&other),
        }
    }

    #[track_caller]
    pub(super) fn cookies(&self, command: &Command) -> Vec<u64> {
        match self.call(command) {
            Reply::Cookies { list } => list,
            other => self.unexpected(&other),
        }
    }

    #[track_caller]
    pub(super) fn pid_of(&self, command: &Command) -> u32 {
        match self.call(command) {
            Reply::Process { pid } => pid,
            other => self.unexpected(&other),
        }
    }

    #[track_caller]
    pub(super) fn done(&self, command: &Command) {
        match self.call(command) {
            Reply::Done => {}
            other => self.unexpected(&other),
        }
    }

    #[track_caller]
    pub(super) fn unexpected(&self, reply: &Reply) -> ! {
        self.fail(&format!("a reply of the wrong kind: {reply}"))
    }

    #[track_caller]
    pub(super) fn fail(&self, message: &str) -> ! {
        panic!("actor {}: {message}", self.pid());
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        // Enough for processes that this one may not kill: a scenario may have given root up in between.
        drop(self.pipes().stdin.take());
        if self.has_group() {
            let killed = kill_process_group(self.pid, Signal::KILL);
            // The leader's death hands its children over to this process, before the leader can be reaped; so an
            // empty group is the end of all of them.
            if wait::poll(PATIENCE, || self.reap()).is_none() {
                let message = format!("processes of the actor {} are left: kill: {killed:?}", self.pid());
                assert!(thread::panicking(), "{message}");
                eprintln!("{message}");
            }
        }
    }
}

impl Pipes {
    fn exchange(&mut self, command: &Command) -> io::Result<Reply> {
        let stdin = self.stdin.as_mut().expect("only drop takes it");
        stdin.write_all(format!("{command}\n").as_bytes())?;
        self.receive()
    }

    fn receive(&mut self) -> io::Result<Reply> {
        let deadline = Instant::now() + REPLY_DEADLINE;
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(&self.stdout, PollFlags::IN)], Some(&left)) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::TimedOut, "it took too long")),
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            // The actor speaks only when asked: what comes is this reply and nothing after it.
            let mut part = [0; 1024];
            match self.stdout.read(&mut part)? {
                0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has ended")),
                length => line.extend_from_slice(&part[..length]),
            }
        }
        let line = String::from_utf8_lossy(&line);
        Reply::parse(line.trim_end()).ok_or_else(|| io::Error::other(format!("it said {line:?}")))
    }
}
