//! Payment intents and refunds as Stripe writes them.
//!
//! Sources: docs.stripe.com/api/payment_intents/object, …/api/refunds/object,
//! docs.stripe.com/payments/paymentintents/lifecycle.

use super::{amount, codes};
use crate::answer::{is_success, unknown, unreadable};
use crate::json::{Text, text};
use crate::wire::HttpResponse;
use serde::Deserialize;
use serde_json::value::RawValue;
use tollgate_core::currency::Currency;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::money::Money;
use tollgate_core::outcome::{NextAction, Outcome};

#[derive(Debug, Deserialize)]
pub(super) struct Metadata<'a> {
    #[serde(borrow)]
    tollgate_reference: Option<Text<'a>>,
}

/// A payment intent.
#[derive(Debug, Deserialize)]
pub(super) struct Intent<'a> {
    #[serde(borrow)]
    pub(super) id: Text<'a>,
    #[serde(borrow)]
    amount: Option<Text<'a>>,
    #[serde(borrow)]
    amount_capturable: Option<Text<'a>>,
    #[serde(borrow)]
    amount_received: Option<Text<'a>>,
    #[serde(borrow)]
    currency: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) status: Option<Text<'a>>,
    #[serde(borrow)]
    metadata: Option<Metadata<'a>>,
    #[serde(borrow)]
    next_action: Option<Action<'a>>,
    #[serde(borrow)]
    last_payment_error: Option<PaymentError<'a>>,
    /// The id of the last charge, or the charge itself.
    #[serde(borrow)]
    latest_charge: Option<&'a RawValue>,
    #[serde(borrow)]
    cancellation_reason: Option<Text<'a>>,
    #[serde(borrow)]
    created: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
struct Action<'a> {
    #[serde(borrow)]
    redirect_to_url: Option<RedirectToUrl<'a>>,
}

#[derive(Debug, Deserialize)]
struct RedirectToUrl<'a> {
    #[serde(borrow)]
    url: Option<Text<'a>>,
}

/// Why the last attempt failed.
#[derive(Debug, Deserialize)]
pub(super) struct PaymentError<'a> {
    #[serde(borrow)]
    pub(super) code: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) decline_code: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) message: Option<Text<'a>>,
}

fn currency_of(written: &Option<Text<'_>>) -> Option<Currency> {
    text(written).parse().ok()
}

/// An amount above zero in our minor units.
fn minor_of(written: &Option<Text<'_>>, currency: Currency) -> Option<i64> {
    let written = written.as_ref().and_then(Text::as_i64).filter(|written| *written > 0)?;
    amount::from_wire(written, currency)
}

fn mismatch() -> Outcome {
    Outcome::Unknown(Failure::new(FailureCode::AmountMismatch, "the processor reports another currency"))
}

impl Intent<'_> {
    /// Our reference, if the intent is one of ours.
    pub(super) fn reference(&self) -> &str {
        self.metadata.as_ref().map_or("", |metadata| text(&metadata.tollgate_reference))
    }

    /// Whether nobody has ever tried to pay it.
    fn is_untouched(&self) -> bool {
        text(&self.status) == "requires_payment_method"
            && self.last_payment_error.is_none()
            && self.latest_charge.is_none()
    }

    /// What became of the payment. `currency` is ours, where we know it.
    pub(super) fn outcome(&self, currency: Option<Currency>) -> Outcome {
        let Some(told) = currency_of(&self.currency).filter(|_| is_id(self.id.as_str(), "pi_")) else {
            return unreadable();
        };
        if currency.is_some_and(|ours| ours != told) {
            return mismatch();
        }
        let processor_payment_id = self.id.as_str().to_owned();
        match text(&self.status) {
            "succeeded" => match minor_of(&self.amount_received, told) {
                Some(amount_minor) => Outcome::Captured { processor_payment_id, amount_minor },
                None => unreadable(),
            },
            "requires_capture" => match minor_of(&self.amount_capturable, told) {
                Some(amount_minor) => Outcome::Authorized { processor_payment_id, amount_minor },
                None => unreadable(),
            },
            "processing" => Outcome::Pending { processor_payment_id: Some(processor_payment_id) },
            "requires_action" => {
                let processor_payment_id = Some(processor_payment_id);
                let redirect = self.next_action.as_ref().and_then(|action| action.redirect_to_url.as_ref());
                let url = redirect.map_or("", |redirect| text(&redirect.url));
                if !url.starts_with("http") {
                    // An action for Stripe's own scripts: nothing that a customer could be sent to.
                    return Outcome::Pending { processor_payment_id };
                }
                let action = NextAction::Redirect { url: url.to_owned() };
                Outcome::ActionRequired { processor_payment_id, action }
            }
            "requires_payment_method" => match &self.last_payment_error {
                Some(error) => codes::failed_attempt(error),
                None if self.latest_charge.is_none() => Outcome::NotFound,
                None => unknown("an attempt is neither told to have failed nor to have succeeded"),
            },
            // Released by us, or by Stripe when nobody captured it in time …
            "canceled" if self.latest_charge.is_some() => Outcome::Voided,
            // … or given up before anything was authorized.
            "canceled" => match &self.last_payment_error {
                Some(error) => codes::failed_attempt(error),
                None => Outcome::Declined(
                    Failure::new(FailureCode::CustomerCancelled, "the payment was cancelled")
                        .with_processor_code(text(&self.cancellation_reason)),
                ),
            },
            _ => unreadable(),
        }
    }
}

