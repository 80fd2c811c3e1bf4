//! What a module defines, by name: the lookup of the dynamic linker, with bounds.

use object::elf::{self, Sym64};
use object::endian::LittleEndian as LE;

use crate::Error;
use crate::elf::Elf;
use crate::limits::Budget;

/// Definitions of one name that are looked at: versions of a symbol, mostly one.
const VERSIONS: usize = 8;

/// The longest name: of C++, some are long.
pub(crate) const NAME: usize = 4096;

/// A symbol that a module defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Definition {
    /// Its address in the file's numbers.
    pub(crate) address: u64,
    /// That is a function which chooses the one that is meant.
    pub(crate) chooses: bool,
}

/// The symbols called `name` that a dynamic linker would find in this module.
pub(crate) fn definitions(elf: &mut Elf, name: &[u8], budget: &mut Budget) -> Result<Vec<Definition>, Error> {
    if elf.dynamic.symbols == 0 || elf.dynamic.strings == 0 {
        Ok(Vec::new())
    } else if elf.dynamic.gnu_hash != 0 {
        by_gnu_hash(elf, name, budget)
    } else if elf.dynamic.hash != 0 {
        by_hash(elf, name, budget)
    } else {
        // The dynamic linker finds nothing here either.
        Ok(Vec::new())
    }
}

/// The name of a symbol.
pub(crate) fn name(elf: &mut Elf, index: u32, budget: &mut Budget) -> Result<Vec<u8>, Error> {
    let symbol = symbol(elf, index, budget)?;
    let at = u64::from(symbol.st_name.get(LE));
    let Dynamic { strings, strings_size } = Dynamic::of(elf);
    if at >= strings_size {
        return Err(Error::Malformed("a symbol's name"));
    }
    let address = strings.checked_add(at).ok_or(Error::Malformed("a symbol's name"))?;
    elf.string(address, NAME, budget)
}

struct Dynamic {
    strings: u64,
    strings_size: u64,
}

impl Dynamic {
    fn of(elf: &Elf) -> Self {
        Self { strings: elf.dynamic.strings, strings_size: elf.dynamic.strings_size }
    }
}

fn symbol(elf: &mut Elf, index: u32, budget: &mut Budget) -> Result<Sym64<LE>, Error> {
    let at = u64::from(index) * size_of::<Sym64<LE>>() as u64;
    elf.pod(elf.dynamic.symbols, at, "its symbols", budget)
}

fn by_gnu_hash(elf: &mut Elf, name: &[u8], budget: &mut Budget) -> Result<Vec<Definition>, Error> {
    const WHAT: &str = "its hash table";
    let table = elf.dynamic.gnu_hash;
    let mut header = [0; 16];
    elf.read_exact(table, &mut header, WHAT, budget)?;
    let [buckets, first, words, shift] = [0, 4, 8, 12].map(|at| word(&header, at));
    if buckets == 0 || words == 0 {
        return Ok(Vec::new());
    }
    let hash = name.iter().fold(5381_u32, |hash, &byte| hash.wrapping_mul(33).wrapping_add(byte.into()));
    let mut bloom = [0; 8];
    let at = 16 + u64::from(hash / 64 % words) * 8;
    elf.read_exact(add(table, at)?, &mut bloom, WHAT, budget)?;
    let bloom = u64::from_le_bytes(bloom);
    let second = hash.checked_shr(shift).unwrap_or(0);
    if bloom >> (hash % 64) & bloom >> (second % 64) & 1 == 0 {
        return Ok(Vec::new());
    }
    let chains = add(table, 16 + u64::from(words) * 8)?;
    let mut bytes = [0; 4];
    elf.read_exact(add(chains, u64::from(hash % buckets) * 4)?, &mut bytes, WHAT, budget)?;
    let mut index = u32::from_le_bytes(bytes);
    let chains = add(chains, u64::from(buckets) * 4)?;
    let mut found = Vec::new();
    while index >= first && found.len() < VERSIONS {
        budget.spend(1)?;
        elf.read_exact(add(chains, u64::from(index - first) * 4)?, &mut bytes, WHAT, budget)?;
        let entry = u32::from_le_bytes(bytes);
        if entry | 1 == hash | 1 {
            found.extend(defined(elf, index, name, budget)?);
        }
        if entry & 1 == 1 {
            break;
        }
        index = index.checked_add(1).ok_or(Error::Malformed(WHAT))?;
    }
    Ok(found)
}

fn by_hash(elf: &mut Elf, name: &[u8], budget: &mut Budget) -> Result<Vec<Definition>, Error> {
    const WHAT: &str = "its hash table";
    let table = elf.dynamic.hash;
    let mut header = [0; 8];
    elf.read_exact(table, &mut header, WHAT, budget)?;
    let [buckets, symbols] = [0, 4].map(|at| word(&header, at));
    if buckets == 0 {
        return Ok(Vec::new());
    }
    let hash = name.iter().fold(0_u32, |hash, &byte| {
        let hash = (hash << 4).wrapping_add(byte.into());
        let high = hash & 0xf000_0000;
        (hash ^ high >> 24) & !high
    });
    let mut bytes = [0; 4];
    elf.read_exact(add(table, 8 + u64::from(hash % buckets) * 4)?, &mut bytes, WHAT, budget)?;
    let mut index = u32::from_le_bytes(bytes);
    let chains = add(table, 8 + u64::from(buckets) * 4)?;
    let mut found = Vec::new();
    let mut left = symbols;
    while index != 0 && index < symbols && found.len() < VERSIONS {
        budget.spend(1)?;
        // A chain longer than there are symbols is a ring.
        left = left.checked_sub(1).ok_or(Error::Malformed(WHAT))?;
        found.extend(defined(elf, index, name, budget)?);
        elf.read_exact(add(chains, u64::from(index) * 4)?, &mut bytes, WHAT, budget)?;
        index = u32::from_le_bytes(bytes);
    }
    Ok(found)
}

/// The symbol if it is called so, and defined for others.
fn defined(elf: &mut Elf, index: u32, name: &[u8], budget: &mut Budget) -> Result<Option<Definition>, Error> {
    let found = symbol(elf, index, budget)?;
    let is_code = !matches!(found.st_type(), elf::STT_TLS | elf::STT_SECTION | elf::STT_FILE);
    let is_defined = found.st_shndx.get(LE) != elf::SHN_UNDEF && found.st_bind() != elf::STB_LOCAL;
    if !is_code || !is_defined {
        return Ok(None);
    }
    let Dynamic { strings, strings_size } = Dynamic::of(elf);
    let at = u64::from(found.st_name.get(LE));
    if at >= strings_size {
        return Err(Error::Malformed("a symbol's name"));
    }
    let mut bytes = vec![0; name.len() + 1];
    let len = elf.read(add(strings, at)?, &mut bytes, budget)?;
    let is_called_so = len == bytes.len() && bytes.strip_suffix(&[0]) == Some(name);
    let chooses = found.st_type() == elf::STT_GNU_IFUNC;
    let definition = Definition { address: found.st_value.get(LE), chooses };
    Ok(is_called_so.then_some(definition))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn add(address: u64, at: u64) -> Result<u64, Error> {
    address.checked_add(at).ok_or(Error::Malformed("an address in a table"))
}
