//! Group commit: each lane takes whatever has gathered for it, decides it, and makes it durable in one transaction
//! on a connection of its own.
//!
//! **Who may decide what.** Merchants are spread over lanes by their bucket, so that one batch's fsync does not idle
//! the others; jobs and administrative changes have a lane each. Within its transaction a batch first takes the
//! locks of what it decides about: the buckets of its merchants, the jobs, or the administration (and the buckets of
//! merchants whose payments it masks). Any number of
//! instances may do the same at once: each sees what the one before has made durable. Locks are taken in one
//! order (buckets in ascending order, the logs' head last), so nobody waits in a circle.

use crate::batch::job::{Answer, Job, Unit};
use crate::batch::queue::Queue;
use crate::batch::txn::{State, Txn};
use crate::batch::work::{Desk, Hints};
use crate::commit::Admin;
use crate::error::StoreError;
use crate::postgres::ahead::read_ahead;
use crate::postgres::base::Ground;
use crate::postgres::changes::Changes;
use crate::postgres::link::{Link, Param, Query};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio_postgres::Config;
use tollgate_core::command::Policy;

/// How often a batch is tried that provably was not committed.
const TRIES_MAX: u32 = 3;

/// The first half of advisory locks: a merchant's bucket.
const BUCKETS: i32 = 0x7467_0001;

/// The first half of advisory locks: what there is once.
const ONCE: i32 = 0x7467_0002;

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
    pub(super) config: Arc<Config>,
    pub(super) connect_within: Duration,
    pub(super) policy: Policy,
    pub(super) run: u64,
    pub(super) idempotency_ms: u64,
}

/// Why a batch is not durable.
enum Stop {
    /// Nothing of it can be there: it may be tried again.
    Before(StoreError),
    /// The answer to the commit was lost.
    Unknown(StoreError),
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
}

/// Runs until every sender is gone and the queue is empty.
pub(super) fn run(options: LaneOptions, runtime: Runtime, mut queue: Queue) {
    let mut lane = Lane { options, runtime, link: None };
    let mut jobs: Vec<Job> = Vec::new();
    let mut size_before = 0;
    while queue.gather(&mut jobs, size_before) {
        size_before = jobs.len();
        let begun = Instant::now();
        lane.serve(std::mem::take(&mut jobs));
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
    fn serve(&mut self, mut jobs: Vec<Job>) {
        let units: Vec<Unit> = jobs.iter().map(Job::unit).collect();
        let mut tries = 0;
        loop {
            tries += 1;
            let mut answers = Vec::with_capacity(jobs.len());
            let stop = match self.batch(&units, jobs, &mut answers) {
                Ok(()) => {
                    answers.into_iter().for_each(|answer| answer.send(None));
                    return;
                }
                Err(stop) => stop,
            };
            // Whatever state the connection is in, its transaction ends with it.
            self.link = None;
            match stop {
                Stop::Before(error) if tries < TRIES_MAX => {
                    tracing::warn!(%error, tries, "a batch is tried again");
                    let again = answers.into_iter().zip(units.iter().cloned());
                    jobs = again.filter_map(|(answer, unit)| answer.again(unit)).collect();
                }
                Stop::Before(error) | Stop::Unknown(error) => {
                    tracing::error!(%error, size = units.len(), "a batch could not be made durable");
                    answers.into_iter().for_each(|answer| answer.send(Some(&error)));
                    return;
                }
            }
        }
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
        self.connect()?;
        let (runtime, Some(link)) = (&self.runtime, &self.link) else {
            return Err(Stop::Before(StoreError::Unavailable("no connection".to_owned())));
        };
        let ground = Ground::new(runtime, link, idempotency_ms);
        runtime.block_on(async {
            begin(link, self.options.subject, units).await?;
            read_ahead(&ground, units).await
        })?;
        let mut state = State::new(0);
        let mut txn = Txn::new(&ground, Changes::default(), &mut state, policy, run);
        for job in jobs {
            answers.push(txn.take(job));
        }
        let sealed = txn.seal()?;
        let base = runtime.block_on(async {
            sealed.rows.write(link).await?;
            sealed.rows.log(link, sealed.told).await
        })?;
        runtime.block_on(link.run("COMMIT")).map_err(Stop::Unknown)?;
        Ok(base)
    }

    fn connect(&mut self) -> Result<(), StoreError> {
        if self.link.as_ref().is_none_or(Link::is_closed) {
            let within = self.options.connect_within;
            self.link = Some(self.runtime.block_on(Link::connect(&self.options.config, within))?);
        }
        Ok(())
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
        let ground = Ground::new(runtime, link, self.options.idempotency_ms);
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

/// Begins a transaction and locks what is decided about.
async fn begin(link: &Link, subject: Subject, units: &[Unit]) -> Result<(), StoreError> {
    let (class, mut places): (i32, Vec<i32>) = match subject {
        Subject::Payments => {
            let bucket = |unit: &Unit| match unit {
                Unit::Commit(commit) => Some(i32::from(commit.merchant_id.bucket())),
                _ => None,
            };
            (BUCKETS, units.iter().filter_map(bucket).collect())
        }
        Subject::Administration => {
            // An erasure rewrites payments: their lanes must wait.
            let mut places = Vec::new();
            for unit in units {
                if let Unit::Admin(change) = unit {
                    erased_buckets(&change.0, &mut places);
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
