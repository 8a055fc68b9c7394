//! The way of each call: a merchant's to its shard, the installation's to the directory, and what is about all
//! merchants to all shards.

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
use crate::sharded::ShardedStore;
use crate::{Store, StoreHealth};
use async_trait::async_trait;
use std::collections::BTreeMap;
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
impl Store for ShardedStore {
    fn weights(&self) -> &Arc<Weights> {
        &self.shared.weights
    }

    async fn commit(&self, commit: Box<Commit>) -> Result<Committed, CommitError> {
        self.commit_there(commit).await
    }

    async fn administer(&self, change: Admin, by: By) -> Result<(), CommitError> {
        self.administer_there(change, by).await
    }

    async fn upkeep(&self, change: Upkeep) -> Result<(), CommitError> {
        self.upkeep_there(change).await
    }

    async fn partner(&self, id: PartnerId) -> Result<Option<Partner>, StoreError> {
        self.directory()?.partner(id).await
    }

    async fn partner_of(&self, merchant_id: MerchantId) -> Result<Option<Partner>, StoreError> {
        self.directory()?.partner_of(merchant_id).await
    }

    async fn partner_by_reference(&self, reference: &str) -> Result<Option<Partner>, StoreError> {
        self.directory()?.partner_by_reference(reference).await
    }

    async fn partners(&self, after: Option<PartnerId>, limit: usize) -> Result<Vec<Partner>, StoreError> {
        self.directory()?.partners(after, limit).await
    }

    async fn audit(&self, after: u64, limit: usize) -> Result<Vec<(u64, Option<AuditRecord>)>, StoreError> {
        self.take_audit().await;
        self.directory()?.audit(after, limit).await
    }

    async fn merchant_audit(
        &self,
        merchant_id: MerchantId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        self.take_audit().await;
        self.directory()?.merchant_audit(merchant_id, before, limit).await
    }

    async fn audit_head(&self) -> Result<Head, StoreError> {
        self.take_audit().await;
        self.directory()?.audit_head().await
    }

    async fn work(&self, work: Work) -> Result<Worked, CommitError> {
        self.work_there(work).await
    }

    async fn lease_jobs(&self, wish: LeaseWish) -> Result<Leased, CommitError> {
        self.lease_there(wish).await
    }

    async fn job(&self, merchant_id: MerchantId, id: JobId) -> Result<Option<Job>, StoreError> {
        self.of(merchant_id)?.job(merchant_id, id).await
    }

    async fn jobs(&self, merchant_id: MerchantId, filter: JobFilter) -> Result<Vec<Job>, StoreError> {
        self.of(merchant_id)?.jobs(merchant_id, filter).await
    }

    async fn job_lanes(
        &self,
        kind: JobKind,
        after: Option<Lane>,
        limit: usize,
    ) -> Result<Vec<DueLane>, StoreError> {
        let gathered = self.gather(|shard| async move { shard.job_lanes(kind, after, limit).await }).await;
        let mut found: BTreeMap<Lane, DueLane> = BTreeMap::new();
        let map = self.map();
        for (number, lanes) in gathered.partial("lanes of jobs")? {
            for due in lanes {
                // One that is on its way is listed at both ends, and done where it belongs.
                if map.of(due.merchant_id) == number {
                    self.shared.learn(due.lane, number);
                }
                let known = found.entry(due.lane).or_insert(due);
                if due.at_ms < known.at_ms {
                    *known = due;
                }
            }
        }
        Ok(found.into_values().take(limit).collect())
    }

    async fn job_depth(&self, kind: JobKind) -> Result<usize, StoreError> {
        let gathered = self.gather(|shard| async move { shard.job_depth(kind).await }).await;
        Ok(gathered.partial("number of jobs")?.into_iter().map(|(_, depth)| depth).sum())
    }

    fn logs(&self) -> u16 {
        u16::try_from(self.shared.slots.len()).unwrap_or(u16::MAX)
    }

    async fn log_read(&self, reader: LogReader) -> Result<u64, StoreError> {
        self.directory()?.log_read(reader).await
    }

