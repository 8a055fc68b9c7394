//! Clients' certificates by their fingerprint: what an API key may be bound to.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The SHA-256 of a certificate as it goes over the wire (DER).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CertificateFingerprint([u8; 32]);

/// The text is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the SHA-256 of a certificate: 64 hexadecimal digits, with or without colons")]
pub struct InvalidFingerprint;

impl CertificateFingerprint {
    /// A fingerprint by its bytes.
    #[must_use]
    pub const fn new(sha256: [u8; 32]) -> Self {
        Self(sha256)
    }
}

impl FromStr for CertificateFingerprint {
    type Err = InvalidFingerprint;

    /// Reads hexadecimal digits, as `openssl x509 -fingerprint -sha256` prints them too: in pairs with colons between.
    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        let step = match text.len() {
            64 => 2,
            95 => 3,
            _ => return Err(InvalidFingerprint),
        };
        let digits = text.as_bytes();
        let mut bytes = [0; 32];
        for (place, byte) in bytes.iter_mut().enumerate() {
            let pair = digits.get(place * step..place * step + 2).ok_or(InvalidFingerprint)?;
            for digit in pair {
                let value = char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
                *byte = *byte << 4 | value.ok_or(InvalidFingerprint)?;
            }
            let separator = digits.get(place * step + 2).filter(|_| step == 3);
            if separator.is_some_and(|separator| *separator != b':') {
                return Err(InvalidFingerprint);
            }
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for CertificateFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CertificateFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificateFingerprint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read_as_tools_print_them() {
        let plain = "00ff".repeat(16);
        let pairs: Vec<&str> =
            plain.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap()).collect();
        let read: CertificateFingerprint = plain.parse().unwrap();
        assert_eq!(read.to_string(), plain);
        assert_eq!(pairs.join(":").to_uppercase().parse(), Ok(read));
        for wrong in [
            "",
            "00ff",
            &"00f".repeat(32),
            &"0x".repeat(32),
            &pairs.join("-"),
            &"é".repeat(32),
            &format!("{plain}0"),
        ] {
            assert_eq!(wrong.parse::<CertificateFingerprint>(), Err(InvalidFingerprint), "{wrong}");
        }
    }
}
