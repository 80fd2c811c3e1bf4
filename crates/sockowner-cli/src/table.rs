//! A table without borders, fitted to a width.
//!
//! Columns have the width of their widest cell. Where that is too much for the terminal, columns without news are left
//! out (every cell says `-` or `*`). Then cells are cut: first the long ones, column by column in a fixed order, down to
//! an ample width; then, in reverse order, down to what they need to be understood. Then columns that can be missed are
//! left out; then cells are cut further. So a line is never wider than the terminal, but where its columns were chosen: those
//! are not left out, nor cut until nothing is understood.

mod widths;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use anstyle::Style;

use crate::text::{self, ELLIPSIS};

/// How many spaces stand between two columns. No cell holds two in a row, so the columns can be told apart.
const GAP: usize = 2;
/// Lines are written when there are so many bytes of them.
const CHUNK: usize = 64 * 1024;
/// So many rows are worth another thread.
const MANY: usize = 4096;
const HEAD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// A column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column<'a> {
    /// Its heading.
    pub(crate) title: &'a str,
    /// Numbers: aligned at the right.
    pub(crate) is_number: bool,
    /// When its cells are cut: 0 is the first. `None`: as a last resort.
    pub(crate) shrinks: Option<u8>,
    /// What is wider is cut in every column before anything that is not, so that one long name does not cost the others
    /// theirs.
    pub(crate) ample: usize,
    /// When it is left out: 0 is the first. `None`: never.
    pub(crate) leaves: Option<u8>,
    /// It is left out only where cells cut beyond their least do not help: as narrow as `tight`.
    pub(crate) is_missed: bool,
    /// That width.
    pub(crate) tight: usize,
    /// As a last resort its cells are cut down to this width. Where that does not help lines are wider than the terminal.
    pub(crate) floor: usize,
}

/// One cell.
#[derive(Clone, Debug)]
pub(crate) struct Cell<'a> {
    text: Cow<'a, str>,
    /// The width below which it is not understood.
    least: usize,
    form: Form,
}

/// How a cell is cut and shown.
#[derive(Clone, Copy, Debug, Default)]
struct Form {
    /// So many bytes at its end are not cut: a port, or a count.
    tail: u16,
    /// What is before them is cut in its middle, not at its end.
    cut_in_the_middle: bool,
    is_dim: bool,
}

impl<'a> Cell<'a> {
    /// Cut at the end where it must be, but `least` cells stay.
    pub(crate) fn new(text: impl Into<Cow<'a, str>>, least: usize) -> Self {
        Self { text: text.into(), least, form: Form::default() }
    }

    /// Cut only where nothing else helps.
    pub(crate) fn whole(text: impl Into<Cow<'a, str>>) -> Self {
        Self::new(text, usize::MAX)
    }

    /// Says that there is nothing to say.
    pub(crate) fn nothing(mark: &'static str) -> Self {
        Self::whole(mark).dim()
    }

    /// Keeps its last `tail` bytes, and is cut before them.
    pub(crate) fn keeping(mut self, tail: usize) -> Self {
        // One that does not fit into a line anyway need not be kept.
        self.form.tail = u16::try_from(tail).unwrap_or(0);
        self
    }

    /// Keeps its last `tail` bytes, and is cut in the middle of what is before.
    pub(crate) fn cut_in_the_middle(self, tail: usize) -> Self {
        let mut cell = self.keeping(tail);
        cell.form.cut_in_the_middle = true;
        cell
    }

    /// Less bright than others.
    pub(crate) fn dim(mut self) -> Self {
        self.form.is_dim = true;
        self
    }

    fn is_nothing(&self) -> bool {
        matches!(&*self.text, "-" | "*")
    }
}

impl Form {
    /// `whole` in at most `room` cells.
    fn fitted(self, whole: &str, room: usize) -> Cow<'_, str> {
        if text::width(whole) <= room {
            return whole.into();
        }
        let (body, tail) = whole.split_at(whole.len() - usize::from(self.tail));
        let taken = text::width(tail) + 1;
        let Some(left) = room.checked_sub(taken).filter(|&left| left > 0 && !tail.is_empty()) else {
            return cut_end(whole, room).into();
        };
        let behind = if self.cut_in_the_middle { left / 2 } else { 0 };
        let (start, end) = (text::start(body, left - behind), text::end(body, behind));
        format!("{start}{ELLIPSIS}{end}{tail}").into()
    }
}

