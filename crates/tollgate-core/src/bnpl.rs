//! Buy now, pay later: what a plan is.

use serde::{Deserialize, Serialize};

/// How the customer pays back. The order is stored: append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BnplKind {
    /// All at once, some weeks later.
    PayLater,
    /// A third now, the others a month and two months later.
    PayIn3,
}

/// One payment of the customer to the lender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instalment {
    /// The day it is due, in days since 1970-01-01.
    pub due_day: u32,
    /// How much, in minor units.
    pub amount_minor: i64,
}

/// A plan the customer chose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BnplPlan {
    /// Who lends, as [`crate::directory::BNPL_LENDERS`] names it.
    pub provider: String,
    /// How the customer pays back.
    pub kind: BnplKind,
    /// When and how much; the sum is the payment's amount.
    pub schedule: Vec<Instalment>,
}
