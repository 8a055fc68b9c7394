//! Attempts: the calls to processors that may move money. Each is durable before it is sent.

use crate::failure::Failure;
use crate::id::{AttemptId, MerchantId, PaymentId, RefundId};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A processor's name, e.g. `razorpay`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessorName(Arc<str>);

impl ProcessorName {
    /// Wraps a name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(Arc::from(name))
    }

    /// Stands where no processor was asked.
    #[must_use]
    pub fn none() -> Self {
        Self::new("none")
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProcessorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ProcessorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an attempt asks the processor to do. The order is stored: append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptKind {
    /// Authorize, or authorize and capture.
    Charge,
    /// Take an authorized amount.
    Capture,
    /// Release an authorized amount.
    Void,
    /// Return captured money at the merchant's wish.
    Refund,
    /// Return money that arrived after the payment had ended.
    Return,
}

impl AttemptKind {
    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Charge => "charge",
            Self::Capture => "capture",
            Self::Void => "void",
            Self::Refund => "refund",
            Self::Return => "return",
        }
    }
}

/// Where an attempt stands. The order is stored: append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptStatus {
    /// Not settled: sent, about to be sent, or of unknown outcome.
    Open,
    /// The processor did it.
    Succeeded,
    /// Finally refused by issuer or processor.
    Declined,
    /// Provably not processed.
    NotTaken,
    /// The payment ended before the customer acted. The customer may still act at the processor, so
    /// it is enquired about until the processor has ended it too.
    Abandoned,
    /// Money arrived after the attempt had been given up.
    LateSuccess,
}

impl AttemptStatus {
    /// Whether the processor may still do something: such attempts are enquired about.
    #[must_use]
    pub const fn is_watched(self) -> bool {
        matches!(self, Self::Open | Self::Abandoned)
    }

    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Succeeded => "succeeded",
            Self::Declined => "declined",
            Self::NotTaken => "not_taken",
            Self::Abandoned => "abandoned",
            Self::LateSuccess => "late_success",
        }
    }
}

/// The beginning of an attempt, as an event carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptStart {
    /// Its id; the reference given to the processor is derived from it.
    pub id: AttemptId,
    /// The processor asked.
    pub processor: ProcessorName,
    /// What is asked for, in minor units of the payment's currency.
    pub amount_minor: i64,
}

/// An attempt as it stands now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// Owner.
    pub merchant_id: MerchantId,
    /// The payment it serves.
    pub payment_id: PaymentId,
    /// The refund it carries out, for [`AttemptKind::Refund`].
    pub refund_id: Option<RefundId>,
    /// What it asks for.
    pub kind: AttemptKind,
    /// The processor asked.
    pub processor: ProcessorName,
    /// What is asked for, in minor units of the payment's currency.
    pub amount_minor: i64,
    /// Where it stands.
    pub status: AttemptStatus,
    /// The processor's id of the payment or refund, once told.
    pub processor_id: Option<String>,
    /// Why it did not succeed.
    pub failure: Option<Failure>,
    /// When it was made durable.
    pub created_at_ms: u64,
    /// When it was last changed.
    pub updated_at_ms: u64,
}
