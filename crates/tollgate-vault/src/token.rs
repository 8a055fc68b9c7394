//! Names of what the vault holds.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use tollgate_core::base62;

/// Not a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a token")]
pub struct TokenError;

macro_rules! tokens {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub struct $name(u128);

        impl $name {
            /// Made of random bits.
            #[must_use]
            pub const fn from_random(random: u128) -> Self {
                Self(random)
            }

            /// Its bytes.
            #[must_use]
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0.to_be_bytes()
            }

            /// Of its bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(u128::from_be_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = String::with_capacity($prefix.len() + base62::LENGTH);
                text.push_str($prefix);
                base62::encode_into(self.0, &mut text);
                f.write_str(&text)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = TokenError;

            fn from_str(text: &str) -> Result<Self, TokenError> {
                text.strip_prefix($prefix).and_then(base62::decode).map(Self).ok_or(TokenError)
            }
        }
    )+};
}

tokens! {
    /// Names a card: `tok_` and 22 characters, 128 random bits.
    CardToken = "tok_";
    /// Names a proof that is held for one payment.
    ProofToken = "prf_";
    /// A keyed hash of a card's number.
    Fingerprint = "fp_";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_as_they_are_written() {
        let token = CardToken::from_random(u128::MAX / 7);
        let text = token.to_string();
        assert!(text.starts_with("tok_") && text.len() == 26);
        assert_eq!(text.parse(), Ok(token));
        assert_eq!(CardToken::from_bytes(token.to_bytes()), token);
        assert_eq!("prf_0".parse::<CardToken>(), Err(TokenError));
        assert_eq!("tok_".parse::<CardToken>(), Err(TokenError));
    }
}
