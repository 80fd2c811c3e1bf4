//! What is looked at: order, filter, groups, the row that is chosen. Keys in, lines to draw out.

use std::sync::Arc;

use sockowner::{Entry, Protocol};

use super::keys::{Action, Mode};
use super::model::{Item, Mark, Model, Place, newest_first};
use super::order::{Group, Sort};
use super::row::{self, Cells, Filter};

/// So much can be typed into the filter.
const LONGEST: usize = 200;

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// What a group has in common, and how many there are of it.
    Head(String, usize),
    Row(Place),
}

/// What has to be done that the view cannot do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Nothing,
    Quit,
    Refresh,
    Redraw,
    /// The program stops, until its shell has it go on.
    Suspend,
    Freeze(bool),
    Details(Arc<Entry>),
    /// A row as JSON.
    Copy(Arc<Entry>),
}

/// Text that is read instead of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) title: String,
    pub(crate) lines: Vec<String>,
    pub(crate) top: usize,
    pub(crate) kind: Kind,
    /// The endpoint that it is about.
    pub(crate) about: Option<Arc<Entry>>,
    /// That is in the list, and to be looked at again when it is not any more.
    pub(crate) is_listed: bool,
}

/// What kind of text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    Help,
    /// An endpoint as JSON.
    Copied,
    /// All of an endpoint.
    Explained,
}

/// What is watched, as far as the columns depend on it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kinds {
    /// Endpoints of several network namespaces are watched.
    pub(crate) has_namespaces: bool,
    /// There is an MPTCP socket, or was one.
    pub(crate) has_mptcp: bool,
}

/// The state of the view.
#[derive(Debug, Default)]
pub(crate) struct Ui {
    pub(crate) mode: Mode,
    pub(crate) sort: Sort,
    pub(crate) is_reversed: bool,
    pub(crate) group: Group,
    pub(crate) kinds: Kinds,
    pub(crate) typed: String,
    pub(crate) is_frozen: bool,
    pub(crate) lines: Vec<Line>,
    /// How many rows are among the lines.
    pub(crate) shown: usize,
    /// The chosen line, and the first on the screen.
    pub(crate) cursor: usize,
    pub(crate) top: usize,
    /// What the cursor stands on, as it was shown, to be found again.
    pub(crate) chosen: Option<Arc<Entry>>,
    /// The snapshot that the lines are of.
    pub(crate) arranged: u64,
    /// How many lines the screen has for the list; the last drawing knows.
    pub(crate) room: usize,
    /// How wide the screen is.
    pub(crate) wide: usize,
    pub(crate) page: Page,
    /// What the last key led to.
    pub(crate) message: Option<String>,
    /// What cannot be seen.
    pub(crate) missing: Vec<String>,
    /// There is not room for all that is said of it.
    pub(crate) are_notes_cut: bool,
    /// The last refresh failed.
    pub(crate) failure: Option<String>,
    /// When owners were last looked for, where that is not now.
    pub(crate) owners_age: Option<u64>,
}

impl Ui {
    /// Does what a key asks for.
    pub(crate) fn act(&mut self, action: Action, model: &Model<Arc<Entry>>) -> Wish {
        self.message = None;
        // What is chosen is what was seen, whatever has come since.
        let chosen = self.chosen.clone();
        self.keep_up(model);
        match action {
            Action::Quit => return Wish::Quit,
            Action::Redraw => return Wish::Redraw,
            Action::Refresh if self.is_frozen => self.message = Some("frozen: space goes on".into()),
            Action::Refresh => return Wish::Refresh,
            Action::Freeze => {
                self.is_frozen = !self.is_frozen;
                return Wish::Freeze(self.is_frozen);
            }
            Action::Move(_) | Action::Page(_) | Action::First | Action::Last => self.go(action, model),
            Action::Help => {
                if self.mode == Mode::Details && self.page.kind == Kind::Help {
                    self.mode = Mode::List;
                } else {
                    self.read(Page { title: "keys and marks".into(), ..Page::default() });
                }
            }
            Action::Back => self.mode = Mode::List,
            Action::EditFilter => self.mode = Mode::Filter,
            Action::Type(c) if self.typed.len() < LONGEST && !c.is_control() => self.typed.push(c),
            Action::Type(_) => {}
            Action::Erase => drop(self.typed.pop()),
            Action::EraseLine => self.typed.clear(),
            Action::EraseAll => {
                self.typed.clear();
                self.mode = Mode::List;
            }
            Action::Suspend => return Wish::Suspend,
            Action::Sort(sort) => (self.sort, self.is_reversed) = (sort, false),
            Action::NextSort => (self.sort, self.is_reversed) = (self.sort.next(), false),
            Action::Reverse => self.is_reversed = !self.is_reversed,
            Action::NextGroup => self.group = self.group.next(self.kinds.has_namespaces),
            Action::Details | Action::Copy => {
                // What is read about is on the screen, wherever the cursor is by now.
                let about = self.page.about.clone().filter(|_| self.mode == Mode::Details);
                let Some(entry) = about.or(chosen) else {
                    self.message = Some("no endpoint is chosen".into());
                    return Wish::Nothing;
                };
                return if action == Action::Copy { Wish::Copy(entry) } else { Wish::Details(entry) };
            }
        }
        let is_other_order = matches!(
            action,
            Action::Type(_)
                | Action::Erase
                | Action::EraseLine
                | Action::EraseAll
                | Action::Sort(_)
                | Action::NextSort
                | Action::Reverse
                | Action::NextGroup
        );
        if is_other_order {
            self.arrange(model);
        }
        Wish::Nothing
    }

