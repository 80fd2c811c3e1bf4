//! What is watched, and what became of it: snapshots in, rows with age and mark out. No clock and no terminal.

use std::cmp::Reverse;
use std::time::Duration;

/// So many closed rows are shown at most; of more the last closed stay.
const MOST_GONE: usize = 2000;

/// Something that is in one snapshot and may be in the next.
pub(crate) trait Item: Clone {
    /// What it is recognised by. Equal keys within one snapshot are told apart by their order.
    type Key: Ord + Clone;
    fn key(&self) -> Self::Key;
    /// A person would see no difference.
    fn looks_like(&self, other: &Self) -> bool;
    /// It went while it was looked at: what is said of it is less than what was said before.
    fn was_going(&self) -> bool;
}

/// What happened to a row lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mark {
    #[default]
    None,
    New,
    Changed,
    Closed,
    /// It is not in the last snapshot, which is known to be incomplete.
    Unseen,
}

impl Mark {
    /// The sign in the first column.
    pub(crate) const fn sign(self) -> &'static str {
        match self {
            Self::None => " ",
            Self::New => "+",
            Self::Changed => "~",
            Self::Closed => "-",
            Self::Unseen => "?",
        }
    }
}

/// What is known of a row beside what it shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The snapshot that had it first: 0 for all that were there when the watch began.
    pub(crate) born: u64,
    pub(crate) mark: Mark,
    /// When it got its mark.
    since: Duration,
}

/// A row, by number: valid until the next snapshot is taken.
pub(crate) type Place = usize;

/// Everything watched.
#[derive(Debug)]
pub(crate) struct Model<T: Item> {
    /// In the order of the snapshot.
    items: Vec<T>,
    /// One for each item.
    seen: Vec<Seen>,
    by_key: Vec<(T::Key, u32)>,
    /// What has gone, the first gone first.
    gone: Vec<(T, Seen)>,
    /// Those that are going, as they were before; with their places, in order.
    before: Vec<(usize, T)>,
    taken: u64,
    /// How long a mark stays.
    hold: Duration,
}

impl<T: Item> Model<T> {
    /// Nothing yet; marks stay for `hold`.
    pub(crate) fn new(hold: Duration) -> Self {
        let (items, seen, by_key) = (Vec::new(), Vec::new(), Vec::new());
        Self { items, seen, by_key, gone: Vec::new(), before: Vec::new(), taken: 0, hold }
    }

    /// Takes the snapshot of `now`. What is missing in it has gone; of one that is not complete, it is only not seen.
    pub(crate) fn take(&mut self, now: Duration, items: Vec<T>, is_complete: bool) {
        let mut by_key: Vec<_> = items.iter().map(Item::key).zip(0_u32..).collect();
        by_key.sort_unstable();
        self.put(now, items, by_key, is_complete);
    }

    /// As [`take`](Self::take), of items whose keys are known, in order, with the place of each.
    fn put(&mut self, now: Duration, items: Vec<T>, by_key: Vec<(T::Key, u32)>, is_complete: bool) {
        let mut seen = vec![self.first_seen(now); items.len()];
        let (old, mut lost) = (&self.by_key, Vec::new());
        let mut before = Vec::new();
        let mut new = by_key.iter().peekable();
        for (key, at) in old {
            while new.next_if(|(other, _)| other < key).is_some() {}
            match new.next_if(|(other, _)| other == key) {
                Some(&(_, there)) => {
                    let (here, there) = (*at as usize, there as usize);
                    seen[there] = self.seen_again(now, here, &items[there]);
                    if items[there].was_going() {
                        before.push((there, self.best(here).clone()));
                    }
                }
                None => lost.push(*at as usize),
            }
        }
        // An incomplete snapshot may have missed these; they come back as what they were.
        self.retrieve(&by_key, &mut seen);
        let mark = if is_complete { Mark::Closed } else { Mark::Unseen };
        // In the order of the snapshot.
        lost.sort_unstable();
        before.sort_unstable_by_key(|(at, _)| *at);
        let last = |at| (self.best(at).clone(), Seen { mark, since: now, ..self.seen[at] });
        let gone: Vec<_> = lost.into_iter().map(last).collect();
        self.gone.extend(gone);
        let excess = self.gone.len().saturating_sub(MOST_GONE);
        self.gone.drain(..excess);
        (self.items, self.seen, self.by_key, self.before) = (items, seen, by_key, before);
        self.taken += 1;
        self.age(now);
    }

