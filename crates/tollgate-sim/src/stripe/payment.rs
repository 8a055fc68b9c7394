//! Payment intents: made, confirmed, decided, captured, cancelled.

use super::entity::{self, Waiting};
use super::request::{BROKEN, Form, NO_SUCH_INTENT, Refused, refused};
use super::{StripeSim, entity::intent_id};
use crate::books::{Entry, Method, NewEntry, Notes, Refusal, Status};
use crate::desk::now_ms;
use crate::fault::{Fault, FaultProfile, PendingEnd};
use crate::http::{Response, see_other};
use crate::instrument::{Behaviour, Failure};
use std::sync::Arc;

/// The longest reference that is kept as one.
const REFERENCE_LENGTH_MAX: usize = 64;

impl StripeSim {
    pub(super) fn create_intent(&self, form: &Form<'_>) -> Result<u64, Refused> {
        let currency = form.get("currency").unwrap_or_default();
        let known = currency.parse::<tollgate_core::currency::Currency>().ok();
        let known = known.filter(|_| !currency.bytes().any(|byte| byte.is_ascii_uppercase()));
        let currency = known.ok_or(refused("parameter_invalid_empty", "Invalid currency", "currency"))?;
        let amount_minor = form.amount("amount", currency.code())?.ok_or(refused(
            "parameter_missing",
            "Missing required param: amount.",
            "amount",
        ))?;
        let metadata = form.metadata();
        if metadata.len() > 50 {
            return Err(refused("", "Metadata can have up to 50 keys.", "metadata"));
        }
        let reference = metadata.get("tollgate_reference").and_then(|value| value.as_str());
        let reference = reference.filter(|text| {
            (1..=REFERENCE_LENGTH_MAX).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
                && !text.starts_with('-')
        });
        let notes = match (metadata.len(), reference) {
            (0, _) => Notes::None,
            (1, Some(_)) => Notes::Reference,
            _ => Notes::Json(serde_json::Value::Object(metadata.clone()).to_string().into()),
        };
        let manual = form.is("capture_method", "manual");
        let now_ms = now_ms();
        let new = NewEntry {
            reference: reference.unwrap_or(""),
            amount_minor,
            currency: currency.bytes(),
            manual,
            method: Method::Card,
            notes,
            now_ms,
        };
        if reference.is_some() {
            match self.desk.books.create(&new) {
                Ok(number) => return Ok(number),
                // Metadata need not be unique: another intent of that reference.
                Err(Refusal::Exists(_)) => {}
                Err(_) => return Err(BROKEN),
            }
        }
        let own_name = format!("-{now_ms}-{}", self.desk.dice.roll());
        let notes = Notes::Json(serde_json::Value::Object(metadata.clone()).to_string().into());
        self.desk.books.create(&NewEntry { reference: &own_name, notes, ..new }).map_err(|_| BROKEN)
    }

    pub(super) fn entry_of(&self, id: &str) -> Result<(u64, Entry), Refused> {
        let number = entity::number_of(id, "pi_").ok_or(NO_SUCH_INTENT)?;
        Ok((number, self.desk.books.get(number).ok_or(NO_SUCH_INTENT)?))
    }

    pub(super) fn intent_of(&self, number: u64, entry: &Entry) -> String {
        entity::intent(number, entry, &self.desk.challenge_url(&entry.reference))
    }

    fn unexpected(&self, number: u64, message: &'static str) -> Refused {
        let intent = self.desk.books.get(number).map(|entry| self.intent_of(number, &entry));
        Refused { intent, ..refused("payment_intent_unexpected_state", message, "") }
    }

