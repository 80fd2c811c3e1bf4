//! From the kernel's samples to the components in the record: processes that load and unload while they are followed. Each
//! test is alone in a mount namespace of its own, in which the recorder's pins are.
#![cfg_attr(
    all(target_os = "linux", target_arch = "x86_64"),
    expect(clippy::unwrap_used, reason = "a test; clippy.toml knows only those of libtest by themselves")
)]

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[macro_use(tests)]
extern crate sockowner_testkit;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod live_follow {
    mod plugins;
    #[path = "../../../sockowner-component/tests/live_component/workshop.rs"]
    #[expect(dead_code, reason = "the other suite has more programs")]
    mod workshop;

    use std::process::ExitCode;

    pub(crate) fn main() -> ExitCode {
        // The children are this program again.
        match std::env::args().nth(1).as_deref() {
            Some("opener") => sockowner_record::resolve::opener(),
            Some("parser") => sockowner_record::resolve::parser(),
            _ => sockowner_testkit::stage::run_in_turn(&[], &[plugins::TESTS]),
        }
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn main() -> std::process::ExitCode {
    live_follow::main()
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn main() {
    eprintln!("SKIPPED live_follow: components are told on Linux for x86-64");
}
