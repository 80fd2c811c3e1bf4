//! Rows of arbitrary bytes, at any address, with any class and any size of buffer: only specified codes, only specified
//! writes.
#![cfg_attr(fuzzing, no_main)]
#![expect(unsafe_code, reason = "calls the C ABI as a C program does")]

#[path = "../frame.rs"]
#[macro_use]
mod frame;
#[path = "../input.rs"]
mod input;

use std::ffi::c_void;
use std::net::TcpListener;
use std::ops::Range;
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

use input::Input;
use sockowner_capi::owner::{
    GetOwnerModuleFromPidAndInfo, GetOwnerModuleFromTcp6Entry, GetOwnerModuleFromTcpEntry,
    GetOwnerModuleFromUdp6Entry, GetOwnerModuleFromUdpEntry,
};
use sockowner_capi::tables::GetExtendedTcpTable;

target!(run);

const NO_ERROR: u32 = 0;
const INVALID_PARAMETER: u32 = 87;
const INSUFFICIENT_BUFFER: u32 = 122;
const PARTIAL_COPY: u32 = 299;
const NOT_FOUND: u32 = 1168;

/// Bytes of `TCPIP_OWNER_MODULE_BASIC_INFO`.
const STRUCT: usize = 2 * size_of::<usize>();
/// Bytes of `OwningModuleInfo`.
const WORDS: usize = 128;

/// A function that takes a row: how long that is, and where the pid and `OwningModuleInfo` are.
#[derive(Clone, Copy, Debug)]
struct Kind {
    call: fn(*const u8, i32, *mut c_void, *mut u32) -> u32,
    len: usize,
    pid: usize,
    words: usize,
}

macro_rules! of_row {
    ($function:ident) => {
        |row, class, buffer, size| {
            // SAFETY: the pointers are NULL or into `Memory`, where a row, a DWORD, and a buffer as long as that says are.
            unsafe { $function(row.cast(), class, buffer, size) }
        }
    };
}

const KINDS: [Kind; 5] = [
    Kind { call: of_row!(GetOwnerModuleFromTcpEntry), len: 160, pid: 20, words: 32 },
    Kind { call: of_row!(GetOwnerModuleFromTcp6Entry), len: 192, pid: 52, words: 64 },
    Kind { call: of_row!(GetOwnerModuleFromUdpEntry), len: 160, pid: 8, words: 32 },
    Kind { call: of_row!(GetOwnerModuleFromUdp6Entry), len: 176, pid: 24, words: 48 },
    Kind { call: by_pid, len: 4 + WORDS, pid: 0, words: 4 },
];

/// The pid, then the words.
fn by_pid(row: *const u8, class: i32, buffer: *mut c_void, size: *mut u32) -> u32 {
    let (pid, words) = if row.is_null() {
        (std::process::id(), null())
    } else {
        // SAFETY: a pid at the front of `4 + WORDS` bytes, read without alignment.
        (unsafe { row.cast::<u32>().read_unaligned() }, row.wrapping_add(4))
    };
    // SAFETY: as in `of_row`; behind the pid are the words.
    unsafe { GetOwnerModuleFromPidAndInfo(pid, words.cast(), class, buffer, size) }
}

/// What a program hands over, with bytes around that are nobody's.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Memory {
    bytes: Vec<u8>,
    row: Range<usize>,
    size: Range<usize>,
    buffer: Range<usize>,
}

/// Which pointer is NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Null {
    Row,
    Size,
    Buffer,
    None,
}

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let kind = KINDS[usize::from(input.byte()) % KINDS.len()];
    let null = [Null::None, Null::Row, Null::Size, Null::Buffer, Null::None][usize::from(input.byte()) % 5];
    let class = match input.byte() % 4 {
        0 | 1 => 0,
        2 => 1,
        _ => i32::from_ne_bytes(input.take()),
    };
    let base = input.byte() % 4;
    let mut shift = || usize::from(input.byte() % 8);
    let shifts = [shift(), shift(), shift()];
    let room = u16::from_ne_bytes(input.take());
    let room = if room % 2 == 0 { room % 256 } else { room % 8192 };
    let mut row = vec![0; kind.len];
    input.fill(&mut row);
    if base > 0 {
        row[kind.pid..][..4].copy_from_slice(&std::process::id().to_ne_bytes());
        let words = row[kind.words..][..WORDS].iter_mut().zip(own_words());
        match base {
            1 => {}
            2 => words.for_each(|(byte, own)| *byte = *own),
            _ => words.for_each(|(byte, own)| *byte ^= own),
        }
    }
    let memory = Memory::new(&row, room, shifts);
    let code = check(&memory, kind, class, null);
    if base == 2 && class == 0 && null == Null::None {
        assert!(matches!(code, NO_ERROR | INSUFFICIENT_BUFFER), "{code} for this very process");
        exact(&row, shifts, kind);
    }
}

