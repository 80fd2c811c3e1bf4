//! Whether a listing is right.

use std::net::SocketAddrV4;

use sockowner_testkit::load::Held;

use super::contender::{Contender, Expects, Whose};
use super::listing::{Format, Row};

/// What the load holds.
#[derive(Debug)]
pub(super) struct Truth {
    /// In the order of [`name`].
    sockets: Vec<Held>,
}

/// How a listing compares with the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Verdict {
    /// How many sockets there are to be listed.
    pub(super) expected: usize,
    /// How many of them are.
    pub(super) rows: usize,
    /// How many of those have their owner.
    pub(super) owners: usize,
    /// How many have another.
    pub(super) wrong: usize,
    /// Rows that stand for no socket of the load, or for one a second time.
    pub(super) extra: usize,
}

type Name = (SocketAddrV4, Option<SocketAddrV4>);

fn name(held: &Held) -> Name {
    (held.local, held.remote)
}

impl Truth {
    pub(super) fn new(mut sockets: Vec<Held>) -> Self {
        sockets.sort_by_key(name);
        Self { sockets }
    }

    /// Judges what `contender` listed.
    pub(super) fn judge(&self, contender: &Contender, rows: &[Row]) -> Verdict {
        let expected = match contender.expects {
            Expects::All => self.sockets.len(),
            Expects::Listeners => self.sockets.iter().filter(|held| held.remote.is_none()).count(),
            Expects::One(_) => 1,
            Expects::Nothing => 0,
        };
        let mut verdict = Verdict { expected, ..Verdict::default() };
        let mut seen = vec![false; self.sockets.len()];
        for row in rows {
            // Without the remote end, rows cannot be told apart: each counts that fits a local one.
            let local_only = contender.format == Format::LocalOnly;
            let found = if local_only { self.local(row) } else { self.find(row) };
            let asked = |at: &usize| match contender.expects {
                Expects::All => true,
                Expects::Listeners => self.sockets[*at].remote.is_none(),
                Expects::One(held) => name(&held) == name(&self.sockets[*at]),
                Expects::Nothing => false,
            };
            match found.filter(asked) {
                Some(at) if local_only || !seen[at] => {
                    seen[at] = true;
                    verdict.rows += 1;
                    verdict.owners += usize::from(row.pid == Some(self.sockets[at].pid));
                    verdict.wrong += usize::from(row.pid.is_some_and(|pid| pid != self.sockets[at].pid));
                }
                _ => verdict.extra += 1,
            }
        }
        verdict
    }

    fn find(&self, row: &Row) -> Option<usize> {
        self.sockets.binary_search_by_key(&(row.local, row.remote), name).ok()
    }

    fn local(&self, row: &Row) -> Option<usize> {
        let at = self.sockets.partition_point(|held| held.local < row.local);
        self.sockets.get(at).filter(|held| held.local == row.local).map(|_| at)
    }
}

impl Verdict {
    /// Why one of ours that listed this is wrong.
    pub(super) fn fault(&self, contender: &Contender) -> Option<String> {
        let owners = if contender.owners { self.expected } else { 0 };
        let right = Self { rows: self.expected, owners, wrong: 0, extra: 0, ..*self };
        (contender.whose != Whose::Peer && *self != right).then(|| {
            format!(
                "{} of {} rows, {} of {owners} owners, {} wrong owners, {} rows too many",
                self.rows, self.expected, self.owners, self.wrong, self.extra
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::contender::Group;
    use super::*;

    fn contender(expects: Expects) -> Contender {
        Contender {
            name: "",
            group: Group::Command,
            program: PathBuf::new(),
            args: Vec::new(),
            format: Format::Plain,
            expects,
            owners: true,
            whose: Whose::Ours,
            reference: None,
            cannot: None,
        }
    }

    fn held(port: u16, remote: Option<u16>) -> Held {
        let at = |port| SocketAddrV4::new([127, 1, 1, 1].into(), port);
        Held { pid: 7, index: 0, local: at(port), remote: remote.map(at) }
    }

    fn row(held: Held, pid: Option<u32>) -> Row {
        Row { local: held.local, remote: held.remote, pid }
    }

    #[test]
    fn only_the_whole_truth_is_right() {
        let (listener, client) = (held(1, None), held(2, Some(1)));
        let truth = Truth::new(vec![client, listener]);
        let all = contender(Expects::All);
        let right = [row(listener, Some(7)), row(client, Some(7))];
        assert_eq!(truth.judge(&all, &right).fault(&all), None);
        let stranger = row(held(9, None), Some(7));
        for wrong in [
            vec![right[0]],
            vec![right[0], row(client, None)],
            vec![right[0], row(client, Some(8))],
            vec![right[0], right[1], right[1]],
            vec![right[0], right[1], stranger],
        ] {
            assert!(truth.judge(&all, &wrong).fault(&all).is_some(), "{wrong:?}");
        }
        let listeners = contender(Expects::Listeners);
        assert_eq!(truth.judge(&listeners, &right[..1]).fault(&listeners), None);
        assert!(truth.judge(&listeners, &right).fault(&listeners).is_some());
        let one = contender(Expects::One(client));
        assert_eq!(truth.judge(&one, &right[1..]).fault(&one), None);
        assert!(truth.judge(&one, &right[..1]).fault(&one).is_some());
        let nothing = Contender { owners: false, ..contender(Expects::Nothing) };
        assert_eq!(truth.judge(&nothing, &[]).fault(&nothing), None);
        assert!(truth.judge(&nothing, &right[..1]).fault(&nothing).is_some());
    }

    #[test]
    fn without_remote_ends_every_fitting_row_counts() {
        let truth = Truth::new(vec![held(1, None), held(1, Some(2)), held(2, Some(1))]);
        let blind = Contender { format: Format::LocalOnly, whose: Whose::Peer, ..contender(Expects::All) };
        let rows = [row(held(1, None), Some(7)), row(held(2, None), Some(8))];
        let verdict = truth.judge(&blind, &rows);
        assert_eq!(verdict, Verdict { expected: 3, rows: 2, owners: 1, wrong: 1, extra: 0 });
    }
}
