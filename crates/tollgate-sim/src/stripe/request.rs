//! Requests as they are read, refusals as they are written, and Stripe's units of money.

use crate::http::{Response, form_field, json, quoted};
use crate::instrument::{self, Behaviour};

/// The largest amount (docs.stripe.com/currencies#minimum-and-maximum-charge-amounts).
const AMOUNT_MAX: i64 = 99_999_999;

/// Our minor units of an amount as it is written; `None` if the currency does not allow it.
///
/// Source: docs.stripe.com/currencies.
pub(super) fn minor_of(written: i64, currency: &str) -> Option<i64> {
    let whole = |step: i64| written % step == 0;
    match currency {
        "ISK" | "UGX" => whole(100).then_some(written / 100),
        "MGA" => Some(written * 100),
        "BHD" | "JOD" | "KWD" | "OMR" | "TND" => whole(10).then_some(written),
        _ => Some(written),
    }
}

/// How an amount is written.
pub(super) fn written(minor: i64, currency: &str) -> i64 {
    match currency {
        "ISK" | "UGX" => minor * 100,
        "MGA" => minor / 100,
        _ => minor,
    }
}

/// The fields of a form. Names come escaped (`metadata%5Bkey%5D`) or plain.
pub(super) struct Form<'b>(pub(super) &'b [u8]);

impl Form<'_> {
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let escaped = || name.replace('[', "%5B").replace(']', "%5D");
        form_field(self.0, name).or_else(|| form_field(self.0, &escaped()))
    }

    pub(super) fn is(&self, name: &str, value: &str) -> bool {
        self.get(name).as_deref() == Some(value)
    }

    /// An amount in our minor units.
    pub(super) fn amount(&self, name: &'static str, currency: &str) -> Result<Option<i64>, Refused> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let written: i64 =
            text.parse().map_err(|_| refused("parameter_invalid_integer", "Invalid integer", name))?;
        if written < 1 {
            return Err(refused(
                "parameter_invalid_integer",
                "This value must be greater than or equal to 1.",
                name,
            ));
        }
        if written > AMOUNT_MAX {
            return Err(refused("amount_too_large", "Amount must be no more than 999,999.99", name));
        }
        let text = "This amount has digits that the currency does not have.";
        minor_of(written, currency).map(Some).ok_or(refused("parameter_invalid_integer", text, name))
    }

    /// All metadata, as a JSON object.
    pub(super) fn metadata(&self) -> serde_json::Map<String, serde_json::Value> {
        let text = std::str::from_utf8(self.0).unwrap_or("");
        let pairs = text.split('&').filter_map(|pair| {
            let (name, _) = pair.split_once('=')?;
            let plain = name.replace("%5B", "[").replace("%5D", "]");
            let key = plain.strip_prefix("metadata[")?.strip_suffix(']')?.to_owned();
            Some((key, form_field(pair.as_bytes(), name)?.into()))
        });
        pairs.collect()
    }

    /// What the instrument makes happen: the card decides, or else the customer's e-mail.
    pub(super) fn behaviour(&self) -> Behaviour {
        let by_email = || {
            let email = self.get("payment_method_data[billing_details][email]");
            instrument::of_name(email.or_else(|| self.get("receipt_email")).as_deref().unwrap_or(""))
        };
        let number = self.get("payment_method_data[card][number]");
        let card = match self.get("payment_method").as_deref() {
            Some("pm_card_chargeDeclined") => Behaviour::Fail(instrument::Failure::Declined),
            Some("pm_card_threeDSecure2Required") => Behaviour::Pending { approve: true },
            _ => instrument::of_card(number.as_deref().unwrap_or("")),
        };
        match card {
            Behaviour::Success => by_email(),
            other => other,
        }
    }
}

/// A refusal in Stripe's form.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) kind: &'static str,
    pub(super) code: &'static str,
    pub(super) decline_code: &'static str,
    pub(super) message: &'static str,
    pub(super) param: &'static str,
    /// The payment intent, where the request was about one.
    pub(super) intent: Option<String>,
}

pub(super) const fn refused(code: &'static str, message: &'static str, param: &'static str) -> Refused {
    Refused {
        status: 400,
        kind: "invalid_request_error",
        code,
        decline_code: "",
        message,
        param,
        intent: None,
    }
}

pub(super) const NO_SUCH_INTENT: Refused = Refused {
    status: 404,
    kind: "invalid_request_error",
    code: "resource_missing",
    decline_code: "",
    message: "No such payment_intent",
    param: "intent",
    intent: None,
};

pub(super) const BROKEN: Refused = Refused {
    status: 500,
    kind: "api_error",
    code: "",
    decline_code: "",
    message: "An unknown error occurred",
    param: "",
    intent: None,
};

impl Refused {
    pub(super) fn body(&self) -> String {
        let mut body = format!(r#"{{"error":{{"type":"{}","message":{}"#, self.kind, quoted(self.message));
        for (name, value) in [("code", self.code), ("decline_code", self.decline_code), ("param", self.param)]
        {
            if !value.is_empty() {
                body.push_str(&format!(r#","{name}":"{value}""#));
            }
        }
        if let Some(intent) = &self.intent {
            body.push_str(r#","payment_intent":"#);
            body.push_str(intent);
        }
        body.push_str("}}");
        body
    }

    pub(super) fn reply(&self) -> Response {
        json(self.status, self.body())
    }
}
