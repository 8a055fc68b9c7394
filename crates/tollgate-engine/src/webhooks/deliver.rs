//! One delivery: what is sent, what came of it, and what follows.

use super::send::{Answer, Letter};
use super::{VersionedBody, Webhooks};
use crate::error::EngineError;
use crate::ids;
use std::time::Instant;
use tollgate_core::event::EventRecord;
use tollgate_core::id::{DeliveryId, EventId, MerchantId, PaymentId};
use tollgate_core::job::{Job, JobKind};
use tollgate_core::notice::{Notice, NoticeKind};
use tollgate_core::payment::Payment;
use tollgate_core::webhook::health::is_lost;
use tollgate_core::webhook::outcome::DeliveryFault;
use tollgate_core::webhook::retry;
use tollgate_core::webhook::{
    ANSWER_BYTES_KEPT, Delivery, DeliveryAttempt, DeliveryState, DisabledBecause, WebhookEndpoint,
};
use tollgate_store::Store;
use tollgate_store::commit::Upkeep;
use tollgate_store::error::StoreError;
use tollgate_store::jobs::{JobStep, Record, Settle, Work, Worked};
use tollgate_store::query::PolicyKind;

/// Waiting deliveries of an endpoint that is well again which are sent at once instead of in their time.
const HURRIED_MAX: usize = 256;

impl Webhooks {
    /// Sends a leased job's delivery, and writes down what came of it.
    pub(super) async fn deliver(&self, job: &Job) -> Result<(), EngineError> {
        let store = self.engine.store.as_ref();
        let id = DeliveryId::from_u128(job.id.as_u128());
        let Some(delivery) = store.delivery(job.merchant_id, id).await? else {
            // It has outlived its time.
            return self.end(job, Settle::Cancel, None, vec![]).await;
        };
        let endpoints = self.endpoints.of(store, job.merchant_id, self.now_ms()).await?;
        let endpoint = endpoints.iter().find(|endpoint| endpoint.id == delivery.endpoint_id);
        let unsent = |state, fault| standing(&delivery, None, (state, None), Some(fault));
        let Some(endpoint) = endpoint else {
            let record = unsent(DeliveryState::Cancelled, DeliveryFault::EndpointRemoved);
            return self.end(job, Settle::Cancel, Some(record), vec![]).await;
        };
        if endpoint.disabled.is_some() && delivery.payment.is_some() {
            let error = "the endpoint is disabled".to_owned();
            let record = unsent(DeliveryState::Dead, DeliveryFault::EndpointDisabled);
            return self.end(job, Settle::Bury { error }, Some(record), vec![]).await;
        }
        let Some((body, version)) = self.body(&delivery, endpoint).await? else {
            let error = "the event is not kept any more".to_owned();
            let record = unsent(DeliveryState::Dead, DeliveryFault::EventGone);
            return self.end(job, Settle::Bury { error }, Some(record), vec![]).await;
        };
        let at_ms = self.now_ms();
        let begun = Instant::now();
        let letter = Letter { message_id: delivery.id.message_id(), at_ms, version, body };
        let answer = match self.live_secrets(endpoint, at_ms).await {
            Ok(secrets) => self.sender.send(endpoint, &secrets, letter).await,
            Err(error) => {
                tracing::error!(endpoint = %endpoint.id, %error, "a signing secret cannot be opened");
                Answer::lost(DeliveryFault::Secret, "the signing secret cannot be opened right now")
            }
        };
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.write_down(job, &delivery, endpoint, answer, (at_ms, took_ms)).await
    }

    async fn write_down(
        &self,
        job: &Job,
        delivery: &Delivery,
        endpoint: &WebhookEndpoint,
        answer: Answer,
        (at_ms, took_ms): (u64, u64),
    ) -> Result<(), EngineError> {
        let now_ms = self.now_ms();
        let is_delivered = answer.is_delivered();
        let is_well_again = self.lanes.lock().hear(job.lane, is_delivered, took_ms, now_ms);
        let failed = job.attempts.saturating_add(1);
        let is_gone = answer.status == Some(410);
        let next_ms = if is_delivered || is_gone {
            None
        } else {
            let dice = rand::random();
            retry::next_ms(&self.options.pauses_ms, failed, answer.retry_after_ms, dice, now_ms)
        };
        let error = answer.error.clone().unwrap_or_default();
        let (state, how) = match (is_delivered, next_ms) {
            (true, _) => (DeliveryState::Delivered, Settle::Done),
            (false, Some(at_ms)) => (DeliveryState::Waiting, Settle::Retry { at_ms, error }),
            (false, None) => (DeliveryState::Dead, Settle::Bury { error }),
        };
        let attempt = DeliveryAttempt {
            at_ms,
            took_ms: u32::try_from(took_ms).unwrap_or(u32::MAX),
            status: answer.status,
            answer: answer.text(ANSWER_BYTES_KEPT),
            error: answer.error,
        };
        let mut steps = Vec::new();
        if is_well_again {
            let kind = JobKind::WebhookDelivery;
            steps.push(JobStep::Hurry { kind, lane: job.lane, count_max: HURRIED_MAX });
        }
        let record = standing(delivery, Some(attempt), (state, next_ms), answer.fault);
        self.end(job, how, Some(record), steps).await?;
        let outcome = match state {
            DeliveryState::Delivered => "delivered",
            DeliveryState::Waiting => "failed",
            DeliveryState::Dead | DeliveryState::Cancelled => "dead",
        };
        metrics::counter!("tollgate_webhook_attempts_total", "outcome" => outcome).increment(1);
        if is_delivered {
            let age_ms = u32::try_from(now_ms.saturating_sub(delivery.event_at_ms)).unwrap_or(u32::MAX);
            metrics::histogram!("tollgate_webhook_latency_seconds").record(f64::from(age_ms) / 1_000.0);
        }
        if is_well_again {
            self.lanes.lock().look_again(job.lane, now_ms);
            self.wake.notify_one();
        }
        self.note_health(endpoint, is_delivered, is_gone, now_ms).await
    }

