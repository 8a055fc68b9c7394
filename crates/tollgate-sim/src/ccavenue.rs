//! CCAvenue (India), simulated: its payment page in the customer's browser, its API and its
//! notifications, all encrypted as CCAvenue does.
//!
//! What it answers and refuses follows CCAvenue's API guide and integration document. Known
//! differences: the page has no fields to fill in, only two buttons; an order number is one payment
//! (CCAvenue itself takes the same number as often as it is sent); after a failed payment the same
//! number is the same payment again; orders are confirmed in full alone; where orders confirm
//! themselves they are `Shipped` at once.

mod api;
mod cipher;
mod order;

use crate::accounts::CcAvenueOptions;
use crate::books::{Entry, IdStyle, NewEntry, Notes, Refusal, Status};
use crate::control;
use crate::desk::{Desk, now_ms};
use crate::fault::{Fault, FaultProfile, PendingEnd, WebhookPolicy};
use crate::http::{HangUp, Response, form_field, form_page, json, push_field, reply, whole};
use crate::instrument::{Behaviour, Failure};
use crate::server::Processor;
use crate::webhooks::Message;
use bytes::Bytes;
use cipher::Cipher;
use hyper::body::Incoming;
use order::Order;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// How this processor writes its ids.
pub(crate) const IDS: IdStyle =
    IdStyle { processor: "ccavenue", payment: order::reference_no, refund: order::bank_reference };

/// Orders whose form is remembered: what the browser brings back repeats it.
const ORDERS_MAX: usize = 100_000;

/// The simulator.
#[derive(Debug)]
pub(crate) struct CcAvenueSim {
    desk: Desk,
    merchant_id: String,
    access_code: String,
    cipher: Cipher,
    /// Encrypts what is to be found wrong.
    wrong: Cipher,
    manual_confirmation: bool,
    orders: Mutex<HashMap<u64, Arc<Order>>>,
}

impl CcAvenueSim {
    pub(crate) fn new(desk: Desk, options: &CcAvenueOptions) -> Self {
        Self {
            desk,
            merchant_id: options.merchant_id.clone(),
            access_code: options.access_code.clone(),
            cipher: Cipher::new(options.working_key.expose()),
            wrong: Cipher::new("another working key"),
            manual_confirmation: options.manual_confirmation,
            orders: Mutex::default(),
        }
    }

    async fn answer(self: Arc<Self>, request: http::Request<Incoming>) -> Result<Response, HangUp> {
        let (head, body) = request.into_parts();
        let Some(body) = whole(body).await else {
            return Ok(reply(400, "text/plain", "Invalid request"));
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
            ("POST", "/transaction/transaction.do") => {
                match crate::http::query(&head.uri, "command").as_deref() {
                    Some("initiateTransaction") => self.page(&body, &profile).await,
                    _ => Ok(reply(404, "text/plain", "Not found")),
                }
            }
            ("POST", "/apis/servlet/DoWebTrans") => {
                let command = api::read(&body);
                let fault = self.desk.fault(&profile, !command.moves_money());
                if let Some(response) = self.desk.strike_before(fault, &profile).await? {
                    return Ok(response);
                }
                let cipher = if fault == Some(Fault::WrongSignature) { &self.wrong } else { &self.cipher };
                let body = self.command(&command, cipher, &profile);
                let response = reply(200, "text/plain", body);
                self.desk.strike_after(fault, &profile, response).await
            }
            _ => Ok(reply(404, "text/plain", "Not found")),
        }
    }

    /// The payment page: what the customer's browser gets for the form.
    async fn page(self: &Arc<Self>, body: &[u8], profile: &Arc<FaultProfile>) -> Result<Response, HangUp> {
        let field = |name| form_field(body, name).unwrap_or_default();
        let refused = |text: &'static str| Ok(reply(200, "text/html; charset=utf-8", text));
        if field("access_code") != self.access_code {
            return refused("<h1>Error 10001</h1><p>Access code: Invalid Parameter</p>");
        }
        let plain = self.cipher.decrypt(&field("encRequest"));
        let Some(mut order) = plain.and_then(|plain| Order::read(&plain, &self.merchant_id)) else {
            return refused("<h1>Error 10002</h1><p>Merchant Authentication failed.</p>");
        };
        let behaviour = self.desk.behaviour(order.behaviour, profile);
        let fault = match behaviour {
            Behaviour::Fault(fault) => Some(fault),
            _ => None,
        };
        if let Some(response) = self.desk.strike_before(fault, profile).await? {
            return Ok(response);
        }
        order.behaviour = behaviour;
        let Ok(number) = self.register(&order, profile) else {
            return refused("<h1>Error 10003</h1><p>Invalid order</p>");
        };
        if fault.is_some_and(Fault::loses_the_answer) && fault != Some(Fault::WrongSignature) {
            // The customer pays, and the browser never hears of it.
            let _ = self.decide(number, true);
        }
        let response = match self.desk.books.get(number).map(|entry| entry.status) {
            Some(Status::Pending) => self.shop_page(&order),
            _ => self.back(number),
        };
        self.desk.strike_after(fault, profile, response).await
    }

    fn shop_page(&self, order: &Order) -> Response {
        let escaped = crate::http::escaped;
        let page = format!(
            "<!doctype html><html lang=en><meta charset=utf-8><title>Simulated CCAvenue</title>\
             <h1>Simulated CCAvenue</h1><p>Order {reference}: {currency} {amount}</p>\
             <form method=post action=\"/sim/challenge/{reference}\">\
             <button name=decision value=approve>Approve</button> \
             <button name=decision value=reject>Reject</button></form></html>",
            reference = escaped(&order.reference),
            currency = escaped(&order.currency),
            amount = escaped(&order.amount),
        );
        reply(200, "text/html; charset=utf-8", page)
    }

