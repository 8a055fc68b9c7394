//! What one batch changes, column by column, and the statements that write it.

#[cfg(feature = "bulk")]
pub(super) mod bulk;

use crate::batch::codec::encode;
use crate::batch::digests::user_digest;
use crate::batch::{Table, VolumeKey, Window, WindowKey};
use crate::error::StoreError;
use crate::postgres::base::split;
use crate::postgres::link::{Id, Link, Param, Query, big, column, natural};
use crate::postgres::outcomes::Outcomes;
use crate::postgres::places::{Place, is_of_installation, place};
use futures_util::future::{LocalBoxFuture, try_join_all};
use std::collections::{BTreeMap, HashMap, HashSet};
use tollgate_core::attempt::Attempt;
use tollgate_core::audit::{AuditEntry, Head};
use tollgate_core::event::EventRecord;
use tollgate_core::id::{MerchantId, PaymentId};
use tollgate_core::ledger::Posting;
use tollgate_core::payment::Payment;

/// A window's rows, by their keys and days.
type WindowRows = BTreeMap<(WindowKey, u64), Vec<u8>>;

/// The changes of one batch.
#[derive(Default)]
pub(super) struct Changes {
    /// The last word about each row; none: removed.
    rows: BTreeMap<Table, BTreeMap<Vec<u8>, Option<Vec<u8>>>>,
    windows: BTreeMap<(Window, Kind), WindowRows>,
    /// By how much merchants have taken more.
    pub(super) volumes: HashMap<VolumeKey, i128>,
    /// Payments that are there already.
    pub(super) payments: Payments,
    pub(super) new_payments: Payments,
    /// Attempts that are there already.
    pub(super) attempts: Attempts,
    pub(super) new_attempts: Attempts,
    pub(super) postings: Postings,
    pub(super) events: Events,
    /// Events in which a person is masked; then the payments are those.
    pub(super) masked_events: Events,
    pub(super) outcomes: Outcomes,
}

/// Whether a row that is written is there already, as the batch has read it. It is said because finding it out costs as much as the
/// writing; what was said wrongly is noticed, by a key that is there or by a number of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    New,
    Present,
}

/// Payments to write.
#[derive(Default)]
pub(super) struct Payments {
    merchant_id: Vec<Id>,
    id: Vec<Id>,
    version: Vec<i32>,
    status: Vec<&'static str>,
    processor: Vec<String>,
    method: Vec<&'static str>,
    customer: Vec<Option<Vec<u8>>>,
    checkout_id: Vec<Option<Id>>,
    currency: Vec<String>,
    amount_minor: Vec<i64>,
    created_at_ms: Vec<i64>,
    deadline_ms: Vec<Option<i64>>,
    record: Vec<Vec<u8>>,
}

impl Payments {
    pub(super) fn add(&mut self, payment: &Payment, row: &[u8]) {
        let terms = &payment.terms;
        self.merchant_id.push(Id(payment.merchant_id.to_bytes()));
        self.id.push(Id(payment.id.to_bytes()));
        self.version.push(small(payment.version));
        self.status.push(payment.status.as_str());
        self.processor.push(payment.processor.as_str().to_owned());
        self.method.push(terms.method.as_str());
        self.customer.push(terms.user_id.as_deref().map(|user| user_digest(user).to_vec()));
        self.checkout_id.push(terms.checkout.map(|id| Id(id.to_bytes())));
        self.currency.push(terms.amount.currency.code().to_owned());
        self.amount_minor.push(terms.amount.minor);
        self.created_at_ms.push(big(payment.created_at_ms));
        self.deadline_ms.push(payment.deadline_ms().map(big));
        self.record.push(row.to_vec());
    }

    async fn insert(&self, link: &Link) -> Result<(), StoreError> {
        let params: [Param<'_>; 13] = [
            &self.merchant_id,
            &self.id,
            &self.version,
            &self.status,
            &self.processor,
            &self.method,
            &self.customer,
            &self.checkout_id,
            &self.currency,
            &self.amount_minor,
            &self.created_at_ms,
            &self.deadline_ms,
            &self.record,
        ];
        let written = link.execute(Query::Fixed(include_str!("sql/payments_add.sql")), &params).await?;
        all_written(written, self.id.len())
    }

