//! What a program left in the kernel: BPF programs and maps, by their pins and names, what they cost, and what is in them.
//!
//! Layouts: `union bpf_attr` and `struct bpf_prog_info` of `linux/bpf.h`.
#![expect(unsafe_code, reason = "bpf(2) has no safe wrapper")]

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Commands of bpf(2).
const MAP_UPDATE_ELEM: libc::c_int = 2;
const OBJ_GET: libc::c_int = 7;
const PROG_GET_NEXT_ID: libc::c_int = 11;
const MAP_GET_NEXT_ID: libc::c_int = 12;
const MAP_GET_FD_BY_ID: libc::c_int = 14;
const PROG_GET_FD_BY_ID: libc::c_int = 13;
const OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const ENABLE_STATS: libc::c_int = 32;

/// A BPF program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its number.
    pub id: u32,
    /// Its name: 15 bytes at most.
    pub name: String,
    /// How often it ran while [`Stats`] were kept.
    pub runs: u64,
    /// How long in all.
    pub nanos: u64,
}

/// A BPF map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// Bytes of one value.
    pub value: u64,
    /// How many entries it can have.
    pub entries: u64,
    /// Bytes of the kernel's memory that it takes, as the kernel reckons.
    pub memory: u64,
}

/// Runs are counted and timed while this lives.
#[derive(Debug)]
pub struct Stats {
    _on: OwnedFd,
}

impl Stats {
    /// Begins.
    pub fn enable() -> io::Result<Self> {
        // The kind: BPF_STATS_RUN_TIME, which is 0.
        let mut request = Request::default();
        // SAFETY: BPF_ENABLE_STATS reads its `type`, and no pointer; it returns a new descriptor.
        let on = unsafe { descriptor(ENABLE_STATS, &mut request) }?;
        Ok(Self { _on: on })
    }
}

/// The program of the link that is pinned at `path`; `None` where something else is.
pub fn program_of_link(path: &Path) -> io::Result<Option<Program>> {
    let facts = facts(&pinned(path)?)?;
    field(&facts, "prog_id").map(|id| program(u32::try_from(id).map_err(io::Error::other)?)).transpose()
}

/// The map that is pinned at `path`; `None` where something else is.
pub fn map(path: &Path) -> io::Result<Option<Map>> {
    map_of(&pinned(path)?)
}

fn map_of(file: &OwnedFd) -> io::Result<Option<Map>> {
    let facts = facts(file)?;
    let all = [field(&facts, "value_size"), field(&facts, "max_entries"), field(&facts, "memlock")];
    Ok(match all {
        [Some(value), Some(entries), Some(memory)] => Some(Map { value, entries, memory }),
        _ => None,
    })
}

/// Every program in the kernel that has this name, whoever loaded it.
pub fn programs_named(name: &str) -> io::Result<Vec<Program>> {
    each(PROG_GET_NEXT_ID, |id| program(id).map(|program| (program.name == name).then_some(program)))
}

/// Every map in the kernel that has this name, whoever made it.
pub fn maps_named(name: &str) -> io::Result<Vec<Map>> {
    each(MAP_GET_NEXT_ID, |id| {
        let file = map_by_id(id)?;
        if name_of_map(&file)? == name { map_of(&file) } else { Ok(None) }
    })
}

/// Sets the first word of each of a per-processor array's `entries` elements, on every processor. The array is the one of this
/// name that the program uses.
pub fn set_first_words(program: &Program, map: &str, entries: u32, word: u64) -> io::Result<()> {
    /// More processors than any kernel is built for (`NR_CPUS`).
    const PROCESSORS_MAX: usize = 8192;
    let array = map_used(program, map)?.ok_or_else(|| io::Error::other(format!("it has no map {map}")))?;
    let size = map_of(&array)?.map_or(0, |map| map.value);
    let words = usize::try_from(size).map_err(io::Error::other)?.div_ceil(8);
    let mut values = vec![0_u64; words * PROCESSORS_MAX];
    values.iter_mut().step_by(words.max(1)).for_each(|first| *first = word);
    for key in 0..entries {
        let mut request = Request::default();
        request.set(0, array.as_raw_fd().cast_unsigned());
        request.0[1] = (&raw const key).expose_provenance() as u64;
        request.0[2] = values.as_ptr().expose_provenance() as u64;
        // SAFETY: BPF_MAP_UPDATE_ELEM reads a key of 4 bytes, as every array's, and at most a value, in whole words, for each
        // possible processor, which `values` has; both live through the call.
        unsafe { bpf(MAP_UPDATE_ELEM, &mut request) }?;
    }
    Ok(())
}

/// The map of this name that a program uses.
fn map_used(program: &Program, name: &str) -> io::Result<Option<OwnedFd>> {
    let mut request = Request::default();
    request.set(0, program.id);
    // SAFETY: BPF_PROG_GET_FD_BY_ID reads `prog_id`, and no pointer.
    let file = unsafe { descriptor(PROG_GET_FD_BY_ID, &mut request) }?;
    // struct bpf_prog_info: of maps, how many there is room for (`nr_map_ids`), and where (`map_ids`).
    let mut ids = [0_u32; 16];
    let mut told = [0_u64; 8];
    told[6] = 16 << 32;
    told[7] = ids.as_mut_ptr().expose_provenance() as u64;
    let mut request = Request::default();
    request.set(0, file.as_raw_fd().cast_unsigned());
    request.set(4, 64);
    request.0[1] = told.as_mut_ptr().expose_provenance() as u64;
    // SAFETY: BPF_OBJ_GET_INFO_BY_FD reads and writes `info_len` bytes at `info`, all of `told`; in it `nr_map_ids` numbers of
    // 4 bytes may be written at `map_ids`: all of `ids`. The other lengths are 0. Both live through the call.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut request) }?;
    let count = usize::try_from(told[6] >> 32).map_err(io::Error::other)?.min(ids.len());
    for id in &ids[..count] {
        let map = map_by_id(*id)?;
        if name_of_map(&map)? == name {
            return Ok(Some(map));
        }
    }
    Ok(None)
}

