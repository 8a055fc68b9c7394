//! Changes that become durable together, or not at all.

use crate::lsm::error::LsmError;
use crate::lsm::inner::Inner;
use crate::lsm::keyspace::Keyspace;
use crate::lsm::record::Row;
use lsm_tree::Slice;
use std::sync::Arc;

/// Changes on their way. Of several of the same row the last one counts.
pub struct Batch {
    inner: Arc<Inner>,
    rows: Vec<Row>,
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch").field("rows", &self.rows.len()).finish_non_exhaustive()
    }
}

impl Batch {
    pub(super) fn new(inner: Arc<Inner>, rows: usize) -> Self {
        Self { inner, rows: Vec::with_capacity(rows) }
    }

    /// Writes a row.
    pub fn insert(&mut self, keyspace: &Keyspace, key: impl Into<Slice>, row: impl Into<Slice>) {
        self.rows.push(Row { space: keyspace.space.id, key: key.into(), value: Some(row.into()) });
    }

    /// Removes a row.
    pub fn remove(&mut self, keyspace: &Keyspace, key: impl Into<Slice>) {
        self.rows.push(Row { space: keyspace.space.id, key: key.into(), value: None });
    }

    /// Makes it durable; after that it is visible, all of it at once to a snapshot.
    ///
    /// # Errors
    /// [`LsmError::Failed`] after a write that failed, and with the error of that write: it is not known then whether it is durable.
    /// With any other error nothing has changed.
    pub fn commit(self) -> Result<(), LsmError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        self.inner.commit(self.rows)
    }
}
