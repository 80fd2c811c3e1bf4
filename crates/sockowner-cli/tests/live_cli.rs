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
    mod crowd;
    mod golden;
    mod listing;
    mod machine;
    mod names;
    mod oddities;
    mod pages;
    mod program;
    mod record;
    mod recorded;
    mod refusals;
    mod rights;
    mod seen;
    mod terminal;

    pub(crate) fn main() -> std::process::ExitCode {
        sockowner_testkit::stage::run(
            &[],
            &[
                listing::TESTS,
                pages::TESTS,
                oddities::TESTS,
                rights::TESTS,
                refusals::TESTS,
                names::TESTS,
                choice::TESTS,
                crowd::TESTS,
                record::TESTS,
                recorded::TESTS,
                terminal::TESTS,
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
