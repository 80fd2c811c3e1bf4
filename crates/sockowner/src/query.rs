//! The one entry: ask for a snapshot, for one endpoint, for the owner of one socket.

use crate::pattern::Met;
use crate::snapshot;
use crate::sys::{Options, Scope, Search, Seen, Sockets, System};
use crate::{
    Entry, Error, ErrorKind, Family, Filter, Gap, Match, Pattern, Protocol, Result, Snapshot, Socket,
};

/// Asks the system who owns which socket.
///
/// Open one and keep it: it holds a netlink socket, `/proc`, and what it has learned of cgroups. It belongs to the
/// network namespace of the thread that opened it, also after fork(2) and setns(2); where it has to open its socket
/// again and cannot do so there, it fails. `Send + Sync`; requests of several threads wait for each other
/// only while sockets are listed.
///
/// ```
/// # fn main() -> sockowner::Result<()> {
/// let query = sockowner::Query::new()?;
/// for entry in &query.snapshot(&sockowner::Filter::new().listening())? {
///     match entry.attribution.primary_owner() {
///         Some((process, evidence)) => println!("{} {} ({evidence})", entry.socket.endpoint, process.pid),
///         None => println!("{} unknown: {:?}", entry.socket.endpoint, entry.attribution.reason()),
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Platform
/// Linux 5.8 or later for cgroups, 4.11 for everything else; no privilege, but other users' processes can be looked
/// into only with `CAP_SYS_PTRACE` and `CAP_DAC_READ_SEARCH` (root has both). See
/// [`platform`](crate::platform) for each answer's source.
#[derive(Debug)]
pub struct Query {
    system: System,
}

/// How a [`Query`] is to work.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueryBuilder {
    options: Options,
}

/// Where owners come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The best that this system and the caller's rights allow.
    #[default]
    Auto,
    /// BPF iterators: one pass of the kernel over all descriptors, where the caller may load them (`CAP_BPF` and
    /// `CAP_PERFMON`) or read those that root shares.
    Bpf,
    /// proc(5): works for every user, on every kernel.
    Proc,
}

/// One place that owners can come from, and whether they do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceState {
    /// The source.
    pub source: Source,
    /// Answers come from it.
    pub in_use: bool,
    /// How it is had, where there are several ways; and what it shows, where that is not everything.
    pub detail: Option<&'static str>,
    /// Why it cannot be used: each way that was tried, and what the system said.
    pub refused: Vec<String>,
}

impl QueryBuilder {
    /// Takes owners from this source.
    #[must_use]
    pub fn source(mut self, source: Source) -> Self {
        self.options.source = source;
        self
    }

    /// Reads the arguments of processes too. They carry secrets.
    #[must_use]
    pub fn command_lines(mut self, wanted: bool) -> Self {
        self.options.command_lines = wanted;
        self
    }

    /// Lists sockets and looks into processes with so many threads at most, the caller's included; 0 (the default) is
    /// one for each processor, but four at most.
    #[must_use]
    pub fn threads(mut self, most: usize) -> Self {
        self.options.threads = most;
        self
    }

    /// Opens the query.
    ///
    /// # Errors
    /// Where no question could be answered: sock_diag is refused or missing, or the platform has no backend. With
    /// [`Source::Bpf`], where that source cannot be used.
    pub fn open(self) -> Result<Query> {
        Ok(Query { system: System::open(self.options)? })
    }
}

impl Query {
    /// Opens a query with the defaults.
    ///
    /// # Errors
    /// As [`QueryBuilder::open`].
    pub fn new() -> Result<Self> {
        Self::builder().open()
    }

    /// Chooses how to work first.
    pub fn builder() -> QueryBuilder {
        QueryBuilder::default()
    }

    /// Where owners can come from, best first; what has not been needed yet is tried now.
    ///
    /// # Platform
    /// Linux: [`Source::Bpf`] and [`Source::Proc`].
    pub fn sources(&self) -> Vec<SourceState> {
        self.system.sources()
    }

