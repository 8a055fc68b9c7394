//! Webhook events. Source: docs.stripe.com/api/events, docs.stripe.com/webhooks#verify-manually.

use super::{entity, hmac_hex};
use crate::books::{Entry, RefundState, Status};
use crate::desk::now_ms;
use crate::webhooks::Message;
use bytes::Bytes;

/// The events a payment intent's present state sends, in the order they happened.
pub(super) fn of_intent(number: u64, entry: &Entry, action_url: &str, key: &[u8]) -> Vec<Message> {
    let made = || message("payment_intent.created", number, &entity::intent_as_made(number, entry), key);
    let name = match entry.status {
        Status::Created => return vec![made()],
        Status::Pending if entity::Waiting::of(entry).processing => "payment_intent.processing",
        Status::Pending => "payment_intent.requires_action",
        Status::Authorized => "payment_intent.amount_capturable_updated",
        Status::Captured => "payment_intent.succeeded",
        Status::Failed => "payment_intent.payment_failed",
        Status::Voided => "payment_intent.canceled",
    };
    vec![made(), message(name, number, &entity::intent(number, entry, action_url), key)]
}

/// The events of a refund that was made or decided.
pub(super) fn of_refund(
    number: u64,
    entry: &Entry,
    place: usize,
    is_decided: bool,
    key: &[u8],
) -> Vec<Message> {
    let Some(refund) = entry.refunds.get(place) else {
        return Vec::new();
    };
    let name = match (is_decided, refund.state) {
        (false, _) => "refund.created",
        (true, RefundState::Failed) => "refund.failed",
        (true, _) => "refund.updated",
    };
    let mut messages = vec![message(name, refund.action, &entity::refund(number, entry, refund), key)];
    if refund.state == RefundState::Processed {
        let charge = entity::charge(number, entry);
        messages.push(message("charge.refunded", refund.action, &charge, key));
    }
    messages
}

fn message(name: &str, number: u64, object: &str, key: &[u8]) -> Message {
    let now = now_ms() / 1_000;
    let id = entity::event_id(name, number);
    let body = format!(
        r#"{{"id":"{id}","object":"event","api_version":"2025-09-30.clover","created":{now},"data":{{"object":{object}}},"livemode":false,"pending_webhooks":1,"request":{{"id":null,"idempotency_key":null}},"type":"{name}"}}"#
    );
    let signature = hmac_hex(key, format!("{now}.{body}").as_bytes());
    let headers = vec![
        ("content-type", "application/json; charset=utf-8".to_owned()),
        ("stripe-signature", format!("t={now},v1={signature}")),
    ];
    Message { headers, body: Bytes::from(body) }
}
