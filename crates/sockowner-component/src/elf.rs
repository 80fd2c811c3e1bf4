//! An ELF file's headers, as far as they lead to unwind information, symbols and the build-id.

use object::elf::{self, DF_1_PIE, Dyn64, EM_X86_64, FileHeader64, NoteHeader64, ProgramHeader64};
use object::endian::LittleEndian as LE;
use object::pod::{Pod, from_bytes};

use crate::blocks::Blocks;
use crate::limits::Budget;
use crate::{BuildId, Error};

/// Program headers, entries of the dynamic section and notes that are looked at.
const HEADERS: u16 = 256;
const DYNAMIC: u64 = 512;
const NOTES: u32 = 32;

/// Bytes of a build-id.
const BUILD_ID: u32 = 64;

/// A loaded piece of the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) offset: u64,
    pub(crate) address: u64,
    pub(crate) file_size: u64,
    pub(crate) memory_size: u64,
    pub(crate) executable: bool,
}

/// Where the dynamic section says that tables are. Addresses are the file's own; 0 for none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dynamic {
    pub(crate) strings: u64,
    pub(crate) strings_size: u64,
    pub(crate) symbols: u64,
    pub(crate) gnu_hash: u64,
    pub(crate) hash: u64,
    pub(crate) plt_relocations: u64,
    pub(crate) plt_relocations_size: u64,
    pub(crate) relocations: u64,
    pub(crate) relocations_size: u64,
    pub(crate) relative_count: u64,
    pub(crate) is_pie: bool,
}

#[derive(Debug)]
pub(crate) struct Elf {
    pub(crate) blocks: Blocks,
    pub(crate) segments: Vec<Segment>,
    /// Address and size of `.eh_frame_hdr`.
    pub(crate) unwind_header: Option<(u64, u64)>,
    pub(crate) dynamic: Dynamic,
    pub(crate) build_id: Option<BuildId>,
    pub(crate) is_executable: bool,
}

impl Elf {
    pub(crate) fn parse(mut blocks: Blocks, budget: &mut Budget) -> Result<Self, Error> {
        let mut magic = [0; 4];
        if blocks.read(0, &mut magic, budget)? < 4 || magic != elf::ELFMAG {
            return Err(Error::NotElf);
        }
        let header: FileHeader64<LE> = file_pod(&mut blocks, 0, "its header", budget)?;
        let ident = &header.e_ident;
        if ident.class != elf::ELFCLASS64
            || ident.data != elf::ELFDATA2LSB
            || header.e_machine.get(LE) != EM_X86_64
        {
            return Err(Error::Unsupported("a module that is not for x86-64"));
        }
        let kind = header.e_type.get(LE);
        if kind != elf::ET_DYN && kind != elf::ET_EXEC {
            return Err(Error::Unsupported("a module that is neither executable nor library"));
        }
        let count = header.e_phnum.get(LE);
        if count > HEADERS || usize::from(header.e_phentsize.get(LE)) != size_of::<ProgramHeader64<LE>>() {
            return Err(Error::Malformed("the program headers"));
        }
        let mut elf = Self {
            blocks,
            segments: Vec::new(),
            unwind_header: None,
            dynamic: Dynamic::default(),
            build_id: None,
            is_executable: kind == elf::ET_EXEC,
        };
        let (mut dynamic, mut notes) = (None, Vec::new());
        for number in 0..u64::from(count) {
            budget.spend(1)?;
            let at = header.e_phoff.get(LE).checked_add(number * size_of::<ProgramHeader64<LE>>() as u64);
            let at = at.ok_or(Error::Malformed("the program headers"))?;
            let header: ProgramHeader64<LE> = file_pod(&mut elf.blocks, at, "its program headers", budget)?;
            let (offset, size) = (header.p_offset.get(LE), header.p_filesz.get(LE));
            match header.p_type.get(LE) {
                elf::PT_LOAD => elf.segments.push(Segment {
                    offset,
                    address: header.p_vaddr.get(LE),
                    file_size: size,
                    memory_size: header.p_memsz.get(LE),
                    executable: header.p_flags.get(LE).0 & elf::PF_X.0 != 0,
                }),
                elf::PT_GNU_EH_FRAME => elf.unwind_header = Some((header.p_vaddr.get(LE), size)),
                elf::PT_DYNAMIC => dynamic = Some((offset, size)),
                elf::PT_NOTE => notes.push((offset, size)),
                _ => {}
            }
        }
        // A module without its notes or with a broken dynamic section can still be unwound.
        for (offset, size) in notes {
            elf.build_id = elf.build_id.take().or(read_build_id(&mut elf.blocks, offset, size, budget)?);
        }
        if let Some((offset, size)) = dynamic {
            elf.dynamic = read_dynamic(&mut elf.blocks, offset, size, budget)?;
            elf.is_executable |= elf.dynamic.is_pie;
        }
        Ok(elf)
    }

