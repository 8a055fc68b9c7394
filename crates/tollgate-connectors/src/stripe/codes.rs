//! What Stripe's errors mean.
//!
//! What an error proves is decided by the payment intent that comes with it, where one does: an intent
//! in `requires_payment_method` has taken nothing, whatever the error is called. The codes tell why.
//!
//! | answer to a confirmation | outcome |
//! |---|---|
//! | `402` `card_error`, or any error with our intent in `requires_payment_method` and a known reason | declined |
//! | `400`, `401`, `403`, `404` `invalid_request_error` | not taken, `processor_rejected` |
//! | `429` | not taken, `processor_rate_limited` (with `lock_timeout`: unknown) |
//! | `409`, `424`, `5xx`, `idempotency_error`, an intent in another state, anything unreadable | unknown |
//!
//! Stripe asks its callers to treat `500` as indeterminate (docs.stripe.com/error-low-level).
//! Sources: docs.stripe.com/declines/codes, docs.stripe.com/error-codes, docs.stripe.com/api/errors.

use super::intent::{Intent, PaymentError};
use crate::answer::{throttled, unknown};
use crate::json::{Text, text};
use crate::wire::HttpResponse;
use serde::Deserialize;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::outcome::Outcome;

use FailureCode::{
    AuthenticationFailed, CardDeclined, CustomerCancelled, InstrumentInvalid, InsufficientFunds,
    IssuerUnavailable, LimitExceeded, ProcessorRejected, ProcessorRiskDeclined,
};

/// `decline_code`, the issuer's reason. Sorted, for binary search.
const DECLINES: &[(&str, FailureCode)] = &[
    ("approve_with_id", IssuerUnavailable),
    ("authentication_not_handled", AuthenticationFailed),
    ("authentication_required", AuthenticationFailed),
    ("call_issuer", CardDeclined),
    ("card_not_supported", InstrumentInvalid),
    ("card_velocity_exceeded", LimitExceeded),
    ("currency_not_supported", CardDeclined),
    ("do_not_honor", CardDeclined),
    ("do_not_try_again", InstrumentInvalid),
    ("duplicate_transaction", ProcessorRejected),
    ("expired_card", InstrumentInvalid),
    ("fraudulent", ProcessorRiskDeclined),
    ("generic_decline", CardDeclined),
    ("incorrect_address", InstrumentInvalid),
    ("incorrect_cvc", InstrumentInvalid),
    ("incorrect_number", InstrumentInvalid),
    ("incorrect_pin", AuthenticationFailed),
    ("incorrect_zip", InstrumentInvalid),
    ("insufficient_funds", InsufficientFunds),
    ("invalid_account", InstrumentInvalid),
    ("invalid_amount", LimitExceeded),
    ("invalid_cvc", InstrumentInvalid),
    ("invalid_expiry_month", InstrumentInvalid),
    ("invalid_expiry_year", InstrumentInvalid),
    ("invalid_number", InstrumentInvalid),
    ("invalid_pin", AuthenticationFailed),
    ("issuer_not_available", IssuerUnavailable),
    ("lost_card", InstrumentInvalid),
    ("merchant_blacklist", ProcessorRiskDeclined),
    ("mobile_device_authentication_required", AuthenticationFailed),
    ("new_account_information_available", InstrumentInvalid),
    ("no_action_taken", CardDeclined),
    ("not_permitted", CardDeclined),
    ("offline_pin_required", AuthenticationFailed),
    ("online_or_offline_pin_required", AuthenticationFailed),
    ("pickup_card", InstrumentInvalid),
    ("pin_try_exceeded", AuthenticationFailed),
    ("processing_error", IssuerUnavailable),
    ("reenter_transaction", IssuerUnavailable),
    ("restricted_card", InstrumentInvalid),
    ("revocation_of_all_authorizations", CustomerCancelled),
    ("revocation_of_authorization", CustomerCancelled),
    ("security_violation", CardDeclined),
    ("service_not_allowed", CardDeclined),
    ("stolen_card", InstrumentInvalid),
    ("stop_payment_order", CustomerCancelled),
    ("test_mode_live_card", ProcessorRejected),
    ("testmode_decline", ProcessorRejected),
    ("transaction_not_allowed", CardDeclined),
    ("try_again_later", IssuerUnavailable),
    ("withdrawal_count_limit_exceeded", LimitExceeded),
];

/// What an error's `code` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The customer, the issuer or the lender refused.
    Declined(FailureCode),
    /// Our request or account was refused before anybody was asked.
    Rejected,
    /// Another request with the same key or about the same payment may have done it.
    Doubtful,
}

use Verdict::{Declined, Doubtful, Rejected};

