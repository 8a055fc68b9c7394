//! Payments, refunds and events as Example Bank writes them.

use crate::books::{Entry, Refund, RefundState, Status};
use crate::http::quoted;
use crate::instrument::Failure;
use sha2::{Digest, Sha256};

pub(super) fn payment_id(number: u64) -> String {
    format!("ebp_{number:010}")
}

pub(super) fn refund_id(action: u64) -> String {
    format!("ebr_{action:010}")
}

pub(super) const fn status_of(entry: &Entry) -> &'static str {
    match entry.status {
        Status::Created => "CREATED",
        Status::Pending => "REQUIRES_ACTION",
        Status::Authorized => "AUTHORIZED",
        Status::Captured => "CAPTURED",
        Status::Failed => "DECLINED",
        Status::Voided => "VOIDED",
    }
}

/// Code and words of a failure.
pub(super) fn error_of(entry: &Entry) -> Option<(&'static str, &'static str)> {
    let failed = (entry.status == Status::Failed).then(|| Failure::from_index(entry.failure));
    failed.map(|failure| match failure {
        Failure::Declined => ("CARD_DECLINED", "The bank declined"),
        Failure::Insufficient => ("INSUFFICIENT_FUNDS", "Not enough money"),
        Failure::Expired => ("EXPIRED_CARD", "The card has expired"),
        Failure::Blocked => ("BLOCKED_CARD", "The card is blocked"),
        Failure::Risk => ("RISK_REFUSED", "Refused by risk rules"),
        Failure::Cancelled => ("CUSTOMER_CANCELLED", "The customer cancelled"),
        Failure::Doubtful => ("BANK_NOT_ANSWERING", "The customer's bank did not answer"),
    })
}

fn error(error: Option<(&str, &str)>) -> String {
    error.map_or_else(
        || "null".to_owned(),
        |(code, message)| format!(r#"{{"code":"{code}","message":"{message}"}}"#),
    )
}

/// A payment. `next` is JSON already.
pub(super) fn payment(number: u64, entry: &Entry, next: Option<&str>) -> String {
    format!(
        r#"{{"payment_id":"{id}","reference":{reference},"status":"{status}","amount":{amount},"currency":"{currency}","captured_amount":{captured},"refunded_amount":{refunded},"next":{next},"error":{error}}}"#,
        id = payment_id(number),
        reference = quoted(&entry.reference),
        status = status_of(entry),
        amount = entry.amount_minor,
        currency = entry.currency(),
        captured = entry.captured_minor,
        refunded = entry.refunded_minor(),
        next = next.unwrap_or("null"),
        error = error(error_of(entry)),
    )
}

pub(super) fn refund(entry: &Entry, refund: &Refund) -> String {
    let (status, failure) = match refund.state {
        RefundState::Processed => ("REFUNDED", None),
        RefundState::Pending => ("PENDING", None),
        RefundState::Failed => ("FAILED", Some(("REFUND_FAILED", "The bank did not take it back"))),
    };
    format!(
        r#"{{"refund_id":"{id}","reference":{reference},"payment_reference":{payment},"status":"{status}","amount":{amount},"currency":"{currency}","error":{error}}}"#,
        id = refund_id(refund.action),
        reference = quoted(refund.reference()),
        payment = quoted(&entry.reference),
        amount = refund.amount_minor,
        currency = entry.currency(),
        error = error(failure),
    )
}

/// A message; the same news has the same id.
pub(super) fn event(name: &str, record: &str) -> String {
    let digest = hex::encode(Sha256::digest(record.as_bytes()));
    format!(r#"{{"event_id":"ebe_{}","type":"{name}","data":{record}}}"#, &digest[..24])
}
