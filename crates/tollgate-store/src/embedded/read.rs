//! Reading the embedded store. Point reads are done in place (microseconds); scans run on the
//! blocking pool so that a long page never holds up the event loop.

use crate::batch::codec::{behind, decode};
use crate::batch::{api_keys, claims, digests, keys, numbers};
use crate::commit::{
    AccountCalls, Admin, Commit, CommitError, Committed, EndpointCalls, IdempotencyRecord, Upkeep,
};
use crate::embedded::tables::{AUDIT_HEAD, Tables};
use crate::embedded::{EmbeddedStore, backlog, people, risk};
use crate::error::StoreError;
use crate::jobs::{
    DeliveryFilter, DeliveryPage, DueLane, JobFilter, LeaseWish, Leased, Log, LogPlace, LogReader, Work,
    Worked,
};
use crate::lsm::{Entry, Keyspace, Slice, Snapshot};
use crate::outcomes::OutcomeRecord;
use crate::query::{
    CheckoutPage, Deadline, LIMIT_MAX, OFFSET_MAX, PaymentFilter, PaymentPage, PolicyKind, ReplyFilter,
    ReplyPage, RiskList, SCAN_MAX,
};
use crate::{Store, StoreHealth};
use async_trait::async_trait;
use serde::de::DeserializeOwned;
use std::ops::Bound;
use std::sync::Arc;
use tollgate_core::api_key::{ApiKey, KeyOwner};
use tollgate_core::attempt::Attempt;
use tollgate_core::audit::key::LogKey;
use tollgate_core::audit::{AuditRecord, By, Head};
use tollgate_core::checkout::CheckoutSession;
use tollgate_core::currency::Currency;
use tollgate_core::erasure::Subject;
use tollgate_core::event::EventRecord;
use tollgate_core::id::{
    ApiKeyId, AttemptId, CheckoutId, DeliveryId, EventId, JobId, MerchantId, PartnerId, PaymentId, RefundId,
    WebhookEndpointId,
};
use tollgate_core::job::{Job, JobKind, Lane};
use tollgate_core::ledger::{Account, Balance, Posting};
use tollgate_core::merchant::Merchant;
use tollgate_core::notice::Notice;
use tollgate_core::partner::Partner;
use tollgate_core::passkey::Passkey;
use tollgate_core::payment::Payment;
use tollgate_core::processor_account::ProcessorAccount;
use tollgate_core::refund::Refund;
use tollgate_core::saved_card::SavedCard;
use tollgate_core::share::Weights;
use tollgate_core::totals::{Totals, TotalsKey};
use tollgate_core::webhook::{Delivery, WebhookEndpoint};

#[async_trait]
impl Store for EmbeddedStore {
    fn weights(&self) -> &Arc<Weights> {
        &self.weights
    }

    async fn commit(&self, commit: Box<Commit>) -> Result<Committed, CommitError> {
        self.submit_commit(commit).await
    }

    async fn administer(&self, change: Admin, by: By) -> Result<(), CommitError> {
        self.submit_admin(change, by).await
    }

    async fn upkeep(&self, change: Upkeep) -> Result<(), CommitError> {
        self.submit_upkeep(change).await
    }

    async fn partner(&self, id: PartnerId) -> Result<Option<Partner>, StoreError> {
        row(&self.tables.partners, &id.to_bytes(), "partner")
    }

    async fn partner_of(&self, merchant_id: MerchantId) -> Result<Option<Partner>, StoreError> {
        let id: Option<PartnerId> =
            row(&self.tables.merchant_partners, &merchant_id.to_bytes(), "merchant's partner")?;
        id.map_or(Ok(None), |id| row(&self.tables.partners, &id.to_bytes(), "partner"))
    }

    async fn partner_by_reference(&self, reference: &str) -> Result<Option<Partner>, StoreError> {
        let id: Option<PartnerId> =
            row(&self.tables.partner_references, reference.as_bytes(), "partner's reference")?;
        id.map_or(Ok(None), |id| row(&self.tables.partners, &id.to_bytes(), "partner"))
    }

    async fn partners(&self, after: Option<PartnerId>, limit: usize) -> Result<Vec<Partner>, StoreError> {
        let from = after.map_or(Bound::Unbounded, |id| Bound::Excluded(id.to_bytes()));
        self.scan(move |view| {
            let rows = view.snapshot.range(&view.tables.partners, (from, Bound::<[u8; 16]>::Unbounded));
            rows.take(limit.min(LIMIT_MAX)).map(|row| decode(&row.value()?, "partner")).collect()
        })
        .await
    }

