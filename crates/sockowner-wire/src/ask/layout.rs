//! The fixed parts of an answer's pieces.

use zerocopy::little_endian::{I64, U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Status, VERSION};

pub(super) const MAGIC: [u8; 4] = *b"sowa";
pub(super) const SEES_ALL: u32 = 1;
pub(super) const NO_COMPONENT: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Head {
    pub(super) magic: [u8; 4],
    pub(super) version: U16,
    pub(super) status: U16,
    pub(super) flags: U32,
    pub(super) namespace: U32,
    /// 0: there are no more.
    pub(super) more_closed: U64,
    pub(super) more_cookie: U64,
    pub(super) processes: U32,
    pub(super) components: U32,
    pub(super) sockets: U32,
}

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct ProcessFixed {
    pub(super) pid: U32,
    pub(super) users: [U32; 3],
    pub(super) start: U64,
    pub(super) start_ticks: U64,
    pub(super) start_time: I64,
    pub(super) seen: U64,
    pub(super) cgroup: U64,
    pub(super) device: U64,
    pub(super) inode: U64,
    pub(super) flags: U16,
    pub(super) comm: U16,
    pub(super) name: U16,
    pub(super) path: U16,
}

pub(super) const DUMPABLE: u16 = 1;
pub(super) const DELETED: u16 = 2;
pub(super) const KERNEL_THREAD: u16 = 4;
pub(super) const HAS_FILE: u16 = 8;
pub(super) const HAS_PATH: u16 = 16;

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct ComponentFixed {
    pub(super) evidence: u8,
    pub(super) flags: u8,
    pub(super) frames: U16,
}

pub(super) const GENERATED: u8 = 1;
pub(super) const HAS_OFFSET: u8 = 2;

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct FrameFixed {
    pub(super) offset: U64,
    pub(super) flags: U16,
    pub(super) name: U16,
    pub(super) path: U16,
    pub(super) build_id: U16,
}

pub(super) const FRAME_HAS_PATH: u16 = 1;
pub(super) const FRAME_HAS_BUILD_ID: u16 = 2;

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct SocketFixed {
    pub(super) cookie: U64,
    pub(super) netns: U64,
    pub(super) created: I64,
    pub(super) closed: I64,
    pub(super) cgroup: U64,
    pub(super) local: [u8; 16],
    pub(super) remote: [u8; 16],
    pub(super) local_port: U16,
    pub(super) remote_port: U16,
    /// 0 without an endpoint.
    pub(super) local_family: u8,
    /// 0 without a peer.
    pub(super) remote_family: u8,
    pub(super) protocol: u8,
    /// A bit for each role in which somebody is named.
    pub(super) named: u8,
    pub(super) reasons: [u8; 4],
}

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct RoleFixed {
    pub(super) process: U32,
    pub(super) component: U32,
    pub(super) tid: U32,
    pub(super) evidence: u8,
    pub(super) implicit: u8,
    pub(super) zero: U16,
    pub(super) time: I64,
}

impl Head {
    pub(super) fn new(status: Status) -> Self {
        let status: u16 = match status {
            Status::Answered => 0,
            Status::NothingRecorded => 1,
            Status::Failed => 2,
            Status::OtherVersion => 3,
        };
        Self { magic: MAGIC, version: VERSION.into(), status: status.into(), ..Self::new_zeroed() }
    }
}
