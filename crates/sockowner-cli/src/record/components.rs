//! What the process that stays finds out of whose code made calls, as it leaves it for `status`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use sockowner_record::follow;

use super::hooks::Asked;
use crate::text::shown;

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Components {
    #[serde(flatten)]
    pub(super) following: Following,
    /// Everybody is told of his own processes.
    pub(super) serving: bool,
}

/// Whether it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Following {
    /// It does, as far as these hooks let it.
    Yes { hooks: Vec<Asked>, counts: Box<Counts> },
    /// It does not.
    No { why: String },
}

/// What came of the calls so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    /// By evidence.
    pub(super) told: BTreeMap<String, u64>,
    /// By cause.
    pub(super) unknown: BTreeMap<String, u64>,
    /// Processes that read modules, or opened them, and had to be replaced.
    pub(super) parsers_lost: u64,
    pub(super) openers_lost: u64,
}

impl From<&follow::Counts> for Counts {
    fn from(counts: &follow::Counts) -> Self {
        let told = counts.resolved.resolved.iter().map(|(evidence, count)| (evidence.to_string(), *count));
        let unknown = counts.resolved.unknown.iter().map(|(cause, count)| (cause.to_string(), *count));
        let others = [
            ("lost", counts.lost),
            ("not_taken", counts.too_old),
            ("not_asked", counts.not_asked),
            ("no_room", counts.no_room),
            ("too_late", counts.too_late),
        ];
        let others = others.map(|(cause, count)| (cause.to_owned(), count));
        Self {
            told: told.filter(|(_, count)| *count > 0).collect(),
            unknown: unknown.chain(others).filter(|(_, count)| *count > 0).collect(),
            parsers_lost: counts.resolved.parsers_lost,
            openers_lost: counts.resolved.openers_lost,
        }
    }
}

impl Components {
    /// Lines for people, each behind its label.
    pub(super) fn write(&self, out: &mut impl Write, label: impl Fn(&str) -> String) -> io::Result<()> {
        match &self.following {
            Following::No { why } => writeln!(out, "{}not found out: {}", label("components"), shown(why))?,
            Following::Yes { hooks, counts } => {
                writeln!(out, "{}{}", label("components"), spoken(&counts.told, "none yet"))?;
                if !counts.unknown.is_empty() {
                    writeln!(out, "{}not known: {}", label(""), spoken(&counts.unknown, ""))?;
                }
                if counts.parsers_lost + counts.openers_lost > 0 {
                    let Counts { parsers_lost, openers_lost, .. } = **counts;
                    let what = "processes that had to be replaced";
                    writeln!(out, "{}{what}: {parsers_lost} reading, {openers_lost} opening", label(""))?;
                }
                for hook in hooks {
                    if let Some(why) = &hook.refused {
                        writeln!(out, "{}{:20}refused: {}", label(""), hook.name, shown(why))?;
                        writeln!(out, "{}{:20}not known: {}", label(""), "", hook.lacking)?;
                    }
                }
            }
        }
        let served = if self.serving { "of his own processes" } else { "not" };
        writeln!(out, "{}{served}", label("others told"))
    }
}

fn spoken(counts: &BTreeMap<String, u64>, none: &str) -> String {
    let some: Vec<_> = counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
    if some.is_empty() { none.to_owned() } else { some.join(", ") }
}
