//! Puts sockets and processes together, and says why where there is no owner.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::door::Door;
use super::processes::{Processes, SYSTEM};
use super::services;
use super::tables::name_of;
use super::wine::bridge::{Native, Owner};
use super::wine::holders::{Answer, Held, Holders as WineHolders};
use super::{Seen, System};
use crate::sys::{Scope, Search};
use crate::{
    Attribution, Endpoint, Entry, Error, Executable, Family, Gap, GapReason, Holder, Holders, Manager,
    Owning, Process, Protocol, Reach, Reason, Record, RecordedOwner, Result, RoleKind, Service, Socket,
    StartTime, State,
};

impl<D: Door> System<D> {
    /// One entry for each socket, in order.
    pub(crate) fn attribute(
        &self,
        sockets: Vec<Socket>,
        search: Search,
        _: Option<Seen>,
    ) -> Result<(Vec<Entry>, Vec<Gap>)> {
        if search == Search::Never {
            return Ok((
                sockets.into_iter().map(|socket| entry(socket, Attribution::NotAsked)).collect(),
                vec![],
            ));
        }
        let (mut sockets, mut gaps) = if search == Search::Nearest {
            self.refreshed(sockets)?
        } else {
            (sockets.into_iter().map(|socket| (socket, Mark::default())).collect(), Vec::new())
        };
        let mut processes = Processes::new(&self.door);
        let is_wine = self.door.is_wine();
        let attributions = if is_wine {
            let sockets: Vec<_> = sockets.iter().map(|(socket, _)| socket).collect();
            self.under_wine(&sockets, &mut processes, &mut gaps)
        } else {
            self.by_rows(&mut sockets, &mut processes, &mut gaps)
        };
        let entries = sockets.into_iter().zip(attributions).map(|((socket, mark), found)| {
            let found = if mark.gone { Some(Attribution::Unattributed(Reason::Gone)) } else { found };
            let found = found.unwrap_or(Attribution::Unattributed(Reason::NoHolder));
            let service = service(&mut processes, &socket, &found, is_wine);
            Entry { changed: mark.changed, service, ..entry(socket, found) }
        });
        let entries: Vec<_> = entries.collect();
        gaps.extend(processes.gaps());
        if self.options.command_lines {
            gaps.push(Gap::new("processes", "arguments", GapReason::Unsupported, 1));
        }
        Ok((entries, gaps))
    }

    /// Each socket as it is now, by one listing, and which tables could not be read. It is the same if its addresses are, and
    /// what its row says of its owner: it has no number of its own.
    fn refreshed(&self, sockets: Vec<Socket>) -> Result<(Vec<Marked>, Vec<Gap>)> {
        let listed = self.sockets(&Scope { tables: tables(&sockets), ..Scope::default() })?;
        // Of rows that could not be read it was told when they were listed first.
        let is_table = |gap: &Gap| tables(&sockets).into_iter().any(|table| gap.object == name_of(table));
        let unread: Vec<_> = listed.gaps.into_iter().filter(is_table).collect();
        // There a row's pid is that of whoever used the socket last.
        let is_wine = self.door.is_wine();
        let refreshed = |socket: Socket| {
            let now = listed.list.iter().find(|now| is_same(now, &socket, is_wine));
            let gone = now.is_none() && unread.iter().all(|gap| gap.object != name_of(table_of(&socket)));
            let mut now = now.cloned().unwrap_or_else(|| socket.clone());
            if now.told.row.pid == socket.told.row.pid {
                // So he was in the first row already, and whoever came later is not meant.
                now.told.listed_at = socket.told.listed_at;
            }
            let changed = now.endpoint != socket.endpoint;
            (now, Mark { changed, gone })
        };
        Ok((sockets.into_iter().map(refreshed).collect(), unread))
    }

