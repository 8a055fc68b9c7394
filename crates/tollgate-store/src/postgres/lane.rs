//! Group commit: each lane takes whatever has gathered for it, decides it, and makes it durable in one transaction
//! on a connection of its own.
//!
//! **Who may decide what.** Merchants are spread over lanes by their bucket, so that one batch's fsync does not idle
//! the others; jobs and administrative changes have a lane each. Within its transaction a batch first takes the
//! locks of what it decides about: the buckets of its merchants, the jobs, or the administration (and the buckets of
//! merchants whose payments it masks). Any number of
//! instances may do the same at once: each sees what the one before has made durable. Locks are taken in one
//! order (buckets in ascending order, the logs' head last), so nobody waits in a circle.

use crate::batch::Base;
use crate::batch::job::{Answer, Job, Unit, begins};
use crate::batch::outcomes::OutcomeLog;
use crate::batch::queue::Queue;
use crate::batch::state::State;
use crate::batch::txn::Txn;
use crate::batch::whose::whose;
use crate::batch::work::{Desk, Hints};
use crate::commit::{Admin, Upkeep};
use crate::error::StoreError;
use crate::postgres::address::Target;
use crate::postgres::ahead::read_ahead;
use crate::postgres::base::Ground;
use crate::postgres::changes::Changes;
use crate::postgres::gate::Gate;
use crate::postgres::link::{Id, Link, Param, Query};
use crate::postgres::replan::Replans;
use crate::postgres::written::{self, Lsn, Written};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tollgate_core::audit::key::LogKey;
use tollgate_core::command::Policy;
use tollgate_core::id::MerchantId;

/// How often a batch is tried that provably was not committed.
const TRIES_MAX: u32 = 3;

/// The first pause before the database is asked again, when it was away; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_millis(50);

/// Up to this.
const PAUSE_LONGEST: Duration = Duration::from_secs(1);

/// The first half of advisory locks: a merchant's bucket.
pub(super) const BUCKETS: i32 = 0x7467_0001;

/// The first half of advisory locks: what there is once.
pub(super) const ONCE: i32 = 0x7467_0002;

/// A lane reads and writes rows by their keys, many at once, and mostly rows that were written a moment ago. A plan made while a table was
/// small would read the whole of it, and would go on doing so when it is large; and planning anew each time costs as much as the reading.
/// What is switched off counts as endless cost where there is no other way, for which PostgreSQL would compile the statement each time.
const BY_KEY: &str =
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off;
                      SET random_page_cost = 0.1; SET plan_cache_mode = force_generic_plan";

/// What a lane decides about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// Payments.
    Payments,
    /// Administrative changes and upkeep.
    Administration,
    /// Jobs, deliveries and endpoints.
    Jobs,
}

/// What a lane needs to know.
pub(super) struct LaneOptions {
    pub(super) subject: Subject,
    pub(super) target: Arc<Target>,
    /// How long what ends something under way is held when the database is away.
    pub(super) patience: Duration,
    /// Whether it is away and something is held: nothing new is to come.
    pub(super) is_holding: Arc<AtomicBool>,
    /// Where what was written is noted; none: nobody asks.
    pub(super) written: Option<Arc<Written>>,
    pub(super) policy: Policy,
    pub(super) run: u64,
    pub(super) idempotency_ms: u64,
    pub(super) log_key: LogKey,
}

/// Why a batch is not durable.
enum Stop {
    /// Nothing of it can be there: it may be tried again.
    Before(StoreError),
    /// The database cannot be reached: nothing of it can be there.
    Away(StoreError),
    /// The answer to the commit was lost.
    Unknown(StoreError, Trace),
}

/// By what a batch is found again that may have been committed.
struct Trace {
    /// The number before its first event's.
    base: u64,
    /// One of its events: merchant, payment, version and id. None: it made no event.
    event: Option<(Id, Id, i32, Id)>,
}

/// Whether a batch was committed after all.
enum Found {
    Committed,
    Absent,
    /// The database was away for too long.
    Unknown,
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Before(error)
    }
}

/// A lane at work.
struct Lane {
    options: LaneOptions,
    runtime: Runtime,
    link: Option<Link>,
    replans: Replans,
    /// When it was last looked whether outcomes have outlived their time.
    forgotten_at_ms: u64,
}

