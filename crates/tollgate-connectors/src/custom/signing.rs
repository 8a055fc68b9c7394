//! Keyed digests as a configuration declares them.

use super::config::{Algorithm, Encoding};
use crate::digest::same;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha512};
use std::fmt;
use tollgate_core::card::Secret;

#[derive(Clone)]
enum Prepared {
    Sha256(Hmac<Sha256>),
    Sha512(Hmac<Sha512>),
}

/// A key with the way its digests are written. Cannot be printed.
#[derive(Clone)]
pub(super) struct Signer {
    /// `None` cannot occur (HMAC takes keys of any length); such a key signs and verifies nothing.
    key: Option<Prepared>,
    encoding: Encoding,
    prefix: String,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(hidden)")
    }
}

impl Signer {
    pub(super) fn new(algorithm: Algorithm, secret: &Secret, encoding: Encoding, prefix: &str) -> Self {
        let bytes = secret.expose().as_bytes();
        let key = match algorithm {
            Algorithm::HmacSha256 => Hmac::new_from_slice(bytes).ok().map(Prepared::Sha256),
            Algorithm::HmacSha512 => Hmac::new_from_slice(bytes).ok().map(Prepared::Sha512),
        };
        Self { key, encoding, prefix: prefix.to_owned() }
    }

    fn digest(&self, parts: &[&[u8]]) -> Option<Vec<u8>> {
        match self.key.clone()? {
            Prepared::Sha256(mut mac) => {
                parts.iter().for_each(|part| mac.update(part));
                Some(mac.finalize().into_bytes().to_vec())
            }
            Prepared::Sha512(mut mac) => {
                parts.iter().for_each(|part| mac.update(part));
                Some(mac.finalize().into_bytes().to_vec())
            }
        }
    }

    /// The digest of the parts put together, as it travels.
    pub(super) fn sign(&self, parts: &[&[u8]]) -> String {
        let digest = self.digest(parts).unwrap_or_default();
        let text = match self.encoding {
            Encoding::Hex => hex::encode(digest),
            Encoding::Base64 => STANDARD.encode(digest),
        };
        format!("{}{text}", self.prefix)
    }

    /// Whether `given` is the digest of the parts put together.
    pub(super) fn verifies(&self, parts: &[&[u8]], given: &str) -> bool {
        let Some(text) = given.strip_prefix(self.prefix.as_str()) else {
            return false;
        };
        let given = match self.encoding {
            Encoding::Hex => hex::decode(text).ok(),
            Encoding::Base64 => STANDARD.decode(text).ok(),
        };
        let (Some(given), Some(expected)) = (given, self.digest(parts)) else {
            return false;
        };
        same(&expected, &given)
    }
}
