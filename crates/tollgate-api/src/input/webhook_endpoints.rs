//! Bodies about webhook endpoints.

use super::{Text, Whole};
use serde::Deserialize;

/// `POST /api/v1/webhook_endpoints` and `PUT /api/v1/webhook_endpoints/{id}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct EndpointBody<'a> {
    #[serde(borrow)]
    pub(crate) url: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) description: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) events: Option<Vec<Text<'a>>>,
    pub(crate) enabled: Option<bool>,
    pub(crate) ordered: Option<bool>,
}

/// `POST /api/v1/webhook_endpoints/{id}/rotate_secret`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct RotateBody {
    pub(crate) overlap_hours: Option<Whole<u16>>,
}

/// `POST /api/v1/webhook_endpoints/{id}/replay`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct ReplayBody<'a> {
    #[serde(borrow)]
    pub(crate) from: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) to: Option<Text<'a>>,
}
