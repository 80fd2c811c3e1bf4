//! Messages from the parser to the daemon: what came of the samples, in their order.
//!
//! A component is told once and has a number from then on, which counts up from 0; so the answer to most samples is a
//! number, and by what that sample told it. When there are many the parser begins anew, and says so.

use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use sockowner::{Component, ComponentEvidence, ComponentFrame};
use sockowner_component::{self as component, Location};

use super::Unknown;
use super::batch::VERSION;
use super::bytes::{Malformed, PATH, Reader, Writer};

/// Components that are known by a number.
pub(super) const COMPONENTS: usize = 2048;

/// Bytes of a component; the outermost frames of a larger one are left out.
const COMPONENT: usize = 4 << 10;

/// Bytes of a message of answers.
pub(super) const ROOM: usize = 32 << 10;

const NAME: usize = 255;
const BUILD_ID: usize = 64;
const FRAMES: usize = 16;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The parser has given up its rights and waits.
    Ready,
    /// Answers.
    Answers,
    /// Answers, and the opener did not answer for the sample after these; the parser has ended.
    OpenerLost,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Ready, Self::Answers, Self::OpenerLost];

    const fn byte(self) -> u8 {
        match self {
            Self::Ready => b'R',
            Self::Answers => b'A',
            Self::OpenerLost => b'O',
        }
    }
}

const UNKNOWN: u8 = 0;
const KNOWN: u8 = 1;
const NEW: u8 = 2;
const ANEW: u8 = 3;

/// Where a sample told it: an offset from its stack pointer, or one of these.
const INSTRUCTION: u16 = 0xffff;
const NOWHERE: u16 = 0xfffe;

/// What is said of one sample.
pub(super) type Answer = Result<(Arc<Component>, Option<Location>), Unknown>;

const EVIDENCES: [ComponentEvidence; 5] = [
    ComponentEvidence::Cfi,
    ComponentEvidence::CallTarget,
    ComponentEvidence::CfiIndirect,
    ComponentEvidence::ReturnAddress,
    ComponentEvidence::ExecutableOnly,
];

/// A message that is being put together.
pub(super) struct Answers(Vec<u8>);

impl Answers {
    pub(super) fn new() -> Self {
        let mut answers = Self(Vec::with_capacity(ROOM));
        answers.begin();
        answers
    }

    pub(super) fn begin(&mut self) {
        self.0.clear();
        self.0.extend_from_slice(&[VERSION, Kind::Answers.byte()]);
    }

    /// It is to be sent before anything is added.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() + COMPONENT + 64 > ROOM
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.len() <= 2
    }

    /// The message.
    pub(super) fn bytes(&mut self, kind: Kind) -> &[u8] {
        self.0[1] = kind.byte();
        &self.0
    }

    pub(super) fn unknown(&mut self, unknown: Unknown) {
        let number = Unknown::ALL.iter().position(|known| *known == unknown);
        self.0
            .extend_from_slice(&[UNKNOWN, number.and_then(|number| u8::try_from(number).ok()).unwrap_or(0)]);
    }

    pub(super) fn known(&mut self, number: u32, site: Option<Location>) {
        let mut writer = Writer(&mut self.0);
        writer.u8(KNOWN);
        writer.u32(number);
        write_site(&mut writer, site);
    }

    /// The component has the next number; `encoded` is by [`encode`].
    pub(super) fn new_component(&mut self, encoded: &[u8], site: Option<Location>) {
        self.0.push(NEW);
        self.0.extend_from_slice(encoded);
        write_site(&mut Writer(&mut self.0), site);
    }

    /// Numbers count from 0 again.
    pub(super) fn anew(&mut self) {
        self.0.push(ANEW);
    }
}

fn write_site(writer: &mut Writer<'_>, site: Option<Location>) {
    writer.u16(match site {
        Some(Location::Instruction) => INSTRUCTION,
        Some(Location::Stack(slot)) => slot,
        Some(Location::Elsewhere) | None => NOWHERE,
    });
}

fn read_site(reader: &mut Reader<'_>) -> Result<Option<Location>, Malformed> {
    Ok(match reader.u16().ok_or(Malformed)? {
        INSTRUCTION => Some(Location::Instruction),
        NOWHERE => None,
        slot => Some(Location::Stack(slot)),
    })
}

