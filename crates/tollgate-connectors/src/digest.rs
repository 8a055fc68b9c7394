//! Keyed digests as processors use them, written as lower-case hexadecimal text.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A key for HMAC-SHA256 (RFC 2104), prepared once: each use saves hashing the key again.
///
/// `None` cannot occur (HMAC takes keys of any length); such a key would verify nothing.
#[derive(Clone)]
pub(crate) struct HmacKey(Option<Hmac<Sha256>>);

impl HmacKey {
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).ok())
    }

    /// Whether `given` is the lower-case hexadecimal HMAC of the parts put together.
    pub(crate) fn verifies(&self, parts: &[&[u8]], given: &str) -> bool {
        let Some(mut mac) = self.0.clone() else {
            return false;
        };
        for part in parts {
            mac.update(part);
        }
        let mut text = [0_u8; 64];
        let encoded = hex::encode_to_slice(mac.finalize().into_bytes(), &mut text).is_ok();
        encoded && same(&text, given.as_bytes())
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacKey(hidden)")
    }
}

/// SHA-512 of the parts joined by `|`, as 128 hexadecimal characters.
pub(crate) fn sha512_of_joined(parts: &[&str]) -> [u8; 128] {
    // Put together first: most parts are empty or a few bytes long, and each update of a digest has its price.
    let length = parts.iter().map(|part| part.len() + 1).sum();
    let mut joined = Zeroizing::new(Vec::with_capacity(length));
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            joined.push(b'|');
        }
        joined.extend_from_slice(part.as_bytes());
    }
    let mut text = [0_u8; 128];
    // The lengths agree by construction; a failure would leave a text that matches no digest.
    let _ = hex::encode_to_slice(Sha512::digest(joined.as_slice()), &mut text);
    text
}

/// SHA-256 as hexadecimal text: the identity of a message that has no id.
pub(crate) fn sha256_text(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Equality in constant time, eight bytes at a time.
pub(crate) fn same(expected: &[u8], given: &[u8]) -> bool {
    let (words, rest) = expected.as_chunks::<8>();
    let (given_words, given_rest) = given.as_chunks::<8>();
    if expected.len() != given.len() {
        return false;
    }
    let pairs = words.iter().zip(given_words);
    let all = pairs.fold(rest.ct_eq(given_rest), |all, (one, other)| {
        all & u64::from_ne_bytes(*one).ct_eq(&u64::from_ne_bytes(*other))
    });
    all.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vector: RFC 4231, test case 2.
    #[test]
    fn hmac_known_answer() {
        let key = HmacKey::new(b"Jefe");
        let digest = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert!(key.verifies(&[b"what do ya want ", b"for nothing?"], digest));
        assert!(!key.verifies(&[b"what do ya want for nothing"], digest));
        assert!(!key.verifies(&[b"what do ya want for nothing?"], &digest.to_uppercase()));
        assert!(!key.verifies(&[b"what do ya want for nothing?"], ""));
        assert_eq!(format!("{key:?}"), "HmacKey(hidden)");
    }

    #[test]
    fn any_byte_that_differs_is_seen() {
        for length in 0..40_u8 {
            let text: Vec<u8> = (0..length).collect();
            assert!(same(&text, &text.clone()));
            assert!(!same(&text, &[text.as_slice(), b"x"].concat()));
            assert!(!same(&[text.as_slice(), b"x"].concat(), &text));
            for index in 0..text.len() {
                let mut other = text.clone();
                other[index] ^= 0x80;
                assert!(!same(&text, &other), "{length} {index}");
            }
        }
    }

    /// Vector computed with Python's hashlib: `sha512(b"a|b||c")`.
    #[test]
    fn sha512_known_answer() {
        let text = sha512_of_joined(&["a", "b", "", "c"]);
        assert_eq!(std::str::from_utf8(&text).unwrap(), PYTHON_SHA512);
        assert_eq!(sha256_text(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    const PYTHON_SHA512: &str = "ab4b9654ee5ae203637908610e359d20f9a72c06f6d352357d2e127d55ac2bac66ed41213b25d5e20b1b034d68ce67fef3a6171751ba2231ed8076381ab1d34b";
}
