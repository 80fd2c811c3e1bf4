//! On a terminal: lines that fit, and colours for those who want them. The terminal is tmux's.

use std::process::{self, Command};
use std::thread;

use sockowner_testkit::Requirement::{Cgroup2, OtherUser};
use sockowner_testkit::privileges::ORDINARY_UID;
use sockowner_testkit::{Requirement, eventually, netns};
use tempfile::TempDir;

use super::machine::{CONTAINER, FORGED, Program, WEB};
use super::program::{PROGRAM, public_dir};

const TMUX: Requirement = Requirement::Custom("tmux", || {
    let version = Command::new("tmux").arg("-V").output().map_err(|error| format!("not found: {error}"))?;
    if version.status.success() { Ok(()) } else { Err(format!("`tmux -V`: {}", version.status)) }
});

tests! {
    Alone a_line_fits_into_any_terminal needs TMUX, Cgroup2, OtherUser;
    Alone columns_that_were_chosen_stay needs TMUX, Cgroup2, OtherUser;
    Alone colours_are_for_who_wants_them needs TMUX, Cgroup2, OtherUser;
}

/// A tmux server of its own with one terminal, in which the program ran.
struct Terminal {
    name: String,
    /// For the server's socket.
    dir: TempDir,
}

impl Terminal {
    /// Runs `sockowner` with these words, and variables like `NAME=value`, until it has ended.
    fn run(columns: usize, lines: usize, variables: &[&str], words: &[&str]) -> Self {
        let name = format!("sockowner-live-{}-{columns}x{lines}", process::id());
        let terminal = Self { name, dir: tempfile::tempdir().unwrap() };
        // What is echoed comes behind everything; cat waits for an input that never comes.
        let script = "\"$@\"; echo \"[ended $?]\"; exec cat";
        let (columns, lines) = (columns.to_string(), lines.to_string());
        let mut command =
            terminal.tmux(&["new-session", "-d", "-x", &columns, "-y", &lines, "--", "sh", "-c", script]);
        let started = command.args(["sh", "env"]).args(variables).arg(PROGRAM).args(words).output().unwrap();
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        eventually("the end of the program", || terminal.written(&[]).contains("[ended ").then_some(()));
        terminal
    }

    fn tmux(&self, words: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("TMUX_TMPDIR", self.dir.path());
        command.args(["-u", "-f", "/dev/null", "-L", &self.name]).args(words);
        command
    }

