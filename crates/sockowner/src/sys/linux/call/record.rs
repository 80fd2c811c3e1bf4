//! The recorder: what of it is kept in the kernel, on a BPF file system of its own.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid};
use rustix::mount::{MountFlags, UnmountFlags};
use sockowner_wire::record::{
    ComponentRecord, Counters, ExecutableRecord, Holding, LAYOUT, ModuleRecord, NO_USER, ProcessRecord,
    Settings, SocketRecord,
};

pub(crate) use super::record_load::{Hook, OBJECTS, Object};
pub(crate) use super::record_map::{Map, PerProcessor};

use super::bpf::{is_bpf_fs, is_roots, pin};
use super::record_load::{self, MAPS, attach, detach};
use super::record_map::open_pinned;
use super::share::{ignore_missing, make_dir, open_dir, step};
use crate::sys::linux::door::Refusal;

const RUN: &CStr = c"/run";
const PARENT: &CStr = c"sockowner";
const MOUNT: &CStr = c"record";
const MOUNT_PATH: &CStr = c"/run/sockowner/record";
/// What the group may read.
const MAPS_DIR: &CStr = c"maps";
/// What is for nobody else: links, and maps that programs alone use.
const OWN_DIR: &CStr = c"own";
/// The skeletons' order: see `bpf/recorder_maps.h`.
const NAMES: [&CStr; MAPS] = [
    c"sockets",
    c"processes",
    c"executables",
    c"users",
    c"users_removed",
    c"walks",
    c"blank",
    c"total",
    c"total_removed",
    c"settings",
    c"counters",
    c"components",
    c"modules",
    c"heritage",
];
const USERS: usize = 3;
const USERS_REMOVED: usize = 4;
const SETTINGS: usize = 9;
const PRIVATE: [&CStr; 3] = [c"walks", c"blank", c"heritage"];
/// As `bpf.rs` has them: a mask, and what root gives.
const MOUNT_MODE: (u32, u32) = (0o6777, 0o755);
const DIR_MODE: (u32, u32) = (0o7777, 0o750);
const FILE_MODE: (u32, u32) = (0o7777, 0o440);

type Step<T> = Result<T, Refusal>;

/// Everything that is read.
#[derive(Debug)]
pub(crate) struct Maps {
    pub(crate) sockets: Map<u64, SocketRecord>,
    pub(crate) processes: Map<u64, ProcessRecord>,
    pub(crate) executables: Map<u64, ExecutableRecord>,
    pub(crate) users: Map<u32, Holding>,
    pub(crate) users_removed: Map<u32, Holding>,
    pub(crate) total: Map<u32, Holding>,
    pub(crate) total_removed: Map<u32, Holding>,
    pub(crate) settings: Map<u32, Settings>,
    pub(crate) counters: PerProcessor,
    pub(crate) components: Map<u32, ComponentRecord>,
    pub(crate) modules: Map<u32, ModuleRecord>,
}

/// What became of a hook.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) hook: &'static Hook,
    pub(crate) refused: Option<String>,
}

/// Begins to record, or goes on with what is there: what is attached stays so, what is missing is tried.
pub(crate) fn start(gid: u32, first_use: bool, sizes: Sizes) -> Step<Vec<Attached>> {
    let mut kept = match open_kept() {
        Ok(kept) => kept,
        // Whoever may not even look at what is noted may not throw it away.
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied) => {
            return Err(Refusal { step: "open what is recorded already", error });
        }
        // What another version has left is of no use.
        Err(_) => None,
    };
    if kept.is_none() {
        stop()?;
    }
    let mut states = Vec::new();
    for object in &OBJECTS {
        if object.is_first_use && !first_use {
            object.hooks.iter().try_for_each(|hook| release(hook.name))?;
            continue;
        }
        states.extend(start_object(object, &mut kept, gid, sizes)?);
    }
    Ok(states)
}

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) sockets: u32,
    pub(crate) processes: u32,
    pub(crate) executables: u32,
    /// Nanoseconds since boot.
    pub(crate) now: u64,
}

