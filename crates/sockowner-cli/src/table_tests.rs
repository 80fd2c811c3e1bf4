use super::*;

const COLUMNS: [Column<'_>; 4] = [
    Column { shrinks: Some(2), tight: 15, ample: 26, ..column("LOCAL") },
    Column { is_number: true, leaves: Some(0), ..column("PID") },
    Column { shrinks: Some(1), tight: 7, ample: 20, ..column("PROCESS") },
    Column { shrinks: Some(0), leaves: Some(0), is_missed: false, ample: 28, ..column("UNIT") },
];

const fn column(title: &str) -> Column<'_> {
    Column {
        title,
        is_number: false,
        shrinks: None,
        ample: usize::MAX,
        leaves: None,
        is_missed: true,
        tight: usize::MAX,
        floor: 1,
    }
}

fn row<'a>(local: &'a str, pid: &'a str, process: Cell<'a>, unit: &'a str) -> [Cell<'a>; 4] {
    let local = match local.rfind(']') {
        None => Cell::whole(local),
        Some(port) => Cell::new(local, 21).cut_in_the_middle(local.len() - port),
    };
    [local, Cell::whole(pid), process, Cell::new(unit, 12)]
}

fn sample() -> Table<'static> {
    let mut table = Table::new(&COLUMNS, true);
    let nginx = Cell::new("nginx +3", 10).keeping(3);
    table.push(row("0.0.0.0:443", "812", nginx, "nginx.service"));
    let long = Cell::new("a-program-with-a-very-long-name +12", 10).keeping(4);
    table.push(row(
        "[2001:db8:1111:2222:3333:4444:5555:6666]:65535",
        "4194304",
        long,
        "user/1000/app-org.example.Something@0123456789abcdef.service",
    ));
    table.push(row("127.0.0.1:8080", "9", Cell::new("日本語サーバー日本語", 10), "-"));
    table
}

