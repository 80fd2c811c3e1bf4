//! The testkit, proved on itself: each command does what it says, and nothing is left behind.
#![cfg_attr(
    target_os = "linux",
    expect(clippy::unwrap_used, reason = "a test; clippy.toml knows only those of libtest by themselves")
)]

#[cfg(target_os = "linux")]
#[path = "live_testkit/cleanup.rs"]
mod cleanup;
#[cfg(target_os = "linux")]
#[path = "live_testkit/disguises.rs"]
mod disguises;
#[cfg(target_os = "linux")]
#[path = "live_testkit/kin.rs"]
mod kin;
#[cfg(target_os = "linux")]
#[path = "live_testkit/load.rs"]
mod load;
#[cfg(target_os = "linux")]
#[path = "live_testkit/many.rs"]
mod many;
#[cfg(target_os = "linux")]
#[path = "live_testkit/scenarios.rs"]
mod scenarios;
#[cfg(target_os = "linux")]
#[path = "live_testkit/seccomp.rs"]
mod seccomp;
#[cfg(target_os = "linux")]
#[path = "live_testkit/seen.rs"]
mod seen;
#[cfg(target_os = "linux")]
#[path = "live_testkit/sockets.rs"]
mod sockets;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    sockowner_testkit::main_prelude(scenarios::TABLE);
    seen::silence_expected_panics();
    if std::env::args().nth(1).as_deref() == Some(cleanup::ABANDON) {
        cleanup::abandon();
    }
    if std::env::args().nth(1).as_deref() == Some(seccomp::TELL) {
        seccomp::tell();
    }
    let mut trials = sockets::trials();
    trials.extend(kin::trials());
    trials.extend(disguises::trials());
    trials.extend(scenarios::trials());
    trials.extend(cleanup::trials());
    trials.extend(seccomp::trials());
    trials.extend(load::trials());
    trials.extend(many::trials());
    sockowner_testkit::run(trials)
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("SKIPPED live_testkit: the testkit is for Linux");
}
