//! The four rtnetlink requests that a private network namespace needs: no `ip` command has to be installed.
//!
//! Layouts: `linux/netlink.h`, `linux/rtnetlink.h`, `linux/if_link.h`, `linux/if_addr.h`, `linux/veth.h`; native
//! byte order throughout, attributes padded to four bytes.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netdevice, recv, send, socket_with,
};

const NLMSG_HEADER: usize = 16;
const NLMSG_ERROR: u16 = 2;
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;

const IFF_UP: u32 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;
/// No duplicate detection: an IPv6 address can be bound at once.
const IFA_F_NODAD: u32 = 2;

/// What sort of interface to add.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind<'a> {
    Dummy,
    Veth { peer: &'a str },
}

pub(crate) fn add_link(name: &str, kind: Kind<'_>) -> io::Result<()> {
    let mut request = Request::new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    request.bytes(&interface_message(0, 0)).text(IFLA_IFNAME, name);
    request.nested(IFLA_LINKINFO, |info| match kind {
        Kind::Dummy => {
            info.text(IFLA_INFO_KIND, "dummy");
        }
        Kind::Veth { peer } => {
            info.text(IFLA_INFO_KIND, "veth").nested(IFLA_INFO_DATA, |data| {
                data.nested(VETH_INFO_PEER, |end| {
                    end.bytes(&interface_message(0, 0)).text(IFLA_IFNAME, peer);
                });
            });
        }
    });
    request.transact()
}

pub(crate) fn set_up(name: &str) -> io::Result<()> {
    let mut request = Request::new(RTM_NEWLINK, 0);
    request.bytes(&interface_message(index(name)?, IFF_UP));
    request.transact()
}

pub(crate) fn add_address(interface: &str, ip: IpAddr, prefix: u8) -> io::Result<()> {
    let (family, octets) = match ip {
        IpAddr::V4(v4) => (AddressFamily::INET, v4.octets().to_vec()),
        IpAddr::V6(v6) => (AddressFamily::INET6, v6.octets().to_vec()),
    };
    // struct ifaddrmsg: family, prefix length, flags, scope, index.
    let family = u8::try_from(family.as_raw()).expect("address families are below 256");
    let mut request = Request::new(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
    request.bytes(&[family, prefix, 0, 0]).bytes(&index(interface)?.to_ne_bytes());
    request.attribute(IFA_LOCAL, &octets).attribute(IFA_ADDRESS, &octets);
    if ip.is_ipv6() {
        request.attribute(IFA_FLAGS, &IFA_F_NODAD.to_ne_bytes());
    }
    request.transact()
}

pub(crate) fn index(name: &str) -> io::Result<u32> {
    Ok(netdevice::name_to_index(route_socket()?, name)?)
}

/// `struct ifinfomsg`: family, padding, device type, index, flags, mask of flags to change.
fn interface_message(index: u32, flags: u32) -> [u8; 16] {
    let mut message = [0; 16];
    message[4..8].copy_from_slice(&index.to_ne_bytes());
    message[8..12].copy_from_slice(&flags.to_ne_bytes());
    message[12..16].copy_from_slice(&flags.to_ne_bytes());
    message
}

fn route_socket() -> io::Result<OwnedFd> {
    // No protocol is protocol 0, NETLINK_ROUTE.
    Ok(socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?)
}

struct Request(Vec<u8>);

impl Request {
    fn new(kind: u16, flags: u16) -> Self {
        let mut header = vec![0; NLMSG_HEADER];
        header[4..6].copy_from_slice(&kind.to_ne_bytes());
        header[6..8].copy_from_slice(&(flags | NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
        Self(header)
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn text(&mut self, kind: u16, text: &str) -> &mut Self {
        self.nested(kind, |attribute| {
            attribute.bytes(text.as_bytes()).bytes(&[0]);
        })
    }

    fn attribute(&mut self, kind: u16, payload: &[u8]) -> &mut Self {
        self.nested(kind, |attribute| {
            attribute.bytes(payload);
        })
    }

    fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.0.len();
        self.bytes(&[0, 0]).bytes(&kind.to_ne_bytes());
        fill(self);
        let length = u16::try_from(self.0.len() - start).expect("requests are short");
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// Sends the request and waits for its acknowledgement: an error number, 0 for success.
    fn transact(mut self) -> io::Result<()> {
        let length = u32::try_from(self.0.len()).expect("requests are short");
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        let socket = route_socket()?;
        send(&socket, &self.0, SendFlags::empty())?;
        let mut reply = [0; 4096];
        let (received, _) = recv(&socket, reply.as_mut_slice(), RecvFlags::empty())?;
        let reply = reply.get(..received).unwrap_or_default();
        let (kind, error) = (reply.get(4..).unwrap_or_default(), reply.get(16..).unwrap_or_default());
        let (Some(kind), Some(error)) = (kind.first_chunk(), error.first_chunk()) else {
            return Err(io::Error::other("a truncated reply from rtnetlink"));
        };
        match (u16::from_ne_bytes(*kind), i32::from_ne_bytes(*error)) {
            (NLMSG_ERROR, 0) => Ok(()),
            (NLMSG_ERROR, errno) => Err(io::Error::from_raw_os_error(-errno)),
            (other, _) => Err(io::Error::other(format!("rtnetlink answered with message type {other}"))),
        }
    }
}
