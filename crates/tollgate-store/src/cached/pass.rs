//! What passes through: everything but the views, which are answered by the caches.

use super::{CachedStore, Changed, Key, touched, touched_by_upkeep};
use crate::commit::{
    AccountCalls, Admin, Commit, CommitError, Committed, EndpointCalls, IdempotencyRecord, Upkeep,
};
use crate::connections::PoolReport;
use crate::error::StoreError;
use crate::jobs::{
    DeliveryFilter, DeliveryPage, DueLane, JobFilter, LeaseWish, Leased, LogPlace, LogReader, Work, Worked,
};
use crate::outcomes::OutcomeRecord;
use crate::query::{
    CheckoutPage, Deadline, PaymentFilter, PaymentPage, PolicyKind, ReplyFilter, ReplyPage, RiskList,
};
use crate::report::{Report, ReportWish};
use crate::{Store, StoreHealth};
use async_trait::async_trait;
use std::sync::Arc;
use tokio::sync::broadcast;
use tollgate_core::api_key::{ApiKey, KeyOwner};
use tollgate_core::attempt::Attempt;
use tollgate_core::audit::key::LogKey;
use tollgate_core::audit::{AuditRecord, By, Head};
use tollgate_core::checkout::CheckoutSession;
use tollgate_core::command::Command;
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
impl Store for CachedStore {
    fn weights(&self) -> &Arc<Weights> {
        self.0.inner.weights()
    }

    fn log_key(&self, merchant_id: MerchantId) -> &LogKey {
        self.0.inner.log_key(merchant_id)
    }

    async fn commit(&self, commit: Box<Commit>) -> Result<Committed, CommitError> {
        let inner = Arc::clone(&self.0.inner);
        match commit.command.as_ref().map(Command::payment_id) {
            Some(id) => {
                let key = Key::payment(commit.merchant_id, id);
                self.change(vec![key], async move { inner.commit(commit).await }).await
            }
            None => inner.commit(commit).await,
        }
    }

    async fn administer(&self, change: Admin, by: By) -> Result<(), CommitError> {
        let mut keys = Vec::new();
        touched(&change, &mut keys);
        let inner = Arc::clone(&self.0.inner);
        self.change(keys, async move { inner.administer(change, by).await }).await
    }

    async fn upkeep(&self, change: Upkeep) -> Result<(), CommitError> {
        let mut keys = Vec::new();
        touched_by_upkeep(&change, &mut keys);
        let inner = Arc::clone(&self.0.inner);
        self.change(keys, async move { inner.upkeep(change).await }).await
    }

    async fn partner(&self, id: PartnerId) -> Result<Option<Partner>, StoreError> {
        self.0.inner.partner(id).await
    }

    async fn partner_of(&self, merchant_id: MerchantId) -> Result<Option<Partner>, StoreError> {
        self.0.inner.partner_of(merchant_id).await
    }

    async fn partner_by_reference(&self, reference: &str) -> Result<Option<Partner>, StoreError> {
        self.0.inner.partner_by_reference(reference).await
    }

    async fn partners(&self, after: Option<PartnerId>, limit: usize) -> Result<Vec<Partner>, StoreError> {
        self.0.inner.partners(after, limit).await
    }

    async fn audit(&self, after: u64, limit: usize) -> Result<Vec<(u64, Option<AuditRecord>)>, StoreError> {
        self.0.inner.audit(after, limit).await
    }

    async fn merchant_audit(
        &self,
        merchant_id: MerchantId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        self.0.inner.merchant_audit(merchant_id, before, limit).await
    }

    async fn audit_head(&self) -> Result<Head, StoreError> {
        self.0.inner.audit_head().await
    }

    async fn work(&self, work: Work) -> Result<Worked, CommitError> {
        self.0.inner.work(work).await
    }

    async fn lease_jobs(&self, wish: LeaseWish) -> Result<Leased, CommitError> {
        self.0.inner.lease_jobs(wish).await
    }

