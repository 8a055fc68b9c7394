//! UPI AutoPay mandates: the customer's standing permission to debit.
//!
//! A mandate is set up by a payment and lives with it; later debits name that payment.

use serde::{Deserialize, Serialize};

/// How often a mandate may be debited. The order is stored: append, never reorder.
///
/// Source: NPCI UPI recurrence patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MandateFrequency {
    /// Whenever the merchant presents a debit.
    AsPresented,
    /// Once a day.
    Daily,
    /// Once a week.
    Weekly,
    /// Once a month.
    Monthly,
    /// Once in three months.
    Quarterly,
    /// Once a year.
    Yearly,
}

impl MandateFrequency {
    /// Every frequency.
    pub const ALL: [Self; 6] =
        [Self::AsPresented, Self::Daily, Self::Weekly, Self::Monthly, Self::Quarterly, Self::Yearly];

    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AsPresented => "as_presented",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Quarterly => "quarterly",
            Self::Yearly => "yearly",
        }
    }
}

/// What the customer permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MandateTerms {
    /// The most one debit may take, in minor units of the payment's currency.
    pub amount_minor_max: i64,
    /// How often.
    pub frequency: MandateFrequency,
    /// Until when, in milliseconds since the Unix epoch.
    pub ends_at_ms: u64,
}