fn lines(table: &Table<'_>, room: Option<usize>) -> Vec<String> {
    let mut out = Vec::new();
    table.write(&mut out, room, true).unwrap();
    let text = anstream::adapter::strip_bytes(&out).into_vec();
    let text = String::from_utf8(text).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn without_a_terminal_nothing_is_cut() {
    let lines = lines(&sample(), None);
    assert_eq!(
        lines,
        [
            "LOCAL                                               PID  PROCESS                              UNIT",
            "0.0.0.0:443                                         812  nginx +3                             nginx.service",
            "[2001:db8:1111:2222:3333:4444:5555:6666]:65535  4194304  a-program-with-a-very-long-name +12  user/1000/app-org.example.Something@0123456789abcdef.service",
            "127.0.0.1:8080                                        9  日本語サーバー日本語                 -",
        ]
    );
}

#[test]
fn long_cells_are_cut_first_and_short_ones_last() {
    for (room, row) in [
        (
            120,
            "[2001:db8:1111:2222:3333:4444:5555:6666]:65535  4194304  a-program-with-a-very-long-n… +12  user/1000/app-org.example.S…",
        ),
        (
            100,
            "[2001:db8:1111:2…:4444:5555:6666]:65535  4194304  a-program-with-… +12  user/1000/app-org.example.S…",
        ),
        (60, "[2001:d…5:6666]:65535  4194304  a-pro… +12  user/1000/app-o…"),
    ] {
        assert_eq!(lines(&sample(), Some(room))[2], row);
    }
    assert_eq!(
        lines(&sample(), Some(80)),
        [
            "LOCAL                      PID  PROCESS             UNIT",
            "0.0.0.0:443                812  nginx +3            nginx.service",
            "[2001:d…5:6666]:65535  4194304  a-program-wit… +12  user/1000/app-org.example.S…",
            "127.0.0.1:8080               9  日本語サーバー日…   -",
        ]
    );
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let table = sample();
    for room in 10..200 {
        for line in lines(&table, Some(room)) {
            assert!(text::width(&line) <= room, "{room}: {line}");
            assert!(!line.ends_with(' '), "{room}: {line:?}");
        }
    }
}

#[test]
fn an_address_keeps_its_start_its_end_and_its_port() {
    let cell = Cell::new("[2001:db8:1111:2222:3333:4444:5555:6666]:65535", 21).cut_in_the_middle(7);
    assert_eq!(cell.form.fitted(&cell.text, 21), "[2001:d…5:6666]:65535");
    assert_eq!(cell.form.fitted(&cell.text, 46), "[2001:db8:1111:2222:3333:4444:5555:6666]:65535");
    assert_eq!(cell.form.fitted(&cell.text, 5), "[200…", "no room for the port");
}

#[test]
fn a_wide_character_is_never_halved() {
    let cell = Cell::new("日本語", 2);
    assert_eq!([4, 5, 6].map(|room| cell.form.fitted(&cell.text, room)), ["日…", "日本…", "日本語"]);
    assert_eq!([0, 1, 2].map(|room| cell.form.fitted(&cell.text, room)), ["", "…", "…"]);
}

#[test]
fn columns_without_news_are_left_out_before_anything_is_cut() {
    let mut table = Table::new(&COLUMNS, true);
    table.push(row("0.0.0.0:443", "812", Cell::new("a-long-name-of-a-process", 10), "-"));
    assert_eq!(
        lines(&table, Some(44)),
        ["LOCAL        PID  PROCESS", "0.0.0.0:443  812  a-long-name-of-a-process",]
    );
    assert!(lines(&table, Some(48))[0].ends_with("UNIT"), "but not where they fit");
}

#[test]
fn a_column_that_is_missed_leaves_after_cells_were_cut_tight() {
    let heading_and_address = |room| {
        let lines = lines(&sample(), Some(room));
        (lines[0].split_whitespace().collect::<Vec<_>>().join(" "), lines[2].clone())
    };
    for (room, heading, row) in [
        (50, "LOCAL PID PROCESS", "[2001:d…5:6666]:65535  4194304  a-program-wit… +12"),
        (40, "LOCAL PID PROCESS", "[2001:d…5:6666]:65535  4194304  a-p… +12"),
        (30, "LOCAL PROCESS", "[2001:d…5:6666]:65535  a-… +12"),
        (10, "LOCAL …", "[2001:…  …"),
    ] {
        assert_eq!(heading_and_address(room), (heading.to_owned(), row.to_owned()), "{room}");
    }
}

#[test]
fn a_table_without_rows_has_a_heading() {
    assert_eq!(lines(&Table::new(&COLUMNS, true), Some(80)), ["LOCAL  PID  PROCESS  UNIT"]);
}

#[test]
fn styles_are_written_where_they_are_wanted_alone() {
    let mut table = Table::new(&COLUMNS, true);
    table.push(row("0.0.0.0:443", "-", Cell::nothing("-"), "-"));
    let written = |styled| {
        let mut out = Vec::new();
        table.write(&mut out, None, styled).unwrap();
        String::from_utf8(out).unwrap()
    };
    assert_eq!(written(false), "LOCAL        PID  PROCESS  UNIT\n0.0.0.0:443    -  -        -\n");
    assert!(written(true).contains("  \x1b[2m-\x1b[0m        -\n"), "{}", written(true));
}

#[test]
fn a_long_table_is_written_in_pieces_that_end_with_a_line() {
    #[derive(Default)]
    struct Pieces(Vec<Vec<u8>>);
    impl Write for Pieces {
        fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
            self.0.push(piece.to_vec());
            Ok(piece.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut table = Table::new(&COLUMNS, true);
    let pids: Vec<_> = (0..5000).map(|pid: u32| pid.to_string()).collect();
    for pid in &pids {
        table.push(row("127.0.0.1:80", pid, Cell::whole("日本"), "-"));
    }
    let mut out = Pieces::default();
    table.write(&mut out, None, false).unwrap();
    assert!(out.0.len() > 2);
    assert!(out.0.iter().all(|piece| piece.ends_with(b"\n")));
    let lines = out.0.concat();
    assert_eq!(lines.split(|&byte| byte == b'\n').count(), 1 + 5000 + 1);
}

#[test]
fn many_rows_are_the_same_on_two_processors() {
    let names: Vec<_> = (0..=MANY).map(|pid| format!("{}{pid}", "x".repeat(pid % 40))).collect();
    let add = |table: &mut Table<'static>, name: &String| {
        table.push(row("127.0.0.1:80", "1", Cell::new(name, 10), "-"));
    };
    let mut one = Table::new(&COLUMNS, true);
    for name in &names {
        add(&mut one, name);
    }
    let two = Table::new(&COLUMNS, true).with(&names, add);
    assert_eq!((one.parts.len(), two.parts.len()), (1, 2));
    for room in [None, Some(40)] {
        assert_eq!(lines(&one, room), lines(&two, room));
    }
}

#[test]
fn without_a_heading_a_title_takes_no_room() {
    let mut table = Table::new(&COLUMNS, false);
    table.push(row("0.0.0.0:443", "1", Cell::whole("sh"), "-"));
    assert_eq!(lines(&table, None), ["0.0.0.0:443  1  sh  -"]);
    assert_eq!(lines(&Table::new(&COLUMNS, false), None), [""; 0]);
}

#[test]
fn columns_that_were_chosen_neither_leave_nor_lose_their_numbers() {
    let chosen =
        |title, is_number, shrinks| Column { is_number, shrinks, floor: usize::MAX, ..column(title) };
    let columns = [chosen("NAME", false, Some(0)), chosen("INODE", true, None), chosen("PID", true, None)];
    let mut table = Table::new(&columns, true);
    table.push([Cell::new("a-name-of-some-length", 8), Cell::whole("4026531833"), Cell::nothing("-")]);
    assert_eq!(lines(&table, Some(25)), ["NAME           INODE  PID", "a-name-…  4026531833    -"]);
    assert_eq!(lines(&table, Some(9)), lines(&table, Some(25)), "it cannot be narrower");
}
