//! Looks at the handles of all processes of this Wine.
//!
//! A process is held open while it is looked into, and its creation time is asked of that handle: so a handle is told of
//! the very process that had it at that moment. What a handle stands for is asked of a duplicate alone, which stays the
//! same object whatever becomes of the original.
//!
//! Every number is tried that a handle of the process can have. The system's table of all handles would tell which there
//! are (`SystemExtendedHandleInformation`), but Wine 8.0's server crashes over that question while some process has no
//! handle yet, and with it ends every program of the prefix.

use std::io;

use super::door::{Question, WineDoor, is_closed, is_exhausted};
use super::holders::{Held, Holders};
use super::told::{self, ROOM, Told};
use crate::sys::windows::door::{is_gone, is_refused};
use crate::sys::windows::process_list::Listed;
use crate::{Error, ErrorKind, Gap, GapReason, Protocol, Result};

/// Handles are multiples of it.
const STEP: u32 = 4;
/// No program has so many handles: a larger table is not believed, for to try it all would take tens of seconds.
const MOST: u32 = 1 << 20;
/// How many sockets of one name are told apart: so many duplicates are open at once.
const OPEN_AT_ONCE: usize = 64;

/// Finds every socket that a process of this Wine has.
pub(crate) fn look(door: &impl WineDoor) -> Result<Holders> {
    let _turn = door.turn().map_err(|error| Error::io("wait to look at the handles of processes", error))?;
    if door.proven().get().is_none() {
        prove(door)?;
        door.proven().get_or_init(|| ());
    }
    let (mut processes, malformed) = processes(door)?;
    processes.sort_unstable_by_key(|process| process.pid);
    let missed = Missed { processes_malformed: malformed, ..Missed::default() };
    let mut walk = Walk { door, list: Vec::new(), missed };
    for process in &processes {
        // The idle process is none.
        if process.pid != 0 {
            walk.process(process).map_err(exhausted)?;
        }
    }
    let Walk { list, mut missed, .. } = walk;
    let mut holders = Holders::new(list, Vec::new());
    let mut gone = Vec::new();
    for alike in holders.alike() {
        tell_apart(door, alike, &mut gone, &mut missed).map_err(exhausted)?;
    }
    let mut holders = holders.sorted_again(|held| !gone.contains(&(held.pid, held.created, held.handle)));
    holders.gaps = missed.gaps();
    Ok(holders)
}

/// Whether this Wine tells of sockets of our own what is known of them. Control codes, and that a table's size is told where
/// others tell how much is in it, are Wine's private matter: where one means something else, nobody else's handle is
/// touched.
fn prove(door: &impl WineDoor) -> Result<()> {
    let io = |error| Error::io("try Wine's functions on a socket of our own", error);
    let otherwise = |what: &str| {
        Error::new(ErrorKind::Unsupported, format!("look at the handles of Wine's processes: {what}"))
    };
    let samples = door.samples().map_err(io)?;
    let pid = door.own_pid();
    let (processes, _) = processes(door)?;
    let own = processes.iter().find(|process| process.pid == pid);
    let own = own.ok_or_else(|| otherwise("this Wine does not list a process"))?;
    let process = door.open_holder(pid).map_err(io)?;
    for sample in &samples {
        if !numbers(own).is_some_and(|mut numbers| numbers.any(|number| number == sample.handle)) {
            return Err(otherwise("this Wine counts handles otherwise"));
        }
        let duplicate = door.duplicate(&process, sample.handle).map_err(io)?;
        if describe(door, &duplicate).map_err(io)? != Subject::Socket(sample.told) {
            return Err(otherwise("this Wine tells something else of a socket"));
        }
    }
    Ok(())
}

fn processes(door: &impl WineDoor) -> Result<(Vec<Listed>, u64)> {
    door.processes().map_err(|error| Error::io("read the list of processes", error))
}

/// The numbers that a handle of this process can have. `None` where its table is larger than any.
pub(crate) fn numbers(process: &Listed) -> Option<impl Iterator<Item = u32> + use<>> {
    (process.handles <= MOST).then(|| (1..=process.handles).map(|slot| slot * STEP))
}

fn exhausted(error: io::Error) -> Error {
    Error::io("look at the handles of Wine's processes", error)
}

/// What could not be looked into.
#[derive(Debug, Default)]
struct Missed {
    processes: u64,
    processes_refused: u64,
    processes_malformed: u64,
    handles: u64,
    handles_refused: u64,
    malformed: u64,
}

impl Missed {
    fn gaps(&self) -> Vec<Gap> {
        let gap = |object: &str, reason, count| Gap::new("wine", object, reason, count);
        let all = [
            gap("handles of a process", GapReason::NotPermitted, self.processes_refused),
            gap("handles of a process", GapReason::Changed, self.processes),
            gap("handles of a process", GapReason::Malformed, self.processes_malformed),
            gap("a handle", GapReason::NotPermitted, self.handles_refused),
            gap("a handle", GapReason::Changed, self.handles),
            gap("a socket", GapReason::Malformed, self.malformed),
        ];
        all.into_iter().filter(|gap| gap.count > 0).collect()
    }
}

#[derive(Debug)]
struct Walk<'a, D> {
    door: &'a D,
    list: Vec<Held>,
    missed: Missed,
}

