//! The commands of CCAvenue's API, and what it answers to those that move money.
//!
//! Source: Merchant's API Implementation Guide, Confirm, Cancel, Refund, Status, Get Refund Details.
//! Status is version 1.2, every other command here 1.1.

use super::codes::{self, Class};
use super::reply::{Envelope, envelope, unwrapped};
use super::{CcAvenue, unsupported};
use crate::BuildError;
use crate::answer::{is_success, not_taken, throttled, unknown, unreadable};
use crate::json::{Text, text};
use crate::wire::HttpResponse;
use serde::Deserialize;
use serde_json::{Value, json};
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::money::Money;
use tollgate_core::outcome::Outcome;

/// Longest `order_no` of the status API, and longest `refund_ref_no`.
const REFERENCE_LENGTH_MAX: usize = 30;

/// A command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Status,
    Confirm,
    Cancel,
    Refund,
    RefundDetails,
}

impl Command {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Status => "orderStatusTracker",
            Self::Confirm => "confirmOrder",
            Self::Cancel => "cancelOrder",
            Self::Refund => "refundOrder",
            Self::RefundDetails => "getRefundDetails",
        }
    }

    pub(super) const fn version(self) -> &'static str {
        match self {
            Self::Status => "1.2",
            _ => "1.1",
        }
    }

    pub(super) const fn moves_money(self) -> bool {
        matches!(self, Self::Confirm | Self::Cancel | Self::Refund)
    }
}

/// Whether a text can be one of our references.
pub(super) fn is_reference(text: &str) -> bool {
    let right = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    (1..=REFERENCE_LENGTH_MAX).contains(&text.len()) && text.bytes().all(right)
}

pub(super) fn check_reference(reference: &str) -> Result<(), BuildError> {
    is_reference(reference)
        .then_some(())
        .ok_or_else(|| unsupported("references of more than 30 letters, digits and hyphens"))
}

/// The state of an order, by our reference and, where it is known, CCAvenue's own number.
pub(super) fn status(reference: &str, reference_no: Option<&str>) -> Value {
    match reference_no {
        Some(reference_no) => json!({"order_no": reference, "reference_no": reference_no}),
        None => json!({"order_no": reference}),
    }
}

/// One order to be confirmed or cancelled.
pub(super) fn order_list(reference_no: &str, amount: Money) -> Value {
    json!({"order_List": [{"reference_no": reference_no, "amount": amount.to_major_text()}]})
}

pub(super) fn refund(reference_no: &str, reference: &str, amount: Money) -> Value {
    json!({
        "reference_no": reference_no,
        "refund_amount": amount.to_major_text(),
        "refund_ref_no": reference,
    })
}

pub(super) fn refund_details(reference_no: &str) -> Value {
    json!({"reference_no": reference_no})
}

/// An action on an order that CCAvenue does not know.
pub(super) fn no_such_order() -> Outcome {
    not_taken(FailureCode::ProcessorRejected, "the processor knows no order of that reference")
}

/// A capture or void of an order that is not (any more) held. It is not sent.
pub(super) fn not_authorized(command: Command, state: Outcome) -> Outcome {
    match (command, state) {
        (Command::Confirm, state @ (Outcome::Captured { .. } | Outcome::Voided)) => state,
        (Command::Cancel, Outcome::Voided | Outcome::Declined(_)) => Outcome::Voided,
        (_, Outcome::Pending { .. }) => {
            not_taken(FailureCode::ProcessorUnavailable, "the customer has not paid yet")
        }
        _ => Outcome::Declined(Failure::new(
            FailureCode::ProcessorRejected,
            "the processor does not hold this order for confirmation",
        )),
    }
}

/// Whether a command was taken on.
pub(super) enum Taken {
    /// It was; or an earlier one with the same meaning was, and the order has to be looked at.
    Yes,
    /// It was not, or nobody can tell.
    No(Outcome),
}

