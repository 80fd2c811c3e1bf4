//! A small ELF library, made by hand: a page with one function, its unwind information, one symbol that it may import
//! or define, and one slot of a GOT. Each table is where the constants say, so that it can be spoilt.

/// Its size; addresses and offsets in the file are the same.
pub(crate) const SIZE: usize = 0x1000;
pub(crate) const HEADERS: usize = 0x40;
pub(crate) const DYNAMIC: usize = 0x180;
pub(crate) const NAMES: usize = 0x220;
pub(crate) const SYMBOLS: usize = 0x240;
pub(crate) const GNU_HASH: usize = 0x290;
pub(crate) const RELOCATIONS: usize = 0x2c0;
pub(crate) const HASH: usize = 0x2e0;
pub(crate) const UNWIND_HEADER: usize = 0x300;
pub(crate) const UNWIND: usize = 0x340;
pub(crate) const SLOT: usize = 0x400;
/// The function; the file's `bind`, or its `run`, which calls bind.
pub(crate) const FUNCTION: usize = 0x500;
/// Behind the system call of `bind`.
pub(crate) const BEHIND_SYSCALL: usize = FUNCTION + 0x0c;
/// Behind the call in `run`.
pub(crate) const BEHIND_CALL: usize = FUNCTION + 0x15;
const PLT: usize = 0x580;

/// The library; it defines `bind`, or imports it.
pub(crate) fn library(defines_bind: bool) -> Vec<u8> {
    let mut file = vec![0; SIZE];
    let mut put = |at: usize, parts: &[&[u8]]| {
        let bytes = parts.concat();
        file[at..at + bytes.len()].copy_from_slice(&bytes);
    };
    let small = |n: usize| u32::try_from(n).unwrap_or(0);
    let (a, b) = (|n: usize| small(n).to_le_bytes(), |n: usize| (n as u64).to_le_bytes());
    let near = |to: usize, from: usize| small(to).wrapping_sub(small(from)).to_le_bytes();

    put(0, &[b"\x7fELF\x02\x01\x01", &[0; 9], &[3, 0, 62, 0, 1, 0, 0, 0], &b(0), &b(HEADERS), &b(0), &a(0)]);
    put(0x34, &[&[64, 0, 56, 0, 4, 0, 64, 0, 0, 0, 0, 0]]);
    for (number, (kind, at, size)) in
        [(1, 0, SIZE), (2, DYNAMIC, 0xa0), (0x6474_e550, UNWIND_HEADER, 0x20), (4, 0x140, 36)]
            .into_iter()
            .enumerate()
    {
        put(
            HEADERS + number * 56,
            &[&a(kind), &a(5), &b(at), &b(at), &b(at), &b(size), &b(size), &b(0x1000)],
        );
    }
    put(0x140, &[&a(4), &a(20), &a(3), b"GNU\0", &[0xab; 20]]);
    for (number, (tag, value)) in [
        (5, NAMES),
        (10, 10),
        (6, SYMBOLS),
        (0x6fff_fef5, GNU_HASH),
        (23, RELOCATIONS),
        (2, 24),
        (7, RELOCATIONS),
        (8, 24),
    ]
    .into_iter()
    .enumerate()
    {
        put(DYNAMIC + number * 16, &[&b(tag), &b(value)]);
    }
    put(NAMES, &[b"\0bind\0run\0"]);
    let section = |is_defined: bool| [0x12, 0, u8::from(is_defined), 0];
    put(
        SYMBOLS + 24,
        &[&a(1), &section(defines_bind), &b(if defines_bind { FUNCTION } else { 0 }), &b(0x40)],
    );
    put(SYMBOLS + 48, &[&a(6), &section(!defines_bind), &b(FUNCTION), &b(0x40)]);
    let hash = |name: &[u8]| {
        name.iter().fold(5381_u32, |hash, &byte| hash.wrapping_mul(33).wrapping_add(byte.into()))
    };
    let [bind, run] = [(hash(b"bind") & !1).to_le_bytes(), (hash(b"run") | 1).to_le_bytes()];
    put(GNU_HASH, &[&a(1), &a(1), &a(1), &a(6), &[0xff; 8], &a(1), &bind, &run]);
    put(RELOCATIONS, &[&b(SLOT), &a(7), &a(1), &b(0)]);
    // One bucket, three symbols; not in use until the dynamic section names it.
    put(HASH, &[&a(1), &a(3), &a(1), &a(0), &a(2), &a(0)]);
    let fde = UNWIND + 24;
    let table = [near(FUNCTION, UNWIND_HEADER), near(fde, UNWIND_HEADER)].concat();
    put(UNWIND_HEADER, &[&[1, 0x1b, 3, 0x3b], &near(UNWIND, UNWIND_HEADER + 4), &a(1), &table]);
    // CFA = rsp + 8, the return address right below it.
    put(UNWIND, &[&a(20), &a(0), b"\x01zR\0\x01\x78\x10\x01\x1b\x0c\x07\x08\x90\x01\0\0"]);
    put(fde, &[&a(16), &a(28), &near(FUNCTION, fde + 8), &a(0x40), &[0; 4]]);
    put(FUNCTION + 0x0a, &[&[0x0f, 0x05]]);
    put(FUNCTION + 0x10, &[&[0xe8], &near(PLT, BEHIND_CALL)]);
    put(PLT, &[&[0xff, 0x25], &near(SLOT, PLT + 6)]);
    file
}
