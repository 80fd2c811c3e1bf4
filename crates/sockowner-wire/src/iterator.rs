//! Records that the project's BPF iterators write, one after the other (`bpf/rows.h`).
//!
//! Numbers are in the host's byte order; addresses are bytes in network order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::inet_diag::{AF_INET, AF_INET6};

/// One descriptor that stands for a socket, and the socket where it was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HolderRow {
    /// The fixed part.
    pub fixed: HolderFixed,
    /// What is known of the socket itself.
    pub socket: Option<SocketPart>,
}

/// `struct holder_row`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HolderFixed {
    /// The kernel's number for the socket, as sock_diag tells it.
    pub cookie: u64,
    /// Inode number in sockfs.
    pub inode: u64,
    /// When the process started: nanoseconds since boot, in the initial time namespace.
    pub start: u64,
    /// Inode number of the socket's network namespace.
    pub netns: u32,
    /// The process, in the reader's pid namespace; 0 where it has no number there.
    pub pid: u32,
    /// The thread in whose table the descriptor is, likewise.
    pub tid: u32,
    /// The descriptor.
    pub fd: i32,
    /// `IPPROTO_TCP`, `IPPROTO_UDP` or [`IPPROTO_MPTCP`](crate::inet_diag::IPPROTO_MPTCP).
    pub protocol: u16,
    /// See [`has_main_ended`](Self::has_main_ended).
    pub main_ended: u8,
    /// A [`SocketPart`] follows.
    pub described: u8,
    /// Room.
    pub zero: [u8; 4],
}

/// `struct socket_part`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SocketPart {
    /// Id of the cgroup v2 directory in which the socket was created.
    pub cgroup: u64,
    /// The socket's user, in the initial user namespace.
    pub uid: u32,
    /// Index of the interface the socket is bound to, or 0.
    pub interface: u32,
    /// 0 where it is not bound.
    pub local_port: u16,
    /// 0 where it has no peer.
    pub remote_port: u16,
    /// `AF_INET` or `AF_INET6`.
    pub family: u8,
    /// As numbered by `net/tcp_states.h`.
    pub state: u8,
    /// See [`is_v6only`](Self::is_v6only).
    pub v6only: u8,
    /// Room.
    pub zero: u8,
    /// See [`local`](Self::local).
    pub local: [u8; 16],
    /// See [`remote`](Self::remote).
    pub remote: [u8; 16],
}

const _: () = {
    assert!(size_of::<HolderFixed>() == 48);
    assert!(std::mem::offset_of!(HolderFixed, netns) == 24);
    assert!(std::mem::offset_of!(HolderFixed, protocol) == 40);
    assert!(size_of::<SocketPart>() == 56);
    assert!(std::mem::offset_of!(SocketPart, local_port) == 16);
    assert!(std::mem::offset_of!(SocketPart, local) == 24);
};

impl HolderRow {
    /// Takes the first record off `bytes`; `None` where they hold no whole one.
    pub fn take(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (fixed, rest) = HolderFixed::read_from_prefix(bytes).ok()?;
        if fixed.described == 0 {
            return Some((Self { fixed, socket: None }, rest));
        }
        let (socket, rest) = SocketPart::read_from_prefix(rest).ok()?;
        Some((Self { fixed, socket: Some(socket) }, rest))
    }

    /// The record; whether a socket follows is put in.
    pub fn encode(&self) -> Vec<u8> {
        let fixed = HolderFixed { described: self.socket.is_some().into(), ..self.fixed };
        [fixed.as_bytes(), self.socket.as_ref().map_or(&[], IntoBytes::as_bytes)].concat()
    }
}

impl HolderFixed {
    /// The process's main thread has ended, so each of its threads is visited, whether or not they share one table.
    pub fn has_main_ended(&self) -> bool {
        self.main_ended != 0
    }
}

