//! Replies and webhooks of the current API.
//!
//! Only the state at the root of an order or refund counts (developer.phonepe.com, Webhook Handling);
//! the attempts listed below it are history.

use super::codes;
use crate::answer::{is_success, unreadable, upi_link};
use crate::digest::{same, sha256_text};
use crate::json::{Text, text};
use crate::webhook::{WebhookError, WebhookMessage, WebhookRequest, WebhookSubject};
use crate::wire::HttpResponse;
use crate::{Charge, ChargeHandle};
use serde::Deserialize;
use tollgate_core::currency::Currency;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::method::{Instrument, UpiFlow};
use tollgate_core::outcome::{NextAction, Outcome};

/// An order or a refund, in a reply or a webhook; every reply leaves some of it out.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record<'a> {
    #[serde(borrow)]
    merchant_order_id: Option<Text<'a>>,
    #[serde(borrow)]
    order_id: Option<Text<'a>>,
    #[serde(borrow)]
    merchant_refund_id: Option<Text<'a>>,
    #[serde(borrow)]
    original_merchant_order_id: Option<Text<'a>>,
    #[serde(borrow)]
    refund_id: Option<Text<'a>>,
    #[serde(borrow)]
    state: Option<Text<'a>>,
    #[serde(borrow)]
    amount: Option<Text<'a>>,
    #[serde(borrow)]
    currency: Option<Text<'a>>,
    #[serde(borrow)]
    error_code: Option<Text<'a>>,
    #[serde(borrow)]
    detailed_error_code: Option<Text<'a>>,
    #[serde(borrow)]
    error_context: Option<ErrorContext<'a>>,
    #[serde(borrow)]
    redirect_url: Option<Text<'a>>,
    #[serde(borrow)]
    intent_url: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
struct ErrorContext<'a> {
    #[serde(borrow)]
    description: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ErrorReply<'a> {
    #[serde(borrow)]
    code: Option<Text<'a>>,
    #[serde(borrow)]
    error_code: Option<Text<'a>>,
    #[serde(borrow)]
    message: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    event: Option<Text<'a>>,
    #[serde(borrow)]
    r#type: Option<Text<'a>>,
    #[serde(borrow)]
    payload: Record<'a>,
}

/// The code and message of an error; empty where there are none.
pub(super) fn error_of(body: &[u8]) -> (String, String) {
    let Ok(reply) = serde_json::from_slice::<ErrorReply<'_>>(body) else {
        return Default::default();
    };
    let code = [&reply.code, &reply.error_code].into_iter().map(text).find(|code| !code.is_empty());
    (code.unwrap_or("").to_owned(), text(&reply.message).to_owned())
}

/// Whether a state says that nothing is decided. Sources: Order Status, Notify Redemption, Refund APIs
/// and the webhooks of each.
fn is_open(state: &str) -> bool {
    const OPEN: &[&str] =
        &["PENDING", "CREATED", "ACCEPTED", "CONFIRMED", "NOTIFICATION_IN_PROGRESS", "NOTIFIED"];
    OPEN.contains(&state)
}

/// The reply to a charge: an order that waits for its customer.
pub(super) fn read_charge(charge: &Charge<'_>, response: &HttpResponse<'_>) -> Outcome {
    if !is_success(response.status) {
        let (code, message) = error_of(response.body);
        return codes::refused(response.status, &code, &message);
    }
    let Ok(order) = serde_json::from_slice::<Record<'_>>(response.body) else {
        return unreadable();
    };
    let Some(order_id) = order.order_id().filter(|_| is_open(text(&order.state))) else {
        return unreadable();
    };
    let processor_payment_id = Some(order_id.to_owned());
    let redirect_url = text(&order.redirect_url);
    let action = match charge.instrument {
        Instrument::UpiAutopay { .. } => return Outcome::Pending { processor_payment_id },
        Instrument::Upi { flow: UpiFlow::Collect, .. } => Some(NextAction::UpiCollect),
        Instrument::Upi { .. } => link(text(&order.intent_url)).map(|uri| upi_link(charge, uri)),
        _ => page(redirect_url).map(|url| NextAction::Redirect { url }),
    };
    match action {
        Some(action) => Outcome::ActionRequired { processor_payment_id, action },
        None => unreadable(),
    }
}

/// A link that opens a UPI app, or PhonePe's own.
pub(super) fn link(uri: &str) -> Option<String> {
    ["upi://", "ppe://", "phonepe://"].iter().any(|scheme| uri.starts_with(scheme)).then(|| uri.to_owned())
}

/// The address of a page.
pub(super) fn page(url: &str) -> Option<String> {
    (url.starts_with("https://") || url.starts_with("http://")).then(|| url.to_owned())
}

/// What an enquiry learnt.
pub(super) enum Found {
    /// The record, or nothing that can be used.
    Answer(Outcome),
    /// Nothing of that reference.
    Nothing,
}

pub(super) fn read_order(charge: &ChargeHandle<'_>, response: &HttpResponse<'_>) -> Found {
    read_record(response, |order| {
        let ours = order.merchant_order_id.is_none() || text(&order.merchant_order_id) == charge.reference;
        let known = charge.processor_payment_id.is_none_or(|known| order.order_id() == Some(known));
        if ours && known { order.payment() } else { unreadable() }
    })
}