    /// The owners that the rows name. A socket mostly goes with who bound it, but others may have it too: those whose binder
    /// has ended are looked for again.
    fn by_rows(
        &self,
        sockets: &mut [Marked],
        processes: &mut Processes<'_, D>,
        gaps: &mut Vec<Gap>,
    ) -> Vec<Option<Attribution>> {
        let mut attributions: Vec<_> = sockets.iter().map(|(socket, _)| by_row(processes, socket)).collect();
        let is_left = |at: &usize| !sockets[*at].1.gone && attributions[*at] == Some(BINDER_ENDED);
        let left: Vec<_> = (0..sockets.len()).filter(is_left).collect();
        if left.is_empty() {
            return attributions;
        }
        let old: Vec<_> = left.iter().map(|&at| sockets[at].0.clone()).collect();
        let of_table = |error: &Error, table| Gap::new("iphlpapi", name_of(table), error.gap_reason(), 1);
        let tables = tables(&old);
        match self.refreshed(old) {
            Ok((again, unread)) => {
                for (at, (socket, mark)) in left.into_iter().zip(again) {
                    attributions[at] = by_row(processes, &socket);
                    let changed = sockets[at].1.changed || mark.changed;
                    sockets[at] = (socket, Mark { changed, ..mark });
                }
                gaps.extend(unread);
            }
            Err(error) => gaps.extend(tables.into_iter().map(|table| of_table(&error, table))),
        }
        attributions
    }

    /// Under Wine rows have no pid, or that of a process that used the socket, by whatever handle: so all are looked for
    /// among the handles of all processes, and that pid counts only where these were looked at and none has it.
    fn under_wine(
        &self,
        sockets: &[&Socket],
        processes: &mut Processes<'_, D>,
        gaps: &mut Vec<Gap>,
    ) -> Vec<Option<Attribution>> {
        let looked = self.door.wine_holders();
        let has_looked = looked.is_ok();
        let holders = looked.unwrap_or_else(|error| {
            let gap = Gap::new("wine", format!("handles: {error:#}"), error.gap_reason(), 1);
            WineHolders::new(Vec::new(), vec![gap])
        });
        let mut unclear = 0;
        let mut by_handles = |processes: &mut Processes<'_, D>, socket: &Socket, answer: Answer<'_>| {
            let held = match answer {
                Answer::Held(held) => held.iter().filter_map(|held| holder(processes, held)).collect(),
                Answer::Nobody if has_looked => used_by(processes, socket).into_iter().collect(),
                Answer::Nobody => Vec::new(),
                Answer::Unclear => {
                    unclear += 1;
                    return Some(Attribution::Unattributed(Reason::NotPermitted));
                }
            };
            Holders::new(held, Reach::Host).map(Attribution::Held)
        };
        let held = sockets.iter().zip(holders.answers(sockets)).map(|(socket, answer)| match answer {
            // Who has its address alone is asked last.
            Answer::Nobody if is_connecting(socket) => None,
            answer => by_handles(processes, socket, answer),
        });
        let mut attributions: Vec<_> = held.collect();
        // Where somebody of Wine has it, or one of several has, it is not asked about further.
        let mut open: Vec<_> = sockets
            .iter()
            .zip(&mut attributions)
            .filter(|(socket, found)| found.is_none() && socket.endpoint.state != State::TIME_WAIT)
            .collect();
        let reason = if holders.gaps.is_empty() { Reason::NoVisibleHolder } else { Reason::NotPermitted };
        if !open.is_empty() {
            let unheld: Vec<_> = open.iter().map(|(socket, _)| **socket).collect();
            let natives = self.natives(&unheld);
            let connecting = self.connecting(&unheld);
            let of_natives = natives.as_deref().unwrap_or_default().iter().map(Some);
            let mut untold = 0;
            for ((socket, found), native) in open.iter_mut().zip(of_natives.chain(std::iter::repeat(None))) {
                **found = Some(match native {
                    Some(Ok(native)) => Holders::new([native_holder(native.clone())], Reach::Host)
                        .map_or(Attribution::Unattributed(reason), Attribution::Held),
                    // Linux knows of native programs alone.
                    Some(Err(Reason::NoVisibleHolder)) | None => {
                        let answer = is_connecting(socket)
                            .then(|| holders.connecting(&socket.endpoint, connecting.as_deref()))
                            .map(|answer| match answer {
                                // Unless Linux says otherwise a native program may connect from that address: one whose own
                                // connect failed keeps the handle, and Linux gives the port to others.
                                Answer::Held(_) if native.is_none() => Answer::Unclear,
                                answer => answer,
                            });
                        let here = answer.and_then(|answer| by_handles(processes, socket, answer));
                        untold += u64::from(here.is_none());
                        here.unwrap_or(Attribution::Unattributed(reason))
                    }
                    Some(Err(why)) => Attribution::Unattributed(*why),
                });
            }
            gaps.extend(natives.err().filter(|_| untold > 0).map(|gap| Gap { count: untold, ..gap }));
        }
        if unclear > 0 {
            gaps.push(Gap::new("wine", "sockets of one name", GapReason::Changed, unclear));
        }
        gaps.extend(holders.gaps);
        attributions
    }

