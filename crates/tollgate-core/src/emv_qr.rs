//! EMV® merchant-presented QR codes: the payload of BharatQR and interoperable UPI codes.
//!
//! Source: EMVCo, *QR Code Specification for Payment Systems, Merchant-Presented Mode* 1.1 (data objects,
//! lengths, check sum); NPCI's *BharatQR* specification for the UPI templates 26 and 27 under RuPay's
//! identifier `A000000524`.
//!
//! A payload is a row of data objects: two digits of id, two digits of length **in characters**, the
//! value; templates hold such rows again. It begins with `000201` and ends with the check sum `6304….`
//!
//! | id | meaning | here |
//! |---|---|---|
//! | `00` | format | `01` |
//! | `01` | `11` static, `12` dynamic | dynamic when there is an amount |
//! | `26` | UPI address: `00` identifier, `01` address | required |
//! | `27` | UPI reference: `00` identifier, `01` reference | with a reference |
//! | `52` `53` `54` `58` | category, currency (`356`), amount, country | INR alone |
//! | `59` `60` `61` | merchant's name, city, postal code | at most 25, 15 and 10 characters |
//! | `62` | `01` bill number, `07` terminal, `08` purpose | at most 25 characters each |
//! | `63` | check sum | CRC-16/CCITT-FALSE over everything before its value |

use crate::currency::Currency;
use crate::method::is_vpa;
use crate::money::Money;
use crate::upi_link::is_category_code;
use std::fmt::Write as _;

/// RuPay's application identifier, under which UPI stands in BharatQR.
pub const UPI_AID: &str = "A000000524";
/// The most characters of a payload that is read: what the specification lets a code hold.
pub const PAYLOAD_CHARS_MAX: usize = 512;

const FORMAT: u8 = 0;
const INITIATION: u8 = 1;
const UPI_ADDRESS: u8 = 26;
const UPI_REFERENCE: u8 = 27;
const CATEGORY_CODE: u8 = 52;
const CURRENCY: u8 = 53;
const AMOUNT: u8 = 54;
const COUNTRY: u8 = 58;
const NAME: u8 = 59;
const CITY: u8 = 60;
const POSTAL_CODE: u8 = 61;
const ADDITIONAL: u8 = 62;
const CHECK_SUM: u8 = 63;
/// ISO 4217's number of the Indian rupee.
const RUPEE: &str = "356";

/// A merchant's UPI code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MerchantQr {
    /// Whom to pay: a virtual payment address.
    pub payee_address: String,
    /// The merchant's name: 1 to 25 printable ASCII characters.
    pub name: String,
    /// The merchant's city: 1 to 15 printable ASCII characters.
    pub city: String,
    /// The postal code, at most ten characters.
    pub postal_code: Option<String>,
    /// Merchant category code (ISO 18245): four digits, `0000` where there is none.
    pub merchant_category_code: String,
    /// How much; none: the customer types it, and the code is static.
    pub amount: Option<Money>,
    /// The merchant's reference of this payment: at most 35 letters, digits, dots and hyphens.
    pub reference: Option<String>,
    /// The bill's number.
    pub bill_number: Option<String>,
    /// The terminal or counter.
    pub terminal: Option<String>,
    /// What for.
    pub purpose: Option<String>,
}

/// Why a payload is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EmvQrError {
    /// A data object is cut off, has a wrong length or is there twice.
    #[error("the payload is not a row of data objects")]
    Structure,
    /// It does not begin with the known format.
    #[error("the payload does not begin with the format 01")]
    Format,
    /// The check sum is missing or wrong.
    #[error("the check sum does not hold")]
    CheckSum,
    /// It is too long for a code.
    #[error("the payload is longer than a code may be")]
    TooLong,
    /// No UPI address.
    #[error("the payee's address must be a UPI address such as name@bank, of at most 81 characters")]
    Address,
    /// The merchant's name.
    #[error("the merchant's name must be 1 to 25 printable ASCII characters")]
    Name,
    /// The merchant's city.
    #[error("the merchant's city must be 1 to 15 printable ASCII characters")]
    City,
    /// The postal code.
    #[error("the postal code must be 1 to 10 printable ASCII characters")]
    PostalCode,
    /// The merchant category code.
    #[error("the merchant category code must be four digits")]
    CategoryCode,
    /// The amount or its currency.
    #[error("the amount must be in INR, above zero, and of at most 13 characters")]
    Amount,
    /// The country is not India.
    #[error("the country must be IN")]
    Country,
    /// The reference.
    #[error("the reference must be 1 to 35 letters, digits, dots and hyphens")]
    Reference,
    /// Bill number, terminal or purpose.
    #[error("bill number, terminal and purpose must be 1 to 25 printable ASCII characters")]
    Additional,
}

/// Data objects in their order, each with its id and value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload(Vec<(u8, String)>);