    /// All that was written, also what has left the screen.
    fn written(&self, options: &[&str]) -> String {
        let output = self.tmux(&["capture-pane", "-p", "-S", "-"]).args(options).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// The program's lines, as long as it wrote them; it ended with 0, and no line was broken by the terminal.
    #[track_caller]
    fn lines(&self) -> Vec<String> {
        let lines_of = |written: &str| -> Vec<_> {
            let lines = written.lines().map(|line| line.trim_end().to_owned());
            lines.take_while(|line| line != "[ended 0]").collect()
        };
        let (seen, joined) = (lines_of(&self.written(&[])), self.written(&["-J"]));
        assert!(joined.contains("\n[ended 0]"), "{joined}");
        assert_eq!(seen, lines_of(&joined), "a line is too long");
        seen
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let ended = self.tmux(&["kill-server"]).status();
        if !thread::panicking() {
            assert!(ended.unwrap().success());
        }
    }
}

const ADDRESS: &str = "[2001:db8:1111:2222:3333:4444:5555:6666]";

/// Long names, wide names, and long addresses.
fn stage() -> (TempDir, [Program; 3]) {
    let dir = public_dir();
    netns::add_address("lo", "2001:db8:1111:2222:3333:4444:5555:6666/128").unwrap();
    let web = Program::start(&dir, "a-program-with-a-rather-long-name", 0, WEB);
    let store = Program::start(&dir, "postgres", 0, &format!("/docker/{CONTAINER}"));
    let app = Program::start(&dir, "日本語サーバー日本語サーバー", ORDINARY_UID, FORGED);
    web.actor.tcp_listen(format!("{ADDRESS}:8443"));
    web.actor.tcp_listen("0.0.0.0:80");
    web.actor.udp_bind("[::]:5353");
    let listener = app.actor.tcp_listen(format!("{ADDRESS}:60001"));
    store.actor.tcp_connect_from(format!("{ADDRESS}:60002"), listener.addr);
    store.actor.tcp_listen("127.0.0.1:5432");
    (dir, [web, app, store])
}

fn a_line_fits_into_any_terminal() {
    let (_dir, _programs) = stage();
    for (columns, lines) in [(80, 24), (120, 40), (40, 10), (20, 5), (200, 50)] {
        let terminal = Terminal::run(columns, lines, &[], &[]);
        let lines = terminal.lines();
        assert_eq!(lines.len(), 8, "{lines:#?}");
        assert!(lines.iter().all(|line| line.chars().count() <= columns), "{lines:#?}");
        assert!(lines[0].contains("LOCAL"), "{lines:#?}");
        if columns < 40 {
            continue;
        }
        let head: Vec<_> = lines[0].split_whitespace().collect();
        let expected: &[_] = match columns {
            40 => &["PROTO", "LOCAL", "PID", "PROCESS"],
            80 => &["PROTO", "STATE", "LOCAL", "REMOTE", "PID", "PROCESS"],
            _ => &["PROTO", "STATE", "LOCAL", "REMOTE", "USER", "PID", "PROCESS", "UNIT"],
        };
        assert_eq!(head, expected);
        // Of the local address and, where there is room, of the remote one.
        let ports = ["80", "5432", "8443", "60001", "5353", "60001", "60002"];
        for (line, port) in lines[1..].iter().zip(ports) {
            assert!(line.contains(&format!(":{port} ")), "{port}: {lines:#?}");
        }
        if columns >= 80 {
            assert!(lines[6].contains(":60002 ") && lines[7].contains(":60001 "), "{lines:#?}");
        }
        if columns == 200 {
            assert_eq!(lines.iter().filter(|line| line.contains(ADDRESS)).count(), 4, "{lines:#?}");
        }
    }
}

fn columns_that_were_chosen_stay() {
    let (_dir, _programs) = stage();
    let words = ["-o", "local,inode,path,unit", "--sort", "-inode"];
    for columns in [80, 120] {
        let terminal = Terminal::run(columns, 24, &[], &words);
        let lines = terminal.lines();
        assert_eq!(lines.len(), 8, "{lines:#?}");
        assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), ["LOCAL", "INODE", "PATH", "UNIT"]);
        // Numbers are whole, and in their order.
        let inodes: Vec<u64> =
            lines[1..].iter().map(|line| line.split_whitespace().nth(1).unwrap().parse().unwrap()).collect();
        assert!(inodes.is_sorted_by(|one, other| one > other), "{lines:#?}");
        assert!(lines.iter().any(|line| line.contains('…')), "{lines:#?}");
    }
    let data = Terminal::run(
        80,
        24,
        &[],
        &["--csv", "--no-header", "-o", "local_port,path,unit", "--unit", "sockowner-web", "-u"],
    );
    assert!(
        data.written(&["-J"]).contains(",sockowner-web.service\n") && !data.written(&["-J"]).contains('…')
    );
}

fn colours_are_for_who_wants_them() {
    let (_dir, _programs) = stage();
    for words in [&[][..], &["-l"], &["who", ":60002"]] {
        let coloured = Terminal::run(120, 40, &[], words);
        assert!(coloured.written(&["-e"]).contains("\u{1b}["));
        for variable in ["NO_COLOR=1", "TERM=dumb"] {
            let plain = Terminal::run(120, 40, &[variable], words);
            assert!(!plain.written(&["-e"]).contains('\u{1b}'), "{variable}");
            assert_eq!(plain.written(&[]), coloured.written(&[]), "{variable}");
        }
        for form in ["--json", "--jsonl"] {
            let asked_for_data = Terminal::run(120, 40, &[], &[&[form], words].concat());
            assert!(!asked_for_data.written(&["-e"]).contains('\u{1b}'));
        }
    }
}
