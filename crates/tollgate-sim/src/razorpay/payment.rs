//! Orders and the payments on them.

use super::request::{
    ALREADY_PAID, NO_SUCH_ID, OrderRequest, PaymentRequest, RECEIPT_LENGTH_MAX, Refused, UNREADABLE,
    check_method, instrument_of, integer, notes_of, refused,
};
use super::{RazorpaySim, entity, hmac_hex};
use crate::books::{Entry, Method, NewEntry, Refusal, Status};
use crate::desk::now_ms;
use crate::fault::{Fault, FaultProfile, PendingEnd};
use crate::http::{HangUp, Response, form_page, json};
use crate::instrument::{self, Behaviour, Failure};
use bytes::Bytes;
use std::sync::Arc;

/// The smallest order (razorpay.com/docs/api/orders/create).
const AMOUNT_MINOR_MIN: i64 = 100;

/// Most orders whose account's secret is remembered, where it is not the first account's.
const SECRETS_MAX: usize = 100_000;

impl RazorpaySim {
    /// `secret`: the caller's, where it is not the first account's.
    pub(super) fn create_order(&self, body: &[u8], secret: Option<Vec<u8>>) -> Result<Response, Refused> {
        let order: OrderRequest<'_> = serde_json::from_slice(body).map_err(|_| UNREADABLE)?;
        let validation = |description, field| refused(description, "input_validation_failed", field);
        let amount = order.amount.ok_or(validation("amount: is required.", "amount"))?;
        let amount_minor = integer(amount).ok_or(validation("The amount must be an integer.", "amount"))?;
        if amount_minor < AMOUNT_MINOR_MIN {
            let text = "Order amount less than minimum amount allowed";
            return Err(refused(text, "amount_less_than_minimum_amount", "amount"));
        }
        let currency = order.currency.as_deref().unwrap_or("");
        let known = currency.parse::<tollgate_core::currency::Currency>();
        let currency = known.map_err(|_| validation("The currency is invalid", "currency"))?.bytes();
        let receipt = order.receipt.as_deref().unwrap_or("");
        let printable = receipt.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if receipt.len() > RECEIPT_LENGTH_MAX || !printable {
            return Err(validation("The receipt may not be greater than 40 characters.", "receipt"));
        }
        let manual = match &order.payment {
            Some(settings) => settings.capture.as_deref() == Some("manual"),
            None => order.payment_capture.is_some_and(|raw| matches!(raw.get(), "0" | "false")),
        };
        // An order without a receipt is kept under a name of its own.
        let now_ms = now_ms();
        let own_name;
        let reference = if receipt.is_empty() {
            own_name = format!("-{now_ms}-{}", self.desk.dice.roll());
            own_name.as_str()
        } else {
            receipt
        };
        let notes = notes_of(order.notes, reference)?;
        let mandate = self.read_mandate(&order)?;
        let method = Method::Card;
        let new = NewEntry { reference, amount_minor, currency, manual, method, notes, now_ms };
        let number = self.desk.books.create(&new).map_err(|refusal| match refusal {
            Refusal::Exists(_) => validation("Order receipt should be unique.", "receipt"),
            _ => Refused { status: 500, ..UNREADABLE },
        })?;
        if let Some(secret) = secret {
            let mut secrets = self.secrets.lock();
            if secrets.len() >= SECRETS_MAX {
                secrets.clear();
            }
            secrets.insert(number, secret);
        }
        if let Some(mandate) = mandate {
            self.remember_mandate(number, mandate);
        }
        let entry = self.desk.books.get(number).ok_or(NO_SUCH_ID)?;
        Ok(json(200, entity::order(number, &entry, None)))
    }

