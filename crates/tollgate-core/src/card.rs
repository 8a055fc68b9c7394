//! Card data that must never be seen: types that cannot be printed or serialised, wiped on drop.
//!
//! Sources: ISO/IEC 7812-1 annex B (Luhn), PCI DSS 4.0.1 requirement 3.4.1 (at most first six and
//! last four digits shown), issuer identification number ranges as published by the networks.

use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A card's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CardBrand {
    /// Visa.
    Visa,
    /// Mastercard.
    Mastercard,
    /// American Express.
    Amex,
    /// RuPay.
    Rupay,
    /// Discover.
    Discover,
    /// Diners Club.
    Diners,
    /// JCB.
    Jcb,
    /// Any other network.
    Other,
}

impl CardBrand {
    /// Every network.
    pub const ALL: [Self; 8] = [
        Self::Visa,
        Self::Mastercard,
        Self::Amex,
        Self::Rupay,
        Self::Discover,
        Self::Diners,
        Self::Jcb,
        Self::Other,
    ];

    /// The name in configuration, rules and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Visa => "visa",
            Self::Mastercard => "mastercard",
            Self::Amex => "amex",
            Self::Rupay => "rupay",
            Self::Discover => "discover",
            Self::Diners => "diners",
            Self::Jcb => "jcb",
            Self::Other => "other",
        }
    }

    /// The network of the numbers that begin with these digits, six of them at least.
    #[must_use]
    pub fn of_bin(digits: &str) -> Self {
        let lead =
            |count: usize| -> u32 { digits.get(..count).and_then(|lead| lead.parse().ok()).unwrap_or(0) };
        match (lead(2), lead(3), lead(4), lead(6)) {
            (34 | 37, ..) => Self::Amex,
            (40..=49, ..) => Self::Visa,
            (51..=55, ..) | (_, _, 2221..=2720, _) => Self::Mastercard,
            (_, 300..=305, ..) | (36 | 38 | 39, ..) => Self::Diners,
            (_, _, 3528..=3589, _) => Self::Jcb,
            (60, _, 6011, _) | (_, 644..=649, ..) | (_, _, _, 622_126..=622_925) => Self::Discover,
            (60 | 65 | 81 | 82, ..) | (_, 508, ..) | (_, 353 | 356, ..) => Self::Rupay,
            _ => Self::Other,
        }
    }

    /// The network by its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|brand| brand.as_str() == name)
    }
}

/// Why card data was refused. Carries no digit of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// Not 12 to 19 digits.
    #[error("the card number must have 12 to 19 digits")]
    NumberLength,
    /// The check digit is wrong.
    #[error("the card number fails its check digit")]
    NumberChecksum,
    /// No such month, or a year out of range.
    #[error("the expiry date is not valid")]
    Expiry,
    /// The card's last month has passed.
    #[error("the card has expired")]
    Expired,
    /// Not 3 or 4 digits.
    #[error("the security code must have 3 or 4 digits")]
    Cvc,
}

/// A card number. Cannot be printed, compared or serialised; wiped from memory when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct CardNumber(String);

/// A security code (CVV, CVC, CID). Never stored; wiped from memory when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Cvc(String);

impl CardNumber {
    /// Reads a number, dropping spaces and hyphens.
    ///
    /// # Errors
    /// [`CardError::NumberLength`] or [`CardError::NumberChecksum`].
    pub fn parse(text: &str) -> Result<Self, CardError> {
        let mut digits = String::with_capacity(19);
        for character in text.chars() {
            match character {
                '0'..='9' if digits.len() < 19 => digits.push(character),
                ' ' | '-' => {}
                _ => {
                    digits.zeroize();
                    return Err(CardError::NumberLength);
                }
            }
        }
        let number = Self(digits);
        if number.0.len() < 12 {
            return Err(CardError::NumberLength);
        }
        if !luhn_holds(&number.0) {
            return Err(CardError::NumberChecksum);
        }
        Ok(number)
    }

    /// The digits, for the processor's request alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// First six digits.
    #[must_use]
    pub fn bin(&self) -> String {
        self.0.chars().take(6).collect()
    }

    /// Last four digits.
    #[must_use]
    pub fn last4(&self) -> String {
        self.0.chars().skip(self.0.len().saturating_sub(4)).collect()
    }

    /// The network, by the number's leading digits.
    #[must_use]
    pub fn brand(&self) -> CardBrand {
        CardBrand::of_bin(&self.0)
    }
}

impl Cvc {
    /// Reads a security code.
    ///
    /// # Errors
    /// [`CardError::Cvc`].
    pub fn parse(text: &str) -> Result<Self, CardError> {
        let right = (3..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        right.then(|| Self(text.to_owned())).ok_or(CardError::Cvc)
    }

    /// The digits, for the processor's request alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// A secret such as a processor's key. Cannot be printed; wiped from memory when dropped.
#[derive(Clone, Default, Zeroize, ZeroizeOnDrop, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The secret, for signing and authentication alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

macro_rules! unprintable {
    ($($name:ident),+) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(hidden)"))
            }
        }
    )+};
}
unprintable!(CardNumber, Cvc, Secret, CardSecret, NetworkToken);

/// A whole card as its holder typed it.
#[derive(Clone)]
pub struct CardSecret {
    /// The number.
    pub number: CardNumber,
    /// 1 to 12.
    pub exp_month: u8,
    /// Four digits.
    pub exp_year: u16,
    /// The security code, if given.
    pub cvc: Option<Cvc>,
    /// The holder's name as printed.
    pub holder: Option<String>,
    /// What makes the number a network token instead of the card's own.
    pub network_token: Option<NetworkToken>,
}

