//! Request bodies.

use super::mandate::Token;
use super::{NAME, Razorpay, providers};
use crate::{BuildError, Charge};
use serde::Serialize;
use tollgate_core::card::{CardBrand, CardSecret};
use tollgate_core::mandate::MandateFrequency;
use tollgate_core::method::{CaptureMode, Instrument, UpiFlow};
use tollgate_core::money::Money;
use zeroize::Zeroizing;

/// How long Razorpay captures automatically, and how long it holds an uncaptured payment before it
/// returns it: five days, the longest there is. A shorter automatic period would leave late
/// authorizations uncaptured although nobody gave the payment up.
/// Source: razorpay.com/docs/payments/payments/capture-settings/api.
const EXPIRY_MINUTES: u16 = 7200;

#[derive(Serialize)]
pub(super) struct Notes<'a> {
    pub(super) tollgate_reference: &'a str,
}

#[derive(Serialize)]
struct Order<'a> {
    amount: i64,
    currency: &'a str,
    receipt: &'a str,
    notes: Notes<'a>,
    payment: CaptureSettings,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<Token>,
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
    wallet: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bank: Option<&'static str>,
    /// The lender, of `method: "paylater"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    emi_duration: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_id: Option<&'a str>,
    /// `1`: sets a mandate up.
    #[serde(skip_serializing_if = "Option::is_none")]
    recurring: Option<&'static str>,
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
    /// Whether `number` is a network token; left out for cards.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tokenised: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cryptogram_value: Option<&'a str>,
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

/// Refuses what the wire cannot express, before anything is sent.
pub(super) fn check_charge(charge: &Charge<'_>, account: &Razorpay) -> Result<(), BuildError> {
    check(charge.amount)?;
    let known = |table, ours, what| providers::code(table, ours).map(|_| ()).ok_or(unsupported(what));
    match charge.instrument {
        Instrument::Card(_) | Instrument::Upi { .. } | Instrument::UpiAutopay { .. } => {}
        Instrument::Wallet { provider } => known(providers::WALLETS, provider, "this wallet")?,
        Instrument::NetBanking { bank } => known(providers::BANKS, bank, "this bank")?,
        Instrument::Bnpl { plan } => known(providers::LENDERS, &plan.provider, "this lender")?,
        Instrument::Emi { plan, .. } if plan.no_cost && !account.no_cost_emi => {
            return Err(unsupported("instalments whose interest the merchant bears"));
        }
        Instrument::Emi { plan, .. } if !providers::EMI_MONTHS.contains(&plan.tenure_months) => {
            return Err(unsupported("this number of instalments"));
        }
        Instrument::Emi { .. } => {}
    }
    match (charge.mandate, charge.instrument) {
        (None, _) => Ok(()),
        (Some(terms), Instrument::Upi { .. }) if terms.frequency != MandateFrequency::Daily => Ok(()),
        (Some(_), Instrument::Upi { .. }) => Err(unsupported("daily mandates")),
        (Some(_), _) => Err(unsupported("mandates without UPI")),
    }
}

/// An order. With a mandate it belongs to a customer and carries the terms.
pub(super) fn order(charge: &Charge<'_>, customer_id: Option<&str>) -> Zeroizing<Vec<u8>> {
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
        customer_id,
        method: customer_id.map(|_| "upi"),
        token: customer_id.and(charge.mandate).map(Token::of),
    })
}

fn card_of<'a>(charge: &Charge<'a>, card: &'a CardSecret) -> Card<'a> {
    let token = card.network_token.as_ref();
    Card {
        number: card.number.expose(),
        name: card.holder.as_deref().or(charge.customer.name).unwrap_or("Card Holder"),
        expiry_month: format!("{:02}", card.exp_month),
        expiry_year: format!("{:02}", card.exp_year % 100),
        cvv: card.cvc.as_ref().map(tollgate_core::card::Cvc::expose),
        tokenised: token.is_some(),
        // American Express tokens come without one.
        cryptogram_value: token
            .filter(|_| card.number.brand() != CardBrand::Amex)
            .map(|token| token.cryptogram.expose()),
    }
}

/// The payment on an order. `customer_id` is that of a mandate to be set up.
pub(super) fn payment(
    charge: &Charge<'_>,
    order_id: &str,
    customer_id: Option<&str>,
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
        provider: None,
        emi_duration: None,
        customer_id,
        recurring: customer_id.map(|_| "1"),
        ip: charge.customer.ip,
        user_agent: charge.customer.user_agent,
        referer: charge.return_url,
        callback_url: charge.return_url,
        description: charge.description.or(charge.statement_descriptor),
    };
    if let Some(card) = charge.instrument.card() {
        payment.authentication = Some(Authentication { authentication_channel: "browser" });
        payment.card = Some(card_of(charge, card));
    }
    match charge.instrument {
        Instrument::Card(_) => {}
        Instrument::Upi { flow, vpa } => {
            payment.method = "upi";
            payment.upi = Some(match flow {
                UpiFlow::Collect => Upi { flow: "collect", vpa },
                UpiFlow::Intent | UpiFlow::Qr => Upi { flow: "intent", vpa: None },
            });
        }
        Instrument::Wallet { provider } => {
            payment.method = "wallet";
            payment.wallet = providers::code(providers::WALLETS, provider);
        }
        Instrument::NetBanking { bank } => {
            payment.method = "netbanking";
            payment.bank = providers::code(providers::BANKS, bank);
        }
        Instrument::Bnpl { plan } => {
            payment.method = "paylater";
            payment.provider = providers::code(providers::LENDERS, &plan.provider);
        }
        Instrument::Emi { plan, .. } => {
            payment.method = "emi";
            payment.emi_duration = Some(plan.tenure_months);
        }
        Instrument::UpiAutopay { .. } => return Err(unsupported("this way of debiting a mandate")),
    }
    Ok(json(&payment))
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
pub(super) fn json(value: &impl Serialize) -> Zeroizing<Vec<u8>> {
    let mut body = Zeroizing::new(Vec::with_capacity(2048));
    // Writing plain structs to memory cannot fail; an empty body would be refused by the processor.
    if serde_json::to_writer(&mut *body, value).is_err() {
        body.clear();
    }
    body
}