/// One call, and everything that holds whatever it was made with.
fn check(before: &Memory, kind: Kind, class: i32, null: Null) -> u32 {
    let mut after = before.clone();
    let code = after.call(kind, class, null);
    let pid = &before.bytes[before.row.clone()][kind.pid..][..4];
    match code {
        _ if class != 0 || matches!(null, Null::Row | Null::Size) => assert_eq!(code, INVALID_PARAMETER),
        _ if pid == [0; 4] => assert_eq!(code, NOT_FOUND),
        NO_ERROR | INSUFFICIENT_BUFFER | NOT_FOUND | PARTIAL_COPY => {}
        other => panic!("{other} is not specified"),
    }
    let mut expected = before.clone();
    if matches!(code, NO_ERROR | INSUFFICIENT_BUFFER) {
        expected.bytes[after.size.clone()].copy_from_slice(&after.bytes[after.size.clone()]);
        let needed = after.told();
        assert!(needed >= STRUCT + 4 && needed % 2 == 0, "{needed} bytes");
        let fits = null != Null::Buffer && needed <= before.buffer.len();
        assert_eq!(fits, code == NO_ERROR, "{needed} bytes in {}", before.buffer.len());
        if fits {
            let written = after.buffer.start..after.buffer.start + needed;
            expected.bytes[written.clone()].copy_from_slice(&after.bytes[written.clone()]);
            after.check_texts(&written);
        }
    }
    assert!(after == expected, "code {code}: something else was written");
    code
}

/// A buffer of the needed size will do, and one byte less will not.
fn exact(row: &[u8], shifts: [usize; 3], kind: Kind) {
    let mut sizing = Memory::new(row, 0, shifts);
    assert_eq!(sizing.call(kind, 0, Null::Buffer), INSUFFICIENT_BUFFER);
    let needed = u16::try_from(sizing.told()).expect("the path of this program is short");
    assert_eq!(check(&Memory::new(row, needed - 1, shifts), kind, 0, Null::None), INSUFFICIENT_BUFFER);
    assert_eq!(check(&Memory::new(row, needed, shifts), kind, 0, Null::None), NO_ERROR);
}

impl Memory {
    fn new(row: &[u8], room: u16, shifts: [usize; 3]) -> Self {
        const GAP: usize = 64;
        let mut end = 0;
        let mut place = |len: usize, shift: usize| {
            let start = (end + GAP).next_multiple_of(16) + shift;
            end = start + len;
            start..end
        };
        let (row_at, size, buffer) =
            (place(row.len(), shifts[0]), place(4, shifts[1]), place(room.into(), shifts[2]));
        let mut bytes = vec![0xa5; end + GAP];
        bytes[row_at.clone()].copy_from_slice(row);
        bytes[size.clone()].copy_from_slice(&u32::from(room).to_ne_bytes());
        Self { bytes, row: row_at, size, buffer }
    }

    fn call(&mut self, kind: Kind, class: i32, null: Null) -> u32 {
        let start = self.bytes.as_mut_ptr();
        let row = if null == Null::Row { null_mut() } else { start.wrapping_add(self.row.start) };
        let size = if null == Null::Size { null_mut() } else { start.wrapping_add(self.size.start) };
        let buffer = if null == Null::Buffer { null_mut() } else { start.wrapping_add(self.buffer.start) };
        (kind.call)(row, class, buffer.cast(), size.cast())
    }

    /// What `*size` says.
    fn told(&self) -> usize {
        let bytes = self.bytes[self.size.clone()].try_into().expect("four bytes");
        usize::try_from(u32::from_ne_bytes(bytes)).expect("a size")
    }

    /// Two pointers, then the name, then the path, each with its NUL and no other.
    fn check_texts(&self, written: &Range<usize>) {
        let bytes = &self.bytes[written.clone()];
        let (pointers, texts) = bytes.split_at(STRUCT);
        let at = |pointer: usize| {
            let bytes = pointers[pointer * size_of::<usize>()..][..size_of::<usize>()].try_into();
            usize::from_ne_bytes(bytes.expect("a pointer"))
                .wrapping_sub(self.bytes.as_ptr().addr() + written.start)
        };
        let units: Vec<[u8; 2]> = texts.chunks_exact(2).map(|unit| [unit[0], unit[1]]).collect();
        let ends: Vec<usize> = (0..units.len()).filter(|&unit| units[unit] == [0, 0]).collect();
        assert_eq!(ends.len(), 2, "NULs");
        assert_eq!((at(0), at(1)), (STRUCT, STRUCT + 2 * (ends[0] + 1)), "pointers");
        assert_eq!(ends[1] + 1, units.len(), "the end");
    }
}

/// `OwningModuleInfo` for this process, as a table tells it.
fn own_words() -> &'static [u8; WORDS] {
    const LISTENER: i32 = 6;
    static OWN: OnceLock<[u8; WORDS]> = OnceLock::new();
    OWN.get_or_init(|| {
        // A process is told from its successors by its start alone once the tick of its start is over.
        std::thread::sleep(std::time::Duration::from_millis(50));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port().to_be_bytes();
        // As u64 for the alignment of rows.
        let mut table = vec![0_u64; 1 << 17];
        let mut size = 1 << 20;
        // SAFETY: `table` has as many bytes as `size` says.
        let code =
            unsafe { GetExtendedTcpTable(table.as_mut_ptr().cast(), &raw mut size, 0, 2, LISTENER, 0) };
        assert_eq!(code, NO_ERROR, "GetExtendedTcpTable");
        let bytes: Vec<u8> = table.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let row = bytes[8..].chunks_exact(160).find(|row| row[8..10] == port);
        row.and_then(|row| row[32..].try_into().ok()).expect("our listener has a row")
    })
}
