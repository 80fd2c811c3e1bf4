//! A file system whose server can stop answering.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::UnshareFlags;
use sockowner_testkit::Requirement;

pub(super) const FUSE: Requirement = Requirement::Custom("fuse", || {
    File::options().read(true).write(true).open("/dev/fuse").map(drop).map_err(|error| error.to_string())
});

/// The name of its only file.
pub(super) const NAME: &str = "served.so";

const ROOT: u64 = 1;
const FILE: u64 = 2;

/// A mounted file system with one file; it ends with the mount namespace of the test's thread.
#[derive(Debug)]
pub(super) struct Fuse {
    /// While this is so, requests are taken and never answered.
    pub(super) is_silent: Arc<AtomicBool>,
}

impl Fuse {
    /// Mounts it at `place`, for this thread and those that it starts from now on.
    pub(super) fn mount(place: &Path, content: Vec<u8>) -> Self {
        // SAFETY: only the mount namespace ceases to be shared.
        #[expect(unsafe_code, reason = "unshare of namespaces has no safe wrapper")]
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }.expect("a mount namespace");
        mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)
            .expect("a private one");
        let device = File::options().read(true).write(true).open("/dev/fuse").expect("/dev/fuse");
        let data = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", device.as_raw_fd());
        let data = std::ffi::CString::new(data).unwrap();
        mount("served", place, "fuse", MountFlags::empty(), Some(data.as_c_str())).expect("mount");
        let is_silent = Arc::new(AtomicBool::new(false));
        let silent = Arc::clone(&is_silent);
        // It ends when the file system is unmounted, which is with the namespace.
        std::thread::spawn(move || serve(device, &content, &silent));
        Self { is_silent }
    }
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().unwrap()
}

/// `struct fuse_attr`
fn attributes(node: u64, size: usize) -> Vec<u8> {
    let mode: u32 = if node == ROOT { 0o040_755 } else { 0o100_755 };
    let mut bytes = [node, size as u64, 1, 0, 0, 0].map(u64::to_le_bytes).concat();
    bytes.extend([0, 0, 0, mode, 1, 0, 0, 0, 4096, 0].map(u32::to_le_bytes).concat());
    bytes
}

fn serve(mut device: File, content: &[u8], is_silent: &AtomicBool) {
    const ENOENT: i32 = 2;
    const ENOSYS: i32 = 38;
    /// In seconds: nobody asks again.
    const VALID: u64 = 1 << 20;
    let mut request = vec![0; 1 << 20];
    while let Ok(len) = device.read(&mut request) {
        let request = &request[..len];
        let (operation, unique, node) = (
            u32::from_le_bytes(number(request, 4)),
            number::<8>(request, 8),
            u64::from_le_bytes(number(request, 16)),
        );
        let body = &request[40..];
        let answer = match operation {
            // FORGET, INTERRUPT, BATCH_FORGET: nobody waits.
            2 | 36 | 42 => continue,
            _ if is_silent.load(Ordering::SeqCst) => continue,
            // INIT: version 7.31, and how much may be written.
            26 => {
                let mut out = [7_u32, 31, 1 << 17, 0].map(u32::to_le_bytes).concat();
                out.extend([0, 0, 0, 0, 0, 0x10, 0, 0]);
                out.resize(64, 0);
                Ok(out)
            }
            // LOOKUP
            1 if node == ROOT && body.strip_suffix(&[0]) == Some(NAME.as_bytes()) => {
                let mut out = [FILE, 0, VALID, VALID, 0].map(u64::to_le_bytes).concat();
                out.extend(attributes(FILE, content.len()));
                Ok(out)
            }
            1 => Err(ENOENT),
            // GETATTR
            3 => {
                let mut out = [VALID, 0].map(u64::to_le_bytes).concat();
                out.extend(attributes(node, content.len()));
                Ok(out)
            }
            // OPEN; FLUSH, RELEASE
            14 => Ok(vec![0; 16]),
            25 | 18 => Ok(Vec::new()),
            // READ
            15 => {
                let offset = usize::try_from(u64::from_le_bytes(number(body, 8))).unwrap();
                let size = u32::from_le_bytes(number(body, 16)) as usize;
                let rest = content.get(offset..).unwrap_or_default();
                Ok(rest[..rest.len().min(size)].to_vec())
            }
            _ => Err(ENOSYS),
        };
        let (error, out) = answer.map_or_else(|error| (-error, Vec::new()), |out| (0, out));
        let len = u32::try_from(16 + out.len()).unwrap();
        let whole = [&len.to_le_bytes()[..], &error.to_le_bytes(), &unique, &out].concat();
        // An interrupted request is gone.
        let _ = device.write_all(&whole);
    }
}
