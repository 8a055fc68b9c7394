//! Reading the PostgreSQL store: each read is one statement on a connection of the pool, so it sees whole batches.

use crate::batch::codec::decode;
use crate::batch::digests::{idempotency_key, user_digest};
use crate::batch::work::read_due;
use crate::batch::{DAY_MS, Table, api_keys, keys};
use crate::commit::{
    AccountCalls, Admin, Commit, CommitError, Committed, EndpointCalls, IdempotencyRecord, Upkeep,
};
use crate::connections::PoolReport;
use crate::error::StoreError;
use crate::jobs::{
    DeliveryFilter, DeliveryPage, DueLane, JobFilter, LeaseWish, Leased, Log, LogPlace, LogReader, Work,
    Worked,
};
use crate::outcomes::OutcomeRecord;
use crate::postgres::PostgresStore;
use crate::postgres::base::{fetch, page};
use crate::postgres::link::{Id, Link, Param, Query, big, column, natural};
use crate::postgres::list::{self, count, owned, prefixed};
use crate::postgres::outcomes;
use crate::postgres::people;
use crate::postgres::replicas::Lent;
use crate::postgres::reports;
use crate::query::{
    CheckoutPage, Deadline, LIMIT_MAX, PaymentFilter, PaymentPage, PolicyKind, ReplyFilter, ReplyPage,
    RiskList, SCAN_MAX,
};
use crate::report::{Report, ReportWish};
use crate::{Store, StoreHealth};
use async_trait::async_trait;
use serde::de::DeserializeOwned;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio_postgres::Row;
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

/// Tables that hold personal data.
const PURGED: [&str; 10] = [
    "payments",
    "events",
    "attempts",
    "refunds",
    "saved_cards",
    "user_cards",
    "passkeys",
    "checkouts",
    "idempotency",
    "jobs",
];

/// How long ago a customer's last payment mostly is: two or three of the tables of months. Older ones are found all the same.
const LATELY: Duration = Duration::from_hours(40 * 24);

/// What an id's range ends behind.
const LAST: [u8; 17] = [u8::MAX; 17];

/// Reads from a replica, if one may answer; from the primary if none may, or if it fails.
macro_rules! read {
    ($store:expr, |$link:ident| $asked:expr) => {{
        let lent = $store.lent().await;
        let answered = match &lent {
            None => None,
            Some(lent) => {
                let $link = &*lent.link;
                match $asked.await {
                    Ok(answer) => {
                        lent.answered();
                        Some(answer)
                    }
                    Err(error) => {
                        lent.failed(&error);
                        None
                    }
                }
            }
        };
        drop(lent);
        match answered {
            Some(answer) => Ok(answer),
            None => {
                let held = $store.pool.get().await?;
                let $link = &*held;
                $asked.await
            }
        }
    }};
}

#[async_trait]
impl Store for PostgresStore {
    fn weights(&self) -> &Arc<Weights> {
        &self.weights
    }

    fn connections(&self) -> Vec<PoolReport> {
        self.report()
    }

    fn consistency(&self, merchant_id: Option<MerchantId>) -> Option<String> {
        self.replicas.as_ref().map(|replicas| replicas.token(merchant_id))
    }

    async fn processor_accounts(&self, merchant_id: MerchantId) -> Result<Vec<ProcessorAccount>, StoreError> {
        self.prefixed(Table::ProcessorAccounts, &merchant_id.to_bytes(), "processor account").await
    }

    async fn calls_of_day(
        &self,
        day: u32,
        after: Option<MerchantId>,
        limit: usize,
    ) -> Result<Vec<AccountCalls>, StoreError> {
        let from = match after {
            Some(after) => [keys::calls(day, after).as_slice(), &[0]].concat(),
            None => keys::calls(day, MerchantId::from_u128(0)).to_vec(),
        };
        let to = [keys::calls(day, MerchantId::from_u128(u128::MAX)).as_slice(), &[0]].concat();
        let rows = read!(self, |link| page(link, Table::Calls, &from, &to, count(limit)))?;
        let read = |(key, row): &(Vec<u8>, Vec<u8>)| {
            let merchant = keys::bytes16(key, 4).ok_or(StoreError::Corrupt("calls"))?;
            Ok(AccountCalls { merchant_id: MerchantId::from_bytes(merchant), calls: decode(row, "calls")? })
        };
        rows.iter().map(read).collect()
    }

