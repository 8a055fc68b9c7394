//! Durable storage: the [`Store`] trait and its implementations.
//!
//! A store decides and books every command inside the commit that makes it durable: the domain's
//! `decide` runs on the state being committed, so no limit can be passed by a race. What happens
//! over the network, and when, is none of its business.

pub mod anchor;
pub mod audit;
pub mod cached;
pub mod commit;
pub mod connections;
pub mod embedded;
pub mod error;
pub mod jobs;
pub mod lsm;
pub mod outcomes;
pub mod postgres;
pub mod query;
pub mod reads;
pub mod redis;
pub mod report;
pub mod sharded;

mod batch;
mod replies;
mod trail;

use async_trait::async_trait;
use commit::{AccountCalls, Admin, Commit, CommitError, Committed, EndpointCalls, IdempotencyRecord, Upkeep};
use connections::PoolReport;
use error::StoreError;
use jobs::{
    DeliveryFilter, DeliveryPage, DueLane, JobFilter, LeaseWish, Leased, LogPlace, LogReader, Work, Worked,
};
use outcomes::OutcomeRecord;
use query::{
    CheckoutPage, Deadline, PaymentFilter, PaymentPage, PolicyKind, ReplyFilter, ReplyPage, RiskList,
};
use report::{Report, ReportWish};
use std::sync::Arc;
use tokio::sync::broadcast;
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

