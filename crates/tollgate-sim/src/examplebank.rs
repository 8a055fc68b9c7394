//! "Example Bank", simulated: the fictitious processor of `examples/custom-processor.toml`, whose head
//! is its documentation.
//!
//! Cards without 3-D Secure and UPI collect requests succeed at once; UPI links and codes, net banking
//! and wallets wait for their customer. Replies carry no signature: instead of one that does not hold, the
//! fault `wrong_signature` answers with another payment's reference.

mod reply;
mod request;

use crate::accounts::ExampleBankOptions;
use crate::books::{Entry, IdStyle, Method, NewEntry, Notes, RefundState, Refusal, Status};
use crate::control;
use crate::desk::{Desk, now_ms};
use crate::fault::{Fault, FaultProfile, PendingEnd, WebhookPolicy};
use crate::http::{HangUp, Response, json, push_field, see_other, whole};
use crate::instrument::{Behaviour, Failure};
use crate::server::Processor;
use crate::webhooks::Message;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use hyper::body::Incoming;
use request::{MoneyRequest, PaymentRequest, Refused};
use sha2::Sha256;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// How this processor writes its ids.
pub(crate) const IDS: IdStyle =
    IdStyle { processor: "examplebank", payment: reply::payment_id, refund: reply::refund_id };

/// The simulator.
#[derive(Debug)]
pub(crate) struct ExampleBankSim {
    desk: Desk,
    api_key: Vec<u8>,
    signing_key: Vec<u8>,
    webhook_key: Vec<u8>,
}

impl ExampleBankSim {
    pub(crate) fn new(desk: Desk, options: &ExampleBankOptions) -> Self {
        Self {
            desk,
            api_key: options.api_key.expose().as_bytes().to_vec(),
            signing_key: options.signing_key.expose().as_bytes().to_vec(),
            webhook_key: options.webhook_key.expose().as_bytes().to_vec(),
        }
    }