    async fn calls_of_account(
        &self,
        day: u32,
        merchant_id: MerchantId,
    ) -> Result<Vec<EndpointCalls>, StoreError> {
        Ok(self.row(Table::Calls, keys::calls(day, merchant_id), "calls").await?.unwrap_or_default())
    }

    async fn remembered_replies(
        &self,
        merchant_id: MerchantId,
        filter: ReplyFilter,
    ) -> Result<ReplyPage, StoreError> {
        people::replies(&*self.pool.get().await?, merchant_id, &filter).await
    }

    async fn checkouts_of(
        &self,
        merchant_id: MerchantId,
        subject: Subject,
        before: Option<CheckoutId>,
        limit: usize,
    ) -> Result<CheckoutPage, StoreError> {
        people::checkouts(&*self.pool.get().await?, merchant_id, &subject, before, limit).await
    }

    fn log_key(&self, _merchant_id: MerchantId) -> &LogKey {
        &self.log_key
    }

    async fn purge(&self) -> Result<(), StoreError> {
        // A plain VACUUM frees what was masked; only a full one rewrites the files, and it locks each table meanwhile.
        // It takes as long as it takes: nobody here may give up while the server still holds the lock.
        let link = Link::connect(&self.patient).await?;
        for table in PURGED {
            link.run(&format!("VACUUM (FULL, ANALYZE) {table}")).await?;
        }
        Ok(())
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
        self.row(Table::Partners, id.to_bytes(), "partner").await
    }

    async fn partner_of(&self, merchant_id: MerchantId) -> Result<Option<Partner>, StoreError> {
        let key = merchant_id.to_bytes();
        let id: Option<PartnerId> = self.row(Table::MerchantPartners, key, "merchant's partner").await?;
        match id {
            Some(id) => self.partner(id).await,
            None => Ok(None),
        }
    }

    async fn partner_by_reference(&self, reference: &str) -> Result<Option<Partner>, StoreError> {
        let key = reference.as_bytes();
        let id: Option<PartnerId> = self.row(Table::PartnerReferences, key, "partner's reference").await?;
        match id {
            Some(id) => self.partner(id).await,
            None => Ok(None),
        }
    }

    async fn partners(&self, after: Option<PartnerId>, limit: usize) -> Result<Vec<Partner>, StoreError> {
        let from = after_id(after.map(PartnerId::to_bytes));
        let rows = read!(self, |link| page(link, Table::Partners, &from, &LAST, most(limit)))?;
        rows.iter().map(|(_, row)| decode(row, "partner")).collect()
    }

    async fn audit(&self, after: u64, limit: usize) -> Result<Vec<(u64, Option<AuditRecord>)>, StoreError> {
        let query = Query::Fixed(include_str!("sql/audit.sql"));
        let rows = self.query(query, &[&big(after), &most(limit)]).await?;
        let read = |row: &Row| {
            let record: &[u8] = column(row, 1, "audit record")?;
            Ok((natural(column(row, 0, "audit record")?), decode(record, "audit record").ok()))
        };
        rows.iter().map(read).collect()
    }

    async fn merchant_audit(
        &self,
        merchant_id: MerchantId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        let query = Query::Fixed(include_str!("sql/merchant_audit.sql"));
        let before = big(before.unwrap_or(u64::MAX));
        self.records(query, &[&Id(merchant_id.to_bytes()), &before, &most(limit)], "audit record").await
    }

    async fn audit_head(&self) -> Result<Head, StoreError> {
        let query = Query::Fixed("SELECT audit_count, audit_last FROM log_head WHERE id = 1");
        let rows = self.query(query, &[]).await?;
        let what = "end of the audit log";
        let row = rows.first().ok_or(StoreError::Corrupt(what))?;
        let last: &[u8] = column(row, 1, what)?;
        let last = last.try_into().map_err(|_| StoreError::Corrupt(what))?;
        Ok(Head { count: natural(column(row, 0, what)?), last })
    }

