//! Paytm, simulated: orders, server-to-server payments, Paytm's own page for the wallet, enquiries,
//! refunds, callbacks and webhooks in its wire format.
//!
//! What it answers and refuses follows paytmpayments.com/docs. As with the real one every payment waits
//! for its customer, so an ordinary payment is pending first. Known differences: an instrument that is
//! to fail fails at once, not after the bank's page, unless it is the wallet; the wallet's page does not
//! ask for a login; refunds are done as soon as they are taken on, unless `refund_pending` says
//! otherwise.

mod checkout;
mod checksum;
mod enquiry;
mod write;

use crate::accounts::PaytmOptions;
use crate::books::{Entry, IdStyle, Method, Refusal, Status};
use crate::control;
use crate::desk::Desk;
use crate::fault::{Fault, FaultProfile, PendingEnd, WebhookPolicy};
use crate::http::{HangUp, Response, form_page, json, push_field, reply, see_other, whole};
use crate::instrument::{Behaviour, Failure};
use crate::server::Processor;
use crate::webhooks::Message;
use bytes::Bytes;
use checksum::Key;
use hyper::body::Incoming;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::sync::Arc;

/// How this processor writes its ids.
pub(crate) const IDS: IdStyle =
    IdStyle { processor: "paytm", payment: write::payment_id, refund: write::refund_id };

/// What is remembered of an order for its payment.
#[derive(Debug, Clone)]
struct Order {
    /// By the customer's e-mail.
    behaviour: Behaviour,
    /// The ways to pay that the order allows; empty: all.
    modes: Vec<String>,
    /// How it will fail, if it is to.
    failure: Option<Failure>,
}

/// The simulator.
#[derive(Debug)]
pub(crate) struct PaytmSim {
    desk: Desk,
    mid: String,
    key: Key,
    orders: Mutex<HashMap<u64, Order>>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default)]
    head: Head,
    #[serde(borrow)]
    body: &'a RawValue,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Head {
    signature: String,
    txn_token: String,
}

/// The text of a request's body, its signature and its token.
fn open(request: &[u8]) -> Option<(&str, String, String)> {
    let envelope: Envelope<'_> = serde_json::from_slice(request).ok()?;
    Some((envelope.body.get(), envelope.head.signature, envelope.head.txn_token))
}

impl PaytmSim {
    pub(crate) fn new(desk: Desk, options: &PaytmOptions) -> Self {
        Self {
            desk,
            mid: options.mid.clone(),
            key: Key::new(options.merchant_key.expose()),
            orders: Mutex::default(),
        }
    }