impl SocketPart {
    /// An IPv6 socket that refuses IPv4.
    pub fn is_v6only(&self) -> bool {
        self.v6only != 0
    }

    /// The socket's own address; `None` for a family that is neither.
    pub fn local(&self) -> Option<IpAddr> {
        address(self.family, self.local)
    }

    /// Its peer's; all zero where it has none.
    pub fn remote(&self) -> Option<IpAddr> {
        address(self.family, self.remote)
    }
}

pub(crate) fn address(family: u8, bytes: [u8; 16]) -> Option<IpAddr> {
    let [a, b, c, d, ..] = bytes;
    match family {
        AF_INET => Some(Ipv4Addr::new(a, b, c, d).into()),
        AF_INET6 => Some(Ipv6Addr::from(bytes).into()),
        _ => None,
    }
}

/// `struct process_row` and the path behind it: one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessRow<'a> {
    /// The fixed part.
    pub fixed: ProcessFixed,
    /// The executable's path as proc(5) would tell it to the reader. Empty: none, or longer than the program has room for.
    pub path: &'a [u8],
}

/// `struct process_row`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ProcessFixed {
    /// When it started: nanoseconds since boot, in the initial time namespace.
    pub start: u64,
    /// Id of the cgroup v2 directory it is in.
    pub cgroup: u64,
    /// Inode number of its executable, 0 for none.
    pub inode: u64,
    /// See [`device`](Self::device).
    pub device: u32,
    /// Its number in the reader's pid namespace.
    pub pid: u32,
    /// Its parent's, or 0.
    pub parent: u32,
    /// Its effective user, in the initial user namespace.
    pub uid: u32,
    /// See [`is_kernel_thread`](Self::is_kernel_thread).
    pub kernel_thread: u32,
    /// Bytes of the path behind it.
    pub path_length: u32,
    /// See [`comm`](Self::comm).
    pub comm: [u8; 16],
}

const _: () = {
    assert!(size_of::<ProcessFixed>() == 64);
    assert!(std::mem::offset_of!(ProcessFixed, device) == 24);
    assert!(std::mem::offset_of!(ProcessFixed, comm) == 48);
};

impl<'a> ProcessRow<'a> {
    /// Takes the first record off `bytes`; `None` where they hold no whole one.
    pub fn take(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (fixed, rest) = ProcessFixed::read_from_prefix(bytes).ok()?;
        let (path, rest) = rest.split_at_checked(usize::try_from(fixed.path_length).ok()?)?;
        Some((Self { fixed, path }, rest))
    }

    /// The record; the path's length is put in.
    pub fn encode(&self) -> Vec<u8> {
        let path_length = u32::try_from(self.path.len()).unwrap_or(u32::MAX);
        let fixed = ProcessFixed { path_length, ..self.fixed };
        [fixed.as_bytes(), self.path].concat()
    }
}

impl ProcessFixed {
    /// Major and minor number of the device of the executable's file system, as the kernel keeps them.
    pub fn device(&self) -> (u32, u32) {
        (self.device >> 20, self.device & 0xf_ffff)
    }

    /// A thread of the kernel.
    pub fn is_kernel_thread(&self) -> bool {
        self.kernel_thread != 0
    }