    async fn audit(&self, after: u64, limit: usize) -> Result<Vec<(u64, Option<AuditRecord>)>, StoreError> {
        self.scan(move |view| {
            let from = Bound::Excluded(after.to_be_bytes());
            let rows = view.snapshot.range(&view.tables.audit, (from, Bound::<[u8; 8]>::Unbounded));
            let read = |row: Entry| {
                let (key, value) = row.into_inner()?;
                // A key that is no number stands behind all others: what was there is missed there.
                let position = keys::number(&key, 0).filter(|_| key.len() == 8).unwrap_or(u64::MAX);
                Ok((position, decode(&value, "audit record").ok()))
            };
            rows.take(limit.min(LIMIT_MAX)).map(read).collect()
        })
        .await
    }

    async fn merchant_audit(
        &self,
        merchant_id: MerchantId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        self.scan(move |view| {
            let from = keys::merchant_event(merchant_id, 0);
            let to = keys::merchant_event(merchant_id, before.unwrap_or(u64::MAX));
            let rows = view.snapshot.range(&view.tables.merchant_audit, from..to);
            let mut found = Vec::new();
            for row in rows.rev().take(limit.min(LIMIT_MAX)) {
                let sequence = keys::number(&row.key()?, 16).ok_or(StoreError::Corrupt("audit index"))?;
                let record = view.snapshot.get(&view.tables.audit, sequence.to_be_bytes())?;
                found.push(decode(&record.ok_or(StoreError::Corrupt("audit record"))?, "audit record")?);
            }
            Ok(found)
        })
        .await
    }

    async fn audit_head(&self) -> Result<Head, StoreError> {
        Ok(row(&self.tables.meta, AUDIT_HEAD, "end of the audit log")?.unwrap_or_default())
    }

    async fn work(&self, work: Work) -> Result<Worked, CommitError> {
        self.submit_work(work).await
    }

    async fn lease_jobs(&self, wish: LeaseWish) -> Result<Leased, CommitError> {
        self.submit_lease(wish).await
    }

    async fn job(&self, merchant_id: MerchantId, id: JobId) -> Result<Option<Job>, StoreError> {
        row(&self.tables.jobs, &keys::owned(merchant_id, id.to_bytes()), "job")
    }

    async fn jobs(&self, merchant_id: MerchantId, filter: JobFilter) -> Result<Vec<Job>, StoreError> {
        self.scan(move |view| backlog::jobs(view, merchant_id, filter)).await
    }

    async fn job_lanes(
        &self,
        kind: JobKind,
        after: Option<Lane>,
        limit: usize,
    ) -> Result<Vec<DueLane>, StoreError> {
        self.scan(move |view| backlog::lanes(view, kind, after, limit)).await
    }

    async fn job_depth(&self, kind: JobKind) -> Result<usize, StoreError> {
        self.scan(move |view| backlog::depth(view, kind)).await
    }

    async fn log_read(&self, reader: LogReader) -> Result<u64, StoreError> {
        Ok(row(&self.tables.log_readers, reader.as_str().as_bytes(), "log reader")?.unwrap_or(0))
    }

    fn logs(&self) -> u16 {
        1
    }

    async fn log_read_of(&self, _log: u16, reader: LogReader) -> Result<u64, StoreError> {
        self.log_read(reader).await
    }

    async fn outbox_of(
        &self,
        _log: u16,
        after_sequence: u64,
        limit: usize,
    ) -> Result<Vec<EventRecord>, StoreError> {
        self.outbox(after_sequence, limit).await
    }

    async fn log_place_of(&self, _log: u16, reader: LogReader) -> Result<LogPlace, StoreError> {
        let read = row(&self.tables.log_readers, reader.as_str().as_bytes(), "log reader")?;
        let hold = row(&self.tables.log_readers, &reader.hold_key(), "log reader")?;
        let end = match reader.log() {
            Log::Events => super::last_event(&self.tables)?,
            Log::Outcomes => super::outcome_log(&self.tables)?.last,
        };
        Ok(LogPlace { read, end, hold })
    }

