//! Reading what a processor says, by JSON pointers (RFC 6901), doubtfully.

use super::config::{Format, Meaning, Unit};
use super::errors::Errors;
use crate::answer::{declined, unknown, upi_link};
use crate::form::Fields;
use crate::{Charge, answer};
use base64::Engine;
use serde_json::{Map, Value};
use std::borrow::Cow;
use tollgate_core::currency::Currency;
use tollgate_core::failure::FailureCode;
use tollgate_core::method::{Instrument, UpiFlow};
use tollgate_core::money::{AMOUNT_MINOR_MAX, Money};
use tollgate_core::outcome::{NextAction, Outcome};

/// The longest id of theirs that is kept.
const ID_LENGTH_MAX: usize = 128;
/// The longest address that a customer is sent to.
const URL_LENGTH_MAX: usize = 8_192;
/// The longest page that is handed on, in base64.
const PAGE_LENGTH_MAX: usize = 512 * 1024;
/// The most fields of a form that is handed on.
const FORM_FIELDS_MAX: usize = 64;

/// A kind of message, as its configuration declares it.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) format: Format,
    pub(super) at: String,
    pub(super) list: Option<String>,
    pub(super) reference: String,
    pub(super) status: Option<String>,
    pub(super) without_status: Option<Meaning>,
    pub(super) statuses: Vec<(String, Meaning)>,
    pub(super) id: Option<String>,
    pub(super) amount: Option<String>,
    pub(super) captured_amount: Option<String>,
    pub(super) unit: Unit,
    pub(super) currency: Option<String>,
    pub(super) failure_code: Option<String>,
    pub(super) failure_message: Option<String>,
    pub(super) redirect_url: Option<String>,
    pub(super) upi_link: Option<String>,
    pub(super) form_url: Option<String>,
    pub(super) form_fields: Option<String>,
    pub(super) page_html_base64: Option<String>,
}

/// What a message is an answer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    Charge,
    Capture,
    Void,
    Refund,
    EnquireCharge,
    EnquireRefund,
    /// None: a webhook or callback.
    Told,
}

impl Question {
    pub(super) const fn is_enquiry(self) -> bool {
        matches!(self, Self::EnquireCharge | Self::EnquireRefund)
    }

    /// Whether it says how something ended that was asked for before.
    const fn is_settled(self) -> bool {
        matches!(self, Self::EnquireCharge | Self::EnquireRefund | Self::Told)
    }
}

/// What is known when a message is read.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) question: Question,
    /// The currency it must be in; none where only the processor names it.
    pub(super) currency: Option<Currency>,
    /// The account's currencies.
    pub(super) currencies: &'a [Currency],
    pub(super) charge: Option<&'a Charge<'a>>,
    pub(super) errors: &'a Errors,
}

/// What a message says.
pub(super) enum Said {
    /// The flow goes on.
    Next,
    /// It is answered.
    Outcome(Outcome),
}

/// Where the record that is asked about stands in a message.
pub(super) enum Found<'v> {
    Record(&'v Value),
    /// A list without it.
    Absent,
    Doubt(&'static str),
}

/// A body as JSON; a form becomes an object of texts. Nothing if it is neither.
pub(super) fn parse(format: Format, body: &[u8]) -> Option<Value> {
    match format {
        Format::Json => serde_json::from_slice(body).ok(),
        Format::Form => object_of(&Fields::parse(body)?),
    }
}

fn object_of(fields: &Fields<'_>) -> Option<Value> {
    let mut object = Map::new();
    for (name, value) in fields.iter() {
        // A field sent twice could be signed in one reading and obeyed in another.
        if object.insert(name.to_owned(), Value::String(value.to_owned())).is_some() {
            return None;
        }
    }
    Some(Value::Object(object))
}

/// A string, number or truth value, as its text.
pub(super) fn text_at<'v>(value: &'v Value, pointer: &str) -> Option<Cow<'v, str>> {
    match value.pointer(pointer)? {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(truth) => Some(Cow::Borrowed(if *truth { "true" } else { "false" })),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn optional<'v>(value: &'v Value, pointer: Option<&String>) -> Option<Cow<'v, str>> {
    text_at(value, pointer?).filter(|text| !text.is_empty())
}

impl Reading {
    /// Every pointer that an outcome depends on.
    pub(super) fn deciding(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let optional = [
            ("status", &self.status),
            ("id", &self.id),
            ("amount", &self.amount),
            ("captured_amount", &self.captured_amount),
            ("currency", &self.currency),
            ("failure_code", &self.failure_code),
        ];
        let optional = optional.into_iter().filter_map(|(name, it)| it.as_ref().map(|it| (name, it)));
        std::iter::once(("reference", &self.reference)).chain(optional)
    }

    pub(super) fn says(&self, meaning: Meaning) -> bool {
        self.without_status == Some(meaning) || self.statuses.iter().any(|(_, known)| *known == meaning)
    }

