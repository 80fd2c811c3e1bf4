//! `sockowner-bench`: sockowner and its peers, in turn, on one load that is known in full. `cargo xtask bench` builds
//! and starts it.

#[cfg(target_os = "linux")]
mod bench;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    bench::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("SKIPPED bench: it is for Linux");
}
