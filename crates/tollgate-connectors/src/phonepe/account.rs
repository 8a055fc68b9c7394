//! What is configured for a PhonePe account, of either generation.

use serde::Deserialize;
use tollgate_core::card::Secret;

/// Where the current API is.
const LIVE_V2: &str = "https://api.phonepe.com/apis/pg";
/// Where live logins go: on another path than everything else.
const LIVE_AUTH: &str = "https://api.phonepe.com/apis/identity-manager";
/// Where the legacy API is.
const LIVE_V1: &str = "https://api.phonepe.com/apis/hermes";
/// The app that UPI links are made for on Android. PhonePe insists on one, its answer is an ordinary
/// `upi://` link all the same.
const TARGET_APP: &str = "com.phonepe.app";

/// A PhonePe account: `version = "v2"`, which is the default, or `version = "v1"` for merchants that
/// still have salt keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Raw")]
pub enum PhonePeAccount {
    /// The current API: OAuth client credentials.
    V2(PhonePeV2Account),
    /// The legacy API: requests signed with a salt key.
    V1(PhonePeV1Account),
}

/// An account of the current API. Test and live accounts differ by their addresses.
#[derive(Debug, Clone)]
pub struct PhonePeV2Account {
    /// Client id.
    pub client_id: String,
    /// Client secret.
    pub client_secret: Secret,
    /// Client version; 1 in the sandbox, in live accounts as PhonePe tells it.
    pub client_version: String,
    /// Name of the webhook, chosen in PhonePe's dashboard.
    pub webhook_username: String,
    /// Password of the webhook, chosen in PhonePe's dashboard.
    pub webhook_password: Secret,
    /// Where the API is; default `https://api.phonepe.com/apis/pg`. The sandbox is at
    /// `https://api-preprod.phonepe.com/apis/pg-sandbox`.
    pub base_url: String,
    /// Where logins go; default `https://api.phonepe.com/apis/identity-manager`, or with a `base_url`
    /// of its own the same place, as in the sandbox.
    pub auth_url: String,
    /// The Android app that UPI links are asked for; default `com.phonepe.app`.
    pub upi_target_app: String,
}

/// An account of the legacy API.
#[derive(Debug, Clone)]
pub struct PhonePeV1Account {
    /// Merchant id.
    pub merchant_id: String,
    /// Salt key.
    pub salt_key: Secret,
    /// Number of the salt key; default 1.
    pub salt_index: u32,
    /// Where the API is; default `https://api.phonepe.com/apis/hermes`. The sandbox is at
    /// `https://api-preprod.phonepe.com/apis/pg-sandbox`.
    pub base_url: String,
    /// The Android app that UPI links are asked for; default `com.phonepe.app`.
    pub upi_target_app: String,
}

/// Which generation of the API.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Version {
    #[default]
    V2,
    V1,
}

/// All settings as they are written; which of them belong together depends on the version.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    version: Version,
    client_id: Option<String>,
    client_secret: Option<Secret>,
    client_version: Option<u32>,
    webhook_username: Option<String>,
    webhook_password: Option<Secret>,
    auth_url: Option<String>,
    merchant_id: Option<String>,
    salt_key: Option<Secret>,
    salt_index: Option<u32>,
    base_url: Option<String>,
    upi_target_app: Option<String>,
}

/// A setting is missing, or belongs to the other version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum AccountError {
    #[error("PhonePe {0} needs `{1}`")]
    Missing(&'static str, &'static str),
    #[error("`{1}` is not a setting of PhonePe {0}; is `version` right?")]
    Foreign(&'static str, &'static str),
}

impl TryFrom<Raw> for PhonePeAccount {
    type Error = AccountError;

    fn try_from(raw: Raw) -> Result<Self, AccountError> {
        let upi_target_app = raw.upi_target_app.unwrap_or_else(|| TARGET_APP.to_owned());
        match raw.version {
            Version::V2 => {
                foreign("v2", "merchant_id", raw.merchant_id.is_some())?;
                foreign("v2", "salt_key", raw.salt_key.is_some())?;
                foreign("v2", "salt_index", raw.salt_index.is_some())?;
                let is_elsewhere = raw.base_url.is_some();
                let base_url = trimmed(raw.base_url, LIVE_V2);
                let auth_default = if is_elsewhere { base_url.as_str() } else { LIVE_AUTH };
                Ok(Self::V2(PhonePeV2Account {
                    client_id: needed(raw.client_id, "v2", "client_id")?,
                    client_secret: needed(raw.client_secret, "v2", "client_secret")?,
                    client_version: needed(raw.client_version, "v2", "client_version")?.to_string(),
                    webhook_username: needed(raw.webhook_username, "v2", "webhook_username")?,
                    webhook_password: needed(raw.webhook_password, "v2", "webhook_password")?,
                    auth_url: trimmed(raw.auth_url, auth_default),
                    base_url,
                    upi_target_app,
                }))
            }
            Version::V1 => {
                foreign("v1", "client_id", raw.client_id.is_some())?;
                foreign("v1", "client_secret", raw.client_secret.is_some())?;
                foreign("v1", "client_version", raw.client_version.is_some())?;
                foreign("v1", "webhook_username", raw.webhook_username.is_some())?;
                foreign("v1", "webhook_password", raw.webhook_password.is_some())?;
                foreign("v1", "auth_url", raw.auth_url.is_some())?;
                Ok(Self::V1(PhonePeV1Account {
                    merchant_id: needed(raw.merchant_id, "v1", "merchant_id")?,
                    salt_key: needed(raw.salt_key, "v1", "salt_key")?,
                    salt_index: raw.salt_index.unwrap_or(1),
                    base_url: trimmed(raw.base_url, LIVE_V1),
                    upi_target_app,
                }))
            }
        }
    }
}

fn needed<T>(value: Option<T>, version: &'static str, name: &'static str) -> Result<T, AccountError> {
    value.ok_or(AccountError::Missing(version, name))
}

fn foreign(version: &'static str, name: &'static str, is_there: bool) -> Result<(), AccountError> {
    if is_there { Err(AccountError::Foreign(version, name)) } else { Ok(()) }
}

fn trimmed(url: Option<String>, default: &str) -> String {
    url.as_deref().unwrap_or(default).trim_end_matches('/').to_owned()
}
