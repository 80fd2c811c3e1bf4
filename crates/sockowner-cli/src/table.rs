//! A table without borders, fitted to a width.
//!
//! Columns have the width of their widest cell. Where that is too much for the terminal, columns without news are left
//! out (every cell says `-` or `*`). Then cells are cut: first the long ones, column by column in a fixed order, down to
//! an ample width; then, in reverse order, down to what they need to be understood. Then columns that can be missed are
//! left out; then cells are cut further. A line is never wider than the terminal.

use std::io::{self, Write};

use anstyle::Style;

use crate::text::{self, ELLIPSIS};

/// What stands between two columns. No cell holds two spaces in a row, so the columns can be told apart.
const GAP: &str = "  ";
const HEAD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// A column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    /// Its heading.
    pub(crate) title: &'static str,
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
}

/// How a cell is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// At its end.
    End,
    /// Before its last so many bytes.
    Before(usize),
    /// In the middle of what is before its last so many bytes.
    Middle(usize),
}

/// One cell.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    cut: Cut,
    /// The width below which it is not understood.
    least: usize,
    is_dim: bool,
}

impl Cell {
    /// Cut at the end where it must be, but `least` cells stay.
    pub(crate) fn new(text: impl Into<String>, least: usize) -> Self {
        Self { text: text.into(), cut: Cut::End, least, is_dim: false }
    }

    /// Cut only where nothing else helps.
    pub(crate) fn whole(text: impl Into<String>) -> Self {
        Self::new(text, usize::MAX)
    }

    /// Says that there is nothing to say.
    pub(crate) fn nothing(mark: &'static str) -> Self {
        Self::whole(mark).dim()
    }

    /// Keeps `tail`, which is added at its end.
    pub(crate) fn ending_in(mut self, tail: &str) -> Self {
        self.text.push_str(tail);
        self.cut = Cut::Before(tail.len());
        self
    }

    /// Keeps `tail`, which is added at its end, and is cut in the middle of what is before.
    pub(crate) fn cut_in_the_middle(self, tail: &str) -> Self {
        let cell = self.ending_in(tail);
        Self { cut: Cut::Middle(tail.len()), ..cell }
    }

    /// Less bright than others.
    pub(crate) fn dim(mut self) -> Self {
        self.is_dim = true;
        self
    }

    fn is_nothing(&self) -> bool {
        matches!(self.text.as_str(), "-" | "*")
    }

    fn width(&self) -> usize {
        text::width(&self.text)
    }

    /// The text in at most `room` cells.
    fn fitted(&self, room: usize) -> String {
        if self.width() <= room {
            return self.text.clone();
        }
        let (Cut::Before(kept) | Cut::Middle(kept)) = self.cut else {
            return cut_end(&self.text, room);
        };
        let (body, tail) = self.text.split_at(self.text.len() - kept);
        let taken = text::width(tail) + 1;
        let Some(left) = room.checked_sub(taken).filter(|&left| left > 0) else {
            return cut_end(&self.text, room);
        };
        let behind = if matches!(self.cut, Cut::Middle(_)) { left / 2 } else { 0 };
        let (start, end) = (text::start(body, left - behind), text::end(body, behind));
        format!("{start}{ELLIPSIS}{end}{tail}")
    }
}

fn cut_end(whole: &str, room: usize) -> String {
    match room {
        0 => String::new(),
        room => format!("{}{ELLIPSIS}", text::start(whole, room - 1)),
    }
}

/// Rows below a heading.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    columns: [Column; N],
    rows: Vec<[Cell; N]>,
}

impl<const N: usize> Table<N> {
    /// A table without rows.
    pub(crate) fn new(columns: [Column; N]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, row: [Cell; N]) {
        self.rows.push(row);
    }

    /// Writes it, in lines of at most `room` cells.
    pub(crate) fn write(&self, out: &mut impl Write, room: Option<usize>) -> io::Result<()> {
        let widths = self.widths(room);
        let head = self.columns.map(|column| Cell::whole(column.title));
        self.write_row(out, &head, &widths, Some(HEAD))?;
        for row in &self.rows {
            self.write_row(out, row, &widths, None)?;
        }
        Ok(())
    }