    /// All sockets that connect, where some of these do: also those that were not asked about. `None` where they cannot be
    /// listed.
    fn connecting(&self, asked: &[&Socket]) -> Option<Vec<Socket>> {
        let asked = asked.iter().filter(|socket| is_connecting(socket));
        let tables: BTreeSet<_> = asked.map(|socket| table_of(socket)).collect();
        if tables.is_empty() {
            return Some(Vec::new());
        }
        let scope =
            Scope { tables: tables.into_iter().collect(), states: vec![State::SYN_SENT], ..Scope::default() };
        // Where there is none of them nobody is named, which is told.
        self.sockets(&scope).ok().filter(|listed| listed.gaps.is_empty()).map(|listed| listed.list)
    }

    /// Who owns these native sockets, one answer for each.
    ///
    /// # Errors
    /// A gap without a count, where Linux cannot be asked.
    fn natives(&self, sockets: &[&Socket]) -> std::result::Result<Vec<Owner>, Gap> {
        match self.door.native_owners(sockets) {
            Ok(Some(natives)) => Ok(natives),
            Ok(None) => Err(Gap::new("wine", "sockets of native programs", GapReason::Unsupported, 0)),
            Err(error) => {
                let object = format!("sockets of native programs: {error:#}");
                Err(Gap::new("wine", object, error.gap_reason(), 0))
            }
        }
    }

    /// One for each entry, in order: who the system says bound it, else its primary owner.
    #[expect(clippy::unused_self, reason = "the backend's contract")]
    pub(crate) fn owning(&self, entries: &[Entry]) -> Vec<Option<Owning>> {
        let owning = |entry: &Entry| {
            let (process, _) = entry.attribution.primary_owner()?;
            let caller = match &entry.attribution {
                Attribution::Recorded(owner) => Some(owner.role),
                _ => None,
            };
            Some(Owning { process: Arc::clone(process), caller, component: false })
        };
        entries.iter().map(owning).collect()
    }
}

/// The socket may be there: who bound it may have handed it on.
const BINDER_ENDED: Attribution = Attribution::Unattributed(Reason::NoVisibleHolder);

/// The owner that the row names; `None` where it names nobody.
fn by_row<D: Door>(processes: &mut Processes<'_, D>, socket: &Socket) -> Option<Attribution> {
    let row = &socket.told.row;
    if row.pid == 0 {
        return None;
    }
    let process = match processes.of(row.pid) {
        Ok(process) => process,
        Err(Reason::Gone) => return Some(BINDER_ENDED),
        Err(reason) => return Some(Attribution::Unattributed(reason)),
    };
    let was_there = match row.bound_at {
        // The system's own number is never another's, however the clock was set since.
        _ if process.pid == SYSTEM => true,
        0 => was_listed(&process, socket),
        bound_at => process.start.ticks <= bound_at,
    };
    // Else his number was another's then.
    if !was_there {
        return Some(BINDER_ENDED);
    }
    Some(Attribution::Recorded(RecordedOwner { process, role: RoleKind::Binder, exited: false }))
}

