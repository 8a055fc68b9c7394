//! Equated monthly instalments: what a plan is.

use serde::{Deserialize, Serialize};

/// A plan the customer chose, with every sum fixed when the payment began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmiPlan {
    /// The issuing bank, as [`crate::directory::BANKS`] names it.
    pub bank: String,
    /// Number of monthly instalments.
    pub tenure_months: u8,
    /// The bank's yearly rate in hundredths of a percent, reducing balance.
    pub annual_rate_bps: u32,
    /// Whether the merchant bears the interest.
    pub no_cost: bool,
    /// Every instalment but the last, in minor units.
    pub instalment_minor: i64,
    /// The last instalment, which takes up the rounding, in minor units.
    pub last_instalment_minor: i64,
    /// What the bank earns, in minor units.
    pub interest_minor: i64,
    /// What the merchant pays the bank in the customer's place, in minor units; zero unless
    /// [`EmiPlan::no_cost`].
    pub subvention_minor: i64,
}
