//! One process: held by its `/proc` directory while it is read, never re-read by number.
//!
//! The directory stands for the process, not for the number: once that process is gone every read through it fails,
//! also when the number has been given to another.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use sockowner_wire::{Placement, ProcStat, memberships, place, uids};

use super::cgroup::Named;
use super::door::{Door, FileStat, Now, is_exhausted, is_gone};
use crate::{Executable, FileId, Process, StartTime};

/// How often a process that executes something new while it is read is read again.
const TRIES: u32 = 3;
pub(super) const DELETED: &[u8] = b" (deleted)";

/// What is the same for every process of a snapshot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) now: Now,
    /// What the reader's time namespace adds to the boot clock, in ticks.
    pub(crate) boot_offset: i64,
    /// The number that stands for every user without one in the reader's user namespace.
    pub(crate) unmapped_uid: Option<u32>,
    pub(crate) command_lines: bool,
}

impl Frame {
    /// When a process started that has this count in the initial time namespace.
    pub(crate) fn start_time_of(&self, ticks: u64) -> StartTime {
        start_time(ticks.saturating_add_signed(self.boot_offset), self)
    }

    /// The clock, in ticks of the initial time namespace.
    pub(crate) fn ticks_now(&self) -> u64 {
        duration_to_ticks(self.now.since_boot, self.now.ticks_per_second)
            .saturating_add_signed(-self.boot_offset)
    }
}

/// A process as read, with what is looked up only once for many of them.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) process: Process,
    /// Its cgroup v2 path, as the reader sees it.
    pub(crate) cgroup: Option<Vec<u8>>,
    /// The executable changed at every try: name and path may be of two different programs' times.
    pub(crate) changed: bool,
}

/// Reads the process behind `dir`. An error that [`is_gone`] means that it ended.
pub(crate) fn read<D: Door>(door: &D, dir: &D::Dir, frame: &Frame) -> io::Result<Read> {
    let mut tries = TRIES;
    loop {
        tries -= 1;
        let mut text = Vec::with_capacity(1024);
        door.read_piece(dir, b"stat", &mut text)?;
        let stat = ProcStat::parse(&text).map_err(invalid)?;
        let link = executable_link(door, dir, &stat);
        let before = door.stat(dir, &link).ok();
        let read = read_rest(door, dir, frame, &stat, (&link, before))?;
        let after = door.stat(dir, &link).ok();
        let is_same = before.map(file_id) == after.map(file_id);
        if is_same || tries == 0 {
            return Ok(Read { changed: !is_same, ..read });
        }
    }
}

/// Pid, parent, start time and name alone: what everybody may know of a process, for one that is no owner.
pub(crate) fn read_public<D: Door>(door: &D, dir: &D::Dir, frame: &Frame) -> io::Result<Process> {
    let mut text = Vec::with_capacity(1024);
    door.read_piece(dir, b"stat", &mut text)?;
    let stat = ProcStat::parse(&text).map_err(invalid)?;
    let text = door.read_link(dir, b"exe").ok();
    let name = text.map(|text| text.strip_suffix(DELETED).map(<[u8]>::to_vec).unwrap_or(text));
    let mut process = bare(&stat, frame);
    if let Some(name) = name.as_deref().and_then(|path| path.rsplit(|&byte| byte == b'/').next()) {
        process.name = OsString::from_vec(name.to_vec());
    }
    Ok(process)
}

fn bare(stat: &ProcStat<'_>, frame: &Frame) -> Process {
    let comm = OsString::from_vec(stat.comm.to_vec());
    Process {
        pid: stat.pid,
        start: start_time(stat.start_ticks, frame),
        parent: stat.ppid,
        name: comm.clone(),
        comm,
        executable: None,
        uid: None,
        user: None,
        service: None,
        container: None,
        command_line: None,
        pidfd_inode: None,
        kernel_thread: stat.is_kernel_thread(),
    }
}

fn invalid(malformed: sockowner_wire::Malformed) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, malformed)
}

/// Where the link to the executable is: below a living thread where the main one has ended.
pub(super) fn executable_link<D: Door>(door: &D, dir: &D::Dir, stat: &ProcStat<'_>) -> Vec<u8> {
    let mut link = b"exe".to_vec();
    if stat.is_zombie() && stat.num_threads > 1 {
        let mut tids = Vec::new();
        if let Ok(tasks) = door.open_dir(dir, b"task") {
            // Without the list the main thread's link is all there is to try.
            let _ = door.list(&tasks, &mut |entry| tids.extend(entry.number()));
        }
        if let Some(tid) = tids.into_iter().find(|&tid| tid != stat.pid) {
            link = format!("task/{tid}/exe").into_bytes();
        }
    }
    link
}

