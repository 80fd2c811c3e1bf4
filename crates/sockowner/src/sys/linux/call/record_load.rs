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

type Skeleton = (&'static [u8], &'static [u8]);

const RECORD: Skeleton = (include_bytes!("../bpf/record.insns"), include_bytes!("../bpf/record.data"));
const STATE: Skeleton =
    (include_bytes!("../bpf/record_state.insns"), include_bytes!("../bpf/record_state.data"));
const USE: Skeleton = (include_bytes!("../bpf/record_use.insns"), include_bytes!("../bpf/record_use.data"));

/// Commands of bpf(2).
const MAP_CREATE: i32 = 0;
const MAP_GET_FD_BY_ID: u32 = 14;
const RAW_TRACEPOINT_OPEN: c_int = 17;
const LINK_CREATE: c_int = 28;
const LINK_DETACH: c_int = 34;
/// The number of the helper bpf_sys_bpf (`linux/bpf.h`).
const HELPER_SYS_BPF: i32 = 166;

/// What is loaded together, or not at all.
#[derive(Debug)]
pub(crate) struct Object {
    skeleton: Skeleton,
    /// Its programs, in the skeleton's order.
    pub(crate) hooks: &'static [Hook],
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

const fn cgroup(name: &'static CStr, kind: u32, lacking: &'static str) -> Hook {
    Hook { name, place: Place::Cgroup(kind), lacking }
}

const fn tracepoint(name: &'static CStr, lacking: &'static str) -> Hook {
    Hook { name, place: Place::Tracepoint, lacking }
}

pub(crate) static OBJECTS: [Object; 3] = [
    Object {
        skeleton: RECORD,
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
        is_first_use: false,
        hooks: &[tracepoint(c"inet_sock_set_state", "listeners, and connections that nobody accepted yet")],
    },
    Object {
        skeleton: USE,
        is_first_use: true,
        hooks: &[
            tracepoint(c"sock_recv_length", "who first received on a connection"),
            tracepoint(c"sock_send_length", "who first sent on a connection"),
        ],
    },
];

/// How many maps every object has (`bpf/recorder_maps.h`).
pub(super) const MAPS: usize = 12;
/// `struct bpf_loader_ctx` before them, and one of them.
const HEADER_LEN: usize = 24;
const SLOT_LEN: usize = 16;

/// An object's maps and programs.
pub(super) struct Loaded {
    pub(super) maps: Vec<OwnedFd>,
    pub(super) programs: Vec<OwnedFd>,
}

/// Loads an object; onto the maps with these ids, else with its own, of which the first hold `capacities` entries.
pub(super) fn load(
    object: &Object,
    maps: Option<&[u32; MAPS]>,
    capacities: [u32; 3],
) -> Result<Loaded, Refusal> {
    let size = HEADER_LEN + MAPS * SLOT_LEN + object.hooks.len() * 4;
    let mut context = vec![0; size];
    set(&mut context, 0, u32::try_from(size).unwrap_or(0));
    let (mut insns, mut data) = (object.skeleton.0.to_vec(), object.skeleton.1.to_vec());
    match maps {
        Some(ids) => reuse(&mut insns, &mut data, ids)
            .ok_or_else(|| refuse("put maps into a skeleton", io::ErrorKind::InvalidData.into()))?,
        None => capacities
            .iter()
            .enumerate()
            .for_each(|(index, capacity)| set(&mut context, HEADER_LEN + index * SLOT_LEN + 4, *capacity)),
    }
    run_skeleton((&insns, &data), &mut context).map_err(|refusal| match refusal.step {
        "load the BPF iterators" => Refusal { step: "load the programs", ..refusal },
        _ => refusal,
    })?;
    let take = |at: usize| owned(get(&context, at));
    let maps: Vec<_> = (0..MAPS).map(|index| take(HEADER_LEN + index * SLOT_LEN)).collect();
    let programs: Vec<_> =
        (0..object.hooks.len()).map(|index| take(HEADER_LEN + MAPS * SLOT_LEN + index * 4)).collect();
    Ok(Loaded {
        maps: maps.into_iter().collect::<Result<_, _>>()?,
        programs: programs.into_iter().collect::<Result<_, _>>()?,
    })
}

fn refuse(step: &'static str, error: io::Error) -> Refusal {
    Refusal { step, error }
}

fn set(bytes: &mut [u8], at: usize, number: u32) {
    bytes[at..at + 4].copy_from_slice(&number.to_ne_bytes());
}

fn get(bytes: &[u8], at: usize) -> i32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, i32::from_ne_bytes)
}

/// Has a skeleton's loader open maps where it would create them: both are one system call, whose command is a constant in
/// `insns` and whose argument is in `data`.
fn reuse(insns: &mut [u8], data: &mut [u8], ids: &[u32; MAPS]) -> Option<()> {
    // r1 = command; r2 = argument, of two instructions; r3 = its size; call. Of each instruction the first two bytes say
    // what is done with which registers, the last four are its number.
    const CALL: [(usize, [u8; 2]); 5] =
        [(0, [0xb7, 0x01]), (8, [0x18, 0x62]), (16, [0, 0]), (24, [0xb7, 0x03]), (32, [0x85, 0])];
    let mut ids = ids.iter();
    let calls = (0..insns.len() / 8).map(|index| index * 8);
    for at in calls {
        let is_call = CALL
            .iter()
            .all(|(offset, code)| insns.get(at + offset..at + offset + 2).is_some_and(|bytes| bytes == code));
        if !is_call || get(insns, at + 36) != HELPER_SYS_BPF || get(insns, at + 4) != MAP_CREATE {
            continue;
        }
        // `map_id`, `next_id`, `open_flags`.
        let argument = usize::try_from(get(insns, at + 20)).ok()?;
        data.get_mut(argument..argument + 12)?.fill(0);
        set(data, argument, *ids.next()?);
        set(insns, at + 4, MAP_GET_FD_BY_ID);
        set(insns, at + 28, 12);
    }
    ids.next().is_none().then_some(())
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
    fn every_object_has_its_maps_where_they_are_looked_for() {
        let ids: [u32; MAPS] = std::array::from_fn(|index| 7000 + u32::try_from(index).unwrap());
        for object in &OBJECTS {
            let (mut insns, mut data) = (object.skeleton.0.to_vec(), object.skeleton.1.to_vec());
            reuse(&mut insns, &mut data, &ids).unwrap();
            assert_ne!(insns, object.skeleton.0);
            // There is nothing left to be put in.
            assert_eq!(reuse(&mut insns, &mut data, &ids), None);
            let changed = |id: &u32| data.windows(4).any(|bytes| bytes == id.to_ne_bytes());
            assert!(ids.iter().all(changed));
        }
    }
}
