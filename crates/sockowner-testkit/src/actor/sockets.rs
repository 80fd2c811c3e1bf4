//! Internet sockets, made in all the ways that tests need.
#![expect(unsafe_code, reason = "rustix lacks SO_BINDTODEVICE and TCP_DEFER_ACCEPT")]

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::fstat;
use rustix::io::Errno;
use rustix::net::sockopt::{
    Timeout, set_ipv6_v6only, set_socket_linger, set_socket_reuseaddr, set_socket_reuseport,
    set_socket_timeout, socket_cookie,
};
use rustix::net::{
    AddressFamily, Protocol, SendFlags, Shutdown, SocketFlags, SocketType, accept_with, acceptfrom_with,
    bind, getpeername, getsockname, ipproto, listen, shutdown, socket_with,
};

use super::server::{Outcome, context};
use super::{Sock, SocketOptions};

const DEFAULT_BACKLOG: i32 = 128;
/// For what the other side has to do first; below the time for which the test waits for the reply.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

pub(super) fn describe(socket: &OwnedFd) -> Outcome<Sock> {
    let addr = getsockname(socket).map_err(context("getsockname"))?;
    let peer = match getpeername(socket) {
        Ok(Some(peer)) => SocketAddr::try_from(peer).ok(),
        Ok(None) | Err(_) => None,
    };
    Ok(Sock {
        fd: socket.as_raw_fd(),
        addr: SocketAddr::try_from(addr).map_err(context("not an internet socket"))?,
        peer,
        inode: fstat(socket).map_err(context("fstat"))?.st_ino,
        cookie: socket_cookie(socket).map_err(context("getsockopt SO_COOKIE"))?,
    })
}

/// The kernel's number for a socket (`SO_COOKIE`).
pub fn cookie_of(socket: BorrowedFd<'_>) -> std::io::Result<u64> {
    Ok(socket_cookie(socket)?)
}

pub(super) fn tcp_listen(addr: SocketAddr, options: &SocketOptions) -> Outcome<OwnedFd> {
    let socket = bound(SocketType::STREAM, addr, options)?;
    listen(&socket, options.backlog.unwrap_or(DEFAULT_BACKLOG)).map_err(context("listen"))?;
    Ok(socket)
}

pub(super) fn tcp_bind_only(addr: SocketAddr) -> Outcome<OwnedFd> {
    bound(SocketType::STREAM, addr, &SocketOptions::default())
}

pub(super) fn tcp_unbound(ipv6: bool, reuseport: bool) -> Outcome<OwnedFd> {
    let socket = unbound(SocketType::STREAM, ipv6, None)?;
    set_socket_reuseport(&socket, reuseport).map_err(context("setsockopt SO_REUSEPORT"))?;
    Ok(socket)
}

pub(super) fn bind_to(socket: &OwnedFd, addr: SocketAddr) -> Outcome<()> {
    bind(socket, &addr).map_err(|error| format!("bind {addr}: {error}"))
}

pub(super) fn start_listening(socket: &OwnedFd) -> Outcome<()> {
    listen(socket, DEFAULT_BACKLOG).map_err(context("listen"))
}

pub(super) fn tcp_connect(local: Option<SocketAddr>, remote: SocketAddr, wait: bool) -> Outcome<OwnedFd> {
    let socket = match local {
        Some(local) => bound(SocketType::STREAM, local, &SocketOptions::default())?,
        None => unbound(SocketType::STREAM, remote.is_ipv6(), None)?,
    };
    if wait {
        connect(&socket, remote)?;
    } else {
        rustix::io::ioctl_fionbio(&socket, true).map_err(context("ioctl FIONBIO"))?;
        match rustix::net::connect(&socket, &remote) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(format!("connect to {remote}: {error}")),
        }
    }
    Ok(socket)
}

pub(super) fn connect(socket: &OwnedFd, remote: SocketAddr) -> Outcome<()> {
    set_socket_timeout(socket, Timeout::Send, Some(LIMIT)).map_err(context("setsockopt SO_SNDTIMEO"))?;
    rustix::net::connect(socket, &remote).map_err(|error| format!("connect to {remote}: {error}"))
}

pub(super) fn udp_bind(addr: SocketAddr, options: &SocketOptions) -> Outcome<OwnedFd> {
    bound(SocketType::DGRAM, addr, options)
}

pub(super) fn udp_unbound(ipv6: bool) -> Outcome<OwnedFd> {
    unbound(SocketType::DGRAM, ipv6, None)
}

