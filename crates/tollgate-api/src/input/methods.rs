//! Bodies of questions about methods.

use super::CardBody;
use super::{CustomerBody, Text};
use serde::Deserialize;
use serde_json::value::RawValue;

/// `POST /api/v1/bnpl/eligibility`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct EligibilityBody<'a> {
    #[serde(borrow)]
    pub(crate) amount: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) currency: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) customer: Option<CustomerBody<'a>>,
}

/// `POST /api/v1/qr_codes`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct QrCodeBody<'a> {
    #[serde(borrow)]
    pub(crate) vpa: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) city: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) postal_code: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) amount: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) currency: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) reference: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) note: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) merchant_category_code: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) bill_number: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) terminal: Option<Text<'a>>,
}

/// `POST /api/v1/passkeys/options`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct PasskeyOptionsBody<'a> {
    #[serde(borrow)]
    pub(crate) user_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) name: Option<Text<'a>>,
}

/// `POST /api/v1/payment_methods`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct PaymentMethodBody<'a> {
    #[serde(borrow)]
    pub(crate) user_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) card: Option<CardBody<'a>>,
    #[serde(borrow)]
    pub(crate) consent: Option<ConsentBody<'a>>,
}

/// A card holder's consent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct ConsentBody<'a> {
    #[serde(borrow)]
    pub(crate) given_at: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) ip: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) terms: Option<Text<'a>>,
}

/// `POST /api/v1/passkeys`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct NewPasskeyBody<'a> {
    #[serde(borrow)]
    pub(crate) user_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) credential: Option<&'a RawValue>,
}

/// `POST /api/v1/confirmations`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct ConfirmationBody<'a> {
    #[serde(borrow)]
    pub(crate) amount: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) currency: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) user_id: Option<Text<'a>>,
}
