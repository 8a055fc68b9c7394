//! Short-lived tokens (JWT, RFC 7519) in place of API keys: our own, and those of issuers that are configured.
//!
//! A token of our own stands for the API key it was made from: it does what the key may do at this moment, and ends with it.

pub mod issuers;
pub mod jwks;
pub mod jws;
pub mod keys;
pub mod remote;

mod claims;

use claims::{OwnClaims, Registered};
use issuers::{Issuer, IssuerError, IssuerOptions};
use jws::TokenError;
use keys::TokenKeys;
use serde_json::Value;
use std::sync::Arc;
use tollgate_core::access::{Permission, Permissions, Role};
use tollgate_core::api_key::KeyOwner;
use tollgate_core::id::ApiKeyId;

/// For whom our own tokens are.
const AUDIENCE: &str = "tollgate";

/// The longest our own tokens live.
pub const LIFETIME_MAX_S: u32 = 900;

/// The shortest.
pub const LIFETIME_MIN_S: u32 = 30;

/// What issues and checks tokens.
#[derive(Debug)]
pub struct Tokens {
    /// `iss` of our own: where the gateway is reached.
    issuer: String,
    keys: TokenKeys,
    issuers: Vec<Arc<Issuer>>,
}

/// Whom a token that holds speaks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Bearer {
    /// Whoever holds an API key; only with these of its permissions.
    Key(ApiKeyId, Permissions),
    /// Somebody whom another issuer knows.
    Other {
        /// Who says so.
        issuer: String,
        /// Their name there.
        subject: String,
        /// Whom they act for.
        owner: KeyOwner,
        /// The part they play.
        role: Role,
    },
}

impl Tokens {
    /// Tokens of a gateway that is reached at `issuer`.
    ///
    /// # Errors
    /// The keys of an issuer cannot be read.
    pub fn new(issuer: String, keys: TokenKeys, issuers: Vec<IssuerOptions>) -> Result<Self, IssuerError> {
        let issuers = issuers
            .into_iter()
            .map(|options| Issuer::open(options).map(Arc::new))
            .collect::<Result<_, _>>()?;
        Ok(Self { issuer, keys, issuers })
    }

    /// Does what is to be done now and then: turns our own keys, and reads those of others again.
    pub(crate) fn upkeep(&self, now_ms: u64) {
        if let Err(error) = self.keys.turn(now_ms) {
            tracing::error!(%error, "the keys for tokens cannot be turned");
        }
        for issuer in &self.issuers {
            issuer.refresh();
        }
    }

    /// Fetches keys of other issuers whose time is over. Call it now and then.
    pub(crate) async fn fetch_due(&self, now_ms: u64) {
        for issuer in &self.issuers {
            issuer.fetch_due(now_ms).await;
        }
    }

    /// The public keys of our own, as a key set.
    pub(crate) fn key_set(&self) -> Vec<u8> {
        self.keys.key_set()
    }

    /// Makes a token that stands for a key.
    pub(crate) fn issue(
        &self,
        key: ApiKeyId,
        permissions: Permissions,
        lifetime_s: u32,
        now_ms: u64,
    ) -> Option<String> {
        let now_s = now_ms / 1_000;
        let scope: Vec<&str> = permissions.iter().map(Permission::name).collect();
        let claims = OwnClaims {
            iss: &self.issuer,
            sub: key.to_string(),
            aud: AUDIENCE,
            iat: now_s,
            nbf: now_s,
            exp: now_s.saturating_add(u64::from(lifetime_s)),
            jti: format!("{:032x}", rand::random::<u128>()),
            scope: scope.join(" "),
        };
        self.keys.sign(&claims, now_ms)
    }

    fn issuer_of(&self, claims: &Registered) -> Option<&Arc<Issuer>> {
        self.issuers.iter().find(|issuer| issuer.options.issuer == claims.iss)
    }

    /// Whom a token speaks for. If its issuer has no key of that name, the issuer's keys are fetched again first, if it was not done
    /// a moment ago.
    ///
    /// # Errors
    /// Why it is not taken.
    pub(crate) async fn admit(&self, token: &str, now_ms: u64) -> Result<Bearer, TokenError> {
        match self.check(token, now_ms) {
            Err(TokenError::UnknownKey) => {
                let claims: Registered = jws::unchecked(token)?;
                if let Some(issuer) = self.issuer_of(&claims) {
                    let issuer = Arc::clone(issuer);
                    // A task of its own: a caller who hangs up must not break off what others wait for.
                    let _ = tokio::spawn(async move { issuer.hurry(now_ms).await }).await;
                }
                // Whoever has fetched them meanwhile: the key may be there now.
                self.check(token, now_ms)
            }
            checked => checked,
        }
    }

    /// Whom a token speaks for, by the keys that are there.
    ///
    /// # Errors
    /// Why it is not taken.
    pub(crate) fn check(&self, token: &str, now_ms: u64) -> Result<Bearer, TokenError> {
        // Whose keys to look into; the signature comes before anything of it is believed.
        let claims: Registered = jws::unchecked(token)?;
        if claims.iss == self.issuer {
            jws::verify(token, &self.keys.public())?;
            if !claims.aud.names(AUDIENCE) {
                return Err(TokenError::Audience);
            }
            claims.check_time(now_ms, u64::from(LIFETIME_MAX_S))?;
            let whole: Value = jws::unchecked(token)?;
            let scope = whole.get("scope").and_then(Value::as_str).ok_or(TokenError::Claims)?;
            // A permission that is not known any more is none.
            let permissions = scope.split(' ').filter_map(|name| name.parse().ok()).collect();
            let key = claims.sub.parse().map_err(|_| TokenError::Claims)?;
            return Ok(Bearer::Key(key, permissions));
        }
        let issuer = self.issuer_of(&claims).ok_or(TokenError::Audience)?;
        jws::verify(token, &issuer.keys(now_ms))?;
        claims.check_time(now_ms, issuer.options.lifetime_max_s)?;
        let (owner, role) = issuer.speaks_for(&claims.aud, &jws::unchecked(token)?)?;
        Ok(Bearer::Other { issuer: claims.iss, subject: claims.sub, owner, role })
    }
}

/// Whether bytes are claims that a token may have.
pub(crate) fn are_claims(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Registered>(bytes).is_ok()
}

#[cfg(test)]
mod tests;
