//! How it ends, and where it does not begin.

use std::process::{Command, Stdio};

use sockowner_testkit::eventually;

use super::screen::{PROGRAM, Screen, TMUX};

tests! {
    Alone without_its_terminal_it_ends needs TMUX;
    Alone without_its_terminal_it_ends_amid_keys needs TMUX;
    Alone stdin_that_is_no_terminal_is_refused needs TMUX;
    Alone q_leaves_the_terminal_as_it_was needs TMUX;
    Alone control_c_leaves_the_terminal_as_it_was needs TMUX;
    Alone a_signal_leaves_the_terminal_as_it_was needs TMUX;
    Alone control_z_stops_it_and_it_goes_on needs TMUX;
    Alone a_signal_stops_it_and_it_goes_on needs TMUX;
    Alone a_dumb_terminal_is_refused needs TMUX;
    Alone without_a_terminal_it_says_so;
    Alone once_prints_the_list_and_ends;
}

fn started() -> Screen {
    let screen = Screen::watch(80, 24, &[], &[]);
    screen.until("the list", |screen| screen.contains(" endpoints  by newest") && screen.contains("q quit"));
    screen
}

fn q_leaves_the_terminal_as_it_was() {
    let screen = started();
    screen.press(&["q"]);
    screen.assert_ended(0);
}

fn control_c_leaves_the_terminal_as_it_was() {
    let screen = started();
    screen.press(&["/", "C-c"]);
    screen.assert_ended(0);
}

fn a_signal_leaves_the_terminal_as_it_was() {
    for (signal, status) in [("TERM", 143), ("HUP", 129), ("INT", 130), ("QUIT", 131)] {
        let screen = started();
        kill(signal, &watching(&screen));
        screen.assert_ended(status);
    }
}

/// The process in this terminal, which a shell started.
fn watching(screen: &Screen) -> String {
    let shell = screen.asked(&["display-message", "-p", "#{pane_pid}"]);
    let children = format!("/proc/{0}/task/{0}/children", shell.trim());
    std::fs::read_to_string(children).unwrap().trim().to_owned()
}

fn kill(signal: &str, process: &str) {
    assert!(Command::new("kill").args(["-s", signal, process]).status().unwrap().success());
}

fn control_z_stops_it_and_it_goes_on() {
    assert_stops_and_goes_on(|screen| screen.press(&["C-z"]));
}

fn a_signal_stops_it_and_it_goes_on() {
    assert_stops_and_goes_on(|screen| kill("TSTP", &watching(screen)));
}

/// A shell with jobs has the terminal while it is stopped.
#[track_caller]
fn assert_stops_and_goes_on(stop: impl Fn(&Screen)) {
    let script = "set -m; \"$@\"; echo \"[stopped $?]\"; read -r line; fg; echo \"[stopped $?]\"; \
                  read -r line; fg; echo \"[ended $?]\"; exec cat";
    let screen = Screen::run(80, 24, script, &[PROGRAM, "watch"]);
    let list = |screen: &str| screen.contains(" endpoints  by newest") && screen.contains("q quit");
    screen.until("the list", list);
    let state = || screen.asked(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"]);
    for count in 1..=2 {
        stop(&screen);
        screen.until("the shell", |screen| screen.matches("[stopped ").count() == count && !list(screen));
        assert_eq!(state().trim(), "0 1", "alternate screen off, cursor shown");
        screen.press(&["Enter"]);
        screen.until("the list again", list);
        assert_eq!(state().trim(), "1 0");
    }
    screen.press(&["q"]);
    screen.until("the end", |screen| screen.contains("[ended 0]"));
}

fn a_dumb_terminal_is_refused() {
    let screen = Screen::watch(80, 24, &["TERM=dumb"], &[]);
    let shown = screen.assert_ended(2);
    assert!(shown.contains("sockowner: this terminal cannot be drawn on (TERM=dumb)"), "{shown}");
}

fn run(words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(PROGRAM);
    let output = command.args(words).env_clear().stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn without_a_terminal_it_says_so() {
    let (status, out, said) = run(&["watch"]);
    assert_eq!((status, out.as_str()), (2, ""));
    assert_eq!(
        said,
        "sockowner: watch needs a terminal, and stdout is none; 'watch --once' prints one view\n"
    );
    for words in
        [&["--json"][..], &["--jsonl"], &["--csv"], &["-o", "pid"], &["--sort", "pid"], &["--no-header"]]
    {
        let (status, out, said) = run(&[&["watch"], words].concat());
        assert_eq!((status, out.as_str()), (2, ""), "{words:?}");
        let expected =
            format!("sockowner: {} is about how a list is printed: with 'watch' it needs --once\n", words[0]);
        assert_eq!(said, expected);
    }
    for interval in ["0", "-1", "soon", "NaN", "inf"] {
        let (status, out, said) = run(&["watch", "--once", &format!("--interval={interval}")]);
        assert_eq!((status, out.as_str()), (2, ""), "{interval}");
        assert!(said.contains("a number from 0.1"), "{said}");
    }
}

fn once_prints_the_list_and_ends() {
    let (status, out, said) = run(&["watch", "--once", "-l"]);
    assert_eq!(
        (status, out.as_str(), said.as_str()),
        (1, "", "sockowner: no listening endpoint was found\n")
    );
    let actor = sockowner_testkit::Actor::spawn();
    actor.tcp_listen("127.0.0.1:4000");
    actor.udp_bind("127.0.0.1:4001");
    for words in [&["-t"][..], &["--json"], &["--json", "-u"], &["--pid", "1"], &[]] {
        let once = run(&[&["watch", "--once"], words].concat());
        assert_eq!(once, run(words), "{words:?}");
        assert_eq!(once.0, i32::from(words == ["--pid", "1"]), "{words:?}");
    }
}

fn without_its_terminal_it_ends() {
    let screen = started();
    assert_ends_with_its_terminal(&screen);
}

/// It goes while keys are read, so that what reads them finds the end of the terminal.
fn without_its_terminal_it_ends_amid_keys() {
    let screen = started();
    screen.press(&["-N", "200000", "j"]);
    assert_ends_with_its_terminal(&screen);
}

#[track_caller]
fn assert_ends_with_its_terminal(screen: &Screen) {
    let watch = watching(screen);
    // Nobody may wait for it when it has ended; what it executes is not there any more then.
    let executable = || std::fs::read_link(format!("/proc/{watch}/exe")).ok();
    assert_eq!(executable().unwrap(), std::path::Path::new(PROGRAM));
    // The server has another terminal, and stays.
    screen.asked(&["new-window", "-d", "cat"]);
    screen.asked(&["kill-pane"]);
    eventually("its end", || executable().is_none().then_some(()));
}

/// Keys come from stdin: what is none has no end that could be waited for, nor keys.
fn stdin_that_is_no_terminal_is_refused() {
    for from in ["/dev/null", "/proc/version"] {
        let screen = Screen::watch(80, 24, &["sh", "-c", &format!("exec \"$@\" <{from}"), "sh"], &[]);
        let shown = screen.assert_ended(2);
        assert!(shown.contains("watch needs a terminal, and stdin is none"), "{shown}");
    }
}
