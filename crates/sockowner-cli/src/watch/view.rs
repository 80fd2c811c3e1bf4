//! Draws what is looked at. Only what is on the screen is made into text.

use std::sync::Arc;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line as Text, Span};
use ratatui::widgets::Paragraph;
use sockowner::Entry;

use super::keys::{HELP, Mode};
use super::model::{Mark, Model};
use super::order::Group;
use super::row::{Cells, fitted, fitted_address, fitted_process};
use super::ui::{Kind, Kinds, Line, Ui};
use crate::text::{start, tamed, width, wrap};

/// How wide the column of pids is. Under Wine native programs' have ten digits.
const PID: usize = if cfg!(windows) { 10 } else { 7 };

/// A column of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Netns,
    Protocol,
    State,
    Local,
    Remote,
    User,
    Pid,
    Process,
    Unit,
}

impl Column {
    const fn title(self) -> &'static str {
        match self {
            Self::Netns => "NETNS",
            Self::Protocol => "PROT",
            Self::State => "STATE",
            Self::Local => "LOCAL",
            Self::Remote => "REMOTE",
            Self::User => "USER",
            Self::Pid => "PID",
            Self::Process => "PROCESS",
            Self::Unit => "UNIT",
        }
    }

    fn heading(self, room: usize) -> String {
        if self == Self::Pid { format!("{:>room$}", self.title()) } else { fitted(self.title(), room) }
    }

    fn cell(self, cells: &Cells, room: usize) -> String {
        match self {
            Self::Netns => fitted(&cells.netns, room),
            Self::Protocol => fitted(&cells.protocol, room),
            Self::State => fitted(&cells.state, room),
            Self::Local => fitted_address(&cells.local, room),
            Self::Remote => fitted_address(&cells.remote, room),
            Self::User => fitted(&cells.user, room),
            Self::Pid => fitted(&format!("{:>room$}", cells.pid), room),
            Self::Process => fitted_process(&cells.process, cells.kept, room),
            Self::Unit => fitted(&cells.unit, room),
        }
    }
}

/// The columns for a screen so wide, each with its width. On a narrow one the namespace stands in the place of the PID: without
/// it equal rows of two namespaces would look the same.
fn columns(width: usize, kinds: Kinds) -> Vec<(Column, usize)> {
    let netns = match width {
        _ if !kinds.has_namespaces => 0,
        0..110 => 8,
        _ => 10,
    };
    let first = (netns > 0).then_some((Column::Netns, netns));
    let rest = width.saturating_sub(first.map_or(0, |(_, netns)| netns + 1));
    first.into_iter().chain(usual_columns(rest, width, kinds)).collect()
}

/// The others, for what is left of a screen `width` wide; the sign and the spaces between them are counted.
fn usual_columns(room: usize, width: usize, kinds: Kinds) -> Vec<(Column, usize)> {
    use Column::{Local, Pid, Process, Protocol, Remote, State, Unit, User};
    let prot = if kinds.has_mptcp { "mptcp6".len() } else { "tcp6".len() };
    let rest = |taken: usize| room.saturating_sub(taken);
    match width {
        0..60 => {
            let pid = if kinds.has_namespaces { None } else { Some((Pid, PID)) };
            let rest = rest(1 + 1 + prot + 1 + 1 + pid.map_or(0, |(_, pid)| pid + 1));
            let process = rest * 2 / 5;
            let ends = [(Protocol, prot), (Local, rest - process)];
            ends.into_iter().chain(pid).chain([(Process, process)]).collect()
        }
        60..110 => {
            let rest = rest(1 + 1 + prot + 1 + 11 + 1 + 1 + 1 + PID + 1);
            let address = rest * 3 / 8;
            let process = rest - 2 * address;
            vec![
                (Protocol, prot),
                (State, 11),
                (Local, address),
                (Remote, address),
                (Pid, PID),
                (Process, process),
            ]
        }
        _ => {
            let rest = rest(1 + 1 + prot + 1 + 11 + 1 + 1 + 1 + 10 + 1 + PID + 1 + 1);
            let (address, process) = (rest * 27 / 100, rest / 5);
            let unit = rest - 2 * address - process;
            let (user, pid) = ((User, 10), (Pid, PID));
            let ends = [(Local, address), (Remote, address)];
            [(Protocol, prot), (State, 11)]
                .into_iter()
                .chain(ends)
                .chain([user, pid, (Process, process), (Unit, unit)])
                .collect()
        }
    }
}

