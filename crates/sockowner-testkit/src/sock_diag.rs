//! The barest question about one connection: what every other way to ask is measured by.
//!
//! Layouts: `linux/netlink.h`, `linux/sock_diag.h`, `linux/inet_diag.h`; numbers in the machine's byte order, ports and
//! addresses in the network's.

use std::io;
use std::net::SocketAddrV4;
use std::os::fd::OwnedFd;

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const AF_INET: u8 = 2;
const IPPROTO_TCP: u8 = 6;
/// A header, and `struct inet_diag_req_v2`.
const REQUEST: usize = 16 + 56;
/// In the answer, behind its header: `struct inet_diag_msg` has a sockid of 48 bytes at 4, the cookie at its end.
const COOKIE: usize = 16 + 4 + 40;

/// An open sock_diag(7) socket.
#[derive(Debug)]
pub struct SockDiag(OwnedFd);

impl SockDiag {
    /// Opens one, in the calling thread's network namespace.
    pub fn open() -> io::Result<Self> {
        let kind = (AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC);
        Ok(Self(socket_with(kind.0, kind.1, kind.2, Some(netlink::SOCK_DIAG))?))
    }

    /// The cookie of the TCP socket with these ends, in whatever state. One request, one answer.
    pub fn exact(&self, local: SocketAddrV4, remote: SocketAddrV4) -> io::Result<u64> {
        let mut request = [0; REQUEST];
        request[..4].copy_from_slice(&72_u32.to_ne_bytes());
        request[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        request[6..8].copy_from_slice(&NLM_F_REQUEST.to_ne_bytes());
        request[16] = AF_INET;
        request[17] = IPPROTO_TCP;
        request[20..24].fill(0xff);
        request[24..26].copy_from_slice(&local.port().to_be_bytes());
        request[26..28].copy_from_slice(&remote.port().to_be_bytes());
        request[28..32].copy_from_slice(&local.ip().octets());
        request[44..48].copy_from_slice(&remote.ip().octets());
        // No cookie: whichever has these ends.
        request[64..72].fill(0xff);
        send(&self.0, &request, SendFlags::empty())?;
        let mut answer = [0; 1024];
        let (length, _) = recv(&self.0, answer.as_mut_slice(), RecvFlags::empty())?;
        let is_row = length > COOKIE + 8 && answer[4..6] == SOCK_DIAG_BY_FAMILY.to_ne_bytes();
        let cookie = answer[COOKIE..].first_chunk().filter(|_| is_row);
        cookie.map(|bytes| u64::from_ne_bytes(*bytes)).ok_or_else(|| io::Error::other("no such connection"))
    }
}