    async fn job(&self, merchant_id: MerchantId, id: JobId) -> Result<Option<Job>, StoreError> {
        self.0.inner.job(merchant_id, id).await
    }

    async fn jobs(&self, merchant_id: MerchantId, filter: JobFilter) -> Result<Vec<Job>, StoreError> {
        self.0.inner.jobs(merchant_id, filter).await
    }

    async fn job_lanes(
        &self,
        kind: JobKind,
        after: Option<Lane>,
        limit: usize,
    ) -> Result<Vec<DueLane>, StoreError> {
        self.0.inner.job_lanes(kind, after, limit).await
    }

    async fn job_depth(&self, kind: JobKind) -> Result<usize, StoreError> {
        self.0.inner.job_depth(kind).await
    }

    async fn log_read(&self, reader: LogReader) -> Result<u64, StoreError> {
        self.0.inner.log_read(reader).await
    }

    fn logs(&self) -> u16 {
        self.0.inner.logs()
    }

    async fn log_read_of(&self, log: u16, reader: LogReader) -> Result<u64, StoreError> {
        self.0.inner.log_read_of(log, reader).await
    }

    async fn log_place_of(&self, log: u16, reader: LogReader) -> Result<LogPlace, StoreError> {
        self.0.inner.log_place_of(log, reader).await
    }

    async fn outbox_of(
        &self,
        log: u16,
        after_sequence: u64,
        limit: usize,
    ) -> Result<Vec<EventRecord>, StoreError> {
        self.0.inner.outbox_of(log, after_sequence, limit).await
    }

    async fn outcomes_of(
        &self,
        log: u16,
        after_sequence: u64,
        limit: usize,
    ) -> Result<Vec<OutcomeRecord>, StoreError> {
        self.0.inner.outcomes_of(log, after_sequence, limit).await
    }

    async fn webhook_endpoint(
        &self,
        merchant_id: MerchantId,
        id: WebhookEndpointId,
    ) -> Result<Option<WebhookEndpoint>, StoreError> {
        self.0.inner.webhook_endpoint(merchant_id, id).await
    }

    async fn webhook_endpoints(&self, merchant_id: MerchantId) -> Result<Vec<WebhookEndpoint>, StoreError> {
        self.0.inner.webhook_endpoints(merchant_id).await
    }

    async fn delivery(
        &self,
        merchant_id: MerchantId,
        id: DeliveryId,
    ) -> Result<Option<Delivery>, StoreError> {
        self.0.inner.delivery(merchant_id, id).await
    }

    async fn deliveries(
        &self,
        merchant_id: MerchantId,
        filter: DeliveryFilter,
    ) -> Result<DeliveryPage, StoreError> {
        self.0.inner.deliveries(merchant_id, filter).await
    }

    async fn merchant(&self, id: MerchantId) -> Result<Option<Merchant>, StoreError> {
        self.0.inner.merchant(id).await
    }

    async fn merchants(&self) -> Result<Vec<Merchant>, StoreError> {
        self.0.inner.merchants().await
    }

