//! The recorder's programs: loading their light skeletons onto maps that may be there already, and attaching them.
#![expect(unsafe_code, reason = "bpf(2) has no safe wrapper")]

use std::ffi::{CStr, c_int};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use sockowner_wire::mounts;

use super::bpf::{Request, bpf, descriptor, owned, raw, run_skeleton};
use crate::sys::linux::door::Refusal;

pub(super) type Skeleton = (&'static [u8], &'static [u8]);

const RECORD: Skeleton = (include_bytes!("../bpf/record.insns"), include_bytes!("../bpf/record.data"));
const STATE: Skeleton =
    (include_bytes!("../bpf/record_state.insns"), include_bytes!("../bpf/record_state.data"));
const USE: Skeleton = (include_bytes!("../bpf/record_use.insns"), include_bytes!("../bpf/record_use.data"));

/// Commands of bpf(2).
const MAP_CREATE: i32 = 0;
const RAW_TRACEPOINT_OPEN: c_int = 17;
const LINK_CREATE: c_int = 28;
const LINK_DETACH: c_int = 34;
/// The numbers of the helpers bpf_sys_bpf and bpf_sys_close (`linux/bpf.h`).
const HELPER_SYS_BPF: i32 = 166;
const HELPER_SYS_CLOSE: i32 = 168;

/// What is loaded together, or not at all.
#[derive(Debug)]
pub(crate) struct Object {
    pub(super) skeleton: Skeleton,
    /// How many maps it has: those of `bpf/recorder_maps.h`, and further ones.
    pub(super) maps: usize,
    /// Its programs that are attached, in the skeleton's order.
    pub(crate) hooks: &'static [Hook],
    /// How many follow that are not.
    pub(super) others: usize,
    /// Asked for expressly.
    pub(crate) is_first_use: bool,
}

/// One program and where it is attached.
#[derive(Debug)]
pub(crate) struct Hook {
    /// As the kernel calls it; the name of its pin too.
    pub(crate) name: &'static CStr,
    place: Place,
    /// What is not known without it.
    pub(crate) lacking: &'static str,
}

#[derive(Debug)]
enum Place {
    /// `enum bpf_attach_type`, at the root of cgroup v2.
    Cgroup(u32),
    Tracepoint,
}

pub(super) const fn cgroup(name: &'static CStr, kind: u32, lacking: &'static str) -> Hook {
    Hook { name, place: Place::Cgroup(kind), lacking }
}

pub(super) const fn tracepoint(name: &'static CStr, lacking: &'static str) -> Hook {
    Hook { name, place: Place::Tracepoint, lacking }
}

pub(crate) static OBJECTS: [Object; 3] = [
    Object {
        skeleton: RECORD,
        maps: MAPS,
        others: 0,
        is_first_use: false,
        hooks: &[
            cgroup(c"sock_create", 2, "creators and creation times"),
            cgroup(c"post_bind4", 12, "who bound an IPv4 socket expressly"),
            cgroup(c"post_bind6", 13, "who bound an IPv6 socket expressly"),
            cgroup(c"connect4", 10, "who bound an IPv4 socket by connecting it"),
            cgroup(c"connect6", 11, "who bound an IPv6 socket by connecting it"),
            cgroup(c"getpeername4", 29, "who accepted an IPv4 connection"),
            cgroup(c"getpeername6", 30, "who accepted an IPv6 connection"),
            cgroup(c"sock_release", 34, "when a socket was closed, and by whom an accepted one"),
        ],
    },
    Object {
        skeleton: STATE,
        maps: MAPS,
        others: 0,
        is_first_use: false,
        hooks: &[tracepoint(c"inet_sock_set_state", "listeners, and connections that nobody accepted yet")],
    },
    Object {
        skeleton: USE,
        maps: MAPS,
        others: 0,
        is_first_use: true,
        hooks: &[
            tracepoint(c"sock_recv_length", "who first received on a connection"),
            tracepoint(c"sock_send_length", "who first sent on a connection"),
        ],
    },
];

/// How many maps every object has (`bpf/recorder_maps.h`).
pub(super) const MAPS: usize = 14;
/// `struct bpf_loader_ctx` before them, and one of them.
const HEADER_LEN: usize = 24;
const SLOT_LEN: usize = 16;

/// What was loaded of an object.
pub(super) struct Loaded {
    /// Those that it made.
    pub(super) maps: Vec<OwnedFd>,
    /// Those that are attached, then the others.
    pub(super) programs: Vec<OwnedFd>,
}

