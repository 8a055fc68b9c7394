//! From the event log to deliveries: for each event and endpoint that wants it one delivery and one job,
//! durable together with how far the log was read.

use super::{Webhooks, after_fault};
use crate::error::EngineError;
use std::sync::Arc;
use std::time::Duration;
use tollgate_core::event::EventRecord;
use tollgate_core::id::{DeliveryId, JobId};
use tollgate_core::job::{Job, JobKind, Turn};
use tollgate_core::webhook::{Delivery, DeliveryState, WebhookEndpoint};
use tollgate_store::jobs::{DueLane, JobStep, LogReader, LogStep, Work, Worked};

/// Events read at once.
const PAGE: usize = 500;

/// Deliveries after which a page is cut: bounds the time that one unit of work holds the writer.
const DELIVERIES_MAX: usize = 256;

/// How often the log is looked at when nobody rings.
const LOOK: Duration = Duration::from_millis(500);

/// What happens within this time after a page that was not full is read at once: the log is not opened anew for each commit.
const GATHER: Duration = Duration::from_millis(10);

/// How often it is looked whether a gap in memory has closed, `GATHER` apart, before the log is opened for it.
const GAP_LOOKS: u32 = 5;

/// Events without an endpoint after which it is noted that they were read. Read again after a crash, they
/// make nothing again.
const UNNOTED_MAX: u64 = 20_000;

impl Webhooks {
    /// Follows one of the event logs for as long as the runtime lives.
    pub(super) async fn run_fan_out(self: Arc<Self>, log: u16) {
        let mut noted = loop {
            match self.engine.store.log_read_of(log, LogReader::Webhooks).await {
                Ok(sequence) => break sequence,
                Err(error) => {
                    after_fault("the place in the event log could not be read", &error.into()).await
                }
            }
        };
        let (mut read, mut far) = (noted, false);
        while !self.is_stopping() {
            match self.fan_out_page(log, &mut noted, (&mut read, &mut far)).await {
                Ok(0) => {
                    let _ = tokio::time::timeout(LOOK, self.engine.news.notified()).await;
                }
                Ok(count) if count < PAGE / 2 => tokio::time::sleep(GATHER).await,
                Ok(_) => {}
                Err(error) => after_fault("events could not be passed on to webhooks", &error).await,
            }
        }
    }

    /// What comes next in a log, from memory if this process has just committed it. `far`: the last page was full and from the log, so
    /// that more of it will be there; says whether this one is.
    async fn page(
        &self,
        log_of: u16,
        read: u64,
        far: &mut bool,
    ) -> Result<Vec<Arc<EventRecord>>, EngineError> {
        for look in 0..=GAP_LOOKS {
            let fresh = self.engine.fresh.behind(read, PAGE);
            if !fresh.is_empty() {
                *far = false;
                return Ok(fresh);
            }
            // A gap for longer is another process's commit, or whoever should have been told has hung up.
            if *far || look == GAP_LOOKS || !self.engine.fresh.has_gap_behind(read) {
                break;
            }
            tokio::time::sleep(GATHER).await;
        }
        let page = self.engine.store.outbox_of(log_of, read, PAGE).await?;
        *far = page.len() == PAGE;
        Ok(page.into_iter().map(Arc::new).collect())
    }

    /// One page; tells how many events it had.
    async fn fan_out_page(
        &self,
        log_of: u16,
        noted: &mut u64,
        (read, far): (&mut u64, &mut bool),
    ) -> Result<usize, EngineError> {
        let page = self.page(log_of, *read, far).await?;
        let now_ms = self.now_ms();
        let mut steps = Vec::new();
        let mut lanes: Vec<DueLane> = Vec::new();
        let mut upto = *read;
        let mut count = 0;
        for record in &page {
            let endpoints = self.endpoints.of(self.engine.store.as_ref(), record.merchant_id, now_ms).await?;
            for endpoint in endpoints.iter() {
                if endpoint.wants(record.event.name(), record.at_ms) {
                    let delivery = delivery_of(record, endpoint, now_ms);
                    let job = job_of(&delivery, Some(record), endpoint.is_ordered, now_ms);
                    if lanes.iter().all(|due| due.lane != job.lane) {
                        lanes.push(DueLane { lane: job.lane, merchant_id: job.merchant_id, at_ms: now_ms });
                    }
                    steps.push(JobStep::Enqueue { job: Box::new(job), delivery: Some(Box::new(delivery)) });
                }
            }
            upto = record.sequence;
            count += 1;
            if steps.len() >= DELIVERIES_MAX {
                break;
            }
        }
        *read = upto;
        if steps.is_empty() && upto.saturating_sub(*noted) < UNNOTED_MAX {
            return Ok(count);
        }
        let log = Some(LogStep { reader: LogReader::Webhooks, from: *noted, to: upto });
        let worked = self.engine.store.work(Work { now_ms, log, log_of, steps, ..Work::default() }).await;
        if matches!(worked, Ok(Worked::Done)) {
            *noted = upto;
            self.tell(&lanes);
            return Ok(count);
        }
        // Another gateway was faster, or nobody knows what is durable: the store tells where to go on.
        let at = self.engine.store.log_read_of(log_of, LogReader::Webhooks).await?;
        (*noted, *read) = (at, at);
        worked?;
        Ok(count)
    }

    /// Lanes have something to be sent.
    pub(super) fn tell(&self, due: &[DueLane]) {
        {
            let mut lanes = self.lanes.lock();
            for due in due {
                lanes.tell(*due);
            }
        }
        self.wake.notify_one();
    }
}

/// The delivery of an event to an endpoint.
pub(super) fn delivery_of(record: &EventRecord, endpoint: &WebhookEndpoint, now_ms: u64) -> Delivery {
    Delivery {
        id: DeliveryId::of(record.id, endpoint.id),
        merchant_id: record.merchant_id,
        endpoint_id: endpoint.id,
        event_id: record.id,
        event_type: record.event.name().to_owned(),
        payment: Some((record.payment_id, record.version)),
        event_at_ms: record.at_ms,
        state: DeliveryState::Waiting,
        tries: 0,
        next_at_ms: Some(now_ms),
        attempts: vec![],
        created_at_ms: now_ms,
        updated_at_ms: now_ms,
    }
}

/// The job that sends a delivery: at most one at a time, as they share their id.
pub(super) fn job_of(
    delivery: &Delivery,
    record: Option<&EventRecord>,
    is_ordered: bool,
    now_ms: u64,
) -> Job {
    let id = JobId::from_u128(delivery.id.as_u128());
    let lane = delivery.endpoint_id.to_bytes();
    let payload = delivery.id.to_bytes().to_vec();
    let mut job =
        Job::new(id, delivery.merchant_id, JobKind::WebhookDelivery, lane, payload, (now_ms, now_ms));
    job.turn = record
        .filter(|_| is_ordered)
        .map(|record| Turn { key: record.payment_id.to_bytes(), order: record.sequence });
    job
}
