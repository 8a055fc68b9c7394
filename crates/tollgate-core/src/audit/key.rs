//! What the audit log calls people: keyed digests. With the log alone nobody can try guesses.

use crate::id::MerchantId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use zeroize::Zeroizing;

/// Bytes of a name, of the digest's 32.
const NAME_BYTES: usize = 12;

/// A secret of the installation: made with its store, kept in it, and never part of an export. Cannot be printed.
#[derive(Clone)]
pub struct LogKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogKey(hidden)")
    }
}

impl LogKey {
    /// The key of these bytes, which nobody can guess.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// What the log calls somebody of a merchant: the same for the same texts, and another with every merchant and installation.
    ///
    /// The first 12 bytes of HMAC-SHA-256 over the merchant's id and each text with its length (8 bytes, big-endian) in front.
    #[must_use]
    pub fn name<'a>(&self, merchant_id: MerchantId, texts: impl IntoIterator<Item = &'a str>) -> String {
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.as_slice()) else {
            return String::new();
        };
        mac.update(&merchant_id.to_bytes());
        for text in texts {
            mac.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(text.as_bytes());
        }
        let digest: [u8; 32] = mac.finalize().into_bytes().into();
        digest.iter().take(NAME_BYTES).map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_their_key_merchant_and_texts() {
        let merchant = MerchantId::from_u128;
        let key = LogKey::new([7; 32]);
        let name = key.name(merchant(1), ["asha"]);
        assert_eq!(name.len(), 2 * NAME_BYTES);
        assert_eq!(name, LogKey::new([7; 32]).name(merchant(1), ["asha"]));
        for other in [
            LogKey::new([8; 32]).name(merchant(1), ["asha"]),
            key.name(merchant(2), ["asha"]),
            key.name(merchant(1), ["ash", "a"]),
            key.name(merchant(1), ["", "asha"]),
        ] {
            assert_ne!(name, other);
        }
        assert_eq!(format!("{key:?}"), "LogKey(hidden)");
    }
}
