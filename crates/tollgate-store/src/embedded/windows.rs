//! Rows that live for a limited time, in one keyspace a day: looked up in the few days that can
//! still hold them, and forgotten by dropping a whole day at once.

use crate::batch::DAY_MS;
use crate::embedded::tables::scattered;
use crate::error::StoreError;
use crate::lsm::{Database, Keyspace, KeyspaceOptions, Slice};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// The keys are digests, so every merge of a day touches all of it: the replies, which make up most of a row, are kept apart, and only keys
/// are moved.
fn apart() -> KeyspaceOptions {
    KeyspaceOptions { apart_from: Some(SEPARATE_BYTES), ..scattered(MEMTABLE_BYTES) }
}

/// Rows from this size on are kept apart from their keys: those that have a reply.
const SEPARATE_BYTES: u32 = 96;

/// Memtable of one day.
const MEMTABLE_BYTES: u64 = 32 << 20;

/// Daily keyspaces of one kind of row.
pub(super) struct Windows {
    prefix: &'static str,
    /// How long a row lives.
    retention_ms: u64,
    days: RwLock<BTreeMap<u64, Keyspace>>,
}

impl Windows {
    /// Opens the days that exist.
    pub(super) fn open(
        database: &Database,
        prefix: &'static str,
        retention_ms: u64,
    ) -> Result<Self, StoreError> {
        let mut days = BTreeMap::new();
        for name in database.names() {
            let day = name.strip_prefix(prefix).and_then(|day| day.parse::<u64>().ok());
            if let Some(day) = day {
                days.insert(day, database.keyspace(&name, apart())?);
            }
        }
        Ok(Self { prefix, retention_ms, days: RwLock::new(days) })
    }

    /// How long a row lives, in milliseconds.
    pub(super) fn retention_ms(&self) -> u64 {
        self.retention_ms
    }

    /// The keyspace of a day, made if need be.
    pub(super) fn of_day(&self, database: &Database, day: u64) -> Result<Keyspace, StoreError> {
        if let Some(keyspace) = self.days.read().get(&day) {
            return Ok(keyspace.clone());
        }
        let name = format!("{}{day}", self.prefix);
        let keyspace = database.keyspace(&name, apart())?;
        self.days.write().insert(day, keyspace.clone());
        Ok(keyspace)
    }

    /// The keyspaces of some days, as far as there are any, with their days.
    pub(super) fn of_days(&self, days: RangeInclusive<u64>) -> Vec<(u64, Keyspace)> {
        if days.is_empty() {
            return Vec::new();
        }
        self.days.read().range(days).map(|(day, keyspace)| (*day, keyspace.clone())).collect()
    }

    /// The keyspaces of all days there are.
    pub(super) fn all(&self) -> Vec<Keyspace> {
        self.days.read().values().cloned().collect()
    }

    /// The newest row under a key among the days that can still hold a living one, and its day.
    pub(super) fn find(&self, key: &[u8], now_ms: u64) -> Result<Option<(u64, Slice)>, StoreError> {
        let first = now_ms.saturating_sub(self.retention_ms) / DAY_MS;
        // A clock that stepped back must not hide what was written before the step.
        for (day, keyspace) in self.days.read().range(first..).rev() {
            if let Some(row) = keyspace.get(key)? {
                return Ok(Some((*day, row)));
            }
        }
        Ok(None)
    }

    /// Drops the days whose rows have all outlived their time.
    pub(super) fn forget(&self, database: &Database, now_ms: u64) -> Result<(), StoreError> {
        let first = now_ms.saturating_sub(self.retention_ms) / DAY_MS;
        loop {
            let oldest = self.days.read().first_key_value().map(|(day, keyspace)| (*day, keyspace.clone()));
            let Some((day, keyspace)) = oldest.filter(|(day, _)| *day < first) else {
                return Ok(());
            };
            self.days.write().remove(&day);
            database.delete(&keyspace)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lsm::Options;

    #[test]
    fn rows_are_found_while_they_live_and_days_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path(), Options::default()).unwrap();
        let windows = Windows::open(&database, "w_", DAY_MS).unwrap();
        windows.of_day(&database, 10).unwrap().insert("k", "a").unwrap();
        assert!(windows.find(b"k", 10 * DAY_MS + 5).unwrap().is_some());
        assert!(windows.find(b"k", 11 * DAY_MS - 1).unwrap().is_some());
        assert!(windows.find(b"k", 12 * DAY_MS + 1).unwrap().is_none());
        windows.forget(&database, 11 * DAY_MS).unwrap();
        assert!(database.names().contains(&"w_10".to_owned()));
        windows.forget(&database, 12 * DAY_MS).unwrap();
        assert!(!database.names().contains(&"w_10".to_owned()));
        windows.of_day(&database, 12).unwrap().insert("k", "b").unwrap();
        let again = Windows::open(&database, "w_", DAY_MS).unwrap();
        assert_eq!(again.find(b"k", 12 * DAY_MS).unwrap().unwrap().1.as_ref(), b"b");
    }
}
