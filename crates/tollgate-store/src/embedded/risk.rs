//! The fraud lists: which a payment is on, and reading them.

use super::keys;
use super::read::View;
use crate::error::StoreError;
use crate::query::RiskList;
use fjall::Readable;
use tollgate_core::id::{MerchantId, PaymentId};
use tollgate_core::payment::Payment;
use tollgate_core::risk::{FollowUp, ReviewState, Verdict};

/// The most payments given at once.
const LIMIT_MAX: usize = 1_000;

/// How many lists there are.
pub(super) const LISTS: usize = 4;

/// Each list, and whether the payment is on it.
pub(super) fn lists(payment: &Payment) -> [(RiskList, bool); LISTS] {
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

/// The payments of a list, newest first.
pub(super) fn payments(
    view: &View,
    merchant_id: MerchantId,
    list: RiskList,
    before: Option<PaymentId>,
    limit: usize,
) -> Result<Vec<Payment>, StoreError> {
    let from = keys::risk_list(merchant_id, list, [0; 16]);
    let to = keys::risk_list(merchant_id, list, before.map_or([u8::MAX; 16], PaymentId::to_bytes));
    let mut payments = Vec::new();
    for row in view.snapshot.range(&view.tables.risk_lists, from..to).rev().take(limit.min(LIMIT_MAX)) {
        let key = row.key()?;
        let id = keys::bytes16(&key, 17).ok_or(StoreError::Corrupt("fraud list"))?;
        payments.extend(view.row(&view.tables.payments, &keys::owned(merchant_id, id), "payment")?);
    }
    Ok(payments)
}
