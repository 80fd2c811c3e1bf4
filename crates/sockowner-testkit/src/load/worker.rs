//! One process of a load.
#![expect(unsafe_code, reason = "rustix lacks close_range")]

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::net::SocketAddrV4;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::exit;

use rustix::net::{
    AddressFamily, SocketFlags, SocketType, acceptfrom_with, bind, connect, listen, socket_with,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::Shape;

/// The line of a process that holds what it shall.
pub(super) const READY: &str = "ready";
/// Descriptors that every process has, and some to spare.
pub(super) const SPARE: usize = 16;

/// Holds what the arguments say (place, sockets, others, cgroup) until standard input ends.
pub(crate) fn serve(args: &[String]) -> ! {
    let held = hold(args);
    match &held {
        Ok(_) => println!("{READY}"),
        Err(error) => println!("{}", error.replace('\n', " ")),
    }
    if held.is_ok() {
        // Whatever ends the wait, an error too, is the end.
        let _ = io::stdin().read(&mut [0]);
    }
    exit(i32::from(held.is_err()))
}

fn hold(args: &[String]) -> Result<Vec<OwnedFd>, String> {
    let mut numbers = args.iter().map_while(|arg| arg.parse::<usize>().ok());
    let (Some(index), Some(sockets), Some(others)) = (numbers.next(), numbers.next(), numbers.next()) else {
        return Err(format!("not a load: {args:?}"));
    };
    // First: a socket belongs to the cgroup in which it is made.
    if let Some(cgroup) = args.get(3) {
        fs::write(Path::new(cgroup).join("cgroup.procs"), "0").map_err(during("enter the cgroup"))?;
    }
    close_inherited()?;
    raise_limit(sockets + others + SPARE)?;
    let shape = Shape { processes: index + 1, sockets, others };
    let mut held = open(&shape.sockets_of(index))?;
    let null = OwnedFd::from(File::open("/dev/null").map_err(during("open /dev/null"))?);
    for _ in 1..others {
        held.push(null.try_clone().map_err(during("copy a descriptor"))?);
    }
    if others > 0 {
        held.push(null);
    }
    Ok(held)
}

/// Listeners come first, then client and server of each pair.
fn open(all: &[super::Ends]) -> Result<Vec<OwnedFd>, String> {
    let mut open = Vec::with_capacity(all.len());
    for &(local, remote) in all {
        let socket = match remote {
            None => {
                let socket = bound(local)?;
                listen(&socket, 16).map_err(during("listen"))?;
                socket
            }
            // The listener is the first; it is on the client's side that a pair begins.
            Some(server) if all.first().is_some_and(|&(first, _)| first == server) => {
                let socket = bound(local)?;
                connect(&socket, &server).map_err(|error| format!("connect to {server}: {error}"))?;
                socket
            }
            Some(_) => {
                let listener = open.first().ok_or("a pair needs a listener")?;
                acceptfrom_with(listener, SocketFlags::CLOEXEC).map_err(during("accept"))?.0
            }
        };
        open.push(socket);
    }
    Ok(open)
}

fn bound(local: SocketAddrV4) -> Result<OwnedFd, String> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None);
    let socket = socket.map_err(during("socket"))?;
    bind(&socket, &local).map_err(|error| format!("bind {local}: {error}"))?;
    Ok(socket)
}

/// Closes what whoever started the program left open: a load is the same wherever it is made.
fn close_inherited() -> Result<(), String> {
    // SAFETY: this process has opened nothing yet that it still uses, so that no owner of a descriptor above standard
    // error exists; nor does another thread.
    let result = unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
    if result == 0 { Ok(()) } else { Err(format!("close_range: {}", io::Error::last_os_error())) }
}

fn raise_limit(wanted: usize) -> Result<(), String> {
    let wanted = u64::try_from(wanted).map_err(during("a number of descriptors"))?;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= wanted);
    if enough(current) {
        return Ok(());
    }
    let maximum = if enough(maximum) { maximum } else { Some(wanted) };
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
        .map_err(|error| format!("raise the limit of open files to {wanted}: {error}"))
}

fn during<E: Display>(operation: &str) -> impl FnOnce(E) -> String {
    move |error| format!("{operation}: {error}")
}
