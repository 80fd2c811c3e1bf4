//! What the recorder's user part keeps of the modules that made calls (`bpf/record.h`).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// So many frames of a stack are kept.
pub const FRAMES_MAX: usize = 8;
/// `BUILD_ID_ROOM`.
const BUILD_ID_ROOM: usize = 32;
/// `MODULE_ROOM`.
const MODULE_ROOM: usize = 440;

/// `struct component_frame`: one frame of a caller's stack.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct ComponentFrame {
    /// In the ELF file; for memory that no ELF file holds, the process's address.
    pub offset: u64,
    /// Key in the map of modules; 0 for memory that no file holds.
    pub module: u32,
    /// Room.
    pub zero: u32,
}

/// `struct component_record`: a place in a module that makes calls, and the way there from the system call.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct ComponentRecord {
    /// As in [`ComponentFrame`]; see [`offset`](Self::offset).
    pub offset: u64,
    /// Key in the map of modules.
    pub module: u32,
    /// The user whose share of the table it takes, in the initial user namespace.
    pub charged: u32,
    /// `enum component_evidence`, which counts from 1, the best.
    pub evidence: u8,
    /// Not 0: the call came from code that was made at run time.
    pub generated: u8,
    /// Not 0: the offset is known.
    pub has_offset: u8,
    /// How many of `chain` there are; see [`frames`](Self::frames).
    pub frames: u8,
    /// Room.
    pub zero: u32,
    /// See [`frames`](Self::frames).
    pub chain: [ComponentFrame; FRAMES_MAX],
}

impl ComponentRecord {
    /// Where in the module; `None` where that is not known.
    pub fn offset(&self) -> Option<u64> {
        (self.has_offset != 0).then_some(self.offset)
    }

    /// The frames from the system call outwards, as far as they were kept.
    pub fn frames(&self) -> &[ComponentFrame] {
        self.chain.get(..usize::from(self.frames)).unwrap_or(&self.chain)
    }
}

/// `struct module_record`: an ELF file, as a process sees it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct ModuleRecord {
    /// See [`build_id`](Self::build_id).
    build_id: [u8; BUILD_ID_ROOM],
    /// The user whose share of the table it takes, in the initial user namespace.
    pub charged: u32,
    /// Of `path`.
    length: u16,
    build_id_length: u8,
    is_name: u8,
    /// See [`path`](Self::path).
    path: [u8; MODULE_ROOM],
}

impl ModuleRecord {
    /// A module; its path where that is known and there is room for it, else its name, of which the beginning is kept. A
    /// build-id for which there is no room is none.
    pub fn new(name: &[u8], path: Option<&[u8]>, build_id: Option<&[u8]>, charged: u32) -> Self {
        let path = path.filter(|path| path.len() <= MODULE_ROOM);
        let text = path.unwrap_or(&name[..name.len().min(MODULE_ROOM)]);
        let build_id = build_id.filter(|id| id.len() <= BUILD_ID_ROOM).unwrap_or_default();
        let mut record = Self {
            build_id: [0; BUILD_ID_ROOM],
            charged,
            // Both are less than their room.
            length: u16::try_from(text.len()).unwrap_or(0),
            build_id_length: u8::try_from(build_id.len()).unwrap_or(0),
            is_name: path.is_none().into(),
            path: [0; MODULE_ROOM],
        };
        record.build_id[..build_id.len()].copy_from_slice(build_id);
        record.path[..text.len()].copy_from_slice(text);
        record
    }

    /// Its path as the process saw it; `None` where it was not kept.
    pub fn path(&self) -> Option<&[u8]> {
        (self.is_name == 0).then(|| self.text())
    }

    /// The last part of its path.
    pub fn name(&self) -> &[u8] {
        let text = self.text();
        match self.path() {
            None => text,
            Some(path) => path.rsplit(|&byte| byte == b'/').next().unwrap_or(path),
        }
    }

    /// Its build-id; `None` where it has none, or it could not be read.
    pub fn build_id(&self) -> Option<&[u8]> {
        let id = self.build_id.get(..usize::from(self.build_id_length)).unwrap_or_default();
        (!id.is_empty()).then_some(id)
    }

