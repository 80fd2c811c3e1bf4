//! Messages from the daemon to the parser: samples, as many as a message has room for.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use sockowner_component::{Call, Device, Executable, Mapping, Registers};

use super::bytes::{PATH, Reader, Writer};
use super::{Facts, Sample};

/// Another one understands other messages.
pub(super) const VERSION: u8 = 2;

/// A batch begins so.
const BATCH: u8 = b'B';

/// Bytes that a batch may have. A socket's buffer has room for two of these.
pub(super) const ROOM: usize = 96 << 10;

/// Samples of a batch.
pub(super) const SAMPLES: usize = 128;

/// What one sample may have.
const STACK: usize = 1024;
const MAPPINGS: usize = 16;

const FACTS: [Facts; 3] = [Facts::None, Facts::Site, Facts::All];

/// Version, kind, number of samples.
const HEADER: usize = 3;

/// A batch that is being put together. It holds the processes' secrets, and is wiped when it was sent.
pub(super) struct Batch(Vec<u8>);

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Batch").field(&self.0.len()).finish()
    }
}

impl Batch {
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(ROOM))
    }

    /// A batch without samples.
    pub(super) fn begin(&mut self) {
        super::sample::wipe(&mut self.0);
        self.0.clear();
        self.0.extend_from_slice(&[VERSION, BATCH, 0]);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Adds a sample if there is room for it.
    pub(super) fn add(&mut self, sample: &Sample) -> bool {
        let count = usize::from(self.0.get(HEADER - 1).copied().unwrap_or(u8::MAX));
        let is_room = count < SAMPLES && self.0.len() + size(sample) <= ROOM;
        if is_room {
            write(&mut Writer(&mut self.0), sample);
            self.0[HEADER - 1] += 1;
        }
        is_room
    }
}

/// Whether a sample may be sent at all.
pub(super) fn is_sendable(sample: &Sample) -> bool {
    let is_short = |path: &Path| path.as_os_str().len() <= PATH;
    let paths = sample.mappings.iter().filter_map(|mapping| mapping.path.as_deref());
    sample.stack.len() <= STACK
        && sample.mappings.len() <= MAPPINGS
        && paths.chain(sample.executable.as_ref().map(|executable| executable.path.as_path())).all(is_short)
        && HEADER + size(sample) <= ROOM
}

/// Bytes that a sample has at most.
fn size(sample: &Sample) -> usize {
    const FIXED: usize = 80;
    const MAPPING: usize = 48;
    let path = |path: Option<&Path>| path.map_or(0, |path| path.as_os_str().len());
    let mappings = sample.mappings.iter().map(|mapping| MAPPING + path(mapping.path.as_deref()));
    let executable = sample.executable.as_ref().map(|executable| executable.path.as_path());
    FIXED + sample.stack.len() + mappings.sum::<usize>() + path(executable)
}

fn write(writer: &mut Writer<'_>, sample: &Sample) {
    writer.u64(sample.process);
    // There is no pid 0.
    writer.u32(sample.pid.unwrap_or(0));
    writer.u64(sample.start_ticks);
    writer.u64(sample.time);
    let call = Call::ALL.iter().position(|call| *call == sample.call);
    writer.u8(call.and_then(|call| u8::try_from(call).ok()).unwrap_or(u8::MAX));
    for register in [sample.registers.rip, sample.registers.rsp, sample.registers.rbp] {
        writer.u64(register);
    }
    writer.bytes(&sample.stack);
    let facts = FACTS.iter().position(|facts| *facts == sample.facts);
    writer.u8(facts.and_then(|facts| u8::try_from(facts).ok()).unwrap_or(u8::MAX));
    writer.u8(u8::try_from(sample.mappings.len()).unwrap_or(u8::MAX));
    for mapping in &sample.mappings {
        for number in [mapping.start, mapping.end, mapping.offset, mapping.inode] {
            writer.u64(number);
        }
        writer.u32(mapping.device.major);
        writer.u32(mapping.device.minor);
        writer.u8(mapping.deleted.into());
        writer.option(mapping.path.as_ref().map(|path| path.as_os_str().as_bytes()));
    }
    writer.option(sample.executable.as_ref().map(|executable| executable.path.as_os_str().as_bytes()));
    if let Some(executable) = &sample.executable {
        writer.u32(executable.device.major);
        writer.u32(executable.device.minor);
        writer.u64(executable.inode);
    }
}

