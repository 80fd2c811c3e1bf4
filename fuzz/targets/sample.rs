//! Events of arbitrary bytes from the recorder's ring buffer: no panic, nothing of what is not there, and no secret is shown.
#![cfg_attr(fuzzing, no_main)]

#[path = "../frame.rs"]
#[macro_use]
mod frame;
#[path = "../input.rs"]
mod input;

use input::Input;
use sockowner_wire::sample::{Call, MAPPINGS_MAX, Sample};

target!(run);

/// Bytes of an event without mappings.
const PLAIN: usize = 608;
/// Bytes of one mapping.
const MAPPING: usize = 48;
/// Registers, and the stack: what nobody is shown.
const SECRETS: [std::ops::Range<usize>; 2] = [48..72, 96..PLAIN];
const CALL: usize = 85;
const TRAITS: usize = 86;
const MAPPINGS: usize = 87;
const STACK_LENGTH: usize = 88;
const MAPPED: u8 = 8;
/// One mapping follows.
const SITE: u8 = 16;

fn run(bytes: &[u8]) {
    let Some((mode, rest)) = bytes.split_first() else { return };
    if mode % 2 == 0 {
        check(rest);
        return;
    }
    // An event as the kernel writes it, but for what is in its fields.
    let mut input = Input::new(rest);
    let mut event = vec![0; PLAIN + MAPPINGS_MAX * MAPPING];
    let (call, traits, mappings, length) = (input.byte(), input.byte(), input.byte(), input.byte());
    let cut = u16::from_le_bytes(input.take());
    input.fill(&mut event);
    (event[CALL], event[TRAITS], event[MAPPINGS]) = (call, traits, mappings);
    event[STACK_LENGTH..][..4].copy_from_slice(&(u32::from(length) * 4).to_ne_bytes());
    let whole = if traits & SITE != 0 {
        PLAIN + MAPPING
    } else if traits & MAPPED == 0 {
        PLAIN
    } else {
        event.len()
    };
    event.truncate(whole);
    let is_whole = traits & SITE != 0 || traits & MAPPED == 0 || usize::from(mappings) <= MAPPINGS_MAX;
    assert_eq!(check(&event), is_whole, "{mappings} mappings");
    event.truncate(usize::from(cut) % whole);
    assert!(!check(&event), "{} bytes of {whole} are an event", event.len());
}

/// Whether it is an event.
fn check(bytes: &[u8]) -> bool {
    // In memory of its own, so that it begins at a multiple of eight, as in the ring buffer.
    let bytes = bytes.to_vec();
    let Some((sample, mappings)) = Sample::read(&bytes) else { return false };
    let traits = bytes[TRAITS];
    let expected = match (traits & SITE != 0, traits & MAPPED != 0) {
        (true, _) => Some(1),
        (false, is_mapped) => is_mapped.then_some(bytes[MAPPINGS].into()),
    };
    assert_eq!(mappings.map(<[_]>::len), expected);
    for (index, mapping) in mappings.into_iter().flatten().enumerate() {
        let at = PLAIN + index * MAPPING;
        assert_eq!(mapping.start.to_ne_bytes(), bytes[at..][..8]);
        let (major, minor) = mapping.device();
        assert_eq!(major << 20 | minor, mapping.device);
    }
    assert!(sample.stack().len() <= 512 && bytes[SECRETS[1].clone()].starts_with(sample.stack()));
    let number = match sample.call() {
        Call::Bind => 1,
        Call::Connect => 2,
        Call::Listen => 3,
        Call::Accept => 4,
        Call::Accept4 => 5,
        Call::Other(other) => other,
        _ => panic!("a call that this does not know"),
    };
    assert_eq!(number, bytes[CALL]);

    let mut bare = bytes.clone();
    for secret in SECRETS {
        bare[secret].fill(0);
    }
    let (bare, _) = Sample::read(&bare).expect("it has the same form");
    assert_eq!(format!("{bare:?}"), format!("{sample:?}"), "what is shown depends on secrets");
    true
}
