//! What PhonePe's codes mean.
//!
//! Two kinds: codes of requests that were refused before they became an order, and codes of orders that
//! failed. A failed order is final, whatever its code: PhonePe keeps orders whose end it does not know
//! `PENDING`, and says that the state alone decides (developer.phonepe.com, Merchant Checklist).
//!
//! Sources: developer.phonepe.com: Create Payment, Order Status, Check Order Status (AutoPay), Webhook
//! Handling, Pay API (v1), Check Status API (v1), Refund API (v1), and the error table of PhonePe's
//! `phonepe-pg-docs-mcp`. The two-character codes behind them are those of NPCI's UPI error and
//! response codes.

use crate::answer::{declined, throttled, unknown};
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::outcome::Outcome;

use FailureCode::{
    AuthenticationFailed, CardDeclined, CustomerCancelled, InstrumentInvalid, InsufficientFunds,
    IssuerUnavailable, LimitExceeded, ProcessorRejected, ProcessorRiskDeclined, ProcessorUnavailable,
};

/// Reasons of failed orders by `errorCode`, sorted for binary search.
const ERRORS: &[(&str, FailureCode)] = &[
    ("AUTHORIZATION_ERROR", AuthenticationFailed),
    ("EXPIRED", CustomerCancelled), // the order's state, where it comes without a code
    ("INSUFFICIENT_BALANCE", InsufficientFunds),
    ("INVALID_MPIN", AuthenticationFailed),
    ("PAYMENT_CANCELLED", CustomerCancelled),
    ("PAYMENT_DECLINED", CardDeclined),
];

/// Reasons by UPI code (`detailedErrorCode`, in v1 `responseCode`), sorted for binary search. They say
/// more than the word in front of them.
const UPI_ERRORS: &[(&str, FailureCode)] = &[
    ("K1", ProcessorRiskDeclined),  // suspected fraud
    ("U16", ProcessorRiskDeclined), // risk threshold exceeded
    ("U28", IssuerUnavailable),     // customer's app provider not reachable
    ("U69", CustomerCancelled),     // collect request lapsed
    ("XH", InstrumentInvalid),      // account does not exist
    ("XL", InstrumentInvalid),      // card expired
    ("XV", ProcessorRiskDeclined),  // compliance violation
    ("XY", IssuerUnavailable),      // bank's core system offline
    ("YC", CardDeclined),           // do not honour
    ("YE", InstrumentInvalid),      // account blocked or frozen
    ("Z6", AuthenticationFailed),   // too many PIN tries
    ("Z7", LimitExceeded),          // number of transactions
    ("Z8", LimitExceeded),          // amount of one transaction
    ("Z9", InsufficientFunds),
    ("ZA", CustomerCancelled),     // declined by the customer
    ("ZH", InstrumentInvalid),     // address not valid
    ("ZI", ProcessorRiskDeclined), // risk score
    ("ZM", AuthenticationFailed),  // PIN wrong
    ("ZX", InstrumentInvalid),     // account dormant
];

/// Codes of requests that were checked and refused: nothing was begun.
const REFUSED: &[&str] = &["BAD_REQUEST", "FORBIDDEN", "INVALID_EXPIRY", "SUBSCRIPTION_NOT_FOUND"];

/// The code of a token, or in v1 of a signature, that PhonePe does not accept.
const NOT_AUTHORIZED: &str = "AUTHORIZATION_FAILED";

/// A failed order.
pub(super) fn failed(code: &str, detailed: &str, message: &str) -> Outcome {
    let look = |table: &[(&str, FailureCode)], wanted: &str| {
        table.binary_search_by_key(&wanted, |(known, _)| known).ok().map(|place| table[place].1)
    };
    let class = look(UPI_ERRORS, detailed).or_else(|| look(ERRORS, code)).unwrap_or(CardDeclined);
    let processor_code = match (code, detailed) {
        (code, "") => code.to_owned(),
        ("", detailed) => detailed.to_owned(),
        (code, detailed) => format!("{code}/{detailed}"),
    };
    let message = if message.is_empty() { "the payment failed" } else { message };
    Outcome::Declined(Failure::new(class, message).with_processor_code(processor_code))
}

