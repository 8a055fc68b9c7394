//! Request bodies: `{"body":…,"head":…}`. Signed ones are signed over the text of `body` as it is sent.
//!
//! Source: paytmpayments.com/docs, Initiate Transaction API, Process Transaction API, Transaction
//! Status API, Refund API, Refund Status API.

use super::{NAME, Paytm};
use crate::{BuildError, Charge};
use serde::Serialize;
use tollgate_core::card::{CardSecret, Cvc};
use tollgate_core::currency::Currency;
use tollgate_core::method::{CaptureMode, Instrument, MethodKind, UpiFlow};
use tollgate_core::money::Money;
use zeroize::Zeroizing;

/// The one wallet, as the directory names it.
pub(super) const WALLET: &str = "paytm";

/// The directory's banks and Paytm's channel codes. Source: paytmpayments.com/docs, Bank Codes.
pub(super) const BANKS: &[(&str, &str)] = &[
    ("SBIN", "SBI"),
    ("HDFC", "HDFC"),
    ("ICIC", "ICICI"),
    ("UTIB", "AXIS"),
    ("KKBK", "NKMB"),
    ("PUNB", "PNB"),
    ("BARB", "BOB"),
    ("CNRB", "CANARA"),
    ("UBIN", "UNI"),
    ("IDIB", "INDB"),
    ("YESB", "YES"),
    ("INDB", "INDS"),
    ("FDRL", "FDEB"),
    ("IDFB", "IDFC"),
    ("IBKL", "IDBI"),
    ("BKID", "BOI"),
];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Initiate<'a> {
    request_type: &'static str,
    mid: &'a str,
    website_name: &'a str,
    order_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_url: Option<&'a str>,
    txn_amount: Amount,
    user_info: UserInfo<'a>,
    enable_payment_mode: Vec<Mode<'a>>,
}

#[derive(Serialize)]
struct Amount {
    value: String,
    currency: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UserInfo<'a> {
    cust_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mobile: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_name: Option<String>,
}

/// A way to pay that the order's token is good for.
#[derive(Serialize)]
struct Mode<'a> {
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<[&'a str; 1]>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Process<'a> {
    request_type: &'static str,
    mid: &'a str,
    order_id: &'a str,
    payment_mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    card_info: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payer_account: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessEnvelope<'a> {
    body: Process<'a>,
    head: ProcessHead<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessHead<'a> {
    version: &'static str,
    channel_id: &'static str,
    txn_token: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    mid: &'a str,
    order_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ref_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Refund<'a> {
    mid: &'a str,
    txn_type: &'static str,
    order_id: &'a str,
    txn_id: &'a str,
    ref_id: &'a str,
    refund_amount: String,
}

pub(super) fn unsupported(what: &'static str) -> BuildError {
    BuildError::Unsupported { processor: NAME.into(), what }
}

/// Refuses what the wire cannot express.
pub(super) fn check(amount: Money) -> Result<(), BuildError> {
    if amount.currency == Currency::INR { Ok(()) } else { Err(unsupported("currencies other than INR")) }
}

/// Creates the order.
pub(super) fn initiate(account: &Paytm, charge: &Charge<'_>) -> Result<Zeroizing<Vec<u8>>, BuildError> {
    check(charge.amount)?;
    if charge.capture == CaptureMode::Manual {
        return Err(unsupported("manual capture"));
    }
    if charge.mandate.is_some() {
        return Err(unsupported("UPI AutoPay mandates"));
    }
    let customer = &charge.customer;
    let body = Initiate {
        request_type: "Payment",
        mid: &account.mid,
        website_name: &account.website,
        order_id: charge.reference,
        callback_url: charge.return_url,
        txn_amount: Amount { value: charge.amount.to_major_text(), currency: "INR" },
        user_info: UserInfo {
            cust_id: customer_id(customer.id, charge.reference),
            mobile: customer.phone.and_then(mobile),
            email: customer.email.filter(|email| !email.contains('|')),
            first_name: customer.name.map(plain).filter(|name| !name.is_empty()),
        },
        enable_payment_mode: vec![mode(charge)?],
    };
    Ok(sign(account, &body))
}

/// What the token may be used for: this method and no other.
fn mode<'a>(charge: &Charge<'a>) -> Result<Mode<'a>, BuildError> {
    let only = |mode| Ok(Mode { mode, channels: None });
    match charge.instrument {
        Instrument::Card(card) if card.network_token.is_some() => Err(unsupported("network tokens")),
        Instrument::Card(_) => only(card_mode(charge.method)),
        Instrument::Upi { flow: UpiFlow::Collect, vpa: None } => {
            Err(unsupported("UPI collect without an address"))
        }
        Instrument::Upi { .. } => only("UPI"),
        Instrument::Wallet { provider: WALLET } => only("BALANCE"),
        Instrument::Wallet { .. } => Err(unsupported("wallets other than its own")),
        Instrument::NetBanking { bank } => {
            Ok(Mode { mode: "NET_BANKING", channels: Some([channel_of(bank)?]) })
        }
        Instrument::UpiAutopay { .. } => Err(unsupported("UPI AutoPay")),
        Instrument::Bnpl { .. } => Err(unsupported("buy now, pay later")),
        Instrument::Emi { .. } => Err(unsupported("instalments")),
    }
}

