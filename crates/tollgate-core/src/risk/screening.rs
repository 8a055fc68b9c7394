//! What the fraud check found and what people made of it: kept with the payment.

use super::Assessment;
use serde::{Deserialize, Serialize};

/// A payment's fraud check, with the facts it was made of that the payment does not hold otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Screening {
    /// Its result.
    pub assessment: Assessment,
    /// The customer's IP address, as the merchant gave it.
    pub ip: Option<String>,
    /// The customer's device, as the merchant names it.
    pub device_id: Option<String>,
    /// Keyed hash of the card's number.
    pub card_fingerprint: Option<[u8; 16]>,
    /// Country of the IP address (ISO 3166-1 alpha-2), where known.
    pub ip_country: Option<String>,
    /// Country of the card's issuer, where known.
    pub card_country: Option<String>,
    /// Whether the money is only reserved, although the merchant wanted it at once, until a person has
    /// looked at the payment.
    pub holds_capture: bool,
}

/// Where a review stands. The order is stored: append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewState {
    /// Nobody has looked yet.
    Waiting,
    /// It is genuine.
    Approved,
    /// It is not: the money goes back.
    Rejected,
}

impl ReviewState {
    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }
}

/// A person's look at a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// Where it stands.
    pub state: ReviewState,
    /// When it was decided.
    pub decided_at_ms: Option<u64>,
    /// What the reviewer wrote.
    pub note: Option<String>,
}
