//! The same tests, owners from BPF iterators wherever the one who asks may have them.
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
const SOURCE: sockowner::Source = sockowner::Source::Bpf;

#[cfg(target_os = "linux")]
fn loads() -> Result<(), String> {
    let open = sockowner::Query::builder().source(sockowner::Source::Bpf).open();
    let loaded = open.map(drop).map_err(|error| format!("{error:#}"));
    // Who lacks a right is told EPERM; EACCES is the verifier's word for a program that it does not believe.
    if let Err(why) = &loaded {
        assert!(!why.contains("load the BPF iterators: Permission denied"), "a program is wrong: {why}");
    }
    loaded
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    live::main(&[sockowner_testkit::Requirement::Custom("BPF iterators", loads)])
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("SKIPPED live: the library has no backend but Linux's");
}