/// A payment intent by itself.
pub(super) fn read(body: &[u8]) -> Option<Intent<'_>> {
    serde_json::from_slice(body).ok()
}

/// The intent with this id (if it is known) and our reference; anything else is no answer.
pub(super) fn read_ours<'r>(body: &'r [u8], payment_id: &str, reference: &str) -> Option<Intent<'r>> {
    read(body).filter(|intent| {
        is_id(intent.id.as_str(), "pi_")
            && (payment_id.is_empty() || intent.id.as_str() == payment_id)
            && intent.reference() == reference
    })
}

/// The id of the intent just made, or made before under the same key, if it is the one asked for.
pub(super) fn read_created(response: &HttpResponse<'_>, reference: &str, amount: Money) -> Option<String> {
    let intent = read_ours(response.body, "", reference).filter(|_| is_success(response.status))?;
    let ours = currency_of(&intent.currency) == Some(amount.currency)
        && minor_of(&intent.amount, amount.currency) == Some(amount.minor);
    ours.then(|| intent.id.as_str().to_owned())
}

/// What a charge's intent, fetched by its id, tells.
pub(super) enum Seen {
    /// An answer.
    Outcome(Outcome),
    /// Nobody has tried to pay it.
    Untouched,
}

pub(super) fn see(
    response: &HttpResponse<'_>,
    payment_id: &str,
    reference: &str,
    currency: Currency,
) -> Seen {
    if response.status == 404 && codes::read_error(response).is_some() {
        return Seen::Outcome(Outcome::NotFound);
    }
    if !is_success(response.status) {
        return Seen::Outcome(unknown("the payment intent could not be looked up"));
    }
    match read_ours(response.body, payment_id, reference) {
        Some(intent) if intent.is_untouched() && currency_of(&intent.currency) == Some(currency) => {
            Seen::Untouched
        }
        Some(intent) => Seen::Outcome(intent.outcome(Some(currency))),
        None => Seen::Outcome(unreadable()),
    }
}

#[derive(Debug, Deserialize)]
struct Intents<'a> {
    #[serde(borrow)]
    data: Vec<Intent<'a>>,
}

/// The oldest intent of that reference among those found: `Ok(None)` if there is none.
///
/// An enquiry may have made another one after Stripe had forgotten the idempotency key. The one that was
/// charged is the oldest.
pub(super) fn find_oldest(response: &HttpResponse<'_>, reference: &str) -> Result<Option<String>, Outcome> {
    if !is_success(response.status) {
        return Err(unknown("the payment intents could not be searched"));
    }
    let found: Intents<'_> = serde_json::from_slice(response.body).map_err(|_| unreadable())?;
    let ours = found
        .data
        .iter()
        // The search does not distinguish upper from lower case; our references do.
        .filter(|intent| intent.reference() == reference && is_id(intent.id.as_str(), "pi_"));
    let oldest = ours.min_by_key(|intent| intent.created.as_ref().and_then(Text::as_i64).unwrap_or(i64::MAX));
    Ok(oldest.map(|intent| intent.id.as_str().to_owned()))
}

/// The reply to a capture.
pub(super) fn read_capture(
    response: &HttpResponse<'_>,
    payment_id: &str,
    reference: &str,
    currency: Currency,
) -> Outcome {
    if !is_success(response.status) {
        return codes::refused_afterwards(response, payment_id);
    }
    let intent = read_ours(response.body, payment_id, reference);
    match intent.map(|intent| intent.outcome(Some(currency))) {
        Some(captured @ (Outcome::Captured { .. } | Outcome::Pending { .. })) => captured,
        // A 2xx that leaves the payment authorized is not a documented answer.
        _ => unreadable(),
    }
}

