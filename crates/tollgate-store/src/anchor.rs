//! The end of the audit log, noted outside of the store: whoever can rewrite the store whole cannot rewrite a
//! file that was carried away.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};
use tollgate_core::audit::Head;
use tollgate_core::audit::verify::Anchor;

/// Where and how often the end of the audit log is noted outside of the store.
#[derive(Debug, Clone)]
pub struct AnchorOptions {
    /// The file; lines are added to it.
    pub file: PathBuf,
    /// After how many records, and when the store is closed.
    pub every: u64,
}

/// Adds lines to an anchor file.
#[derive(Debug)]
pub struct Anchors {
    options: AnchorOptions,
    noted: u64,
}

impl Anchors {
    /// For a log that ends here now.
    #[must_use]
    pub const fn new(options: AnchorOptions, head: Head) -> Self {
        Self { options, noted: head.count }
    }

    /// Notes the end if it has moved far enough, or at all when this is the last chance.
    pub fn note(&mut self, head: Head, last: bool) {
        let grown = head.count.saturating_sub(self.noted);
        if grown == 0 || (grown < self.options.every && !last) {
            return;
        }
        let at_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let at_ms = u64::try_from(at_ms).unwrap_or(u64::MAX);
        match self.add(Anchor { head, at_ms }) {
            Ok(()) => self.noted = head.count,
            Err(error) => tracing::error!(%error, "the end of the audit log could not be noted"),
        }
    }

    fn add(&self, anchor: Anchor) -> std::io::Result<()> {
        let mut file =
            std::fs::File::options().append(true).create(true).mode(0o600).open(&self.options.file)?;
        file.write_all(format!("{anchor}\n").as_bytes())?;
        file.sync_data()
    }
}
