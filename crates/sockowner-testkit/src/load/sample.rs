//! One run of a program, measured.
#![expect(unsafe_code, reason = "rustix lacks wait4, which alone tells the memory of one child")]

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio, exit};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::role::{LAUNCH, own_exe};

/// Processor time after which a program is ended.
const CPU_SECONDS: u64 = 120;

/// What one run of a program cost and said.
#[derive(Debug, Clone)]
pub struct Sample {
    /// From before its start to after its end.
    pub wall: Duration,
    /// Bytes of memory that it had resident at most (`ru_maxrss`). Not less than the launcher's own, about 3 MB.
    pub peak: u64,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output, which was a file in memory.
    pub output: Vec<u8>,
    /// Its standard error.
    pub errors: Vec<u8>,
}

/// Runs a program and measures it.
///
/// A small re-execution of this program starts it: a child's peak of memory counts what its parent had when it was
/// made, and the caller of this may be large. Standard output is a file in memory, so that no reader competes for the
/// processor; the language is `C`.
pub fn sample(program: &Path, args: &[String]) -> Result<Sample, String> {
    let memory = |name| memfd_create(name, MemfdFlags::CLOEXEC).map_err(|error| format!("memfd: {error}"));
    let (output, errors) = (memory(c"output")?, memory(c"errors")?);
    let copy = |fd: &OwnedFd| fd.try_clone().map_err(|error| format!("copy a descriptor: {error}"));
    let mut launcher = Command::new(own_exe());
    launcher.arg(LAUNCH).arg(program).args(args).env("LC_ALL", "C");
    launcher.stdin(copy(&output)?).stderr(copy(&errors)?).stdout(Stdio::piped());
    let told = launcher.output().map_err(|error| format!("start the launcher: {error}"))?;
    let told = String::from_utf8_lossy(&told.stdout).trim_end().to_owned();
    let mut numbers = told.split(' ').map_while(|number| number.parse::<u64>().ok());
    let (Some(nanos), Some(kilobytes), Some(status)) = (numbers.next(), numbers.next(), numbers.next())
    else {
        return Err(if told.is_empty() { String::from("the launcher said nothing") } else { told });
    };
    Ok(Sample {
        wall: Duration::from_nanos(nanos),
        peak: kilobytes * 1024,
        status: ExitStatus::from_raw(i32::try_from(status).map_err(|error| error.to_string())?),
        output: contents(output)?,
        errors: contents(errors)?,
    })
}

fn contents(file: OwnedFd) -> Result<Vec<u8>, String> {
    let mut file = File::from(file);
    let mut bytes = Vec::new();
    let read = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
    read.map_err(|error| format!("read the output: {error}"))?;
    Ok(bytes)
}

/// The launcher: standard input is the file to which the program's output goes.
pub(crate) fn serve(args: &[String]) -> ! {
    match launch(args) {
        Ok((wall, peak, status)) => println!("{} {peak} {}", wall.as_nanos(), status.cast_unsigned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => println!("not installed"),
        Err(error) => println!("start it: {error}"),
    }
    exit(0)
}

fn launch(args: &[String]) -> io::Result<(Duration, i64, i32)> {
    let (program, args) = args.split_first().ok_or_else(|| io::Error::other("no program"))?;
    let limit = Rlimit { current: Some(CPU_SECONDS), maximum: Some(CPU_SECONDS) };
    setrlimit(Resource::Cpu, limit)?;
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(io::stdin().as_fd().try_clone_to_owned()?);
    let started = Instant::now();
    let child = command.spawn()?;
    let (status, peak) = wait(child.id())?;
    Ok((started.elapsed(), peak, status))
}

/// Reaps a child; yields its status and its peak of memory in kilobytes.
fn wait(pid: u32) -> io::Result<(i32, i64)> {
    let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to writable memory of their type that lives through the call (wait4(2)).
    let reaped = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
    if reaped != pid {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a structure of integers, zeroed above: each pattern of bits is a value.
    let usage = unsafe { usage.assume_init() };
    Ok((status, usage.ru_maxrss))
}