    /// What is to be added to the file's addresses in a mapping that begins at `start` with the file's `offset`.
    pub(crate) fn bias(&self, start: u64, offset: u64) -> Option<u64> {
        const PAGE: u64 = 4096;
        let holds = |segment: &&Segment| {
            let first = segment.offset & !(PAGE - 1);
            (first..segment.offset.saturating_add(segment.file_size)).contains(&offset)
        };
        let mut held = self.segments.iter().filter(holds);
        let (executable, any) = (held.clone().find(|segment| segment.executable), held.next());
        let segment = executable.or(any)?;
        let address = segment.address.wrapping_sub(segment.offset).wrapping_add(offset);
        Some(start.wrapping_sub(address))
    }

    /// Whether code of this module can be at `address`.
    pub(crate) fn is_code(&self, address: u64) -> bool {
        let holds = |segment: &Segment| {
            address.checked_sub(segment.address).is_some_and(|at| at < segment.memory_size)
        };
        self.segments.iter().any(|segment| segment.executable && holds(segment))
    }

    /// As many bytes of what the file loads at `address` as there are in its segment, up to the buffer's length.
    pub(crate) fn read(
        &mut self,
        address: u64,
        buffer: &mut [u8],
        budget: &mut Budget,
    ) -> Result<usize, Error> {
        let found = self.segments.iter().find_map(|segment| {
            let at = address.checked_sub(segment.address)?;
            let left = segment.file_size.checked_sub(at).filter(|left| *left > 0)?;
            Some((segment.offset.checked_add(at)?, left))
        });
        let Some((offset, left)) = found else {
            return Ok(0);
        };
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        self.blocks.read(offset, &mut buffer[..len], budget)
    }

    /// All bytes of the buffer, or [`Error::Truncated`] before `what`.
    pub(crate) fn read_exact(
        &mut self,
        address: u64,
        buffer: &mut [u8],
        what: &'static str,
        budget: &mut Budget,
    ) -> Result<(), Error> {
        if self.read(address, buffer, budget)? == buffer.len() { Ok(()) } else { Err(Error::Truncated(what)) }
    }

    /// A structure at `address + at`.
    pub(crate) fn pod<T: Pod>(
        &mut self,
        address: u64,
        at: u64,
        what: &'static str,
        budget: &mut Budget,
    ) -> Result<T, Error> {
        let address = address.checked_add(at).ok_or(Error::Malformed(what))?;
        let mut bytes = [0; LARGEST];
        let bytes = bytes.get_mut(..size_of::<T>()).ok_or(Error::Malformed(what))?;
        self.read_exact(address, bytes, what, budget)?;
        cast(bytes, what)
    }

