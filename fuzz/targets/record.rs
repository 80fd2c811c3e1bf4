//! Arbitrary values of the recorder's maps: no panic, and nothing that is longer than its room.
#![cfg_attr(fuzzing, no_main)]

#[path = "../frame.rs"]
#[macro_use]
mod frame;

use sockowner_wire::record::{
    ComponentRecord, Evidence, ExecutableRecord, FRAMES_MAX, ModuleRecord, ProcessRecord, SocketRecord,
};
use zerocopy::{FromBytes, IntoBytes};

target!(run);

fn run(bytes: &[u8]) {
    let Some((mode, rest)) = bytes.split_first() else { return };
    match mode % 5 {
        0 => socket(rest),
        1 => process(rest),
        2 => executable(rest),
        3 => component(rest),
        _ => module(rest),
    }
}

/// The value that `bytes` begin with, zeros behind them; as bytes it is the same.
fn value<T: FromBytes + IntoBytes + zerocopy::Immutable>(bytes: &[u8]) -> T {
    let mut whole = vec![0; size_of::<T>()];
    let length = bytes.len().min(whole.len());
    whole[..length].copy_from_slice(&bytes[..length]);
    let value = T::read_from_bytes(&whole).unwrap_or_else(|_| panic!("it has its length"));
    assert_eq!(value.as_bytes(), whole);
    value
}

fn socket(bytes: &[u8]) {
    let record: SocketRecord = value(bytes);
    assert_eq!(record.local().is_some(), record.remote().is_some());
    assert_eq!(record.is_refused(), record.refused != 0);
    let _ = record.origin();
    for party in record.parties() {
        if let Some(Evidence::Other(number)) = party.evidence() {
            assert!((6..16).contains(&number), "{party:?}");
        }
        // Three bits short of 52 days, in units of 16 microseconds.
        assert!(party.after().is_none_or(|after| after < 1 << 52), "{party:?}");
        assert!(party.tid() < 1 << 22, "{party:?}");
    }
}

fn process(bytes: &[u8]) {
    let record: ProcessRecord = value(bytes);
    assert!(record.comm().len() <= 16 && !record.comm().contains(&0));
    assert_eq!(record.number_in(0), None, "no namespace has the number 0");
    for number in record.numbers.iter().filter(|number| number.namespace != 0) {
        assert!(record.number_in(number.namespace).is_some());
    }
    let (major, minor) = record.device();
    assert_eq!(major << 20 | minor, record.device);
}

fn executable(bytes: &[u8]) {
    let record: ExecutableRecord = value(bytes);
    if let Some(path) = record.path() {
        assert!(path.starts_with(b"/") && !path.contains(&0), "{path:?}");
        assert_eq!(path.len(), record.length as usize);
    }
}

fn component(bytes: &[u8]) {
    let record: ComponentRecord = value(bytes);
    assert!(record.frames().len() <= FRAMES_MAX);
    assert!(record.frames().len() == usize::from(record.frames) || usize::from(record.frames) > FRAMES_MAX);
    assert_eq!(record.offset().is_some(), record.has_offset != 0);
}

fn module(bytes: &[u8]) {
    let record: ModuleRecord = value(bytes);
    let (path, name, build_id) = (record.path(), record.name(), record.build_id());
    assert!(path.is_none_or(|path| path.ends_with(name)), "{record:?}");
    let again = ModuleRecord::new(name, path, build_id, record.charged);
    assert_eq!((again.path(), again.name(), again.build_id()), (path, name, build_id));
}
