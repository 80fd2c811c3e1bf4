//! The program against the running kernel: what it says of real processes with real sockets, in namespaces of their
//! own.
#![cfg_attr(
    target_os = "linux",
    expect(clippy::unwrap_used, reason = "a test; clippy.toml knows only those of libtest by themselves")
)]

#[cfg(target_os = "linux")]
#[macro_use(tests)]
extern crate sockowner_testkit;

#[cfg(target_os = "linux")]
mod live_cli {
    mod choice;
    mod components;
    mod crowd;
    mod golden;
    mod guide;
    mod listing;
    mod machine;
    mod mptcp;
    mod names;
    mod namespaces;
    mod oddities;
    mod packaged;
    mod pages;
    mod program;
    mod record;
    mod recorded;
    mod refusals;
    mod rights;
    mod seen;
    mod terminal;
    #[path = "../schema/mod.rs"]
    mod validate;
    mod waiting;

    pub(crate) fn main() -> std::process::ExitCode {
        // Some record what the whole machine does.
        sockowner_testkit::stage::run_in_turn(
            &[],
            &[
                listing::TESTS,
                pages::TESTS,
                oddities::TESTS,
                rights::TESTS,
                refusals::TESTS,
                names::TESTS,
                namespaces::TESTS,
                mptcp::TESTS,
                waiting::TESTS,
                choice::TESTS,
                crowd::TESTS,
                record::TESTS,
                recorded::TESTS,
                terminal::TESTS,
                components::TESTS,
                packaged::TESTS,
                guide::TESTS,
            ],
        )
    }
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    live_cli::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("SKIPPED live_cli: the library has no backend but Linux's");
}
