//! Real programs, stopped where their socket calls enter the kernel: which module made the call?
//!
//! The programs are compiled here, or are the runtimes that this machine has. Each sample is resolved twice: with the
//! process's memory, and from its files alone. At the end stands how often the answer was right, for each call and
//! grade; a wrong answer of grade `cfi` fails the run.
#![cfg_attr(
    all(target_os = "linux", target_arch = "x86_64"),
    expect(clippy::unwrap_used, reason = "a test; clippy.toml knows only those of libtest by themselves")
)]

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod live_component {
    mod case;
    mod elf;
    mod expected;
    mod hostile;
    mod libraries;
    mod programs;
    mod runtimes;
    mod score;
    mod tails;
    mod tracer;
    mod workshop;

    pub(crate) fn main() -> std::process::ExitCode {
        let mut trials = libraries::trials();
        trials.extend(tails::trials());
        trials.extend(programs::trials());
        trials.extend(runtimes::trials());
        trials.extend(hostile::trials());
        let code = sockowner_testkit::run(trials);
        if score::is_clean() { code } else { std::process::ExitCode::FAILURE }
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn main() -> std::process::ExitCode {
    live_component::main()
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn main() {
    eprintln!("SKIPPED live_component: components are told on Linux for x86-64");
}
