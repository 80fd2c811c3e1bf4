//! Rows and tables of the IP Helper API (`tcpmib.h`, `udpmib.h`, `iprtrmib.h`), byte for byte as on Windows.
//!
//! A table is a count of 32 bits and rows; rows that hold 64-bit members begin at offset 8, the others at 4. Numbers
//! are in the host's byte order; addresses and ports in network byte order, a port in the low 16 bits of its 32.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Malformed;

/// Words of `OwningModuleInfo` (`TCPIP_OWNING_MODULE_SIZE`).
pub const INFO_LEN: usize = 16;

/// `MIB_TCP_STATE_LISTEN`.
pub const STATE_LISTEN: u32 = 2;
/// A socket that has an address and nothing more; told in module tables alone.
pub const STATE_BOUND: u32 = 100;

/// The `MIB_TCP_STATE` of a Linux state number (`net/tcp_states.h`); `None` for a number without counterpart.
pub const fn tcp_state(linux: u8) -> Option<u32> {
    Some(match linux {
        1 => 5,
        2 => 3,
        3 | 12 => 4,
        4 => 6,
        5 => 7,
        6 => 11,
        7 => 1,
        8 => 8,
        9 => 10,
        10 => STATE_LISTEN,
        11 => 9,
        13 => STATE_BOUND,
        _ => return None,
    })
}

/// The Linux state number of a `MIB_TCP_STATE`; `None` for a number without counterpart.
pub const fn linux_state(mib: u32) -> Option<u8> {
    Some(match mib {
        // CLOSED, and DELETE_TCB: about to be nothing.
        1 | 12 => 7,
        STATE_LISTEN => 10,
        3 => 2,
        4 => 3,
        5 => 1,
        6 => 4,
        7 => 5,
        8 => 8,
        9 => 11,
        10 => 9,
        11 => 6,
        STATE_BOUND => 13,
        _ => return None,
    })
}

/// One side of a row: address, scope id (IPv6 alone), port in host byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Side {
    /// The address; its family decides nothing, the layout does.
    pub ip: IpAddr,
    /// Index of the interface of a link-local address, else 0. It stands in rows in host byte order: so do widely used
    /// programs take it from Windows' own, though the reference pages say network byte order.
    pub scope: u32,
    /// The port.
    pub port: u16,
}

/// What a row tells, in any layout. Rows order as `bOrder` asks: by numbers in host byte order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// The socket's own side.
    pub local: Side,
    /// Its peer's; all zero for a listener. UDP rows have none.
    pub remote: Side,
    /// `MIB_TCP_STATE`. UDP rows have none.
    pub state: u32,
    /// `dwOwningPid`, 0 for nobody.
    pub pid: u32,
    /// `liCreateTimestamp`: 100 ns since 1601, 0 for not known.
    pub created: u64,
    /// `dwFlags` of UDP module rows, whose lowest bit is `SpecificPortBind`. The others have none.
    pub flags: u32,
    /// `OwningModuleInfo`.
    pub info: [u64; INFO_LEN],
}

/// Which struct a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// `MIB_TCPROW`, `MIB_UDPROW`.
    Basic,
    /// `MIB_TCPROW2`: pid and offload state.
    Second,
    /// `..._OWNER_PID`.
    Pid,
    /// `..._OWNER_MODULE`.
    Module,
}

/// Protocol, family and detail: one of the fourteen row structs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// TCP, else UDP.
    pub tcp: bool,
    /// IPv6, else IPv4.
    pub v6: bool,
    /// How much a row tells.
    pub detail: Detail,
}

/// Where each member stands; `None` where the struct has none.
struct Offsets {
    size: usize,
    state: Option<usize>,
    local: Ends,
    remote: Option<Ends>,
    pid: Option<usize>,
    created: Option<usize>,
    flags: Option<usize>,
    info: Option<usize>,
}

struct Ends {
    ip: usize,
    scope: Option<usize>,
    port: usize,
}

const fn v4(ip: usize, port: usize) -> Ends {
    Ends { ip, scope: None, port }
}

const fn v6(ip: usize) -> Ends {
    Ends { ip, scope: Some(ip + 16), port: ip + 20 }
}

