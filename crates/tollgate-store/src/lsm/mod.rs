//! The embedded store's engine: keyspaces of ordered rows, changed by batches that are durable when they are committed.
//!
//! Trees, tables and merges are [`lsm_tree`]'s. What is here is what makes rows durable before they are in tables, and what decides when
//! which thread does what; `docs/store-engine.md` says why that is not left to a library.
//!
//! - A batch is one record of the [`journal`], synced with one `fdatasync` into a file that was made and filled before. Then its rows go into
//!   the tables in memory, and then it is visible: to a snapshot all of it or nothing.
//! - A table in memory that is full is written out by a thread that gives way. A segment of the journal is used again once all its rows are in tables.
//! - A start reads the journal back. A last record that is cut off was never acknowledged and is left out; if anything else is missing or
//!   differs, the start is refused.

mod batch;
mod catalog;
mod error;
mod inner;
mod journal;
mod keyspace;
mod open;
mod pace;
mod record;
mod segment;
mod snapshot;
#[cfg(test)]
mod tests;
mod work;

pub use batch::Batch;
pub use error::LsmError;
pub use keyspace::{Entry, Keyspace, KeyspaceOptions, Rows, Snapshot};
pub use lsm_tree::Slice;
pub use open::Options;

use inner::Inner;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use work::Threads;

/// With less in memory than this the journal is read back in no time.
const WORTH_WRITING_OUT: u64 = 4 << 20;

/// An open store.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
    _threads: Arc<Threads>,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("folder", &self.inner.folder).finish_non_exhaustive()
    }
}

impl Database {
    /// Opens a folder's store, or makes one there.
    ///
    /// # Errors
    /// [`LsmError::Locked`] if another process has it open, [`LsmError::Damaged`] if something that was durable is missing,
    /// [`LsmError::Foreign`] if another engine wrote it, or if the disk refuses.
    pub fn open(folder: impl AsRef<Path>, options: Options) -> Result<Self, LsmError> {
        let inner = Arc::new(open::open(folder.as_ref(), options)?);
        let threads = Threads::start(&inner)?;
        inner.work.maintain();
        Ok(Self { inner, _threads: Arc::new(threads) })
    }

    /// Opens a keyspace, or makes it.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn keyspace(&self, name: &str, options: KeyspaceOptions) -> Result<Keyspace, LsmError> {
        let space = self.inner.space(name, options)?;
        Ok(Keyspace { inner: Arc::clone(&self.inner), space })
    }

    /// The names of all keyspaces.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let writer = self.inner.writer.lock();
        writer.catalog.entries.iter().map(|entry| entry.name.clone()).collect()
    }

    /// Deletes a keyspace. Its files go when nobody has it open any more, or at the next start.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn delete(&self, keyspace: &Keyspace) -> Result<(), LsmError> {
        self.inner.delete(&keyspace.space)
    }

    /// An empty batch with room for some rows.
    #[must_use]
    pub fn batch(&self, rows: usize) -> Batch {
        Batch::new(Arc::clone(&self.inner), rows)
    }

    /// All keyspaces as they are now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(Arc::clone(&self.inner))
    }

    /// Writes out what is in memory, if there is much, so that the next start has no journal to read. What has not been written out when the time is up
    /// stays in the journal.
    ///
    /// # Errors
    /// If the disk refuses. Nothing is lost by that.
    pub fn settle(&self, patience: Duration) -> Result<(), LsmError> {
        if let Some(segment) = self.inner.rotate_all(WORTH_WRITING_OUT)? {
            self.forget_journal(segment, Some(patience))?;
        }
        Ok(())
    }

    /// Removes from the disk what was overwritten or removed in some keyspaces: from their tables and from the journal. Old files may be there
    /// until those who read them now have done so.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn purge<'a>(&self, keyspaces: impl IntoIterator<Item = &'a Keyspace>) -> Result<(), LsmError> {
        self.inner.pool.begin_purge();
        let forgotten = self.inner.rotate_all(0).and_then(|segment| match segment {
            Some(segment) => self.forget_journal(segment, None),
            None => Ok(()),
        });
        self.inner.pool.end_purge();
        forgotten?;
        for keyspace in keyspaces {
            work::merge_all(&self.inner, &keyspace.space)?;
        }
        Ok(())
    }

    fn forget_journal(&self, before: u64, patience: Option<Duration>) -> Result<(), LsmError> {
        let begun = Instant::now();
        while !self.inner.forget_journal(before)? {
            let late = patience.is_some_and(|patience| begun.elapsed() > patience);
            if late || !self.inner.work.wait_for_progress() {
                break;
            }
        }
        Ok(())
    }
}