fn start_object(
    object: &'static Object,
    kept: &mut Option<Vec<OwnedFd>>,
    gid: u32,
    sizes: Sizes,
) -> Step<Vec<Attached>> {
    let is_there = |hook: &Hook| open_link(hook.name).is_ok();
    let all = |refused: Option<&Refusal>| {
        let attached = |hook| Attached { hook, refused: refused.map(Refusal::to_string) };
        Ok(object.hooks.iter().map(attached).collect())
    };
    if kept.is_some() && object.hooks.iter().all(is_there) {
        return all(None);
    }
    let root = match object.root() {
        Ok(root) => root,
        Err(refusal) => return all(Some(&refusal)),
    };
    let capacities = [sizes.sockets, sizes.processes, sizes.executables];
    let loaded = match record_load::load(object, kept.as_deref().unwrap_or_default(), &capacities) {
        Ok(loaded) => loaded,
        Err(refusal) => return all(Some(&refusal)),
    };
    if kept.is_none() {
        keep(&loaded.maps, gid, sizes)?;
        *kept = Some(loaded.maps);
    }
    let attached = object.hooks.iter().zip(&loaded.programs).map(|(hook, program)| {
        if is_there(hook) {
            return Attached { hook, refused: None };
        }
        let done = attach(hook, program, root.as_ref())
            .map_err(|error| Refusal { step: "attach", error })
            .and_then(|link| pin_at(&link, OWN_DIR, hook.name));
        Attached { hook, refused: done.err().map(|refusal| refusal.to_string()) }
    });
    Ok(attached.collect())
}

/// Makes the file system and pins the maps.
fn keep(maps: &[OwnedFd], gid: u32, sizes: Sizes) -> Step<()> {
    let run = open_dir(CWD, RUN).map_err(step("open /run"))?;
    let parent = make_dir(&run, PARENT).map_err(|error| Refusal { step: "create /run/sockowner", error })?;
    make_dir(&parent, MOUNT).map_err(|error| Refusal { step: "create /run/sockowner/record", error })?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount(c"bpf", MOUNT_PATH, c"bpf", flags, c"mode=0755")
        .map_err(step("mount a BPF file system at /run/sockowner/record"))?;
    fill(maps, gid, sizes).inspect_err(|_| {
        // Half of it is worse than nothing; why it failed is what the caller gets to know.
        let _ = stop();
    })
}

fn fill(maps: &[OwnedFd], gid: u32, sizes: Sizes) -> Step<()> {
    let refuse = |error| Refusal { step: "prepare the maps", error };
    let settings: Map<u32, Settings> =
        Map::new(maps[SETTINGS].try_clone().map_err(refuse)?).map_err(refuse)?;
    let set = Settings {
        layout: LAYOUT,
        sockets: sizes.sockets,
        processes: sizes.processes,
        executables: sizes.executables,
        started: sizes.now,
        ..Settings::default()
    };
    settings.set(&0, &set).map_err(refuse)?;
    // Those for whom there is no room need an entry by then: it is made while there is.
    for which in [USERS, USERS_REMOVED] {
        let users: Map<u32, Holding> = Map::new(maps[which].try_clone().map_err(refuse)?).map_err(refuse)?;
        users.set(&NO_USER, &Holding::default()).map_err(refuse)?;
    }
    let root = open_dir(CWD, MOUNT_PATH).map_err(step("open /run/sockowner/record"))?;
    let mode = Mode::from_raw_mode;
    // Closed to everybody else until all in it is as it is to be.
    for dir in [MAPS_DIR, OWN_DIR] {
        rustix::fs::mkdirat(&root, dir, mode(0o700)).map_err(step("create a directory for pins"))?;
    }
    let shown = open_dir(&root, MAPS_DIR).map_err(step("open the directory of maps"))?;
    for (map, name) in maps.iter().zip(NAMES) {
        let is_private = PRIVATE.contains(&name);
        pin_at(map, if is_private { OWN_DIR } else { MAPS_DIR }, name)?;
        if !is_private {
            rustix::fs::chownat(&shown, name, Some(Uid::ROOT), Some(Gid::from_raw(gid)), AtFlags::empty())
                .map_err(step("give a map its group"))?;
            rustix::fs::chmodat(&shown, name, mode(FILE_MODE.1), AtFlags::empty())
                .map_err(step("give a map its permissions"))?;
        }
    }
    rustix::fs::chownat(&root, MAPS_DIR, Some(Uid::ROOT), Some(Gid::from_raw(gid)), AtFlags::empty())
        .map_err(step("give the directory its group"))?;
    rustix::fs::chmodat(&root, MAPS_DIR, mode(DIR_MODE.1), AtFlags::empty())
        .map_err(step("give the directory its permissions"))
}