fn cut_end(whole: &str, room: usize) -> String {
    match room {
        0 => String::new(),
        room => format!("{}{ELLIPSIS}", text::start(whole, room - 1)),
    }
}

/// Rows, and mostly a heading above them.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    columns: &'a [Column<'a>],
    has_heading: bool,
    measures: Vec<Measure>,
    parts: Vec<Part>,
}

/// Some of the rows.
#[derive(Debug)]
struct Part {
    /// The texts of all cells, one behind the other: a table may have very many.
    texts: String,
    /// The rows' cells, one row behind the other.
    cells: Vec<Kept>,
}

/// What is kept of a cell besides its text.
#[derive(Clone, Copy, Debug)]
struct Kept {
    /// Of its text, in bytes.
    length: u32,
    width: u32,
    form: Form,
}

/// What the cells of a column need.
#[derive(Clone, Copy, Debug)]
struct Measure {
    /// The width of the widest.
    natural: usize,
    /// Below this width one of them is not understood.
    least: usize,
    /// All of them say that there is nothing to say.
    says_nothing: bool,
}

impl<'a> Table<'a> {
    /// A table without rows.
    pub(crate) fn new(columns: &'a [Column<'a>], has_heading: bool) -> Self {
        let title = |column: &Column<'_>| if has_heading { text::width(column.title) } else { 0 };
        let measure = |title| Measure { natural: title, least: title, says_nothing: true };
        let measures = columns.iter().map(title).map(measure).collect();
        Self { columns, has_heading, measures, parts: Vec::new() }
    }

    /// This table with a row for each of `items`; many are made on two processors at once.
    pub(crate) fn with<T: Sync>(self, items: &[T], add: impl Fn(&mut Self, &T) + Sync) -> Self {
        let (columns, has_heading) = (self.columns, self.has_heading);
        let table = |items: &[T]| {
            let mut table = Table::new(columns, has_heading);
            // A line of addresses and names is about so long.
            let texts = String::with_capacity(items.len().saturating_mul(64));
            let cells = Vec::with_capacity(items.len().saturating_mul(columns.len()));
            table.parts.push(Part { texts, cells });
            for item in items {
                add(&mut table, item);
            }
            table
        };
        if items.len() < MANY {
            return self.and(table(items));
        }
        let (first, second) = items.split_at(items.len() / 2);
        let (first, second) = beside(|| table(first), || table(second));
        self.and(first).and(second)
    }

    /// The rows of both.
    fn and(mut self, other: Self) -> Self {
        for (measure, other) in self.measures.iter_mut().zip(other.measures) {
            measure.natural = measure.natural.max(other.natural);
            measure.least = measure.least.max(other.least);
            measure.says_nothing &= other.says_nothing;
        }
        self.parts.extend(other.parts);
        self
    }

    /// Adds a row: a cell for each column.
    pub(crate) fn push<'c>(&mut self, row: impl IntoIterator<Item = Cell<'c>>) {
        if self.parts.is_empty() {
            self.parts.push(Part { texts: String::new(), cells: Vec::new() });
        }
        let Some(part) = self.parts.last_mut() else { return };
        let whole = part.cells.len() + self.columns.len();
        for (measure, cell) in self.measures.iter_mut().zip(row) {
            part.cells.push(measure.keep(&mut part.texts, &cell));
        }
        debug_assert_eq!(part.cells.len(), whole, "a cell for each column");
    }

    /// Writes it, in lines of at most `room` cells.
    pub(crate) fn write(
        &self,
        out: &mut (impl Write + ?Sized),
        room: Option<usize>,
        styled: bool,
    ) -> io::Result<()> {
        let widths = self.widths(room);
        let mut lines = Lines::new(styled);
        if self.has_heading {
            for (column, width) in self.columns.iter().zip(&widths) {
                let Some(width) = *width else { continue };
                let title = column.title;
                lines.push(title, Form::default(), text::width(title), width, column.is_number, HEAD);
            }
            lines.end();
        }
        let [early @ .., last] = self.parts.as_slice() else {
            return out.write_all(lines.text.as_bytes());
        };
        if early.is_empty() {
            return self.write_part(out, lines, last, &widths);
        }
        // While the first are written the last are made.
        let (written, rest) = beside(
            || {
                let [first, more @ ..] = early else { return Ok(()) };
                self.write_part(out, lines, first, &widths)?;
                more.iter().try_for_each(|part| self.write_part(out, Lines::new(styled), part, &widths))
            },
            || {
                let mut rest = Vec::new();
                // Writing to memory does not fail.
                let _ = self.write_part(&mut rest, Lines::new(styled), last, &widths);
                rest
            },
        );
        written?;
        out.write_all(&rest)
    }

    fn write_part(
        &self,
        out: &mut (impl Write + ?Sized),
        mut lines: Lines,
        part: &Part,
        widths: &[Option<usize>],
    ) -> io::Result<()> {
        let mut texts = part.texts.as_str();
        for row in part.cells.chunks_exact(self.columns.len()) {
            for ((column, kept), width) in self.columns.iter().zip(row).zip(widths) {
                let (text, rest) = texts.split_at(kept.length as usize);
                texts = rest;
                let Some(width) = *width else { continue };
                let style = if kept.form.is_dim { DIM } else { Style::new() };
                lines.push(text, kept.form, kept.width as usize, width, column.is_number, style);
            }
            lines.end();
            if lines.text.len() >= CHUNK {
                out.write_all(lines.text.as_bytes())?;
                lines.text.clear();
            }
        }
        out.write_all(lines.text.as_bytes())
    }
}

