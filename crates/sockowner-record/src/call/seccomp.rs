//! The system calls that a child may make. Any other ends it.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op,
    SeccompCondition as Condition, SeccompFilter, SeccompRule as Rule,
};

use super::maps::PROCMAP_QUERY;

/// What both need: a channel, memory, the time, an end.
const BOTH: &[libc::c_long] = &[
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_close,
    libc::SYS_pread64,
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_clock_gettime,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Finding and opening files; nothing writes.
const OPENER: &[libc::c_long] = &[libc::SYS_read, libc::SYS_openat2, libc::SYS_statx];

/// What a file is that was handed over.
const PARSER: &[libc::c_long] = &[libc::SYS_fstat];

/// From now on the calling process is an opener.
pub(crate) fn confine_opener() -> io::Result<()> {
    confine(opener())
}

/// From now on the calling process is a parser.
pub(crate) fn confine_parser() -> io::Result<()> {
    confine(parser())
}

fn opener() -> Result<BpfProgram, BackendError> {
    // Not O_ACCMODE: musl counts O_PATH among its bits.
    let access = libc::O_WRONLY | libc::O_RDWR;
    let no_writing = equal(2, access | libc::O_CREAT | libc::O_TRUNC, libc::O_RDONLY);
    program(OPENER, vec![(libc::SYS_openat, vec![no_writing])])
}

fn parser() -> Result<BpfProgram, BackendError> {
    program(PARSER, vec![])
}

fn confine(program: Result<BpfProgram, BackendError>) -> io::Result<()> {
    seccompiler::apply_filter(&program.map_err(io::Error::other)?).map_err(io::Error::other)
}

/// The bits of an argument that `mask` has are those of `value`.
fn equal(argument: u8, mask: libc::c_int, value: libc::c_int) -> Result<Condition, BackendError> {
    let [mask, value] = [mask, value].map(|number| u64::from(number.unsigned_abs()));
    Condition::new(argument, Len::Dword, Op::MaskedEq(mask), value)
}

/// `F_GETFD`
const GETFD: u64 = 1;

type Conditions = Vec<Result<Condition, BackendError>>;

/// A call's number, whatever the size of a `long`.
fn number(call: impl Into<i64>) -> i64 {
    call.into()
}

fn program(
    own: &[libc::c_long],
    conditional: Vec<(libc::c_long, Conditions)>,
) -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<i64, Vec<Rule>> = BTreeMap::new();
    for &call in BOTH.iter().chain(own) {
        // No condition.
        rules.insert(number(call), Vec::new());
    }
    let no_code = libc::PROT_EXEC;
    let query = Condition::new(1, Len::Dword, Op::Eq, PROCMAP_QUERY.into());
    let of_both = vec![
        (libc::SYS_mmap, vec![equal(2, no_code, 0), equal(3, libc::MAP_ANONYMOUS, libc::MAP_ANONYMOUS)]),
        (libc::SYS_mprotect, vec![equal(2, no_code, 0)]),
        (libc::SYS_ioctl, vec![query]),
        // The standard library asks, in debug builds, whether a descriptor that it closes is open.
        (libc::SYS_fcntl, vec![Condition::new(1, Len::Dword, Op::Eq, GETFD)]),
    ];
    for (call, conditions) in of_both.into_iter().chain(conditional) {
        let conditions = conditions.into_iter().collect::<Result<Vec<_>, _>>()?;
        rules.insert(number(call), vec![Rule::new(conditions)?]);
    }
    let arch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, arch)?.try_into()
}

#[cfg(test)]
#[expect(
    unsafe_code,
    reason = "a process that is to be ended by its filter is forked, and calls what nobody wraps"
)]
mod tests {
    use nix::sys::signal::Signal;
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::{ForkResult, fork};

    use super::*;

    /// A system call with arguments that do no harm if it is carried out.
    type Made = (libc::c_long, [libc::c_long; 4]);

