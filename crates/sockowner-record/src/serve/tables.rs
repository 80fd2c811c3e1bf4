//! The recorder's tables: opened when there are some, anew when there are others.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use sockowner::os::linux::record::Reader;

const TABLES: &str = "/run/sockowner/record/maps";

/// What is open, if anything.
#[derive(Debug, Default)]
pub(super) struct Tables(Option<Open>);

#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) reader: Arc<Reader>,
    /// Whose members may read them.
    pub(super) group: u32,
    /// Device and inode number of their directory: each recorder has a file system of its own.
    directory: (u64, u64),
}

impl Tables {
    /// `None`: nothing is recorded.
    pub(super) fn open(&mut self) -> io::Result<Option<Open>> {
        let stat = match fs::metadata(TABLES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.0 = None;
                return Ok(None);
            }
            other => other?,
        };
        let directory = (stat.dev(), stat.ino());
        if let Some(open) = self.0.as_mut().filter(|open| open.directory == directory) {
            open.group = stat.gid();
            return Ok(Some(open.clone()));
        }
        self.0 = None;
        let Some(reader) = Reader::open().map_err(io::Error::other)? else { return Ok(None) };
        // Another recorder may have begun meanwhile, for another group.
        let after = fs::metadata(TABLES)?;
        if (after.dev(), after.ino()) != directory {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.0 = Some(Open { reader: Arc::new(reader), group: after.gid(), directory });
        Ok(self.0.clone())
    }
}
