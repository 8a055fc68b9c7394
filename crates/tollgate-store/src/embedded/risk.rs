//! Reading the fraud lists.

use super::read::View;
use crate::batch::keys;
use crate::error::StoreError;
use crate::query::RiskList;
use tollgate_core::id::{MerchantId, PaymentId};
use tollgate_core::payment::Payment;

/// The most payments given at once.
const LIMIT_MAX: usize = 1_000;

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
