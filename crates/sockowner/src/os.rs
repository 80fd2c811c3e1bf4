//! What one operating system alone has.

/// Linux.
#[cfg(target_os = "linux")]
pub mod linux {
    /// Sharing the BPF iterators with those who may not load them: what `sockowner share` does.
    pub mod share {
        pub use crate::sys::linux::share::{Shared, disable, enable, group_name, status};
    }
}