/// A durable store of merchants, payments and their books.
///
/// Ownership is checked here: whatever belongs to a merchant is read by that merchant's id, and
/// another merchant's rows look absent.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug + 'static {
    /// The weights by which merchants take turns where there is a queue.
    fn weights(&self) -> &Arc<Weights>;

    /// Decides, books and makes durable one unit of work. Returns after the data is on disk.
    async fn commit(&self, commit: Box<Commit>) -> Result<Committed, CommitError>;

    /// Makes an administrative change durable, together with its entry in the audit log.
    async fn administer(&self, change: Admin, by: By) -> Result<(), CommitError>;

    /// Makes something durable that nobody has decided.
    async fn upkeep(&self, change: Upkeep) -> Result<(), CommitError>;

    /// A partner.
    async fn partner(&self, id: PartnerId) -> Result<Option<Partner>, StoreError>;

    /// The partner that a merchant belongs to.
    async fn partner_of(&self, merchant_id: MerchantId) -> Result<Option<Partner>, StoreError>;

    /// The partner of an operator's reference.
    async fn partner_by_reference(&self, reference: &str) -> Result<Option<Partner>, StoreError>;

    /// Partners after one, oldest first.
    async fn partners(&self, after: Option<PartnerId>, limit: usize) -> Result<Vec<Partner>, StoreError>;

    /// What stands in the audit log after a position, oldest first; none where a record cannot be read.
    async fn audit(&self, after: u64, limit: usize) -> Result<Vec<(u64, Option<AuditRecord>)>, StoreError>;

    /// A merchant's records of the audit log before a position, newest first.
    async fn merchant_audit(
        &self,
        merchant_id: MerchantId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AuditRecord>, StoreError>;

    /// Where the audit log ends, as it is noted apart from it.
    async fn audit_head(&self) -> Result<Head, StoreError>;

    /// Makes changes of jobs, and of what belongs to them, durable together.
    async fn work(&self, work: Work) -> Result<Worked, CommitError>;

    /// Leases jobs that are due.
    async fn lease_jobs(&self, wish: LeaseWish) -> Result<Leased, CommitError>;

    /// A job.
    async fn job(&self, merchant_id: MerchantId, id: JobId) -> Result<Option<Job>, StoreError>;

    /// A merchant's jobs, newest first.
    async fn jobs(&self, merchant_id: MerchantId, filter: JobFilter) -> Result<Vec<Job>, StoreError>;

    /// The lanes after one that have jobs of a kind, and when the first of each is due.
    async fn job_lanes(
        &self,
        kind: JobKind,
        after: Option<Lane>,
        limit: usize,
    ) -> Result<Vec<DueLane>, StoreError>;

    /// How many jobs of a kind have not ended, as far as is counted.
    async fn job_depth(&self, kind: JobKind) -> Result<usize, StoreError>;

    /// The last sequence number that a reader of the first event log has read.
    async fn log_read(&self, reader: LogReader) -> Result<u64, StoreError>;

    /// How many event logs there are: one a shard, counted from 0. Each numbers its own events; a merchant's events
    /// are in one, from wherever its rows are taken to the next.
    fn logs(&self) -> u16;

    /// The last sequence number that a reader of one of the event logs has read.
    async fn log_read_of(&self, log: u16, reader: LogReader) -> Result<u64, StoreError>;

    /// How a reader of one of the logs stands.
    async fn log_place_of(&self, log: u16, reader: LogReader) -> Result<LogPlace, StoreError>;

    /// A log's events after a sequence number, in commit order.
    async fn outbox_of(
        &self,
        log: u16,
        after_sequence: u64,
        limit: usize,
    ) -> Result<Vec<EventRecord>, StoreError>;

    /// What became of webhook deliveries, in one of the logs' order, after a sequence number: as many as there are event
    /// logs, counted alike. Of what is older than [`outcomes::OUTCOMES_KEPT_MS`] the beginning may be missing.
    async fn outcomes_of(
        &self,
        log: u16,
        after_sequence: u64,
        limit: usize,
    ) -> Result<Vec<OutcomeRecord>, StoreError>;

    /// A webhook endpoint.
    async fn webhook_endpoint(
        &self,
        merchant_id: MerchantId,
        id: WebhookEndpointId,
    ) -> Result<Option<WebhookEndpoint>, StoreError>;

    /// A merchant's webhook endpoints, oldest first.
    async fn webhook_endpoints(&self, merchant_id: MerchantId) -> Result<Vec<WebhookEndpoint>, StoreError>;

    /// A delivery.
    async fn delivery(&self, merchant_id: MerchantId, id: DeliveryId)
    -> Result<Option<Delivery>, StoreError>;

    /// A page of a merchant's deliveries, newest first.
    async fn deliveries(
        &self,
        merchant_id: MerchantId,
        filter: DeliveryFilter,
    ) -> Result<DeliveryPage, StoreError>;

    /// A merchant.
    async fn merchant(&self, id: MerchantId) -> Result<Option<Merchant>, StoreError>;

    /// All merchants, oldest first.
    async fn merchants(&self) -> Result<Vec<Merchant>, StoreError>;

    /// An API key.
    async fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError>;

    /// The API keys of a merchant, or of the platform, oldest first.
    async fn api_keys(&self, owner: KeyOwner) -> Result<Vec<ApiKey>, StoreError>;

    /// When each of these API keys was last used, in milliseconds since the Unix epoch, as far as it was noted.
    async fn key_uses(&self, ids: Vec<ApiKeyId>) -> Result<Vec<Option<u64>>, StoreError>;

    /// The passkeys of a merchant's customer, in the order of their ids.
    async fn passkeys(&self, merchant_id: MerchantId, user_id: &str) -> Result<Vec<Passkey>, StoreError>;

    /// A payment.
    async fn payment(&self, merchant_id: MerchantId, id: PaymentId) -> Result<Option<Payment>, StoreError>;

    /// A page of a merchant's payments, newest first.
    async fn payments(
        &self,
        merchant_id: MerchantId,
        filter: PaymentFilter,
    ) -> Result<PaymentPage, StoreError>;

    /// The latest payment of each user, in the users' order.
    async fn recent_payments(
        &self,
        merchant_id: MerchantId,
        users: Vec<String>,
    ) -> Result<Vec<Option<Payment>>, StoreError>;

    /// A merchant's own accounts at processors, in the order of the processors' names.
    async fn processor_accounts(&self, merchant_id: MerchantId) -> Result<Vec<ProcessorAccount>, StoreError>;

    /// A merchant's policy, as JSON.
    async fn policy(&self, merchant_id: MerchantId, kind: PolicyKind) -> Result<Option<String>, StoreError>;

    /// The notices after one, oldest first; none: from the oldest that is kept.
    async fn notices(&self, after: Option<EventId>, limit: usize) -> Result<Vec<Notice>, StoreError>;

    /// A merchant's payments of a fraud list, newest first, made before `before`.
    async fn risk_payments(
        &self,
        merchant_id: MerchantId,
        list: RiskList,
        before: Option<PaymentId>,
        limit: usize,
    ) -> Result<Vec<Payment>, StoreError>;

    /// A merchant's card on file, by its token.
    async fn saved_card(
        &self,
        merchant_id: MerchantId,
        token: [u8; 16],
    ) -> Result<Option<SavedCard>, StoreError>;

    /// The cards on file of a merchant's customer, in the order of their tokens.
    async fn saved_cards(&self, merchant_id: MerchantId, user_id: &str)
    -> Result<Vec<SavedCard>, StoreError>;

    /// An attempt, whoever owns it: processors name it by its reference alone.
    async fn attempt(&self, id: AttemptId) -> Result<Option<Attempt>, StoreError>;

    /// A checkout session, whoever owns it: its address proves the right to see it.
    async fn checkout(&self, id: CheckoutId) -> Result<Option<CheckoutSession>, StoreError>;

    /// The payments of a merchant's checkout session, oldest first.
    async fn checkout_payments(
        &self,
        merchant_id: MerchantId,
        id: CheckoutId,
    ) -> Result<Vec<Payment>, StoreError>;

    /// A refund.
    async fn refund(&self, merchant_id: MerchantId, id: RefundId) -> Result<Option<Refund>, StoreError>;

    /// What a payment booked, oldest first.
    async fn postings(&self, merchant_id: MerchantId, id: PaymentId) -> Result<Vec<Posting>, StoreError>;

    /// A payment's history, oldest first.
    async fn history(&self, merchant_id: MerchantId, id: PaymentId) -> Result<Vec<EventRecord>, StoreError>;

    /// A merchant's events after a sequence number, oldest first.
    async fn events(
        &self,
        merchant_id: MerchantId,
        after_sequence: u64,
        limit: usize,
    ) -> Result<Vec<EventRecord>, StoreError>;

    /// The first log's events after a sequence number, in commit order: what relays and webhooks read.
    async fn outbox(&self, after_sequence: u64, limit: usize) -> Result<Vec<EventRecord>, StoreError>;

    /// The balances of a merchant's accounts.
    async fn balances(
        &self,
        merchant_id: MerchantId,
    ) -> Result<Vec<(Currency, Account, Balance)>, StoreError>;

    /// The running totals of the payments made from hour `from_hour` up to before `to_hour`.
    async fn totals(
        &self,
        merchant_id: MerchantId,
        from_hour: u32,
        to_hour: u32,
    ) -> Result<Vec<(TotalsKey, Totals)>, StoreError>;

    /// The same totals, with those of whole days added up where that is quicker: a day's key is its first hour's.
    async fn totals_by_day(
        &self,
        merchant_id: MerchantId,
        from_hour: u32,
        to_hour: u32,
    ) -> Result<Vec<(TotalsKey, Totals)>, StoreError> {
        self.totals(merchant_id, from_hour, to_hour).await
    }

    /// The payments of some merchants, added up. May be behind: the report says as of when it is.
    async fn report(&self, wish: ReportWish) -> Result<Report, StoreError> {
        report::of_store(self, wish).await
    }

    /// Attempts the processor may still do something with, by id, after `after`.
    async fn open_attempts(&self, after: Option<AttemptId>, limit: usize)
    -> Result<Vec<Attempt>, StoreError>;

    /// Payments whose time is over, the longest overdue first.
    async fn deadlines(&self, before_ms: u64, limit: usize) -> Result<Vec<Deadline>, StoreError>;

    /// What is remembered under an idempotency key, if it still lives.
    async fn idempotency(
        &self,
        merchant_id: MerchantId,
        key: &str,
        now_ms: u64,
    ) -> Result<Option<IdempotencyRecord>, StoreError>;

    /// What merchants after one called on a day (counted from 1970-01-01), in the order of their ids.
    async fn calls_of_day(
        &self,
        day: u32,
        after: Option<MerchantId>,
        limit: usize,
    ) -> Result<Vec<AccountCalls>, StoreError>;

    /// What a merchant called on a day.
    async fn calls_of_account(
        &self,
        day: u32,
        merchant_id: MerchantId,
    ) -> Result<Vec<EndpointCalls>, StoreError>;

    /// A page of the replies that are remembered of some payments of a merchant, to be named in an erasure. It looks at
    /// [`query::SCAN_MAX`] replies of the merchant at most.
    async fn remembered_replies(
        &self,
        merchant_id: MerchantId,
        filter: ReplyFilter,
    ) -> Result<ReplyPage, StoreError>;

    /// A page of a merchant's checkout sessions of a person, older than `before`. It looks at [`query::SCAN_MAX`] sessions of
    /// the merchant at most.
    async fn checkouts_of(
        &self,
        merchant_id: MerchantId,
        subject: Subject,
        before: Option<CheckoutId>,
        limit: usize,
    ) -> Result<CheckoutPage, StoreError>;

    /// The secret under which the audit log names people of a merchant.
    fn log_key(&self, merchant_id: MerchantId) -> &LogKey;

    /// Rewrites the files that personal data was in, so that what was masked or removed is gone from them. Takes long.
    async fn purge(&self) -> Result<(), StoreError>;

    /// How its connections to databases do; none: it has none.
    fn connections(&self) -> Vec<PoolReport> {
        Vec::new()
    }

    /// What a caller shows later ([`reads::Reading`]) to see at least what was written for a merchant, or for anybody,
    /// up to now; none: every read sees that anyway.
    fn consistency(&self, _merchant_id: Option<MerchantId>) -> Option<String> {
        None
    }

    /// Whether the store answers: reads something and says how the writer does.
    async fn health(&self) -> Result<StoreHealth, StoreError>;

    // Views: what may be a moment old, where there are caches or replicas. Nothing that decides about money is read by them.

    /// A merchant, as it is looked at.
    async fn merchant_view(&self, id: MerchantId) -> Result<Option<Merchant>, StoreError> {
        self.merchant(id).await
    }

    /// The partner that a merchant belongs to, as it is looked at.
    async fn partner_view(&self, merchant_id: MerchantId) -> Result<Option<Partner>, StoreError> {
        self.partner_of(merchant_id).await
    }

    /// A merchant's own accounts at processors, as they are looked at.
    async fn processor_accounts_view(
        &self,
        merchant_id: MerchantId,
    ) -> Result<Vec<ProcessorAccount>, StoreError> {
        self.processor_accounts(merchant_id).await
    }

    /// A merchant's policy, as it is looked at.
    async fn policy_view(
        &self,
        merchant_id: MerchantId,
        kind: PolicyKind,
    ) -> Result<Option<String>, StoreError> {
        self.policy(merchant_id, kind).await
    }

    /// A payment, as it is looked at.
    async fn payment_view(
        &self,
        merchant_id: MerchantId,
        id: PaymentId,
    ) -> Result<Option<Payment>, StoreError> {
        self.payment(merchant_id, id).await
    }

    /// A merchant's card on file, as it is looked at.
    async fn saved_card_view(
        &self,
        merchant_id: MerchantId,
        token: [u8; 16],
    ) -> Result<Option<SavedCard>, StoreError> {
        self.saved_card(merchant_id, token).await
    }

    /// Reads ahead what is looked at most; says of how many merchants.
    async fn warm_up(&self) -> Result<usize, StoreError> {
        Ok(0)
    }

    /// Tells whose settings or keys another gateway or this one has changed; none: nobody would tell.
    fn changes(&self) -> Option<broadcast::Receiver<cached::Changed>> {
        None
    }
}

/// How a store does.
#[derive(Debug, Clone, Copy)]
pub struct StoreHealth {
    /// Commits waiting.
    pub queue_length: usize,
    /// Most commits that may wait.
    pub queue_length_max: usize,
}
