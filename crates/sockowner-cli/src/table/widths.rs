//! How wide each column is.

use super::{GAP, Table};

impl Table<'_> {
    /// The width of each column, `None` for those left out.
    pub(super) fn widths(&self, room: Option<usize>) -> Vec<Option<usize>> {
        let natural: Vec<_> = self.measures.iter().map(|measure| measure.natural).collect();
        let Some(room) = room else {
            return natural.into_iter().map(Some).collect();
        };
        let count = self.columns.len();
        let least: Vec<_> = self.measures.iter().map(|measure| measure.least).collect();
        let mut widths: Vec<_> = natural.into_iter().map(Some).collect();
        if total(&widths) > room {
            for at in (0..count).filter(|&at| self.says_nothing(at)) {
                widths[at] = None;
                if total(&widths) <= room {
                    return widths;
                }
            }
        }
        let ample: Vec<_> = (0..count).map(|at| least[at].max(self.columns[at].ample)).collect();
        let order = self.shrinking();
        // The first columns gave already.
        let reverse: Vec<_> = order.iter().rev().copied().collect();
        let shrink = |widths: &[_], narrowest: &[usize]| {
            let ample = shrunk(widths.to_vec(), &order, &ample, room);
            shrunk(shrunk(ample, &reverse, &least, room), &order, narrowest, room)
        };
        for (leaving, narrowest) in self.attempts(&least) {
            if let Some(at) = leaving {
                widths[at] = None;
            }
            let shrunk = shrink(&widths, &narrowest);
            if total(&shrunk) <= room {
                return shrunk;
            }
        }
        let floor: Vec<_> = (0..count).map(|at| least[at].min(self.columns[at].floor)).collect();
        shrink(&widths, &floor)
    }

    /// What is tried in turn: a column that leaves, and what the others need at least.
    fn attempts(&self, least: &[usize]) -> Vec<(Option<usize>, Vec<usize>)> {
        let count = self.columns.len();
        let tight: Vec<_> = (0..count).map(|at| least[at].min(self.columns[at].tight)).collect();
        let leaving = |is_missed| {
            let mut leaving: Vec<_> =
                (0..count).filter(|&at| self.columns[at].is_missed == is_missed).collect();
            leaving.retain(|&at| self.columns[at].leaves.is_some());
            leaving.sort_by_key(|&at| self.columns[at].leaves);
            leaving.into_iter().map(Some)
        };
        let early = [None].into_iter().chain(leaving(false)).map(|at| (at, least.to_vec()));
        let late = [None].into_iter().chain(leaving(true)).map(|at| (at, tight.clone()));
        early.chain(late).collect()
    }

    fn says_nothing(&self, at: usize) -> bool {
        self.columns[at].leaves.is_some() && self.measures[at].says_nothing
    }

    /// The columns in the order in which they are cut.
    fn shrinking(&self) -> Vec<usize> {
        let mut order: Vec<_> = (0..self.columns.len()).collect();
        order.sort_by_key(|&at| self.columns[at].shrinks.unwrap_or(u8::MAX));
        order
    }
}

/// Takes from each column in turn what is too much, but leaves it `least`.
fn shrunk(
    mut widths: Vec<Option<usize>>,
    order: &[usize],
    least: &[usize],
    room: usize,
) -> Vec<Option<usize>> {
    for &at in order {
        let excess = total(&widths).saturating_sub(room);
        if let Some(width) = &mut widths[at] {
            *width -= excess.min(width.saturating_sub(least[at]));
        }
    }
    widths
}

fn total(widths: &[Option<usize>]) -> usize {
    let columns = widths.iter().flatten().count();
    widths.iter().flatten().sum::<usize>() + GAP * columns.saturating_sub(1)
}
