//! Processes of the recorder's own: started, killed without waiting for their end, reaped later.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::channel::Channel;

/// A running child. Dropped, it is killed, but not waited for.
#[derive(Debug)]
pub(crate) struct Running {
    child: Option<Child>,
    /// The process itself, whoever has its number.
    process: OwnedFd,
}

/// A child that was killed. It may take its time: one that waits for a file's server cannot end before that answers.
#[derive(Debug)]
pub(crate) struct Dying(Child);

impl Running {
    /// Starts `program` with nothing but a socket as its standard input.
    pub(crate) fn start<'a>(
        program: &Path,
        arguments: impl IntoIterator<Item = &'a OsStr>,
        socket: Channel,
    ) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.arg0("sockowner").args(arguments).env_clear().current_dir("/");
        command.stdin(socket.into_descriptor()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let process = pid.ok_or(io::ErrorKind::InvalidData.into());
        match process.and_then(|pid| Ok(pidfd_open(pid, PidfdFlags::empty())?)) {
            Ok(process) => Ok(Self { child: Some(child), process }),
            Err(error) => {
                // It is new, so its number is still its own.
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// Its pid.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Kills it.
    pub(crate) fn kill(mut self) -> Option<Dying> {
        self.end();
        self.child.take().map(Dying)
    }

    fn end(&self) {
        // It may have ended by itself.
        let _ = pidfd_send_signal(&self.process, Signal::KILL);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.end();
        }
    }
}

impl Dying {
    /// Whether it has ended; then nothing is left of it.
    pub(crate) fn has_ended(&mut self) -> bool {
        // An error means that somebody else waited for it.
        !matches!(self.0.try_wait(), Ok(None))
    }
}