/// Loads an object: its first maps are those that are `given`, the rest it makes, the first of them with `capacities`.
pub(super) fn load(object: &Object, given: &[OwnedFd], capacities: &[u32]) -> Result<Loaded, Refusal> {
    let programs = object.hooks.len() + object.others;
    let size = HEADER_LEN + object.maps * SLOT_LEN + programs * 4;
    let mut context = vec![0; size];
    set(&mut context, 0, u32::try_from(size).unwrap_or(0));
    let mut insns = object.skeleton.0.to_vec();
    for (index, capacity) in (given.len()..object.maps).zip(capacities) {
        set(&mut context, HEADER_LEN + index * SLOT_LEN + 4, *capacity);
    }
    reuse(&mut insns, given)
        .ok_or_else(|| refuse("put maps into a skeleton", io::ErrorKind::InvalidData.into()))?;
    run_skeleton((&insns, object.skeleton.1), &mut context).map_err(|refusal| match refusal.step {
        "load the BPF iterators" => Refusal { step: "load the programs", ..refusal },
        _ => refusal,
    })?;
    let take = |at: usize| owned(get(&context, at));
    // Of those that were given the slots name the caller's own descriptors.
    let maps: Vec<_> = (given.len()..object.maps).map(|index| take(HEADER_LEN + index * SLOT_LEN)).collect();
    let programs: Vec<_> =
        (0..programs).map(|index| take(HEADER_LEN + object.maps * SLOT_LEN + index * 4)).collect();
    Ok(Loaded {
        maps: maps.into_iter().collect::<Result<_, _>>()?,
        programs: programs.into_iter().collect::<Result<_, _>>()?,
    })
}

pub(super) fn refuse(step: &'static str, error: io::Error) -> Refusal {
    Refusal { step, error }
}

fn set(bytes: &mut [u8], at: usize, number: u32) {
    bytes[at..at + 4].copy_from_slice(&number.to_ne_bytes());
}

fn get(bytes: &[u8], at: usize) -> i32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, i32::from_ne_bytes)
}

/// What an instruction does, with which registers: its first two bytes. Its last four are its number.
type Code = [u8; 2];

/// r1 = the command; r2 = its argument, of two instructions; r3 = the argument's size; call.
const SYS_BPF: [Code; 5] = [[0xb7, 0x01], [0x18, 0x62], [0, 0], [0xb7, 0x03], [0x85, 0]];
/// r0 = the address of a descriptor, of two instructions; r1 = the descriptor; where that is more than 0: r9 = r1; call.
const SYS_CLOSE: [Code; 6] = [[0x18, 0x60], [0, 0], [0x61, 0x01], [0xd5, 0x01], [0xbf, 0x19], [0x85, 0]];
/// r0 = a number; and go on.
const SET: Code = [0xb7, 0x00];
const NOTHING: Code = [0x05, 0x00];
const INSN_LEN: usize = 8;

/// Has a skeleton's loader use these maps where it would make its first ones: the descriptor takes the place of the system
/// call. Nor does the loader close them where something fails later: they stay the caller's.
fn reuse(insns: &mut [u8], given: &[OwnedFd]) -> Option<()> {
    let mut made = calls(insns, &SYS_BPF)
        .into_iter()
        .filter(|at| get(insns, at + 36) == HELPER_SYS_BPF && get(insns, at + 4) == MAP_CREATE)
        .collect::<Vec<_>>()
        .into_iter();
    let closes = calls(insns, &SYS_CLOSE);
    for (index, map) in given.iter().enumerate() {
        // The loader's own table of maps is where its data begin, 4 bytes each.
        let place = i32::try_from(index * 4).ok()?;
        let is_its =
            |at: &&usize| get(insns, **at + 12) == place && get(insns, **at + 44) == HELPER_SYS_CLOSE;
        let (at, close) = (made.next()?, *closes.iter().find(is_its)?);
        replace(insns, at, SET, raw(map));
        (1..SYS_BPF.len()).for_each(|insn| replace(insns, at + insn * INSN_LEN, NOTHING, 0));
        replace(insns, close + 5 * INSN_LEN, SET, 0);
    }
    Some(())
}

/// Where these instructions stand.
fn calls(insns: &[u8], codes: &[Code]) -> Vec<usize> {
    let is_one = |at: &usize| {
        let mut places = codes.iter().enumerate();
        places.all(|(index, code)| {
            insns.get(at + index * INSN_LEN..).is_some_and(|insn| insn.starts_with(code))
        })
    };
    (0..insns.len()).step_by(INSN_LEN).filter(is_one).collect()
}

fn replace(insns: &mut [u8], at: usize, code: Code, number: u32) {
    insns[at..at + INSN_LEN].fill(0);
    insns[at..at + 2].copy_from_slice(&code);
    set(insns, at + 4, number);
}

