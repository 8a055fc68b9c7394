//! Sending past events again: page by page, each page durable together with how far the replay came.

use super::fan_out::{delivery_of, job_of};
use super::{ReplayWish, Webhooks, after_fault};
use crate::error::EngineError;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tollgate_core::id::{MerchantId, WebhookEndpointId};
use tollgate_core::job::{Job, JobKind};
use tollgate_store::Store;
use tollgate_store::jobs::{DueLane, JobStep, LeaseWish, Settle, Work};

/// Events looked at in one page.
const PAGE: usize = 250;

/// How long a page may take.
const LEASE_MS: u64 = 60_000;

/// How often replays are looked for when nobody tells.
const LOOK: Duration = Duration::from_secs(30);

/// Events are in the log in the order of their commits, which may differ from that of their times by so much.
const SKEW_MS: u64 = 60_000;

/// Above all sequence numbers.
const SEQUENCE_MAX: u64 = 1 << 53;

/// How far a replay came.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Progress {
    from_ms: u64,
    to_ms: u64,
    /// The last sequence number that was looked at; none: not begun.
    after: Option<u64>,
}

impl Progress {
    pub(super) const fn begin(wish: ReplayWish) -> Self {
        Self { from_ms: wish.from_ms, to_ms: wish.to_ms, after: None }
    }

    pub(super) fn to_payload(&self) -> Vec<u8> {
        // Numbers into memory: this cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Webhooks {
    /// Carries replays out for as long as the runtime lives.
    pub(super) async fn run_replays(self: Arc<Self>) {
        while !self.is_stopping() {
            match self.replay_round().await {
                Ok(true) => {}
                Ok(false) => {
                    let _ = tokio::time::timeout(LOOK, self.replay.notified()).await;
                }
                Err(error) => after_fault("a replay of webhooks could not go on", &error).await,
            }
        }
    }

    /// One page of each replay that is due; tells whether there was any.
    async fn replay_round(&self) -> Result<bool, EngineError> {
        let store = self.engine.store.as_ref();
        let now_ms = self.now_ms();
        let kind = JobKind::WebhookReplay;
        let lanes = store.job_lanes(kind, None, 100).await?;
        let lanes: Vec<_> = lanes.iter().filter(|due| due.at_ms <= now_ms).map(|due| (due.lane, 1)).collect();
        if lanes.is_empty() {
            return Ok(false);
        }
        let until_ms = now_ms.saturating_add(LEASE_MS);
        let wish = LeaseWish { kind, owner: self.owner, now_ms, until_ms, lanes };
        let leased = store.lease_jobs(wish).await?;
        let mut fault = None;
        for job in &leased.jobs {
            // One that cannot go on must not hold up those behind it, which are leased too.
            fault = self.replay_page(job).await.err().or(fault);
        }
        fault.map_or(Ok(!leased.jobs.is_empty()), Err)
    }

    async fn replay_page(&self, job: &Job) -> Result<(), EngineError> {
        let store = self.engine.store.as_ref();
        let now_ms = self.now_ms();
        let endpoint_id = WebhookEndpointId::from_bytes(job.lane);
        let endpoint = store.webhook_endpoint(job.merchant_id, endpoint_id).await?;
        let progress = serde_json::from_slice::<Progress>(&job.payload).ok();
        let (Some(endpoint), Some(mut progress)) = (endpoint, progress) else {
            return self.end_page(job, vec![], Settle::Cancel).await;
        };
        let after = match progress.after {
            Some(after) => after,
            None => before_moment(store, job.merchant_id, progress.from_ms.saturating_sub(SKEW_MS)).await?,
        };
        let events = store.events(job.merchant_id, after, PAGE).await?;
        let mut steps = Vec::new();
        for record in &events {
            let in_time = (progress.from_ms..progress.to_ms).contains(&record.at_ms);
            if in_time && endpoint.events.matches(record.event.name()) {
                let delivery = delivery_of(record, &endpoint, now_ms);
                let job = Box::new(job_of(&delivery, Some(record), endpoint.is_ordered, now_ms));
                steps.push(JobStep::Again { job, delivery: Box::new(delivery) });
            }
        }
        let is_over = events.len() < PAGE
            || events.last().is_some_and(|last| last.at_ms > progress.to_ms.saturating_add(SKEW_MS));
        progress.after = events.last().map(|last| last.sequence);
        let how = if is_over {
            Settle::Done
        } else {
            Settle::Continue { at_ms: now_ms, payload: progress.to_payload() }
        };
        self.end_page(job, steps, how).await?;
        self.tell(&[DueLane { lane: job.lane, merchant_id: job.merchant_id, at_ms: now_ms }]);
        Ok(())
    }

    async fn end_page(&self, job: &Job, mut steps: Vec<JobStep>, how: Settle) -> Result<(), EngineError> {
        steps.insert(0, JobStep::Settle { merchant_id: job.merchant_id, id: job.id, owner: self.owner, how });
        self.engine.store.work(Work { now_ms: self.now_ms(), steps, ..Work::default() }).await?;
        Ok(())
    }
}

/// A sequence number before all of a merchant's events of a moment, found by halving: a merchant's numbers grow, also
/// where its rows have moved to another log.
async fn before_moment(store: &dyn Store, merchant_id: MerchantId, at_ms: u64) -> Result<u64, EngineError> {
    let (mut low, mut high) = (0, SEQUENCE_MAX);
    while low < high {
        let middle = low + (high - low) / 2;
        match store.events(merchant_id, middle, 1).await?.first() {
            Some(record) if record.at_ms < at_ms => low = record.sequence,
            _ => high = middle,
        }
    }
    Ok(low)
}
