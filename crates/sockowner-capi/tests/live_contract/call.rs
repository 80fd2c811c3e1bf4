//! The C ABI as a C program sees it: the shared library itself, by its symbols.
#![expect(unsafe_code, reason = "a library loaded by hand, and calls through C's pointers")]

use std::ffi::{c_int, c_void};
use std::net::SocketAddr;
use std::path::Path;
use std::ptr::null_mut;
use std::sync::OnceLock;

use libloading::Library;

use super::row::{Kind, Row};
use super::workshop::profile_dir;

pub(super) const NOT_FOUND: u32 = 1168;
pub(super) const INSUFFICIENT_BUFFER: u32 = 122;
pub(super) const PARTIAL_COPY: u32 = 299;

type OwnerOf = unsafe extern "system" fn(*const c_void, c_int, *mut c_void, *mut u32) -> u32;
type OwnerOfPid = unsafe extern "system" fn(u32, *const u64, c_int, *mut c_void, *mut u32) -> u32;
type Extended = unsafe extern "system" fn(*mut c_void, *mut u32, c_int, u32, c_int, u32) -> u32;
type Plain = unsafe extern "system" fn(*mut c_void, *mut u32, c_int) -> u32;

/// One function of the library.
///
/// # Safety
/// It has the type `F`.
unsafe fn function<F: Copy>(name: &str) -> F {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| {
        // SAFETY: the library's only initialisers are those of Rust's own runtime.
        unsafe { Library::new(profile_dir().join("libsockowner.so")) }.unwrap()
    });
    // SAFETY: the contract; the library stays loaded.
    *unsafe { library.get::<F>(name.as_bytes()) }.unwrap()
}

/// Loads the library: for a test that gives up the right to do so.
pub(super) fn load() {
    // SAFETY: its type (`iphlpapi.h`).
    let _: Plain = unsafe { function("GetTcpTable") };
}

fn owner_of(kind: Kind) -> OwnerOf {
    let name = match kind {
        Kind::Tcp => "GetOwnerModuleFromTcpEntry",
        Kind::Tcp6 => "GetOwnerModuleFromTcp6Entry",
        Kind::Udp => "GetOwnerModuleFromUdpEntry",
        Kind::Udp6 => "GetOwnerModuleFromUdp6Entry",
    };
    // SAFETY: the type of each of these (`iphlpapi.h`).
    unsafe { function(name) }
}

/// Asks about the row's owner with this much room, by the row's function. Yields the code and the size.
pub(super) fn ask(row: &Row, room: Option<&mut [u8]>, mut size: u32) -> (u32, u32) {
    assert!(room.as_ref().is_none_or(|room| room.len() >= size as usize));
    let buffer = room.map_or(null_mut(), |room| room.as_mut_ptr().cast());
    // SAFETY: the row is as long as its kind's are, the buffer is NULL or as long as `size` at least.
    let code = unsafe { owner_of(row.kind)(row.bytes().as_ptr().cast(), 0, buffer, &raw mut size) };
    (code, size)
}

/// The same by `GetOwnerModuleFromPidAndInfo`.
fn ask_by_pid(row: &Row, room: &mut [u8]) -> (u32, u32) {
    // SAFETY: its type (`iphlpapi.h`).
    let owner: OwnerOfPid = unsafe { function("GetOwnerModuleFromPidAndInfo") };
    let mut size = u32::try_from(room.len()).unwrap();
    let info = row.info();
    // SAFETY: 16 words, and a buffer of `size` bytes.
    let code = unsafe { owner(row.pid(), info.as_ptr(), 0, room.as_mut_ptr().cast(), &raw mut size) };
    (code, size)
}

/// Name and path of the row's owner, or the code, by the row's function alone: for an owner that changes.
pub(super) fn at_once(row: &Row) -> Result<(String, String), u32> {
    taken(|room| ask(row, Some(room), SIZE))
}

/// Name and path of the row's owner, or the code. Both functions must say the same, and write nothing they must not.
pub(super) fn module(row: &Row) -> Result<(String, String), u32> {
    let told = at_once(row);
    assert_eq!(taken(|room| ask_by_pid(row, room)), told);
    told
}

const ROOM: usize = 65536;
const SIZE: u32 = 65536;