fn read_rest<D: Door>(
    door: &D,
    dir: &D::Dir,
    frame: &Frame,
    stat: &ProcStat<'_>,
    (link, file): (&[u8], Option<FileStat>),
) -> io::Result<Read> {
    let mut process = bare(stat, frame);
    if !process.kernel_thread {
        process.executable = executable(door, dir, link, file)?;
    }
    if let Some(name) = process.executable.as_ref().and_then(|executable| executable.path.file_name()) {
        name.clone_into(&mut process.name);
    }

    let mut text = Vec::with_capacity(2048);
    door.read_piece(dir, b"status", &mut text)?;
    process.uid = uids(&text).ok().map(|uids| uids.effective).filter(|&uid| Some(uid) != frame.unmapped_uid);

    text.clear();
    // A kernel without cgroups has no such file; a process that ended is told by the reads around this one.
    let (cgroup, placement) = match door.read_piece(dir, b"cgroup", &mut text) {
        Ok(()) => membership(&text),
        Err(error) if is_exhausted(&error) => return Err(error),
        Err(_) => (None, Placement::default()),
    };
    let named = Named::from(placement);
    (process.service, process.container) = (named.service, named.container);
    // Of two processes with one number the later one starts after the earlier one has ended. So the start tells them
    // apart, unless this one is so young that a successor could start in the same tick.
    if stat.start_ticks >= duration_to_ticks(frame.now.since_boot, frame.now.ticks_per_second) {
        // By number: whoever it is, he has it while `dir` is alive, and that is read once more below.
        process.pidfd_inode = door.pidfd_inode(stat.pid).ok().flatten();
        if process.pidfd_inode.is_none() {
            outlive_its_tick(door, dir, stat.start_ticks)?;
        }
    }
    process.command_line = frame.command_lines.then(|| command_line(door, dir)).flatten();
    Ok(Read { process, cgroup, changed: false })
}

/// Waits until no other process can start in this tick any more; whoever is still alive then is told from any later one by
/// its start alone.
fn outlive_its_tick<D: Door>(door: &D, dir: &D::Dir, start_ticks: u64) -> io::Result<()> {
    let tick = |now: &Now| duration_to_ticks(now.since_boot, now.ticks_per_second);
    // One wait is enough, unless the clock is not what it is taken for.
    for _ in 0..TRIES {
        let now = door.now();
        if tick(&now) > start_ticks {
            return door.read_piece(dir, b"stat", &mut Vec::with_capacity(1024));
        }
        door.wait(ticks_to_duration(1, now.ticks_per_second));
    }
    Err(io::Error::other("it has not started yet, by the clock"))
}

/// The process's cgroup v2 path, and the unit and container it is in: those of systemd's own v1 hierarchy where the
/// unified one tells nothing (hybrid and legacy set-ups).
fn membership(text: &[u8]) -> (Option<Vec<u8>>, Placement) {
    let mut unified = None;
    let mut legacy = Placement::default();
    for line in memberships(text).flatten() {
        if line.is_unified() {
            unified = Some(line.path.to_vec());
        } else if line.is_systemd() {
            legacy = place(line.path);
        }
    }
    let placement = unified.as_deref().map(place).unwrap_or_default();
    let says_something = placement.service.is_some() || placement.container.is_some();
    let is_root = unified.as_deref().is_none_or(|path| path == b"/");
    (unified, if says_something || !is_root { placement } else { legacy })
}

fn executable<D: Door>(
    door: &D,
    dir: &D::Dir,
    link: &[u8],
    file: Option<FileStat>,
) -> io::Result<Option<Executable>> {
    let text = match door.read_link(dir, link) {
        Ok(text) => text,
        // Another user's process, or one whose main thread ended.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied || is_gone(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let is_this = |path: &[u8]| {
        file.is_some_and(|file| door.stat_cached(path).is_ok_and(|other| file_id(other) == file_id(file)))
    };
    let verified = is_this(&text);
    // A file may really be called so: what has the name is looked at before the suffix is taken for the kernel's.
    let stripped = text.strip_suffix(DELETED).filter(|_| !verified).map(<[u8]>::to_vec);
    let deleted = stripped.is_some();
    let path = stripped.unwrap_or(text);
    Ok(Some(Executable {
        path: PathBuf::from(OsString::from_vec(path)),
        verified,
        deleted,
        file: file.map(file_id),
    }))
}

fn command_line<D: Door>(door: &D, dir: &D::Dir) -> Option<Vec<OsString>> {
    let mut text = Vec::new();
    door.read(dir, b"cmdline", &mut text).ok()?;
    // A process whose main thread ended, and one of the kernel, has none.
    if text.is_empty() {
        return None;
    }
    let text = text.strip_suffix(b"\0").unwrap_or(&text);
    Some(text.split(|&byte| byte == 0).map(|word| OsString::from_vec(word.to_vec())).collect())
}

fn file_id(stat: FileStat) -> FileId {
    FileId { device: stat.device, inode: stat.inode }
}