/// A sample as the parser has it: its stack is still in the message.
pub(super) struct Received<'a> {
    pub(super) process: u64,
    pub(super) pid: Option<u32>,
    pub(super) start_ticks: u64,
    pub(super) time: u64,
    pub(super) call: Call,
    pub(super) registers: Registers,
    pub(super) stack: &'a [u8],
    pub(super) facts: Facts,
    pub(super) mappings: Vec<Mapping>,
    pub(super) executable: Option<Executable>,
}

/// The samples of a message. `None` where it is none.
pub(super) fn read(message: &[u8]) -> Option<impl Iterator<Item = Option<Received<'_>>>> {
    let mut reader = Reader::new(message);
    let (version, kind, count) = (reader.u8()?, reader.u8()?, reader.u8()?);
    let mut left = ((version, kind) == (VERSION, BATCH)).then_some(count)?;
    let mut failed = false;
    Some(std::iter::from_fn(move || {
        if failed || left == 0 && reader.end().is_some() {
            return None;
        }
        // What is left over after the last one is a failure too.
        let received = left.checked_sub(1).and_then(|rest| {
            left = rest;
            read_one(&mut reader)
        });
        failed = received.is_none();
        Some(received)
    }))
}

fn read_one<'a>(reader: &mut Reader<'a>) -> Option<Received<'a>> {
    Some(Received {
        process: reader.u64()?,
        pid: Some(reader.u32()?).filter(|pid| *pid != 0),
        start_ticks: reader.u64()?,
        time: reader.u64()?,
        call: Call::ALL.get(usize::from(reader.u8()?)).copied()?,
        registers: Registers { rip: reader.u64()?, rsp: reader.u64()?, rbp: reader.u64()? },
        stack: reader.bytes(STACK)?,
        facts: FACTS.get(usize::from(reader.u8()?)).copied()?,
        mappings: {
            let count = Some(reader.u8()?).filter(|count| usize::from(*count) <= MAPPINGS)?;
            (0..count).map(|_| read_mapping(reader)).collect::<Option<_>>()?
        },
        executable: match reader.path().ok()? {
            Some(path) => Some(Executable {
                path,
                device: Device { major: reader.u32()?, minor: reader.u32()? },
                inode: reader.u64()?,
            }),
            None => None,
        },
    })
}

