//! The payment state machine: one table. Whatever is not in it is an error.

use serde::{Deserialize, Serialize};

/// A payment's status. The order is stored: append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// The first charge is on its way.
    Pending,
    /// The customer has to act.
    RequiresAction,
    /// The outcome is not known yet.
    Processing,
    /// The money is reserved.
    Authorized,
    /// The money is taken.
    Completed,
    /// Part of the money went back.
    PartiallyRefunded,
    /// All of the money went back.
    Refunded,
    /// Finally refused.
    Declined,
    /// Provably not processed by anybody.
    Failed,
    /// Ended by the merchant before any money was taken.
    Cancelled,
    /// Lapsed before any money was taken.
    Expired,
}

use PaymentStatus::{
    Authorized, Cancelled, Completed, Declined, Expired, Failed, PartiallyRefunded, Pending, Processing,
    Refunded, RequiresAction,
};

impl PaymentStatus {
    /// Every status.
    pub const ALL: [Self; 11] = [
        Pending,
        RequiresAction,
        Processing,
        Authorized,
        Completed,
        PartiallyRefunded,
        Refunded,
        Declined,
        Failed,
        Cancelled,
        Expired,
    ];

    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Pending => "pending",
            RequiresAction => "requires_action",
            Processing => "processing",
            Authorized => "authorized",
            Completed => "completed",
            PartiallyRefunded => "partially_refunded",
            Refunded => "refunded",
            Declined => "declined",
            Failed => "failed",
            Cancelled => "cancelled",
            Expired => "expired",
        }
    }

    /// The status by its API name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// Its place in [`PaymentStatus::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Whether nothing leads out of it.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        !TABLE.iter().any(|(from, _, to)| *from == self && *to != self)
    }
}

/// What moves a payment from one status to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// The processor wants the customer to act.
    NeedAction,
    /// The outcome became doubtful or asynchronous.
    LoseSight,
    /// The money was reserved.
    Authorize,
    /// The charge took the money.
    Charge,
    /// The charge was refused.
    Decline,
    /// The charge was provably not processed.
    Fail,
    /// A reservation was taken.
    Capture,
    /// A reservation was released, or the merchant ended it before the customer acted.
    Cancel,
    /// Time was over.
    Expire,
    /// Part of what was taken went back, and some is left.
    RefundPart,
    /// The last of what was taken went back.
    RefundRest,
}

/// The state machine: from, trigger, to.
pub const TABLE: [(PaymentStatus, Trigger, PaymentStatus); 26] = [
    (Pending, Trigger::NeedAction, RequiresAction),
    (Pending, Trigger::LoseSight, Processing),
    (Pending, Trigger::Authorize, Authorized),
    (Pending, Trigger::Charge, Completed),
    (Pending, Trigger::Decline, Declined),
    (Pending, Trigger::Fail, Failed),
    (Pending, Trigger::Cancel, Cancelled),
    (RequiresAction, Trigger::Authorize, Authorized),
    (RequiresAction, Trigger::Charge, Completed),
    (RequiresAction, Trigger::Decline, Declined),
    (RequiresAction, Trigger::Fail, Failed),
    (RequiresAction, Trigger::Cancel, Cancelled),
    (RequiresAction, Trigger::Expire, Expired),
    (Processing, Trigger::NeedAction, RequiresAction),
    (Processing, Trigger::Authorize, Authorized),
    (Processing, Trigger::Charge, Completed),
    (Processing, Trigger::Decline, Declined),
    (Processing, Trigger::Fail, Failed),
    // Only the processor itself can say that a charge of unknown outcome was released.
    (Processing, Trigger::Cancel, Cancelled),
    (Authorized, Trigger::Capture, Completed),
    (Authorized, Trigger::Cancel, Cancelled),
    (Authorized, Trigger::Expire, Expired),
    (Completed, Trigger::RefundPart, PartiallyRefunded),
    (Completed, Trigger::RefundRest, Refunded),
    (PartiallyRefunded, Trigger::RefundPart, PartiallyRefunded),
    (PartiallyRefunded, Trigger::RefundRest, Refunded),
];

/// Where a trigger leads from a status.
///
/// # Errors
/// The pair is not in [`TABLE`].
pub fn next(from: PaymentStatus, trigger: Trigger) -> Result<PaymentStatus, IllegalTransition> {
    TABLE
        .iter()
        .find(|(status, on, _)| *status == from && *on == trigger)
        .map(|(_, _, to)| *to)
        .ok_or(IllegalTransition { from, trigger })
}

/// The state machine knows no such step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a payment that is {from:?} cannot {trigger:?}")]
pub struct IllegalTransition {
    /// The status it was in.
    pub from: PaymentStatus,
    /// What was to happen.
    pub trigger: Trigger,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_are_ends() {
        let ends: Vec<_> = PaymentStatus::ALL.into_iter().filter(|status| status.is_terminal()).collect();
        assert_eq!(ends, [Refunded, Declined, Failed, Cancelled, Expired]);
    }

    #[test]
    fn no_pair_stands_twice() {
        for (place, (from, trigger, _)) in TABLE.iter().enumerate() {
            let again = TABLE.iter().skip(place + 1).any(|(f, t, _)| f == from && t == trigger);
            assert!(!again, "{from:?} {trigger:?}");
        }
    }

    #[test]
    fn indexes_match_the_list() {
        for (place, status) in PaymentStatus::ALL.into_iter().enumerate() {
            assert_eq!(status.index(), place);
            assert_eq!(PaymentStatus::from_name(status.as_str()), Some(status));
        }
    }
}