    async fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        self.0.inner.api_key(id).await
    }

    async fn api_keys(&self, owner: KeyOwner) -> Result<Vec<ApiKey>, StoreError> {
        self.0.inner.api_keys(owner).await
    }

    async fn key_uses(&self, ids: Vec<ApiKeyId>) -> Result<Vec<Option<u64>>, StoreError> {
        self.0.inner.key_uses(ids).await
    }

    async fn passkeys(&self, merchant_id: MerchantId, user_id: &str) -> Result<Vec<Passkey>, StoreError> {
        self.0.inner.passkeys(merchant_id, user_id).await
    }

    async fn payment(&self, merchant_id: MerchantId, id: PaymentId) -> Result<Option<Payment>, StoreError> {
        self.0.inner.payment(merchant_id, id).await
    }

    async fn payments(
        &self,
        merchant_id: MerchantId,
        filter: PaymentFilter,
    ) -> Result<PaymentPage, StoreError> {
        self.0.inner.payments(merchant_id, filter).await
    }

    async fn recent_payments(
        &self,
        merchant_id: MerchantId,
        users: Vec<String>,
    ) -> Result<Vec<Option<Payment>>, StoreError> {
        self.0.inner.recent_payments(merchant_id, users).await
    }

    async fn processor_accounts(&self, merchant_id: MerchantId) -> Result<Vec<ProcessorAccount>, StoreError> {
        self.0.inner.processor_accounts(merchant_id).await
    }

    async fn policy(&self, merchant_id: MerchantId, kind: PolicyKind) -> Result<Option<String>, StoreError> {
        self.0.inner.policy(merchant_id, kind).await
    }

    async fn notices(&self, after: Option<EventId>, limit: usize) -> Result<Vec<Notice>, StoreError> {
        self.0.inner.notices(after, limit).await
    }

    async fn risk_payments(
        &self,
        merchant_id: MerchantId,
        list: RiskList,
        before: Option<PaymentId>,
        limit: usize,
    ) -> Result<Vec<Payment>, StoreError> {
        self.0.inner.risk_payments(merchant_id, list, before, limit).await
    }

    async fn saved_card(
        &self,
        merchant_id: MerchantId,
        token: [u8; 16],
    ) -> Result<Option<SavedCard>, StoreError> {
        self.0.inner.saved_card(merchant_id, token).await
    }

    async fn saved_cards(
        &self,
        merchant_id: MerchantId,
        user_id: &str,
    ) -> Result<Vec<SavedCard>, StoreError> {
        self.0.inner.saved_cards(merchant_id, user_id).await
    }

    async fn attempt(&self, id: AttemptId) -> Result<Option<Attempt>, StoreError> {
        self.0.inner.attempt(id).await
    }

    async fn checkout(&self, id: CheckoutId) -> Result<Option<CheckoutSession>, StoreError> {
        self.0.inner.checkout(id).await
    }

    async fn checkout_payments(
        &self,
        merchant_id: MerchantId,
        id: CheckoutId,
    ) -> Result<Vec<Payment>, StoreError> {
        self.0.inner.checkout_payments(merchant_id, id).await
    }

    async fn refund(&self, merchant_id: MerchantId, id: RefundId) -> Result<Option<Refund>, StoreError> {
        self.0.inner.refund(merchant_id, id).await
    }

    async fn postings(&self, merchant_id: MerchantId, id: PaymentId) -> Result<Vec<Posting>, StoreError> {
        self.0.inner.postings(merchant_id, id).await
    }

    async fn history(&self, merchant_id: MerchantId, id: PaymentId) -> Result<Vec<EventRecord>, StoreError> {
        self.0.inner.history(merchant_id, id).await
    }

    async fn events(
        &self,
        merchant_id: MerchantId,
        after_sequence: u64,
        limit: usize,
    ) -> Result<Vec<EventRecord>, StoreError> {
        self.0.inner.events(merchant_id, after_sequence, limit).await
    }

    async fn outbox(&self, after_sequence: u64, limit: usize) -> Result<Vec<EventRecord>, StoreError> {
        self.0.inner.outbox(after_sequence, limit).await
    }

    async fn balances(
        &self,
        merchant_id: MerchantId,
    ) -> Result<Vec<(Currency, Account, Balance)>, StoreError> {
        self.0.inner.balances(merchant_id).await
    }

    async fn totals(
        &self,
        merchant_id: MerchantId,
        from_hour: u32,
        to_hour: u32,
    ) -> Result<Vec<(TotalsKey, Totals)>, StoreError> {
        self.0.inner.totals(merchant_id, from_hour, to_hour).await
    }

    async fn totals_by_day(
        &self,
        merchant_id: MerchantId,
        from_hour: u32,
        to_hour: u32,
    ) -> Result<Vec<(TotalsKey, Totals)>, StoreError> {
        self.0.inner.totals_by_day(merchant_id, from_hour, to_hour).await
    }

    async fn report(&self, wish: ReportWish) -> Result<Report, StoreError> {
        self.0.inner.report(wish).await
    }

    async fn open_attempts(
        &self,
        after: Option<AttemptId>,
        limit: usize,
    ) -> Result<Vec<Attempt>, StoreError> {
        self.0.inner.open_attempts(after, limit).await
    }

    async fn deadlines(&self, before_ms: u64, limit: usize) -> Result<Vec<Deadline>, StoreError> {
        self.0.inner.deadlines(before_ms, limit).await
    }

    async fn idempotency(
        &self,
        merchant_id: MerchantId,
        key: &str,
        now_ms: u64,
    ) -> Result<Option<IdempotencyRecord>, StoreError> {
        self.0.inner.idempotency(merchant_id, key, now_ms).await
    }

    async fn calls_of_day(
        &self,
        day: u32,
        after: Option<MerchantId>,
        limit: usize,
    ) -> Result<Vec<AccountCalls>, StoreError> {
        self.0.inner.calls_of_day(day, after, limit).await
    }

    async fn calls_of_account(
        &self,
        day: u32,
        merchant_id: MerchantId,
    ) -> Result<Vec<EndpointCalls>, StoreError> {
        self.0.inner.calls_of_account(day, merchant_id).await
    }

    async fn remembered_replies(
        &self,
        merchant_id: MerchantId,
        filter: ReplyFilter,
    ) -> Result<ReplyPage, StoreError> {
        self.0.inner.remembered_replies(merchant_id, filter).await
    }

    async fn checkouts_of(
        &self,
        merchant_id: MerchantId,
        subject: Subject,
        before: Option<CheckoutId>,
        limit: usize,
    ) -> Result<CheckoutPage, StoreError> {
        self.0.inner.checkouts_of(merchant_id, subject, before, limit).await
    }

    async fn purge(&self) -> Result<(), StoreError> {
        self.0.inner.purge().await
    }

    async fn health(&self) -> Result<StoreHealth, StoreError> {
        self.0.inner.health().await
    }

    fn connections(&self) -> Vec<PoolReport> {
        self.0.inner.connections()
    }

    fn consistency(&self, merchant_id: Option<MerchantId>) -> Option<String> {
        self.0.inner.consistency(merchant_id)
    }

    async fn merchant_view(&self, id: MerchantId) -> Result<Option<Merchant>, StoreError> {
        self.0.view(Key::merchant(id), || self.0.inner.merchant(id)).await
    }

    async fn partner_view(&self, merchant_id: MerchantId) -> Result<Option<Partner>, StoreError> {
        self.0.view(Key::partner(merchant_id), || self.0.inner.partner_of(merchant_id)).await
    }

    async fn processor_accounts_view(
        &self,
        merchant_id: MerchantId,
    ) -> Result<Vec<ProcessorAccount>, StoreError> {
        self.0.view(Key::accounts(merchant_id), || self.0.inner.processor_accounts(merchant_id)).await
    }

    async fn policy_view(
        &self,
        merchant_id: MerchantId,
        kind: PolicyKind,
    ) -> Result<Option<String>, StoreError> {
        self.0.view(Key::policy(merchant_id, kind), || self.0.inner.policy(merchant_id, kind)).await
    }

    async fn payment_view(
        &self,
        merchant_id: MerchantId,
        id: PaymentId,
    ) -> Result<Option<Payment>, StoreError> {
        self.0.view(Key::payment(merchant_id, id), || self.0.inner.payment(merchant_id, id)).await
    }

    async fn saved_card_view(
        &self,
        merchant_id: MerchantId,
        token: [u8; 16],
    ) -> Result<Option<SavedCard>, StoreError> {
        let key = Key::payment_method(merchant_id, token);
        self.0.view(key, || self.0.inner.saved_card(merchant_id, token)).await
    }

    async fn warm_up(&self) -> Result<usize, StoreError> {
        self.read_ahead().await
    }

    fn changes(&self) -> Option<broadcast::Receiver<Changed>> {
        Some(self.0.changed.subscribe())
    }
}
