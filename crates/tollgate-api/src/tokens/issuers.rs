//! Other issuers whose tokens are taken: whose they are is told by their claims, as far as the configuration lets them.

use super::claims::Audience;
use super::jwks;
use super::jws::{PublicKey, TokenError};
use parking_lot::RwLock;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use tollgate_core::access::Role;
use tollgate_core::api_key::KeyOwner;
use tollgate_core::id::MerchantId;

/// What a merchant claim says of those who run the gateway.
const PLATFORM: &str = "platform";

/// An issuer as it is configured.
#[derive(Debug, Clone)]
pub struct IssuerOptions {
    /// `iss` of its tokens.
    pub issuer: String,
    /// What `aud` of its tokens must name.
    pub audience: String,
    /// The file with its keys (JWKS); read again when it changes.
    pub jwks_file: PathBuf,
    /// The claim that names the account, or is `platform`.
    pub merchant_claim: String,
    /// The claim that names the role.
    pub role_claim: String,
    /// The longest its tokens may live.
    pub lifetime_max_s: u64,
    /// The accounts it may speak for; empty: all.
    pub merchants: Vec<MerchantId>,
    /// Whether it may speak for the platform.
    pub platform: bool,
}

/// An issuer and its keys.
#[derive(Debug)]
pub(crate) struct Issuer {
    pub(crate) options: IssuerOptions,
    keys: RwLock<Arc<Vec<PublicKey>>>,
}

/// An issuer that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// Its keys cannot be read.
    #[error("{0}: {1}")]
    Io(PathBuf, std::io::Error),
    /// They are none.
    #[error("{0} {1}")]
    Set(PathBuf, jwks::SetError),
}

impl Issuer {
    /// An issuer, with its keys read.
    ///
    /// # Errors
    /// They cannot be.
    pub(crate) fn open(options: IssuerOptions) -> Result<Self, IssuerError> {
        let keys = read(&options)?;
        Ok(Self { options, keys: RwLock::new(Arc::new(keys)) })
    }

    /// Reads its keys again. Those there are stay if that fails.
    pub(crate) fn refresh(&self) {
        match read(&self.options) {
            Ok(keys) => {
                if **self.keys.read() != keys {
                    tracing::info!(issuer = self.options.issuer, "the keys of an issuer have changed");
                    *self.keys.write() = Arc::new(keys);
                }
            }
            Err(error) => tracing::warn!(%error, "the keys of an issuer cannot be read again"),
        }
    }

    pub(crate) fn keys(&self) -> Arc<Vec<PublicKey>> {
        Arc::clone(&self.keys.read())
    }

    /// Whom a token speaks for, and as what.
    pub(crate) fn speaks_for(
        &self,
        audience: &Audience,
        claims: &Value,
    ) -> Result<(KeyOwner, Role), TokenError> {
        if !audience.names(&self.options.audience) {
            return Err(TokenError::Audience);
        }
        let text = |name: &str| claims.get(name).and_then(Value::as_str).ok_or(TokenError::Claims);
        let role: Role = text(&self.options.role_claim)?.parse().map_err(|_| TokenError::Claims)?;
        let owner = match text(&self.options.merchant_claim)? {
            PLATFORM if self.options.platform => KeyOwner::Platform,
            id => {
                let id: MerchantId = id.parse().map_err(|_| TokenError::Claims)?;
                let own = &self.options.merchants;
                if !own.is_empty() && !own.contains(&id) {
                    return Err(TokenError::Claims);
                }
                KeyOwner::Merchant(id)
            }
        };
        Ok((owner, role))
    }
}

fn read(options: &IssuerOptions) -> Result<Vec<PublicKey>, IssuerError> {
    let path = &options.jwks_file;
    let bytes = std::fs::read(path).map_err(|error| IssuerError::Io(path.clone(), error))?;
    jwks::read(&bytes).map_err(|error| IssuerError::Set(path.clone(), error))
}
