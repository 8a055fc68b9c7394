//! A keyspace as it will be after the batch being made: what was staged lies over what is on disk.

use crate::embedded::codec::{decode, encode};
use crate::error::StoreError;
use fjall::{Keyspace, OwnedWriteBatch};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::ops::Bound;

/// A row's key and bytes.
pub(super) type Row = (Vec<u8>, Vec<u8>);

/// One keyspace and what a batch changes in it.
pub(super) struct Overlay<'a> {
    keyspace: &'a Keyspace,
    what: &'static str,
    /// None: removed.
    staged: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl<'a> Overlay<'a> {
    /// Nothing staged yet; `what` names a row in an error.
    pub(super) const fn new(keyspace: &'a Keyspace, what: &'static str) -> Self {
        Self { keyspace, what, staged: BTreeMap::new() }
    }

    pub(super) fn get<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, StoreError> {
        match self.staged.get(key) {
            Some(Some(row)) => decode(row, self.what).map(Some),
            Some(None) => Ok(None),
            None => self.keyspace.get(key)?.map(|row| decode(&row, self.what)).transpose(),
        }
    }

    pub(super) fn put<T: Serialize>(&mut self, key: &[u8], row: &T) -> Result<(), StoreError> {
        self.staged.insert(key.to_vec(), Some(encode(row)?));
        Ok(())
    }

    /// A row that is bytes, not a value.
    pub(super) fn put_bytes(&mut self, key: &[u8], row: &[u8]) {
        self.staged.insert(key.to_vec(), Some(row.to_vec()));
    }

    pub(super) fn remove(&mut self, key: &[u8]) {
        self.staged.insert(key.to_vec(), None);
    }

    /// The first row from `from` on whose key is below `to`.
    pub(super) fn first(&self, from: &[u8], to: &[u8]) -> Result<Option<Row>, StoreError> {
        if from >= to {
            return Ok(None);
        }
        let range = (Bound::Included(from), Bound::Excluded(to));
        let staged = self
            .staged
            .range::<[u8], _>(range)
            .find_map(|(key, row)| row.as_ref().map(|row| (key.clone(), row.clone())));
        for row in self.keyspace.range(from..to) {
            let (key, value) = row.into_inner()?;
            if let Some((staged_key, _)) = &staged
                && staged_key.as_slice() <= key.as_ref()
            {
                break;
            }
            if !self.staged.contains_key(key.as_ref()) {
                return Ok(Some((key.to_vec(), value.to_vec())));
            }
        }
        Ok(staged)
    }

    /// Moves what was staged into a batch.
    pub(super) fn drain(&mut self, batch: &mut OwnedWriteBatch) {
        for (key, row) in std::mem::take(&mut self.staged) {
            match row {
                Some(row) => batch.insert(self.keyspace, key, row),
                None => batch.remove(self.keyspace, key),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fjall::{Database, KeyspaceCreateOptions};

    #[test]
    fn what_is_staged_lies_over_what_is_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::builder(folder.path()).open().unwrap();
        let keyspace = database.keyspace("k", KeyspaceCreateOptions::default).unwrap();
        for key in ["b", "d"] {
            keyspace.insert(key, "disk").unwrap();
        }
        let mut overlay = Overlay::new(&keyspace, "row");
        let first = |overlay: &Overlay<'_>| {
            overlay.first(b"a", b"z").unwrap().map(|(key, _)| String::from_utf8(key).unwrap())
        };
        assert_eq!(first(&overlay).as_deref(), Some("b"));
        overlay.remove(b"b");
        assert_eq!(first(&overlay).as_deref(), Some("d"));
        overlay.put_bytes(b"c", b"staged");
        assert_eq!(first(&overlay).as_deref(), Some("c"));
        overlay.remove(b"c");
        overlay.remove(b"d");
        assert_eq!(first(&overlay), None);
        overlay.put(b"b", &7_u32).unwrap();
        assert_eq!(overlay.get::<u32>(b"b").unwrap(), Some(7));
        assert_eq!(overlay.first(b"c", b"a").unwrap(), None);
        let mut batch = database.batch();
        overlay.drain(&mut batch);
        batch.commit().unwrap();
        assert_eq!(keyspace.iter().count(), 1);
    }
}
