//! The embedded store's rows beneath a batch.

use crate::batch::codec::decode;
use crate::batch::{Base, Table, Window, WindowKey, keys};
use crate::embedded::tables::{OUTCOMES_GONE, Tables};
use crate::embedded::windows::Windows;
use crate::error::StoreError;
use crate::lsm::{Batch, Keyspace, Slice};
use std::ops::ControlFlow;
use tollgate_core::attempt::Attempt;
use tollgate_core::audit::key::LogKey;
use tollgate_core::event::EventRecord;
use tollgate_core::id::AttemptId;
use tollgate_core::ledger::Posting;
use tollgate_core::webhook::outcome::WebhookOutcome;

impl Tables {
    const fn of(&self, table: Table) -> &Keyspace {
        match table {
            Table::Merchants => &self.merchants,
            Table::ApiKeys => &self.api_keys,
            Table::KeyUses => &self.key_uses,
            Table::Passkeys => &self.passkeys,
            Table::Payments => &self.payments,
            Table::Attempts => &self.attempts,
            Table::Refunds => &self.refunds,
            Table::Balances => &self.balances,
            Table::Totals => &self.totals,
            Table::Events => &self.events,
            Table::MerchantEvents => &self.merchant_events,
            Table::UserPayments => &self.user_payments,
            Table::Checkouts => &self.checkouts,
            Table::CheckoutPayments => &self.checkout_payments,
            Table::MerchantCheckouts => &self.merchant_checkouts,
            Table::SavedCards => &self.saved_cards,
            Table::UserCards => &self.user_cards,
            Table::ProcessorAccounts => &self.processor_accounts,
            Table::Policies => &self.policies,
            Table::RiskLists => &self.risk_lists,
            Table::Notices => &self.notices,
            Table::Partners => &self.partners,
            Table::PartnerReferences => &self.partner_references,
            Table::MerchantPartners => &self.merchant_partners,
            Table::Deadlines => &self.deadlines,
            Table::Jobs => &self.jobs,
            Table::JobDue => &self.job_due,
            Table::JobTurns => &self.job_turns,
            Table::JobLeases => &self.job_leases,
            Table::JobEnded => &self.job_ended,
            Table::LogReaders => &self.log_readers,
            Table::WebhookEndpoints => &self.webhook_endpoints,
            Table::Deliveries => &self.deliveries,
            Table::EndpointDeliveries => &self.endpoint_deliveries,
            Table::DeadDeliveries => &self.dead_deliveries,
            Table::DeliveryTimes => &self.delivery_times,
            Table::Calls => &self.calls,
        }
    }

    const fn window(&self, window: Window) -> &Windows {
        match window {
            Window::Idempotency => &self.idempotency,
            Window::Messages => &self.messages,
        }
    }
}

impl Base for Tables {
    type Bytes = Slice;
    type Batch = Batch;

