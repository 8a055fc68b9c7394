//! Replies of PayU's general API (`postservice.php`). They carry no hash: what vouches for them is
//! the TLS connection we opened to PayU's own host.
//!
//! Source: docs.payu.in, Verify Payment API, Refund Transaction API, Capture a Pre-Authorized
//! Payment, Check Action Status, Get All Refunds from Transaction ID.

use super::{amount_minor, codes, is_payment_id, is_success, throttled, unknown, unreadable};
use crate::ChargeHandle;
use crate::json::{Text, text};
use crate::wire::HttpResponse;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::money::Money;
use tollgate_core::outcome::Outcome;

#[derive(Deserialize)]
struct Details<'a> {
    #[serde(borrow)]
    status: Option<Text<'a>>,
    #[serde(borrow, rename = "transaction_details")]
    entries: Option<BTreeMap<Cow<'a, str>, &'a RawValue>>,
}

#[derive(Deserialize)]
struct Verified<'a> {
    #[serde(borrow)]
    mihpayid: Option<Text<'a>>,
    #[serde(borrow)]
    txnid: Option<Text<'a>>,
    #[serde(borrow)]
    amt: Option<Text<'a>>,
    #[serde(borrow)]
    status: Option<Text<'a>>,
    #[serde(borrow)]
    unmappedstatus: Option<Text<'a>>,
    #[serde(borrow)]
    error_code: Option<Text<'a>>,
    #[serde(borrow, rename = "error_Message")]
    error_message: Option<Text<'a>>,
}

/// The state of a charge, asked for by our reference.
pub(super) fn read_verified(response: &HttpResponse<'_>, charge: &ChargeHandle<'_>) -> Outcome {
    if !is_success(response.status) {
        return unknown("the transaction could not be looked up");
    }
    let Ok(details) = serde_json::from_slice::<Details<'_>>(response.body) else {
        return unreadable();
    };
    let Some(raw) = details.entries.as_ref().and_then(|entries| entries.get(charge.reference)) else {
        return unreadable();
    };
    let Ok(found) = serde_json::from_str::<Verified<'_>>(raw.get()) else {
        return unreadable();
    };
    if text(&found.mihpayid) == "Not Found" || text(&found.status) == "Not Found" {
        return Outcome::NotFound;
    }
    // Some replies write the number 1 as 1.0.
    let answered = matches!(text(&details.status), "1" | "1.0");
    let ours = text(&found.txnid) == charge.reference && is_payment_id(text(&found.mihpayid));
    if !answered || !ours {
        return unreadable();
    }
    let processor_payment_id = text(&found.mihpayid).to_owned();
    let amount = amount_minor(text(&found.amt));
    match (text(&found.status), text(&found.unmappedstatus), amount) {
        ("success", "captured", Some(amount_minor)) => {
            Outcome::Captured { processor_payment_id, amount_minor }
        }
        ("success", "auth", Some(amount_minor)) => Outcome::Authorized { processor_payment_id, amount_minor },
        // An authorization that was cancelled, or returned by PayU itself.
        (_, "cancelled" | "autoRefund", _) => Outcome::Voided,
        ("pending", _, _) | (_, "pending" | "in progress" | "initiated", _) => {
            Outcome::Pending { processor_payment_id: Some(processor_payment_id) }
        }
        ("failure", unmapped, _) => {
            let (code, message) = (text(&found.error_code), text(&found.error_message));
            codes::settled(codes::failed(unmapped, code, message))
        }
        _ => unreadable(),
    }
}

/// The state of a charge before an action on it. Nothing was sent yet, so an answer that cannot be
/// used proves that nothing was done.
pub(super) fn before_action(
    response: &HttpResponse<'_>,
    charge: &ChargeHandle<'_>,
) -> Result<Outcome, Outcome> {
    if response.status == 429 {
        return Err(throttled());
    }
    match read_verified(response, charge) {
        Outcome::Unknown(_) => Err(Outcome::NotTaken(Failure::new(
            FailureCode::ProcessorUnavailable,
            "the transaction could not be looked up",
        ))),
        Outcome::NotFound => Err(Outcome::NotTaken(Failure::new(
            FailureCode::ProcessorRejected,
            "the processor knows no transaction of that reference",
        ))),
        state => Ok(state),
    }
}

/// What is done to an authorized payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ActionKind {
    Capture,
    Cancel,
}

/// A capture or a cancellation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Action<'a> {
    pub(super) kind: ActionKind,
    pub(super) reference: &'a str,
    pub(super) amount: Money,
}

/// A capture or cancellation of a payment that is not (any more) authorized. It is not sent: on a
/// captured payment the cancellation would be a refund.
pub(super) fn not_authorized(kind: ActionKind, state: &Outcome) -> Outcome {
    match (kind, state) {
        (ActionKind::Capture, Outcome::Captured { .. })
        | (ActionKind::Cancel, Outcome::Voided | Outcome::Declined(_)) => match kind {
            ActionKind::Capture => state.clone(),
            ActionKind::Cancel => Outcome::Voided,
        },
        (_, Outcome::Pending { .. }) => Outcome::NotTaken(Failure::new(
            FailureCode::ProcessorUnavailable,
            "the processor has not finished the charge yet",
        )),
        _ => Outcome::Declined(Failure::new(
            FailureCode::ProcessorRejected,
            "the processor does not know this payment as authorized",
        )),
    }
}

#[derive(Deserialize)]
struct AcceptedReply<'a> {
    #[serde(borrow)]
    status: Option<Text<'a>>,
    #[serde(borrow)]
    msg: Option<Text<'a>>,
    #[serde(borrow)]
    request_id: Option<Text<'a>>,
    #[serde(borrow)]
    txn_update_id: Option<Text<'a>>,
    #[serde(borrow)]
    error_code: Option<Text<'a>>,
}

