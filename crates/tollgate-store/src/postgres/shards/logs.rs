//! What of a shard's logs goes along with a bucket: what not every reader has read.
//!
//! Rows of a log are copied as all rows are, but are in no log of the target's. Those that were not read get new numbers at
//! the end of the target's log, and are taken out of the source's. So each is worked off at one of the two places.

use crate::batch::codec::{decode, encode};
use crate::error::StoreError;
use crate::jobs::{Log, LogReader};
use crate::postgres::link::{Id, Query, big, column, natural};
use crate::postgres::shards::copying::Ends;
use crate::postgres::shards::tables::{Moved, merchants, small};

/// Rows that no reader has read, at most: they are numbered anew while the bucket is closed.
const UNREAD_MAX: usize = 20_000;

/// A log and its head.
#[derive(Clone, Copy)]
pub(super) struct MovedLog {
    log: Log,
    table: &'static str,
    /// The head's table and what its number is called there.
    head: (&'static str, &'static str),
}

/// What happened to payments.
pub(super) const EVENTS: MovedLog =
    MovedLog { log: Log::Events, table: "events", head: ("log_head", "event_sequence") };

/// What became of webhook deliveries.
pub(super) const OUTCOMES: MovedLog =
    MovedLog { log: Log::Outcomes, table: "webhook_outcomes", head: ("outcome_head", "sequence") };

impl MovedLog {
    fn moved(self) -> Result<&'static Moved, StoreError> {
        Moved::named(self.table).ok_or(StoreError::Corrupt("table of a log"))
    }

    /// The keys of the bucket's rows that are in the source's log and that not every reader has read, in their order.
    async fn unread(self, ends: &Ends) -> Result<Vec<String>, StoreError> {
        let mut read_upto = i64::MAX;
        for reader in LogReader::ALL.into_iter().filter(|reader| reader.log() == self.log) {
            match read_by(ends, reader).await? {
                Some(upto) => read_upto = read_upto.min(big(upto)),
                // Nothing is kept for it.
                None if reader.is_optional() => {}
                None => read_upto = 0,
            }
        }
        let text = format!(
            "SELECT {} FROM {} AS t
             WHERE in_log AND sequence > $1 AND tollgate_bucket(merchant_id) = $2 ORDER BY sequence",
            self.moved()?.key_text(),
            self.table
        );
        let rows = ends.source.query(Query::Text(text), &[&read_upto, &small(ends.bucket)]).await?;
        rows.iter().map(|row| column(row, 0, "row of a log")).collect()
    }

    /// The target's log goes on behind the source's, so that a merchant's numbers never go back, and has what nobody has
    /// read as its own. Gives how much that is.
    pub(super) async fn take(self, ends: &Ends) -> Result<u64, StoreError> {
        let unread = self.unread(ends).await?;
        if unread.len() > UNREAD_MAX {
            let text = format!(
                "too many {} wait for the readers of their log; move the bucket when they have caught up",
                match self.log {
                    Log::Events => "events",
                    Log::Outcomes => "outcomes of deliveries",
                }
            );
            return Err(StoreError::Unavailable(text));
        }
        let corrupt = || StoreError::Corrupt("the log's head");
        let (head, number) = self.head;
        let end = Query::Text(format!("SELECT {number} FROM {head} WHERE id = 1"));
        let row = ends.source.query_opt(end, &[]).await?.ok_or_else(corrupt)?;
        let end: i64 = column(&row, 0, "the log's head")?;
        let count = i64::try_from(unread.len()).unwrap_or(i64::MAX);
        ends.target.run("BEGIN").await?;
        let query = Query::Text(format!(
            "UPDATE {head} SET {number} = greatest({number}, $1) + $2 WHERE id = 1 RETURNING {number} - $2"
        ));
        let row = ends.target.query_opt(query, &[&end, &count]).await?.ok_or_else(corrupt)?;
        let base: i64 = column(&row, 0, "the log's head")?;
        self.begin_readers(ends, natural(base)).await?;
        let text = format!(
            "UPDATE {} AS t SET sequence = $1 + k.place, in_log = true
             FROM unnest($2::text[]) WITH ORDINALITY AS k (key, place) WHERE {}",
            self.table,
            self.moved()?.join()
        );
        let taken = ends.target.execute(Query::Text(text), &[&base, &unread]).await?;
        ends.target.run("COMMIT").await?;
        if big(taken) != count {
            return Err(StoreError::Differs("the copy of a log"));
        }
        Ok(taken)
    }

    /// Readers that have begun at the source begin at the target too, if they have not, before what is taken over: or that
    /// would lie before their beginning.
    async fn begin_readers(self, ends: &Ends, upto: u64) -> Result<(), StoreError> {
        for reader in LogReader::ALL.into_iter().filter(|reader| reader.log() == self.log) {
            if reader.is_optional() && read_by(ends, reader).await?.is_some() {
                let query = Query::Fixed(
                    "INSERT INTO log_readers (key, record) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING",
                );
                let key = reader.as_str().as_bytes();
                ends.target.execute(query, &[&key, &encode(&upto)?]).await?;
            }
        }
        Ok(())
    }

    /// The switch did not come about: what was numbered anew in the target's copy is to be copied once more.
    pub(super) async fn give_back(self, ends: &Ends) -> Result<(), StoreError> {
        let ids: Vec<Id> = merchants(&ends.target, ends.bucket).await?.into_iter().collect();
        let text = format!(
            "SELECT {} FROM {} AS t WHERE in_log AND merchant_id = ANY ($1::uuid[])",
            self.moved()?.key_text(),
            self.table
        );
        let rows = ends.target.query(Query::Text(text), &[&ids]).await?;
        let keys: Vec<String> =
            rows.iter().map(|row| column(row, 0, "row of a log")).collect::<Result<_, _>>()?;
        let query = Query::Fixed(
            "INSERT INTO bucket_changes (bucket, table_name, key)
             SELECT $1::smallint, $2::text, * FROM unnest($3::text[])",
        );
        ends.source.execute(query, &[&small(ends.bucket), &self.table, &keys]).await?;
        Ok(())
    }

    /// The switch is made: what the target has taken over is not in the source's log any more.
    pub(super) async fn leave(self, ends: &Ends) -> Result<(), StoreError> {
        let unread = self.unread(ends).await?;
        let text = format!(
            "UPDATE {} AS t SET in_log = false FROM unnest($1::text[]) AS k (key) WHERE {}",
            self.table,
            self.moved()?.join()
        );
        ends.source.execute(Query::Text(text), &[&unread]).await?;
        Ok(())
    }
}

/// How far a reader of one of the source's logs is; none: it has not begun.
async fn read_by(ends: &Ends, reader: LogReader) -> Result<Option<u64>, StoreError> {
    let query = Query::Fixed("SELECT record FROM log_readers WHERE key = $1");
    let row = ends.source.query_opt(query, &[&reader.as_str().as_bytes()]).await?;
    row.map(|row| decode(column(&row, 0, "log reader")?, "log reader")).transpose()
}
