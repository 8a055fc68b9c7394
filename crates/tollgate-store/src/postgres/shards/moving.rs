//! Taking a bucket from one shard to another while payments go on.
//!
//! Each stage is noted in the directory before it is begun and can be done again, so whoever comes after a mover that
//! died goes on from there. The one step that counts is a transaction of the directory ([`Directory::switch`]), on the
//! connection that has the movers' lock: before it the bucket is the source's, after it the target's, and nobody who
//! lost the lock can make it. Whether a shard takes writes of a bucket is its own gate's say (`gate`): the source's is
//! closed before that step and the target's is opened after it, so the two are never open at once.

use crate::error::StoreError;
use crate::postgres::PostgresOptions;
use crate::postgres::lane::{BUCKETS, ONCE};
use crate::postgres::link::{Id, Link, Query};
use crate::postgres::partitions;
use crate::postgres::shards::copying::{Changed, Ends, merchant_of, remove};
use crate::postgres::shards::directory::{Directory, Move, Stage};
use crate::postgres::shards::logs::{EVENTS, OUTCOMES};
use crate::postgres::shards::spread::tell_partners;
use crate::postgres::shards::tables::{MOVED, merchants, small};
use crate::postgres::shards::verify::Compared;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// How often the lease of those who make partitions is tried, twice a second.
const PARTITION_TRIES: u32 = 60;

/// Changes copied at once while nobody waits.
const ROUND: i64 = 5_000;

/// So few changes may wait when the bucket is closed.
const FEW: i64 = 500;

/// Rounds of copying what has changed, before it is said that the bucket changes faster than it can be copied.
const ROUNDS_MAX: u32 = 1_000;

/// Rows that have changed since both ends were compared, at most: they are compared once more while the bucket is closed.
const COMPARED_LATE_MAX: usize = 20_000;

/// How a bucket is moved.
#[derive(Debug, Clone, Copy)]
pub struct MoveOptions {
    /// How long the bucket's writes may wait: if it takes longer, the source takes them again and the move is tried later.
    pub pause_max_ms: u64,
    /// How often that is tried.
    pub pauses_max: u32,
    /// How long the source's rows are kept after the switch, for those who read there still.
    pub keep_ms: u64,
}

impl Default for MoveOptions {
    fn default() -> Self {
        // Longer than a lane looks for a batch whose commit was not answered.
        Self { pause_max_ms: 900, pauses_max: 10, keep_ms: 40_000 }
    }
}

/// What a move came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MoveReport {
    /// Rows that were compared, both ends alike.
    pub rows: u64,
    /// Rows copied again because they had changed.
    pub copied_again: u64,
    /// Events that nobody had read and that are in the target's log now.
    pub events_taken: u64,
    /// Outcomes of deliveries that nobody had read and that are in the target's log now.
    pub outcomes_taken: u64,
    /// How long the bucket's writes waited.
    pub paused_ms: u64,
    /// How often the bucket was closed for too long and opened again.
    pub pauses_in_vain: u32,
    /// Rows removed at the source.
    pub removed: u64,
}

/// How much of the source's logs nobody had read.
struct Taken {
    events: u64,
    outcomes: u64,
}

/// Is told each stage before it is begun; may stop the move there, as if it had died.
pub type Watch<'a> = &'a (dyn Fn(Stage) -> ControlFlow<()> + Send + Sync);

/// A move at work.
pub(super) struct Mover<'a> {
    pub(super) shards: &'a [PostgresOptions],
    pub(super) options: MoveOptions,
    pub(super) watch: Watch<'a>,
    pub(super) directory: &'a Link,
    pub(super) step: Move,
}

