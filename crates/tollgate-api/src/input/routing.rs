//! What is asked of routing.

use super::{MethodBody, Pairs, Text};
use serde::Deserialize;
use serde_json::value::RawValue;

/// `POST /api/v1/routing/preview`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct PreviewBody<'a> {
    #[serde(borrow)]
    pub(crate) amount: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) currency: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) payment_method: Option<MethodBody<'a, CardKnown<'a>>>,
    #[serde(borrow)]
    pub(crate) capture_mode: Option<Text<'a>>,
    pub(crate) sets_up_mandate: Option<bool>,
    #[serde(borrow)]
    pub(crate) card_country: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) metadata: Option<Pairs<'a>>,
    #[serde(borrow)]
    pub(crate) policy: Option<&'a RawValue>,
}

/// What routing looks at in a card: never its number.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct CardKnown<'a> {
    #[serde(borrow)]
    pub(crate) bin: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) brand: Option<Text<'a>>,
}
