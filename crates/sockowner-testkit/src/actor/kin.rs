//! What an actor leaves its descriptors to: forked children, threads, and itself after an exec.
#![expect(
    unsafe_code,
    reason = "fork, exit of one thread, descriptors adopted by number, private descriptor tables"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, readlinkat_raw};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use rustix::stdio;
use rustix::thread::{UnshareFlags, gettid, unshare_unsafe};

use super::protocol::{Reply, Sock, SocketOptions};
use super::server::{Outcome, Server, context, run, say};
use super::sockets;
use crate::role::{ACTOR, own_exe};
use crate::wait;

/// A child made by [`fork`].
#[derive(Debug)]
pub(super) struct Forked {
    /// Its number in the actor's own pid namespace.
    pid: Pid,
    /// Its number as the test's `/proc` shows it.
    pub(super) shown: u32,
}

/// What a forked child does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Errand {
    Sleep,
    Exit,
}

/// Forks a child. It is at its errand when this returns: asleep, or a zombie.
pub(super) fn fork(errand: Errand) -> Outcome<Forked> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(context("pipe"))?;
    // SAFETY: the child calls `live` alone, which makes system calls on descriptors and a buffer of its own; it
    // neither allocates nor takes a lock that another thread may have held at the fork, and never returns.
    let pid = match unsafe { libc::fork() } {
        -1 => return Err(format!("fork: {}", io::Error::last_os_error())),
        0 => live(errand, &write),
        pid => Pid::from_raw(pid).ok_or("fork: 0 is for the child")?,
    };
    drop(write);
    let mut text = [0; 32];
    let length = rustix::io::read(&read, text.as_mut_slice()).map_err(context("hear from the child"))?;
    let shown = first_number(&text[..length]).unwrap_or(pid.as_raw_nonzero().get().unsigned_abs());
    if errand == Errand::Exit {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(pid), options).map_err(context("wait for the child's end"))?;
    }
    Ok(Forked { pid, shown })
}

/// The child's life after [`fork`].
fn live(errand: Errand, report: &OwnedFd) -> ! {
    // The test must not have to wait for this process to learn that the actor's output has ended.
    // SAFETY: nothing in this process uses the number again: it prints nothing and opens nothing.
    unsafe { libc::close(libc::STDOUT_FILENO) };
    let mut space = [MaybeUninit::<u8>::uninit(); 32];
    let shown = readlinkat_raw(CWD, c"/proc/self", &mut space).map_or(&[][..], |(name, _)| &*name);
    // A child that sees no /proc says nothing but that it is there.
    let _ = rustix::io::write(report, if shown.is_empty() { b"?" } else { shown });
    if errand == Errand::Sleep {
        // The test holds the other end and never writes what this process would read: the end of it is the news.
        let mut ends = [PollFd::from_borrowed_fd(stdio::stdin(), PollFlags::empty())];
        while poll(&mut ends, None).is_err() {}
    }
    // SAFETY: ends the process without running the handlers of the one it was copied from.
    unsafe { libc::_exit(0) }
}

/// Kills and reaps a child by the number that the test knows.
pub(super) fn kill(children: &mut Vec<Forked>, shown: u32) -> Outcome<()> {
    let pid = match children.iter().position(|child| child.shown == shown) {
        Some(known) => children.swap_remove(known).pid,
        // Forked before an exec, which forgot about it.
        None => i32::try_from(shown).ok().and_then(Pid::from_raw).ok_or("not a process number")?,
    };
    // First established to be a child, lest a stranger be killed.
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    waitid(WaitId::Pid(pid), options).map_err(context("not a child"))?;
    kill_process(pid, Signal::KILL).map_err(context("kill"))?;
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED).map_err(context("reap"))?;
    Ok(())
}

/// A thread that holds one listener in a descriptor table of its own.
#[derive(Debug)]
pub(super) struct OwnTable {
    tid: u32,
    stop: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl OwnTable {
    pub(super) fn start(addr: SocketAddr) -> Outcome<(Self, Sock)> {
        let (stop, stopped) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            // SAFETY: no descriptor crosses between this table and the main one: this thread uses only the socket
            // that it makes itself below, and gives only numbers away.
            let unshared = unsafe { unshare_unsafe(UnshareFlags::FILES) };
            let made = unshared.map_err(context("unshare CLONE_FILES")).and_then(|()| {
                // SAFETY: the table is this thread's alone by now, and it owns no descriptor yet: the copies
                // that are closed here belong to nobody.
                unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
                let socket = sockets::tcp_listen(addr, &SocketOptions::default())?;
                let sock = sockets::describe(&socket)?;
                Ok((socket, sock))
            });
            match made {
                Ok((socket, sock)) => {
                    let _ = tell.send(Ok((shown_tid(), sock)));
                    // Until asked to stop, or until the other end is dropped.
                    let _ = stopped.recv();
                    drop(socket);
                }
                Err(error) => drop(tell.send(Err(error))),
            }
        });
        let (tid, sock) = told.recv().map_err(context("hear from the thread"))??;
        Ok((Self { tid, stop, thread }, sock))
    }

    pub(super) fn tid(&self) -> u32 {
        self.tid
    }

    pub(super) fn end(self) -> Outcome<()> {
        drop(self.stop);
        self.thread.join().map_err(|_| String::from("the thread panicked"))?;
        // The kernel wakes who joins a moment before it takes the thread off the list.
        let task = Path::new("/proc/self/task").join(self.tid.to_string());
        let gone = wait::poll(sockets::LIMIT, || (!task.exists()).then_some(()));
        gone.ok_or_else(|| String::from("the thread stays listed"))
    }
}