    async fn update(&self, link: &Link) -> Result<(), StoreError> {
        let params: [Param<'_>; 7] = [
            &self.merchant_id,
            &self.id,
            &self.version,
            &self.status,
            &self.processor,
            &self.deadline_ms,
            &self.record,
        ];
        let written = link.execute(Query::Fixed(include_str!("sql/payments_change.sql")), &params).await?;
        all_written(written, self.id.len())
    }

    /// Writes payments of which only the record has changed.
    async fn mask(&self, link: &Link) -> Result<(), StoreError> {
        let query = Query::Fixed(include_str!("sql/payments_mask.sql"));
        let params: [Param<'_>; 5] =
            [&self.merchant_id, &self.id, &self.version, &self.customer, &self.record];
        all_written(link.execute(query, &params).await?, self.id.len())
    }
}

fn all_written(written: u64, wanted: usize) -> Result<(), StoreError> {
    if usize::try_from(written) == Ok(wanted) {
        return Ok(());
    }
    Err(StoreError::Unavailable("a row was changed by somebody else meanwhile".to_owned()))
}

/// Attempts to write.
#[derive(Default)]
pub(super) struct Attempts {
    merchant_id: Vec<Id>,
    id: Vec<Id>,
    payment_id: Vec<Id>,
    processor: Vec<String>,
    status: Vec<&'static str>,
    is_watched: Vec<bool>,
    amount_minor: Vec<i64>,
    created_at_ms: Vec<i64>,
    record: Vec<Vec<u8>>,
}

impl Attempts {
    pub(super) fn add(&mut self, attempt: &Attempt, row: &[u8]) {
        self.merchant_id.push(Id(attempt.merchant_id.to_bytes()));
        self.id.push(Id(attempt.id.to_bytes()));
        self.payment_id.push(Id(attempt.payment_id.to_bytes()));
        self.processor.push(attempt.processor.as_str().to_owned());
        self.status.push(attempt.status.as_str());
        self.is_watched.push(attempt.status.is_watched());
        self.amount_minor.push(attempt.amount_minor);
        self.created_at_ms.push(big(attempt.created_at_ms));
        self.record.push(row.to_vec());
    }

    async fn insert(&self, link: &Link) -> Result<(), StoreError> {
        let params: [Param<'_>; 9] = [
            &self.merchant_id,
            &self.id,
            &self.payment_id,
            &self.processor,
            &self.status,
            &self.is_watched,
            &self.amount_minor,
            &self.created_at_ms,
            &self.record,
        ];
        let written = link.execute(Query::Fixed(include_str!("sql/attempts_add.sql")), &params).await?;
        all_written(written, self.id.len())
    }

    async fn update(&self, link: &Link) -> Result<(), StoreError> {
        let params: [Param<'_>; 5] =
            [&self.merchant_id, &self.id, &self.status, &self.is_watched, &self.record];
        let written = link.execute(Query::Fixed(include_str!("sql/attempts_change.sql")), &params).await?;
        all_written(written, self.id.len())
    }
}

/// Postings to add.
#[derive(Default)]
pub(super) struct Postings {
    merchant_id: Vec<Id>,
    payment_id: Vec<Id>,
    version: Vec<i32>,
    at_ms: Vec<i64>,
    currency: Vec<String>,
    record: Vec<Vec<u8>>,
}

impl Postings {
    pub(super) fn add(
        &mut self,
        merchant_id: MerchantId,
        payment_id: PaymentId,
        posting: &Posting,
        row: &[u8],
    ) {
        self.merchant_id.push(Id(merchant_id.to_bytes()));
        self.payment_id.push(Id(payment_id.to_bytes()));
        self.version.push(small(posting.version));
        self.at_ms.push(big(posting.at_ms));
        self.currency.push(posting.currency.code().to_owned());
        self.record.push(row.to_vec());
    }

