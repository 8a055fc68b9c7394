//! Request bodies.

use super::{NAME, Razorpay};
use crate::{BuildError, Charge};
use serde::Serialize;
use tollgate_core::method::{CaptureMode, Instrument, UpiFlow};
use tollgate_core::money::Money;
use zeroize::Zeroizing;

/// How long Razorpay captures automatically, and how long it holds an uncaptured payment before it
/// returns it: five days, the longest there is. A shorter automatic period would leave late
/// authorizations uncaptured although nobody gave the payment up.
/// Source: razorpay.com/docs/payments/payments/capture-settings/api.
const EXPIRY_MINUTES: u16 = 7200;

#[derive(Serialize)]
struct Notes<'a> {
    tollgate_reference: &'a str,
}

#[derive(Serialize)]
struct Order<'a> {
    amount: i64,
    currency: &'a str,
    receipt: &'a str,
    notes: Notes<'a>,
    payment: CaptureSettings,
}

#[derive(Serialize)]
struct CaptureSettings {
    capture: &'static str,
    capture_options: CaptureOptions,
}

#[derive(Serialize)]
struct CaptureOptions {
    #[serde(skip_serializing_if = "Option::is_none")]
    automatic_expiry_period: Option<u16>,
    manual_expiry_period: u16,
    refund_speed: &'static str,
}

#[derive(Serialize)]
struct Payment<'a> {
    amount: i64,
    currency: &'a str,
    order_id: &'a str,
    email: &'a str,
    contact: &'a str,
    method: &'static str,
    notes: Notes<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    card: Option<Card<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authentication: Option<Authentication>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upi: Option<Upi<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wallet: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bank: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    referer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
}

#[derive(Serialize)]
struct Card<'a> {
    number: &'a str,
    name: &'a str,
    expiry_month: String,
    expiry_year: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cvv: Option<&'a str>,
}

#[derive(Serialize)]
struct Authentication {
    authentication_channel: &'static str,
}

#[derive(Serialize)]
struct Upi<'a> {
    flow: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    vpa: Option<&'a str>,
}

#[derive(Serialize)]
struct Capture<'a> {
    amount: i64,
    currency: &'a str,
}

#[derive(Serialize)]
struct Refund<'a> {
    amount: i64,
    speed: &'static str,
    receipt: &'a str,
    notes: Notes<'a>,
}

/// Refuses what the wire cannot express.
///
/// Amounts in currencies with three decimal digits must end in 0: Razorpay charges 99.991 KWD as
/// 99.990 (razorpay.com/docs/api/orders/create).
pub(super) fn check(amount: Money) -> Result<(), BuildError> {
    if amount.currency.exponent() == 3 && amount.minor % 10 != 0 {
        return Err(BuildError::Unsupported {
            processor: NAME.into(),
            what: "a third decimal digit other than 0",
        });
    }
    Ok(())
}

fn unsupported(what: &'static str) -> BuildError {
    BuildError::Unsupported { processor: NAME.into(), what }
}

pub(super) fn order(charge: &Charge<'_>) -> Zeroizing<Vec<u8>> {
    let (capture, automatic_expiry_period) = match charge.capture {
        CaptureMode::Automatic => ("automatic", Some(EXPIRY_MINUTES)),
        CaptureMode::Manual => ("manual", None),
    };
    json(&Order {
        amount: charge.amount.minor,
        currency: charge.amount.currency.code(),
        receipt: charge.reference,
        notes: Notes { tollgate_reference: charge.reference },
        payment: CaptureSettings {
            capture,
            capture_options: CaptureOptions {
                automatic_expiry_period,
                manual_expiry_period: EXPIRY_MINUTES,
                refund_speed: "normal",
            },
        },
    })
}

pub(super) fn payment(
    charge: &Charge<'_>,
    order_id: &str,
    account: &Razorpay,
) -> Result<Zeroizing<Vec<u8>>, BuildError> {
    let mut payment = Payment {
        amount: charge.amount.minor,
        currency: charge.amount.currency.code(),
        order_id,
        email: charge.customer.email.unwrap_or(&account.default_email),
        contact: charge.customer.phone.unwrap_or(&account.default_contact),
        method: "card",
        notes: Notes { tollgate_reference: charge.reference },
        card: None,
        authentication: None,
        upi: None,
        wallet: None,
        bank: None,
        ip: charge.customer.ip,
        user_agent: charge.customer.user_agent,
        referer: charge.return_url,
        callback_url: charge.return_url,
        description: charge.description.or(charge.statement_descriptor),
    };
    match charge.instrument {
        Instrument::Card(card) => {
            payment.authentication = Some(Authentication { authentication_channel: "browser" });
            payment.card = Some(Card {
                number: card.number.expose(),
                name: card.holder.as_deref().or(charge.customer.name).unwrap_or("Card Holder"),
                expiry_month: format!("{:02}", card.exp_month),
                expiry_year: format!("{:02}", card.exp_year % 100),
                cvv: card.cvc.as_ref().map(tollgate_core::card::Cvc::expose),
            });
        }
        Instrument::Upi { flow, vpa } => {
            payment.method = "upi";
            payment.upi = Some(match flow {
                UpiFlow::Collect => Upi { flow: "collect", vpa },
                UpiFlow::Intent | UpiFlow::Qr => Upi { flow: "intent", vpa: None },
            });
        }
        Instrument::Wallet { provider } => {
            payment.method = "wallet";
            payment.wallet = Some(wallet_code(provider));
        }
        Instrument::NetBanking { bank } => {
            payment.method = "netbanking";
            payment.bank = Some(bank);
        }
        Instrument::UpiAutopay { .. } => return Err(unsupported("UPI AutoPay")),
        Instrument::Bnpl { .. } => return Err(unsupported("buy now, pay later")),
        Instrument::Emi { .. } => return Err(unsupported("instalments")),
    }
    Ok(json(&payment))
}

/// Razorpay's wallet codes are lower-case words without separators, e.g. `amazonpay`, `phonepe`.
/// Source: razorpay.com/docs/payments/payment-methods/wallets.
fn wallet_code(provider: &str) -> String {
    provider
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|character| character.to_ascii_lowercase())
        .collect()
}

pub(super) fn capture(amount: Money) -> Zeroizing<Vec<u8>> {
    json(&Capture { amount: amount.minor, currency: amount.currency.code() })
}

pub(super) fn refund(reference: &str, amount_minor: i64) -> Zeroizing<Vec<u8>> {
    json(&Refund {
        amount: amount_minor,
        speed: "normal",
        receipt: reference,
        notes: Notes { tollgate_reference: reference },
    })
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
