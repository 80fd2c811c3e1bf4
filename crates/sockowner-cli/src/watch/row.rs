//! One endpoint as a row: what it is recognised by, what of it is shown, and what orders it.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use sockowner::{Address, Attribution, Entry, Process, Protocol, Reason, Socket};

use super::model::Item;
use super::order::{Group, Sort};
use crate::list::held::{EXITED, Held};
use crate::text::{shown_name, start, width};
use crate::{address, naming, netns};

/// What a socket is recognised by: its cookie and network namespace, and its ends where the system has given it no cookie.
/// An accepted MPTCP socket has its listener's cookie: there the inode number tells. Who has it tells nothing: that changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    cookie: u64,
    netns: u64,
    inode: u64,
    ends: Option<Box<Ends>>,
}

/// With the time at which it was bound, where the system's table has that: it tells several of one name apart.
type Ends = (Protocol, Address, Option<Address>, u64);

impl Key {
    /// That of `socket`.
    pub(crate) fn of(socket: &Socket) -> Self {
        let endpoint = &socket.endpoint;
        let inode = if endpoint.protocol == Protocol::Mptcp { socket.inode } else { 0 };
        let ends = || {
            let bound_at = socket.row_owner().map_or(0, |row| row.bound_at);
            Box::new((endpoint.protocol, endpoint.local, endpoint.remote, bound_at))
        };
        let ends = (socket.cookie == 0).then(ends);
        Self { cookie: socket.cookie, netns: socket.netns.unwrap_or_default(), inode, ends }
    }
}

impl Item for Arc<Entry> {
    type Key = Key;

    fn key(&self) -> Key {
        Key::of(&self.socket)
    }

    fn looks_like(&self, other: &Self) -> bool {
        // Most are what they were at the last refresh, and need not be looked into.
        Self::ptr_eq(self, other)
            || self.socket.endpoint == other.socket.endpoint
                && self.socket.uid == other.socket.uid
                && is_attributed_alike(&self.attribution, &other.attribution)
                && self.service == other.service
                && self.container == other.container
    }

    fn was_going(&self) -> bool {
        self.attribution.reason() == Some(Reason::Gone)
    }
}

/// The same owner, and as many holders, or the same reason why there is none.
fn is_attributed_alike(one: &Attribution, other: &Attribution) -> bool {
    let owner = |attribution: &Attribution| {
        attribution.primary_owner().map(|(process, evidence)| (process.pid, process.start.ticks, evidence))
    };
    one.reason() == other.reason()
        && owner(one) == owner(other)
        && one.has_exited() == other.has_exited()
        && one.holders().len() == other.holders().len()
}

fn owner(entry: &Entry) -> Option<&Process> {
    entry.attribution.primary_owner().map(|(process, _)| &**process)
}

/// Number and name of the user that is told of it. On Windows that is the owner's: there sockets have none.
fn user(entry: &Entry) -> (Option<u32>, Option<&str>) {
    if cfg!(windows) {
        owner(entry).map_or((None, None), |owner| (owner.uid, owner.user.as_deref()))
    } else {
        (entry.socket.uid, entry.user.as_deref())
    }
}

fn pid(entry: &Entry) -> Option<u32> {
    owner(entry).map(|process| process.pid)
}

/// The cells of a row, as people see them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cells {
    /// Empty where those of one network namespace are watched.
    pub(crate) netns: String,
    pub(crate) protocol: String,
    pub(crate) state: String,
    pub(crate) local: String,
    pub(crate) remote: String,
    pub(crate) user: String,
    pub(crate) pid: String,
    pub(crate) process: String,
    /// So many bytes at the end of that stay where it is cut.
    pub(crate) kept: usize,
    pub(crate) unit: String,
}

impl Cells {
    /// Those of `entry`. Nothing in them can move a cursor. Where those of several network namespaces are watched, with
    /// the name of its own.
    pub(crate) fn of(entry: &Entry, has_namespaces: bool) -> Self {
        let endpoint = &entry.socket.endpoint;
        // With --netns an endpoint has that name too, but no column shows it.
        let netns = netns::name(entry).filter(|_| has_namespaces);
        // As in the list.
        let (process, kept) = match Held::of(entry) {
            Held::By(process, kept) => (process.into_owned(), kept),
            Held::ByNobody(reason) => (reason, 0),
            Held::NotAsked => ("-".into(), 0),
        };
        let (uid, user) = user(entry);
        let or_nothing = |text: Option<Cow<'_, str>>| text.map_or_else(|| "-".into(), Cow::into_owned);
        Self {
            netns: netns.map(Cow::into_owned).unwrap_or_default(),
            protocol: naming::protocol(endpoint).into_owned(),
            state: naming::state(endpoint.state).into_owned(),
            local: address(Some(&address::local(&entry.socket))),
            remote: address(endpoint.remote.as_ref()),
            user: or_nothing(naming::user(uid, user)),
            pid: pid(entry).map_or_else(|| "-".into(), |pid| pid.to_string()),
            process,
            kept,
            unit: or_nothing(naming::place(entry)),
        }
    }

