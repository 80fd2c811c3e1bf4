//! The netlink socket of sock_diag(7).
//!
//! It hears the kernel alone. Whoever has `CAP_NET_ADMIN` in a network namespace may send to netlink sockets in it; in
//! one of his own user namespace every user has.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::retry;

/// A dump goes on at each receive, so the kernel always answers at once; this guards against one that never does.
const RECEIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens one in the calling thread's network namespace.
pub(super) fn open() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(SOCK_DIAG))?;
    // To a connected socket nobody else can send (net/netlink/af_netlink.c, netlink_getsockbyportid).
    rustix::net::connect(&socket, &kernel())?;
    set_socket_timeout(&socket, Timeout::Recv, Some(RECEIVE_TIMEOUT))?;
    Ok(socket)
}

pub(super) fn send(socket: &OwnedFd, datagram: &[u8]) -> io::Result<()> {
    let sent = retry(|| rustix::net::sendto(socket, datagram, SendFlags::empty(), &kernel()))?;
    if sent == datagram.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// The kernel's next datagram, its whole length.
pub(super) fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> rustix::io::Result<usize> {
    loop {
        let (_, length, sender) = retry(|| rustix::net::recvfrom(socket, &mut *buffer, RecvFlags::TRUNC))?;
        // While it was being connected, its number was known already.
        let sender = sender.and_then(|sender| SocketAddrNetlink::try_from(sender).ok());
        if sender.is_some_and(|sender| sender.pid() == kernel().pid()) {
            return Ok(length);
        }
    }
}

fn kernel() -> SocketAddrNetlink {
    SocketAddrNetlink::new(0, 0)
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;
    use rustix::net::netlink::USERSOCK;

    use super::*;

    #[test]
    fn what_is_not_the_kernels_is_not_received() {
        // Of this protocol every user may send to every other.
        let open = || {
            let kind = (AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC);
            let socket = rustix::net::socket_with(kind.0, kind.1, kind.2, Some(USERSOCK)).unwrap();
            rustix::net::bind(&socket, &kernel()).unwrap();
            socket
        };
        let (reader, forger) = (open(), open());
        let address = rustix::net::getsockname(&reader).unwrap();
        rustix::net::sendto(&forger, b"forged", SendFlags::empty(), &address).unwrap();
        let mut buffer = [0; 16];
        let (_, length) = rustix::net::recv(&reader, &mut buffer, RecvFlags::PEEK).unwrap();
        assert_eq!(buffer[..length], *b"forged", "it has come");
        set_socket_timeout(&reader, Timeout::Recv, Some(Duration::from_millis(1))).unwrap();
        assert_eq!(receive(&reader, &mut buffer), Err(Errno::AGAIN));
    }
}
