//! UPI AutoPay mandates: standing instructions that payments set up, their debits and their end.
//!
//! Mandates live in memory alone: they end with the process.

use super::commands::Command;
use super::reply::{self, Form};
use super::{PayUSim, commands};
use crate::books::{Method, NewEntry, Notes, Refusal, Status};
use crate::desk::now_ms;
use crate::fault::{Fault, FaultProfile};
use crate::http::{HangUp, Response, json, quoted};
use crate::instrument::Behaviour;
use serde::Deserialize;
use std::sync::Arc;
use tollgate_core::currency::Currency;
use tollgate_core::money::Money;

/// Mandates that are kept.
const MANDATES_MAX: usize = 100_000;

/// A mandate, named by the payment that set it up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mandate {
    max_minor: i64,
    revoked: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    billing_amount: String,
    billing_currency: String,
    billing_cycle: String,
    billing_interval: u8,
    payment_start_date: String,
    payment_end_date: String,
}

#[derive(Deserialize)]
struct Debit {
    authpayuid: String,
    #[serde(default)]
    amount: String,
    txnid: String,
    #[serde(default)]
    phone: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    udf1: String,
}

#[derive(Deserialize)]
struct Revocation {
    #[serde(rename = "authPayuId", alias = "authpayuid")]
    auth_payu_id: String,
    #[serde(rename = "requestId")]
    request_id: String,
}

