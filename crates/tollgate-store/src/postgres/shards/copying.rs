//! Copying a bucket's rows from one database to another: once whole, then what has changed since, again and again.
//!
//! Rows go through as they are (`COPY` in its binary form), nothing is decoded. What changes on the way is noted at the
//! source by triggers that are there for as long as the move lasts: the keys alone, as the rows are read when they are
//! copied. So a change that is copied twice, or a note that is read again after a crash, does no harm.

use crate::error::StoreError;
use crate::postgres::link::{Id, Link, Query, column, is_busy};
use crate::postgres::shards::ends::{End, Ends};
use crate::postgres::shards::tables::{MOVED, Moved, small};
use futures_util::{SinkExt, TryStreamExt};
use std::collections::BTreeSet;
use std::pin::pin;
use tokio_postgres::CopyInSink;

/// A row that was changed: its table and its key as text.
pub(super) type Changed = (String, String);

/// How often a trigger is tried to be made or removed while others hold its table.
const TRIES_MAX: u32 = 30;

impl Ends {
    /// The source begins to note what changes.
    pub(super) async fn watch(&self) -> Result<(), StoreError> {
        self.change_source(&["INSERT INTO leaving (bucket) VALUES ($1) ON CONFLICT DO NOTHING"]).await?;
        for table in MOVED {
            let (name, key) = (table.name, table.key_text().replace('\'', "''"));
            let trigger = |event: &str, rows: &str| {
                format!(
                    "CREATE OR REPLACE TRIGGER tollgate_noted_{event} AFTER {event} ON {name}
                     REFERENCING {rows} TABLE AS changed
                     FOR EACH STATEMENT EXECUTE FUNCTION tollgate_note_changes('{key}');"
                )
            };
            let text =
                [trigger("INSERT", "NEW"), trigger("UPDATE", "NEW"), trigger("DELETE", "OLD")].concat();
            between_writers(&self.source, &text).await?;
        }
        // What was noted in an earlier try: everything is copied anew.
        self.change_source(&["DELETE FROM bucket_changes WHERE bucket = $1"]).await
    }

