//! The payment form and its hash.
//!
//! Source: docs.payu.in, Collect Payment API (server-to-server), Additional Info for Payment APIs,
//! Generate Hash, Pre-Authorize Payment (S2S), codes for cards, wallets and net banking.

use super::{NAME, PayU, mandate, providers};
use crate::digest::sha512_of_joined;
use crate::form::Form;
use crate::{BuildError, Charge};
use serde::Serialize;
use std::borrow::Cow;
use tollgate_core::card::{CardBrand, CardSecret, Cvc, NetworkToken};
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

pub(super) fn check_token(reference: &str) -> Result<(), BuildError> {
    if reference.len() > TOKEN_LENGTH_MAX {
        return Err(unsupported("references longer than 23 characters"));
    }
    Ok(())
}

pub(super) fn check_txnid(reference: &str) -> Result<(), BuildError> {
    if reference.len() > TXNID_LENGTH_MAX {
        return Err(unsupported("references longer than 25 characters"));
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
    check_txnid(charge.reference)?;
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
    let si_details = match (charge.mandate, charge.instrument) {
        (None, _) => None,
        (Some(terms), Instrument::Upi { .. }) => Some(mandate::details(charge, terms, unsupported)?),
        (Some(_), _) => return Err(unsupported("mandates without UPI")),
    };
    // key|txnid|amount|productinfo|firstname|email|udf1|udf2|udf3|udf4|udf5||||||[si_details|]SALT
    let salt = account.salt.expose();
    let (details, salt) = si_details.as_deref().map_or((salt, None), |details| (details, Some(salt)));
    let parts = [
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
        details,
        salt.unwrap_or(""),
    ];
    let hash = sha512_of_joined(if salt.is_some() { &parts[..] } else { &parts[..17] });
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
    if let Some(details) = &si_details {
        form.field("api_version", "7").field("si", "1").field("si_details", details);
    }
    instrument(&mut form, charge, account)?;
    Ok(form.into_body())
}

/// What comes with a network token.
#[derive(Serialize)]
struct TokenInfo<'a> {
    /// The token's own: the card's are not known.
    #[serde(rename = "last4Digits")]
    last4_digits: &'a str,
    tavv: &'a str,
    /// Token requestor id.
    trid: &'a str,
    #[serde(rename = "tokenRefNo")]
    token_ref_no: &'a str,
}

fn card(form: &mut Form, card: &CardSecret, account: &PayU) -> Result<(), BuildError> {
    let name = card.holder.as_deref().unwrap_or("Card Holder");
    match &card.network_token {
        None => {
            form.field("ccnum", card.number.expose());
        }
        Some(token) => network_token(form, card, token, account)?,
    }
    form.field("ccname", name)
        .field("ccexpmon", &format!("{:02}", card.exp_month))
        .field("ccexpyr", &format!("{:04}", card.exp_year))
        .field("ccvv", card.cvc.as_ref().map_or("", Cvc::expose));
    Ok(())
}

/// Source: docs.payu.in, Using Network Tokens.
fn network_token(
    form: &mut Form,
    card: &CardSecret,
    token: &NetworkToken,
    account: &PayU,
) -> Result<(), BuildError> {
    let trid = account.token_requestor_id.as_deref().ok_or(unsupported("network tokens"))?;
    let info = TokenInfo {
        last4_digits: &card.number.last4(),
        tavv: token.cryptogram.expose(),
        trid,
        token_ref_no: "",
    };
    let info = serde_json::to_string(&info).map_err(|_| unsupported("this network token"))?;
    let info = zeroize::Zeroizing::new(info);
    form.field("store_card_token", card.number.expose())
        .field("storecard_token_type", "1")
        .field("additional_info", &info);
    Ok(())
}

fn instrument(form: &mut Form, charge: &Charge<'_>, account: &PayU) -> Result<(), BuildError> {
    let manual = charge.capture == CaptureMode::Manual;
    let mut of = |gateway: &str, code: Option<&str>, what| match code {
        Some(code) => {
            form.field("pg", gateway).field("bankcode", code);
            Ok(())
        }
        None => Err(unsupported(what)),
    };
    match charge.instrument {
        Instrument::Card(secret) => {
            let (gateway, code) = card_codes(charge.method, secret.number.brand());
            of(gateway, Some(code), "")?;
            if manual {
                form.field("pre_authorize", "1");
            }
            card(form, secret, account)
        }
        _ if manual => Err(unsupported("manual capture of this method")),
        Instrument::Upi { flow: UpiFlow::Collect, vpa: Some(vpa) } => {
            of("UPI", Some("UPI"), "")?;
            form.field("vpa", vpa);
            Ok(())
        }
        Instrument::Upi { flow: UpiFlow::Collect, vpa: None } => {
            Err(unsupported("UPI collect without an address"))
        }
        Instrument::Upi { flow: UpiFlow::Intent | UpiFlow::Qr, .. } => of("UPI", Some("INTENT"), ""),
        Instrument::Wallet { provider } => {
            of("CASH", providers::code(providers::WALLETS, provider), "this wallet")
        }
        Instrument::NetBanking { bank } => of("NB", providers::code(providers::BANKS, bank), "this bank"),
        Instrument::Bnpl { plan } => {
            of("BNPL", providers::code(providers::LENDERS, &plan.provider), "this lender")
        }
        Instrument::Emi { plan, .. } if plan.no_cost && !account.no_cost_emi => {
            Err(unsupported("instalments whose interest the merchant bears"))
        }
        Instrument::Emi { card: secret, plan } => {
            of("EMI", providers::emi_code(&plan.bank, plan.tenure_months), "these instalments")?;
            card(form, secret, account)
        }
        Instrument::UpiAutopay { .. } => Err(unsupported("this way of debiting a mandate")),
    }
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
