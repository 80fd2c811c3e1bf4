//! Where snapshots come from while it is watched: a thread that asks the system, and goes on where that fails.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sockowner::{Endpoint, Entry, Filter, Gap, GapReason, Pattern, Query, Snapshot, Socket};

use super::model::{Item as _, Model};
use super::place::{Fate, Place};
use super::row::Key;
use crate::args::General;
use crate::messages::{self, Hidden};
use crate::netns;

/// From so many endpoints on, the owners of those that stay as they are are looked for every so many refreshes.
const MANY: usize = 10_000;
const TURNS: u32 = 10;
const CLOSED: &str = "closed: this is what was last seen of it";
/// So long it is said that a name stands for another network namespace than before.
const TOLD: Duration = Duration::from_secs(10);

/// What is watched, shared by the thread that draws and the one that asks.
pub(crate) type Shared = Arc<Mutex<Model<Arc<Entry>>>>;

/// What the thread that draws wants.
#[derive(Debug)]
pub(crate) enum Ask {
    Refresh,
    Freeze(bool),
    Details(Arc<Entry>, Again),
}

/// It is on the screen already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    No,
    Yes,
}

/// What it is told.
#[derive(Debug)]
pub(crate) enum News {
    /// The model has a new snapshot; this could not be seen.
    Refreshed { missing: Vec<String>, owners_age: Option<Duration> },
    /// It has none, for this reason.
    Failed(String),
    /// All of an endpoint, as it is now; or that it is not there any more.
    Details(Details),
}

/// An endpoint in full.
#[derive(Debug)]
pub(crate) struct Details {
    pub(crate) entry: Arc<Entry>,
    /// What could not be looked into.
    pub(crate) hidden: Hidden,
    /// It is not there any more, or was not found for this reason: this is what was last seen.
    pub(crate) doubt: Option<String>,
    pub(crate) again: Again,
}

/// What answers.
pub(crate) trait Asked: Sized {
    fn open(general: &General, details: bool) -> sockowner::Result<Self>;
    fn snapshot(&self, filter: &Filter) -> sockowner::Result<Snapshot>;
    fn sockets(&self, filter: &Filter) -> sockowner::Result<(Vec<Socket>, Vec<Gap>)>;
    fn owners(&self, sockets: Vec<Socket>) -> sockowner::Result<Snapshot>;
    fn who(&self, pattern: &Pattern, everywhere: bool) -> sockowner::Result<Snapshot>;
}

impl Asked for Query {
    fn open(general: &General, details: bool) -> sockowner::Result<Self> {
        // Two threads at once cost more of a processor than one after the other.
        let threads = usize::from(!details);
        let query = Self::builder().source(general.source.into()).threads(threads).command_lines(details);
        netns::open(query, general)
    }
    fn snapshot(&self, filter: &Filter) -> sockowner::Result<Snapshot> {
        self.snapshot(filter)
    }
    fn sockets(&self, filter: &Filter) -> sockowner::Result<(Vec<Socket>, Vec<Gap>)> {
        self.sockets(filter)
    }
    fn owners(&self, sockets: Vec<Socket>) -> sockowner::Result<Snapshot> {
        self.owners(sockets)
    }
    fn who(&self, pattern: &Pattern, everywhere: bool) -> sockowner::Result<Snapshot> {
        if everywhere { self.who_everywhere(pattern) } else { self.who(pattern) }
    }
}

/// Locks the model. That the other thread panicked ends the program anyway.
pub(crate) fn lock(shared: &Shared) -> MutexGuard<'_, Model<Arc<Entry>>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How it is watched.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) general: General,
    pub(crate) filter: Filter,
    /// The filter can be told from sockets alone.
    pub(crate) is_plain: bool,
    /// Every network namespace is watched.
    pub(crate) is_everywhere: bool,
    pub(crate) interval: Duration,
}

/// Asks again and again.
#[derive(Debug)]
pub(crate) struct Refresher<Q> {
    plan: Plan,
    shared: Shared,
    /// `None` where it has failed and is to be opened again.
    query: Option<Q>,
    /// What stood for the network namespace when it was opened, and when that became another one.
    place: Place,
    moved: Option<Instant>,
    /// The model has what another place stood for: that is not here, which does not tell that it is closed.
    is_elsewhere: bool,
    began: Instant,
    /// When owners were looked for last, what could not be seen then, and how many refreshes ago that was.
    full: Option<(Instant, Vec<Gap>)>,
    /// What could not be looked into when something could not, last.
    hidden: Hidden,
    turn: u32,
}