    /// Puts the rows in order again where there is a later snapshot.
    pub(crate) fn keep_up(&mut self, model: &Model<Arc<Entry>>) {
        if self.arranged != model.taken() {
            self.arrange(model);
        }
    }

    /// Puts the rows of `model` in order, and finds the chosen one again.
    pub(crate) fn arrange(&mut self, model: &Model<Arc<Entry>>) {
        self.arranged = model.taken();
        let filter = Filter::new(&self.typed);
        let is_mptcp = |entry: &Entry| entry.socket.endpoint.protocol == Protocol::Mptcp;
        self.kinds.has_mptcp |=
            (0..model.len()).any(|at| model.row(at).is_some_and(|(entry, _)| is_mptcp(entry)));
        let rows = (0..model.len()).filter_map(|place| Some((place, model.row(place)?)));
        let cells = |entry| Cells::of(entry, self.kinds.has_namespaces);
        let rows = rows.filter(|(_, (entry, _))| filter.is_empty() || cells(entry).hold(&filter));
        let mut places: Vec<Place>;
        if self.sort == Sort::Newest {
            let listens = |entry: &Entry| entry.socket.endpoint.state.is_listening();
            let mut ranked: Vec<_> =
                rows.map(|(place, (entry, seen))| (newest_first(listens(entry), seen), place)).collect();
            ranked.sort_unstable();
            places = ranked.into_iter().map(|(_, place)| place).collect();
        } else {
            let mut rows: Vec<_> = rows.map(|(place, (entry, _))| (place, entry)).collect();
            rows.sort_by(|(_, one), (_, other)| row::compare(one, other, self.sort));
            places = rows.into_iter().map(|(place, _)| place).collect();
        }
        self.shown = places.len();
        if self.is_reversed {
            places.reverse();
        }
        self.lines = if self.group == Group::None {
            places.into_iter().map(Line::Row).collect()
        } else {
            let named = |place| Some((row::group(model.row(place)?.0, self.group), place));
            grouped(places.into_iter().filter_map(named))
        };
        self.find_again(model);
    }

    /// Keeps the cursor on what was chosen; on the first line it stays.
    fn find_again(&mut self, model: &Model<Arc<Entry>>) {
        let chosen = self.chosen.as_ref().map(Item::key);
        let is_chosen = |line: &Line| match line {
            Line::Row(place) => model.row(*place).is_some_and(|(entry, _)| Some(entry.key()) == chosen),
            Line::Head(..) => false,
        };
        if chosen.is_some() && self.cursor > 0 {
            // It is where it was, or a little further, nearly always.
            let near = self.lines.get(self.cursor).is_some_and(is_chosen).then_some(self.cursor);
            if let Some(at) = near.or_else(|| self.lines.iter().position(is_chosen)) {
                self.top = (self.top + at).saturating_sub(self.cursor);
                self.cursor = at;
            }
        }
        self.cursor = self.cursor.min(self.lines.len().saturating_sub(1));
        self.choose(model);
    }

    fn choose(&mut self, model: &Model<Arc<Entry>>) {
        self.chosen = match self.lines.get(self.cursor) {
            Some(Line::Row(place)) => model.row(*place).map(|(entry, _)| Arc::clone(entry)),
            _ => None,
        };
        self.fit();
    }

    /// Has the cursor on the screen.
    pub(crate) fn fit(&mut self) {
        let room = self.room.max(1);
        self.top = self.top.min(self.cursor).max((self.cursor + 1).saturating_sub(room));
        self.top = self.top.min(self.lines.len().saturating_sub(room));
    }