impl Mover<'_> {
    /// Goes on to the end from wherever the move is.
    pub(super) async fn run(mut self) -> Result<MoveReport, StoreError> {
        let mut report = MoveReport::default();
        let mut ends = self.connect().await?;
        self.keep_partitions(&ends).await?;
        loop {
            let done = self.stage(&mut ends, &mut report).await;
            match done {
                Ok(true) => return Ok(report),
                Ok(false) => {}
                Err(error) => {
                    if let (StoreError::Differs(_), Stage::CatchingUp) = (&error, self.step.stage) {
                        // The copy is not what it should be: it is made anew by whoever goes on.
                        self.step.copied.clear();
                        self.note(Stage::Preparing).await?;
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Does the present stage; whether it was the last.
    async fn stage(&mut self, ends: &mut Ends, report: &mut MoveReport) -> Result<bool, StoreError> {
        if (self.watch)(self.step.stage).is_break() {
            return Err(StoreError::Unavailable("the move was stopped; it can be gone on with".to_owned()));
        }
        match self.step.stage {
            Stage::Preparing => {
                ends.watch().await?;
                remove(&ends.target, &merchants(&ends.target, self.step.bucket).await?).await?;
                self.step.copied.clear();
                self.note(Stage::Copying).await?;
            }
            Stage::Copying => {
                let all = merchants(&ends.source, self.step.bucket).await?;
                for table in MOVED {
                    if self.step.copied.iter().any(|copied| copied == table.name) {
                        continue;
                    }
                    ends.copy(table, &all).await?;
                    self.step.copied.push(table.name.to_owned());
                    self.note(Stage::Copying).await?;
                }
                self.note(Stage::CatchingUp).await?;
            }
            Stage::CatchingUp => self.catch_up_and_switch(ends, report).await?,
            // Whoever closed it is gone: as it was before.
            Stage::Paused => {
                reopen(ends).await?;
                self.note(Stage::CatchingUp).await?;
            }
            Stage::Switched => {
                finish_switch(ends).await?;
                self.note(Stage::Cleaning).await?;
            }
            Stage::Cleaning => {
                ends.unwatch().await?;
                tokio::time::sleep(Duration::from_millis(self.options.keep_ms)).await;
                let all = merchants(&ends.source, self.step.bucket).await?;
                report.removed = remove(&ends.source, &all).await?;
                Directory(self.directory).end_move(self.step.bucket).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Connects to both ends. Their statements may take as long as they take.
    async fn connect(&self) -> Result<Ends, StoreError> {
        let options = |shard: u16| {
            let none = || StoreError::Unavailable(format!("shard {shard} is not configured"));
            self.shards.get(usize::from(shard)).ok_or_else(none)
        };
        let (source, target) = (options(self.step.source)?, options(self.step.target)?);
        let (source, target) = tokio::try_join!(source.patient_link(), target.patient_link())?;
        Ok(Ends { source, target, bucket: self.step.bucket })
    }

    /// Nobody makes or drops partitions at either end meanwhile: days that are dropped are no changes of rows, and would
    /// be missed here or there.
    async fn keep_partitions(&self, ends: &Ends) -> Result<(), StoreError> {
        for link in [&ends.source, &ends.target] {
            let mut tries = 0;
            while !partitions::take(link).await? {
                tries += 1;
                if tries >= PARTITION_TRIES {
                    let text = "partitions are being made at one of the shards; try again when that is over";
                    return Err(StoreError::Unavailable(text.to_owned()));
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
        Ok(())
    }

    async fn note(&mut self, stage: Stage) -> Result<(), StoreError> {
        let was = std::mem::replace(&mut self.step.stage, stage);
        let noted = Directory(self.directory).note(&self.step).await;
        if noted.is_err() {
            self.step.stage = was;
        }
        noted
    }

    async fn catch_up_and_switch(
        &mut self,
        ends: &mut Ends,
        report: &mut MoveReport,
    ) -> Result<(), StoreError> {
        self.catch_up(ends, report, &mut BTreeSet::new()).await?;
        let mut compared = ends.compare_all().await?;
        report.rows = u64::try_from(compared.rows).unwrap_or(0);
        for attempt in 1..=self.options.pauses_max.max(1) {
            self.catch_up(ends, report, &mut compared.changed).await?;
            if compared.changed.len() > COMPARED_LATE_MAX {
                compared = ends.compare_all().await?;
            }
            tell_partners(self.directory, &ends.target).await?;
            self.note(Stage::Paused).await?;
            if (self.watch)(Stage::Paused).is_break() {
                // As if it had died with the bucket closed.
                close(&ends.source, self.step.bucket, self.options.pause_max_ms).await?;
                return Err(StoreError::Unavailable(
                    "the move was stopped; it can be gone on with".to_owned(),
                ));
            }
            let within = Duration::from_millis(self.options.pause_max_ms);
            let closed = close(&ends.source, self.step.bucket, self.options.pause_max_ms).await;
            let begun = Instant::now();
            let ready = match closed {
                Ok(()) => tokio::time::timeout(within, self.last_rows(ends, &mut compared)).await,
                Err(error) => Ok(Err(error)),
            };
            match ready {
                Ok(Ok(taken)) => {
                    forget_reports(&ends.target).await?;
                    Directory(self.directory).switch(&self.step).await?;
                    self.step.stage = Stage::Switched;
                    if (self.watch)(Stage::Switched).is_break() {
                        return Err(StoreError::Unavailable(
                            "the move was stopped; it can be gone on with".to_owned(),
                        ));
                    }
                    open(&ends.target, self.step.bucket).await?;
                    report.paused_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                    (report.events_taken, report.outcomes_taken) = (taken.events, taken.outcomes);
                    return Ok(());
                }
                failed => {
                    report.pauses_in_vain += 1;
                    // Whatever was under way on the connections ends with them.
                    *ends = self.connect().await?;
                    reopen(ends).await?;
                    self.note(Stage::CatchingUp).await?;
                    let why = match failed {
                        Ok(Err(error @ StoreError::Differs(_))) => return Err(error),
                        Ok(Err(error)) => error.to_string(),
                        _ => "it took too long".to_owned(),
                    };
                    tracing::warn!(
                        bucket = self.step.bucket,
                        attempt,
                        why,
                        "the bucket was opened again at its old shard"
                    );
                    if attempt >= self.options.pauses_max {
                        return Err(StoreError::Unavailable(format!(
                            "the bucket could not be switched: {why}"
                        )));
                    }
                    tokio::time::sleep(Duration::from_millis(200 * u64::from(attempt))).await;
                    self.keep_partitions(ends).await?;
                }
            }
        }
        Ok(())
    }

    /// Copies what has changed until little is left.
    async fn catch_up(
        &self,
        ends: &Ends,
        report: &mut MoveReport,
        late: &mut BTreeSet<Changed>,
    ) -> Result<(), StoreError> {
        for _ in 0..ROUNDS_MAX {
            let changed = ends.catch_up(ROUND).await?;
            report.copied_again += u64::try_from(changed.len()).unwrap_or(0);
            late.extend(changed);
            if ends.pending().await? <= FEW {
                return Ok(());
            }
        }
        Err(StoreError::Unavailable("the bucket changes faster than it can be copied".to_owned()))
    }

    /// While the bucket is closed: the last rows, the comparison of what was not compared yet, and what nobody has read
    /// of the logs. Gives how much that is.
    async fn last_rows(&self, ends: &Ends, compared: &mut Compared) -> Result<Taken, StoreError> {
        loop {
            let changed = ends.catch_up(ROUND).await?;
            if changed.is_empty() {
                break;
            }
            compared.changed.extend(changed);
        }
        ends.compare(&compared.changed).await?;
        let new = compared.changed.iter().filter_map(|(_, key)| merchant_of(key));
        compared.merchants.extend(new);
        ends.compare_books(&compared.merchants).await?;
        tell_partners(self.directory, &ends.target).await?;
        let outcomes = OUTCOMES.take(ends).await?;
        Ok(Taken { events: EVENTS.take(ends).await?, outcomes })
    }
}

/// The source takes no writes of the bucket from here on: everybody who was deciding about it has ended.
async fn close(source: &Link, bucket: u16, within_ms: u64) -> Result<(), StoreError> {
    // In the order in which the lanes take them.
    let text = format!(
        "BEGIN;
         SET LOCAL lock_timeout = '{within_ms}ms';
         SELECT pg_advisory_xact_lock({ONCE}, 1);
         SELECT pg_advisory_xact_lock({ONCE}, 2);
         SELECT pg_advisory_xact_lock({BUCKETS}, {bucket});
         UPDATE shard SET open = set_bit(open, {bucket}, 0), epoch = epoch + 1 WHERE id = 1;
         COMMIT"
    );
    source.run(&text).await
}

/// A shard takes writes of the bucket.
async fn open(shard: &Link, bucket: u16) -> Result<(), StoreError> {
    let query = Query::Fixed("UPDATE shard SET open = set_bit(open, $1, 1), epoch = epoch + 1 WHERE id = 1");
    shard.execute(query, &[&i64::from(bucket)]).await?;
    Ok(())
}

/// What reports read is not copied but made anew: until then the target has none.
async fn forget_reports(target: &Link) -> Result<(), StoreError> {
    target.run("UPDATE reports SET as_of = NULL, arrivals = arrivals + 1").await
}

/// The source takes the bucket's writes again. What is numbered anew in the target's copy is copied once more: nobody
/// waits for that.
async fn reopen(ends: &Ends) -> Result<(), StoreError> {
    open(&ends.source, ends.bucket).await?;
    for log in [EVENTS, OUTCOMES] {
        log.give_back(ends).await?;
    }
    Ok(())
}

/// What follows from the switch: the target takes writes, and the source's rows are no work for anybody any more.
pub(super) async fn finish_switch(ends: &Ends) -> Result<(), StoreError> {
    open(&ends.target, ends.bucket).await?;
    let ids: Vec<Id> = merchants(&ends.source, ends.bucket).await?.into_iter().collect();
    ends.source.run("BEGIN").await?;
    ends.source
        .execute(Query::Fixed("DELETE FROM leaving WHERE bucket = $1"), &[&small(ends.bucket)])
        .await?;
    for table in ["job_due", "job_turns", "job_leases", "job_ended", "delivery_times"] {
        let query = Query::Of("DELETE FROM {table} WHERE merchant_id = ANY ($1::uuid[])", table);
        ends.source.execute(query, &[&ids]).await?;
    }
    for text in [
        "UPDATE payments SET deadline_ms = NULL
         WHERE merchant_id = ANY ($1::uuid[]) AND deadline_ms IS NOT NULL",
        "UPDATE attempts SET is_watched = false WHERE merchant_id = ANY ($1::uuid[]) AND is_watched",
    ] {
        ends.source.execute(Query::Fixed(text), &[&ids]).await?;
    }
    for log in [EVENTS, OUTCOMES] {
        log.leave(ends).await?;
    }
    ends.source.run("COMMIT").await
}

/// A mover has died with the bucket closed: it is opened where it belongs. The rest of the move waits for somebody
/// to go on with it.
pub(super) async fn rescue(
    shards: &[PostgresOptions],
    directory: &Link,
    mut step: Move,
) -> Result<(), StoreError> {
    if !matches!(step.stage, Stage::Paused | Stage::Switched) {
        return Ok(());
    }
    let watch = |_| ControlFlow::Continue(());
    let mover =
        Mover { shards, options: MoveOptions::default(), watch: &watch, directory, step: step.clone() };
    let ends = mover.connect().await?;
    if step.stage == Stage::Paused {
        reopen(&ends).await?;
        step.stage = Stage::CatchingUp;
    } else {
        finish_switch(&ends).await?;
        step.stage = Stage::Cleaning;
    }
    Directory(directory).note(&step).await
}

/// Gives a move up that was not switched.
pub(super) async fn abort(
    shards: &[PostgresOptions],
    directory: &Link,
    step: Move,
) -> Result<(), StoreError> {
    if matches!(step.stage, Stage::Switched | Stage::Cleaning) {
        return Err(StoreError::Unavailable("the bucket is switched: go on with the move".to_owned()));
    }
    let watch = |_| ControlFlow::Continue(());
    let bucket = step.bucket;
    let mover = Mover { shards, options: MoveOptions::default(), watch: &watch, directory, step };
    let ends = mover.connect().await?;
    open(&ends.source, bucket).await?;
    ends.unwatch().await?;
    remove(&ends.target, &merchants(&ends.target, bucket).await?).await?;
    Directory(directory).end_move(bucket).await
}