    async fn answer(self: Arc<Self>, request: http::Request<Incoming>) -> Result<Response, HangUp> {
        let (head, body) = request.into_parts();
        let Some(body) = whole(body).await else {
            return Ok(Refused::UNREADABLE.reply());
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
        if !self.is_ours(&head, &body) {
            return Ok(Refused::UNAUTHORIZED.reply());
        }
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        match (head.method.as_str(), parts.as_slice()) {
            ("POST", ["v1", "payments"]) => self.payment(&body, &profile).await,
            ("POST", ["v1", "payments", reference, "captures"]) => {
                self.act("capture", &profile, || self.capture(reference, &body, &profile)).await
            }
            ("POST", ["v1", "payments", reference, "void"]) => {
                self.act("void", &profile, || self.void(reference, &body, &profile)).await
            }
            ("POST", ["v1", "payments", reference, "refunds"]) => {
                self.act("refund", &profile, || self.refund(reference, &body, &profile)).await
            }
            ("GET", ["v1", "payments", rest @ ..]) => {
                let fault = self.desk.fault(&profile, true);
                if let Some(response) = self.desk.strike_before(fault, &profile).await? {
                    return Ok(response);
                }
                let response = self.enquire(rest, &profile).unwrap_or_else(|refused| refused.reply());
                self.desk.strike_after(fault, &profile, response).await
            }
            _ => Ok(Refused::NO_SUCH_PAGE.reply()),
        }
    }

    /// Whether the request is signed: `METHOD \n PATH AND QUERY \n BODY`.
    fn is_ours(&self, head: &http::request::Parts, body: &[u8]) -> bool {
        let header = |name| head.headers.get(name).map_or(&b""[..], http::HeaderValue::as_bytes);
        let path = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let mut signed = format!("{}\n{path}\n", head.method).into_bytes();
        signed.extend_from_slice(body);
        let expected = hmac_hex(&self.signing_key, &signed);
        let key = header("x-api-key").ct_eq(&self.api_key);
        (key & header("x-signature").ct_eq(expected.as_bytes())).into()
    }

    async fn act(
        &self,
        kind: &'static str,
        profile: &FaultProfile,
        act: impl FnOnce() -> Result<String, Refused>,
    ) -> Result<Response, HangUp> {
        let fault = self.desk.fault(profile, false);
        if let Some(response) = self.desk.strike_before(fault, profile).await? {
            return Ok(response);
        }
        if fault == Some(Fault::Lying) {
            return Ok(self.desk.lie(kind));
        }
        let response = match act() {
            Ok(body) => json(200, disguised(body, fault)),
            Err(refused) => refused.reply(),
        };
        if fault.is_none() {
            self.desk.remember(kind, &response);
        }
        self.desk.strike_after(fault, profile, response).await
    }

    async fn payment(self: &Arc<Self>, body: &[u8], profile: &FaultProfile) -> Result<Response, HangUp> {
        let request = match PaymentRequest::read(body) {
            Ok(request) => request,
            Err(refused) => return Ok(refused.reply()),
        };
        let behaviour = self.desk.behaviour(request.behaviour, profile);
        let fault = match behaviour {
            Behaviour::Fault(fault) => Some(fault),
            _ => None,
        };
        if let Some(response) = self.desk.strike_before(fault, profile).await? {
            return Ok(response);
        }
        if fault == Some(Fault::Lying) {
            return Ok(json(201, self.lie(&request)));
        }
        let response = match self.take(&request, behaviour, fault, profile) {
            Ok(body) => json(201, disguised(body, fault)),
            Err(refused) => refused.reply(),
        };
        self.desk.strike_after(fault, profile, response).await
    }

    /// A success that is another payment's, or of another amount.
    fn lie(&self, request: &PaymentRequest) -> String {
        let of_another = self.desk.dice.happens(0.5);
        let amount_minor = request.amount_minor.saturating_add(if of_another { 0 } else { 100 });
        let status = if request.manual { Status::Authorized } else { Status::Captured };
        let entry = Entry {
            reference: request.reference.as_str().into(),
            amount_minor,
            currency: request.currency,
            status,
            method: request.method,
            manual: request.manual,
            failure: 0,
            captured_minor: if request.manual { 0 } else { amount_minor },
            created_ms: now_ms(),
            notes: Notes::None,
            action: None,
            refunds: Vec::new(),
        };
        disguised(reply::payment(0, &entry, None), of_another.then_some(Fault::WrongSignature))
    }

    fn take(
        self: &Arc<Self>,
        request: &PaymentRequest,
        behaviour: Behaviour,
        fault: Option<Fault>,
        profile: &FaultProfile,
    ) -> Result<String, Refused> {
        let new = NewEntry {
            reference: &request.reference,
            amount_minor: request.amount_minor,
            currency: request.currency,
            manual: request.manual,
            method: request.method,
            notes: Notes::None,
            now_ms: now_ms(),
        };
        let books = &self.desk.books;
        let number = books.create(&new).map_err(Refused::of)?;
        let waits = request.waits;
        let entry = match behaviour {
            Behaviour::Fail(failure) => {
                let entry = books.charge(number, Status::Failed, request.method, failure.index());
                self.tell(number, &entry.map_err(Refused::of)?, false, profile)
            }
            Behaviour::Pending { approve } => self.leave_pending(number, request, approve, profile)?,
            Behaviour::Success if waits => self.leave_pending(number, request, true, profile)?,
            Behaviour::Success | Behaviour::Fault(_) => {
                let status = if request.manual { Status::Authorized } else { Status::Captured };
                let entry = books.charge(number, status, request.method, 0).map_err(Refused::of)?;
                let is_async = fault.is_some_and(Fault::loses_the_answer);
                self.tell(number, &entry, is_async, profile)
            }
        };
        let next = (entry.status == Status::Pending).then(|| request.next(&entry, &self.desk));
        Ok(reply::payment(number, &entry, next.as_deref()))
    }

    fn leave_pending(
        self: &Arc<Self>,
        number: u64,
        request: &PaymentRequest,
        approve: bool,
        profile: &FaultProfile,
    ) -> Result<Entry, Refused> {
        let books = &self.desk.books;
        let entry = books.charge(number, Status::Pending, request.method, 0).map_err(Refused::of)?;
        if let Some(url) = &request.return_url {
            self.desk.remember_return(number, url);
        }
        let approve = match profile.pending_end {
            PendingEnd::Approve => Some(approve),
            PendingEnd::Reject => Some(false),
            PendingEnd::Never => None,
        };
        if let Some(approve) = approve {
            self.decide_later(number, approve, profile);
        }
        Ok(entry)
    }

    fn decide_later(self: &Arc<Self>, number: u64, approve: bool, profile: &FaultProfile) {
        let sim = Arc::clone(self);
        self.desk.later(profile.pending_ms, move || drop(sim.decide(number, approve)));
    }

    /// The customer of a pending payment has decided.
    fn decide(&self, number: u64, approve: bool) -> Result<Entry, Refusal> {
        let entry = self.desk.books.get(number).ok_or(Refusal::NotFound)?;
        if entry.status != Status::Pending {
            return Err(Refusal::State);
        }
        let status = match (approve, entry.manual) {
            (false, _) => Status::Failed,
            (true, true) => Status::Authorized,
            (true, false) => Status::Captured,
        };
        let entry = self.desk.books.charge(number, status, entry.method, Failure::Cancelled.index())?;
        Ok(self.tell(number, &entry, true, &self.desk.profile()))
    }

    fn capture(&self, reference: &str, body: &[u8], profile: &FaultProfile) -> Result<String, Refused> {
        let request = MoneyRequest::read(body)?;
        let (number, entry) = self.desk.books.find(reference).ok_or(Refused::NO_SUCH_PAYMENT)?;
        let amount_minor = request.amount_in(&entry)?;
        let token = request.capture_reference.unwrap_or_default();
        let entry = self.desk.books.capture_part(number, amount_minor, &token).map_err(Refused::of)?;
        Ok(reply::payment(number, &self.tell(number, &entry, false, profile), None))
    }

    fn void(&self, reference: &str, body: &[u8], profile: &FaultProfile) -> Result<String, Refused> {
        let request = MoneyRequest::read(body)?;
        let (number, _) = self.desk.books.find(reference).ok_or(Refused::NO_SUCH_PAYMENT)?;
        let token = request.void_reference.unwrap_or_default();
        let entry = self.desk.books.void(number, &token).map_err(Refused::of)?;
        Ok(reply::payment(number, &self.tell(number, &entry, false, profile), None))
    }

    /// A refund's reference is its idempotency key.
    fn refund(
        self: &Arc<Self>,
        reference: &str,
        body: &[u8],
        profile: &FaultProfile,
    ) -> Result<String, Refused> {
        let request = MoneyRequest::read(body)?;
        let (number, entry) = self.desk.books.find(reference).ok_or(Refused::NO_SUCH_PAYMENT)?;
        let amount_minor = request.amount_in(&entry)?;
        let own = request.reference.filter(|it| request::is_reference(it)).ok_or(Refused::INVALID)?;
        let pending = self.desk.dice.happens(profile.refund_pending);
        let state = if pending { RefundState::Pending } else { RefundState::Processed };
        let refunded = self.desk.books.refund(number, &own, &own, amount_minor, state);
        let (entry, place) = refunded.map_err(Refused::of)?;
        let refund = entry.refunds.get(place).ok_or(Refused::INVALID)?;
        let action = refund.action;
        if refund.state == RefundState::Pending {
            let fails = self.desk.dice.happens(profile.refund_fail);
            let end = if fails { RefundState::Failed } else { RefundState::Processed };
            let sim = Arc::clone(self);
            self.desk.later(profile.pending_ms, move || {
                if let Ok(entry) = sim.desk.books.settle_refund(number, action, end) {
                    sim.tell_of_refund(&entry, action, true, &sim.desk.profile());
                }
            });
        } else {
            self.tell_of_refund(&entry, action, false, profile);
        }
        Ok(reply::refund(&entry, refund))
    }

    fn enquire(&self, rest: &[&str], profile: &FaultProfile) -> Result<Response, Refused> {
        let found = |reference: &str| {
            let found = self.desk.books.find(reference);
            found.filter(|(_, entry)| !self.desk.is_blind_to(entry.created_ms, profile))
        };
        match rest {
            [reference] => {
                let (number, entry) = found(reference).ok_or(Refused::NO_SUCH_PAYMENT)?;
                Ok(json(200, reply::payment(number, &entry, None)))
            }
            [reference, "refunds", own] => {
                let (_, entry) = found(reference).ok_or(Refused::NO_SUCH_PAYMENT)?;
                let refund = entry.refunds.iter().find(|refund| refund.reference() == *own);
                let refund = refund.ok_or(Refused::NO_SUCH_PAYMENT)?;
                Ok(json(200, reply::refund(&entry, refund)))
            }
            _ => Err(Refused::NO_SUCH_PAGE),
        }
    }

    // --- Messages and control -------------------------------------------------------------

    fn tell(&self, number: u64, entry: &Entry, is_async: bool, profile: &FaultProfile) -> Entry {
        let mut records = vec![reply::payment(number, entry, None)];
        if profile.webhook_out_of_order > 0.0 {
            // Something older to arrive after it.
            let mut before = entry.clone();
            before.status = Status::Pending;
            records.insert(0, reply::payment(number, &before, None));
        }
        self.notify("payment.updated", &records, is_async, profile);
        entry.clone()
    }

    fn tell_of_refund(&self, entry: &Entry, action: u64, is_async: bool, profile: &FaultProfile) {
        if let Some(refund) = entry.refunds.iter().find(|refund| refund.action == action) {
            self.notify("refund.updated", &[reply::refund(entry, refund)], is_async, profile);
        }
    }

    fn notify(&self, event: &str, records: &[String], is_async: bool, profile: &FaultProfile) {
        let wanted = match profile.webhooks {
            WebhookPolicy::None => false,
            WebhookPolicy::Async => is_async,
            WebhookPolicy::All => true,
        };
        if !wanted || !self.desk.webhooks.is_on() {
            return;
        }
        let message = |record: &String| {
            let body = reply::event(event, record);
            let wrong = self.desk.dice.happens(profile.webhook_wrong_signature);
            let signature = hmac_hex(if wrong { b"another key" } else { &self.webhook_key }, body.as_bytes());
            let headers = vec![
                ("content-type", "application/json".to_owned()),
                ("x-examplebank-signature", format!("sha256={signature}")),
            ];
            Message { headers, body: Bytes::from(body) }
        };
        self.desk.notify(records.iter().map(message).collect(), profile);
    }

    /// Sends the customer's browser back with what became of the payment, signed.
    fn send_back(&self, number: u64, url: &str) -> Option<Response> {
        let entry = self.desk.books.get(number)?;
        let id = reply::payment_id(number);
        let taken = entry.status == Status::Captured;
        let amount = if taken { entry.captured_minor } else { entry.amount_minor }.to_string();
        let code = reply::error_of(&entry).map_or("", |(code, _)| code);
        let fields = [
            ("reference", &*entry.reference),
            ("payment_id", &id),
            ("status", reply::status_of(&entry)),
            ("amount", &amount),
            ("currency", entry.currency()),
            ("error_code", code),
        ];
        let signed = fields.map(|(_, value)| value).join("|");
        let mut query = String::new();
        for (name, value) in fields {
            push_field(&mut query, name, value);
        }
        push_field(&mut query, "signature", &hmac_hex(&self.signing_key, signed.as_bytes()));
        let separator = if url.contains('?') { '&' } else { '?' };
        Some(see_other(&format!("{url}{separator}{query}")))
    }

    fn control(&self, method: &http::Method, path: &str, body: &Bytes) -> Response {
        let found = |reference: &str| self.desk.books.find(reference).ok_or(Refusal::NotFound);
        let result = match control::read(&self.desk, method, path, body) {
            control::Request::Answered(response) => return response,
            control::Request::Decide { reference, approve, browser } => {
                found(reference).and_then(|(number, _)| {
                    let decided = self.decide(number, approve).map(|_| number);
                    // A browser that comes late is sent back as well, with what had become of it.
                    let url = if browser { self.desk.take_return(number) } else { None };
                    match url.and_then(|url| self.send_back(number, &url)) {
                        Some(response) => Ok(Err(response)),
                        None => decided.map(Ok),
                    }
                })
            }
            control::Request::Lapse { reference } => found(reference).and_then(|(number, _)| {
                let entry = self.desk.books.void(number, "")?;
                self.tell(number, &entry, true, &self.desk.profile());
                Ok(Ok(number))
            }),
        };
        match result {
            Ok(Ok(number)) => json(200, format!(r#"{{"payment_id":"{}"}}"#, reply::payment_id(number))),
            Ok(Err(response)) => response,
            Err(Refusal::NotFound) => control::problem(404, "no such payment"),
            Err(_) => control::problem(409, "the payment's state does not allow it"),
        }
    }
}

impl Processor for ExampleBankSim {
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

/// Without signatures on replies, a wrong one is a reply about another payment.
fn disguised(body: String, fault: Option<Fault>) -> String {
    match fault {
        Some(Fault::WrongSignature) => body.replacen(r#""reference":""#, r#""reference":"another-"#, 1),
        _ => body,
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

/// The names under which the example's configuration is to be found.
pub(crate) const EXAMPLE: &str = include_str!("../../../examples/custom-processor.toml");

/// Which of the books' methods a method's code names, and whether it waits for its customer.
const fn method_of(code: &[u8]) -> Option<(Method, bool)> {
    Some(match code {
        b"CARD" => (Method::Card, false),
        b"UPI_INTENT" | b"UPI_QR" => (Method::Upi, true),
        b"UPI_COLLECT" => (Method::Upi, false),
        b"NETBANKING" => (Method::NetBanking, true),
        b"WALLET" => (Method::Wallet, true),
        _ => return None,
    })
}
