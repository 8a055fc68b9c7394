//! Stripe, simulated: payment intents, refunds, idempotency keys and webhooks in its wire format.
//!
//! What it answers and refuses follows docs.stripe.com/api. Known differences: an ordinary card payment
//! succeeds at once; search finds an intent by our reference alone, and at once; idempotency keys are
//! forgotten on `POST /sim/forget_keys`, not after a day; replies are not signed, so `wrong_signature`
//! answers with somebody else's payment intent; a doubtful payment is answered with `500` and stays
//! `processing`.

mod afterwards;
mod entity;
mod event;
mod payment;
mod replays;
mod request;

use crate::accounts::StripeOptions;
use crate::books::{Entry, IdStyle, Refusal, Status};
use crate::control;
use crate::desk::Desk;
use crate::fault::{Fault, FaultProfile, PendingEnd, WebhookPolicy};
use crate::http::{HangUp, Response, json, whole};
use crate::instrument::Behaviour;
use crate::server::Processor;
use base64::Engine;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use hyper::body::Incoming;
use replays::{Known, Replays, Saved};
use request::{Form, Refused, refused};
use sha2::Sha256;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// How this processor writes its ids.
pub(crate) const IDS: IdStyle =
    IdStyle { processor: "stripe", payment: entity::intent_id, refund: entity::refund_id };

/// The simulator.
#[derive(Debug)]
pub(crate) struct StripeSim {
    desk: Desk,
    /// What `authorization` may be: the key as a bearer token, or as a user name.
    authorizations: [String; 2],
    webhook_key: Vec<u8>,
    replays: Replays,
}

impl StripeSim {
    pub(crate) fn new(desk: Desk, options: &StripeOptions) -> Self {
        let key = options.secret_key.expose();
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{key}:"));
        Self {
            desk,
            authorizations: [format!("Bearer {key}"), format!("Basic {basic}")],
            webhook_key: options.webhook_secret.expose().as_bytes().to_vec(),
            replays: Replays::new(),
        }
    }