/// Asks for the money.
pub(super) fn process(
    account: &Paytm,
    charge: &Charge<'_>,
    token: &str,
) -> Result<Zeroizing<Vec<u8>>, BuildError> {
    let card = charge.instrument.card().map(card_info);
    let mut body = Process {
        request_type: "NATIVE",
        mid: &account.mid,
        order_id: charge.reference,
        payment_mode: "UPI_INTENT",
        card_info: card.as_ref().map(|info| info.as_str()),
        auth_mode: None,
        channel_code: None,
        payer_account: None,
    };
    match charge.instrument {
        Instrument::Card(_) => {
            body.payment_mode = card_mode(charge.method);
            body.auth_mode = Some("otp");
        }
        Instrument::Upi { flow: UpiFlow::Collect, vpa } => {
            body.payment_mode = "UPI";
            body.payer_account = vpa;
        }
        Instrument::Upi { flow: UpiFlow::Intent | UpiFlow::Qr, .. } => {}
        Instrument::NetBanking { bank } => {
            body.payment_mode = "NET_BANKING";
            body.channel_code = Some(channel_of(bank)?);
        }
        _ => return Err(unsupported("this method")),
    }
    let head = ProcessHead { version: "v1", channel_id: "WEB", txn_token: token };
    Ok(json(&ProcessEnvelope { body, head }))
}

pub(super) fn status(account: &Paytm, reference: &str) -> Zeroizing<Vec<u8>> {
    sign(account, &Status { mid: &account.mid, order_id: reference, ref_id: None })
}

pub(super) fn refund(
    account: &Paytm,
    charge_reference: &str,
    txn_id: &str,
    reference: &str,
    amount: Money,
) -> Zeroizing<Vec<u8>> {
    let body = Refund {
        mid: &account.mid,
        txn_type: "REFUND",
        order_id: charge_reference,
        txn_id,
        ref_id: reference,
        refund_amount: amount.to_major_text(),
    };
    sign(account, &body)
}

pub(super) fn refund_status(account: &Paytm, charge_reference: &str, reference: &str) -> Zeroizing<Vec<u8>> {
    sign(account, &Status { mid: &account.mid, order_id: charge_reference, ref_id: Some(reference) })
}

/// Credit unless the caller says debit: Paytm wants to be told.
const fn card_mode(method: MethodKind) -> &'static str {
    match method {
        MethodKind::DebitCard => "DEBIT_CARD",
        _ => "CREDIT_CARD",
    }
}

/// `savedCardId|number|security code|MMYYYY`, the first part empty for a new card.
fn card_info(card: &CardSecret) -> Zeroizing<String> {
    let mut info = Zeroizing::new(String::with_capacity(64));
    info.push('|');
    info.push_str(card.number.expose());
    info.push('|');
    info.push_str(card.cvc.as_ref().map_or("", Cvc::expose));
    info.push_str(&format!("|{:02}{:04}", card.exp_month, card.exp_year));
    info
}

fn channel_of(bank: &str) -> Result<&'static str, BuildError> {
    let found = BANKS.iter().find(|(ours, _)| *ours == bank);
    found.map(|(_, code)| *code).ok_or_else(|| unsupported("this bank"))
}

/// Paytm wants an id of every customer. A customer without one is known by the payment: one id for all
/// would count them as a single customer who pays very often.
fn customer_id(id: Option<&str>, reference: &str) -> String {
    let allowed = |character: &char| character.is_ascii_alphanumeric() || "@_-.".contains(*character);
    let id: String = id.unwrap_or("").chars().filter(allowed).take(64).collect();
    if id.is_empty() { reference.to_owned() } else { id }
}

/// The ten digits of an Indian mobile number.
fn mobile(phone: &str) -> Option<String> {
    let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
    let local = if digits.len() == 12 { digits.strip_prefix("91") } else { Some(digits.as_str()) };
    local.filter(|local| local.len() == 10).map(str::to_owned)
}

/// Paytm refuses `|` (code 1008); control characters have no business in a name.
fn plain(text: &str) -> String {
    text.chars().filter(|character| *character != '|' && !character.is_control()).take(100).collect()
}

fn sign(account: &Paytm, body: &impl Serialize) -> Zeroizing<Vec<u8>> {
    let text = json(body);
    let signature = account.key.sign(&text);
    let head = format!(r#","head":{{"version":"v1","channelId":"WEB","signature":"{signature}"}}}}"#);
    let mut out = Zeroizing::new(Vec::with_capacity(text.len() + head.len() + 8));
    out.extend_from_slice(br#"{"body":"#);
    out.extend_from_slice(&text);
    out.extend_from_slice(head.as_bytes());
    out
}

/// Reserved up front: a growing buffer would leave copies of a card number in freed memory.
fn json(value: &impl Serialize) -> Zeroizing<Vec<u8>> {
    let mut body = Zeroizing::new(Vec::with_capacity(2048));
    // Writing plain structs to memory cannot fail; an empty body would be refused by the processor.
    if serde_json::to_writer(&mut *body, value).is_err() {
        body.clear();
    }
    body
}
