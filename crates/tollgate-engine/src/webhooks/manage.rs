//! What merchants do with their endpoints and deliveries.

use super::Webhooks;
use super::fan_out::job_of;
use crate::error::EngineError;
use crate::ids;
use serde_json::{Value, json};
use std::sync::Arc;
use tollgate_core::audit::By;
use tollgate_core::id::{DeliveryId, EventId, JobId, MerchantId, WebhookEndpointId};
use tollgate_core::job::{Job, JobKind};
use tollgate_core::webhook::filter::EventFilter;
use tollgate_core::webhook::signing::{SecretPair, SigningSecret};
use tollgate_core::webhook::{
    Delivery, DeliveryState, DisabledBecause, ENDPOINTS_MAX, TEST_EVENT, WebhookEndpoint,
};
use tollgate_store::commit::Told;
use tollgate_store::jobs::{DueLane, JobStep, Record, Work};

/// What a merchant wants of an endpoint.
#[derive(Debug, Clone)]
pub struct EndpointWish {
    /// Where to; checked by [`super::check_url`].
    pub url: String,
    /// What its merchant calls it.
    pub description: Option<String>,
    /// Which events.
    pub events: EventFilter,
    /// Whether it is to get something.
    pub is_enabled: bool,
    /// Whether events of one payment are to be sent one after the other.
    pub is_ordered: bool,
}

/// Which events are to be sent again.
#[derive(Debug, Clone, Copy)]
pub struct ReplayWish {
    /// Those that happened at or after, in milliseconds since the Unix epoch.
    pub from_ms: u64,
    /// Those that happened before.
    pub to_ms: u64,
}

/// A test that is on its way.
#[derive(Debug, Clone)]
pub struct SentTest {
    /// Its delivery.
    pub delivery: Delivery,
}

