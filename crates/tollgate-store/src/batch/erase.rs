//! Forgetting a person: payments, their events, attempts and refunds, sessions and remembered replies are masked in one
//! commit, so that a payment stays the fold of its events.

use crate::batch::claims::find_idempotency;
use crate::batch::codec::{decode, decode_first, encode};
use crate::batch::digests::user_digest;
use crate::batch::txn::Txn;
use crate::batch::{Base, Table, WindowKey, keys};
use crate::commit::{CommitError, Conflict, ErasePayments, IdempotencyRecord};
use crate::error::StoreError;
use std::sync::Arc;
use tollgate_core::attempt::Attempt;
use tollgate_core::checkout::CheckoutSession;
use tollgate_core::erasure::{Words, erase_checkout, why_busy};
use tollgate_core::event::EventRecord;
use tollgate_core::id::CheckoutId;
use tollgate_core::payment::Payment;
use tollgate_core::refund::Refund;

/// What an erasure writes, worked out before anything is touched.
#[derive(Default)]
pub(super) struct Erased {
    pub(super) payments: Vec<Arc<Payment>>,
    pub(super) attempts: Vec<Attempt>,
    pub(super) refunds: Vec<Refund>,
    pub(super) events: Vec<(EventRecord, Vec<u8>)>,
    /// Claims of idempotency keys, with their days.
    pub(super) claims: Vec<(WindowKey, (u64, IdempotencyRecord))>,
    /// Checkout sessions that nobody can pay from now on.
    pub(super) closed: Vec<CheckoutId>,
    /// Rows that nothing else of a batch looks at; none: removed.
    pub(super) rows: Vec<(Table, Vec<u8>, Option<Vec<u8>>)>,
}

impl<B: Base> Txn<'_, B> {
    /// Works an erasure out. One payment that is not at rest, or was touched in this very batch, refuses all of it.
    pub(super) fn draft_erasure(&self, wish: &ErasePayments, now_ms: u64) -> Result<Erased, CommitError> {
        let mut erased = Erased::default();
        for id in &wish.payments {
            let Some(payment) = self.payment(wish.merchant_id, *id)? else {
                continue;
            };
            if why_busy(&payment, now_ms).is_some() || self.has_touched(&payment) {
                return Err(Conflict::Stale.into());
            }
            self.erase(&mut erased, wish, &payment)?;
        }
        for id in &wish.checkouts {
            let Some(row) = self.base.get(Table::Checkouts, &id.to_bytes())? else {
                continue;
            };
            let mut session: CheckoutSession = decode(row.as_ref(), "checkout")?;
            if session.merchant_id == wish.merchant_id {
                erase_checkout(&mut session, now_ms);
                erased.closed.push(*id);
                erased.rows.push((Table::Checkouts, id.to_bytes().to_vec(), Some(encode(&session)?)));
            }
        }
        for digest in &wish.replies {
            let key = WindowKey { merchant_id: wish.merchant_id, digest: *digest };
            if let Some((day, mut record)) = find_idempotency(self.base, &key, now_ms)? {
                // As if its process had died: a repeat is answered with the payment as it stands, which is masked.
                (record.reply, record.run) = (None, 0);
                erased.claims.push((key, (day, record)));
            }
        }
        Ok(erased)
    }

    /// The keys of a payment's events.
    fn event_places(&self, payment: &Payment) -> Result<Vec<Vec<u8>>, StoreError> {
        if !B::NUMBERS_EVENTS {
            let place =
                |version| keys::versioned(payment.merchant_id, payment.id, version).as_slice().to_vec();
            return Ok((1..=payment.version).map(place).collect());
        }
        let numbers = self.event_numbers(payment.merchant_id, payment.id)?;
        Ok(numbers.iter().map(|number| number.to_be_bytes().to_vec()).collect())
    }

    fn erase(&self, erased: &mut Erased, wish: &ErasePayments, payment: &Payment) -> Result<(), StoreError> {
        let words = Words::of(&wish.subject, &payment.terms);
        for place in self.event_places(payment)? {
            let row = self.base.get(Table::Events, &place)?;
            let row = row.ok_or(StoreError::Corrupt("event"))?;
            let (mut record, behind) = decode_first::<EventRecord>(row.as_ref(), "event")?;
            words.erase_event(&mut record.event);
            erased.events.push((record, behind.to_vec()));
        }
        for attempt in &payment.attempts {
            if let Some(mut attempt) = self.attempt(*attempt)? {
                words.erase_attempt(&mut attempt);
                erased.attempts.push(attempt);
            }
        }
        for refund in &payment.refunds {
            if let Some(mut refund) = self.refund(payment.merchant_id, *refund)? {
                words.erase_refund(&mut refund);
                erased.refunds.push(refund);
            }
        }
        if let Some(user_id) = &payment.terms.user_id {
            let key = keys::user_payment(payment.merchant_id, user_digest(user_id), payment.id);
            erased.rows.push((Table::UserPayments, key.to_vec(), None));
        }
        let mut payment = payment.clone();
        words.erase_payment(&mut payment);
        erased.payments.push(Arc::new(payment));
        Ok(())
    }
}
