//! Sealing: XChaCha20-Poly1305 with a random 192-bit nonce in front, so that nonces never need to be
//! counted. What a ciphertext belongs to is bound to it as associated data.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of a nonce.
const NONCE_LENGTH: usize = 24;

/// A 256-bit key. Cannot be printed; wiped from memory when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key([u8; 32]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(hidden)")
    }
}

impl Key {
    /// Of random bits.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// Of its bytes; none unless there are 32.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Of a text: 64 hexadecimal digits, or base64 with or without padding; none unless it is 32 bytes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let mut bytes = Zeroizing::new([0_u8; 48]);
        let length = if text.len() == 64 {
            hex::decode_to_slice(text, bytes.get_mut(..32)?).ok()?;
            32
        } else {
            STANDARD_NO_PAD.decode_slice(text.trim_end_matches('='), bytes.as_mut_slice()).ok()?
        };
        Self::from_slice(bytes.get(..length)?)
    }

    /// Its bytes, for wrapping and key derivation alone.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The text was altered, belongs elsewhere, or was sealed with another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot be decrypted")]
pub(crate) struct OpenFailed;

/// Seals a text.
#[must_use]
pub(crate) fn seal(key: &Key, bound_to: &[u8], plain: &[u8]) -> Vec<u8> {
    let nonce: [u8; NONCE_LENGTH] = rand::random();
    let cipher = XChaCha20Poly1305::new((&key.0).into());
    let mut sealed = nonce.to_vec();
    // It fails for texts above 256 GiB alone; an empty text then fails to open.
    let payload = Payload { msg: plain, aad: bound_to };
    if let Ok(text) = cipher.encrypt(&XNonce::from(nonce), payload) {
        sealed.extend_from_slice(&text);
    }
    sealed
}

/// Opens a sealed text.
///
/// # Errors
/// [`OpenFailed`], and nothing about why.
pub(crate) fn open(key: &Key, bound_to: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenFailed> {
    let (nonce, text) = sealed.split_first_chunk::<NONCE_LENGTH>().ok_or(OpenFailed)?;
    let cipher = XChaCha20Poly1305::new((&key.0).into());
    let payload = Payload { msg: text, aad: bound_to };
    cipher.decrypt(&XNonce::from(*nonce), payload).map(Zeroizing::new).map_err(|_| OpenFailed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn only_the_same_text_key_and_owner_open(
            plain: Vec<u8>, owner: Vec<u8>, place: proptest::sample::Index, bit in 0..8_u8
        ) {
            let key = Key::random();
            let sealed = seal(&key, &owner, &plain);
            prop_assert_eq!(sealed.len(), plain.len() + NONCE_LENGTH + 16);
            let opened = open(&key, &owner, &sealed).unwrap();
            prop_assert_eq!(opened.as_slice(), plain.as_slice());
            prop_assert!(open(&Key::random(), &owner, &sealed).is_err());
            let mut stranger = owner.clone();
            stranger.push(0);
            prop_assert!(open(&key, &stranger, &sealed).is_err());
            let mut flipped = sealed.clone();
            flipped[place.index(sealed.len())] ^= 1 << bit;
            prop_assert!(open(&key, &owner, &flipped).is_err());
            prop_assert!(open(&key, &owner, &sealed[..place.index(sealed.len())]).is_err());
        }
    }

    #[test]
    fn cannot_be_printed() {
        assert_eq!(format!("{:?}", Key::random()), "Key(hidden)");
    }
}