    /// The bytes at `address` up to a NUL, which is among the first `limit`.
    pub(crate) fn string(
        &mut self,
        address: u64,
        limit: usize,
        budget: &mut Budget,
    ) -> Result<Vec<u8>, Error> {
        const PIECE: usize = 64;
        let mut string = Vec::new();
        while string.len() < limit {
            let mut piece = [0; PIECE];
            let address = address.checked_add(string.len() as u64).ok_or(Error::Malformed("a name"))?;
            let len = self.read(address, &mut piece, budget)?;
            budget.spend(1)?;
            if let Some(end) = piece[..len].iter().position(|&byte| byte == 0) {
                string.extend_from_slice(&piece[..end]);
                return Ok(string);
            }
            if len < PIECE {
                return Err(Error::Truncated("the end of a name"));
            }
            string.extend_from_slice(&piece);
        }
        Err(Error::Unsupported("a very long name"))
    }
}

/// No structure is larger.
const LARGEST: usize = 64;

fn cast<T: Pod>(bytes: &[u8], what: &'static str) -> Result<T, Error> {
    from_bytes::<T>(bytes).map(|(value, _)| *value).map_err(|()| Error::Malformed(what))
}

fn file_pod<T: Pod>(
    blocks: &mut Blocks,
    offset: u64,
    what: &'static str,
    budget: &mut Budget,
) -> Result<T, Error> {
    let mut bytes = [0; LARGEST];
    let bytes = bytes.get_mut(..size_of::<T>()).ok_or(Error::Malformed(what))?;
    blocks.read_exact(offset, bytes, what, budget)?;
    cast(bytes, what)
}

fn read_dynamic(blocks: &mut Blocks, offset: u64, size: u64, budget: &mut Budget) -> Result<Dynamic, Error> {
    const ENTRY: u64 = size_of::<Dyn64<LE>>() as u64;
    let mut dynamic = Dynamic::default();
    for number in 0..(size / ENTRY).min(DYNAMIC) {
        budget.spend(1)?;
        let at = offset.checked_add(number * ENTRY).ok_or(Error::Malformed("the dynamic section"))?;
        let entry: Dyn64<LE> = file_pod(blocks, at, "its dynamic section", budget)?;
        let value = entry.d_val.get(LE);
        match entry.d_tag.get(LE) {
            elf::DT_NULL => break,
            elf::DT_STRTAB => dynamic.strings = value,
            elf::DT_STRSZ => dynamic.strings_size = value,
            elf::DT_SYMTAB => dynamic.symbols = value,
            elf::DT_GNU_HASH => dynamic.gnu_hash = value,
            elf::DT_HASH => dynamic.hash = value,
            elf::DT_JMPREL => dynamic.plt_relocations = value,
            elf::DT_PLTRELSZ => dynamic.plt_relocations_size = value,
            elf::DT_RELA => dynamic.relocations = value,
            elf::DT_RELASZ => dynamic.relocations_size = value,
            elf::DT_RELACOUNT => dynamic.relative_count = value,
            elf::DT_FLAGS_1 => dynamic.is_pie = value & DF_1_PIE.0 != 0,
            _ => {}
        }
    }
    Ok(dynamic)
}

fn read_build_id(
    blocks: &mut Blocks,
    offset: u64,
    size: u64,
    budget: &mut Budget,
) -> Result<Option<BuildId>, Error> {
    const HEADER: u64 = size_of::<NoteHeader64<LE>>() as u64;
    let mut at = 0;
    for _ in 0..NOTES {
        let Some(start) = offset.checked_add(at).filter(|_| at.saturating_add(HEADER) <= size) else {
            break;
        };
        budget.spend(1)?;
        let header: NoteHeader64<LE> = file_pod(blocks, start, "its notes", budget)?;
        let (name, len) = (header.n_namesz.get(LE), header.n_descsz.get(LE));
        // Sizes of 32 bits: none of this overflows.
        let description = HEADER + u64::from(name).next_multiple_of(4);
        if header.n_type.get(LE) == elf::NT_GNU_BUILD_ID && name == 4 && (1..=BUILD_ID).contains(&len) {
            let mut bytes = vec![0; len as usize];
            let Some(start) = start.checked_add(description) else {
                break;
            };
            blocks.read_exact(start, &mut bytes, "its build-id", budget)?;
            return Ok(Some(BuildId(bytes)));
        }
        at += description + u64::from(len).next_multiple_of(4);
    }
    Ok(None)
}
