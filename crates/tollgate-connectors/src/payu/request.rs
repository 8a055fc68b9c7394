//! The payment form and its hash.
//!
//! Source: docs.payu.in, Collect Payment API (server-to-server), Additional Info for Payment APIs,
//! Generate Hash, Pre-Authorize Payment (S2S), codes for cards, wallets and net banking.

use super::{NAME, PayU};
use crate::digest::sha512_of_joined;
use crate::form::Form;
use crate::{BuildError, Charge};
use std::borrow::Cow;
use tollgate_core::card::{CardBrand, Cvc};
use tollgate_core::currency::Currency;
use tollgate_core::method::{CaptureMode, Instrument, MethodKind, UpiFlow};
use zeroize::Zeroizing;

/// Longest `txnid`.
const TXNID_LENGTH_MAX: usize = 25;
/// Longest token of a capture, cancellation or refund.
const TOKEN_LENGTH_MAX: usize = 23;

/// `udf1` of a charge that is captured at once.
pub(super) const CAPTURE_AUTOMATIC: &str = "capture";
/// `udf1` of a charge that is captured later.
pub(super) const CAPTURE_MANUAL: &str = "authorize";

/// Wallet codes by our provider names; any other provider is sent in upper case.
const WALLETS: &[(&str, &str)] = &[
    ("airtelmoney", "AMONEY"),
    ("amazonpay", "AMZPAY"),
    ("freecharge", "FREC"),
    ("jiomoney", "JIOM"),
    ("mobikwik", "MOBIKWIK"),
    ("olamoney", "OLAM"),
    ("paytm", "PAYTM"),
    ("phonepe", "PHONEPE"),
];

/// Net banking codes by IFSC bank prefix or common name; any other bank is sent in upper case.
const BANKS: &[(&str, &str)] = &[
    ("AXIS", "AXIB"),
    ("UTIB", "AXIB"),
    ("HDFC", "HDFB"),
    ("ICIC", "ICIB"),
    ("ICICI", "ICIB"),
    ("KOTAK", "162B"),
    ("KKBK", "162B"),
    ("SBI", "SBIB"),
    ("SBIN", "SBIB"),
    ("YESB", "YESB"),
];

pub(super) fn check_token(reference: &str) -> Result<(), BuildError> {
    if reference.len() > TOKEN_LENGTH_MAX {
        return Err(unsupported("references longer than 23 characters"));
    }
    Ok(())
}

fn unsupported(what: &'static str) -> BuildError {
    BuildError::Unsupported { processor: NAME.into(), what }
}

pub(super) fn payment(account: &PayU, charge: &Charge<'_>) -> Result<Zeroizing<Vec<u8>>, BuildError> {
    if charge.amount.currency != Currency::INR {
        return Err(unsupported("currencies other than INR"));
    }
    if charge.reference.len() > TXNID_LENGTH_MAX {
        return Err(unsupported("references longer than 25 characters"));
    }
    let amount = charge.amount.to_major_text();
    let product = clean(charge.description.unwrap_or("Payment"), 100);
    let name = clean(charge.customer.name.unwrap_or(&account.default_name), 60);
    let email = clean(charge.customer.email.unwrap_or(&account.default_email), 50);
    let phone = charge.customer.phone.unwrap_or(&account.default_phone);
    let return_url = charge.return_url.unwrap_or(&account.default_return_url);
    let mode = match charge.capture {
        CaptureMode::Automatic => CAPTURE_AUTOMATIC,
        CaptureMode::Manual => CAPTURE_MANUAL,
    };
    // key|txnid|amount|productinfo|firstname|email|udf1|udf2|udf3|udf4|udf5||||||SALT
    let hash = sha512_of_joined(&[
        &account.key,
        charge.reference,
        &amount,
        &product,
        &name,
        &email,
        mode,
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        account.salt.expose(),
    ]);
    let mut form = Form::new();
    form.field("key", &account.key)
        .field("txnid", charge.reference)
        .field("amount", &amount)
        .field("productinfo", &product)
        .field("firstname", &name)
        .field("email", &email)
        .field("phone", phone)
        .field("surl", return_url)
        .field("furl", return_url)
        .field("udf1", mode)
        .field("txn_s2s_flow", "4")
        .field("hash", ascii(&hash));
    if let Some(ip) = charge.customer.ip {
        form.field("s2s_client_ip", ip);
    }
    if let Some(user_agent) = charge.customer.user_agent {
        form.field("s2s_device_info", user_agent);
    }
    instrument(&mut form, charge)?;
    Ok(form.into_body())
}

