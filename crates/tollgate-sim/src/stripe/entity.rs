//! Payment intents and refunds as Stripe writes them.
//!
//! Sources: docs.stripe.com/api/payment_intents/object, …/api/refunds/object, …/error-codes,
//! docs.stripe.com/declines/codes.

use super::request::{Refused, written};
use crate::books::{Entry, Method, Notes, Refund, RefundState, Status};
use crate::desk::now_ms;
use crate::http::quoted;
use crate::instrument::Failure;

/// Ids are these fourteen characters and ten base-62 digits: as long as the real ones.
const LEAD: &str = "3Simulator0000";
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn id(prefix: &str, number: u64) -> String {
    let mut left = number;
    let mut digits = [b'0'; 10];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[usize::try_from(left % 62).unwrap_or(0)];
        left /= 62;
    }
    format!("{prefix}{LEAD}{}", std::str::from_utf8(&digits).unwrap_or(""))
}

/// The number behind an id.
pub(super) fn number_of(text: &str, prefix: &str) -> Option<u64> {
    let digits = text.strip_prefix(prefix)?.strip_prefix(LEAD).filter(|rest| rest.len() == 10)?;
    let mut value = 0_u64;
    for byte in digits.bytes() {
        let digit = DIGITS.iter().position(|known| *known == byte)?;
        value = value.checked_mul(62)?.checked_add(u64::try_from(digit).ok()?)?;
    }
    Some(value)
}

pub(super) fn intent_id(number: u64) -> String {
    id("pi_", number)
}

pub(super) fn refund_id(action: u64) -> String {
    id("re_", action)
}

pub(super) fn event_id(kind: &str, number: u64) -> String {
    // The kind keeps the events of one intent apart.
    let kind: String = kind.bytes().filter(u8::is_ascii_alphabetic).map(char::from).collect();
    format!("{}{kind}", id("evt_", number))
}

pub(super) fn client_secret(number: u64) -> String {
    format!("{}_secret_simulated", intent_id(number))
}

/// What the books keep of an intent that waits for its customer, in the place of the reason of a
/// failure: it has to survive a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting {
    /// Authorize, do not capture.
    pub(super) manual: bool,
    /// Not for the customer: the processor itself does not know.
    pub(super) processing: bool,
    /// Why it will fail, if it does.
    pub(super) failure: Failure,
}

impl Waiting {
    pub(super) fn pack(self) -> u8 {
        u8::from(self.manual) | u8::from(self.processing) << 1 | self.failure.index() << 2
    }

    pub(super) fn of(entry: &Entry) -> Self {
        let packed = entry.failure;
        Self {
            manual: packed & 1 != 0,
            processing: packed & 2 != 0,
            failure: Failure::from_index(packed >> 2),
        }
    }
}

/// Why an attempt failed, as its error says.
pub(super) fn failed(failure: Failure, method: Method) -> Refused {
    let declined = |code, decline_code, message| Refused {
        status: 402,
        kind: "card_error",
        code,
        decline_code,
        message,
        param: "",
        intent: None,
    };
    let card = |decline_code| declined("card_declined", decline_code, "Your card was declined.");
    match (method, failure) {
        (Method::Bnpl, Failure::Cancelled) => {
            declined("payment_method_customer_decline", "", "The customer declined the payment.")
        }
        (Method::Bnpl, _) => {
            declined("payment_method_provider_decline", "", "The payment was declined by the provider.")
        }
        (_, Failure::Declined | Failure::Doubtful) => card("generic_decline"),
        (_, Failure::Insufficient) => {
            declined("card_declined", "insufficient_funds", "Your card has insufficient funds.")
        }
        (_, Failure::Expired) => declined("expired_card", "expired_card", "Your card has expired."),
        (_, Failure::Blocked) => card("stolen_card"),
        (_, Failure::Risk) => card("fraudulent"),
        (_, Failure::Cancelled) => declined(
            "payment_intent_authentication_failure",
            "",
            "We are unable to authenticate your payment method.",
        ),
    }
}