/// Runs until every sender is gone and the queue is empty.
pub(super) fn run(options: LaneOptions, runtime: Runtime, mut queue: Queue) {
    let mut lane = Lane { options, runtime, link: None, replans: Replans::default(), forgotten_at_ms: 0 };
    let mut jobs: Vec<Job> = Vec::new();
    let mut size_before = 0;
    while queue.gather(&mut jobs, size_before) {
        size_before = jobs.len();
        let begun = Instant::now();
        lane.serve(std::mem::take(&mut jobs));
        lane.replan();
        metrics::histogram!("tollgate_commit_batch_size")
            .record(f64::from(u32::try_from(size_before).unwrap_or(u32::MAX)));
        metrics::histogram!("tollgate_commit_seconds").record(begun.elapsed().as_secs_f64());
    }
    if let Err(error) = lane.leave() {
        tracing::warn!(%error, "leases are left to their end");
    }
}

impl Lane {
    /// Makes a batch durable and answers it.
    ///
    /// While the database is away, what begins something is refused at once, and what ends something under way is
    /// held for a while: a charge that was made is to be booked, and its caller answered.
    fn serve(&mut self, mut jobs: Vec<Job>) {
        let begun = Instant::now();
        let (mut tries, mut pause) = (0, PAUSE_FIRST);
        while !jobs.is_empty() {
            tries += 1;
            let units: Vec<Unit> = jobs.iter().map(Job::unit).collect();
            let mut answers = Vec::with_capacity(jobs.len());
            let stop = match self.batch(&units, jobs, &mut answers) {
                Ok(()) => {
                    answers.into_iter().for_each(|answer| answer.send(None));
                    break;
                }
                Err(stop) => stop,
            };
            // Whatever state the connection is in, its transaction ends with it.
            self.link = None;
            let is_away = matches!(stop, Stop::Away(_));
            let error = match stop {
                Stop::Before(error) | Stop::Away(error) => error,
                Stop::Unknown(error, trace) => match self.find_out(&units, &trace, begun) {
                    Found::Committed => {
                        tracing::warn!(%error, size = units.len(), "a commit was not answered, but made");
                        answers.iter_mut().for_each(|answer| answer.count_on(trace.base));
                        answers.into_iter().for_each(|answer| answer.send(None));
                        break;
                    }
                    Found::Absent => error,
                    Found::Unknown => {
                        tracing::error!(%error, size = units.len(), "it is not known whether a batch is durable");
                        let doubtful = StoreError::Doubtful(error.to_string());
                        answers.into_iter().for_each(|answer| answer.send(Some(&doubtful)));
                        break;
                    }
                },
            };
            let is_over = begun.elapsed() >= self.options.patience;
            let mut held = Vec::new();
            let mut refused = 0_usize;
            for (answer, unit) in answers.into_iter().zip(units) {
                let goes_on = if is_away || tries >= TRIES_MAX { !is_over && is_held(&unit) } else { true };
                if goes_on {
                    held.extend(answer.again(unit));
                } else {
                    refused += 1;
                    answer.send(Some(&error));
                }
            }
            if refused > 0 {
                tracing::error!(%error, refused, held = held.len(), "a batch could not be made durable");
            } else {
                tracing::warn!(%error, tries, "a batch is tried again");
            }
            jobs = held;
            if !jobs.is_empty() && (is_away || tries >= TRIES_MAX) {
                self.options.is_holding.store(true, Ordering::Release);
                std::thread::sleep(pause);
                pause = (pause * 2).min(PAUSE_LONGEST);
            }
        }
        self.options.is_holding.store(false, Ordering::Release);
    }

    /// Looks whether a batch was committed whose commit was not answered.
    fn find_out(&mut self, units: &[Unit], trace: &Trace, begun: Instant) -> Found {
        if self.options.subject != Subject::Payments {
            return Found::Unknown;
        }
        let mut pause = PAUSE_FIRST;
        loop {
            match self.look_for(units, trace) {
                Ok(found) => return found,
                Err(error) => {
                    self.link = None;
                    if begun.elapsed() >= self.options.patience {
                        return Found::Unknown;
                    }
                    tracing::warn!(%error, "whether a batch is durable cannot be found out yet");
                    self.options.is_holding.store(true, Ordering::Release);
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(PAUSE_LONGEST);
                }
            }
        }
    }

