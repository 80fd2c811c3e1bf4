use super::*;
use crate::inet_diag::{AF_INET, AF_INET6};

const DAYS_52: u64 = 52 * 24 * 3600 * 1_000_000_000;

/// After `units` of 16 µs, by evidence number `evidence`, in thread `tid`.
fn when(units: u64, evidence: u64, tid: u64) -> u64 {
    units << 26 | evidence << 22 | tid
}

/// A connection that came in at 10.0.0.1:80.
fn socket() -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in [0x0b78_9fec_4a7b_u64, 0x0b78_9fff_0000] {
        bytes.extend(number.to_ne_bytes());
    }
    for (process, when) in [
        (11_u64, when(0, 3, 101)),
        (0, 0),
        (13, when(0, 3, 103)),
        (14, when(61_035, 5, 104)), // a second
    ] {
        bytes.extend(process.to_ne_bytes());
        bytes.extend(when.to_ne_bytes());
    }
    bytes.extend([10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend([192, 0, 2, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for number in [0xefff_fff9_u32, 1000] {
        bytes.extend(number.to_ne_bytes());
    }
    for number in [80_u16, 4711] {
        bytes.extend(number.to_ne_bytes());
    }
    bytes.extend([2, 6, 2, 0]);
    for component in [0_u32, 0, 5, 6] {
        bytes.extend(component.to_ne_bytes());
    }
    bytes
}

fn process() -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in [0x0b78_9fec_4a7b_u64, 0x0b78_9fff_0000, 77, 4242, 99] {
        bytes.extend(number.to_ne_bytes());
    }
    for number in [31851_u32, 8 << 20 | 3, 2, 1000, 1001, 1002, 1 | 4, 1000] {
        bytes.extend(number.to_ne_bytes());
    }
    for number in [4_026_532_001_u32, 17, 4_026_532_002, 1, 0, 0, 0, 0, 0, 0] {
        bytes.extend(number.to_ne_bytes());
    }
    bytes.extend(*b"daemon\0\0\0\0\0\0\0\0\0\0");
    bytes
}

fn executable(parts: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(4242_u64.to_ne_bytes());
    for number in [8_u32 << 20 | 3, 1000, 77, u32::try_from(parts.len()).unwrap()] {
        bytes.extend(number.to_ne_bytes());
    }
    bytes.extend(parts);
    bytes.resize(440, b'x');
    bytes
}

#[test]
fn a_socket_is_read_field_by_field() {
    let bytes = socket();
    let record = SocketRecord::read_from_bytes(&bytes).unwrap();
    assert_eq!((record.created, record.closed), (0x0b78_9fec_4a7b, 0x0b78_9fff_0000));
    let processes = record.parties().map(|party| party.process);
    assert_eq!(processes, [11, 0, 13, 14]);
    assert_eq!(record.parties().map(|party| party.tid()), [101, 0, 103, 104]);
    let evidence = record.parties().map(|party| party.evidence());
    let inherited = Some(Evidence::Inherited);
    assert_eq!(evidence, [inherited, None, inherited, Some(Evidence::Closer)]);
    assert_eq!(record.acceptor.after(), Some(999_997_440));
    assert_eq!(record.local().unwrap().to_string(), "10.0.0.1");
    assert_eq!(record.remote().unwrap().to_string(), "192.0.2.7");
    assert_eq!((record.local_port, record.remote_port), (80, 4711));
    assert_eq!((record.netns, record.charged), (0xefff_fff9, 1000));
    assert_eq!((record.components, record.is_refused()), ([0, 0, 5, 6], false));
    assert!(SocketRecord { refused: 1, ..record }.is_refused());
    assert_eq!((record.family, record.protocol, record.origin()), (AF_INET, 6, Origin::Child));
    assert_eq!(record.as_bytes(), bytes);
    let v6 = SocketRecord { family: AF_INET6, ..record };
    assert_eq!(v6.local().unwrap().to_string(), "a00:1::");
    assert_eq!(SocketRecord { family: 1, ..record }.local(), None);
}

#[test]
fn a_process_is_read_field_by_field() {
    let bytes = process();
    let record = ProcessRecord::read_from_bytes(&bytes).unwrap();
    assert_eq!((record.start, record.seen), (0x0b78_9fec_4a7b, 0x0b78_9fff_0000));
    assert_eq!((record.cgroup, record.inode, record.path), (77, 4242, 99));
    assert_eq!((record.tgid, record.device(), record.image), (31851, (8, 3), 2));
    assert_eq!((record.uid, record.euid, record.suid, record.charged), (1000, 1001, 1002, 1000));
    assert!(record.is_dumpable() && record.is_deleted() && !record.is_kernel_thread());
    assert_eq!(record.comm(), b"daemon");
    assert_eq!(record.number_in(4_026_532_002), Some(1));
    assert_eq!(record.number_in(4_026_532_003), None);
    assert_eq!(record.number_in(0), None, "where there is no level there is no number");
    assert_eq!(record.as_bytes(), bytes);
}

#[test]
fn a_path_is_put_together() {
    let path = |parts: &[u8]| ExecutableRecord::read_from_bytes(&executable(parts)).unwrap().path();
    assert_eq!(path(b"daemon\0bin\0usr\0").unwrap(), b"/usr/bin/daemon");
    assert_eq!(path(b"init\0").unwrap(), b"/init");
    assert_eq!(path(b""), None, "it is being written");
    assert_eq!(path(b"daemon\0bi"), None);
    let mut endless = executable(b"init\0");
    endless[20..24].copy_from_slice(&u32::MAX.to_ne_bytes());
    assert_eq!(ExecutableRecord::read_from_bytes(&endless).unwrap().path(), None);
}

#[test]
fn what_is_cut_is_no_record() {
    let (socket, process, executable) = (socket(), process(), executable(b"init\0"));
    assert!((0..socket.len()).all(|length| SocketRecord::read_from_bytes(&socket[..length]).is_err()));
    assert!((0..process.len()).all(|length| ProcessRecord::read_from_bytes(&process[..length]).is_err()));
    assert!(
        (0..executable.len()).all(|length| ExecutableRecord::read_from_bytes(&executable[..length]).is_err())
    );
}

#[test]
fn every_evidence_and_time_has_a_meaning() {
    let party = |when| Party { process: 1, when };
    let evidence = |number| party(when(0, number, 0)).evidence();
    assert_eq!(evidence(0), None);
    assert_eq!(evidence(1), Some(Evidence::Call));
    assert_eq!(evidence(2), Some(Evidence::Implied));
    assert_eq!(evidence(4), Some(Evidence::FirstUser));
    assert_eq!(evidence(15), Some(Evidence::Other(15)));
    assert_eq!(party(when(1, 1, 0)).after(), Some(16_384));
    assert_eq!(party(u64::MAX).after(), None);
    assert_eq!(party(u64::MAX).tid(), 0x3f_ffff);
    let longest = party(u64::MAX - (1 << 26)).after().unwrap();
    assert!(longest > DAYS_52, "{longest}");
    assert_eq!(SocketRecord { origin: 9, ..SocketRecord::default() }.origin(), Origin::Other(9));
}

#[test]
fn counts_are_read_in_order() {
    let bytes: Vec<u8> = [1_u64, 2, 3, 4].iter().flat_map(|number| number.to_ne_bytes()).collect();
    let holding = Holding::read_from_bytes(&bytes).unwrap();
    assert_eq!((holding.sockets, holding.processes), (1, 2));
    assert_eq!((holding.executables, holding.not_recorded), (3, 4));
    let counters = Counters::read_from_bytes(&bytes[..24]).unwrap();
    assert_eq!((counters.events, counters.dropped, counters.refused), (1, 2, 3));
    let mut bytes: Vec<u8> = [1_u32, 2, 3, 4].iter().flat_map(|number| number.to_ne_bytes()).collect();
    bytes.extend(5_u64.to_ne_bytes());
    bytes.extend([6_u32, 7].iter().flat_map(|number| number.to_ne_bytes()));
    let settings = Settings::read_from_bytes(&bytes).unwrap();
    assert_eq!((settings.layout, settings.sockets, settings.processes), (1, 2, 3));
    assert_eq!((settings.executables, settings.started), (4, 5));
    assert_eq!((settings.component, settings.module), (6, 7));
}
