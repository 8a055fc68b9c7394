//! What Razorpay's errors mean.
//!
//! Sources: razorpay.com/docs/errors, razorpay.com/docs/errors/payments/list, …/late-authorisation,
//! …/s2s-integration/test-s2s/error-index.

use super::unknown;
use crate::json::{Text, text};
use crate::wire::HttpResponse;
use serde::Deserialize;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::outcome::Outcome;

/// What an `error.reason` proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The customer or the bank refused: no money moved.
    Declined(FailureCode),
    /// Our request or account was refused before a bank was asked: no money moved, and another
    /// processor may take it.
    Rejected,
    /// The bank's answer was lost, or the money may have moved some other way. Such payments can
    /// still be authorized for three days (late authorization).
    Doubtful,
}

use FailureCode::{
    AuthenticationFailed, CardDeclined, CustomerCancelled, InstrumentInvalid, InsufficientFunds,
    LimitExceeded, ProcessorRiskDeclined,
};
use Verdict::{Declined, Doubtful, Rejected};

/// Sorted by reason, for binary search.
const REASONS: &[(&str, Verdict)] = &[
    ("amount_less_than_minimum_amount", Rejected),
    ("authentication_failed", Declined(AuthenticationFailed)),
    ("authorisation_declined_by_psp", Declined(CardDeclined)),
    ("bank_account_invalid", Declined(InstrumentInvalid)),
    ("bank_account_validation_failed", Declined(InstrumentInvalid)),
    ("bank_cutoff_in_progress", Doubtful),
    ("bank_not_available", Doubtful),
    ("bank_not_enabled", Rejected),
    ("bank_technical_error", Doubtful),
    ("card_declined", Declined(CardDeclined)),
    ("card_expired", Declined(InstrumentInvalid)),
    ("card_network_not_enabled", Rejected),
    ("card_not_enrolled", Declined(AuthenticationFailed)),
    ("card_number_invalid", Declined(InstrumentInvalid)),
    ("card_type_invalid", Declined(InstrumentInvalid)),
    ("compliance_violation", Declined(ProcessorRiskDeclined)),
    ("credit_limit_exceeded", Declined(LimitExceeded)),
    ("credit_limit_expired", Declined(InstrumentInvalid)),
    ("credit_limit_inactive", Declined(InstrumentInvalid)),
    ("debit_declined", Declined(CardDeclined)),
    ("debit_instrument_blocked", Declined(InstrumentInvalid)),
    ("debit_instrument_inactive", Declined(InstrumentInvalid)),
    ("deemed_transaction", Doubtful),
    ("duplicate_request", Doubtful),
    ("gateway_technical_error", Doubtful),
    ("incorrect_atm_pin", Declined(AuthenticationFailed)),
    ("incorrect_card_details", Declined(InstrumentInvalid)),
    ("incorrect_card_expiry_date", Declined(InstrumentInvalid)),
    ("incorrect_cardholder_name", Declined(InstrumentInvalid)),
    ("incorrect_cvv", Declined(InstrumentInvalid)),
    ("incorrect_otp", Declined(AuthenticationFailed)),
    ("incorrect_pin", Declined(AuthenticationFailed)),
    ("input_validation_failed", Rejected),
    ("insufficient_funds", Declined(InsufficientFunds)),
    ("international_transaction_not_allowed", Declined(CardDeclined)),
    ("invalid_amount", Rejected),
    ("invalid_currency", Rejected),
    ("invalid_email", Rejected),
    ("invalid_mobile_number", Rejected),
    ("invalid_order_id", Rejected),
    ("invalid_request", Rejected),
    ("invalid_response_from_gateway", Doubtful),
    ("invalid_user_details", Declined(InstrumentInvalid)),
    ("invalid_vpa", Declined(InstrumentInvalid)),
    ("issuer_technical_error", Doubtful),
    ("live_mode_not_enabled", Rejected),
    ("mcc_amount_limit_exceeded", Declined(LimitExceeded)),
    ("merchant_not_activated", Rejected),
    ("order_already_paid", Doubtful),
    ("order_amount_mismatch", Rejected),
    ("order_payment_method_mismatch", Rejected),
    ("otp_attempts_exceeded", Declined(AuthenticationFailed)),
    ("otp_expired", Declined(AuthenticationFailed)),
    ("payment_cancelled", Declined(CustomerCancelled)),
    ("payment_collect_request_expired", Declined(CustomerCancelled)),
    ("payment_declined", Declined(CardDeclined)),
    ("payment_failed", Doubtful),
    ("payment_method_not_enabled", Rejected),
    ("payment_pending", Doubtful),
    ("payment_pending_approval", Doubtful),
    ("payment_risk_check_failed", Declined(ProcessorRiskDeclined)),
    ("payment_session_expired", Declined(CustomerCancelled)),
    ("payment_timed_out", Doubtful),
    ("pin_attempts_exceeded", Declined(AuthenticationFailed)),
    ("pin_not_set", Declined(InstrumentInvalid)),
    ("psp_app_not_supported", Declined(InstrumentInvalid)),
    ("psp_not_registered", Declined(InstrumentInvalid)),
    ("record_not_found", Rejected),
    ("request_timed_out", Doubtful),
    ("server_error", Doubtful),
    ("transaction_daily_count_exceeded", Declined(LimitExceeded)),
    ("transaction_daily_limit_exceeded", Declined(LimitExceeded)),
    ("transaction_frequency_limit_exceeded", Declined(LimitExceeded)),
    ("transaction_limit_exceeded", Declined(LimitExceeded)),
    ("transaction_on_vpa_restricted", Declined(InstrumentInvalid)),
    ("upi_app_technical_error", Doubtful),
    ("upi_collect_not_enabled", Rejected),
    ("upi_intent_not_enabled", Rejected),
    ("user_not_eligible", Declined(CardDeclined)),
    ("user_not_registered_for_netbanking", Declined(InstrumentInvalid)),
    ("verification_failed", Doubtful),
    ("vpa_resolution_failed", Doubtful),
];

