//! Questions about methods: who would lend, and what a merchant's code holds.

use super::method::CardGiven;
use super::{
    NAME_CHARS_MAX, USER_ID_RULE, any_text, checked, currency, customer, is_ip, is_user_id, required_amount,
};
use crate::codes;
use crate::input::Text;
use crate::input::amount_text;
use crate::input::methods::{
    ConfirmationBody, EligibilityBody, NewPasskeyBody, PasskeyOptionsBody, PaymentMethodBody, QrCodeBody,
};
use crate::problem::Problem;
use crate::query::moment_ms;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tollgate_core::bnpl::Applicant;
use tollgate_core::currency::Currency;
use tollgate_core::emv_qr::{EmvQrError, MerchantQr};
use tollgate_core::merchant::Merchant;
use tollgate_core::money::Money;
use tollgate_core::saved_card::Consent;
use tollgate_core::upi_link::{UpiLink, UpiLinkError};
use webauthn_rs_core::proto::RegisterPublicKeyCredential;

/// Checks a question for lenders.
pub(crate) fn applicant(body: EligibilityBody<'_>) -> Result<Applicant, Problem> {
    let amount = required_amount(body.amount, currency(body.currency.as_ref())?)?;
    let customer = customer(body.customer, None, None)?;
    Ok(Applicant { amount, has_phone: customer.phone.is_some(), has_email: customer.email.is_some() })
}

/// A merchant's code in both of its forms.
#[derive(Debug)]
pub(crate) struct QrCode {
    pub(crate) name: String,
    pub(crate) is_dynamic: bool,
    pub(crate) link: String,
    pub(crate) emv: String,
}

/// Checks a merchant's code and writes it.
pub(crate) fn qr_code(body: QrCodeBody<'_>, merchant: &Merchant) -> Result<QrCode, Problem> {
    let required = |text: Option<Text<'_>>, pointer: &'static str| {
        text.map(|text| text.0.into_owned()).ok_or_else(|| Problem::field(pointer, "is required"))
    };
    let optional = |text: Option<Text<'_>>| text.map(|text| text.0.into_owned());
    if body.currency.as_ref().is_some_and(|currency| currency.as_str() != Currency::INR.code()) {
        return Err(Problem::field("/currency", "must be INR"));
    }
    let amount = body
        .amount
        .map(|raw| {
            let text = amount_text(raw).ok_or_else(|| Problem::new(&codes::AMOUNT_INVALID).at("/amount"))?;
            Money::parse_major(&text, Currency::INR).map_err(Problem::from)
        })
        .transpose()?;
    let (payee_address, name) = (required(body.vpa, "/vpa")?, required(body.name, "/name")?);
    let city = required(body.city, "/city")?;
    let code = optional(body.merchant_category_code);
    let reference = optional(body.reference);
    let link = UpiLink {
        payee_address: payee_address.clone(),
        payee_name: name.clone(),
        amount,
        reference: reference.clone(),
        note: optional(body.note),
        merchant_category_code: code.clone().or_else(|| merchant.mcc.clone()),
    };
    let emv = MerchantQr {
        payee_address,
        name: name.clone(),
        city,
        postal_code: optional(body.postal_code),
        merchant_category_code: code.or_else(|| merchant.mcc.clone()).unwrap_or_else(|| "0000".to_owned()),
        amount,
        reference,
        bill_number: optional(body.bill_number),
        terminal: optional(body.terminal),
        purpose: None,
    };
    // The narrower of the two forms first: its rules are the documented ones.
    let emv = emv.build().map_err(|error| {
        let pointer = match error {
            EmvQrError::Address => "/vpa",
            EmvQrError::Name => "/name",
            EmvQrError::City => "/city",
            EmvQrError::PostalCode => "/postal_code",
            EmvQrError::CategoryCode => "/merchant_category_code",
            EmvQrError::Amount => "/amount",
            EmvQrError::Reference => "/reference",
            _ => "/bill_number",
        };
        Problem::field(pointer, error.to_string())
    })?;
    let link = link.build().map_err(|error| {
        let pointer = match error {
            UpiLinkError::Address => "/vpa",
            UpiLinkError::Name => "/name",
            UpiLinkError::Amount => "/amount",
            UpiLinkError::Reference => "/reference",
            UpiLinkError::CategoryCode => "/merchant_category_code",
            _ => "/note",
        };
        Problem::field(pointer, error.to_string())
    })?;
    Ok(QrCode { name, is_dynamic: amount.is_some(), link, emv })
}

