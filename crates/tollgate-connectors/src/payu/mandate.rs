//! UPI AutoPay: setting a mandate up, debiting it, ending it.
//!
//! PayU calls it a standing instruction (SI). It is set up by an ordinary payment with `si=1` and
//! `si_details`, and is named afterwards by that payment's `mihpayid`; as everywhere, that id is asked for
//! by our reference (`verify_payment`) and not taken from an earlier message.
//!
//! Replies of the general API carry no hash: what vouches for them is the TLS connection.
//!
//! Sources: docs.payu.in, UPI Consent Transaction (si_details), Recurring Payment Transaction API
//! (`si_transaction`), Cancel the Recurring Payment for UPI (`upi_mandate_revoke`).

use super::{Command, PayU, amount_minor, codes, commands, is_payment_id, is_success};
use crate::answer::{not_taken, throttled, unknown, unreadable};
use crate::json::{Text, text};
use crate::wire::HttpResponse;
use crate::{BuildError, Charge, ChargeHandle, Progress, Step};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::mandate::{MandateFrequency, MandateTerms};
use tollgate_core::money::Money;
use tollgate_core::outcome::Outcome;

/// India is five and a half hours ahead of UTC, all year.
const IST_MS: u64 = 19_800_000;
const DAY_MS: u64 = 86_400_000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details<'a> {
    billing_amount: &'a str,
    billing_currency: &'a str,
    billing_cycle: &'static str,
    billing_interval: u8,
    payment_start_date: String,
    payment_end_date: String,
    /// `MAX`: a debit may be less than the amount.
    billing_rule: &'static str,
}

/// The terms as PayU writes them.
///
/// They begin on the day of the charge, which its reference tells: our references carry their time.
pub(super) fn details(
    charge: &Charge<'_>,
    terms: &MandateTerms,
    unsupported: impl Fn(&'static str) -> BuildError,
) -> Result<String, BuildError> {
    let made_ms = tollgate_core::base62::decode(charge.reference)
        .and_then(|id| u64::try_from(id >> 80).ok())
        .ok_or_else(|| unsupported("mandates under references that carry no time"))?;
    let (billing_cycle, billing_interval) = match terms.frequency {
        MandateFrequency::AsPresented => ("ADHOC", 1),
        MandateFrequency::Daily => ("DAILY", 1),
        MandateFrequency::Weekly => ("WEEKLY", 1),
        MandateFrequency::Monthly => ("MONTHLY", 1),
        MandateFrequency::Quarterly => ("MONTHLY", 3),
        MandateFrequency::Yearly => ("YEARLY", 1),
    };
    let amount = Money::new(terms.amount_minor_max, charge.amount.currency).to_major_text();
    let details = Details {
        billing_amount: &amount,
        billing_currency: charge.amount.currency.code(),
        billing_cycle,
        billing_interval,
        payment_start_date: date_in_india(made_ms),
        payment_end_date: date_in_india(terms.ends_at_ms),
        billing_rule: "MAX",
    };
    serde_json::to_string(&details).map_err(|_| unsupported("these terms"))
}

/// The date in India as `YYYY-MM-DD`. Days to civil date: Howard Hinnant, "chrono-Compatible Low-Level
/// Date Algorithms".
fn date_in_india(unix_ms: u64) -> String {
    let days = unix_ms.saturating_add(IST_MS) / DAY_MS;
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Debit<'a> {
    authpayuid: &'a str,
    invoice_display_number: &'a str,
    amount: &'a str,
    txnid: &'a str,
    phone: &'a str,
    email: &'a str,
    udf1: &'static str,
    udf2: &'static str,
    udf3: &'static str,
    udf4: &'static str,
    udf5: &'static str,
}

#[derive(Serialize)]
struct Revocation<'a> {
    #[serde(rename = "authPayuId")]
    auth_payu_id: &'a str,
    #[serde(rename = "requestId")]
    request_id: &'a str,
}

#[derive(Deserialize)]
struct DebitReply<'a> {
    #[serde(borrow)]
    status: Option<Text<'a>>,
    #[serde(borrow)]
    msg: Option<Text<'a>>,
    #[serde(borrow)]
    details: Option<BTreeMap<Cow<'a, str>, DebitEntry<'a>>>,
}

#[derive(Deserialize)]
struct DebitEntry<'a> {
    #[serde(borrow)]
    transactionid: Option<Text<'a>>,
    #[serde(borrow)]
    amount: Option<Text<'a>>,
    #[serde(borrow)]
    payuid: Option<Text<'a>>,
    #[serde(borrow)]
    status: Option<Text<'a>>,
    #[serde(borrow)]
    field9: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct RevocationReply<'a> {
    #[serde(borrow)]
    status: Option<Text<'a>>,
    #[serde(borrow)]
    action: Option<Text<'a>>,
    #[serde(borrow)]
    message: Option<Text<'a>>,
    #[serde(borrow)]
    msg: Option<Text<'a>>,
}

/// The `mihpayid` of the payment that set the mandate up. Nothing was sent yet.
fn mandate_id(response: &HttpResponse<'_>, setup_reference: &str, amount: Money) -> Result<String, Outcome> {
    let setup = ChargeHandle { reference: setup_reference, processor_payment_id: None, amount };
    match commands::before_action(response, &setup)? {
        Outcome::Captured { processor_payment_id, .. } => Ok(processor_payment_id),
        _ => Err(not_taken(FailureCode::ProcessorRejected, "the mandate has not been set up")),
    }
}