    fn text(&self) -> &[u8] {
        self.path.get(..usize::from(self.length)).unwrap_or_default()
    }
}

const _: () = {
    assert!(size_of::<ComponentFrame>() == 16);
    assert!(size_of::<ComponentRecord>() == 152);
    assert!(std::mem::offset_of!(ComponentRecord, chain) == 24);
    assert!(size_of::<ModuleRecord>() == 480);
    assert!(std::mem::offset_of!(ModuleRecord, path) == 40);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_read_field_by_field() {
        let mut bytes = 0x1234_u64.to_ne_bytes().to_vec();
        for number in [7_u32, 1000] {
            bytes.extend(number.to_ne_bytes());
        }
        bytes.extend([3, 1, 1, 2, 0, 0, 0, 0]);
        for (offset, module) in [(0x10_u64, 8_u32), (0x7f00_0000_0000, 0)] {
            bytes.extend(offset.to_ne_bytes());
            bytes.extend(module.to_ne_bytes());
            bytes.extend([0; 4]);
        }
        bytes.resize(152, 0);
        let record = ComponentRecord::read_from_bytes(&bytes).unwrap();
        assert_eq!((record.offset(), record.module, record.charged), (Some(0x1234), 7, 1000));
        assert_eq!((record.evidence, record.generated), (3, 1));
        let frames: Vec<_> = record.frames().iter().map(|frame| (frame.offset, frame.module)).collect();
        assert_eq!(frames, [(0x10, 8), (0x7f00_0000_0000, 0)]);
        assert_eq!(ComponentRecord { has_offset: 0, ..record }.offset(), None);
        assert_eq!(ComponentRecord { frames: 255, ..record }.frames().len(), FRAMES_MAX);
        assert_eq!(record.as_bytes(), bytes);
        assert!((0..152).all(|length| ComponentRecord::read_from_bytes(&bytes[..length]).is_err()));
    }

    #[test]
    fn a_module_is_what_it_was_made_of() {
        let record = ModuleRecord::new(b"libc.so.6", Some(b"/usr/lib/libc.so.6"), Some(&[1, 2]), 1000);
        assert_eq!((record.name(), record.path()), (&b"libc.so.6"[..], Some(&b"/usr/lib/libc.so.6"[..])));
        assert_eq!((record.build_id(), record.charged), (Some(&[1, 2][..]), 1000));
        let bytes = record.as_bytes();
        assert_eq!(bytes[..3], [1, 2, 0]);
        assert_eq!(bytes[32..36], 1000_u32.to_ne_bytes());
        assert_eq!((&bytes[36..38], &bytes[38..40]), (&18_u16.to_ne_bytes()[..], &[2, 0][..]));
        assert_eq!(&bytes[40..44], b"/usr");
        assert_eq!(ModuleRecord::read_from_bytes(bytes).unwrap(), record);
        let vdso = ModuleRecord::new(b"[vdso]", None, None, 0);
        assert_eq!((vdso.name(), vdso.path(), vdso.build_id()), (&b"[vdso]"[..], None, None));
    }

    #[test]
    fn what_has_no_room_is_left_out_whole() {
        let room = [b'p'; MODULE_ROOM + 1];
        let path = |length: usize| ModuleRecord::new(b"n", Some(&room[..length]), None, 0);
        assert_eq!(path(MODULE_ROOM).path().map(<[u8]>::len), Some(MODULE_ROOM));
        let longer = path(MODULE_ROOM + 1);
        assert_eq!((longer.name(), longer.path()), (&b"n"[..], None));
        assert_eq!(ModuleRecord::new(&room, None, None, 0).name().len(), MODULE_ROOM);
        let id = |length: usize| {
            ModuleRecord::new(b"n", None, Some(&room[..length]), 0).build_id().map(<[u8]>::len)
        };
        assert_eq!((id(0), id(BUILD_ID_ROOM), id(BUILD_ID_ROOM + 1)), (None, Some(BUILD_ID_ROOM), None));
        // What others may have written is cut as well.
        let mut bytes = longer.as_bytes().to_vec();
        bytes[36..40].fill(255);
        let hostile = ModuleRecord::read_from_bytes(&bytes).unwrap();
        assert_eq!((hostile.name(), hostile.build_id()), (&b""[..], None));
    }
}
