//! The recorder against the running kernel. Each test that records is alone in a mount namespace of its own, in which the
//! recorder's pins are: however it ends, nothing of it stays in the kernel.
#![cfg_attr(
    target_os = "linux",
    expect(clippy::unwrap_used, reason = "a test; clippy.toml knows only those of libtest by themselves")
)]

#[cfg(target_os = "linux")]
#[macro_use(tests)]
extern crate sockowner_testkit;

#[cfg(target_os = "linux")]
#[path = "live_record/mod.rs"]
mod live_record;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    live_record::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("SKIPPED live_record: the library has no backend but Linux's");
}
