//! `[audit]`

use serde::Deserialize;
use std::path::PathBuf;
use tollgate_store::anchor::AnchorOptions;

/// `[audit]`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Audit {
    /// File to which the end of the audit log is added from time to time; empty: none. Keep it, or copies of it,
    /// where nobody can write who can write the store.
    pub(crate) anchor_file: PathBuf,
    /// After how many records a line is added. The last one is added when the store is closed.
    pub(crate) anchor_every: u64,
}

impl Default for Audit {
    fn default() -> Self {
        Self { anchor_file: PathBuf::new(), anchor_every: 100 }
    }
}

impl Audit {
    /// Where the end of the log is noted.
    pub(crate) fn anchor(&self) -> Option<AnchorOptions> {
        let some = !self.anchor_file.as_os_str().is_empty();
        some.then(|| AnchorOptions { file: self.anchor_file.clone(), every: self.anchor_every.max(1) })
    }
}
