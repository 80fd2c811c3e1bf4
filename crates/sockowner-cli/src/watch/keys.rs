//! Which key means what.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::order::Sort;

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Quit,
    /// Moves the cursor by so many rows.
    Move(isize),
    /// By so many screens.
    Page(isize),
    First,
    Last,
    Freeze,
    Details,
    Back,
    EditFilter,
    Type(char),
    Erase,
    /// What is typed, which goes on.
    EraseLine,
    /// The filter, which is left.
    EraseAll,
    Sort(Sort),
    NextSort,
    Reverse,
    NextGroup,
    Copy,
    Help,
    Redraw,
    Refresh,
    Suspend,
}

/// Where keys go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    #[default]
    List,
    /// Letters go into the filter.
    Filter,
    /// Text is read instead.
    Details,
}

/// The keys as help shows them.
pub(crate) const HELP: &[(&str, &str)] = &[
    ("up down j k", "one row"),
    ("PgUp PgDn Home End", "one screen, to the start, to the end"),
    ("Enter", "all that is known of the endpoint; Esc goes back"),
    ("/", "filter as you type; Enter keeps, Esc ends, Ctrl-U clears it"),
    ("space", "freeze, and go on"),
    ("s", "the next order"),
    ("n o t p i u c", "order by: newest, port, state, process, pid, user, unit"),
    ("r", "reverse the order"),
    (
        "g",
        if cfg!(target_os = "linux") {
            "group by process, unit, container (--all-netns: namespace)"
        } else {
            "group by process, unit, container"
        },
    ),
    ("y", "copy the row as JSON to the clipboard, and show it"),
    ("F5", "refresh now"),
    ("Ctrl-L", "draw the screen anew"),
    ("? h F1", "this help, and back"),
    ("q Ctrl-C", "quit"),
    #[cfg(target_os = "linux")]
    ("Ctrl-Z", "stop, for the shell; its fg goes on"),
    ("+ green", "new for some seconds"),
    ("~ yellow", "changed: its state, its owner or what else is shown"),
    ("- red", "closed"),
    ("? yellow", "not in the last list, which is known to be incomplete"),
];

/// What `key` asks for in `mode`.
pub(crate) fn action(mode: Mode, key: KeyEvent) -> Option<Action> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match (key.code, control) {
        (KeyCode::Char('c'), true) => return Some(Action::Quit),
        (KeyCode::Char('l'), true) => return Some(Action::Redraw),
        (KeyCode::Char('u'), true) if mode == Mode::Filter => return Some(Action::EraseLine),
        (KeyCode::Char('z'), true) if cfg!(target_os = "linux") => return Some(Action::Suspend),
        (_, true) => return None,
        _ => {}
    }
    if let Some(moved) = movement(key.code) {
        return Some(moved);
    }
    match (mode, key.code) {
        (Mode::Filter | Mode::Details, KeyCode::Enter)
        | (Mode::Details, KeyCode::Esc | KeyCode::Backspace) => Some(Action::Back),
        (Mode::Filter, KeyCode::Backspace) => Some(Action::Erase),
        (Mode::Filter, KeyCode::Esc) => Some(Action::EraseAll),
        (Mode::Filter, KeyCode::Char(c)) => Some(Action::Type(c)),
        (_, KeyCode::Char('q')) => Some(Action::Quit),
        (_, KeyCode::F(5)) => Some(Action::Refresh),
        (_, KeyCode::Char('j')) => Some(Action::Move(1)),
        (_, KeyCode::Char('k')) => Some(Action::Move(-1)),
        (_, KeyCode::Char('y')) => Some(Action::Copy),
        (_, KeyCode::Char('?' | 'h') | KeyCode::F(1)) => Some(Action::Help),
        (Mode::List, code) => list(code),
        _ => None,
    }
}

