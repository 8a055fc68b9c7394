//! PhonePe, simulated: the current API (OAuth, orders, hosted page, UPI AutoPay) and the legacy one
//! (signed base64 payloads), each for the account it was given.
//!
//! Every payment waits for its customer, as the real ones do: a browser on the simulated page, the
//! control endpoint, or time. Known differences: tokens are not forgotten by a restart, cancelled
//! mandates are; a notified debit is made after the profile's `pending_ms`, not a day later; refunds are
//! done at once unless the profile says otherwise, though the first answer is `PENDING` as in reality;
//! the error codes of a repeated order and of a refund above what is left are PhonePe's own words, those
//! of a repeated refund and of a repeated v1 transaction are not documented.

mod particulars;
mod reply;
mod subscriptions;
mod v1;
mod v2;

pub(crate) use particulars::{IDS, IDS_V1};

use crate::accounts::{PhonePeOptions, PhonePeV1Options};
use crate::books::{Entry, Method, NewEntry, RefundState, Refusal, Status};
use crate::control;
use crate::desk::{Desk, now_ms};
use crate::fault::{Fault, FaultProfile, PendingEnd, WebhookPolicy};
use crate::http::{HangUp, Response, form_page, json, see_other, whole};
use crate::instrument::{Behaviour, Failure};
use crate::server::Processor;
use crate::webhooks::Message;
use bytes::Bytes;
use hyper::body::Incoming;
use parking_lot::Mutex;
use particulars::{Ending, Particulars, Product};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// The API's folders on PhonePe's hosts; SDKs put one in front of every path.
const FOLDERS: [&str; 4] = ["/apis/pg-sandbox", "/apis/identity-manager", "/apis/hermes", "/apis/pg"];
/// The longest id of an order or refund.
const ID_LENGTH_MAX: usize = 63;
const AMOUNT_MINOR_MIN: i64 = 100;

/// The account that is served.
#[derive(Debug)]
enum Account {
    V2(PhonePeOptions),
    V1(PhonePeV1Options),
}

/// The simulator.
#[derive(Debug)]
pub(crate) struct PhonePeSim {
    desk: Desk,
    account: Account,
    /// Entry and action of each refund: it is asked after by its own reference.
    refunds: Mutex<HashMap<String, (u64, u64)>>,
    /// Set-up order of each mandate.
    mandates: Mutex<HashMap<String, Setup>>,
}

/// The order that set a mandate up.
#[derive(Debug, Clone, Copy)]
struct Setup {
    number: u64,
    is_cancelled: bool,
}

/// An order to be registered.
struct NewOrder<'a> {
    reference: &'a str,
    amount_minor: i64,
    method: Method,
    particulars: Particulars,
    behaviour: Behaviour,
    return_url: Option<&'a str>,
}

impl PhonePeSim {
    pub(crate) fn new(desk: Desk, options: &PhonePeOptions) -> Self {
        Self::serving(desk, Account::V2(options.clone()))
    }

    pub(crate) fn new_v1(desk: Desk, options: &PhonePeV1Options) -> Self {
        Self::serving(desk, Account::V1(options.clone()))
    }

    fn serving(desk: Desk, account: Account) -> Self {
        Self { desk, account, refunds: Mutex::default(), mandates: Mutex::default() }
    }

