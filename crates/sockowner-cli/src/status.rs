//! `sockowner status`: where owners come from here, what was refused, and how to enable it.

use std::io::{self, Write};

use anyhow::Context as _;
use serde::Serialize;
use sockowner::{Query, Source, SourceState};

use crate::args::General;
use crate::{Status, output};

/// How the fast source is enabled, best first. What grants it to whom is said with it.
const ADVICE: &str = "\
To enable the fast source:
  as root             it is used wherever the kernel lets root load BPF programs
  for a group         sudo groupadd --system sockowner
                      sudo sockowner share enable
                      until the next start of the machine; who is in the group sees the
                      connections of every user
  for one program     sudo groupadd --system sockowner
                      sudo install -o root -g sockowner -m 0750 sockowner /usr/local/bin/
                      sudo setcap cap_bpf,cap_perfmon+ep /usr/local/bin/sockowner
                      who may run this file sees the connections of every user";

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    sources: Vec<Row<'a>>,
    /// Only where there is anything to share.
    #[serde(skip_serializing_if = "Option::is_none")]
    shared: Option<String>,
}

#[derive(Serialize)]
struct Row<'a> {
    source: &'static str,
    in_use: bool,
    detail: Option<&'static str>,
    refused: &'a [String],
}

/// Tells it.
pub(crate) fn run(general: &General) -> anyhow::Result<Status> {
    let query = Query::builder().source(general.source.into()).open()?;
    let sources = query.sources();
    #[cfg(target_os = "linux")]
    let shared = Some(crate::share::in_words());
    #[cfg(not(target_os = "linux"))]
    let shared = None;
    if general.json {
        let rows = sources.iter().map(|state| Row {
            source: name(state.source),
            in_use: state.in_use,
            detail: state.detail,
            refused: &state.refused,
        });
        let document = Document { schema: 1, sources: rows.collect(), shared };
        output::data(|out| {
            serde_json::to_writer_pretty(&mut *out, &document)?;
            writeln!(out)
        })
        .context(output::WRITING)?;
    } else {
        output::text(|out| write(out, &sources, shared.as_deref())).context(output::WRITING)?;
    }
    Ok(Status::Found)
}

fn write(out: &mut impl Write, sources: &[SourceState], shared: Option<&str>) -> io::Result<()> {
    for state in sources {
        let verdict = if state.in_use {
            "in use"
        } else if state.refused.is_empty() {
            "not needed"
        } else {
            "refused"
        };
        let detail = state.detail.map(|detail| format!(": {detail}")).unwrap_or_default();
        writeln!(out, "{:8}{verdict}{detail}", name(state.source))?;
        for why in &state.refused {
            writeln!(out, "        {why}")?;
        }
    }
    if let Some(shared) = shared {
        writeln!(out, "sharing {shared}")?;
    }
    if sources.iter().any(|state| state.source == Source::Bpf && !state.in_use) {
        writeln!(out, "\n{ADVICE}")?;
    }
    Ok(())
}

const fn name(source: Source) -> &'static str {
    match source {
        Source::Bpf => "bpf",
        Source::Proc => "proc",
        Source::Tables => "tables",
        Source::Handles => "handles",
        Source::Bridge => "bridge",
        _ => "other",
    }
}