    /// Holds all words of `filter`, in capitals or not.
    pub(crate) fn hold(&self, filter: &Filter) -> bool {
        let Self { netns, protocol, state, local, remote, user, pid, process, kept: _, unit } = self;
        let line = [netns, protocol, state, local, remote, user, pid, process, unit];
        let line = line.map(|cell| cell.to_lowercase()).join(" ");
        filter.words.iter().all(|word| line.contains(word))
    }
}

/// What somebody typed to see less.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    words: Vec<String>,
}

impl Filter {
    pub(crate) fn new(typed: &str) -> Self {
        Self { words: typed.split_whitespace().map(str::to_lowercase).collect() }
    }

    /// Everything passes.
    pub(crate) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
}

fn address(address: Option<&Address>) -> String {
    let mut text = String::new();
    match address {
        Some(address) => {
            address::push(&mut text, address);
        }
        None => text.push('*'),
    }
    text
}

/// What a row stands under when rows are grouped.
pub(crate) fn group(entry: &Entry, group: Group) -> String {
    let named =
        |name: Option<Cow<'_, str>>, what| name.map_or_else(|| format!("(no {what})"), Cow::into_owned);
    let own = owner(entry);
    match group {
        Group::None => String::new(),
        Group::Process => match own {
            Some(process) => {
                let exited = if entry.attribution.has_exited() { EXITED } else { "" };
                format!("{}, {}{exited}", shown_name(&process.name), naming::pid(process.pid))
            }
            None => entry.attribution.reason().map_or_else(|| "(not asked for)".into(), naming::reason),
        },
        Group::Unit => {
            let service = entry.service.as_deref().or_else(|| own?.service.as_deref());
            named(service.map(naming::service), "unit")
        }
        Group::Container => {
            let container = entry.container.as_deref().or_else(|| own?.container.as_deref());
            named(container.map(|it| naming::container(it).into()), "container")
        }
        Group::Namespace => named(netns::name(entry), "network namespace"),
    }
}

/// The order that `sort` asks for; `Equal` for [`Sort::Newest`], which is the model's.
pub(crate) fn compare(one: &Entry, other: &Entry, sort: Sort) -> Ordering {
    let (a, b) = (&one.socket.endpoint, &other.socket.endpoint);
    match sort {
        Sort::Newest => Ordering::Equal,
        Sort::Port => a.local.port.cmp(&b.local.port).then_with(|| {
            let peer = |remote: Option<Address>| remote.map(|remote| (remote.port, remote));
            peer(a.remote).cmp(&peer(b.remote))
        }),
        Sort::State => naming::state(a.state).cmp(&naming::state(b.state)),
        // What has no owner comes last.
        Sort::Process => last(owner(one).map(|it| &it.name), owner(other).map(|it| &it.name)),
        Sort::Pid => last(pid(one), pid(other)),
        Sort::User => {
            let ((one, one_name), (other, other_name)) = (user(one), user(other));
            last(one_name, other_name).then_with(|| last(one, other))
        }
        Sort::Unit => last(naming::place(one), naming::place(other)),
    }
}

/// `None` behind everything.
fn last<T: Ord>(one: Option<T>, other: Option<T>) -> Ordering {
    match (one, other) {
        (Some(one), Some(other)) => one.cmp(&other),
        (one, other) => one.is_none().cmp(&other.is_none()),
    }
}

/// `text` in exactly `room` cells of a terminal, cut at its end.
pub(crate) fn fitted(text: &str, room: usize) -> String {
    let mut fitted = if width(text) <= room {
        text.to_owned()
    } else {
        match room {
            0 => String::new(),
            room => format!("{}{}", start(text, room - 1), crate::text::ELLIPSIS),
        }
    };
    fitted.extend(std::iter::repeat_n(' ', room - width(&fitted)));
    fitted
}

/// An address in exactly `room` cells; its port stays.
pub(crate) fn fitted_address(text: &str, room: usize) -> String {
    fitted_before(text, text.rfind(':').unwrap_or(0), room)
}

/// A process in exactly `room` cells; its last `kept` bytes, which count the others or say that it has ended, stay. Where
/// nothing else fits they stand alone: a name without them would be that of who holds it.
pub(crate) fn fitted_process(text: &str, kept: usize, room: usize) -> String {
    let end = text.len() - kept;
    let alone = text[end..].trim_start();
    if width(text) > room && !alone.is_empty() && (width(alone)..width(alone) + 3).contains(&room) {
        return fitted(alone, room);
    }
    fitted_before(text, end, room)
}

