//! Whether this system can hold a load, told before it is tried.

use std::fs;

use rustix::process::{Resource, geteuid, getrlimit};

use super::Shape;
use super::worker::SPARE;

/// Left to everybody else.
const RESERVE: u64 = 1000;

pub(super) fn check(shape: &Shape) -> Result<(), String> {
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let processes = number(shape.processes);
    let each = number(shape.sockets + shape.others + SPARE);
    let most = if geteuid().is_root() {
        read("/proc/sys/fs/nr_open", 0)?
    } else {
        getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)
    };
    need("descriptors in one process", each, most)?;
    // Duplicates share one open file.
    let files = number(shape.rows() + shape.processes * SPARE);
    let allocated = read("/proc/sys/fs/file-nr", 0)?;
    need("open files", files, read("/proc/sys/fs/file-max", 0)?.saturating_sub(allocated))?;
    need("processes", processes + RESERVE, read("/proc/sys/kernel/pid_max", 0)?)?;
    need("processes", processes + RESERVE, read("/proc/sys/kernel/threads-max", 0)?)
}

fn need(what: &str, wanted: u64, most: u64) -> Result<(), String> {
    if wanted <= most { Ok(()) } else { Err(format!("needs {wanted} {what}, the limit is {most}")) }
}

fn read(path: &str, field: usize) -> Result<u64, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("read {path}: {error}"))?;
    let number = text.split_ascii_whitespace().nth(field).and_then(|number| number.parse().ok());
    number.ok_or_else(|| format!("read {path}: not a number: {}", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_held_is_told_with_the_limit() {
        assert_eq!(check(&Shape { processes: 1, sockets: 1, others: 1 }), Ok(()));
        let wide = check(&Shape { processes: 1, sockets: 1, others: usize::MAX / 2 });
        assert!(wide.is_err_and(|why| why.contains("descriptors in one process, the limit is ")));
        let many = check(&Shape { processes: 1 << 40, sockets: 0, others: 0 });
        assert!(many.is_err_and(|why| why.contains("the limit is ")));
    }
}
