//! What CCAvenue's codes and states mean.
//!
//! Source: Merchant's API Implementation Guide, Error Codes; Status API (`order_status`). The
//! numbers are errors of the API. A payment that the bank refused has no code: only the bank's own
//! words in `order_bank_response`, of which the common ones are read here.

use tollgate_core::failure::{
    Failure,
    FailureCode::{self, *},
};
use tollgate_core::outcome::Outcome;

/// What an error of the API means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Our request or account is wrong; nothing was looked at.
    Request,
    /// There is no such order, or no such refund.
    NotFound,
    /// Refused for what was asked.
    Refused,
    /// Refused for now.
    Later,
    /// It was done before: how the order stands tells.
    Done,
}

/// Sorted by code. What is not here proves nothing; 51420 ("unable to process request") above all.
const ERRORS: &[(&str, Class)] = &[
    ("-1", Class::Request),
    ("51001", Class::Request),
    ("51002", Class::Request),
    ("51003", Class::Request),
    ("51004", Class::Request),
    ("51014", Class::Request),
    ("51015", Class::Request),
    ("51017", Class::Request),
    ("51018", Class::Request),
    ("51085", Class::Request),
    ("51086", Class::Request),
    ("51087", Class::Request),
    ("51205", Class::Request),
    ("51206", Class::Request),
    // Already confirmed, already cancelled.
    ("51301", Class::Done),
    ("51302", Class::Done),
    ("51303", Class::Refused),
    ("51304", Class::Refused),
    // Pending risk mitigation.
    ("51305", Class::Later),
    ("51306", Class::Refused),
    ("51307", Class::Later),
    ("51308", Class::NotFound),
    // The refund's reference is known: an earlier request with it may have been carried out.
    ("51309", Class::Done),
    ("51310", Class::Refused),
    ("51311", Class::Refused),
    ("51312", Class::Refused),
    ("51313", Class::NotFound),
    ("51314", Class::Refused),
    ("51315", Class::Refused),
    ("51328", Class::Refused),
    ("51401", Class::Request),
    ("51402", Class::Request),
    ("51403", Class::Request),
    ("51404", Class::Request),
    ("51405", Class::Request),
    ("51407", Class::Request),
    ("51408", Class::Request),
    ("51410", Class::Request),
    ("51411", Class::Request),
    ("51412", Class::Request),
    ("51413", Class::Request),
    ("51419", Class::NotFound),
    ("51421", Class::Request),
];

pub(super) fn class(code: &str) -> Option<Class> {
    ERRORS.binary_search_by_key(&code, |(known, _)| known).ok().map(|place| ERRORS[place].1)
}

/// A code without what CCAvenue's examples have around it (`"51304 "`, `51407.`).
pub(super) fn clean(code: &str) -> &str {
    code.trim().trim_end_matches('.')
}

/// What banks say, in lower case. The first one found decides.
const BANK_WORDS: &[(&str, FailureCode)] = &[
    ("insufficient", InsufficientFunds),
    ("not sufficient", InsufficientFunds),
    ("expired", InstrumentInvalid),
    ("blocked", InstrumentInvalid),
    ("lost", InstrumentInvalid),
    ("stolen", InstrumentInvalid),
    ("invalid card", InstrumentInvalid),
    ("invalid vpa", InstrumentInvalid),
    ("authentication", AuthenticationFailed),
    ("3d secure", AuthenticationFailed),
    ("otp", AuthenticationFailed),
    ("invalid credentials", AuthenticationFailed),
    ("cancelled by", CustomerCancelled),
    ("aborted", CustomerCancelled),
    ("limit", LimitExceeded),
    ("risk", ProcessorRiskDeclined),
    ("fraud", ProcessorRiskDeclined),
    ("issuer unavailable", IssuerUnavailable),
    ("bank unavailable", IssuerUnavailable),
];

/// A payment that was not successful, by the bank's own words.
pub(super) fn unsuccessful(words: &str) -> Outcome {
    let lower = words.to_ascii_lowercase();
    let found = BANK_WORDS.iter().find(|(known, _)| lower.contains(known));
    let code = found.map_or(CardDeclined, |(_, code)| *code);
    let message = if words.trim().is_empty() { "the bank refused" } else { words };
    Outcome::Declined(Failure::new(code, message))
}

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Paid and confirmed, whatever came afterwards.
    Confirmed,
    /// Paid, and held until it is confirmed where the account is of that kind.
    Paid,
    /// The customer is on the page, or the bank has not answered.
    UnderWay,
    /// The bank refused.
    Unsuccessful,
    /// The customer left, or the page's fifteen minutes were over before anything went to a bank.
    Left,
    /// CCAvenue did not understand the form.
    Invalid,
    /// Cancelled by us, or by CCAvenue twelve days after nobody had confirmed it.
    Cancelled,
    /// `Auto-Reversed`: one of two payments of the same order was given back, the other one was taken.
    /// `System refund`: given back for reasons of CCAvenue's own. `Fraud`: the bank took another sum
    /// than CCAvenue was told. And whatever is not documented. A person has to look.
    Doubtful,
}

pub(super) fn state(order_status: &str) -> State {
    let plain: String = order_status
        .chars()
        .filter(char::is_ascii_alphabetic)
        .map(|character| character.to_ascii_lowercase())
        .collect();
    match plain.as_str() {
        "shipped" | "refunded" | "chargeback" => State::Confirmed,
        "successful" | "success" => State::Paid,
        "initiated" | "awaited" => State::UnderWay,
        "unsuccessful" => State::Unsuccessful,
        "aborted" | "timeout" => State::Left,
        "invalid" => State::Invalid,
        "cancelled" | "autocancelled" => State::Cancelled,
        _ => State::Doubtful,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_can_be_searched() {
        assert!(ERRORS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(class(clean("51304 ")), Some(Class::Refused));
        assert_eq!(class(clean("51407.")), Some(Class::Request));
        assert_eq!(class("51420"), None);
        assert_eq!(class(""), None);
    }

    #[test]
    fn states_and_words() {
        assert_eq!(state("Auto-Cancelled"), State::Cancelled);
        assert_eq!(state("Auto- Reversed"), State::Doubtful);
        assert_eq!(state("System refund"), State::Doubtful);
        assert_eq!(state(""), State::Doubtful);
        let code = |words| match unsuccessful(words) {
            Outcome::Declined(failure) => failure.code,
            other => panic!("{other:?}"),
        };
        assert_eq!(code("Insufficient Funds"), InsufficientFunds);
        assert_eq!(code("3D Authentication failed"), AuthenticationFailed);
        assert_eq!(code(""), CardDeclined);
    }
}
