//! What Paytm says by itself: the form that the customer's browser brings back, the same form from
//! server to server, and refund webhooks, which are JSON signed as replies are.
//!
//! `CHECKSUMHASH` covers the *values* of all other fields, in the order of their names and joined by
//! `|`. It does not cover the names. A form is therefore refused when a value holds the separator, when
//! a name comes twice, or when a name is not one of upper-case letters as all of Paytm's are: the values
//! keep their number and order then, and no renaming can make a state, an order or an amount of another.
//!
//! Source: paytmpayments.com/docs, Payment Status, Success Refund and Accept Refund webhooks, Checksum;
//! the SDK `paytmchecksum`.

use super::reply::{Signed, open};
use super::{Paytm, amount_minor, codes};
use crate::answer::unreadable;
use crate::form::Fields;
use crate::json::{Text, text};
use crate::webhook::{Callback, CallbackRequest, WebhookError, WebhookMessage, WebhookSubject};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::outcome::Outcome;

const HASH: &str = "CHECKSUMHASH";

/// The fields of a transaction, wherever they came from.
#[derive(Debug)]
pub(super) struct Notice<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Notice<'a> {
    fn of_form(fields: &'a Fields<'_>) -> Self {
        Self(fields.iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// From a JSON object of scalars; missing values are empty ones.
    pub(super) fn of_json(json: &'a str) -> Option<Self> {
        let fields: BTreeMap<Cow<'a, str>, Option<Text<'a>>> = serde_json::from_str(json).ok()?;
        let fields = fields.into_iter().map(|(name, value)| (name, text(&value).to_owned().into()));
        Some(Self(fields.collect()))
    }

    /// The value of a field; empty when it is missing.
    fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }

    pub(super) fn reference(&self) -> &str {
        self.get("ORDERID")
    }

    /// Whether Paytm made it for this account.
    pub(super) fn is_signed_by(&self, account: &Paytm) -> bool {
        let mut fields: Vec<_> = self.0.iter().filter(|(name, _)| name != HASH).collect();
        // By bytes, as the SDKs sort.
        fields.sort_by(|one, other| one.0.cmp(&other.0));
        let hashes = self.0.len() - fields.len();
        let unambiguous = fields.windows(2).all(|pair| pair[0].0 != pair[1].0)
            && fields.iter().all(|(name, value)| is_name(name) && !value.contains('|'));
        // The word "null" is signed as an empty value.
        let values = fields.iter().map(|(_, value)| if is_null(value) { "" } else { value.as_ref() });
        let payload = values.collect::<Vec<_>>().join("|");
        hashes == 1
            && unambiguous
            && self.get("MID") == account.mid
            && account.key.verifies(payload.as_bytes(), self.get(HASH))
    }

    /// What a signed notice says.
    pub(super) fn outcome(&self) -> Outcome {
        let known_id = codes::id(self.get("TXNID"));
        match (self.get("STATUS"), self.get("RESPCODE")) {
            ("TXN_SUCCESS", "01") if self.get("CURRENCY") == "INR" => {
                match (known_id, amount_minor(self.get("TXNAMOUNT"))) {
                    (Some(processor_payment_id), Some(amount_minor)) => {
                        Outcome::Captured { processor_payment_id, amount_minor }
                    }
                    _ => unreadable(),
                }
            }
            ("PENDING", _) => Outcome::Pending { processor_payment_id: known_id },
            ("TXN_FAILURE", code) => codes::failed(code, self.get("RESPMSG")),
            _ => unreadable(),
        }
    }
}

fn is_null(value: &str) -> bool {
    value.eq_ignore_ascii_case("null")
}

/// Paytm's names are upper-case words.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// What the customer's browser brought back.
pub(super) fn callback(account: &Paytm, request: &CallbackRequest<'_>) -> Result<Callback, WebhookError> {
    let fields = Fields::parse(request.body).ok_or(WebhookError::Signature)?;
    let notice = Notice::of_form(&fields);
    if notice.get(HASH).is_empty() {
        return Ok(Callback::Ask);
    }
    if !notice.is_signed_by(account) || notice.reference() != request.reference {
        return Err(WebhookError::Signature);
    }
    Ok(match notice.outcome() {
        Outcome::Unknown(_) => Callback::Ask,
        outcome => Callback::Says(outcome),
    })
}

/// A message from server to server: of a payment or of a refund.
pub(super) fn webhook(account: &Paytm, body: &[u8]) -> Result<WebhookMessage, WebhookError> {
    let subject = match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => refund(account, body)?,
        _ => payment(account, body)?,
    };
    Ok(WebhookMessage { dedupe_key: crate::digest::sha256_text(body), subject: Some(subject) })
}

fn payment(account: &Paytm, body: &[u8]) -> Result<WebhookSubject, WebhookError> {
    let fields = Fields::parse(body).ok_or(WebhookError::Signature)?;
    let notice = Notice::of_form(&fields);
    if !notice.is_signed_by(account) {
        return Err(WebhookError::Signature);
    }
    let reference = notice.reference().to_owned();
    if reference.is_empty() {
        return Err(WebhookError::Malformed);
    }
    Ok(WebhookSubject { reference, outcome: notice.outcome() })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RefundNotice<'a> {
    #[serde(borrow)]
    mid: Option<Text<'a>>,
    #[serde(borrow)]
    ref_id: Option<Text<'a>>,
    #[serde(borrow)]
    refund_id: Option<Text<'a>>,
    #[serde(borrow)]
    refund_amount: Option<Text<'a>>,
    #[serde(borrow)]
    status: Option<Text<'a>>,
    #[serde(borrow)]
    user_credit_initiate_timestamp: Option<Text<'a>>,
    #[serde(borrow)]
    reject_refund_reason_code: Option<Text<'a>>,
    #[serde(borrow)]
    reject_refund_reason_message: Option<Text<'a>>,
}

fn refund(account: &Paytm, body: &[u8]) -> Result<WebhookSubject, WebhookError> {
    let Some((Signed::Rightly, inner)) = open(account, body) else {
        return Err(WebhookError::Signature);
    };
    let notice: RefundNotice<'_> = serde_json::from_str(inner).map_err(|_| WebhookError::Malformed)?;
    let mid = text(&notice.mid);
    if !mid.is_empty() && mid != account.mid {
        return Err(WebhookError::Signature);
    }
    let reference = text(&notice.ref_id).to_owned();
    if reference.is_empty() {
        return Err(WebhookError::Malformed);
    }
    let outcome = match text(&notice.status) {
        "FAILED" => Outcome::Declined(
            Failure::new(FailureCode::ProcessorRejected, text(&notice.reject_refund_reason_message))
                .with_processor_code(text(&notice.reject_refund_reason_code)),
        ),
        // Accepted: the merchant's balance is debited, the bank not told yet.
        "SUCCESS" => Outcome::Pending { processor_payment_id: None },
        // Handed to the bank.
        "" if !text(&notice.user_credit_initiate_timestamp).is_empty() => {
            match (codes::id(text(&notice.refund_id)), amount_minor(text(&notice.refund_amount))) {
                (Some(processor_refund_id), Some(amount_minor)) => {
                    Outcome::Refunded { processor_refund_id, amount_minor }
                }
                _ => return Err(WebhookError::Malformed),
            }
        }
        _ => return Err(WebhookError::Malformed),
    };
    Ok(WebhookSubject { reference, outcome })
}
