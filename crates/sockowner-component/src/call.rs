//! The door to the OS: opens mapped files and reads memory, for a reader that may.

use std::fs::{File, Metadata, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::{Error, Identity, Mapping, Memory, Opened, Opener};

/// Opens files by the paths that the mappings have, and makes sure that they are the mapped ones.
///
/// Only regular files are opened at all: a path is looked at first (`O_PATH`), and has to have the mapping's device and
/// inode. On overlayfs and btrfs the kernel writes other numbers into `maps` than stat(2) tells; there, and for files
/// that have been deleted or replaced, only [`of_process`](Self::of_process) finds the file.
#[derive(Clone, Debug, Default)]
pub struct Files {
    root: Option<PathBuf>,
    map_files: Option<PathBuf>,
}

impl Files {
    /// By path, from the reader's root.
    pub fn new() -> Self {
        Self::default()
    }

    /// By path, below `root` (`/proc/PID/root`). The file found there is taken by nothing but its device and inode:
    /// a link in the path that leads out of `root` finds another file, or none.
    #[must_use]
    pub fn below(self, root: impl Into<PathBuf>) -> Self {
        Self { root: Some(root.into()), ..self }
    }

    /// First by `/proc/PID/map_files`, which leads to the mapped file itself, deleted or not.
    ///
    /// # Platform
    /// Linux 4.3; needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN, and the right to trace the process. Without, paths
    /// are taken. See [proc_pid_map_files(5)](https://man7.org/linux/man-pages/man5/proc_pid_map_files.5.html).
    #[must_use]
    pub fn of_process(self, pid: u32) -> Self {
        Self { map_files: Some(format!("/proc/{pid}/map_files").into()), ..self }
    }

    fn path(&self, path: &Path) -> PathBuf {
        match &self.root {
            Some(root) => root.join(path.strip_prefix("/").unwrap_or(path)),
            None => path.into(),
        }
    }
}

impl Opener for Files {
    fn open(&self, mapping: &Mapping) -> Result<Opened, Error> {
        if let Some(dir) = &self.map_files {
            let path = dir.join(format!("{:x}-{:x}", mapping.start, mapping.end));
            // The link is the mapping's own, so what it leads to needs no comparison.
            if let Ok(opened) = open(&path, |_| true) {
                return Ok(opened);
            }
        }
        let path = mapping.path.as_deref().ok_or(Error::Generated)?;
        let is_mapped = |metadata: &Metadata| {
            let device = metadata.dev();
            metadata.ino() == mapping.inode
                && (libc::major(device), libc::minor(device)) == (mapping.device.major, mapping.device.minor)
        };
        let mut named = path.as_os_str().to_owned();
        named.push(" (deleted)");
        let opened = open(&self.path(path), is_mapped);
        // A file may really be called so.
        match opened {
            Err(error) if mapping.deleted => open(&self.path(named.as_ref()), is_mapped).map_err(|_| error),
            opened => opened,
        }
    }
}

/// Opens `path` if it is a regular file, and the right one.
fn open(path: &Path, is_right: impl Fn(&Metadata) -> bool) -> Result<Opened, Error> {
    if path.as_os_str().as_bytes().contains(&0) {
        return Err(Error::Malformed("a path with a NUL"));
    }
    let found = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(path);
    let found = found.map_err(|error| Error::os("find", &error))?;
    // On the descriptor: what it is cannot change any more.
    let check = |metadata: &Metadata| {
        let kind = metadata.file_type();
        if kind.is_fifo() || kind.is_socket() || !kind.is_file() {
            Err(Error::NotRegular)
        } else if is_right(metadata) {
            Ok(())
        } else {
            Err(Error::OtherFile)
        }
    };
    let stat = |file: &File| file.metadata().map_err(|error| Error::os("examine", &error));
    check(&stat(&found)?)?;
    let path = format!("/proc/self/fd/{}", found.as_raw_fd());
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
    let file = file.map_err(|error| Error::os("open", &error))?;
    let metadata = stat(&file)?;
    check(&metadata)?;
    Ok(Opened { file: Box::new(file), identity: identity(&metadata) })
}

fn identity(metadata: &Metadata) -> Identity {
    Identity {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    }
}

/// Memory of a process that may be traced, by `/proc/PID/mem`.
#[derive(Debug)]
pub struct ProcessMemory(File);

impl ProcessMemory {
    /// Opens the memory of the process.
    ///
    /// # Platform
    /// Linux; needs the right to trace the process, but does not stop it.
    ///
    /// # Errors
    /// What opening `/proc/PID/mem` says.
    pub fn open(pid: u32) -> std::io::Result<Self> {
        File::open(format!("/proc/{pid}/mem")).map(Self)
    }
}

impl Memory for ProcessMemory {
    fn word(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, address).ok()?;
        Some(u64::from_le_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Device;

    fn mapping(path: &Path, metadata: &Metadata) -> Mapping {
        let device = Device { major: libc::major(metadata.dev()), minor: libc::minor(metadata.dev()) };
        Mapping {
            start: 0x1000,
            end: 0x2000,
            offset: 0,
            device,
            inode: metadata.ino(),
            path: Some(path.into()),
            deleted: false,
        }
    }

    #[test]
    fn only_the_mapped_regular_file_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let (file, other) = (dir.path().join("lib.so"), dir.path().join("other"));
        std::fs::write(&file, b"one").unwrap();
        std::fs::write(&other, b"two").unwrap();
        let mapped = mapping(&file, &file.metadata().unwrap());
        let opened = Files::new().open(&mapped).unwrap();
        assert_eq!(opened.identity.size, 3);
        let replaced = Mapping { path: Some(other.clone()), ..mapped.clone() };
        assert_eq!(Files::new().open(&replaced).unwrap_err(), Error::OtherFile);
        let foreign = Mapping { device: Device { major: 0, minor: 4711 }, ..mapped.clone() };
        assert_eq!(Files::new().open(&foreign).unwrap_err(), Error::OtherFile);
        let gone = Mapping { path: Some(dir.path().join("gone")), ..mapped.clone() };
        assert!(matches!(Files::new().open(&gone).unwrap_err(), Error::Os { .. }));
        let below = Mapping { path: Some("/lib.so".into()), ..mapped.clone() };
        assert!(Files::new().below(dir.path()).open(&below).is_ok());
        let nul = Mapping { path: Some("a\0b".into()), ..mapped };
        assert_eq!(Files::new().open(&nul).unwrap_err(), Error::Malformed("a path with a NUL"));
    }

    #[test]
    fn a_file_may_be_called_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("lib.so (deleted)");
        std::fs::write(&file, b"one").unwrap();
        let mut mapped = mapping(&dir.path().join("lib.so"), &file.metadata().unwrap());
        assert!(Files::new().open(&mapped).is_err());
        mapped.deleted = true;
        assert!(Files::new().open(&mapped).is_ok());
    }

    #[test]
    fn nothing_waits_at_a_fifo_and_no_device_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        let status = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
        assert!(status.success());
        for path in [fifo.as_path(), dir.path(), Path::new("/dev/null")] {
            let mapped = mapping(path, &path.metadata().unwrap());
            assert_eq!(Files::new().open(&mapped).unwrap_err(), Error::NotRegular, "{}", path.display());
        }
    }
}