impl Object {
    /// The cgroup that its programs are attached to; `None` for tracepoints.
    pub(super) fn root(&self) -> Result<Option<OwnedFd>, Refusal> {
        let is_cgroups = self.hooks.iter().any(|hook| matches!(hook.place, Place::Cgroup(_)));
        is_cgroups.then(cgroup_root).transpose()
    }
}

/// Attaches a program; it runs until the link is detached, or nobody has it any more.
pub(super) fn attach(hook: &Hook, program: &OwnedFd, root: Option<&OwnedFd>) -> io::Result<OwnedFd> {
    let mut request = Request::default();
    match hook.place {
        Place::Cgroup(kind) => {
            request.set(0, raw(program));
            request.set(4, raw(root.ok_or(io::ErrorKind::InvalidInput)?));
            request.set(8, kind);
            // SAFETY: BPF_LINK_CREATE reads `prog_fd`, `target_fd`, `attach_type` and `flags` (0), and no pointer; it
            // returns a new descriptor.
            unsafe { descriptor(LINK_CREATE, &mut request, 16) }
        }
        Place::Tracepoint => {
            request.set(8, raw(program));
            // SAFETY: BPF_RAW_TRACEPOINT_OPEN reads `prog_fd`, and no name where it is 0: the program has its own; it
            // returns a new descriptor.
            unsafe { descriptor(RAW_TRACEPOINT_OPEN, &mut request, 16) }
        }
    }
}

/// Ends an attachment, whoever else has the link. Tracepoints know no such thing: theirs ends with the last descriptor.
pub(super) fn detach(link: &OwnedFd) {
    let mut request = Request::default();
    request.set(0, raw(link));
    // SAFETY: BPF_LINK_DETACH reads `link_fd`, and no pointer.
    let _ = unsafe { bpf(LINK_DETACH, &mut request, 4) };
}

/// The root of cgroup v2, wherever it is mounted; mounted for this alone where it is not.
fn cgroup_root() -> Result<OwnedFd, Refusal> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let step = |error: rustix::io::Errno| refuse("open the root of cgroup v2", error.into());
    let mountinfo = read_mountinfo().map_err(|error| refuse("read /proc/self/mountinfo", error))?;
    let mounted =
        mounts(&mountinfo).flatten().find(|mount| *mount.fs_type == *b"cgroup2" && *mount.root == *b"/");
    let mount = || {
        let context = fsopen(c"cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_create(context.as_fd())?;
        fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
    };
    let root = match mounted {
        Some(mount) => rustix::fs::open(&*mount.mount_point, flags, Mode::empty()).map_err(step),
        None => mount().map_err(|error| refuse("mount cgroup v2", error.into())),
    }?;
    // In a cgroup namespace of one's own `/` is some other cgroup; the hierarchy's own root has the number 1.
    match rustix::fs::fstat(&root).map_err(step)?.st_ino {
        1 => Ok(root),
        _ => Err(refuse(
            "open the root of cgroup v2",
            io::Error::other("only a part of the hierarchy is seen here"),
        )),
    }
}

fn read_mountinfo() -> io::Result<Vec<u8>> {
    let file =
        rustix::fs::openat(CWD, c"/proc/self/mountinfo", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match super::retry(|| rustix::io::read(&file, &mut buffer))? {
            0 => return Ok(text),
            length => text.extend_from_slice(&buffer[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_takes_maps_that_are_there() {
        let given: Vec<OwnedFd> =
            (0..MAPS).map(|_| OwnedFd::from(std::fs::File::open("/dev/null").unwrap())).collect();
        for object in OBJECTS.iter().chain(&super::super::sample::OBJECTS) {
            let left = |insns: &[u8]| {
                let made = calls(insns, &SYS_BPF).into_iter().filter(|at| get(insns, at + 4) == MAP_CREATE);
                made.count()
            };
            let mut insns = object.skeleton.0.to_vec();
            assert_eq!(left(&insns), object.maps);
            reuse(&mut insns, &given).unwrap();
            assert_eq!(left(&insns), object.maps - MAPS);
            for map in &given {
                let fd = raw(map).to_ne_bytes();
                let set = insns.chunks(INSN_LEN).filter(|insn| insn.starts_with(&SET) && insn[4..] == fd);
                assert_eq!(set.count(), 1);
            }
            // There is no place for more than it has.
            let more: Vec<OwnedFd> = (0..=object.maps).map(|_| given[0].try_clone().unwrap()).collect();
            assert_eq!(reuse(&mut object.skeleton.0.to_vec(), &more), None);
        }
    }
}
