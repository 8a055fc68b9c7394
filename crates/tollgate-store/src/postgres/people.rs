//! Reading what is known of a person, merchant by merchant.

use crate::batch::codec::decode;
use crate::commit::IdempotencyRecord;
use crate::error::StoreError;
use crate::postgres::link::{Id, Link, Param, Query, big, column, natural};
use crate::postgres::list::count;
use crate::query::{CheckoutPage, LIMIT_MAX, ReplyFilter, ReplyPage, ReplyPlace, SCAN_MAX};
use std::collections::HashSet;
use tollgate_core::checkout::CheckoutSession;
use tollgate_core::erasure::Subject;
use tollgate_core::id::{CheckoutId, MerchantId, PaymentId};

/// The replies of some payments, by the digest of their keys and the day.
pub(super) async fn replies(
    link: &Link,
    merchant_id: MerchantId,
    filter: &ReplyFilter,
) -> Result<ReplyPage, StoreError> {
    let wanted: HashSet<PaymentId> = filter.payments.iter().copied().collect();
    let (first, last) = (big(*filter.days.start()), big(*filter.days.end()));
    let (mut page, mut after, mut looked_at) = (ReplyPage::default(), filter.after, 0);
    let what = "idempotency record";
    while looked_at < SCAN_MAX {
        let digest = after.map_or(Vec::new(), |after| after.digest.to_vec());
        let day = after.map_or(0, |after| big(after.day));
        let query = Query::Fixed(include_str!("sql/idempotency_page.sql"));
        let params: [Param<'_>; 6] =
            [&Id(merchant_id.to_bytes()), &digest, &day, &first, &last, &count(LIMIT_MAX)];
        let rows = link.query(query, &params).await?;
        for row in &rows {
            let record: IdempotencyRecord = decode(column(row, 2, what)?, what)?;
            let digest: &[u8] = column(row, 1, what)?;
            let digest = digest.try_into().map_err(|_| StoreError::Corrupt(what))?;
            if wanted.contains(&record.payment_id) {
                page.replies.push((record.payment_id, digest));
            }
            after = Some(ReplyPlace { day: natural(column(row, 0, what)?), digest });
        }
        if rows.len() < LIMIT_MAX {
            return Ok(page);
        }
        looked_at += rows.len();
    }
    page.next = after;
    Ok(page)
}

/// A person's checkout sessions, newest first.
pub(super) async fn checkouts(
    link: &Link,
    merchant_id: MerchantId,
    subject: &Subject,
    before: Option<CheckoutId>,
    limit: usize,
) -> Result<CheckoutPage, StoreError> {
    let (merchant, from) = (Id(merchant_id.to_bytes()), Vec::<u8>::new());
    let mut to = before.map_or(vec![u8::MAX; 17], |before| before.to_bytes().to_vec());
    let (mut page, mut looked_at) = (CheckoutPage::default(), 0);
    while looked_at < SCAN_MAX {
        let query = Query::Of(include_str!("sql/owned_scan_back.sql"), "checkouts");
        let rows = link.query(query, &[&merchant, &from, &to, &count(LIMIT_MAX)]).await?;
        for row in &rows {
            let session: CheckoutSession = decode(column(row, 1, "checkout")?, "checkout")?;
            to = session.id.to_bytes().to_vec();
            if !subject.is_of_customer(&session.customer) {
                continue;
            }
            if page.sessions.len() == limit.clamp(1, LIMIT_MAX) {
                page.next = page.sessions.last().map(|session| session.id);
                return Ok(page);
            }
            page.sessions.push(session);
        }
        if rows.len() < LIMIT_MAX {
            return Ok(page);
        }
        looked_at += rows.len();
    }
    page.next = to.as_slice().try_into().ok().map(CheckoutId::from_bytes);
    Ok(page)
}
