//! A table as it will be after the batch being made: what was staged lies over what is beneath.

use crate::batch::codec::{decode, encode};
use crate::batch::{Base, Table};
use crate::error::StoreError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

/// A row's key and bytes.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

/// One table and what a batch changes in it.
pub(crate) struct Overlay<'a, B> {
    base: &'a B,
    table: Table,
    what: &'static str,
    /// None: removed.
    staged: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl<'a, B: Base> Overlay<'a, B> {
    /// Nothing staged yet; `what` names a row in an error.
    pub(crate) const fn new(base: &'a B, table: Table, what: &'static str) -> Self {
        Self { base, table, what, staged: BTreeMap::new() }
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, StoreError> {
        match self.staged.get(key) {
            Some(Some(row)) => decode(row, self.what).map(Some),
            Some(None) => Ok(None),
            None => {
                let row = self.base.get(self.table, key)?;
                row.map(|row| decode(row.as_ref(), self.what)).transpose()
            }
        }
    }

    pub(crate) fn put<T: Serialize>(&mut self, key: &[u8], row: &T) -> Result<(), StoreError> {
        self.staged.insert(key.to_vec(), Some(encode(row)?));
        Ok(())
    }

    /// A row that is bytes, not a value.
    pub(crate) fn put_bytes(&mut self, key: &[u8], row: &[u8]) {
        self.staged.insert(key.to_vec(), Some(row.to_vec()));
    }

    pub(crate) fn remove(&mut self, key: &[u8]) {
        self.staged.insert(key.to_vec(), None);
    }

    /// The first row from `from` on whose key is below `to`.
    pub(crate) fn first(&self, from: &[u8], to: &[u8]) -> Result<Option<Row>, StoreError> {
        if from >= to {
            return Ok(None);
        }
        let range = (Bound::Included(from), Bound::Excluded(to));
        let staged = self
            .staged
            .range::<[u8], _>(range)
            .find_map(|(key, row)| row.as_ref().map(|row| (key.clone(), row.clone())));
        let mut found = None;
        self.base.scan(self.table, from, to, |key, row| {
            if staged.as_ref().is_some_and(|(staged_key, _)| staged_key.as_slice() <= key) {
                return Ok(ControlFlow::Break(()));
            }
            if self.staged.contains_key(key) {
                return Ok(ControlFlow::Continue(()));
            }
            found = Some((key.to_vec(), row.to_vec()));
            Ok(ControlFlow::Break(()))
        })?;
        Ok(found.or(staged))
    }

    /// Moves what was staged into a batch.
    pub(crate) fn drain(&mut self, batch: &mut B::Batch) {
        for (key, row) in std::mem::take(&mut self.staged) {
            match row {
                Some(row) => self.base.put(batch, self.table, &key, &row),
                None => self.base.remove(batch, self.table, &key),
            }
        }
    }
}