/// The service that bound the socket, by the tag in its row. Wine keeps none: there it is that of the owner, if he has one.
fn service<D: Door>(
    processes: &mut Processes<'_, D>,
    socket: &Socket,
    found: &Attribution,
    is_wine: bool,
) -> Option<Arc<Service>> {
    let (owner, _) = found.primary_owner()?;
    if is_wine {
        return owner.service.clone();
    }
    let tag = services::tag(socket.told.row.info[0])?;
    processes.service(owner, tag)
}

fn is_connecting(socket: &Socket) -> bool {
    socket.endpoint.state == State::SYN_SENT
}

fn holder<D: Door>(processes: &mut Processes<'_, D>, held: &Held) -> Option<Holder> {
    let process = processes.of(held.pid).ok().filter(|process| process.start.ticks == held.created)?;
    Some(Holder { process, tid: held.pid, fd: i32::try_from(held.handle).unwrap_or(-1) })
}

/// The process that the row names: Wine saw it use the socket. By which handle is not known.
fn used_by<D: Door>(processes: &mut Processes<'_, D>, socket: &Socket) -> Option<Holder> {
    let process = processes.of(socket.told.row.pid).ok()?;
    if process.pid == 0 || !was_listed(&process, socket) {
        return None;
    }
    Some(Holder { tid: process.pid, process, fd: -1 })
}

/// The process was there when the socket was listed: the number in its row was his, and no earlier process's.
fn was_listed(process: &Process, socket: &Socket) -> bool {
    process.start.ticks < socket.told.listed_at
}

fn native_holder(native: Native) -> Holder {
    let executable = native.path.map(|path| Executable { path, verified: false, deleted: false, file: None });
    let service = native.service.map(|name| Arc::new(Service { name, manager: Manager::System, uid: None }));
    let process = Process {
        pid: native.pid,
        start: StartTime { ticks: native.start_ticks, time: None },
        parent: 0,
        comm: native.name.clone(),
        name: native.name,
        executable,
        uid: None,
        user: None,
        service,
        container: None,
        command_line: None,
        pidfd_inode: None,
        kernel_thread: false,
    };
    let pid = process.pid;
    Holder { process: Arc::new(process), tid: pid, fd: -1 }
}

type Marked = (Socket, Mark);

/// What became of a socket since it was listed.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    /// It is in another state.
    changed: bool,
    gone: bool,
}

/// The tables that sockets are listed in.
fn tables(sockets: &[Socket]) -> Vec<(Protocol, Family)> {
    let tables: BTreeSet<_> = sockets.iter().map(table_of).collect();
    tables.into_iter().collect()
}

fn table_of(socket: &Socket) -> (Protocol, Family) {
    (socket.endpoint.protocol, socket.endpoint.family)
}

fn is_same(now: &Socket, before: &Socket, any_owner: bool) -> bool {
    let name = |socket: &Socket| {
        let Endpoint { protocol, local, remote, .. } = socket.endpoint;
        (protocol, local, remote, socket.told.row.bound_at)
    };
    let (owner_now, owner_before) = (now.told.row.pid, before.told.row.pid);
    // A connection that lingers after it was closed is nobody's any more.
    name(now) == name(before) && (any_owner || owner_now == owner_before || owner_now == 0)
}

fn entry(socket: Socket, attribution: Attribution) -> Entry {
    Entry {
        socket,
        user: None,
        cgroup: None,
        service: None,
        container: None,
        attribution,
        candidates: Arc::default(),
        record: Record::Nowhere,
        netns_name: None,
        matched: None,
        changed: false,
    }
}
