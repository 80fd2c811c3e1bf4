//! The pictures in README.md: the list and `watch` on a terminal, of a machine made up for it. `cargo xtask picture` writes
//! them; this test holds them against what the program shows now. Numbers may differ.

mod svg;

use std::path::{Path, PathBuf};

use sockowner_testkit::Requirement::{Cgroup2, NsLastPid};
use sockowner_testkit::cgroup::Scratch;
use sockowner_testkit::{Actor, Sock};
use tempfile::TempDir;

use super::screen::{PROGRAM, Screen, TMUX};

tests! {
    Alone the_picture_of_the_list needs TMUX, Cgroup2, NsLastPid;
    Alone the_picture_of_watch needs TMUX, Cgroup2, NsLastPid;
    Outside pictures_keep_their_text;
}

const WIDE: usize = 112;
const CONTAINER: &str = "3f1c7e0d5b2a49788e6d1f0c3b5a79e2d4c6b8fa0e1d2c3b4a59687766554433";
/// A user whom every system has.
const NOBODY: u32 = 65534;

/// A process in a cgroup of its own, which ends after it.
struct Program {
    actor: Actor,
    _cgroup: Scratch,
}

impl Program {
    fn start(dir: &TempDir, name: &str, pid: u32, uid: u32, cgroup: &str) -> Self {
        let cgroup = Scratch::new(cgroup);
        let exe = dir.path().join(name);
        let actor = Actor::builder().exe(exe).cgroup(&cgroup).uid(uid).gid(uid).pid(pid).spawn();
        Self { actor, _cgroup: cgroup }
    }
}

/// What the pictures show.
struct Machine {
    web: Program,
    _database: Program,
    cache: Program,
    store: Sock,
    notes: Program,
    resolver: Program,
    names: Sock,
    report: Program,
    query: Sock,
    _dir: TempDir,
}

impl Machine {
    fn start() -> Self {
        let dir = public_dir();
        let web = Program::start(&dir, "nginx", 812, 0, "/system.slice/shop.service");
        let database = Program::start(&dir, "postgres", 907, NOBODY, "/system.slice/orders-db.service");
        let cache = Program::start(&dir, "redis-server", 1244, NOBODY, &format!("/docker/{CONTAINER}"));
        let own = "/user.slice/user-65534.slice/user@65534.service/app.slice/notes.service";
        let notes = Program::start(&dir, "python3", 2310, NOBODY, own);
        let resolver = Program::start(&dir, "resolver", 655, 0, "/system.slice/names.service");
        let report = Program::start(&dir, "report", 4712, 0, "/system.slice/report.service");

        web.actor.tcp_listen("0.0.0.0:443");
        web.actor.fork();
        let orders = database.actor.tcp_listen("127.0.0.1:5432");
        let store = cache.actor.tcp_listen("0.0.0.0:6379");
        notes.actor.tcp_listen("[::1]:8080");
        let names = resolver.actor.udp_bind("127.0.0.53:53");
        let query = report.actor.tcp_connect_from("127.0.0.1:40112", orders.addr);
        database.actor.accept(orders.fd);
        Self { web, _database: database, cache, store, notes, resolver, names, report, query, _dir: dir }
    }
}

/// Ordinary users may execute what is in it.
pub(super) fn public_dir() -> TempDir {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    dir
}

fn the_picture_of_the_list() {
    let _machine = Machine::start();
    let screen = Screen::run(WIDE, 10, "printf '$ sudo sockowner\\n'; \"$@\"; exec cat", &[PROGRAM]);
    let shown = screen.until("the list", |screen| screen.contains("127.0.0.1:40112  127.0.0.1:5432"));
    for part in [
        "nginx +1 ",
        "docker/3f1c7e0d",
        "user/65534/notes.service",
        "tcp6   LISTEN",
        "orders-db.service",
        "udp    UNCONNECTED",
    ] {
        assert!(shown.contains(part), "{part}:\n{shown}");
    }
    keep_or_compare("list", &screen);
}

fn the_picture_of_watch() {
    let machine = Machine::start();
    // So seldom that nothing is refreshed but when a key asks for it, and marks stay.
    let screen = Screen::watch(WIDE, 15, &[], &["--interval", "1000"]);
    screen.until("the list", |screen| screen.contains(":6379 ") && screen.contains(":40112 "));
    machine.notes.actor.tcp_listen("[::1]:8081");
    machine.cache.actor.fork();
    machine.web.actor.tcp_connect_from("127.0.0.1:40800", "127.0.0.1:6379");
    machine.cache.actor.accept(machine.store.fd);
    machine.report.actor.shutdown_write(machine.query.fd);
    machine.resolver.actor.close(machine.names.fd);
    screen.press(&["F5"]);
    let marked = |screen: &str, sign: &str, part: &str| {
        screen.lines().any(|line| line.starts_with(sign) && line.contains(part))
    };
    screen.until("marks", |screen| {
        marked(screen, "+", "[::1]:8081 ")
            && marked(screen, "+", "127.0.0.1:40800 ")
            && marked(screen, "~", ":6379 ")
            && marked(screen, "~", "127.0.0.1:40112 ")
            && marked(screen, "-", "127.0.0.53:53 ")
    });
    keep_or_compare("watch", &screen);
}

/// Writes the picture where that is wished, else holds the one that is there against what is shown.
#[track_caller]
fn keep_or_compare(name: &str, screen: &Screen) {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(format!("{name}.svg"));
    let drawn = svg::drawn(&screen.styled(), WIDE);
    if std::env::var_os("SOCKOWNER_BLESS").is_some() {
        std::fs::write(&path, drawn).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (kept, drawn) = (plain(&svg::text(&kept)), plain(&svg::text(&drawn)));
    assert_eq!(kept, drawn, "`cargo xtask picture` draws docs/{name}.svg anew");
}

/// Without what is another each time: every number is 0, every blank the only one.
fn plain(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut plain = String::new();
        for c in words.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }) {
            if c != '0' || !plain.ends_with('0') {
                plain.push(c);
            }
        }
        plain
    };
    text.lines().map(line).collect()
}

fn pictures_keep_their_text() {
    let styled = "\u{1b}[1mA <b>\u{1b}[0m\n\u{1b}[38;5;2m+ \"x\" & y\u{1b}[39m z\n\u{1b}[7m q \u{1b}[0m\n\n";
    let drawn = svg::drawn(styled, 12);
    assert_eq!(svg::text(&drawn), "A <b>\n+ \"x\" & y z\n q \n");
    assert!(drawn.contains("A &lt;b&gt;") && drawn.contains("font-weight=\"bold\""), "{drawn}");
    let green = svg::drawn("\u{1b}[38;5;2ma\u{1b}[0m\u{1b}[32mb", 12);
    assert_eq!(green.matches("#7ee787").count(), 1, "both are one run: {green}");
    assert_eq!(plain("a 12  b3\n"), ["a 0 b0"]);
}