    async fn webhook_endpoint(
        &self,
        merchant_id: MerchantId,
        id: WebhookEndpointId,
    ) -> Result<Option<WebhookEndpoint>, StoreError> {
        row(&self.tables.webhook_endpoints, &keys::owned(merchant_id, id.to_bytes()), "webhook endpoint")
    }

    async fn webhook_endpoints(&self, merchant_id: MerchantId) -> Result<Vec<WebhookEndpoint>, StoreError> {
        let rows = self.view().snapshot.prefix(&self.tables.webhook_endpoints, merchant_id.to_bytes());
        rows.map(|row| decode(&row.value()?, "webhook endpoint")).collect()
    }

    async fn delivery(
        &self,
        merchant_id: MerchantId,
        id: DeliveryId,
    ) -> Result<Option<Delivery>, StoreError> {
        row(&self.tables.deliveries, &keys::owned(merchant_id, id.to_bytes()), "delivery")
    }

    async fn deliveries(
        &self,
        merchant_id: MerchantId,
        filter: DeliveryFilter,
    ) -> Result<DeliveryPage, StoreError> {
        self.scan(move |view| backlog::deliveries(view, merchant_id, filter)).await
    }

    async fn merchant(&self, id: MerchantId) -> Result<Option<Merchant>, StoreError> {
        row(&self.tables.merchants, &id.to_bytes(), "merchant")
    }

    async fn merchants(&self) -> Result<Vec<Merchant>, StoreError> {
        self.scan(|view| {
            let rows = view.snapshot.iter(&view.tables.merchants);
            rows.map(|row| decode(&row.value()?, "merchant")).collect()
        })
        .await
    }

