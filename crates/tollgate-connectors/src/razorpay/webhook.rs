//! Webhooks: signed with HMAC-SHA256 over the raw body, named by `x-razorpay-event-id`.
//!
//! They are snapshots and may arrive twice and out of order.
//! Source: razorpay.com/docs/webhooks, …/webhooks/validate-test, …/webhooks/best-practices.

use super::entity::{Payment, Refund};
use crate::digest::{HmacKey, sha256_text};
use crate::json::{Text, text};
use crate::webhook::{WebhookError, WebhookMessage, WebhookRequest, WebhookSubject};
use serde::Deserialize;
use tollgate_core::outcome::Outcome;

#[derive(Debug, Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    event: Text<'a>,
    #[serde(borrow)]
    payload: Payload<'a>,
}

#[derive(Debug, Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    payment: Option<Wrapped<Payment<'a>>>,
    #[serde(borrow)]
    refund: Option<Wrapped<Refund<'a>>>,
}

#[derive(Debug, Deserialize)]
struct Wrapped<T> {
    entity: T,
}

pub(super) fn read(request: &WebhookRequest<'_>, key: &HmacKey) -> Result<WebhookMessage, WebhookError> {
    let signature = (request.header)("x-razorpay-signature").ok_or(WebhookError::Signature)?;
    if !key.verifies(&[request.body], signature) {
        return Err(WebhookError::Signature);
    }
    let event: Event<'_> = serde_json::from_slice(request.body).map_err(|_| WebhookError::Malformed)?;
    let dedupe_key = match (request.header)("x-razorpay-event-id") {
        Some(id) if (1..=64).contains(&id.len()) => id.to_owned(),
        _ => sha256_text(request.body),
    };
    Ok(WebhookMessage { dedupe_key, subject: subject(&event)? })
}

fn subject(event: &Event<'_>) -> Result<Option<WebhookSubject>, WebhookError> {
    let payment = event.payload.payment.as_ref().map(|wrapped| &wrapped.entity);
    let refund = event.payload.refund.as_ref().map(|wrapped| &wrapped.entity);
    match event.event.as_str() {
        "payment.authorized" | "payment.captured" | "payment.failed" | "order.paid" => {
            let payment = payment.ok_or(WebhookError::Malformed)?;
            Ok(about(reference_of(payment), || payment.outcome(None)))
        }
        "refund.created" | "refund.processed" | "refund.failed" => {
            let refund = refund.ok_or(WebhookError::Malformed)?;
            if let Some(payment) = payment.filter(|payment| payment.captured == Some(false)) {
                // Razorpay returned an authorization that was never captured.
                return Ok(about(reference_of(payment), || Outcome::Voided));
            }
            Ok(about(refund.reference(), || refund.outcome(None)))
        }
        _ => Ok(None),
    }
}

fn reference_of<'p>(payment: &'p Payment<'_>) -> &'p str {
    payment.notes.as_ref().map_or("", |notes| text(&notes.reference))
}

/// Nothing of ours carries no reference.
fn about(reference: &str, outcome: impl FnOnce() -> Outcome) -> Option<WebhookSubject> {
    (!reference.is_empty() && reference.len() <= 64)
        .then(|| WebhookSubject { reference: reference.to_owned(), outcome: outcome() })
}