/// `code`. Sorted, for binary search.
const CODES: &[(&str, Verdict)] = &[
    ("account_invalid", Rejected),
    ("amount_too_large", Rejected),
    ("amount_too_small", Rejected),
    ("api_key_expired", Rejected),
    ("authentication_required", Declined(AuthenticationFailed)),
    ("balance_insufficient", Rejected),
    ("card_decline_rate_limit_exceeded", Declined(LimitExceeded)),
    ("card_declined", Declined(CardDeclined)),
    ("charge_already_captured", Doubtful),
    ("charge_already_refunded", Doubtful),
    ("charge_disputed", Rejected),
    ("charge_expired_for_capture", Rejected),
    ("country_code_invalid", Rejected),
    ("country_unsupported", Rejected),
    ("email_invalid", Rejected),
    ("expired_card", Declined(InstrumentInvalid)),
    ("idempotency_key_in_use", Doubtful),
    ("incorrect_address", Declined(InstrumentInvalid)),
    ("incorrect_cvc", Declined(InstrumentInvalid)),
    ("incorrect_number", Declined(InstrumentInvalid)),
    ("incorrect_zip", Declined(InstrumentInvalid)),
    ("insufficient_funds", Declined(InsufficientFunds)),
    ("intent_invalid_state", Doubtful),
    ("invalid_card_type", Declined(InstrumentInvalid)),
    ("invalid_characters", Rejected),
    ("invalid_charge_amount", Rejected),
    ("invalid_cvc", Declined(InstrumentInvalid)),
    ("invalid_expiry_month", Declined(InstrumentInvalid)),
    ("invalid_expiry_year", Declined(InstrumentInvalid)),
    ("invalid_number", Declined(InstrumentInvalid)),
    ("livemode_mismatch", Rejected),
    ("lock_timeout", Doubtful),
    ("parameter_invalid_empty", Rejected),
    ("parameter_invalid_integer", Rejected),
    ("parameter_invalid_string_blank", Rejected),
    ("parameter_missing", Rejected),
    ("parameter_unknown", Rejected),
    ("payment_intent_action_required", Declined(AuthenticationFailed)),
    ("payment_intent_authentication_failure", Declined(AuthenticationFailed)),
    ("payment_intent_incompatible_payment_method", Rejected),
    ("payment_intent_invalid_parameter", Rejected),
    ("payment_intent_payment_attempt_expired", Declined(CustomerCancelled)),
    ("payment_intent_payment_attempt_failed", Declined(CardDeclined)),
    ("payment_intent_unexpected_state", Doubtful),
    ("payment_method_billing_details_address_missing", Rejected),
    ("payment_method_currency_mismatch", Rejected),
    ("payment_method_customer_decline", Declined(CustomerCancelled)),
    ("payment_method_invalid_parameter", Rejected),
    ("payment_method_not_available", Declined(IssuerUnavailable)),
    ("payment_method_provider_decline", Declined(CardDeclined)),
    ("payment_method_provider_timeout", Declined(IssuerUnavailable)),
    ("payment_method_unactivated", Rejected),
    ("payment_method_unexpected_state", Rejected),
    ("platform_api_key_expired", Rejected),
    ("postal_code_invalid", Rejected),
    ("processing_error", Declined(IssuerUnavailable)),
    ("resource_missing", Rejected),
    ("secret_key_required", Rejected),
    ("testmode_charges_only", Rejected),
    ("tls_version_unsupported", Rejected),
    ("url_invalid", Rejected),
];

fn looked_up<T: Copy>(table: &[(&str, T)], wanted: &str) -> Option<T> {
    let place = table.binary_search_by_key(&wanted, |(known, _)| known).ok()?;
    Some(table[place].1)
}

/// What an error says, the issuer's own reason first.
pub(super) fn verdict(code: &str, decline_code: &str) -> Option<Verdict> {
    looked_up(DECLINES, decline_code).map(Declined).or_else(|| looked_up(CODES, code))
}

#[derive(Debug, Deserialize)]
struct ErrorBody<'a> {
    #[serde(borrow)]
    error: ApiError<'a>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ApiError<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    code: Option<Text<'a>>,
    #[serde(borrow)]
    decline_code: Option<Text<'a>>,
    #[serde(borrow)]
    message: Option<Text<'a>>,
    #[serde(borrow)]
    payment_intent: Option<Intent<'a>>,
}

/// A failure in Stripe's words: the issuer's reason says more than the code.
fn failure(class: FailureCode, code: &str, decline_code: &str, message: &str) -> Failure {
    let named = if decline_code.is_empty() { code } else { decline_code };
    let failure = Failure::new(class, message);
    if named.is_empty() { failure } else { failure.with_processor_code(named) }
}

impl ApiError<'_> {
    fn failure(&self, class: FailureCode) -> Failure {
        let code = if text(&self.code).is_empty() { self.kind.as_str() } else { text(&self.code) };
        failure(class, code, text(&self.decline_code), text(&self.message))
    }

    fn verdict(&self) -> Option<Verdict> {
        if self.kind.as_str() == "idempotency_error" {
            return Some(Doubtful);
        }
        verdict(text(&self.code), text(&self.decline_code))
    }

    /// The state of our payment intent, where the error tells it.
    fn status_of(&self, payment_id: &str) -> Option<&str> {
        let intent = self.payment_intent.as_ref()?;
        Some(if intent.id.as_str() == payment_id { text(&intent.status) } else { "" })
    }
}