    /// A number that is being paid, or was, stays what it is; after a failure it may be tried again.
    fn register(self: &Arc<Self>, order: &Order, profile: &FaultProfile) -> Result<u64, Refusal> {
        let new = NewEntry {
            reference: &order.reference,
            amount_minor: order.amount_minor,
            currency: order.currency_bytes,
            manual: self.manual_confirmation,
            method: order.method,
            notes: Notes::None,
            now_ms: now_ms(),
        };
        let number = match self.desk.books.create(&new) {
            Ok(number) => number,
            Err(Refusal::Exists(number)) => {
                let entry = self.desk.books.get(number).ok_or(Refusal::NotFound)?;
                let same = entry.amount_minor == order.amount_minor && entry.currency == order.currency_bytes;
                if &*entry.reference != order.reference.as_str() || !same {
                    return Err(Refusal::State);
                }
                if !matches!(entry.status, Status::Created | Status::Failed) {
                    return Ok(number);
                }
                number
            }
            Err(refusal) => return Err(refusal),
        };
        self.desk.books.charge(number, Status::Pending, order.method, 0)?;
        let mut orders = self.orders.lock();
        if orders.len() < ORDERS_MAX || orders.contains_key(&number) {
            orders.insert(number, Arc::new(order.clone()));
        }
        drop(orders);
        let approve = match (profile.pending_end, order.behaviour) {
            (PendingEnd::Approve, Behaviour::Pending { approve }) => Some(approve),
            (PendingEnd::Approve, _) => Some(true),
            (PendingEnd::Reject, _) => Some(false),
            (PendingEnd::Never, _) => None,
        };
        if let Some(approve) = approve {
            self.decide_later(number, approve, profile);
        }
        Ok(number)
    }

    fn decide_later(self: &Arc<Self>, number: u64, approve: bool, profile: &FaultProfile) {
        let sim = Arc::clone(self);
        self.desk.later(profile.pending_ms, move || drop(sim.decide(number, approve)));
    }

    fn order(&self, number: u64) -> Option<Arc<Order>> {
        self.orders.lock().get(&number).cloned()
    }

    /// The customer has decided; whether the bank agrees is the instrument's business.
    fn decide(&self, number: u64, approve: bool) -> Result<(), Refusal> {
        let entry = self.desk.books.get(number).ok_or(Refusal::NotFound)?;
        if entry.status != Status::Pending {
            return Err(Refusal::State);
        }
        let order = self.order(number);
        let behaviour = order.as_ref().map_or(Behaviour::Success, |order| order.behaviour);
        let (status, failure) = match (approve, behaviour) {
            (false, _) => (Status::Failed, Failure::Cancelled),
            (true, Behaviour::Fail(failure)) => (Status::Failed, failure),
            (true, _) if entry.manual => (Status::Authorized, Failure::Declined),
            (true, _) => (Status::Captured, Failure::Declined),
        };
        let entry = self.desk.books.charge(number, status, entry.method, failure.index())?;
        if let Some(order) = order {
            self.tell(number, &entry, &order);
        }
        Ok(())
    }

    /// The message of an order's outcome, encrypted.
    fn message(&self, number: u64, entry: &Entry, order: &Order, wrong: bool) -> String {
        let cipher = if wrong { &self.wrong } else { &self.cipher };
        cipher.encrypt(&order.outcome(number, entry))
    }

    fn tell(&self, number: u64, entry: &Entry, order: &Order) {
        let profile = self.desk.profile();
        if profile.webhooks == WebhookPolicy::None || !self.desk.webhooks.is_on() {
            return;
        }
        let message = |entry: &Entry| {
            let wrong = self.desk.dice.happens(profile.webhook_wrong_signature);
            let mut body = String::new();
            push_field(&mut body, "encResp", &self.message(number, entry, order, wrong));
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
        self.desk.notify(messages, &profile);
    }

    /// Sends the browser back to the shop, as often as it comes.
    fn back(&self, number: u64) -> Response {
        let (Some(entry), Some(order)) = (self.desk.books.get(number), self.order(number)) else {
            return reply(200, "text/html; charset=utf-8", "<h1>Thank you</h1>");
        };
        let wrong = order.behaviour == Behaviour::Fault(Fault::WrongSignature);
        let message = self.message(number, &entry, &order, wrong);
        let left = entry.status == Status::Failed && entry.failure == Failure::Cancelled.index();
        let url = if left { &order.cancel_url } else { &order.redirect_url };
        form_page(url, &[("encResp", &message), ("orderNo", &order.reference), ("crossSellUrl", "")])
    }

    fn control(&self, method: &http::Method, path: &str, body: &Bytes) -> Response {
        let find = |reference: &str| self.desk.books.find(reference).ok_or(Refusal::NotFound);
        let result = match control::read(&self.desk, method, path, body) {
            control::Request::Answered(response) => return response,
            control::Request::Decide { reference, approve, browser } => {
                find(reference).and_then(|(number, _)| {
                    match self.decide(number, approve) {
                        // A browser that comes late is sent back like any other.
                        Ok(()) | Err(Refusal::State) if browser => Err(Refusal::Exists(number)),
                        decided => decided.map(|()| number),
                    }
                })
            }
            control::Request::Lapse { reference } => {
                find(reference).and_then(|(number, _)| self.desk.books.void(number, "").map(|_| number))
            }
        };
        match result {
            Ok(number) => json(200, format!(r#"{{"payment_id":"{}"}}"#, order::reference_no(number))),
            Err(Refusal::Exists(number)) => self.back(number),
            Err(Refusal::NotFound) => control::problem(404, "no such payment"),
            Err(_) => control::problem(409, "the payment's state does not allow it"),
        }
    }
}

impl Processor for CcAvenueSim {
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
