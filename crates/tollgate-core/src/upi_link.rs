//! UPI payment links: `upi://pay?pa=…`, which any UPI app opens or reads from a QR code.
//!
//! Source: NPCI, *UPI Linking Specifications* 1.6: parameters, their meaning and the sample links; the
//! lengths are those of the same fields in the UPI common library. Values are percent-encoded as in
//! RFC 3986 (a space is `%20`, never `+`); apps read the address's `@` in clear.
//!
//! | parameter | meaning | here |
//! |---|---|---|
//! | `pa` | payee's address | required |
//! | `pn` | payee's name | required, at most 99 characters |
//! | `mc` | merchant category code | four digits |
//! | `tr` | the payee's reference | at most 35 letters, digits, `.` and `-` |
//! | `tn` | note to the payer | at most 50 characters |
//! | `am` | amount in rupees | two decimal digits; absent: the payer types it |
//! | `cu` | currency | `INR` alone |
//!
//! Other parameters (`tid`, `mam`, `mode`, `sign`, …) are read over, not kept.

use crate::currency::Currency;
use crate::method::is_vpa;
use crate::money::Money;
use std::fmt::Write as _;

/// Most characters of a payee's name.
pub const NAME_CHARS_MAX: usize = 99;
/// Most characters of a reference.
pub const REFERENCE_CHARS_MAX: usize = 35;
/// Most characters of a note.
pub const NOTE_CHARS_MAX: usize = 50;
/// The longest link that is read: more than a QR code holds.
const LINK_BYTES_MAX: usize = 4_096;

/// What a link asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpiLink {
    /// Whom to pay: a virtual payment address.
    pub payee_address: String,
    /// The payee's name, as the payer sees it.
    pub payee_name: String,
    /// How much, in rupees; none: the payer types it.
    pub amount: Option<Money>,
    /// The payee's own reference.
    pub reference: Option<String>,
    /// A note to the payer.
    pub note: Option<String>,
    /// Merchant category code (ISO 18245): four digits.
    pub merchant_category_code: Option<String>,
}

/// Why a link is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UpiLinkError {
    /// Not `upi://pay?…`.
    #[error("this is no upi://pay link")]
    NotALink,
    /// A `%` that is not followed by two hexadecimal digits, or text that is not UTF-8.
    #[error("the link is not escaped rightly")]
    Escape,
    /// A parameter is there twice.
    #[error("a parameter is there twice")]
    Repeated,
    /// `pa` is missing or no address.
    #[error("the payee's address must be a UPI address such as name@bank")]
    Address,
    /// `pn` is missing, too long or has control characters.
    #[error("the payee's name must be 1 to 99 characters without control characters")]
    Name,
    /// `am` is not an amount in rupees.
    #[error("the amount must be in INR, above zero, with at most two decimal digits")]
    Amount,
    /// `cu` is not INR.
    #[error("the currency must be INR")]
    Currency,
    /// `tr` is too long or has other characters.
    #[error("the reference must be 1 to 35 letters, digits, dots and hyphens")]
    Reference,
    /// `tn` is too long or has control characters.
    #[error("the note must be 1 to 50 characters without control characters")]
    Note,
    /// `mc` is not four digits.
    #[error("the merchant category code must be four digits")]
    CategoryCode,
}

impl UpiLink {
    /// Checks every part.
    ///
    /// # Errors
    /// [`UpiLinkError`] names the first wrong part.
    pub fn check(&self) -> Result<(), UpiLinkError> {
        let rupees = |amount: &Money| amount.currency == Currency::INR && amount.minor > 0;
        if !is_vpa(&self.payee_address) {
            return Err(UpiLinkError::Address);
        }
        if !is_words(&self.payee_name, NAME_CHARS_MAX) {
            return Err(UpiLinkError::Name);
        }
        if !self.amount.as_ref().is_none_or(rupees) {
            return Err(UpiLinkError::Amount);
        }
        if !self.reference.as_deref().is_none_or(is_reference) {
            return Err(UpiLinkError::Reference);
        }
        if !self.note.as_deref().is_none_or(|note| is_words(note, NOTE_CHARS_MAX)) {
            return Err(UpiLinkError::Note);
        }
        if !self.merchant_category_code.as_deref().is_none_or(is_category_code) {
            return Err(UpiLinkError::CategoryCode);
        }
        Ok(())
    }

