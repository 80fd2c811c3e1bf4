//! How an answer was established.

use std::fmt;

/// How the primary owner was established.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Evidence {
    /// It was seen holding the socket, and no other process was, as far as was looked:
    /// [`Holders::reach`](crate::Holders::reach), and the snapshot's gaps.
    Holder,
    /// Several hold the socket; this one started first. **A convention, not knowledge**: at equal start times an
    /// ancestor goes before its descendant, then the lower pid.
    EarliestHolder,
    /// The system noted at the call who made it: [`RecordedOwner`](crate::RecordedOwner). Linux: of a socket that nobody
    /// holds any more. Windows: of every socket, and only a process that lives.
    Recorded,
}

impl Evidence {
    /// `holder`, `earliest_holder` or `recorded`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Holder => "holder",
            Self::EarliestHolder => "earliest_holder",
            Self::Recorded => "recorded",
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