fn map_by_id(id: u32) -> io::Result<OwnedFd> {
    let mut request = Request::default();
    request.set(0, id);
    // SAFETY: BPF_MAP_GET_FD_BY_ID reads `map_id` and `open_flags` (0), and no pointer; it returns a new descriptor.
    unsafe { descriptor(MAP_GET_FD_BY_ID, &mut request) }
}

fn name_of_map(map: &OwnedFd) -> io::Result<String> {
    // struct bpf_map_info, as far as `name`.
    let info: [u64; 5] = info(map)?;
    Ok(text(&info[3..]))
}

/// What `look` finds at each number that the kernel gives.
fn each<T>(next: libc::c_int, look: impl Fn(u32) -> io::Result<Option<T>>) -> io::Result<Vec<T>> {
    let mut found = Vec::new();
    let mut id = 0;
    loop {
        let mut request = Request::default();
        request.set(0, id);
        // SAFETY: BPF_PROG_GET_NEXT_ID and BPF_MAP_GET_NEXT_ID read `start_id` and write `next_id`, both within the request;
        // no pointer.
        match unsafe { bpf(next, &mut request) } {
            Ok(_) => id = request.get(4),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(error),
        }
        match look(id) {
            Ok(Some(it)) => found.push(it),
            Ok(None) => {}
            // It ended meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
}

fn program(id: u32) -> io::Result<Program> {
    let mut request = Request::default();
    request.set(0, id);
    // SAFETY: BPF_PROG_GET_FD_BY_ID reads `prog_id`, and no pointer; it returns a new descriptor.
    let file = unsafe { descriptor(PROG_GET_FD_BY_ID, &mut request) }?;
    // struct bpf_prog_info, as far as `run_cnt`.
    let info: [u64; 26] = info(&file)?;
    Ok(Program { id, name: text(&info[8..10]), runs: info[25], nanos: info[24] })
}

/// What the kernel tells of a program or map, as far as there is room.
fn info<const WORDS: usize>(file: &OwnedFd) -> io::Result<[u64; WORDS]> {
    // Zeros: nothing is to be written anywhere else.
    let mut info = [0; WORDS];
    let mut request = Request::default();
    request.set(0, file.as_raw_fd().cast_unsigned());
    request.set(4, u32::try_from(size_of_val(&info)).map_err(io::Error::other)?);
    request.0[1] = info.as_mut_ptr().expose_provenance() as u64;
    // SAFETY: BPF_OBJ_GET_INFO_BY_FD reads and writes `info_len` bytes at `info`, which lives through the call and has so
    // many; the lengths in it are 0, so that the kernel follows none of the pointers there.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut request) }?;
    Ok(info)
}

/// A name, which ends in a NUL.
fn text(words: &[u64]) -> String {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut request = Request::default();
    request.0[0] = path.as_ptr().expose_provenance() as u64;
    // SAFETY: BPF_OBJ_GET reads the string at `pathname`, which lives through the call; it returns a new descriptor.
    unsafe { descriptor(OBJ_GET, &mut request) }
}

/// What the kernel tells of an open file (`/proc/PID/fdinfo`).
fn facts(file: &OwnedFd) -> io::Result<String> {
    fs::read_to_string(format!("/proc/thread-self/fdinfo/{}", file.as_raw_fd()))
}

fn field(facts: &str, name: &str) -> Option<u64> {
    let line = facts.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line?.trim().parse().ok()
}

/// `union bpf_attr`, as far as it is used here.
#[derive(Default)]
struct Request([u64; 8]);

impl Request {
    fn set(&mut self, at: usize, number: u32) {
        let mut bytes = self.0[at / 8].to_ne_bytes();
        bytes[at % 8..at % 8 + 4].copy_from_slice(&number.to_ne_bytes());
        self.0[at / 8] = u64::from_ne_bytes(bytes);
    }

    fn get(&self, at: usize) -> u32 {
        let bytes = self.0[at / 8].to_ne_bytes();
        bytes[at % 8..].first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes))
    }
}

/// # Safety
///
/// What the command reads and writes through pointers in the request has to be valid for it.
unsafe fn bpf(command: libc::c_int, request: &mut Request) -> io::Result<libc::c_long> {
    // SAFETY: the request is writable for the size that is told; for what it points to, the caller answers.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, request.0.as_mut_ptr(), size_of_val(&request.0)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// # Safety
///
/// As [`bpf`]; and the command returns a new descriptor.
unsafe fn descriptor(command: libc::c_int, request: &mut Request) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promise.
    let number = unsafe { bpf(command, request) }?;
    let number = i32::try_from(number).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made this descriptor for this call, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_where_they_are_put() {
        let mut request = Request::default();
        request.set(4, 7);
        request.set(8, 9);
        assert_eq!([0, 4, 8, 12].map(|at| request.get(at)), [0, 7, 9, 0]);
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let facts = "link_type:\tcgroup\nprog_tag:\t1\nprog_id:\t42\nmemlock:\t0\n";
        assert_eq!(field(facts, "prog_id"), Some(42));
        assert_eq!((field(facts, "prog"), field(facts, "link_type")), (None, None));
    }
}
