//! What is known of a payment when it is scored.

use super::country::Country;
use crate::base62;
use crate::card::CardBrand;
use crate::method::MethodKind;
use crate::money::Money;
use std::fmt;
use std::net::IpAddr;

/// What is known of a payment when it is scored. What is not known is `None`; an empty text counts as
/// not known.
#[derive(Clone, Copy)]
pub struct Signals<'a> {
    /// The time, in milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// The merchant's id.
    pub merchant: u128,
    /// Where the merchant is.
    pub merchant_country: Option<Country>,
    /// The amount.
    pub amount: Money,
    /// How it is paid.
    pub method: MethodKind,
    /// The card.
    pub card: Option<CardSignals<'a>>,
    /// The UPI address.
    pub vpa: Option<&'a str>,
    /// The merchant's own id of the customer.
    pub customer: Option<&'a str>,
    /// The customer's email address.
    pub email: Option<&'a str>,
    /// The customer's telephone number.
    pub phone: Option<&'a str>,
    /// An id of the customer's device.
    pub device: Option<&'a str>,
    /// The customer's address.
    pub ip: Option<IpAddr>,
    /// Where that address is.
    pub ip_country: Option<Country>,
    /// The customer's browser or app.
    pub user_agent: Option<&'a str>,
}

/// What may be known of a card: nothing that could be charged.
#[derive(Debug, Clone, Copy)]
pub struct CardSignals<'a> {
    /// Network.
    pub brand: CardBrand,
    /// First digits (six to eight).
    pub bin: &'a str,
    /// The vault's keyed hash of the number.
    pub fingerprint: [u8; 16],
    /// The issuer's country.
    pub country: Option<Country>,
}

impl<'a> Signals<'a> {
    /// A payment of which nothing is known but who is paid how much and how.
    #[must_use]
    pub fn bare(now_ms: u64, merchant: u128, amount: Money, method: MethodKind) -> Self {
        Self {
            now_ms,
            merchant,
            merchant_country: None,
            amount,
            method,
            card: None,
            vpa: None,
            customer: None,
            email: None,
            phone: None,
            device: None,
            ip: None,
            ip_country: None,
            user_agent: None,
        }
    }

    /// The host part of the email address, if there is one.
    #[must_use]
    pub fn email_domain(&self) -> Option<&'a str> {
        let (_, domain) = known(self.email)?.rsplit_once('@')?;
        known(Some(domain))
    }

    /// The bank or app part of the UPI address, if there is one.
    #[must_use]
    pub fn vpa_handle(&self) -> Option<&'a str> {
        let (_, handle) = known(self.vpa)?.rsplit_once('@')?;
        known(Some(handle))
    }
}

impl fmt::Debug for Signals<'_> {
    /// Leaves out what names a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signals")
            .field("now_ms", &self.now_ms)
            .field("amount", &self.amount)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// A text that says something.
pub(super) fn known(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

/// The text form of a fingerprint in lists and rules: `fp_` and 22 characters, as the vault writes it.
#[must_use]
pub fn fingerprint_text(fingerprint: &[u8; 16]) -> String {
    let mut text = String::with_capacity(3 + base62::LENGTH);
    text.push_str("fp_");
    base62::encode_into(u128::from_be_bytes(*fingerprint), &mut text);
    text
}

/// The fingerprint of its text form.
#[must_use]
pub fn fingerprint_of(text: &str) -> Option<[u8; 16]> {
    text.strip_prefix("fp_").and_then(base62::decode).map(u128::to_be_bytes)
}