    /// Ends the job's lease together with what becomes of its delivery.
    async fn end(
        &self,
        job: &Job,
        how: Settle,
        record: Option<Record>,
        mut steps: Vec<JobStep>,
    ) -> Result<(), EngineError> {
        let again_ms = match &how {
            Settle::Retry { at_ms, .. } => *at_ms,
            // The next of its row may have waited for it.
            _ if job.turn.is_some() => self.now_ms(),
            _ => u64::MAX,
        };
        steps.insert(0, JobStep::Settle { merchant_id: job.merchant_id, id: job.id, owner: self.owner, how });
        let work = Work { steps, records: record.into_iter().collect(), ..self.told_work(self.now_ms()) };
        if self.engine.store.work(work).await? == Worked::Stale {
            tracing::debug!(job = %job.id, "a lease was lost; somebody else sends it too");
        }
        self.lanes.lock().look_again(job.lane, again_ms);
        Ok(())
    }

    /// Notes when an endpoint begins to fail and when that ends; disables one that has failed for too long.
    async fn note_health(
        &self,
        endpoint: &WebhookEndpoint,
        is_delivered: bool,
        is_gone: bool,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        let (failing_since_ms, disable) = match (is_delivered, endpoint.failing_since_ms) {
            (true, None) => return Ok(()),
            (true, Some(_)) => (None, None),
            (false, since_ms) => {
                let disable = if is_gone {
                    Some(DisabledBecause::Gone)
                } else {
                    is_lost(since_ms, now_ms).then_some(DisabledBecause::Failing)
                };
                if since_ms.is_some() && disable.is_none() {
                    return Ok(());
                }
                (Some(since_ms.unwrap_or(now_ms)), disable)
            }
        };
        let (merchant_id, id) = (endpoint.merchant_id, endpoint.id);
        let record = Record::EndpointHealth { merchant_id, id, failing_since_ms, disable };
        let work = Work { records: vec![record], ..self.told_work(now_ms) };
        self.engine.store.work(work).await?;
        self.endpoints.forget(merchant_id);
        if let (Some(because), None) = (disable, endpoint.disabled) {
            tracing::warn!(endpoint = %id, merchant = %merchant_id, because = because.as_str(),
                "a webhook endpoint was disabled");
            metrics::counter!("tollgate_webhook_endpoints_disabled_total").increment(1);
            let (parts, _) = ids::fresh(self.engine.clock(), merchant_id.bucket());
            let kind = NoticeKind::WebhookEndpointDisabled { merchant_id, endpoint_id: id, because };
            let notice = Notice { id: EventId::from_parts(parts), at_ms: now_ms, kind };
            self.engine.store.upkeep(Upkeep::PutNotice(notice)).await?;
        }
        Ok(())
    }

    /// The body of a delivery, in the shape of the version that its merchant is pinned to; none if its event is not kept any
    /// more. The same bytes every time, as long as that version is the same: an event and its payment as it was then never
    /// change.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn body(
        &self,
        delivery: &Delivery,
        endpoint: &WebhookEndpoint,
    ) -> Result<Option<VersionedBody>, EngineError> {
        let store = self.engine.store.as_ref();
        let pinned = store.policy_view(delivery.merchant_id, PolicyKind::ApiVersion).await?;
        let versioned = |bytes| (self.payloads.versioned)(pinned.as_deref(), bytes);
        let Some((payment_id, version)) = delivery.payment else {
            return Ok(Some(versioned((self.payloads.test)(delivery, endpoint))));
        };
        let found = at_version(store, delivery.merchant_id, payment_id, version).await?;
        Ok(found.map(|(record, payment)| versioned((self.payloads.event)(&record, &payment))))
    }
}

fn standing(
    delivery: &Delivery,
    attempt: Option<DeliveryAttempt>,
    (state, next_at_ms): (DeliveryState, Option<u64>),
    fault: Option<DeliveryFault>,
) -> Record {
    let (merchant_id, id) = (delivery.merchant_id, delivery.id);
    Record::Delivered { merchant_id, id, attempt, state, next_at_ms, fault }
}

/// A payment as it was after one of its events, and that event.
async fn at_version(
    store: &dyn Store,
    merchant_id: MerchantId,
    id: PaymentId,
    version: u32,
) -> Result<Option<(EventRecord, Payment)>, EngineError> {
    let wrong = |_| StoreError::Corrupt("payment's history");
    let mut payment: Option<Payment> = None;
    for record in store.history(merchant_id, id).await? {
        let now = match payment {
            None => Payment::begin(id, merchant_id, &record.event, record.at_ms).map_err(wrong)?,
            Some(mut payment) => {
                payment.apply(&record.event, record.at_ms).map_err(wrong)?;
                payment
            }
        };
        if record.version == version {
            return Ok(Some((record, now)));
        }
        payment = Some(now);
    }
    Ok(None)
}