    /// Whether the confirmation is one: what it is paid with, and where the customer comes back to.
    fn method_of(form: &Form<'_>) -> Result<Method, Refused> {
        let method = match form.get("payment_method_data[type]").as_deref() {
            Some("card") => {
                let number = form.get("payment_method_data[card][number]").unwrap_or_default();
                if tollgate_core::card::CardNumber::parse(&number).is_err() {
                    let text = "Your card number is incorrect.";
                    let wrong = refused("incorrect_number", text, "number");
                    return Err(Refused { status: 402, kind: "card_error", ..wrong });
                }
                if form.get("payment_method_data[card][exp_month]").is_none()
                    || form.get("payment_method_data[card][exp_year]").is_none()
                {
                    return Err(refused(
                        "parameter_missing",
                        "Missing required param: exp_month.",
                        "exp_month",
                    ));
                }
                Method::Card
            }
            Some("klarna" | "afterpay_clearpay") => Method::Bnpl,
            Some(_) => {
                return Err(refused("", "Invalid payment_method_data[type]", "payment_method_data[type]"));
            }
            None if form.get("payment_method").is_some() => Method::Card,
            None => {
                let text = "You cannot confirm this PaymentIntent because it's missing a payment method.";
                return Err(refused("payment_intent_unexpected_state", text, ""));
            }
        };
        if form.get("return_url").is_none_or(|url| !url.starts_with("http")) {
            let text = "This PaymentIntent is configured to accept payment methods that may redirect: a \
                        return_url must be given.";
            return Err(refused("parameter_missing", text, "return_url"));
        }
        Ok(method)
    }

    pub(super) fn confirm(
        self: &Arc<Self>,
        number: u64,
        form: &Form<'_>,
        behaviour: Behaviour,
        profile: &FaultProfile,
    ) -> Result<String, Refused> {
        let entry = self.desk.books.get(number).ok_or(NO_SUCH_INTENT)?;
        if !matches!(entry.status, Status::Created | Status::Failed) {
            return Err(self.unexpected(number, "This PaymentIntent could not be confirmed in its state."));
        }
        let method = Self::method_of(form)?;
        let manual = match form.get("capture_method") {
            Some(wanted) => wanted == "manual",
            None => entry.manual,
        };
        let waiting = |failure| Waiting { manual, processing: false, failure };
        let books = &self.desk.books;
        let late = |_| self.unexpected(number, "This PaymentIntent was confirmed already.");
        match behaviour {
            Behaviour::Fail(Failure::Doubtful) => {
                let waiting = Waiting { processing: true, ..waiting(Failure::Declined) };
                books.charge(number, Status::Pending, method, waiting.pack()).map_err(late)?;
                Err(BROKEN)
            }
            // A lender refuses on its own page.
            Behaviour::Fail(failure) if method == Method::Bnpl => {
                self.leave_waiting(number, method, waiting(failure), false, form, profile).map_err(late)
            }
            Behaviour::Fail(failure) => {
                let entry = books.charge(number, Status::Failed, method, failure.index()).map_err(late)?;
                self.tell_of_intent(number, &entry, false, profile);
                let intent = Some(self.intent_of(number, &entry));
                Err(Refused { intent, ..entity::failed(failure, method) })
            }
            Behaviour::Pending { approve } => {
                let waiting = waiting(Failure::Cancelled);
                self.leave_waiting(number, method, waiting, approve, form, profile).map_err(late)
            }
            // Only a challenge is certain to need the customer: `any` may stay without one.
            Behaviour::Success | Behaviour::Fault(_)
                if method == Method::Bnpl
                    || form.is("payment_method_options[card][request_three_d_secure]", "challenge") =>
            {
                let waiting = waiting(Failure::Cancelled);
                self.leave_waiting(number, method, waiting, true, form, profile).map_err(late)
            }
            Behaviour::Success | Behaviour::Fault(_) => {
                let status = if manual { Status::Authorized } else { Status::Captured };
                let entry = books.charge(number, status, method, 0).map_err(late)?;
                let lost = matches!(behaviour, Behaviour::Fault(fault) if fault.loses_the_answer());
                self.tell_of_intent(number, &entry, lost, profile);
                let body = self.intent_of(number, &entry);
                if behaviour == Behaviour::Fault(Fault::WrongSignature) {
                    // Replies are not signed; the nearest thing is the reply to somebody else.
                    return Ok(body.replace(&intent_id(number), &intent_id(number + 1)));
                }
                Ok(body)
            }
        }
    }

