//! Card sessions: the grant with which somebody who has no API key may put a card into the vault, for one
//! merchant and a short time. Signed with a secret that gateway and vault share, so that the vault needs
//! to ask nobody.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tollgate_core::card::Secret;
use tollgate_core::id::MerchantId;

/// What every session's text begins with.
const PREFIX: &str = "cst_";

/// Merchant, time and nonce.
const CLAIMS_LENGTH: usize = 16 + 8 + 16;

/// Of the signature, this much is kept.
const TAG_LENGTH: usize = 16;

/// Not a session: malformed, not signed by us, or its time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a card session, or its time is over")]
pub struct SessionError;

/// A grant to put cards into the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CardSession {
    /// For whom.
    pub merchant_id: MerchantId,
    /// Until when, in milliseconds since the Unix epoch.
    pub expires_at_ms: u64,
    /// Tells sessions apart: one session has at most one card waiting.
    pub nonce: u128,
}

impl CardSession {
    /// Its text: `cst_`, then claims and signature.
    #[must_use]
    pub fn issue(&self, secret: &Secret) -> String {
        let claims = self.claims();
        let tag: [u8; 32] = mac(secret, &claims).finalize().into_bytes().into();
        let mut bytes = claims.to_vec();
        bytes.extend_from_slice(&tag[..TAG_LENGTH]);
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads and checks a session's text.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn verify(secret: &Secret, text: &str, now_ms: u64) -> Result<Self, SessionError> {
        let text = text.strip_prefix(PREFIX).filter(|text| text.len() <= 128).ok_or(SessionError)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| SessionError)?;
        let (claims, tag) = bytes.split_at_checked(CLAIMS_LENGTH).ok_or(SessionError)?;
        if tag.len() != TAG_LENGTH {
            return Err(SessionError);
        }
        // In constant time.
        mac(secret, claims).verify_truncated_left(tag).map_err(|_| SessionError)?;
        let (merchant, rest) = claims.split_at_checked(16).ok_or(SessionError)?;
        let (time, nonce) = rest.split_at_checked(8).ok_or(SessionError)?;
        let session = Self {
            merchant_id: MerchantId::from_u128(u128::from_be_bytes(
                merchant.try_into().map_err(|_| SessionError)?,
            )),
            expires_at_ms: u64::from_be_bytes(time.try_into().map_err(|_| SessionError)?),
            nonce: u128::from_be_bytes(nonce.try_into().map_err(|_| SessionError)?),
        };
        if session.expires_at_ms > now_ms { Ok(session) } else { Err(SessionError) }
    }

    fn claims(&self) -> [u8; CLAIMS_LENGTH] {
        let mut claims = [0; CLAIMS_LENGTH];
        claims[..16].copy_from_slice(&self.merchant_id.to_bytes());
        claims[16..24].copy_from_slice(&self.expires_at_ms.to_be_bytes());
        claims[24..].copy_from_slice(&self.nonce.to_be_bytes());
        claims
    }
}

fn mac(secret: &Secret, claims: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut mac =
        <Hmac<Sha256> as KeyInit>::new_from_slice(secret.expose().as_bytes()).expect("any key length");
    mac.update(b"tollgate card session v1\0");
    mac.update(claims);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_for_its_merchant_and_its_time_and_cannot_be_made_up() {
        let secret = Secret::new("a shared secret of the two processes");
        let session =
            CardSession { merchant_id: MerchantId::from_u128(5 << 70), expires_at_ms: 1_000, nonce: 7 };
        let text = session.issue(&secret);
        assert_eq!(CardSession::verify(&secret, &text, 999), Ok(session));
        assert_eq!(CardSession::verify(&secret, &text, 1_000), Err(SessionError));
        assert_eq!(CardSession::verify(&Secret::new("another"), &text, 0), Err(SessionError));
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX).unwrap()).unwrap();
        for place in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[place] ^= 1;
            let wrong = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(wrong));
            assert_eq!(CardSession::verify(&secret, &wrong, 0), Err(SessionError), "byte {place}");
        }
        for wrong in ["", "cst_", "tok_x", &text[..text.len() - 4], &format!("{text}AAAA")] {
            assert_eq!(CardSession::verify(&secret, wrong, 0), Err(SessionError), "{wrong}");
        }
    }
}
