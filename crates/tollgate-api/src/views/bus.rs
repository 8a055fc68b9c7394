//! What the event bus is told: the messages' bodies, in the newest version's shape. Their schemas are in `docs/events`.
//!
//! An event has the body that webhooks send. The others hold less: no name, address, device or note of anybody, no URL, and
//! nothing of what was sent to an endpoint or came back.

use super::risk::{ReasonView, label_text};
use super::text::{At, Major, Shown};
use super::webhook_endpoints::event_payload;
use serde::Serialize;
use tollgate_core::event::EventRecord;
use tollgate_core::id::{DeliveryId, EventId, PaymentId, WebhookEndpointId};
use tollgate_core::payment::Payment;
use tollgate_core::risk::{Fallback, Score};
use tollgate_core::webhook::outcome::{DeliveryFault, Happened, WebhookOutcome};
use tollgate_engine::events::{Alert, Bodies};

/// The bodies of the event bus's messages.
#[must_use]
pub fn bodies() -> Bodies {
    Bodies { event: event_payload, alert: alert_body, outcome: outcome_body }
}

#[derive(Debug, Serialize)]
struct Body<T> {
    #[serde(rename = "type")]
    kind: String,
    timestamp: At,
    data: T,
}

/// What an event tells of fraud.
#[derive(Debug, Serialize)]
struct AlertData<'a> {
    alert: &'static str,
    event_id: Shown<EventId>,
    payment_id: Shown<PaymentId>,
    payment_version: u32,
    payment_status: &'static str,
    amount: Major,
    currency: &'a str,
    payment_method: &'static str,
    score: Option<Shown<Score>>,
    verdict: Option<&'static str>,
    model: Option<&'a str>,
    rules: &'a [String],
    reasons: Vec<ReasonView>,
    fallback: Option<&'static str>,
    holds_capture: bool,
    review: Option<&'static str>,
    label: Option<&'static str>,
}

fn alert_body(alert: Alert, record: &EventRecord, payment: &Payment) -> Vec<u8> {
    let screening = payment.terms.risk.as_deref();
    let assessment = screening.map(|screening| &screening.assessment);
    let data = AlertData {
        alert: alert.as_str(),
        event_id: Shown(record.id),
        payment_id: Shown(record.payment_id),
        payment_version: record.version,
        payment_status: payment.status.as_str(),
        amount: Major::of(payment, payment.terms.amount.minor),
        currency: payment.terms.amount.currency.code(),
        payment_method: payment.terms.method.as_str(),
        score: assessment.filter(|it| it.fallback.is_none()).map(|it| Shown(it.score)),
        verdict: assessment.map(|it| it.verdict.as_str()),
        model: assessment.map(|it| it.model.as_str()).filter(|model| !model.is_empty()),
        rules: assessment.map_or(&[], |it| &it.rules),
        reasons: assessment
            .map_or_else(Vec::new, |it| it.reasons.iter().filter_map(ReasonView::new).collect()),
        fallback: assessment.and_then(|it| it.fallback).map(Fallback::as_str),
        holds_capture: screening.is_some_and(|screening| screening.holds_capture),
        review: payment.review.as_ref().map(|review| review.state.as_str()),
        label: payment.labelled_fraud.map(label_text),
    };
    body(format!("fraud.{}", alert.as_str()), record.at_ms, data)
}

/// What became of a delivery or an endpoint.
#[derive(Debug, Serialize)]
struct OutcomeData<'a> {
    outcome: &'static str,
    endpoint_id: Shown<WebhookEndpointId>,
    delivery: Option<DeliveryData<'a>>,
    disabled_reason: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct DeliveryData<'a> {
    id: Shown<DeliveryId>,
    event_id: Shown<EventId>,
    event_type: &'a str,
    payment_id: Option<Shown<PaymentId>>,
    attempt: u32,
    duration_ms: Option<u32>,
    response_status: Option<u16>,
    error_code: Option<&'static str>,
    next_attempt_at: Option<At>,
}

fn outcome_body(outcome: &WebhookOutcome) -> Vec<u8> {
    let next_attempt_at = match &outcome.happened {
        Happened::Failed { next_at_ms, .. } => next_at_ms.map(At),
        _ => None,
    };
    let delivery = outcome.delivery().map(|it| DeliveryData {
        id: Shown(it.delivery_id),
        event_id: Shown(it.event_id),
        event_type: &it.event_type,
        payment_id: it.payment_id.map(Shown),
        attempt: it.attempt,
        duration_ms: it.duration_ms,
        response_status: it.status,
        error_code: it.fault.map(DeliveryFault::code),
        next_attempt_at,
    });
    let disabled_reason = match &outcome.happened {
        Happened::EndpointDisabled(because) => Some(because.as_str()),
        _ => None,
    };
    let data = OutcomeData {
        outcome: outcome.name(),
        endpoint_id: Shown(outcome.endpoint_id),
        delivery,
        disabled_reason,
    };
    body(format!("webhook.{}", outcome.name()), outcome.at_ms, data)
}

fn body<T: Serialize>(kind: String, at_ms: u64, data: T) -> Vec<u8> {
    // Text and numbers into memory: this cannot fail.
    serde_json::to_vec(&Body { kind, timestamp: At(at_ms), data }).unwrap_or_default()
}

#[cfg(test)]
#[path = "bus_tests.rs"]
mod tests;