pub(super) fn read_error<'r>(response: &HttpResponse<'r>) -> Option<ApiError<'r>> {
    let body: ErrorBody<'r> = serde_json::from_slice(response.body).ok()?;
    let documented =
        matches!(body.error.kind.as_str(), "card_error" | "idempotency_error" | "invalid_request_error");
    documented.then_some(body.error)
}

/// Before the confirmation nothing can have been taken, whatever the reply is.
pub(super) fn refused_before_payment(response: &HttpResponse<'_>) -> Outcome {
    if response.status == 429 {
        return throttled();
    }
    Outcome::NotTaken(match (response.status, read_error(response)) {
        (400..=499, Some(error)) => error.failure(ProcessorRejected),
        _ => Failure::new(FailureCode::ProcessorUnavailable, "the payment intent was not accepted"),
    })
}

/// The confirmation of this payment intent was not carried out, or nobody knows.
pub(super) fn refused_confirmation(response: &HttpResponse<'_>, payment_id: &str) -> Outcome {
    let error = read_error(response);
    if response.status == 429 {
        let locked = error.as_ref().and_then(ApiError::verdict) == Some(Doubtful);
        return if locked { unknown("the payment intent is locked by another request") } else { throttled() };
    }
    let (400..=404, Some(error)) = (response.status, error) else {
        return unknown("the payment was neither confirmed nor refused in a documented way");
    };
    let doubtful = || Outcome::Unknown(error.failure(FailureCode::OutcomeUnknown));
    let untouched = match error.status_of(payment_id) {
        Some("requires_payment_method" | "canceled") => true,
        // Told to be in a state in which money may have moved, or to be another intent.
        Some(_) => return doubtful(),
        None => false,
    };
    match error.verdict() {
        Some(Doubtful) => doubtful(),
        Some(Declined(class)) => Outcome::Declined(error.failure(class)),
        Some(Rejected) => Outcome::NotTaken(error.failure(ProcessorRejected)),
        None if error.kind.as_str() == "card_error" && untouched => {
            Outcome::Declined(error.failure(CardDeclined))
        }
        // A refused request without a code: a parameter or a key is wrong.
        None if error.kind.as_str() == "invalid_request_error" && response.status != 402 => {
            Outcome::NotTaken(error.failure(ProcessorRejected))
        }
        None => doubtful(),
    }
}

/// A capture, cancellation or refund was not carried out, or nobody knows.
pub(super) fn refused_afterwards(response: &HttpResponse<'_>, payment_id: &str) -> Outcome {
    let error = read_error(response);
    let doubted = error.as_ref().and_then(ApiError::verdict) == Some(Doubtful);
    match (response.status, error) {
        (429, _) if !doubted => throttled(),
        (401 | 403, Some(error)) => Outcome::NotTaken(error.failure(ProcessorRejected)),
        (400 | 402 | 404, Some(error)) => match (error.status_of(payment_id), error.verdict()) {
            // An authorization that is gone cannot have been captured.
            (Some("canceled" | "requires_payment_method"), _) => {
                Outcome::Declined(error.failure(ProcessorRejected))
            }
            (_, Some(Doubtful)) => Outcome::Unknown(error.failure(FailureCode::OutcomeUnknown)),
            _ => Outcome::Declined(error.failure(ProcessorRejected)),
        },
        _ => unknown("neither confirmed nor refused in a documented way"),
    }
}

/// A cancellation was not carried out, or had been before.
pub(super) fn refused_cancellation(response: &HttpResponse<'_>, payment_id: &str) -> Outcome {
    let error = read_error(response);
    match error.as_ref().and_then(|error| error.status_of(payment_id)) {
        Some("canceled") if response.status == 400 => Outcome::Voided,
        Some("succeeded") if response.status == 400 => Outcome::Declined(Failure::new(
            ProcessorRejected,
            "the payment is captured already; refund it instead",
        )),
        Some("requires_payment_method") => unknown("the payment intent has no authorization"),
        _ => refused_afterwards(response, payment_id),
    }
}

/// A payment intent whose last attempt failed. It is known to have taken nothing, so a rejected request
/// is a decline here, not an invitation to try elsewhere.
pub(super) fn failed_attempt(error: &PaymentError<'_>) -> Outcome {
    let (code, decline_code) = (text(&error.code), text(&error.decline_code));
    let class = match verdict(code, decline_code) {
        Some(Declined(class)) => class,
        Some(Rejected | Doubtful) => ProcessorRejected,
        None => CardDeclined,
    };
    Outcome::Declined(failure(class, code, decline_code, text(&error.message)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_can_be_searched() {
        assert!(DECLINES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(CODES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(verdict("card_declined", "insufficient_funds"), Some(Declined(InsufficientFunds)));
        assert_eq!(verdict("card_declined", "something_new"), Some(Declined(CardDeclined)));
        assert_eq!(verdict("lock_timeout", ""), Some(Doubtful));
        assert_eq!(verdict("something_new", ""), None);
    }
}