    pub(super) async fn create_payment(
        self: &Arc<Self>,
        body: &[u8],
        profile: &Arc<FaultProfile>,
    ) -> Result<Response, HangUp> {
        let (number, request) = match self.check_payment(body) {
            Ok(checked) => checked,
            Err(refused) => return Ok(refused.reply()),
        };
        let sets_up = self.is_mandate(number);
        let (method, behaviour, is_intent) = instrument_of(&request);
        let behaviour = self.desk.behaviour(behaviour, profile);
        let fault = match behaviour {
            Behaviour::Fault(fault) => Some(fault),
            _ => None,
        };
        if let Some(response) = self.desk.strike_before(fault, profile).await? {
            return Ok(response);
        }
        if fault == Some(Fault::Lying) {
            // Truly signed, and about another order.
            return Ok(json(200, as_json(&self.signed(number.saturating_add(1)))));
        }
        // Wallets, banks and lenders have the customer on a page of theirs, unless that is linked.
        let has_page = matches!(method, Method::Wallet | Method::NetBanking | Method::Bnpl)
            && !instrument::is_frictionless(request.email());
        let waits = match behaviour {
            Behaviour::Pending { approve } => Some(approve),
            Behaviour::Success if is_intent || has_page || sets_up => Some(true),
            _ => None,
        };
        if let Some(url) = request.callback_url.as_deref().filter(|_| waits.is_some()) {
            self.desk.remember_return(number, url);
        }
        let response = match (waits, behaviour) {
            (Some(approve), _) => self
                .leave_pending(number, method, approve, profile)
                .map(|()| json(200, self.next_steps(number, method, is_intent, sets_up))),
            (None, Behaviour::Fail(failure)) => self.fail(number, method, failure, profile),
            (None, _) => self.succeed(number, method, fault, profile),
        };
        let response = response.unwrap_or_else(|refused| refused.reply());
        self.desk.strike_after(fault, profile, response).await
    }