impl Payload {
    /// Reads a whole payload and checks its format and check sum.
    ///
    /// # Errors
    /// [`EmvQrError::Structure`], [`EmvQrError::Format`], [`EmvQrError::CheckSum`] or [`EmvQrError::TooLong`].
    pub fn parse(text: &str) -> Result<Self, EmvQrError> {
        if text.chars().count() > PAYLOAD_CHARS_MAX {
            return Err(EmvQrError::TooLong);
        }
        let payload = Self(objects(text)?);
        if !matches!(payload.0.first(), Some((FORMAT, version)) if version == "01") {
            return Err(EmvQrError::Format);
        }
        let sum = match payload.0.last() {
            Some((CHECK_SUM, sum)) => sum,
            _ => return Err(EmvQrError::CheckSum),
        };
        let before = text.len().checked_sub(sum.len()).and_then(|end| text.get(..end));
        match before {
            Some(before) if sum.len() == 4 && sum.eq_ignore_ascii_case(&check_sum(before)) => Ok(payload),
            _ => Err(EmvQrError::CheckSum),
        }
    }

    /// The value of a data object.
    #[must_use]
    pub fn get(&self, id: u8) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == id).map(|(_, value)| value.as_str())
    }

    /// The data objects inside a template.
    ///
    /// # Errors
    /// [`EmvQrError::Structure`] if it is none.
    pub fn template(&self, id: u8) -> Result<Option<Self>, EmvQrError> {
        self.get(id).map(|value| objects(value).map(Self)).transpose()
    }
}

impl MerchantQr {
    /// The payload.
    ///
    /// # Errors
    /// [`EmvQrError`] names the first wrong part.
    pub fn build(&self) -> Result<String, EmvQrError> {
        self.check()?;
        let amount = self.amount.map(Money::to_major_text);
        let address = template(&[(0, Some(UPI_AID)), (1, Some(&self.payee_address))]);
        let reference =
            self.reference.as_deref().map(|reference| template(&[(0, Some(UPI_AID)), (1, Some(reference))]));
        let additional = template(&[
            (1, self.bill_number.as_deref()),
            (7, self.terminal.as_deref()),
            (8, self.purpose.as_deref()),
        ]);
        let mut text = template(&[
            (FORMAT, Some("01")),
            (INITIATION, Some(if self.amount.is_some() { "12" } else { "11" })),
            (UPI_ADDRESS, Some(&address)),
            (UPI_REFERENCE, reference.as_deref()),
            (CATEGORY_CODE, Some(&self.merchant_category_code)),
            (CURRENCY, Some(RUPEE)),
            (AMOUNT, amount.as_deref()),
            (COUNTRY, Some("IN")),
            (NAME, Some(&self.name)),
            (CITY, Some(&self.city)),
            (POSTAL_CODE, self.postal_code.as_deref()),
            (ADDITIONAL, Some(additional.as_str()).filter(|row| !row.is_empty())),
        ]);
        text.push_str("6304");
        text.push_str(&check_sum(&text));
        Ok(text)
    }

    /// Reads a UPI code.
    ///
    /// # Errors
    /// [`EmvQrError`]: the payload is broken, or it is no code for rupees over UPI.
    pub fn parse(text: &str) -> Result<Self, EmvQrError> {
        let payload = Payload::parse(text)?;
        let owned = |id| payload.get(id).map(str::to_owned);
        let upi = |id| {
            let template = payload.template(id)?.filter(|template| template.get(0) == Some(UPI_AID));
            Ok::<_, EmvQrError>(template.and_then(|template| template.get(1).map(str::to_owned)))
        };
        if payload.get(CURRENCY) != Some(RUPEE) {
            return Err(EmvQrError::Amount);
        }
        if payload.get(COUNTRY) != Some("IN") {
            return Err(EmvQrError::Country);
        }
        let amount = payload.get(AMOUNT).map(|text| Money::parse_major(text, Currency::INR));
        let additional = payload.template(ADDITIONAL)?;
        let detail = |id| additional.as_ref().and_then(|row| row.get(id)).map(str::to_owned);
        let read = Self {
            payee_address: upi(UPI_ADDRESS)?.ok_or(EmvQrError::Address)?,
            name: owned(NAME).ok_or(EmvQrError::Name)?,
            city: owned(CITY).ok_or(EmvQrError::City)?,
            postal_code: owned(POSTAL_CODE),
            merchant_category_code: owned(CATEGORY_CODE).ok_or(EmvQrError::CategoryCode)?,
            amount: amount.transpose().map_err(|_| EmvQrError::Amount)?,
            reference: upi(UPI_REFERENCE)?,
            bill_number: detail(1),
            terminal: detail(7),
            purpose: detail(8),
        };
        read.check()?;
        Ok(read)
    }

