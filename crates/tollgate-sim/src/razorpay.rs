//! Razorpay, simulated: orders, payments, captures, refunds and webhooks in its wire format.
//!
//! What it answers and refuses follows razorpay.com/docs/api and …/docs/errors. Known differences:
//! an ordinary payment succeeds at once, as one that needs no authentication; an order takes one
//! payment at a time, and a further try after a failed one is the same payment again; a payment's
//! notes are its order's; an uncaptured payment is returned only when the control endpoint is told
//! so (`POST /sim/lapse/{receipt}`), not after five days.

mod afterwards;
mod entity;
mod event;
mod mandate;
mod payment;
mod request;

use crate::accounts::RazorpayOptions;
use crate::books::{Entry, IdStyle, Refusal};
use crate::control;
use crate::desk::Desk;
use crate::fault::{Fault, FaultProfile, PendingEnd, WebhookPolicy};
use crate::http::{HangUp, Response, json, whole};
use crate::server::Processor;
use base64::Engine;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use hyper::body::Incoming;
use parking_lot::Mutex;
use request::{Refused, UNREADABLE, refused};
use sha2::Sha256;
use std::collections::HashMap;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// How this processor writes its ids.
pub(crate) const IDS: IdStyle =
    IdStyle { processor: "razorpay", payment: entity::payment_id, refund: entity::refund_id };

const NO_SUCH_URL: Refused = refused("The requested URL was not found on the server.", "NA", "");

/// Most further accounts.
const KEYS_MAX: usize = 1_000;

/// What a key's holder sends to authenticate (RFC 7617).
fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}")))
}

/// The simulator.
#[derive(Debug)]
pub(crate) struct RazorpaySim {
    desk: Desk,
    authorization: String,
    /// What the keys of more accounts send, and their secrets; `PUT /sim/keys` replaces them.
    more: Mutex<Vec<(String, Vec<u8>)>>,
    /// The secrets of those accounts' orders, by the orders' numbers.
    secrets: Mutex<HashMap<u64, Vec<u8>>>,
    signature_key: Vec<u8>,
    webhook_key: Vec<u8>,
    /// The mandates that orders set up, by the order's number.
    mandates: Mutex<HashMap<u64, mandate::Mandate>>,
}

impl RazorpaySim {
    pub(crate) fn new(desk: Desk, options: &RazorpayOptions) -> Self {
        Self {
            desk,
            authorization: basic(&options.key_id, options.key_secret.expose()),
            more: Mutex::default(),
            secrets: Mutex::default(),
            signature_key: options.key_secret.expose().as_bytes().to_vec(),
            webhook_key: options.webhook_secret.expose().as_bytes().to_vec(),
            mandates: Mutex::default(),
        }
    }

    async fn answer(self: Arc<Self>, request: http::Request<Incoming>) -> Result<Response, HangUp> {
        let (head, body) = request.into_parts();
        let Some(body) = whole(body).await else {
            return Ok(UNREADABLE.reply());
        };
        let path = head.uri.path();
        if path.starts_with("/sim/") {
            return Ok(self.control(&head.method, path, &body));
        }
        let profile = self.desk.profile();
        let wait = profile.wait(&self.desk.dice);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        if let Some((_, id)) = path.rsplit_once("/payments/")
            && let Some(id) = id.strip_suffix("/authorize")
        {
            // The customer's browser comes without credentials.
            return Ok(self.challenge(id));
        }
        let given = head.headers.get(http::header::AUTHORIZATION);
        let given = given.map_or(&b""[..], http::HeaderValue::as_bytes);
        let known = |authorization: &str| bool::from(given.ct_eq(authorization.as_bytes()));
        let other = self.more.lock().iter().find(|(it, _)| known(it)).map(|(_, secret)| secret.clone());
        if !known(&self.authorization) && other.is_none() {
            let refused =
                Refused { status: 401, description: "Authentication failed", reason: "NA", field: "" };
            return Ok(refused.reply());
        }
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let is_get = head.method == http::Method::GET;
        if head.method == http::Method::PUT || head.method == http::Method::DELETE {
            return match (head.method == http::Method::PUT, parts.as_slice()) {
                (true, ["v1", "customers", customer, "tokens", token, "cancel"]) => {
                    self.act("cancel_token", &profile, || self.cancel_token(customer, token)).await
                }
                (false, ["v1", "customers", customer, "tokens", token]) => {
                    self.act("delete_token", &profile, || self.delete_token(customer, token)).await
                }
                _ => Ok(NO_SUCH_URL.reply()),
            };
        }
        match (is_get, parts.as_slice()) {
            (false, ["v1", "payments", "create", "json" | "upi"]) => {
                self.create_payment(&body, &profile).await
            }
            (false, ["v1", "payments", "create", "recurring"]) => self.debit(&body, &profile).await,
            (false, ["v1", "customers"]) => {
                self.act("customer", &profile, || self.create_customer(&body)).await
            }
            (false, ["v1", "orders"]) => {
                self.act("order", &profile, || self.create_order(&body, other)).await
            }
            (false, ["v1", "payments", id, "capture"]) => {
                self.act("capture", &profile, || self.capture(id, &body, &profile)).await
            }
            (false, ["v1", "payments", id, "refund"]) => {
                let key = head.headers.get("x-refund-idempotency");
                let key = key.and_then(|key| key.to_str().ok()).unwrap_or("");
                self.act("refund", &profile, || Arc::clone(&self).refund(id, key, &body, &profile)).await
            }
            (true, ["v1", rest @ ..]) => {
                let fault = self.desk.fault(&profile, true);
                if let Some(response) = self.desk.strike_before(fault, &profile).await? {
                    return Ok(response);
                }
                let response = self.enquire(rest, &head.uri, &profile);
                self.desk.strike_after(fault, &profile, response).await
            }
            _ => Ok(NO_SUCH_URL.reply()),
        }
    }

