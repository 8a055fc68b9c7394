//! Answers to enquiries: how an order stands, and its refunds.
//!
//! An answer of the API is a query string, `status=0&enc_response=…&enc_error_code=`, or `status=1`
//! with the error in plain text. What vouches for it is the TLS connection we opened to CCAvenue's own
//! host. The JSON inside is flat in the guide; older accounts wrap it once (`Order_Status_Result`), so
//! both are read.
//!
//! Source: Merchant's API Implementation Guide, Decryption of Response, Status API, Get Refund Details.

use super::codes::{self, Class, State};
use super::{CcAvenue, is_reference_no};
use crate::ChargeHandle;
use crate::answer::{declined, is_success, not_taken, throttled, unknown, unreadable};
use crate::form::Fields;
use crate::json::{Text, text};
use crate::wire::HttpResponse;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use tollgate_core::currency::Currency;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::money::Money;
use tollgate_core::outcome::Outcome;

/// An answer of the API.
pub(super) enum Envelope {
    /// Decrypted.
    Said(String),
    /// The call was refused.
    Refused { code: String, message: String },
    /// Not an answer.
    Unreadable,
}

pub(super) fn envelope(account: &CcAvenue, body: &[u8]) -> Envelope {
    let Some(fields) = Fields::parse(body) else {
        return Envelope::Unreadable;
    };
    let (status, inner, code) =
        (fields.get("status"), fields.get("enc_response"), fields.get("enc_error_code"));
    match (status.map(str::trim), inner, code) {
        (Some("0"), Some(inner), _) => {
            account.cipher.decrypt(inner).map_or(Envelope::Unreadable, Envelope::Said)
        }
        (Some("1"), Some(message), Some(code)) => {
            Envelope::Refused { code: codes::clean(code).to_owned(), message: message.trim().to_owned() }
        }
        _ => Envelope::Unreadable,
    }
}

/// The object of an answer, without the wrapper it may have.
pub(super) fn unwrapped<'t>(plain: &'t str, wrapper: &str) -> Option<&'t str> {
    let outer: BTreeMap<Cow<'t, str>, &'t RawValue> = serde_json::from_str(plain).ok()?;
    Some(outer.get(wrapper).map_or(plain, |inner| inner.get()))
}

/// A field of a message through the browser: a query string whose values are not escaped. `None`
/// when it is missing or there more than once.
pub(super) fn field_of(plain: &str, name: &str) -> Option<String> {
    let mut found =
        plain.split('&').filter_map(|pair| pair.split_once('=')).filter(|(field, _)| *field == name);
    let (_, value) = found.next()?;
    found.next().is_none().then(|| value.trim().to_owned())
}

/// The order that is asked about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'w> {
    /// Our reference.
    pub(super) reference: &'w str,
    /// CCAvenue's number, if it was asked for by that too.
    pub(super) reference_no: Option<&'w str>,
    /// What it should be about.
    pub(super) amount: Money,
}

impl<'w> Wanted<'w> {
    pub(super) fn of(charge: &ChargeHandle<'w>) -> Self {
        Self {
            reference: charge.reference,
            reference_no: charge.processor_payment_id.filter(|id| is_reference_no(id)),
            amount: charge.amount,
        }
    }
}

/// An order as CCAvenue knows it.
#[derive(Debug)]
pub(super) struct Order {
    /// CCAvenue's number.
    pub(super) reference_no: String,
    /// How it stands.
    pub(super) state: Outcome,
}

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    status: Option<Text<'a>>,
    #[serde(borrow)]
    error_code: Option<Text<'a>>,
    #[serde(borrow)]
    error_desc: Option<Text<'a>>,
    #[serde(borrow)]
    order_no: Option<Text<'a>>,
    #[serde(borrow)]
    reference_no: Option<Text<'a>>,
    #[serde(borrow)]
    order_status: Option<Text<'a>>,
    #[serde(borrow)]
    order_amt: Option<Text<'a>>,
    #[serde(borrow)]
    order_capt_amt: Option<Text<'a>>,
    /// So written by CCAvenue.
    #[serde(borrow)]
    order_currncy: Option<Text<'a>>,
    #[serde(borrow)]
    order_curr: Option<Text<'a>>,
    #[serde(borrow)]
    order_bank_response: Option<Text<'a>>,
}

