//! Stops a process, and all that come from it, at the entry of each socket call.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};

use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use sockowner_component::{Call, Mapping, Registers, Sample, executable_mappings};

/// A thread at the entry of a call; it stays there while this is looked at.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) pid: u32,
    pub(super) sample: Sample,
    pub(super) mappings: Vec<Mapping>,
}

/// Threads that are traced; those that are left when a test fails are killed.
struct Tracees(BTreeSet<Pid>);

impl Drop for Tracees {
    fn drop(&mut self) {
        for &pid in &self.0 {
            let _ = kill(pid, Signal::SIGKILL);
        }
        while !self.0.is_empty() && waitpid(Pid::from_raw(-1), Some(ANY)).is_ok() {}
    }
}

/// Children and tracees of this thread alone: other tests have theirs.
const ANY: WaitPidFlag = WaitPidFlag::__WALL.union(WaitPidFlag::__WNOTHREAD);

/// Runs `program` and calls `seen` at each bind, connect, listen, accept and accept4 of an internet socket.
pub(super) fn trace(program: &mut Command, mut seen: impl FnMut(&Stop)) {
    // A shell that waits until it is traced, and then becomes the program: so nothing here needs a fork of its own.
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "read -r go && exec \"$0\" \"$@\" </dev/null"]).arg(program.get_program());
    shell.args(program.get_args()).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    for (key, value) in program.get_envs() {
        match value {
            Some(value) => shell.env(key, value),
            None => shell.env_remove(key),
        };
    }
    #[expect(clippy::zombie_processes, reason = "`Tracees` and the loop below wait for all there are")]
    let mut child = shell.spawn().expect("start a shell");
    let root = Pid::from_raw(child.id().cast_signed());
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(root, options).expect("trace a child");
    ptrace::interrupt(root).expect("stop a child");
    child.stdin.take().unwrap().write_all(b"\n").unwrap();

    let mut tracees = Tracees(BTreeSet::from([root]));
    let mut exits = BTreeMap::new();
    loop {
        let status = match waitpid(Pid::from_raw(-1), Some(ANY)) {
            Ok(status) => status,
            Err(nix::Error::EINTR) => continue,
            Err(nix::Error::ECHILD) => break,
            Err(error) => panic!("wait for tracees: {error}"),
        };
        let (pid, signal) = match status {
            WaitStatus::PtraceSyscall(pid) => {
                if let Some(stop) = stop_of(pid) {
                    seen(&stop);
                }
                (pid, None)
            }
            // Others than SIGTRAP are the program's own.
            WaitStatus::Stopped(pid, signal) => (pid, (signal != Signal::SIGTRAP).then_some(signal)),
            WaitStatus::PtraceEvent(pid, ..) => (pid, None),
            WaitStatus::Exited(pid, code) => {
                tracees.0.remove(&pid);
                exits.insert(pid, format!("exit code {code}"));
                continue;
            }
            WaitStatus::Signaled(pid, signal, _) => {
                tracees.0.remove(&pid);
                exits.insert(pid, format!("{signal}"));
                continue;
            }
            _ => continue,
        };
        tracees.0.insert(pid);
        // It may have been killed meanwhile.
        let _ = ptrace::syscall(pid, signal);
    }
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap_or_default();
    let exit = exits.get(&root).map_or("", String::as_str);
    assert_eq!(exit, "exit code 0", "{program:?} said {said}");
}

/// What the thread is about to do, if that is a call of ours.
fn stop_of(tid: Pid) -> Option<Stop> {
    let registers = ptrace::getregs(tid).ok()?;
    // So the kernel marks the entry of a system call.
    let is_entry = registers.rax.cast_signed() == -i64::from(libc::ENOSYS);
    let call = match registers.orig_rax.cast_signed() {
        _ if !is_entry => return None,
        libc::SYS_bind => Call::Bind,
        libc::SYS_connect => Call::Connect,
        libc::SYS_listen => Call::Listen,
        libc::SYS_accept => Call::Accept,
        libc::SYS_accept4 => Call::Accept4,
        _ => return None,
    };
    let pid = thread_group(tid);
    let memory = fs::File::open(format!("/proc/{pid}/mem")).expect("memory of a tracee");
    if matches!(call, Call::Bind | Call::Connect) {
        let mut family = [0; 2];
        memory.read_exact_at(&mut family, registers.rsi).ok()?;
        if !matches!(i32::from(u16::from_ne_bytes(family)), libc::AF_INET | libc::AF_INET6) {
            return None;
        }
    }
    // As a recorder would: 512 bytes, or what is left of the stack's last page.
    let mut stack = vec![0; 512];
    if memory.read_exact_at(&mut stack, registers.rsp).is_err() {
        stack.truncate(usize::try_from(4096 - registers.rsp % 4096).unwrap());
        memory.read_exact_at(&mut stack, registers.rsp).expect("the stack pointer's page");
    }
    let maps = executable_mappings(&fs::read(format!("/proc/{pid}/maps")).expect("maps of a tracee"));
    assert_eq!(maps.malformed, 0);
    let registers = Registers { rip: registers.rip, rsp: registers.rsp, rbp: registers.rbp };
    Some(Stop { pid, sample: Sample { call, registers, stack }, mappings: maps.executable })
}

fn thread_group(tid: Pid) -> u32 {
    let status = fs::read_to_string(format!("/proc/{tid}/status")).expect("status of a tracee");
    let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"));
    line.unwrap().trim().parse().unwrap()
}
