//! Finds the entry of `.eh_frame` for an address, and reads nothing else of that section.

use crate::Error;
use crate::elf::Elf;
use crate::limits::Budget;

/// The longest entry that is taken; real ones have some dozens of bytes, large functions a few thousand.
const ENTRY: u32 = 1 << 16;

/// One function, or part of one, and how to unwind it: a section `.eh_frame` that has this one entry.
#[derive(Clone, Debug)]
pub(crate) struct Fde {
    /// Its first address, in the file's numbers.
    pub(crate) start: u64,
    /// The address behind its last one.
    pub(crate) end: u64,
    /// The CIE, then the FDE.
    pub(crate) section: Vec<u8>,
    /// Where the FDE begins in it.
    pub(crate) at: usize,
    /// The address that makes relative pointers in the FDE right.
    pub(crate) base: u64,
}

/// The address of the FDE that may hold `address`, by binary search in `.eh_frame_hdr`.
///
/// None where there is no such table, or where the address is before its first entry.
pub(crate) fn find(elf: &mut Elf, address: u64, budget: &mut Budget) -> Result<Option<u64>, Error> {
    const WHAT: &str = "its .eh_frame_hdr";
    /// Version 1; a relative pointer of 4 bytes; a count of 4 bytes; a table of pairs of 4 bytes, relative to itself.
    /// Every linker writes it so.
    const USUAL: [u8; 4] = [1, 0x1b, 0x03, 0x3b];
    let Some((header, size)) = elf.unwind_header else {
        return Ok(None);
    };
    let mut bytes = [0; 12];
    elf.read_exact(header, &mut bytes, WHAT, budget)?;
    let [version, pointer, count, table, ..] = bytes;
    if [version, count, table] != [USUAL[0], USUAL[2], USUAL[3]] || pointer & 0x0f != USUAL[1] & 0x0f {
        return Err(Error::Unsupported("an unusual .eh_frame_hdr"));
    }
    let count = u64::from(word(&bytes, 8)).min(size.saturating_sub(12) / 8);
    let mut entry = |number: u64, elf: &mut Elf| -> Result<(u64, u64), Error> {
        budget.spend(1)?;
        let at = header.checked_add(12 + number * 8).ok_or(Error::Malformed(WHAT))?;
        let mut bytes = [0; 8];
        elf.read_exact(at, &mut bytes, WHAT, budget)?;
        let absolute = |distance: u32| header.wrapping_add_signed(distance.cast_signed().into());
        Ok((absolute(word(&bytes, 0)), absolute(word(&bytes, 4))))
    };
    // The last entry that begins at the address or before it.
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if entry(middle, elf)?.0 <= address { low = middle + 1 } else { high = middle }
    }
    let Some(number) = low.checked_sub(1) else {
        return Ok(None);
    };
    Ok(Some(entry(number, elf)?.1))
}

/// Reads the FDE at `address` and its CIE. Their content is not looked at; `start` and `end` are still to be filled in.
pub(crate) fn read(elf: &mut Elf, address: u64, budget: &mut Budget) -> Result<Fde, Error> {
    const WHAT: &str = "its .eh_frame";
    let (fde, distance) = entry(elf, address, budget)?;
    // The pointer to the CIE is the distance back from itself.
    let pointer = address.checked_add(4).ok_or(Error::Malformed(WHAT))?;
    let cie = pointer.checked_sub(distance.into()).filter(|_| distance != 0);
    let (mut section, is_cie) = entry(elf, cie.ok_or(Error::Malformed(WHAT))?, budget)?;
    if is_cie != 0 {
        return Err(Error::Malformed("an FDE without a CIE"));
    }
    let at = section.len();
    section.extend_from_slice(&fde);
    let distance = u32::try_from(at + 4).map_err(|_| Error::Malformed(WHAT))?;
    section[at + 4..at + 8].copy_from_slice(&distance.to_le_bytes());
    Ok(Fde { start: 0, end: 0, section, at, base: address.wrapping_sub(at as u64) })
}

/// The bytes of one entry, its length included, and the word behind the length.
fn entry(elf: &mut Elf, address: u64, budget: &mut Budget) -> Result<(Vec<u8>, u32), Error> {
    const WHAT: &str = "an entry of its .eh_frame";
    let mut head = [0; 8];
    elf.read_exact(address, &mut head, WHAT, budget)?;
    let len = word(&head, 0);
    // The largest number announces 64 bits, which nobody uses here.
    if !(4..=ENTRY).contains(&len) {
        return Err(Error::Unsupported("the length of an entry of .eh_frame"));
    }
    budget.spend(u64::from(len) / 64 + 1)?;
    let mut bytes = vec![0; len as usize + 4];
    elf.read_exact(address, &mut bytes, WHAT, budget)?;
    Ok((bytes, word(&head, 4)))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}
