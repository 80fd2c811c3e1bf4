//! What a call of the C ABI costs beside what it is made of: `cargo bench -p sockowner-capi --bench ratios`.
//!
//! Both sides of a ratio are measured in turns, so that what else a machine does meets them alike. Printed are the
//! ratio of the medians, and that of the fastest rounds in parentheses.
#![cfg_attr(target_os = "linux", expect(unsafe_code, reason = "calls the C ABI as a C program does"))]

#[cfg(target_os = "linux")]
mod abi;
#[cfg(target_os = "linux")]
#[path = "ratios/linux.rs"]
mod linux;

#[cfg(target_os = "linux")]
fn main() {
    linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("SKIPPED: it measures Linux alone");
}