/// Takes the answer apart.
fn taken(ask: impl Fn(&mut [u8]) -> (u32, u32)) -> Result<(String, String), u32> {
    let mut room = vec![0xa5; ROOM];
    let (code, size) = ask(&mut room);
    let is_untouched = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0xa5);
    if code != 0 {
        assert_eq!(size, SIZE, "only 122 tells a size");
        assert!(is_untouched(&room), "nothing is written with {code}");
        return Err(code);
    }
    let used = size as usize;
    assert!(is_untouched(&room[used..]));
    let pointer = |at: usize| usize::from_ne_bytes(room[at..at + size_of::<usize>()].try_into().unwrap());
    let text = |from: usize, to: usize| {
        let units = room[from..to].chunks_exact(2).map(|unit| u16::from_ne_bytes([unit[0], unit[1]]));
        let mut units: Vec<u16> = units.collect();
        assert_eq!(units.pop(), Some(0));
        String::from_utf16(&units).unwrap()
    };
    let [name, path] = [0, size_of::<usize>()].map(|at| pointer(at) - room.as_ptr().addr());
    assert_eq!(name, 2 * size_of::<usize>());
    Ok((text(name, path), text(path, used)))
}

/// The answer for this executable.
#[expect(clippy::unnecessary_wraps, reason = "to be compared with what `module` says")]
pub(super) fn executable(path: &Path) -> Result<(String, String), u32> {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    Ok((name, path.to_string_lossy().into_owned()))
}

/// The same name and path.
#[expect(clippy::unnecessary_wraps, reason = "to be compared with what `module` says")]
pub(super) fn both(name: &str) -> Result<(String, String), u32> {
    Ok((name.to_owned(), name.to_owned()))
}

/// A table of one of the functions, its rows as bytes; the loop that every caller has.
fn fetch(row_size: usize, call: impl Fn(*mut c_void, *mut u32) -> u32) -> Vec<Vec<u8>> {
    let mut size = 0;
    let mut room: Vec<u8> = Vec::new();
    loop {
        let buffer = if room.is_empty() { null_mut() } else { room.as_mut_ptr().cast() };
        match call(buffer, &raw mut size) {
            0 => break,
            INSUFFICIENT_BUFFER => room = vec![0xa5; size as usize],
            code => panic!("a table: {code}"),
        }
    }
    room.truncate(size as usize);
    let count = u32::from_ne_bytes(room[..4].try_into().unwrap()) as usize;
    let first = room.len() - count * row_size;
    assert_eq!(first, if row_size >= 160 { 8 } else { 4 });
    room[first..].chunks_exact(row_size).map(<[u8]>::to_vec).collect()
}

/// `GetExtendedTcpTable` or `GetExtendedUdpTable`, sorted.
pub(super) fn extended(kind: Kind, class: i32, row_size: usize) -> Vec<Vec<u8>> {
    let name = if kind.is_tcp() { "GetExtendedTcpTable" } else { "GetExtendedUdpTable" };
    // SAFETY: the type of both (`iphlpapi.h`).
    let table: Extended = unsafe { function(name) };
    let family = if kind.is_v6() { 10 } else { 2 };
    // SAFETY: `fetch` passes NULL or a buffer of `*size` bytes.
    fetch(row_size, |buffer, size| unsafe { table(buffer, size, 1, family, class, 0) })
}

/// `GetTcpTable` or another of the older functions, sorted.
pub(super) fn plain(name: &str, row_size: usize) -> Vec<Vec<u8>> {
    // SAFETY: the type of all of these (`iphlpapi.h`).
    let table: Plain = unsafe { function(name) };
    // SAFETY: `fetch` passes NULL or a buffer of `*size` bytes.
    fetch(row_size, |buffer, size| unsafe { table(buffer, size, 1) })
}

/// The whole table with owners, sorted.
pub(super) fn rows(kind: Kind) -> Vec<Row> {
    let class = if kind.is_tcp() { 8 } else { 2 };
    extended(kind, class, kind.row_size()).into_iter().map(|bytes| Row::new(kind, bytes)).collect()
}

/// The one row with this local address.
#[track_caller]
pub(super) fn row_at(kind: Kind, local: SocketAddr) -> Row {
    let mut found: Vec<Row> = rows(kind).into_iter().filter(|row| row.local() == local).collect();
    assert_eq!(found.len(), 1, "{kind:?} {local}: {found:?}");
    found.remove(0)
}
