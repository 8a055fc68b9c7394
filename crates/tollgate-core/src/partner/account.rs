//! Settlement accounts: where a partner's money goes. The number is kept whole in the store, and shown by its
//! last four digits everywhere else: in debug output and in everything that is written for people.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use std::fmt;

/// An account's number. Printed, and written as JSON, it shows its last four characters alone.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountNumber(String);

impl AccountNumber {
    /// The whole number, for whoever pays out.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Its last four characters after stars.
    #[must_use]
    pub fn masked(&self) -> String {
        format!("****{}", self.0.get(self.0.len().saturating_sub(4)..).unwrap_or_default())
    }
}

impl fmt::Debug for AccountNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl Serialize for AccountNumber {
    /// Whole in the store's binary rows, masked in every form that people read.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&self.masked())
        } else {
            serializer.serialize_str(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for AccountNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

/// Where a partner's money goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SettlementAccount {
    /// An account at an Indian bank.
    Ifsc {
        /// Whose.
        holder: String,
        /// The branch (RBI): four letters, a zero, six letters or digits.
        ifsc: String,
        /// The number.
        number: AccountNumber,
    },
    /// An account by its IBAN (ISO 13616).
    Iban {
        /// Whose.
        holder: String,
        /// The IBAN.
        number: AccountNumber,
    },
}

impl SettlementAccount {
    /// An account at an Indian bank.
    ///
    /// # Errors
    /// The field that is wrong, and why.
    pub fn ifsc(holder: &str, ifsc: &str, number: &str) -> Result<Self, (&'static str, &'static str)> {
        let ifsc = ifsc.to_ascii_uppercase();
        let right = ifsc.len() == 11
            && ifsc.bytes().enumerate().all(|(place, byte)| match place {
                0..4 => byte.is_ascii_uppercase(),
                4 => byte == b'0',
                _ => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            });
        if !right {
            return Err(("ifsc", "must be four letters, a zero and six letters or digits"));
        }
        if !(9..=18).contains(&number.len()) || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(("account_number", "must be 9 to 18 digits"));
        }
        Ok(Self::Ifsc { holder: holder.to_owned(), ifsc, number: AccountNumber(number.to_owned()) })
    }

    /// An account by its IBAN; spaces in it are left out.
    ///
    /// # Errors
    /// The field that is wrong, and why.
    pub fn iban(holder: &str, iban: &str) -> Result<Self, (&'static str, &'static str)> {
        let iban: String = iban.chars().filter(|it| *it != ' ').map(|it| it.to_ascii_uppercase()).collect();
        if !is_iban(&iban) {
            return Err(("iban", "must be an IBAN with right check digits"));
        }
        Ok(Self::Iban { holder: holder.to_owned(), number: AccountNumber(iban) })
    }

    /// What may be shown of it.
    #[must_use]
    pub fn as_json(&self) -> Value {
        match self {
            Self::Ifsc { holder, ifsc, number } => {
                json!({"type": "ifsc", "holder": holder, "ifsc": ifsc, "number_end": number.masked()})
            }
            Self::Iban { holder, number } => {
                json!({"type": "iban", "holder": holder, "number_end": number.masked()})
            }
        }
    }
}

/// ISO 13616: country, check digits, and the remainder by 97 of all with the first four behind is 1.
fn is_iban(text: &str) -> bool {
    let bytes = text.as_bytes();
    let form = (15..=34).contains(&bytes.len())
        && bytes.iter().enumerate().all(|(place, byte)| match place {
            0 | 1 => byte.is_ascii_uppercase(),
            2 | 3 => byte.is_ascii_digit(),
            _ => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
        });
    if !form {
        return false;
    }
    let (begin, rest) = bytes.split_at(4);
    let remainder = rest.iter().chain(begin).fold(0_u32, |remainder, byte| match byte {
        b'0'..=b'9' => (remainder * 10 + u32::from(byte - b'0')) % 97,
        _ => (remainder * 100 + u32::from(byte.saturating_sub(b'A')) + 10) % 97,
    });
    remainder == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_checked() {
        assert!(SettlementAccount::ifsc("A", "HDFC0001234", "50100123456789").is_ok());
        for (ifsc, number, field) in [
            ("HDFC1001234", "50100123456789", "ifsc"),
            ("HDF00001234", "50100123456789", "ifsc"),
            ("HDFC0001234", "1234", "account_number"),
            ("HDFC0001234", "5010012345678x", "account_number"),
        ] {
            assert_eq!(SettlementAccount::ifsc("A", ifsc, number).unwrap_err().0, field);
        }
        for iban in ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432"] {
            assert!(SettlementAccount::iban("A", iban).is_ok(), "{iban}");
        }
        for iban in ["DE88370400440532013000", "DE89", "89DE370400440532013000", ""] {
            assert_eq!(SettlementAccount::iban("A", iban).unwrap_err().0, "iban");
        }
    }

    #[test]
    fn the_number_is_never_printed() {
        let account = SettlementAccount::ifsc("A", "HDFC0001234", "50100123456789").unwrap();
        for text in [
            format!("{account:?}"),
            format!("{account:#?}"),
            account.as_json().to_string(),
            serde_json::to_string(&account).unwrap(),
        ] {
            assert!(!text.contains("50100") && text.contains("****6789"), "{text}");
        }
    }
}