impl<Q: Asked> Refresher<Q> {
    /// `query` was opened at `place`.
    pub(crate) fn new(plan: Plan, shared: Shared, place: Place, query: Q) -> Self {
        let began = Instant::now();
        Self {
            plan,
            shared,
            query: Some(query),
            place,
            moved: None,
            is_elsewhere: false,
            began,
            full: None,
            hidden: Hidden::default(),
            turn: 0,
        }
    }

    /// Does what it is asked and refreshes in time, until nobody listens any more.
    pub(crate) fn run(mut self, asks: &Receiver<Ask>, news: &SyncSender<News>) {
        let mut is_frozen = false;
        let mut next = Instant::now();
        loop {
            let wait = if is_frozen {
                Duration::from_secs(3600)
            } else {
                next.saturating_duration_since(Instant::now())
            };
            let told = match asks.recv_timeout(wait) {
                Ok(Ask::Freeze(wanted)) => {
                    is_frozen = wanted;
                    continue;
                }
                Ok(Ask::Details(entry, again)) => news.send(News::Details(self.details(entry, again))),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) if is_frozen => continue,
                Ok(Ask::Refresh) | Err(RecvTimeoutError::Timeout) => {
                    next = Instant::now() + self.plan.interval;
                    news.send(self.refresh())
                }
            };
            if told.is_err() {
                return;
            }
        }
    }

    /// Brings the model up to date; says why where that fails. The next time it is tried again.
    pub(crate) fn refresh(&mut self) -> News {
        match self.try_refresh() {
            Ok(news) => news,
            Err(error) => {
                self.query = None;
                self.full = None;
                News::Failed(format!("{:#}", anyhow::Error::from(error)))
            }
        }
    }

    fn try_refresh(&mut self) -> sockowner::Result<News> {
        let mut fate = self.place.fate();
        let query = match self.query.take() {
            Some(query) if fate != Fate::Other => query,
            was => {
                if was.is_some() {
                    self.moved = Some(Instant::now());
                }
                self.full = None;
                let place = Place::of(&self.plan.general);
                self.is_elsewhere |= place != self.place;
                self.place = place;
                fate = Fate::Same;
                Q::open(&self.plan.general, false)?
            }
        };
        let now = self.began.elapsed();
        self.turn = (self.turn + 1) % TURNS;
        let is_many = self.plan.is_plain && lock(&self.shared).living() >= MANY;
        let (gaps, owners_age) = match &self.full {
            Some((since, gaps)) if is_many && self.turn != 0 => {
                let age = since.elapsed();
                let fresh = self.look_at_fresh(&query, now)?;
                let kind = |gap: &Gap| (gap.source, of_any(&gap.object), gap.reason);
                (joined(fresh, gaps, kind), Some(age))
            }
            _ => {
                self.turn = 0;
                let (entries, gaps) = query.snapshot(&self.plan.filter)?.into_parts();
                let items = entries.into_iter().map(Arc::new).collect();
                let is_complete = self.is_complete(&gaps) && !self.is_elsewhere;
                lock(&self.shared).take(now, items, is_complete);
                self.is_elsewhere = false;
                // Where there is no socket, nobody is looked into, and nobody hidden.
                self.hidden = Some(Hidden::of(&gaps)).filter(|now| now.is_any()).unwrap_or(self.hidden);
                self.full = Some((Instant::now(), gaps.clone()));
                (gaps, None)
            }
        };
        self.query = Some(query);
        let mut missing = self.missing(&gaps);
        if fate == Fate::Gone {
            missing.insert(0, self.place.no_more());
        } else if self.moved.is_some_and(|moved| moved.elapsed() < TOLD) {
            missing.insert(0, self.place.is_another());
        }
        Ok(News::Refreshed { missing, owners_age })
    }

    /// What was there at the last look and is not in this one has gone.
    fn is_complete(&self, gaps: &[Gap]) -> bool {
        !gaps.iter().any(|gap| may_hide(gap.source, gap.reason, self.plan.is_everywhere))
    }

    fn missing(&self, gaps: &[Gap]) -> Vec<String> {
        let model = lock(&self.shared);
        let rows = model.living();
        let is_hidden = |place: &usize| model.row(*place).is_some_and(|(entry, _)| entry.is_not_permitted());
        let without = if Hidden::of(gaps).is_any() { (0..rows).filter(is_hidden).count() } else { 0 };
        messages::missing(gaps, without, rows, true)
    }

    /// Asks about this endpoint alone, with everything that is said of one.
    fn details(&self, entry: Arc<Entry>, again: Again) -> Details {
        // Nobody is looked for then: what may be missing is what was missing when it was seen.
        let last = |entry, why: &str| {
            let doubt = Some(why.to_owned());
            Details { entry, hidden: self.hidden, doubt, again }
        };
        let why = match entry.socket.netns {
            Some(netns) if !self.place.stood_for(netns) => Some(self.place.is_another()),
            _ => (self.place.fate() != Fate::Same).then(|| self.place.no_more()),
        };
        if let Some(why) = why {
            return last(entry, &format!("this is what was last seen of it: {why}"));
        }
        let found = pattern(&entry.socket.endpoint)
            .and_then(|pattern| Q::open(&self.plan.general, true)?.who(&pattern, self.plan.is_everywhere));
        match found {
            Ok(snapshot) => {
                let hidden = Hidden::count(&snapshot);
                let key = entry.key();
                let (found, _) = snapshot.into_parts();
                let same = found.into_iter().map(Arc::new).filter(|found| found.key() == key);
                // Where the system does not tell several of one name apart, the one that was chosen, if it is as it was.
                match same.max_by_key(|found| found.looks_like(&entry)) {
                    // It vanished while it was looked for.
                    Some(found) if found.was_going() => last(entry, CLOSED),
                    Some(entry) => Details { entry, hidden, doubt: None, again },
                    None => last(entry, CLOSED),
                }
            }
            Err(error) => {
                let why = anyhow::Error::from(error);
                last(entry, &format!("this is what was last seen of it: {why:#}"))
            }
        }
    }

    /// Lists all sockets, and looks for the owners of those alone that are new or have changed.
    fn look_at_fresh(&self, query: &Q, now: Duration) -> sockowner::Result<Vec<Gap>> {
        let (mut sockets, mut gaps) = query.sockets(&self.plan.filter)?;
        let mut keys: Vec<_> = sockets.iter().map(Key::of).zip(0..).collect();
        keys.sort_unstable();
        let is_known = lock(&self.shared).recognise(&keys, |known, at| known.socket == sockets[at]);
        let alive: Vec<_> = keys.into_iter().map(|(key, _)| key).collect();
        let mut is_known = is_known.into_iter();
        sockets.retain(|_| !is_known.next().unwrap_or_default());
        let mut fresh = Vec::new();
        if !sockets.is_empty() {
            let (entries, more) = query.owners(sockets)?.into_parts();
            fresh.extend(entries.into_iter().map(Arc::new));
            gaps.extend(more);
        }
        lock(&self.shared).renew(now, &alive, fresh, self.is_complete(&gaps));
        Ok(gaps)
    }
}