fn list(code: KeyCode) -> Option<Action> {
    Some(match code {
        KeyCode::Enter => Action::Details,
        KeyCode::Esc => Action::EraseAll,
        KeyCode::Char('/') => Action::EditFilter,
        KeyCode::Char(' ') => Action::Freeze,
        KeyCode::Char('s') => Action::NextSort,
        KeyCode::Char('r') => Action::Reverse,
        KeyCode::Char('g') => Action::NextGroup,
        KeyCode::Char(c) => Action::Sort(Sort::by_key(c)?),
        _ => return None,
    })
}

fn movement(code: KeyCode) -> Option<Action> {
    Some(match code {
        KeyCode::Up => Action::Move(-1),
        KeyCode::Down => Action::Move(1),
        KeyCode::PageUp => Action::Page(-1),
        KeyCode::PageDown => Action::Page(1),
        KeyCode::Home => Action::First,
        KeyCode::End => Action::Last,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pressed(mode: Mode, code: KeyCode) -> Option<Action> {
        action(mode, KeyEvent::new(code, KeyModifiers::NONE))
    }

    #[test]
    fn control_c_quits_everywhere_and_q_is_a_letter_in_a_filter() {
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        for mode in [Mode::List, Mode::Filter, Mode::Details] {
            assert_eq!(action(mode, control_c), Some(Action::Quit));
        }
        assert_eq!(pressed(Mode::List, KeyCode::Char('q')), Some(Action::Quit));
        assert_eq!(pressed(Mode::Filter, KeyCode::Char('q')), Some(Action::Type('q')));
    }

    #[test]
    fn control_u_empties_the_filter_and_control_z_stops() {
        let control = |mode, c| action(mode, KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL));
        assert_eq!(control(Mode::Filter, 'u'), Some(Action::EraseLine));
        assert_eq!(control(Mode::List, 'u'), None);
        let stops = cfg!(target_os = "linux").then_some(Action::Suspend);
        for mode in [Mode::List, Mode::Filter, Mode::Details] {
            assert_eq!(control(mode, 'z'), stops);
        }
    }

    #[test]
    fn each_order_has_a_key() {
        for sort in Sort::ALL {
            assert_eq!(pressed(Mode::List, KeyCode::Char(sort.key())), Some(Action::Sort(sort)));
            assert_eq!(pressed(Mode::Details, KeyCode::Char(sort.key())), None);
        }
    }

    #[test]
    fn a_filter_is_edited_and_left() {
        assert_eq!(pressed(Mode::List, KeyCode::Char('/')), Some(Action::EditFilter));
        assert_eq!(pressed(Mode::Filter, KeyCode::Char('/')), Some(Action::Type('/')));
        assert_eq!(pressed(Mode::Filter, KeyCode::Backspace), Some(Action::Erase));
        assert_eq!(pressed(Mode::Filter, KeyCode::Enter), Some(Action::Back));
        assert_eq!(pressed(Mode::Filter, KeyCode::Esc), Some(Action::EraseAll));
        assert_eq!(pressed(Mode::Filter, KeyCode::Down), Some(Action::Move(1)));
    }

    #[test]
    fn every_key_of_the_foot_line_is_in_the_help() {
        let keys: Vec<&str> = HELP.iter().flat_map(|(keys, _)| keys.split(' ')).collect();
        for key in ["/", "space", "s", "g", "y", "?", "q", "Enter"] {
            assert!(keys.contains(&key), "{key}");
        }
    }

    #[test]
    fn every_key_of_the_help_is_in_the_man_page() {
        let page = include_str!("../../man/sockowner-watch.roff").replace('\\', "").to_lowercase();
        let (_, keys) = page.split_once(".sh keys").unwrap();
        let (keys, _) = keys.split_once(".sh ").unwrap();
        let named: Vec<&str> = keys
            .lines()
            .filter(|line| line.starts_with(".b"))
            .flat_map(|line| line.split([' ', '"', ',']).skip(1))
            .collect();
        let signs = ["+", "~", "-"];
        for (keys, what) in HELP.iter().filter(|(keys, _)| !signs.contains(&&keys[..1])) {
            for key in keys.split(' ').filter(|_| *keys != "? yellow") {
                assert!(named.contains(&key.to_lowercase().as_str()), "{key}: {what}");
            }
        }
    }
}