    async fn answer(self: Arc<Self>, request: http::Request<Incoming>) -> Result<Response, HangUp> {
        let (head, body) = request.into_parts();
        let Some(body) = whole(body).await else {
            return Ok(reply::bad_request());
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
        let path = FOLDERS.iter().find_map(|folder| path.strip_prefix(folder)).unwrap_or(path);
        match &self.account {
            Account::V2(account) => self.answer_v2(account, &head, path, &body, &profile).await,
            Account::V1(account) => self.answer_v1(account, &head, path, &body, &profile).await,
        }
    }

    /// Registers an order and says what the caller gets, as disturbed as the profile wants it.
    async fn take(
        self: &Arc<Self>,
        mut order: NewOrder<'_>,
        profile: &Arc<FaultProfile>,
        accept: impl FnOnce(u64, &Entry, &Particulars) -> String + Send,
        refuse: impl FnOnce(Refusal) -> Response + Send,
    ) -> Result<Response, HangUp> {
        let behaviour = self.desk.behaviour(order.behaviour, profile);
        order.particulars.ending = Ending::of(behaviour);
        let fault = match behaviour {
            // Nothing that PhonePe answers is signed.
            Behaviour::Fault(Fault::WrongSignature) => Some(Fault::Garbage),
            Behaviour::Fault(fault) => Some(fault),
            _ => None,
        };
        if let Some(response) = self.desk.strike_before(fault, profile).await? {
            return Ok(response);
        }
        let response = match self.register(&order, profile) {
            Ok((number, entry)) => json(200, accept(number, &entry, &order.particulars)),
            Err(refusal) => refuse(refusal),
        };
        self.desk.strike_after(fault, profile, response).await
    }

    fn register(
        self: &Arc<Self>,
        order: &NewOrder<'_>,
        profile: &FaultProfile,
    ) -> Result<(u64, Entry), Refusal> {
        let NewOrder { reference, amount_minor, method, particulars, .. } = order;
        let new = NewEntry {
            reference,
            amount_minor: *amount_minor,
            currency: *b"INR",
            manual: false,
            method: *method,
            notes: particulars.notes(),
            now_ms: now_ms(),
        };
        let number = self.desk.books.create(&new)?;
        let entry = self.desk.books.charge(number, Status::Pending, *method, 0)?;
        if let Some(url) = order.return_url {
            self.desk.remember_return(number, url);
        }
        if particulars.product != Product::Redemption || particulars.auto_debit {
            self.decide_later(number, particulars, profile);
        }
        Ok((number, entry))
    }

    fn decide_later(self: &Arc<Self>, number: u64, particulars: &Particulars, profile: &FaultProfile) {
        let approve = match (profile.pending_end, particulars.ending) {
            (PendingEnd::Never, _) | (_, Ending::Open) => return,
            (PendingEnd::Reject, _) | (PendingEnd::Approve, Ending::Refused) => false,
            (PendingEnd::Approve, Ending::Paid | Ending::Failed(_)) => true,
        };
        let sim = Arc::clone(self);
        self.desk.later(profile.pending_ms, move || drop(sim.decide(number, approve)));
    }

    /// The customer of an order has decided; then the bank does.
    fn decide(&self, number: u64, approve: bool) -> Result<(), Refusal> {
        let entry = self.desk.books.get(number).ok_or(Refusal::NotFound)?;
        let particulars = Particulars::of(&entry);
        let (status, failure) = match (approve, particulars.ending) {
            _ if entry.status != Status::Pending => return Err(Refusal::State),
            (true, Ending::Open) => return Err(Refusal::State),
            (true, Ending::Failed(failure)) => (Status::Failed, failure),
            (true, Ending::Paid | Ending::Refused) => (Status::Captured, 0),
            (false, _) => (Status::Failed, Failure::Cancelled.index()),
        };
        let entry = self.desk.books.charge(number, status, entry.method, failure)?;
        self.tell(&particulars, number, &entry);
        Ok(())
    }

    /// The webhook of a decided order. All of them are decided behind the caller's back.
    fn tell(&self, particulars: &Particulars, number: u64, entry: &Entry) {
        let profile = self.desk.profile();
        if profile.webhooks == WebhookPolicy::None {
            return;
        }
        let message = match &self.account {
            Account::V2(account) => {
                let name = reply::event_of(particulars.product, entry.status == Status::Captured);
                let payload = reply::order(number, entry, particulars, &account.client_id, false);
                self.message_v2(account, name, payload, &profile)
            }
            Account::V1(account) => {
                self.message_v1(account, &v1::status_of(account, number, entry), &profile)
            }
        };
        self.desk.notify(vec![message], &profile);
    }

    fn message(&self, header: (&'static str, String), body: String) -> Message {
        let content_type = ("content-type", "application/json".to_owned());
        Message { headers: vec![content_type, header], body: Bytes::from(body) }
    }

    /// Begins a refund: it is always `PENDING` at first, and done when somebody looks.
    fn begin_refund(
        self: &Arc<Self>,
        charge_reference: &str,
        reference: &str,
        amount_minor: i64,
        profile: &FaultProfile,
    ) -> Result<(u64, Entry, usize), Refusal> {
        let (number, _) = self.desk.books.find(charge_reference).ok_or(Refusal::NotFound)?;
        let pending = self.desk.dice.happens(profile.refund_pending);
        let state = if pending { RefundState::Pending } else { RefundState::Processed };
        let mut refunds = self.refunds.lock();
        let is_taken = refunds.get(reference).is_some_and(|place| self.refund_at(*place).is_some());
        if is_taken || self.desk.books.find(reference).is_some() {
            return Err(Refusal::KeyReused);
        }
        let (entry, place) = self.desk.books.refund(number, reference, reference, amount_minor, state)?;
        let action = entry.refunds[place].action;
        refunds.insert(reference.to_owned(), (number, action));
        drop(refunds);
        if pending {
            let sim = Arc::clone(self);
            self.desk.later(profile.pending_ms, move || sim.settle_refund(number, action));
        } else if profile.webhooks == WebhookPolicy::All {
            self.tell_refund(number, action, &[RefundState::Pending, RefundState::Processed]);
        }
        Ok((number, entry, place))
    }

    fn settle_refund(&self, number: u64, action: u64) {
        let profile = self.desk.profile();
        let failed = self.desk.dice.happens(profile.refund_fail);
        let state = if failed { RefundState::Failed } else { RefundState::Processed };
        // Decided already is decided.
        if self.desk.books.settle_refund(number, action, state).is_ok()
            && profile.webhooks != WebhookPolicy::None
        {
            self.tell_refund(number, action, &[state]);
        }
    }

    /// The webhooks of a refund that went through these states.
    fn tell_refund(&self, number: u64, action: u64, states: &[RefundState]) {
        let Some((entry, refund)) = self.refund_at((number, action)) else {
            return;
        };
        let profile = self.desk.profile();
        let message = |state: &RefundState| {
            let mut then = refund.clone();
            then.state = *state;
            match &self.account {
                Account::V2(account) => {
                    let payload = reply::refund(&entry, &then, &account.client_id);
                    self.message_v2(account, reply::refund_event_of(*state), payload, &profile)
                }
                Account::V1(account) => {
                    self.message_v1(account, &v1::refund_status_of(account, &then), &profile)
                }
            }
        };
        self.desk.notify(states.iter().map(message).collect(), &profile);
    }

    fn refund_at(&self, (number, action): (u64, u64)) -> Option<(Entry, crate::books::Refund)> {
        let entry = self.desk.books.get(number)?;
        let refund = entry.refunds.iter().find(|refund| refund.action == action)?.clone();
        Some((entry, refund))
    }

    /// The refund of that reference, unless enquiries are still blind to it.
    fn refund_of(&self, reference: &str) -> Option<(Entry, crate::books::Refund)> {
        let place = self.refunds.lock().get(reference).copied()?;
        self.refund_at(place).filter(|(_, refund)| refund.reference() == reference)
    }

    fn seen(&self, reference: &str, profile: &FaultProfile) -> Option<(u64, Entry, Particulars)> {
        let (number, entry) = self.desk.books.find(reference)?;
        let particulars = Particulars::of(&entry);
        (!self.desk.is_blind_to(entry.created_ms, profile)).then_some((number, entry, particulars))
    }

    fn control(&self, method: &http::Method, path: &str, body: &Bytes) -> Response {
        let found = |reference: &str| self.desk.books.find(reference).ok_or(Refusal::NotFound);
        let result = match control::read(&self.desk, method, path, body) {
            control::Request::Answered(response) => return response,
            control::Request::Decide { reference, approve, browser } => {
                found(reference).and_then(|(number, _)| {
                    match (self.decide(number, approve), browser) {
                        // A browser that comes late learns how it ended, like any other.
                        (Ok(()) | Err(Refusal::State), true) => Ok((number, true)),
                        (decided, _) => decided.map(|()| (number, browser)),
                    }
                })
            }
            // There are no authorizations.
            control::Request::Lapse { reference } => found(reference)
                .and_then(|(number, _)| self.desk.books.void(number, "").map(|_| (number, false))),
        };
        match result {
            Ok((number, true)) => self.send_back(number),
            Ok((number, false)) => json(200, format!(r#"{{"payment_id":"{}"}}"#, self.id_of(number))),
            Err(Refusal::NotFound) => control::problem(404, "no such payment"),
            Err(_) => control::problem(409, "the payment's state does not allow it"),
        }
    }

    fn id_of(&self, number: u64) -> String {
        match &self.account {
            Account::V2(_) => particulars::order_id(number),
            Account::V1(_) => particulars::transaction_id_v1(number),
        }
    }

    /// Where the browser goes now: to the merchant, with nothing that proves anything.
    fn send_back(&self, number: u64) -> Response {
        let url = self.desk.take_return(number);
        match (url.as_deref().map(|url| url.strip_prefix(v1::BY_POST).ok_or(url)), &self.account) {
            (Some(Ok(url)), Account::V1(account)) => {
                let entry = self.desk.books.get(number);
                let fields =
                    entry.map(|entry| v1::return_fields(account, number, &entry)).unwrap_or_default();
                let fields: Vec<(&str, &str)> =
                    fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
                form_page(url, &fields)
            }
            (Some(Ok(url) | Err(url)), _) => see_other(url),
            (None, _) => json(200, format!(r#"{{"payment_id":"{}"}}"#, self.id_of(number))),
        }
    }

    /// Whether an id is one that PhonePe takes.
    fn is_id(text: &str) -> bool {
        (1..=ID_LENGTH_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    }
}

impl Processor for PhonePeSim {
    /// Orders that were waiting for a customer when the process ended decide themselves again.
    fn started(self: &Arc<Self>) {
        let profile = self.desk.profile();
        let (mut refunds, mut mandates) = (self.refunds.lock(), self.mandates.lock());
        self.desk.books.each(|number, entry| {
            for refund in &entry.refunds {
                refunds.insert(refund.reference().to_owned(), (number, refund.action));
            }
            let particulars = Particulars::of(entry);
            if let (Product::Setup, Some(mandate)) = (particulars.product, particulars.mandate) {
                mandates.insert(mandate.merchant_subscription_id, Setup { number, is_cancelled: false });
            }
        });
        drop((refunds, mandates));
        for number in self.desk.books.pending() {
            if let Some(entry) = self.desk.books.get(number) {
                self.decide_later(number, &Particulars::of(&entry), &profile);
            }
        }
    }

    async fn handle(self: Arc<Self>, request: http::Request<Incoming>) -> Result<Response, HangUp> {
        self.answer(request).await
    }
}

/// SHA-256 of the parts put together, in hexadecimal.
fn sha256_hex(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.as_bytes());
    }
    hex::encode(hasher.finalize())
}

/// Equality in constant time.
fn same(expected: &str, given: &str) -> bool {
    expected.as_bytes().ct_eq(given.as_bytes()).into()
}

fn header<'h>(head: &'h http::request::Parts, name: &str) -> &'h str {
    head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}
