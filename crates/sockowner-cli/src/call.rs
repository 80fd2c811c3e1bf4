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

/// The effective user is root.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Somebody is called so; an error: that cannot be told.
pub(crate) fn has_user(name: &str) -> io::Result<bool> {
    Ok(nix::unistd::User::from_name(name)?.is_some())
}

/// A network interface of this network namespace is called so; an error: that cannot be told.
pub(crate) fn has_interface(name: &str) -> io::Result<bool> {
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    match rustix::net::netdevice::name_to_index(&socket, name) {
        Ok(_) => Ok(true),
        Err(rustix::io::Errno::NODEV) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// From now on nobody but root can look into this process, and it leaves no core: what it samples may be secret.
pub(crate) fn keep_secrets() -> io::Result<()> {
    nix::sys::prctl::set_dumpable(false)?;
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0)?;
    Ok(())
}

/// The wish that this process ends: SIGTERM, SIGINT or SIGHUP.
#[derive(Debug)]
pub(crate) struct Ending(SignalFd);

impl Ending {
    /// From now on these signals end the process at no other time than when it waits for them. To be called before there
    /// is a second thread.
    pub(crate) fn awaited() -> io::Result<Self> {
        Self::of(&[Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP])
    }

    /// As [`awaited`](Self::awaited), for who has the terminal: SIGQUIT too is awaited, and [`STOP`].
    #[cfg(feature = "tui")]
    pub(crate) fn awaited_at_terminal() -> io::Result<Self> {
        Self::of(&[Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGTSTP])
    }

    fn of(signals: &[Signal]) -> io::Result<Self> {
        let signals: SigSet = signals.iter().copied().collect();
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

/// What ends a process with its terminal.
#[cfg(feature = "tui")]
pub(crate) const HANGUP: i32 = Signal::SIGHUP as i32;

/// What asks a process to stop, and to go on later: no end.
#[cfg(feature = "tui")]
pub(crate) const STOP: i32 = Signal::SIGTSTP as i32;

#[cfg(feature = "tui")]
impl Ending {
    /// The signal that has come; `None` where none has.
    pub(crate) fn come(&self) -> io::Result<Option<i32>> {
        let signal = self.0.read_signal()?;
        Ok(signal.and_then(|signal| i32::try_from(signal.ssi_signo).ok()))
    }
}

/// Ends this process by `signal`, as if it had not been awaited; where it is ignored, with the status that stands for it.
#[cfg(feature = "tui")]
pub(crate) fn end_by(signal: i32) -> ! {
    if let Ok(signal) = Signal::try_from(signal) {
        let signals: SigSet = std::iter::once(signal).collect();
        // Where that fails the status tells it.
        let _ = signals.thread_unblock();
        let _ = nix::sys::signal::raise(signal);
    }
    std::process::exit(128 + signal)
}

/// Stops this process and those it shares a job of the shell with, until the shell has them go on. To be called by the
/// thread that awaits signals.
#[cfg(feature = "tui")]
pub(crate) fn stop() -> io::Result<()> {
    let stop: SigSet = std::iter::once(Signal::SIGTSTP).collect();
    // It is blocked as long as it is awaited: it comes, with one that has come meanwhile, when it is not any more.
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(0), Signal::SIGTSTP)?;
    stop.thread_unblock()?;
    stop.thread_block()?;
    Ok(())
}

/// Waits for so long for keys at the terminal that is stdin; true: there is no terminal any more.
#[cfg(feature = "tui")]
pub(crate) fn terminal_goes_within(time: Duration) -> io::Result<bool> {
    goes_within(time, PollFlags::POLLIN)
}

/// Waits until the terminal that is stdin goes, whatever keys are pressed. Another thread may read them meanwhile.
#[cfg(feature = "tui")]
pub(crate) fn await_end_of_terminal() -> io::Result<()> {
    // It is looked at once in a while because not every hang-up wakes who awaits nothing else (tty_ldisc_hangup in Linux).
    while !goes_within(Duration::from_secs(1), PollFlags::empty())? {}
    Ok(())
}

/// Waits for so long for `what` at stdin, or its end; true: it is its end.
#[cfg(feature = "tui")]
fn goes_within(time: Duration, what: PollFlags) -> io::Result<bool> {
    let stdin = io::stdin();
    let timeout = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
    let mut asked = [PollFd::new(stdin.as_fd(), what)];
    match poll(&mut asked, timeout) {
        Ok(_) => {
            let gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
            Ok(asked[0].revents().is_some_and(|has| has.intersects(gone)))
        }
        Err(Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