    /// Every endpoint that `filter` takes, of the query's network namespace unless it asks for
    /// [every](Filter::every_namespace) one.
    ///
    /// # Platform
    /// Linux: one sock_diag dump a table, one walk over `/proc/PID/fd` of all processes.
    ///
    /// # Errors
    /// Where no table could be read, or owners are asked for and there is no `/proc`. A table or a process that could
    /// not be read while others could is a [gap](Snapshot::gaps).
    #[doc(alias = "GetExtendedTcpTable")]
    #[doc(alias = "GetExtendedUdpTable")]
    pub fn snapshot(&self, filter: &Filter) -> Result<Snapshot> {
        let (listed, seen, search) = if filter.wants_owners() {
            let (listed, seen) = self.system.survey(&scope(filter))?;
            (listed, seen, Search::Everywhere)
        } else {
            let mut listed = self.system.sockets(&scope(filter))?;
            snapshot::sort(&mut listed.list);
            (listed, None, Search::Never)
        };
        let (mut entries, mut gaps) = self.system.attribute(listed.list, search, seen)?;
        // Sockets are put in order when they are listed, while they are small.
        let mut is_in_order = !entries.iter().any(|entry| entry.changed);
        if filter.wants_every_namespace() {
            is_in_order = false;
            let (listed, seen) = self.system.abroad(&scope(filter))?;
            let (others, more) = self.system.attribute(listed.list, search, seen)?;
            entries.extend(others);
            gaps.extend(join(listed.gaps, more));
        }
        // A socket that changed while its owner was looked for may be in a state that was not asked for.
        entries.retain(|entry| filter.takes_endpoint(&entry.socket.endpoint) && filter.takes(entry));
        let gaps = join(listed.gaps, gaps);
        Ok(if is_in_order { Snapshot::in_order(entries, gaps) } else { Snapshot::new(entries, gaps) })
    }

    /// The sockets that `filter` takes, as the system lists them: no owner, no name, nothing looked up.
    ///
    /// What a filter can only tell with owners (pid, user, unit, container, executable) is not applied.
    ///
    /// # Errors
    /// Where no table could be read. One that could not be while others could is a gap.
    pub fn sockets(&self, filter: &Filter) -> Result<(Vec<Socket>, Vec<Gap>)> {
        let listed = self.system.sockets(&scope(filter))?;
        Ok((listed.list, listed.gaps))
    }

    /// The owners of sockets that were [listed](Self::sockets) just now, one entry for each.
    ///
    /// # Errors
    /// As [`snapshot`](Self::snapshot).
    pub fn owners(&self, sockets: Vec<Socket>) -> Result<Snapshot> {
        let (entries, gaps) = self.system.attribute(sockets, Search::Everywhere, None)?;
        Ok(Snapshot::new(entries, gaps))
    }

    /// As [`sockets`](Self::sockets), and looks at all processes meanwhile where that takes one pass: for
    /// [`owners_of`](Self::owners_of), when it is likely that all owners are wanted.
    ///
    /// # Errors
    /// As [`sockets`](Self::sockets).
    pub fn survey(&self, filter: &Filter) -> Result<Survey> {
        let (listed, seen) = self.system.survey(&scope(filter))?;
        Ok(Survey { listed, seen })
    }

    /// The owners of the sockets in a survey, one entry for each.
    ///
    /// # Errors
    /// As [`snapshot`](Self::snapshot).
    pub fn owners_of(&self, survey: Survey) -> Result<Snapshot> {
        let (entries, gaps) = self.system.attribute(survey.listed.list, Search::Everywhere, survey.seen)?;
        Ok(Snapshot::new(entries, join(survey.listed.gaps, gaps)))
    }

    /// Everything about the endpoints that `pattern` names: listeners first, all holders of each.
    ///
    /// A specific address also finds the wildcard listener that would serve it, marked [`Match::Wildcard`], where
    /// no listener has the address itself.
    ///
    /// # Errors
    /// As [`snapshot`](Self::snapshot). That nothing matched is no error: the snapshot is empty.
    pub fn who(&self, pattern: &Pattern) -> Result<Snapshot> {
        let (found, first_gaps) = self.find(pattern)?;
        let (sockets, met): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        if sockets.is_empty() {
            return Ok(Snapshot::new(Vec::new(), first_gaps));
        }
        let (mut entries, gaps) = self.system.attribute(sockets, Search::Everywhere, None)?;
        for (entry, met) in entries.iter_mut().zip(met) {
            entry.matched = Some(met);
        }
        Ok(Snapshot::new(entries, join(first_gaps, gaps)))
    }