    /// As [`take`](Self::take), where of most rows it is known only that they are as they were: those with these keys, in
    /// order. `fresh` are new, or in the place of old ones.
    pub(crate) fn renew(&mut self, now: Duration, alive: &[T::Key], fresh: Vec<T>, is_complete: bool) {
        let mut fresh: Vec<_> = fresh.into_iter().map(|item| (item.key(), item)).collect();
        fresh.sort_by(|(one, _), (other, _)| one.cmp(other));
        let (mut fresh, mut alive) = (fresh.into_iter().peekable(), alive.iter().peekable());
        let mut is_kept = vec![false; self.items.len()];
        let mut newer = vec![None; self.items.len()];
        let mut added = Vec::new();
        for (key, at) in &self.by_key {
            let at = *at as usize;
            while alive.next_if(|other| *other < key).is_some() {}
            is_kept[at] = alive.next_if(|other| *other == key).is_some();
            added.extend(std::iter::from_fn(|| fresh.next_if(|(other, _)| other < key)));
            match fresh.next_if(|(other, _)| other == key) {
                Some((_, item)) if is_kept[at] => newer[at] = Some(item),
                gone_and_come => added.extend(gone_and_come),
            }
        }
        added.extend(fresh);
        let mut items = Vec::with_capacity(self.items.len() + added.len());
        let mut places = vec![None; self.items.len()];
        let kept = self.items.iter().zip(newer).zip(&mut places).zip(is_kept);
        for (((item, newer), place), _) in kept.filter(|(_, is_kept)| *is_kept) {
            *place = u32::try_from(items.len()).ok();
            items.push(newer.unwrap_or_else(|| item.clone()));
        }
        let place_now = |(key, at): &(T::Key, u32)| Some((key.clone(), places[*at as usize]?));
        let mut by_key: Vec<_> = self.by_key.iter().filter_map(place_now).collect();
        for ((key, item), place) in added.into_iter().zip((0_u32..).skip(items.len())) {
            by_key.push((key, place));
            items.push(item);
        }
        // Two runs that are in order: this kind of sorting sees that.
        by_key.sort();
        self.put(now, items, by_key, is_complete);
    }

    /// For each of these things, told by their keys, in order, and their places: the last snapshot has it, and it `is_same`.
    pub(crate) fn recognise(
        &self,
        keys: &[(T::Key, usize)],
        is_same: impl Fn(&T, usize) -> bool,
    ) -> Vec<bool> {
        let mut known = vec![false; keys.len()];
        let mut old = self.by_key.iter().peekable();
        for (key, place) in keys {
            while old.next_if(|(other, _)| other < key).is_some() {}
            if let Some((_, at)) = old.next_if(|(other, _)| other == key) {
                known[*place] = is_same(&self.items[*at as usize], *place);
            }
        }
        known
    }

    /// Ends the marks, and the rows, whose time is over.
    fn age(&mut self, now: Duration) {
        let hold = self.hold;
        let is_over = |seen: &Seen| now.saturating_sub(seen.since) >= hold;
        for seen in self.seen.iter_mut().filter(|seen| seen.mark != Mark::None && is_over(seen)) {
            seen.mark = Mark::None;
        }
        self.gone.retain(|(_, seen)| !is_over(seen));
    }

    /// How many rows there are, those of what has gone included.
    pub(crate) fn len(&self) -> usize {
        self.items.len() + self.gone.len()
    }

    /// How many are there now.
    pub(crate) fn living(&self) -> usize {
        self.items.len()
    }

    /// How many snapshots there were.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// The row at `place`.
    pub(crate) fn row(&self, place: Place) -> Option<(&T, Seen)> {
        match place.checked_sub(self.items.len()) {
            None => Some((self.items.get(place)?, *self.seen.get(place)?)),
            Some(at) => self.gone.get(at).map(|(item, seen)| (item, *seen)),
        }
    }

    /// The item at `at`, as it was before it began to go.
    fn best(&self, at: usize) -> &T {
        let before = self.before.binary_search_by_key(&at, |(at, _)| *at);
        before.map_or(&self.items[at], |known| &self.before[known].1)
    }

    /// What became of what has this key: `None` where it went so long ago that nothing is known of it.
    pub(crate) fn mark_of(&self, key: &T::Key) -> Option<Mark> {
        match self.by_key.binary_search_by(|(other, _)| other.cmp(key)) {
            Ok(at) => self.seen.get(self.by_key[at].1 as usize).map(|seen| seen.mark),
            Err(_) => self.gone.iter().rfind(|(item, _)| item.key() == *key).map(|(_, seen)| seen.mark),
        }
    }

    fn first_seen(&self, now: Duration) -> Seen {
        match self.taken {
            0 => Seen::default(),
            born => Seen { born, mark: Mark::New, since: now },
        }
    }

    fn seen_again(&self, now: Duration, here: usize, item: &T) -> Seen {
        let seen = self.seen[here];
        if self.items[here].looks_like(item) {
            return seen;
        }
        // What is new stays so: that its first moments bring changes is no news.
        if seen.mark == Mark::New { seen } else { Seen { mark: Mark::Changed, since: now, ..seen } }
    }

    fn retrieve(&mut self, by_key: &[(T::Key, u32)], seen: &mut [Seen]) {
        self.gone.retain(|(item, was)| {
            let key = item.key();
            let found = by_key.binary_search_by(|(other, _)| other.cmp(&key));
            match found {
                Ok(at) if was.mark == Mark::Unseen => {
                    seen[by_key[at].1 as usize] = Seen { mark: Mark::None, ..*was };
                    false
                }
                _ => true,
            }
        });
    }
}

/// The place of a row in the default order: listeners first, then what came last. Equals stand as the snapshot has them.
pub(crate) fn newest_first(listens: bool, seen: Seen) -> impl Ord + Copy {
    (!listens, Reverse(seen.born))
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