    async fn answer(self: Arc<Self>, request: http::Request<Incoming>) -> Result<Response, HangUp> {
        let (head, body) = request.into_parts();
        let Some(body) = whole(body).await else {
            return Ok(refused("", "The request is too long.", "").reply());
        };
        let path = head.uri.path();
        if path == "/sim/forget_keys" && head.method == http::Method::POST {
            self.replays.forget();
            return Ok(json(200, r#"{"forgotten":true}"#));
        }
        if path.starts_with("/sim/") {
            return Ok(self.control(&head.method, path, &body));
        }
        let profile = self.desk.profile();
        let wait = profile.wait(&self.desk.dice);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let text =
            |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let given = text("authorization");
        if !self.authorizations.iter().any(|known| bool::from(given.as_bytes().ct_eq(known.as_bytes()))) {
            return Ok(Refused { status: 401, ..refused("", "Invalid API Key provided.", "") }.reply());
        }
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let ["v1", parts @ ..] = parts.as_slice() else {
            return Ok(Refused { status: 404, ..refused("", "Unrecognized request URL.", "") }.reply());
        };
        if head.method == http::Method::GET {
            let fault = self.desk.fault(&profile, true);
            if let Some(response) = self.desk.strike_before(fault, &profile).await? {
                return Ok(struck(&response));
            }
            let response = self.enquire(parts, &head.uri, &profile);
            return self.desk.strike_after(fault, &profile, response).await;
        }
        self.post(parts, path, text("idempotency-key"), &body, &profile).await
    }

    async fn post(
        self: &Arc<Self>,
        parts: &[&str],
        path: &str,
        key: &str,
        body: &[u8],
        profile: &FaultProfile,
    ) -> Result<Response, HangUp> {
        let form = Form(body);
        let pays = matches!(parts, ["payment_intents", _, "confirm"])
            || matches!(parts, ["payment_intents"]) && form.is("confirm", "true");
        let known = if key.is_empty() { Known::Nothing } else { self.replays.look(key, path, body) };
        let is_new = matches!(known, Known::Nothing);
        let behaviour = match (pays, is_new) {
            (true, true) => self.desk.behaviour(form.behaviour(), profile),
            _ => self.desk.fault(profile, false).map_or(Behaviour::Success, Behaviour::Fault),
        };
        let fault = match behaviour {
            Behaviour::Fault(fault) => Some(fault),
            _ => None,
        };
        if let Some(response) = self.desk.strike_before(fault, profile).await? {
            return Ok(struck(&response));
        }
        let kind = match parts {
            ["payment_intents"] => "create",
            ["payment_intents", _, "confirm"] => "confirm",
            ["payment_intents", _, "capture"] => "capture",
            ["payment_intents", _, "cancel"] => "cancel",
            ["refunds"] => "refund",
            _ => "other",
        };
        if fault == Some(Fault::Lying) {
            return Ok(self.lie(kind, parts));
        }
        let response = match known {
            Known::Saved(saved) => self.again(saved),
            Known::Otherwise => {
                let text = "Keys for idempotent requests can only be used with the same parameters.";
                Refused { kind: "idempotency_error", ..refused("", text, "") }.reply()
            }
            Known::Nothing => {
                let (made, result) = self.carry_out(parts, key, &form, behaviour, profile);
                let (status, body_text) = match result {
                    Ok(body) => (200, body),
                    Err(refused) => (refused.status, refused.body()),
                };
                let answer = Bytes::from(body_text);
                // What is refused before anything is carried out leaves its key free.
                if !key.is_empty() && matches!(status, 200 | 402 | 500) {
                    let saved = made.map_or_else(|| Saved::Answer(status, answer.clone()), Saved::Made);
                    self.replays.save(key, path, body, saved);
                }
                json(status, answer)
            }
        };
        if fault.is_none() {
            self.desk.remember(kind, &response);
        }
        self.desk.strike_after(fault, profile, response).await
    }

    /// A success that is another intent's, or of another amount. Nothing is done.
    fn lie(&self, kind: &'static str, parts: &[&str]) -> Response {
        let intent = match parts {
            ["payment_intents", id, "confirm"] => self.entry_of(id).ok(),
            _ => None,
        };
        match intent.filter(|_| self.desk.dice.happens(0.5)) {
            Some((number, mut entry)) => {
                entry.amount_minor = entry.amount_minor.saturating_add(100);
                entry.status = if entry.manual { Status::Authorized } else { Status::Captured };
                entry.captured_minor = if entry.manual { 0 } else { entry.amount_minor };
                json(200, self.intent_of(number, &entry))
            }
            None => self.desk.lie(kind),
        }
    }

    /// The reply that was given before.
    fn again(&self, saved: Saved) -> Response {
        let mut response = match saved {
            Saved::Answer(status, body) => json(status, body),
            Saved::Made(number) => match self.desk.books.get(number) {
                Some(entry) => json(200, entity::intent_as_made(number, &entry)),
                None => request::BROKEN.reply(),
            },
        };
        response.headers_mut().insert("idempotent-replayed", http::HeaderValue::from_static("true"));
        response
    }

    /// The reply to a `POST`, and the number of the intent if one was made and no more.
    fn carry_out(
        self: &Arc<Self>,
        parts: &[&str],
        key: &str,
        form: &Form<'_>,
        behaviour: Behaviour,
        profile: &FaultProfile,
    ) -> (Option<u64>, Result<String, Refused>) {
        let result = match parts {
            ["payment_intents"] => match self.create_intent(form) {
                Ok(number) if form.is("confirm", "true") => self.confirm(number, form, behaviour, profile),
                Ok(number) => {
                    let entry = self.desk.books.get(number).ok_or(request::NO_SUCH_INTENT);
                    return (Some(number), entry.map(|entry| self.intent_of(number, &entry)));
                }
                Err(refused) => Err(refused),
            },
            ["payment_intents", id] => {
                self.entry_of(id).map(|(number, entry)| self.intent_of(number, &entry))
            }
            ["payment_intents", id, "confirm"] => {
                self.entry_of(id).and_then(|(number, _)| self.confirm(number, form, behaviour, profile))
            }
            ["payment_intents", id, "capture"] => self.capture(id, form, profile),
            ["payment_intents", id, "cancel"] => self.cancel(id, profile),
            ["refunds"] => self.refund(key, form, profile),
            _ => Err(Refused { status: 404, ..refused("", "Unrecognized request URL.", "") }),
        };
        (None, result)
    }

    // --- Webhooks and control -------------------------------------------------------------

    fn tell_of_intent(&self, number: u64, entry: &Entry, is_async: bool, profile: &FaultProfile) {
        if self.wants_webhook(is_async, profile) {
            let url = self.desk.challenge_url(&entry.reference);
            self.desk.notify(event::of_intent(number, entry, &url, self.signing_key(profile)), profile);
        }
    }

    fn tell_of_refund(
        &self,
        number: u64,
        entry: &Entry,
        place: usize,
        is_async: bool,
        profile: &FaultProfile,
    ) {
        if self.wants_webhook(is_async, profile) {
            let key = self.signing_key(profile);
            self.desk.notify(event::of_refund(number, entry, place, is_async, key), profile);
        }
    }

    fn wants_webhook(&self, is_async: bool, profile: &FaultProfile) -> bool {
        self.desk.webhooks.is_on()
            && match profile.webhooks {
                WebhookPolicy::None => false,
                WebhookPolicy::Async => is_async,
                WebhookPolicy::All => true,
            }
    }

    fn signing_key(&self, profile: &FaultProfile) -> &[u8] {
        let wrong = self.desk.dice.happens(profile.webhook_wrong_signature);
        if wrong { b"another key" } else { &self.webhook_key }
    }

    fn control(&self, method: &http::Method, path: &str, body: &Bytes) -> Response {
        let found = |reference: &str| self.desk.books.find(reference).ok_or(Refusal::NotFound);
        let result = match control::read(&self.desk, method, path, body) {
            control::Request::Answered(response) => return response,
            control::Request::Decide { reference, approve, browser } => {
                let Ok((number, _)) = found(reference) else {
                    return control::problem(404, "no such payment");
                };
                let decided = self.decide(number, approve);
                // A browser that comes late is sent back with what was decided before it came.
                if let Some(response) = browser.then(|| self.send_back(number)).flatten() {
                    return response;
                }
                decided.map(|_| number)
            }
            control::Request::Lapse { reference } => found(reference).and_then(|(number, _)| {
                let entry = self.desk.books.void(number, "")?;
                self.tell_of_intent(number, &entry, true, &self.desk.profile());
                Ok(number)
            }),
        };
        match result {
            Ok(number) => json(200, format!(r#"{{"payment_id":"{}"}}"#, entity::intent_id(number))),
            Err(Refusal::NotFound) => control::problem(404, "no such payment"),
            Err(_) => control::problem(409, "the payment's state does not allow it"),
        }
    }
}

impl Processor for StripeSim {
    /// Payments that were waiting for a customer when the process ended decide themselves again.
    fn started(self: &Arc<Self>) {
        let profile = self.desk.profile();
        if profile.pending_end == PendingEnd::Never {
            return;
        }
        for number in self.desk.books.pending() {
            let processing =
                self.desk.books.get(number).is_some_and(|entry| entity::Waiting::of(&entry).processing);
            if !processing {
                self.decide_later(number, profile.pending_end == PendingEnd::Approve, profile.pending_ms);
            }
        }
    }

    async fn handle(self: Arc<Self>, request: http::Request<Incoming>) -> Result<Response, HangUp> {
        self.answer(request).await
    }
}

/// A fault in Stripe's words.
fn struck(response: &Response) -> Response {
    match response.status().as_u16() {
        429 => {
            let refused = refused("rate_limit", "Too many requests hit the API too quickly.", "");
            Refused { status: 429, ..refused }.reply()
        }
        status => Refused { status, ..request::BROKEN }.reply(),
    }
}

fn hmac_hex(key: &[u8], message: &[u8]) -> String {
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mut mac) => {
            mac.update(message);
            hex::encode(mac.finalize().into_bytes())
        }
        // HMAC takes keys of any length.
        Err(_) => String::new(),
    }
}
