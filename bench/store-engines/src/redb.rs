//! redb: a copy-on-write B-tree. Every commit is `Durability::Immediate`, its default.

use crate::engine::{CACHE_BYTES, Engine, Op, Result, TABLES, Table};
use redb::{Builder, Database, ReadableDatabase, TableDefinition};
use std::path::Path;

pub struct Redb {
    db: Database,
}

fn definition(table: usize) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(TABLES[table])
}

impl Engine for Redb {
    fn open(dir: &Path) -> Result<Self> {
        let db = Builder::new()
            .set_cache_size(CACHE_BYTES)
            .create(dir.join("data.redb"))?;
        Ok(Self { db })
    }

    fn commit(&mut self, ops: &[Op]) -> Result<()> {
        let tx = self.db.begin_write()?;
        {
            let mut tables = Vec::with_capacity(TABLES.len());
            for table in 0..TABLES.len() {
                tables.push(tx.open_table(definition(table))?);
            }
            for op in ops {
                let table = &mut tables[op.table as usize];
                match &op.value {
                    Some(value) => drop(table.insert(op.key.as_slice(), value.as_slice())?),
                    None => drop(table.remove(op.key.as_slice())?),
                }
            }
        }
        tx.commit()?;
        Ok(())
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let table = self
            .db
            .begin_read()?
            .open_table(definition(table as usize))?;
        Ok(table.get(key)?.map(|value| value.value().to_vec()))
    }

    fn newest(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Vec<u8>>> {
        let table = self
            .db
            .begin_read()?
            .open_table(definition(table as usize))?;
        let mut values = Vec::with_capacity(limit);
        for row in table.range(from..=to)?.rev().take(limit) {
            values.push(row?.1.value().to_vec());
        }
        Ok(values)
    }
}