    async fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        let row = self.tables.api_keys.get(id.to_bytes())?;
        row.map(|row| api_keys::from_row(&row)).transpose()
    }

    async fn api_keys(&self, owner: KeyOwner) -> Result<Vec<ApiKey>, StoreError> {
        self.scan(move |view| {
            let mut found = Vec::new();
            for row in view.snapshot.iter(&view.tables.api_keys) {
                let key = api_keys::from_row(&row.value()?)?;
                if key.owner == owner {
                    found.push(key);
                }
            }
            Ok(found)
        })
        .await
    }

    async fn key_uses(&self, ids: Vec<ApiKeyId>) -> Result<Vec<Option<u64>>, StoreError> {
        let read = |id: ApiKeyId| {
            let Some(row) = self.tables.key_uses.get(id.to_bytes())? else {
                return Ok(None);
            };
            keys::number(&row, 0).map(Some).ok_or(StoreError::Corrupt("use of a key"))
        };
        ids.into_iter().map(read).collect()
    }

    async fn passkeys(&self, merchant_id: MerchantId, user_id: &str) -> Result<Vec<Passkey>, StoreError> {
        let prefix = keys::owned(merchant_id, digests::user_digest(user_id));
        let rows = self.view().snapshot.prefix(&self.tables.passkeys, prefix);
        rows.map(|row| decode(&row.value()?, "passkey")).collect()
    }

    async fn payment(&self, merchant_id: MerchantId, id: PaymentId) -> Result<Option<Payment>, StoreError> {
        row(&self.tables.payments, &keys::owned(merchant_id, id.to_bytes()), "payment")
    }

    async fn payments(
        &self,
        merchant_id: MerchantId,
        filter: PaymentFilter,
    ) -> Result<PaymentPage, StoreError> {
        self.scan(move |view| list(view, merchant_id, &filter)).await
    }

    async fn recent_payments(
        &self,
        merchant_id: MerchantId,
        users: Vec<String>,
    ) -> Result<Vec<Option<Payment>>, StoreError> {
        self.scan(move |view| users.iter().map(|user| latest_of_user(view, merchant_id, user)).collect())
            .await
    }

    async fn processor_accounts(&self, merchant_id: MerchantId) -> Result<Vec<ProcessorAccount>, StoreError> {
        let rows = self.view().snapshot.prefix(&self.tables.processor_accounts, merchant_id.to_bytes());
        rows.map(|row| decode(&row.value()?, "processor account")).collect()
    }

    async fn policy(&self, merchant_id: MerchantId, kind: PolicyKind) -> Result<Option<String>, StoreError> {
        let Some(row) = self.tables.policies.get(keys::policy(merchant_id, kind))? else {
            return Ok(None);
        };
        String::from_utf8(row.to_vec()).map(Some).map_err(|_| StoreError::Corrupt("policy"))
    }

    async fn notices(&self, after: Option<EventId>, limit: usize) -> Result<Vec<Notice>, StoreError> {
        let from = match after {
            Some(id) => Bound::Excluded(id.to_bytes()),
            None => Bound::Unbounded,
        };
        self.scan(move |view| {
            let rows = view.snapshot.range(&view.tables.notices, (from, Bound::<[u8; 16]>::Unbounded));
            rows.take(limit.min(LIMIT_MAX)).map(|row| decode(&row.value()?, "notice")).collect()
        })
        .await
    }

    async fn risk_payments(
        &self,
        merchant_id: MerchantId,
        list: RiskList,
        before: Option<PaymentId>,
        limit: usize,
    ) -> Result<Vec<Payment>, StoreError> {
        self.scan(move |view| risk::payments(view, merchant_id, list, before, limit)).await
    }

    async fn saved_card(
        &self,
        merchant_id: MerchantId,
        token: [u8; 16],
    ) -> Result<Option<SavedCard>, StoreError> {
        row(&self.tables.saved_cards, &keys::owned(merchant_id, token), "saved card")
    }

    async fn saved_cards(
        &self,
        merchant_id: MerchantId,
        user_id: &str,
    ) -> Result<Vec<SavedCard>, StoreError> {
        let view = self.view();
        let prefix = keys::owned(merchant_id, digests::user_digest(user_id));
        let mut cards = Vec::new();
        for row in view.snapshot.prefix(&self.tables.user_cards, prefix).take(LIMIT_MAX) {
            let token = keys::bytes16(&row.key()?, 32).ok_or(StoreError::Corrupt("card index"))?;
            let key = keys::owned(merchant_id, token);
            cards.extend(view.row(&self.tables.saved_cards, &key, "saved card")?);
        }
        Ok(cards)
    }

    async fn attempt(&self, id: AttemptId) -> Result<Option<Attempt>, StoreError> {
        let view = self.view();
        let key = id.to_bytes();
        match view.row(&self.tables.open_attempts, &key, "attempt")? {
            Some(attempt) => Ok(Some(attempt)),
            None => view.row(&self.tables.attempts, &key, "attempt"),
        }
    }

    async fn checkout(&self, id: CheckoutId) -> Result<Option<CheckoutSession>, StoreError> {
        row(&self.tables.checkouts, &id.to_bytes(), "checkout session")
    }

    async fn checkout_payments(
        &self,
        merchant_id: MerchantId,
        id: CheckoutId,
    ) -> Result<Vec<Payment>, StoreError> {
        let view = self.view();
        let mut payments = Vec::new();
        for row in view.snapshot.prefix(&self.tables.checkout_payments, id.to_bytes()) {
            let key = row.key()?;
            let payment_id = keys::bytes16(&key, 16).ok_or(StoreError::Corrupt("checkout index"))?;
            payments.extend(view.row(
                &self.tables.payments,
                &keys::owned(merchant_id, payment_id),
                "payment",
            )?);
        }
        Ok(payments)
    }

    async fn refund(&self, merchant_id: MerchantId, id: RefundId) -> Result<Option<Refund>, StoreError> {
        row(&self.tables.refunds, &keys::owned(merchant_id, id.to_bytes()), "refund")
    }

    async fn postings(&self, merchant_id: MerchantId, id: PaymentId) -> Result<Vec<Posting>, StoreError> {
        let view = self.view();
        let mut postings = Vec::new();
        for number in view.event_numbers(merchant_id, id)? {
            let row = view.event_row(&number.to_be_bytes())?;
            let posting = behind::<EventRecord>(&row, "event")?;
            if !posting.is_empty() {
                postings.push(decode(posting, "posting")?);
            }
        }
        Ok(postings)
    }

    async fn history(&self, merchant_id: MerchantId, id: PaymentId) -> Result<Vec<EventRecord>, StoreError> {
        let view = self.view();
        let numbers = view.event_numbers(merchant_id, id)?;
        numbers.iter().map(|number| view.event(&number.to_be_bytes())).collect()
    }

    async fn events(
        &self,
        merchant_id: MerchantId,
        after_sequence: u64,
        limit: usize,
    ) -> Result<Vec<EventRecord>, StoreError> {
        let from = keys::merchant_event(merchant_id, after_sequence.saturating_add(1));
        let to = keys::merchant_event(merchant_id, u64::MAX);
        let limit = limit.min(LIMIT_MAX);
        self.scan(move |view| {
            let mut events = Vec::new();
            for row in view.snapshot.range(&view.tables.merchant_events, from..=to) {
                for number in numbers::read(&row.value()?)? {
                    if number <= after_sequence {
                        continue;
                    }
                    if events.len() >= limit {
                        return Ok(events);
                    }
                    events.push(view.event(&number.to_be_bytes())?);
                }
            }
            Ok(events)
        })
        .await
    }

    async fn outcomes_of(
        &self,
        _log: u16,
        after_sequence: u64,
        limit: usize,
    ) -> Result<Vec<OutcomeRecord>, StoreError> {
        let from = after_sequence.saturating_add(1).to_be_bytes();
        self.scan(move |view| {
            let rows = view.snapshot.range(&view.tables.outcomes, from..).take(limit.min(LIMIT_MAX));
            let read = |row: Entry| {
                let (key, row) = row.into_inner()?;
                let sequence = keys::number(&key, 0).ok_or(StoreError::Corrupt("number of an outcome"))?;
                Ok(OutcomeRecord { sequence, outcome: decode(&row, "outcome of a delivery")? })
            };
            rows.map(read).collect()
        })
        .await
    }

    async fn outbox(&self, after_sequence: u64, limit: usize) -> Result<Vec<EventRecord>, StoreError> {
        let from = after_sequence.saturating_add(1).to_be_bytes();
        self.scan(move |view| {
            let rows = view.snapshot.range(&view.tables.events, from..).take(limit);
            rows.map(|row| decode(&row.value()?, "event")).collect()
        })
        .await
    }

    async fn balances(
        &self,
        merchant_id: MerchantId,
    ) -> Result<Vec<(Currency, Account, Balance)>, StoreError> {
        let mut balances = Vec::new();
        for row in self.view().snapshot.prefix(&self.tables.balances, merchant_id.to_bytes()) {
            let (key, value) = row.into_inner()?;
            let (account, balance) = decode(&value, "balance")?;
            let code = key.get(16..19).and_then(|code| std::str::from_utf8(code).ok());
            let currency =
                code.and_then(|code| code.parse().ok()).ok_or(StoreError::Corrupt("balance key"))?;
            balances.push((currency, account, balance));
        }
        Ok(balances)
    }

    async fn totals(
        &self,
        merchant_id: MerchantId,
        from_hour: u32,
        to_hour: u32,
    ) -> Result<Vec<(TotalsKey, Totals)>, StoreError> {
        if from_hour >= to_hour {
            return Ok(Vec::new());
        }
        let hours = keys::totals_hours(merchant_id, from_hour, to_hour);
        self.scan(move |view| {
            let mut found = Vec::new();
            for row in view.snapshot.range(&view.tables.totals, hours) {
                let (key, value) = row.into_inner()?;
                let key = keys::read_totals(&key).ok_or(StoreError::Corrupt("totals key"))?;
                found.push((key, decode(&value, "totals")?));
            }
            Ok(found)
        })
        .await
    }

    async fn open_attempts(
        &self,
        after: Option<AttemptId>,
        limit: usize,
    ) -> Result<Vec<Attempt>, StoreError> {
        let from = after.map_or(0, |id| id.as_u128().saturating_add(1)).to_be_bytes();
        self.scan(move |view| {
            let mut found = Vec::new();
            for row in view.snapshot.range(&view.tables.open_attempts, from..).take(limit) {
                found.push(decode(&row.value()?, "attempt")?);
            }
            Ok(found)
        })
        .await
    }

    async fn deadlines(&self, before_ms: u64, limit: usize) -> Result<Vec<Deadline>, StoreError> {
        let mut found = Vec::new();
        for row in self.view().snapshot.range(&self.tables.deadlines, ..before_ms.to_be_bytes()).take(limit) {
            let (key, value) = row.into_inner()?;
            let corrupt = StoreError::Corrupt("deadline");
            let parts = (keys::number(&key, 0), keys::bytes16(&key, 8), keys::bytes16(&value, 0));
            let (Some(at_ms), Some(payment), Some(merchant)) = parts else {
                return Err(corrupt);
            };
            found.push(Deadline {
                at_ms,
                merchant_id: MerchantId::from_bytes(merchant),
                payment_id: PaymentId::from_bytes(payment),
            });
        }
        Ok(found)
    }

    async fn idempotency(
        &self,
        merchant_id: MerchantId,
        key: &str,
        now_ms: u64,
    ) -> Result<Option<IdempotencyRecord>, StoreError> {
        let found = claims::find_idempotency(
            self.tables.as_ref(),
            &digests::idempotency_key(merchant_id, key),
            now_ms,
        )?;
        Ok(found.map(|(_, record)| record))
    }

    async fn calls_of_day(
        &self,
        day: u32,
        after: Option<MerchantId>,
        limit: usize,
    ) -> Result<Vec<AccountCalls>, StoreError> {
        let from = match after {
            Some(after) => Bound::Excluded(keys::calls(day, after)),
            None => Bound::Included(keys::calls(day, MerchantId::from_u128(0))),
        };
        let to = Bound::Included(keys::calls(day, MerchantId::from_u128(u128::MAX)));
        self.scan(move |view| {
            let mut found = Vec::new();
            for row in view.snapshot.range(&view.tables.calls, (from, to)).take(limit) {
                let (key, value) = row.into_inner()?;
                let merchant = keys::bytes16(&key, 4).ok_or(StoreError::Corrupt("calls"))?;
                let merchant_id = MerchantId::from_bytes(merchant);
                found.push(AccountCalls { merchant_id, calls: decode(&value, "calls")? });
            }
            Ok(found)
        })
        .await
    }

    async fn remembered_replies(
        &self,
        merchant_id: MerchantId,
        filter: ReplyFilter,
    ) -> Result<ReplyPage, StoreError> {
        self.scan(move |view| people::replies(view, merchant_id, &filter)).await
    }

    async fn calls_of_account(
        &self,
        day: u32,
        merchant_id: MerchantId,
    ) -> Result<Vec<EndpointCalls>, StoreError> {
        Ok(row(&self.tables.calls, &keys::calls(day, merchant_id), "calls")?.unwrap_or_default())
    }

    async fn checkouts_of(
        &self,
        merchant_id: MerchantId,
        subject: Subject,
        before: Option<CheckoutId>,
        limit: usize,
    ) -> Result<CheckoutPage, StoreError> {
        self.scan(move |view| people::checkouts(view, merchant_id, &subject, before, limit)).await
    }

    fn log_key(&self, _merchant_id: MerchantId) -> &LogKey {
        &self.tables.log_key
    }

    async fn purge(&self) -> Result<(), StoreError> {
        self.scan(|view| {
            let tables = &view.tables;
            let rows = [
                &tables.payments,
                &tables.events,
                &tables.attempts,
                &tables.open_attempts,
                &tables.refunds,
                &tables.user_payments,
                &tables.saved_cards,
                &tables.user_cards,
                &tables.passkeys,
                &tables.checkouts,
                &tables.jobs,
            ];
            let days = tables.idempotency.all();
            Ok(tables.database.purge(rows.into_iter().chain(&days))?)
        })
        .await
    }

    async fn health(&self) -> Result<StoreHealth, StoreError> {
        self.tables.meta.get(super::schema::KEY)?;
        let Some(queue) = self.queue.as_ref().filter(|queue| !queue.is_closed()) else {
            return Err(StoreError::Unavailable("the writer has stopped".to_owned()));
        };
        Ok(StoreHealth {
            queue_length: self.queue_length_max.saturating_sub(queue.capacity()),
            queue_length_max: self.queue_length_max,
        })
    }
}