    pub(super) fn check_payment<'b>(&self, body: &'b [u8]) -> Result<(u64, PaymentRequest<'b>), Refused> {
        let request: PaymentRequest<'b> = serde_json::from_slice(body).map_err(|_| UNREADABLE)?;
        let required = |present: bool, text, field| {
            if present { Ok(()) } else { Err(refused(text, "input_validation_failed", field)) }
        };
        required(request.email.is_some(), "The email field is required.", "email")?;
        required(request.contact.is_some(), "The contact field is required.", "contact")?;
        required(request.method.is_some(), "The method field is required.", "method")?;
        check_method(&request)?;
        let order_id = request.order_id.as_deref().unwrap_or("");
        let number = entity::number_of(order_id, "order_");
        let found = number.and_then(|number| Some((number, self.desk.books.get(number)?)));
        let (number, entry) =
            found.ok_or(refused("The id provided does not exist", "invalid_order_id", "order_id"))?;
        let amount_fits = request.amount.and_then(integer) == Some(entry.amount_minor);
        if !amount_fits || request.currency.as_deref().unwrap_or("INR") != entry.currency() {
            let text = "Payment amount is different from your order amount.";
            return Err(refused(text, "order_amount_mismatch", "amount"));
        }
        if self.is_mandate(number) && !request.is_recurring() {
            return Err(refused("The recurring field is required.", "input_validation_failed", "recurring"));
        }
        match entry.status {
            Status::Created | Status::Failed => Ok((number, request)),
            _ => Err(refused("Payment already done for this order.", "order_already_paid", "order_id")),
        }
    }

    pub(super) fn succeed(
        &self,
        number: u64,
        method: Method,
        fault: Option<Fault>,
        profile: &FaultProfile,
    ) -> Result<Response, Refused> {
        let manual = self.desk.books.get(number).is_some_and(|entry| entry.manual);
        let status = if manual { Status::Authorized } else { Status::Captured };
        let entry = self.desk.books.charge(number, status, method, 0).map_err(|_| ALREADY_PAID)?;
        let is_async = fault.is_some_and(Fault::loses_the_answer);
        self.tell_of_payment(number, &entry, is_async, profile);
        let mut triple = self.signed(number);
        if fault == Some(Fault::WrongSignature) {
            triple[2].1 = hmac_hex(b"another key", triple[2].1.as_bytes());
        }
        Ok(json(200, as_json(&triple)))
    }

    /// What a success is told by, to a caller and by a browser.
    pub(super) fn signed(&self, number: u64) -> [(&'static str, String); 3] {
        let (payment_id, order_id) = (entity::payment_id(number), entity::order_id(number));
        let signed = [order_id.as_bytes(), b"|", payment_id.as_bytes()].concat();
        let secrets = self.secrets.lock();
        let signature = hmac_hex(secrets.get(&number).unwrap_or(&self.signature_key), &signed);
        [
            ("razorpay_payment_id", payment_id),
            ("razorpay_order_id", order_id),
            ("razorpay_signature", signature),
        ]
    }

    pub(super) fn fail(
        &self,
        number: u64,
        method: Method,
        failure: Failure,
        profile: &FaultProfile,
    ) -> Result<Response, Refused> {
        let books = &self.desk.books;
        let entry =
            books.charge(number, Status::Failed, method, failure.index()).map_err(|_| ALREADY_PAID)?;
        self.tell_of_payment(number, &entry, false, profile);
        Ok(json(400, entity::failure(number, failure)))
    }

    pub(super) fn leave_pending(
        self: &Arc<Self>,
        number: u64,
        method: Method,
        approve: bool,
        profile: &FaultProfile,
    ) -> Result<(), Refused> {
        let books = &self.desk.books;
        books.charge(number, Status::Pending, method, 0).map_err(|_| ALREADY_PAID)?;
        let approve = match profile.pending_end {
            PendingEnd::Approve => Some(approve),
            PendingEnd::Reject => Some(false),
            PendingEnd::Never => None,
        };
        if let Some(approve) = approve {
            let sim = Arc::clone(self);
            self.desk.later(profile.pending_ms, move || drop(sim.decide(number, approve)));
        }
        Ok(())
    }

    /// What the customer has to do.
    fn next_steps(&self, number: u64, method: Method, is_intent: bool, sets_up: bool) -> String {
        let base = &self.desk.base_url;
        let id = entity::payment_id(number);
        let entry = self.desk.books.get(number);
        let amount = entity::major(entry.map_or(0, |entry| entry.amount_minor));
        let poll = format!(r#"{{"action":"poll","url":"{base}/v1/payments/{id}"}}"#);
        let next = match (method, is_intent) {
            (Method::Upi, true) if sets_up => {
                let uri = format!(
                    "upi://mandate?pa=simulator@razorpay&pn=Simulator&tr={id}&am={amount}&cu=INR&amrule=MAX&rev=Y&mc=5411"
                );
                return format!(r#"{{"razorpay_payment_id":"{id}","link":"{uri}"}}"#);
            }
            (Method::Upi, false) if sets_up => return format!(r#"{{"razorpay_payment_id":"{id}"}}"#),
            (Method::Upi, true) => {
                let uri = format!(
                    "upi://pay?pa=simulator@razorpay&pn=Simulator&tr={id}&tn=razorpay&am={amount}&cu=INR&mc=5411"
                );
                format!(r#"{{"action":"intent","url":"{uri}"}},{poll}"#)
            }
            (Method::Upi, false) => poll,
            _ => {
                format!(r#"{{"action":"redirect","url":"{base}/v1/payments/{id}/authorize"}}"#)
            }
        };
        format!(r#"{{"razorpay_payment_id":"{id}","next":[{next}]}}"#)
    }

    /// The customer of a pending payment has decided.
    pub(super) fn decide(&self, number: u64, approve: bool) -> Result<Entry, Refusal> {
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
        self.tell_of_payment(number, &entry, true, &self.desk.profile());
        Ok(entry)
    }

    /// Sends the customer's browser back, as the processor does: by a form with signed fields after a
    /// success, with an unsigned error after a failure. None if the caller named no address.
    pub(super) fn send_back(&self, number: u64) -> Option<Response> {
        let url = self.desk.take_return(number)?;
        let entry = self.desk.books.get(number)?;
        if entry.status == Status::Failed {
            let fields = entity::failure_fields(number, Failure::from_index(entry.failure));
            let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            return Some(form_page(&url, &fields));
        }
        let triple = self.signed(number);
        let fields: Vec<_> = triple.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Some(form_page(&url, &fields))
    }

    pub(super) fn challenge(&self, payment_id: &str) -> Response {
        let number = entity::number_of(payment_id, "pay_");
        match number.and_then(|number| self.desk.books.get(number)) {
            Some(entry) => {
                let path = format!("/sim/challenge/{}", entry.reference);
                self.control(&http::Method::GET, &path, &Bytes::new())
            }
            None => NO_SUCH_ID.reply(),
        }
    }
}

/// An object of strings that need no escapes.
pub(super) fn as_json(fields: &[(&str, String)]) -> String {
    let fields: Vec<_> = fields.iter().map(|(name, value)| format!(r#""{name}":"{value}""#)).collect();
    format!("{{{}}}", fields.join(","))
}
