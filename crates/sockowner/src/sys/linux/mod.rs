//! Linux: sockets from sock_diag(7), owners from proc(5), services from cgroup v2.
//!
//! [`door`] is all that is asked of the kernel, [`call`] asks the real one. [`diag`] speaks to sock_diag, [`sockets`]
//! lists and looks up with it; [`bpf`] and [`walk`] find who holds a socket, [`process`] reads one process, [`cgroup`]
//! turns ids into paths; [`attribute`] puts them together. [`module`] names one process in as few calls as can be.

mod abroad;
#[cfg(test)]
mod abroad_tests;
mod attribute;
mod bpf;
#[cfg(test)]
mod bpf_tests;
mod call;
mod cgroup;
mod closed;
mod connection;
mod diag;
mod door;
#[cfg(test)]
mod failure_tests;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod fake_iterator;
pub(crate) mod module;
pub(crate) mod namespaces;
mod owning;
mod process;
mod recognise;
pub(crate) mod record;
pub(crate) mod record_ask;
mod record_component;
mod record_reader;
mod record_sample;
mod record_sampled;
mod record_store;
mod record_tend;
pub(crate) mod record_told;
mod recorded;
mod search;
pub(crate) mod share;
mod sockets;
mod subflows;
mod subjects;
mod table;
#[cfg(test)]
mod tests;
mod users;
mod walk;

use std::ffi::OsStr;
use std::sync::{Arc, OnceLock};

use sockowner_wire::{Mount, mounts};

pub(crate) use self::bpf::Seen;
pub(crate) use self::module::{boot, module_of};

use self::bpf::{Bpf, Refused};
use self::call::Kernel;
use self::cgroup::Cgroups;
use self::diag::Diag;
use self::door::Door;
use self::recorded::Recorder;
use super::Options;
use crate::{Error, ErrorKind, Result, RowOwner, Source, SourceState};

/// sock_diag tells nothing that a socket has no place for.
pub(crate) type Told = ();

pub(crate) fn row_owner((): &Told) -> Option<&RowOwner> {
    None
}

pub(crate) fn no_visible_holder() -> &'static str {
    "every process was read and none has it: the kernel's own, in flight, in io_uring, or in another pid namespace"
}

/// The open backend.
#[derive(Debug)]
pub(crate) struct System<D: Door = Kernel> {
    door: D,
    options: Options,
    diag: Diag<D>,
    /// `Err` where there is no `/proc`: owners cannot be looked for, for this reason.
    proc: std::result::Result<Proc<D>, String>,
    cgroups: Cgroups<D>,
    /// Opened when every process is to be looked at for the first time.
    bpf: OnceLock<std::result::Result<Bpf<D>, Refused>>,
    recorder: Recorder,
    /// What the network namespace that is asked is called, where a person named it.
    netns_name: Option<Arc<str>>,
}

/// What is known of `/proc`.
#[derive(Debug)]
struct Proc<D: Door> {
    dir: D::Dir,
    /// The device of sockfs.
    sockfs: u64,
    /// The size of `/proc/PID/fd` is the number of descriptors (Linux 6.2 and later).
    counts_descriptors: bool,
    /// Other users' processes are not even listed (`hidepid=invisible`).
    hides_processes: bool,
    /// The number that stands for users that this user namespace has none for.
    unmapped_uid: Option<u32>,
    /// What the time namespace adds to the boot clock, in ticks.
    boot_offset: i64,
    /// Users have the numbers here that they have in the initial user namespace.
    users_are_initial: bool,
}

impl System {
    pub(crate) fn open(options: Options) -> Result<Self> {
        Self::open_with(Kernel, options)
    }

    pub(crate) fn open_in(options: Options, place: &OsStr) -> Result<Self> {
        Self::open_inside(Kernel, options, place)
    }
}

impl<D: Door> System<D> {
    pub(crate) fn open_with(door: D, options: Options) -> Result<Self> {
        let diag = Diag::open(&door)?;
        Self::open_on(door, diag, options)
    }

    /// On a socket that belongs to the network namespace that is asked about.
    fn open_on(door: D, diag: Diag<D>, options: Options) -> Result<Self> {
        if !matches!(options.source, Source::Auto | Source::Bpf | Source::Proc) {
            let sentence = format!("take owners from {:?}: there is no such source on Linux", options.source);
            return Err(Error::new(ErrorKind::Unsupported, sentence));
        }
        let mut mountinfo = Vec::new();
        let proc = Proc::open(&door, &diag, &mut mountinfo);
        let cgroups = Cgroups::find(&door, &mountinfo);
        let (bpf, recorder) = (OnceLock::new(), Recorder::default());
        let system = Self { door, options, diag, proc, cgroups, bpf, recorder, netns_name: None };
        if options.source == Source::Bpf {
            system.bpf().map_err(Refused::to_error)?;
        }
        Ok(system)
    }