const fn tcp4(size: usize, pid: Option<usize>, module: bool) -> Offsets {
    Offsets {
        size,
        state: Some(0),
        local: v4(4, 8),
        remote: Some(v4(12, 16)),
        pid,
        created: if module { Some(24) } else { None },
        flags: None,
        info: if module { Some(32) } else { None },
    }
}

const fn tcp6(size: usize, module: bool) -> Offsets {
    Offsets {
        size,
        state: Some(48),
        local: v6(0),
        remote: Some(v6(24)),
        pid: Some(52),
        created: if module { Some(56) } else { None },
        flags: None,
        info: if module { Some(64) } else { None },
    }
}

const fn udp(size: usize, local: Ends, pid: Option<usize>, module: Option<(usize, usize)>) -> Offsets {
    let (created, flags, info) = match module {
        Some((created, info)) => (Some(created), Some(created + 8), Some(info)),
        None => (None, None, None),
    };
    Offsets { size, state: None, local, remote: None, pid, created, flags, info }
}

impl Layout {
    /// Bytes of one row.
    pub const fn row_size(self) -> usize {
        self.offsets().size
    }

    /// Offset of the first row in a table.
    pub const fn first_row(self) -> usize {
        match self.detail {
            Detail::Module => 8,
            Detail::Basic | Detail::Second | Detail::Pid => 4,
        }
    }

    /// Bytes of a table of `rows`; `None` beyond what 32 bits can say.
    pub fn table_size(self, rows: usize) -> Option<u32> {
        rows.checked_mul(self.row_size())?.checked_add(self.first_row())?.try_into().ok()
    }

    /// Appends the table of `rows` to `into`, which has room reserved.
    pub fn push_table(self, rows: &[Row], into: &mut Vec<u8>) {
        let start = into.len();
        let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        into.extend_from_slice(&count.to_ne_bytes());
        into.resize(start + self.first_row(), 0);
        for row in rows {
            let at = into.len();
            into.resize(at + self.row_size(), 0);
            self.write(row, &mut into[at..]);
        }
    }