/// `shown` is in the reader's time namespace, as is the clock: the difference of both is the process's age.
fn start_time(shown: u64, frame: &Frame) -> StartTime {
    let since_boot = ticks_to_duration(shown, frame.now.ticks_per_second);
    let time = frame.now.since_boot.checked_sub(since_boot).and_then(|age| frame.now.wall.checked_sub(age));
    StartTime { ticks: shown.saturating_add_signed(-frame.boot_offset), time }
}

fn ticks_to_duration(ticks: u64, per_second: u64) -> Duration {
    let per_second = per_second.max(1);
    let rest = (ticks % per_second) * 1_000_000_000 / per_second;
    Duration::new(ticks / per_second, u32::try_from(rest).unwrap_or(0))
}

fn duration_to_ticks(duration: Duration, per_second: u64) -> u64 {
    let parts = u64::from(duration.subsec_nanos()) * per_second / 1_000_000_000;
    duration.as_secs().saturating_mul(per_second).saturating_add(parts)
}

/// The overflow uid, where the reader's user namespace does not have it as a user of its own; `uid_map` is the text of
/// `/proc/self/uid_map` (user_namespaces(7)).
pub(crate) fn unmapped_uid(uid_map: &[u8]) -> Option<u32> {
    /// `/proc/sys/kernel/overflowuid` where nobody changed it.
    const OVERFLOW: u32 = 65534;
    let maps = |line: &[u8]| {
        let mut numbers = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
        let first: u32 = numbers.next()?.parse().ok()?;
        let count: u32 = numbers.nth(1)?.parse().ok()?;
        Some(OVERFLOW >= first && OVERFLOW - first < count)
    };
    let is_mapped = uid_map.split(|&byte| byte == b'\n').filter_map(maps).any(|maps| maps);
    (!is_mapped && !uid_map.is_empty()).then_some(OVERFLOW)
}

/// Every user has the number that he has in the initial user namespace.
pub(crate) fn is_identity(uid_map: &[u8]) -> bool {
    let words: Vec<_> = uid_map.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
    // A kernel without user namespaces has no such file.
    words.is_empty() || words == [&b"0"[..], b"0", b"4294967295"]
}

/// The boot clock's offset in `/proc/self/timens_offsets` (time_namespaces(7)), in ticks; 0 without time namespaces.
pub(crate) fn boot_offset(text: &[u8], ticks_per_second: u64) -> i64 {
    let parse = |line: &[u8]| {
        let line = std::str::from_utf8(line).ok()?;
        let mut words = line.split_ascii_whitespace();
        // The clock's number before 5.11 or so, its name since.
        if !matches!(words.next()?, "boottime" | "7") {
            return None;
        }
        let seconds: i64 = words.next()?.parse().ok()?;
        let nanoseconds: i64 = words.next()?.parse().ok()?;
        let per_second = i64::try_from(ticks_per_second).ok()?;
        seconds.checked_mul(per_second)?.checked_add(nanoseconds.checked_mul(per_second)? / 1_000_000_000)
    };
    text.split(|&byte| byte == b'\n').find_map(parse).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_of_a_time_namespace_is_read_in_both_spellings() {
        assert_eq!(
            boot_offset(b"monotonic           0         0\nboottime      604800  500000000\n", 100),
            60_480_050
        );
        assert_eq!(boot_offset(b"1 0 0\n7 -20 0\n", 100), -2000);
        assert_eq!(boot_offset(b"", 100), 0);
        assert_eq!(boot_offset(b"boottime x 0\n", 100), 0);
    }

    #[test]
    fn a_map_of_all_users_to_themselves_is_the_initial_one() {
        assert!(is_identity(b"         0          0 4294967295\n") && is_identity(b""));
        assert!(!is_identity(b"0 1000 1\n") && !is_identity(b"0 0 4294967295\n1 1 1\n"));
    }

    #[test]
    fn a_user_namespace_without_the_overflow_uid_has_nobody_by_that_number() {
        assert_eq!(unmapped_uid(b"         0          0 4294967295\n"), None);
        assert_eq!(unmapped_uid(b"         0       1000          1\n"), Some(65534));
        assert_eq!(unmapped_uid(b"0 1000 1\n65534 65534 1\n"), None);
        assert_eq!(unmapped_uid(b""), None);
    }

    #[test]
    fn hybrid_hosts_take_the_unit_from_systemds_own_hierarchy() {
        let (path, placement) = membership(b"9:name=systemd:/system.slice/ssh.service\n0::/\n");
        assert_eq!(path.as_deref(), Some(&b"/"[..]));
        assert_eq!(placement.service.unwrap().name, b"ssh.service");
        let (_, placement) =
            membership(b"1:name=systemd:/system.slice/ssh.service\n0::/user.slice/x.scope\n");
        assert_eq!(placement.service, None, "the unified hierarchy has spoken");
    }
}
