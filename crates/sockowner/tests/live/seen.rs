//! What `/proc` and the name service say, read without the library that is tested with it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use sockowner::{FileId, Process};
use tempfile::TempDir;

pub(super) fn proc_dir(pid: u32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

/// Field `number` (3 and up, as in proc(5)) of `/proc/PID/stat`.
pub(super) fn stat_field(pid: u32, number: usize) -> u64 {
    let text = fs::read(proc_dir(pid).join("stat")).unwrap();
    // The name before may have spaces and parentheses, the fields after it have none.
    let end = text.iter().rposition(|byte| *byte == b')').unwrap();
    let text = String::from_utf8(text[end + 2..].to_vec()).unwrap();
    text.split(' ').nth(number - 3).unwrap().parse().unwrap()
}

pub(super) fn start_ticks(pid: u32) -> u64 {
    stat_field(pid, 22)
}

/// The link to the executable: the process's, or a thread's where the main one has ended.
pub(super) fn exe_link(pid: u32) -> PathBuf {
    let own = proc_dir(pid).join("exe");
    if fs::read_link(&own).is_ok() {
        return own;
    }
    let mut links =
        fs::read_dir(proc_dir(pid).join("task")).unwrap().map(|task| task.unwrap().path().join("exe"));
    links.find(|link| fs::read_link(link).is_ok()).unwrap()
}

/// The file itself, whatever it is called.
pub(super) fn file_id(path: impl AsRef<Path>) -> (u64, u64) {
    let metadata = fs::metadata(path).unwrap();
    (metadata.dev(), metadata.ino())
}

/// The same as the library tells it.
pub(super) fn told_id(id: Option<FileId>) -> (u64, u64) {
    id.map(|id| (id.device, id.inode)).unwrap()
}

pub(super) fn comm(pid: u32) -> OsString {
    let mut text = fs::read(proc_dir(pid).join("comm")).unwrap();
    assert_eq!(text.pop(), Some(b'\n'));
    OsString::from_vec(text)
}

/// Inode number of the process's pidfd; `None` before Linux 6.9, where all have the same.
pub(super) fn pidfd_inode(pid: u32) -> Option<u64> {
    const PID_FS: u64 = 0x5049_4446;
    let number = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let pidfd = pidfd_open(number, PidfdFlags::empty()).ok()?;
    (u64::try_from(rustix::fs::fstatfs(&pidfd).unwrap().f_type) == Ok(PID_FS))
        .then(|| rustix::fs::fstat(&pidfd).unwrap().st_ino)
}

/// The effective user in `/proc/PID/status`.
pub(super) fn effective_uid(pid: u32) -> u32 {
    let text = fs::read(proc_dir(pid).join("status")).unwrap();
    let text = String::from_utf8_lossy(&text).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The user's name in `/etc/passwd`.
pub(super) fn user_name(uid: u32) -> Option<String> {
    let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let is_theirs = |line: &&str| line.split(':').nth(2) == Some(&uid.to_string());
    text.lines().find(is_theirs)?.split(':').next().map(str::to_owned)
}

/// Asserts that what is told of a process is what `/proc` shows. `parent`, `service` and `container` apart.
pub(super) fn assert_is_as_seen(process: &Process) {
    let pid = process.pid;
    assert_eq!(process.start.ticks, start_ticks(pid));
    assert!(process.start.time.is_some());
    assert_eq!(u64::from(process.parent), stat_field(pid, 4));
    // Told only where the start time does not suffice.
    assert!(process.pidfd_inode.is_none() || process.pidfd_inode == pidfd_inode(pid));
    assert_eq!(process.comm, comm(pid));
    assert_eq!(process.uid, Some(effective_uid(pid)));
    assert_eq!(process.user.as_deref(), process.uid.and_then(user_name).as_deref());
    assert!(!process.kernel_thread);
    assert_eq!(process.command_line, None, "nobody asked for it");
    let executable = process.executable.as_ref().unwrap();
    let link = exe_link(pid);
    assert_eq!(told_id(executable.file), file_id(&link));
    let mut shown = executable.path.clone().into_os_string();
    if executable.deleted {
        shown.push(" (deleted)");
    }
    assert_eq!(shown, fs::read_link(&link).unwrap());
    assert_eq!(process.name, executable.path.file_name().unwrap_or(&process.comm));
}

/// A directory that every user can enter.
pub(super) fn public_dir() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    dir
}
