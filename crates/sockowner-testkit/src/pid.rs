//! Choosing the number of the next process.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";

/// Makes the next process of this pid namespace get the number `pid`, if it is free; else the next free one above.
///
/// Anybody else's fork may take the number: [`Builder::pid`](crate::Builder::pid) retries, and inside
/// [`pidns::inside`](crate::pidns::inside) there is nobody else. Prefer that: on the host it changes the numbers
/// that everybody gets.
pub fn force_next(pid: u32) -> Result<(), String> {
    fs::write(LAST_PID, pid.saturating_sub(1).to_string())
        .map_err(|error| format!("write {LAST_PID}: {error}"))
}

/// Whether [`force_next`] works here, else why not.
pub fn supported() -> Result<(), String> {
    // The number written is the one that stands there: the namespace notices nothing.
    let last = fs::read_to_string(LAST_PID).map_err(|error| format!("read {LAST_PID}: {error}"))?;
    fs::write(LAST_PID, last.trim()).map_err(|error| format!("write {LAST_PID}: {error}"))
}

/// Stops a process, or has it go on.
pub fn pause(pid: u32, is_paused: bool) -> Result<(), String> {
    let signal = if is_paused { Signal::STOP } else { Signal::CONT };
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or("not a process number")?;
    kill_process(number, signal).map_err(|error| format!("signal the process {pid}: {error}"))
}

/// Whether a process, a thread or a zombie has this number.
pub(crate) fn taken(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}