impl<D: WineDoor> Walk<'_, D> {
    /// Looks at each handle of one process. An error only where nothing that follows can be believed.
    fn process(&mut self, process: &Listed) -> io::Result<()> {
        let pid = process.pid;
        let Some(numbers) = numbers(process) else {
            self.missed.processes_malformed += 1;
            return Ok(());
        };
        let opened = self.door.open_holder(pid);
        let opened = opened.and_then(|process| Ok((self.door.created(&process)?, process)));
        let (created, process) = match opened {
            Ok(opened) => opened,
            Err(error) if is_exhausted(&error) => return Err(error),
            Err(error) => {
                if is_refused(&error) {
                    self.missed.processes_refused += 1;
                } else if !is_gone(&error) {
                    self.missed.processes += 1;
                }
                return Ok(());
            }
        };
        for value in numbers {
            let duplicate = self.door.duplicate(&process, value);
            let subject = duplicate.and_then(|duplicate| describe(self.door, &duplicate));
            match subject {
                Ok(Subject::Socket(told)) => {
                    self.list.push(Held { told, pid, created, handle: value, object: Some(0) });
                }
                Ok(Subject::Malformed) => self.missed.malformed += 1,
                Ok(Subject::Other) => {}
                Err(error) if is_exhausted(&error) => return Err(error),
                Err(error) if is_refused(&error) => self.missed.handles_refused += 1,
                Err(error) if is_closed(&error) => {}
                Err(_) => self.missed.handles += 1,
            }
        }
        Ok(())
    }
}

/// What a handle stands for.
#[derive(Debug, PartialEq, Eq)]
enum Subject {
    /// A socket that has an address.
    Socket(Told),
    /// Something else: a file, a pipe, a socket without an address or of another protocol.
    Other,
    /// A socket whose answers have not the form that they should.
    Malformed,
}

/// An error where a question was not answered: then nothing is known of it.
fn describe<D: WineDoor>(door: &D, duplicate: &D::Duplicate) -> io::Result<Subject> {
    if !door.is_pipe(duplicate) {
        return Ok(Subject::Other);
    }
    let ask = |question| {
        let mut room = [0; ROOM];
        let length = door.ask(duplicate, question, &mut room)?;
        Ok::<_, io::Error>(length.map(|length| (room, length.min(ROOM))))
    };
    let Some((info, length)) = ask(Question::Info)? else {
        return Ok(Subject::Other);
    };
    let Some((family, protocol)) = told::kind(&info[..length]) else {
        return Ok(Subject::Other);
    };
    let Some((local, length)) = ask(Question::Local)? else {
        return Ok(Subject::Other);
    };
    let Some(local) = told::address(&local[..length], family) else {
        return Ok(Subject::Malformed);
    };
    let listens = match protocol {
        Protocol::Udp | Protocol::Mptcp => Some(false),
        Protocol::Tcp => ask(Question::Listens)?.and_then(|(room, length)| told::listens(&room[..length])),
    };
    let peer = match ask(Question::Peer)? {
        None => Some(None),
        Some((peer, length)) => told::address(&peer[..length], family).map(Some),
    };
    Ok(match (listens, peer) {
        (Some(listens), Some(peer)) => Subject::Socket(Told { protocol, local, peer, listens }),
        _ => Subject::Malformed,
    })
}

/// Which of these handles, all of one name, stand for the same socket. Those that stand for it no longer go to `gone`.
fn tell_apart<D: WineDoor>(
    door: &D,
    alike: &mut [Held],
    gone: &mut Vec<(u32, u64, u32)>,
    missed: &mut Missed,
) -> io::Result<()> {
    let mut objects: Vec<D::Duplicate> = Vec::new();
    let mut can_tell = true;
    for held in alike.iter_mut() {
        let again = again(door, held);
        let duplicate = match again {
            Ok(Some(duplicate)) => duplicate,
            Err(error) if is_exhausted(&error) => return Err(error),
            // It is closed by now, or stands for another socket.
            lost => {
                gone.push((held.pid, held.created, held.handle));
                let is_told = lost.map_or_else(|error| is_closed(&error) || is_gone(&error), |_| true);
                missed.handles += u64::from(!is_told);
                continue;
            }
        };
        let mut same = None;
        for (number, object) in objects.iter().enumerate() {
            match door.same(object, &duplicate) {
                Ok(false) => {}
                Ok(true) => same = Some(number),
                Err(error) if is_exhausted(&error) => return Err(error),
                Err(_) => can_tell = false,
            }
        }
        held.object = u32::try_from(same.unwrap_or(objects.len())).ok();
        if same.is_none() && objects.len() < OPEN_AT_ONCE {
            objects.push(duplicate);
        } else if same.is_none() {
            can_tell = false;
        }
        if !can_tell {
            break;
        }
    }
    if !can_tell {
        for held in alike {
            held.object = None;
        }
    }
    Ok(())
}

/// A duplicate of the handle, if it still is that process's and still stands for such a socket.
fn again<D: WineDoor>(door: &D, held: &Held) -> io::Result<Option<D::Duplicate>> {
    let process = door.open_holder(held.pid)?;
    if door.created(&process)? != held.created {
        return Ok(None);
    }
    let duplicate = door.duplicate(&process, held.handle)?;
    let is_same = describe(door, &duplicate)? == Subject::Socket(held.told);
    Ok(is_same.then_some(duplicate))
}
