//! Many processes with many sockets and descriptors, all known: what benchmarks measure.
//!
//! ```no_run
//! # #[cfg(target_os = "linux")] {
//! use sockowner_testkit::{load::{Load, Shape}, netns};
//!
//! netns::inside(|| {
//!     let shape = Shape { processes: 500, sockets: 99, others: 0 };
//!     let load = Load::start(shape, |_| None).expect("this machine can hold it");
//!     // Ask anything that lists sockets, and compare with `load.truth()`.
//! });
//! # }
//! ```
//!
//! The processes are re-executions of the running program: its `main` begins with
//! [`main_prelude`](crate::main_prelude).

mod limits;
mod sample;
mod worker;

use std::fmt;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};

pub(crate) use sample::serve as serve_launcher;
pub use sample::{Sample, sample};
pub(crate) use worker::serve as serve_worker;

use crate::role::{LOAD, own_exe};

/// How long all processes may be silent while they are made.
const PATIENCE: Duration = Duration::from_secs(60);
const FIRST_PORT: usize = 2000;
const PORTS: usize = 60_000;

/// How large a load is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// How many processes.
    pub processes: usize,
    /// TCP sockets in each: a listener and established pairs whose both ends it holds (and a second listener where
    /// the number is even).
    pub sockets: usize,
    /// Further descriptors in each, duplicates of one of `/dev/null`.
    pub others: usize,
}

/// A socket of the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The process that holds it.
    pub pid: u32,
    /// That process's place in the load, from 0.
    pub index: usize,
    /// Its own address.
    pub local: SocketAddrV4,
    /// Its peer's; `None` for a listener.
    pub remote: Option<SocketAddrV4>,
}

/// Running processes that hold what a [`Shape`] says. Killed and reaped on drop; when this process dies, the closed
/// pipe ends them.
#[derive(Debug)]
pub struct Load {
    shape: Shape,
    /// Nothing is ever written to it.
    _life: OwnedFd,
    children: Children,
}

#[derive(Debug)]
struct Children(Vec<Child>);

/// The ends of one socket: its own address and its peer's.
pub(crate) type Ends = (SocketAddrV4, Option<SocketAddrV4>);

impl Shape {
    /// Whether the limits of this system allow it, else why not.
    pub fn supported(&self) -> Result<(), String> {
        limits::check(self)
    }

    /// How many sockets there are in all.
    pub fn rows(&self) -> usize {
        self.processes * self.sockets
    }

    /// How many descriptors there are in all, but for the few that every process has.
    pub fn descriptors(&self) -> usize {
        self.processes * (self.sockets + self.others)
    }

    fn pairs(&self) -> usize {
        self.sockets.saturating_sub(1) / 2
    }

    fn listeners(&self) -> usize {
        self.sockets - 2 * self.pairs()
    }

    /// The listeners of the process `index`, then client and server of each of its pairs.
    ///
    /// Every process has an address of its own, and as far as there are enough of them, no two listeners or clients
    /// of the load have the same port.
    pub(crate) fn sockets_of(&self, index: usize) -> Vec<Ends> {
        let ports = self.pairs() + self.listeners();
        let address = |at: usize| SocketAddrV4::new(ip(index), port(index * ports + at));
        let listeners = (0..self.listeners()).map(|at| (address(at), None));
        let pairs = (self.listeners()..ports)
            .flat_map(|at| [(address(at), Some(address(0))), (address(0), Some(address(at)))]);
        listeners.chain(pairs).collect()
    }
}

/// `processes x sockets + others`.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {} + {}", self.processes, self.sockets, self.others)
    }
}

