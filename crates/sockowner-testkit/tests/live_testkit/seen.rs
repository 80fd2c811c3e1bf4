//! What `/proc` shows of processes and sockets, read without the library that is to be tested with this.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

pub(crate) fn proc_dir(pid: u32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

pub(crate) fn alive(pid: u32) -> bool {
    proc_dir(pid).exists()
}

/// Whether a descriptor in the directory (`/proc/PID/fd`) is the socket.
pub(crate) fn table_holds(fd_dir: &Path, inode: u64) -> bool {
    let link = format!("socket:[{inode}]");
    let Ok(entries) = fs::read_dir(fd_dir) else {
        return false;
    };
    entries.flatten().any(|entry| fs::read_link(entry.path()).is_ok_and(|to| to.as_os_str() == link.as_str()))
}

pub(crate) fn holds(pid: u32, inode: u64) -> bool {
    table_holds(&proc_dir(pid).join("fd"), inode)
}

pub(crate) fn thread_holds(pid: u32, tid: u32, inode: u64) -> bool {
    table_holds(&proc_dir(pid).join("task").join(tid.to_string()).join("fd"), inode)
}

/// A line of `/proc/PID/status`, without its name and the white space around; empty when there is no such process.
pub(crate) fn status(pid: u32, name: &str) -> String {
    let text = fs::read(proc_dir(pid).join("status")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_default().trim().replace('\t', " ")
}

pub(crate) fn exe(pid: u32) -> PathBuf {
    fs::read_link(proc_dir(pid).join("exe")).unwrap()
}

pub(crate) fn owner(path: &Path) -> u32 {
    fs::metadata(path).unwrap().uid()
}

/// How many TCP sockets of this thread's network namespace have the local port and the state.
pub(crate) fn tcp_rows(port: u16, state: &str) -> usize {
    let rows = fs::read_to_string("/proc/thread-self/net/tcp").unwrap();
    let port = format!(":{port:04X}");
    let fits = |line: &&str| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        fields[1].ends_with(&port) && fields[3] == state
    };
    rows.lines().skip(1).filter(fits).count()
}

thread_local! {
    /// Whether this thread expects a panic at the moment.
    static EXPECTING: Cell<bool> = const { Cell::new(false) };
}

/// Keeps expected panics from being printed: what is printed is a failure then.
pub(crate) fn silence_expected_panics() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !EXPECTING.get() {
            print(info);
        }
    }));
}

/// The message of the panic that `work` must end in.
pub(crate) fn panic_message<R>(work: impl FnOnce() -> R) -> String {
    EXPECTING.set(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    EXPECTING.set(false);
    let payload = result.err().expect("there was no panic");
    payload
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| Some((*payload.downcast_ref::<&str>()?).to_owned()))
        .unwrap()
}