/// The reply to a cancellation.
pub(super) fn read_cancel(response: &HttpResponse<'_>, payment_id: &str, reference: &str) -> Outcome {
    if !is_success(response.status) {
        return codes::refused_cancellation(response, payment_id);
    }
    match read_ours(response.body, payment_id, reference) {
        Some(intent) if text(&intent.status) == "canceled" => Outcome::Voided,
        _ => unreadable(),
    }
}

/// A refund.
#[derive(Debug, Deserialize)]
pub(super) struct Refund<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    amount: Option<Text<'a>>,
    #[serde(borrow)]
    currency: Option<Text<'a>>,
    #[serde(borrow)]
    payment_intent: Option<Text<'a>>,
    #[serde(borrow)]
    metadata: Option<Metadata<'a>>,
    #[serde(borrow)]
    status: Option<Text<'a>>,
    #[serde(borrow)]
    failure_reason: Option<Text<'a>>,
}

impl Refund<'_> {
    /// Our reference, if the refund is one of ours.
    pub(super) fn reference(&self) -> &str {
        self.metadata.as_ref().map_or("", |metadata| text(&metadata.tollgate_reference))
    }

    /// What became of the refund. `currency` is ours, where we know it.
    pub(super) fn outcome(&self, currency: Option<Currency>) -> Outcome {
        // Refunds of payments that are not card charges are `pyr_…`.
        let named = is_id(self.id.as_str(), "re_") || is_id(self.id.as_str(), "pyr_");
        let Some(told) = currency_of(&self.currency).filter(|_| named) else {
            return unreadable();
        };
        if currency.is_some_and(|ours| ours != told) {
            return mismatch();
        }
        let Some(amount_minor) = minor_of(&self.amount, told) else {
            return unreadable();
        };
        match text(&self.status) {
            "succeeded" => {
                Outcome::Refunded { processor_refund_id: self.id.as_str().to_owned(), amount_minor }
            }
            "pending" | "requires_action" => Outcome::Pending { processor_payment_id: None },
            "failed" | "canceled" => Outcome::Declined(
                Failure::new(FailureCode::ProcessorRejected, "the processor could not carry out the refund")
                    .with_processor_code(text(&self.failure_reason)),
            ),
            _ => unreadable(),
        }
    }
}

/// The reply to a refund.
pub(super) fn read_refund(
    response: &HttpResponse<'_>,
    payment_id: &str,
    reference: &str,
    currency: Currency,
) -> Outcome {
    if !is_success(response.status) {
        return codes::refused_afterwards(response, payment_id);
    }
    match serde_json::from_slice::<Refund<'_>>(response.body) {
        Ok(refund) if text(&refund.payment_intent) == payment_id && refund.reference() == reference => {
            refund.outcome(Some(currency))
        }
        _ => unreadable(),
    }
}

#[derive(Debug, Deserialize)]
struct Refunds<'a> {
    #[serde(borrow)]
    data: Vec<Refund<'a>>,
    has_more: bool,
}

/// What a page of refunds tells about one of them.
pub(super) enum RefundSearch {
    /// An answer.
    Answered(Outcome),
    /// Not on this page, whose last refund this is.
    NotUpTo(String),
}

pub(super) fn find_refund(
    response: &HttpResponse<'_>,
    payment_id: &str,
    reference: &str,
    currency: Currency,
) -> RefundSearch {
    if !is_success(response.status) {
        return RefundSearch::Answered(unknown("the refunds could not be looked up"));
    }
    let Ok(refunds) = serde_json::from_slice::<Refunds<'_>>(response.body) else {
        return RefundSearch::Answered(unreadable());
    };
    let ours =
        |refund: &&Refund<'_>| text(&refund.payment_intent) == payment_id && refund.reference() == reference;
    match (refunds.data.iter().find(ours), refunds.has_more, refunds.data.last()) {
        (Some(refund), ..) => RefundSearch::Answered(refund.outcome(Some(currency))),
        (None, true, Some(last)) if last.id.as_str().len() <= 64 => {
            RefundSearch::NotUpTo(last.id.as_str().to_owned())
        }
        (None, true, _) => RefundSearch::Answered(unreadable()),
        (None, false, _) => RefundSearch::Answered(Outcome::NotFound),
    }
}

/// Whether `text` is an id of that kind: it goes into URLs, so nothing else may be in it.
pub(super) fn is_id(text: &str, prefix: &str) -> bool {
    text.len() <= 64
        && text
            .strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}