    /// The link.
    ///
    /// # Errors
    /// [`UpiLinkError`] names the first wrong part.
    pub fn build(&self) -> Result<String, UpiLinkError> {
        self.check()?;
        let mut link = format!("upi://pay?pa={}&pn=", self.payee_address);
        escape_into(&self.payee_name, &mut link);
        let mut add = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                link.push('&');
                link.push_str(name);
                link.push('=');
                escape_into(value, &mut link);
            }
        };
        add("mc", self.merchant_category_code.as_deref());
        add("tr", self.reference.as_deref());
        add("tn", self.note.as_deref());
        add("am", self.amount.map(Money::to_major_text).as_deref());
        link.push_str("&cu=INR");
        Ok(link)
    }

    /// Reads a link, also one that another program made.
    ///
    /// # Errors
    /// [`UpiLinkError`] names the first wrong part.
    pub fn parse(link: &str) -> Result<Self, UpiLinkError> {
        if link.len() > LINK_BYTES_MAX {
            return Err(UpiLinkError::NotALink);
        }
        let (scheme, query) = link.split_once('?').ok_or(UpiLinkError::NotALink)?;
        // Scheme and host are the same in any case (RFC 3986, 3.1 and 3.2.2).
        if !scheme.eq_ignore_ascii_case("upi://pay") && !scheme.eq_ignore_ascii_case("upi://pay/") {
            return Err(UpiLinkError::NotALink);
        }
        let mut pairs: Vec<(&str, String)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if pairs.iter().any(|(earlier, _)| *earlier == name) {
                return Err(UpiLinkError::Repeated);
            }
            pairs.push((name, unescape(value)?));
        }
        // An empty parameter, or the `null` of the specification's own samples, is none.
        let mut take = |name: &str| {
            let place = pairs.iter().position(|(known, _)| *known == name)?;
            let (_, value) = pairs.swap_remove(place);
            Some(value).filter(|value| !value.is_empty() && value != "null")
        };
        if take("cu").is_some_and(|currency| currency != "INR") {
            return Err(UpiLinkError::Currency);
        }
        let amount = take("am").map(|text| Money::parse_major(&text, Currency::INR));
        let read = Self {
            payee_address: take("pa").ok_or(UpiLinkError::Address)?,
            payee_name: take("pn").ok_or(UpiLinkError::Name)?,
            amount: amount.transpose().map_err(|_| UpiLinkError::Amount)?,
            reference: take("tr"),
            note: take("tn"),
            merchant_category_code: take("mc"),
        };
        read.check()?;
        Ok(read)
    }
}

/// Text that may be shown: something, and no control characters.
fn is_words(text: &str, chars_max: usize) -> bool {
    (1..=chars_max).contains(&text.chars().count()) && text != "null" && !text.chars().any(char::is_control)
}

fn is_reference(text: &str) -> bool {
    (1..=REFERENCE_CHARS_MAX).contains(&text.len())
        && text != "null"
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
}