/// What names this endpoint, and as few others as can be.
fn pattern(endpoint: &Endpoint) -> sockowner::Result<Pattern> {
    let local = format!("{}/{}", endpoint.protocol.as_str(), endpoint.local);
    match &endpoint.remote {
        // A UDP socket can be connected to port 0, which no pattern names.
        Some(remote) if remote.port > 0 => Pattern::connection(&local, &remote.to_string()),
        _ => local.parse(),
    }
}

/// What could not be seen now, and, of other kinds, what could not be seen when all was looked at last: of one kind both
/// count the same things.
fn joined<G: Clone + Ord, K: PartialEq>(fresh: Vec<G>, last: &[G], kind: impl Fn(&G) -> K) -> Vec<G> {
    let is_told = |gap: &&G| fresh.iter().any(|now| kind(now) == kind(gap));
    let mut all: Vec<_> = last.iter().filter(|gap| !is_told(gap)).cloned().collect();
    all.extend(fresh);
    all.sort();
    all.dedup();
    all
}

/// An object of /proc as it is called where it stands for those of several processes.
fn of_any(object: &str) -> String {
    let is_pid = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<_> = object.split('/').map(|part| if is_pid(&part) { "*" } else { part }).collect();
    parts.join("/")
}

/// For a gap of this kind rows may be missing that were there before. What a system never offers, and where the caller may
/// never look, had none.
fn may_hide(source: &str, reason: GapReason, is_everywhere: bool) -> bool {
    match source {
        "sock_diag" | "iphlpapi" => reason != GapReason::Unsupported,
        // In one network namespace they tell owners alone, of others rows too.
        "netns" | "bpf" => is_everywhere && matches!(reason, GapReason::Interrupted | GapReason::Changed),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::args::SourceName;
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static FAILS: Cell<bool> = const { Cell::new(false) };
        static OPENED: Cell<u32> = const { Cell::new(0) };
    }

    /// A system without sockets.
    struct Fake;

    fn refused() -> sockowner::Error {
        "nonsense".parse::<Pattern>().unwrap_err()
    }

    impl Asked for Fake {
        fn open(_: &General, _: bool) -> sockowner::Result<Self> {
            OPENED.set(OPENED.get() + 1);
            if FAILS.get() { Err(refused()) } else { Ok(Self) }
        }
        fn snapshot(&self, _: &Filter) -> sockowner::Result<Snapshot> {
            if FAILS.get() { Err(refused()) } else { Ok(Snapshot::default()) }
        }
        fn sockets(&self, _: &Filter) -> sockowner::Result<(Vec<Socket>, Vec<Gap>)> {
            Err(refused())
        }
        fn owners(&self, _: Vec<Socket>) -> sockowner::Result<Snapshot> {
            Err(refused())
        }
        fn who(&self, _: &Pattern, _: bool) -> sockowner::Result<Snapshot> {
            Err(refused())
        }
    }

    #[test]
    fn of_one_kind_it_is_counted_once_what_could_not_be_seen() {
        let last = [("cgroup", 1), ("proc", 95)];
        let all = |fresh: &[(&'static str, u64)]| joined(fresh.to_vec(), &last, |gap| gap.0);
        assert_eq!(all(&[]), last);
        assert_eq!(all(&[("proc", 96)]), [("cgroup", 1), ("proc", 96)]);
        assert_eq!(all(&[("proc", 94), ("kcmp", 2)]), [("cgroup", 1), ("kcmp", 2), ("proc", 94)]);
        assert_eq!(all(&last), last);
        assert_eq!([of_any("/proc/812/fd"), of_any("tcp6")], ["/proc/*/fd", "tcp6"]);
    }

    #[test]
    fn what_is_never_told_hides_no_row_and_what_failed_now_may() {
        use GapReason::{Changed, Interrupted, Malformed, NotPermitted, Unsupported};
        for (source, reason, here, everywhere) in [
            ("sock_diag", Interrupted, true, true),
            ("sock_diag", Malformed, true, true),
            ("sock_diag", Unsupported, false, false),
            ("iphlpapi", Interrupted, true, true),
            ("iphlpapi", Unsupported, false, false),
            ("netns", Interrupted, false, true),
            ("netns", Changed, false, true),
            ("netns", NotPermitted, false, false),
            ("netns", Unsupported, false, false),
            ("bpf", Interrupted, false, true),
            ("bpf", Unsupported, false, false),
            ("proc", Changed, false, false),
        ] {
            let may = [false, true].map(|is_everywhere| may_hide(source, reason, is_everywhere));
            assert_eq!(may, [here, everywhere], "{source} {reason}");
        }
    }

    #[test]
    fn a_source_that_disappears_is_told_and_opened_again() {
        let plan = Plan {
            general: General {
                source: SourceName::Auto,
                strict: false,
                json: false,
                #[cfg(target_os = "linux")]
                netns: None,
            },
            filter: Filter::new(),
            is_plain: true,
            is_everywhere: false,
            interval: Duration::from_secs(1),
        };
        let shared: Shared = Arc::new(Mutex::new(Model::new(Duration::from_secs(3))));
        let mut refresher = Refresher::new(plan, shared, Place::default(), Fake);
        let is_refreshed = |news| matches!(news, News::Refreshed { .. });
        assert!(is_refreshed(refresher.refresh()));
        FAILS.set(true);
        for opened in [0, 1] {
            let News::Failed(why) = refresher.refresh() else { panic!("it failed") };
            assert_eq!(why, refused().to_string());
            assert_eq!(OPENED.get(), opened);
        }
        FAILS.set(false);
        assert!(is_refreshed(refresher.refresh()));
        assert!(is_refreshed(refresher.refresh()));
        assert_eq!(OPENED.get(), 2, "once it works it is kept");
    }
}