    /// Changes what the source notes of the bucket.
    async fn change_source(&self, statements: &[&'static str]) -> Result<(), StoreError> {
        self.source.begin().await?;
        for &text in statements {
            self.source.execute(Query::Fixed(text), &[&small(self.bucket)]).await?;
        }
        self.source.run("COMMIT").await
    }

    /// The source ceases to note.
    pub(super) async fn unwatch(&self) -> Result<(), StoreError> {
        self.change_source(&[
            "DELETE FROM leaving WHERE bucket = $1",
            "DELETE FROM bucket_changes WHERE bucket = $1",
        ])
        .await?;
        for table in MOVED {
            let drop =
                |event: &str| format!("DROP TRIGGER IF EXISTS tollgate_noted_{event} ON {};", table.name);
            let text = [drop("INSERT"), drop("UPDATE"), drop("DELETE")].concat();
            between_writers(&self.source, &text).await?;
        }
        Ok(())
    }

    /// Copies all rows of a table. What an earlier try has brought there is replaced.
    pub(super) async fn copy(&self, table: &Moved, merchants: &BTreeSet<Id>) -> Result<u64, StoreError> {
        if merchants.is_empty() {
            return Ok(0);
        }
        let columns = table.columns(&self.source, &self.target).await?;
        let ids: Vec<Id> = merchants.iter().copied().collect();
        let (name, written) = (table.name, columns.written());
        self.target.begin().await?;
        self.target.execute(Query::Of(REMOVE, name), &[&ids]).await?;
        let out = format!(
            "COPY (SELECT {} FROM {name} AS t WHERE t.merchant_id = ANY ({})) TO STDOUT (FORMAT binary)",
            columns.read(),
            array(merchants)
        );
        let into = format!("COPY {name} ({written}) FROM STDIN (FORMAT binary)");
        let rows = pipe(&self.source, &out, &self.target, &into).await?;
        self.target.run("COMMIT").await?;
        Ok(rows)
    }

    /// Copies rows that have changed since they were copied, at most so many, and tells which. Those that are gone
    /// are removed.
    pub(super) async fn catch_up(&self, most: i64) -> Result<BTreeSet<Changed>, StoreError> {
        let (source, target) = (&self.source, &self.target);
        // One snapshot: a note that is seen was made by a change that is seen.
        source.run("BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
        source
            .run("CREATE TEMP TABLE IF NOT EXISTS moving (id bigint, table_name text, key text) ON COMMIT DELETE ROWS")
            .await?;
        let query = Query::Fixed(
            "INSERT INTO moving
             SELECT id, table_name, key FROM bucket_changes WHERE bucket = $1 ORDER BY id LIMIT $2",
        );
        source.execute(query, &[&small(self.bucket), &most]).await?;
        let rows = source.query(Query::Fixed("SELECT DISTINCT table_name, key FROM moving"), &[]).await?;
        let read = |row: &tokio_postgres::Row| Ok((column(row, 0, "change")?, column(row, 1, "change")?));
        let changed: BTreeSet<Changed> = rows.iter().map(read).collect::<Result<_, StoreError>>()?;
        if changed.is_empty() {
            source.run("COMMIT").await?;
            return Ok(changed);
        }
        target.begin().await?;
        for table in MOVED {
            let keys: Vec<&str> =
                changed.iter().filter(|(name, _)| name == table.name).map(|(_, key)| key.as_str()).collect();
            if keys.is_empty() {
                continue;
            }
            let (name, join) = (table.name, table.join());
            let text = format!("DELETE FROM {name} AS t USING unnest($1::text[]) AS k (key) WHERE {join}");
            target.execute(Query::Text(text), &[&keys]).await?;
            let columns = table.columns(source, target).await?;
            let out = format!(
                "COPY (SELECT {} FROM (SELECT DISTINCT key FROM moving WHERE table_name = '{name}') AS k
                       JOIN {name} AS t ON {join}) TO STDOUT (FORMAT binary)",
                columns.read()
            );
            let into = format!("COPY {name} ({}) FROM STDIN (FORMAT binary)", columns.written());
            pipe(source, &out, target, &into).await?;
        }
        target.run("COMMIT").await?;
        // Should this be lost, the same is copied once more.
        source
            .run("DELETE FROM bucket_changes USING moving WHERE bucket_changes.id = moving.id; COMMIT")
            .await?;
        Ok(changed)
    }

    /// How many changes wait to be copied.
    pub(super) async fn pending(&self) -> Result<i64, StoreError> {
        let query = Query::Fixed("SELECT count(*) FROM bucket_changes WHERE bucket = $1");
        let row = self.source.query_opt(query, &[&small(self.bucket)]).await?;
        row.map_or(Ok(0), |row| column(&row, 0, "changes"))
    }
}

const REMOVE: &str = "DELETE FROM {table} WHERE merchant_id = ANY ($1::uuid[])";

/// Rows removed at once.
const REMOVED_AT_ONCE: i64 = 5_000;

/// Removes all rows of merchants, a part at a time.
pub(super) async fn remove(end: &End, merchants: &BTreeSet<Id>) -> Result<u64, StoreError> {
    let ids: Vec<Id> = merchants.iter().copied().collect();
    let mut count = 0;
    if ids.is_empty() {
        return Ok(0);
    }
    // What lists comes last in the tables' order: it goes first.
    for table in MOVED.iter().rev() {
        let (name, key) = (table.name, table.key_columns());
        let text = format!(
            "DELETE FROM {name} WHERE ({key}) IN (
                 SELECT {key} FROM {name} WHERE merchant_id = ANY ($1::uuid[]) LIMIT $2
             )"
        );
        loop {
            end.begin().await?;
            let removed = end.execute(Query::Text(text.clone()), &[&ids, &REMOVED_AT_ONCE]).await?;
            end.run("COMMIT").await?;
            count += removed;
            if removed == 0 {
                break;
            }
        }
    }
    Ok(count)
}

/// What one statement gives goes into another.
async fn pipe(source: &Link, out: &str, target: &Link, into: &str) -> Result<u64, StoreError> {
    let mut rows = pin!(source.client().copy_out(out).await?);
    let sink: CopyInSink<bytes::Bytes> = target.client().copy_in(into).await?;
    let mut sink = pin!(sink);
    while let Some(part) = rows.try_next().await? {
        sink.send(part).await?;
    }
    Ok(sink.finish().await?)
}

/// Changes a table's triggers: not while somebody writes to it, and without having many wait for that.
async fn between_writers(end: &End, text: &str) -> Result<(), StoreError> {
    let text = format!("BEGIN; SET LOCAL lock_timeout = '500ms'; {} {text} COMMIT", end.fence());
    let mut tries = 0;
    loop {
        tries += 1;
        match end.run(&text).await {
            Ok(()) => return Ok(()),
            Err(error) if tries == TRIES_MAX || !is_busy(&error) => return Err(error),
            Err(error) => {
                tracing::debug!(%error, tries, "a table is busy");
                end.run("ROLLBACK").await?;
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

/// Ids as an array in SQL: `COPY` takes no parameters.
fn array(ids: &BTreeSet<Id>) -> String {
    let texts: Vec<String> = ids.iter().map(|id| format!("'{}'", uuid_text(*id))).collect();
    format!("ARRAY[{}]::uuid[]", texts.join(","))
}

/// The merchant of a key as text.
pub(super) fn merchant_of(key: &str) -> Option<Id> {
    let hex: String = key.split('|').next()?.chars().filter(|letter| *letter != '-').collect();
    u128::from_str_radix(&hex, 16).ok().map(|number| Id(number.to_be_bytes()))
}

/// An id as PostgreSQL reads a UUID.
fn uuid_text(id: Id) -> String {
    format!("{:032x}", u128::from_be_bytes(id.0))
}