impl Webhooks {
    /// Makes an endpoint with its secret; none if the merchant has as many as it may have. Two calls at once may pass the bound
    /// by one.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn create_endpoint(
        &self,
        merchant_id: MerchantId,
        wish: EndpointWish,
        by: By,
    ) -> Result<Option<(WebhookEndpoint, SigningSecret)>, EngineError> {
        if self.engine.store.webhook_endpoints(merchant_id).await?.len() >= ENDPOINTS_MAX {
            return Ok(None);
        }
        let (parts, now_ms) = ids::fresh(self.engine.clock(), merchant_id.bucket());
        let id = WebhookEndpointId::from_parts(parts);
        let (secret, kept) = self.fresh_secret(merchant_id, id).await?;
        let endpoint = WebhookEndpoint {
            id,
            merchant_id,
            url: wish.url,
            description: wish.description,
            events: wish.events,
            disabled: (!wish.is_enabled).then_some(DisabledBecause::Asked),
            is_ordered: wish.is_ordered,
            secrets: SecretPair::new(kept),
            failing_since_ms: None,
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
        };
        Ok(Some((self.put(endpoint, "webhook_endpoint.added", by).await?, secret)))
    }

    /// Changes an endpoint; none if there is none.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn update_endpoint(
        &self,
        merchant_id: MerchantId,
        id: WebhookEndpointId,
        wish: EndpointWish,
        by: By,
    ) -> Result<Option<WebhookEndpoint>, EngineError> {
        let Some(mut endpoint) = self.engine.store.webhook_endpoint(merchant_id, id).await? else {
            return Ok(None);
        };
        (endpoint.url, endpoint.description, endpoint.events) = (wish.url, wish.description, wish.events);
        endpoint.is_ordered = wish.is_ordered;
        match (wish.is_enabled, endpoint.disabled) {
            (true, Some(_)) => (endpoint.disabled, endpoint.failing_since_ms) = (None, None),
            (false, None) => endpoint.disabled = Some(DisabledBecause::Asked),
            _ => {}
        }
        endpoint.updated_at_ms = self.now_ms();
        self.put(endpoint, "webhook_endpoint.changed", by).await.map(Some)
    }

    /// Gives an endpoint a new secret and tells it; the old one is good for `overlap_ms` more. None if there is none.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn rotate_secret(
        &self,
        merchant_id: MerchantId,
        id: WebhookEndpointId,
        overlap_ms: u64,
        by: By,
    ) -> Result<Option<(WebhookEndpoint, SigningSecret)>, EngineError> {
        let Some(mut endpoint) = self.engine.store.webhook_endpoint(merchant_id, id).await? else {
            return Ok(None);
        };
        let (secret, kept) = self.fresh_secret(merchant_id, id).await?;
        endpoint.rotate(kept, self.now_ms(), overlap_ms);
        Ok(Some((self.put(endpoint, "webhook_endpoint.secret_rotated", by).await?, secret)))
    }

    /// Removes an endpoint, and tells whether it was there. What waits for it is not sent.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn remove_endpoint(
        &self,
        merchant_id: MerchantId,
        id: WebhookEndpointId,
        by: By,
    ) -> Result<bool, EngineError> {
        if self.engine.store.webhook_endpoint(merchant_id, id).await?.is_none() {
            return Ok(false);
        }
        let records = vec![Record::RemoveEndpoint { merchant_id, id }];
        let told = vec![(told("webhook_endpoint.removed", merchant_id, id, Value::Null), by)];
        self.engine.store.work(Work { records, told, ..self.told_work(self.now_ms()) }).await?;
        self.endpoints.forget(merchant_id);
        Ok(true)
    }

    async fn put(
        &self,
        endpoint: WebhookEndpoint,
        action: &'static str,
        by: By,
    ) -> Result<WebhookEndpoint, EngineError> {
        let records = vec![Record::PutEndpoint(Box::new(endpoint.clone()))];
        let said = json!({
            "url": endpoint.url,
            "events": endpoint.events.patterns(),
            "enabled": endpoint.disabled.is_none(),
            "ordered": endpoint.is_ordered,
        });
        let told = vec![(told(action, endpoint.merchant_id, endpoint.id, said), by)];
        self.engine.store.work(Work { records, told, ..self.told_work(self.now_ms()) }).await?;
        self.endpoints.forget(endpoint.merchant_id);
        Ok(endpoint)
    }

    /// Sends a test event to an endpoint, whatever it wants and though it is disabled. None if there is none.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn send_test(
        &self,
        merchant_id: MerchantId,
        id: WebhookEndpointId,
    ) -> Result<Option<SentTest>, EngineError> {
        let Some(endpoint) = self.engine.store.webhook_endpoint(merchant_id, id).await? else {
            return Ok(None);
        };
        let (parts, now_ms) = ids::fresh(self.engine.clock(), merchant_id.bucket());
        let event_id = EventId::from_parts(parts);
        let delivery = Delivery {
            id: DeliveryId::of(event_id, endpoint.id),
            merchant_id,
            endpoint_id: endpoint.id,
            event_id,
            event_type: TEST_EVENT.to_owned(),
            payment: None,
            event_at_ms: now_ms,
            state: DeliveryState::Waiting,
            tries: 0,
            next_at_ms: Some(now_ms),
            attempts: vec![],
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
        };
        let job = Box::new(job_of(&delivery, None, false, now_ms));
        let steps = vec![JobStep::Enqueue { job, delivery: Some(Box::new(delivery.clone())) }];
        self.enqueue(merchant_id, endpoint.id, steps, now_ms).await?;
        Ok(Some(SentTest { delivery }))
    }

    /// Has a delivery sent once more, at once, under its old id. None if there is none.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn retry(
        &self,
        merchant_id: MerchantId,
        id: DeliveryId,
    ) -> Result<Option<Delivery>, EngineError> {
        let Some(delivery) = self.engine.store.delivery(merchant_id, id).await? else {
            return Ok(None);
        };
        let now_ms = self.now_ms();
        let endpoint_id = delivery.endpoint_id;
        let job = Box::new(job_of(&delivery, None, false, now_ms));
        let steps = vec![JobStep::Again { job, delivery: Box::new(delivery) }];
        self.enqueue(merchant_id, endpoint_id, steps, now_ms).await?;
        Ok(self.engine.store.delivery(merchant_id, id).await?)
    }

    /// Has past events sent to an endpoint again, under their old ids. Gives the job that does it; none if there
    /// is no such endpoint.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn replay(
        &self,
        merchant_id: MerchantId,
        id: WebhookEndpointId,
        wish: ReplayWish,
    ) -> Result<Option<Job>, EngineError> {
        if self.engine.store.webhook_endpoint(merchant_id, id).await?.is_none() {
            return Ok(None);
        }
        let (parts, now_ms) = ids::fresh(self.engine.clock(), merchant_id.bucket());
        let payload = super::replay::Progress::begin(wish).to_payload();
        let kind = JobKind::WebhookReplay;
        let mut job =
            Job::new(JobId::from_parts(parts), merchant_id, kind, id.to_bytes(), payload, (now_ms, now_ms));
        job.is_kept = true;
        let steps = vec![JobStep::Enqueue { job: Box::new(job.clone()), delivery: None }];
        self.engine.store.work(Work { now_ms, steps, ..Work::default() }).await?;
        self.replay.notify_one();
        Ok(Some(job))
    }

    pub(super) async fn enqueue(
        &self,
        merchant_id: MerchantId,
        endpoint_id: WebhookEndpointId,
        steps: Vec<JobStep>,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        self.engine.store.work(Work { now_ms, steps, ..Work::default() }).await?;
        self.tell(&[DueLane { lane: endpoint_id.to_bytes(), merchant_id, at_ms: now_ms }]);
        Ok(())
    }

    /// The engine whose events are sent.
    #[must_use]
    pub const fn engine(&self) -> &Arc<crate::Engine> {
        &self.engine
    }
}

/// What the audit log says of an endpoint.
fn told(action: &'static str, merchant_id: MerchantId, id: WebhookEndpointId, said: Value) -> Told {
    Told { action, kind: "webhook_endpoint", id: id.to_string(), merchant_id: Some(merchant_id), said }
}