    async fn work(&self, work: Work) -> Result<Worked, CommitError> {
        self.submit_work(work).await
    }

    async fn lease_jobs(&self, wish: LeaseWish) -> Result<Leased, CommitError> {
        self.submit_lease(wish).await
    }

    async fn job(&self, merchant_id: MerchantId, id: JobId) -> Result<Option<Job>, StoreError> {
        self.row(Table::Jobs, owned(merchant_id, id.to_bytes()), "job").await
    }

    async fn jobs(&self, merchant_id: MerchantId, filter: JobFilter) -> Result<Vec<Job>, StoreError> {
        list::jobs(&*self.pool.get().await?, merchant_id, filter).await
    }

    async fn job_lanes(
        &self,
        kind: JobKind,
        after: Option<Lane>,
        limit: usize,
    ) -> Result<Vec<DueLane>, StoreError> {
        let from = match after {
            Some(after) => keys::due(kind, after, u64::MAX, [u8::MAX; 16]),
            None => keys::due(kind, [0; 16], 0, [0; 16]),
        };
        let to = keys::due(kind, [u8::MAX; 16], u64::MAX, [u8::MAX; 16]);
        let end = [u8::MAX; 24];
        let query = Query::Fixed(include_str!("sql/job_lanes.sql"));
        let params: [Param<'_>; 4] = [&from.as_slice(), &to.as_slice(), &end.as_slice(), &most(limit)];
        let rows = self.query(query, &params).await?;
        let read = |row: &Row| {
            let (key, merchant): (&[u8], &[u8]) = (column(row, 0, "job time")?, column(row, 1, "job time")?);
            let (at_ms, _, merchant_id) = read_due(key, merchant)?;
            let lane = keys::bytes16(key, 1).ok_or(StoreError::Corrupt("job time"))?;
            Ok(DueLane { lane, merchant_id, at_ms })
        };
        rows.iter().map(read).collect()
    }

    async fn job_depth(&self, kind: JobKind) -> Result<usize, StoreError> {
        let from = keys::due(kind, [0; 16], 0, [0; 16]);
        let to = keys::due(kind, [u8::MAX; 16], u64::MAX, [u8::MAX; 16]);
        let query = Query::Fixed(include_str!("sql/job_depth.sql"));
        let rows = self.query(query, &[&from.as_slice(), &to.as_slice(), &count(SCAN_MAX)]).await?;
        let counted = rows.first().map_or(Ok(0), |row| column::<i64>(row, 0, "job time"))?;
        Ok(usize::try_from(counted).unwrap_or(0))
    }

    async fn log_read(&self, reader: LogReader) -> Result<u64, StoreError> {
        Ok(self.row(Table::LogReaders, reader.as_str().as_bytes(), "log reader").await?.unwrap_or(0))
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
        let query = match reader.log() {
            Log::Events => Query::Fixed(include_str!("sql/events_place.sql")),
            Log::Outcomes => Query::Fixed(include_str!("sql/outcomes_place.sql")),
        };
        let (read_key, hold_key) = (reader.as_str().as_bytes(), reader.hold_key());
        let rows = self.query(query, &[&read_key, &hold_key.as_slice()]).await?;
        let what = "log reader";
        let row = rows.first().ok_or(StoreError::Corrupt(what))?;
        let (read, hold): (Option<&[u8]>, Option<&[u8]>) = (column(row, 1, what)?, column(row, 2, what)?);
        Ok(LogPlace {
            read: read.map(|row| decode(row, what)).transpose()?,
            end: natural(column(row, 0, what)?),
            hold: hold.map(|row| decode(row, what)).transpose()?,
        })
    }

    async fn webhook_endpoint(
        &self,
        merchant_id: MerchantId,
        id: WebhookEndpointId,
    ) -> Result<Option<WebhookEndpoint>, StoreError> {
        self.row(Table::WebhookEndpoints, owned(merchant_id, id.to_bytes()), "webhook endpoint").await
    }

    async fn webhook_endpoints(&self, merchant_id: MerchantId) -> Result<Vec<WebhookEndpoint>, StoreError> {
        self.prefixed(Table::WebhookEndpoints, &merchant_id.to_bytes(), "webhook endpoint").await
    }

    async fn delivery(
        &self,
        merchant_id: MerchantId,
        id: DeliveryId,
    ) -> Result<Option<Delivery>, StoreError> {
        self.row(Table::Deliveries, owned(merchant_id, id.to_bytes()), "delivery").await
    }

    async fn deliveries(
        &self,
        merchant_id: MerchantId,
        filter: DeliveryFilter,
    ) -> Result<DeliveryPage, StoreError> {
        list::deliveries(&*self.pool.get().await?, merchant_id, filter).await
    }

    async fn merchant(&self, id: MerchantId) -> Result<Option<Merchant>, StoreError> {
        self.row(Table::Merchants, id.to_bytes(), "merchant").await
    }

    async fn merchants(&self) -> Result<Vec<Merchant>, StoreError> {
        let query = Query::Fixed("SELECT record FROM merchants ORDER BY merchant_id");
        self.records(query, &[], "merchant").await
    }

    async fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        let row = self.bytes(Table::ApiKeys, &id.to_bytes()).await?;
        row.map(|row| api_keys::from_row(&row)).transpose()
    }