    fn write_row(
        &self,
        out: &mut impl Write,
        row: &[Cell; N],
        widths: &[Option<usize>; N],
        style: Option<Style>,
    ) -> io::Result<()> {
        let mut owed = String::new();
        for ((column, cell), width) in self.columns.iter().zip(row).zip(widths) {
            let Some(width) = *width else { continue };
            let shown = cell.fitted(width);
            let spaces = " ".repeat(width - text::width(&shown));
            let style = style.unwrap_or(if cell.is_dim { DIM } else { Style::new() });
            let (before, behind) =
                if column.is_number { (spaces, String::new()) } else { (String::new(), spaces) };
            write!(out, "{owed}{before}{style}{shown}{style:#}")?;
            // Spaces are written with what comes behind them: no line ends in any.
            owed = behind + GAP;
        }
        writeln!(out)
    }

    /// The width of each column, `None` for those left out.
    fn widths(&self, room: Option<usize>) -> [Option<usize>; N] {
        let natural: [usize; N] = std::array::from_fn(|at| self.widest(at, Cell::width));
        let Some(room) = room else {
            return natural.map(Some);
        };
        let least: [usize; N] =
            std::array::from_fn(|at| self.widest(at, |cell| cell.least.min(cell.width())));
        let mut widths = natural.map(Some);
        if total(&widths) > room {
            for at in (0..N).filter(|&at| self.says_nothing(at)) {
                widths[at] = None;
                if total(&widths) <= room {
                    return widths;
                }
            }
        }
        let ample: [usize; N] = std::array::from_fn(|at| least[at].max(self.columns[at].ample));
        let order = self.shrinking();
        // The first columns gave already.
        let reverse: Vec<_> = order.iter().rev().copied().collect();
        let shrink = |widths, narrowest: &[usize; N]| {
            let ample = shrunk(widths, &order, &ample, room);
            shrunk(shrunk(ample, &reverse, &least, room), &order, narrowest, room)
        };
        for (leaving, narrowest) in self.attempts(least) {
            if let Some(at) = leaving {
                widths[at] = None;
            }
            let shrunk = shrink(widths, &narrowest);
            if total(&shrunk) <= room {
                return shrunk;
            }
        }
        shrink(widths, &[1; N])
    }

    /// What is tried in turn: a column that leaves, and what the others need at least.
    fn attempts(&self, least: [usize; N]) -> Vec<(Option<usize>, [usize; N])> {
        let tight: [usize; N] = std::array::from_fn(|at| least[at].min(self.columns[at].tight));
        let leaving = |is_missed| {
            let mut leaving: Vec<_> = (0..N).filter(|&at| self.columns[at].is_missed == is_missed).collect();
            leaving.retain(|&at| self.columns[at].leaves.is_some());
            leaving.sort_by_key(|&at| self.columns[at].leaves);
            leaving.into_iter().map(Some)
        };
        let early = [None].into_iter().chain(leaving(false)).map(|at| (at, least));
        let late = [None].into_iter().chain(leaving(true)).map(|at| (at, tight));
        early.chain(late).collect()
    }

    fn widest(&self, at: usize, width: impl Fn(&Cell) -> usize) -> usize {
        let cells = self.rows.iter().map(|row| width(&row[at]));
        cells.max().unwrap_or(0).max(text::width(self.columns[at].title))
    }

    fn says_nothing(&self, at: usize) -> bool {
        self.columns[at].leaves.is_some() && self.rows.iter().all(|row| row[at].is_nothing())
    }

    /// The columns in the order in which they are cut.
    fn shrinking(&self) -> Vec<usize> {
        let mut order: Vec<_> = (0..N).collect();
        order.sort_by_key(|&at| self.columns[at].shrinks.unwrap_or(u8::MAX));
        order
    }
}

/// Takes from each column in turn what is too much, but leaves it `least`.
fn shrunk<const N: usize>(
    mut widths: [Option<usize>; N],
    order: &[usize],
    least: &[usize; N],
    room: usize,
) -> [Option<usize>; N] {
    for &at in order {
        let excess = total(&widths).saturating_sub(room);
        if let Some(width) = &mut widths[at] {
            *width -= excess.min(width.saturating_sub(least[at]));
        }
    }
    widths
}

fn total(widths: &[Option<usize>]) -> usize {
    let columns = widths.iter().flatten().count();
    widths.iter().flatten().sum::<usize>() + GAP.len() * columns.saturating_sub(1)
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