fn read_mapping(reader: &mut Reader<'_>) -> Option<Mapping> {
    let [start, end, offset, inode] = [reader.u64()?, reader.u64()?, reader.u64()?, reader.u64()?];
    let device = Device { major: reader.u32()?, minor: reader.u32()? };
    let deleted = reader.flag()?;
    Some(Mapping { start, end, offset, device, inode, path: reader.path().ok()?, deleted })
        .filter(|mapping| mapping.start < mapping.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(process: u64) -> Sample {
        let mapping = Mapping {
            start: 0x1000,
            end: 0x3000,
            offset: 0x4000,
            device: Device { major: 8, minor: 1 },
            inode: 17,
            path: Some("/usr/lib/a.so".into()),
            deleted: true,
        };
        Sample {
            process,
            pid: Some(4711),
            start_ticks: 99,
            uid: 1000,
            time: 12345,
            call: Call::Accept4,
            registers: Registers { rip: 1, rsp: 2, rbp: 3 },
            stack: (0..=255).collect(),
            facts: Facts::All,
            mappings: vec![mapping.clone(), Mapping { path: None, deleted: false, ..mapping }],
            executable: Some(Executable {
                device: Device { major: 8, minor: 2 },
                inode: 18,
                path: "/usr/bin/a".into(),
            }),
        }
    }

    /// As [`sample`], but for this. A sample that is dropped wipes itself, so that none is taken apart.
    fn sample_with(change: impl FnOnce(&mut Sample)) -> Sample {
        let mut sample = sample(1);
        change(&mut sample);
        sample
    }

    fn batch(samples: &[Sample]) -> Batch {
        let mut batch = Batch::new();
        batch.begin();
        assert!(samples.iter().all(|sample| batch.add(sample)));
        batch
    }

    #[test]
    fn samples_arrive_as_they_were_sent() {
        let sent = [
            sample(1),
            Sample {
                pid: None,
                mappings: Vec::new(),
                facts: Facts::Site,
                executable: None,
                stack: Vec::new(),
                ..sample(2).clone()
            },
        ];
        let batch = batch(&sent);
        let received: Vec<_> = read(batch.bytes()).unwrap().map(Option::unwrap).collect();
        assert_eq!(received.len(), sent.len());
        for (received, sent) in received.iter().zip(&sent) {
            assert_eq!(
                (received.process, received.pid, received.start_ticks),
                (sent.process, sent.pid, sent.start_ticks)
            );
            assert_eq!(
                (received.time, received.call, received.registers),
                (sent.time, sent.call, sent.registers)
            );
            assert_eq!((received.stack, &received.mappings), (&sent.stack[..], &sent.mappings));
            assert_eq!(received.facts, sent.facts);
            assert_eq!(received.executable, sent.executable);
        }
        assert!(batch.bytes().len() <= HEADER + sent.iter().map(size).sum::<usize>());
    }

    #[test]
    fn what_is_cut_or_longer_fails() {
        let batch = batch(&[sample(1), sample(2)]);
        let whole =
            |bytes: &[u8]| read(bytes).is_some_and(|mut samples| samples.all(|sample| sample.is_some()));
        assert!(whole(batch.bytes()));
        for len in 0..batch.bytes().len() {
            assert!(!whole(&batch.bytes()[..len]), "{len} bytes");
        }
        assert!(!whole(&[batch.bytes(), &[0]].concat()));
        let mut other = batch.bytes().to_vec();
        other[0] = VERSION + 1;
        assert!(read(&other).is_none());
    }

    #[test]
    fn a_batch_is_bounded() {
        let mut batch = Batch::new();
        batch.begin();
        let count = (0..1000).take_while(|number| batch.add(&sample(*number))).count();
        assert!(count > 10 && batch.bytes().len() <= ROOM, "{count}");
        let long = |len: usize| sample_with(|sample| sample.stack = vec![0; len]);
        assert!(is_sendable(&long(STACK)) && !is_sendable(&long(STACK + 1)));
        let path = |len: usize| sample_with(|sample| sample.mappings[0].path = Some("x".repeat(len).into()));
        assert!(is_sendable(&path(PATH)) && !is_sendable(&path(PATH + 1)));
        let many =
            |count: usize| sample_with(|sample| sample.mappings = vec![sample.mappings[0].clone(); count]);
        assert!(is_sendable(&many(MAPPINGS)) && !is_sendable(&many(MAPPINGS + 1)));
        // The largest that may be sent can be sent.
        let largest = sample_with(|sample| {
            sample.mappings = vec![path(PATH).mappings[0].clone(); MAPPINGS];
            sample.stack = vec![0; STACK];
        });
        assert!(is_sendable(&largest));
        batch.begin();
        assert!(batch.add(&largest));
    }

    #[test]
    fn what_was_sent_is_wiped() {
        let mut batch = batch(&[sample(1)]);
        batch.begin();
        assert_eq!(batch.bytes(), [VERSION, BATCH, 0]);
        assert!(batch.0.capacity() >= ROOM);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
            let mut bytes = bytes;
            if let [version, kind, ..] = bytes.as_mut_slice() {
                (*version, *kind) = (VERSION, BATCH);
            }
            let samples: Vec<_> = read(&bytes).into_iter().flatten().collect();
            proptest::prop_assert!(samples.len() <= 256);
        }

        #[test]
        fn one_byte_changed_does_no_harm(at in 0..2000_usize, value in proptest::num::u8::ANY) {
            let mut bytes = batch(&[sample(1), sample(2)]).bytes().to_vec();
            let len = bytes.len();
            bytes[at % len] = value;
            for sample in read(&bytes).into_iter().flatten().flatten() {
                proptest::prop_assert!(sample.stack.len() <= STACK && sample.mappings.len() <= MAPPINGS);
            }
        }
    }
}
