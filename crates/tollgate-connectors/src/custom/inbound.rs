//! Webhooks and callbacks: what is signed, and what may be read of it.
//!
//! Where not the whole body is signed, nothing may be read but what is: whatever else stands there
//! could have been put there by anybody.

use super::Plan;
use super::compile::{Checked, check_header, check_pointer, refuse, secret};
use super::config::{self, Format};
use super::reading::{Asked, Question, Reading, Said, parse, text_at};
use super::signing::Signer;
use super::template::pieces;
use crate::digest::sha256_text;
use crate::form::Fields;
use crate::webhook::{
    Callback, CallbackRequest, WebhookError, WebhookMessage, WebhookRequest, WebhookSubject,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use tollgate_core::card::Secret;
use tollgate_core::outcome::Outcome;

type Readings = BTreeMap<String, Arc<Reading>>;

/// A piece of the string that a signature is over.
#[derive(Debug, Clone)]
enum Signed {
    Literal(String),
    Body,
    Header(String),
    Pointer(String),
}

/// `[webhook]`, checked.
#[derive(Debug)]
pub(super) struct WebhookPlan {
    signer: Signer,
    header: String,
    signed: Vec<Signed>,
    format: Format,
    message_id: Option<String>,
    event: Option<String>,
    events: BTreeMap<String, Arc<Reading>>,
}

/// `[callback]`, checked.
#[derive(Debug)]
pub(super) struct CallbackPlan {
    signer: Signer,
    field: String,
    signed: Vec<Signed>,
    reading: Arc<Reading>,
}

fn signed(field: &str, text: &str, callback: bool) -> Checked<Vec<Signed>> {
    let mut parts: Vec<Signed> = Vec::new();
    for piece in pieces(text).map_err(|why| format!("{field}: {why}"))? {
        let part = match piece {
            Err(literal) => Signed::Literal(literal.to_owned()),
            Ok("body") if !callback => Signed::Body,
            Ok(name) if name.starts_with('/') => {
                check_pointer(field, name)?;
                Signed::Pointer(name.to_owned())
            }
            Ok(name) => match name.strip_prefix("header.") {
                Some(header) if !callback => {
                    check_header(field, header)?;
                    Signed::Header(header.to_owned())
                }
                _ => return refuse(field, &format!("unknown placeholder {{{{{name}}}}}")),
            },
        };
        let is_value = |part: &Signed| !matches!(part, Signed::Literal(_));
        if is_value(&part) && parts.last().is_some_and(is_value) {
            return refuse(
                field,
                "something must stand between two values, or one could be read as the other",
            );
        }
        parts.push(part);
    }
    if !parts.iter().any(|part| matches!(part, Signed::Body | Signed::Pointer(_))) {
        return refuse(field, "must be over the body, or over pointers into it");
    }
    Ok(parts)
}

/// Everything that decides must be signed.
fn check_covered(field: &str, parts: &[Signed], reading: &Reading, more: &[&String]) -> Checked<()> {
    if parts.iter().any(|part| matches!(part, Signed::Body)) {
        return Ok(());
    }
    let is_signed =
        |wanted: &str| parts.iter().any(|part| matches!(part, Signed::Pointer(pointer) if pointer == wanted));
    let decides = reading.deciding().map(|(_, pointer)| format!("{}{pointer}", reading.at));
    for pointer in decides.chain(more.iter().map(|it| (*it).clone())) {
        if !is_signed(&pointer) {
            return refuse(field, &format!("`{pointer}` is read, so it must be signed too"));
        }
    }
    Ok(())
}

fn check_told(field: &str, reading: &Reading) -> Checked<()> {
    if reading.list.is_some() {
        return refuse(field, "a message about one payment has no `list`");
    }
    if reading.status.is_none() {
        return refuse(field, "the reply needs a `status`");
    }
    Ok(())
}

/// Checks `[webhook]`.
pub(super) fn webhook(
    webhook: &config::Webhook,
    secrets: &BTreeMap<String, Secret>,
    readings: &Readings,
) -> Checked<WebhookPlan> {
    check_header("webhook.header", &webhook.header)?;
    let key = secret(secrets, "webhook.secret", &webhook.secret)?;
    let parts = signed("webhook.signed", &webhook.signed, false)?;
    for (name, pointer) in [("message_id", &webhook.message_id), ("event", &webhook.event)] {
        if let Some(pointer) = pointer {
            check_pointer(&format!("webhook.{name}"), pointer)?;
        }
    }
    check_pointer("webhook.at", &webhook.at)?;
    if webhook.events.is_empty() || (webhook.event.is_none() && !webhook.events.keys().eq(["*"])) {
        return refuse("webhook.events", "must map events to `replies`; without `event`, only \"*\"");
    }
    let mut events = BTreeMap::new();
    for (event, name) in &webhook.events {
        let field = format!("webhook.events.{event}");
        let Some(reading) = readings.get(name) else {
            return refuse(&field, &format!("there is no `replies.{name}`"));
        };
        check_told(&field, reading)?;
        let mut reading = Reading::clone(reading);
        reading.at = format!("{}{}", webhook.at, reading.at);
        let more: Vec<&String> = webhook.message_id.iter().chain(&webhook.event).collect();
        check_covered("webhook.signed", &parts, &reading, &more)?;
        events.insert(event.clone(), Arc::new(reading));
    }
    Ok(WebhookPlan {
        signer: Signer::new(webhook.algorithm, key, webhook.encoding, &webhook.prefix),
        header: webhook.header.clone(),
        signed: parts,
        format: webhook.format,
        message_id: webhook.message_id.clone(),
        event: webhook.event.clone(),
        events,
    })
}

/// Checks `[callback]`.
pub(super) fn callback(
    callback: &config::Callback,
    secrets: &BTreeMap<String, Secret>,
    readings: &Readings,
) -> Checked<CallbackPlan> {
    let key = secret(secrets, "callback.secret", &callback.secret)?;
    if callback.field.is_empty() {
        return refuse("callback.field", "must name the field with the signature");
    }
    let parts = signed("callback.signed", &callback.signed, true)?;
    let Some(reading) = readings.get(&callback.reply) else {
        return refuse("callback.reply", &format!("there is no `replies.{}`", callback.reply));
    };
    check_told("callback.reply", reading)?;
    check_covered("callback.signed", &parts, reading, &[])?;
    Ok(CallbackPlan {
        signer: Signer::new(callback.algorithm, key, callback.encoding, &callback.prefix),
        field: callback.field.clone(),
        signed: parts,
        reading: Arc::clone(reading),
    })
}

/// Whether a signature holds.
fn holds<'r>(
    signer: &Signer,
    parts: &[Signed],
    message: &Value,
    body: &[u8],
    header: &dyn Fn(&str) -> Option<&'r str>,
    given: &str,
) -> bool {
    let mut values: Vec<Vec<u8>> = Vec::with_capacity(parts.len());
    for part in parts {
        let value = match part {
            Signed::Literal(text) => text.clone().into_bytes(),
            Signed::Body => body.to_vec(),
            Signed::Header(name) => match header(name) {
                Some(value) => value.as_bytes().to_vec(),
                None => return false,
            },
            // A field that is not there is signed as nothing, as processors do.
            Signed::Pointer(pointer) => match message.pointer(pointer) {
                None | Some(Value::Null) => Vec::new(),
                Some(_) => match text_at(message, pointer) {
                    Some(text) => text.into_owned().into_bytes(),
                    None => return false,
                },
            },
        };
        // A value with the separator in it could be read as two.
        let literals = parts.iter().filter_map(|part| match part {
            Signed::Literal(text) => Some(text.as_bytes()),
            _ => None,
        });
        let is_pointer = matches!(part, Signed::Pointer(_) | Signed::Header(_));
        if is_pointer && literals.into_iter().any(|it| value.windows(it.len()).any(|part| part == it)) {
            return false;
        }
        values.push(value);
    }
    let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
    signer.verifies(&values, given)
}

