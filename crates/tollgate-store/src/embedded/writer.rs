//! Group commit: one thread takes whatever has gathered, decides it, and makes it durable with one
//! write and one fsync. The next batch is what arrived while the last one was written, and in the
//! moment after.

use crate::commit::{Admin, Commit, CommitError, Committed, Upkeep};
use crate::embedded::anchor::Anchors;
use crate::embedded::tables::Tables;
use crate::embedded::txn::{State, Txn};
use crate::error::StoreError;
use crate::jobs::{LeaseWish, Leased, Work, Worked};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tollgate_core::audit::{By, Head};
use tollgate_core::command::Policy;

/// Most units of work in one batch: bounds the time one fsync makes the first of them wait.
const BATCH_MAX: usize = 512;

/// How long a batch waits for company: about one fsync.
const COMPANY: Duration = Duration::from_micros(500);

/// A unit of work and where its answer goes.
pub(super) enum Job {
    Commit(Box<Commit>, oneshot::Sender<Result<Committed, CommitError>>),
    Admin(Box<(Admin, By)>, oneshot::Sender<Result<(), CommitError>>),
    Upkeep(Upkeep, oneshot::Sender<Result<(), CommitError>>),
    Work(Box<Work>, oneshot::Sender<Result<Worked, CommitError>>),
    Lease(LeaseWish, oneshot::Sender<Result<Leased, CommitError>>),
}

/// An answer that is held back until the batch is durable.
#[expect(clippy::large_enum_variant, reason = "one short-lived value a job, in a reused vector")]
enum Answer {
    Commit(oneshot::Sender<Result<Committed, CommitError>>, Result<Committed, CommitError>),
    Admin(oneshot::Sender<Result<(), CommitError>>, Result<(), CommitError>),
    Work(oneshot::Sender<Result<Worked, CommitError>>, Result<Worked, CommitError>),
    Lease(oneshot::Sender<Result<Leased, CommitError>>, Result<Leased, CommitError>),
}

/// Runs until every sender is gone and the queue is empty.
pub(super) fn run(
    tables: &Arc<Tables>,
    mut queue: mpsc::Receiver<Job>,
    (sequence, head): (u64, Head),
    policy: Policy,
    run: u64,
    mut anchors: Option<Anchors>,
) {
    let mut state = State::new(sequence, head);
    let mut jobs: Vec<Job> = Vec::with_capacity(BATCH_MAX);
    let mut answers: Vec<Answer> = Vec::with_capacity(BATCH_MAX);
    let mut forgotten_at_ms = 0_u64;
    let mut size_before = 0;
    while queue.blocking_recv_many(&mut jobs, BATCH_MAX) > 0 {
        gather(&mut queue, &mut jobs, size_before);
        size_before = jobs.len();
        let begun = Instant::now();
        let size = jobs.len();
        let mut newest_ms = 0;
        let durable = (state.sequence, state.audit);
        let mut txn = Txn::new(tables, &mut state, policy, run);
        for job in jobs.drain(..) {
            answers.push(match job {
                Job::Commit(commit, answer) => {
                    newest_ms = newest_ms.max(commit.now_ms);
                    let result = txn.stage(*commit);
                    Answer::Commit(answer, result)
                }
                Job::Admin(change, answer) => {
                    let (change, by) = *change;
                    Answer::Admin(answer, txn.administer(change, &by))
                }
                Job::Upkeep(change, answer) => {
                    let result = txn.upkeep(&change);
                    Answer::Admin(answer, result)
                }
                Job::Work(work, answer) => {
                    let result = txn.work(*work);
                    Answer::Work(answer, result)
                }
                Job::Lease(wish, answer) => {
                    let result = txn.lease(&wish);
                    Answer::Lease(answer, result)
                }
            });
        }
        let decided = begun.elapsed();
        let written = txn.write();
        if let Err(error) = &written {
            tracing::error!(%error, size, "a batch could not be made durable");
            state = State::new(durable.0, durable.1);
        }
        for answer in answers.drain(..) {
            answer.send(written.as_ref().err());
        }
        if let Some(anchors) = &mut anchors {
            anchors.note(state.audit, false);
        }
        metrics::histogram!("tollgate_commit_batch_size")
            .record(f64::from(u32::try_from(size).unwrap_or(u32::MAX)));
        metrics::histogram!("tollgate_commit_decide_seconds").record(decided.as_secs_f64());
        metrics::histogram!("tollgate_commit_seconds").record(begun.elapsed().as_secs_f64());
        if newest_ms > forgotten_at_ms.saturating_add(60_000) {
            forgotten_at_ms = newest_ms;
            forget(tables, newest_ms);
        }
    }
    if let Some(anchors) = &mut anchors {
        anchors.note(state.audit, true);
    }
}

/// Waits a moment for company when there was company last time, and takes what came: an fsync costs
/// the same for one job as for hundreds, and takes a fifth of a busy machine's time if every two or
/// three jobs have one of their own. A caller who is alone never waits.
fn gather(queue: &mut mpsc::Receiver<Job>, jobs: &mut Vec<Job>, size_before: usize) {
    if size_before > 1 || jobs.len() > 1 {
        std::thread::sleep(COMPANY);
    }
    while jobs.len() < BATCH_MAX {
        match queue.try_recv() {
            Ok(job) => jobs.push(job),
            Err(_) => return,
        }
    }
}

/// Drops what has outlived its time. A failure costs disk space, not correctness.
fn forget(tables: &Tables, now_ms: u64) {
    for windows in [&tables.idempotency, &tables.messages] {
        if let Err(error) = windows.forget(&tables.database, now_ms) {
            tracing::warn!(%error, "expired rows could not be dropped");
        }
    }
}

impl Answer {
    /// Sends the answer; a batch that is not durable turns every answer that claims a change, or
    /// rests on one made in the batch, into the batch's failure.
    fn send(self, failed: Option<&StoreError>) {
        let failure = || {
            CommitError::Store(StoreError::Unavailable(failed.map(ToString::to_string).unwrap_or_default()))
        };
        // The caller may have gone away; what was committed stays committed.
        match self {
            Self::Commit(to, result) => {
                let _ = to.send(if failed.is_some() { Err(failure()) } else { result });
            }
            Self::Admin(to, result) => {
                let _ = to.send(if failed.is_some() { Err(failure()) } else { result });
            }
            Self::Work(to, result) => {
                let _ = to.send(if failed.is_some() { Err(failure()) } else { result });
            }
            Self::Lease(to, result) => {
                let _ = to.send(if failed.is_some() { Err(failure()) } else { result });
            }
        }
    }
}
