//! The encryption of everything CCAvenue sends and takes.

use crate::aes_cbc;
use md5::{Digest, Md5};
use std::fmt;

const IV: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

pub(super) struct Cipher([u8; 16]);

impl Cipher {
    pub(super) fn new(working_key: &str) -> Self {
        Self(Md5::digest(working_key.as_bytes()).into())
    }

    pub(super) fn encrypt(&self, plain: &str) -> String {
        hex::encode(aes_cbc::encrypt(&self.0, &IV, plain.as_bytes()))
    }

    pub(super) fn decrypt(&self, text: &str) -> Option<String> {
        String::from_utf8(aes_cbc::decrypt(&self.0, &IV, &hex::decode(text).ok()?)?).ok()
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher(hidden)")
    }
}
