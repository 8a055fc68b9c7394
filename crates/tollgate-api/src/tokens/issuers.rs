//! Other issuers whose tokens are taken: whose they are is told by their claims, as far as the configuration lets them.

use super::claims::Audience;
use super::jwks;
use super::jws::{PublicKey, TokenError};
use super::remote::{FetchError, Remote, RemoteOptions};
use parking_lot::RwLock;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tollgate_core::access::Role;
use tollgate_core::api_key::KeyOwner;
use tollgate_core::id::MerchantId;

/// What a merchant claim says of those who run the gateway.
const PLATFORM: &str = "platform";

/// Where an issuer's keys are.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// In a file, which is read again when it changes.
    File(PathBuf),
    /// At an address of the issuer.
    Url(RemoteOptions),
}

/// An issuer as it is configured.
#[derive(Debug, Clone)]
pub struct IssuerOptions {
    /// `iss` of its tokens.
    pub issuer: String,
    /// What `aud` of its tokens must name.
    pub audience: String,
    /// Where its keys are (JWKS).
    pub jwks: KeySource,
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
    remote: Option<Remote>,
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
    /// They cannot be fetched from there.
    #[error("jwks_url {0}")]
    Url(&'static str),
}

impl Issuer {
    /// An issuer, with its keys read if they are in a file. Those at an address are fetched later: an issuer that is down must not
    /// keep the gateway from starting.
    ///
    /// # Errors
    /// They cannot be.
    pub(crate) fn open(options: IssuerOptions) -> Result<Self, IssuerError> {
        let (keys, remote) = match &options.jwks {
            KeySource::File(path) => (read(path)?, None),
            KeySource::Url(remote) => {
                remote.check().map_err(IssuerError::Url)?;
                (Vec::new(), Some(Remote::new(remote.clone())))
            }
        };
        Ok(Self { options, keys: RwLock::new(Arc::new(keys)), remote })
    }

    /// Reads its keys again if they are in a file. Those there are stay if that fails.
    pub(crate) fn refresh(&self) {
        if let KeySource::File(path) = &self.options.jwks {
            match read(path) {
                Ok(keys) => self.put(keys),
                Err(error) => tracing::warn!(%error, "the keys of an issuer cannot be read again"),
            }
        }
    }

    /// Fetches its keys again if it is time.
    pub(crate) async fn fetch_due(&self, now_ms: u64) {
        if let Some(remote) = &self.remote
            && let Some(fetched) = remote.due(now_ms, |keys| self.put(keys)).await
        {
            self.note(&fetched);
        }
    }

    /// Fetches its keys at once because one is not among them; or waits while somebody else does.
    pub(crate) async fn hurry(&self, now_ms: u64) {
        if let Some(remote) = &self.remote
            && let Some(fetched) = remote.hurry(now_ms, |keys| self.put(keys)).await
        {
            self.note(&fetched);
        }
    }

    fn note(&self, fetched: &Result<(), FetchError>) {
        if let Err(error) = fetched {
            let issuer = self.options.issuer.as_str();
            tracing::warn!(%error, issuer, "the keys of an issuer cannot be fetched");
        }
    }

    fn put(&self, keys: Vec<PublicKey>) {
        if **self.keys.read() != keys {
            tracing::info!(issuer = self.options.issuer, "the keys of an issuer have changed");
            *self.keys.write() = Arc::new(keys);
        }
    }

    /// Its keys, those alone that are good now.
    pub(crate) fn keys(&self, now_ms: u64) -> Arc<Vec<PublicKey>> {
        match &self.remote {
            Some(remote) if !remote.is_good(now_ms) => Arc::default(),
            _ => Arc::clone(&self.keys.read()),
        }
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

fn read(path: &Path) -> Result<Vec<PublicKey>, IssuerError> {
    let bytes = std::fs::read(path).map_err(|error| IssuerError::Io(path.to_owned(), error))?;
    jwks::read(&bytes).map_err(|error| IssuerError::Set(path.to_owned(), error))
}
