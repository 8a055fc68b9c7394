//! UPI AutoPay: setting a mandate up, debiting it, ending it.
//!
//! A mandate hangs on a customer of Razorpay's and is a *token* of that customer's. Setting up is:
//! customer, order with the terms, payment. The payment's entity then names customer and token, and
//! that is where debits and cancellations find them: nothing but our reference has to be remembered.
//!
//! A token is *cancelled*, which ends the mandate at NPCI; deleting it would only hide it.
//!
//! Sources: razorpay.com/docs/payments/payment-gateway/s2s-integration/recurring-payments/upi-intent
//! (authorization-transaction, subsequent-payments), …/upi, razorpay.com/docs/api/payments/
//! recurring-payments/upi/tokens (Cancel Token).

use super::entity::{self, Payment};
use super::request::{Notes, json};
use super::{Razorpay, at, codes, is_success, not_taken, unknown, unreadable};
use crate::json::{Text, text};
use crate::wire::{HttpMethod, HttpRequest, HttpResponse};
use crate::{Call, Charge, ChargeHandle, Progress, Step};
use serde::{Deserialize, Serialize};
use tollgate_core::failure::FailureCode;
use tollgate_core::mandate::{MandateFrequency, MandateTerms};
use tollgate_core::outcome::Outcome;
use zeroize::Zeroizing;

/// Steps of a set-up, apart from those of any charge.
pub(super) const CUSTOMER: u8 = 10;
pub(super) const SETUP_ORDER: u8 = 11;
/// Steps of a debit.
pub(super) const SETUP_PAYMENT: u8 = 20;
pub(super) const DEBIT_ORDER: u8 = 21;
/// Steps of a revocation.
const CANCELLED: u8 = 1;
const LOOKED_AT: u8 = 2;

#[derive(Serialize)]
struct CustomerRequest<'a> {
    name: &'a str,
    email: &'a str,
    contact: &'a str,
    /// `0`: the customer with these details, if there is one already.
    fail_existing: &'static str,
    notes: Notes<'a>,
}

/// The terms as an order carries them.
#[derive(Serialize)]
pub(super) struct Token {
    max_amount: i64,
    /// Unix seconds.
    expire_at: u64,
    frequency: &'static str,
}

impl Token {
    pub(super) const fn of(terms: &MandateTerms) -> Self {
        Self {
            max_amount: terms.amount_minor_max,
            expire_at: terms.ends_at_ms / 1_000,
            frequency: match terms.frequency {
                // Not taken: see `request::check_method`.
                MandateFrequency::Daily | MandateFrequency::AsPresented => "as_presented",
                MandateFrequency::Weekly => "weekly",
                MandateFrequency::Monthly => "monthly",
                MandateFrequency::Quarterly => "quarterly",
                MandateFrequency::Yearly => "yearly",
            },
        }
    }
}

#[derive(Serialize)]
struct Debit<'a> {
    email: &'a str,
    contact: &'a str,
    amount: i64,
    currency: &'a str,
    order_id: &'a str,
    customer_id: &'a str,
    token: &'a str,
    recurring: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    notes: Notes<'a>,
}

#[derive(Deserialize)]
struct Entity<'a> {
    #[serde(borrow)]
    id: Text<'a>,
}

#[derive(Deserialize)]
struct Cancellation<'a> {
    #[serde(borrow)]
    status: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct TokenEntity<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    recurring_details: Option<Cancellation<'a>>,
}

fn refused(message: &str) -> Outcome {
    not_taken(FailureCode::ProcessorRejected, message)
}

/// The mandate behind a payment: its customer and token.
fn token_of(payment: &Payment<'_>) -> Option<(String, String)> {
    let (customer, token) = (text(&payment.customer_id), text(&payment.token_id));
    let right = entity::is_id(customer, "cust_") && entity::is_id(token, "token_");
    right.then(|| (customer.to_owned(), token.to_owned()))
}

/// The payment that set a mandate up: fetched by its id, or found by our reference.
fn setup_token(
    response: &HttpResponse<'_>,
    reference: &str,
    payment_id: Option<&str>,
) -> Result<(String, String), Outcome> {
    let unavailable = |message| not_taken(FailureCode::ProcessorUnavailable, message);
    if response.status == 429 {
        return Err(not_taken(FailureCode::ProcessorRateLimited, "the processor is throttling us"));
    }
    if !is_success(response.status) {
        return Err(unavailable("the mandate could not be looked up"));
    }
    let found = match payment_id {
        Some(id) => entity::read_payment(response.body).filter(|payment| payment.id.as_str() == id),
        None => match entity::find_payment(response.body, reference) {
            Some(entity::Found::Payment(payment)) => Some(*payment),
            Some(entity::Found::Nothing) => {
                return Err(refused("the processor knows no payment of that reference"));
            }
            None => None,
        },
    };
    let payment = found.ok_or_else(|| unavailable("the mandate could not be looked up"))?;
    token_of(&payment).ok_or_else(|| refused("that payment has set no mandate up"))
}

impl Razorpay {
    /// The first exchange of a charge that sets a mandate up.
    pub(super) fn create_customer(&self, charge: &Charge<'_>) -> Call {
        let body = json(&CustomerRequest {
            name: charge.customer.name.unwrap_or("Customer"),
            email: charge.customer.email.unwrap_or(&self.default_email),
            contact: charge.customer.phone.unwrap_or(&self.default_contact),
            fail_existing: "0",
            notes: Notes { tollgate_reference: charge.reference },
        });
        let step = Step { index: CUSTOMER, carry: None };
        self.post(self.customers_url.clone(), body, step, false)
    }

