//! `sockowner watch` on a terminal, which is tmux's: keys in, screen out.
#![cfg_attr(
    target_os = "linux",
    expect(clippy::unwrap_used, reason = "a test; clippy.toml knows only those of libtest by themselves")
)]

#[cfg(target_os = "linux")]
#[macro_use(tests)]
extern crate sockowner_testkit;

#[cfg(target_os = "linux")]
mod live_watch {
    mod ended;
    mod guide;
    mod picture;
    mod screen;
    mod seen;

    pub(crate) fn main() -> std::process::ExitCode {
        sockowner_testkit::stage::run_in_turn(&[], &[seen::TESTS, ended::TESTS, guide::TESTS, picture::TESTS])
    }
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    live_watch::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("SKIPPED live_watch: the terminal of these tests is tmux's");
}
