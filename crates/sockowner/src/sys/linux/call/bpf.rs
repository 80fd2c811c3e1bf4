//! bpf(2): loading the iterators, pinned or not, and reading them.
#![expect(unsafe_code, reason = "bpf(2) has no safe wrapper")]

use std::ffi::{CStr, c_int};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use zerocopy::{FromBytes, Immutable, IntoBytes};

use rustix::fs::{CWD, FileType, Mode, OFlags};

use super::retry;
use crate::sys::linux::door::{Pass, Refusal, WANTED_MAX};

/// The light skeleton of `bpf/snapshot.bpf.c`: a program that loads the others, and its data. `cargo xtask bpf` makes
/// both.
const SNAPSHOT: (&[u8], &[u8]) =
    (include_bytes!("../bpf/snapshot.insns"), include_bytes!("../bpf/snapshot.data"));
/// The same of `bpf/own.bpf.c`.
const OWN: (&[u8], &[u8]) = (include_bytes!("../bpf/own.insns"), include_bytes!("../bpf/own.data"));
/// As it is in every program's license section; a GPL-compatible one is what the kernel's helpers demand.
const LICENSE: &CStr = c"Dual MIT/GPL";

/// `BPF_FS_MAGIC` (`linux/magic.h`).
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;
/// Commands of bpf(2).
const MAP_CREATE: c_int = 0;
const MAP_UPDATE_ELEM: c_int = 2;
const PROG_LOAD: c_int = 5;
const OBJ_PIN: c_int = 6;
const PROG_RUN: c_int = 10;
const LINK_CREATE: c_int = 28;
const ITER_CREATE: c_int = 33;
/// `BPF_MAP_TYPE_ARRAY`, `BPF_PROG_TYPE_SYSCALL`, `BPF_F_SLEEPABLE`, `BPF_TRACE_ITER` (`linux/bpf.h`).
const MAP_TYPE_ARRAY: u32 = 2;
const PROG_TYPE_SYSCALL: u32 = 31;
const SLEEPABLE: u32 = 1 << 4;
const TRACE_ITER: u32 = 28;
/// What one read gives at most: the iterator's own buffer (`kernel/bpf/bpf_iter.c`).
const READ_LEN: usize = 32 * 1024;
/// A read that meets a million objects and nothing to write ends in `EAGAIN`; so many are more than a machine has. And where
/// other readers, preempted on the same processor, have every place to write in; so often they do not stay away.
const EMPTY_READS_MAX: u32 = 4096;
/// What root gives each, as a mask and a mode: the group alone may read what shows everybody's sockets; nobody may write.
/// The kernel gives the root of the file system the sticky bit.
const MOUNT: (u32, u32) = (0o6777, 0o755);
const SHARED_DIR: (u32, u32) = (0o7777, 0o750);
const SHARED_FILE: (u32, u32) = (0o7777, 0o440);
const OWN_FILE: (u32, u32) = (0o7777, 0o444);

/// Iterators that can be read.
#[derive(Debug)]
pub(crate) enum Iterators {
    /// Loaded by this process.
    Own { holders: OwnedFd, processes: OwnedFd, wanted: OwnedFd },
    /// Pinned by root, for a group; the directory in which they are.
    Shared { dir: OwnedFd },
    /// Pinned by root, for everybody: it shows whoever opens it the sockets of his own user.
    SharedOwn { dir: OwnedFd },
}

/// Attached iterators that wait to be pinned.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) holders: OwnedFd,
    pub(super) processes: OwnedFd,
    pub(super) own: OwnedFd,
}

/// Where a light skeleton's loader program finds what it needs and leaves what it made: the header that every one has
/// (`struct bpf_loader_ctx`), then two maps, then two programs, as `bpftool gen skeleton -L` declares them.
#[repr(C)]
#[derive(Default, FromBytes, IntoBytes)]
struct SnapshotContext {
    size: u32,
    flags: u32,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    wanted: MapSlot,
    scratch: MapSlot,
    holders: c_int,
    processes: c_int,
}

#[repr(C)]
#[derive(Default, FromBytes, IntoBytes)]
struct MapSlot {
    fd: c_int,
    max_entries: u32,
    initial_value: u64,
}

/// The same for `bpf/own.bpf.c`: no map, one program.
#[repr(C)]
#[derive(Default, FromBytes, IntoBytes)]
struct OwnContext {
    size: u32,
    flags: u32,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    own_holders: c_int,
    zero: u32,
}

const _: () = {
    assert!(size_of::<SnapshotContext>() == 64);
    assert!(std::mem::offset_of!(OwnContext, own_holders) == 24);
    assert!(std::mem::offset_of!(SnapshotContext, wanted) == 24);
    assert!(std::mem::offset_of!(SnapshotContext, holders) == 56);
};

