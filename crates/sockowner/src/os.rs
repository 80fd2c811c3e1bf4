//! What one operating system alone has.

/// Linux.
#[cfg(target_os = "linux")]
pub mod linux {
    /// The recorder: who created, bound, listened on and accepted each socket, noted by the kernel at the call, and when;
    /// also after the socket is gone.
    pub mod record {
        #[doc(hidden)]
        pub use crate::sys::linux::record::start_with;
        pub use crate::sys::linux::record::{
            CallSample, CallSite, HookState, Noted, Reader, SampledCall, SampledMapping, SampledMappings,
            SampledRegisters, Sampler, Started, Status, Store, Swept, Tender, start, status, stop, tend,
        };
        pub use crate::sys::linux::record_ask::{Closed, closed};
        #[doc(hidden)]
        pub use crate::sys::linux::record_told::{Asker, answer};
    }

    #[doc(hidden)]
    pub use crate::sys::linux::module::module_and_start;

    /// Asking about another network namespace: what `sockowner --netns` does.
    pub mod netns {
        pub use crate::sys::linux::namespaces::open;
    }

    /// Sharing the BPF iterators with those who may not load them: what `sockowner share` does.
    pub mod share {
        pub use crate::sys::linux::share::{Shared, disable, enable, group_name, status};
    }
}

/// Windows.
#[cfg(windows)]
pub mod windows {
    pub use crate::sys::windows::enable_debug_privilege;
}