    const NUMBERS_EVENTS: bool = true;

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Slice>, StoreError> {
        Ok(self.of(table).get(key)?)
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        for row in self.of(table).range(from..to) {
            let (key, value) = row.into_inner()?;
            if each(&key, &value)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn find(&self, window: Window, key: &WindowKey, now_ms: u64) -> Result<Option<(u64, Slice)>, StoreError> {
        self.window(window).find(&key.to_bytes(), now_ms)
    }

    fn idempotency_ms(&self) -> u64 {
        self.idempotency.retention_ms()
    }

    fn log_key(&self) -> &LogKey {
        &self.log_key
    }

    fn put(&self, batch: &mut Batch, table: Table, key: &[u8], row: &[u8]) {
        batch.insert(self.of(table), key, row);
    }

    fn remove(&self, batch: &mut Batch, table: Table, key: &[u8]) {
        batch.remove(self.of(table), key);
    }

    /// One that is still waited for lies beside the others: so nothing else has to say that it is.
    fn put_attempt(&self, batch: &mut Batch, attempt: &Attempt, row: &[u8]) {
        let id = attempt.id.to_bytes();
        if attempt.status.is_watched() {
            batch.insert(&self.open_attempts, id, row);
        } else {
            batch.insert(&self.attempts, id, row);
            batch.remove(&self.open_attempts, id);
        }
    }

    /// Its older row may lie where those lie that are not waited for.
    fn attempt(&self, id: AttemptId) -> Result<Option<Slice>, StoreError> {
        match self.open_attempts.get(id.to_bytes())? {
            Some(row) => Ok(Some(row)),
            None => Ok(self.attempts.get(id.to_bytes())?),
        }
    }

    fn rewrite_event(&self, batch: &mut Batch, record: &EventRecord, row: &[u8]) {
        batch.insert(&self.events, record.sequence.to_be_bytes(), row);
    }

    /// What it books stands behind it.
    fn put_event(
        &self,
        batch: &mut Batch,
        (record, mut row): (&EventRecord, Vec<u8>),
        posting: Option<(&Posting, Vec<u8>)>,
    ) {
        if let Some((_, posting)) = posting {
            row.extend_from_slice(&posting);
        }
        batch.insert(&self.events, record.sequence.to_be_bytes(), row);
    }

    fn keep(
        &self,
        batch: &mut Batch,
        window: Window,
        day: u64,
        key: &WindowKey,
        row: &[u8],
    ) -> Result<(), StoreError> {
        let keyspace = self.window(window).of_day(&self.database, day)?;
        batch.insert(&keyspace, key.to_bytes(), row);
        Ok(())
    }

    fn put_outcome(&self, batch: &mut Batch, sequence: u64, _outcome: &WebhookOutcome, row: &[u8]) {
        batch.insert(&self.outcomes, sequence.to_be_bytes(), row);
    }

    fn forget_outcomes(
        &self,
        batch: &mut Batch,
        from: u64,
        before_ms: u64,
        most: usize,
    ) -> Result<u64, StoreError> {
        let mut gone = None;
        for row in self.outcomes.range(from.to_be_bytes()..).take(most) {
            let (key, row) = row.into_inner()?;
            let outcome: WebhookOutcome = decode(&row, "outcome of a delivery")?;
            if outcome.at_ms >= before_ms {
                break;
            }
            gone = keys::number(&key, 0);
            batch.remove(&self.outcomes, key);
        }
        if let Some(gone) = gone {
            batch.insert(&self.meta, OUTCOMES_GONE, gone.to_be_bytes());
        }
        Ok(gone.map_or(from, |gone| gone.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::overlay::Overlay;
    use crate::lsm::{Database, Options};

    #[test]
    fn what_is_staged_lies_over_what_is_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path(), Options::default()).unwrap();
        let tables = Tables::open(database, 1).unwrap();
        for key in ["b", "d"] {
            tables.jobs.insert(key, "disk").unwrap();
        }
        let mut overlay = Overlay::new(&tables, Table::Jobs, "row");
        let first = |overlay: &Overlay<'_, Tables>| {
            overlay.first(b"a", b"z").unwrap().map(|(key, _)| String::from_utf8(key).unwrap())
        };
        assert_eq!(first(&overlay).as_deref(), Some("b"));
        overlay.remove(b"b");
        assert_eq!(first(&overlay).as_deref(), Some("d"));
        overlay.put_bytes(b"c", b"staged");
        assert_eq!(first(&overlay).as_deref(), Some("c"));
        overlay.remove(b"c");
        overlay.remove(b"d");
        assert_eq!(first(&overlay), None);
        overlay.put(b"b", &7_u32).unwrap();
        assert_eq!(overlay.get::<u32>(b"b").unwrap(), Some(7));
        assert_eq!(overlay.first(b"c", b"a").unwrap(), None);
        let mut batch = tables.database.batch(0);
        overlay.drain(&mut batch);
        batch.commit().unwrap();
        assert_eq!(tables.jobs.iter().count(), 1);
    }
}
