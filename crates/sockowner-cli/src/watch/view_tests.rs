use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;

fn drawn(ui: &mut Ui, wide: u16, high: u16, colours: bool) -> Vec<String> {
    let mut model = Model::new(Duration::from_secs(3));
    model.take(Duration::ZERO, Vec::new(), true);
    let mut terminal = Terminal::new(TestBackend::new(wide, high)).unwrap();
    terminal.draw(|frame| draw(frame, ui, &model, colours)).unwrap();
    let buffer = terminal.backend().buffer();
    let cells: Vec<_> = buffer.content().iter().map(ratatui::buffer::Cell::symbol).collect();
    cells.chunks(usize::from(wide)).map(|line| line.concat().trim_end().to_owned()).collect()
}

#[test]
fn columns_fill_the_screen_and_no_more() {
    let kinds = |has_namespaces, has_mptcp| Kinds { has_namespaces, has_mptcp };
    for wide in 30..300 {
        for kinds in [kinds(false, false), kinds(true, false), kinds(false, true), kinds(true, true)] {
            let columns = columns(wide, kinds);
            let taken: usize = 1 + columns.iter().map(|(_, room)| 1 + room).sum::<usize>();
            assert_eq!(taken, wide);
            assert_eq!(columns[0].0 == Column::Netns, kinds.has_namespaces, "{wide}");
            // No number is cut.
            let pid = columns.iter().find(|(column, _)| *column == Column::Pid);
            assert!(pid.is_none_or(|(_, room)| *room >= if cfg!(windows) { 10 } else { 7 }), "{wide}");
            let prot = columns.iter().find(|(column, _)| *column == Column::Protocol).unwrap().1;
            assert!(prot >= if kinds.has_mptcp { "mptcp6".len() } else { "tcp6".len() }, "{wide}");
        }
    }
    let names =
        |wide, kinds| columns(wide, kinds).iter().map(|(column, _)| column.title()).collect::<Vec<_>>();
    let usual = kinds(false, false);
    assert_eq!(names(40, usual), ["PROT", "LOCAL", "PID", "PROCESS"]);
    assert_eq!(names(40, kinds(true, false)), ["NETNS", "PROT", "LOCAL", "PROCESS"]);
    assert_eq!(names(80, usual), ["PROT", "STATE", "LOCAL", "REMOTE", "PID", "PROCESS"]);
    assert_eq!(names(120, usual), ["PROT", "STATE", "LOCAL", "REMOTE", "USER", "PID", "PROCESS", "UNIT"]);
}

#[test]
fn help_fits_a_usual_screen_and_breaks_no_word() {
    let mut ui = Ui { mode: Mode::Details, missing: vec!["something is missing".into()], ..Ui::default() };
    let lines = drawn(&mut ui, 80, 24, false);
    assert!(lines[..22].iter().any(|line| line.contains("which is known to be incomplete")), "{lines:?}");
    assert!(!lines[0].contains(" of "), "{}", lines[0]);
    assert_eq!(lines[22], "something is missing");
    let words: Vec<&str> =
        HELP.iter().flat_map(|(keys, what)| [*keys, *what]).flat_map(str::split_whitespace).collect();
    for wide in [40, 80, 200] {
        for line in help(&ui, wide) {
            assert!(width(&line) <= wide, "{line}");
            assert!(line.split_whitespace().all(|word| words.contains(&word)), "{line}");
        }
    }
}

#[test]
fn what_there_is_no_room_for_is_said_to_be_there() {
    let missing = vec!["one thing is missing here".into(), "another one".into(), "a third".into()];
    let mut ui = Ui { missing, failure: Some("gone".into()), ..Ui::default() };
    let lines = drawn(&mut ui, 40, 10, false);
    assert_eq!(lines[7], "not refreshed, what is shown is old:");
    assert_eq!(lines[8], "gone ... +3: see ?");
    ui.mode = Mode::Details;
    ui.page.top = usize::MAX;
    let lines = drawn(&mut ui, 40, 10, false);
    assert_eq!(lines[6], "a third");
    assert!(lines[0].contains(" of "), "{}", lines[0]);
    assert_eq!((part(0, 5, 5), part(5, 5, 12)), (String::new(), "6-10 of 12".to_owned()));
    assert_eq!(titled("sockowner", "6-10 of 12", 21), "sockowner  6-10 of 12");
    assert_eq!(titled("sockowner", "6-10 of 12", 9), "sockowner");
}

#[test]
fn any_screen_can_be_drawn_on() {
    for (wide, high) in [(1, 1), (2, 3), (10, 2), (40, 12), (80, 24), (300, 100)] {
        for mode in [Mode::List, Mode::Filter, Mode::Details] {
            let mut ui = Ui { mode, missing: vec!["something is missing".into()], ..Ui::default() };
            ui.page.kind = if high % 2 == 0 { Kind::Help } else { Kind::Explained };
            ui.page.lines = vec!["日本語 and a long line".repeat(20)];
            drawn(&mut ui, wide, high, true);
        }
    }
}

#[test]
fn what_is_missing_is_said_above_the_keys() {
    let mut ui = Ui { missing: vec!["3 processes may not be inspected".into()], ..Ui::default() };
    ui.failure = Some("open /proc: gone".into());
    let lines = drawn(&mut ui, 80, 24, false);
    assert_eq!(lines[21], "not refreshed, what is shown is old: open /proc: gone");
    assert_eq!(lines[22], "3 processes may not be inspected");
    assert!(lines[23].contains("q quit") && lines[23].contains("? help"), "{}", lines[23]);
    assert!(lines[0].starts_with("sockowner  0 endpoints  by newest"), "{}", lines[0]);
    assert_eq!(lines[2], "  nothing to show");
}

#[test]
fn what_is_typed_cannot_move_the_cursor() {
    let mut ui = Ui { typed: "a\u{1b}[2J\u{202e}".into(), mode: Mode::Filter, ..Ui::default() };
    let lines = drawn(&mut ui, 80, 24, false);
    assert!(lines[23].contains(r"filter: a\x1b[2J\u{202e}_"), "{}", lines[23]);
}

#[test]
fn pages_scroll_no_further_than_their_end() {
    let mut ui = Ui { mode: Mode::Details, ..Ui::default() };
    ui.page.kind = Kind::Explained;
    ui.page.lines = (0..40).map(|number| format!("line {number}")).collect();
    ui.page.top = 1000;
    let lines = drawn(&mut ui, 40, 12, false);
    assert_eq!((lines[2].as_str(), lines[10].as_str()), ("line 31", "line 39"));
}

#[test]
fn colours_are_for_who_wants_them() {
    assert_eq!(marked(Mark::New, true).fg, Some(Color::Green));
    assert_eq!(marked(Mark::Changed, true).fg, Some(Color::Yellow));
    assert_eq!(marked(Mark::Closed, true).fg, Some(Color::Red));
    for mark in [Mark::New, Mark::Changed, Mark::Closed, Mark::Unseen, Mark::None] {
        assert_eq!(marked(mark, false).fg, None);
    }
}
