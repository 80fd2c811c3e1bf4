//! `sockowner`: the table of endpoints.

use std::borrow::Cow;
use std::net::IpAddr;

use anyhow::Context as _;
use sockowner::{Address, Entry, Query, Snapshot};

use crate::args::Cli;
use crate::table::{Cell, Column, Table};
use crate::text::shown_os;
use crate::{Status, address, json, messages, naming, nothing, output};

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
        output::lines(|out, styled| table.write(out, output::width(), styled)).context(output::WRITING)?;
    }
    if snapshot.entries().is_empty() {
        messages::say(&nothing::sentence(&cli.list, &snapshot));
    }
    // JSON has its gaps; a table has no room for doubts.
    messages::say_what_is_missing(&snapshot, cli.general.strict || !cli.general.json);
    let status = Status::of(&snapshot, cli.general.strict);
    // The program ends, and its memory with it: to give it back piece by piece takes longer.
    std::mem::forget(snapshot);
    Ok(status)
}

fn table(snapshot: &Snapshot) -> Table<8> {
    Table::of(COLUMNS, snapshot.entries(), |table, entry| {
        let endpoint = &entry.socket.endpoint;
        let (mut local, mut remote) = (String::with_capacity(48), String::with_capacity(48));
        let user = naming::user(entry.socket.uid, entry.user.as_deref());
        let place = naming::place(entry);
        let held = Held::of(entry);
        let mut pid = itoa::Buffer::new();
        table.push([
            Cell::whole(&naming::protocol(endpoint)),
            Cell::whole(&naming::state(endpoint.state)),
            address(&mut local, &endpoint.local),
            endpoint.remote.as_ref().map_or(Cell::nothing("*"), |peer| address(&mut remote, peer)),
            or_nothing(user.as_deref(), LEAST_USER),
            held.pid().map_or(Cell::nothing("-"), |number| Cell::whole(pid.format(number))),
            held.cell(),
            or_nothing(place.as_deref(), LEAST_UNIT),
        ]);
    })
}

fn or_nothing(text: Option<&str>, least: usize) -> Cell<'_> {
    text.map_or(Cell::nothing("-"), |text| Cell::new(text, least))
}

fn address<'a>(text: &'a mut String, address: &Address) -> Cell<'a> {
    let least = match address.ip {
        IpAddr::V4(_) => usize::MAX,
        IpAddr::V6(_) => LEAST_ADDRESS,
    };
    text.clear();
    let port = address::push(text, address);
    Cell::new(text, least).cut_in_the_middle(port)
}

/// Who holds an endpoint, in words.
enum Held<'a> {
    /// A process by pid and name. The last bytes of the name, so many, count the others or say that it has ended.
    By(u32, Cow<'a, str>, usize),
    /// Nobody is named, for this reason.
    ByNobody(String),
    NotAsked,
}

const EXITED: &str = " (exited)";

impl<'a> Held<'a> {
    fn of(entry: &'a Entry) -> Self {
        let Some((process, _)) = entry.attribution.primary_owner() else {
            let reason = entry.attribution.reason();
            return reason.map_or(Self::NotAsked, |reason| Self::ByNobody(naming::reason(reason)));
        };
        let name = shown_os(&process.name);
        match processes(entry) {
            _ if entry.attribution.has_exited() => {
                Self::By(process.pid, format!("{name}{EXITED}").into(), EXITED.len())
            }
            0 | 1 => Self::By(process.pid, name, 0),
            count => {
                let others = format!(" +{}", count - 1);
                Self::By(process.pid, format!("{name}{others}").into(), others.len())
            }
        }
    }

    fn pid(&self) -> Option<u32> {
        if let Self::By(pid, ..) = self { Some(*pid) } else { None }
    }

    fn cell(&self) -> Cell<'_> {
        match self {
            Self::By(_, name, others) => Cell::new(name, LEAST_PROCESS).keeping(*others),
            Self::ByNobody(reason) => Cell::new(reason, LEAST_REASON).dim(),
            Self::NotAsked => Cell::nothing("-"),
        }
    }
}

/// How many processes hold it; descriptors of one stand together.
pub(crate) fn processes(entry: &Entry) -> usize {
    entry.attribution.holders().chunk_by(|one, other| one.process.is(&other.process)).count()
}
