//! What this program may do, as far as it decides which advice is good.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod windows;

#[cfg(target_os = "linux")]
pub(crate) use linux::Rights;
#[cfg(not(target_os = "linux"))]
pub(crate) use windows::Rights;