fn major(value: &Option<Text<'_>>, currency: Currency) -> Option<i64> {
    Money::parse_major(text(value), currency).ok().map(|money| money.minor)
}

/// How an order stands; `None` when CCAvenue knows none of that reference. The error is what an
/// operation comes to whose first step this was: nothing was done.
pub(super) fn read_status(
    account: &CcAvenue,
    wanted: &Wanted<'_>,
    response: &HttpResponse<'_>,
) -> Result<Option<Order>, Outcome> {
    let plain = match asked(account, response)? {
        Some(plain) => plain,
        None => return Ok(None),
    };
    let record = unwrapped(&plain, "Order_Status_Result");
    let record = record.and_then(|json| serde_json::from_str::<Record<'_>>(json).ok()).ok_or_else(useless)?;
    if text(&record.status) != "0" || !text(&record.error_code).trim().is_empty() {
        let code = codes::clean(text(&record.error_code));
        return match codes::class(code) {
            Some(Class::NotFound) => Ok(None),
            _ => Err(refused(code, text(&record.error_desc))),
        };
    }
    let reference_no = text(&record.reference_no);
    let same_number = wanted.reference_no.is_none_or(|asked| asked == reference_no);
    if text(&record.order_no) != wanted.reference || !is_reference_no(reference_no) || !same_number {
        return Err(useless());
    }
    let state = state_of(account, wanted, &record);
    Ok(Some(Order { reference_no: reference_no.to_owned(), state }))
}

fn state_of(account: &CcAvenue, wanted: &Wanted<'_>, record: &Record<'_>) -> Outcome {
    let currency = wanted.amount.currency;
    let told = [text(&record.order_currncy), text(&record.order_curr)];
    if told.into_iter().find(|told| !told.is_empty()) != Some(currency.code()) {
        return unknown("the processor knows the order in another currency");
    }
    let processor_payment_id = text(&record.reference_no).to_owned();
    let ordered = major(&record.order_amt, currency);
    match codes::state(text(&record.order_status)) {
        State::Confirmed => {
            let confirmed = major(&record.order_capt_amt, currency);
            // An order may be confirmed in part. Where orders confirm themselves it is the whole.
            let whole = ordered.filter(|_| !account.manual_confirmation);
            match confirmed.or(whole) {
                Some(amount_minor) => Outcome::Captured { processor_payment_id, amount_minor },
                None => unreadable(),
            }
        }
        State::Paid => match ordered {
            Some(amount_minor) if account.manual_confirmation => {
                Outcome::Authorized { processor_payment_id, amount_minor }
            }
            Some(amount_minor) => Outcome::Captured { processor_payment_id, amount_minor },
            None => unreadable(),
        },
        State::UnderWay => Outcome::Pending { processor_payment_id: Some(processor_payment_id) },
        // The customer may be trying again on the same page.
        State::Unsuccessful if account.page_retries => {
            Outcome::Pending { processor_payment_id: Some(processor_payment_id) }
        }
        State::Unsuccessful => codes::unsuccessful(text(&record.order_bank_response)),
        State::Left => declined(FailureCode::CustomerCancelled, "the customer left CCAvenue's page"),
        State::Invalid => declined(FailureCode::ProcessorRejected, "CCAvenue did not accept the order"),
        State::Cancelled => Outcome::Voided,
        State::Doubtful => Outcome::Unknown(
            Failure::new(FailureCode::OutcomeUnknown, "the processor's state of the order proves nothing")
                .with_processor_code(text(&record.order_status)),
        ),
    }
}

/// The text of an answer to an enquiry; `None` when nothing was found.
fn asked(account: &CcAvenue, response: &HttpResponse<'_>) -> Result<Option<String>, Outcome> {
    if response.status == 429 {
        return Err(throttled());
    }
    if !is_success(response.status) {
        return Err(useless());
    }
    match envelope(account, response.body) {
        Envelope::Said(plain) => Ok(Some(plain)),
        Envelope::Refused { code, message } => match codes::class(&code) {
            Some(Class::NotFound) => Ok(None),
            _ => Err(refused(&code, &message)),
        },
        Envelope::Unreadable => Err(useless()),
    }
}

/// An enquiry that came to nothing, before anything was done.
fn useless() -> Outcome {
    not_taken(FailureCode::ProcessorUnavailable, "the order could not be looked up")
}

/// An enquiry that was refused.
fn refused(code: &str, message: &str) -> Outcome {
    let class = match codes::class(code) {
        Some(Class::Request) => FailureCode::ProcessorRejected,
        _ => FailureCode::ProcessorUnavailable,
    };
    Outcome::NotTaken(Failure::new(class, message).with_processor_code(code))
}

/// What a failed enquiry says about what it asked for: nothing.
pub(super) fn enquired(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::NotTaken(failure) => {
            Outcome::Unknown(Failure { code: FailureCode::OutcomeUnknown, ..failure })
        }
        other => other,
    }
}