impl Load {
    /// Starts the processes in the calling thread's network namespace, each in the cgroup (a directory of the cgroup2
    /// file system) that `cgroup` names for its place, else in this process's. Returns when all sockets exist.
    pub fn start(shape: Shape, cgroup: impl Fn(usize) -> Option<PathBuf>) -> Result<Self, String> {
        shape.supported()?;
        let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|error| format!("pipe: {error}"));
        let (end, life) = pipe()?;
        let (news, tell) = pipe()?;
        let copy = |fd: &OwnedFd| fd.try_clone().map_err(|error| format!("copy a descriptor: {error}"));
        let mut children = Children(Vec::with_capacity(shape.processes));
        for index in 0..shape.processes {
            let mut command = Command::new(own_exe());
            command.arg(LOAD);
            command.args([index, shape.sockets, shape.others].map(|number| number.to_string()));
            command.args(cgroup(index));
            let spawned = command.stdin(copy(&end)?).stdout(copy(&tell)?).stderr(Stdio::inherit()).spawn();
            children.0.push(spawned.map_err(|error| format!("start process {index} of the load: {error}"))?);
        }
        drop((end, tell));
        let load = Self { shape, _life: life, children };
        load.wait_until_ready(news)?;
        Ok(load)
    }

    /// What it was started as.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Every socket and its holder.
    pub fn truth(&self) -> Vec<Held> {
        let pids = self.children.0.iter().map(Child::id).enumerate();
        let of = |(index, pid)| {
            let ends = self.shape.sockets_of(index).into_iter();
            ends.map(move |(local, remote)| Held { pid, index, local, remote })
        };
        pids.flat_map(of).collect()
    }

    /// The processes, in order.
    pub fn pids(&self) -> Vec<u32> {
        self.children.0.iter().map(Child::id).collect()
    }

    fn wait_until_ready(&self, news: OwnedFd) -> Result<(), String> {
        let mut news = std::fs::File::from(news);
        let limit = Timespec::try_from(PATIENCE).map_err(|error| error.to_string())?;
        let (mut ready, mut text) = (0, Vec::new());
        while ready < self.shape.processes {
            let mut ends = [PollFd::from_borrowed_fd(news.as_fd(), PollFlags::IN)];
            match poll(&mut ends, Some(&limit)) {
                Ok(0) => return Err(format!("no process of the load spoke for {} s", PATIENCE.as_secs())),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(format!("poll: {error}")),
            }
            let mut part = [0; 4096];
            match news.read(&mut part).map_err(|error| format!("hear from the load: {error}"))? {
                0 => return Err(String::from("a process of the load ended early")),
                length => text.extend_from_slice(&part[..length]),
            }
            while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = text.drain(..=end).collect();
                match String::from_utf8_lossy(&line).trim_end() {
                    worker::READY => ready += 1,
                    other => return Err(format!("a process of the load: {other}")),
                }
            }
        }
        Ok(())
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // It may have ended by itself, which is as well.
            let _ = child.kill();
        }
        for child in &mut self.0 {
            let _ = child.wait();
        }
    }
}

/// An address of 127.0.0.0/8 that only the process `index` uses.
fn ip(index: usize) -> Ipv4Addr {
    // Numbers at the ends of each byte's range stay out: they look like networks and broadcasts.
    let byte = |value: usize| u8::try_from(1 + value % 250).unwrap_or(1);
    Ipv4Addr::new(127, byte(index / 62_500), byte(index / 250), byte(index))
}

fn port(number: usize) -> u16 {
    u16::try_from(FIRST_PORT + number % PORTS).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_socket_has_a_name_of_its_own() {
        for (processes, sockets) in [(500, 99), (2000, 5), (700, 200), (3, 1), (2, 0)] {
            let shape = Shape { processes, sockets, others: 0 };
            let all: BTreeSet<Ends> = (0..processes).flat_map(|index| shape.sockets_of(index)).collect();
            assert_eq!(all.len(), shape.rows(), "{shape}");
        }
    }

    #[test]
    fn ports_are_distinct_as_far_as_they_go() {
        let shape = Shape { processes: 500, sockets: 99, others: 0 };
        let mine = |index| shape.sockets_of(index).into_iter().map(|(local, _)| local.port());
        let all: BTreeSet<u16> = (0..500).flat_map(mine).collect();
        assert_eq!(all.len(), 500 * 50);
    }

    #[test]
    fn both_ends_of_a_pair_are_there() {
        let ends = Shape { processes: 1, sockets: 6, others: 0 }.sockets_of(0);
        assert_eq!(ends.iter().filter(|(_, remote)| remote.is_none()).count(), 2);
        for (local, remote) in ends.iter().filter_map(|&(local, remote)| Some((local, remote?))) {
            assert!(ends.contains(&(remote, Some(local))), "{local} {remote}");
        }
    }
}