pub(super) fn read_refund_status(
    charge: &ChargeHandle<'_>,
    reference: &str,
    response: &HttpResponse<'_>,
) -> Found {
    let fits = |said: &Option<Text<'_>>, ours: &str| said.is_none() || text(said) == ours;
    read_record(response, |refund| {
        let ours = fits(&refund.merchant_refund_id, reference)
            && fits(&refund.original_merchant_order_id, charge.reference);
        if ours { refund.refund() } else { unreadable() }
    })
}

fn read_record(response: &HttpResponse<'_>, read: impl FnOnce(&Record<'_>) -> Outcome) -> Found {
    if !is_success(response.status) {
        let (code, _) = error_of(response.body);
        return match codes::is_not_found(response.status, &code) {
            true => Found::Nothing,
            false => Found::Answer(codes::not_told(&code)),
        };
    }
    let record = serde_json::from_slice::<Record<'_>>(response.body);
    Found::Answer(record.map_or_else(|_| unreadable(), |record| read(&record)))
}

/// The reply to a refund request; nothing where the refund has to be asked after.
pub(super) fn read_refund(response: &HttpResponse<'_>) -> Option<Outcome> {
    let Ok(refund) = serde_json::from_slice::<Record<'_>>(response.body) else {
        return Some(unreadable());
    };
    match refund.refund() {
        Outcome::Pending { .. } => None,
        other => Some(other),
    }
}

impl Record<'_> {
    /// PhonePe's id of the order.
    fn order_id(&self) -> Option<&str> {
        self.order_id.as_ref().map(Text::as_str).filter(|id| is_id(id))
    }

    fn amount_minor(&self) -> Option<i64> {
        self.amount.as_ref().and_then(Text::as_i64).filter(|minor| *minor > 0)
    }

    /// An amount without a currency is one of rupees: PhonePe knew no other for a long time.
    fn is_of_another_currency(&self) -> bool {
        self.currency.is_some() && text(&self.currency) != Currency::INR.code()
    }

    fn payment(&self) -> Outcome {
        let Some(order_id) = self.order_id() else {
            return unreadable();
        };
        match (text(&self.state), self.amount_minor()) {
            ("COMPLETED", _) if self.is_of_another_currency() => other_currency(),
            ("COMPLETED", Some(amount_minor)) => {
                Outcome::Captured { processor_payment_id: order_id.to_owned(), amount_minor }
            }
            ("FAILED", _) => self.failed(),
            ("EXPIRED", _) => codes::failed("EXPIRED", "", "the customer did not pay in time"),
            (state, _) if is_open(state) => {
                Outcome::Pending { processor_payment_id: Some(order_id.to_owned()) }
            }
            _ => unreadable(),
        }
    }

    fn refund(&self) -> Outcome {
        let Some(refund_id) = self.refund_id.as_ref().map(Text::as_str).filter(|id| is_id(id)) else {
            return unreadable();
        };
        match (text(&self.state), self.amount_minor()) {
            ("COMPLETED", _) if self.is_of_another_currency() => other_currency(),
            ("COMPLETED", Some(amount_minor)) => {
                Outcome::Refunded { processor_refund_id: refund_id.to_owned(), amount_minor }
            }
            ("FAILED", _) => Outcome::Declined(
                Failure::new(FailureCode::ProcessorRejected, "the processor could not carry out the refund")
                    .with_processor_code(text(&self.error_code)),
            ),
            (state, _) if is_open(state) => Outcome::Pending { processor_payment_id: None },
            _ => unreadable(),
        }
    }

    fn failed(&self) -> Outcome {
        let description = self.error_context.as_ref().map_or("", |context| text(&context.description));
        codes::failed(text(&self.error_code), text(&self.detailed_error_code), description)
    }
}

fn other_currency() -> Outcome {
    Outcome::Unknown(Failure::new(FailureCode::AmountMismatch, "the processor reports another currency"))
}

/// Whether `text` can be an id of PhonePe's.
pub(super) fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// A webhook. Its header proves who sends it, not what it says: PhonePe signs no bodies.
pub(super) fn read_webhook(
    request: &WebhookRequest<'_>,
    authorization: &str,
) -> Result<WebhookMessage, WebhookError> {
    let given = (request.header)("authorization").ok_or(WebhookError::Signature)?;
    if !same(authorization.as_bytes(), given.as_bytes()) {
        return Err(WebhookError::Signature);
    }
    let event: Event<'_> = serde_json::from_slice(request.body).map_err(|_| WebhookError::Malformed)?;
    Ok(WebhookMessage { dedupe_key: sha256_text(request.body), subject: subject(&event) })
}

fn subject(event: &Event<'_>) -> Option<WebhookSubject> {
    let payload = &event.payload;
    // `type` is the older name of the same thing, in capitals.
    let older = text(&event.r#type).to_ascii_lowercase().replace('_', ".");
    let name = if text(&event.event).is_empty() { older.as_str() } else { text(&event.event) };
    let (reference, outcome) = match name {
        "pg.order.completed"
        | "pg.order.failed"
        | "checkout.order.completed"
        | "checkout.order.failed"
        | "subscription.setup.order.completed"
        | "subscription.setup.order.failed"
        | "subscription.redemption.order.completed"
        | "subscription.redemption.order.failed" => (text(&payload.merchant_order_id), payload.payment()),
        "pg.refund.accepted" | "pg.refund.completed" | "pg.refund.failed" => {
            (text(&payload.merchant_refund_id), payload.refund())
        }
        _ => return None,
    };
    is_id(reference).then(|| WebhookSubject { reference: reference.to_owned(), outcome })
}