    fn leave_waiting(
        self: &Arc<Self>,
        number: u64,
        method: Method,
        waiting: Waiting,
        approve: bool,
        form: &Form<'_>,
        profile: &FaultProfile,
    ) -> Result<String, Refusal> {
        let entry = self.desk.books.charge(number, Status::Pending, method, waiting.pack())?;
        if let Some(url) = form.get("return_url") {
            self.desk.remember_return(number, &url);
        }
        let approve = match profile.pending_end {
            PendingEnd::Approve => Some(approve),
            PendingEnd::Reject => Some(false),
            PendingEnd::Never => None,
        };
        if let Some(approve) = approve {
            self.decide_later(number, approve, profile.pending_ms);
        }
        self.tell_of_intent(number, &entry, false, profile);
        Ok(self.intent_of(number, &entry))
    }

    pub(super) fn decide_later(self: &Arc<Self>, number: u64, approve: bool, wait_ms: u64) {
        let sim = Arc::clone(self);
        self.desk.later(wait_ms, move || drop(sim.decide(number, approve)));
    }

    /// The customer of a waiting payment has decided.
    pub(super) fn decide(&self, number: u64, approve: bool) -> Result<Entry, Refusal> {
        let entry = self.desk.books.get(number).ok_or(Refusal::NotFound)?;
        if entry.status != Status::Pending {
            return Err(Refusal::State);
        }
        let waiting = Waiting::of(&entry);
        let status = match (approve, waiting.manual) {
            (false, _) => Status::Failed,
            (true, true) => Status::Authorized,
            (true, false) => Status::Captured,
        };
        let entry = self.desk.books.charge(number, status, entry.method, waiting.failure.index())?;
        self.tell_of_intent(number, &entry, true, &self.desk.profile());
        Ok(entry)
    }

    /// Sends the customer's browser back: `None` if it was sent already.
    pub(super) fn send_back(&self, number: u64) -> Option<Response> {
        let url = self.desk.take_return(number)?;
        let entry = self.desk.books.get(number)?;
        let status = match entry.status {
            Status::Authorized | Status::Captured => "succeeded",
            Status::Pending => "pending",
            _ => "failed",
        };
        let join = if url.contains('?') { '&' } else { '?' };
        let (id, secret) = (intent_id(number), entity::client_secret(number));
        Some(see_other(&format!(
            "{url}{join}payment_intent={id}&payment_intent_client_secret={secret}&redirect_status={status}"
        )))
    }

    pub(super) fn capture(
        &self,
        id: &str,
        form: &Form<'_>,
        profile: &FaultProfile,
    ) -> Result<String, Refused> {
        let (number, entry) = self.entry_of(id)?;
        let amount = form.amount("amount_to_capture", entry.currency())?.unwrap_or(entry.amount_minor);
        let entry = self.desk.books.capture_part(number, amount, "").map_err(|refusal| match refusal {
            Refusal::TooMuch => refused(
                "parameter_invalid_integer",
                "The amount to capture is greater than the amount authorized.",
                "amount_to_capture",
            ),
            Refusal::State => {
                self.unexpected(number, "This PaymentIntent could not be captured because of its status.")
            }
            _ => BROKEN,
        })?;
        self.tell_of_intent(number, &entry, false, profile);
        Ok(self.intent_of(number, &entry))
    }

    pub(super) fn cancel(&self, id: &str, profile: &FaultProfile) -> Result<String, Refused> {
        let (number, entry) = self.entry_of(id)?;
        let books = &self.desk.books;
        let cancelled = match entry.status {
            Status::Authorized => books.void(number, ""),
            // Nothing was authorized yet.
            Status::Created | Status::Failed | Status::Pending => {
                books.charge(number, Status::Voided, entry.method, 0)
            }
            _ => Err(Refusal::State),
        };
        let entry = cancelled.map_err(|_| {
            self.unexpected(number, "You cannot cancel this PaymentIntent because of its status.")
        })?;
        self.tell_of_intent(number, &entry, false, profile);
        Ok(self.intent_of(number, &entry))
    }
}
