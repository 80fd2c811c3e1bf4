//! Starting an actor as somebody else, somewhere else, under another name or number.
#![expect(unsafe_code, reason = "pre_exec, and unshare, which rustix has for unsafe")]

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{
    DumpableBehavior, geteuid, getgid, getpid, set_child_subreaper, set_dumpable_behavior,
};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::Actor;
use crate::role::{ACTOR, own_exe};
use crate::wait::{PATIENCE, poll};
use crate::{netns, pid};

/// How often another process may snatch the wanted number.
const PID_ATTEMPTS: usize = 200;
/// How long a number that is wanted may be another's.
const FREE: Duration = Duration::from_secs(10);

/// What an actor shall be; see [`Actor::builder`].
#[derive(Debug, Clone, Default)]
#[must_use = "nothing happens before `spawn`"]
pub struct Builder {
    uid: Option<u32>,
    gid: Option<u32>,
    cgroup: Option<PathBuf>,
    exe: Option<PathBuf>,
    pid: Option<u32>,
    new_pid_namespace: bool,
    new_user_namespace: bool,
    inherits: Vec<i32>,
}

impl Builder {
    /// Another user, with the supplementary groups cleared and without capabilities.
    pub fn uid(mut self, uid: u32) -> Self {
        self.uid = Some(uid);
        self
    }

    /// Another group.
    pub fn gid(mut self, gid: u32) -> Self {
        self.gid = Some(gid);
        self
    }

    /// A cgroup that it enters before its exec: a [`Scratch`](crate::cgroup::Scratch), or a directory of the cgroup
    /// file system.
    pub fn cgroup(mut self, dir: impl AsRef<Path>) -> Self {
        self.cgroup = Some(dir.as_ref().to_owned());
        self
    }

    /// A copy of this executable, which is made at `path`: under any name, to be unlinked, for anybody to execute.
    pub fn exe(mut self, path: impl AsRef<Path>) -> Self {
        self.exe = Some(path.as_ref().to_owned());
        self
    }

    /// Exactly this process number, as soon as nobody has it. Needs
    /// [`Requirement::NsLastPid`](crate::Requirement::NsLastPid).
    pub fn pid(mut self, pid: u32) -> Self {
        self.pid = Some(pid);
        self
    }

    /// Makes it pid 1 of a new pid namespace. `/proc` stays the test's.
    pub fn new_pid_namespace(mut self) -> Self {
        self.new_pid_namespace = true;
        self
    }

    /// Makes it root of a new user namespace that has only that one user.
    pub fn new_user_namespace(mut self) -> Self {
        self.new_user_namespace = true;
        self
    }

    /// Leaves it this descriptor, under the same number, through fork and exec.
    pub fn inherits(mut self, fd: BorrowedFd<'_>) -> Self {
        self.inherits.push(fd.as_raw_fd());
        self
    }

    /// Starts it and waits until it takes commands.
    ///
    /// # Panics
    ///
    /// When that fails, with the reason.
    #[track_caller]
    pub fn spawn(&self) -> Actor {
        match self.try_spawn() {
            Ok(actor) => actor,
            Err(error) => panic!("start an actor: {error}"),
        }
    }

    /// As [`spawn`](Self::spawn), without the panic.
    pub fn try_spawn(&self) -> Result<Actor, String> {
        set_child_subreaper(Some(getpid())).map_err(|error| format!("become a child subreaper: {error}"))?;
        if let Some(path) = &self.exe {
            copy_executable(path)?;
        }
        let Some(wanted) = self.pid else {
            return self.start();
        };
        for _ in 0..PID_ATTEMPTS {
            // Threads have numbers, too: one that the test's own process just started may have come by it.
            poll(FREE, || (!pid::taken(wanted)).then_some(()))
                .ok_or_else(|| format!("there is a process {wanted}"))?;
            pid::force_next(wanted)?;
            let actor = self.start()?;
            if actor.pid() == wanted {
                return Ok(actor);
            }
        }
        Err(format!("others took the number {wanted} {PID_ATTEMPTS} times"))
    }

    fn start(&self) -> Result<Actor, String> {
        let mut command = self.command()?;
        let child = poll(PATIENCE, || match self.fork(&mut command) {
            // Another thread's fork still holds the copy's descriptor open for writing.
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => None,
            result => Some(result),
        });
        let child = child.ok_or("the copied executable stays busy")?;
        Actor::adopt(child.map_err(|error| error.to_string())?, self.exe.clone())
    }