pub(super) fn accept(listener: &OwnedFd) -> Outcome<OwnedFd> {
    wait_readable(listener)?;
    accept_with(listener, SocketFlags::CLOEXEC).map_err(context("accept"))
}

/// As [`accept`], with the peer's address.
pub(super) fn accept_from(listener: &OwnedFd) -> Outcome<OwnedFd> {
    wait_readable(listener)?;
    let accepted = acceptfrom_with(listener, SocketFlags::CLOEXEC);
    accepted.map(|(socket, _)| socket).map_err(context("accept"))
}

/// Waits for input, a connection for instance, for as long as is decent.
pub(super) fn wait_readable(socket: &OwnedFd) -> Outcome<()> {
    let limit = Timespec::try_from(LIMIT).map_err(context("poll"))?;
    match poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&limit)) {
        Ok(0) => Err(format!("nothing came for {} s", LIMIT.as_secs())),
        Ok(_) => Ok(()),
        Err(error) => Err(format!("poll: {error}")),
    }
}

/// Without waiting.
pub(super) fn is_readable(socket: &OwnedFd) -> Outcome<bool> {
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let ready = poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&at_once));
    ready.map(|count| count > 0).map_err(context("poll"))
}

pub(super) fn send(socket: &OwnedFd, length: usize) -> Outcome<usize> {
    let zeros = [0; 4096];
    let mut left = length;
    while left > 0 {
        let part = &zeros[..left.min(zeros.len())];
        match rustix::net::send(socket, part, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(sent) => left -= sent,
            Err(Errno::AGAIN) => break,
            Err(error) => return Err(format!("send: {error}")),
        }
    }
    Ok(length - left)
}

pub(super) fn shutdown_write(socket: &OwnedFd) -> Outcome<()> {
    shutdown(socket, Shutdown::Write).map_err(context("shutdown"))
}

pub(super) fn linger_zero(socket: &OwnedFd) -> Outcome<()> {
    set_socket_linger(socket, Some(Duration::ZERO)).map_err(context("setsockopt SO_LINGER"))
}

fn bound(kind: SocketType, addr: SocketAddr, options: &SocketOptions) -> Outcome<OwnedFd> {
    let protocol = options.mptcp.then_some(ipproto::MPTCP);
    let socket = unbound(kind, addr.is_ipv6(), protocol)?;
    if kind == SocketType::STREAM {
        // As std's listeners: a port in TIME_WAIT is no obstacle.
        set_socket_reuseaddr(&socket, true).map_err(context("setsockopt SO_REUSEADDR"))?;
    }
    if options.reuseport {
        set_socket_reuseport(&socket, true).map_err(context("setsockopt SO_REUSEPORT"))?;
    }
    if let Some(only) = options.v6only {
        set_ipv6_v6only(&socket, only).map_err(context("setsockopt IPV6_V6ONLY"))?;
    }
    if let Some(device) = &options.device {
        bind_to_device(&socket, device)?;
    }
    if options.defer_accept {
        defer_accept(&socket)?;
    }
    bind(&socket, &addr).map_err(|error| format!("bind {addr}: {error}"))?;
    Ok(socket)
}

fn unbound(kind: SocketType, ipv6: bool, protocol: Option<Protocol>) -> Outcome<OwnedFd> {
    let family = if ipv6 { AddressFamily::INET6 } else { AddressFamily::INET };
    socket_with(family, kind, SocketFlags::CLOEXEC, protocol).map_err(context("socket"))
}

fn bind_to_device(socket: &OwnedFd, device: &str) -> Outcome<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, device.as_bytes())
        .map_err(|error| format!("setsockopt SO_BINDTODEVICE {device}: {error}"))
}

/// For as many seconds the kernel waits for data: more than any test takes.
fn defer_accept(socket: &OwnedFd) -> Outcome<()> {
    let seconds: libc::c_int = 120;
    set_option(socket, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, &seconds.to_ne_bytes())
        .map_err(context("setsockopt TCP_DEFER_ACCEPT"))
}

fn set_option(
    socket: &OwnedFd,
    level: libc::c_int,
    name: libc::c_int,
    value: &[u8],
) -> Result<(), std::io::Error> {
    let length = libc::socklen_t::try_from(value.len()).map_err(std::io::Error::other)?;
    // SAFETY: the pointer and the length are those of one slice, which lives through the call; the kernel copies at
    // most that many bytes, at any alignment, and wants no terminator (setsockopt(2), socket(7)).
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value.as_ptr().cast(), length) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}