    async fn api_keys(&self, owner: KeyOwner) -> Result<Vec<ApiKey>, StoreError> {
        let rows = self.query(Query::Fixed("SELECT record FROM api_keys ORDER BY key"), &[]).await?;
        let mut found = Vec::new();
        for row in &rows {
            let key = api_keys::from_row(column(row, 0, "API key")?)?;
            if key.owner == owner {
                found.push(key);
            }
        }
        Ok(found)
    }

    async fn key_uses(&self, ids: Vec<ApiKeyId>) -> Result<Vec<Option<u64>>, StoreError> {
        let wanted = ids.iter().map(|id| id.to_bytes().to_vec()).collect();
        let found = read!(self, |link| fetch(link, Table::KeyUses, &wanted))?;
        let found: HashMap<_, _> = found.into_iter().collect();
        let read = |id: ApiKeyId| {
            let row = found.get(id.to_bytes().as_slice());
            row.map(|row| keys::number(row, 0).ok_or(StoreError::Corrupt("use of a key"))).transpose()
        };
        ids.into_iter().map(read).collect()
    }

    async fn passkeys(&self, merchant_id: MerchantId, user_id: &str) -> Result<Vec<Passkey>, StoreError> {
        let prefix = owned(merchant_id, user_digest(user_id));
        self.prefixed(Table::Passkeys, &prefix, "passkey").await
    }

    async fn payment(&self, merchant_id: MerchantId, id: PaymentId) -> Result<Option<Payment>, StoreError> {
        self.row(Table::Payments, owned(merchant_id, id.to_bytes()), "payment").await
    }

    async fn payments(
        &self,
        merchant_id: MerchantId,
        filter: PaymentFilter,
    ) -> Result<PaymentPage, StoreError> {
        read!(self, |link| list::payments(link, merchant_id, &filter))
    }

    async fn recent_payments(
        &self,
        merchant_id: MerchantId,
        users: Vec<String>,
    ) -> Result<Vec<Option<Payment>>, StoreError> {
        let digests: Vec<Vec<u8>> = users.iter().map(|user| user_digest(user).to_vec()).collect();
        let query = Query::Fixed(include_str!("sql/recent_payments.sql"));
        let lately_ms =
            SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(LATELY);
        let lately = Id((lately_ms.as_millis() << 80).to_be_bytes());
        let rows = self.query(query, &[&Id(merchant_id.to_bytes()), &digests, &lately]).await?;
        let mut found: Vec<Option<Payment>> = vec![None; users.len()];
        for row in &rows {
            let place = column::<i64>(row, 0, "payment")?.saturating_sub(1);
            if let Some(slot) = usize::try_from(place).ok().and_then(|place| found.get_mut(place)) {
                let record = column::<Option<&[u8]>>(row, 1, "payment")?;
                *slot = record.map(|record| decode(record, "payment")).transpose()?;
            }
        }
        Ok(found)
    }