    /// What it calls itself.
    pub fn comm(&self) -> &[u8] {
        let end = self.comm.iter().position(|&byte| byte == 0).unwrap_or(self.comm.len());
        &self.comm[..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A TCP listener on 127.0.0.1, as an iterator wrote it on Linux 6.18.
    fn holder(described: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in [0x0080_21b2_u64, 0x73e7, 0x0b78_9fec_4a7b] {
            bytes.extend(number.to_ne_bytes());
        }
        for number in [0xefff_fff9_u32, 31851, 31852, 3] {
            bytes.extend(number.to_ne_bytes());
        }
        bytes.extend(6_u16.to_ne_bytes());
        bytes.extend([1, u8::from(described), 0, 0, 0, 0]);
        if described {
            bytes.extend(77_u64.to_ne_bytes());
            for number in [1000_u32, 2] {
                bytes.extend(number.to_ne_bytes());
            }
            for number in [35761_u16, 443] {
                bytes.extend(number.to_ne_bytes());
            }
            bytes.extend([2, 10, 1, 0]);
            bytes.extend([127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            bytes.extend([192, 0, 2, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        }
        bytes
    }

    fn process(path: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in [0x0b78_9fec_4a7b_u64, 77, 4242] {
            bytes.extend(number.to_ne_bytes());
        }
        for number in [8 << 20 | 3, 31851, 1, 1000, 0, u32::try_from(path.len()).unwrap()] {
            bytes.extend(number.to_ne_bytes());
        }
        bytes.extend(*b"daemon\0\0\0\0\0\0\0\0\0\0");
        bytes.extend(path);
        bytes
    }

    #[test]
    fn a_holder_is_read_field_by_field() {
        let bytes = [holder(true), holder(false)].concat();
        let (row, rest) = HolderRow::take(&bytes).unwrap();
        let HolderFixed { cookie, inode, start, netns, pid, tid, fd, protocol, .. } = row.fixed;
        assert_eq!((cookie, inode, start), (0x0080_21b2, 0x73e7, 0x0b78_9fec_4a7b));
        assert_eq!((netns, pid, tid, fd, protocol), (0xefff_fff9, 31851, 31852, 3, 6));
        assert!(row.fixed.has_main_ended());
        assert_eq!(row.encode(), holder(true));
        let socket = row.socket.unwrap();
        assert_eq!((socket.cgroup, socket.uid, socket.interface), (77, 1000, 2));
        assert_eq!((socket.local_port, socket.remote_port), (35761, 443));
        assert_eq!((socket.family, socket.state, socket.is_v6only()), (AF_INET, 10, true));
        assert_eq!(socket.local().unwrap().to_string(), "127.0.0.1");
        assert_eq!(socket.remote().unwrap().to_string(), "192.0.2.7");
        let v6 = SocketPart { family: AF_INET6, ..socket };
        assert_eq!(v6.local().unwrap().to_string(), "7f00:1::");
        assert_eq!(SocketPart { family: 1, ..socket }.local(), None);
        let (brief, rest) = HolderRow::take(rest).unwrap();
        assert_eq!((brief.fixed.cookie, brief.socket, rest), (cookie, None, &b""[..]));
        assert_eq!(brief.encode(), holder(false));
    }

    #[test]
    fn a_process_is_read_with_the_path_behind_it() {
        let bytes = [process(b"/usr/bin/daemon"), process(b"")].concat();
        let (row, rest) = ProcessRow::take(&bytes).unwrap();
        assert_eq!((row.fixed.start, row.fixed.cgroup, row.fixed.inode), (0x0b78_9fec_4a7b, 77, 4242));
        assert_eq!((row.fixed.pid, row.fixed.parent, row.fixed.uid), (31851, 1, 1000));
        assert_eq!((row.fixed.device(), row.fixed.is_kernel_thread()), ((8, 3), false));
        assert_eq!((row.fixed.comm(), row.path), (&b"daemon"[..], &b"/usr/bin/daemon"[..]));
        assert_eq!(row.encode(), process(b"/usr/bin/daemon"));
        let (second, rest) = ProcessRow::take(rest).unwrap();
        assert_eq!((second.path, rest), (&b""[..], &b""[..]));
    }

    #[test]
    fn what_is_cut_is_no_record() {
        for holder in [holder(true), holder(false)] {
            assert!((0..holder.len()).all(|length| HolderRow::take(&holder[..length]).is_none()));
        }
        let process = process(b"/usr/bin/daemon");
        assert!((0..process.len()).all(|length| ProcessRow::take(&process[..length]).is_none()));
        let mut endless = process;
        endless[44..48].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(ProcessRow::take(&endless), None);
    }
}
