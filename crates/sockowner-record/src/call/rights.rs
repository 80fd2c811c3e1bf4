//! Giving rights up.
#![expect(unsafe_code, reason = "close_range has no safe wrapper, as it closes what others may own")]

use std::io;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Gid, Resource, Rlimit, Signal, Uid, getrlimit, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, UnshareFlags, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_keep_capabilities, set_no_new_privs,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

/// The number of a user and a group that nothing else has: what else runs as nobody could send a child signals.
const NOBODY: u32 = 0x8000_5c0e;

/// What a child keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    pub(crate) capabilities: CapabilitySet,
    /// Bytes of memory, beyond what the program has already.
    pub(crate) memory: u64,
    pub(crate) descriptors: u64,
}

impl Kept {
    /// Of one that opens what others execute.
    pub(crate) const OPENER: Self = Self {
        capabilities: CapabilitySet::SYS_PTRACE
            .union(CapabilitySet::DAC_READ_SEARCH)
            .union(CapabilitySet::CHECKPOINT_RESTORE),
        memory: 48 << 20,
        descriptors: 16,
    };

    /// Of one that reads what it is given.
    pub(crate) const PARSER: Self =
        Self { capabilities: CapabilitySet::empty(), memory: 64 << 20, descriptors: 384 };
}

/// Closes all descriptors but the standard streams.
pub(crate) fn close_others() -> io::Result<()> {
    let (first, last, flags): (libc::c_uint, libc::c_uint, libc::c_uint) = (3, libc::c_uint::MAX, 0);
    // SAFETY: it takes three numbers and touches no memory. Descriptors that are closed may not be used any more: this is
    // called first of all in a program's only thread, which has opened none (`is_alone`).
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The calling thread is the process's only one: rights are given up by thread.
pub(crate) fn is_alone() -> io::Result<bool> {
    Ok(std::fs::read_dir("/proc/self/task")?.count() == 1)
}

/// Gives all rights up but those that are kept. What cannot be given up for want of a privilege is not there to be misused,
/// or is refused by the filter of system calls, which follows; anything else is an error.
pub(crate) fn give_up(kept: Kept) -> io::Result<()> {
    set_no_new_privs(true)?;
    for (resource, limit) in [
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nproc, 0),
        (Resource::Nofile, kept.descriptors),
        (Resource::As, memory_in_use()?.saturating_add(kept.memory)),
    ] {
        let hard = getrlimit(resource).maximum.map_or(limit, |hard| hard.min(limit));
        setrlimit(resource, Rlimit { current: Some(hard), maximum: Some(hard) })?;
    }

    let before = capabilities(None)?.effective;
    let may = |capability| before.contains(capability);
    if may(CapabilitySet::SYS_ADMIN) {
        unshare(UnshareFlags::NEWNET | UnshareFlags::NEWIPC)?;
    }
    if may(CapabilitySet::SETPCAP) {
        for capability in CapabilitySet::all().iter() {
            match remove_capability_from_bounding_set(capability) {
                // A kernel that does not know it.
                Ok(()) | Err(Errno::INVAL) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    clear_ambient_capability_set()?;
    set_keep_capabilities(true)?;
    if may(CapabilitySet::SETGID) {
        set_thread_groups(&[])?;
        let nobody = Gid::from_raw(NOBODY);
        set_thread_res_gid(nobody, nobody, nobody)?;
    }
    if may(CapabilitySet::SETUID) {
        let nobody = Uid::from_raw(NOBODY);
        set_thread_res_uid(nobody, nobody, nobody)?;
    }
    set_keep_capabilities(false)?;
    let left = capabilities(None)?.permitted.intersection(kept.capabilities);
    let sets = CapabilitySets { effective: left, permitted: left, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets)?;
    // A change of user undoes these.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}

/// This thread alone: there is no other.
fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: the flags name namespaces alone. What is unsafe about unshare is that descriptors cease to be shared with
    // other threads (CLONE_FILES), which is not asked for.
    match unsafe { rustix::thread::unshare_unsafe(flags) } {
        // A kernel without such namespaces has none to leave, and a sandbox that forbids it has its own.
        Ok(()) | Err(Errno::INVAL | Errno::PERM | Errno::NOSPC) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Bytes of address space.
fn memory_in_use() -> io::Result<u64> {
    let statm = rustix::fs::open("/proc/self/statm", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut text = [0; 128];
    let len = rustix::io::read(&statm, &mut text)?;
    let first = text[..len].split(|&byte| byte == b' ').next().unwrap_or_default();
    let pages: Option<u64> = str::from_utf8(first).ok().and_then(|pages| pages.parse().ok());
    let pages = pages.ok_or(io::ErrorKind::InvalidData)?;
    Ok(pages.saturating_mul(rustix::param::page_size() as u64))
}
