//! The server against the running kernel. Each test is alone in a mount namespace of its own, in which the recorder's pins
//! and the socket are; who asks is another process, mostly another user's.
#![cfg_attr(
    target_os = "linux",
    expect(clippy::unwrap_used, reason = "a test; clippy.toml knows only those of libtest by themselves")
)]

#[cfg(target_os = "linux")]
#[macro_use(tests)]
extern crate sockowner_testkit;

#[cfg(target_os = "linux")]
#[path = "live_serve/mod.rs"]
mod live_serve;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    live_serve::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("SKIPPED live_serve: the recorder has no backend but Linux's");
}
