//! What the dynamic linker puts into a slot of the GOT, by its relocation.

use std::ops::Range;

use object::elf::{self, Rela64};
use object::endian::LittleEndian as LE;

use crate::Error;
use crate::elf::Elf;
use crate::limits::Budget;
use crate::symbol;

/// What a slot is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// The address of the symbol of this name, wherever the dynamic linker finds it.
    Symbol(Vec<u8>),
    /// This address of the same module.
    Address(u64),
    /// What a function of the module chooses when it is loaded.
    Chosen,
}

const RELOCATION: u64 = size_of::<Rela64<LE>>() as u64;

/// What the slot at `address` is for. None where it has no relocation: then it is no slot, but a variable.
pub(crate) fn find(elf: &mut Elf, address: u64, budget: &mut Budget) -> Result<Option<Slot>, Error> {
    let dynamic = elf.dynamic;
    let of_plt = (dynamic.plt_relocations, dynamic.plt_relocations_size / RELOCATION);
    let others = (dynamic.relocations, dynamic.relocations_size / RELOCATION);
    let relative = dynamic.relative_count.min(others.1);
    let mut found = guess(elf, of_plt, address, budget)?;
    // Those without a symbol come first, and are many: they are searched last.
    for (table, range) in [(of_plt, 0..of_plt.1), (others, relative..others.1), (others, 0..relative)] {
        if found.is_none() {
            found = search(elf, table, range, address, budget)?;
        }
    }
    let Some(relocation) = found else {
        return Ok(None);
    };
    let addend = relocation.r_addend.get(LE);
    Ok(match relocation.r_type(LE, false) {
        elf::R_X86_64_JUMP_SLOT | elf::R_X86_64_GLOB_DAT => {
            Some(Slot::Symbol(symbol::name(elf, relocation.r_sym(LE, false), budget)?))
        }
        elf::R_X86_64_RELATIVE => Some(Slot::Address(addend.cast_unsigned())),
        elf::R_X86_64_IRELATIVE => Some(Slot::Chosen),
        _ => None,
    })
}

fn at(elf: &mut Elf, table: (u64, u64), number: u64, budget: &mut Budget) -> Result<Rela64<LE>, Error> {
    let offset = number.checked_mul(RELOCATION).ok_or(Error::Malformed("its relocations"))?;
    elf.pod(table.0, offset, "its relocations", budget)
}

/// Slots of the PLT mostly lie side by side, in the order of their relocations.
fn guess(
    elf: &mut Elf,
    table: (u64, u64),
    address: u64,
    budget: &mut Budget,
) -> Result<Option<Rela64<LE>>, Error> {
    if table.1 == 0 {
        return Ok(None);
    }
    let first = at(elf, table, 0, budget)?.r_offset.get(LE);
    let Some(number) =
        address.checked_sub(first).map(|distance| distance / 8).filter(|number| *number < table.1)
    else {
        return Ok(None);
    };
    let relocation = at(elf, table, number, budget)?;
    Ok((relocation.r_offset.get(LE) == address).then_some(relocation))
}

fn search(
    elf: &mut Elf,
    table: (u64, u64),
    range: Range<u64>,
    address: u64,
    budget: &mut Budget,
) -> Result<Option<Rela64<LE>>, Error> {
    for number in range {
        budget.spend(1)?;
        let relocation = at(elf, table, number, budget)?;
        if relocation.r_offset.get(LE) == address {
            return Ok(Some(relocation));
        }
    }
    Ok(None)
}
