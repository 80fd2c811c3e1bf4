//! The library against the running kernel, owners from `/proc`: real processes with real sockets, in namespaces of their
//! own.
#![cfg_attr(
    target_os = "linux",
    expect(clippy::unwrap_used, reason = "a test; clippy.toml knows only those of libtest by themselves")
)]

#[cfg(target_os = "linux")]
#[macro_use(tests)]
extern crate sockowner_testkit;

#[cfg(target_os = "linux")]
#[path = "live/mod.rs"]
mod live;

/// Where owners come from.
#[cfg(target_os = "linux")]
const SOURCE: sockowner::Source = sockowner::Source::Proc;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    live::main(&[])
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("SKIPPED live: the library has no backend but Linux's");
}
