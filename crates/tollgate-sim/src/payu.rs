//! PayU (India), simulated: server-to-server payments, commands and webhooks in its wire format.
//!
//! What it answers and refuses follows docs.payu.in. Known differences: an ordinary card payment and a UPI
//! collect request succeed at once, as ones that need no authentication; mandates live in memory alone and
//! may be debited without a notice two days before; captures, cancellations and refunds that are queued
//! are done at once; refund webhooks, which carry no signature, are not sent; a payment that waits
//! for its customer while the simulator is restarted sends no webhook when it is decided.

mod commands;
mod mandate;
mod reply;

use crate::accounts::PayUOptions;
use crate::books::{Entry, IdStyle, Method, NewEntry, Notes, Refusal, Status};
use crate::control;
use crate::desk::{Desk, now_ms};
use crate::fault::{Fault, FaultProfile, PendingEnd, WebhookPolicy};
use crate::http::{HangUp, Response, form_page, json, whole};
use crate::instrument::{self, Behaviour, Failure};
use crate::server::Processor;
use crate::webhooks::Message;
use bytes::Bytes;
use hyper::body::Incoming;
use parking_lot::Mutex;
use reply::Form;
use sha2::{Digest, Sha512};
use std::collections::HashMap;
use std::sync::Arc;
use tollgate_core::currency::Currency;
use tollgate_core::money::Money;

/// How this processor writes its ids.
pub(crate) const IDS: IdStyle =
    IdStyle { processor: "payu", payment: reply::payment_id, refund: reply::request_id };

const TXNID_LENGTH_MAX: usize = 25;
/// Pending payments whose request is remembered for their webhook.
const ECHOES_MAX: usize = 100_000;

/// The simulator.
#[derive(Debug)]
pub(crate) struct PayUSim {
    desk: Desk,
    key: String,
    salt: String,
    /// The request of each pending payment: its webhook repeats and signs it.
    echoes: Mutex<HashMap<u64, Form>>,
    /// The mandates that payments set up, by the payment's number.
    mandates: Mutex<HashMap<u64, mandate::Mandate>>,
}

impl PayUSim {
    pub(crate) fn new(desk: Desk, options: &PayUOptions) -> Self {
        Self {
            desk,
            key: options.key.clone(),
            salt: options.salt.expose().to_owned(),
            echoes: Mutex::default(),
            mandates: Mutex::default(),
        }
    }