fn path(dir: &CStr, name: &CStr) -> io::Result<CString> {
    let parts = [MOUNT_PATH.to_bytes(), dir.to_bytes(), name.to_bytes()];
    CString::new(parts.join(&b'/')).map_err(io::Error::other)
}

fn pin_at(file: &OwnedFd, dir: &CStr, name: &CStr) -> Step<()> {
    path(dir, name).and_then(|path| pin(file, &path)).map_err(|error| Refusal { step: "pin", error })
}

fn open_link(name: &CStr) -> io::Result<OwnedFd> {
    // Only root gets there, so what has the name is what root gave it to.
    open_pinned(&path(OWN_DIR, name)?, false)
}

/// The maps that are kept; `None` where nothing is, an error where it is not what this version makes.
pub(super) fn open_kept() -> io::Result<Option<Vec<OwnedFd>>> {
    if open_mount()?.is_none() {
        return Ok(None);
    }
    open_maps(true)?;
    // What a program does to a map does not depend on how its descriptor was opened, and to open it for more takes the right
    // to write to what is nobody's to write.
    let open = |name: &CStr| {
        let dir = if PRIVATE.contains(&name) { OWN_DIR } else { MAPS_DIR };
        open_pinned(&path(dir, name)?, true)
    };
    NAMES.into_iter().map(open).collect::<io::Result<_>>().map(Some)
}

/// The group that may read what is kept; `None` where nothing is that a start would go on with.
pub(crate) fn kept_for() -> Option<u32> {
    open_kept().ok()??;
    let root = open_mount().ok()??;
    Some(rustix::fs::statat(&root, MAPS_DIR, AtFlags::SYMLINK_NOFOLLOW).ok()?.st_gid)
}

/// The BPF file system; `None` where none is mounted.
fn open_mount() -> io::Result<Option<OwnedFd>> {
    use rustix::io::Errno;
    let root = match open_dir(CWD, MOUNT_PATH) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
        other => other?,
    };
    Ok(is_bpf_fs(&root)?.then_some(root))
}

/// Opens the maps, if they are what only root can have made: for reading, or to be tended too. `None`: nothing is recorded.
pub(crate) fn open(for_reading: bool) -> io::Result<Option<Maps>> {
    match open_mount()? {
        None => Ok(None),
        Some(_) => open_maps(for_reading).map(Some),
    }
}

fn open_maps(for_reading: bool) -> io::Result<Maps> {
    let root = open_dir(CWD, MOUNT_PATH)?;
    is_roots(&root, FileType::Directory, MOUNT_MODE)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let dir = rustix::fs::openat(&root, MAPS_DIR, flags, Mode::empty())?;
    is_roots(&dir, FileType::Directory, DIR_MODE)?;
    let open = |name: &CStr| {
        // A pin cannot be opened as a file; nobody but root can put another in its place meanwhile.
        let stat = rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if stat.st_uid != 0 || !is_file || stat.st_mode & FILE_MODE.0 != FILE_MODE.1 {
            return Err(io::Error::other("other permissions than root gives it"));
        }
        open_pinned(&path(MAPS_DIR, name)?, for_reading)
    };
    let maps = Maps {
        sockets: Map::new(open(c"sockets")?)?,
        processes: Map::new(open(c"processes")?)?,
        executables: Map::new(open(c"executables")?)?,
        users: Map::new(open(c"users")?)?,
        users_removed: Map::new(open(c"users_removed")?)?,
        total: Map::new(open(c"total")?)?,
        total_removed: Map::new(open(c"total_removed")?)?,
        settings: Map::new(open(c"settings")?)?,
        counters: PerProcessor::new(open(c"counters")?)?,
        components: Map::new(open(c"components")?)?,
        modules: Map::new(open(c"modules")?)?,
    };
    match maps.settings.get(&0)? {
        Some(settings) if settings.layout == LAYOUT => Ok(maps),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "it is another version's")),
    }
}

