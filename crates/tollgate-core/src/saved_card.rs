//! Cards that customers let a merchant use again.
//!
//! The number is in the vault; here is what may be shown, and the customer's consent.

use crate::id::MerchantId;
use crate::method::CardSummary;
use serde::{Deserialize, Serialize};

/// A card on file, saved with its holder's consent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedCard {
    /// The vault's token of it.
    pub token: [u8; 16],
    /// The merchant that may use it.
    pub merchant_id: MerchantId,
    /// The merchant's id of the customer.
    pub user_id: String,
    /// Its masked form.
    pub summary: CardSummary,
    /// Keyed hash of its number.
    pub fingerprint: [u8; 16],
    /// The holder's consent.
    pub consent: Consent,
    /// When it was saved, in milliseconds since the Unix epoch.
    pub created_at_ms: u64,
}

/// A card holder's consent to its being saved, as the merchant recorded it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// When it was given, in milliseconds since the Unix epoch.
    pub given_at_ms: u64,
    /// The IP address it was given from.
    pub ip: Option<String>,
    /// Which text was agreed to: the merchant's name or version of it.
    pub terms: String,
}
