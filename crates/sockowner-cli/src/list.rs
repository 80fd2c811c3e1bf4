//! `sockowner`: the endpoints, as a table or as data.

mod columns;
mod csv;
pub(crate) mod held;
mod order;
mod value;

use std::borrow::Borrow;
use std::io;

use anyhow::Context as _;
use sockowner::{Entry, Query, Snapshot};

use crate::args::{General, List};
use crate::field::Field;
use crate::table::{Column, Table};
use crate::{Status, json, messages, netns, nothing, output};

/// Lists what the command line asks for.
pub(crate) fn run(list: &List, general: &General) -> anyhow::Result<Status> {
    let needs_command_lines = list.columns.contains(&Field::Cmdline);
    let query = Query::builder().source(general.source.into()).command_lines(needs_command_lines);
    let query = netns::open(query, general)?;
    let snapshot = query.snapshot(&list.filter())?;
    let written = if list.sort.is_empty() {
        write(list, general, &snapshot, snapshot.entries())
    } else {
        write(list, general, &snapshot, &order::sorted(snapshot.entries(), &list.sort))
    };
    written.context(output::WRITING)?;
    if snapshot.entries().is_empty() {
        messages::say(&nothing::sentence(list, &snapshot));
    }
    // JSON has its gaps; the other forms have no room for doubts.
    messages::say_what_is_missing(&snapshot, general.strict || !general.json);
    let status = Status::of(&snapshot, general.strict);
    // The program ends, and its memory with it: to give it back piece by piece takes longer.
    std::mem::forget(snapshot);
    Ok(status)
}

/// Writes `rows`, all of the snapshot's, in the form that was asked for.
pub(crate) fn write<R: Borrow<Entry> + Sync>(
    list: &List,
    general: &General,
    snapshot: &Snapshot,
    rows: &[R],
) -> io::Result<()> {
    if general.json {
        output::data(|out| json::write(out, rows, snapshot.gaps()))
    } else if list.jsonl {
        output::data(|out| json::write_lines(out, rows))
    } else if list.csv {
        let fields = match list.columns.as_slice() {
            [] if list.is_of_all_namespaces() => [Field::CSV, &[Field::NetnsName]].concat(),
            [] => Field::CSV.to_vec(),
            chosen => chosen.to_vec(),
        };
        output::data(|out| csv::write(out, &fields, !list.no_header, rows.iter().map(Borrow::borrow)))
    } else if rows.is_empty() {
        Ok(())
    } else if list.columns.is_empty() {
        if list.is_of_all_namespaces() {
            let fields = [&[Field::NetnsName], Field::TABLE].concat();
            let columns: Vec<_> = [columns::NETNS].into_iter().chain(columns::USUAL).collect();
            return table(list, &fields, &columns, rows);
        }
        table(list, Field::TABLE, &columns::USUAL, rows)
    } else {
        let titles: Vec<_> = list.columns.iter().map(|&field| columns::title(field)).collect();
        let chosen = list.columns.iter().zip(&titles).map(|(&field, title)| columns::chosen(field, title));
        table(list, &list.columns, &chosen.collect::<Vec<_>>(), rows)
    }
}

fn table<R: Borrow<Entry> + Sync>(
    list: &List,
    fields: &[Field],
    columns: &[Column<'_>],
    rows: &[R],
) -> io::Result<()> {
    let table = Table::new(columns, !list.no_header).with(rows, |table, row| {
        table.push(fields.iter().map(|&field| columns::cell(field, row.borrow())));
    });
    output::lines(|out, styled| table.write(out, output::width(), styled))
}

/// How many processes hold it; descriptors of one stand together.
pub(crate) fn processes(entry: &Entry) -> usize {
    entry.attribution.holders().chunk_by(|one, other| one.process.is(&other.process)).count()
}
