//! What Paytm's codes mean.
//!
//! A transaction's state is `TXN_SUCCESS`, `TXN_FAILURE` or `PENDING`; the code says why. A failed
//! transaction whose code is not here is a decline without a known reason, unless the code is one of
//! those that leave the outcome open.
//!
//! Sources: paytmpayments.com/docs, Transaction Status API v3 (result codes), Initiate Transaction API,
//! Refund API, Refund Status API; Paytm's document "Transaction response codes and messages".

use super::is_txn_id;
use crate::answer::unknown;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::outcome::Outcome;

use FailureCode::{
    CardDeclined, CustomerCancelled, InstrumentInvalid, InsufficientFunds, LimitExceeded, OutcomeUnknown,
    ProcessorRejected, ProcessorRiskDeclined, ProcessorUnavailable,
};

/// Codes of failed transactions, sorted for binary search.
const ERRORS: &[(&str, FailureCode)] = &[
    ("118", LimitExceeded),         // above the merchant's limit of one transaction
    ("130", ProcessorRiskDeclined), // the user is blocked by Paytm
    ("141", CustomerCancelled),     // the user has not completed the transaction
    ("163", CardDeclined),          // wallet consult failed
    ("196", LimitExceeded),         // above the allowed amount
    ("202", InsufficientFunds),     // not enough credit limit
    ("205", CardDeclined),          // declined by the bank
    ("207", InstrumentInvalid),     // card expired
    ("208", CardDeclined),          // declined by the acquirer
    ("209", InstrumentInvalid),     // card details wrong
    ("210", InstrumentInvalid),     // lost card
    ("227", CardDeclined),          // declined by the bank
    ("235", InsufficientFunds),     // wallet balance
    ("243", InstrumentInvalid),     // the user has no wallet
    ("260", LimitExceeded),         // above the wallet's limit
    ("267", CardDeclined),          // declined by the bank
    ("295", InstrumentInvalid),     // UPI address wrong
    ("401", CardDeclined),          // declined by the bank
    ("810", CardDeclined),          // failed
    ("820", InstrumentInvalid),     // mobile number of the account changed
    ("843", InstrumentInvalid),     // bank account blocked
];

/// Codes that say that a system did not answer: whether the money was taken is not known.
const DOUBTFUL: &[&str] = &["00", "153", "220", "237", "501"];

/// Codes that say that an order of this number exists already: an earlier request may have charged it.
const DUPLICATE: &[&str] = &["0002", "151", "2023", "325", "345"];

/// Codes that refuse a request for its form, before anything is done with it.
const REFUSED: &[&str] = &[
    "1001", "1007", "1008", "1011", "1012", "2004", "2005", "2006", "2007", "2013", "2014", "327", "330",
    "335",
];

fn named(code: &str) -> Option<FailureCode> {
    ERRORS.binary_search_by_key(&code, |(known, _)| known).ok().map(|place| ERRORS[place].1)
}

fn failure(class: FailureCode, code: &str, message: &str) -> Failure {
    Failure::new(class, message).with_processor_code(code)
}

/// A transaction in state `TXN_FAILURE`, as Paytm's own record or a signed message says.
pub(super) fn failed(code: &str, message: &str) -> Outcome {
    if DOUBTFUL.contains(&code) || DUPLICATE.contains(&code) {
        return Outcome::Unknown(failure(OutcomeUnknown, code, message));
    }
    let class = if REFUSED.contains(&code) { Some(ProcessorRejected) } else { named(code) };
    Outcome::Declined(failure(class.unwrap_or(CardDeclined), code, message))
}

/// An order that was not created. No money can move without one.
pub(super) fn refused_order(code: &str, message: &str) -> Outcome {
    let class = match code {
        // Known already: what became of the earlier request is for an enquiry to say.
        _ if DUPLICATE.contains(&code) => {
            return Outcome::Unknown(failure(OutcomeUnknown, code, message));
        }
        _ if REFUSED.contains(&code) => ProcessorRejected,
        _ => named(code).unwrap_or(ProcessorUnavailable),
    };
    Outcome::NotTaken(failure(class, code, message))
}

/// A payment that was answered with a refusal that nothing but the connection vouches for: only codes
/// that are documented count.
pub(super) fn refused_payment(code: &str, message: &str) -> Outcome {
    if REFUSED.contains(&code) {
        return Outcome::NotTaken(failure(ProcessorRejected, code, message));
    }
    match named(code) {
        Some(class) => Outcome::Declined(failure(class, code, message)),
        None => Outcome::Unknown(failure(OutcomeUnknown, code, message)),
    }
}

/// The answer to an enquiry that is not about a transaction's state; `None` if it is.
pub(super) fn not_looked_up(code: &str) -> Option<Outcome> {
    match code {
        // No record, or no order of that number.
        "331" | "334" => Some(Outcome::NotFound),
        "330" | "335" | "501" => Some(unknown("the transaction could not be looked up")),
        _ => None,
    }
}

/// A refund that was not accepted.
pub(super) fn refused_refund(code: &str, message: &str) -> Outcome {
    match code {
        // Our request or account.
        "330" | "335" => Outcome::NotTaken(failure(ProcessorRejected, code, message)),
        // Another refund of the order is being made; this one was not begun.
        "626" => Outcome::NotTaken(failure(ProcessorUnavailable, code, message)),
        _ => refund_failed(code, message),
    }
}

/// A refund in state `TXN_FAILURE`.
pub(super) fn refund_failed(code: &str, message: &str) -> Outcome {
    match code {
        // Not allowed, of a cancelled transaction, more than is left, more than the merchant's balance,
        // not this order, below one rupee, of a transaction that was never paid.
        "600" | "607" | "619" | "620" | "627" | "635" | "401" => {
            Outcome::Declined(failure(ProcessorRejected, code, message))
        }
        // 617 and 629 mean that the number is known: an earlier request may have been carried out.
        _ => Outcome::Unknown(failure(OutcomeUnknown, code, message)),
    }
}

/// A refund's id or a transaction's, as an outcome may carry it.
pub(super) fn id(text: &str) -> Option<String> {
    is_txn_id(text).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_can_be_searched_and_do_not_contradict() {
        assert!(ERRORS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for list in [DOUBTFUL, DUPLICATE, REFUSED] {
            assert!(list.iter().all(|code| named(code).is_none()), "{list:?}");
        }
        assert!(REFUSED.iter().all(|code| !DOUBTFUL.contains(code) && !DUPLICATE.contains(code)));
    }

    #[test]
    fn doubt_stays_doubt() {
        for code in ["501", "00", "325", "2023"] {
            assert!(matches!(failed(code, "x"), Outcome::Unknown(_)), "{code}");
            assert!(matches!(refused_payment(code, "x"), Outcome::Unknown(_)), "{code}");
        }
        assert!(matches!(failed("14112", "x"), Outcome::Declined(_)), "a failure of unknown reason");
        assert!(matches!(refused_payment("14112", "x"), Outcome::Unknown(_)));
        assert!(matches!(refused_payment("1006", "x"), Outcome::Unknown(_)), "a lost session");
        assert!(matches!(refused_order("501", "x"), Outcome::NotTaken(_)), "nothing was asked for yet");
        for code in ["617", "629", "501", ""] {
            assert!(matches!(refused_refund(code, "x"), Outcome::Unknown(_)), "{code}");
        }
    }
}