    fn look_for(&mut self, units: &[Unit], trace: &Trace) -> Result<Found, StoreError> {
        self.connect()?;
        let (runtime, Some(link)) = (&self.runtime, &self.link) else {
            return Err(StoreError::Unavailable("no connection".to_owned()));
        };
        runtime.block_on(async {
            // The locks of the batch: once they are ours, its transaction has ended in one way or the other.
            begin(link, self.options.subject, units).await?;
            // Without an event it only remembered replies: making it once more makes no difference.
            let Some((merchant, payment, version, id)) = &trace.event else {
                link.run("ROLLBACK").await?;
                return Ok(Found::Absent);
            };
            let gate = Gate::read(link).await?;
            let query = Query::Fixed(
                "SELECT 1 FROM events WHERE merchant_id = $1 AND payment_id = $2 AND version = $3 AND id = $4",
            );
            let is_there = !link.query(query, &[merchant, payment, version, id]).await?.is_empty();
            if is_there {
                // That it is seen here does not mean that a replica has it: who cuts off a connection that waits for one
                // ends the waiting, and not the commit. A commit of our own waits for all before it.
                link.run("SELECT pg_logical_emit_message(true, 'tollgate', ''); COMMIT").await?;
            } else {
                link.run("ROLLBACK").await?;
            }
            if let (true, Some(written)) = (is_there, &self.options.written) {
                // The log goes on behind the commit by now: who asks a replica is to see it.
                let told = link.run_for("SELECT pg_current_wal_lsn()").await?;
                if let Some(lsn) = told.as_deref().and_then(Lsn::read) {
                    written.note(units.iter().filter_map(bucket), lsn);
                }
            }
            Ok(match is_there {
                true => Found::Committed,
                // Its bucket has left, and its rows with it: that they are not here says nothing.
                false if !gate.is_here(MerchantId::from_bytes(merchant.0)) => Found::Unknown,
                false => Found::Absent,
            })
        })
    }

    /// One transaction. Every job has its answer afterwards, whatever comes of it.
    fn batch(&mut self, units: &[Unit], jobs: Vec<Job>, answers: &mut Vec<Answer>) -> Result<(), Stop> {
        let mut jobs = jobs.into_iter();
        let result = self.transact(units, &mut jobs, answers);
        answers.extend(jobs.map(Job::unanswered));
        let base = result?;
        if base > 0 {
            answers.iter_mut().for_each(|answer| answer.count_on(base));
        }
        Ok(())
    }

    /// Gives the sequence number before the batch's first event.
    fn transact(
        &mut self,
        units: &[Unit],
        jobs: &mut impl Iterator<Item = Job>,
        answers: &mut Vec<Answer>,
    ) -> Result<u64, Stop> {
        let LaneOptions { policy, run, idempotency_ms, .. } = self.options;
        self.connect().map_err(Stop::Away)?;
        let (runtime, Some(link)) = (&self.runtime, &self.link) else {
            return Err(Stop::Before(StoreError::Unavailable("no connection".to_owned())));
        };
        let ground = Ground::new(runtime, link, idempotency_ms, &self.options.log_key);
        runtime.block_on(async {
            begin(link, self.options.subject, units).await?;
            // After the locks: who closes a bucket has them too.
            let (gate, ()) = tokio::try_join!(Gate::read(link), read_ahead(&ground, units))?;
            ground.stand_at(gate);
            Ok::<_, StoreError>(())
        })?;
        let outcomes = OutcomeLog { forgotten_at_ms: self.forgotten_at_ms, ..OutcomeLog::default() };
        let mut state = State::new(0, outcomes);
        let mut txn = Txn::new(&ground, Changes::default(), &mut state, policy, run);
        for (job, unit) in jobs.zip(units) {
            let is_here = ground.is_whole() || whose(unit).into_iter().all(|id| ground.is_here(id));
            answers.push(if is_here { txn.take(job) } else { job.elsewhere() });
        }
        let sealed = txn.seal()?;
        // Nothing gets past the gate, whatever was overlooked above.
        if !ground.is_whole() && !sealed.rows.merchants()?.all(|id| ground.is_here(id)) {
            return Err(Stop::Before(StoreError::Elsewhere));
        }
        let base = runtime.block_on(async {
            sealed.rows.write(link).await?;
            sealed.rows.log(link, sealed.told).await
        })?;
        let trace = Trace { base, event: sealed.rows.events.one() };
        let unknown = |error| Stop::Unknown(error, trace);
        match &self.options.written {
            None => runtime.block_on(link.run("COMMIT")).map_err(unknown)?,
            Some(written) => {
                if let Some(lsn) = runtime.block_on(written::commit(link)).map_err(unknown)? {
                    match self.options.subject {
                        Subject::Payments => written.note(units.iter().filter_map(bucket), lsn),
                        Subject::Administration if units.iter().any(is_decided) => {
                            written.note_administration(lsn);
                        }
                        // What nobody has decided nobody looks for at once; jobs are not read from replicas.
                        Subject::Administration | Subject::Jobs => {}
                    }
                }
            }
        }
        self.forgotten_at_ms = state.outcomes.forgotten_at_ms;
        Ok(base)
    }