/// The store as it stood after one batch: without it a reader could see half of the next one.
pub(super) struct View {
    pub(super) tables: Arc<Tables>,
    pub(super) snapshot: Snapshot,
}

impl View {
    pub(super) fn row<T: DeserializeOwned>(
        &self,
        keyspace: &Keyspace,
        key: &[u8],
        what: &'static str,
    ) -> Result<Option<T>, StoreError> {
        let bytes = self.snapshot.get(keyspace, key)?;
        bytes.map(|bytes| decode(&bytes, what)).transpose()
    }

    fn event(&self, sequence: &[u8]) -> Result<EventRecord, StoreError> {
        decode(&self.event_row(sequence)?, "event")
    }

    fn event_row(&self, sequence: &[u8]) -> Result<Slice, StoreError> {
        let row = self.snapshot.get(&self.tables.events, sequence)?;
        row.ok_or(StoreError::Corrupt("event without a row"))
    }

    /// The numbers of a payment's events, oldest first; none if there is no such payment.
    fn event_numbers(&self, merchant_id: MerchantId, id: PaymentId) -> Result<Vec<u64>, StoreError> {
        let row = self.snapshot.get(&self.tables.payments, keys::owned(merchant_id, id.to_bytes()))?;
        row.map_or_else(|| Ok(Vec::new()), |row| numbers::read(behind::<Payment>(&row, "payment")?))
    }
}

