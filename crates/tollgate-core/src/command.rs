//! Commands: what may be asked of the store. Each is decided and booked inside one commit.

use crate::attempt::AttemptStart;
use crate::audit::By;
use crate::event::{Flag, PaymentTerms};
use crate::failure::Failure;
use crate::id::{AttemptId, PaymentId, RefundId};
use crate::outcome::Outcome;
use crate::partner::NotAdmitted;
use std::sync::Arc;

/// A change asked of one payment.
#[derive(Debug, Clone)]
pub enum Command {
    /// Begin a payment with its first charge attempt.
    Create {
        /// Its id.
        payment_id: PaymentId,
        /// What it is.
        terms: Arc<PaymentTerms>,
        /// The first charge attempt.
        attempt: AttemptStart,
    },
    /// Record what became of an attempt.
    Settle {
        /// The payment.
        payment_id: PaymentId,
        /// The attempt.
        attempt_id: AttemptId,
        /// What became of it.
        outcome: Outcome,
        /// The charge to try next if this one provably took nothing.
        next: Option<AttemptStart>,
    },
    /// Begin a capture.
    Capture {
        /// The payment.
        payment_id: PaymentId,
        /// The new attempt's id.
        attempt_id: AttemptId,
        /// How much, in minor units; nothing: all of it.
        amount_minor: Option<i64>,
    },
    /// Cancel: release an authorization, or give up waiting for the customer.
    Cancel {
        /// The payment.
        payment_id: PaymentId,
        /// The new attempt's id, used if a void must be sent.
        attempt_id: AttemptId,
    },
    /// End what has lapsed.
    Expire {
        /// The payment.
        payment_id: PaymentId,
        /// The new attempt's id, used if a void must be sent.
        attempt_id: AttemptId,
    },
    /// Begin a refund.
    Refund {
        /// The payment.
        payment_id: PaymentId,
        /// The new refund's id.
        refund_id: RefundId,
        /// The new attempt's id.
        attempt_id: AttemptId,
        /// How much, in minor units; nothing: all that is left.
        amount_minor: Option<i64>,
        /// The merchant's reason.
        reason: Option<String>,
        /// The merchant's own data.
        metadata: Vec<(String, String)>,
    },
    /// Begin the return of late money.
    Return {
        /// The payment.
        payment_id: PaymentId,
        /// The new attempt's id.
        attempt_id: AttemptId,
    },
    /// End the mandate that the payment set up.
    RevokeMandate {
        /// The payment.
        payment_id: PaymentId,
    },
    /// Record a payment that the fraud check declines: nothing is sent.
    Block {
        /// The new payment's id.
        payment_id: PaymentId,
        /// The id its first charge attempt would have had.
        attempt_id: AttemptId,
        /// What it is.
        terms: Arc<PaymentTerms>,
        /// Why.
        failure: Failure,
    },
    /// Decide a payment's review.
    Review {
        /// The payment.
        payment_id: PaymentId,
        /// Whether it is genuine.
        approved: bool,
        /// What the reviewer wrote.
        note: Option<String>,
        /// Who decides: the audit log has it.
        by: Box<By>,
    },
    /// Say whether a payment was fraud.
    Label {
        /// The payment.
        payment_id: PaymentId,
        /// Whether it was.
        fraud: bool,
        /// Who says so: the audit log has it.
        by: Box<By>,
    },
    /// Ask for a person's eye.
    Flag {
        /// The payment.
        payment_id: PaymentId,
        /// The attempt it is about.
        attempt_id: AttemptId,
        /// Why.
        flag: Flag,
    },
}

impl Command {
    /// The payment it is about.
    #[must_use]
    pub const fn payment_id(&self) -> PaymentId {
        match self {
            Self::Create { payment_id, .. }
            | Self::Settle { payment_id, .. }
            | Self::Capture { payment_id, .. }
            | Self::Cancel { payment_id, .. }
            | Self::Expire { payment_id, .. }
            | Self::Refund { payment_id, .. }
            | Self::Return { payment_id, .. }
            | Self::RevokeMandate { payment_id }
            | Self::Block { payment_id, .. }
            | Self::Review { payment_id, .. }
            | Self::Label { payment_id, .. }
            | Self::Flag { payment_id, .. } => *payment_id,
        }
    }

    /// What it brings into being, under ids that nothing else has: a payment, or a payment's refund.
    #[must_use]
    pub const fn begins(&self) -> Option<(PaymentId, Option<RefundId>)> {
        match self {
            Self::Create { payment_id, .. } | Self::Block { payment_id, .. } => Some((*payment_id, None)),
            Self::Refund { payment_id, refund_id, .. } => Some((*payment_id, Some(*refund_id))),
            _ => None,
        }
    }

    /// The attempt whose present state decides.
    #[must_use]
    pub const fn settled_attempt(&self) -> Option<AttemptId> {
        match self {
            Self::Settle { attempt_id, .. } => Some(*attempt_id),
            _ => None,
        }
    }
}

/// Times that decisions need; configuration, not rules.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// How long a customer may take to act.
    pub action_ms: u64,
    /// How long an authorization is kept before it is released.
    pub authorization_ms: u64,
}

impl Default for Policy {
    /// Five minutes to act; seven days to capture, the common card-network limit.
    fn default() -> Self {
        Self { action_ms: 5 * 60_000, authorization_ms: 7 * 86_400_000 }
    }
}

/// Most refunds of one payment.
pub const REFUNDS_MAX: usize = 200;

/// Most attempts of one payment.
pub const ATTEMPTS_MAX: usize = 250;

/// How many of [`ATTEMPTS_MAX`] a merchant's wishes cannot use up: what Tollgate itself must be able to
/// do (release what has lapsed, return late money) stays possible.
pub const ATTEMPTS_RESERVED: usize = 25;

/// A command the payment's state does not allow. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such payment of this merchant.
    #[error("no such payment")]
    NotFound,
    /// Only an authorized payment can be captured.
    #[error("a payment that is {0} cannot be captured")]
    NotCapturable(&'static str),
    /// Only an authorized or waiting payment can be cancelled.
    #[error("a payment that is {0} cannot be cancelled")]
    NotCancellable(&'static str),
    /// Nothing was captured.
    #[error("a payment that is {0} cannot be refunded")]
    NotRefundable(&'static str),
    /// Another charge, capture or void is under way.
    #[error("another operation on this payment is under way")]
    OperationInProgress,
    /// Zero or below.
    #[error("the amount must be above zero")]
    AmountNotPositive,
    /// More than can be captured.
    #[error("the amount is above what can be captured")]
    AboveCapturable {
        /// What can be captured, in minor units.
        left_minor: i64,
    },
    /// More than can be refunded.
    #[error("the amount is above what can be refunded")]
    AboveRefundable {
        /// What can be refunded, in minor units.
        left_minor: i64,
    },
    /// The merchant's balance does not cover it.
    #[error("the merchant's balance does not cover it")]
    InsufficientBalance,
    /// The payment has as many refunds or attempts as it may have.
    #[error("the payment has as many operations as it may have")]
    TooManyOperations,
    /// The payment set no mandate up.
    #[error("the payment set no mandate up")]
    NoMandate,
    /// The payment waits for no review.
    #[error("the payment waits for no review")]
    NotInReview,
    /// An id was used twice.
    #[error("the id is taken")]
    IdTaken,
    /// The checkout session's time is over, or it was ended.
    #[error("the checkout session is over")]
    CheckoutOver,
    /// The partner's state, permissions or limits do not let the payment in.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
}
