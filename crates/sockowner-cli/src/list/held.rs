//! Who holds an endpoint, in words.

use std::borrow::Cow;

use sockowner::Entry;

use crate::naming;
use crate::text::shown_name;

/// Who holds an endpoint, in words.
pub(crate) enum Held<'a> {
    /// A process by name. The last bytes, so many, count the others or say that it has ended.
    By(Cow<'a, str>, usize),
    /// Nobody is named, for this reason.
    ByNobody(String),
    NotAsked,
}

/// What is said of an owner who has ended, behind his name.
pub(crate) const EXITED: &str = " (exited)";

impl<'a> Held<'a> {
    pub(crate) fn of(entry: &'a Entry) -> Self {
        let Some((process, _)) = entry.attribution.primary_owner() else {
            let reason = entry.attribution.reason();
            return reason.map_or(Self::NotAsked, |reason| Self::ByNobody(naming::reason(reason)));
        };
        let name = shown_name(&process.name);
        match super::processes(entry) {
            _ if entry.attribution.has_exited() => Self::By(format!("{name}{EXITED}").into(), EXITED.len()),
            0 | 1 => Self::By(name, 0),
            count => {
                let others = format!(" +{}", count - 1);
                Self::By(format!("{name}{others}").into(), others.len())
            }
        }
    }

    /// All of it.
    pub(super) fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::By(name, _) => Some(name),
            Self::ByNobody(reason) => Some(reason.into()),
            Self::NotAsked => None,
        }
    }
}