impl Plan {
    fn told<'a>(&'a self) -> Asked<'a> {
        Asked {
            question: Question::Told,
            currency: None,
            currencies: &self.currencies,
            charge: None,
            errors: &self.errors,
        }
    }

    pub(super) fn read_webhook(&self, request: &WebhookRequest<'_>) -> Result<WebhookMessage, WebhookError> {
        let plan = self.webhook.as_ref().ok_or(WebhookError::Signature)?;
        let given = (request.header)(&plan.header).ok_or(WebhookError::Signature)?;
        // Only what is signed by its parts has to be understood before its signature is checked.
        let message = parse(plan.format, request.body);
        let known = message.as_ref().unwrap_or(&Value::Null);
        if !holds(&plan.signer, &plan.signed, known, request.body, request.header, given) {
            return Err(WebhookError::Signature);
        }
        let message = message.ok_or(WebhookError::Malformed)?;
        let told = plan.message_id.as_ref().and_then(|pointer| text_at(&message, pointer));
        let told = told.filter(|id| !id.is_empty() && id.len() <= 128);
        let dedupe_key = told.map_or_else(|| sha256_text(request.body), std::borrow::Cow::into_owned);
        let event = match &plan.event {
            None => std::borrow::Cow::Borrowed("*"),
            Some(pointer) => text_at(&message, pointer).ok_or(WebhookError::Malformed)?,
        };
        let reading = plan.events.get(event.as_ref()).or_else(|| plan.events.get("*"));
        let Some(reading) = reading else {
            return Ok(WebhookMessage { dedupe_key, subject: None });
        };
        let (reference, record) = reading.named(&message).ok_or(WebhookError::Malformed)?;
        let outcome = match reading.judge(record, &self.told()) {
            Said::Outcome(outcome) => outcome,
            // A step of a flow says nothing about its end.
            Said::Next => Outcome::Pending { processor_payment_id: None },
        };
        let subject = Some(WebhookSubject { reference: reference.into_owned(), outcome });
        Ok(WebhookMessage { dedupe_key, subject })
    }

    pub(super) fn read_callback(&self, request: &CallbackRequest<'_>) -> Result<Callback, WebhookError> {
        let Some(plan) = &self.callback else {
            return Ok(Callback::Ask);
        };
        let brought = if request.body.is_empty() { request.query.as_bytes() } else { request.body };
        let Some(fields) = Fields::parse(brought) else {
            return Ok(Callback::Ask);
        };
        let given = match fields.get(&plan.field) {
            None => return Err(WebhookError::Signature),
            Some("") => return Ok(Callback::Ask),
            Some(given) => given,
        };
        let message = parse(Format::Form, brought).ok_or(WebhookError::Signature)?;
        if !holds(&plan.signer, &plan.signed, &message, brought, &|_| None, given) {
            return Err(WebhookError::Signature);
        }
        let (reference, record) = plan.reading.named(&message).ok_or(WebhookError::Malformed)?;
        // Signed, but for another payment.
        if reference != request.reference {
            return Err(WebhookError::Signature);
        }
        Ok(match plan.reading.judge(record, &self.told()) {
            Said::Outcome(Outcome::Unknown(_)) | Said::Next => Callback::Ask,
            Said::Outcome(outcome) => Callback::Says(outcome),
        })
    }
}
