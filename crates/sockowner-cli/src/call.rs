//! The operating system's own calls that the standard library does not have.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Leaves the terminal: the calling process heads a session of its own.
pub(crate) fn leave_session() -> io::Result<()> {
    nix::unistd::setsid()?;
    Ok(())
}

/// The wish that this process ends: SIGTERM, SIGINT or SIGHUP.
#[derive(Debug)]
pub(crate) struct Ending(SignalFd);

impl Ending {
    /// From now on these signals end the process at no other time than when it waits for them. To be called before there
    /// is a second thread.
    pub(crate) fn awaited() -> io::Result<Self> {
        let signals: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect();
        signals.thread_block()?;
        Ok(Self(SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?))
    }

    /// Waits for so long; true: it is wished.
    pub(crate) fn comes_within(&self, time: Duration) -> io::Result<bool> {
        let timeout = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::EINTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
