//! The library under Wine: sockets of real Windows programs, which its tables leave without an owner.
#![cfg_attr(
    windows,
    expect(clippy::unwrap_used, reason = "a test; clippy.toml knows only those of libtest by themselves")
)]

#[cfg(windows)]
#[path = "wine/mod.rs"]
mod wine;

#[cfg(windows)]
fn main() -> std::process::ExitCode {
    wine::main()
}

/// Made for Windows alone: there is nothing to test here.
#[cfg(not(windows))]
fn main() -> std::process::ExitCode {
    libtest_mimic::run(&libtest_mimic::Arguments::from_args(), Vec::new()).exit_code()
}