    pub(super) fn read_customer(&self, charge: &Charge<'_>, response: &HttpResponse<'_>) -> Progress {
        if !is_success(response.status) {
            return Progress::Done(codes::refused_before_payment(response));
        }
        match serde_json::from_slice::<Entity<'_>>(response.body) {
            Ok(customer) if entity::is_id(customer.id.as_str(), "cust_") => {
                let id = customer.id.as_str();
                let body = super::request::order(charge, Some(id));
                Progress::Next(Box::new(self.post(self.orders_url.clone(), body, at(SETUP_ORDER, id), false)))
            }
            _ => Progress::Done(not_taken(
                FailureCode::ProcessorUnavailable,
                "the customer was not confirmed as it was asked for",
            )),
        }
    }

    /// The first exchange of a debit: the payment that set the mandate up.
    pub(super) fn look_up_setup(&self, reference: &str, payment_id: Option<&str>, index: u8) -> Call {
        let url = match payment_id {
            Some(id) => format!("{}{id}", self.payments_url),
            None => format!("{}{}", self.orders_by_receipt_url, crate::form::escaped(reference)),
        };
        self.get(url, Step { index, carry: None }, false)
    }

    pub(super) fn read_setup_for_debit(
        &self,
        charge: &Charge<'_>,
        reference: &str,
        payment_id: Option<&str>,
        response: &HttpResponse<'_>,
    ) -> Progress {
        match setup_token(response, reference, payment_id) {
            Ok((customer, token)) => {
                let step = at(DEBIT_ORDER, &format!("{customer}|{token}"));
                let body = super::request::order(charge, None);
                Progress::Next(Box::new(self.post(self.orders_url.clone(), body, step, false)))
            }
            Err(outcome) => Progress::Done(outcome),
        }
    }

    /// The debit itself, on the order that was just made.
    pub(super) fn debit(&self, charge: &Charge<'_>, order_id: &str, carry: &str) -> Call {
        let (customer_id, token) = carry.split_once('|').unwrap_or(("", ""));
        let body: Zeroizing<Vec<u8>> = json(&Debit {
            email: charge.customer.email.unwrap_or(&self.default_email),
            contact: charge.customer.phone.unwrap_or(&self.default_contact),
            amount: charge.amount.minor,
            currency: charge.amount.currency.code(),
            order_id,
            customer_id,
            token,
            recurring: true,
            description: charge.description.or(charge.statement_descriptor),
            notes: Notes { tollgate_reference: charge.reference },
        });
        self.post(format!("{}create/recurring", self.payments_url), body, at(1, order_id), true)
    }

    fn token_call(&self, method: HttpMethod, path: &str, index: u8, carry: &str) -> Call {
        let request = HttpRequest { method, ..HttpRequest::get(format!("{}/{path}", self.customers_url)) };
        let request = request.header("authorization", self.authorization.as_str());
        // Losing the answer to a cancellation leaves it open whether the mandate has ended.
        Call::new(request, true, at(index, carry))
    }

    pub(super) fn read_revocation(
        &self,
        setup: &ChargeHandle<'_>,
        step: &Step,
        response: &HttpResponse<'_>,
    ) -> Progress {
        let carry = step.carry.as_deref().unwrap_or("");
        let (customer, token) = carry.split_once('|').unwrap_or(("", ""));
        let path = format!("{customer}/tokens/{token}");
        match step.index {
            CANCELLED if is_success(response.status) => {
                let reply = serde_json::from_slice::<Cancellation<'_>>(response.body);
                let status = reply.as_ref().map_or("", |reply| text(&reply.status));
                Progress::Done(match status {
                    "cancellation_initiated" | "cancelled" => Outcome::Voided,
                    _ => unreadable(),
                })
            }
            CANCELLED if response.status == 429 => Progress::Done(codes::refused_afterwards(response)),
            // Refused perhaps because it has ended already: the token tells.
            CANCELLED if (400..500).contains(&response.status) => {
                Progress::Next(Box::new(self.token_call(HttpMethod::Get, &path, LOOKED_AT, carry)))
            }
            CANCELLED => Progress::Done(unknown("the cancellation was not confirmed")),
            LOOKED_AT => Progress::Done(read_token(response, token)),
            _ => match setup_token(response, setup.reference, super::known_id(setup)) {
                Ok((customer, token)) => {
                    let path = format!("{customer}/tokens/{token}/cancel");
                    let carry = format!("{customer}|{token}");
                    Progress::Next(Box::new(self.token_call(HttpMethod::Put, &path, CANCELLED, &carry)))
                }
                Err(outcome) => Progress::Done(outcome),
            },
        }
    }
}

/// Whether a token that could not be cancelled has ended by itself.
fn read_token(response: &HttpResponse<'_>, token: &str) -> Outcome {
    if !is_success(response.status) {
        return unknown("the mandate could not be looked up");
    }
    match serde_json::from_slice::<TokenEntity<'_>>(response.body) {
        Ok(found) if found.id.as_str() == token => {
            let status = found.recurring_details.as_ref().map_or("", |details| text(&details.status));
            match status {
                "cancelled" | "cancellation_initiated" | "expired" | "rejected" => Outcome::Voided,
                _ => crate::answer::declined(
                    FailureCode::ProcessorRejected,
                    "the processor did not cancel the mandate",
                ),
            }
        }
        _ => unreadable(),
    }
}
