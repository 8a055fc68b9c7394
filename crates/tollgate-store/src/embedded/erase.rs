//! Forgetting a person: payments, their events, attempts and refunds, sessions and remembered replies are masked in one
//! commit, so that a payment stays the fold of its events.

use crate::commit::{CommitError, Conflict, ErasePayments};
use crate::embedded::codec::{decode, encode};
use crate::embedded::keys;
use crate::embedded::txn::{Txn, find_idempotency, user_digest};
use crate::error::StoreError;
use fjall::Keyspace;
use std::sync::Arc;
use tollgate_core::attempt::Attempt;
use tollgate_core::checkout::CheckoutSession;
use tollgate_core::erasure::{Words, erase_checkout, why_busy};
use tollgate_core::event::EventRecord;
use tollgate_core::payment::Payment;
use tollgate_core::refund::Refund;

/// What an erasure writes, worked out before anything is touched.
#[derive(Default)]
pub(super) struct Erased {
    pub(super) payments: Vec<Arc<Payment>>,
    pub(super) attempts: Vec<Attempt>,
    pub(super) refunds: Vec<Refund>,
    /// Rows that nothing else of a batch looks at; none: removed.
    pub(super) rows: Vec<(Keyspace, Vec<u8>, Option<Vec<u8>>)>,
}

impl Txn<'_> {
    /// Works an erasure out. One payment that is not at rest, or was touched in this very batch, refuses all of it.
    pub(super) fn draft_erasure(&self, wish: &ErasePayments, now_ms: u64) -> Result<Erased, CommitError> {
        let mut erased = Erased::default();
        let tables = self.tables;
        for id in &wish.payments {
            let Some(payment) = self.payment(wish.merchant_id, *id)? else {
                continue;
            };
            if why_busy(&payment, now_ms).is_some() || self.has_touched(&payment) {
                return Err(Conflict::Stale.into());
            }
            let words = Words::of(&wish.subject, &payment.terms);
            for version in 1..=payment.version {
                let place = keys::versioned(payment.merchant_id, payment.id, version);
                let sequence = tables.payment_events.get(place).map_err(StoreError::from)?;
                let sequence = sequence.ok_or(StoreError::Corrupt("payment's event"))?;
                let row = tables.events.get(&sequence).map_err(StoreError::from)?;
                let mut record: EventRecord = decode(&row.ok_or(StoreError::Corrupt("event"))?, "event")?;
                words.erase_event(&mut record.event);
                erased.rows.push((tables.events.clone(), sequence.to_vec(), Some(encode(&record)?)));
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
                erased.rows.push((tables.user_payments.clone(), key.to_vec(), None));
            }
            let mut payment = Payment::clone(&payment);
            words.erase_payment(&mut payment);
            erased.payments.push(Arc::new(payment));
        }
        for id in &wish.checkouts {
            let row = tables.checkouts.get(id.to_bytes()).map_err(StoreError::from)?;
            let Some(mut session) = row.map(|row| decode::<CheckoutSession>(&row, "checkout")).transpose()?
            else {
                continue;
            };
            if session.merchant_id == wish.merchant_id {
                erase_checkout(&mut session);
                let row = Some(encode(&session)?);
                erased.rows.push((tables.checkouts.clone(), id.to_bytes().to_vec(), row));
            }
        }
        for key in &wish.replies {
            if let Some((keyspace, mut record)) = find_idempotency(tables, key, now_ms)? {
                // As if its process had died: a repeat is answered with the payment as it stands, which is masked.
                (record.reply, record.run) = (None, 0);
                erased.rows.push((keyspace, key.to_vec(), Some(encode(&record)?)));
            }
        }
        Ok(erased)
    }
}
