//! The fraud lists that a payment is on.

use crate::query::RiskList;
use tollgate_core::payment::Payment;
use tollgate_core::risk::{FollowUp, ReviewState, Verdict};

/// How many lists there are.
pub(crate) const LISTS: usize = 4;

/// Each list, and whether the payment is on it.
pub(crate) fn lists(payment: &Payment) -> [(RiskList, bool); LISTS] {
    let waits = payment.review.as_ref().is_some_and(|review| review.state == ReviewState::Waiting);
    let alarms =
        payment.terms.risk.as_ref().is_some_and(|risk| {
            risk.assessment.verdict > Verdict::Allow || risk.assessment.fallback.is_some()
        });
    [
        (RiskList::Review, waits),
        (RiskList::Alerts, alarms),
        (RiskList::Labelled, payment.labelled_fraud.is_some()),
        (RiskList::Decided, FollowUp::of(payment).is_some()),
    ]
}