/// Hands everything over to a second thread, which listens on `addr`, answers and goes on; then ends the main thread
/// alone.
pub(super) fn leave_main(mut server: Server, addr: SocketAddr) -> ! {
    // Detached: nobody can join it once the main thread has gone.
    thread::spawn(move || {
        let result = await_leader_exit().and_then(|()| {
            let socket = sockets::tcp_listen(addr, &SocketOptions::default())?;
            server.keep(socket)
        });
        say(&result.unwrap_or_else(|message| Reply::Failed { message }));
        run(server)
    });
    // SAFETY: ends this thread and no other. All that it owned was moved to the second thread; no other one has a
    // reference into this stack, which stays mapped anyway; destructors that do not run leak nothing that matters.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    unreachable!("the thread has ended");
}

fn await_leader_exit() -> Outcome<()> {
    // As the mounted /proc numbers it: "PID/task/TID".
    let link = fs::read_link("/proc/thread-self").map_err(context("read /proc/thread-self"))?;
    let pid = link.components().next().ok_or("an empty /proc/thread-self")?;
    let stat = Path::new("/proc").join(pid).join("task").join(pid).join("stat");
    let zombie = wait::poll(sockets::LIMIT, || {
        let stat = fs::read(&stat).ok()?;
        // "4711 (any name) Z 1 ...": the name may hold parentheses, the rest does not.
        let after_name = stat.iter().rposition(|byte| *byte == b')')?;
        (stat.get(after_name + 2) == Some(&b'Z')).then_some(())
    });
    zombie.ok_or_else(|| String::from("the main thread does not become a zombie"))
}

/// Executes `path`, or the present executable, with all sockets kept open. Returns the reason why not.
pub(super) fn exec(fds: &BTreeMap<i32, OwnedFd>, path: Option<&Path>) -> String {
    for fd in fds.values() {
        if let Err(error) = fcntl_setfd(fd, FdFlags::empty()) {
            return format!("clear FD_CLOEXEC: {error}");
        }
    }
    let numbers: Vec<_> = fds.keys().map(i32::to_string).collect();
    let attempt = |program: &Path, name: &Path| {
        Command::new(program).arg0(name).args([ACTOR, &numbers.join(",")]).exec()
    };
    let name = path.unwrap_or(own_exe());
    let mut error = attempt(name, name);
    // The test has just written the copy; another thread's fork still holds the descriptor.
    wait::poll(sockets::LIMIT, || {
        if error.kind() == io::ErrorKind::ExecutableFileBusy {
            error = attempt(name, name);
            return None;
        }
        Some(())
    });
    if path.is_some() {
        return format!("exec {}: {error}", name.display());
    }
    // Unlinked, or out of this user's reach: the link leads to the file itself.
    let error = attempt(Path::new("/proc/thread-self/exe"), name);
    format!("exec /proc/thread-self/exe: {error}")
}

/// A server that holds the descriptors that [`exec`] passed on.
pub(super) fn adopt(numbers: Option<&str>) -> Server {
    let numbers = numbers.unwrap_or_default().split(',').filter_map(|word| word.parse().ok());
    let fds = numbers.map(|number: i32| {
        // SAFETY: the number comes from this program's previous image, which owned the descriptor, left it open
        // for this one and told nobody else; nothing here has opened or adopted a descriptor before.
        let fd = unsafe { OwnedFd::from_raw_fd(number) };
        // Not for whatever this process may start.
        let _ = fcntl_setfd(&fd, FdFlags::CLOEXEC);
        (fd.as_raw_fd(), fd)
    });
    Server { fds: fds.collect(), ..Server::default() }
}

/// The calling thread's number as the mounted `/proc` shows it, else as its own namespace does.
fn shown_tid() -> u32 {
    let link = fs::read_link("/proc/thread-self").ok();
    let shown = link.and_then(|link| link.file_name()?.to_str()?.parse().ok());
    shown.unwrap_or(gettid().as_raw_nonzero().get().unsigned_abs())
}

fn first_number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
