//! Documented shapes of who may do what.

use super::one_of_names;
use std::borrow::Cow;
use tollgate_core::access::{MATRIX, Role};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

schema_type!(
    /// [`Role`] by name.
    RoleSchema as "Role" =
        one_of_names("The part somebody plays.", Role::ALL.map(|role| role.name().to_owned()))
);
schema_type!(
    /// A permission by name.
    PermissionSchema as "Permission" =
        one_of_names("Something that may be allowed.", MATRIX.iter().map(|rule| rule.name.to_owned()))
);

/// What a new key is to be.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewApiKeyWish, example = json!({
    "name": "till 7", "role": "support", "permissions": ["payments.read", "refunds.write"], "networks": ["192.0.2.0/24"]
}))]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct NewKeySchema {
    /// What you call it.
    #[schema(min_length = 1, max_length = 100, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    name: String,
    /// The role of its holder.
    role: RoleSchema,
    /// If given, only these of the role's permissions.
    #[schema(min_items = 1, max_items = 32)]
    permissions: Option<Vec<PermissionSchema>>,
    /// Addresses and networks (CIDR) from which it may be used; from anywhere if not given. Needs a server that knows its callers'
    /// addresses.
    #[schema(max_items = 32)]
    networks: Option<Vec<String>>,
    /// SHA-256 fingerprints of client certificates (64 hexadecimal digits, with or without colons): the key is good over connections
    /// with one of these alone; over any connection if not given. Needs a server that asks for client certificates.
    #[schema(max_items = 8)]
    certificates_sha256: Option<Vec<String>>,
    /// From when on it no longer works; never if not given.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// How a key is to be rotated.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApiKeyRotation, example = json!({ "overlap_s": 3600 }))]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct RotationSchema {
    /// For how many seconds the old key lives on; a day if not given.
    #[schema(minimum = 0, maximum = 604_800)]
    overlap_s: Option<u32>,
    /// The client certificates of the new key, where they are others than the old one's.
    #[schema(max_items = 8)]
    certificates_sha256: Option<Vec<String>>,
}

/// Rate limits that are set.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RateLimitsWish, example = json!({ "requests_per_minute": 5000, "requests_burst": 1000 }))]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct LimitsSchema {
    /// Requests of an account a minute.
    #[schema(minimum = 1, maximum = 10_000_000)]
    requests_per_minute: Option<u32>,
    /// Requests of an account at once; a minute's if not given.
    #[schema(minimum = 1, maximum = 10_000_000)]
    requests_burst: Option<u32>,
    /// Of these, lists, reports and batches a minute.
    #[schema(minimum = 1, maximum = 10_000_000)]
    bulk_per_minute: Option<u32>,
    /// Of these, changes of keys and policies a minute.
    #[schema(minimum = 1, maximum = 10_000_000)]
    admin_per_minute: Option<u32>,
    /// Requests of an address a minute; everybody's alone.
    #[schema(minimum = 1, maximum = 10_000_000)]
    address_per_minute: Option<u32>,
    /// How much an account gets of what is scarce, in proportion to others' (1 if not given); one account's alone.
    #[schema(minimum = 1, maximum = 100)]
    weight: Option<u32>,
}

/// What a new token is to be.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewToken, example = json!({ "permissions": ["payments.read"], "lifetime_s": 300 }))]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) struct NewTokenSchema {
    /// What its holder may do; all that your key may if not given.
    #[schema(min_items = 1, max_items = 32)]
    permissions: Option<Vec<PermissionSchema>>,
    /// For how many seconds it works; 900 if not given.
    #[schema(minimum = 30, maximum = 900)]
    lifetime_s: Option<u32>,
}
