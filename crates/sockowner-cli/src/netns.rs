//! `--netns` and `--all-netns`: which network namespace is asked, and what it is called.

use std::borrow::Cow;

use sockowner::{Entry, Query, QueryBuilder};

use crate::args::General;
use crate::text::shown;

/// Opens the query in the network namespace that the command line names, else in this process's own.
pub(crate) fn open(builder: QueryBuilder, general: &General) -> sockowner::Result<Query> {
    #[cfg(target_os = "linux")]
    if let Some(place) = &general.netns {
        return sockowner::os::linux::netns::open(place, builder);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = general;
    builder.open()
}

/// What an endpoint's network namespace is called.
pub(crate) fn name(entry: &Entry) -> Option<Cow<'_, str>> {
    entry.netns_name.as_deref().map(shown)
}
