//! Leases deliveries endpoint by endpoint, and has them sent.

use super::lanes::Place;
use super::{Webhooks, after_fault};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tollgate_core::job::{Job, JobKind};
use tollgate_store::jobs::LeaseWish;

/// How much longer than a sending a lease lasts: it is not lost while its end is being written down.
const LEASE_SLACK_MS: u64 = 45_000;

/// Lanes read at once when the store is gone through.
const SWEEP_PAGE: usize = 1_000;

/// The longest pause between two rounds: a clock may be moved.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A delivery that is being sent; gives its place back when dropped.
pub(super) struct UnderWay {
    hooks: Arc<Webhooks>,
    place: Place,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.hooks.lanes.lock().give_back(self.place);
        self.hooks.under_way.fetch_sub(1, Ordering::AcqRel);
        self.hooks.wake.notify_one();
    }
}

impl Webhooks {
    /// Sends what is due for as long as the runtime lives.
    pub(super) async fn run_dispatch(self: Arc<Self>) {
        while !self.is_stopping() {
            let now_ms = self.now_ms();
            let round = self.lanes.lock().round(now_ms);
            if round.places.is_empty() {
                let pause = match round.next_ms {
                    Some(next_ms) => Duration::from_millis(next_ms.saturating_sub(now_ms)).min(PAUSE_MAX),
                    None => PAUSE_MAX,
                };
                let _ = tokio::time::timeout(pause, self.wake.notified()).await;
                continue;
            }
            // Places that find no job are given back when these are dropped.
            let mut places: Vec<UnderWay> = Vec::new();
            let mut lanes = Vec::with_capacity(round.places.len());
            for (place, count) in round.places {
                lanes.push((place.lane, count));
                for _ in 0..count {
                    self.under_way.fetch_add(1, Ordering::AcqRel);
                    places.push(UnderWay { hooks: Arc::clone(&self), place });
                }
            }
            self.lease_and_send(places, lanes, now_ms).await;
        }
    }

    async fn lease_and_send(
        self: &Arc<Self>,
        mut places: Vec<UnderWay>,
        lanes: Vec<([u8; 16], usize)>,
        now_ms: u64,
    ) {
        let timeout_ms = u64::try_from(self.options.timeout.as_millis()).unwrap_or(u64::MAX);
        let until_ms = now_ms.saturating_add(timeout_ms).saturating_add(LEASE_SLACK_MS);
        let wanted: Vec<[u8; 16]> = lanes.iter().map(|(lane, _)| *lane).collect();
        let kind = JobKind::WebhookDelivery;
        let wish = LeaseWish { kind, owner: self.owner, now_ms, until_ms, lanes };
        let leased = match self.engine.store.lease_jobs(wish).await {
            Ok(leased) => leased,
            Err(error) => {
                {
                    let mut all = self.lanes.lock();
                    wanted.iter().for_each(|lane| all.look_again(*lane, now_ms));
                }
                return after_fault("webhooks could not be leased", &error.into()).await;
            }
        };
        {
            let mut all = self.lanes.lock();
            for (lane, next_ms) in leased.next_ms {
                all.look_again(lane, next_ms.unwrap_or(u64::MAX));
            }
        }
        for job in leased.jobs {
            let Some(found) = places.iter().position(|place| place.place.lane == job.lane) else {
                continue;
            };
            let place = places.swap_remove(found);
            let hooks = Arc::clone(self);
            tokio::spawn(async move { hooks.send_job(job, place).await });
        }
    }

    async fn send_job(self: Arc<Self>, job: Job, place: UnderWay) {
        if let Err(error) = self.deliver(&job).await {
            // The lease runs out, and it is sent again under the same id.
            tracing::warn!(job = %job.id, %error, "a webhook's delivery could not be written down");
        }
        drop(place);
    }

    /// Goes through the store's jobs once in a while, so that nothing is forgotten.
    pub(super) async fn run_sweeps(self: Arc<Self>) {
        while !self.is_stopping() {
            self.secrets.sweep(self.now_ms());
            if let Err(error) = self.sweep().await {
                after_fault("jobs could not be gone through", &error).await;
            }
            tokio::time::sleep(self.options.sweep).await;
        }
    }

    async fn sweep(&self) -> Result<(), crate::error::EngineError> {
        let store = &self.engine.store;
        let mut after = None;
        loop {
            let page = store.job_lanes(JobKind::WebhookDelivery, after, SWEEP_PAGE).await?;
            self.tell(&page);
            match page.last() {
                Some(last) if page.len() >= SWEEP_PAGE => after = Some(last.lane),
                _ => break,
            }
        }
        self.replay.notify_one();
        for kind in JobKind::ALL {
            let depth = u32::try_from(store.job_depth(kind).await?).unwrap_or(u32::MAX);
            metrics::gauge!("tollgate_jobs_waiting", "kind" => kind.as_str()).set(f64::from(depth));
        }
        let open = u32::try_from(self.lanes.lock().open(self.now_ms())).unwrap_or(u32::MAX);
        metrics::gauge!("tollgate_webhook_endpoints_open").set(f64::from(open));
        Ok(())
    }
}
