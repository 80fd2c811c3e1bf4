//! Closed sockets, as far as a recorder keeps them. Plain data.

use crate::{Entry, Snapshot};

/// Closed sockets that were called so, the last closed first: of the query's network namespace, and of others, which may be
/// gone as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    all: Snapshot,
    netns: Option<u64>,
}

impl Closed {
    /// `netns` is the query's own; `None` where that cannot be told: then every one is.
    pub(crate) fn new(all: Snapshot, netns: Option<u64>) -> Self {
        Self { all, netns }
    }

    /// How many were in other network namespaces.
    pub fn elsewhere(&self) -> usize {
        self.all.iter().filter(|entry| !is_in(self.netns, entry)).count()
    }

    /// Those of the query's network namespace.
    pub fn here(self) -> Snapshot {
        let (mut entries, gaps) = self.all.into_parts();
        entries.retain(|entry| is_in(self.netns, entry));
        Snapshot::in_order(entries, gaps)
    }

    /// Those of every network namespace.
    pub fn everywhere(self) -> Snapshot {
        self.all
    }
}

fn is_in(netns: Option<u64>, entry: &Entry) -> bool {
    netns.is_none_or(|own| entry.socket.netns == Some(own))
}