    async fn log_read_of(&self, log: u16, reader: LogReader) -> Result<u64, StoreError> {
        self.shard(log)?.log_read(reader).await
    }

    async fn log_place_of(&self, log: u16, reader: LogReader) -> Result<LogPlace, StoreError> {
        self.shard(log)?.log_place_of(0, reader).await
    }

    async fn outbox_of(
        &self,
        log: u16,
        after_sequence: u64,
        limit: usize,
    ) -> Result<Vec<EventRecord>, StoreError> {
        self.shard(log)?.outbox(after_sequence, limit).await
    }

    async fn outcomes_of(
        &self,
        log: u16,
        after_sequence: u64,
        limit: usize,
    ) -> Result<Vec<OutcomeRecord>, StoreError> {
        self.shard(log)?.outcomes_of(0, after_sequence, limit).await
    }

    async fn webhook_endpoint(
        &self,
        merchant_id: MerchantId,
        id: WebhookEndpointId,
    ) -> Result<Option<WebhookEndpoint>, StoreError> {
        self.of(merchant_id)?.webhook_endpoint(merchant_id, id).await
    }

    async fn webhook_endpoints(&self, merchant_id: MerchantId) -> Result<Vec<WebhookEndpoint>, StoreError> {
        self.of(merchant_id)?.webhook_endpoints(merchant_id).await
    }

    async fn delivery(
        &self,
        merchant_id: MerchantId,
        id: DeliveryId,
    ) -> Result<Option<Delivery>, StoreError> {
        self.of(merchant_id)?.delivery(merchant_id, id).await
    }

    async fn deliveries(
        &self,
        merchant_id: MerchantId,
        filter: DeliveryFilter,
    ) -> Result<DeliveryPage, StoreError> {
        self.of(merchant_id)?.deliveries(merchant_id, filter).await
    }

    async fn merchant(&self, id: MerchantId) -> Result<Option<Merchant>, StoreError> {
        self.directory()?.merchant(id).await
    }

    async fn merchants(&self) -> Result<Vec<Merchant>, StoreError> {
        self.directory()?.merchants().await
    }

