//! What became of the hooks when the recorder was started, kept for `status`: the kernel does not tell why it refused.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use sockowner::os::linux::record::HookState;

/// Beside what the recorder pins, where only root writes. Everybody may read it.
const KEPT: &str = "/run/sockowner/record.hooks";
const NEW: &str = "/run/sockowner/record.hooks.new";

/// A hook that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) name: String,
    pub(super) refused: Option<String>,
}

/// Keeps it until the next start.
pub(super) fn keep(hooks: &[HookState]) -> anyhow::Result<()> {
    let asked = |hook: &HookState| Asked { name: hook.name.to_owned(), refused: hook.refused.clone() };
    let asked: Vec<_> = hooks.iter().map(asked).collect();
    let text = serde_json::to_vec(&asked).context("note which hooks are refused")?;
    let write = || {
        fs::write(NEW, text)?;
        fs::set_permissions(NEW, fs::Permissions::from_mode(0o644))?;
        fs::rename(NEW, KEPT)
    };
    write().with_context(|| format!("note which hooks are refused: write {KEPT}"))
}

/// What was kept; `None` where nothing is, or it cannot be understood.
pub(super) fn kept() -> Option<Vec<Asked>> {
    serde_json::from_slice(&fs::read(KEPT).ok()?).ok()
}

/// Removes it.
pub(super) fn forget() -> anyhow::Result<()> {
    match fs::remove_file(KEPT) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {KEPT}"))
        }
        _ => Ok(()),
    }
}
