//! Ending jobs that somebody does not want any more.

use super::Webhooks;
use crate::error::EngineError;
use serde_json::json;
use std::time::Duration;
use tollgate_core::audit::By;
use tollgate_core::id::{DeliveryId, JobId, MerchantId};
use tollgate_core::job::{Job, JobKind, JobState, Private};
use tollgate_core::webhook::DeliveryState;
use tollgate_core::webhook::outcome::DeliveryFault;
use tollgate_store::Store;
use tollgate_store::commit::Told;
use tollgate_store::jobs::{JobStep, Record, Work, Worked};

/// How often a job is tried to be ended that a worker has just now.
const TRIES_MAX: u32 = 20;

/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancelled {
    /// It is cancelled, now or before.
    Done(Box<Job>),
    /// It had ended otherwise.
    Ended(Box<Job>),
    /// A worker has it and does not let go of it.
    Busy,
    /// There is none.
    None,
}

/// Ends a job that nobody has, with its entry in the audit log. `outcomes`: whether the log of outcomes says so.
///
/// # Errors
/// A store's fault.
pub async fn cancel(
    store: &dyn Store,
    merchant_id: MerchantId,
    id: JobId,
    by: By,
    outcomes: bool,
) -> Result<Cancelled, EngineError> {
    for _ in 0..TRIES_MAX {
        let Some(job) = store.job(merchant_id, id).await? else {
            return Ok(Cancelled::None);
        };
        match job.state {
            JobState::Cancelled => return Ok(Cancelled::Done(Box::new(job))),
            JobState::Done | JobState::Dead => return Ok(Cancelled::Ended(Box::new(job))),
            JobState::Leased => tokio::time::sleep(PAUSE).await,
            JobState::Waiting => {
                let told = Told {
                    action: "job.cancelled",
                    kind: "job",
                    id: id.to_string(),
                    merchant_id: Some(merchant_id),
                    said: json!({"kind": job.kind.as_str()}),
                };
                // The end of a delivery's job is the end of its delivery.
                let records = match job.kind {
                    JobKind::WebhookDelivery => vec![Record::Delivered {
                        merchant_id,
                        id: DeliveryId::from_bytes(id.to_bytes()),
                        attempt: None,
                        state: DeliveryState::Cancelled,
                        next_at_ms: None,
                        fault: Some(DeliveryFault::Unwanted),
                    }],
                    JobKind::WebhookReplay | JobKind::SubjectErasure => vec![],
                };
                let steps = vec![JobStep::Cancel { merchant_id, id }];
                let told = vec![(told, by.clone())];
                let work = Work { now_ms: by.at_ms, steps, records, told, outcomes, ..Work::default() };
                if store.work(work).await? == Worked::Stale {
                    // A worker took it in between, or it has just ended.
                    continue;
                }
                let private = Private::default();
                return Ok(Cancelled::Done(Box::new(Job { state: JobState::Cancelled, private, ..job })));
            }
        }
    }
    Ok(Cancelled::Busy)
}

impl Webhooks {
    /// Ends a merchant's job.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn cancel_job(
        &self,
        merchant_id: MerchantId,
        id: JobId,
        by: By,
    ) -> Result<Cancelled, EngineError> {
        cancel(self.engine.store.as_ref(), merchant_id, id, by, self.options.outcomes).await
    }
}
