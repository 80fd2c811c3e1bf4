//! The user part of the recorder: [`follow`] takes the calls that the kernel sampled, [`resolve`] finds out which module made
//! each, [`serve`] tells everybody what was recorded of his own processes.
//!
//! # Platform
//! Linux. This crate promises no API stability.

#![cfg(target_os = "linux")]

mod call;
pub mod follow;
pub mod resolve;
pub mod serve;