    async fn write(&self, link: &Link) -> Result<(), StoreError> {
        link.execute(
            Query::Fixed(include_str!("sql/postings_add.sql")),
            &[&self.merchant_id, &self.payment_id, &self.version, &self.at_ms, &self.currency, &self.record],
        )
        .await?;
        Ok(())
    }
}

/// Events to add. They are counted from 1 within the batch; the log's head gives them their numbers.
#[derive(Default)]
pub(super) struct Events {
    merchant_id: Vec<Id>,
    payment_id: Vec<Id>,
    version: Vec<i32>,
    place: Vec<i64>,
    id: Vec<Id>,
    at_ms: Vec<i64>,
    name: Vec<&'static str>,
    record: Vec<Vec<u8>>,
}

impl Events {
    /// One of them: merchant, payment, version and id.
    pub(super) fn one(&self) -> Option<(Id, Id, i32, Id)> {
        let (merchant, payment) = (self.merchant_id.first()?, self.payment_id.first()?);
        Some((*merchant, *payment, *self.version.first()?, *self.id.first()?))
    }

    pub(super) fn add(&mut self, record: &EventRecord, row: &[u8]) {
        self.merchant_id.push(Id(record.merchant_id.to_bytes()));
        self.payment_id.push(Id(record.payment_id.to_bytes()));
        self.version.push(small(record.version));
        self.place.push(big(record.sequence));
        self.id.push(Id(record.id.to_bytes()));
        self.at_ms.push(big(record.at_ms));
        self.name.push(record.event.name());
        self.record.push(row.to_vec());
    }

    /// Writes events that are in the log.
    async fn mask(&self, link: &Link) -> Result<(), StoreError> {
        let query = Query::Fixed(include_str!("sql/events_mask.sql"));
        link.execute(query, &[&self.merchant_id, &self.payment_id, &self.version, &self.record]).await?;
        Ok(())
    }

    /// Gives the sequence number before the first of them.
    async fn write(&self, link: &Link) -> Result<u64, StoreError> {
        let count = big(u64::try_from(self.id.len()).unwrap_or(u64::MAX));
        let query = Query::Fixed(include_str!("sql/events_add.sql"));
        let found = link
            .query_opt(
                query,
                &[
                    &self.merchant_id,
                    &self.payment_id,
                    &self.version,
                    &self.place,
                    &self.id,
                    &self.at_ms,
                    &self.name,
                    &self.record,
                    &count,
                ],
            )
            .await?;
        let row = found.ok_or(StoreError::Corrupt("the log's head"))?;
        Ok(natural(column(&row, 0, "the log's head")?))
    }
}

impl Changes {
    /// Sets a row; none: removes it.
    pub(super) fn set(&mut self, table: Table, key: &[u8], row: Option<&[u8]>) {
        if !matches!(place(table), Place::Index) {
            self.rows.entry(table).or_default().insert(key.to_vec(), row.map(<[u8]>::to_vec));
        }
    }

    pub(super) fn put_payment(&mut self, kind: Kind, payment: &Payment, row: &[u8]) {
        match kind {
            Kind::New => self.new_payments.add(payment, row),
            Kind::Present => self.payments.add(payment, row),
        }
    }

    pub(super) fn put_attempt(&mut self, kind: Kind, attempt: &Attempt, row: &[u8]) {
        match kind {
            Kind::New => self.new_attempts.add(attempt, row),
            Kind::Present => self.attempts.add(attempt, row),
        }
    }

    pub(super) fn keep(&mut self, window: Window, kind: Kind, (day, key): (u64, &WindowKey), row: &[u8]) {
        self.windows.entry((window, kind)).or_default().insert((*key, day), row.to_vec());
    }

    /// Whose rows of those that are on a merchant's shard are written.
    pub(super) fn merchants(&self) -> Result<impl Iterator<Item = MerchantId>, StoreError> {
        let columns = [
            &self.payments.merchant_id,
            &self.new_payments.merchant_id,
            &self.attempts.merchant_id,
            &self.new_attempts.merchant_id,
            &self.postings.merchant_id,
            &self.events.merchant_id,
            &self.masked_events.merchant_id,
            &self.outcomes.merchant_id,
        ];
        let mut found: HashSet<[u8; 16]> = columns.into_iter().flatten().map(|id| id.0).collect();
        found.extend(self.volumes.keys().map(|(merchant_id, ..)| merchant_id.to_bytes()));
        found.extend(
            self.windows.values().flat_map(BTreeMap::keys).map(|(key, _)| key.merchant_id.to_bytes()),
        );
        for (table, rows) in self.rows.iter().filter(|(table, _)| !is_of_installation(**table)) {
            for (key, row) in rows {
                match (place(*table), row) {
                    (Place::Owned(_), _) => {
                        found.insert(split(key)?.0.0);
                    }
                    (Place::Told(_, merchant), Some(row)) => {
                        found.extend(merchant(row).map(MerchantId::to_bytes));
                    }
                    _ => {}
                }
            }
        }
        Ok(found.into_iter().map(MerchantId::from_bytes))
    }

