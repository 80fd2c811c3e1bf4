//! Rows with owners as bytes. Nothing of the library's own code is used: the offsets are the contract's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The four kinds of rows with owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Tcp,
    Tcp6,
    Udp,
    Udp6,
}

/// Where the members of a `..ROW_OWNER_MODULE` are.
struct Offsets {
    size: usize,
    state: Option<usize>,
    local: usize,
    local_scope: Option<usize>,
    local_port: usize,
    remote: Option<usize>,
    remote_port: usize,
    pid: usize,
    created: usize,
    info: usize,
}

const TCP: Offsets = Offsets {
    size: 160,
    state: Some(0),
    local: 4,
    local_scope: None,
    local_port: 8,
    remote: Some(12),
    remote_port: 16,
    pid: 20,
    created: 24,
    info: 32,
};
const TCP6: Offsets = Offsets {
    size: 192,
    state: Some(48),
    local: 0,
    local_scope: Some(16),
    local_port: 20,
    remote: Some(24),
    remote_port: 44,
    pid: 52,
    created: 56,
    info: 64,
};
const UDP: Offsets = Offsets {
    size: 160,
    state: None,
    local: 0,
    local_scope: None,
    local_port: 4,
    remote: None,
    remote_port: 0,
    pid: 8,
    created: 16,
    info: 32,
};
const UDP6: Offsets = Offsets {
    size: 176,
    state: None,
    local: 0,
    local_scope: Some(16),
    local_port: 20,
    remote: None,
    remote_port: 0,
    pid: 24,
    created: 32,
    info: 48,
};

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Tcp, Self::Tcp6, Self::Udp, Self::Udp6];

    fn offsets(self) -> &'static Offsets {
        match self {
            Self::Tcp => &TCP,
            Self::Tcp6 => &TCP6,
            Self::Udp => &UDP,
            Self::Udp6 => &UDP6,
        }
    }

    pub(super) fn row_size(self) -> usize {
        self.offsets().size
    }

    pub(super) fn is_tcp(self) -> bool {
        matches!(self, Self::Tcp | Self::Tcp6)
    }

    pub(super) fn is_v6(self) -> bool {
        matches!(self, Self::Tcp6 | Self::Udp6)
    }
}

/// A row with an owner, as the caller keeps it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    pub(super) kind: Kind,
    bytes: Vec<u8>,
}

impl Row {
    /// A row of a table.
    pub(super) fn new(kind: Kind, bytes: Vec<u8>) -> Self {
        assert_eq!(bytes.len(), kind.row_size());
        Self { kind, bytes }
    }

    /// Zeros but for the pid.
    pub(super) fn by_hand(kind: Kind, pid: u32) -> Self {
        let mut row = Self { kind, bytes: vec![0; kind.offsets().size] };
        let at = kind.offsets().pid;
        row.bytes[at..at + 4].copy_from_slice(&pid.to_ne_bytes());
        row
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn u32_at(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.bytes[at..at + 4].try_into().unwrap())
    }

    pub(super) fn pid(&self) -> u32 {
        self.u32_at(self.kind.offsets().pid)
    }

    /// `None` for UDP, which has none.
    pub(super) fn state(&self) -> Option<u32> {
        self.kind.offsets().state.map(|at| self.u32_at(at))
    }

    /// `liCreateTimestamp`.
    pub(super) fn created(&self) -> u64 {
        let at = self.kind.offsets().created;
        u64::from_ne_bytes(self.bytes[at..at + 8].try_into().unwrap())
    }

    pub(super) fn local_scope(&self) -> u32 {
        self.kind.offsets().local_scope.map_or(0, |at| self.u32_at(at))
    }

    fn ip(&self, at: usize) -> IpAddr {
        if self.kind.is_v6() {
            Ipv6Addr::from(<[u8; 16]>::try_from(&self.bytes[at..at + 16]).unwrap()).into()
        } else {
            Ipv4Addr::from(<[u8; 4]>::try_from(&self.bytes[at..at + 4]).unwrap()).into()
        }
    }

    /// In network byte order in the low 16 bits, the others zero.
    fn port(&self, at: usize) -> u16 {
        u16::from_be(self.u32_at(at).try_into().unwrap())
    }

    /// Without the scope, as tests compare it.
    pub(super) fn local(&self) -> SocketAddr {
        let offsets = self.kind.offsets();
        SocketAddr::new(self.ip(offsets.local), self.port(offsets.local_port))
    }

    /// `None` for UDP, which has none.
    pub(super) fn remote(&self) -> Option<SocketAddr> {
        let offsets = self.kind.offsets();
        offsets.remote.map(|at| SocketAddr::new(self.ip(at), self.port(offsets.remote_port)))
    }

    /// `OwningModuleInfo`.
    pub(super) fn info(&self) -> [u64; 16] {
        let at = self.kind.offsets().info;
        std::array::from_fn(|word| {
            let at = at + 8 * word;
            u64::from_ne_bytes(self.bytes[at..at + 8].try_into().unwrap())
        })
    }

    pub(super) fn with_created(mut self, time: u64) -> Self {
        let at = self.kind.offsets().created;
        self.bytes[at..at + 8].copy_from_slice(&time.to_ne_bytes());
        self
    }

    pub(super) fn with_info(mut self, word: usize, value: u64) -> Self {
        let at = self.kind.offsets().info + 8 * word;
        self.bytes[at..at + 8].copy_from_slice(&value.to_ne_bytes());
        self
    }
}