    /// Checks every part.
    ///
    /// # Errors
    /// [`EmvQrError`] names the first wrong part.
    pub fn check(&self) -> Result<(), EmvQrError> {
        // The template's 99 characters, less the identifier and two heads.
        if !is_vpa(&self.payee_address) || self.payee_address.len() > 81 {
            return Err(EmvQrError::Address);
        }
        if !is_printable(&self.name, 25) {
            return Err(EmvQrError::Name);
        }
        if !is_printable(&self.city, 15) {
            return Err(EmvQrError::City);
        }
        if !self.postal_code.as_deref().is_none_or(|code| is_printable(code, 10)) {
            return Err(EmvQrError::PostalCode);
        }
        if !is_category_code(&self.merchant_category_code) {
            return Err(EmvQrError::CategoryCode);
        }
        let fits = |amount: Money| {
            amount.currency == Currency::INR && amount.minor > 0 && amount.to_major_text().len() <= 13
        };
        if !self.amount.is_none_or(fits) {
            return Err(EmvQrError::Amount);
        }
        let is_reference = |text: &str| {
            (1..=35).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
        };
        if !self.reference.as_deref().is_none_or(is_reference) {
            return Err(EmvQrError::Reference);
        }
        let details = [&self.bill_number, &self.terminal, &self.purpose];
        if !details.into_iter().flatten().all(|text| is_printable(text, 25)) {
            return Err(EmvQrError::Additional);
        }
        Ok(())
    }
}