impl Measure {
    /// Counts `cell` in, and keeps it.
    fn keep(&mut self, texts: &mut String, cell: &Cell<'_>) -> Kept {
        let width = text::width(&cell.text);
        self.natural = self.natural.max(width);
        self.least = self.least.max(cell.least.min(width));
        self.says_nothing &= cell.is_nothing();
        texts.push_str(&cell.text);
        // No name is as long as 4 GiB.
        let [length, width] = [cell.text.len(), width].map(|size| u32::try_from(size).unwrap_or(u32::MAX));
        Kept { length, width, form: cell.form }
    }
}

/// Does one thing on this thread and the other beside it, where another thread can be had.
fn beside<A, B: Send>(one: impl FnOnce() -> A, other: impl Fn() -> B + Sync) -> (A, B) {
    std::thread::scope(|threads| {
        let spawned = std::thread::Builder::new().spawn_scoped(threads, &other);
        let one = one();
        let other = match spawned.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(done)) => done,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(_) => other(),
        };
        (one, other)
    })
}

/// Lines that are being made.
struct Lines {
    text: String,
    /// Spaces are written with what comes behind them: no line ends in any.
    owed: usize,
    styled: bool,
}

impl Lines {
    fn new(styled: bool) -> Self {
        Self { text: String::with_capacity(2 * CHUNK), owed: 0, styled }
    }

    /// Adds a cell, which would take `natural` cells of the terminal, to a column with `room` of them.
    fn push(&mut self, whole: &str, form: Form, natural: usize, room: usize, is_number: bool, style: Style) {
        let cut;
        let (shown, taken) = if natural <= room {
            (whole, natural)
        } else {
            cut = form.fitted(whole, room);
            (&*cut, text::width(&cut))
        };
        let (before, behind) = if is_number { (room - taken, 0) } else { (0, room - taken) };
        self.push_spaces(self.owed + before);
        if self.styled {
            // Writing to a String does not fail.
            let _ = write!(self.text, "{style}{shown}{style:#}");
        } else {
            self.text.push_str(shown);
        }
        self.owed = behind + GAP;
    }

    fn push_spaces(&mut self, mut count: usize) {
        const SPACES: &str = "                                ";
        while count > SPACES.len() {
            self.text.push_str(SPACES);
            count -= SPACES.len();
        }
        self.text.push_str(&SPACES[..count]);
    }

    fn end(&mut self) {
        self.text.push('\n');
        self.owed = 0;
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
