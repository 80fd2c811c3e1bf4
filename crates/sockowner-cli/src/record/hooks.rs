//! What became of hooks that were tried, for `status`.

use serde::{Deserialize, Serialize};
use sockowner::os::linux::record::HookState;

/// A hook that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) name: String,
    pub(super) refused: Option<String>,
    #[serde(default)]
    pub(super) lacking: String,
}

impl From<&HookState> for Asked {
    fn from(hook: &HookState) -> Self {
        Self { name: hook.name.to_owned(), refused: hook.refused.clone(), lacking: hook.lacking.to_owned() }
    }
}