#[derive(Deserialize)]
struct OrderResult<'a> {
    #[serde(borrow)]
    success_count: Option<Text<'a>>,
    #[serde(borrow, rename = "failed_List")]
    failed: Option<Vec<FailedOrder<'a>>>,
    #[serde(borrow)]
    error_code: Option<Text<'a>>,
    #[serde(borrow)]
    error_desc: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct FailedOrder<'a> {
    #[serde(borrow)]
    reference_no: Option<Text<'a>>,
    #[serde(borrow)]
    reason: Option<Text<'a>>,
    #[serde(borrow)]
    error_code: Option<Text<'a>>,
}

/// What a confirmation or cancellation was answered with.
pub(super) fn read_order_result(
    account: &CcAvenue,
    reference_no: &str,
    response: &HttpResponse<'_>,
) -> Taken {
    let plain = match said(account, response) {
        Ok(plain) => plain,
        Err(outcome) => return Taken::No(outcome),
    };
    let result = unwrapped(&plain, "Order_Result");
    let Some(result) = result.and_then(|json| serde_json::from_str::<OrderResult<'_>>(json).ok()) else {
        return Taken::No(unreadable());
    };
    let failed = result.failed.as_deref().unwrap_or_default();
    match (text(&result.success_count), failed) {
        ("1", []) => Taken::Yes,
        ("0" | "", [one]) if text(&one.reference_no).trim() == reference_no => {
            refused(text(&one.error_code), text(&one.reason))
        }
        ("0" | "", []) => refused(text(&result.error_code), text(&result.error_desc)),
        _ => Taken::No(unreadable()),
    }
}

#[derive(Deserialize)]
struct RefundResult<'a> {
    #[serde(borrow)]
    refund_status: Option<Text<'a>>,
    #[serde(borrow)]
    reason: Option<Text<'a>>,
    #[serde(borrow)]
    error_code: Option<Text<'a>>,
}

/// What a refund was answered with.
pub(super) fn read_refund_result(account: &CcAvenue, response: &HttpResponse<'_>) -> Taken {
    let plain = match said(account, response) {
        Ok(plain) => plain,
        Err(outcome) => return Taken::No(outcome),
    };
    let result = unwrapped(&plain, "Refund_Order_Result");
    let Some(result) = result.and_then(|json| serde_json::from_str::<RefundResult<'_>>(json).ok()) else {
        return Taken::No(unreadable());
    };
    match text(&result.refund_status) {
        "0" => Taken::Yes,
        "1" => refused(text(&result.error_code), text(&result.reason)),
        _ => Taken::No(unreadable()),
    }
}

/// The text of an answer to a command that may have moved money.
fn said(account: &CcAvenue, response: &HttpResponse<'_>) -> Result<String, Outcome> {
    if response.status == 429 {
        return Err(throttled());
    }
    if !is_success(response.status) {
        return Err(unknown("the processor failed to answer"));
    }
    match envelope(account, response.body) {
        Envelope::Said(plain) => Ok(plain),
        Envelope::Refused { code, message } => Err(match refused(&code, &message) {
            Taken::No(outcome) => outcome,
            Taken::Yes => unreadable(),
        }),
        Envelope::Unreadable => Err(unreadable()),
    }
}

/// A command that was answered with an error code.
fn refused(code: &str, message: &str) -> Taken {
    let code = codes::clean(code);
    let failure = |class| Failure::new(class, message.trim()).with_processor_code(code);
    Taken::No(match codes::class(code) {
        Some(Class::Request | Class::NotFound) => Outcome::NotTaken(failure(FailureCode::ProcessorRejected)),
        Some(Class::Refused) => Outcome::Declined(failure(FailureCode::ProcessorRejected)),
        Some(Class::Later) => Outcome::NotTaken(failure(FailureCode::ProcessorUnavailable)),
        Some(Class::Done) => return Taken::Yes,
        None => Outcome::Unknown(failure(FailureCode::OutcomeUnknown)),
    })
}
