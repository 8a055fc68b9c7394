//! What goes from the directory to the shards and back without a caller: what commits must know of partners, and the
//! shards' entries of the audit log.
//!
//! Both are read from a log and noted in the same transaction that takes them over: whoever dies in between leaves
//! nothing half done, and any instance goes on.

use crate::batch::codec::decode;
use crate::error::StoreError;
use crate::postgres::changes::tell;
use crate::postgres::link::{Id, Link, Query, big, column, natural};
use crate::postgres::shards::directory::Directory;
use crate::postgres::shards::tables::small;
use tollgate_core::audit::{AuditEntry, AuditRecord};

/// Rows taken over at once.
const PAGE: i64 = 500;

/// Tells a shard what has changed of partners. Not for the directory's own database: it would tell itself, for ever.
pub(super) async fn tell_partners(directory: &Link, shard: &Link) -> Result<(), StoreError> {
    loop {
        // Others who tell wait for the row: not for somebody of whom nothing is heard.
        shard.run("BEGIN; SET LOCAL idle_in_transaction_session_timeout = '10s'").await?;
        // One at a time: the order of the changes is kept.
        let query = Query::Fixed("SELECT partners_upto FROM shard WHERE id = 1 FOR UPDATE");
        let row = shard.query_opt(query, &[]).await?.ok_or(StoreError::Corrupt("shard"))?;
        let upto = natural(column(&row, 0, "shard")?);
        if Directory(directory).log_end().await? < upto {
            tracing::warn!(
                upto,
                "the directory knows less than a shard: it was restored, and the shard is told anew"
            );
            return tell_anew(directory, shard).await;
        }
        let rows = Directory(directory).log_after(upto, PAGE).await?;
        let Some(last) = rows.last() else {
            return shard.run("COMMIT").await;
        };
        let last = natural(column(last, 0, "directory's log")?);
        for row in &rows {
            take_row(shard, row).await?;
        }
        shard
            .execute(Query::Fixed("UPDATE shard SET partners_upto = $1 WHERE id = 1"), &[&big(last)])
            .await?;
        shard.run("COMMIT").await?;
    }
}

/// Tells a shard all that the directory knows instead of what it was told before, in the transaction that has begun: no
/// commit sees less than the one or the other.
async fn tell_anew(directory: &Link, shard: &Link) -> Result<(), StoreError> {
    for table in ["partners", "merchant_partners"] {
        shard.execute(Query::Of("DELETE FROM {table}", table), &[]).await?;
    }
    let mut upto = 0;
    loop {
        let rows = Directory(directory).log_after(upto, PAGE).await?;
        let Some(last) = rows.last() else {
            break;
        };
        upto = natural(column(last, 0, "directory's log")?);
        for row in &rows {
            take_row(shard, row).await?;
        }
    }
    let query = Query::Fixed("UPDATE shard SET partners_upto = $1 WHERE id = 1");
    shard.execute(query, &[&big(upto)]).await?;
    shard.run("COMMIT").await
}

async fn take_row(shard: &Link, row: &tokio_postgres::Row) -> Result<(), StoreError> {
    let what = "directory's log";
    let (table, key): (&str, &[u8]) = (column(row, 1, what)?, column(row, 2, what)?);
    let record: Option<&[u8]> = column(row, 3, what)?;
    match (table, record) {
        ("partners", Some(record)) => {
            let query = Query::Of(include_str!("../sql/keyed_put.sql"), "partners");
            shard.execute(query, &[&vec![key], &vec![record]]).await?;
        }
        ("partners", None) => {
            let query = Query::Of(include_str!("../sql/keyed_remove.sql"), "partners");
            shard.execute(query, &[&vec![key]]).await?;
        }
        ("merchant_partners", record) => {
            let (merchant, rest) = key.split_first_chunk::<16>().ok_or(StoreError::Corrupt(what))?;
            let merchants = vec![Id(*merchant)];
            if let Some(record) = record {
                let query = Query::Of(include_str!("../sql/owned_put.sql"), "merchant_partners");
                shard.execute(query, &[&merchants, &vec![rest], &vec![record]]).await?;
            } else {
                let query = Query::Of(include_str!("../sql/owned_remove.sql"), "merchant_partners");
                shard.execute(query, &[&merchants, &vec![rest]]).await?;
            }
        }
        _ => return Err(StoreError::Corrupt(what)),
    }
    Ok(())
}

/// Takes a shard's new entries of the audit log into the directory's. Gives how far that has come.
pub(super) async fn take_audit(directory: &Link, shard: &Link, number: u16) -> Result<u64, StoreError> {
    loop {
        directory.run("BEGIN").await?;
        let query = Query::Fixed("SELECT upto FROM audit_taken WHERE shard = $1 FOR UPDATE");
        let row = directory.query_opt(query, &[&small(number)]).await?;
        let upto: i64 = column(&row.ok_or(StoreError::Corrupt("shard"))?, 0, "shard")?;
        let query =
            Query::Fixed("SELECT sequence, record FROM audit WHERE sequence > $1 ORDER BY sequence LIMIT $2");
        let rows = shard.query(query, &[&upto, &PAGE]).await?;
        let Some(last) = rows.last() else {
            directory.run("COMMIT").await?;
            check_audit(directory, shard, number).await?;
            return Ok(natural(upto));
        };
        let last: i64 = column(last, 0, "audit record")?;
        let read = |row: &tokio_postgres::Row| {
            decode::<AuditRecord>(column(row, 1, "audit record")?, "audit record").map(|record| record.entry)
        };
        let entries: Vec<AuditEntry> = rows.iter().map(read).collect::<Result<_, _>>()?;
        tell(directory, entries).await?;
        let query = Query::Fixed("UPDATE audit_taken SET upto = $2 WHERE shard = $1");
        directory.execute(query, &[&small(number), &last]).await?;
        directory.run("COMMIT").await?;
    }
}

/// Refuses a shard whose audit log is shorter than what was taken of it: what it writes next would be taken for that.
pub(super) async fn check_audit(directory: &Link, shard: &Link, number: u16) -> Result<(), StoreError> {
    let query = Query::Fixed("SELECT upto FROM audit_taken WHERE shard = $1");
    let Some(row) = directory.query_opt(query, &[&small(number)]).await? else {
        return Ok(());
    };
    let upto: i64 = column(&row, 0, "shard")?;
    let query = Query::Fixed("SELECT audit_count FROM log_head WHERE id = 1");
    let row = shard.query_opt(query, &[]).await?.ok_or(StoreError::Corrupt("the log's head"))?;
    let count: i64 = column(&row, 0, "the log's head")?;
    if count < upto {
        return Err(StoreError::Unavailable(format!(
            "the audit log of shard {number} ends at {count}, but {upto} of its entries were taken: its database was \
             restored to an earlier state; docs/scaling.md says how to go on"
        )));
    }
    Ok(())
}