    async fn policy(&self, merchant_id: MerchantId, kind: PolicyKind) -> Result<Option<String>, StoreError> {
        let Some(row) = self.bytes(Table::Policies, &keys::policy(merchant_id, kind)).await? else {
            return Ok(None);
        };
        String::from_utf8(row).map(Some).map_err(|_| StoreError::Corrupt("policy"))
    }

    async fn notices(&self, after: Option<EventId>, limit: usize) -> Result<Vec<Notice>, StoreError> {
        let from = after_id(after.map(EventId::to_bytes));
        let rows = read!(self, |link| page(link, Table::Notices, &from, &LAST, most(limit)))?;
        rows.iter().map(|(_, row)| decode(row, "notice")).collect()
    }

    async fn risk_payments(
        &self,
        merchant_id: MerchantId,
        list: RiskList,
        before: Option<PaymentId>,
        limit: usize,
    ) -> Result<Vec<Payment>, StoreError> {
        let from = keys::risk_list(merchant_id, list, [0; 16]);
        let to = keys::risk_list(merchant_id, list, before.map_or([u8::MAX; 16], PaymentId::to_bytes));
        let (from, to) = (from.get(16..).unwrap_or_default(), to.get(16..).unwrap_or_default());
        let query = Query::Of(include_str!("sql/owned_scan_back.sql"), "risk_lists");
        let listed = self.query(query, &[&Id(merchant_id.to_bytes()), &from, &to, &most(limit)]).await?;
        let mut wanted = Vec::with_capacity(listed.len());
        for row in &listed {
            let id =
                keys::bytes16(column(row, 0, "fraud list")?, 1).ok_or(StoreError::Corrupt("fraud list"))?;
            wanted.push(owned(merchant_id, id));
        }
        self.in_order(Table::Payments, wanted, "payment").await
    }

    async fn saved_card(
        &self,
        merchant_id: MerchantId,
        token: [u8; 16],
    ) -> Result<Option<SavedCard>, StoreError> {
        self.row(Table::SavedCards, owned(merchant_id, token), "saved card").await
    }

    async fn saved_cards(
        &self,
        merchant_id: MerchantId,
        user_id: &str,
    ) -> Result<Vec<SavedCard>, StoreError> {
        let prefix = owned(merchant_id, user_digest(user_id));
        let listed = read!(self, |link| prefixed(link, Table::UserCards, &prefix, LIMIT_MAX))?;
        let mut wanted = Vec::with_capacity(listed.len());
        for (key, _) in &listed {
            let token = keys::bytes16(key, 32).ok_or(StoreError::Corrupt("card index"))?;
            wanted.push(owned(merchant_id, token));
        }
        self.in_order(Table::SavedCards, wanted, "saved card").await
    }

    async fn attempt(&self, id: AttemptId) -> Result<Option<Attempt>, StoreError> {
        self.row(Table::Attempts, id.to_bytes(), "attempt").await
    }

    async fn checkout(&self, id: CheckoutId) -> Result<Option<CheckoutSession>, StoreError> {
        self.row(Table::Checkouts, id.to_bytes(), "checkout session").await
    }

