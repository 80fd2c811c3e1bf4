//! Records of arbitrary bytes, as BPF iterators write holders and processes: no panic, and each is written as it was read.
#![cfg_attr(fuzzing, no_main)]

#[path = "../frame.rs"]
#[macro_use]
mod frame;

use sockowner_wire::iterator::{HolderRow, ProcessRow};

target!(run);

fn run(bytes: &[u8]) {
    let Some((mode, rest)) = bytes.split_first() else { return };
    if mode % 2 == 0 { holders(rest) } else { processes(rest) }
}

fn holders(bytes: &[u8]) {
    let mut left = bytes;
    while let Some((row, rest)) = HolderRow::take(left) {
        let taken = &left[..left.len() - rest.len()];
        let mut expected = taken.to_vec();
        // A flag, of which any value but 0 is the same.
        expected[43] = row.socket.is_some().into();
        assert_eq!(row.encode(), expected);
        if let Some(socket) = row.socket {
            assert_eq!(socket.local().is_some(), socket.remote().is_some());
            assert_eq!(socket.local().is_some(), [2, 10].contains(&socket.family));
        }
        left = rest;
    }
    assert!(left.len() < 48 + 56, "{} bytes hold no record", left.len());
}

fn processes(bytes: &[u8]) {
    let mut left = bytes;
    while let Some((row, rest)) = ProcessRow::take(left) {
        assert_eq!(row.encode(), left[..left.len() - rest.len()]);
        let comm = row.fixed.comm();
        assert!(comm.len() <= 16 && !comm.contains(&0), "{comm:?}");
        let (major, minor) = row.fixed.device();
        assert_eq!(major << 20 | minor, row.fixed.device);
        left = rest;
    }
}