/// Checks whose passkey is to be registered: the user's id, and the name to be shown.
pub(crate) fn passkey_options(body: PasskeyOptionsBody<'_>) -> Result<(String, String), Problem> {
    let user_id = user_id(body.user_id)?;
    let name = any_text(body.name, "/name", NAME_CHARS_MAX)?.unwrap_or_else(|| user_id.clone());
    Ok((user_id, name))
}

/// A card to be saved.
pub(crate) struct NewSavedCard {
    pub(crate) user_id: String,
    pub(crate) card: CardGiven,
    pub(crate) consent: Consent,
}

/// Checks a card to be saved, with its holder's consent.
pub(crate) fn payment_method(body: PaymentMethodBody<'_>, now_ms: u64) -> Result<NewSavedCard, Problem> {
    let required = |pointer: &'static str| move || Problem::field(pointer, "is required");
    let user_id = user_id(body.user_id)?;
    let consent = body.consent.ok_or_else(required("/consent"))?;
    let terms = any_text(consent.terms, "/consent/terms", NAME_CHARS_MAX)?;
    let terms = terms.filter(|terms| !terms.is_empty()).ok_or_else(required("/consent/terms"))?;
    let given_at_ms = match consent.given_at {
        None => now_ms,
        Some(text) => {
            moment_ms(text.as_str()).filter(|at_ms| *at_ms <= now_ms + CLOCK_SKEW_MS).ok_or_else(|| {
                Problem::field("/consent/given_at", "must be an RFC 3339 moment that is not in the future")
            })?
        }
    };
    let ip = checked(consent.ip, "/consent/ip", is_ip, "must be an IPv4 or IPv6 address")?;
    let card = body.card.ok_or_else(required("/card"))?;
    let card = super::method::given(card, now_ms).map_err(|problem| {
        let own = problem.field_name().and_then(|pointer| pointer.strip_prefix("/payment_method"));
        match own.map(str::to_owned) {
            Some(pointer) => problem.at(pointer),
            None => problem,
        }
    })?;
    Ok(NewSavedCard { user_id, card, consent: Consent { given_at_ms, ip, terms } })
}

/// How far a caller's clock may be ahead of ours.
const CLOCK_SKEW_MS: u64 = 5 * 60_000;

/// Checks a new passkey: the user's id, and what the browser gave.
pub(crate) fn new_passkey(
    body: NewPasskeyBody<'_>,
) -> Result<(String, RegisterPublicKeyCredential), Problem> {
    let user_id = user_id(body.user_id)?;
    let raw = body.credential.ok_or_else(|| Problem::field("/credential", "is required"))?;
    Ok((user_id, credential(raw, "/credential")?))
}

/// Checks what a customer shall confirm: the amount, and the user's id.
pub(crate) fn confirmation(body: ConfirmationBody<'_>) -> Result<(Money, String), Problem> {
    let amount = required_amount(body.amount, currency(body.currency.as_ref())?)?;
    Ok((amount, user_id(body.user_id)?))
}

/// What a browser's `PublicKeyCredential.toJSON` wrote.
pub(super) fn credential<T: DeserializeOwned>(raw: &RawValue, pointer: &'static str) -> Result<T, Problem> {
    serde_json::from_str(raw.get()).map_err(|_| {
        Problem::field(pointer, "must be a credential as `PublicKeyCredential.toJSON` writes it")
    })
}

fn user_id(text: Option<Text<'_>>) -> Result<String, Problem> {
    let text = text.ok_or_else(|| Problem::field("/user_id", "is required"))?;
    if is_user_id(text.as_str()) {
        Ok(text.0.into_owned())
    } else {
        Err(Problem::field("/user_id", USER_ID_RULE))
    }
}
