//! Bodies of the current API, and what both generations choose alike.

use super::{NAME, unsupported};
use crate::{BuildError, Charge, Customer};
use serde::Serialize;
use tollgate_core::currency::Currency;
use tollgate_core::mandate::{MandateFrequency, MandateTerms};
use tollgate_core::method::{CaptureMode, Instrument, UpiFlow};
use tollgate_core::money::Money;
use zeroize::Zeroizing;

/// Hosted page.
pub(super) const CHECKOUT: &str = "/checkout/v2";
/// The merchant's own page.
pub(super) const PAYMENTS: &str = "/payments/v2";
/// UPI AutoPay.
pub(super) const SUBSCRIPTIONS: &str = "/subscriptions/v2";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pay<'a> {
    merchant_order_id: &'a str,
    amount: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_context: Option<DeviceContext>,
    payment_flow: Flow<'a>,
}

#[derive(Serialize)]
pub(super) struct DeviceContext {
    #[serde(rename = "deviceOS")]
    pub(super) device_os: &'static str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Flow<'a> {
    Pg(Pg<'a>),
    Checkout(Checkout<'a>),
    Setup(Setup<'a>),
    Redemption(Redemption<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pg<'a> {
    r#type: &'static str,
    payment_mode: Mode<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    merchant_urls: Option<MerchantUrls<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checkout<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    merchant_urls: Option<MerchantUrls<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_mode_config: Option<PaymentModeConfig>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Setup<'a> {
    r#type: &'static str,
    merchant_subscription_id: &'a str,
    auth_workflow_type: &'static str,
    amount_type: &'static str,
    max_amount: i64,
    frequency: &'static str,
    expire_at: u64,
    payment_mode: Mode<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Redemption<'a> {
    r#type: &'static str,
    merchant_subscription_id: &'a str,
    redemption_retry_strategy: &'static str,
    auto_debit: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MerchantUrls<'a> {
    redirect_url: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PaymentModeConfig {
    enabled_payment_modes: [CardMode; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CardMode {
    r#type: &'static str,
    card_types: [&'static str; 2],
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
enum Mode<'a> {
    UpiIntent {
        #[serde(skip_serializing_if = "Option::is_none")]
        target_app: Option<&'a str>,
    },
    UpiQr,
    UpiCollect {
        details: CollectDetails<'a>,
        message: &'a str,
    },
    NetBanking {
        bank_id: &'a str,
    },
}

#[derive(Serialize)]
struct CollectDetails<'a> {
    r#type: &'static str,
    vpa: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Refund<'a> {
    merchant_refund_id: &'a str,
    original_merchant_order_id: &'a str,
    amount: i64,
}

/// Where a charge goes, and with what.
pub(super) struct ChargeRequest {
    pub(super) path: &'static str,
    pub(super) body: Zeroizing<Vec<u8>>,
    /// `x-device-os`, which PhonePe's SDKs send with collect requests.
    pub(super) device_os: Option<&'static str>,
}

/// Refuses what PhonePe cannot express: it takes rupees, at once.
pub(super) fn check(charge: &Charge<'_>) -> Result<(), BuildError> {
    check_amount(charge.amount)?;
    match charge.capture {
        CaptureMode::Automatic => Ok(()),
        CaptureMode::Manual => Err(unsupported("authorizations")),
    }
}

pub(super) fn check_amount(amount: Money) -> Result<(), BuildError> {
    if amount.currency == Currency::INR { Ok(()) } else { Err(unsupported("currencies other than INR")) }
}

/// The customer's system. PhonePe knows two; a desktop counts as the first, whose links are plain.
pub(super) fn device_os(customer: &Customer<'_>) -> &'static str {
    let agent = customer.user_agent.unwrap_or("");
    if ["iPhone", "iPad", "iPod"].iter().any(|device| agent.contains(device)) { "IOS" } else { "ANDROID" }
}

/// The app that a link is asked for. On Apple's devices PhonePe documents none as "any"; naming one
/// there gives links that only this app opens.
pub(super) fn target_app<'a>(customer: &Customer<'_>, android: &'a str) -> Option<&'a str> {
    (device_os(customer) == "ANDROID").then_some(android)
}

/// What a collect request says to the customer.
pub(super) fn message<'a>(charge: &Charge<'a>) -> &'a str {
    charge.description.or(charge.statement_descriptor).unwrap_or("Payment")
}

/// A PhonePe wallet is the only one there is.
pub(super) fn check_wallet(provider: &str) -> Result<(), BuildError> {
    if provider == NAME { Ok(()) } else { Err(unsupported("other wallets than PhonePe's")) }
}

pub(super) fn charge(charge: &Charge<'_>, app: &str) -> Result<ChargeRequest, BuildError> {
    check(charge)?;
    let device = || Some(DeviceContext { device_os: device_os(&charge.customer) });
    let merchant_urls = charge.return_url.map(|redirect_url| MerchantUrls { redirect_url });
    let mut device_context = None;
    let mut collect_os = None;
    let (path, payment_flow) = match charge.instrument {
        Instrument::Upi { flow, vpa } => {
            let payment_mode = match (flow, vpa) {
                (UpiFlow::Collect, Some(vpa)) => {
                    collect_os = Some(device_os(&charge.customer));
                    let details = CollectDetails { r#type: "VPA", vpa };
                    Mode::UpiCollect { details, message: message(charge) }
                }
                (UpiFlow::Collect, None) => return Err(unsupported("a collect request without an address")),
                // A mandate's link can be scanned as well: it carries the fields of a QR code.
                (UpiFlow::Qr, _) if charge.mandate.is_none() => Mode::UpiQr,
                (UpiFlow::Qr | UpiFlow::Intent, _) => {
                    device_context = device();
                    Mode::UpiIntent { target_app: target_app(&charge.customer, app) }
                }
            };
            match charge.mandate {
                Some(terms) => ("/subscriptions/v2/setup", Flow::Setup(setup(charge, terms, payment_mode))),
                None => {
                    let pg = Pg { r#type: "PG", payment_mode, merchant_urls: None };
                    ("/payments/v2/pay", Flow::Pg(pg))
                }
            }
        }
        _ if charge.mandate.is_some() => return Err(unsupported("mandates by other methods than UPI")),
        Instrument::NetBanking { bank } => {
            let payment_mode = Mode::NetBanking { bank_id: bank };
            ("/payments/v2/pay", Flow::Pg(Pg { r#type: "PG", payment_mode, merchant_urls }))
        }
        Instrument::Card(_) => {
            let types = ["DEBIT_CARD", "CREDIT_CARD"];
            let modes = [CardMode { r#type: "CARD", card_types: types }];
            let config = PaymentModeConfig { enabled_payment_modes: modes };
            ("/checkout/v2/pay", Flow::Checkout(checkout(charge, merchant_urls, Some(config))))
        }
        Instrument::Wallet { provider } => {
            check_wallet(provider)?;
            ("/checkout/v2/pay", Flow::Checkout(checkout(charge, merchant_urls, None)))
        }
        Instrument::UpiAutopay { setup_reference, .. } => {
            let redemption = Redemption {
                r#type: "SUBSCRIPTION_REDEMPTION",
                merchant_subscription_id: setup_reference,
                redemption_retry_strategy: "STANDARD",
                auto_debit: true,
            };
            ("/subscriptions/v2/notify", Flow::Redemption(redemption))
        }
        Instrument::Bnpl { .. } => return Err(unsupported("buy now, pay later")),
        Instrument::Emi { .. } => return Err(unsupported("instalments")),
    };
    let pay = Pay {
        merchant_order_id: charge.reference,
        amount: charge.amount.minor,
        device_context,
        payment_flow,
    };
    Ok(ChargeRequest { path, body: json(&pay), device_os: collect_os })
}

fn checkout<'a>(
    charge: &Charge<'a>,
    merchant_urls: Option<MerchantUrls<'a>>,
    payment_mode_config: Option<PaymentModeConfig>,
) -> Checkout<'a> {
    let message = charge.description.or(charge.statement_descriptor);
    Checkout { r#type: "PG_CHECKOUT", message, merchant_urls, payment_mode_config }
}

/// The mandate is named as the charge that sets it up. Later debits may be of any amount up to its
/// maximum, so it is a variable one; the charge itself is its first debit.
fn setup<'a>(charge: &Charge<'a>, terms: &MandateTerms, payment_mode: Mode<'a>) -> Setup<'a> {
    Setup {
        r#type: "SUBSCRIPTION_SETUP",
        merchant_subscription_id: charge.reference,
        auth_workflow_type: "TRANSACTION",
        amount_type: "VARIABLE",
        max_amount: terms.amount_minor_max,
        frequency: frequency(terms.frequency),
        expire_at: terms.ends_at_ms,
        payment_mode,
    }
}

const fn frequency(frequency: MandateFrequency) -> &'static str {
    match frequency {
        MandateFrequency::AsPresented => "ON_DEMAND",
        MandateFrequency::Daily => "DAILY",
        MandateFrequency::Weekly => "WEEKLY",
        MandateFrequency::Monthly => "MONTHLY",
        MandateFrequency::Quarterly => "QUARTERLY",
        MandateFrequency::Yearly => "YEARLY",
    }
}

pub(super) fn refund(charge_reference: &str, reference: &str, amount: Money) -> Zeroizing<Vec<u8>> {
    json(&Refund {
        merchant_refund_id: reference,
        original_merchant_order_id: charge_reference,
        amount: amount.minor,
    })
}

pub(super) fn json(value: &impl Serialize) -> Zeroizing<Vec<u8>> {
    let mut body = Zeroizing::new(Vec::with_capacity(1024));
    // Writing plain structs to memory cannot fail; an empty body would be refused by the processor.
    if serde_json::to_writer(&mut *body, value).is_err() {
        body.clear();
    }
    body
}