    /// Where owners can come from, and whether they do.
    pub(crate) fn sources(&self) -> Vec<SourceState> {
        let bpf = self.bpf();
        let iterators = SourceState {
            source: Source::Bpf,
            in_use: bpf.is_ok(),
            detail: bpf.ok().map(|bpf| bpf.origin),
            refused: bpf.err().map_or_else(Vec::new, |refused| refused.0.clone()),
        };
        let shows_all = bpf.is_ok_and(|bpf| bpf.shows_all);
        let hides = self.proc.as_ref().is_ok_and(|proc| proc.hides_processes);
        let proc = SourceState {
            source: Source::Proc,
            in_use: self.proc.is_ok() && !shows_all,
            detail: hides.then_some("other users' processes are not listed (hidepid)"),
            refused: self.proc.as_ref().err().into_iter().cloned().collect(),
        };
        vec![iterators, proc]
    }

    /// The iterators, where they are wanted and can be had.
    fn bpf(&self) -> std::result::Result<&Bpf<D>, &Refused> {
        let open = || match (&self.proc, self.options.source) {
            (_, Source::Proc) => Err(Refused(vec!["not wanted".to_owned()])),
            (Err(why), _) => Err(Refused(vec![why.clone()])),
            (Ok(proc), _) => Bpf::open(&self.door, proc),
        };
        self.bpf.get_or_init(open).as_ref()
    }
}

impl<D: Door> Proc<D> {
    fn open(door: &D, diag: &Diag<D>, mountinfo: &mut Vec<u8>) -> std::result::Result<Self, String> {
        let dir = door.open_root(b"/proc").map_err(|error| format!("open /proc: {error}"))?;
        match door.is_procfs(&dir) {
            Ok(true) => {}
            Ok(false) => return Err("no proc file system is mounted at /proc".to_owned()),
            Err(error) => return Err(format!("examine /proc: {error}")),
        }
        // Numbers of another pid namespace name other processes here.
        let own = door.read_link(&dir, b"self").map_err(|error| format!("read /proc/self: {error}"))?;
        if own != door.own_pid().to_string().as_bytes() {
            return Err("/proc shows another pid namespace: mount one of your own over it".to_owned());
        }
        door.read(&dir, b"self/mountinfo", mountinfo)
            .map_err(|error| format!("read /proc/self/mountinfo: {error}"))?;
        let sockfs = diag
            .with_socket(door, |socket| door.stat_diag(socket))
            .map_err(|error| format!("{error:#}"))?
            .map_err(|error| format!("examine a socket of our own: {error}"))?
            .device;
        let mut uid_map = Vec::new();
        // A kernel without user namespaces has no such file, and no user without a number.
        let _ = door.read(&dir, b"self/uid_map", &mut uid_map);
        let unmapped_uid = process::unmapped_uid(&uid_map);
        let mut offsets = Vec::new();
        // A kernel without time namespaces has no such file, and no offset.
        let _ = door.read(&dir, b"self/timens_offsets", &mut offsets);
        // We have a descriptor open, so a size of 0 means that the kernel does not count.
        let counts_descriptors = door.stat(&dir, b"self/fd").is_ok_and(|own| own.size > 0);
        let hides_processes = hides_processes(door, &dir, mountinfo);
        let boot_offset = process::boot_offset(&offsets, door.now().ticks_per_second);
        let users_are_initial = process::is_identity(&uid_map);
        Ok(Self {
            dir,
            sockfs,
            counts_descriptors,
            hides_processes,
            unmapped_uid,
            boot_offset,
            users_are_initial,
        })
    }
}

/// `/proc` is mounted so that other users' processes are left out of its listing, and this caller is not excepted
/// as far as can be told.
fn hides_processes<D: Door>(door: &D, proc: &D::Dir, mountinfo: &[u8]) -> bool {
    // The last mount on a point is the one that is seen.
    let mount: Option<Mount<'_>> =
        mounts(mountinfo).flatten().filter(|mount| *mount.mount_point == *b"/proc").last();
    let hidepid = mount.as_ref().and_then(|mount| mount.super_option(b"hidepid"));
    if !matches!(hidepid, Some(b"2" | b"4" | b"invisible" | b"ptraceable")) {
        return false;
    }
    let is_root = door.stat(proc, b"self").is_ok_and(|own| own.uid == 0);
    let sees_first = door.stat(proc, b"1").is_ok();
    !(is_root && sees_first)
}
