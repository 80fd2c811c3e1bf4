//! The resolver with real children and real samples: right modules, whatever the processes and their files do; children that
//! are stopped or killed; what rights they have, and what they remember.
#![cfg_attr(
    all(target_os = "linux", target_arch = "x86_64"),
    expect(clippy::unwrap_used, reason = "a test; clippy.toml knows only those of libtest by themselves")
)]

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[macro_use(tests)]
extern crate sockowner_testkit;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod live_resolve {
    mod case;
    mod components;
    mod cost;
    mod daemon;
    #[path = "../../../sockowner-component/tests/live_component/expected.rs"]
    #[expect(dead_code, reason = "what is told with memory, and not asked here")]
    mod expected;
    mod fuse;
    mod hostile;
    mod rights;
    #[path = "../../../sockowner-component/tests/live_component/runtimes.rs"]
    mod runtimes;
    mod stuck;
    #[path = "../../../sockowner-component/tests/live_component/tails.rs"]
    mod tails;
    #[path = "../../../sockowner-component/tests/live_component/tracer.rs"]
    mod tracer;
    #[path = "../../../sockowner-component/tests/live_component/workshop.rs"]
    #[expect(dead_code, reason = "the other suite has more programs")]
    mod workshop;

    use std::process::ExitCode;

    use sockowner_testkit::stage::Suite;

    pub(crate) fn main() -> ExitCode {
        // The children are this program again.
        match std::env::args().nth(1).as_deref() {
            Some("opener") => sockowner_record::resolve::opener(),
            Some("parser") => sockowner_record::resolve::parser(),
            _ => {
                let tables = [components::TESTS, hostile::TESTS, stuck::TESTS, rights::TESTS, cost::TESTS];
                let mut trials = Suite::new(&tables).trials(&[]);
                trials.extend(tails::trials());
                trials.extend(runtimes::trials());
                sockowner_testkit::run(trials)
            }
        }
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn main() -> std::process::ExitCode {
    live_resolve::main()
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn main() {
    eprintln!("SKIPPED live_resolve: components are told on Linux for x86-64");
}
