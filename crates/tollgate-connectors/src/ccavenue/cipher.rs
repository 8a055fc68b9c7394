//! CCAvenue's encryption: AES-128-CBC under the MD5 digest of the working key, with one and the same
//! initialization vector, written as hexadecimal text.
//!
//! Source: CCAvenue integration kits (PHP, Java, Node.js); Merchant's API Implementation Guide,
//! Encryption and Decryption: commands are encrypted as payments are.

use crate::aes_cbc;
use md5::{Digest, Md5};
use std::fmt;
use zeroize::Zeroizing;

const IV: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// An account's key.
pub(super) struct Cipher(Zeroizing<[u8; 16]>);

impl Cipher {
    pub(super) fn new(working_key: &str) -> Self {
        Self(Zeroizing::new(Md5::digest(working_key.as_bytes()).into()))
    }

    pub(super) fn encrypt(&self, plain: &[u8]) -> String {
        hex::encode(aes_cbc::encrypt(&self.0, &IV, plain))
    }

    /// The text of a message; `None` when it is none.
    ///
    /// A message that holds anything but text is refused: whoever puts parts of messages together
    /// leaves a block of noise at every seam. This makes forging hard, not impossible.
    pub(super) fn decrypt(&self, text: &str) -> Option<String> {
        let bytes = hex::decode(text.trim()).ok()?;
        let plain = String::from_utf8(aes_cbc::decrypt(&self.0, &IV, &bytes)?).ok()?;
        let is_text = |character: char| !character.is_control() || matches!(character, '\n' | '\r' | '\t');
        plain.chars().all(is_text).then_some(plain)
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher(hidden)")
    }
}
