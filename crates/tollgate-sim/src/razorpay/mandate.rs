//! Customers, and UPI AutoPay mandates as tokens of theirs.
//!
//! Mandates live in memory alone: they end with the process.

use super::payment::as_json;
use super::request::{CustomerRequest, NO_SUCH_ID, OrderRequest, Refused, UNREADABLE, integer, refused};
use super::{RazorpaySim, entity};
use crate::books::{Entry, Method, Status};
use crate::desk::now_ms;
use crate::fault::FaultProfile;
use crate::http::{HangUp, Response, json, quoted};
use crate::instrument::{self, Behaviour};
use std::sync::Arc;

/// Mandates that are kept.
const MANDATES_MAX: usize = 100_000;
/// ₹99,999, for most businesses (razorpay.com/docs, UPI recurring payments).
const AMOUNT_MINOR_MAX: i64 = 9_999_900;

/// A mandate; its token has the number of the order that set it up.
#[derive(Debug, Clone)]
pub(super) struct Mandate {
    customer: String,
    max_minor: i64,
    cancelled: bool,
}

impl RazorpaySim {
    /// The customer with these details; every caller gets the same one again.
    pub(super) fn create_customer(&self, body: &[u8]) -> Result<Response, Refused> {
        let request: CustomerRequest<'_> = serde_json::from_slice(body).map_err(|_| UNREADABLE)?;
        let (email, contact) =
            (request.email.as_deref().unwrap_or(""), request.contact.as_deref().unwrap_or(""));
        if email.is_empty() && contact.is_empty() {
            return Err(refused("The contact field is required.", "input_validation_failed", "contact"));
        }
        let digest = super::hmac_hex(b"customer", format!("{email}|{contact}").as_bytes());
        let number = u64::from_str_radix(digest.get(..12).unwrap_or("0"), 16).unwrap_or(0);
        Ok(json(
            200,
            format!(
                r#"{{"id":"{}","entity":"customer","name":{},"email":{},"contact":{},"gstin":null,"notes":[],"created_at":{}}}"#,
                entity::customer_id(number),
                quoted(request.name.as_deref().unwrap_or("")),
                quoted(email),
                quoted(contact),
                now_ms() / 1_000
            ),
        ))
    }

    /// The mandate that an order asks for.
    pub(super) fn read_mandate(&self, order: &OrderRequest<'_>) -> Result<Option<Mandate>, Refused> {
        let Some(token) = &order.token else {
            return Ok(None);
        };
        let validation = |text, field| refused(text, "input_validation_failed", field);
        let customer = order.customer_id.as_deref().unwrap_or("");
        entity::number_of(customer, "cust_")
            .ok_or(validation("The customer id is invalid", "customer_id"))?;
        let max_minor = token.max_amount.and_then(integer).unwrap_or(0);
        if !(100..=AMOUNT_MINOR_MAX).contains(&max_minor) {
            return Err(validation("The max amount is invalid", "max_amount"));
        }
        let known = ["weekly", "monthly", "quarterly", "yearly", "as_presented"];
        if !token.frequency.as_deref().is_some_and(|frequency| known.contains(&frequency)) {
            return Err(validation("The frequency is invalid", "frequency"));
        }
        let now_s = i64::try_from(now_ms() / 1_000).unwrap_or(i64::MAX);
        if token.expire_at.is_some_and(|raw| integer(raw).is_none_or(|at| at <= now_s)) {
            return Err(validation("The expire at is invalid", "expire_at"));
        }
        Ok(Some(Mandate { customer: customer.to_owned(), max_minor, cancelled: false }))
    }

    pub(super) fn remember_mandate(&self, number: u64, mandate: Mandate) {
        let mut mandates = self.mandates.lock();
        if mandates.len() < MANDATES_MAX {
            mandates.insert(number, mandate);
        }
    }

    fn mandate(&self, number: u64) -> Option<Mandate> {
        let mandates = self.mandates.lock();
        // Most payments have none: the look-up is spared.
        if mandates.is_empty() { None } else { mandates.get(&number).cloned() }
    }

    /// Whether an order sets a mandate up.
    pub(super) fn is_mandate(&self, number: u64) -> bool {
        self.mandate(number).is_some()
    }

    /// The payments on an order, with the mandate they set up.
    pub(super) fn payments_on(&self, number: u64, entry: &Entry) -> Vec<String> {
        if entry.status == Status::Created {
            return Vec::new();
        }
        let mandate = self.mandate(number).map(|mandate| (mandate.customer, entity::token_id(number)));
        let named = mandate.as_ref().map(|(customer, token)| (customer.as_str(), token.as_str()));
        vec![entity::payment_of(number, entry, named)]
    }