    fn connect(&mut self) -> Result<(), StoreError> {
        if self.link.as_ref().is_none_or(Link::is_closed) {
            let link = self.runtime.block_on(Link::connect(&self.options.target))?;
            self.runtime.block_on(link.run(BY_KEY))?;
            self.link = Some(link);
            self.replans = Replans::default();
        }
        Ok(())
    }

    /// Has plans made anew where it is time. A fault shows with the next batch.
    fn replan(&mut self) {
        if let (true, Some(link)) = (self.replans.batch(), &self.link) {
            let discarded = self.runtime.block_on(link.run("DISCARD PLANS"));
            if let Err(error) = discarded {
                tracing::warn!(%error, "plans are not made anew");
            }
        }
    }

    /// What this run has leased, and that it is at work, ends with it.
    fn leave(&mut self) -> Result<(), StoreError> {
        let run = self.options.run;
        if self.options.subject == Subject::Administration {
            self.connect()?;
            if let Some(link) = &self.link {
                let query = Query::Fixed("DELETE FROM instances WHERE run = $1");
                self.runtime.block_on(link.execute(query, &[&run.cast_signed()]))?;
            }
        }
        if self.options.subject != Subject::Jobs {
            return Ok(());
        }
        self.connect()?;
        let (runtime, Some(link)) = (&self.runtime, &self.link) else {
            return Ok(());
        };
        runtime.block_on(begin(link, Subject::Jobs, &[]))?;
        let ground = Ground::new(runtime, link, self.options.idempotency_ms, &self.options.log_key);
        ground.stand_at(runtime.block_on(Gate::read(link))?);
        let mut desk = Desk::new(&ground, Hints::default());
        desk.reclaim(Some(run))?;
        let mut changes = Changes::default();
        desk.drain(&mut changes);
        runtime.block_on(async {
            changes.write(link).await?;
            link.run("COMMIT").await
        })
    }
}

/// Whether a unit of work is held while the database is away.
fn is_held(unit: &Unit) -> bool {
    matches!(unit, Unit::Commit(commit) if !begins(commit))
}

/// Whether a unit of work is an administrative change that somebody has decided.
fn is_decided(unit: &Unit) -> bool {
    matches!(unit, Unit::Admin(_))
}

/// The bucket that a unit of work is about.
fn bucket(unit: &Unit) -> Option<u16> {
    match unit {
        Unit::Commit(commit) => Some(commit.merchant_id.bucket()),
        _ => None,
    }
}

/// Begins a transaction and locks what is decided about.
async fn begin(link: &Link, subject: Subject, units: &[Unit]) -> Result<(), StoreError> {
    let (class, mut places): (i32, Vec<i32>) = match subject {
        Subject::Payments => (BUCKETS, units.iter().filter_map(bucket).map(i32::from).collect()),
        Subject::Administration => {
            // An erasure rewrites payments, and totals are added up: their lanes must wait.
            let mut places = Vec::new();
            for unit in units {
                match unit {
                    Unit::Admin(change) => erased_buckets(&change.0, &mut places),
                    Unit::Upkeep(Upkeep::AddUpDays { merchant_id, .. }) => {
                        places.push(i32::from(merchant_id.bucket()));
                    }
                    _ => {}
                }
            }
            (BUCKETS, places)
        }
        Subject::Jobs => (BUCKETS, Vec::new()),
    };
    let once = match subject {
        Subject::Payments => None,
        Subject::Administration => Some(1),
        Subject::Jobs => Some(2),
    };
    places.sort_unstable();
    places.dedup();
    let (once, once_class) = (Vec::from_iter(once), ONCE);
    let query = || Query::Fixed(include_str!("sql/lock_buckets.sql"));
    let (first, second): ([Param<'_>; 2], [Param<'_>; 2]) = ([&once_class, &once], [&class, &places]);
    tokio::try_join!(link.run("BEGIN"), link.query(query(), &first))?;
    if !places.is_empty() {
        link.query(query(), &second).await?;
    }
    Ok(())
}

/// The buckets of merchants in whose payments somebody is to be masked.
fn erased_buckets(change: &Admin, buckets: &mut Vec<i32>) {
    match change {
        Admin::Together(changes) => changes.iter().for_each(|change| erased_buckets(change, buckets)),
        Admin::ErasePayments(wish) => buckets.push(i32::from(wish.merchant_id.bucket())),
        _ => {}
    }
}
