//! The bridge from Windows programs under Wine to Linux: who owns the sockets of native programs?
//!
//! Two halves of one name, built from this crate: `sockowner_bridge.dll` for Windows, which a Windows program loads, and
//! `sockowner_bridge.so` for Linux, which Wine loads into the same process, as it does for its own libraries. The first
//! takes a letter to the second, which has the `sockowner` library of Linux answer it.
//!
//! How Wine joins the halves is its private matter. So nothing depends on it: whatever fails, there is no bridge.

#[cfg(target_os = "linux")]
mod answer;
#[cfg(target_os = "linux")]
pub mod unix;
#[cfg(windows)]
pub mod windows;
