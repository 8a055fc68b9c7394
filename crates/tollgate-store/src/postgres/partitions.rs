//! Partitions: made ahead of their time, and put aside after it.
//!
//! Payments, attempts, postings and events are in months, by ranges of ids; idempotency records and messages are in
//! days. Should nobody make partitions in time, rows go to the table's `_default`, from where the next call
//! fetches them: being late costs time, no payment.

use crate::batch::{DAY_MS, MESSAGES_MS};
use crate::error::StoreError;
use crate::postgres::link::{Link, Query, big, column};
use tollgate_core::partner::period::Period;
use tollgate_core::totals::PERIOD_MS;

/// Money records younger than this are never put aside: ten years, the longest that commercial and tax law asks for
/// where the gateway's partners are.
const LEGAL_TERM_MS: u64 = 3_653 * DAY_MS;

/// Days of idempotency records and messages made ahead.
const DAYS_AHEAD: u64 = 7;

/// How full pages of idempotency records are filled, in percent. A record is written once more when its reply is known, three times as long:
/// with room for that on its page no index needs to be told.
const RECORDS_FILL: u32 = 30;

/// Tables in months, and the column their ranges are of.
const MONTHLY: [(&str, &str); 4] =
    [("payments", "id"), ("attempts", "id"), ("ledger_postings", "payment_id"), ("events", "payment_id")];

/// What is wanted of partitions.
#[derive(Debug, Clone, Copy)]
pub struct PartitionWish {
    /// Now, in milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// Months made ahead of this one.
    pub months_ahead: u32,
    /// Months that ended longer ago are detached: they stay in the database as tables of their own, to be archived.
    /// None: all are kept.
    pub keep_ms: Option<u64>,
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionReport {
    /// Partitions made.
    pub made: Vec<String>,
    /// Months detached.
    pub detached: Vec<String>,
    /// Days dropped: all their rows had outlived their time.
    pub dropped: Vec<String>,
}

/// A partition to be: its table's column, its name, and its bounds as SQL.
struct Partition<'a> {
    table: &'a str,
    column: &'a str,
    name: String,
    from: String,
    to: String,
    /// How full its pages are filled, in percent.
    fill: u32,
}

/// Held by whoever makes partitions, for as long as its connection lasts.
const LEASE: i64 = 0x746f_6c6c_7061_7274;

/// Takes the lease, unless somebody has it.
pub(super) async fn take(link: &Link) -> Result<bool, StoreError> {
    let row = link.query_opt(Query::Fixed("SELECT pg_try_advisory_lock($1)"), &[&LEASE]).await?;
    column(&row.ok_or(StoreError::Corrupt("lease"))?, 0, "lease")
}

