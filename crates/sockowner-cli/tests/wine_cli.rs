//! The program for Windows under Wine, asked from Linux: of sockets of Windows programs and of native ones.
//!
//! Started by `cargo xtask windows`, which builds the program and makes the prefix; else everything here is skipped.
#![cfg_attr(
    target_os = "linux",
    expect(clippy::unwrap_used, reason = "a test; clippy.toml knows only those of libtest by themselves")
)]

#[cfg(target_os = "linux")]
#[macro_use(tests)]
extern crate sockowner_testkit;

#[cfg(target_os = "linux")]
mod wine_cli {
    mod behaviour;
    mod owners;
    mod program;

    pub(crate) fn main() -> std::process::ExitCode {
        let wine = sockowner_testkit::Requirement::Custom("wine", program::supported);
        // Wine reads its tables in pieces: while others open and close sockets a row can be missing, or there twice.
        sockowner_testkit::stage::run_in_turn(&[wine], &[owners::TESTS, behaviour::TESTS])
    }
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    wine_cli::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("SKIPPED wine_cli: it asks from Linux");
}