    /// The rows of the table that `bytes` begins with, as the system filled it. An error where it counts more than there are:
    /// then none is believed.
    pub fn rows(self, bytes: &[u8]) -> Result<impl ExactSizeIterator<Item = Row> + '_, Malformed> {
        let count: Option<[u8; 4]> = bytes.first_chunk().copied();
        let count = count.map(u32::from_ne_bytes).ok_or(Malformed::new("the count of a table", 0))?;
        let length = usize::try_from(count).ok().and_then(|count| count.checked_mul(self.row_size()));
        // A table that is empty may end with its count.
        let rows = match length {
            Some(0) => Some(&[][..]),
            length => bytes.get(self.first_row()..).zip(length).and_then(|(rows, length)| rows.get(..length)),
        };
        let rows = rows.ok_or(Malformed::new("a table with fewer rows than it counts", bytes.len()))?;
        Ok(rows.chunks_exact(self.row_size()).map(move |row| self.read(row)))
    }

    /// Reads one row, which has its whole length.
    fn read(self, row: &[u8]) -> Row {
        let offsets = self.offsets();
        let u32_at = |at: usize| row[at..].first_chunk().copied().map_or(0, u32::from_ne_bytes);
        let u64_at = |at: usize| row[at..].first_chunk().copied().map_or(0, u64::from_ne_bytes);
        let nobody = if self.v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let side = |ends: &Ends| {
            let ip = &row[ends.ip..];
            let ip = if self.v6 {
                ip.first_chunk().copied().map(<[u8; 16]>::into)
            } else {
                ip.first_chunk().copied().map(<[u8; 4]>::into)
            };
            // What stands above the low 16 bits means nothing.
            let port = row[ends.port..].first_chunk().copied().map_or(0, u16::from_be_bytes);
            Side { ip: ip.unwrap_or(nobody), scope: ends.scope.map_or(0, u32_at), port }
        };
        Row {
            local: side(&offsets.local),
            remote: offsets.remote.as_ref().map_or(Side { ip: nobody, scope: 0, port: 0 }, side),
            state: offsets.state.map_or(0, u32_at),
            pid: offsets.pid.map_or(0, u32_at),
            created: offsets.created.map_or(0, u64_at),
            flags: offsets.flags.map_or(0, u32_at),
            info: offsets.info.and_then(|at| info(&row[at..])).unwrap_or_default(),
        }
    }

    /// `dwOwningPid` and `OwningModuleInfo` of a row of this layout; `None` where `row` is too short or has none.
    pub fn owner(self, row: &[u8]) -> Option<(u32, [u64; INFO_LEN])> {
        let offsets = self.offsets();
        let pid = row.get(offsets.pid?..)?.first_chunk().copied().map(u32::from_ne_bytes)?;
        Some((pid, info(row.get(offsets.info?..)?)?))
    }

    /// `liCreateTimestamp` of a row of this layout; `None` where `row` is too short or has none.
    pub fn created(self, row: &[u8]) -> Option<u64> {
        row.get(self.offsets().created?..)?.first_chunk().copied().map(u64::from_ne_bytes)
    }

    const fn offsets(self) -> Offsets {
        match (self.tcp, self.v6, self.detail) {
            (true, false, Detail::Basic) => tcp4(20, None, false),
            (true, false, Detail::Second) => tcp4(28, Some(20), false),
            (true, false, Detail::Pid) => tcp4(24, Some(20), false),
            (true, false, Detail::Module) => tcp4(160, Some(20), true),
            // The one row of IPv6 that begins with the state.
            (true, true, Detail::Basic) => Offsets {
                size: 52,
                state: Some(0),
                local: v6(4),
                remote: Some(v6(28)),
                pid: None,
                created: None,
                flags: None,
                info: None,
            },
            (true, true, Detail::Second) => tcp6(60, false),
            (true, true, Detail::Pid) => tcp6(56, false),
            (true, true, Detail::Module) => tcp6(192, true),
            (false, false, Detail::Basic | Detail::Second) => udp(8, v4(0, 4), None, None),
            (false, false, Detail::Pid) => udp(12, v4(0, 4), Some(8), None),
            (false, false, Detail::Module) => udp(160, v4(0, 4), Some(8), Some((16, 32))),
            (false, true, Detail::Basic | Detail::Second) => udp(24, v6(0), None, None),
            (false, true, Detail::Pid) => udp(28, v6(0), Some(24), None),
            (false, true, Detail::Module) => udp(176, v6(0), Some(24), Some((32, 48))),
        }
    }

    fn write(self, row: &Row, into: &mut [u8]) {
        let offsets = self.offsets();
        let mut put = |at: usize, bytes: &[u8]| into[at..at + bytes.len()].copy_from_slice(bytes);
        let mut side = |ends: &Ends, side: &Side| {
            if self.v6 {
                put(ends.ip, &v6_octets(side.ip));
            } else {
                put(ends.ip, &v4_octets(side.ip));
            }
            if let Some(at) = ends.scope {
                put(at, &side.scope.to_ne_bytes());
            }
            // The low 16 bits of a 32-bit number, in network byte order within them.
            let port = u32::from(u16::from_ne_bytes(side.port.to_be_bytes()));
            put(ends.port, &port.to_ne_bytes());
        };
        side(&offsets.local, &row.local);
        if let Some(ends) = &offsets.remote {
            side(ends, &row.remote);
        }
        for (at, number) in [(offsets.state, row.state), (offsets.pid, row.pid), (offsets.flags, row.flags)] {
            if let Some(at) = at {
                put(at, &number.to_ne_bytes());
            }
        }
        if let Some(at) = offsets.created {
            put(at, &row.created.to_ne_bytes());
        }
        if let Some(at) = offsets.info {
            for (word, at) in row.info.iter().zip((at..).step_by(8)) {
                put(at, &word.to_ne_bytes());
            }
        }
    }
}

/// `OwningModuleInfo`, wherever it stands alone; `None` where `bytes` is too short.
pub fn info(bytes: &[u8]) -> Option<[u64; INFO_LEN]> {
    let mut info = [0; INFO_LEN];
    let bytes = bytes.get(..size_of_val(&info))?;
    for (word, bytes) in info.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_ne_bytes(bytes.try_into().ok()?);
    }
    Some(info)
}