/// `struct wanted` of `bpf/rows.h`.
#[repr(C)]
#[derive(Default, FromBytes, IntoBytes, Immutable)]
struct WantedValue {
    netns: u32,
    inodes: u32,
    states: u32,
    brief: u32,
    inode: [u64; WANTED_MAX],
}

const _: () = assert!(size_of::<WantedValue>() == 80);

/// Loads `bpf/snapshot.bpf.c`. Needs `CAP_BPF` and `CAP_PERFMON`.
pub(super) fn load() -> Result<Iterators, Refusal> {
    let mut context = SnapshotContext { size: 64, ..SnapshotContext::default() };
    run_skeleton(SNAPSHOT, context.as_mut_bytes())?;
    let [wanted, scratch, holders, processes] =
        [context.wanted.fd, context.scratch.fd, context.holders, context.processes].map(owned);
    // The programs keep it.
    drop(scratch?);
    Ok(Iterators::Own { holders: holders?, processes: processes?, wanted: wanted? })
}

/// Runs a light skeleton's loader on its context.
pub(super) fn run_skeleton((insns, data): (&[u8], &[u8]), context: &mut [u8]) -> Result<(), Refusal> {
    let step = |step| move |error| Refusal { step, error };
    let map = create_array(c"__loader.map", data.len()).map_err(step("create a BPF map"))?;
    update(&map, data).map_err(step("fill a BPF map"))?;
    let loader = load_loader(insns, &map).map_err(step("load a BPF program"))?;
    run(&loader, context).map_err(step("load the BPF iterators"))
}

/// What the loader left in a slot.
pub(super) fn owned(fd: c_int) -> Result<OwnedFd, Refusal> {
    if fd <= 0 {
        let error = io::Error::other("the loader gave no descriptor");
        return Err(Refusal { step: "load the BPF iterators", error });
    }
    // SAFETY: the loader program ended well, so each slot of its context holds a descriptor that it opened for this
    // process; the callers take each slot once.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Loads and attaches what is to be shared: nothing of it can be told what is wanted.
pub(super) fn load_to_share() -> Result<Programs, Refusal> {
    let attach = |program: &OwnedFd| {
        link(program, None).map_err(|error| Refusal { step: "attach an iterator", error })
    };
    let mut context = SnapshotContext { size: 64, ..SnapshotContext::default() };
    run_skeleton(SNAPSHOT, context.as_mut_bytes())?;
    let maps = [owned(context.wanted.fd), owned(context.scratch.fd)];
    let programs = [owned(context.holders), owned(context.processes)];
    // The programs keep them; of the array nobody has a descriptor any more, so it stays zero.
    maps.into_iter().try_for_each(|map| map.map(drop))?;
    let [holders, processes] = programs;
    let (holders, processes) = (attach(&holders?)?, attach(&processes?)?);
    // What the loader is told ends with the last slot.
    let mut context = OwnContext { size: 28, ..OwnContext::default() };
    run_skeleton(OWN, &mut context.as_mut_bytes()[..28])?;
    let own = attach(&owned(context.own_holders)?)?;
    Ok(Programs { holders, processes, own })
}

/// Gives a link a name on a BPF file system.
pub(super) fn pin(link: &OwnedFd, path: &CStr) -> io::Result<()> {
    let mut request = Request::default();
    request.point(0, path.as_ptr().addr());
    request.set(8, raw(link));
    // SAFETY: BPF_OBJ_PIN reads a string at `pathname`, which outlives the call, and numbers.
    unsafe { bpf(OBJ_PIN, &mut request, 16) }.map(drop)
}

/// Opens the iterators that root shares in `path`, if they are what only root can have made: those for a group, where
/// the caller is in it, else those for everybody.
pub(super) fn open_shared(path: &[u8]) -> Result<Iterators, Refusal> {
    let refuse = |error: io::Error| Refusal { step: "open the shared iterators", error };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let open = |at: BorrowedFd<'_>, path: &[u8], mode| -> io::Result<OwnedFd> {
        let dir = rustix::fs::openat(at, path, flags, Mode::empty())?;
        is_roots(&dir, FileType::Directory, mode)?;
        Ok(dir)
    };
    let root = open(CWD, path, MOUNT).map_err(refuse)?;
    match open(root.as_fd(), b"all", SHARED_DIR) {
        Ok(dir) => Ok(Iterators::Shared { dir }),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            shared(&root, c"own", OWN_FILE).map_err(refuse)?;
            Ok(Iterators::SharedOwn { dir: root })
        }
        Err(error) => Err(refuse(error)),
    }
}

/// On a BPF file system.
pub(super) fn is_bpf_fs(file: impl AsFd) -> io::Result<bool> {
    Ok(u64::try_from(rustix::fs::fstatfs(&file)?.f_type) == Ok(BPF_FS_MAGIC))
}