fn is_printable(text: &str, chars_max: usize) -> bool {
    (1..=chars_max).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Splits a row of data objects.
fn objects(text: &str) -> Result<Vec<(u8, String)>, EmvQrError> {
    let mut found: Vec<(u8, String)> = Vec::new();
    let mut rest = text.chars();
    while !rest.as_str().is_empty() {
        let id = two_digits(&mut rest)?;
        let length = two_digits(&mut rest)?;
        let value: String = rest.by_ref().take(usize::from(length)).collect();
        let whole = value.chars().count() == usize::from(length) && length > 0;
        if !whole || found.iter().any(|(earlier, _)| *earlier == id) {
            return Err(EmvQrError::Structure);
        }
        found.push((id, value));
    }
    Ok(found)
}

fn two_digits(rest: &mut std::str::Chars<'_>) -> Result<u8, EmvQrError> {
    let mut digit = || {
        let digit = rest.next().and_then(|digit| digit.to_digit(10));
        digit.and_then(|digit| u8::try_from(digit).ok()).ok_or(EmvQrError::Structure)
    };
    Ok(digit()? * 10 + digit()?)
}

/// Joins data objects to a row. Values are checked before, so that two digits hold every length.
fn template(objects: &[(u8, Option<&str>)]) -> String {
    let mut row = String::new();
    for (id, value) in objects {
        if let Some(value) = value {
            // Writing to a String cannot fail.
            let _ = write!(row, "{id:02}{:02}{value}", value.chars().count());
        }
    }
    row
}

/// CRC-16/CCITT-FALSE (ISO/IEC 13239 with polynomial 0x1021 and start 0xFFFF) as four digits.
fn check_sum(text: &str) -> String {
    let mut sum = 0xFFFF_u16;
    for byte in text.bytes() {
        sum ^= u16::from(byte) << 8;
        for _ in 0..8 {
            let carried = sum & 0x8000 != 0;
            sum <<= 1;
            if carried {
                sum ^= 0x1021;
            }
        }
    }
    format!("{sum:04X}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The sample of EMVCo's specification.
    const SAMPLE: &str = "00020101021229300012D156000000000510A93FO3230Q31280012D15600000001030812345678\
        520441115802CN5914BEST TRANSPORT6007BEIJING64200002ZH0104最佳运输0202北京540523.72530315655020\
        16233030412340603***0708A60086670902ME91320016A0112233449988770708123456786304A13A";

    fn code() -> MerchantQr {
        MerchantQr {
            payee_address: "shop@okbank".to_owned(),
            name: "Corner Shop".to_owned(),
            city: "Pune".to_owned(),
            postal_code: Some("411001".to_owned()),
            merchant_category_code: "5411".to_owned(),
            amount: Some(Money::new(12_550, Currency::INR)),
            reference: Some("ORD-7001".to_owned()),
            bill_number: Some("B42".to_owned()),
            terminal: None,
            purpose: Some("Groceries".to_owned()),
        }
    }

    #[test]
    fn the_check_sum_of_the_catalogue() {
        // The catalogue of parametrised CRC algorithms: "123456789" gives 29B1.
        assert_eq!(check_sum("123456789"), "29B1");
        assert_eq!(check_sum(""), "FFFF");
    }

    #[test]
    fn emvco_s_own_sample() {
        let payload = Payload::parse(SAMPLE).unwrap();
        assert_eq!((payload.get(1), payload.get(54)), (Some("12"), Some("23.72")));
        assert_eq!((payload.get(59), payload.get(60)), (Some("BEST TRANSPORT"), Some("BEIJING")));
        // Lengths are counted in characters, not bytes.
        let chinese = payload.template(64).unwrap().unwrap();
        assert_eq!((chinese.get(1), chinese.get(2)), (Some("最佳运输"), Some("北京")));
        let account = payload.template(29).unwrap().unwrap();
        assert_eq!(account.get(5), Some("A93FO3230Q"));
        assert_eq!(MerchantQr::parse(SAMPLE), Err(EmvQrError::Amount));
    }

    #[test]
    fn a_payload_object_by_object() {
        let head = "000201010212\
            26290010A0000005240111shop@okbank\
            27260010A0000005240108ORD-7001\
            520454115303356\
            5406125.505802IN5911Corner Shop6004Pune6106411001\
            62200103B420809Groceries6304";
        assert_eq!(code().build().unwrap(), format!("{head}{}", check_sum(head)));
        let fixed = MerchantQr { amount: None, reference: None, ..code() };
        let text = fixed.build().unwrap();
        assert!(text.starts_with("000201010211") && !text.contains("5406"), "{text}");
        assert_eq!(MerchantQr::parse(&text), Ok(fixed));
    }

    #[test]
    fn one_wrong_character_is_noticed() {
        let text = code().build().unwrap();
        for place in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[place] = if bytes[place] == b'1' { b'2' } else { b'1' };
            assert!(Payload::parse(&String::from_utf8(bytes).unwrap()).is_err(), "{place}");
        }
        for cut in 0..text.len() {
            assert!(Payload::parse(&text[..cut]).is_err(), "{cut}");
        }
        assert_eq!(Payload::parse(&format!("{text}00")), Err(EmvQrError::Structure));
        assert_eq!(Payload::parse(&"9".repeat(513)), Err(EmvQrError::TooLong));
    }

    #[test]
    fn wrong_parts_are_named() {
        use EmvQrError as E;
        let build = |change: fn(&mut MerchantQr)| {
            let mut changed = code();
            change(&mut changed);
            changed.build().unwrap_err()
        };
        assert_eq!(build(|it| it.payee_address = "nobody".to_owned()), E::Address);
        assert_eq!(build(|it| it.payee_address = format!("{}@bank", "x".repeat(77))), E::Address);
        assert_eq!(build(|it| it.name = "x".repeat(26)), E::Name);
        assert_eq!(build(|it| it.name = "Café".to_owned()), E::Name);
        assert_eq!(build(|it| it.city.clear()), E::City);
        assert_eq!(build(|it| it.postal_code = Some(String::new())), E::PostalCode);
        assert_eq!(build(|it| it.merchant_category_code = "54a1".to_owned()), E::CategoryCode);
        assert_eq!(build(|it| it.amount = Some(Money::new(100, Currency::USD))), E::Amount);
        assert_eq!(build(|it| it.amount = Some(Money::new(100_000_000_000_000, Currency::INR))), E::Amount);
        assert_eq!(build(|it| it.reference = Some("a b".to_owned())), E::Reference);
        assert_eq!(build(|it| it.terminal = Some("x".repeat(26))), E::Additional);
    }

    proptest! {
        #[test]
        fn codes_round_trip(
            address in "[a-zA-Z0-9._-]{1,70}@[a-z]{2,10}", name in "[ -~]{1,25}", city in "[ -~]{1,15}",
            amount in proptest::option::of(1..=999_999_999_999_i64),
            reference in proptest::option::of("[A-Za-z0-9.-]{1,35}"),
            details in proptest::array::uniform3(proptest::option::of("[ -~]{1,25}")),
        ) {
            let [bill_number, terminal, purpose] = details;
            let made = MerchantQr {
                payee_address: address, name, city,
                amount: amount.map(|minor| Money::new(minor, Currency::INR)),
                reference, bill_number, terminal, purpose,
                ..code()
            };
            let text = made.build().unwrap();
            prop_assert!(text.len() <= PAYLOAD_CHARS_MAX);
            prop_assert_eq!(MerchantQr::parse(&text), Ok(made));
        }

        #[test]
        fn any_text_is_answered(text in "\\PC{0,80}", digits in "[0-9]{0,40}") {
            let _ = MerchantQr::parse(&text);
            let _ = MerchantQr::parse(&format!("000201{digits}"));
            // Also with a check sum that holds.
            let head = format!("000201{digits}6304");
            let _ = MerchantQr::parse(&format!("{head}{}", check_sum(&head)));
            let head = format!("000201{text}6304");
            let _ = MerchantQr::parse(&format!("{head}{}", check_sum(&head)));
        }
    }
}