    /// Writes everything but what the logs say, in one go: no statement waits for another's answer.
    pub(super) async fn write(&self, link: &Link) -> Result<(), StoreError> {
        let mut writes: Vec<LocalBoxFuture<'_, Result<(), StoreError>>> = Vec::new();
        if !self.payments.id.is_empty() {
            // An erasure is no change of a payment: its version stays. Nobody else writes both kinds.
            if self.masked_events.id.is_empty() {
                writes.push(Box::pin(self.payments.update(link)));
            } else {
                writes.push(Box::pin(self.payments.mask(link)));
                writes.push(Box::pin(self.masked_events.mask(link)));
            }
        }
        if !self.new_payments.id.is_empty() {
            writes.push(Box::pin(self.new_payments.insert(link)));
        }
        if !self.attempts.id.is_empty() {
            writes.push(Box::pin(self.attempts.update(link)));
        }
        if !self.new_attempts.id.is_empty() {
            writes.push(Box::pin(self.new_attempts.insert(link)));
        }
        if !self.postings.payment_id.is_empty() {
            writes.push(Box::pin(self.postings.write(link)));
        }
        if !self.volumes.is_empty() {
            writes.push(Box::pin(write_volumes(link, &self.volumes)));
        }
        for (table, rows) in &self.rows {
            writes.push(Box::pin(write_rows(link, *table, rows)));
        }
        for ((window, kind), rows) in &self.windows {
            writes.push(Box::pin(write_window(link, (*window, *kind), rows)));
        }
        writes.push(Box::pin(self.outcomes.make_room(link)));
        try_join_all(writes).await?;
        Ok(())
    }

