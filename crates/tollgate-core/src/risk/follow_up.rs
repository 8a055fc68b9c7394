//! What a decided review still asks for.

use super::ReviewState;
use crate::attempt::AttemptKind;
use crate::payment::Payment;
use crate::transition::PaymentStatus;

/// What has to be done because of a reviewer's decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowUp {
    /// Take the money that was only reserved until the decision.
    Capture,
    /// Release what is reserved, or stop waiting for the customer.
    Cancel,
    /// Give the money back.
    Refund,
}

impl FollowUp {
    /// What is left to be done now. Follows from the payment alone, so that it can be found again after a
    /// crash; nothing while something is under way, because its end may change the answer.
    #[must_use]
    pub fn of(payment: &Payment) -> Option<Self> {
        let state = payment.review.as_ref()?.state;
        let busy = payment.open_operation.as_ref().is_some_and(|open| open.kind != AttemptKind::Charge);
        if busy {
            return None;
        }
        match (state, payment.status) {
            (ReviewState::Approved, PaymentStatus::Authorized) => {
                let holds = payment.terms.risk.as_ref().is_some_and(|risk| risk.holds_capture);
                holds.then_some(Self::Capture)
            }
            (ReviewState::Rejected, PaymentStatus::Authorized | PaymentStatus::RequiresAction) => {
                Some(Self::Cancel)
            }
            (ReviewState::Rejected, PaymentStatus::Completed | PaymentStatus::PartiallyRefunded) => {
                (payment.refundable_minor() > 0).then_some(Self::Refund)
            }
            _ => None,
        }
    }
}
