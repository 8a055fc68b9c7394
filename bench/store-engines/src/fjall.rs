//! fjall: a log-structured merge tree with one journal for all keyspaces.

use crate::engine::{CACHE_BYTES, Engine, Op, Result, TABLES, Table};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};
use std::path::Path;

/// A restart replays the journals, so their size is the restart's time: the default of 512 MiB
/// costs seconds.
const JOURNALS_BYTES: u64 = 128 << 20;
/// The default of 64 MiB for every keyspace holds 500 MiB in memory.
const BIG_MEMTABLE_BYTES: u64 = 32 << 20;
const SMALL_MEMTABLE_BYTES: u64 = 8 << 20;

pub struct Fjall {
    db: Database,
    keyspaces: Vec<Keyspace>,
}

fn options(table: &str) -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(match table {
        "payment" | "event" | "idempotency" => BIG_MEMTABLE_BYTES,
        _ => SMALL_MEMTABLE_BYTES,
    })
}

impl Engine for Fjall {
    fn open(dir: &Path) -> Result<Self> {
        let db = Database::builder(dir.join("fjall"))
            .cache_size(CACHE_BYTES as u64)
            .max_journaling_size(JOURNALS_BYTES)
            .open()?;
        let keyspaces = TABLES.map(|table| db.keyspace(table, || options(table)));
        let keyspaces = keyspaces.into_iter().collect::<fjall::Result<_>>()?;
        Ok(Self { db, keyspaces })
    }

    fn commit(&mut self, ops: &[Op]) -> Result<()> {
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        for op in ops {
            let keyspace = &self.keyspaces[op.table as usize];
            match &op.value {
                Some(value) => batch.insert(keyspace, op.key.as_slice(), value.as_slice()),
                None => batch.remove(keyspace, op.key.as_slice()),
            }
        }
        batch.commit()?;
        Ok(())
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let value = self
            .db
            .snapshot()
            .get(&self.keyspaces[table as usize], key)?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn newest(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Vec<u8>>> {
        let snapshot = self.db.snapshot();
        let mut values = Vec::with_capacity(limit);
        for row in snapshot
            .range(&self.keyspaces[table as usize], from..=to)
            .rev()
            .take(limit)
        {
            values.push(row.value()?.to_vec());
        }
        Ok(values)
    }
}