/// A component in a message's form.
pub(super) fn encode(found: &component::Component) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer(&mut bytes);
    let evidence = match found.grade {
        component::Grade::Cfi => 0,
        component::Grade::CallTarget => 1,
        component::Grade::CfiIndirect => 2,
        component::Grade::ReturnAddress => 3,
        component::Grade::ExecutableOnly => 4,
    };
    writer.u8(evidence);
    writer.u8(found.generated.into());
    writer.u8(found.offset.is_some().into());
    writer.u64(found.offset.unwrap_or(0));
    name(&mut writer, found.name.as_bytes());
    // Without a name it has no path either.
    path(
        &mut writer,
        Some(found.path.as_os_str().as_bytes()).filter(|path| !path.is_empty()),
        COMPONENT - 512,
    );
    build_id(&mut writer, found.build_id.as_ref());
    let count_at = writer.0.len();
    writer.u8(0);
    let mut count = 0;
    for frame in found.chain.iter().take(FRAMES) {
        let before = writer.0.len();
        name(&mut writer, frame.name.as_bytes());
        path(&mut writer, frame.path.as_ref().map(|path| path.as_os_str().as_bytes()), PATH);
        build_id(&mut writer, frame.build_id.as_ref());
        writer.u64(frame.offset);
        if writer.0.len() > COMPONENT {
            writer.0.truncate(before);
            break;
        }
        count += 1;
    }
    bytes[count_at] = count;
    bytes
}

fn name(writer: &mut Writer<'_>, name: &[u8]) {
    writer.bytes(&name[..name.len().min(NAME)]);
}

/// A path that is too long to be kept is not told.
fn path(writer: &mut Writer<'_>, path: Option<&[u8]>, most: usize) {
    writer.option(path.filter(|path| path.len() <= most.min(PATH)));
}

fn build_id(writer: &mut Writer<'_>, id: Option<&component::BuildId>) {
    writer.option(id.map(component::BuildId::as_bytes).filter(|id| id.len() <= BUILD_ID));
}

/// What a message is; see [`Known::read`] for the answers that it has.
pub(super) fn kind(message: &[u8]) -> Option<Kind> {
    let mut reader = Reader::new(message);
    let (version, byte) = (reader.u8()?, reader.u8()?);
    Kind::ALL.into_iter().find(|kind| version == VERSION && kind.byte() == byte)
}

/// The components that have numbers, as the daemon knows them.
#[derive(Debug, Default)]
pub(super) struct Known(Vec<Arc<Component>>);

impl Known {
    /// Appends the answers of a message; they are at most `most`. `None` where it is malformed: then nobody knows what the
    /// parser means.
    pub(super) fn read(&mut self, message: &[u8], most: usize, answers: &mut Vec<Answer>) -> Option<()> {
        let mut reader = Reader::new(message);
        kind(message)?;
        reader.u8()?;
        reader.u8()?;
        let most = answers.len() + most;
        while reader.end().is_none() {
            let answer = match reader.u8()? {
                UNKNOWN => Err(Unknown::ALL.get(usize::from(reader.u8()?)).copied()?),
                KNOWN => {
                    let component = Arc::clone(self.0.get(usize::try_from(reader.u32()?).ok()?)?);
                    Ok((component, read_site(&mut reader).ok()?))
                }
                NEW => {
                    let component = Arc::new(decode(&mut reader)?);
                    (self.0.len() < COMPONENTS).then_some(())?;
                    self.0.push(Arc::clone(&component));
                    Ok((component, read_site(&mut reader).ok()?))
                }
                ANEW => {
                    self.0.clear();
                    continue;
                }
                _ => return None,
            };
            (answers.len() < most).then_some(())?;
            answers.push(answer);
        }
        Some(())
    }
}

