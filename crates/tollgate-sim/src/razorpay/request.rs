//! Requests as they are read, and refusals as they are written.

use crate::books::{Method, Notes};
use crate::http::{Response, json, quoted};
use crate::instrument::{self, Behaviour};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The longest receipt (razorpay.com/docs/api/orders/create).
pub(super) const RECEIPT_LENGTH_MAX: usize = 40;

#[derive(Deserialize)]
pub(super) struct OrderRequest<'a> {
    #[serde(borrow)]
    pub(super) amount: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) currency: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) receipt: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) notes: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) payment: Option<CaptureSettings<'a>>,
    #[serde(borrow)]
    pub(super) payment_capture: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) customer_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) token: Option<TokenRequest<'a>>,
}

/// The terms of a mandate.
#[derive(Deserialize)]
pub(super) struct TokenRequest<'a> {
    #[serde(borrow)]
    pub(super) max_amount: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) expire_at: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) frequency: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
pub(super) struct CustomerRequest<'a> {
    #[serde(borrow)]
    pub(super) name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) email: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) contact: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
pub(super) struct CaptureSettings<'a> {
    #[serde(borrow)]
    pub(super) capture: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
pub(super) struct PaymentRequest<'a> {
    #[serde(borrow)]
    pub(super) amount: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) currency: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) order_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) email: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) contact: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) card: Option<CardRequest<'a>>,
    #[serde(borrow)]
    pub(super) upi: Option<UpiRequest<'a>>,
    #[serde(borrow)]
    pub(super) vpa: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) wallet: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) bank: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) provider: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) emi_duration: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) customer_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) token: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) recurring: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) callback_url: Option<Cow<'a, str>>,
}

impl PaymentRequest<'_> {
    pub(super) fn email(&self) -> &str {
        self.email.as_deref().unwrap_or("")
    }

    /// Whether it sets a mandate up or debits one.
    pub(super) fn is_recurring(&self) -> bool {
        self.recurring.is_some_and(|raw| matches!(raw.get().trim_matches('"'), "1" | "true"))
    }
}

#[derive(Deserialize)]
pub(super) struct CardRequest<'a> {
    #[serde(borrow)]
    pub(super) number: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) tokenised: bool,
    #[serde(borrow)]
    pub(super) cryptogram_value: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
pub(super) struct UpiRequest<'a> {
    #[serde(borrow)]
    pub(super) flow: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) vpa: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
pub(super) struct MoneyRequest<'a> {
    #[serde(borrow)]
    pub(super) amount: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) currency: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) receipt: Option<Cow<'a, str>>,
}

/// The integer of a JSON number or of a string holding one.
pub(super) fn integer(raw: &RawValue) -> Option<i64> {
    raw.get().trim_matches('"').parse().ok()
}

/// A refusal in Razorpay's form.
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) description: &'static str,
    pub(super) reason: &'static str,
    pub(super) field: &'static str,
}

pub(super) const fn refused(description: &'static str, reason: &'static str, field: &'static str) -> Refused {
    Refused { status: 400, description, reason, field }
}

impl Refused {
    pub(super) fn reply(&self) -> Response {
        let field = if self.field.is_empty() { "null".to_owned() } else { quoted(self.field) };
        json(
            self.status,
            format!(
                r#"{{"error":{{"code":"BAD_REQUEST_ERROR","description":{},"source":"business","step":"payment_initiation","reason":"{}","metadata":{{}},"field":{field}}}}}"#,
                quoted(self.description),
                self.reason
            ),
        )
    }
}

pub(super) const NO_SUCH_ID: Refused =
    refused("The id provided does not exist", "input_validation_failed", "id");
pub(super) const UNREADABLE: Refused = refused("The request is invalid", "input_validation_failed", "");

pub(super) const ALREADY_PAID: Refused =
    refused("Payment already done for this order.", "order_already_paid", "order_id");

/// What the method needs beyond what every payment does.
pub(super) fn check_method(request: &PaymentRequest<'_>) -> Result<(), Refused> {
    let required = |present: bool, text, field| {
        if present { Ok(()) } else { Err(refused(text, "input_validation_failed", field)) }
    };
    if let Some(card) = &request.card
        && card.tokenised
    {
        let number = card.number.map_or("", |raw| raw.get().trim_matches('"'));
        let is_amex = number.starts_with("34") || number.starts_with("37");
        let has = card.cryptogram_value.as_deref().is_some_and(|value| !value.is_empty());
        required(has != is_amex, "The cryptogram value field is required.", "cryptogram_value")?;
    }
    match request.method.as_deref() {
        Some("emi") => {
            let months = request.emi_duration.and_then(integer);
            let known = months.is_some_and(|months| [3, 6, 9, 12, 18, 24, 36].contains(&months));
            required(known, "The emi duration field is required.", "emi_duration")
        }
        Some("paylater") => {
            required(request.provider.is_some(), "The provider field is required.", "provider")
        }
        Some("wallet") => required(request.wallet.is_some(), "The wallet field is required.", "wallet"),
        Some("netbanking") => required(request.bank.is_some(), "The bank field is required.", "bank"),
        _ => Ok(()),
    }
}

/// Method, what the instrument makes happen, and whether it is a UPI intent.
pub(super) fn instrument_of(request: &PaymentRequest<'_>) -> (Method, Behaviour, bool) {
    let by_email = || instrument::of_name(request.email());
    let or_email = |behaviour| match behaviour {
        Behaviour::Success => by_email(),
        other => other,
    };
    match request.method.as_deref() {
        Some("upi") => {
            let upi = request.upi.as_ref();
            let vpa = upi.and_then(|upi| upi.vpa.as_deref()).or(request.vpa.as_deref());
            let flow = upi.and_then(|upi| upi.flow.as_deref());
            let is_intent = flow == Some("intent") || vpa.is_none();
            (Method::Upi, or_email(instrument::of_name(vpa.unwrap_or(""))), is_intent)
        }
        Some("wallet") => {
            let name = request.wallet.as_deref().unwrap_or("");
            (Method::Wallet, or_email(instrument::of_name(name)), false)
        }
        Some("netbanking") => {
            let name = request.bank.as_deref().unwrap_or("");
            (Method::NetBanking, or_email(instrument::of_name(name)), false)
        }
        Some("paylater") => {
            let name = request.provider.as_deref().unwrap_or("");
            (Method::Bnpl, or_email(instrument::of_name(name)), false)
        }
        method => {
            let number = request.card.as_ref().and_then(|card| card.number);
            let number = number.map_or("", |raw| raw.get().trim_matches('"'));
            let kind = if method == Some("emi") { Method::Emi } else { Method::Card };
            (kind, or_email(instrument::of_card(number)), false)
        }
    }
}

pub(super) fn notes_of(raw: Option<&RawValue>, reference: &str) -> Result<Notes, Refused> {
    let Some(raw) = raw else {
        return Ok(Notes::None);
    };
    let usual = raw.get().strip_prefix(r#"{"tollgate_reference":""#);
    if usual.and_then(|rest| rest.strip_suffix("\"}")) == Some(reference) {
        return Ok(Notes::Reference);
    }
    let value: serde_json::Value = serde_json::from_str(raw.get()).map_err(|_| UNREADABLE)?;
    match value.as_object() {
        Some(notes) if notes.len() > 15 => Err(refused(
            "Number of fields in notes should be less than or equal to 15",
            "input_validation_failed",
            "notes",
        )),
        Some(notes) if !notes.is_empty() => Ok(Notes::Json(value.to_string().into())),
        _ => Ok(Notes::None),
    }
}