    async fn answer(self: Arc<Self>, request: http::Request<Incoming>) -> Result<Response, HangUp> {
        let (head, body) = request.into_parts();
        let Some(body) = whole(body).await else {
            return Ok(json(400, write::refused("F", "1001", "Request parameters are not valid")));
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
        if let Some(order_id) = path.strip_prefix("/simulated-bank/") {
            return Ok(see_other(&self.desk.challenge_url(order_id)));
        }
        match (head.method.as_str(), path) {
            ("POST", "/theia/api/v1/initiateTransaction" | "/order/initiate") => {
                self.initiate(&head.uri, &body, &profile).await
            }
            ("POST", "/theia/api/v1/processTransaction") => self.process(&head.uri, &body, &profile).await,
            ("POST", "/theia/api/v1/showPaymentPage") => Ok(self.payment_page(&head.uri, &body, &profile)),
            ("POST", "/theia/api/v1/upiPollPage") => {
                let order_id = crate::http::query(&head.uri, "orderId").unwrap_or_default();
                Ok(see_other(&self.desk.challenge_url(&order_id)))
            }
            ("POST", "/v3/order/status") => {
                self.act(true, &profile, |wrong| self.status(&body, &profile, wrong)).await
            }
            ("POST", "/refund/apply") => {
                self.act(false, &profile, |wrong| self.refund(&body, &profile, wrong)).await
            }
            ("POST", "/v2/refund/status") => {
                self.act(true, &profile, |wrong| self.refund_status(&body, &profile, wrong)).await
            }
            _ => Ok(json(404, write::refused("F", "1001", "Request parameters are not valid"))),
        }
    }

    async fn act(
        &self,
        is_enquiry: bool,
        profile: &FaultProfile,
        act: impl FnOnce(bool) -> String,
    ) -> Result<Response, HangUp> {
        let fault = self.desk.fault(profile, is_enquiry);
        if let Some(response) = self.desk.strike_before(fault, profile).await? {
            return Ok(response);
        }
        let text = act(fault == Some(Fault::WrongSignature));
        self.desk.strike_after(fault, profile, json(200, text)).await
    }

    fn leave_pending(
        self: &Arc<Self>,
        number: u64,
        method: Method,
        approve: bool,
        profile: &FaultProfile,
    ) -> Result<(), Refusal> {
        self.desk.books.charge(number, Status::Pending, method, 0)?;
        let approve = match profile.pending_end {
            PendingEnd::Approve => Some(approve),
            PendingEnd::Reject => Some(false),
            PendingEnd::Never => None,
        };
        if let Some(approve) = approve {
            self.decide_later(number, approve, profile);
        }
        Ok(())
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
        let planned = self.orders.lock().remove(&number).and_then(|order| order.failure);
        let (status, failure) = match (approve, planned) {
            (true, None) => (Status::Captured, 0),
            (_, Some(failure)) => (Status::Failed, failure.index()),
            (false, None) => (Status::Failed, Failure::Cancelled.index()),
        };
        let entry = self.desk.books.charge(number, status, entry.method, failure)?;
        self.tell(number, &entry, true, &self.desk.profile());
        Ok(())
    }

    /// The transaction's fields with their hash.
    fn signed_fields(&self, number: u64, entry: &Entry, is_wrong: bool) -> Vec<(&'static str, String)> {
        let mut fields = write::fields(&self.mid, number, entry);
        let hash = if is_wrong { self.key.sign("something else") } else { self.key.sign_form(&fields) };
        fields.push(("CHECKSUMHASH", hash));
        fields
    }

    /// The browser goes back to the shop with the state as it is.
    fn send_back(&self, number: u64) -> Response {
        let url = self.desk.take_return(number).unwrap_or_default();
        let Some(entry) = self.desk.books.get(number).filter(|_| !url.is_empty()) else {
            return reply(200, "text/plain", "Done. You can close this page.");
        };
        // It may come again.
        self.desk.remember_return(number, &url);
        let fields = self.signed_fields(number, &entry, false);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        form_page(&url, &fields)
    }

    fn wants_webhook(&self, is_async: bool, profile: &FaultProfile) -> bool {
        self.desk.webhooks.is_on()
            && match profile.webhooks {
                WebhookPolicy::None => false,
                WebhookPolicy::Async => is_async,
                WebhookPolicy::All => true,
            }
    }

    fn tell(&self, number: u64, entry: &Entry, is_async: bool, profile: &FaultProfile) {
        if !self.wants_webhook(is_async, profile) {
            return;
        }
        let message = |entry: &Entry| {
            let is_wrong = self.desk.dice.happens(profile.webhook_wrong_signature);
            let mut body = String::with_capacity(1_024);
            for (name, value) in self.signed_fields(number, entry, is_wrong) {
                push_field(&mut body, name, &value);
            }
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

    fn tell_of_refund(
        &self,
        number: u64,
        entry: &Entry,
        action: u64,
        is_async: bool,
        profile: &FaultProfile,
    ) {
        let refund = entry.refunds.iter().find(|refund| refund.action == action);
        let Some(refund) = refund.filter(|_| self.wants_webhook(is_async, profile)) else {
            return;
        };
        let is_wrong = self.desk.dice.happens(profile.webhook_wrong_signature);
        let body = self.reply(&write::refund_notice(&self.mid, number, entry, refund), is_wrong);
        let headers = vec![("content-type", "application/json".to_owned())];
        self.desk.notify(vec![Message { headers, body: Bytes::from(body) }], profile);
    }

    fn control(&self, method: &http::Method, path: &str, body: &Bytes) -> Response {
        let found = |reference: &str| self.desk.books.find(reference).ok_or(Refusal::NotFound);
        let result = match control::read(&self.desk, method, path, body) {
            control::Request::Answered(response) => return response,
            control::Request::Decide { reference, approve, browser } => {
                let decided =
                    found(reference).and_then(|(number, _)| self.decide(number, approve).map(|()| number));
                match (browser, decided, found(reference)) {
                    // A browser is sent back also when somebody else has decided before it.
                    (true, Ok(number), _) | (true, Err(Refusal::State), Ok((number, _))) => {
                        return self.send_back(number);
                    }
                    (_, decided, _) => decided,
                }
            }
            control::Request::Lapse { reference } => {
                found(reference).and_then(|(number, _)| self.desk.books.void(number, "").map(|_| number))
            }
        };
        match result {
            Ok(number) => json(200, format!(r#"{{"payment_id":"{}"}}"#, write::payment_id(number))),
            Err(Refusal::NotFound) => control::problem(404, "no such payment"),
            Err(_) => control::problem(409, "the payment's state does not allow it"),
        }
    }
}

impl Processor for PaytmSim {
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
