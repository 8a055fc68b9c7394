//! Payment methods: what a customer pays with, as it may be stored and shown.

use crate::card::{CardBrand, CardSecret};
use serde::{Deserialize, Serialize};

/// How the customer pays. The order is stored: append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MethodKind {
    /// A card whose funding the caller did not name.
    Card,
    /// A credit card.
    CreditCard,
    /// A debit card.
    DebitCard,
    /// Unified Payments Interface.
    Upi,
    /// A prepaid wallet.
    Wallet,
    /// Internet banking with the customer's bank.
    NetBanking,
}

impl MethodKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Card, Self::CreditCard, Self::DebitCard, Self::Upi, Self::Wallet, Self::NetBanking];

    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::CreditCard => "credit_card",
            Self::DebitCard => "debit_card",
            Self::Upi => "upi",
            Self::Wallet => "wallet",
            Self::NetBanking => "net_banking",
        }
    }

    /// The kind by its API name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// What processors distinguish.
    #[must_use]
    pub const fn family(self) -> MethodFamily {
        match self {
            Self::Card | Self::CreditCard | Self::DebitCard => MethodFamily::Card,
            Self::Upi => MethodFamily::Upi,
            Self::Wallet => MethodFamily::Wallet,
            Self::NetBanking => MethodFamily::NetBanking,
        }
    }
}

/// A method as processors' capability tables name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MethodFamily {
    /// Cards of any funding.
    Card,
    /// UPI.
    Upi,
    /// Wallets.
    Wallet,
    /// Net banking.
    NetBanking,
}

/// The instrument as it is stored and shown: nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum InstrumentSummary {
    /// A card, masked to its first six and last four digits.
    Card {
        /// Network.
        brand: CardBrand,
        /// First six digits.
        bin: String,
        /// Last four digits.
        last4: String,
        /// 1 to 12.
        exp_month: u8,
        /// Four digits.
        exp_year: u16,
    },
    /// A UPI address, if the customer gave one.
    Upi {
        /// Virtual payment address, e.g. `name@bank`.
        vpa: Option<String>,
    },
    /// A wallet.
    Wallet {
        /// Provider, e.g. `paytm`.
        provider: String,
    },
    /// A bank account over net banking.
    NetBanking {
        /// Bank code, e.g. `HDFC`.
        bank: String,
    },
}

impl InstrumentSummary {
    /// The masked form of a card.
    #[must_use]
    pub fn of_card(card: &CardSecret) -> Self {
        Self::Card {
            brand: card.number.brand(),
            bin: card.number.bin(),
            last4: card.number.last4(),
            exp_month: card.exp_month,
            exp_year: card.exp_year,
        }
    }
}

/// The instrument as a connector sees it, with the clear card for the length of one call.
#[derive(Debug, Clone, Copy)]
pub enum Instrument<'a> {
    /// The clear card.
    Card(&'a CardSecret),
    /// UPI; without an address the customer pays by intent or QR.
    Upi {
        /// Virtual payment address.
        vpa: Option<&'a str>,
    },
    /// A wallet.
    Wallet {
        /// Provider.
        provider: &'a str,
    },
    /// Net banking.
    NetBanking {
        /// Bank code.
        bank: &'a str,
    },
}

/// Whether the money is taken with the authorization or by a later capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptureMode {
    /// Authorize and capture in one step.
    Automatic,
    /// Authorize now; `POST …/capture` takes the money.
    Manual,
}

/// Whether `text` has the form of a UPI virtual payment address (`name@handle`).
///
/// Source: NPCI UPI procedural guidelines: letters, digits, `.`, `-` and `_` before the `@`, a
/// handle of letters and digits behind it.
#[must_use]
pub fn is_vpa(text: &str) -> bool {
    let Some((name, handle)) = text.split_once('@') else {
        return false;
    };
    let name_right = (1..=100).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    let handle_right = (2..=64).contains(&handle.len())
        && handle.starts_with(|first: char| first.is_ascii_alphabetic())
        && handle.bytes().all(|byte| byte.is_ascii_alphanumeric());
    name_right && handle_right
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for kind in MethodKind::ALL {
            assert_eq!(MethodKind::from_name(kind.as_str()), Some(kind));
        }
        assert_eq!(MethodKind::from_name("cheque"), None);
    }

    #[test]
    fn vpas() {
        for right in ["success@upi", "a.b-c_1@okhdfcbank"] {
            assert!(is_vpa(right), "{right}");
        }
        for wrong in ["", "@upi", "name@", "na me@upi", "name@u", "a@b@c", "name@1ab", "name@up.i"] {
            assert!(!is_vpa(wrong), "{wrong}");
        }
    }
}
