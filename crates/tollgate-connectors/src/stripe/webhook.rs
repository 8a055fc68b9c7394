//! Webhooks: `Stripe-Signature: t=…,v1=…`, HMAC-SHA256 over `t`, a dot and the raw body.
//!
//! While a signing secret is being rolled there are several `v1`, one for each secret; any that holds
//! is enough. Other schemes (`v0` of test events) prove nothing.
//!
//! Stripe's libraries also refuse messages whose `t` is older than five minutes. A connector knows no
//! clock. A replayed message is caught otherwise: the id of its event is kept, and the same event a
//! second time changes nothing; nor could it, since what it says was true once and a payment never
//! goes back.
//!
//! Source: docs.stripe.com/webhooks#verify-manually, docs.stripe.com/api/events/types.

use super::intent::{Intent, Refund};
use crate::digest::HmacKey;
use crate::json::Text;
use crate::webhook::{WebhookError, WebhookMessage, WebhookRequest, WebhookSubject};
use serde::Deserialize;
use serde_json::value::RawValue;
use tollgate_core::outcome::Outcome;

/// The most signatures that are looked at: two while a secret is being rolled.
const SIGNATURES_MAX: usize = 16;

#[derive(Debug, Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Debug, Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    object: &'a RawValue,
}

pub(super) fn read(request: &WebhookRequest<'_>, key: &HmacKey) -> Result<WebhookMessage, WebhookError> {
    let header = (request.header)("stripe-signature").ok_or(WebhookError::Signature)?;
    if !is_signed(header, request.body, key) {
        return Err(WebhookError::Signature);
    }
    let event: Event<'_> = serde_json::from_slice(request.body).map_err(|_| WebhookError::Malformed)?;
    let dedupe_key = event.id.as_str();
    if !(1..=128).contains(&dedupe_key.len()) {
        return Err(WebhookError::Malformed);
    }
    Ok(WebhookMessage { dedupe_key: dedupe_key.to_owned(), subject: subject(&event)? })
}

fn is_signed(header: &str, body: &[u8], key: &HmacKey) -> bool {
    let fields = || header.split(',').filter_map(|pair| pair.trim().split_once('='));
    let mut times = fields().filter(|(name, _)| *name == "t").map(|(_, value)| value);
    let (Some(time), None) = (times.next(), times.next()) else {
        return false;
    };
    let signatures = fields().filter(|(name, _)| *name == "v1").map(|(_, value)| value);
    signatures.take(SIGNATURES_MAX).any(|given| key.verifies(&[time.as_bytes(), b".", body], given))
}

fn subject(event: &Event<'_>) -> Result<Option<WebhookSubject>, WebhookError> {
    let object = event.data.object.get();
    match event.kind.as_str() {
        "payment_intent.amount_capturable_updated"
        | "payment_intent.canceled"
        | "payment_intent.payment_failed"
        | "payment_intent.processing"
        | "payment_intent.requires_action"
        | "payment_intent.succeeded" => {
            let intent: Intent<'_> = serde_json::from_str(object).map_err(|_| WebhookError::Malformed)?;
            Ok(about(intent.reference(), || intent.outcome(None)))
        }
        "charge.refund.updated" | "refund.created" | "refund.failed" | "refund.updated" => {
            let refund: Refund<'_> = serde_json::from_str(object).map_err(|_| WebhookError::Malformed)?;
            Ok(about(refund.reference(), || refund.outcome(None)))
        }
        // `charge.refunded` tells of the charge, not which of its refunds is meant: `refund.*` does.
        _ => Ok(None),
    }
}

/// Nothing of ours carries no reference.
fn about(reference: &str, outcome: impl FnOnce() -> Outcome) -> Option<WebhookSubject> {
    (!reference.is_empty() && reference.len() <= 64)
        .then(|| WebhookSubject { reference: reference.to_owned(), outcome: outcome() })
}
