//! Refunds. Paytm only takes a refund on when it is asked for one; whether the bank was given the money
//! is told later, by webhook or enquiry.
//!
//! Source: paytmpayments.com/docs, Refund API, Refund Status API.

use super::reply::{ResultInfo, Signed, open};
use super::{Paytm, amount_minor, codes, reply};
use crate::ChargeHandle;
use crate::answer::{is_success, not_taken, throttled, unknown, unreadable};
use crate::json::{Text, text};
use crate::wire::HttpResponse;
use serde::Deserialize;
use tollgate_core::failure::FailureCode;
use tollgate_core::outcome::Outcome;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RefundBody<'a> {
    #[serde(borrow)]
    result_info: ResultInfo<'a>,
    #[serde(borrow)]
    order_id: Option<Text<'a>>,
    #[serde(borrow)]
    ref_id: Option<Text<'a>>,
    #[serde(borrow)]
    refund_id: Option<Text<'a>>,
    #[serde(borrow)]
    refund_amount: Option<Text<'a>>,
}

/// Paytm's id of the charge to refund. Nothing was sent yet, so an answer that cannot be used proves
/// that nothing was done.
pub(super) fn transaction_of(
    account: &Paytm,
    charge: &ChargeHandle<'_>,
    response: &HttpResponse<'_>,
) -> Result<String, Outcome> {
    if response.status == 429 {
        return Err(throttled());
    }
    match reply::read_status(account, charge, response) {
        Outcome::Captured { processor_payment_id, .. } => Ok(processor_payment_id),
        Outcome::Unknown(_) => {
            Err(not_taken(FailureCode::ProcessorUnavailable, "the transaction could not be looked up"))
        }
        Outcome::NotFound => Err(not_taken(
            FailureCode::ProcessorRejected,
            "the processor knows no transaction of that reference",
        )),
        _ => Err(not_taken(
            FailureCode::ProcessorRejected,
            "the processor does not know this payment as captured",
        )),
    }
}

fn read<'a>(account: &Paytm, response: &HttpResponse<'a>) -> Result<(Signed, RefundBody<'a>), Outcome> {
    let (signed, inner) = open(account, response.body).ok_or_else(unreadable)?;
    if signed == Signed::Wrongly {
        return Err(unknown("the reply is not signed by the processor"));
    }
    serde_json::from_str(inner).map(|body| (signed, body)).map_err(|_| unreadable())
}

fn is_about(body: &RefundBody<'_>, charge: &ChargeHandle<'_>, reference: &str) -> bool {
    text(&body.order_id) == charge.reference && text(&body.ref_id) == reference
}

/// The answer to a refund that was asked for.
pub(super) fn read_applied(
    account: &Paytm,
    charge: &ChargeHandle<'_>,
    reference: &str,
    response: &HttpResponse<'_>,
) -> Outcome {
    if response.status == 429 {
        return throttled();
    }
    if !is_success(response.status) {
        return unknown("the processor failed to answer");
    }
    let (signed, body) = match read(account, response) {
        Ok(read) => read,
        Err(outcome) => return outcome,
    };
    let result = &body.result_info;
    match (result.status(), result.code()) {
        ("PENDING", "601" | "628") if signed == Signed::Rightly && is_about(&body, charge, reference) => {
            Outcome::Pending { processor_payment_id: None }
        }
        ("TXN_SUCCESS", "10") => refunded(&body, signed, charge, reference),
        ("TXN_FAILURE", code) => codes::refused_refund(code, result.message()),
        _ => unreadable(),
    }
}

/// What became of a refund, asked for by our references.
pub(super) fn read_status(
    account: &Paytm,
    charge: &ChargeHandle<'_>,
    reference: &str,
    response: &HttpResponse<'_>,
) -> Outcome {
    if !is_success(response.status) {
        return unknown("the refund could not be looked up");
    }
    let (signed, body) = match read(account, response) {
        Ok(read) => read,
        Err(outcome) => return outcome,
    };
    let result = &body.result_info;
    match (result.status(), result.code()) {
        // No such refund, or no such order.
        (_, "631" | "331" | "334") => Outcome::NotFound,
        // The question was refused, not the refund.
        (_, "330" | "335") => unknown("the refund could not be looked up"),
        _ if !is_about(&body, charge, reference) => unknown("the reply is about another refund"),
        ("TXN_SUCCESS", "10") => refunded(&body, signed, charge, reference),
        // 628 is listed as a failure, with words that say the opposite.
        (_, "628") | ("PENDING", "601") if signed == Signed::Rightly => {
            Outcome::Pending { processor_payment_id: None }
        }
        ("TXN_FAILURE", code) => codes::refund_failed(code, result.message()),
        _ => unreadable(),
    }
}

fn refunded(body: &RefundBody<'_>, signed: Signed, charge: &ChargeHandle<'_>, reference: &str) -> Outcome {
    let known = (codes::id(text(&body.refund_id)), amount_minor(text(&body.refund_amount)));
    match known {
        _ if signed != Signed::Rightly => unknown("the reply is not signed by the processor"),
        _ if !is_about(body, charge, reference) => unknown("the reply is about another refund"),
        (Some(processor_refund_id), Some(amount_minor)) => {
            Outcome::Refunded { processor_refund_id, amount_minor }
        }
        _ => unreadable(),
    }
}
