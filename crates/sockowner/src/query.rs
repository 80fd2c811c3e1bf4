//! The one entry: ask for a snapshot, for one endpoint, for the owner of one socket.

use crate::pattern::served;
use crate::snapshot;
use crate::sys::{Options, Scope, Search, Seen, Sockets, System};
use crate::{
    Address, Closed, Entry, Error, ErrorKind, Family, Filter, Gap, Match, Owning, Pattern, Protocol, Reason,
    Record, Result, Snapshot, Socket, State,
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
/// into only with `CAP_SYS_PTRACE` and `CAP_DAC_READ_SEARCH` (root has both). Windows 10 or later, and Wine; of other users'
/// processes all but the name takes an administrator. See [`platform`](crate::platform) for each answer's source.
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
    /// The system's tables, which tell who bound a socket: Windows.
    Tables,
    /// The handles of all processes: Wine, whose tables do not tell that.
    Handles,
    /// Linux below Wine, which knows of native programs, where the bridge to it is installed.
    Bridge,
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

/// Sockets that a pattern names, and how.
type Named = Vec<(Socket, Match)>;

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
    /// [`Source::Bpf`], where that source cannot be used; with any that another platform has. On Windows with any but
    /// [`Source::Auto`]: there is nothing to choose.
    pub fn open(self) -> Result<Query> {
        Ok(Query { system: System::open(self.options)? })
    }

    /// As [`open`](Self::open), inside another network namespace.
    #[cfg(target_os = "linux")]
    pub(crate) fn open_in(self, place: &std::ffi::OsStr) -> Result<Query> {
        Ok(Query { system: System::open_in(self.options, place)? })
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
    /// Linux: [`Source::Bpf`] and [`Source::Proc`]. Windows: [`Source::Tables`]. Wine: [`Source::Handles`], [`Source::Bridge`]
    /// and [`Source::Tables`]. There none can be chosen: each answers what the others cannot.
    pub fn sources(&self) -> Vec<SourceState> {
        self.system.sources()
    }

    /// Every endpoint that `filter` takes, of the query's network namespace unless it asks for
    /// [every](Filter::every_namespace) one.
    ///
    /// # Platform
    /// Linux: one sock_diag dump a table (MPTCP sockets since 5.9), both families of TCP together and many sockets in two
    /// halves; meanwhile one pass of the BPF iterators over all processes, or afterwards one walk over their `/proc/PID/fd`.
    /// Windows: the module tables of iphlpapi, which name owners; each of these is opened once. Wine: the handles of all
    /// processes besides.
    ///
    /// # Errors
    /// Where no table could be read, or owners are asked for and there is no `/proc`. A table or a process that could
    /// not be read while others could is a [gap](Snapshot::gaps).
    #[doc(alias = "GetExtendedTcpTable")]
    #[doc(alias = "GetExtendedUdpTable")]
    pub fn snapshot(&self, filter: &Filter) -> Result<Snapshot> {
        if filter.wants_every_namespace() {
            let search = if filter.wants_owners() { Search::Everywhere } else { Search::Never };
            let (mut entries, gaps) = self.system.everywhere(&scope(filter), search)?;
            entries.retain(|entry| filter.takes_endpoint(&entry.socket.endpoint) && filter.takes(entry));
            return Ok(Snapshot::new(entries, gaps));
        }
        let (listed, seen, search) = if filter.wants_owners() {
            let (listed, seen) = self.system.survey(&scope(filter))?;
            (listed, seen, Search::Everywhere)
        } else {
            let mut listed = self.system.sockets(&scope(filter))?;
            snapshot::sort(&mut listed.list);
            (listed, None, Search::Never)
        };
        let (mut entries, gaps) = self.system.attribute(listed.list, search, seen)?;
        // Sockets are put in order when they are listed, while they are small.
        let is_in_order = !entries.iter().any(|entry| entry.changed);
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

    /// For each entry the one process that owns its socket where the owner is who made it what it is, not who has it: who made
    /// the recorded call that accepted the connection, or bound the socket, if he lives; else the
    /// [primary owner](crate::Attribution::primary_owner), if he lives.
    ///
    /// # Platform
    /// Linux: a look at `/proc/PID` for each process that made a call and was not seen to have the socket.
    #[doc(alias = "dwOwningPid")]
    pub fn owning(&self, entries: &[Entry]) -> Vec<Option<Owning>> {
        self.system.owning(entries)
    }

    /// Everything about the endpoints that `pattern` names: listeners first, all holders of each.
    ///
    /// A specific address also finds the wildcard listener that would serve it, marked [`Match::Wildcard`], where
    /// no listener has the address itself. What is bound to an [interface](crate::Socket::interface) serves what comes by that
    /// one alone; a zone in the pattern (`127.0.0.1%eth0:80`) tells which is meant.
    ///
    /// # Errors
    /// As [`snapshot`](Self::snapshot). That nothing matched is no error: the snapshot is empty.
    pub fn who(&self, pattern: &Pattern) -> Result<Snapshot> {
        let protocols: Vec<_> = pattern.protocols().collect();
        self.explain(self.find(pattern, &protocols, &[])?)
    }

    /// As [`who`](Self::who), in every network namespace, each by itself: a wildcard listener serves its own alone.
    ///
    /// # Platform
    /// Linux: as far as [`Filter::every_namespace`] tells them; [`Entry::netns_name`] tells where each is.
    ///
    /// # Errors
    /// As [`snapshot`](Self::snapshot).
    pub fn who_everywhere(&self, pattern: &Pattern) -> Result<Snapshot> {
        let protocols: Vec<_> = pattern.protocols().collect();
        let (entries, gaps) = self.system.everywhere(&named(pattern, &protocols, &[]), Search::Everywhere)?;
        let found = served(pattern, entries, |entry| &entry.socket);
        let entries = found.into_iter().map(|(entry, met)| Entry { matched: Some(met), ..entry });
        Ok(Snapshot::new(entries.collect(), gaps))
    }

    /// Who listens at what `pattern` names, a UDP socket without a fixed peer included, as [`who`](Self::who) tells it. Where
    /// nobody does no process is looked at: cheap enough to be asked again and again, until somebody does.
    ///
    /// # Errors
    /// As [`snapshot`](Self::snapshot).
    pub fn listening(&self, pattern: &Pattern) -> Result<Snapshot> {
        let states = [State::LISTEN, State::UNCONNECTED];
        let protocols: Vec<_> = pattern.protocols().collect();
        if protocols.contains(&Protocol::Tcp) {
            // Below each MPTCP listener there is one of TCP, which takes less to be found.
            let quick: Vec<_> = protocols.iter().copied().filter(|&p| p != Protocol::Mptcp).collect();
            let (found, gaps) = self.find(pattern, &quick, &states)?;
            if found.is_empty() {
                return Ok(Snapshot::new(Vec::new(), gaps));
            }
        }
        let found = self.explain(self.find(pattern, &protocols, &states)?)?;
        let (mut entries, gaps) = found.into_parts();
        // What was closed while its owner was looked for does not listen.
        entries.retain(|entry| listens(entry) && pattern.reaches(&entry.socket));
        Ok(Snapshot::in_order(entries, gaps))
    }

    fn explain(&self, (found, first_gaps): (Named, Vec<Gap>)) -> Result<Snapshot> {
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

    /// The closed sockets that `pattern` names, as far as a recorder keeps them: the last closed first, each with who had it
    /// last, where that is known ([`RecordedOwner`](crate::RecordedOwner)), in the state
    /// [`CLOSE`](crate::State::CLOSE). `None`: nothing is recorded.
    ///
    /// # Platform
    /// Linux: what [`os::linux::record`](crate::os) notes. A closed socket is kept for ten minutes, or until half the
    /// recorder's table is full of later ones. A [gap](Snapshot::gaps) tells that the caller may not see those of others.
    ///
    /// # Errors
    /// Where the recorder cannot be read.
    pub fn closed(&self, pattern: &Pattern) -> Result<Option<Closed>> {
        let Some((mut entries, gaps)) = self.system.closed(pattern)? else { return Ok(None) };
        // Of MPTCP sockets nothing is recorded: a recorder may have taken it for TCP.
        entries.retain(|entry| pattern.protocols().any(|wanted| wanted == entry.socket.endpoint.protocol));
        for entry in &mut entries {
            // What was a listener is closed now, so a wildcard is one only by what it did.
            let met = pattern.matches(&entry.socket.endpoint, false);
            entry.matched = Some(met.map_or(Match::Wildcard, Match::from));
        }
        Ok(Some(Closed::new(Snapshot::in_order(entries, gaps), self.system.netns())))
    }

    /// Who created, bound and accepted the TCP connection with exactly these addresses, as a recorder noted it: a few system
    /// calls, however many processes and sockets there are, and right also where who made it has ended. `None`: there is no
    /// such connection. To know that takes a listing of all TCP connections where no address has a [zone](Address::zone):
    /// it may be bound to any interface.
    ///
    /// # Platform
    /// Linux: what [`os::linux::record`](crate::os) notes; without it the record is [`Record::Nowhere`].
    ///
    /// # Errors
    /// Where the connection could not be looked for, or what is recorded cannot be read. That it may not be read is no error:
    /// [`Record::NotPermitted`]. Of connections that are bound to interfaces several may have the same addresses: without a
    /// [zone](Address::zone) that is [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput).
    #[doc(alias = "GetOwnerModuleFromTcpEntry")]
    pub fn recorded(&self, local: Address, remote: Address) -> Result<Option<(Socket, Record)>> {
        self.system.recorded(local, remote)
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

    /// The sockets of `protocols` that `pattern` names, and how, in one of `states`; in any where there is none.
    fn find(&self, pattern: &Pattern, protocols: &[Protocol], states: &[State]) -> Result<(Named, Vec<Gap>)> {
        let mut exact = None;
        let mut protocols = protocols.to_vec();
        if let Some((local, remote)) = pattern.tuple() {
            exact = self
                .system
                .connection(Protocol::Tcp, local, remote)?
                .filter(|_| protocols.contains(&Protocol::Tcp));
            // There is one such TCP connection at most, and it is found: no table need be listed for it.
            protocols.retain(|&protocol| protocol != Protocol::Tcp || exact.is_none());
        }
        let listed = self.system.sockets(&named(pattern, &protocols, states))?;
        Ok((served(pattern, listed.list.into_iter().chain(exact), |socket| socket), listed.gaps))
    }
}

/// It listens, and is there.
pub(crate) fn listens(entry: &Entry) -> bool {
    entry.socket.endpoint.state.is_listening() && entry.attribution.reason() != Some(Reason::Gone)
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

/// Where what `pattern` names may be.
fn named(pattern: &Pattern, protocols: &[Protocol], states: &[State]) -> Scope {
    Scope {
        tables: protocols.iter().flat_map(|&p| Family::ALL.map(|f| (p, f))).collect(),
        states: states.to_vec(),
        local_port: pattern.local_port(),
        remote_port: pattern.remote_port(),
    }
}

fn scope(filter: &Filter) -> Scope {
    let tables = filter.protocols().flat_map(|p| filter.families().map(move |f| (p, f))).collect();
    Scope { tables, states: filter.states().to_vec(), local_port: 0, remote_port: 0 }
}

/// Of what could be read neither at first nor later there is one gap.
fn join(mut one: Vec<Gap>, other: Vec<Gap>) -> Vec<Gap> {
    let kind = |gap: &Gap| (gap.source, gap.reason);
    for gap in other {
        match one.iter_mut().find(|known| kind(known) == kind(&gap) && known.object == gap.object) {
            Some(known) => known.count = known.count.max(gap.count),
            None => one.push(gap),
        }
    }
    one
}
