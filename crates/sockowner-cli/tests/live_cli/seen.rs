//! What the system says, read without the library that the program is made of.

use std::fs;
use std::os::unix::fs::MetadataExt;

/// Field 22 of `/proc/PID/stat`.
pub(super) fn start_ticks(pid: u32) -> u64 {
    let text = fs::read(format!("/proc/{pid}/stat")).unwrap();
    // The name before may have spaces and parentheses, the fields after it have none.
    let end = text.iter().rposition(|byte| *byte == b')').unwrap();
    let text = String::from_utf8(text[end + 2..].to_vec()).unwrap();
    text.split(' ').nth(22 - 3).unwrap().parse().unwrap()
}

/// The user's name in `/etc/passwd`.
pub(super) fn user_name(uid: u32) -> Option<String> {
    let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let is_theirs = |line: &&str| line.split(':').nth(2) == Some(&uid.to_string());
    text.lines().find(is_theirs)?.split(':').next().map(str::to_owned)
}

/// This process's network namespace.
pub(super) fn netns() -> u64 {
    fs::metadata("/proc/self/ns/net").unwrap().ino()
}