    fn go(&mut self, action: Action, model: &Model<Arc<Entry>>) {
        let is_page = self.mode == Mode::Details;
        // How many lines a page takes is known where it is drawn; it is stopped there.
        let (at, count) = if is_page { (self.page.top, usize::MAX) } else { (self.cursor, self.lines.len()) };
        let screen = isize::try_from(self.room.saturating_sub(1).max(1)).unwrap_or(1);
        let to = match action {
            Action::Move(by) => at.saturating_add_signed(by),
            Action::Page(by) => at.saturating_add_signed(by.saturating_mul(screen)),
            Action::First => 0,
            _ => usize::MAX,
        };
        let to = to.min(count.saturating_sub(1));
        if is_page {
            self.page.top = to;
        } else {
            self.cursor = to;
            self.choose(model);
        }
    }

    /// Shows text instead of the list.
    pub(crate) fn read(&mut self, page: Page) {
        self.page = page;
        self.mode = Mode::Details;
    }

    /// All of this endpoint is on the screen.
    pub(crate) fn explains(&self, entry: &Arc<Entry>) -> bool {
        let is_it = |about: &Arc<Entry>| about.key() == entry.key();
        self.mode == Mode::Details
            && self.page.kind == Kind::Explained
            && self.page.about.as_ref().is_some_and(is_it)
    }

    /// The endpoint that is read about, once it is not in the list any more.
    pub(crate) fn has_lost(&mut self, model: &Model<Arc<Entry>>) -> Option<Arc<Entry>> {
        let about = self.page.about.as_ref().filter(|_| self.mode == Mode::Details && self.page.is_listed)?;
        if is_living(model.mark_of(&about.key())) {
            return None;
        }
        self.page.is_listed = false;
        Some(Arc::clone(about))
    }
}

/// What has this mark is in the list.
pub(crate) fn is_living(mark: Option<Mark>) -> bool {
    matches!(mark, Some(Mark::None | Mark::New | Mark::Changed))
}

/// Groups in the order of their names; in each, rows keep theirs.
fn grouped(rows: impl Iterator<Item = (String, Place)>) -> Vec<Line> {
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut lines = Vec::with_capacity(rows.len() * 2);
    for group in rows.chunk_by(|(one, _), (other, _)| one == other) {
        lines.extend(group.first().map(|(name, _)| Line::Head(name.clone(), group.len())));
        lines.extend(group.iter().map(|&(_, place)| Line::Row(place)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn groups_stand_together_and_are_counted() {
        let rows = [("b", 0), ("a", 1), ("b", 2)].map(|(name, place)| (name.to_owned(), place));
        let expected =
            [Line::Head("a".into(), 1), Line::Row(1), Line::Head("b".into(), 2), Line::Row(0), Line::Row(2)];
        assert_eq!(grouped(rows.into_iter()), expected);
    }

    #[test]
    fn what_is_typed_is_the_filter_and_bounded() {
        let (mut ui, model) = (Ui::default(), Model::new(Duration::from_secs(1)));
        ui.act(Action::EditFilter, &model);
        for c in "a:\u{1b}b".chars().chain(std::iter::repeat_n('x', 2 * LONGEST)) {
            ui.act(Action::Type(c), &model);
        }
        assert!(ui.typed.starts_with("a:bx") && ui.typed.len() == LONGEST);
        ui.act(Action::Erase, &model);
        assert_eq!((ui.typed.len(), ui.mode), (LONGEST - 1, Mode::Filter));
        ui.act(Action::EraseLine, &model);
        assert_eq!((ui.typed.as_str(), ui.mode), ("", Mode::Filter));
        ui.act(Action::Type('x'), &model);
        ui.act(Action::EraseAll, &model);
        assert_eq!((ui.typed.as_str(), ui.mode), ("", Mode::List));
    }

    #[test]
    fn an_empty_list_has_nothing_to_copy() {
        let (mut ui, model) = (Ui::default(), Model::new(Duration::from_secs(1)));
        ui.arrange(&model);
        assert_eq!(ui.act(Action::Copy, &model), Wish::Nothing);
        assert_eq!(ui.message.as_deref(), Some("no endpoint is chosen"));
        for action in [Action::Move(-1), Action::Page(1), Action::Last, Action::First] {
            assert_eq!((ui.act(action, &model), ui.cursor), (Wish::Nothing, 0));
        }
        assert_eq!(ui.act(Action::Freeze, &model), Wish::Freeze(true));
        assert_eq!(ui.act(Action::Refresh, &model), Wish::Nothing);
        assert_eq!(ui.act(Action::Freeze, &model), Wish::Freeze(false));
        assert_eq!(ui.act(Action::Refresh, &model), Wish::Refresh);
    }
}
