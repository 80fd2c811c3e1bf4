//! Many sockets, or processes, in one command: as fast as this process can.
#![expect(unsafe_code, reason = "fork")]

use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::net::sockopt::socket_cookie;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{WaitOptions, getpid, wait};

use super::SocketOptions;
use super::protocol::Born;
use super::server::{Outcome, context};
use super::sockets;

/// The cookies of sockets, each of which is closed before the next is made.
fn cookies(count: usize, make: impl Fn() -> Outcome<OwnedFd>) -> Outcome<Vec<u64>> {
    (0..count).map(|_| socket_cookie(make()?).map_err(context("getsockopt SO_COOKIE"))).collect()
}

pub(super) fn connect(remote: SocketAddr, count: usize) -> Outcome<Vec<u64>> {
    cookies(count, || sockets::tcp_connect(None, remote, true))
}

pub(super) fn accept(listener: &OwnedFd, count: usize) -> Outcome<Vec<u64>> {
    cookies(count, || sockets::accept_from(listener))
}

pub(super) fn bind(addr: SocketAddr, count: usize) -> Outcome<Vec<u64>> {
    let options = SocketOptions::default();
    cookies(count, || sockets::udp_bind(addr, &options))
}

/// One after another: each child connects, says who it is, and ends.
pub(super) fn short_lives(remote: SocketAddr, count: usize) -> Outcome<Vec<Born>> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(context("pipe"))?;
    let mut read = std::fs::File::from(read);
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        // SAFETY: the child calls `live` alone, which makes system calls on descriptors and buffers of its own, allocates
        // only where one of them fails, in a process whose only thread made it, and never returns.
        match unsafe { libc::fork() } {
            -1 => return Err(format!("fork: {}", io::Error::last_os_error())),
            0 => live(remote, &write),
            _ => {}
        }
        let mut told = [0; 12];
        // A child that could not connect writes nothing of this length.
        read.read_exact(&mut told).map_err(context("hear from a child"))?;
        let (pid, cookie) = told.split_at(4);
        let pid = pid.first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
        let cookie = cookie.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
        all.push(Born { pid, cookie });
        let (_, status) = wait(WaitOptions::empty()).map_err(context("wait"))?.ok_or("no child ended")?;
        if pid == 0 || status.exit_status() != Some(0) {
            return Err(format!("a child did not connect to {remote}"));
        }
    }
    Ok(all)
}

/// The child's whole life.
fn live(remote: SocketAddr, report: &OwnedFd) -> ! {
    let made = sockets::tcp_connect(None, remote, true);
    let cookie = made.as_ref().ok().and_then(|socket| socket_cookie(socket).ok());
    let mut told = [0; 12];
    if let Some(cookie) = cookie {
        told[..4].copy_from_slice(&getpid().as_raw_nonzero().get().to_ne_bytes());
        told[4..].copy_from_slice(&cookie.to_ne_bytes());
    }
    // Where it cannot be told, the actor hears of this process's end.
    let _ = rustix::io::write(report, &told);
    // SAFETY: ends the process without running the handlers of the one it was copied from.
    unsafe { libc::_exit(i32::from(cookie.is_none())) }
}