impl EmbeddedStore {
    fn view(&self) -> View {
        View { tables: Arc::clone(&self.tables), snapshot: self.tables.database.snapshot() }
    }

    async fn scan<T: Send + 'static>(
        &self,
        read: impl FnOnce(&View) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let view = self.view();
        tokio::task::spawn_blocking(move || read(&view))
            .await
            .map_err(|_| StoreError::Unavailable("a read was cut off".to_owned()))?
    }
}

/// A single row: atomic by itself, so no view is needed.
fn row<T: DeserializeOwned>(
    keyspace: &Keyspace,
    key: &[u8],
    what: &'static str,
) -> Result<Option<T>, StoreError> {
    let bytes = keyspace.get(key)?;
    bytes.map(|bytes| decode(&bytes, what)).transpose()
}

fn latest_of_user(view: &View, merchant_id: MerchantId, user: &str) -> Result<Option<Payment>, StoreError> {
    let prefix = keys::owned(merchant_id, digests::user_digest(user));
    let Some(newest) = view.snapshot.prefix(&view.tables.user_payments, prefix).next_back() else {
        return Ok(None);
    };
    let key = newest.key()?;
    let id = keys::bytes16(&key, 32).ok_or(StoreError::Corrupt("user index"))?;
    view.row(&view.tables.payments, &keys::owned(merchant_id, id), "payment")
}

