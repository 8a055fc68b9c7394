//! The form that takes the customer's browser to CCAvenue's page.
//!
//! Source: CCAvenue Integration Document 3.1, Processing orders using CCAvenue billing page, Request
//! Parameters: names, lengths and the characters each field may have. `payment_option` opens the page
//! at that method; the customer picks the bank or wallet there, because CCAvenue's names of them
//! (`card_name`) differ from account to account.

use super::{CcAvenue, commands, unsupported};
use crate::form::Form;
use crate::{BuildError, Charge};
use tollgate_core::method::{CaptureMode, Instrument, MethodKind};

/// Whether the charge can be expressed.
pub(super) fn check(account: &CcAvenue, charge: &Charge<'_>) -> Result<(), BuildError> {
    commands::check_reference(charge.reference)?;
    payment_option(charge)?;
    match (charge.capture, account.manual_confirmation) {
        (CaptureMode::Automatic, false) | (CaptureMode::Manual, true) => {}
        (CaptureMode::Manual, false) => {
            return Err(unsupported("manual capture without manual_confirmation"));
        }
        // Nobody would confirm it: CCAvenue would cancel it after twelve days.
        (CaptureMode::Automatic, true) => {
            return Err(unsupported("automatic capture with manual_confirmation"));
        }
    }
    if charge.mandate.is_some() {
        return Err(unsupported("UPI AutoPay mandates"));
    }
    let rule = account.capabilities.rule(charge.instrument.family());
    let taken = rule.is_some_and(|rule| rule.currencies.contains(&charge.amount.currency));
    if !taken {
        return Err(unsupported("this currency for this method"));
    }
    Ok(())
}

fn payment_option(charge: &Charge<'_>) -> Result<&'static str, BuildError> {
    match charge.instrument {
        Instrument::Card(_) if charge.method == MethodKind::DebitCard => Ok("OPTDBCRD"),
        Instrument::Card(_) => Ok("OPTCRDC"),
        Instrument::Upi { .. } => Ok("OPTUPI"),
        Instrument::Wallet { .. } => Ok("OPTWLT"),
        Instrument::NetBanking { .. } => Ok("OPTNBK"),
        // What the merchant bears of the interest would have to be arranged with CCAvenue.
        Instrument::Emi { plan, .. } if plan.no_cost => Err(unsupported("no-cost instalments")),
        Instrument::Emi { .. } => Ok("OPTEMI"),
        Instrument::UpiAutopay { .. } => Err(unsupported("UPI AutoPay")),
        Instrument::Bnpl { .. } => Err(unsupported("buy now, pay later")),
    }
}

/// The fields of the form. Nothing of the instrument is in them but its kind.
pub(super) fn fields(account: &CcAvenue, charge: &Charge<'_>) -> Result<Vec<(String, String)>, BuildError> {
    let return_url = charge.return_url.unwrap_or(&account.default_return_url);
    let mut form = Form::new();
    form.field("merchant_id", &account.merchant_id)
        .field("order_id", charge.reference)
        .field("currency", charge.amount.currency.code())
        .field("amount", &charge.amount.to_major_text())
        .field("redirect_url", return_url)
        .field("cancel_url", return_url)
        .field("language", "EN")
        .field("payment_option", payment_option(charge)?);
    let customer = &charge.customer;
    let is_name = |character: char| character.is_ascii_alphabetic() || character == ' ';
    let is_phone = |character: char| character.is_ascii_digit();
    let is_email = |character: char| character.is_ascii_alphanumeric() || "@._-+".contains(character);
    let is_text = |character: char| character.is_ascii_alphanumeric() || " #,()/.-".contains(character);
    optional(&mut form, "billing_name", customer.name, 60, is_name);
    optional(&mut form, "billing_tel", customer.phone, 20, is_phone);
    optional(&mut form, "billing_email", customer.email, 70, is_email);
    optional(&mut form, "merchant_param1", charge.description, 100, is_text);
    let encrypted = account.cipher.encrypt(&form.into_body());
    Ok(vec![("encRequest".to_owned(), encrypted), ("access_code".to_owned(), account.access_code.clone())])
}

/// A field without the characters that CCAvenue does not take; left out when nothing is left of it.
fn optional(
    form: &mut Form,
    name: &str,
    value: Option<&str>,
    length_max: usize,
    is_allowed: impl Fn(char) -> bool,
) {
    let clean: String =
        value.unwrap_or("").chars().filter(|character| is_allowed(*character)).take(length_max).collect();
    if !clean.trim().is_empty() {
        form.field(name, clean.trim());
    }
}
