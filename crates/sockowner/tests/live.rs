//! The library against the running kernel: real processes with real sockets, in namespaces of their own.
#![cfg_attr(
    target_os = "linux",
    expect(clippy::unwrap_used, reason = "a test; clippy.toml knows only those of libtest by themselves")
)]

#[cfg(target_os = "linux")]
mod live {
    #[macro_use]
    mod stage;

    mod ask;
    mod cgroups;
    mod filters;
    mod holders;
    mod kinship;
    mod listeners;
    mod modules;
    mod names;
    mod namespaces;
    mod oracle;
    mod privileges;
    mod races;
    mod seen;
    mod states;
    mod unaccepted;
    mod zones;

    pub(crate) fn main() -> std::process::ExitCode {
        stage::run(&[
            listeners::TESTS,
            holders::TESTS,
            kinship::TESTS,
            states::TESTS,
            unaccepted::TESTS,
            cgroups::TESTS,
            privileges::TESTS,
            names::TESTS,
            modules::TESTS,
            namespaces::TESTS,
            zones::TESTS,
            filters::TESTS,
            races::TESTS,
            oracle::TESTS,
        ])
    }
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    live::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("SKIPPED live: the library has no backend but Linux's");
}