/// Which hooks are attached, as far as the caller may know.
pub(crate) fn attached() -> Vec<(&'static Hook, io::Result<()>)> {
    let hooks = OBJECTS.iter().flat_map(|object| object.hooks);
    hooks.map(|hook| (hook, open_link(hook.name).map(drop))).collect()
}

/// Detaches a hook, if it is there.
fn release(name: &CStr) -> Step<()> {
    let Ok(link) = open_link(name) else { return Ok(()) };
    detach(&link);
    drop(link);
    let path = path(OWN_DIR, name).map_err(|error| Refusal { step: "unpin a link", error })?;
    ignore_missing(rustix::fs::unlink(&path)).map_err(step("unpin a link"))
}

/// Detaches every hook and forgets everything; false where nothing was recorded.
pub(crate) fn stop() -> Step<bool> {
    let mut was_there = false;
    let examine = |error| Refusal { step: "examine /run/sockowner/record", error };
    while let Some(root) = open_mount().map_err(examine)? {
        was_there = true;
        // By name, so that nothing stays if the file system is mounted elsewhere too.
        for dir in [OWN_DIR, MAPS_DIR] {
            let Ok(held) = open_dir(&root, dir) else { continue };
            for (hook, _) in attached() {
                release(hook.name)?;
            }
            for name in NAMES {
                ignore_missing(rustix::fs::unlinkat(&held, name, AtFlags::empty()))
                    .map_err(step("unpin a map"))?;
            }
            ignore_missing(rustix::fs::unlinkat(&root, dir, AtFlags::REMOVEDIR))
                .map_err(step("remove a directory of pins"))?;
        }
        rustix::mount::unmount(MOUNT_PATH, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
            .map_err(step("unmount /run/sockowner/record"))?;
    }
    Ok(was_there)
}

impl Maps {
    /// Bytes of memory that the kernel says they take.
    pub(crate) fn memory(&self) -> u64 {
        let maps = [
            self.sockets.fd(),
            self.processes.fd(),
            self.executables.fd(),
            self.users.fd(),
            self.users_removed.fd(),
            self.total.fd(),
            self.total_removed.fd(),
            self.settings.fd(),
            self.counters.fd(),
            self.components.fd(),
            self.modules.fd(),
        ];
        maps.into_iter().map(memlock).sum()
    }

    pub(crate) fn counters(&self) -> io::Result<Counters> {
        self.counters.sum()
    }
}

/// `memlock` of proc_pid_fdinfo(5).
fn memlock(map: &OwnedFd) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/thread-self/fdinfo/{}", map.as_raw_fd()));
    let text = text.unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("memlock:"));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

/// The calling process's pid namespace, by its inode number.
pub(crate) fn pid_namespace() -> Option<u32> {
    u32::try_from(rustix::fs::stat(c"/proc/thread-self/ns/pid").ok()?.st_ino).ok()
}

/// The initial pid namespace (`PROC_PID_INIT_INO`, `linux/proc_ns.h`).
pub(crate) const INITIAL_PID_NAMESPACE: u32 = 0xefff_fffc;

/// What the caller's time namespace adds to the boot clock, as text (`/proc/self/timens_offsets`).
pub(crate) fn clock_offsets() -> Vec<u8> {
    std::fs::read("/proc/self/timens_offsets").unwrap_or_default()
}