    async fn act(
        &self,
        kind: &'static str,
        profile: &FaultProfile,
        act: impl FnOnce() -> Result<Response, Refused>,
    ) -> Result<Response, HangUp> {
        let fault = self.desk.fault(profile, false);
        if let Some(response) = self.desk.strike_before(fault, profile).await? {
            return Ok(response);
        }
        if fault == Some(Fault::Lying) {
            return Ok(self.desk.lie(kind));
        }
        let response = act().unwrap_or_else(|refused| refused.reply());
        self.desk.remember(kind, &response);
        self.desk.strike_after(fault, profile, response).await
    }

    // --- Webhooks and control -------------------------------------------------------------

    fn tell_of_payment(&self, number: u64, entry: &Entry, is_async: bool, profile: &FaultProfile) {
        if self.wants_webhook(is_async, profile) {
            let messages = event::of_payment(number, entry, |body| self.sign(body, profile));
            self.desk.notify(messages, profile);
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
            let messages = event::of_refund(number, entry, place, |body| self.sign(body, profile));
            self.desk.notify(messages, profile);
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

    fn sign(&self, body: &[u8], profile: &FaultProfile) -> String {
        let wrong = self.desk.dice.happens(profile.webhook_wrong_signature);
        hmac_hex(if wrong { b"another key" } else { &self.webhook_key }, body)
    }

    fn control(&self, method: &http::Method, path: &str, body: &Bytes) -> Response {
        if path == "/sim/keys" && method == http::Method::PUT {
            return self.take_keys(body);
        }
        let found = |reference: &str| self.desk.books.find(reference).ok_or(Refusal::NotFound);
        let result = match control::read(&self.desk, method, path, body) {
            control::Request::Answered(response) => return response,
            control::Request::Decide { reference, approve, browser } => {
                let decided = found(reference)
                    .map(|(number, _)| (number, self.decide(number, approve).map(|_| number)));
                match decided {
                    // A browser that comes too late is sent back with what was decided without it.
                    Ok((number, _)) if browser && let Some(page) = self.send_back(number) => return page,
                    Ok((_, decided)) => decided,
                    Err(refusal) => Err(refusal),
                }
            }
            control::Request::Lapse { reference } => found(reference).and_then(|(number, _)| {
                let entry = self.desk.books.void(number, "")?;
                self.tell_of_payment(number, &entry, true, &self.desk.profile());
                Ok(number)
            }),
        };
        match result {
            Ok(number) => json(200, format!(r#"{{"payment_id":"{}"}}"#, entity::payment_id(number))),
            Err(Refusal::NotFound) => control::problem(404, "no such payment"),
            Err(_) => control::problem(409, "the payment's state does not allow it"),
        }
    }

    /// Lets these callers in beside the first account's, and nobody else: `[["key id", "key secret"], …]`.
    fn take_keys(&self, body: &Bytes) -> Response {
        match serde_json::from_slice::<Vec<(String, String)>>(body) {
            Ok(keys) if keys.len() <= KEYS_MAX => {
                *self.more.lock() = keys
                    .iter()
                    .map(|(id, secret)| (basic(id, secret), secret.clone().into_bytes()))
                    .collect();
                json(200, "{}".to_owned())
            }
            _ => control::problem(400, "must be a list of at most 1,000 pairs of key id and key secret"),
        }
    }

    /// Payments that were waiting for a customer when the process ended decide themselves again.
    fn resume(self: &Arc<Self>) {
        let profile = self.desk.profile();
        if profile.pending_end == PendingEnd::Never {
            return;
        }
        for number in self.desk.books.pending() {
            let sim = Arc::clone(self);
            let approve = profile.pending_end == PendingEnd::Approve;
            self.desk.later(profile.pending_ms, move || drop(sim.decide(number, approve)));
        }
    }
}

impl Processor for RazorpaySim {
    fn started(self: &Arc<Self>) {
        self.resume();
    }

    async fn handle(self: Arc<Self>, request: http::Request<Incoming>) -> Result<Response, HangUp> {
        self.answer(request).await
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
