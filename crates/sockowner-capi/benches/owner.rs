//! What a call of the C ABI takes: `cargo bench -p sockowner-capi`. For ratios, see `ratios.rs`.
//!
//! `row/call` is the price of one owner, beside `row/bare`, what nobody can do without. `table/pair` is that of the
//! two-call dance, `table/size` and `table/fill` of its calls, `table/library` of the snapshot they are made of.
#![cfg_attr(target_os = "linux", expect(unsafe_code, reason = "calls the C ABI as a C program does"))]

#[cfg(target_os = "linux")]
mod abi;
#[cfg(target_os = "linux")]
#[path = "owner/linux.rs"]
mod linux;

#[cfg(target_os = "linux")]
fn main() {
    linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("SKIPPED: it measures Linux alone");
}