    /// How a process ends that makes this call under a filter: by a signal, or with the code 7.
    fn end(filter: &BpfProgram, (call, arguments): Made) -> WaitStatus {
        // SAFETY: the child makes three system calls and neither allocates nor locks, though other threads may have been
        // allocating or locking when it was forked.
        match unsafe { fork() }.unwrap() {
            ForkResult::Parent { child } => waitpid(child, None).unwrap(),
            ForkResult::Child => {
                let [a, b, c, d] = arguments;
                if seccompiler::apply_filter(filter).is_ok() {
                    // SAFETY: the calls of this test are made with addresses 0, which are refused.
                    unsafe { libc::syscall(call, a, b, c, d, -1, 0) };
                }
                // SAFETY: it ends the process, without what is to be done at an ordinary end.
                unsafe { libc::syscall(libc::SYS_exit_group, 7) };
                std::process::abort()
            }
        }
    }

    const READ_ONLY: Made = (libc::SYS_openat, [-1, 0, 0, 0]);
    const FIND: Made = (libc::SYS_openat, [-1, 0, libc::O_PATH as i64, 0]);
    const FORBIDDEN_TO_BOTH: &[Made] = &[
        (libc::SYS_socket, [2, 1, 0, 0]),
        (libc::SYS_execve, [0; 4]),
        (libc::SYS_clone, [-1, 0, 0, 0]),
        (libc::SYS_ptrace, [-1, 0, 0, 0]),
        (libc::SYS_process_vm_readv, [0; 4]),
        (libc::SYS_kill, [i32::MAX as i64, 0, 0, 0]),
        (libc::SYS_write, [-1, 0, 0, 0]),
        (libc::SYS_bpf, [-1, 0, 0, 0]),
        (libc::SYS_prctl, [-1, 0, 0, 0]),
        (libc::SYS_setuid, [-1, 0, 0, 0]),
        (libc::SYS_mmap, [0, 4096, (libc::PROT_READ | libc::PROT_EXEC) as i64, 0x22]),
        (libc::SYS_mmap, [0, 4096, libc::PROT_READ as i64, libc::MAP_PRIVATE as i64]),
        (libc::SYS_mprotect, [0, 0, libc::PROT_EXEC as i64, 0]),
        (libc::SYS_ioctl, [-1, 0x5401, 0, 0]),
        (libc::SYS_fcntl, [-1, libc::F_SETFL as i64, 0, 0]),
    ];

    #[test]
    fn what_a_child_does_not_need_ends_it() {
        let (parser, opener) = (parser().unwrap(), opener().unwrap());
        let writing = |flags: i32| (libc::SYS_openat, [-1, 0, flags.into(), 0]);
        let of_parser = [READ_ONLY, (libc::SYS_openat2, [-1, 0, 0, 0]), (libc::SYS_statx, [-1, 0, 0, 0])];
        let of_opener = [libc::O_RDWR, libc::O_WRONLY, libc::O_CREAT, libc::O_TRUNC].map(writing);
        for (filter, own) in [(&parser, &of_parser[..]), (&opener, &of_opener)] {
            for made in FORBIDDEN_TO_BOTH.iter().chain(own) {
                let end = end(filter, *made);
                assert!(matches!(end, WaitStatus::Signaled(_, Signal::SIGSYS, _)), "{made:?}: {end:?}");
            }
        }
    }

    #[test]
    fn what_a_child_needs_it_may_do() {
        let query = (libc::SYS_ioctl, [-1, PROCMAP_QUERY.into(), 0, 0]);
        let anonymous = (libc::SYS_mmap, [0, 4096, libc::PROT_READ.into(), 0x22]);
        for (filter, own) in [
            (parser().unwrap(), vec![(libc::SYS_fstat, [-1, 0, 0, 0]), query, anonymous]),
            (opener().unwrap(), vec![READ_ONLY, FIND, (libc::SYS_openat2, [-1, 0, 0, 0]), query, anonymous]),
        ] {
            for made in own {
                let end = end(&filter, made);
                assert!(matches!(end, WaitStatus::Exited(_, 7)), "{made:?}: {end:?}");
            }
        }
    }
}