    /// The owner of one socket, as fast as can be: processes in the socket's cgroup are looked at first, then its
    /// user's, then all; the search ends at the first of these circles in which somebody holds it
    /// ([`Holders::reach`](crate::Holders::reach)). Only a process that is *seen* holding it counts. Whoever holds it
    /// further out is not among the holders, so the primary owner may be another than [`who`](Self::who) names, which
    /// looks everywhere and tells what could not be looked into.
    ///
    /// `socket` may be old: that it is still there is checked by its cookie. One that is gone is
    /// [`Reason::Gone`](crate::Reason::Gone), one in another state is [`changed`](Entry::changed).
    ///
    /// # Errors
    /// As [`snapshot`](Self::snapshot).
    #[doc(alias = "GetOwnerModuleFromTcpEntry")]
    #[doc(alias = "GetOwnerModuleFromUdpEntry")]
    pub fn owner_of(&self, socket: &Socket) -> Result<Entry> {
        let (mut entries, _) = self.system.attribute(vec![socket.clone()], Search::Nearest, None)?;
        // One entry for each socket: the backend's contract.
        entries.pop().ok_or_else(|| {
            Error::new(ErrorKind::System, format!("look for the owner of {}: no answer", socket.endpoint))
        })
    }

    /// The sockets that `pattern` names, and how.
    fn find(&self, pattern: &Pattern) -> Result<(Vec<Matched>, Vec<Gap>)> {
        let mut protocols: Vec<_> = pattern.protocols().collect();
        let mut exact = None;
        if let Some((local, remote)) = pattern.tuple() {
            exact = self
                .system
                .connection(Protocol::Tcp, local, remote)?
                .filter(|_| protocols.contains(&Protocol::Tcp));
            // There is one such TCP connection at most, and it is found: no table need be listed for it.
            protocols.retain(|&protocol| protocol != Protocol::Tcp || exact.is_none());
        }
        let scope = Scope {
            tables: protocols.into_iter().flat_map(|p| Family::ALL.map(|f| (p, f))).collect(),
            states: Vec::new(),
            local_port: pattern.local_port(),
            remote_port: pattern.remote_port(),
        };
        let listed = self.system.sockets(&scope)?;
        let met: Vec<_> = listed
            .list
            .into_iter()
            .chain(exact)
            .filter_map(|socket| {
                let met = pattern.matches(&socket.endpoint, socket.v6only == Some(true))?;
                Some((socket, met))
            })
            .collect();
        Ok((best_listeners(&met), listed.gaps))
    }
}

/// Sockets without owners, and what was seen of their holders while they were listed.
#[derive(Debug)]
pub struct Survey {
    listed: Sockets,
    seen: Option<Seen>,
}

impl Survey {
    /// The sockets.
    pub fn sockets(&self) -> &[Socket] {
        &self.listed.list
    }

    /// Keeps those that `takes` says yes to.
    pub fn retain(&mut self, takes: impl FnMut(&Socket) -> bool) {
        self.listed.list.retain(takes);
    }
}

fn scope(filter: &Filter) -> Scope {
    let tables = filter.protocols().flat_map(|p| filter.families().map(move |f| (p, f))).collect();
    Scope { tables, states: filter.states().to_vec(), local_port: 0, remote_port: 0 }
}

/// A socket, and how it met what was asked for.
type Matched = (Socket, Match);

/// Of the listeners of one protocol only the best kind serves: one with the very address, else a wildcard, else one of
/// both families.
fn best_listeners(found: &[(Socket, Met)]) -> Vec<Matched> {
    let best = |socket: &Socket| {
        let same = found.iter().filter(|(other, _)| {
            other.endpoint.protocol == socket.endpoint.protocol && other.endpoint.state.is_listening()
        });
        same.map(|&(_, met)| met).min()
    };
    let serves =
        |(socket, met): &&(Socket, Met)| *met == Met::Exact || best(socket).is_none_or(|best| *met == best);
    found.iter().filter(serves).map(|(socket, met)| (socket.clone(), (*met).into())).collect()
}

fn join(mut one: Vec<Gap>, other: Vec<Gap>) -> Vec<Gap> {
    one.extend(other);
    one
}
