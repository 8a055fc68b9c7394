//! Request bodies: forms with nested names, `payment_method_data[card][number]`.

use super::{NAME, amount};
use crate::form::Form;
use crate::{BuildError, Charge};
use tollgate_core::method::{CaptureMode, Instrument};
use tollgate_core::money::Money;
use zeroize::Zeroizing;

/// The longest suffix of a statement descriptor (docs.stripe.com/get-started/account/statement-descriptors).
const DESCRIPTOR_LENGTH_MAX: usize = 22;

/// The metadata key of our reference.
pub(super) const REFERENCE_KEY: &str = "metadata[tollgate_reference]";

fn unsupported(what: &'static str) -> BuildError {
    BuildError::Unsupported { processor: NAME.into(), what }
}

/// The payment intent of a charge, not confirmed: it takes nothing.
///
/// An enquiry repeats it, and Stripe refuses a repetition whose fields differ. So everything here must
/// follow from what an enquiry knows: our reference and the amount.
pub(super) fn create(reference: &str, amount: Money) -> Result<Zeroizing<Vec<u8>>, BuildError> {
    let mut form = Form::new();
    form.field("amount", &amount::to_wire(amount)?.to_string())
        .field("currency", &amount.currency.code().to_ascii_lowercase())
        .field("automatic_payment_methods[enabled]", "true")
        .field(REFERENCE_KEY, reference);
    Ok(form.into_body())
}

/// What the customer's statement should say; none when nothing of it can be sent.
pub(super) fn describe(charge: &Charge<'_>) -> Option<Zeroizing<Vec<u8>>> {
    let wanted = charge.statement_descriptor.filter(|_| matches!(charge.instrument, Instrument::Card(_)))?;
    let allowed = |character: &char| {
        (character.is_ascii_graphic() || *character == ' ') && !"<>\\'\"*".contains(*character)
    };
    let suffix: String = wanted.chars().filter(allowed).take(DESCRIPTOR_LENGTH_MAX).collect();
    if !suffix.bytes().any(|byte| byte.is_ascii_alphabetic()) {
        return None;
    }
    let mut form = Form::new();
    form.field("statement_descriptor_suffix", suffix.trim());
    if let Some(description) = charge.description {
        form.field("description", description);
    }
    Some(form.into_body())
}

/// Charges the instrument.
pub(super) fn confirm(charge: &Charge<'_>, afterpay: bool) -> Result<Zeroizing<Vec<u8>>, BuildError> {
    // Stripe insists on it while methods that redirect are enabled.
    let return_url = charge.return_url.ok_or(unsupported("a charge without a page to return to"))?;
    let mut form = Form::new();
    let mut name = charge.customer.name;
    match charge.instrument {
        Instrument::Card(card) if card.network_token.is_some() => {
            return Err(unsupported("network tokens"));
        }
        Instrument::Card(card) => {
            form.field("payment_method_data[type]", "card")
                .field("payment_method_data[card][number]", card.number.expose())
                .field("payment_method_data[card][exp_month]", &card.exp_month.to_string())
                .field("payment_method_data[card][exp_year]", &card.exp_year.to_string());
            if let Some(cvc) = &card.cvc {
                form.field("payment_method_data[card][cvc]", cvc.expose());
            }
            if charge.challenge {
                // docs.stripe.com/payments/3d-secure/authentication-flow#manual-three-ds: `challenge` asks for
                // a challenge of the customer, where `any` is content with a frictionless authentication.
                form.field("payment_method_options[card][request_three_d_secure]", "challenge");
            }
            name = card.holder.as_deref().or(name);
        }
        Instrument::Bnpl { plan } => match plan.provider.as_str() {
            "klarna" => {
                form.field("payment_method_data[type]", "klarna");
                if let Some(country) = amount::klarna_country(charge.amount.currency)? {
                    form.field("payment_method_data[billing_details][address][country]", country);
                }
            }
            "afterpay" if afterpay => {
                amount::check_afterpay(charge.amount.currency)?;
                form.field("payment_method_data[type]", "afterpay_clearpay");
            }
            _ => return Err(unsupported("this lender")),
        },
        Instrument::Upi { .. } | Instrument::UpiAutopay { .. } => return Err(unsupported("UPI")),
        Instrument::Wallet { .. } => return Err(unsupported("wallets")),
        Instrument::NetBanking { .. } => return Err(unsupported("net banking")),
        Instrument::Emi { .. } => return Err(unsupported("instalments")),
    }
    let details = [("name", name), ("email", charge.customer.email), ("phone", charge.customer.phone)];
    for (field, value) in details {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            form.field(&format!("payment_method_data[billing_details][{field}]"), value);
        }
    }
    let capture_method = match charge.capture {
        CaptureMode::Automatic => "automatic",
        CaptureMode::Manual => "manual",
    };
    form.field("capture_method", capture_method).field("return_url", return_url);
    Ok(form.into_body())
}

pub(super) fn capture(amount: Money) -> Result<Zeroizing<Vec<u8>>, BuildError> {
    let mut form = Form::new();
    form.field("amount_to_capture", &amount::to_wire(amount)?.to_string());
    Ok(form.into_body())
}

pub(super) fn cancel() -> Zeroizing<Vec<u8>> {
    let mut form = Form::new();
    form.field("cancellation_reason", "requested_by_customer");
    form.into_body()
}

pub(super) fn refund(
    payment_id: &str,
    reference: &str,
    amount: Money,
) -> Result<Zeroizing<Vec<u8>>, BuildError> {
    let mut form = Form::new();
    form.field("payment_intent", payment_id)
        .field("amount", &amount::to_wire(amount)?.to_string())
        .field(REFERENCE_KEY, reference);
    Ok(form.into_body())
}