    async fn checkout_payments(
        &self,
        merchant_id: MerchantId,
        id: CheckoutId,
    ) -> Result<Vec<Payment>, StoreError> {
        let query = Query::Fixed(include_str!("sql/checkout_payments.sql"));
        let params: [Param<'_>; 3] = [&Id(merchant_id.to_bytes()), &Id(id.to_bytes()), &most(LIMIT_MAX)];
        self.records(query, &params, "payment").await
    }

    async fn refund(&self, merchant_id: MerchantId, id: RefundId) -> Result<Option<Refund>, StoreError> {
        self.row(Table::Refunds, owned(merchant_id, id.to_bytes()), "refund").await
    }

    async fn postings(&self, merchant_id: MerchantId, id: PaymentId) -> Result<Vec<Posting>, StoreError> {
        let query = Query::Fixed(include_str!("sql/postings.sql"));
        self.records(query, &[&Id(merchant_id.to_bytes()), &Id(id.to_bytes())], "posting").await
    }

    async fn history(&self, merchant_id: MerchantId, id: PaymentId) -> Result<Vec<EventRecord>, StoreError> {
        let query = Query::Fixed(include_str!("sql/history.sql"));
        self.events_of(query, &[&Id(merchant_id.to_bytes()), &Id(id.to_bytes())]).await
    }

    async fn events(
        &self,
        merchant_id: MerchantId,
        after_sequence: u64,
        limit: usize,
    ) -> Result<Vec<EventRecord>, StoreError> {
        let query = Query::Fixed(include_str!("sql/merchant_events.sql"));
        let params: [Param<'_>; 3] = [&Id(merchant_id.to_bytes()), &big(after_sequence), &most(limit)];
        self.events_of(query, &params).await
    }

    async fn outcomes_of(
        &self,
        _log: u16,
        after_sequence: u64,
        limit: usize,
    ) -> Result<Vec<OutcomeRecord>, StoreError> {
        let query = Query::Fixed(include_str!("sql/outcomes.sql"));
        let rows = self.query(query, &[&big(after_sequence), &most(limit)]).await?;
        rows.iter().map(outcomes::read).collect()
    }

    async fn outbox(&self, after_sequence: u64, limit: usize) -> Result<Vec<EventRecord>, StoreError> {
        let query = Query::Fixed(include_str!("sql/outbox.sql"));
        self.events_of(query, &[&big(after_sequence), &count(limit)]).await
    }

    async fn balances(
        &self,
        merchant_id: MerchantId,
    ) -> Result<Vec<(Currency, Account, Balance)>, StoreError> {
        let rows = read!(self, |link| prefixed(link, Table::Balances, &merchant_id.to_bytes(), SCAN_MAX))?;
        let read = |(key, row): &(Vec<u8>, Vec<u8>)| {
            let (account, balance) = decode(row, "balance")?;
            let code = key.get(16..19).and_then(|code| std::str::from_utf8(code).ok());
            let currency =
                code.and_then(|code| code.parse().ok()).ok_or(StoreError::Corrupt("balance key"))?;
            Ok((currency, account, balance))
        };
        rows.iter().map(read).collect()
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
        read!(self, |link| list::totals(link, merchant_id, from_hour, to_hour))
    }

    async fn totals_by_day(
        &self,
        merchant_id: MerchantId,
        from_hour: u32,
        to_hour: u32,
    ) -> Result<Vec<(TotalsKey, Totals)>, StoreError> {
        if from_hour >= to_hour {
            return Ok(Vec::new());
        }
        read!(self, |link| list::totals_by_day(link, merchant_id, from_hour, to_hour))
    }

    async fn report(&self, wish: ReportWish) -> Result<Report, StoreError> {
        read!(self, |link| reports::read(link, &wish))
    }

    async fn open_attempts(
        &self,
        after: Option<AttemptId>,
        limit: usize,
    ) -> Result<Vec<Attempt>, StoreError> {
        let after = Id(after.map_or([0; 16], AttemptId::to_bytes));
        let query = Query::Fixed(include_str!("sql/open_attempts.sql"));
        self.records(query, &[&after, &count(limit)], "attempt").await
    }

    async fn deadlines(&self, before_ms: u64, limit: usize) -> Result<Vec<Deadline>, StoreError> {
        let query = Query::Fixed(include_str!("sql/deadlines.sql"));
        let rows = self.query(query, &[&big(before_ms), &count(limit)]).await?;
        let read = |row: &Row| {
            let (merchant, payment): (Id, Id) = (column(row, 1, "deadline")?, column(row, 2, "deadline")?);
            Ok(Deadline {
                at_ms: natural(column(row, 0, "deadline")?),
                merchant_id: MerchantId::from_bytes(merchant.0),
                payment_id: PaymentId::from_bytes(payment.0),
            })
        };
        rows.iter().map(read).collect()
    }

    async fn idempotency(
        &self,
        merchant_id: MerchantId,
        key: &str,
        now_ms: u64,
    ) -> Result<Option<IdempotencyRecord>, StoreError> {
        let key = idempotency_key(merchant_id, key);
        let first = big(now_ms.saturating_sub(self.idempotency_ms) / DAY_MS);
        let query = Query::Fixed(include_str!("sql/idempotency_live.sql"));
        let merchant = Id(merchant_id.to_bytes());
        let params: [Param<'_>; 3] = [&merchant, &key.digest.as_slice(), &first];
        let found: Vec<IdempotencyRecord> = self.records(query, &params, "idempotency record").await?;
        let lives =
            |record: &IdempotencyRecord| record.created_at_ms.saturating_add(self.idempotency_ms) > now_ms;
        Ok(found.into_iter().next().filter(lives))
    }

    async fn health(&self) -> Result<StoreHealth, StoreError> {
        self.pool.get().await?.ping().await?;
        let mut health = StoreHealth { queue_length: 0, queue_length_max: 0 };
        for queue in self.queues() {
            let Some(sender) = queue.sender.as_ref().filter(|sender| !sender.is_closed()) else {
                return Err(StoreError::Unavailable("a writer has stopped".to_owned()));
            };
            health.queue_length += self.queue_length_max.saturating_sub(sender.capacity());
            health.queue_length_max += self.queue_length_max;
        }
        Ok(health)
    }
}

impl PostgresStore {
    /// A replica's connection, if a replica may answer what is read now.
    async fn lent(&self) -> Option<Lent<'_>> {
        self.replicas.as_ref()?.lend().await
    }

    async fn query(&self, query: Query, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        read!(self, |link| link.query(query.clone(), params))
    }

    /// The records that a statement gives.
    async fn records<T: DeserializeOwned>(
        &self,
        query: Query,
        params: &[Param<'_>],
        what: &'static str,
    ) -> Result<Vec<T>, StoreError> {
        let rows = self.query(query, params).await?;
        rows.iter().map(|row| decode(column(row, 0, what)?, what)).collect()
    }

    /// The events that a statement gives. Their numbers are the columns': in the record they are counted within
    /// the batch.
    async fn events_of(&self, query: Query, params: &[Param<'_>]) -> Result<Vec<EventRecord>, StoreError> {
        let rows = self.query(query, params).await?;
        let read = |row: &Row| {
            let mut event: EventRecord = decode(column(row, 1, "event")?, "event")?;
            event.sequence = natural(column(row, 0, "event")?);
            Ok(event)
        };
        rows.iter().map(read).collect()
    }

    async fn bytes(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let wanted = HashSet::from([key.to_vec()]);
        let found = read!(self, |link| fetch(link, table, &wanted))?;
        Ok(found.into_iter().next().map(|(_, row)| row.to_vec()))
    }

    async fn row<T: DeserializeOwned>(
        &self,
        table: Table,
        key: impl AsRef<[u8]> + Send,
        what: &'static str,
    ) -> Result<Option<T>, StoreError> {
        let row = self.bytes(table, key.as_ref()).await?;
        row.map(|row| decode(&row, what)).transpose()
    }

    /// The rows whose keys begin so, in their order.
    async fn prefixed<T: DeserializeOwned>(
        &self,
        table: Table,
        prefix: &[u8],
        what: &'static str,
    ) -> Result<Vec<T>, StoreError> {
        let rows = read!(self, |link| prefixed(link, table, prefix, SCAN_MAX))?;
        rows.iter().map(|(_, row)| decode(row, what)).collect()
    }

    /// The rows of some keys, in the order of the keys; those that are not there are left out.
    async fn in_order<T: DeserializeOwned>(
        &self,
        table: Table,
        wanted: Vec<Vec<u8>>,
        what: &'static str,
    ) -> Result<Vec<T>, StoreError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let keys = wanted.iter().cloned().collect();
        let found = read!(self, |link| fetch(link, table, &keys))?;
        let found: HashMap<_, _> = found.into_iter().collect();
        wanted.iter().filter_map(|key| found.get(key)).map(|row| decode(row, what)).collect()
    }
}

/// A page's limit.
fn most(limit: usize) -> i64 {
    count(limit.min(LIMIT_MAX))
}

/// Where a range begins that leaves out an id and what is before it.
fn after_id(id: Option<[u8; 16]>) -> Vec<u8> {
    id.map_or_else(Vec::new, |id| [id.as_slice(), &[0]].concat())
}