/// Whether text is a merchant category code.
#[must_use]
pub fn is_category_code(text: &str) -> bool {
    text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Everything but RFC 3986's unreserved characters is escaped.
fn escape_into(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

fn unescape(text: &str) -> Result<String, UpiLinkError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || {
            let digit = rest.next().and_then(|byte| char::from(byte).to_digit(16));
            digit.and_then(|digit| u8::try_from(digit).ok()).ok_or(UpiLinkError::Escape)
        };
        let high = digit()?;
        bytes.push(high << 4 | digit()?);
    }
    String::from_utf8(bytes).map_err(|_| UpiLinkError::Escape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn link() -> UpiLink {
        UpiLink {
            payee_address: "nadeem@npci".to_owned(),
            payee_name: "nadeem chinna".to_owned(),
            amount: Some(Money::new(1_000, Currency::INR)),
            reference: Some("4894398cndhcd23".to_owned()),
            note: Some("Pay to mystar store".to_owned()),
            merchant_category_code: Some("0000".to_owned()),
        }
    }

    /// The sample of the specification (2.1, hyperlink; 2.2, QR code).
    #[test]
    fn npci_s_own_sample() {
        let sample = "upi://pay?pa=nadeem@npci&pn=nadeem%20chinna&mc=0000&tid=cxnkjcnkjdfdvjndkjfvn\
                      &tr=4894398cndhcd23&tn=Pay%20to%20mystar%20store&am=10&mam=null&cu=INR\
                      &url=https://mystar.com/orderid=9298yw89e8973e87389e78923ue892";
        assert_eq!(UpiLink::parse(sample), Ok(link()));
        assert_eq!(
            link().build().unwrap(),
            "upi://pay?pa=nadeem@npci&pn=nadeem%20chinna&mc=0000&tr=4894398cndhcd23\
             &tn=Pay%20to%20mystar%20store&am=10.00&cu=INR"
        );
    }

    #[test]
    fn names_cannot_smuggle_parameters_in() {
        let sly = UpiLink { payee_name: "A&B=1 +%#? é".to_owned(), amount: None, ..link() };
        let text = sly.build().unwrap();
        assert!(text.contains("pn=A%26B%3D1%20%2B%25%23%3F%20%C3%A9&"), "{text}");
        assert_eq!(UpiLink::parse(&text), Ok(sly));
    }

    #[test]
    fn wrong_parts_are_named() {
        use UpiLinkError as E;
        let build = |change: fn(&mut UpiLink)| {
            let mut changed = link();
            change(&mut changed);
            changed.build().unwrap_err()
        };
        assert_eq!(build(|it| it.payee_address.clear()), E::Address);
        assert_eq!(build(|it| it.payee_name.clear()), E::Name);
        assert_eq!(build(|it| it.payee_name = "x".repeat(100)), E::Name);
        assert_eq!(build(|it| it.amount = Some(Money::new(1, Currency::USD))), E::Amount);
        assert_eq!(build(|it| it.amount = Some(Money::new(0, Currency::INR))), E::Amount);
        assert_eq!(build(|it| it.reference = Some("x".repeat(36))), E::Reference);
        assert_eq!(build(|it| it.reference = Some("a b".to_owned())), E::Reference);
        assert_eq!(build(|it| it.note = Some("a\nb".to_owned())), E::Note);
        assert_eq!(build(|it| it.merchant_category_code = Some("54".to_owned())), E::CategoryCode);
        for (text, error) in [
            ("", E::NotALink),
            ("https://pay?pa=a@upi&pn=A", E::NotALink),
            ("upi://mandate?pa=a@upi&pn=A", E::NotALink),
            ("upi://pay?pn=A", E::Address),
            ("upi://pay?pa=a@upi", E::Name),
            ("upi://pay?pa=a@upi&pn=A&pn=B", E::Repeated),
            ("upi://pay?pa=a@upi&pn=%2", E::Escape),
            ("upi://pay?pa=a@upi&pn=%FF", E::Escape),
            ("upi://pay?pa=a@upi&pn=%ZZ", E::Escape),
            ("upi://pay?pa=a@upi&pn=A&cu=USD", E::Currency),
            ("upi://pay?pa=a@upi&pn=A&am=1.001", E::Amount),
            ("upi://pay?pa=a@upi&pn=A&am=-1", E::Amount),
        ] {
            assert_eq!(UpiLink::parse(text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn links_round_trip(
            name in "\\PC{1,99}", note in proptest::option::of("\\PC{1,50}"),
            reference in proptest::option::of("[A-Za-z0-9.-]{1,35}"),
            amount in proptest::option::of(1..=crate::money::AMOUNT_MINOR_MAX),
            code in proptest::option::of("[0-9]{4}"),
        ) {
            let made = UpiLink {
                payee_address: "shop.1@okbank".to_owned(),
                payee_name: name,
                amount: amount.map(|minor| Money::new(minor, Currency::INR)),
                reference, note,
                merchant_category_code: code,
            };
            if let Ok(text) = made.build() {
                prop_assert!(text.is_ascii() && !text.contains(' '));
                prop_assert_eq!(UpiLink::parse(&text), Ok(made));
            }
        }

        #[test]
        fn any_text_is_answered(text in "(upi://pay\\?)?\\PC{0,60}", tail in "[%a-f0-9=&]{0,40}") {
            let _ = UpiLink::parse(&text);
            let _ = UpiLink::parse(&format!("upi://pay?{tail}"));
        }
    }
}