    /// Whether the customer has confirmed a mandate, and whether it has ended.
    fn status_of(&self, number: u64, mandate: &Mandate) -> &'static str {
        match self.desk.books.get(number).map(|entry| entry.status) {
            _ if mandate.cancelled => "cancelled",
            Some(Status::Captured | Status::Authorized) => "confirmed",
            Some(Status::Failed | Status::Voided) => "rejected",
            _ => "initiated",
        }
    }

    fn token_entity(&self, number: u64, mandate: &Mandate) -> String {
        format!(
            r#"{{"id":"{}","entity":"token","token":"{number}","bank":null,"wallet":null,"method":"upi","recurring":true,"recurring_details":{{"status":"{}","failure_reason":null}},"auth_type":null,"mrn":null,"max_amount":{}}}"#,
            entity::token_id(number),
            self.status_of(number, mandate),
            mandate.max_minor
        )
    }

    fn find_token(&self, customer: &str, token: &str) -> Option<(u64, Mandate)> {
        let number = entity::number_of(token, "token_")?;
        let mandate = self.mandate(number).filter(|mandate| mandate.customer == customer)?;
        Some((number, mandate))
    }

    pub(super) fn token(&self, customer: &str, token: &str) -> Option<String> {
        self.find_token(customer, token).map(|(number, mandate)| self.token_entity(number, &mandate))
    }

    pub(super) fn tokens_of(&self, customer: &str) -> String {
        let mandates = self.mandates.lock().clone();
        let own = mandates.iter().filter(|(_, mandate)| mandate.customer == customer);
        entity::collection(
            &own.map(|(number, mandate)| self.token_entity(*number, mandate)).collect::<Vec<_>>(),
        )
    }

    pub(super) fn cancel_token(&self, customer: &str, token: &str) -> Result<Response, Refused> {
        let (number, mandate) = self.find_token(customer, token).ok_or(NO_SUCH_ID)?;
        if self.status_of(number, &mandate) != "confirmed" {
            return Err(refused(
                "The token is not in a confirmed state",
                "input_validation_failed",
                "token_id",
            ));
        }
        self.mandates.lock().insert(number, Mandate { cancelled: true, ..mandate });
        Ok(json(200, r#"{"status":"cancellation_initiated"}"#))
    }

    pub(super) fn delete_token(&self, customer: &str, token: &str) -> Result<Response, Refused> {
        let (number, _) = self.find_token(customer, token).ok_or(NO_SUCH_ID)?;
        self.mandates.lock().remove(&number);
        Ok(json(200, r#"{"deleted":true}"#))
    }

    /// Debits a mandate: begun at once, done later, as UPI does it.
    pub(super) async fn debit(
        self: &Arc<Self>,
        body: &[u8],
        profile: &Arc<FaultProfile>,
    ) -> Result<Response, HangUp> {
        let checked = self.check_payment_for_debit(body);
        let (number, email) = match checked {
            Ok(checked) => checked,
            Err(refused) => return Ok(refused.reply()),
        };
        let behaviour = self.desk.behaviour(instrument::of_name(&email), profile);
        let fault = match behaviour {
            Behaviour::Fault(fault) => Some(fault),
            _ => None,
        };
        if let Some(response) = self.desk.strike_before(fault, profile).await? {
            return Ok(response);
        }
        let method = Method::Upi;
        let begun = |approve| {
            self.leave_pending(number, method, approve, profile)
                .map(|()| json(200, as_json(&self.signed(number))))
        };
        let response = match behaviour {
            Behaviour::Fail(failure) => self.fail(number, method, failure, profile),
            Behaviour::Pending { approve } => begun(approve),
            Behaviour::Success if !instrument::is_frictionless(&email) => begun(true),
            Behaviour::Success | Behaviour::Fault(_) => self.succeed(number, method, fault, profile),
        };
        let response = response.unwrap_or_else(|refused| refused.reply());
        self.desk.strike_after(fault, profile, response).await
    }

    fn check_payment_for_debit(&self, body: &[u8]) -> Result<(u64, String), Refused> {
        let request: super::request::PaymentRequest<'_> =
            serde_json::from_slice(body).map_err(|_| UNREADABLE)?;
        let validation = |text, field| refused(text, "input_validation_failed", field);
        if !request.is_recurring() {
            return Err(validation("The recurring field is required.", "recurring"));
        }
        let number = entity::number_of(request.order_id.as_deref().unwrap_or(""), "order_");
        let found = number.and_then(|number| Some((number, self.desk.books.get(number)?)));
        let (number, entry) =
            found.ok_or(refused("The id provided does not exist", "invalid_order_id", "order_id"))?;
        let amount = request.amount.and_then(integer);
        if amount != Some(entry.amount_minor) || request.currency.as_deref() != Some(entry.currency()) {
            let text = "Payment amount is different from your order amount.";
            return Err(refused(text, "order_amount_mismatch", "amount"));
        }
        let (customer, token) =
            (request.customer_id.as_deref().unwrap_or(""), request.token.as_deref().unwrap_or(""));
        let (token_number, mandate) = self.find_token(customer, token).ok_or(NO_SUCH_ID)?;
        if self.status_of(token_number, &mandate) != "confirmed" {
            return Err(validation("The token is not confirmed for recurring payments", "token"));
        }
        if entry.amount_minor > mandate.max_minor {
            return Err(validation("The amount exceeds the maximum amount of the token", "amount"));
        }
        match entry.status {
            Status::Created | Status::Failed => Ok((number, request.email().to_owned())),
            _ => Err(super::request::ALREADY_PAID),
        }
    }
}
