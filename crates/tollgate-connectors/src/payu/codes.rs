//! What PayU's codes mean.
//!
//! Sources: docs.payu.in, Error Codes; Error Codes for Refund Initiation; Payment State
//! Explanations; Sample Error Responses.

use super::unknown;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::outcome::Outcome;

use FailureCode::{
    AuthenticationFailed, CardDeclined, CustomerCancelled, InstrumentInvalid, InsufficientFunds,
    IssuerUnavailable, LimitExceeded, ProcessorRejected, ProcessorRiskDeclined,
};

/// Codes of failed transactions, sorted for binary search. A failed transaction whose code is not
/// here is a decline without a known reason.
const ERRORS: &[(&str, FailureCode)] = &[
    ("E1602", CustomerCancelled),    // page expired without user action
    ("E1605", CustomerCancelled),    // cancelled by the user
    ("E1620", ProcessorRejected),    // wrong payment method
    ("E200", ProcessorRejected),     // merchant not set up at the gateway
    ("E201", ProcessorRejected),     // brand not valid
    ("E207", ProcessorRejected),     // transaction type not valid
    ("E217", ProcessorRejected),     // terminal profile changed
    ("E2401", CardDeclined),         // customer not eligible
    ("E300", AuthenticationFailed),  // 3-D Secure signatures differ
    ("E301", AuthenticationFailed),  // 3-D Secure password wrong
    ("E302", AuthenticationFailed),  // 3-D Secure cancelled
    ("E303", AuthenticationFailed),  // card not authenticated
    ("E304", CardDeclined),          // address not valid
    ("E305", InstrumentInvalid),     // card number not valid
    ("E307", ProcessorRiskDeclined), // refused as a risk
    ("E308", AuthenticationFailed),  // bank could not authenticate
    ("E309", CardDeclined),          // bank denied the card
    ("E310", InstrumentInvalid),     // lost card
    ("E311", InstrumentInvalid),     // expired card
    ("E312", CardDeclined),          // bank denied
    ("E313", InstrumentInvalid),     // security code wrong
    ("E314", CardDeclined),          // address wrong
    ("E315", CardDeclined),          // security code and address wrong
    ("E316", AuthenticationFailed),  // 3-D Secure not enrolled
    ("E317", AuthenticationFailed),  // payer not authenticated
    ("E318", AuthenticationFailed),  // 3-D Secure not supported
    ("E323", InstrumentInvalid),     // expiry date not valid
    ("E324", ProcessorRiskDeclined), // fraud suspected
    ("E325", InstrumentInvalid),     // restricted card
    ("E326", AuthenticationFailed),  // password wrong
    ("E329", InsufficientFunds),     // issuer declined, low funds
    ("E334", IssuerUnavailable),     // authentication service not available
    ("E335", AuthenticationFailed),  // authentication not completed
    ("E336", CardDeclined),          // expiry date or low funds
    ("E500", AuthenticationFailed),  // bank failed to authenticate the customer
    ("E502", CustomerCancelled),     // aborted
    ("E503", CustomerCancelled),     // cancelled
    ("E700", ProcessorRejected),     // hash of the request
    ("E706", InsufficientFunds),     // not enough funds
    ("E707", InstrumentInvalid),     // card number not valid
    ("E708", AuthenticationFailed),  // too many PIN tries
    ("E709", InstrumentInvalid),     // name on card not valid
    ("E710", AuthenticationFailed),  // PIN wrong
    ("E713", InsufficientFunds),     // low funds or expiry date
    ("E715", ProcessorRejected),     // amount not valid
    ("E717", InstrumentInvalid),     // account number not valid
    ("E718", InsufficientFunds),     // low funds or security code
    ("E719", InsufficientFunds),     // low funds or authentication
    ("E720", LimitExceeded),         // above the limit of the method
    ("E800", ProcessorRejected),     // no gateway set for the merchant
    ("E900", AuthenticationFailed),  // card not enrolled
    ("E901", LimitExceeded),         // too many tries
    ("E902", InstrumentInvalid),     // card type not valid
    ("E903", CardDeclined),          // international card not allowed
    ("E905", CustomerCancelled),     // declined by the user
    ("E906", CustomerCancelled),     // time ran out
    ("E907", ProcessorRejected),     // wrong payment method
];

