//! The two ends of a move, and who may change something there.
//!
//! The movers' lock is in the directory and ends with a session there; a mover that hangs may lose it without knowing,
//! while its connections to the ends live on. So whoever moves takes the ends as well: it counts their epoch on, and looks
//! after that whether the lock is still its own. All it changes at an end is refused by the database itself if somebody
//! else has counted on meanwhile. A mover that comes back late, and connects anew, finds the ends taken.

use crate::error::StoreError;
use crate::postgres::PostgresOptions;
use crate::postgres::lane::{BUCKETS, ONCE};
use crate::postgres::link::{Link, Query, is_busy};
use crate::postgres::shards::directory::Directory;
use crate::postgres::shards::{check_place, refusal};
use std::ops::Deref;
use std::time::{Duration, Instant};

/// Held shared by whoever changes something at an end, and alone by whoever takes it: the place among those there are once.
const TAKING: i32 = 3;

/// How long what another mover has under way at an end is waited for, as PostgreSQL writes it.
const TAKEN_WITHIN: &str = "10s";

/// How long the first try to close a bucket waits for those who decide about it, and keeps jobs and administration of the
/// shard waiting. Each further one waits twice as long.
const CLOSE_WAIT_FIRST: Duration = Duration::from_millis(50);

/// Up to this.
const CLOSE_WAIT_LONGEST: Duration = Duration::from_millis(400);

/// Both ends of a move.
pub(super) struct Ends {
    pub(super) source: End,
    pub(super) target: End,
    pub(super) bucket: u16,
}

/// A shard that somebody has taken to move a bucket from or to it.
pub(super) struct End {
    link: Link,
    number: u16,
    epoch: i64,
}

impl Deref for End {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.link
    }
}

/// Connects to a shard, if it is the one that it is configured as. Its statements may take as long as they take.
async fn reach(shards: &[PostgresOptions], number: u16, directory: &Link) -> Result<Link, StoreError> {
    let none = || refusal(format!("shard {number} is not configured"));
    let link = shards.get(usize::from(number)).ok_or_else(none)?.patient_link().await?;
    check_place(&link, &Directory(directory), number).await?;
    Ok(link)
}

impl End {
    /// Takes a shard from whoever had it. Needs the movers' lock, on the directory's connection.
    pub(super) async fn take(
        shards: &[PostgresOptions],
        number: u16,
        directory: &Link,
    ) -> Result<Self, StoreError> {
        let link = reach(shards, number, directory).await?;
        let text = format!(
            "BEGIN;
             SET LOCAL lock_timeout = '{TAKEN_WITHIN}';
             SELECT pg_advisory_xact_lock({ONCE}, {TAKING});
             UPDATE shard SET epoch = epoch + 1 WHERE id = 1 RETURNING epoch;
             COMMIT"
        );
        let told = link.run_for(&text).await.map_err(|error| {
            let text =
                format!("a mover that does not answer is still connected to shard {number}; end it first");
            if is_busy(&error) { refusal(text) } else { error }
        })?;
        let epoch = told.and_then(|told| told.parse().ok()).ok_or(StoreError::Corrupt("shard"))?;
        // Still locked, so nobody else has taken it since; whoever locks later takes it later.
        directory.ping().await?;
        Ok(Self { link, number, epoch })
    }

    /// The same end on a new connection, if nobody else has taken it: that is asked with each change.
    pub(super) async fn again(
        &self,
        shards: &[PostgresOptions],
        directory: &Link,
    ) -> Result<Self, StoreError> {
        let link = reach(shards, self.number, directory).await?;
        Ok(Self { link, number: self.number, epoch: self.epoch })
    }

    /// Statements for the beginning of a transaction: they fail if somebody else has taken the end, and keep others from
    /// taking it until the transaction ends.
    pub(super) fn fence(&self) -> String {
        format!(
            "SELECT pg_advisory_xact_lock_shared({ONCE}, {TAKING});
             DO $$ BEGIN
                 IF NOT EXISTS (SELECT FROM shard WHERE id = 1 AND epoch = {}) THEN
                     RAISE EXCEPTION 'somebody else moves buckets of shard {} by now';
                 END IF;
             END $$;",
            self.epoch, self.number
        )
    }

    /// Begins a transaction that changes something.
    pub(super) async fn begin(&self) -> Result<(), StoreError> {
        self.run(&format!("BEGIN; {}", self.fence())).await
    }

    /// The same where others wait for it: should nothing be heard of us for so long, it is undone.
    pub(super) async fn begin_for(&self, silence: &'static str) -> Result<(), StoreError> {
        let bound = format!("SET LOCAL idle_in_transaction_session_timeout = '{silence}'");
        self.run(&format!("BEGIN; {bound}; {}", self.fence())).await
    }

    fn taken(&self) -> StoreError {
        refusal(format!("somebody else moves buckets of shard {} by now", self.number))
    }

    /// The shard takes writes of a bucket.
    pub(super) async fn open(&self, bucket: u16) -> Result<(), StoreError> {
        let query = Query::Fixed("UPDATE shard SET open = set_bit(open, $1, 1) WHERE id = 1 AND epoch = $2");
        let count = self.execute(query, &[&i64::from(bucket), &self.epoch]).await?;
        if count == 1 { Ok(()) } else { Err(self.taken()) }
    }

    /// The shard takes no writes of a bucket from here on: everybody who was deciding about it has ended.
    pub(super) async fn close(&self, bucket: u16, within: Duration) -> Result<(), StoreError> {
        let begun = Instant::now();
        let mut wait = CLOSE_WAIT_FIRST.min(within);
        loop {
            // In the order in which the lanes take them. Who holds the first two keeps all jobs and all administration
            // waiting: not for longer than a try.
            let text = format!(
                "BEGIN;
                 SET LOCAL lock_timeout = '{}ms';
                 SELECT pg_advisory_xact_lock({ONCE}, 1);
                 SELECT pg_advisory_xact_lock({ONCE}, 2);
                 SELECT pg_advisory_xact_lock({BUCKETS}, {bucket});
                 UPDATE shard SET open = set_bit(open, {bucket}, 0) WHERE id = 1 AND epoch = {} RETURNING epoch;
                 COMMIT",
                wait.as_millis().max(1),
                self.epoch
            );
            match self.run_for(&text).await {
                Ok(told) if told == Some(self.epoch.to_string()) => return Ok(()),
                Ok(_) => return Err(self.taken()),
                Err(error) if is_busy(&error) && begun.elapsed() < within => {
                    self.run("ROLLBACK").await?;
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(CLOSE_WAIT_LONGEST);
                }
                Err(error) => return Err(error),
            }
        }
    }
}
