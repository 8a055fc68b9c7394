//! Who is calling: API keys as text, and the extractor that turns one into its merchant.
//!
//! A key is `tg_test_<id>_<secret>` or `tg_live_<id>_<secret>`: the id is 22 base-62 characters and
//! finds the stored key, the secret is 32 alphanumeric characters (190 random bits) of which only
//! the SHA-256 is stored. So much randomness needs no slow hash.

use crate::codes;
use crate::problem::Problem;
use crate::request_id::RequestId;
use crate::server::Peer;
use crate::state::AppState;
use axum::extract::FromRequestParts;
use http::header::AUTHORIZATION;
use http::request::Parts;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use subtle::ConstantTimeEq;
use tollgate_core::actor::{Actor, Origin};
use tollgate_core::audit::By;
use tollgate_core::base62;
use tollgate_core::id::{ApiKeyId, MerchantId};
use tollgate_core::merchant::{Merchant, Mode};

/// Characters of a key's secret half.
pub const SECRET_LENGTH: usize = 32;

/// A key as a caller sent it. Does not print its secret.
#[derive(Clone, Copy)]
pub struct ParsedKey<'a> {
    /// Real money or not.
    pub mode: Mode,
    /// The public half.
    pub id: ApiKeyId,
    /// The secret half.
    pub secret: &'a str,
}

impl std::fmt::Debug for ParsedKey<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParsedKey").field("mode", &self.mode).field("id", &self.id).finish_non_exhaustive()
    }
}

const fn prefix(mode: Mode) -> &'static str {
    match mode {
        Mode::Sandbox => "tg_test_",
        Mode::Live => "tg_live_",
    }
}

/// A key's text, shown to its owner once.
#[must_use]
pub fn format_key(mode: Mode, id: ApiKeyId, secret: &str) -> String {
    let mut text = String::with_capacity(8 + base62::LENGTH + 1 + SECRET_LENGTH);
    text.push_str(prefix(mode));
    base62::encode_into(id.as_u128(), &mut text);
    text.push('_');
    text.push_str(secret);
    text
}

/// Reads a key's text; `None` if it is none.
#[must_use]
pub fn parse_key(text: &str) -> Option<ParsedKey<'_>> {
    let (mode, rest) = [Mode::Sandbox, Mode::Live]
        .into_iter()
        .find_map(|mode| Some((mode, text.strip_prefix(prefix(mode))?)))?;
    let (id, secret) = rest.split_once('_')?;
    let right = secret.len() == SECRET_LENGTH && secret.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let id = base62::decode(id).filter(|_| right).map(ApiKeyId::from_u128)?;
    Some(ParsedKey { mode, id, secret })
}

/// A new secret of 256 random bits, of which 190 are kept.
#[must_use]
pub fn secret_from_random(random: [u128; 2]) -> String {
    let mut secret = String::with_capacity(SECRET_LENGTH);
    for value in random {
        let mut digits = String::with_capacity(base62::LENGTH);
        base62::encode_into(value, &mut digits);
        // The leading digits are not uniform; the last sixteen are.
        secret.push_str(digits.get(base62::LENGTH - SECRET_LENGTH / 2..).unwrap_or_default());
    }
    secret
}

/// What is stored of a secret.
#[must_use]
pub fn secret_sha256(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// The authenticated caller.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The merchant whose key was sent, as it stood at most 30 seconds ago.
    pub merchant: Arc<Merchant>,
    /// Who that is.
    pub actor: Actor,
    /// Where the request came from.
    pub origin: Origin,
}

impl Caller {
    /// The merchant's id.
    #[must_use]
    pub fn id(&self) -> MerchantId {
        self.merchant.id
    }

    /// What the audit log says of who does something now.
    #[must_use]
    pub fn by(&self, at_ms: u64) -> By {
        By { actor: self.actor.clone(), origin: self.origin.clone(), at_ms }
    }
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let mut sent = parts.headers.get_all(AUTHORIZATION).iter();
        let key = sent
            .next()
            .filter(|_| sent.next().is_none())
            .and_then(|value| bearer(value.to_str().ok()?))
            .and_then(parse_key)
            .ok_or_else(refused)?;
        let known = state.auth().find(state.engine().store().as_ref(), key.id).await?;
        let known = known.ok_or_else(refused)?;
        let right = secret_sha256(key.secret).ct_eq(&known.secret_sha256);
        if bool::from(right) && known.merchant.mode == key.mode {
            Ok(Self {
                merchant: Arc::clone(&known.merchant),
                actor: Actor::ApiKey(key.id),
                origin: Origin {
                    ip: parts.extensions.get::<Peer>().map(|peer| peer.0.to_canonical()),
                    request_id: parts.extensions.get::<RequestId>().map(|id| id.as_str().to_owned()),
                },
            })
        } else {
            Err(refused())
        }
    }
}

/// One answer for every reason: what is wrong with a key is nobody's business.
fn refused() -> Problem {
    Problem::new(&codes::UNAUTHORIZED)
}

/// The token of a `Bearer` header (RFC 6750; the scheme is case-insensitive).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_round_trip() {
        let id = ApiKeyId::from_u128(u128::MAX / 3);
        let secret = secret_from_random([7, u128::MAX]);
        assert_eq!(secret.len(), SECRET_LENGTH);
        for mode in [Mode::Sandbox, Mode::Live] {
            let text = format_key(mode, id, &secret);
            let key = parse_key(&text).unwrap();
            assert_eq!((key.mode, key.id, key.secret), (mode, id, secret.as_str()));
            assert!(!format!("{key:?}").contains(&secret));
        }
    }

    #[test]
    fn what_is_no_key_is_none() {
        let right = format_key(Mode::Sandbox, ApiKeyId::from_u128(5), &"s".repeat(32));
        assert!(parse_key(&right).is_some());
        for wrong in [
            String::new(),
            "tg_test_".to_owned(),
            right.replace("tg_test", "tg_prod"),
            right.replace("tg_test", "TG_TEST"),
            format!("{right}s"),
            right.get(..right.len() - 1).unwrap().to_owned(),
            right.replacen("ssss", "s_ss", 1),
            format!(" {right}"),
        ] {
            assert!(parse_key(&wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn bearer_tokens() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc"), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("Bearerabc"), None);
    }
}