/// `YYYY-MM-DD`, which sorts as it is.
fn is_date(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(|(place, byte)| match place {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

fn terms(details: &str) -> Option<Mandate> {
    let details: Details = serde_json::from_str(details).ok()?;
    let max = Money::parse_major(&details.billing_amount, Currency::INR).ok()?;
    let cycles = ["DAILY", "WEEKLY", "MONTHLY", "YEARLY", "ADHOC", "ONCE"];
    let dates = [&details.payment_start_date, &details.payment_end_date];
    let right = details.billing_currency == "INR"
        && cycles.contains(&details.billing_cycle.as_str())
        && details.billing_interval > 0
        && dates.iter().all(|date| is_date(date))
        && details.payment_start_date < details.payment_end_date
        && max.minor >= 100;
    right.then_some(Mandate { max_minor: max.minor, revoked: false })
}

impl PayUSim {
    /// Keeps the mandate that a payment is to set up.
    pub(super) fn keep_mandate(&self, number: u64, form: &Form) -> Result<u64, (&'static str, &'static str)> {
        if let Some(details) = &form.si_details {
            let mandate = terms(details).ok_or(("E501", "Invalid SI details"))?;
            let mut mandates = self.mandates.lock();
            if mandates.len() < MANDATES_MAX {
                mandates.insert(number, mandate);
            }
        }
        Ok(number)
    }

    /// A mandate that may be debited.
    fn active(&self, payment_id: &str) -> Option<(u64, Mandate)> {
        let number = reply::number_of(payment_id)?;
        let mandate = self.mandates.lock().get(&number).copied().filter(|mandate| !mandate.revoked)?;
        let set_up = self.desk.books.get(number).is_some_and(|entry| entry.status == Status::Captured);
        set_up.then_some((number, mandate))
    }

    pub(super) fn revoke(&self, var1: &str) -> String {
        let Ok(revocation) = serde_json::from_str::<Revocation>(var1) else {
            return r#"{"status":0,"action":"MANDATE_REVOKE","message":"Parameter missing"}"#.to_owned();
        };
        if revocation.request_id.is_empty() {
            return r#"{"status":0,"action":"MANDATE_REVOKE","message":"Parameter missing"}"#.to_owned();
        }
        match self.active(&revocation.auth_payu_id) {
            Some((number, mandate)) => {
                self.mandates.lock().insert(number, Mandate { revoked: true, ..mandate });
                r#"{"status":1,"action":"MANDATE_REVOKE","message":"Mandate Revoke request processed successfully"}"#
                    .to_owned()
            }
            None => r#"{"status":0,"action":"MANDATE_REVOKE","message":"Mandate is not active"}"#.to_owned(),
        }
    }

    /// `si_transaction`: begun at once, done later, as UPI does it.
    pub(super) async fn debit(
        self: &Arc<Self>,
        command: &Command,
        profile: &Arc<FaultProfile>,
    ) -> Result<Response, HangUp> {
        if !self.is_signed(command) {
            return Ok(json(200, commands::INVALID_HASH));
        }
        let Ok(debit) = serde_json::from_str::<Debit>(&command.var1) else {
            return Ok(json(200, commands::MISSING));
        };
        let form = Form::of_debit(&self.key, &debit.txnid, &debit.amount, &debit.email, &debit.udf1);
        let (method, behaviour) = form.instrument();
        let behaviour = self.desk.behaviour(behaviour, profile);
        let fault = match behaviour {
            Behaviour::Fault(fault) => Some(fault),
            _ => None,
        };
        if let Some(response) = self.desk.strike_before(fault, profile).await? {
            return Ok(response);
        }
        let body = self.take(&debit, form, method, behaviour, fault, profile);
        self.desk.strike_after(fault, profile, json(200, body)).await
    }

    fn take(
        self: &Arc<Self>,
        debit: &Debit,
        form: Form,
        method: Method,
        behaviour: Behaviour,
        fault: Option<Fault>,
        profile: &FaultProfile,
    ) -> String {
        let failed = |reason: &str| entry_of(debit, "", "failed", reason);
        let Ok(amount) = Money::parse_major(&debit.amount, Currency::INR) else {
            return failed("Invalid amount");
        };
        let Some((_, mandate)) = self.active(&debit.authpayuid) else {
            return failed("Mandate is not active");
        };
        if amount.minor > mandate.max_minor {
            return failed("Amount is more than the mandate allows");
        }
        let new = NewEntry {
            reference: &debit.txnid,
            amount_minor: amount.minor,
            currency: *b"INR",
            manual: false,
            method,
            notes: Notes::None,
            now_ms: now_ms(),
        };
        let number = match self.desk.books.create(&new) {
            Ok(number) => number,
            Err(Refusal::Exists(_)) => return r#"{"status":0,"msg":"Duplicate transaction"}"#.to_owned(),
            Err(_) => return r#"{"status":0,"msg":"Please try again"}"#.to_owned(),
        };
        let id = reply::payment_id(number);
        let frictionless = form.is_frictionless();
        let pending = match behaviour {
            Behaviour::Pending { approve } => Some(approve),
            Behaviour::Success if !frictionless => Some(true),
            _ => None,
        };
        if let Some(approve) = pending {
            return match self.leave_pending(number, form, method, approve, profile) {
                Ok(_) => entry_of(debit, &id, "pending", "Transaction initiated"),
                Err(_) => r#"{"status":0,"msg":"Please try again"}"#.to_owned(),
            };
        }
        match self.decide_now(number, form, method, behaviour, fault, profile) {
            Ok(_) if matches!(behaviour, Behaviour::Fail(_)) => {
                let entry = self.desk.books.get(number);
                entry_of(debit, &id, "failed", entry.as_ref().map_or("", |entry| reply::error_of(entry).1))
            }
            Ok(_) => entry_of(debit, &id, "captured", "Transaction Completed Successfully"),
            Err(_) => r#"{"status":0,"msg":"Please try again"}"#.to_owned(),
        }
    }
}

fn entry_of(debit: &Debit, id: &str, status: &str, reason: &str) -> String {
    format!(
        r#"{{"status":1,"message":"Transaction Processed successfully","details":{{{txnid}:{{"authpayuid":{auth},"transactionid":{txnid},"amount":{amount},"user_credentials":"","card_token":"","payuid":"{id}","status":"{status}","udf1":{udf1},"field9":"{reason}","udf2":"","udf3":"","udf4":"","udf5":"","phone":{phone},"email":{email}}}}}}}"#,
        txnid = quoted(&debit.txnid),
        auth = quoted(&debit.authpayuid),
        amount = quoted(&debit.amount),
        udf1 = quoted(&debit.udf1),
        phone = quoted(&debit.phone),
        email = quoted(&debit.email),
    )
}