/// `text` in exactly `room` cells; what stands from `end` on stays where there is room for it.
fn fitted_before(text: &str, end: usize, room: usize) -> String {
    let (cut, kept) = text.split_at(end);
    let taken = width(kept) + 1;
    if width(text) <= room || room <= taken {
        return fitted(text, room);
    }
    fitted(&format!("{}{}{kept}", start(cut, room - taken), crate::text::ELLIPSIS), room)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, UdpSocket};

    use sockowner::Query;

    use super::*;

    fn cells() -> Cells {
        Cells {
            netns: "blue".into(),
            protocol: "tcp".into(),
            state: "LISTEN".into(),
            local: "127.0.0.1:5432".into(),
            remote: "*".into(),
            user: "postgres".into(),
            pid: "13601".into(),
            process: "Postgres".into(),
            kept: 0,
            unit: "postgresql@15-main.service".into(),
        }
    }

    /// A socket of this program, and what is told of it.
    fn told() -> (UdpSocket, Entry) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let name = format!("udp/{}", socket.local_addr().unwrap()).parse().unwrap();
        let found = Query::builder().open().and_then(|query| query.who(&name)).unwrap();
        (socket, found.entries()[0].clone())
    }

    #[test]
    fn an_endpoint_is_the_same_whoever_has_it() {
        let (_socket, entry) = told();
        let mut nobodys = entry.clone();
        nobodys.attribution = Attribution::NotAsked;
        for cookie in [entry.socket.cookie, 0] {
            let key = |mut entry: Entry| {
                entry.socket.cookie = cookie;
                Arc::new(entry).key()
            };
            assert_eq!(key(entry.clone()), key(nobodys.clone()));
            let mut other = entry.clone();
            other.socket.endpoint.local.port ^= 1;
            assert_eq!(key(entry.clone()) == key(other), cookie != 0);
        }
    }

    #[test]
    fn a_filter_finds_what_is_shown() {
        let (_socket, mut entry) = told();
        entry.netns_name = Some("blue".into());
        for (typed, has_namespaces, expected) in
            [("udp", false, true), ("blue", false, false), ("blue", true, true), ("green", true, false)]
        {
            let cells = Cells::of(&entry, has_namespaces);
            assert_eq!(cells.hold(&Filter::new(typed)), expected, "{typed}");
        }
        let user = Cells::of(&entry, false).user;
        let own = owner(&entry).unwrap();
        assert_eq!(naming::user(own.uid, own.user.as_deref()).unwrap_or("-".into()), user);
    }

    #[test]
    fn a_filter_finds_all_its_words_in_any_cell() {
        for typed in ["", "  ", "5432", ":5432 listen", "POSTGRES tcp", "13601", "blue 5432"] {
            assert!(cells().hold(&Filter::new(typed)), "{typed}");
        }
        for typed in ["udp", "5432 established", "nginx"] {
            assert!(!cells().hold(&Filter::new(typed)), "{typed}");
        }
        assert!(Filter::new(" ").is_empty() && !Filter::new("a").is_empty());
    }

    #[test]
    fn what_is_cut_takes_its_room_exactly() {
        for (text, room, expected) in [
            ("abc", 5, "abc  "),
            ("abcdef", 5, "abcd…"),
            ("日本語", 4, "日… "),
            ("abc", 0, ""),
            ("", 2, "  "),
        ] {
            assert_eq!(fitted(text, room), expected);
        }
        assert_eq!(fitted_address("127.0.0.1:65535", 12), "127.0…:65535");
        assert_eq!(fitted_address("[2001:db8::1]:443", 12), "[2001:d…:443");
        assert_eq!(fitted_address("*", 3), "*  ");
        assert_eq!(fitted_address("1.2.3.4:65535", 4), "1.2…");
        assert_eq!(fitted_process("redis-server +1", 3, 14), "redis-serv… +1");
        assert_eq!(fitted_process("redis-server", 0, 8), "redis-s…");
        assert_eq!(fitted_process("a +b", 0, 3), "a …");
        assert_eq!(fitted_process("nginx +12", 4, 9), "nginx +12");
    }

    #[test]
    fn who_has_ended_is_never_shown_as_if_he_had_not() {
        for (room, expected) in [
            (21, "redis-server (exited)"),
            (20, "redis-serv… (exited)"),
            (11, "r… (exited)"),
            (10, "(exited)  "),
            (9, "(exited) "),
            (8, "(exited)"),
        ] {
            assert_eq!(fitted_process("redis-server (exited)", 9, room), expected);
        }
    }

    #[test]
    fn what_has_none_comes_last() {
        assert_eq!(last(Some(2), None), Ordering::Less);
        assert_eq!(last(None, Some(2)), Ordering::Greater);
        assert_eq!(last(Some(2), Some(1)), Ordering::Greater);
        assert_eq!(last::<u32>(None, None), Ordering::Equal);
    }
}
