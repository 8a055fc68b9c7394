//! Units of work in the queue, their answers, and how they gather.

use crate::batch::Base;
use crate::batch::txn::Txn;
use crate::commit::{Admin, Commit, CommitError, Committed, Upkeep};
use crate::error::StoreError;
use crate::jobs::{LeaseWish, Leased, Work, Worked};
use std::sync::Arc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tollgate_core::audit::By;
use tollgate_core::command::Command;
use tollgate_core::id::MerchantId;

/// Most units of work in one batch: bounds the time one fsync makes the first of them wait.
pub(crate) const BATCH_MAX: usize = 512;

/// A unit of work and where its answer goes.
pub(crate) enum Job {
    Commit(Box<Commit>, oneshot::Sender<Result<Committed, CommitError>>),
    Admin(Box<(Admin, By)>, oneshot::Sender<Result<(), CommitError>>),
    Upkeep(Upkeep, oneshot::Sender<Result<(), CommitError>>),
    Work(Box<Work>, oneshot::Sender<Result<Worked, CommitError>>),
    Lease(LeaseWish, oneshot::Sender<Result<Leased, CommitError>>),
}

/// What a unit of work asks for.
#[derive(Clone)]
pub(crate) enum Unit {
    Commit(Box<Commit>),
    Admin(Box<(Admin, By)>),
    Upkeep(Upkeep),
    Work(Box<Work>),
    Lease(LeaseWish),
}

/// An answer that is held back until the batch is durable.
pub(crate) enum Answer {
    Commit(oneshot::Sender<Result<Committed, CommitError>>, Result<Committed, CommitError>),
    Admin(oneshot::Sender<Result<(), CommitError>>, Result<(), CommitError>),
    Work(oneshot::Sender<Result<Worked, CommitError>>, Result<Worked, CommitError>),
    Lease(oneshot::Sender<Result<Leased, CommitError>>, Result<Leased, CommitError>),
}

impl Job {
    /// Whose turn it takes.
    pub(crate) fn merchant_id(&self) -> Option<MerchantId> {
        match self {
            Self::Commit(commit, _) => Some(commit.merchant_id),
            Self::Admin(..) | Self::Upkeep(..) | Self::Work(..) | Self::Lease(..) => None,
        }
    }
}

impl<B: Base> Txn<'_, B> {
    /// Stages a job.
    pub(crate) fn take(&mut self, job: Job) -> Answer {
        match job {
            Job::Commit(commit, answer) => Answer::Commit(answer, self.stage(*commit)),
            Job::Admin(change, answer) => {
                let (change, by) = *change;
                Answer::Admin(answer, self.administer(change, &by))
            }
            Job::Upkeep(change, answer) => Answer::Admin(answer, self.upkeep(&change)),
            Job::Work(work, answer) => Answer::Work(answer, self.work(*work)),
            Job::Lease(wish, answer) => Answer::Lease(answer, self.lease(&wish)),
        }
    }
}

impl Job {
    /// What it asks for, to be asked again.
    pub(crate) fn unit(&self) -> Unit {
        match self {
            Self::Commit(commit, _) => Unit::Commit(commit.clone()),
            Self::Admin(change, _) => Unit::Admin(change.clone()),
            Self::Upkeep(change, _) => Unit::Upkeep(change.clone()),
            Self::Work(work, _) => Unit::Work(work.clone()),
            Self::Lease(wish, _) => Unit::Lease(wish.clone()),
        }
    }

    /// The answer of a job that was not come to.
    pub(crate) fn unanswered(self) -> Answer {
        self.refused(|| StoreError::Unavailable("the batch was cut off".to_owned()))
    }

    /// The answer of a job whose merchant's rows are not here.
    pub(crate) fn elsewhere(self) -> Answer {
        self.refused(|| StoreError::Elsewhere)
    }

    fn refused(self, why: impl FnOnce() -> StoreError) -> Answer {
        let why = CommitError::Store(why());
        match self {
            Self::Commit(_, to) => Answer::Commit(to, Err(why)),
            Self::Admin(_, to) | Self::Upkeep(_, to) => Answer::Admin(to, Err(why)),
            Self::Work(_, to) => Answer::Work(to, Err(why)),
            Self::Lease(_, to) => Answer::Lease(to, Err(why)),
        }
    }
}

impl Answer {
    /// The job once more: what was asked, and where its answer goes.
    pub(crate) fn again(self, unit: Unit) -> Option<Job> {
        match (self, unit) {
            (Self::Commit(to, _), Unit::Commit(commit)) => Some(Job::Commit(commit, to)),
            (Self::Admin(to, _), Unit::Admin(change)) => Some(Job::Admin(change, to)),
            (Self::Admin(to, _), Unit::Upkeep(change)) => Some(Job::Upkeep(change, to)),
            (Self::Work(to, _), Unit::Work(work)) => Some(Job::Work(work, to)),
            (Self::Lease(to, _), Unit::Lease(wish)) => Some(Job::Lease(wish, to)),
            _ => None,
        }
    }

    /// The log goes on from `base`: the event was numbered within its batch.
    pub(crate) fn count_on(&mut self, base: u64) {
        if let Self::Commit(_, Ok(committed)) = self
            && let Some(event) = &mut committed.event
        {
            Arc::make_mut(event).sequence += base;
        }
    }

    /// Sends the answer; a batch that is not durable turns every answer that claims a change, or
    /// rests on one made in the batch, into the batch's failure.
    pub(crate) fn send(self, failed: Option<&StoreError>) {
        let failure = || {
            CommitError::Store(match failed {
                Some(StoreError::Doubtful(why)) => StoreError::Doubtful(why.clone()),
                failed => StoreError::Unavailable(failed.map(ToString::to_string).unwrap_or_default()),
            })
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

/// Queues a job and waits for its answer. A job that begins something new is turned away when
/// the queue is full; one that ends something under way waits for its place: there are never
/// more of those than were let in.
pub(crate) async fn submit<T>(
    queue: Option<&mpsc::Sender<Job>>,
    begins: bool,
    job: impl FnOnce(oneshot::Sender<Result<T, CommitError>>) -> Job,
) -> Result<T, CommitError> {
    let stopped = || CommitError::Store(StoreError::Unavailable("the writer has stopped".to_owned()));
    let (sender, receiver) = oneshot::channel();
    let queue = queue.ok_or_else(stopped)?;
    match queue.try_send(job(sender)) {
        Ok(()) => {}
        Err(TrySendError::Full(_)) if begins => return Err(CommitError::Overloaded),
        // Boxed: it seldom has to wait, and room for a job would be kept in every flow.
        Err(TrySendError::Full(job)) => Box::pin(queue.send(job)).await.map_err(|_| stopped())?,
        Err(TrySendError::Closed(_)) => return Err(stopped()),
    }
    receiver.await.map_err(|_| stopped())?
}

/// Whether a unit of work begins something new at a caller's wish.
pub(crate) fn begins(commit: &Commit) -> bool {
    matches!(
        commit.command,
        Some(
            Command::Create { .. }
                | Command::Block { .. }
                | Command::Capture { .. }
                | Command::Cancel { .. }
                | Command::Refund { .. }
        )
    )
}