pub(super) fn verdict(reason: &str) -> Option<Verdict> {
    let place = REASONS.binary_search_by_key(&reason, |(known, _)| known).ok()?;
    Some(REASONS[place].1)
}

#[derive(Debug, Deserialize)]
struct ErrorBody<'a> {
    #[serde(borrow)]
    error: ApiError<'a>,
}

#[derive(Debug, Deserialize)]
struct ApiError<'a> {
    #[serde(borrow)]
    code: Text<'a>,
    #[serde(borrow)]
    description: Option<Text<'a>>,
    #[serde(borrow)]
    reason: Option<Text<'a>>,
    #[serde(borrow)]
    metadata: Option<Metadata<'a>>,
}

#[derive(Debug, Default)]
struct Metadata<'a> {
    payment_id: Option<Text<'a>>,
}

/// Razorpay writes empty metadata as an array as well as an object.
impl<'de: 'a, 'a> Deserialize<'de> for Metadata<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Object<'a> {
            #[serde(borrow)]
            payment_id: Option<Text<'a>>,
        }
        let raw: &'de serde_json::value::RawValue = Deserialize::deserialize(deserializer)?;
        let object: Option<Object<'de>> = serde_json::from_str(raw.get()).ok();
        Ok(Self { payment_id: object.and_then(|object| object.payment_id) })
    }
}

impl ApiError<'_> {
    fn failure(&self, code: FailureCode) -> Failure {
        let reason = text(&self.reason);
        let processor_code = if reason.is_empty() { self.code.as_str() } else { reason };
        Failure::new(code, text(&self.description)).with_processor_code(processor_code)
    }

    fn names_a_payment(&self) -> bool {
        let payment = self.metadata.as_ref().map_or("", |metadata| text(&metadata.payment_id));
        !payment.is_empty()
    }
}

fn read_error<'r>(response: &HttpResponse<'r>) -> Option<ApiError<'r>> {
    let body: ErrorBody<'r> = serde_json::from_slice(response.body).ok()?;
    let documented = matches!(body.error.code.as_str(), "BAD_REQUEST_ERROR" | "GATEWAY_ERROR");
    documented.then_some(body.error)
}

fn throttled() -> Outcome {
    // 429 is Razorpay's rate limiter, in front of the API: razorpay.com/docs/api/understand.
    Outcome::NotTaken(Failure::new(FailureCode::ProcessorRateLimited, "the processor is throttling us"))
}

/// Before a payment was asked for: nothing was taken, whatever the reply is.
pub(super) fn refused_before_payment(response: &HttpResponse<'_>) -> Outcome {
    if response.status == 429 {
        return throttled();
    }
    Outcome::NotTaken(match (response.status, read_error(response)) {
        (400..=499, Some(error)) => error.failure(FailureCode::ProcessorRejected),
        _ => Failure::new(FailureCode::ProcessorUnavailable, "the order was not accepted"),
    })
}

/// A payment was asked for and not confirmed.
pub(super) fn refused_payment(response: &HttpResponse<'_>) -> Outcome {
    if response.status == 429 {
        return throttled();
    }
    let (400..=499, Some(error)) = (response.status, read_error(response)) else {
        return unknown("the payment was neither confirmed nor refused in a documented way");
    };
    match verdict(text(&error.reason)) {
        Some(Declined(code)) => Outcome::Declined(error.failure(code)),
        // A refusal that names a payment came after the payment was made.
        Some(Rejected) => Outcome::NotTaken(error.failure(FailureCode::ProcessorRejected)),
        None if !error.names_a_payment() && error.code.as_str() == "BAD_REQUEST_ERROR" => {
            Outcome::NotTaken(error.failure(FailureCode::ProcessorRejected))
        }
        Some(Doubtful) | None => Outcome::Unknown(error.failure(FailureCode::OutcomeUnknown)),
    }
}

/// A capture or refund was asked for and not confirmed.
pub(super) fn refused_afterwards(response: &HttpResponse<'_>) -> Outcome {
    if response.status == 429 {
        return throttled();
    }
    // 409: the same refund is being processed right now, or was processed with another body.
    let (400 | 401 | 403 | 404, Some(error)) = (response.status, read_error(response)) else {
        return unknown("neither confirmed nor refused in a documented way");
    };
    let done_before = text(&error.description).contains("already been captured")
        || text(&error.description).contains("already been processed");
    if done_before || verdict(text(&error.reason)) == Some(Doubtful) {
        return Outcome::Unknown(error.failure(FailureCode::OutcomeUnknown));
    }
    Outcome::Declined(error.failure(FailureCode::ProcessorRejected))
}

/// A payment in state `failed`. It is known to be over, so a rejected request is a decline here, not
/// an invitation to try elsewhere.
pub(super) fn failed_payment(code: &str, reason: &str, description: &str) -> Outcome {
    let named = if reason.is_empty() { code } else { reason };
    let failure = |code| Failure::new(code, description).with_processor_code(named);
    match verdict(reason) {
        Some(Declined(code)) => Outcome::Declined(failure(code)),
        Some(Rejected) => Outcome::Declined(failure(FailureCode::ProcessorRejected)),
        Some(Doubtful) | None => Outcome::Unknown(failure(FailureCode::OutcomeUnknown)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_can_be_searched() {
        assert!(REASONS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(verdict("insufficient_funds"), Some(Declined(InsufficientFunds)));
        assert_eq!(verdict("payment_timed_out"), Some(Doubtful));
        assert_eq!(verdict("something_new"), None);
    }
}