    /// Writes what the logs say, last: until the transaction ends nobody else can. Gives the number before the
    /// first event's.
    pub(super) async fn log(&self, link: &Link, told: Vec<AuditEntry>) -> Result<u64, StoreError> {
        if !told.is_empty() {
            tell(link, told).await?;
        }
        let base = if self.events.id.is_empty() { 0 } else { self.events.write(link).await? };
        self.outcomes.write(link).await?;
        Ok(base)
    }
}

/// Adds entries to the audit log.
pub(super) async fn tell(link: &Link, told: Vec<AuditEntry>) -> Result<(), StoreError> {
    let corrupt = StoreError::Corrupt("end of the audit log");
    let locked = link.query_opt(Query::Fixed(include_str!("sql/audit_lock.sql")), &[]).await?;
    let row = locked.ok_or(corrupt)?;
    let last: &[u8] = column(&row, 1, "end of the audit log")?;
    let last = last.try_into().map_err(|_| StoreError::Corrupt("end of the audit log"))?;
    let mut head = Head { count: natural(column(&row, 0, "end of the audit log")?), last };
    let mut sequences = Vec::with_capacity(told.len());
    let mut merchants = Vec::with_capacity(told.len());
    let mut records = Vec::with_capacity(told.len());
    for entry in told {
        merchants.push(entry.merchant_id().map(|id| Id(id.to_bytes())));
        let record = head.append(entry);
        sequences.push(big(record.sequence));
        records.push(encode(&record)?);
    }
    let (count, last) = (big(head.count), head.last.as_slice());
    let query = Query::Fixed(include_str!("sql/audit_add.sql"));
    link.execute(query, &[&sequences, &merchants, &records, &count, &last]).await?;
    Ok(())
}

async fn write_rows(
    link: &Link,
    table: Table,
    rows: &BTreeMap<Vec<u8>, Option<Vec<u8>>>,
) -> Result<(), StoreError> {
    let (mut merchants, mut keys, mut records) = (Vec::new(), Vec::new(), Vec::new());
    let (mut gone_merchants, mut gone) = (Vec::new(), Vec::new());
    for (key, row) in rows {
        match (place(table), row) {
            (Place::Owned(_), Some(row)) => {
                let (merchant, rest) = split(key)?;
                merchants.push(merchant);
                keys.push(rest);
                records.push(row.as_slice());
            }
            (Place::Owned(_), None) => {
                let (merchant, rest) = split(key)?;
                gone_merchants.push(merchant);
                gone.push(rest);
            }
            (Place::Told(_, merchant), Some(row)) => {
                let merchant = merchant(row).ok_or(StoreError::Corrupt("row without a merchant"))?;
                merchants.push(Id(merchant.to_bytes()));
                keys.push(key.as_slice());
                records.push(row.as_slice());
            }
            (Place::Keyed(_), Some(row)) => {
                keys.push(key.as_slice());
                records.push(row.as_slice());
            }
            (Place::Told(..) | Place::Keyed(_), None) => gone.push(key.as_slice()),
            (Place::Columns | Place::Index, _) => return Err(StoreError::Corrupt("table")),
        }
    }
    let (name, is_keyed) = match place(table) {
        Place::Owned(name) | Place::Told(name, _) => (name, false),
        Place::Keyed(name) => (name, true),
        Place::Columns | Place::Index => return Err(StoreError::Corrupt("table")),
    };
    if !keys.is_empty() && is_keyed {
        link.execute(Query::Of(include_str!("sql/keyed_put.sql"), name), &[&keys, &records]).await?;
    } else if !keys.is_empty() {
        let query = Query::Of(include_str!("sql/owned_put.sql"), name);
        link.execute(query, &[&merchants, &keys, &records]).await?;
    }
    if !gone_merchants.is_empty() {
        let query = Query::Of(include_str!("sql/owned_remove.sql"), name);
        link.execute(query, &[&gone_merchants, &gone]).await?;
    } else if !gone.is_empty() {
        link.execute(Query::Of(include_str!("sql/keyed_remove.sql"), name), &[&gone]).await?;
    }
    Ok(())
}

async fn write_volumes(link: &Link, volumes: &HashMap<VolumeKey, i128>) -> Result<(), StoreError> {
    let columns = VolumeColumns::of(volumes.keys());
    let changes: Vec<String> = volumes.values().map(ToString::to_string).collect();
    let VolumeColumns { merchants, currencies, from, to } = &columns;
    let query = Query::Fixed(include_str!("sql/volumes_add.sql"));
    link.execute(query, &[merchants, currencies, from, to, &changes]).await?;
    Ok(())
}

/// Keys of volumes, column by column.
pub(super) struct VolumeColumns {
    pub(super) merchants: Vec<Id>,
    pub(super) currencies: Vec<String>,
    pub(super) from: Vec<i64>,
    pub(super) to: Vec<i64>,
}

impl VolumeColumns {
    pub(super) fn of<'a>(keys: impl Iterator<Item = &'a VolumeKey>) -> Self {
        let mut columns = Self { merchants: vec![], currencies: vec![], from: vec![], to: vec![] };
        for (merchant_id, currency, period) in keys {
            columns.merchants.push(Id(merchant_id.to_bytes()));
            columns.currencies.push(currency.code().to_owned());
            columns.from.push(i64::from(period.from_hour));
            columns.to.push(i64::from(period.to_hour));
        }
        columns
    }
}

async fn write_window(link: &Link, of: (Window, Kind), rows: &WindowRows) -> Result<(), StoreError> {
    let merchants: Vec<Id> = rows.keys().map(|(key, _)| Id(key.merchant_id.to_bytes())).collect();
    let digests: Vec<&[u8]> = rows.keys().map(|(key, _)| key.digest.as_slice()).collect();
    let days: Vec<i64> = rows.keys().map(|(_, day)| big(*day)).collect();
    let records: Vec<&[u8]> = rows.values().map(Vec::as_slice).collect();
    let query = Query::Fixed(match of {
        (Window::Idempotency, Kind::New) => include_str!("sql/idempotency_add.sql"),
        (Window::Idempotency, Kind::Present) => include_str!("sql/idempotency_change.sql"),
        (Window::Messages, Kind::New) => include_str!("sql/messages_add.sql"),
        (Window::Messages, Kind::Present) => include_str!("sql/messages_change.sql"),
    });
    all_written(link.execute(query, &[&merchants, &digests, &days, &records]).await?, rows.len())
}

/// A payment has far fewer versions than an `integer` has numbers.
fn small(version: u32) -> i32 {
    i32::try_from(version).unwrap_or(i32::MAX)
}