/// A request for money that was answered with an error in the place of an order.
///
/// A code that is not in the table, above all that of a reference that exists already
/// (`ORDER_ALREADY_EXISTS`), proves nothing: an earlier request may have been carried out.
pub(super) fn refused(status: u16, code: &str, message: &str) -> Outcome {
    let failure = |class| Failure::new(class, message).with_processor_code(code);
    match (status, code) {
        (429, _) => throttled(),
        (400..=499, NOT_AUTHORIZED) => Outcome::NotTaken(failure(ProcessorUnavailable)),
        (200..=499, code) if REFUSED.contains(&code) => Outcome::NotTaken(failure(ProcessorRejected)),
        _ => Outcome::Unknown(
            Failure::new(FailureCode::OutcomeUnknown, said(message)).with_processor_code(code),
        ),
    }
}

/// Whether a refund request was turned away at the door, before PhonePe looked at the refund.
pub(super) fn turned_away(status: u16, code: &str) -> Option<Outcome> {
    match (status, code) {
        (429, _) => Some(throttled()),
        (401, NOT_AUTHORIZED) => Some(Outcome::NotTaken(
            Failure::new(ProcessorUnavailable, "the processor does not accept our login")
                .with_processor_code(code),
        )),
        _ => None,
    }
}

/// A refund that PhonePe refused, and afterwards did not know.
pub(super) fn refused_refund(code: &str) -> Outcome {
    match declined(ProcessorRejected, "the processor refused the refund") {
        Outcome::Declined(failure) => Outcome::Declined(failure.with_processor_code(code)),
        other => other,
    }
}

/// Whether an enquiry's error says that nothing of the reference is known.
pub(super) fn is_not_found(status: u16, code: &str) -> bool {
    // v1 answers some errors with 200 and `success: false`.
    matches!(status, 200 | 400 | 404)
        && (code.ends_with("_NOT_FOUND")
            || matches!(
                code,
                "INVALID_MERCHANT_ORDER_ID" | "INVALID_MERCHANT_REFUND_ID" | "INVALID_TRANSACTION_ID"
            ))
}

/// An enquiry that gave no record says nothing about what it asked for.
pub(super) fn not_told(code: &str) -> Outcome {
    match unknown("the processor did not tell") {
        Outcome::Unknown(failure) if !code.is_empty() => Outcome::Unknown(failure.with_processor_code(code)),
        other => other,
    }
}

fn said(message: &str) -> &str {
    if message.is_empty() { "neither accepted nor refused in a documented way" } else { message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_can_be_searched() {
        for table in [ERRORS, UPI_ERRORS] {
            assert!(table.windows(2).all(|pair| pair[0].0 < pair[1].0));
        }
    }

    #[test]
    fn classes() {
        let class = |outcome: Outcome| match outcome {
            Outcome::Declined(failure) | Outcome::NotTaken(failure) | Outcome::Unknown(failure) => {
                failure.code
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(class(failed("INVALID_MPIN", "ZM", "")), AuthenticationFailed);
        assert_eq!(class(failed("PAYMENT_ERROR", "Z9", "")), InsufficientFunds);
        assert_eq!(class(failed("PAYMENT_ERROR", "", "")), CardDeclined);
        assert_eq!(class(failed("", "ZA", "")), CustomerCancelled);
        assert!(matches!(refused(400, "BAD_REQUEST", ""), Outcome::NotTaken(_)));
        assert!(matches!(refused(400, "ORDER_ALREADY_EXISTS", ""), Outcome::Unknown(_)));
        assert!(matches!(refused(500, "BAD_REQUEST", ""), Outcome::Unknown(_)));
        assert!(matches!(refused(500, "INTERNAL_SERVER_ERROR", ""), Outcome::Unknown(_)));
        assert!(matches!(refused(400, "", ""), Outcome::Unknown(_)));
        assert!(matches!(refused(429, "", ""), Outcome::NotTaken(_)));
        assert!(is_not_found(400, "INVALID_MERCHANT_ORDER_ID"));
        assert!(is_not_found(404, "ORDER_NOT_FOUND"));
        assert!(!is_not_found(404, ""));
        assert!(!is_not_found(500, "ORDER_NOT_FOUND"));
    }
}
