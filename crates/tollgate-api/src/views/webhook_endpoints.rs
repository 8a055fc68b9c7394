//! Webhook endpoints, deliveries, and what is sent.

use super::event::EventView;
use super::payment::PaymentView;
use super::text::{At, Shown};
use crate::versions::webhook_of_version;
use serde::Serialize;
use serde_json::value::RawValue;
use tollgate_core::event::EventRecord;
use tollgate_core::id::{DeliveryId, EventId, JobId, PaymentId, WebhookEndpointId};
use tollgate_core::job::Job;
use tollgate_core::payment::Payment;
use tollgate_core::webhook::signing::SigningSecret;
use tollgate_core::webhook::{Delivery, DeliveryAttempt, WebhookEndpoint};
use tollgate_engine::webhooks::{Payloads, secret_text};
use utoipa::ToSchema;

/// Where events are sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookEndpoint)]
pub(crate) struct EndpointView<'a> {
    /// Its id.
    #[schema(value_type = String, pattern = "^whe_[0-9A-Za-z]{22}$")]
    id: Shown<WebhookEndpointId>,
    /// Always `webhook_endpoint`.
    #[schema(value_type = String, example = "webhook_endpoint")]
    object: &'static str,
    /// Where to.
    url: &'a str,
    /// What you call it.
    description: Option<&'a str>,
    /// Types of events.
    events: &'a [String],
    /// Whether it gets something.
    enabled: bool,
    /// Why it gets nothing: `asked`, `failing` (nothing arrived for five days) or `gone` (it answered 410).
    #[schema(value_type = Option<String>)]
    disabled_reason: Option<&'static str>,
    /// Whether an event waits for the payment's earlier events.
    ordered: bool,
    /// The signing secret: shown when it is made, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    secret: Option<String>,
    /// Until when the secret before this one signs as well.
    #[schema(value_type = Option<String>, format = DateTime)]
    previous_secret_until: Option<At>,
    /// Since when nothing has arrived.
    #[schema(value_type = Option<String>, format = DateTime)]
    failing_since: Option<At>,
    /// When it was made: it gets no earlier events.
    #[schema(value_type = String, format = DateTime)]
    created_at: At,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: At,
}

impl<'a> EndpointView<'a> {
    /// Without its secret.
    pub(crate) fn new(endpoint: &'a WebhookEndpoint, now_ms: u64) -> Self {
        let until_ms = endpoint.secrets.previous.as_ref().map(|(_, until_ms)| *until_ms);
        Self {
            id: Shown(endpoint.id),
            object: "webhook_endpoint",
            url: &endpoint.url,
            description: endpoint.description.as_deref(),
            events: endpoint.events.patterns(),
            enabled: endpoint.disabled.is_none(),
            disabled_reason: endpoint.disabled.map(|because| because.as_str()),
            ordered: endpoint.is_ordered,
            secret: None,
            previous_secret_until: until_ms.filter(|until_ms| *until_ms > now_ms).map(At),
            failing_since: endpoint.failing_since_ms.map(At),
            created_at: At(endpoint.created_at_ms),
            updated_at: At(endpoint.updated_at_ms),
        }
    }

    /// With its secret, which was just made.
    pub(crate) fn with_secret(endpoint: &'a WebhookEndpoint, secret: &SigningSecret, now_ms: u64) -> Self {
        let secret = Some(secret_text(secret));
        Self { secret, ..Self::new(endpoint, now_ms) }
    }
}

/// One event on its way to one endpoint.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
pub(crate) struct DeliveryView<'a> {
    /// Its id.
    #[schema(value_type = String, pattern = "^whd_[0-9A-Za-z]{22}$")]
    id: Shown<DeliveryId>,
    /// Always `webhook_delivery`.
    #[schema(value_type = String, example = "webhook_delivery")]
    object: &'static str,
    /// The `webhook-id` header: the same however often it is sent.
    #[schema(value_type = String, pattern = "^msg_[0-9A-Za-z]{22}$")]
    message_id: String,
    /// Where to.
    #[schema(value_type = String, pattern = "^whe_[0-9A-Za-z]{22}$")]
    endpoint_id: Shown<WebhookEndpointId>,
    /// What: the event's id.
    #[schema(value_type = String, pattern = "^evt_[0-9A-Za-z]{22}$")]
    event_id: Shown<EventId>,
    /// The event's type.
    event_type: &'a str,
    /// What it happened to; absent for a test.
    #[schema(value_type = Option<String>)]
    payment_id: Option<Shown<PaymentId>>,
    /// `waiting`, `delivered`, `dead` (given up; it can be sent again) or `cancelled` (its endpoint is gone).
    #[schema(value_type = String, example = "delivered")]
    status: &'static str,
    /// How often it was sent.
    tries: u32,
    /// When it is sent next.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<At>,
    /// The last ten attempts, oldest first; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    attempts: Option<Vec<AttemptView<'a>>>,
    /// What is sent; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, nullable = false)]
    payload: Option<Box<RawValue>>,
    /// When the event happened.
    #[schema(value_type = String, format = DateTime)]
    event_at: At,
    /// When the delivery was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: At,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: At,
}

