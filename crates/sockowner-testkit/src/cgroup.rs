//! Control groups at the literal paths that a test is about, made for it and removed after it.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, XattrFlags, flock, getxattr, setxattr};

use crate::wait::{PATIENCE, poll};

/// On each directory that this module made: tells ours from the host's, across processes and crashed runs.
const MARK: &str = "user.sockowner-testkit";
/// Another test that uses the same path may take its time.
const TURN: Duration = Duration::from_secs(120);

/// A cgroup of the cgroup2 hierarchy (unified or hybrid), with the parents it needed. What was made is removed on
/// drop, so declare it *before* the actors that live in it: they are dropped, and thereby killed, first.
///
/// Tests that want the same path at the same time, in whatever process, take turns.
#[derive(Debug)]
pub struct Scratch {
    mount: PathBuf,
    dir: PathBuf,
    path: String,
    id: u64,
    /// The directory, locked: nobody else uses it while this lives.
    _turn: File,
}

impl Scratch {
    /// Makes the cgroup at `path`, counted from the mount's root: `/system.slice/example.service`.
    ///
    /// # Panics
    ///
    /// When that fails, or when there is such a cgroup already and it is not a test's.
    #[track_caller]
    pub fn new(path: &str) -> Self {
        match Self::try_new(path) {
            Ok(scratch) => scratch,
            Err(error) => panic!("make the cgroup {path}: {error}"),
        }
    }

    /// As [`new`](Self::new), without the panic.
    pub fn try_new(path: &str) -> Result<Self, String> {
        Self::try_within(path, PATIENCE)
    }

    /// As [`try_new`](Self::try_new). What is there without being a test's is the host's after so much time: before that,
    /// another test may be making it.
    pub fn try_within(path: &str, settled: Duration) -> Result<Self, String> {
        let mount = mount_point()?;
        let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
        if parts.is_empty() || parts.iter().any(|part| matches!(*part, "." | "..")) {
            return Err(String::from("not a path below the root"));
        }
        let path = format!("/{}", parts.join("/"));
        let dir = mount.join(&path[1..]);
        let turn = poll(TURN, || take_turn(&mount, &dir, settled).transpose());
        let turn = turn.ok_or("another test keeps it")??;
        let id = turn.metadata().map_err(|error| error.to_string())?.ino();
        let scratch = Self { mount, dir, path, id, _turn: turn };
        match scratch.procs() {
            left if left.is_empty() => Ok(scratch),
            left => Err(format!("a crashed test left processes in it: {left:?}")),
        }
    }

    /// The path in the hierarchy, as the last field of `/proc/PID/cgroup` shows it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The directory in the file system.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The cgroup's id: the inode number of its directory.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The processes in it, by number.
    ///
    /// # Panics
    ///
    /// When the list cannot be read.
    pub fn procs(&self) -> Vec<u32> {
        let file = self.dir().join("cgroup.procs");
        match fs::read_to_string(&file) {
            Ok(text) => text.lines().filter_map(|line| line.parse().ok()).collect(),
            Err(error) => panic!("read {}: {error}", file.display()),
        }
    }

    /// Moves a process into it.
    ///
    /// # Panics
    ///
    /// When the kernel refuses.
    #[track_caller]
    pub fn move_in(&self, pid: u32) {
        if let Err(error) = fs::write(self.dir().join("cgroup.procs"), pid.to_string()) {
            panic!("move pid {pid} into {}: {error}", self.path);
        }
    }
}

impl AsRef<Path> for Scratch {
    fn as_ref(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let dir = &self.dir;
        // A process that was killed leaves its cgroup a moment after it was reaped.
        let mut last = None;
        let removed = poll(PATIENCE, || match fs::remove_dir(dir) {
            Ok(()) => Some(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(()),
            Err(error) => {
                last = Some(error);
                None
            }
        });
        if removed.is_none() {
            let why = last.map_or_else(String::new, |error| error.to_string());
            let message = format!("remove the cgroup {}: {why}; processes: {:?}", self.path, self.procs());
            if thread::panicking() {
                eprintln!("{message}");
                return;
            }
            panic!("{message}");
        }
        // A parent that is in use by another test refuses: then that test removes it.
        let parents = dir.ancestors().skip(1).take_while(|parent| **parent != self.mount);
        for parent in parents {
            if !is_marked(parent) || fs::remove_dir(parent).is_err() {
                break;
            }
        }
    }
}

/// Whether cgroups can be made here, else why not.
pub fn supported() -> Result<(), String> {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    ANSWER
        .get_or_init(|| {
            let path = format!("/sockowner-testkit-probe-{}", process::id());
            Scratch::try_new(&path).map(drop).map_err(|error| format!("no cgroup can be made: {error}"))
        })
        .clone()
}

/// Where the cgroup2 hierarchy is mounted: `/sys/fs/cgroup`, or beside the version 1 hierarchies.
pub fn mount_point() -> Result<PathBuf, String> {
    let text =
        fs::read("/proc/self/mountinfo").map_err(|error| format!("read /proc/self/mountinfo: {error}"))?;
    // "31 23 0:28 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw"; the optional fields before
    // the dash vary in number. No mount point of this kind has a character that the kernel would escape.
    let mounts =
        text.split(|byte| *byte == b'\n').map(|line| line.split(|byte| *byte == b' ').collect::<Vec<_>>());
    for fields in mounts {
        let kind = fields.iter().skip_while(|field| **field != b"-").nth(1);
        if let (Some(&b"cgroup2"), Some(point)) = (kind, fields.get(4)) {
            return Ok(PathBuf::from(std::ffi::OsStr::from_bytes(point)));
        }
    }
    Err(String::from("no cgroup2 hierarchy is mounted"))
}

/// Makes `dir` and its parents and locks it. `None`: it is another test's at the moment.
fn take_turn(mount: &Path, dir: &Path, settled: Duration) -> Result<Option<File>, String> {
    let mut missing: Vec<_> = dir.ancestors().take_while(|ancestor| *ancestor != mount).collect();
    missing.reverse();
    for part in missing {
        match fs::create_dir(part) {
            Ok(()) => setxattr(part, MARK, b"1", XattrFlags::empty())
                .map_err(|error| format!("mark {}: {error}", part.display()))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            // Another test has just removed the parent that they shared.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("make {}: {error}", part.display())),
        }
    }
    let Ok(handle) = File::open(dir) else {
        return Ok(None);
    };
    if !is_marked(dir) {
        // Either the host's, or made by another test this very moment, which will mark it or remove it.
        let settled = poll(settled, || (is_marked(dir) || !dir.exists()).then_some(()));
        return settled.map(|()| None).ok_or_else(|| String::from("it exists and is not a test's"));
    }
    if flock(&handle, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(None);
    }
    // The one who had the lock removed the directory: what was locked is no longer at the path.
    let inode = |metadata: io::Result<fs::Metadata>| metadata.map(|metadata| metadata.ino()).ok();
    let current = inode(fs::metadata(dir)).is_some_and(|there| inode(handle.metadata()) == Some(there));
    Ok(current.then_some(handle))
}

fn is_marked(dir: &Path) -> bool {
    let mut value = [0; 8];
    getxattr(dir, MARK, value.as_mut_slice()).is_ok()
}