    fn command(&self) -> Result<Command, String> {
        let exe = self.exe.as_deref().unwrap_or(own_exe());
        let root = self.uid.map_or(geteuid().is_root(), |uid| uid == 0);
        // The link leads to the file without asking for the directories on the way.
        let program = if root || open_to_all(exe) { exe } else { Path::new("/proc/self/exe") };
        let mut command = Command::new(program);
        command.arg0(exe).arg(ACTOR).stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        if !self.inherits.is_empty() {
            let numbers: Vec<_> = self.inherits.iter().map(i32::to_string).collect();
            command.arg(numbers.join(","));
            let numbers = self.inherits.clone();
            // SAFETY: the closure makes system calls alone, and neither allocates nor locks, as the time between fork and
            // exec demands.
            unsafe { command.pre_exec(move || leave_open(&numbers)) };
        }
        if let Some(uid) = self.uid {
            // This clears the supplementary groups, too.
            command.uid(uid);
        }
        if let Some(gid) = self.gid {
            command.gid(gid);
        }
        if let Some(cgroup) = &self.cgroup {
            let file = cgroup.join("cgroup.procs");
            let procs = File::options().write(true).open(&file);
            let procs = procs.map_err(|error| format!("open {}: {error}", file.display()))?;
            // SAFETY: the closure makes one write system call and neither allocates nor locks, as the time
            // between fork and exec demands.
            unsafe { command.pre_exec(move || (&procs).write_all(b"0")) };
        }
        if self.new_user_namespace {
            let uid = self.uid.unwrap_or(geteuid().as_raw());
            let gid = self.gid.unwrap_or(getgid().as_raw());
            let maps = [
                (c"/proc/self/setgroups", String::from("deny")),
                (c"/proc/self/uid_map", format!("0 {uid} 1")),
                (c"/proc/self/gid_map", format!("0 {gid} 1")),
            ];
            // SAFETY: the closure makes system calls alone; all text was formatted before, and no path is
            // converted. It neither allocates nor locks, as the time between fork and exec demands.
            unsafe { command.pre_exec(move || enter_user_namespace(&maps)) };
        }
        Ok(command)
    }

    fn fork(&self, command: &mut Command) -> io::Result<Child> {
        if !self.new_pid_namespace {
            return command.spawn();
        }
        // Unsharing makes the *next child* of the thread the first of a namespace, for as long as the thread lives.
        netns::on_fresh_thread(|| {
            // SAFETY: the flag the function is unsafe for, a private descriptor table, is not among these.
            unsafe { unshare_unsafe(UnshareFlags::NEWPID) }?;
            command.spawn()
        })
    }
}

/// In the child, whose descriptors are copies of the parent's.
fn leave_open(numbers: &[i32]) -> io::Result<()> {
    for number in numbers {
        // SAFETY: the call takes numbers and touches no memory; a number that is no descriptor is refused.
        if unsafe { libc::fcntl(*number, libc::F_SETFD, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

fn enter_user_namespace(maps: &[(&std::ffi::CStr, String)]) -> io::Result<()> {
    use rustix::fs::{Mode, OFlags};
    // After a change of user the process is not dumpable and its /proc files are root's.
    set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    // SAFETY: the flag the function is unsafe for, a private descriptor table, is not among these.
    unsafe { unshare_unsafe(UnshareFlags::NEWUSER) }?;
    for (path, text) in maps {
        let file = rustix::fs::open(*path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        rustix::io::write(&file, text.as_bytes())?;
    }
    Ok(())
}

/// Copies the running executable to `path`, executable for everybody.
pub(super) fn copy_executable(path: &Path) -> Result<(), String> {
    let copy = || {
        fs::copy(own_exe(), path)?;
        fs::set_permissions(path, Permissions::from_mode(0o755))
    };
    copy().map_err(|error| format!("copy the executable to {}: {error}", path.display()))
}

/// Whether every user can reach and execute the file.
fn open_to_all(file: &Path) -> bool {
    file.ancestors().all(|part| fs::metadata(part).is_ok_and(|metadata| metadata.mode() & 0o001 != 0))
}

/// The name that the kernel gives to a process that executes `program`: 15 bytes of its last component.
pub(super) fn comm_of(program: &Path) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let name = program.file_name().unwrap_or_default().as_bytes();
    OsString::from_vec(name[..name.len().min(15)].to_vec())
}