/// Codes that say that a bank or network did not answer, or that something with this number exists
/// already: whether the money was taken is not known.
const DOUBTFUL: &[&str] = &[
    "E202", "E203", "E204", "E205", "E206", "E208", "E209", "E210", "E211", "E212", "E214", "E216", "E218",
    "E219", "E306", "E321", "E337", "E501", "E504", "E505", "E702", "E703",
];

/// A transaction in state `failure`, by the way it failed.
pub(super) fn failed(unmapped: &str, code: &str, message: &str) -> Outcome {
    let failure = |class| Failure::new(class, message).with_processor_code(code);
    let named = ERRORS.binary_search_by_key(&code, |(known, _)| known).ok().map(|place| ERRORS[place].1);
    match unmapped {
        "failed" | "failure" if DOUBTFUL.contains(&code) => {
            Outcome::Unknown(failure(FailureCode::OutcomeUnknown))
        }
        "failed" | "failure" => match named {
            Some(ProcessorRejected) => Outcome::NotTaken(failure(ProcessorRejected)),
            Some(class) => Outcome::Declined(failure(class)),
            None => Outcome::Declined(failure(CardDeclined)),
        },
        // The customer left before paying.
        "userCancelled" | "bounced" => Outcome::Declined(failure(CustomerCancelled)),
        // `dropped`: the bank never answered PayU. Anything else is not documented.
        _ => Outcome::Unknown(failure(FailureCode::OutcomeUnknown)),
    }
}

/// The same, told by an enquiry or webhook: it is known to be over, so a rejected request is a
/// decline, not an invitation to try elsewhere.
pub(super) fn settled(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::NotTaken(failure) => Outcome::Declined(failure),
        other => other,
    }
}

/// A request that was refused before it became a transaction.
pub(super) fn refused_request(code: &str, message: &str) -> Outcome {
    // Only the hash is checked before everything else and documented (Sample Error Responses). A
    // duplicate txnid, above all, means that an earlier transaction may have taken the money.
    match code {
        "E700" => Outcome::NotTaken(Failure::new(ProcessorRejected, message).with_processor_code(code)),
        _ => Outcome::Unknown(Failure::new(FailureCode::OutcomeUnknown, message).with_processor_code(code)),
    }
}

/// A capture, cancellation or refund that was answered with status 0.
pub(super) fn refused_command(code: &str, message: &str) -> Outcome {
    let failure = |class| Failure::new(class, message).with_processor_code(code);
    match code {
        // Refused for what was asked.
        "103" | "105" | "107" | "108" | "110" | "111" | "113" | "115" | "116" | "117" | "119" | "121"
        | "124" | "125" | "128" | "129" | "214" | "230" => Outcome::Declined(failure(ProcessorRejected)),
        // Another action on the same transaction is running; this one was not begun.
        "120" => Outcome::NotTaken(failure(FailureCode::ProcessorUnavailable)),
        // The token is known already: an earlier request with it may have been carried out.
        "106" | "109" | "227" => Outcome::Unknown(failure(FailureCode::OutcomeUnknown)),
        "" if is_rejection(message) => Outcome::Declined(failure(ProcessorRejected)),
        _ => unknown("neither accepted nor refused in a documented way"),
    }
}

/// A debit on a mandate that was answered with status 0 and no transaction. Only the hash is checked
/// before everything else and documented.
pub(super) fn refused_debit(message: &str) -> Outcome {
    let lower = message.to_ascii_lowercase();
    if lower.starts_with("invalid hash") || lower.starts_with("parameter missing") {
        return Outcome::NotTaken(Failure::new(ProcessorRejected, message));
    }
    Outcome::Unknown(Failure::new(FailureCode::OutcomeUnknown, message))
}

/// Documented refusals that come without a code.
fn is_rejection(message: &str) -> bool {
    const MESSAGES: &[&str] = &[
        "parameter missing",
        "token is empty",
        "amount is empty",
        "transaction not exists",
        "invalid hash",
        "invalid amount",
    ];
    let lower = message.to_ascii_lowercase();
    MESSAGES.iter().any(|known| lower.starts_with(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_can_be_searched() {
        assert!(ERRORS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(DOUBTFUL.iter().all(|code| ERRORS.iter().all(|(known, _)| known != code)));
        assert!(matches!(failed("failed", "E706", "x"), Outcome::Declined(_)));
        assert!(matches!(failed("dropped", "E706", "x"), Outcome::Unknown(_)));
    }
}
