//! The contract of the C ABI, line by line: each number of its checklist (c01 to c52) is a test that bears it.
//!
//! Most are in C (`tests/c/contract.c`), run one by one and, compiled by every compiler there is, under sanitizers and
//! valgrind, as a whole. Here are those that need a stage: other users, cgroups, namespaces, ends of processes. Three
//! are unit tests, because nothing real provokes them: c34, c40 and c41. `SOCKOWNER_FULL=1` runs the long one at its
//! full length, `SOCKOWNER_BLESS=1` rewrites the files of `abi/`.
#![cfg_attr(
    target_os = "linux",
    expect(clippy::unwrap_used, reason = "a test; clippy.toml knows only those of libtest by themselves")
)]

#[cfg(target_os = "linux")]
#[macro_use(tests)]
extern crate sockowner_testkit;

#[cfg(target_os = "linux")]
mod live_contract {
    mod call;
    mod checklist;
    mod headers;
    mod install;
    mod layout;
    mod life;
    mod module_names;
    mod programs;
    mod recorded;
    mod row;
    mod service;
    mod surface;
    mod tables;
    mod workshop;

    pub(crate) fn main() -> std::process::ExitCode {
        let tables = [module_names::TESTS, life::TESTS, tables::TESTS, recorded::TESTS];
        let suite = sockowner_testkit::stage::Suite::new(&tables);
        // Ends here where the command line is wrong, before there is anything to be left behind.
        libtest_mimic::Arguments::from_args();
        let workshop = workshop::Workshop::open();
        let apart = service::Apart::enter();
        let mut trials = suite.trials(&[]);
        trials.extend(programs::trials());
        trials.extend(layout::trials());
        trials.extend(surface::trials());
        trials.extend(install::trials());
        trials.push(checklist::trial_of(&trials));
        let code = sockowner_testkit::run(trials);
        drop((apart, workshop));
        code
    }
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    live_contract::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("SKIPPED live_contract: the library has no backend but Linux's");
}