/// One sending.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookAttempt)]
pub(crate) struct AttemptView<'a> {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: At,
    /// How long it took, in milliseconds.
    duration_ms: u32,
    /// The answer's HTTP status.
    response_status: Option<u16>,
    /// The answer's first 4 KiB.
    response_body: Option<&'a str>,
    /// What went wrong; null if it arrived.
    error: Option<&'a str>,
}

impl<'a> DeliveryView<'a> {
    /// As in a list.
    pub(crate) fn new(delivery: &'a Delivery) -> Self {
        Self {
            id: Shown(delivery.id),
            object: "webhook_delivery",
            message_id: delivery.id.message_id(),
            endpoint_id: Shown(delivery.endpoint_id),
            event_id: Shown(delivery.event_id),
            event_type: &delivery.event_type,
            payment_id: delivery.payment.map(|(id, _)| Shown(id)),
            status: delivery.state.as_str(),
            tries: delivery.tries,
            next_attempt_at: delivery.next_at_ms.map(At),
            attempts: None,
            payload: None,
            event_at: At(delivery.event_at_ms),
            created_at: At(delivery.created_at_ms),
            updated_at: At(delivery.updated_at_ms),
        }
    }

    /// With what was sent and what came back.
    pub(crate) fn whole(delivery: &'a Delivery, payload: Option<Vec<u8>>) -> Self {
        let payload = payload.and_then(|bytes| String::from_utf8(bytes).ok());
        Self {
            attempts: Some(delivery.attempts.iter().map(AttemptView::new).collect()),
            payload: payload.and_then(|text| RawValue::from_string(text).ok()),
            ..Self::new(delivery)
        }
    }
}

impl<'a> AttemptView<'a> {
    fn new(attempt: &'a DeliveryAttempt) -> Self {
        Self {
            at: At(attempt.at_ms),
            duration_ms: attempt.took_ms,
            response_status: attempt.status,
            response_body: attempt.answer.as_deref(),
            error: attempt.error.as_deref(),
        }
    }
}

/// A replay that was begun.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookReplay)]
pub(crate) struct ReplayView {
    /// The job that does it.
    #[schema(value_type = String, pattern = "^job_[0-9A-Za-z]{22}$")]
    id: Shown<JobId>,
    /// Always `webhook_replay`.
    #[schema(value_type = String, example = "webhook_replay")]
    object: &'static str,
    /// Where to.
    #[schema(value_type = String, pattern = "^whe_[0-9A-Za-z]{22}$")]
    endpoint_id: Shown<WebhookEndpointId>,
    /// When it was begun.
    #[schema(value_type = String, format = DateTime)]
    created_at: At,
}

impl ReplayView {
    /// Of its job.
    pub(crate) fn new(job: &Job) -> Self {
        Self {
            id: Shown(job.id),
            object: "webhook_replay",
            endpoint_id: Shown(WebhookEndpointId::from_bytes(job.lane)),
            created_at: At(job.created_at_ms),
        }
    }
}

/// What is sent of an event.
#[derive(Debug, Serialize)]
struct EventPayload<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    timestamp: At,
    data: EventData<'a>,
}

#[derive(Debug, Serialize)]
struct EventData<'a> {
    event: EventView<'a>,
    payment: PaymentView<'a>,
}

/// What is sent as a test.
#[derive(Debug, Serialize)]
struct TestPayload<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    timestamp: At,
    data: TestData,
}

#[derive(Debug, Serialize)]
struct TestData {
    endpoint_id: Shown<WebhookEndpointId>,
    message: &'static str,
}

/// The bodies that webhooks have.
#[must_use]
pub fn payloads() -> Payloads {
    Payloads { event: event_payload, test: test_payload, versioned: webhook_of_version }
}

pub(super) fn event_payload(record: &EventRecord, payment: &Payment) -> Vec<u8> {
    let event = EventView::new(record, Some(payment.terms.amount.currency));
    let data = EventData { event, payment: PaymentView::new(payment) };
    // Text and numbers into memory: this cannot fail.
    serde_json::to_vec(&EventPayload { kind: record.event.name(), timestamp: At(record.at_ms), data })
        .unwrap_or_default()
}

fn test_payload(delivery: &Delivery, endpoint: &WebhookEndpoint) -> Vec<u8> {
    let data = TestData { endpoint_id: Shown(endpoint.id), message: "This is a test." };
    let payload = TestPayload { kind: &delivery.event_type, timestamp: At(delivery.event_at_ms), data };
    serde_json::to_vec(&payload).unwrap_or_default()
}
