//! Sharing the iterators: a BPF file system of their own, on which they are pinned.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid};
use rustix::mount::{MountFlags, UnmountFlags};

use super::bpf::{self, Programs};
use crate::sys::linux::door::Refusal;
use crate::sys::linux::share::Shared;

/// A tmpfs on every system (file-hierarchy(7)): what is here ends with the boot, as pins do.
const RUN: &CStr = c"/run";
const PARENT: &CStr = c"sockowner";
const MOUNT: &CStr = c"bpf";
/// Where both are.
const MOUNT_PATH: &CStr = c"/run/sockowner/bpf";
const ALL: &CStr = c"all";

type Step<T> = Result<T, Refusal>;

pub(super) fn step(step: &'static str) -> impl Fn(rustix::io::Errno) -> Refusal {
    move |error| Refusal { step, error: error.into() }
}

/// Shares with `gid`. What was shared before is replaced.
pub(crate) fn enable(gid: u32) -> Step<()> {
    // Loaded first: where that is refused nothing has been changed.
    let programs = bpf::load_to_share()?;
    disable()?;
    let mount = make_mount_point()?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount(c"bpf", MOUNT_PATH, c"bpf", flags, c"mode=0755")
        .map_err(step("mount a BPF file system at /run/sockowner/bpf"))?;
    drop(mount);
    fill(&programs, gid).inspect_err(|_| {
        // Half of it is worse than nothing; why it failed is what the caller gets to know.
        let _ = disable();
    })
}

fn fill(programs: &Programs, gid: u32) -> Step<()> {
    let root = open_dir(CWD, MOUNT_PATH).map_err(step("open /run/sockowner/bpf"))?;
    let owner = Some(Uid::ROOT);
    let group = Some(Gid::from_raw(gid));
    // Closed to everybody else until all in it is as it is to be.
    let mode = |bits| Mode::from_raw_mode(bits);
    rustix::fs::mkdirat(&root, ALL, mode(0o700)).map_err(step("create /run/sockowner/bpf/all"))?;
    let all = open_dir(&root, ALL).map_err(step("open /run/sockowner/bpf/all"))?;
    for (link, dir, path, name, bits, group) in [
        (&programs.holders, &all, c"/run/sockowner/bpf/all/holders", c"holders", 0o440, group),
        (&programs.processes, &all, c"/run/sockowner/bpf/all/processes", c"processes", 0o440, group),
        (&programs.own, &root, c"/run/sockowner/bpf/own", c"own", 0o444, Some(Gid::ROOT)),
    ] {
        bpf::pin(link, path).map_err(|error| Refusal { step: "pin an iterator", error })?;
        rustix::fs::chownat(dir, name, owner, group, AtFlags::empty())
            .map_err(step("give an iterator its group"))?;
        rustix::fs::chmodat(dir, name, mode(bits), AtFlags::empty())
            .map_err(step("give an iterator its permissions"))?;
    }
    rustix::fs::chownat(&root, ALL, owner, group, AtFlags::empty())
        .map_err(step("give the directory its group"))?;
    rustix::fs::chmodat(&root, ALL, mode(0o750), AtFlags::empty())
        .map_err(step("give the directory its permissions"))
}

/// Ends sharing; false where nothing was shared. Who reads at this moment reads on to the end of his pass.
pub(crate) fn disable() -> Step<bool> {
    let mut was_shared = false;
    while status().map_err(|error| Refusal { step: "examine /run/sockowner/bpf", error })?.is_some() {
        was_shared = true;
        if let Ok(root) = open_dir(CWD, MOUNT_PATH) {
            // Unpinned by name, so that nothing stays if the file system is mounted elsewhere too.
            let unlink = |dir: &OwnedFd, name: &CStr, flags| rustix::fs::unlinkat(dir, name, flags);
            if let Ok(all) = open_dir(&root, ALL) {
                for name in [c"holders", c"processes"] {
                    ignore_missing(unlink(&all, name, AtFlags::empty()))
                        .map_err(step("unpin an iterator"))?;
                }
            }
            ignore_missing(unlink(&root, c"own", AtFlags::empty())).map_err(step("unpin an iterator"))?;
            ignore_missing(unlink(&root, ALL, AtFlags::REMOVEDIR))
                .map_err(step("remove /run/sockowner/bpf/all"))?;
        }
        rustix::mount::unmount(MOUNT_PATH, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
            .map_err(step("unmount /run/sockowner/bpf"))?;
    }
    Ok(was_shared)
}

pub(super) fn ignore_missing(result: rustix::io::Result<()>) -> rustix::io::Result<()> {
    match result {
        Err(rustix::io::Errno::NOENT) => Ok(()),
        other => other,
    }
}

/// What is shared; `None` where no BPF file system is mounted.
pub(crate) fn status() -> io::Result<Option<Shared>> {
    let root = match open_dir(CWD, MOUNT_PATH) {
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => {
            return Ok(None);
        }
        other => other?,
    };
    if !bpf::is_bpf_fs(&root)? {
        return Ok(None);
    }
    let stat = match rustix::fs::statat(&root, ALL, AtFlags::SYMLINK_NOFOLLOW) {
        Err(rustix::io::Errno::NOENT) => return Ok(Some(Shared { group: None })),
        other => other?,
    };
    Ok(Some(Shared { group: Some(stat.st_gid) }))
}

/// The number of a group.
pub(crate) fn group(name: &str) -> io::Result<Option<u32>> {
    Ok(nix::unistd::Group::from_name(name)?.map(|group| group.gid.as_raw()))
}

/// The name of a group.
pub(crate) fn group_name(gid: u32) -> io::Result<Option<String>> {
    Ok(nix::unistd::Group::from_gid(gid.into())?.map(|group| group.name))
}

/// The caller's effective user is root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn make_mount_point() -> Step<OwnedFd> {
    let run = open_dir(CWD, RUN).map_err(step("open /run"))?;
    let parent = make_dir(&run, PARENT).map_err(|error| Refusal { step: "create /run/sockowner", error })?;
    make_dir(&parent, MOUNT).map_err(|error| Refusal { step: "create /run/sockowner/bpf", error })
}

/// A directory that only root can change.
pub(super) fn make_dir(at: &OwnedFd, name: &CStr) -> io::Result<OwnedFd> {
    match rustix::fs::mkdirat(at, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let dir = open_dir(at, name)?;
    let stat = rustix::fs::fstat(&dir)?;
    if stat.st_uid != 0 || stat.st_mode & 0o022 != 0 {
        return Err(io::Error::other("it is there already, and others than root can change it"));
    }
    // The caller's umask may have taken more than others' right to write.
    rustix::fs::fchmod(&dir, Mode::from_raw_mode(0o755))?;
    Ok(dir)
}

pub(super) fn open_dir(at: impl std::os::fd::AsFd, path: &CStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::openat(at, path, flags, Mode::empty())
}
