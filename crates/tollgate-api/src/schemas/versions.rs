//! Documented shapes of the API's versions.

use super::one_of_names;
use crate::versions::VERSIONS;
use std::borrow::Cow;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

schema_type!(
    /// A version by name.
    VersionSchema as "ApiVersionName" =
        one_of_names("A version of the API.", VERSIONS.iter().map(|version| version.date.to_owned()))
);

/// The version that an account is to use.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewApiVersion, example = json!({ "version": "2026-11-22" }))]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct NewVersionSchema {
    /// Which.
    version: VersionSchema,
}
