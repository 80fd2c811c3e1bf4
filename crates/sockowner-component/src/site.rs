//! Call sites: what the instruction before a return address calls. Bytes in, values out.

/// Bytes before a return address that a call may have.
pub(crate) const BEFORE: usize = 8;

/// Bytes that an entry of a PLT has, as far as its jump.
pub(crate) const STUB: usize = 16;

/// How the instruction that ends at a return address calls, as far as its bytes say. Instructions cannot be read
/// backwards with certainty: the bytes of one may end in those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    /// `call target`: where it goes to.
    pub(crate) direct: Option<u64>,
    /// `call *slot(%rip)`: where the slot is.
    pub(crate) slot: Option<u64>,
    /// A call by any other register or memory.
    pub(crate) indirect: bool,
}

/// Reads the bytes before `address`, nearest last.
pub(crate) fn decode(bytes: &[u8], address: u64) -> Site {
    let distance = bytes.last_chunk().map_or(0, |bytes| i64::from(i32::from_le_bytes(*bytes)));
    let before = |back: usize| bytes.len().checked_sub(back).and_then(|at| bytes.get(at)).copied();
    let target = address.wrapping_add_signed(distance);
    Site {
        direct: (before(5) == Some(0xe8)).then_some(target),
        slot: (before(6) == Some(0xff) && before(5) == Some(0x15)).then_some(target),
        indirect: (2..=7).any(|len| {
            let instruction = bytes.len().checked_sub(len).and_then(|at| bytes.get(at..));
            instruction.and_then(indirect_len) == Some(len)
        }),
    }
}

/// The length of the indirect near call that the bytes begin with; that by `slot(%rip)` is not one here.
fn indirect_len(bytes: &[u8]) -> Option<usize> {
    let (&opcode, rest) = bytes.split_first()?;
    let &modrm = rest.first()?;
    let (mode, operation, base) = (modrm >> 6, modrm >> 3 & 7, modrm & 7);
    if opcode != 0xff || operation != 2 {
        return None;
    }
    Some(match (mode, base) {
        (0, 5) => return None,
        (0, 4) if rest.get(1)? & 7 == 5 => 7,
        (0, 4) => 3,
        (1, 4) => 4,
        (2, 4) => 7,
        (0 | 3, _) => 2,
        (1, _) => 3,
        _ => 6,
    })
}

/// The slot by which the code at `address` jumps at once, as an entry of a PLT does.
pub(crate) fn stub(bytes: &[u8], address: u64) -> Option<u64> {
    const ENDBR64: &[u8] = &[0xf3, 0x0f, 0x1e, 0xfa];
    const BND: &[u8] = &[0xf2];
    const JUMP: &[u8] = &[0xff, 0x25];
    let rest = bytes.strip_prefix(ENDBR64).unwrap_or(bytes);
    let rest = rest.strip_prefix(BND).unwrap_or(rest).strip_prefix(JUMP)?;
    let (distance, behind) = rest.split_first_chunk()?;
    let behind = address.wrapping_add((bytes.len() - behind.len()) as u64);
    Some(behind.wrapping_add_signed(i32::from_le_bytes(*distance).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(bytes: &[u8]) -> (Option<u64>, Option<u64>, bool) {
        let Site { direct, slot, indirect } = decode(bytes, 0x1000);
        (direct, slot, indirect)
    }

    #[test]
    fn direct_calls_have_their_target() {
        assert_eq!(site(&[0x90, 0xe8, 0x10, 0, 0, 0]), (Some(0x1010), None, false));
        assert_eq!(site(&[0x67, 0xe8, 0xf0, 0xff, 0xff, 0xff]), (Some(0xff0), None, false));
    }

    #[test]
    fn calls_by_slot_have_their_slot() {
        assert_eq!(site(&[0x90, 0xff, 0x15, 0x00, 0x02, 0, 0]), (None, Some(0x1200), false));
    }

    #[test]
    fn other_calls_are_indirect() {
        for bytes in [
            &[0xff, 0xd0][..],               // *%rax
            &[0x41, 0xff, 0xd4],             // *%r12
            &[0xff, 0x10],                   // *(%rax)
            &[0xff, 0x14, 0x24],             // *(%rsp)
            &[0xff, 0x50, 0x18],             // *0x18(%rax)
            &[0xff, 0x54, 0x24, 0x08],       // *8(%rsp)
            &[0xff, 0x90, 0, 1, 0, 0],       // *0x100(%rax)
            &[0xff, 0x94, 0xc8, 0, 1, 0, 0], // *0x100(%rax,%rcx,8)
            &[0xff, 0x14, 0x25, 0, 1, 0, 0], // *0x100
            &[0x41, 0xff, 0x93, 0, 1, 0, 0], // *0x100(%r11)
        ] {
            let before = [&[0x90; 8][..], bytes].concat();
            assert_eq!(site(&before), (None, None, true), "{bytes:x?}");
            assert_eq!(site(bytes), (None, None, true), "{bytes:x?}");
        }
    }

    #[test]
    fn what_is_no_call_is_none() {
        for bytes in [&[][..], &[0xff], &[0xc3; 8], &[0xff, 0xe0], &[0xff, 0x25, 0, 0, 0, 0], &[0xff, 0xd8]] {
            assert_eq!(site(bytes), (None, None, false), "{bytes:x?}");
        }
    }

    #[test]
    fn entries_of_a_plt_have_their_slot() {
        let lazy = [0xff, 0x25, 0x10, 0, 0, 0, 0x68, 1, 0, 0, 0, 0xe9];
        assert_eq!(stub(&lazy, 0x1000), Some(0x1016));
        let cet = [0xf3, 0x0f, 0x1e, 0xfa, 0xff, 0x25, 0x10, 0, 0, 0, 0x66, 0x0f, 0x1f];
        assert_eq!(stub(&cet, 0x1000), Some(0x101a));
        let bnd = [0xf3, 0x0f, 0x1e, 0xfa, 0xf2, 0xff, 0x25, 0xf0, 0xff, 0xff, 0xff];
        assert_eq!(stub(&bnd, 0x1000), Some(0xffb));
        for bytes in [&[][..], &[0xff, 0x25, 0, 0, 0], &[0xf3, 0x0f, 0x1e, 0xfa], &[0xe9, 0, 0, 0, 0, 0]] {
            assert_eq!(stub(bytes, 0x1000), None);
        }
    }
}