/// Draws everything. Without `colours`, signs and brightness alone tell rows apart.
pub(crate) fn draw(frame: &mut Frame<'_>, ui: &mut Ui, model: &Model<Arc<Entry>>, colours: bool) {
    let area = frame.area();
    let (wide, high) = (usize::from(area.width), usize::from(area.height));
    if wide == 0 || high == 0 {
        return;
    }
    let notes = noted(ui, wide, high);
    let head = 2;
    ui.wide = wide;
    ui.room = high.saturating_sub(head + 1 + notes.len()).max(1);
    ui.keep_up(model);
    ui.fit();
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut lines = vec![Text::default()];
    let place = match ui.mode {
        Mode::List | Mode::Filter => {
            list(&mut lines, ui, model, wide, colours);
            part(ui.top, ui.room, ui.lines.len())
        }
        Mode::Details => page(&mut lines, ui, wide),
    };
    lines[0] = Text::styled(titled(&title(ui, model), &place, wide), bold);
    lines.resize(high.saturating_sub(1 + notes.len()).max(1), Text::default());
    let warning = if colours { Style::new().fg(Color::Yellow) } else { Style::new() };
    lines.extend(notes.iter().map(|note| Text::styled(note.clone(), warning)));
    lines.push(Text::styled(fitted(&foot(ui), wide), Style::new().add_modifier(Modifier::REVERSED)));
    frame.render_widget(Paragraph::new(lines), Rect { x: 0, y: 0, ..area });
}

fn list(lines: &mut Vec<Text<'_>>, ui: &Ui, model: &Model<Arc<Entry>>, wide: usize, colours: bool) {
    let columns = columns(wide, ui.kinds);
    let mut heads = String::from(" ");
    for (column, room) in &columns {
        heads.push(' ');
        heads.push_str(&column.heading(*room));
    }
    lines.push(Text::styled(fitted(&heads, wide), Style::new().add_modifier(Modifier::BOLD)));
    if ui.lines.is_empty() {
        lines.push(Text::from(match (model.taken() > 0, ui.typed.is_empty()) {
            (false, _) => "  looking ...",
            (true, true) => "  nothing to show",
            (true, false) => "  nothing passes the filter",
        }));
    }
    for (at, line) in ui.lines.iter().enumerate().skip(ui.top).take(ui.room) {
        let (text, style) = match line {
            Line::Head(name, count) => (
                format!("{name} ({count})"),
                Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED),
            ),
            Line::Row(place) => match model.row(*place) {
                Some((entry, seen)) => {
                    (row(entry, seen.mark, &columns, ui.kinds), marked(seen.mark, colours))
                }
                None => continue,
            },
        };
        let style = if at == ui.cursor { style.add_modifier(Modifier::REVERSED) } else { style };
        lines.push(Text::from(Span::styled(fitted(&text, wide), style)));
    }
}

fn row(entry: &Entry, mark: Mark, columns: &[(Column, usize)], kinds: Kinds) -> String {
    let cells = Cells::of(entry, kinds.has_namespaces);
    let mut text = String::from(mark.sign());
    for (column, room) in columns {
        text.push(' ');
        text.push_str(&column.cell(&cells, *room));
    }
    text
}

fn marked(mark: Mark, colours: bool) -> Style {
    let colour = match mark {
        Mark::New => Color::Green,
        Mark::Changed | Mark::Unseen => Color::Yellow,
        Mark::Closed => Color::Red,
        Mark::None => return Style::new(),
    };
    if colours { Style::new().fg(colour) } else { Style::new().add_modifier(Modifier::BOLD) }
}

/// Lines of text from `top` on, divided where they are too long. Which part of it that is.
fn page(lines: &mut Vec<Text<'_>>, ui: &mut Ui, wide: usize) -> String {
    lines.push(Text::styled(fitted(&ui.page.title, wide), Style::new().add_modifier(Modifier::UNDERLINED)));
    let all: Vec<_> = match ui.page.kind {
        Kind::Help => help(ui, wide),
        _ => ui.page.lines.iter().flat_map(|line| divided(line, wide)).collect(),
    };
    let (count, room) = (all.len(), ui.room);
    ui.page.top = ui.page.top.min(count.saturating_sub(room));
    lines.extend(all.into_iter().skip(ui.page.top).take(room).map(Text::from));
    part(ui.page.top, room, count)
}

