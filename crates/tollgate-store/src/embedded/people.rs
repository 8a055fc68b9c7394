//! Reading what is known of a person, merchant by merchant.

use crate::batch::codec::decode;
use crate::batch::{WindowKey, keys};
use crate::commit::IdempotencyRecord;
use crate::embedded::read::View;
use crate::error::StoreError;
use crate::query::{CheckoutPage, LIMIT_MAX, ReplyFilter, ReplyPage, ReplyPlace, SCAN_MAX};
use std::collections::HashSet;
use std::ops::Bound;
use tollgate_core::checkout::CheckoutSession;
use tollgate_core::erasure::Subject;
use tollgate_core::id::{CheckoutId, MerchantId, PaymentId};

/// The replies of some payments, by the day and the digest of their keys.
pub(super) fn replies(
    view: &View,
    merchant_id: MerchantId,
    filter: &ReplyFilter,
) -> Result<ReplyPage, StoreError> {
    let wanted: HashSet<PaymentId> = filter.payments.iter().copied().collect();
    let (mut page, mut looked_at) = (ReplyPage::default(), 0);
    let to = Bound::Included(WindowKey { merchant_id, digest: [u8::MAX; 32] }.to_bytes());
    for (day, keyspace) in view.tables.idempotency.of_days(filter.days.clone()) {
        let from = match filter.after {
            Some(after) if day < after.day => continue,
            Some(after) if day == after.day => {
                Bound::Excluded(WindowKey { merchant_id, digest: after.digest }.to_bytes())
            }
            _ => Bound::Included(WindowKey { merchant_id, digest: [0; 32] }.to_bytes()),
        };
        for row in view.snapshot.range(&keyspace, (from, to)) {
            let (key, row) = row.into_inner()?;
            let corrupt = StoreError::Corrupt("idempotency key");
            let Some(digest) = key.get(16..).and_then(|digest| digest.try_into().ok()) else {
                return Err(corrupt);
            };
            let record: IdempotencyRecord = decode(&row, "idempotency record")?;
            if wanted.contains(&record.payment_id) {
                page.replies.push((record.payment_id, digest));
            }
            looked_at += 1;
            if looked_at >= SCAN_MAX {
                page.next = Some(ReplyPlace { day, digest });
                return Ok(page);
            }
        }
    }
    Ok(page)
}

/// A person's checkout sessions, newest first.
pub(super) fn checkouts(
    view: &View,
    merchant_id: MerchantId,
    subject: &Subject,
    before: Option<CheckoutId>,
    limit: usize,
) -> Result<CheckoutPage, StoreError> {
    let from = keys::owned(merchant_id, [0; 16]);
    let to = keys::owned(merchant_id, before.map_or([u8::MAX; 16], CheckoutId::to_bytes));
    let mut page = CheckoutPage::default();
    if from >= to {
        return Ok(page);
    }
    let index = view.snapshot.range(&view.tables.merchant_checkouts, from..to).rev();
    for (looked_at, row) in index.enumerate() {
        let id = keys::bytes16(&row.key()?, 16).ok_or(StoreError::Corrupt("checkout index"))?;
        if looked_at >= SCAN_MAX {
            page.next = Some(CheckoutId::from_u128(u128::from_be_bytes(id).saturating_add(1)));
            break;
        }
        let found: Option<CheckoutSession> = view.row(&view.tables.checkouts, &id, "checkout")?;
        let session = found.ok_or(StoreError::Corrupt("checkout index without a session"))?;
        if !subject.is_of_customer(&session.customer) {
            continue;
        }
        if page.sessions.len() == limit.clamp(1, LIMIT_MAX) {
            page.next = page.sessions.last().map(|session| session.id);
            break;
        }
        page.sessions.push(session);
    }
    Ok(page)
}