/// What comes with a network token (EMVCo payment tokenisation): proof that it may be used once.
#[derive(Clone)]
pub struct NetworkToken {
    /// The cryptogram (TAVV, DSRP …), base64 as the network gave it.
    pub cryptogram: Secret,
    /// Electronic commerce indicator, two digits, where the network gave one.
    pub eci: Option<String>,
}

impl CardSecret {
    /// Checks the expiry against the month of `now_year` / `now_month`.
    ///
    /// # Errors
    /// [`CardError::Expiry`] or [`CardError::Expired`].
    pub fn check_expiry(&self, now_year: u16, now_month: u8) -> Result<(), CardError> {
        if !(1..=12).contains(&self.exp_month) || !(2000..=2099).contains(&self.exp_year) {
            return Err(CardError::Expiry);
        }
        if (self.exp_year, self.exp_month) < (now_year, now_month) {
            return Err(CardError::Expired);
        }
        Ok(())
    }
}

/// Whether text shows what must be taken for a card number: as many digits in a row as a network's numbers
/// have, single spaces or hyphens between them, with that network's first digits and a right check digit.
///
/// Of random numbers of sixteen digits one in thirty is taken for one too.
#[must_use]
pub fn shows_number(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut place = 0;
    while place < bytes.len() {
        if !bytes[place].is_ascii_digit() {
            place += 1;
            continue;
        }
        let mut digits = String::new();
        let mut end = place;
        while let Some(byte) = bytes.get(end) {
            let separates = matches!(byte, b' ' | b'-') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
            if byte.is_ascii_digit() {
                digits.push(char::from(*byte));
            } else if !separates {
                break;
            }
            end += 1;
        }
        let number = CardNumber(digits);
        let length = number.0.len();
        let fits = match number.brand() {
            CardBrand::Amex => length == 15,
            CardBrand::Diners => length == 14,
            CardBrand::Other => false,
            _ => length == 16,
        };
        if fits && luhn_holds(&number.0) {
            return true;
        }
        place = end;
    }
    false
}

fn luhn_holds(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, byte)| {
            let digit = u32::from(byte.saturating_sub(b'0'));
            match (place % 2, digit) {
                (0, digit) => digit,
                (_, digit) if digit > 4 => digit * 2 - 9,
                (_, digit) => digit * 2,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_seen_in_text() {
        for shown in [
            "4111111111111111",
            "pay with 4111 1111 1111 1111, please",
            "a 4111-1111-1111-1111b",
            "378282246310005",
            "x5555555555554444y",
        ] {
            assert!(shows_number(shown), "{shown}");
        }
        for plain in [
            "",
            "order 4111111111111112",
            "41111111111111111",
            "1790000000000000000",
            "411111111111 1111 1111",
            "4111  1111  1111  1111",
            "+91 98765 43210",
        ] {
            assert!(!shows_number(plain), "{plain}");
        }
    }

    #[test]
    fn public_test_numbers() {
        for (text, brand) in [
            ("4111 1111 1111 1111", CardBrand::Visa),
            ("5555-5555-5555-4444", CardBrand::Mastercard),
            ("2223003122003222", CardBrand::Mastercard),
            ("378282246310005", CardBrand::Amex),
            ("6011111111111117", CardBrand::Discover),
            ("3056930009020004", CardBrand::Diners),
            ("3566002020360505", CardBrand::Jcb),
            ("6073849700004947", CardBrand::Rupay),
        ] {
            let number = CardNumber::parse(text).unwrap();
            assert_eq!(number.brand(), brand, "{text}");
        }
    }

    #[test]
    fn refuses_without_showing() {
        let wrong = CardNumber::parse("4111111111111112").unwrap_err();
        assert_eq!(wrong, CardError::NumberChecksum);
        assert!(!wrong.to_string().contains("4111"));
        for text in ["", "411111", "41111111111111111111111", "4111x11111111111"] {
            assert_eq!(CardNumber::parse(text).unwrap_err(), CardError::NumberLength);
        }
        assert_eq!(Cvc::parse("12").unwrap_err(), CardError::Cvc);
        assert_eq!(Cvc::parse("12a").unwrap_err(), CardError::Cvc);
    }

    #[test]
    fn cannot_be_printed() {
        let card = CardSecret {
            number: CardNumber::parse("4111111111111111").unwrap(),
            exp_month: 12,
            exp_year: 2030,
            cvc: Some(Cvc::parse("987").unwrap()),
            holder: None,
            network_token: None,
        };
        let shown = format!("{card:?} {:?}", Secret::new("hush"));
        assert!(!shown.contains("1111") && !shown.contains("987") && !shown.contains("hush"));
        assert_eq!(card.number.bin(), "411111");
        assert_eq!(card.number.last4(), "1111");
    }

    #[test]
    fn expiry() {
        let mut card = CardSecret {
            number: CardNumber::parse("4111111111111111").unwrap(),
            exp_month: 6,
            exp_year: 2026,
            cvc: None,
            holder: None,
            network_token: None,
        };
        assert_eq!(card.check_expiry(2026, 6), Ok(()));
        assert_eq!(card.check_expiry(2026, 7), Err(CardError::Expired));
        card.exp_month = 13;
        assert_eq!(card.check_expiry(2026, 7), Err(CardError::Expiry));
    }
}