#[derive(Deserialize)]
struct Refunds<'a> {
    #[serde(borrow)]
    reference_no: Option<Text<'a>>,
    #[serde(borrow)]
    order_no: Option<Text<'a>>,
    #[serde(borrow)]
    order_curr: Option<Text<'a>>,
    #[serde(borrow)]
    error_code: Option<Text<'a>>,
    #[serde(borrow)]
    error_desc: Option<Text<'a>>,
    #[serde(borrow)]
    refund_list: Option<Vec<RefundEntry<'a>>>,
}

#[derive(Deserialize)]
struct RefundEntry<'a> {
    #[serde(borrow)]
    refund_amt: Option<Text<'a>>,
    #[serde(borrow)]
    refund_bank_ref_no: Option<Text<'a>>,
    #[serde(borrow)]
    refund_mer_ref_no: Option<Text<'a>>,
    #[serde(borrow)]
    refund_status: Option<Text<'a>>,
}

/// The refund with our reference among all refunds of the order.
pub(super) fn read_refunds(
    account: &CcAvenue,
    charge: &ChargeHandle<'_>,
    reference_no: &str,
    reference: &str,
    response: &HttpResponse<'_>,
) -> Outcome {
    let plain = match asked(account, response) {
        Ok(Some(plain)) => plain,
        Ok(None) => return Outcome::NotFound,
        Err(outcome) => return enquired(outcome),
    };
    let refunds = unwrapped(&plain, "refund_details_Result");
    let Some(refunds) = refunds.and_then(|json| serde_json::from_str::<Refunds<'_>>(json).ok()) else {
        return unreadable();
    };
    if text(&refunds.reference_no) != reference_no {
        return unreadable();
    }
    let code = codes::clean(text(&refunds.error_code));
    if !code.is_empty() {
        return match codes::class(code) {
            Some(Class::NotFound) => Outcome::NotFound,
            _ => enquired(refused(code, text(&refunds.error_desc))),
        };
    }
    let currency = charge.amount.currency;
    if text(&refunds.order_no) != charge.reference || text(&refunds.order_curr) != currency.code() {
        return unreadable();
    }
    let list = refunds.refund_list.as_deref().unwrap_or_default();
    let mut found = list.iter().filter(|entry| text(&entry.refund_mer_ref_no) == reference);
    let Some(entry) = found.next() else {
        return Outcome::NotFound;
    };
    if found.next().is_some() {
        return unknown("the processor lists two refunds of that reference");
    }
    match (text(&entry.refund_status), major(&entry.refund_amt, currency)) {
        ("TS-REFC", Some(amount_minor)) => {
            // CCAvenue has no number of its own for a refund.
            let bank = text(&entry.refund_bank_ref_no);
            let id = if bank.is_empty() { reference } else { bank };
            Outcome::Refunded { processor_refund_id: id.chars().take(64).collect(), amount_minor }
        }
        ("TS-REFA", _) => Outcome::Pending { processor_payment_id: None },
        ("TS-REFF" | "TS-REFD", _) => {
            declined(FailureCode::ProcessorRejected, "the processor could not carry out the refund")
        }
        _ => unreadable(),
    }
}