/// The keys; and the notes, where there is not room for them above the last line.
fn help(ui: &Ui, wide: usize) -> Vec<String> {
    const KEYS: usize = 18;
    let mut lines = Vec::new();
    for (keys, what) in HELP {
        let what = wrap(what, wide.saturating_sub(KEYS + 1));
        let keys = std::iter::once(*keys).chain(std::iter::repeat(""));
        lines.extend(keys.zip(what).map(|(keys, what)| format!("{keys:KEYS$} {what}")));
    }
    if ui.are_notes_cut {
        lines.push(String::new());
        lines.extend(notes(ui).iter().flat_map(|note| wrap(note, wide)).map(|line| tamed(&line)));
    }
    lines.iter().flat_map(|line| divided(line, wide)).collect()
}

/// Which lines of `count` are on the screen; nothing where all are.
fn part(top: usize, room: usize, count: usize) -> String {
    if count <= room { String::new() } else { format!("{}-{} of {count}", top + 1, (top + room).min(count)) }
}

/// The title, and at the right end the `place`.
fn titled(title: &str, place: &str, wide: usize) -> String {
    match wide.checked_sub(width(place) + 2) {
        Some(room) if !place.is_empty() => format!("{}  {place}", fitted(title, room)),
        _ => fitted(title, wide),
    }
}

/// The lines of what is said above the last line: a third of the screen at most, a fifth of a low one. That there are more
/// is said in the last of them.
fn noted(ui: &mut Ui, wide: usize, high: usize) -> Vec<String> {
    let notes = notes(ui);
    let mut lines: Vec<_> = notes.iter().flat_map(|note| wrap(note, wide)).map(|line| tamed(&line)).collect();
    let most = if high < 24 { high / 5 } else { high / 3 };
    let more = lines.len().saturating_sub(most);
    ui.are_notes_cut = more > 0;
    if ui.are_notes_cut {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            let sign = format!(" ... +{more}: see ?");
            *last = start(last, wide.saturating_sub(sign.len())).trim_end().to_owned() + &sign;
        }
    }
    lines
}

/// `line` in pieces that fit.
fn divided(line: &str, wide: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = line;
    while width(rest) > wide {
        let piece = start(rest, wide);
        if piece.is_empty() {
            break;
        }
        rest = &rest[piece.len()..];
        pieces.push(piece.to_owned());
    }
    pieces.push(rest.to_owned());
    pieces
}

fn title(ui: &Ui, model: &Model<Arc<Entry>>) -> String {
    let passed =
        if ui.typed.is_empty() { String::new() } else { format!(", {} pass {}", ui.shown, tamed(&ui.typed)) };
    let noun = if model.living() == 1 { "endpoint" } else { "endpoints" };
    let mut parts = vec![format!("sockowner  {} {noun}{passed}", model.living())];
    parts.push(format!("by {}{}", ui.sort.name(), if ui.is_reversed { ", reversed" } else { "" }));
    if ui.group != Group::None {
        parts.push(format!("per {}", ui.group.name()));
    }
    parts.extend(ui.is_frozen.then(|| "FROZEN".to_owned()));
    parts.extend(ui.owners_age.map(|age| format!("owners of {age} s ago")));
    parts.join("  ")
}

fn notes(ui: &Ui) -> Vec<String> {
    let failure = ui.failure.iter().map(|why| format!("not refreshed, what is shown is old: {why}"));
    failure.chain(ui.missing.iter().cloned()).collect()
}

fn foot(ui: &Ui) -> String {
    if let Some(message) = &ui.message {
        return format!(" {}", tamed(message));
    }
    match ui.mode {
        Mode::Filter => format!(" filter: {}_   Enter keep, Esc clear", tamed(&ui.typed)),
        Mode::Details if ui.page.kind == Kind::Help => " Esc ? back  up/down scroll  q quit".into(),
        Mode::Details if ui.page.kind == Kind::Copied => " copied  Esc back  up/down scroll  q quit".into(),
        Mode::Details => " Esc back  up/down scroll  y copy  q quit".into(),
        Mode::List if ui.is_frozen => " FROZEN: space go on  Enter details  / filter  ? help  q quit".into(),
        Mode::List => {
            " q quit  / filter  s sort  g group  Enter details  space freeze  y copy  ? help".into()
        }
    }
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
