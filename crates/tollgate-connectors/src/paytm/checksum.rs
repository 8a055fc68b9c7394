//! Paytm's signature: `base64(AES-128-CBC(key, IV, sha256(payload|salt) + salt))`, with the digest as
//! lower-case hexadecimal text, a salt of four characters and a fixed initialization vector.
//!
//! The SDKs draw the salt at random. Here it is derived from the key and the payload, because
//! connectors have no randomness. That gives nothing away: the salt's one effect is that two signatures
//! of the same payload differ. A payload of ours names an order or a refund that is used once, and it
//! travels in clear beside its signature inside the same TLS connection; two equal payloads are
//! therefore seen to be equal in any case. What keeps signatures from being made by others is the key.
//!
//! Source: paytmpayments.com/docs/checksum and the SDK `paytmchecksum`.

use crate::aes_cbc;
use crate::digest::same;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::fmt;
use tollgate_core::card::Secret;
use zeroize::Zeroizing;

const IV: &[u8; 16] = b"@@@@&&&&####$$$$";
const SALT_LENGTH: usize = 4;
const SALT_LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The hexadecimal digest and the salt behind it.
const SIGNED_LENGTH: usize = 64 + SALT_LENGTH;

/// A merchant key: 16 characters. Cannot be printed.
#[derive(Clone, Deserialize)]
#[serde(try_from = "Secret")]
pub struct MerchantKey(Zeroizing<[u8; 16]>);

/// A merchant key of another length than 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a merchant key has 16 characters")]
pub struct MerchantKeyLength;

impl TryFrom<Secret> for MerchantKey {
    type Error = MerchantKeyLength;

    fn try_from(secret: Secret) -> Result<Self, MerchantKeyLength> {
        let bytes = secret.expose().as_bytes().try_into().map_err(|_| MerchantKeyLength)?;
        Ok(Self(Zeroizing::new(bytes)))
    }
}

impl fmt::Debug for MerchantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MerchantKey(hidden)")
    }
}

impl MerchantKey {
    /// The signature of a payload.
    pub(super) fn sign(&self, payload: &[u8]) -> String {
        self.sign_with_salt(payload, self.salt(payload))
    }

    pub(super) fn sign_with_salt(&self, payload: &[u8], salt: [u8; SALT_LENGTH]) -> String {
        STANDARD.encode(aes_cbc::encrypt(&self.0, IV, &signed(payload, salt)))
    }

    /// Whether `given` is a signature of the payload.
    pub(super) fn verifies(&self, payload: &[u8], given: &str) -> bool {
        let Some(plain) = STANDARD.decode(given).ok().and_then(|bytes| aes_cbc::decrypt(&self.0, IV, &bytes))
        else {
            return false;
        };
        if plain.len() != SIGNED_LENGTH {
            return false;
        }
        let Ok(salt) = <[u8; SALT_LENGTH]>::try_from(&plain[64..]) else {
            return false;
        };
        same(&signed(payload, salt), &plain)
    }

    fn salt(&self, payload: &[u8]) -> [u8; SALT_LENGTH] {
        let mut salt = [b'0'; SALT_LENGTH];
        // HMAC takes keys of any length: the constant salt of the other branch is never used.
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&*self.0) {
            mac.update(b"paytm salt\0");
            mac.update(payload);
            for (letter, byte) in salt.iter_mut().zip(mac.finalize().into_bytes()) {
                *letter = SALT_LETTERS[usize::from(byte) % SALT_LETTERS.len()];
            }
        }
        salt
    }
}

/// What is encrypted: the digest of `payload|salt` as text, and the salt.
fn signed(payload: &[u8], salt: [u8; SALT_LENGTH]) -> [u8; SIGNED_LENGTH] {
    let mut hasher = Sha256::new();
    hasher.update(payload);
    hasher.update(b"|");
    hasher.update(salt);
    let mut text = [0_u8; SIGNED_LENGTH];
    // The lengths agree by construction; a failure would leave a text that matches no digest.
    let _ = hex::encode_to_slice(hasher.finalize(), &mut text[..64]);
    text[64..].copy_from_slice(&salt);
    text
}
