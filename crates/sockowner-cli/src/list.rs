//! `sockowner`: the table of endpoints.

use std::net::IpAddr;

use anyhow::Context as _;
use sockowner::{Address, Entry, Query, Snapshot};

use crate::args::Cli;
use crate::table::{Cell, Column, Table};
use crate::text::shown_os;
use crate::{Status, json, messages, naming, nothing, output};

/// What a cut cell keeps at least.
const LEAST_UNIT: usize = 12;
const LEAST_PROCESS: usize = 11;
/// `(not permitted)` is whole.
const LEAST_REASON: usize = 15;
const LEAST_USER: usize = 5;
/// Of an IPv6 address, its port included. One of IPv4 stays whole for longer.
const LEAST_ADDRESS: usize = 18;

const COLUMNS: [Column; 8] = [
    Column { leaves: Some(2), ..column("PROTO") },
    Column { leaves: Some(1), ..column("STATE") },
    Column { shrinks: Some(4), tight: 15, ample: 26, ..column("LOCAL") },
    Column { shrinks: Some(3), leaves: Some(0), tight: 15, ample: 26, ..column("REMOTE") },
    Column { shrinks: Some(2), leaves: Some(0), is_missed: false, ample: 12, ..column("USER") },
    Column { is_number: true, leaves: Some(3), ..column("PID") },
    Column { shrinks: Some(1), tight: 7, ample: 20, ..column("PROCESS") },
    Column { shrinks: Some(0), leaves: Some(1), is_missed: false, ample: 28, ..column("UNIT") },
];

/// A column that stays whole for long.
const fn column(title: &'static str) -> Column {
    Column {
        title,
        is_number: false,
        shrinks: None,
        ample: usize::MAX,
        leaves: None,
        is_missed: true,
        tight: usize::MAX,
    }
}

/// Lists what the command line asks for.
pub(crate) fn run(cli: &Cli) -> anyhow::Result<Status> {
    let query = Query::builder().source(cli.general.source.into()).open()?;
    let snapshot = query.snapshot(&cli.list.filter())?;
    if cli.general.json {
        output::data(|out| json::write(out, &snapshot)).context(output::WRITING)?;
    } else if !snapshot.entries().is_empty() {
        let table = table(&snapshot);
        output::text(|out| table.write(out, output::width())).context(output::WRITING)?;
    }
    if snapshot.entries().is_empty() {
        messages::say(&nothing::sentence(&cli.list, &snapshot));
    }
    // JSON has its gaps; a table has no room for doubts.
    messages::say_what_is_missing(&snapshot, cli.general.strict || !cli.general.json);
    Ok(Status::of(&snapshot, cli.general.strict))
}

fn table(snapshot: &Snapshot) -> Table<8> {
    let mut table = Table::new(COLUMNS);
    for entry in snapshot {
        let endpoint = &entry.socket.endpoint;
        let (pid, process) = owner(entry);
        table.push([
            Cell::whole(naming::protocol(endpoint)),
            Cell::whole(endpoint.state.to_string()),
            address(&endpoint.local),
            endpoint.remote.as_ref().map_or_else(|| Cell::nothing("*"), address),
            or_nothing(naming::user(entry.socket.uid, entry.user.as_deref()), LEAST_USER),
            pid,
            process,
            or_nothing(naming::place(entry), LEAST_UNIT),
        ]);
    }
    table
}

fn or_nothing(text: Option<String>, least: usize) -> Cell {
    text.map_or_else(|| Cell::nothing("-"), |text| Cell::new(text, least))
}

fn address(address: &Address) -> Cell {
    let text = address.to_string();
    let (least, before_port) = match address.ip {
        IpAddr::V4(_) => (usize::MAX, ':'),
        IpAddr::V6(_) => (LEAST_ADDRESS, ']'),
    };
    let (host, port) = text.split_at(text.rfind(before_port).unwrap_or(text.len()));
    Cell::new(host, least).cut_in_the_middle(port)
}

/// Pid and process, or the reason why there is none.
fn owner(entry: &Entry) -> (Cell, Cell) {
    let Some((process, _)) = entry.attribution.primary_owner() else {
        let why = match entry.attribution.reason() {
            Some(reason) => Cell::new(naming::reason(reason), LEAST_REASON).dim(),
            None => Cell::nothing("-"),
        };
        return (Cell::nothing("-"), why);
    };
    let name = Cell::new(shown_os(&process.name), LEAST_PROCESS);
    let name = match processes(entry) {
        0 | 1 => name,
        count => name.ending_in(&format!(" +{}", count - 1)),
    };
    (Cell::whole(process.pid.to_string()), name)
}

/// How many processes hold it; descriptors of one stand together.
pub(crate) fn processes(entry: &Entry) -> usize {
    entry.attribution.holders().chunk_by(|one, other| one.process.is(&other.process)).count()
}
