//! The contract of the C ABI on Windows, by Wine: the C programs of `tests/c` compiled by mingw with mingw's own
//! headers, linked with `sockowner.dll` and run.
//!
//! Run on the Linux host. `SOCKOWNER_WINDOWS_TARGET` is the directory with `sockowner.dll` and its import library
//! (`cargo build --release -p sockowner-capi --target x86_64-pc-windows-gnu`); without it, and without Wine or mingw,
//! all is skipped. `WINEPREFIX`, and `WINEDEBUG` and `WINEDLLOVERRIDES` where they are set, come from the environment.
//! `cargo xtask windows` sees to all of that.
#![cfg_attr(
    target_os = "linux",
    expect(clippy::unwrap_used, reason = "a test; clippy.toml knows only those of libtest by themselves")
)]

#[cfg(target_os = "linux")]
#[path = "live_contract/service.rs"]
mod service;
#[cfg(target_os = "linux")]
#[path = "live_contract/workshop.rs"]
#[expect(dead_code, reason = "shared with live_contract, which uses all of it")]
mod workshop;

#[cfg(target_os = "linux")]
mod wine_contract {
    mod checklist;
    mod layout;
    mod others;
    mod programs;
    mod proxy;
    mod same_source;
    mod surface;
    mod wine;

    use super::service::Apart;
    use super::workshop::Workshop;

    pub(crate) fn main() -> std::process::ExitCode {
        // Ends here where the command line is wrong, before there is anything to be left behind.
        let is_list = libtest_mimic::Arguments::from_args().list;
        let machine = wine::Machine::look();
        // What is to be run by Wine is compiled in it; the library of this system is for one trial.
        let workshop =
            machine.is_ok().then(|| if is_list { Workshop::of_a_scene() } else { Workshop::open() });
        // Wine's services have to stay outside: nobody ends them when this does.
        let machine = machine.and_then(wine::Machine::prepare);
        let apart = machine.is_ok().then(Apart::enter);
        let mut trials = programs::trials(&machine);
        trials.extend(layout::trials(&machine));
        trials.extend(surface::trials(&machine));
        trials.push(same_source::trial_of(&machine));
        trials.extend(others::trials(&machine));
        trials.extend(proxy::trials(&machine));
        trials.extend(checklist::trials(&machine, &trials));
        // Wine reads its tables in pieces: while others open and close sockets a row can be missing, or there twice.
        let code = sockowner_testkit::run_in_turn(trials);
        drop((apart, machine, workshop));
        code
    }
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    wine_contract::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("SKIPPED wine_contract: it runs on Linux, and has Wine run what is for Windows");
}
