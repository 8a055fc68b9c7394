//! Refunds: money on its way back to the customer.

use crate::failure::Failure;
use crate::id::{AttemptId, MerchantId, PaymentId, RefundId};
use crate::money::Money;
use serde::{Deserialize, Serialize};

/// Where a refund stands. The order is stored: append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    /// Reserved in the books, not yet confirmed by the processor.
    Pending,
    /// Returned.
    Succeeded,
    /// Provably not returned; the reservation is undone.
    Failed,
}

impl RefundStatus {
    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// A refund as it stands now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// Its id.
    pub id: RefundId,
    /// Owner.
    pub merchant_id: MerchantId,
    /// The payment it returns money of.
    pub payment_id: PaymentId,
    /// The attempt that carries it out.
    pub attempt_id: AttemptId,
    /// How much is returned.
    pub amount: Money,
    /// Our fee given back with it, in minor units.
    pub fee_returned_minor: i64,
    /// What the card's bank gives back of the interest it was paid, in minor units.
    pub subvention_returned_minor: i64,
    /// Where it stands.
    pub status: RefundStatus,
    /// The merchant's reason.
    pub reason: Option<String>,
    /// The merchant's own data.
    pub metadata: Vec<(String, String)>,
    /// The processor's id of the refund.
    pub processor_refund_id: Option<String>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// When it was made durable.
    pub created_at_ms: u64,
    /// When it was last changed.
    pub updated_at_ms: u64,
}
