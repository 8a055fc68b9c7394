//! What a message's signature is of, and the secrets it is made with (Standard Webhooks).

use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// What a secret begins with where its owner sees it.
pub const SECRET_PREFIX: &str = "whsec_";

/// The longest that two secrets can be good at once.
pub const OVERLAP_MS_MAX: u64 = 7 * 86_400_000;

/// How long the old secret is good when nobody says.
pub const OVERLAP_MS_DEFAULT: u64 = 86_400_000;

/// A key that messages are signed with. Cannot be printed; wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct SigningSecret([u8; 32]);

impl SigningSecret {
    /// A secret of random bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for signing and for showing them to their owner once.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(hidden)")
    }
}

/// A secret as it is stored. The order is stored: append, never reorder.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeptSecret {
    /// As it is, where there is no key to seal it with.
    Clear(SigningSecret),
    /// As the vault has sealed it.
    Sealed(Vec<u8>),
}

impl fmt::Debug for KeptSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeptSecret(hidden)")
    }
}

/// The secret, and the one before it while that is still good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretPair {
    /// The secret.
    pub current: KeptSecret,
    /// The one before, and until when it is good.
    pub previous: Option<(KeptSecret, u64)>,
}

impl SecretPair {
    /// A first secret.
    #[must_use]
    pub const fn new(secret: KeptSecret) -> Self {
        Self { current: secret, previous: None }
    }

    /// The secrets that are good now, the newest first.
    pub fn live(&self, now_ms: u64) -> impl Iterator<Item = &KeptSecret> {
        let previous = self.previous.as_ref().filter(|(_, until_ms)| *until_ms > now_ms);
        std::iter::once(&self.current).chain(previous.map(|(secret, _)| secret))
    }
}

/// What is signed: the message's id, the moment of sending in seconds, and the body.
#[must_use]
pub fn signed_bytes(message_id: &str, timestamp_s: u64, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(message_id.len() + body.len() + 24);
    bytes.extend_from_slice(message_id.as_bytes());
    bytes.push(b'.');
    bytes.extend_from_slice(timestamp_s.to_string().as_bytes());
    bytes.push(b'.');
    bytes.extend_from_slice(body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_secrets_are_good_while_rotating() {
        let (new, old) =
            (KeptSecret::Sealed(vec![2; 32]), KeptSecret::Clear(SigningSecret::from_bytes([1; 32])));
        let mut pair = SecretPair::new(new.clone());
        pair.previous = Some((old.clone(), 100));
        assert_eq!(pair.live(99).collect::<Vec<_>>(), [&new, &old]);
        assert_eq!(pair.live(100).collect::<Vec<_>>(), [&new]);
        assert!(!format!("{pair:?}").contains("2, 2"));
    }

    #[test]
    fn the_signed_bytes_are_those_of_the_standard() {
        assert_eq!(signed_bytes("msg_1", 1_614_265_330, b"{}"), b"msg_1.1614265330.{}");
    }
}