/// One page: newest first, by the narrowest index there is.
fn list(view: &View, merchant_id: MerchantId, filter: &PaymentFilter) -> Result<PaymentPage, StoreError> {
    let limit = filter.limit.clamp(1, LIMIT_MAX);
    let mut to_skip = filter.offset.min(OFFSET_MAX);
    let prefix: Vec<u8> = match &filter.user_id {
        Some(user) => keys::owned(merchant_id, digests::user_digest(user)).to_vec(),
        None => merchant_id.to_bytes().to_vec(),
    };
    let bound = |id: u128| [prefix.as_slice(), &id.to_be_bytes()].concat();
    // Ids begin with their time: a created range is a key range.
    let from = bound(u128::from(filter.created_from_ms.unwrap_or(0)) << 80);
    let until = filter.created_to_ms.map_or(u128::MAX, |to| u128::from(to.min(1 << 47)) << 80);
    let to = bound(filter.before.map_or(until, |id| id.as_u128().min(until)));
    let mut page = PaymentPage { payments: Vec::with_capacity(limit.min(100)), next: None };
    if from >= to {
        return Ok(page);
    }
    let index = if filter.user_id.is_some() { &view.tables.user_payments } else { &view.tables.payments };
    let mut looked_at = 0_usize;
    for row in view.snapshot.range(index, from..to).rev() {
        let payment: Payment = if filter.user_id.is_some() {
            let key = row.key()?;
            let id = keys::bytes16(&key, 32).ok_or(StoreError::Corrupt("user index"))?;
            let found = view.row(&view.tables.payments, &keys::owned(merchant_id, id), "payment")?;
            found.ok_or(StoreError::Corrupt("user index without a payment"))?
        } else {
            decode(&row.value()?, "payment")?
        };
        looked_at += 1;
        let id = payment.id;
        if filter.matches(&payment) {
            if to_skip > 0 {
                to_skip -= 1;
            } else if page.payments.len() == limit {
                page.next = page.payments.last().map(|payment| payment.id);
                return Ok(page);
            } else {
                page.payments.push(payment);
            }
        }
        if looked_at >= SCAN_MAX {
            page.next = Some(id);
            return Ok(page);
        }
    }
    Ok(page)
}