fn v4_octets(ip: IpAddr) -> [u8; 4] {
    match ip {
        IpAddr::V4(ip) => ip.octets(),
        IpAddr::V6(ip) => ip.to_ipv4_mapped().unwrap_or(Ipv4Addr::UNSPECIFIED).octets(),
    }
}

fn v6_octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(_) => Ipv6Addr::UNSPECIFIED.octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(ip: &str, scope: u32, port: u16) -> Side {
        Side { ip: ip.parse().unwrap(), scope, port }
    }

    fn row(local: Side, remote: Side) -> Row {
        let mut info = [0; INFO_LEN];
        info[1] = 0x0102_0304_0506_0708;
        info[15] = u64::MAX;
        Row { local, remote, state: 5, pid: 4711, created: 9, flags: 0, info }
    }

    const DETAILS: [Detail; 4] = [Detail::Basic, Detail::Second, Detail::Pid, Detail::Module];

    #[test]
    fn sizes_are_the_contracts() {
        for (tcp, v6, sizes) in [
            (true, false, [20, 28, 24, 160]),
            (true, true, [52, 60, 56, 192]),
            (false, false, [8, 8, 12, 160]),
            (false, true, [24, 24, 28, 176]),
        ] {
            for (detail, size) in DETAILS.into_iter().zip(sizes) {
                let layout = Layout { tcp, v6, detail };
                assert_eq!(layout.row_size(), size, "{layout:?}");
                let first = if detail == Detail::Module { 8 } else { 4 };
                assert_eq!(layout.table_size(0), Some(first), "{layout:?}");
            }
        }
        let module = Layout { tcp: true, v6: false, detail: Detail::Module };
        assert_eq!(module.table_size(1), Some(168));
        assert_eq!(module.table_size(usize::MAX / 200), None);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_module_row_of_ipv4_is_laid_out_as_on_windows() {
        let layout = Layout { tcp: true, v6: false, detail: Detail::Module };
        let mut table = Vec::new();
        layout.push_table(&[row(side("127.0.0.1", 0, 0x1234), side("10.0.0.2", 0, 443))], &mut table);
        assert_eq!(table.len(), 168);
        let expected: [&[u8]; 9] = [
            &[1, 0, 0, 0],             // dwNumEntries
            &[0, 0, 0, 0],             // padding
            &[5, 0, 0, 0],             // dwState
            &[127, 0, 0, 1],           // dwLocalAddr, network order
            &[0x12, 0x34, 0, 0],       // dwLocalPort, network order
            &[10, 0, 0, 2],            // dwRemoteAddr
            &[1, 187, 0, 0],           // dwRemotePort
            &[0x67, 0x12, 0, 0],       // dwOwningPid
            &[9, 0, 0, 0, 0, 0, 0, 0], // liCreateTimestamp
        ];
        assert_eq!(table[..40], expected.concat());
        assert_eq!(table[48..56], [8, 7, 6, 5, 4, 3, 2, 1], "OwningModuleInfo[1]");
        assert_eq!(table[160..], [0xff; 8]);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_basic_row_of_ipv6_begins_with_the_state() {
        let layout = Layout { tcp: true, v6: true, detail: Detail::Basic };
        let mut table = Vec::new();
        layout.push_table(&[row(side("fe80::1", 3, 22), side("::", 0, 0))], &mut table);
        assert_eq!(table.len(), 56);
        assert_eq!(table[4..8], [5, 0, 0, 0]);
        assert_eq!(table[8..10], [0xfe, 0x80]);
        assert_eq!(table[24..32], [3, 0, 0, 0, 0, 22, 0, 0], "scope and port");
    }

    #[test]
    fn the_owner_of_every_module_row_is_read_back() {
        for (tcp, v6, ip) in
            [(true, false, "1.2.3.4"), (true, true, "::5"), (false, false, "1.2.3.4"), (false, true, "::5")]
        {
            let layout = Layout { tcp, v6, detail: Detail::Module };
            let row = row(side(ip, 0, 1), side(ip, 0, 2));
            let mut table = Vec::new();
            layout.push_table(std::slice::from_ref(&row), &mut table);
            let bytes = &table[8..];
            assert_eq!(layout.owner(bytes), Some((4711, row.info)), "{layout:?}");
            assert_eq!(layout.created(bytes), Some(9), "{layout:?}");
            for len in 0..bytes.len() {
                assert_eq!(layout.owner(&bytes[..len]), None, "{layout:?} cut at {len}");
            }
            assert_eq!(layout.created(&bytes[..23]), None, "{layout:?}");
            assert_eq!(Layout { detail: Detail::Pid, ..layout }.created(bytes), None, "{layout:?}");
        }
    }

    #[test]
    fn module_rows_are_read_back_and_a_table_cut_short_has_none() {
        for (tcp, v6, ip) in [
            (true, false, "1.2.3.4"),
            (true, true, "fe80::5"),
            (false, false, "1.2.3.4"),
            (false, true, "::5"),
        ] {
            let layout = Layout { tcp, v6, detail: Detail::Module };
            let nobody = side(if v6 { "::" } else { "0.0.0.0" }, 0, 0);
            let far = |ip| if tcp { side(ip, 0, 0xff00) } else { nobody };
            let scope = if v6 { 7 } else { 0 };
            // Of TCP no flags are told, of UDP no state.
            let (state, flags) = if tcp { (5, 0) } else { (0, 0x8000_0001) };
            let one = Row { state, flags, ..row(side(ip, scope, 0x1234), far(ip)) };
            let rows = vec![one.clone(), Row { pid: 1, ..one }];
            let mut table = Vec::new();
            layout.push_table(&rows, &mut table);
            assert_eq!(layout.rows(&table).unwrap().collect::<Vec<_>>(), rows, "{layout:?}");
            for len in 0..table.len() {
                assert!(layout.rows(&table[..len]).is_err(), "{layout:?} cut at {len}");
            }
            assert_eq!(layout.rows(&[0; 4]).unwrap().len(), 0, "an empty one may end there");
            table[..4].fill(0xff);
            assert!(layout.rows(&table).is_err(), "a count that lies");
        }
    }

    #[test]
    fn the_flags_of_udp_stand_behind_the_time() {
        for (v6, at) in [(false, 24), (true, 40)] {
            let layout = Layout { tcp: false, v6, detail: Detail::Module };
            let nobody = side(if v6 { "::" } else { "0.0.0.0" }, 0, 0);
            let mut table = Vec::new();
            layout.push_table(&[Row { flags: 0x0102_0304, ..row(nobody, nobody) }], &mut table);
            assert_eq!(table[8 + at..][..4], 0x0102_0304_u32.to_ne_bytes());
        }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn what_is_above_a_port_means_nothing() {
        let layout = Layout { tcp: false, v6: false, detail: Detail::Basic };
        let table = [1, 0, 0, 0, 127, 0, 0, 1, 0, 53, 0xaa, 0xbb];
        let row = layout.rows(&table).unwrap().next().unwrap();
        assert_eq!(row.local, side("127.0.0.1", 0, 53));
    }

    #[test]
    fn rows_order_as_numbers_not_as_bytes() {
        let mut rows: Vec<_> = [("192.168.0.1", 9), ("127.0.0.1", 256), ("127.0.0.1", 10), ("127.0.0.1", 9)]
            .map(|(ip, port)| row(side(ip, 0, port), side("0.0.0.0", 0, 0)))
            .into();
        rows.sort();
        let order: Vec<_> = rows.iter().map(|row| (row.local.ip.to_string(), row.local.port)).collect();
        let expected = [("127.0.0.1", 9), ("127.0.0.1", 10), ("127.0.0.1", 256), ("192.168.0.1", 9)];
        assert_eq!(order, expected.map(|(ip, port)| (ip.to_owned(), port)));
    }

    #[test]
    fn every_state_of_linux_has_its_counterpart_and_no_other_number() {
        let told: Vec<_> = (1..=13).map(|state| tcp_state(state).unwrap()).collect();
        assert_eq!(told, [5, 3, 4, 6, 7, 11, 1, 8, 10, 2, 9, 4, 100]);
        assert_eq!([0, 14, 255].map(tcp_state), [None; 3]);
        for linux in (1..=11).chain([13]) {
            assert_eq!(linux_state(tcp_state(linux).unwrap()), Some(linux));
        }
        assert_eq!([0, 12, 13, 99, 101].map(linux_state), [None, Some(7), None, None, None]);
    }
}
