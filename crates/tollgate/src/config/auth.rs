//! `[auth]`: tokens, and other issuers of them.

use super::{Config, ConfigError};
use serde::Deserialize;
use std::path::PathBuf;
use tollgate_api::tokens::Tokens;
use tollgate_api::tokens::issuers::{IssuerOptions, KeySource};
use tollgate_api::tokens::jws::Algorithm;
use tollgate_api::tokens::keys::TokenKeys;
use tollgate_api::tokens::remote::RemoteOptions;
use tollgate_core::id::MerchantId;
use tollgate_engine::clock::Clock;

/// `[auth]`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Auth {
    /// Whether callers who send wrong keys again and again have to wait.
    pub(crate) lockout: bool,
    /// Folder of the keys that sign tokens; empty: `auth` beside the store.
    pub(crate) folder: PathBuf,
    /// How new keys sign tokens.
    pub(crate) algorithm: SigningAlgorithm,
    /// Other issuers whose tokens are taken.
    pub(crate) issuers: Vec<Issuer>,
}

impl Default for Auth {
    fn default() -> Self {
        let algorithm = SigningAlgorithm::EdDsa;
        Self { lockout: true, folder: PathBuf::new(), algorithm, issuers: Vec::new() }
    }
}

/// How tokens are signed.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) enum SigningAlgorithm {
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
}

impl From<SigningAlgorithm> for Algorithm {
    fn from(algorithm: SigningAlgorithm) -> Self {
        match algorithm {
            SigningAlgorithm::EdDsa => Self::EdDsa,
            SigningAlgorithm::Es256 => Self::Es256,
        }
    }
}

/// `[[auth.issuers]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Issuer {
    /// `iss` of its tokens.
    pub(crate) issuer: String,
    /// What `aud` of its tokens must name.
    pub(crate) audience: String,
    /// The file with its public keys (JWKS); read again every minute.
    #[serde(default)]
    pub(crate) jwks_file: PathBuf,
    /// In place of the file: where its public keys are fetched from.
    #[serde(default)]
    pub(crate) jwks_url: String,
    /// Whether that may be an address that is not of the public internet.
    #[serde(default)]
    pub(crate) jwks_private: bool,
    /// For how long fetched keys stay good when they cannot be fetched again.
    #[serde(default = "jwks_stale_max_s")]
    pub(crate) jwks_stale_max_s: u64,
    /// The claim that names the partner (`mer_…`), or is `platform`.
    #[serde(default = "merchant_claim")]
    pub(crate) merchant_claim: String,
    /// The claim that names the role.
    #[serde(default = "role_claim")]
    pub(crate) role_claim: String,
    /// The longest its tokens may live.
    #[serde(default = "lifetime_max_s")]
    pub(crate) lifetime_max_s: u64,
    /// The partners it may speak for; empty: all.
    #[serde(default)]
    pub(crate) merchants: Vec<String>,
    /// Whether it may speak for the platform.
    #[serde(default)]
    pub(crate) platform: bool,
}

fn merchant_claim() -> String {
    "tollgate_merchant".to_owned()
}

fn role_claim() -> String {
    "tollgate_role".to_owned()
}

fn jwks_stale_max_s() -> u64 {
    86_400
}

fn lifetime_max_s() -> u64 {
    3_600
}

impl Auth {
    /// Whether it can be used.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for issuer in &self.issuers {
            let Issuer { issuer: name, audience, lifetime_max_s, .. } = issuer;
            if name.is_empty() || audience.is_empty() {
                return Err(ConfigError("auth.issuers: issuer and audience must not be empty".to_owned()));
            }
            if !(60..=86_400).contains(lifetime_max_s) {
                let text =
                    format!("auth.issuers: lifetime_max_s is {lifetime_max_s}; it must be from 60 to 86400");
                return Err(ConfigError(text));
            }
            if issuer.jwks_stale_max_s > 604_800 {
                return Err(ConfigError("auth.issuers: jwks_stale_max_s must be at most 604800".to_owned()));
            }
            issuer.merchants()?;
            issuer.jwks()?;
            if self.issuers.iter().filter(|other| other.issuer == *name).count() > 1 {
                return Err(ConfigError(format!("auth.issuers: `{name}` is there more than once")));
            }
        }
        Ok(())
    }
}

impl Issuer {
    fn merchants(&self) -> Result<Vec<MerchantId>, ConfigError> {
        let wrong = |_| ConfigError("auth.issuers: merchants must be partner ids, mer_…".to_owned());
        self.merchants.iter().map(|id| id.parse().map_err(wrong)).collect()
    }

    fn jwks(&self) -> Result<KeySource, ConfigError> {
        match (self.jwks_file.as_os_str().is_empty(), self.jwks_url.is_empty()) {
            (false, true) => Ok(KeySource::File(self.jwks_file.clone())),
            (true, false) => {
                let remote = RemoteOptions {
                    url: self.jwks_url.clone(),
                    allow_private: self.jwks_private,
                    stale_max_ms: self.jwks_stale_max_s.saturating_mul(1_000),
                };
                remote.check().map_err(|why| ConfigError(format!("auth.issuers: jwks_url {why}")))?;
                Ok(KeySource::Url(remote))
            }
            _ => Err(ConfigError("auth.issuers: either jwks_file or jwks_url is needed".to_owned())),
        }
    }

    fn options(&self) -> Result<IssuerOptions, ConfigError> {
        Ok(IssuerOptions {
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            jwks: self.jwks()?,
            merchant_claim: self.merchant_claim.clone(),
            role_claim: self.role_claim.clone(),
            lifetime_max_s: self.lifetime_max_s,
            merchants: self.merchants()?,
            platform: self.platform,
        })
    }
}

impl Config {
    /// What issues and checks tokens, for a gateway that is reached at `public_url`.
    pub(crate) fn tokens(&self, public_url: &str) -> Result<Tokens, ConfigError> {
        let beside = self.store.folder.with_file_name("auth");
        let folder = if self.auth.folder.as_os_str().is_empty() { &beside } else { &self.auth.folder };
        let keys = TokenKeys::open(Some(folder), self.auth.algorithm.into(), Clock::System.now_ms())
            .map_err(|error| ConfigError(format!("auth.folder: {error}")))?;
        let issuers = self.auth.issuers.iter().map(Issuer::options).collect::<Result<_, _>>()?;
        Tokens::new(public_url.to_owned(), keys, issuers)
            .map_err(|error| ConfigError(format!("auth.issuers: {error}")))
    }
}