    async fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        self.directory()?.api_key(id).await
    }

    async fn api_keys(&self, owner: KeyOwner) -> Result<Vec<ApiKey>, StoreError> {
        self.directory()?.api_keys(owner).await
    }

    async fn key_uses(&self, ids: Vec<ApiKeyId>) -> Result<Vec<Option<u64>>, StoreError> {
        self.directory()?.key_uses(ids).await
    }

    async fn passkeys(&self, merchant_id: MerchantId, user_id: &str) -> Result<Vec<Passkey>, StoreError> {
        self.of(merchant_id)?.passkeys(merchant_id, user_id).await
    }

    async fn payment(&self, merchant_id: MerchantId, id: PaymentId) -> Result<Option<Payment>, StoreError> {
        self.of(merchant_id)?.payment(merchant_id, id).await
    }

    async fn payments(
        &self,
        merchant_id: MerchantId,
        filter: PaymentFilter,
    ) -> Result<PaymentPage, StoreError> {
        self.of(merchant_id)?.payments(merchant_id, filter).await
    }

    async fn recent_payments(
        &self,
        merchant_id: MerchantId,
        users: Vec<String>,
    ) -> Result<Vec<Option<Payment>>, StoreError> {
        self.of(merchant_id)?.recent_payments(merchant_id, users).await
    }

    async fn processor_accounts(&self, merchant_id: MerchantId) -> Result<Vec<ProcessorAccount>, StoreError> {
        self.directory()?.processor_accounts(merchant_id).await
    }

    async fn policy(&self, merchant_id: MerchantId, kind: PolicyKind) -> Result<Option<String>, StoreError> {
        self.directory()?.policy(merchant_id, kind).await
    }

    async fn notices(&self, after: Option<EventId>, limit: usize) -> Result<Vec<Notice>, StoreError> {
        self.directory()?.notices(after, limit).await
    }

    async fn risk_payments(
        &self,
        merchant_id: MerchantId,
        list: RiskList,
        before: Option<PaymentId>,
        limit: usize,
    ) -> Result<Vec<Payment>, StoreError> {
        self.of(merchant_id)?.risk_payments(merchant_id, list, before, limit).await
    }

    async fn saved_card(
        &self,
        merchant_id: MerchantId,
        token: [u8; 16],
    ) -> Result<Option<SavedCard>, StoreError> {
        self.of(merchant_id)?.saved_card(merchant_id, token).await
    }

    async fn saved_cards(
        &self,
        merchant_id: MerchantId,
        user_id: &str,
    ) -> Result<Vec<SavedCard>, StoreError> {
        self.of(merchant_id)?.saved_cards(merchant_id, user_id).await
    }

    async fn attempt(&self, id: AttemptId) -> Result<Option<Attempt>, StoreError> {
        let there = self.shard(self.map().of_bucket(id.bucket()))?.attempt(id).await?;
        match there {
            Some(attempt) => Ok(Some(attempt)),
            None => self.find(|shard| async move { shard.attempt(id).await }).await,
        }
    }

    async fn checkout(&self, id: CheckoutId) -> Result<Option<CheckoutSession>, StoreError> {
        let there = self.shard(self.map().of_bucket(id.bucket()))?.checkout(id).await?;
        match there {
            Some(session) => Ok(Some(session)),
            None => self.find(|shard| async move { shard.checkout(id).await }).await,
        }
    }

    async fn checkout_payments(
        &self,
        merchant_id: MerchantId,
        id: CheckoutId,
    ) -> Result<Vec<Payment>, StoreError> {
        self.of(merchant_id)?.checkout_payments(merchant_id, id).await
    }

    async fn refund(&self, merchant_id: MerchantId, id: RefundId) -> Result<Option<Refund>, StoreError> {
        self.of(merchant_id)?.refund(merchant_id, id).await
    }

    async fn postings(&self, merchant_id: MerchantId, id: PaymentId) -> Result<Vec<Posting>, StoreError> {
        self.of(merchant_id)?.postings(merchant_id, id).await
    }

    async fn history(&self, merchant_id: MerchantId, id: PaymentId) -> Result<Vec<EventRecord>, StoreError> {
        self.of(merchant_id)?.history(merchant_id, id).await
    }

    async fn events(
        &self,
        merchant_id: MerchantId,
        after_sequence: u64,
        limit: usize,
    ) -> Result<Vec<EventRecord>, StoreError> {
        self.of(merchant_id)?.events(merchant_id, after_sequence, limit).await
    }

    async fn outbox(&self, after_sequence: u64, limit: usize) -> Result<Vec<EventRecord>, StoreError> {
        self.directory()?.outbox(after_sequence, limit).await
    }

    async fn balances(
        &self,
        merchant_id: MerchantId,
    ) -> Result<Vec<(Currency, Account, Balance)>, StoreError> {
        self.of(merchant_id)?.balances(merchant_id).await
    }

    async fn totals(
        &self,
        merchant_id: MerchantId,
        from_hour: u32,
        to_hour: u32,
    ) -> Result<Vec<(TotalsKey, Totals)>, StoreError> {
        self.of(merchant_id)?.totals(merchant_id, from_hour, to_hour).await
    }

    async fn totals_by_day(
        &self,
        merchant_id: MerchantId,
        from_hour: u32,
        to_hour: u32,
    ) -> Result<Vec<(TotalsKey, Totals)>, StoreError> {
        self.of(merchant_id)?.totals_by_day(merchant_id, from_hour, to_hour).await
    }

    async fn report(&self, wish: ReportWish) -> Result<Report, StoreError> {
        self.report_of_all(wish).await
    }

    async fn open_attempts(
        &self,
        after: Option<AttemptId>,
        limit: usize,
    ) -> Result<Vec<Attempt>, StoreError> {
        let gathered = self.gather(|shard| async move { shard.open_attempts(after, limit).await }).await;
        // One that is on its way is listed at both ends for a moment.
        let mut found: BTreeMap<AttemptId, Attempt> = BTreeMap::new();
        let map = self.map();
        for (number, attempts) in gathered.partial("open attempts")? {
            for attempt in attempts {
                if map.of(attempt.merchant_id) == number || !found.contains_key(&attempt.id) {
                    found.insert(attempt.id, attempt);
                }
            }
        }
        Ok(found.into_values().take(limit).collect())
    }

    async fn deadlines(&self, before_ms: u64, limit: usize) -> Result<Vec<Deadline>, StoreError> {
        let gathered = self.gather(|shard| async move { shard.deadlines(before_ms, limit).await }).await;
        let mut found: BTreeMap<(u64, PaymentId), Deadline> = BTreeMap::new();
        for (_, deadlines) in gathered.partial("deadlines")? {
            found.extend(deadlines.into_iter().map(|due| ((due.at_ms, due.payment_id), due)));
        }
        Ok(found.into_values().take(limit).collect())
    }

    async fn idempotency(
        &self,
        merchant_id: MerchantId,
        key: &str,
        now_ms: u64,
    ) -> Result<Option<IdempotencyRecord>, StoreError> {
        self.of(merchant_id)?.idempotency(merchant_id, key, now_ms).await
    }

    async fn calls_of_day(
        &self,
        day: u32,
        after: Option<MerchantId>,
        limit: usize,
    ) -> Result<Vec<AccountCalls>, StoreError> {
        self.directory()?.calls_of_day(day, after, limit).await
    }

    async fn calls_of_account(
        &self,
        day: u32,
        merchant_id: MerchantId,
    ) -> Result<Vec<EndpointCalls>, StoreError> {
        self.directory()?.calls_of_account(day, merchant_id).await
    }

    async fn remembered_replies(
        &self,
        merchant_id: MerchantId,
        filter: ReplyFilter,
    ) -> Result<ReplyPage, StoreError> {
        self.of(merchant_id)?.remembered_replies(merchant_id, filter).await
    }

    async fn checkouts_of(
        &self,
        merchant_id: MerchantId,
        subject: Subject,
        before: Option<CheckoutId>,
        limit: usize,
    ) -> Result<CheckoutPage, StoreError> {
        self.of(merchant_id)?.checkouts_of(merchant_id, subject, before, limit).await
    }

    fn log_key(&self, _merchant_id: MerchantId) -> &LogKey {
        &self.shared.log_key
    }

    fn connections(&self) -> Vec<PoolReport> {
        let of = |number: u16| {
            let reports = self.shard(number).map(|shard| shard.connections()).unwrap_or_default();
            reports
                .into_iter()
                .map(move |report| PoolReport { name: format!("shard-{number}-{}", report.name), ..report })
        };
        (0..self.map().shards()).flat_map(of).collect()
    }

    fn consistency(&self, merchant_id: Option<MerchantId>) -> Option<String> {
        let number = merchant_id.map_or(0, |merchant_id| self.map().of(merchant_id));
        self.shard(number).ok()?.consistency(merchant_id)
    }

    async fn purge(&self) -> Result<(), StoreError> {
        for number in 0..self.map().shards() {
            self.shard(number)?.purge().await?;
        }
        Ok(())
    }

    async fn health(&self) -> Result<StoreHealth, StoreError> {
        // Without the directory nothing goes; without another shard its merchants' calls fail, and no more.
        self.directory()?.health().await?;
        let gathered = self.gather(|shard| async move { shard.health().await }).await;
        let mut health = StoreHealth { queue_length: 0, queue_length_max: 0 };
        for (_, part) in gathered.partial("health")? {
            health.queue_length += part.queue_length;
            health.queue_length_max += part.queue_length_max;
        }
        Ok(health)
    }
}

impl ShardedStore {
    /// Takes what the shards have told of administrative changes into the directory's audit log, before that is read.
    async fn take_audit(&self) {
        let taken = (1..self.map().shards()).map(|number| async move {
            let errand = self.shared.errands.run_to(number);
            if !matches!(tokio::time::timeout(self.shared.answer, errand).await, Ok(Ok(()))) {
                tracing::warn!(
                    shard = number,
                    "what a shard has told of changes is not in the audit log yet"
                );
            }
        });
        futures_util::future::join_all(taken).await;
    }
}
