//! Programs whose system calls are refused, as in a container's sandbox or on an older kernel.
#![expect(unsafe_code, reason = "prctl's seccomp operations and pre_exec have no safe wrapper")]

use std::io;
use std::mem::offset_of;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;

use libc::{c_long, c_ulong, seccomp_data, sock_filter, sock_fprog};
pub use rustix::io::Errno;

/// What can be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `socket(AF_NETLINK, ...)`; sockets of other families can be had.
    NetlinkSocket,
    /// `statx(2)`.
    Statx,
    /// `openat2(2)`.
    Openat2,
    /// `kcmp(2)`.
    Kcmp,
    /// `pidfd_open(2)`.
    PidfdOpen,
    /// `bpf(2)`.
    Bpf,
}

/// Has the kernel answer `errno` whenever the program that `command` starts, or a child of it, makes the call. May be
/// said of several calls. Sets `no_new_privs`, so that no privilege is needed.
pub fn refuse(command: &mut Command, call: Call, errno: Errno) {
    let filter = filter(call, errno);
    // SAFETY: the closure makes two system calls with memory that it owns, made before; it neither allocates nor
    // locks, as the time between fork and exec demands.
    unsafe { command.pre_exec(move || install(&filter)) };
}

/// Whether filters can be installed here, else why not.
pub fn supported() -> Result<(), String> {
    let mode = c_ulong::from(libc::SECCOMP_MODE_FILTER);
    // SAFETY: a null pointer is what this asks about: where filters are known the kernel answers EFAULT, having read
    // nothing, else EINVAL (seccomp(2), "Determining whether filters are supported"). No filter is installed.
    unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, ptr::null::<sock_fprog>()) };
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::EFAULT) => Ok(()),
        error => Err(format!("no seccomp filters: {error}")),
    }
}

/// The numbers compared are those of this program's own architecture, in which the one to be started is compiled too.
fn filter(call: Call, errno: Errno) -> Vec<sock_filter> {
    let refuse = libc::SECCOMP_RET_ERRNO | errno.raw_os_error().unsigned_abs();
    let mut filter = vec![load(offset_of!(seccomp_data, nr))];
    match call {
        Call::NetlinkSocket => {
            // The lower half of the first argument: the family is an int.
            let high = if cfg!(target_endian = "big") { 4 } else { 0 };
            filter.extend([
                unless_equal(number(libc::SYS_socket), 3),
                load(offset_of!(seccomp_data, args) + high),
                unless_equal(libc::AF_NETLINK.unsigned_abs(), 1),
            ]);
        }
        Call::Statx => filter.push(unless_equal(number(libc::SYS_statx), 1)),
        Call::Openat2 => filter.push(unless_equal(number(libc::SYS_openat2), 1)),
        Call::Kcmp => filter.push(unless_equal(number(libc::SYS_kcmp), 1)),
        Call::PidfdOpen => filter.push(unless_equal(number(libc::SYS_pidfd_open), 1)),
        Call::Bpf => filter.push(unless_equal(number(libc::SYS_bpf), 1)),
    }
    filter.extend([answer(refuse), answer(libc::SECCOMP_RET_ALLOW)]);
    filter
}

fn load(offset: usize) -> sock_filter {
    let offset = u32::try_from(offset).expect("the structure is small");
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0)
}

/// Goes on where what was loaded is `value`, else leaves out as many statements.
fn unless_equal(value: u32, left_out: u8) -> sock_filter {
    statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, left_out)
}

fn answer(value: u32) -> sock_filter {
    statement(libc::BPF_RET | libc::BPF_K, value, 0)
}

fn statement(code: u32, k: u32, if_false: u8) -> sock_filter {
    sock_filter { code: u16::try_from(code).expect("codes have 16 bits"), jt: 0, jf: if_false, k }
}

fn number(call: c_long) -> u32 {
    u32::try_from(call).expect("call numbers are small")
}

/// Between fork and exec.
fn install(filter: &[sock_filter]) -> io::Result<()> {
    let (yes, unused): (c_ulong, c_ulong) = (1, 0);
    // SAFETY: takes numbers and touches no memory.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, yes, unused, unused, unused) })?;
    let length = libc::c_ushort::try_from(filter.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = sock_fprog { len: length, filter: filter.as_ptr().cast_mut() };
    let mode = c_ulong::from(libc::SECCOMP_MODE_FILTER);
    // SAFETY: `program` has as many statements as it says, in memory that lives across the call; the kernel copies
    // them and writes nothing through the pointer (seccomp(2)).
    check(unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