fn decode(reader: &mut Reader<'_>) -> Option<Component> {
    let before = reader.clone();
    let evidence = EVIDENCES.get(usize::from(reader.u8()?)).copied()?;
    let generated = reader.flag()?;
    let (has_offset, offset) = (reader.flag()?, reader.u64()?);
    let mut component = Component::new(reader.text(NAME)?, evidence);
    component.generated = generated;
    component.offset = has_offset.then_some(offset);
    component.path = reader.path().ok()?;
    component.build_id = reader.option(BUILD_ID).ok()?.map(<[u8]>::to_vec);
    let count = Some(reader.u8()?).filter(|count| usize::from(*count) <= FRAMES)?;
    for _ in 0..count {
        let (name, path) = (reader.text(NAME)?, reader.path().ok()?);
        let build_id = reader.option(BUILD_ID).ok()?.map(<[u8]>::to_vec);
        let mut frame = ComponentFrame::new(name, reader.u64()?);
        (frame.path, frame.build_id) = (path, build_id);
        component.chain.push(frame);
    }
    (before.len() - reader.len() <= COMPONENT).then_some(component)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn found(path: &str, frames: usize) -> component::Component {
        let frame = component::Frame {
            kind: component::Kind::Module,
            link: component::Link::Proved,
            name: "libc.so.6".into(),
            path: Some("/lib/libc.so.6".into()),
            build_id: None,
            offset: 0x1234,
        };
        component::Component {
            name: "a.so".into(),
            path: path.into(),
            build_id: None,
            offset: Some(0x42),
            grade: component::Grade::CfiIndirect,
            generated: false,
            chain: vec![frame; frames],
        }
    }

    fn message(add: impl FnOnce(&mut Answers)) -> Vec<u8> {
        let mut answers = Answers::new();
        add(&mut answers);
        answers.bytes(Kind::Answers).to_vec()
    }

    fn read(known: &mut Known, message: &[u8], most: usize) -> Option<Vec<Answer>> {
        let mut answers = Vec::new();
        known.read(message, most, &mut answers).map(|()| answers)
    }

    #[test]
    fn a_component_is_told_once() {
        let mut known = Known::default();
        let bytes = message(|answers| {
            answers.new_component(&encode(&found("/a.so", 2)), Some(Location::Stack(0x1f8)));
            answers.known(0, Some(Location::Instruction));
            answers.known(0, None);
            answers.unknown(Unknown::Changed);
        });
        assert_eq!(kind(&bytes), Some(Kind::Answers));
        let told = read(&mut known, &bytes, 4).unwrap();
        let (component, site) = told[0].as_ref().unwrap();
        assert_eq!(*site, Some(Location::Stack(0x1f8)));
        assert_eq!(
            (component.name.to_str(), component.path.clone()),
            (Some("a.so"), Some(PathBuf::from("/a.so")))
        );
        assert_eq!((component.offset, component.evidence), (Some(0x42), ComponentEvidence::CfiIndirect));
        assert_eq!((component.chain.len(), component.chain[1].offset), (2, 0x1234));
        for (number, site) in [(1, Some(Location::Instruction)), (2, None)] {
            let again = told[number].as_ref().unwrap();
            assert!(Arc::ptr_eq(component, &again.0) && again.1 == site, "{again:?}");
        }
        assert_eq!(told[3], Err(Unknown::Changed));
        assert!(read(&mut known, &message(|answers| answers.known(0, None)), 1).is_some());
        assert!(read(&mut known, &message(Answers::anew), 1).is_some());
        assert!(read(&mut known, &message(|answers| answers.known(0, None)), 1).is_none());
    }

    #[test]
    fn what_a_parser_may_not_say_is_refused() {
        let new = message(|answers| answers.new_component(&encode(&found("/a.so", 2)), None));
        for len in 3..new.len() {
            assert!(read(&mut Known::default(), &new[..len], 9).is_none(), "{len} bytes");
        }
        for bytes in [
            &[][..],
            &[VERSION],
            &[VERSION + 1, b'A'],
            &[VERSION, b'B'],
            &[VERSION, b'A', 4],
            &[VERSION, b'A', 0, 9],
        ] {
            assert!(read(&mut Known::default(), bytes, 9).is_none(), "{bytes:?}");
        }
        // More answers than samples.
        assert!(read(&mut Known::default(), &new, 0).is_none());
        // More components than it may name.
        let mut known = Known::default();
        for _ in 0..COMPONENTS {
            assert!(read(&mut known, &new, 1).is_some());
        }
        assert!(read(&mut known, &new, 1).is_none());
    }

    #[test]
    fn a_component_is_bounded() {
        let long = "/".to_owned() + &"x".repeat(PATH - 1);
        let mut large = found(&long, 1);
        large.chain[0].path = Some(long.into());
        for component in [found("/a.so", 100), large] {
            let encoded = encode(&component);
            assert!(encoded.len() <= COMPONENT, "{}", encoded.len());
            let bytes = message(|answers| answers.new_component(&encoded, None));
            let told = read(&mut Known::default(), &bytes, 1).unwrap();
            assert!(told[0].as_ref().unwrap().0.chain.len() <= FRAMES);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let bytes = [&[VERSION, b'A'][..], &bytes].concat();
            if let Some(answers) = read(&mut Known::default(), &bytes, 5) {
                proptest::prop_assert!(answers.len() <= 5);
            }
        }
    }
}
