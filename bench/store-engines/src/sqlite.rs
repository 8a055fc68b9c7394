//! SQLite: write-ahead log, `synchronous=FULL`, one `WITHOUT ROWID` table a row kind.

use crate::engine::{CACHE_BYTES, Engine, Op, Result, TABLES, Table};
use rusqlite::{Connection, OptionalExtension, params};
use std::path::Path;

pub struct Sqlite {
    db: Connection,
    put: Vec<String>,
    remove: Vec<String>,
    get: Vec<String>,
    newest: Vec<String>,
}

fn per_table(sql: &str) -> Vec<String> {
    TABLES.map(|table| sql.replace('@', table)).to_vec()
}

impl Engine for Sqlite {
    fn open(dir: &Path) -> Result<Self> {
        let db = Connection::open(dir.join("data.sqlite"))?;
        db.set_prepared_statement_cache_capacity(4 * TABLES.len());
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "cache_size", -((CACHE_BYTES >> 10) as i64))?;
        // 64 MiB of log before a checkpoint: ten times fewer checkpoints than the default.
        db.pragma_update(None, "wal_autocheckpoint", 16_384)?;
        for sql in per_table(
            "CREATE TABLE IF NOT EXISTS @ (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID",
        ) {
            db.execute(&sql, [])?;
        }
        Ok(Self {
            db,
            put: per_table("INSERT OR REPLACE INTO @ (k, v) VALUES (?1, ?2)"),
            remove: per_table("DELETE FROM @ WHERE k = ?1"),
            get: per_table("SELECT v FROM @ WHERE k = ?1"),
            newest: per_table("SELECT v FROM @ WHERE k BETWEEN ?1 AND ?2 ORDER BY k DESC LIMIT ?3"),
        })
    }

    fn commit(&mut self, ops: &[Op]) -> Result<()> {
        let tx = self.db.transaction()?;
        for op in ops {
            let table = op.table as usize;
            match &op.value {
                Some(value) => tx
                    .prepare_cached(&self.put[table])?
                    .execute(params![op.key, value])?,
                None => tx
                    .prepare_cached(&self.remove[table])?
                    .execute(params![op.key])?,
            };
        }
        tx.commit()?;
        Ok(())
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self
            .db
            .prepare_cached(&self.get[table as usize])?
            .query_row(params![key], |row| row.get(0))
            .optional()?)
    }

    fn newest(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Vec<u8>>> {
        let mut statement = self.db.prepare_cached(&self.newest[table as usize])?;
        let rows = statement.query_map(params![from, to, limit as i64], |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