/// An error unless `file` is root's, on a BPF file system, and has exactly these permissions.
pub(super) fn is_roots(file: impl AsFd, kind: FileType, (mask, mode): (u32, u32)) -> io::Result<()> {
    let refuse = |why| Err(io::Error::other(why));
    if !is_bpf_fs(&file)? {
        return refuse("not on a BPF file system");
    }
    let stat = rustix::fs::fstat(&file)?;
    if stat.st_uid != 0 {
        return refuse("not root's");
    }
    if FileType::from_raw_mode(stat.st_mode) != kind || stat.st_mode & mask != mode {
        return refuse("other permissions than root gives it");
    }
    Ok(())
}

/// Reads one pass to its end; `each` gets pieces that need not end with a record.
pub(super) fn iterate(iterators: &Iterators, pass: Pass<'_>, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    let file = match (iterators, pass) {
        (Iterators::Own { holders, wanted, .. }, Pass::Holders { wanted: which, pid }) => {
            let mut value = WantedValue {
                netns: which.netns,
                states: which.states,
                brief: u32::from(!which.describes),
                ..WantedValue::default()
            };
            // More than fit are all, and sorted out by the reader.
            if which.inodes.len() <= WANTED_MAX {
                value.inodes = u32::try_from(which.inodes.len()).unwrap_or(0);
                value.inode[..which.inodes.len()].copy_from_slice(which.inodes);
            }
            update(wanted, value.as_bytes())?;
            iterator(holders, pid)?
        }
        (Iterators::Own { processes, .. }, Pass::Processes) => iterator(processes, None)?,
        // What is pinned runs over all.
        (_, Pass::Holders { pid: Some(_), .. }) => return Err(io::ErrorKind::Unsupported.into()),
        (Iterators::Shared { dir }, Pass::Holders { .. }) => shared(dir, c"holders", SHARED_FILE)?,
        (Iterators::Shared { dir }, Pass::Processes) => shared(dir, c"processes", SHARED_FILE)?,
        (Iterators::SharedOwn { dir }, Pass::Holders { .. }) => shared(dir, c"own", OWN_FILE)?,
        // Of processes it tells nothing but who they are: the rest is read where everybody may.
        (Iterators::SharedOwn { .. }, Pass::Processes) => return Ok(()),
    };
    let mut buffer = vec![0; READ_LEN];
    let mut empty = 0;
    loop {
        match retry(|| rustix::io::read(&file, &mut buffer)) {
            Ok(0) => return Ok(()),
            Ok(length) => each(&buffer[..length]),
            Err(rustix::io::Errno::AGAIN) if empty < EMPTY_READS_MAX => empty += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

fn shared(dir: &OwnedFd, name: &CStr, mode: (u32, u32)) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    is_roots(&file, FileType::RegularFile, mode)?;
    Ok(file)
}

/// A fresh run of an iterator; of the process `pid` alone where the kernel can (Linux 6.1 and later).
fn iterator(program: &OwnedFd, pid: Option<u32>) -> io::Result<OwnedFd> {
    let link = link(program, pid)?;
    let mut request = Request::default();
    request.set(0, raw(&link));
    // SAFETY: BPF_ITER_CREATE reads `link_fd` and `flags`, and no pointer.
    unsafe { descriptor(ITER_CREATE, &mut request, 8) }
}

/// Attaches an iterator: nothing runs before it is read.
fn link(program: &OwnedFd, pid: Option<u32>) -> io::Result<OwnedFd> {
    /// `union bpf_iter_link_info`, its `task` variant.
    #[repr(C)]
    struct TaskInfo {
        tid: u32,
        pid: u32,
        pid_fd: u32,
    }
    let task = TaskInfo { tid: 0, pid: pid.unwrap_or(0), pid_fd: 0 };
    let mut request = Request::default();
    request.set(0, raw(program));
    request.set(8, TRACE_ITER);
    if pid.is_some() {
        request.point(16, (&raw const task).addr());
        request.set(24, 12);
    }
    // SAFETY: BPF_LINK_CREATE reads `prog_fd`, `target_fd` (0), `attach_type`, `flags` (0) and `iter_info_len` bytes at
    // `iter_info`: none, or the 12 of `task`, which outlives the call.
    unsafe { descriptor(LINK_CREATE, &mut request, 28) }
}

fn create_array(name: &CStr, value_len: usize) -> io::Result<OwnedFd> {
    let mut request = Request::default();
    request.set(0, MAP_TYPE_ARRAY);
    request.set(4, 4);
    request.set(8, length(value_len)?);
    request.set(12, 1);
    request.name(28, name);
    // SAFETY: BPF_MAP_CREATE reads numbers and a name of 16 bytes, and no pointer.
    unsafe { descriptor(MAP_CREATE, &mut request, 72) }
}

/// Sets the one value of an array.
fn update(map: &OwnedFd, value: &[u8]) -> io::Result<()> {
    let key = 0_u32;
    let mut request = Request::default();
    request.set(0, raw(map));
    request.point(8, (&raw const key).addr());
    request.point(16, value.as_ptr().addr());
    // SAFETY: BPF_MAP_UPDATE_ELEM reads four bytes at `key` and the map's value size at `value`, which every caller gives
    // in full; both outlive the call.
    unsafe { bpf(MAP_UPDATE_ELEM, &mut request, 32) }.map(drop)
}

fn load_loader(insns: &[u8], map: &OwnedFd) -> io::Result<OwnedFd> {
    let maps = [map.as_raw_fd()];
    let mut request = Request::default();
    request.set(0, PROG_TYPE_SYSCALL);
    request.set(4, length(insns.len() / 8)?);
    request.point(8, insns.as_ptr().addr());
    request.point(16, LICENSE.as_ptr().addr());
    request.set(44, SLEEPABLE);
    request.name(48, c"__loader.prog");
    request.point(120, maps.as_ptr().addr());
    // SAFETY: BPF_PROG_LOAD reads `insn_cnt` instructions of 8 bytes at `insns`, a string at `license`, and of `fd_array`
    // the entries that the instructions name: the one map. All outlive the call.
    unsafe { descriptor(PROG_LOAD, &mut request, 144) }
}

/// Runs the loader program, or another that is run so, on `context`, which it changes.
pub(super) fn run(loader: &OwnedFd, context: &mut [u8]) -> io::Result<()> {
    let mut request = Request::default();
    request.set(0, raw(loader));
    request.set(40, length(context.len())?);
    request.point(48, context.as_mut_ptr().addr());
    // SAFETY: BPF_PROG_RUN of a syscall program reads and writes `ctx_size_in` bytes at `ctx_in`: `context`, borrowed
    // mutably. The loader is the project's own and writes only the slots that its skeleton declares.
    unsafe { bpf(PROG_RUN, &mut request, 80) }?;
    // What the program returned: 0, or a negative errno.
    match request.get(4) {
        0.. => Ok(()),
        errno => Err(io::Error::from_raw_os_error(-errno)),
    }
}

fn length(length: usize) -> io::Result<u32> {
    u32::try_from(length).map_err(|_| io::ErrorKind::InvalidInput.into())
}

pub(super) fn raw(fd: &OwnedFd) -> u32 {
    u32::from_ne_bytes(fd.as_raw_fd().to_ne_bytes())
}

/// `union bpf_attr`: numbers at the offsets that `linux/bpf.h` gives them. Its tail is zero, which every kernel takes.
#[repr(C, align(8))]
pub(super) struct Request([u8; 144]);

impl Default for Request {
    fn default() -> Self {
        Self([0; 144])
    }
}

impl Iterators {
    /// They show every process and every socket.
    pub(crate) fn show_all(&self) -> bool {
        !matches!(self, Self::SharedOwn { .. })
    }
}

impl Request {
    pub(super) fn set(&mut self, at: usize, number: u32) {
        self.0[at..at + 4].copy_from_slice(&number.to_ne_bytes());
    }

    pub(super) fn get(&self, at: usize) -> c_int {
        self.0[at..at + 4].try_into().map_or(0, c_int::from_ne_bytes)
    }

    /// A pointer is 64 bits wide for every program.
    pub(super) fn point(&mut self, at: usize, address: usize) {
        self.0[at..at + 8].copy_from_slice(&(address as u64).to_ne_bytes());
    }

    fn name(&mut self, at: usize, name: &CStr) {
        let name = name.to_bytes();
        self.0[at..at + name.len()].copy_from_slice(name);
    }
}

/// bpf(2) with the first `len` bytes of `request`.
///
/// # Safety
/// Whatever the command reads or writes through the pointers in `request` is valid for it.
pub(super) unsafe fn bpf(command: c_int, request: &mut Request, len: usize) -> io::Result<c_int> {
    // SAFETY: the kernel reads and writes at most `len` <= 144 bytes of `request`; the rest is the caller's promise.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, libc::c_long::from(command), request.0.as_mut_ptr(), len) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(c_int::try_from(result).unwrap_or(c_int::MAX))
}

/// [`bpf`] with a command that gives a descriptor.
///
/// # Safety
/// As [`bpf`], and `command` is one that returns a new descriptor.
pub(super) unsafe fn descriptor(command: c_int, request: &mut Request, len: usize) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promise.
    let fd = unsafe { bpf(command, request, len) }?;
    // SAFETY: the command succeeded and returned a descriptor that nobody else owns; it is close-on-exec.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