/// Whether a command was taken on.
pub(super) enum Accepted {
    /// PayU queued it.
    Queued,
    /// It did not, or nobody can tell.
    Refused(Outcome),
}

pub(super) fn read_accepted(response: &HttpResponse<'_>) -> Accepted {
    if response.status == 429 {
        return Accepted::Refused(throttled());
    }
    if !is_success(response.status) {
        return Accepted::Refused(unknown("the processor failed to answer"));
    }
    let Ok(reply) = serde_json::from_slice::<AcceptedReply<'_>>(response.body) else {
        return Accepted::Refused(unreadable());
    };
    let message = text(&reply.msg);
    let has_id = !text(&reply.request_id).is_empty() || !text(&reply.txn_update_id).is_empty();
    match text(&reply.status) {
        "1" | "1.0" if has_id && message.ends_with("Queued") => Accepted::Queued,
        "0" | "0.0" => Accepted::Refused(codes::refused_command(text(&reply.error_code), message)),
        _ => Accepted::Refused(unreadable()),
    }
}

#[derive(Deserialize)]
struct ActionEntry<'a> {
    #[serde(borrow)]
    mihpayid: Option<Text<'a>>,
    #[serde(borrow)]
    amt: Option<Text<'a>>,
    #[serde(borrow)]
    action: Option<Text<'a>>,
    #[serde(borrow)]
    token: Option<Text<'a>>,
    #[serde(borrow)]
    status: Option<Text<'a>>,
}

/// How far an accepted capture or cancellation has come. It was accepted, so anything but a clear
/// answer means that it is still under way.
pub(super) fn read_action_status(
    response: &HttpResponse<'_>,
    payment_id: &str,
    wanted: &Action<'_>,
) -> Outcome {
    let pending = || Outcome::Pending { processor_payment_id: Some(payment_id.to_owned()) };
    if !is_success(response.status) {
        return pending();
    }
    let Some(entry) = find_action(response.body, payment_id, wanted) else {
        return pending();
    };
    let (status, amount) = entry;
    match (wanted.kind, status.to_ascii_lowercase().as_str(), amount) {
        (ActionKind::Capture, "success", Some(amount_minor)) => {
            Outcome::Captured { processor_payment_id: payment_id.to_owned(), amount_minor }
        }
        (ActionKind::Cancel, "success", _) => Outcome::Voided,
        (_, "failure", _) => Outcome::Declined(Failure::new(
            FailureCode::ProcessorRejected,
            "the processor could not carry it out",
        )),
        _ => pending(),
    }
}

/// Status and amount of the action with our token.
fn find_action(body: &[u8], payment_id: &str, wanted: &Action<'_>) -> Option<(String, Option<i64>)> {
    let details: Details<'_> = serde_json::from_slice(body).ok()?;
    let raw = details.entries?.get(payment_id)?.get();
    let actions: BTreeMap<Cow<'_, str>, ActionEntry<'_>> = serde_json::from_str(raw).ok()?;
    let name = match wanted.kind {
        ActionKind::Capture => "capture",
        ActionKind::Cancel => "cancel",
    };
    let found = actions.values().find(|entry| {
        text(&entry.token) == wanted.reference
            && text(&entry.action) == name
            && text(&entry.mihpayid) == payment_id
    })?;
    Some((text(&found.status).to_owned(), amount_minor(text(&found.amt))))
}

#[derive(Deserialize)]
struct RefundsReply<'a> {
    #[serde(borrow)]
    status: Option<Text<'a>>,
    #[serde(borrow)]
    msg: Option<Text<'a>>,
    #[serde(borrow, rename = "Refund Details")]
    details: Option<BTreeMap<Cow<'a, str>, Vec<RefundEntry<'a>>>>,
}

#[derive(Deserialize)]
struct RefundEntry<'a> {
    #[serde(borrow, rename = "RequestID")]
    request_id: Option<Text<'a>>,
    #[serde(borrow, rename = "RefundToken")]
    token: Option<Text<'a>>,
    #[serde(borrow, rename = "Amount")]
    amount: Option<Text<'a>>,
    #[serde(borrow, rename = "Status")]
    status: Option<Text<'a>>,
}

/// The refund with our token among all refunds of the charge.
pub(super) fn read_refunds(response: &HttpResponse<'_>, reference: &str) -> Outcome {
    if !is_success(response.status) {
        return unknown("the refunds could not be looked up");
    }
    let Ok(reply) = serde_json::from_slice::<RefundsReply<'_>>(response.body) else {
        return unreadable();
    };
    if !matches!(text(&reply.status), "1" | "1.0") {
        return unreadable();
    }
    let Some(details) = &reply.details else {
        let none = text(&reply.msg).starts_with("No Refunds Found");
        return if none { Outcome::NotFound } else { unreadable() };
    };
    let found = details.values().flatten().find(|entry| text(&entry.token) == reference);
    let Some(entry) = found else {
        return Outcome::NotFound;
    };
    let processor_refund_id = text(&entry.request_id).to_owned();
    match (text(&entry.status).to_ascii_lowercase().as_str(), amount_minor(text(&entry.amount))) {
        ("success", Some(amount_minor)) if is_payment_id(&processor_refund_id) => {
            Outcome::Refunded { processor_refund_id, amount_minor }
        }
        ("queued" | "in progress" | "in_progress" | "requested" | "pending" | "od_hit", _) => {
            Outcome::Pending { processor_payment_id: None }
        }
        ("failure", _) => Outcome::Declined(Failure::new(
            FailureCode::ProcessorRejected,
            "the processor could not carry out the refund",
        )),
        _ => unreadable(),
    }
}
