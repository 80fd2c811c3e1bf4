//! The structures of `sockowner.h`, member for member. `tests/live_contract/layout.rs` compares their sizes and offsets
//! with those that `tests/c/layout_print.c` prints of the header's.

use std::ffi::{c_char, c_int};

/// `SOCKOWNER_NO_UID`.
pub(super) const NO_UID: u32 = u32::MAX;
/// `SOCKOWNER_NO_OFFSET`.
pub(super) const NO_OFFSET: u64 = u64::MAX;
/// `SOCKOWNER_LISTENING`.
pub(super) const LISTENING: u32 = 1;
/// `SOCKOWNER_NO_OWNERS`.
pub(super) const NO_OWNERS: u32 = 2;

pub(super) const OK: c_int = 0;
pub(super) const INVALID_INPUT: c_int = -1;
pub(super) const NOT_PERMITTED: c_int = -2;
pub(super) const UNSUPPORTED: c_int = -3;
pub(super) const NOT_FOUND: c_int = -4;
pub(super) const CHANGED: c_int = -5;
pub(super) const MALFORMED: c_int = -6;
pub(super) const SYSTEM: c_int = -7;
pub(super) const INTERNAL: c_int = -8;

type Text = *const c_char;

/// `sockowner_filter`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Filter {
    pub(super) size: usize,
    pub(super) protocol: Text,
    pub(super) family: Text,
    pub(super) state: Text,
    pub(super) user: Text,
    pub(super) unit: Text,
    pub(super) container: Text,
    pub(super) executable: Text,
    pub(super) pid: u32,
    pub(super) flags: u32,
    pub(super) reserved: [u64; 4],
}

/// `sockowner_service`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Service {
    pub(super) size: usize,
    pub(super) name: Text,
    pub(super) kind: Text,
    pub(super) manager: Text,
    pub(super) uid: u32,
    pub(super) reserved32: u32,
    pub(super) reserved: [u64; 2],
}

/// `sockowner_container`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Container {
    pub(super) size: usize,
    pub(super) runtime: Text,
    pub(super) id: Text,
    pub(super) pod: Text,
    pub(super) manager: Text,
    pub(super) nested_count: usize,
    pub(super) nested: *const *const Container,
    pub(super) reserved: [u64; 2],
}

/// `sockowner_process`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Process {
    pub(super) size: usize,
    pub(super) name: Text,
    pub(super) comm: Text,
    pub(super) path: Text,
    pub(super) user: Text,
    pub(super) service: *const Service,
    pub(super) container: *const Container,
    pub(super) start_ticks: u64,
    pub(super) start_time: i64,
    pub(super) exe_device: u64,
    pub(super) exe_inode: u64,
    pub(super) pid: u32,
    pub(super) uid: u32,
    pub(super) path_verified: u32,
    pub(super) exited: u32,
    pub(super) reserved: [u64; 4],
}

/// `sockowner_holder`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Holder {
    pub(super) size: usize,
    pub(super) process: *const Process,
    pub(super) tid: u32,
    pub(super) fd: i32,
    pub(super) reserved: [u64; 2],
}

/// `sockowner_candidate`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Candidate {
    pub(super) size: usize,
    pub(super) process: *const Process,
    pub(super) evidence: Text,
    pub(super) reserved: [u64; 2],
}

/// `sockowner_frame`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Frame {
    pub(super) size: usize,
    pub(super) name: Text,
    pub(super) path: Text,
    pub(super) build_id: Text,
    pub(super) offset: u64,
    pub(super) reserved: [u64; 2],
}

/// `sockowner_component`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Component {
    pub(super) size: usize,
    pub(super) name: Text,
    pub(super) path: Text,
    pub(super) build_id: Text,
    pub(super) offset: u64,
    pub(super) evidence: Text,
    pub(super) frame_count: usize,
    pub(super) frames: *const *const Frame,
    pub(super) generated: u32,
    pub(super) reserved32: u32,
    pub(super) reserved: [u64; 4],
}

/// `sockowner_role`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Role {
    pub(super) size: usize,
    pub(super) name: Text,
    pub(super) comm: Text,
    pub(super) path: Text,
    pub(super) evidence: Text,
    pub(super) service: *const Service,
    pub(super) container: *const Container,
    pub(super) component: *const Component,
    pub(super) start_ticks: u64,
    pub(super) start_time: i64,
    pub(super) time: i64,
    pub(super) exe_device: u64,
    pub(super) exe_inode: u64,
    pub(super) cgroup_id: u64,
    pub(super) pid: u32,
    pub(super) tid: u32,
    pub(super) uid: u32,
    pub(super) implicit: u32,
    pub(super) deleted: u32,
    pub(super) kernel_thread: u32,
    pub(super) reserved: [u64; 4],
}

/// `sockowner_roles`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Roles {
    pub(super) size: usize,
    pub(super) creator: *const Role,
    pub(super) binder: *const Role,
    pub(super) listener: *const Role,
    pub(super) acceptor: *const Role,
    pub(super) creator_reason: Text,
    pub(super) binder_reason: Text,
    pub(super) listener_reason: Text,
    pub(super) acceptor_reason: Text,
    pub(super) reserved: [u64; 4],
}

/// `sockowner_endpoint`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Endpoint {
    pub(super) size: usize,
    pub(super) protocol: Text,
    pub(super) family: Text,
    pub(super) state: Text,
    pub(super) local_address: Text,
    pub(super) remote_address: Text,
    pub(super) local_bytes: [u8; 16],
    pub(super) remote_bytes: [u8; 16],
    pub(super) local_scope: u32,
    pub(super) remote_scope: u32,
    pub(super) local_port: u16,
    pub(super) remote_port: u16,
    pub(super) uid: u32,
    pub(super) netns: u64,
    pub(super) inode: u64,
    pub(super) cookie: u64,
    pub(super) cgroup_id: u64,
    pub(super) cgroup_path: Text,
    pub(super) user: Text,
    pub(super) service: *const Service,
    pub(super) container: *const Container,
    pub(super) owner: *const Process,
    pub(super) evidence: Text,
    pub(super) reason: Text,
    pub(super) matched: Text,
    pub(super) holder_count: usize,
    pub(super) holders: *const *const Holder,
    pub(super) candidate_count: usize,
    pub(super) candidates: *const *const Candidate,
    pub(super) created_at: i64,
    pub(super) changed: u32,
    pub(super) reserved32: u32,
    pub(super) roles: *const Roles,
    pub(super) closed_at: i64,
    pub(super) reserved: [u64; 6],
}

/// `sockowner_gap`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Gap {
    pub(super) size: usize,
    pub(super) source: Text,
    pub(super) object: Text,
    pub(super) reason: Text,
    pub(super) count: u64,
    pub(super) reserved: [u64; 2],
}

/// `sockowner_result`.
#[derive(Debug)]
#[repr(C)]
pub struct Answer {
    pub(super) size: usize,
    pub(super) endpoint_count: usize,
    pub(super) endpoints: *const *const Endpoint,
    pub(super) gap_count: usize,
    pub(super) gaps: *const *const Gap,
    pub(super) reserved: [u64; 4],
}