impl PayU {
    /// A debit: step 0 asks for the mandate, 1 debits it, 2 asks what became of the debit.
    pub(super) fn read_debit(
        &self,
        charge: &Charge<'_>,
        setup_reference: &str,
        step: &Step,
        response: &HttpResponse<'_>,
    ) -> Progress {
        let own =
            ChargeHandle { reference: charge.reference, processor_payment_id: None, amount: charge.amount };
        match step.index {
            0 => match mandate_id(response, setup_reference, charge.amount) {
                Ok(id) => {
                    let amount = charge.amount.to_major_text();
                    let debit = Debit {
                        authpayuid: &id,
                        invoice_display_number: charge.reference,
                        amount: &amount,
                        txnid: charge.reference,
                        phone: charge.customer.phone.unwrap_or(&self.default_phone),
                        email: charge.customer.email.unwrap_or(&self.default_email),
                        udf1: super::request::CAPTURE_AUTOMATIC,
                        udf2: "",
                        udf3: "",
                        udf4: "",
                        udf5: "",
                    };
                    let Ok(var1) = serde_json::to_string(&debit) else {
                        let code = FailureCode::ProcessorRejected;
                        return Progress::Done(not_taken(code, "the debit cannot be expressed"));
                    };
                    let step = Step { index: 1, carry: None };
                    Progress::Next(Box::new(self.command(Command::Debit, &[&var1], step)))
                }
                Err(outcome) => Progress::Done(outcome),
            },
            1 => match read_debit(response, charge) {
                Some(outcome) => Progress::Done(outcome),
                // Taken, under an id that was not told.
                None => {
                    let step = Step { index: 2, carry: None };
                    let mut call = self.command(Command::Verify, &[charge.reference], step);
                    call.moves_money = true;
                    Progress::Next(Box::new(call))
                }
            },
            _ => Progress::Done(match commands::read_verified(response, &own) {
                Outcome::NotFound => unknown("the processor does not know the debit it has taken"),
                outcome => outcome,
            }),
        }
    }

    /// A revocation: step 0 asks for the mandate, 1 ends it.
    pub(super) fn read_revocation(
        &self,
        setup: &ChargeHandle<'_>,
        step: &Step,
        response: &HttpResponse<'_>,
    ) -> Progress {
        if step.index > 0 {
            return Progress::Done(read_revoked(response));
        }
        match mandate_id(response, setup.reference, setup.amount) {
            Ok(id) => {
                let revocation = Revocation { auth_payu_id: &id, request_id: setup.reference };
                let Ok(var1) = serde_json::to_string(&revocation) else {
                    return Progress::Done(unreadable());
                };
                let step = Step { index: 1, carry: None };
                Progress::Next(Box::new(self.command(Command::RevokeMandate, &[&var1], step)))
            }
            Err(outcome) => Progress::Done(outcome),
        }
    }
}

/// None: taken, and no id told.
fn read_debit(response: &HttpResponse<'_>, charge: &Charge<'_>) -> Option<Outcome> {
    if response.status == 429 {
        return Some(throttled());
    }
    if !is_success(response.status) {
        return Some(unknown("the processor failed to answer"));
    }
    let Ok(reply) = serde_json::from_slice::<DebitReply<'_>>(response.body) else {
        return Some(unreadable());
    };
    if matches!(text(&reply.status), "0" | "0.0") && reply.details.is_none() {
        return Some(codes::refused_debit(text(&reply.msg)));
    }
    let entry = reply.details.as_ref().and_then(|details| details.get(charge.reference));
    let Some(entry) = entry.filter(|entry| text(&entry.transactionid) == charge.reference) else {
        return Some(unreadable());
    };
    let id = Some(text(&entry.payuid)).filter(|id| is_payment_id(id)).map(str::to_owned);
    Some(match (text(&entry.status), amount_minor(text(&entry.amount))) {
        ("captured", Some(amount_minor)) => Outcome::Captured { processor_payment_id: id?, amount_minor },
        ("pending" | "in-progress" | "in progress", _) => Outcome::Pending { processor_payment_id: id },
        // Blank means failed, says the documentation.
        ("failed" | "failure" | "", _) => {
            let failure = Failure::new(FailureCode::CardDeclined, text(&entry.field9));
            Outcome::Declined(failure)
        }
        _ => unreadable(),
    })
}

fn read_revoked(response: &HttpResponse<'_>) -> Outcome {
    if response.status == 429 {
        return throttled();
    }
    if !is_success(response.status) {
        return unknown("the processor failed to answer");
    }
    let Ok(reply) = serde_json::from_slice::<RevocationReply<'_>>(response.body) else {
        return unreadable();
    };
    let ours = text(&reply.action) == "MANDATE_REVOKE";
    match text(&reply.status) {
        "1" | "1.0" if ours => Outcome::Voided,
        // It has ended already.
        "0" | "0.0" if ours && text(&reply.message).starts_with("Mandate is not active") => Outcome::Voided,
        "0" | "0.0" => {
            let message = [text(&reply.message), text(&reply.msg)];
            let message = message.into_iter().find(|message| !message.is_empty()).unwrap_or("");
            Outcome::Declined(Failure::new(FailureCode::ProcessorRejected, message))
        }
        _ => unreadable(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(date_in_india(0), "1970-01-01");
        assert_eq!(date_in_india(1_709_145_000_000), "2024-02-29", "18:30 UTC is midnight");
        assert_eq!(date_in_india(1_709_144_999_999), "2024-02-28");
        assert_eq!(date_in_india(4_102_444_799_000), "2100-01-01");
    }
}