    /// The record whose reference is the expected one.
    pub(super) fn find<'v>(&self, message: &'v Value, expected: &str) -> Found<'v> {
        let Some(node) = message.pointer(&self.at) else {
            return Found::Doubt("the reply is not one the processor documents");
        };
        let is_it = |record: &Value| text_at(record, &self.reference).is_some_and(|it| it == expected);
        let Some(list) = &self.list else {
            return if is_it(node) {
                Found::Record(node)
            } else {
                Found::Doubt("the reply is about something else")
            };
        };
        let Some(Value::Array(records)) = node.pointer(list) else {
            return Found::Doubt("the reply is not one the processor documents");
        };
        let mut ours = records.iter().filter(|record| is_it(record));
        match (ours.next(), ours.next()) {
            (None, _) => Found::Absent,
            (Some(record), None) => Found::Record(record),
            (Some(_), Some(_)) => Found::Doubt("the processor knows the reference more than once"),
        }
    }

    /// The reference that a message names by itself.
    pub(super) fn named<'v>(&self, message: &'v Value) -> Option<(Cow<'v, str>, &'v Value)> {
        let record = message.pointer(&self.at)?;
        let reference = text_at(record, &self.reference).filter(|it| !it.is_empty())?;
        Some((reference, record))
    }

    fn meaning(&self, record: &Value) -> Option<Meaning> {
        let Some(pointer) = &self.status else {
            return self.without_status;
        };
        let status = text_at(record, pointer)?;
        self.statuses.iter().find(|(known, _)| *known == status).map(|(_, meaning)| *meaning)
    }

    /// The record's currency: theirs if they name one, never another than ours.
    fn currency(&self, record: &Value, asked: &Asked<'_>) -> Option<Currency> {
        let Some(pointer) = &self.currency else {
            let only = (asked.currencies.len() == 1).then(|| asked.currencies.first().copied()).flatten();
            return only.filter(|only| asked.currency.is_none_or(|ours| ours == *only));
        };
        let theirs: Currency = text_at(record, pointer)?.parse().ok()?;
        let right = asked.currency.map_or_else(|| asked.currencies.contains(&theirs), |ours| ours == theirs);
        right.then_some(theirs)
    }

    fn money(&self, record: &Value, pointer: Option<&String>, asked: &Asked<'_>) -> Option<i64> {
        let currency = self.currency(record, asked)?;
        let text = text_at(record, pointer?)?;
        match self.unit {
            Unit::Minor => {
                let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                let minor = digits.then(|| text.parse::<i64>().ok()).flatten()?;
                (1..=AMOUNT_MINOR_MAX).contains(&minor).then_some(minor)
            }
            Unit::Major => Money::parse_major(&text, currency).ok().map(|money| money.minor),
        }
    }

    fn id(&self, record: &Value) -> Option<String> {
        let id = optional(record, self.id.as_ref())?;
        let right = id.len() <= ID_LENGTH_MAX && id.bytes().all(|byte| byte.is_ascii_graphic());
        right.then(|| id.into_owned())
    }

    /// What the record says.
    pub(super) fn judge(&self, record: &Value, asked: &Asked<'_>) -> Said {
        let Some(meaning) = self.meaning(record) else {
            return Said::Outcome(unknown("the processor's status is not one the configuration knows"));
        };
        if meaning == Meaning::Next {
            return Said::Next;
        }
        Said::Outcome(self.outcome(meaning, record, asked))
    }

    fn outcome(&self, meaning: Meaning, record: &Value, asked: &Asked<'_>) -> Outcome {
        use Question::{Capture, Charge, EnquireCharge, EnquireRefund, Refund, Told, Void};
        // Whatever it says: in another currency it is about something else.
        let names_one = self.currency.as_ref().is_some_and(|pointer| text_at(record, pointer).is_some());
        if names_one && self.currency(record, asked).is_none() {
            return unknown("the processor names another currency");
        }
        let id = self.id(record);
        let amount = || self.money(record, self.amount.as_ref(), asked);
        match (meaning, asked.question) {
            (Meaning::Captured, Charge | Capture | EnquireCharge | Told) => {
                let pointer = self.captured_amount.as_ref().or(self.amount.as_ref());
                match (id, self.money(record, pointer, asked)) {
                    (Some(processor_payment_id), Some(amount_minor)) => {
                        Outcome::Captured { processor_payment_id, amount_minor }
                    }
                    _ => answer::unreadable(),
                }
            }
            (Meaning::Captured, Void) => {
                declined(FailureCode::ProcessorRejected, "the processor has taken the money already")
            }
            (Meaning::Authorized, Charge | EnquireCharge | Told) => match (id, amount()) {
                (Some(processor_payment_id), Some(amount_minor)) => {
                    Outcome::Authorized { processor_payment_id, amount_minor }
                }
                _ => answer::unreadable(),
            },
            (Meaning::Refunded, Refund | EnquireRefund | Told) => match (id, amount()) {
                (Some(processor_refund_id), Some(amount_minor)) => {
                    Outcome::Refunded { processor_refund_id, amount_minor }
                }
                _ => answer::unreadable(),
            },
            (Meaning::Voided, Charge | Capture | Void | EnquireCharge | Told) => Outcome::Voided,
            (Meaning::NotFound, EnquireCharge | EnquireRefund) => Outcome::NotFound,
            (Meaning::Action, Charge) => self.action(record, id, asked),
            (Meaning::Pending, _) | (Meaning::Action, EnquireCharge | Told) => {
                Outcome::Pending { processor_payment_id: id }
            }
            (Meaning::Declined, _) => {
                let code = optional(record, self.failure_code.as_ref());
                let message = optional(record, self.failure_message.as_ref());
                let message = message.as_deref().unwrap_or("the processor declined");
                let by_default = match asked.question {
                    Charge | EnquireCharge | Told => FailureCode::CardDeclined,
                    Capture | Void | Refund | EnquireRefund => FailureCode::ProcessorRejected,
                };
                let outcome = asked.errors.declined(code.as_deref(), message, by_default);
                match outcome {
                    // It is known to be over: no invitation to try elsewhere.
                    Outcome::NotTaken(failure) if asked.question.is_settled() => Outcome::Declined(failure),
                    other => other,
                }
            }
            _ => unknown("the processor's status does not answer what was asked"),
        }
    }

    /// What the customer has to do; without anything to do the payment is just not finished.
    fn action(&self, record: &Value, id: Option<String>, asked: &Asked<'_>) -> Outcome {
        let Some(charge) = asked.charge else {
            return Outcome::Pending { processor_payment_id: id };
        };
        let found = match self.next_action(record, charge) {
            Ok(found) => found,
            Err(why) => return unknown(why),
        };
        match found {
            Some(action) if shows_card(&action, charge) => {
                unknown("the processor's next step repeats card data")
            }
            Some(action) => Outcome::ActionRequired { processor_payment_id: id, action },
            None => Outcome::Pending { processor_payment_id: id },
        }
    }

    fn next_action(&self, record: &Value, charge: &Charge<'_>) -> Result<Option<NextAction>, &'static str> {
        const WRONG: &str = "the processor's next step is not one the configuration knows";
        if let Some(link) = optional(record, self.upi_link.as_ref()) {
            return match link.starts_with("upi://") && is_url(&link) {
                true => Ok(Some(upi_link(charge, link.into_owned()))),
                false => Err(WRONG),
            };
        }
        if let Some(url) = optional(record, self.redirect_url.as_ref()) {
            return match is_web(&url) {
                true => Ok(Some(NextAction::Redirect { url: url.into_owned() })),
                false => Err(WRONG),
            };
        }
        if let Some(url) = optional(record, self.form_url.as_ref()) {
            let fields = self.form_fields.as_ref().and_then(|pointer| record.pointer(pointer));
            let fields = fields.and_then(Value::as_object).ok_or(WRONG)?;
            let read = |name: &String| {
                let value = fields.get(name).map(|value| text_at(value, ""));
                value.flatten().map(|value| (name.clone(), value.into_owned()))
            };
            let read: Option<Vec<_>> = fields.keys().map(read).collect();
            let read = read.filter(|read| read.len() <= FORM_FIELDS_MAX && is_web(&url)).ok_or(WRONG)?;
            return Ok(Some(NextAction::Form { url: url.into_owned(), fields: read }));
        }
        if let Some(page) = optional(record, self.page_html_base64.as_ref()) {
            let decodes = || base64::engine::general_purpose::STANDARD.decode(page.as_bytes()).is_ok();
            return match page.len() <= PAGE_LENGTH_MAX && decodes() {
                true => Ok(Some(NextAction::Page { html_base64: page.into_owned() })),
                false => Err(WRONG),
            };
        }
        let collect = matches!(charge.instrument, Instrument::Upi { flow: UpiFlow::Collect, .. });
        Ok(collect.then_some(NextAction::UpiCollect))
    }
}

fn is_url(text: &str) -> bool {
    text.len() <= URL_LENGTH_MAX && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_web(text: &str) -> bool {
    is_url(text) && (text.starts_with("https://") || text.starts_with("http://"))
}

/// The next step is stored and shown: a number that came back in it must not be.
fn shows_card(action: &NextAction, charge: &Charge<'_>) -> bool {
    let Some(card) = charge.instrument.card() else {
        return false;
    };
    let shows = |text: &str| text.contains(card.number.expose());
    match action {
        NextAction::Redirect { url } => shows(url),
        NextAction::Form { url, fields } => {
            let cvc = card.cvc.as_ref().map(|cvc| cvc.expose());
            let shown =
                |(name, value): &(String, String)| shows(name) || shows(value) || cvc == Some(value.as_str());
            shows(url) || fields.iter().any(shown)
        }
        NextAction::Page { html_base64 } => base64::engine::general_purpose::STANDARD
            .decode(html_base64)
            .is_ok_and(|page| shows(&String::from_utf8_lossy(&page))),
        NextAction::UpiIntent { .. } | NextAction::UpiCollect | NextAction::UpiQr { .. } => false,
    }
}