fn metadata(entry: &Entry) -> String {
    match &entry.notes {
        Notes::None => "{}".to_owned(),
        Notes::Reference => format!(r#"{{"tollgate_reference":{}}}"#, quoted(&entry.reference)),
        Notes::Json(json) => json.to_string(),
    }
}

/// A payment intent; `action_url` is where the customer has to go if it waits for one.
pub(super) fn intent(number: u64, entry: &Entry, action_url: &str) -> String {
    let currency = entry.currency();
    let money = |minor| written(minor, currency);
    let waiting = (entry.status == Status::Pending).then(|| Waiting::of(entry));
    let status = match (entry.status, waiting) {
        (Status::Created | Status::Failed, _) => "requires_payment_method",
        (_, Some(Waiting { processing: true, .. })) => "processing",
        (Status::Pending, _) => "requires_action",
        (Status::Authorized, _) => "requires_capture",
        (Status::Captured, _) => "succeeded",
        (Status::Voided, _) => "canceled",
    };
    let capturable = if entry.status == Status::Authorized { money(entry.amount_minor) } else { 0 };
    // What was released had been authorized, or nobody had tried to pay.
    let charged = match entry.status {
        Status::Authorized | Status::Captured | Status::Failed => true,
        Status::Voided => entry.action.is_some(),
        Status::Created | Status::Pending => waiting.is_some_and(|waiting| waiting.processing),
    };
    let charge = if charged { format!(r#""{}""#, id("ch_", number)) } else { "null".to_owned() };
    let next_action = if status == "requires_action" {
        format!(
            r#"{{"type":"redirect_to_url","redirect_to_url":{{"url":{},"return_url":null}}}}"#,
            quoted(action_url)
        )
    } else {
        "null".to_owned()
    };
    let error = if entry.status == Status::Failed {
        let why = failed(Failure::from_index(entry.failure), entry.method);
        let decline = if why.decline_code.is_empty() {
            String::new()
        } else {
            format!(r#","decline_code":"{}""#, why.decline_code)
        };
        format!(
            r#"{{"type":"{}","code":"{}"{decline},"message":{}}}"#,
            why.kind,
            why.code,
            quoted(why.message)
        )
    } else {
        "null".to_owned()
    };
    let is_manual = entry.manual
        || entry.status == Status::Authorized
        || entry.action.is_some()
        || waiting.is_some_and(|waiting| waiting.manual);
    format!(
        r#"{{"id":"{id}","object":"payment_intent","amount":{amount},"amount_capturable":{capturable},"amount_received":{received},"automatic_payment_methods":{{"allow_redirects":"always","enabled":true}},"canceled_at":null,"cancellation_reason":{cancelled},"capture_method":"{capture}","client_secret":"{secret}","confirmation_method":"automatic","created":{created},"currency":"{currency}","customer":null,"description":null,"last_payment_error":{error},"latest_charge":{charge},"livemode":false,"metadata":{metadata},"next_action":{next_action},"payment_method":null,"payment_method_types":["card","klarna","afterpay_clearpay"],"status":"{status}"}}"#,
        id = intent_id(number),
        amount = money(entry.amount_minor),
        received = money(entry.captured_minor),
        cancelled = if entry.status == Status::Voided { r#""requested_by_customer""# } else { "null" },
        capture = if is_manual { "manual" } else { "automatic" },
        secret = client_secret(number),
        created = entry.created_ms / 1_000,
        currency = currency.to_ascii_lowercase(),
        metadata = metadata(entry),
    )
}

/// An intent as it was when it was made.
pub(super) fn intent_as_made(number: u64, entry: &Entry) -> String {
    let made = Entry {
        status: Status::Created,
        captured_minor: 0,
        action: None,
        refunds: Vec::new(),
        ..entry.clone()
    };
    intent(number, &made, "")
}

pub(super) fn refund(number: u64, entry: &Entry, refund: &Refund) -> String {
    let reference = refund.reference();
    let metadata = if reference.is_empty() {
        "{}".to_owned()
    } else {
        format!(r#"{{"tollgate_reference":{}}}"#, quoted(reference))
    };
    let (status, reason) = match refund.state {
        RefundState::Processed => ("succeeded", ""),
        RefundState::Pending => ("pending", ""),
        RefundState::Failed => ("failed", r#","failure_reason":"expired_or_canceled_card""#),
    };
    format!(
        r#"{{"id":"{id}","object":"refund","amount":{amount},"balance_transaction":null,"charge":"{charge}","created":{created},"currency":"{currency}","metadata":{metadata},"payment_intent":"{intent}","reason":null,"status":"{status}"{reason}}}"#,
        id = refund_id(refund.action),
        amount = written(refund.amount_minor, entry.currency()),
        charge = self::id("ch_", number),
        created = now_ms() / 1_000,
        currency = entry.currency().to_ascii_lowercase(),
        intent = intent_id(number),
    )
}

/// The charge, as far as its event tells of it.
pub(super) fn charge(number: u64, entry: &Entry) -> String {
    let refunded = entry.refunded_minor();
    format!(
        r#"{{"id":"{id}","object":"charge","amount":{amount},"amount_captured":{captured},"amount_refunded":{given_back},"currency":"{currency}","metadata":{{}},"paid":true,"payment_intent":"{intent}","refunded":{whole},"status":"succeeded"}}"#,
        id = self::id("ch_", number),
        amount = written(entry.amount_minor, entry.currency()),
        captured = written(entry.captured_minor, entry.currency()),
        given_back = written(refunded, entry.currency()),
        currency = entry.currency().to_ascii_lowercase(),
        intent = intent_id(number),
        whole = refunded == entry.captured_minor,
    )
}

/// A page of a list, or of what a search found.
pub(super) fn page(object: &str, url: &str, items: &[String], has_more: bool) -> String {
    format!(r#"{{"object":"{object}","url":"{url}","has_more":{has_more},"data":[{}]}}"#, items.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back() {
        for number in [0, 1, 63, 50_000_000] {
            let text = intent_id(number);
            assert_eq!(text.len(), 27, "{text}");
            assert_eq!(number_of(&text, "pi_"), Some(number));
            assert_eq!(number_of(&text, "re_"), None);
        }
    }
}