fn instrument(form: &mut Form, charge: &Charge<'_>) -> Result<(), BuildError> {
    let manual = charge.capture == CaptureMode::Manual;
    match charge.instrument {
        Instrument::Card(card) => {
            if manual {
                form.field("pre_authorize", "1");
            }
            let (gateway, code) = card_codes(charge.method, card.number.brand());
            form.field("pg", gateway)
                .field("bankcode", code)
                .field("ccnum", card.number.expose())
                .field("ccname", card.holder.as_deref().unwrap_or("Card Holder"))
                .field("ccexpmon", &format!("{:02}", card.exp_month))
                .field("ccexpyr", &format!("{:04}", card.exp_year))
                .field("ccvv", card.cvc.as_ref().map_or("", Cvc::expose));
        }
        _ if manual => return Err(unsupported("manual capture of this method")),
        Instrument::Upi { flow: UpiFlow::Collect, vpa: Some(vpa) } => {
            form.field("pg", "UPI").field("bankcode", "UPI").field("vpa", vpa);
        }
        Instrument::Upi { flow: UpiFlow::Collect, vpa: None } => {
            return Err(unsupported("UPI collect without an address"));
        }
        Instrument::Upi { flow: UpiFlow::Intent | UpiFlow::Qr, .. } => {
            form.field("pg", "UPI").field("bankcode", "INTENT");
        }
        Instrument::Wallet { provider } => {
            let plain: String = provider.chars().filter(char::is_ascii_alphanumeric).collect();
            let code = mapped(WALLETS, &plain);
            form.field("pg", "CASH").field("bankcode", &code);
        }
        Instrument::NetBanking { bank } => {
            form.field("pg", "NB").field("bankcode", &mapped(BANKS, bank));
        }
        Instrument::UpiAutopay { .. } => return Err(unsupported("UPI AutoPay")),
        Instrument::Bnpl { .. } => return Err(unsupported("buy now, pay later")),
        Instrument::Emi { .. } => return Err(unsupported("instalments")),
    }
    Ok(())
}

fn card_codes(method: MethodKind, brand: CardBrand) -> (&'static str, &'static str) {
    match (method, brand) {
        (MethodKind::DebitCard, CardBrand::Visa) => ("DC", "VISA"),
        (MethodKind::DebitCard, CardBrand::Mastercard) => ("DC", "MAST"),
        (MethodKind::DebitCard, CardBrand::Rupay) => ("DC", "RUPAY"),
        (_, CardBrand::Amex) => ("CC", "AMEX"),
        (_, CardBrand::Diners) => ("CC", "DINR"),
        _ => ("CC", "CC"),
    }
}

fn mapped(table: &[(&str, &'static str)], name: &str) -> Cow<'static, str> {
    match table.iter().find(|(ours, _)| ours.eq_ignore_ascii_case(name)) {
        Some((_, code)) => Cow::Borrowed(code),
        None => Cow::Owned(name.to_ascii_uppercase()),
    }
}

/// Text that cannot shift the fields of the hash: no `|`, no control characters, at most that long.
fn clean(text: &str, length_max: usize) -> Cow<'_, str> {
    let is_clean = |character: char| character != '|' && !character.is_control();
    if text.len() <= length_max && text.chars().all(is_clean) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().filter(|character| is_clean(*character)).take(length_max).collect())
}

/// Hexadecimal digits as text.
pub(super) fn ascii(digits: &[u8]) -> &str {
    std::str::from_utf8(digits).unwrap_or("")
}
