//! Idempotency keys in a batch: claimed by who begins, answered by who finishes.

use crate::batch::codec::decode;
use crate::batch::digests::idempotency_key;
use crate::batch::txn::Txn;
use crate::batch::{Base, DAY_MS, Window, WindowKey};
use crate::commit::{CommitError, Committed, IdempotencyRecord, IdempotencyStep, StoredReply};
use crate::error::StoreError;
use tollgate_core::id::MerchantId;

impl<B: Base> Txn<'_, B> {
    pub(super) fn require_free_key(
        &self,
        merchant_id: MerchantId,
        key: &str,
        fingerprint: &[u8; 32],
        now_ms: u64,
    ) -> Result<(), CommitError> {
        let Some((_, record)) = self.idempotency_record(&idempotency_key(merchant_id, key), now_ms)? else {
            return Ok(());
        };
        if record.fingerprint != *fingerprint {
            return Err(CommitError::KeyMismatch);
        }
        match record.reply {
            Some(reply) => Err(CommitError::Replay(reply)),
            None if record.run == self.run || self.base.is_at_work(record.run)? => {
                Err(CommitError::KeyInFlight)
            }
            None => {
                Err(CommitError::KeyOrphaned { payment_id: record.payment_id, refund_id: record.refund_id })
            }
        }
    }

    /// Claims an idempotency key, or remembers the reply under it.
    pub(super) fn remember(
        &mut self,
        merchant_id: MerchantId,
        now_ms: u64,
        step: Option<IdempotencyStep>,
        committed: &mut Committed,
    ) -> Result<(), CommitError> {
        match step {
            None => {}
            Some(IdempotencyStep::Begin { key, fingerprint }) => {
                let record = IdempotencyRecord {
                    fingerprint,
                    created_at_ms: now_ms,
                    run: self.run,
                    payment_id: committed.payment.id,
                    refund_id: committed.refund.as_ref().map(|refund| refund.id),
                    reply: None,
                };
                self.idempotency.insert(idempotency_key(merchant_id, &key), (now_ms / DAY_MS, record));
            }
            Some(IdempotencyStep::Finish { key, payment_id, refund_id, claimed_ms, render }) => {
                let key = idempotency_key(merchant_id, &key);
                let found = self.idempotency_record(&key, now_ms)?;
                // Another request may have claimed it since: it gets its own reply.
                let own = found.filter(|(_, record)| {
                    (record.payment_id, record.refund_id) == (payment_id, refund_id)
                        && claimed_ms.is_none_or(|claimed_ms| record.created_at_ms == claimed_ms)
                });
                let Some((day, mut record)) = own else {
                    committed.reply = Some(render(&committed.payment, committed.refund.as_deref()));
                    return Ok(());
                };
                let reply: StoredReply = match record.reply.take() {
                    Some(reply) => reply,
                    None => render(&committed.payment, committed.refund.as_deref()),
                };
                record.reply = Some(reply.clone());
                committed.reply = Some(reply);
                self.idempotency.insert(key, (day, record));
            }
        }
        Ok(())
    }

    fn idempotency_record(
        &self,
        key: &WindowKey,
        now_ms: u64,
    ) -> Result<Option<(u64, IdempotencyRecord)>, StoreError> {
        if let Some(found) = self.idempotency.get(key) {
            return Ok(Some(found.clone()));
        }
        if let Some((day, record)) = self.state.claims.get(key)
            && record.is_alive(self.base.idempotency_ms(), now_ms)
        {
            return Ok(Some((*day, record.clone())));
        }
        find_idempotency(self.base, key, now_ms)
    }
}

/// The row remembered under a hashed key, if it still lives.
pub(crate) fn find_idempotency<B: Base>(
    base: &B,
    key: &WindowKey,
    now_ms: u64,
) -> Result<Option<(u64, IdempotencyRecord)>, StoreError> {
    let Some((day, row)) = base.find(Window::Idempotency, key, now_ms)? else {
        return Ok(None);
    };
    let record: IdempotencyRecord = decode(row.as_ref(), "idempotency record")?;
    Ok(record.is_alive(base.idempotency_ms(), now_ms).then_some((day, record)))
}