/// Does what is wished.
pub(super) async fn keep(
    link: &Link,
    wish: &PartitionWish,
    idempotency_ms: u64,
) -> Result<PartitionReport, StoreError> {
    if wish.keep_ms.is_some_and(|keep_ms| keep_ms < LEGAL_TERM_MS) {
        return Err(StoreError::Unavailable("money records are kept for ten years at least".to_owned()));
    }
    // Whoever has it already may take it again.
    link.query(Query::Fixed("SELECT pg_advisory_lock($1)"), &[&LEASE]).await?;
    let mut report = PartitionReport::default();
    let mut at_ms = wish.now_ms;
    for _ in 0..=wish.months_ahead {
        let month = Period::month_of(at_ms);
        let label = month_label(link, start_ms(month)).await?;
        for (table, column) in MONTHLY {
            let (from, to) = (bound(start_ms(month)), bound(end_ms(month)));
            let name = format!("{table}_{label}");
            make(link, Partition { table, column, name, from, to, fill: 100 }, &mut report).await?;
        }
        at_ms = end_ms(month);
    }
    let today = wish.now_ms / DAY_MS;
    for (table, kept_ms, fill) in
        [("idempotency", idempotency_ms, RECORDS_FILL), ("messages", MESSAGES_MS, 100)]
    {
        for day in today..=today + DAYS_AHEAD {
            let (from, to) = (format!("{day}"), format!("{}", day + 1));
            let name = format!("{table}_{day}");
            make(link, Partition { table, column: "day", name, from, to, fill }, &mut report).await?;
        }
        let first = wish.now_ms.saturating_sub(kept_ms) / DAY_MS;
        for name in names(link, table).await? {
            let day = name.strip_prefix(table).and_then(|rest| rest.strip_prefix('_')?.parse::<u64>().ok());
            if day.is_some_and(|day| day < first) {
                link.run(&format!("DROP TABLE {name}")).await?;
                report.dropped.push(name);
            }
        }
        link.execute(Query::Of("DELETE FROM {table}_default WHERE day < $1", table), &[&big(first)]).await?;
    }
    if let Some(keep_ms) = wish.keep_ms {
        let month = Period::month_of(wish.now_ms.saturating_sub(keep_ms));
        let oldest = month_label(link, start_ms(month)).await?;
        for (table, _) in MONTHLY {
            for name in names(link, table).await? {
                let label = name.strip_prefix(table).and_then(|rest| rest.strip_prefix('_'));
                let is_month = label.is_some_and(|label| label.len() == 6 && label.parse::<u32>().is_ok());
                if is_month && label < Some(oldest.as_str()) {
                    link.run(&format!("ALTER TABLE {table} DETACH PARTITION {name}")).await?;
                    report.detached.push(name);
                }
            }
        }
    }
    Ok(report)
}

/// Makes a partition, unless it is there. Rows that came before it are fetched from the default one.
async fn make(link: &Link, partition: Partition<'_>, report: &mut PartitionReport) -> Result<(), StoreError> {
    let Partition { table, column: by, name, from, to, fill } = partition;
    let there = link.query_opt(Query::Fixed("SELECT to_regclass($1) IS NOT NULL"), &[&name]).await?;
    if there.map(|row| column::<bool>(&row, 0, "partition")).transpose()?.unwrap_or(false) {
        return Ok(());
    }
    // Attaching locks the default partition: whoever waits for that holds up all writers, so not for long.
    let text = format!(
        "BEGIN;
         SET LOCAL lock_timeout = '2s';
         CREATE TABLE {name} (LIKE {table} INCLUDING ALL) WITH (fillfactor = {fill});
         WITH moved AS (
             DELETE FROM {table}_default WHERE {by} >= '{from}' AND {by} < '{to}' RETURNING *
         ) INSERT INTO {name} SELECT * FROM moved;
         ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{from}') TO ('{to}');
         COMMIT"
    );
    if let Err(error) = link.run(&text).await {
        link.run("ROLLBACK").await?;
        return Err(error);
    }
    report.made.push(name);
    Ok(())
}

/// The partitions of a table.
async fn names(link: &Link, table: &'static str) -> Result<Vec<String>, StoreError> {
    let query = Query::Fixed(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = $1::text::regclass ORDER BY 1",
    );
    let rows = link.query(query, &[&table]).await?;
    rows.iter().map(|row| column(row, 0, "partition")).collect()
}

async fn month_label(link: &Link, start_ms: u64) -> Result<String, StoreError> {
    let query = Query::Fixed("SELECT to_char(to_timestamp($1::bigint / 1000) AT TIME ZONE 'UTC', 'YYYYMM')");
    let row = link.query_opt(query, &[&big(start_ms)]).await?.ok_or(StoreError::Corrupt("month"))?;
    column(&row, 0, "month")
}

fn start_ms(month: Period) -> u64 {
    u64::from(month.from_hour) * PERIOD_MS
}

fn end_ms(month: Period) -> u64 {
    u64::from(month.to_hour) * PERIOD_MS
}

/// The least id of a time, as PostgreSQL writes it.
fn bound(at_ms: u64) -> String {
    let hex = format!("{:032x}", u128::from(at_ms) << 80);
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_the_least_ids_of_their_time() {
        assert_eq!(bound(0), "00000000-0000-0000-0000-000000000000");
        assert_eq!(bound(0x0123_4567_89AB), "01234567-89ab-0000-0000-000000000000");
    }
}
