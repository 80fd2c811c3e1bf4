//! A terminal of tmux, with the program in a shell.

use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use sockowner_testkit::{Requirement, eventually};
use tempfile::TempDir;

pub(super) const PROGRAM: &str = env!("CARGO_BIN_EXE_sockowner");

pub(super) const TMUX: Requirement = Requirement::Custom("tmux", || {
    let version = Command::new("tmux").arg("-V").output().map_err(|error| format!("not found: {error}"))?;
    if version.status.success() { Ok(()) } else { Err(format!("`tmux -V`: {}", version.status)) }
});

/// A tmux server of its own with one terminal.
pub(super) struct Screen {
    name: String,
    /// For the server's socket.
    dir: TempDir,
}

impl Screen {
    /// Runs `sockowner watch` with these words, and variables like `NAME=value`, below a line of the shell. How it ended
    /// is written behind it, with the terminal's settings before and after.
    pub(super) fn watch(columns: usize, lines: usize, variables: &[&str], words: &[&str]) -> Self {
        let script = "ulimit -c 0; echo before; old=$(stty -g); \"$@\"; code=$?; \
                      [ \"$old\" = \"$(stty -g)\" ] && same=same || same=other; \
                      echo \"[ended $code $same]\"; exec cat";
        let variables = [&["env", "TZ=UTC"], variables].concat();
        Self::run(columns, lines, script, &[&variables[..], &[PROGRAM, "watch"], words].concat())
    }

    /// Runs this script of the shell, whose arguments are `words`.
    pub(super) fn run(columns: usize, lines: usize, script: &str, words: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sockowner-watch-{}-{count}", process::id());
        let screen = Self { name, dir: tempfile::tempdir().unwrap() };
        let (columns, lines) = (columns.to_string(), lines.to_string());
        let mut command =
            screen.tmux(&["new-session", "-d", "-x", &columns, "-y", &lines, "--", "sh", "-c", script]);
        command.arg("sh").args(words);
        let started = command.output().unwrap();
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        screen
    }

    pub(super) fn tmux(&self, words: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("TMUX_TMPDIR", self.dir.path());
        command.args(["-u", "-f", "/dev/null", "-L", &self.name]).args(words);
        command
    }

    #[track_caller]
    pub(super) fn asked(&self, words: &[&str]) -> String {
        let output = self.tmux(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Presses keys, by tmux's names.
    pub(super) fn press(&self, keys: &[&str]) {
        self.asked(&[&["send-keys"], keys].concat());
    }

    pub(super) fn resize(&self, columns: usize, lines: usize) {
        self.asked(&["resize-window", "-x", &columns.to_string(), "-y", &lines.to_string()]);
    }

    /// The screen as it is.
    pub(super) fn shown(&self) -> String {
        self.asked(&["capture-pane", "-p"])
    }

    /// The screen with its colours.
    pub(super) fn styled(&self) -> String {
        self.asked(&["capture-pane", "-p", "-e"])
    }

    /// Waits until the screen is as it should be; it is given.
    #[track_caller]
    pub(super) fn until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually(what, || {
                last = self.shown();
                is_so(&last).then(|| last.clone())
            })
        }));
        found.unwrap_or_else(|_| panic!("{what}:\n{last}"))
    }

    /// The program has ended with this status and left the terminal as it was.
    #[track_caller]
    pub(super) fn assert_ended(&self, status: i32) -> String {
        let shown = self.until("the end", |screen| screen.contains("[ended "));
        assert!(shown.starts_with("before\n"), "{shown}");
        assert!(shown.contains(&format!("[ended {status} same]")), "{shown}");
        let state = self.asked(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"]);
        assert_eq!(state.trim(), "0 1", "alternate screen off, cursor shown");
        shown
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let ended = self.tmux(&["kill-server"]).status();
        if !thread::panicking() {
            assert!(ended.unwrap().success());
        }
    }
}
