//! Webhook events. Source: razorpay.com/docs/webhooks (payments, refunds).

use super::entity;
use crate::books::{Entry, Status};
use crate::desk::now_ms;
use crate::webhooks::Message;
use bytes::Bytes;

/// The events a payment's present state sends, in the order they happened.
pub(super) fn of_payment(number: u64, entry: &Entry, sign: impl Fn(&[u8]) -> String) -> Vec<Message> {
    let event = |name: &str, entry: &Entry| {
        let payment = entity::payment(number, entry);
        let payload = format!(r#"{{"payment":{{"entity":{payment}}}}}"#);
        let id = format!("Sim{name}{}", entity::payment_id(number));
        message(name, r#"["payment"]"#, &payload, &id, &sign)
    };
    // The snapshot of the moment in which a captured payment was only authorized.
    let authorized = || {
        let mut before = entry.clone();
        before.status = Status::Authorized;
        before.captured_minor = 0;
        before.refunds.clear();
        event("payment.authorized", &before)
    };
    match entry.status {
        Status::Authorized => vec![authorized()],
        Status::Captured => vec![authorized(), event("payment.captured", entry)],
        Status::Failed => vec![event("payment.failed", entry)],
        Status::Voided => {
            let payment = entity::payment(number, entry);
            let refund = format!(
                r#"{{"id":"{}","entity":"refund","amount":{},"currency":"{}","payment_id":"{}","notes":[],"receipt":null,"status":"processed"}}"#,
                entity::refund_id(number),
                entry.amount_minor,
                entry.currency(),
                entity::payment_id(number)
            );
            let payload = format!(r#"{{"refund":{{"entity":{refund}}},"payment":{{"entity":{payment}}}}}"#);
            let id = format!("Simlapsed{}", entity::payment_id(number));
            vec![message("refund.processed", r#"["refund","payment"]"#, &payload, &id, &sign)]
        }
        Status::Created | Status::Pending => Vec::new(),
    }
}

/// The event of a refund that was decided.
pub(super) fn of_refund(
    number: u64,
    entry: &Entry,
    place: usize,
    sign: impl Fn(&[u8]) -> String,
) -> Vec<Message> {
    let Some(refund) = entry.refunds.get(place) else {
        return Vec::new();
    };
    let name = match refund.state {
        crate::books::RefundState::Processed => "refund.processed",
        crate::books::RefundState::Pending => "refund.created",
        crate::books::RefundState::Failed => "refund.failed",
    };
    let payload = format!(
        r#"{{"refund":{{"entity":{}}},"payment":{{"entity":{}}}}}"#,
        entity::refund(number, entry, refund),
        entity::payment(number, entry)
    );
    let id = format!("Sim{name}{}", entity::refund_id(refund.action));
    vec![message(name, r#"["refund","payment"]"#, &payload, &id, &sign)]
}

fn message(
    name: &str,
    contains: &str,
    payload: &str,
    event_id: &str,
    sign: impl Fn(&[u8]) -> String,
) -> Message {
    let body = format!(
        r#"{{"entity":"event","account_id":"acc_Simulator00000","event":"{name}","contains":{contains},"payload":{payload},"created_at":{}}}"#,
        now_ms() / 1_000
    );
    let headers = vec![
        ("content-type", "application/json".to_owned()),
        ("x-razorpay-signature", sign(body.as_bytes())),
        ("x-razorpay-event-id", event_id.to_owned()),
    ];
    Message { headers, body: Bytes::from(body) }
}
