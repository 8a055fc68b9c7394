//! ISO 4217 currencies and how many decimal digits each one has.
//!
//! Source: ISO 4217 list one (active codes), without the codes that name no spendable currency
//! (funds, precious metals, testing).

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// An active ISO 4217 currency.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency([u8; 3]);

/// The text is not an active ISO 4217 alphabetic code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an ISO 4217 currency code")]
pub struct UnknownCurrency;

/// Codes with two decimal digits, sorted for binary search.
const TWO_DIGITS: [&[u8; 3]; 133] = [
    b"AED", b"AFN", b"ALL", b"AMD", b"AOA", b"ARS", b"AUD", b"AWG", b"AZN", b"BAM", b"BBD", b"BDT", b"BMD",
    b"BND", b"BOB", b"BRL", b"BSD", b"BTN", b"BWP", b"BYN", b"BZD", b"CAD", b"CDF", b"CHF", b"CNY", b"COP",
    b"CRC", b"CUP", b"CVE", b"CZK", b"DKK", b"DOP", b"DZD", b"EGP", b"ERN", b"ETB", b"EUR", b"FJD", b"FKP",
    b"GBP", b"GEL", b"GHS", b"GIP", b"GMD", b"GTQ", b"GYD", b"HKD", b"HNL", b"HTG", b"HUF", b"IDR", b"ILS",
    b"INR", b"IRR", b"JMD", b"KES", b"KGS", b"KHR", b"KPW", b"KYD", b"KZT", b"LAK", b"LBP", b"LKR", b"LRD",
    b"LSL", b"MAD", b"MDL", b"MGA", b"MKD", b"MMK", b"MNT", b"MOP", b"MRU", b"MUR", b"MVR", b"MWK", b"MXN",
    b"MYR", b"MZN", b"NAD", b"NGN", b"NIO", b"NOK", b"NPR", b"NZD", b"PAB", b"PEN", b"PGK", b"PHP", b"PKR",
    b"PLN", b"QAR", b"RON", b"RSD", b"RUB", b"SAR", b"SBD", b"SCR", b"SDG", b"SEK", b"SGD", b"SHP", b"SLE",
    b"SOS", b"SRD", b"SSP", b"STN", b"SVC", b"SYP", b"SZL", b"THB", b"TJS", b"TMT", b"TOP", b"TRY", b"TTD",
    b"TWD", b"TZS", b"UAH", b"USD", b"UYU", b"UZS", b"VED", b"VES", b"WST", b"XAD", b"XCD", b"XCG", b"YER",
    b"ZAR", b"ZMW", b"ZWG",
];
/// Codes without decimal digits.
const NO_DIGITS: [&[u8; 3]; 16] = [
    b"BIF", b"CLP", b"DJF", b"GNF", b"ISK", b"JPY", b"KMF", b"KRW", b"PYG", b"RWF", b"UGX", b"VND", b"VUV",
    b"XAF", b"XOF", b"XPF",
];
/// Codes with three decimal digits.
const THREE_DIGITS: [&[u8; 3]; 7] = [b"BHD", b"IQD", b"JOD", b"KWD", b"LYD", b"OMR", b"TND"];

impl Currency {
    /// Indian rupee.
    pub const INR: Self = Self(*b"INR");
    /// US dollar.
    pub const USD: Self = Self(*b"USD");
    /// Euro.
    pub const EUR: Self = Self(*b"EUR");
    /// Japanese yen (no decimal digits).
    pub const JPY: Self = Self(*b"JPY");
    /// Kuwaiti dinar (three decimal digits).
    pub const KWD: Self = Self(*b"KWD");
    /// Pound sterling.
    pub const GBP: Self = Self(*b"GBP");
    /// Singapore dollar.
    pub const SGD: Self = Self(*b"SGD");
    /// UAE dirham.
    pub const AED: Self = Self(*b"AED");
    /// Australian dollar.
    pub const AUD: Self = Self(*b"AUD");
    /// Canadian dollar.
    pub const CAD: Self = Self(*b"CAD");
    /// Malaysian ringgit.
    pub const MYR: Self = Self(*b"MYR");
    /// Bahraini dinar (three decimal digits).
    pub const BHD: Self = Self(*b"BHD");
    /// Omani rial (three decimal digits).
    pub const OMR: Self = Self(*b"OMR");

    /// Number of decimal digits of the major unit: 0, 2 or 3.
    #[must_use]
    pub fn exponent(self) -> u32 {
        // Most have two: they are not looked for.
        if NO_DIGITS.contains(&&self.0) {
            0
        } else if THREE_DIGITS.contains(&&self.0) {
            3
        } else {
            2
        }
    }

    /// The alphabetic code, e.g. `INR`.
    #[must_use]
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("")
    }

    /// The code's three ASCII bytes, as storage keys use them.
    #[must_use]
    pub const fn bytes(self) -> [u8; 3] {
        self.0
    }

    /// Every currency known here.
    pub fn all() -> impl Iterator<Item = Self> {
        TWO_DIGITS.iter().chain(&NO_DIGITS).chain(&THREE_DIGITS).map(|code| Self(**code))
    }
}

fn exponent_of(code: &[u8; 3]) -> Option<u32> {
    if TWO_DIGITS.binary_search(&code).is_ok() {
        Some(2)
    } else if NO_DIGITS.contains(&code) {
        Some(0)
    } else if THREE_DIGITS.contains(&code) {
        Some(3)
    } else {
        None
    }
}

impl FromStr for Currency {
    type Err = UnknownCurrency;

    /// Reads an upper- or lower-case alphabetic code.
    fn from_str(text: &str) -> Result<Self, UnknownCurrency> {
        let bytes: [u8; 3] = text.as_bytes().try_into().map_err(|_| UnknownCurrency)?;
        let upper = bytes.map(|byte| byte.to_ascii_uppercase());
        exponent_of(&upper).map(|_| Self(upper)).ok_or(UnknownCurrency)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_and_disjoint() {
        assert!(TWO_DIGITS.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(NO_DIGITS.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(THREE_DIGITS.windows(2).all(|pair| pair[0] < pair[1]));
        let mut seen = std::collections::HashSet::new();
        assert!(Currency::all().all(|currency| seen.insert(currency)));
    }

    #[test]
    fn exponents() {
        assert_eq!("usd".parse::<Currency>().unwrap().exponent(), 2);
        assert_eq!(Currency::JPY.exponent(), 0);
        assert_eq!(Currency::KWD.exponent(), 3);
        for wrong in ["", "US", "USDX", "XXX", "XAU", "ÜSD", "12$"] {
            assert_eq!(wrong.parse::<Currency>(), Err(UnknownCurrency), "{wrong}");
        }
    }
}