    async fn answer(self: Arc<Self>, request: http::Request<Incoming>) -> Result<Response, HangUp> {
        let (head, body) = request.into_parts();
        let Some(body) = whole(body).await else {
            return Ok(json(400, r#"{"status":0,"msg":"Invalid request"}"#));
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
        match (head.method.as_str(), path) {
            ("POST", "/_payment") => self.payment(&body, &profile).await,
            ("POST", "/merchant/postservice.php" | "/merchant/postservice") => {
                let command = commands::read(&body);
                if command.is_debit() {
                    return self.debit(&command, &profile).await;
                }
                let fault = self.desk.fault(&profile, !command.moves_money());
                if let Some(response) = self.desk.strike_before(fault, &profile).await? {
                    return Ok(response);
                }
                if fault == Some(Fault::Lying) {
                    return Ok(self.desk.lie(command.kind()));
                }
                let response = json(200, self.command(&command, &profile));
                if command.moves_money() {
                    self.desk.remember(command.kind(), &response);
                }
                self.desk.strike_after(fault, &profile, response).await
            }
            _ => Ok(json(404, r#"{"status":0,"msg":"Not found"}"#)),
        }
    }

    async fn payment(self: &Arc<Self>, body: &[u8], profile: &Arc<FaultProfile>) -> Result<Response, HangUp> {
        let Some(form) = Form::read(body) else {
            return Ok(json(200, reply::refused("", "E501", "Invalid request")));
        };
        if form.key != self.key || !form.is_signed(&self.salt) {
            let text = "Validation of secure hash failed";
            return Ok(json(200, reply::refused(&form.txnid, "E700", text)));
        }
        let (method, behaviour) = form.instrument();
        let behaviour = self.desk.behaviour(behaviour, profile);
        let fault = match behaviour {
            Behaviour::Fault(fault) => Some(fault),
            _ => None,
        };
        if let Some(response) = self.desk.strike_before(fault, profile).await? {
            return Ok(response);
        }
        if fault == Some(Fault::Lying) {
            return Ok(json(200, self.lie(form, method)));
        }
        let registered = self.register(&form, method);
        let body = match registered.and_then(|number| self.keep_mandate(number, &form)) {
            Ok(number) => {
                let decided = self.decide_now(number, form, method, behaviour, fault, profile);
                decided.unwrap_or_else(|_| reply::refused("", "E501", "Unknown error"))
            }
            Err((code, message)) => reply::refused(&form.txnid, code, message),
        };
        self.desk.strike_after(fault, profile, json(200, body)).await
    }

    /// A success, signed, that is another transaction's, or of another amount.
    fn lie(&self, mut form: Form, method: Method) -> String {
        if self.desk.dice.happens(0.5) {
            form.txnid = form.txnid.chars().rev().collect();
        } else {
            form.amount = format!("9{}", form.amount);
        }
        let status = if form.pre_authorize { Status::Authorized } else { Status::Captured };
        let entry = Entry {
            reference: form.txnid.as_str().into(),
            amount_minor: 0,
            currency: *b"INR",
            status,
            method,
            manual: form.pre_authorize,
            failure: 0,
            captured_minor: 0,
            created_ms: now_ms(),
            notes: Notes::None,
            action: None,
            refunds: Vec::new(),
        };
        reply::finished(0, &entry, &form, &self.sign(&entry, &form))
    }

    /// A txnid that was paid, or is being paid, is refused; after a failure it may be used again.
    fn register(&self, form: &Form, method: Method) -> Result<u64, (&'static str, &'static str)> {
        if !form.token_is_right() {
            return Err(("E501", "Invalid additional info"));
        }
        let right = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        let length_right = (1..=TXNID_LENGTH_MAX).contains(&form.txnid.len());
        if !length_right || !form.txnid.bytes().all(right) {
            return Err(("E703", "Invalid transaction id"));
        }
        let amount =
            Money::parse_major(&form.amount, Currency::INR).map_err(|_| ("E715", "Invalid amount"))?;
        let new = NewEntry {
            reference: &form.txnid,
            amount_minor: amount.minor,
            currency: *b"INR",
            manual: form.pre_authorize,
            method,
            notes: Notes::None,
            now_ms: now_ms(),
        };
        let duplicate = ("E504", "Duplicate transaction");
        match self.desk.books.create(&new) {
            Ok(number) => Ok(number),
            Err(Refusal::Exists(number)) => match self.desk.books.get(number) {
                Some(entry)
                    if matches!(entry.status, Status::Failed | Status::Created)
                        && entry.amount_minor == amount.minor =>
                {
                    Ok(number)
                }
                _ => Err(duplicate),
            },
            Err(_) => Err(("E501", "Unknown error")),
        }
    }

    fn decide_now(
        self: &Arc<Self>,
        number: u64,
        form: Form,
        method: Method,
        behaviour: Behaviour,
        fault: Option<Fault>,
        profile: &FaultProfile,
    ) -> Result<String, Refusal> {
        let books = &self.desk.books;
        match behaviour {
            Behaviour::Fail(failure) => {
                let entry = books.charge(number, Status::Failed, method, failure.index())?;
                self.tell(number, &entry, &form, false, profile);
                Ok(reply::finished(number, &entry, &form, &self.sign(&entry, &form)))
            }
            Behaviour::Pending { approve } => self.leave_pending(number, form, method, approve, profile),
            Behaviour::Success if form.has_page() => self.leave_pending(number, form, method, true, profile),
            Behaviour::Success | Behaviour::Fault(_) => {
                let manual = books.get(number).is_some_and(|entry| entry.manual);
                let status = if manual { Status::Authorized } else { Status::Captured };
                let entry = books.charge(number, status, method, 0)?;
                let is_async = fault.is_some_and(Fault::loses_the_answer);
                self.tell(number, &entry, &form, is_async, profile);
                let mut hash = self.sign(&entry, &form);
                if fault == Some(Fault::WrongSignature) {
                    hash = sha512_hex(&["another salt", &hash]);
                }
                Ok(reply::finished(number, &entry, &form, &hash))
            }
        }
    }

    fn leave_pending(
        self: &Arc<Self>,
        number: u64,
        form: Form,
        method: Method,
        approve: bool,
        profile: &FaultProfile,
    ) -> Result<String, Refusal> {
        let entry = self.desk.books.charge(number, Status::Pending, method, 0)?;
        let approve = match profile.pending_end {
            PendingEnd::Approve => Some(approve),
            PendingEnd::Reject => Some(false),
            PendingEnd::Never => None,
        };
        let body = reply::waiting(number, &entry, &form, &self.desk.base_url);
        self.remember(number, form);
        if let Some(approve) = approve {
            self.decide_later(number, approve, profile);
        }
        Ok(body)
    }

    /// Keeps a request for its webhook and for the browser's way back.
    fn remember(&self, number: u64, form: Form) {
        let mut echoes = self.echoes.lock();
        if echoes.len() >= ECHOES_MAX {
            // Browsers that never came for their payments are not waited for.
            let is_pending =
                |entry: crate::books::Entry| matches!(entry.status, Status::Pending | Status::Created);
            echoes.retain(|number, _| self.desk.books.get(*number).is_some_and(is_pending));
        }
        if echoes.len() < ECHOES_MAX {
            echoes.insert(number, form);
        }
    }

    /// Sends the customer's browser back with the signed transaction, as the processor does. None if the
    /// request is not remembered.
    fn send_back(&self, number: u64) -> Option<Response> {
        let entry = self.desk.books.get(number)?;
        let form = self.echoes.lock().get(&number).filter(|form| !form.surl.is_empty())?.clone();
        let fields = reply::fields(number, &entry, &form, &self.sign(&entry, &form));
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let url = if entry.status == Status::Failed { &form.furl } else { &form.surl };
        Some(form_page(url, &fields))
    }

    fn decide_later(self: &Arc<Self>, number: u64, approve: bool, profile: &FaultProfile) {
        let sim = Arc::clone(self);
        self.desk.later(profile.pending_ms, move || drop(sim.decide(number, approve)));
    }

    /// The customer of a pending payment has decided.
    fn decide(&self, number: u64, approve: bool) -> Result<(), Refusal> {
        let entry = self.desk.books.get(number).ok_or(Refusal::NotFound)?;
        if entry.status != Status::Pending {
            return Err(Refusal::State);
        }
        let status = match (approve, entry.manual) {
            (false, _) => Status::Failed,
            (true, true) => Status::Authorized,
            (true, false) => Status::Captured,
        };
        let failure = Failure::Cancelled.index();
        let entry = self.desk.books.charge(number, status, entry.method, failure)?;
        let echo = {
            let mut echoes = self.echoes.lock();
            // A browser may still come for it.
            let waits = echoes.get(&number).is_some_and(|form| !form.surl.is_empty());
            if waits { echoes.get(&number).cloned() } else { echoes.remove(&number) }
        };
        if let Some(form) = echo {
            self.tell(number, &entry, &form, true, &self.desk.profile());
        }
        Ok(())
    }

    /// The hash of a reply or webhook.
    fn sign(&self, entry: &Entry, form: &Form) -> String {
        sha512_hex(&form.reply_fields(&self.salt, reply::status_of(entry).0))
    }

    fn tell(&self, number: u64, entry: &Entry, form: &Form, is_async: bool, profile: &FaultProfile) {
        let wanted = match profile.webhooks {
            WebhookPolicy::None => false,
            WebhookPolicy::Async => is_async,
            WebhookPolicy::All => true,
        };
        if !wanted || !self.desk.webhooks.is_on() {
            return;
        }
        let message = |entry: &Entry| {
            let mut hash = self.sign(entry, form);
            if self.desk.dice.happens(profile.webhook_wrong_signature) {
                hash = sha512_hex(&["another salt", &hash]);
            }
            let body = reply::webhook(number, entry, form, &hash);
            let content_type = "application/x-www-form-urlencoded".to_owned();
            Message { headers: vec![("content-type", content_type)], body: Bytes::from(body) }
        };
        let mut messages = vec![message(entry)];
        if profile.webhook_out_of_order > 0.0 {
            // Something older to arrive after it.
            let mut before = entry.clone();
            before.status = Status::Pending;
            messages.insert(0, message(&before));
        }
        self.desk.notify(messages, profile);
    }

    fn control(&self, method: &http::Method, path: &str, body: &Bytes) -> Response {
        let found = |reference: &str| self.desk.books.find(reference).ok_or(Refusal::NotFound);
        let result = match control::read(&self.desk, method, path, body) {
            control::Request::Answered(response) => return response,
            control::Request::Decide { reference, approve, browser } => {
                let decided = found(reference)
                    .map(|(number, _)| (number, self.decide(number, approve).map(|()| number)));
                match decided {
                    // A browser that comes too late is sent back with what was decided without it.
                    Ok((number, _)) if browser && let Some(page) = self.send_back(number) => return page,
                    Ok((_, decided)) => decided,
                    Err(refusal) => Err(refusal),
                }
            }
            control::Request::Lapse { reference } => {
                found(reference).and_then(|(number, _)| self.desk.books.void(number, "").map(|_| number))
            }
        };
        match result {
            Ok(number) => json(200, format!(r#"{{"payment_id":"{}"}}"#, reply::payment_id(number))),
            Err(Refusal::NotFound) => control::problem(404, "no such payment"),
            Err(_) => control::problem(409, "the payment's state does not allow it"),
        }
    }
}

impl Processor for PayUSim {
    /// Payments that were waiting for a customer when the process ended decide themselves again.
    fn started(self: &Arc<Self>) {
        let profile = self.desk.profile();
        if profile.pending_end != PendingEnd::Never {
            for number in self.desk.books.pending() {
                self.decide_later(number, profile.pending_end == PendingEnd::Approve, &profile);
            }
        }
    }

    async fn handle(self: Arc<Self>, request: http::Request<Incoming>) -> Result<Response, HangUp> {
        self.answer(request).await
    }
}

/// SHA-512 of the parts joined by `|`, in hexadecimal.
fn sha512_hex(parts: &[&str]) -> String {
    let mut hasher = Sha512::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            hasher.update(b"|");
        }
        hasher.update(part.as_bytes());
    }
    hex::encode(hasher.finalize())
}

/// What the customer's instrument makes happen.
fn or_email(behaviour: Behaviour, email: &str) -> Behaviour {
    match behaviour {
        Behaviour::Success => instrument::of_name(email),
        other => other,
    }
}
