//! What the recorder's commands leave for one another beside what is pinned, where only root writes. Everybody may read it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A file of JSON.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    path: &'static str,
    /// What it is called while it is written.
    new: &'static str,
}

/// What became of the hooks at the last start: the kernel does not tell why it refused.
pub(super) const HOOKS: Kept =
    Kept { path: "/run/sockowner/record.hooks", new: "/run/sockowner/record.hooks.new" };
/// What the process that stays finds out.
pub(super) const COMPONENTS: Kept =
    Kept { path: "/run/sockowner/record.components", new: "/run/sockowner/record.components.new" };

impl Kept {
    /// Keeps it until it is written anew, or forgotten.
    pub(super) fn write(self, what: &impl Serialize) -> anyhow::Result<()> {
        let Self { path, new } = self;
        let write = || {
            fs::write(new, serde_json::to_vec(what)?)?;
            fs::set_permissions(new, fs::Permissions::from_mode(0o644))?;
            fs::rename(new, path)
        };
        write().with_context(|| format!("write {path}"))
    }

    /// What was kept; `None` where nothing is, or it cannot be understood.
    pub(super) fn read<T: DeserializeOwned>(self) -> Option<T> {
        serde_json::from_slice(&fs::read(self.path).ok()?).ok()
    }

    /// For how long it has been as it is.
    pub(super) fn age(self) -> Option<Duration> {
        fs::metadata(self.path).ok()?.modified().ok()?.elapsed().ok()
    }

    /// Removes it.
    pub(super) fn forget(self) -> anyhow::Result<()> {
        match fs::remove_file(self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("remove {}", self.path))
            }
            _ => Ok(()),
        }
    }
}
