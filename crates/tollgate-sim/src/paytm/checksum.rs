//! Paytm's signature, with a random salt as the real one has. Source: the SDK `paytmchecksum`.

use crate::aes_cbc;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const IV: &[u8; 16] = b"@@@@&&&&####$$$$";

/// A merchant key. Anything but 16 characters signs and verifies nothing.
#[derive(Clone)]
pub(super) struct Key(Option<[u8; 16]>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(hidden)")
    }
}

impl Key {
    pub(super) fn new(text: &str) -> Self {
        Self(text.as_bytes().try_into().ok())
    }

    pub(super) fn sign(&self, payload: &str) -> String {
        // Three random bytes are four letters of base64.
        let salt = STANDARD.encode(rand::random::<[u8; 3]>());
        self.0.map_or_else(String::new, |key| {
            STANDARD.encode(aes_cbc::encrypt(&key, IV, hashed(payload, &salt).as_bytes()))
        })
    }

    pub(super) fn verifies(&self, payload: &str, given: &str) -> bool {
        let plain = self.0.and_then(|key| {
            let plain = aes_cbc::decrypt(&key, IV, &STANDARD.decode(given).ok()?)?;
            String::from_utf8(plain).ok()
        });
        let Some(plain) = plain else {
            return false;
        };
        let Some((_, salt)) = plain.split_at_checked(plain.len().saturating_sub(4)) else {
            return false;
        };
        hashed(payload, salt).as_bytes().ct_eq(plain.as_bytes()).into()
    }

    /// The hash of a form: over the values in the order of their names.
    pub(super) fn sign_form(&self, fields: &[(&str, String)]) -> String {
        let mut sorted: Vec<_> = fields.iter().collect();
        sorted.sort_by_key(|(name, _)| *name);
        let values: Vec<&str> = sorted.iter().map(|(_, value)| value.as_str()).collect();
        self.sign(&values.join("|"))
    }

    /// The token of an order: the same after a restart, and not to be guessed.
    pub(super) fn token(&self, order_id: &str) -> String {
        let mut hasher = Sha256::new();
        hasher.update(b"token|");
        hasher.update(self.0.unwrap_or_default());
        hasher.update(order_id.as_bytes());
        let mut token = hex::encode(hasher.finalize());
        token.truncate(45);
        token
    }
}

fn hashed(payload: &str, salt: &str) -> String {
    hex::encode(Sha256::digest(format!("{payload}|{salt}"))) + salt
}
