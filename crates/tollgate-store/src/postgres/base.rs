//! The rows beneath one batch: read ahead where the batch names them, one by one where it does not.
//!
//! What was read ahead holds until the batch ends, because nobody else writes it meanwhile: the lane has locked it
//! (`lane`). So the deciding code is the embedded store's, and what it looks up is a map.

use crate::batch::keys;
use crate::batch::{Base, DAY_MS, MESSAGES_MS, Table, VolumeKey, Window, WindowKey};
use crate::error::StoreError;
use crate::postgres::changes::{Changes, Kind, VolumeColumns};
use crate::postgres::gate::Gate;
use crate::postgres::link::{Id, Link, Param, Query, big, column, natural};
use crate::postgres::places::{Place, place};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use tokio::runtime::Runtime;
use tollgate_core::attempt::Attempt;
use tollgate_core::audit::key::LogKey;
use tollgate_core::event::EventRecord;
use tollgate_core::id::{AttemptId, MerchantId, PaymentId};
use tollgate_core::ledger::Posting;
use tollgate_core::partner::period::Period;
use tollgate_core::payment::Payment;
use tollgate_core::webhook::outcome::WebhookOutcome;

/// Rows a scan reads first; each further page is twice as long.
const PAGE: i64 = 16;

/// Rows of a scan's longest page.
const PAGE_MAX: i64 = 2_048;

/// How long a run may go without a sign of life before its claims are taken over.
pub(super) const SILENCE_S: i32 = 30;

type Bytes = Arc<[u8]>;

/// A row's table and key.
type Named = (Table, Vec<u8>);

/// What is known of a window's key: the newest row and its day.
type Remembered = Option<(u64, Bytes)>;

/// The rows beneath one batch.
pub(super) struct Ground<'a> {
    runtime: &'a Runtime,
    link: &'a Link,
    idempotency_ms: u64,
    log_key: &'a LogKey,
    rows: RefCell<HashMap<Named, Option<Bytes>>>,
    windows: RefCell<HashMap<(Window, WindowKey), Remembered>>,
    /// Merchants all of whose balances were read.
    balances_of: RefCell<HashSet<MerchantId>>,
    volumes: RefCell<HashMap<VolumeKey, i128>>,
    /// The last page of each range that was read.
    pages: RefCell<HashMap<Named, Arc<Page>>>,
    gate: Cell<Gate>,
}

/// Rows of a range in the order of their keys.
struct Page {
    /// Where they begin.
    from: Vec<u8>,
    rows: Vec<(Vec<u8>, Vec<u8>)>,
    /// How many were wanted.
    limit: i64,
}

impl Page {
    fn is_last(&self) -> bool {
        big(u64::try_from(self.rows.len()).unwrap_or(0)) < self.limit
    }
}

impl<'a> Ground<'a> {
    pub(super) fn new(
        runtime: &'a Runtime,
        link: &'a Link,
        idempotency_ms: u64,
        log_key: &'a LogKey,
    ) -> Self {
        Self {
            runtime,
            link,
            idempotency_ms,
            log_key,
            rows: RefCell::default(),
            windows: RefCell::default(),
            balances_of: RefCell::default(),
            volumes: RefCell::default(),
            pages: RefCell::default(),
            gate: Cell::new(Gate::All),
        }
    }

    /// Tells it whose rows may be written.
    pub(super) fn stand_at(&self, gate: Gate) {
        self.gate.set(gate);
    }

    /// Whether all merchants' rows are here.
    pub(super) fn is_whole(&self) -> bool {
        self.gate.get() == Gate::All
    }

    /// A row that was read ahead.
    pub(super) fn known(&self, table: Table, key: &[u8]) -> Option<Bytes> {
        self.rows.borrow().get(&(table, key.to_vec())).cloned().flatten()
    }

    /// Whether a row was read ahead, and is there or not.
    pub(super) fn is_loaded(&self, table: Table, key: &[u8]) -> bool {
        self.rows.borrow().contains_key(&(table, key.to_vec()))
    }

    /// Whether a row that is written is there already: none is changed that was not read.
    fn kind(&self, table: Table, key: Vec<u8>) -> Kind {
        match self.rows.borrow().get(&(table, key)) {
            Some(Some(_)) => Kind::Present,
            _ => Kind::New,
        }
    }

    /// Reads rows of a table.
    pub(super) async fn load(&self, table: Table, keys: HashSet<Vec<u8>>) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let found = fetch(self.link, table, &keys).await?;
        let mut rows = self.rows.borrow_mut();
        for key in keys {
            rows.insert((table, key), None);
        }
        for (key, row) in found {
            rows.insert((table, key), Some(row));
        }
        Ok(())
    }

    /// Reads all balances of some merchants.
    pub(super) async fn load_balances(&self, of: HashSet<MerchantId>) -> Result<(), StoreError> {
        if of.is_empty() {
            return Ok(());
        }
        let ids: Vec<Id> = of.iter().map(|id| Id(id.to_bytes())).collect();
        let query = Query::Fixed(
            "SELECT merchant_id, key, record FROM balances WHERE merchant_id = ANY ($1::uuid[])",
        );
        let found = self.link.query(query, &[&ids]).await?;
        let mut rows = self.rows.borrow_mut();
        for row in found {
            let (key, record) = owned_row(&row)?;
            rows.insert((Table::Balances, key), Some(record));
        }
        self.balances_of.borrow_mut().extend(of);
        Ok(())
    }

    /// Reads what merchants have taken.
    pub(super) async fn load_volumes(&self, of: HashSet<VolumeKey>) -> Result<(), StoreError> {
        if of.is_empty() {
            return Ok(());
        }
        let columns = VolumeColumns::of(of.iter());
        let VolumeColumns { merchants, currencies, from, to } = &columns;
        let query = Query::Fixed(include_str!("sql/volumes_get.sql"));
        let found = self.link.query(query, &[merchants, currencies, from, to]).await?;
        let mut volumes = self.volumes.borrow_mut();
        volumes.extend(of.into_iter().map(|key| (key, 0)));
        for row in &found {
            let corrupt = || StoreError::Corrupt("volume");
            let merchant: Id = column(row, 0, "volume")?;
            let currency = column::<&str>(row, 1, "volume")?.parse().map_err(|_| corrupt())?;
            let hour = |place| {
                let hour: i64 = column(row, place, "volume")?;
                u32::try_from(hour).map_err(|_| corrupt())
            };
            let period = Period { from_hour: hour(2)?, to_hour: hour(3)? };
            let taken = column::<&str>(row, 4, "volume")?.parse().map_err(|_| corrupt())?;
            volumes.insert((MerchantId::from_bytes(merchant.0), currency, period), taken);
        }
        Ok(())
    }

    /// Reads a page of a range.
    pub(super) async fn load_page(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        limit: i64,
    ) -> Result<(), StoreError> {
        let rows = page(self.link, table, from, to, limit).await?;
        let read = Page { from: from.to_vec(), rows, limit };
        self.pages.borrow_mut().insert((table, to.to_vec()), Arc::new(read));
        Ok(())
    }

    /// The rows of the last page that was read of a range.
    pub(super) fn paged(&self, table: Table, to: &[u8], mut each: impl FnMut(&[u8], &[u8])) {
        let read = self.pages.borrow().get(&(table, to.to_vec())).cloned();
        for (key, row) in read.iter().flat_map(|read| &read.rows) {
            each(key, row);
        }
    }

    /// Reads rows of a window: the newest of each key.
    pub(super) async fn load_window(
        &self,
        window: Window,
        keys: HashSet<WindowKey>,
        (oldest_ms, newest_ms): (u64, u64),
    ) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let merchants: Vec<Id> = keys.iter().map(|key| Id(key.merchant_id.to_bytes())).collect();
        let digests: Vec<&[u8]> = keys.iter().map(|key| key.digest.as_slice()).collect();
        let first = big(oldest_ms.saturating_sub(self.retention_ms(window)) / DAY_MS);
        // Days are partitions, and those ahead are empty: they are not looked into. Another instance's clock may be ahead of ours by a day.
        let last = big(newest_ms / DAY_MS + 1);
        let query = Query::Fixed(match window {
            Window::Idempotency => include_str!("sql/idempotency_get.sql"),
            Window::Messages => include_str!("sql/messages_get.sql"),
        });
        let found = self.link.query(query, &[&merchants, &digests, &first, &last]).await?;
        let mut windows = self.windows.borrow_mut();
        for key in keys {
            windows.insert((window, key), None);
        }
        for row in found {
            let merchant: Id = column(&row, 0, "window")?;
            let digest: &[u8] = column(&row, 1, "window")?;
            let digest = digest.try_into().map_err(|_| StoreError::Corrupt("window"))?;
            let key = WindowKey { merchant_id: MerchantId::from_bytes(merchant.0), digest };
            let record: &[u8] = column(&row, 3, "window")?;
            // In the order of their days: the newest stays.
            windows.insert((window, key), Some((natural(column(&row, 2, "window")?), record.into())));
        }
        Ok(())
    }

    const fn retention_ms(&self, window: Window) -> u64 {
        match window {
            Window::Idempotency => self.idempotency_ms,
            Window::Messages => MESSAGES_MS,
        }
    }
}

/// Key and record of a row that begins with its merchant.
fn owned_row(row: &tokio_postgres::Row) -> Result<(Vec<u8>, Bytes), StoreError> {
    let merchant: Id = column(row, 0, "row")?;
    let rest: &[u8] = column(row, 1, "row")?;
    let record: &[u8] = column(row, 2, "row")?;
    Ok(([merchant.0.as_slice(), rest].concat(), record.into()))
}

/// A key's merchant and what follows it.
pub(super) fn split(key: &[u8]) -> Result<(Id, &[u8]), StoreError> {
    let (merchant, rest) = key.split_first_chunk::<16>().ok_or(StoreError::Corrupt("key"))?;
    Ok((Id(*merchant), rest))
}

/// Reads rows by their keys.
pub(super) async fn fetch(
    link: &Link,
    table: Table,
    wanted: &HashSet<Vec<u8>>,
) -> Result<Vec<(Vec<u8>, Bytes)>, StoreError> {
    match (table, place(table)) {
        (_, Place::Owned(name)) => {
            let mut merchants = Vec::with_capacity(wanted.len());
            let mut rests = Vec::with_capacity(wanted.len());
            for key in wanted {
                let (merchant, rest) = split(key)?;
                merchants.push(merchant);
                rests.push(rest);
            }
            let query = Query::Of(include_str!("sql/owned_get.sql"), name);
            let found = link.query(query, &[&merchants, &rests]).await?;
            found.iter().map(owned_row).collect()
        }
        (_, Place::Told(name, _) | Place::Keyed(name)) => {
            let keys: Vec<&[u8]> = wanted.iter().map(Vec::as_slice).collect();
            let found = link.query(Query::Of(include_str!("sql/keyed_get.sql"), name), &[&keys]).await?;
            let read = |row: &tokio_postgres::Row| {
                let record: &[u8] = column(row, 1, "row")?;
                Ok((column::<&[u8]>(row, 0, "row")?.to_vec(), record.into()))
            };
            found.iter().map(read).collect()
        }
        (Table::Payments, _) => {
            let mut merchants = Vec::with_capacity(wanted.len());
            let mut ids = Vec::with_capacity(wanted.len());
            for key in wanted {
                let (merchant, id) = split(key)?;
                merchants.push(merchant);
                ids.push(Id(id.try_into().map_err(|_| StoreError::Corrupt("payment key"))?));
            }
            let query = Query::Fixed(include_str!("sql/payments_get.sql"));
            let found = link.query(query, &[&merchants, &ids]).await?;
            let read = |row: &tokio_postgres::Row| {
                let (merchant, id): (Id, Id) = (column(row, 0, "payment")?, column(row, 1, "payment")?);
                let record: &[u8] = column(row, 2, "payment")?;
                Ok(([merchant.0, id.0].concat(), record.into()))
            };
            found.iter().map(read).collect()
        }
        (Table::Attempts, _) => {
            let id = |key: &Vec<u8>| key.as_slice().try_into().map(Id);
            let ids: Vec<Id> = wanted
                .iter()
                .map(id)
                .collect::<Result<_, _>>()
                .map_err(|_| StoreError::Corrupt("attempt key"))?;
            let found = link.query(Query::Fixed(include_str!("sql/attempts_get.sql")), &[&ids]).await?;
            let read = |row: &tokio_postgres::Row| {
                let record: &[u8] = column(row, 1, "attempt")?;
                Ok((column::<Id>(row, 0, "attempt")?.0.to_vec(), record.into()))
            };
            found.iter().map(read).collect()
        }
        (Table::Events, _) => {
            let (mut merchants, mut payments, mut versions) = (Vec::new(), Vec::new(), Vec::new());
            for key in wanted {
                let (merchant, rest) = split(key)?;
                let parts = (keys::bytes16(rest, 0), rest.get(16..).and_then(|rest| rest.try_into().ok()));
                let (Some(payment), Some(version)) = parts else {
                    return Err(StoreError::Corrupt("event"));
                };
                merchants.push(merchant);
                payments.push(Id(payment));
                versions.push(i32::try_from(u32::from_be_bytes(version)).unwrap_or(i32::MAX));
            }
            let query = Query::Fixed(include_str!("sql/events_get.sql"));
            let found = link.query(query, &[&merchants, &payments, &versions]).await?;
            let read = |row: &tokio_postgres::Row| {
                let (merchant, payment): (Id, Id) = (column(row, 0, "event")?, column(row, 1, "event")?);
                let version = u32::try_from(column::<i32>(row, 2, "event")?).unwrap_or(0);
                let record: &[u8] = column(row, 3, "event")?;
                let (merchant, payment) =
                    (MerchantId::from_bytes(merchant.0), PaymentId::from_bytes(payment.0));
                Ok((keys::versioned(merchant, payment, version).to_vec(), record.into()))
            };
            found.iter().map(read).collect()
        }
        // Nothing that is decided looks there.
        (_, Place::Columns | Place::Index) => Err(StoreError::Corrupt("table")),
    }
}

/// One page of rows in the order of their keys.
pub(super) async fn page(
    link: &Link,
    table: Table,
    from: &[u8],
    to: &[u8],
    limit: i64,
) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
    let (query, prefix, found);
    match place(table) {
        Place::Owned(name) => {
            let ((merchant, from), (merchant_to, to)) = (split(from)?, split(to)?);
            if merchant != merchant_to {
                return Err(StoreError::Corrupt("range"));
            }
            query = Query::Of(include_str!("sql/owned_scan.sql"), name);
            prefix = merchant.0.to_vec();
            found = link.query(query, &[&merchant, &from, &to, &limit]).await?;
        }
        Place::Told(name, _) | Place::Keyed(name) => {
            query = Query::Of(include_str!("sql/keyed_scan.sql"), name);
            prefix = Vec::new();
            found = link.query(query, &[&from as Param<'_>, &to, &limit]).await?;
        }
        Place::Columns | Place::Index => return Err(StoreError::Corrupt("table")),
    }
    let read = |row: &tokio_postgres::Row| {
        let key: &[u8] = column(row, 0, "row")?;
        Ok(([prefix.as_slice(), key].concat(), column::<&[u8]>(row, 1, "row")?.to_vec()))
    };
    found.iter().map(read).collect()
}

impl Base for Ground<'_> {
    type Bytes = Bytes;
    type Batch = Changes;

    const KEEPS_VOLUMES: bool = true;
    const KEEPS_DAYS: bool = true;
    const NUMBERS_EVENTS: bool = false;

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let named = (table, key.to_vec());
        if let Some(row) = self.rows.borrow().get(&named) {
            return Ok(row.clone());
        }
        if table == Table::Balances {
            let merchant = MerchantId::from_bytes(split(key)?.0.0);
            if self.balances_of.borrow().contains(&merchant) {
                return Ok(None);
            }
        }
        let (_, key) = named;
        self.runtime.block_on(self.load(table, HashSet::from([key.clone()])))?;
        Ok(self.known(table, &key))
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        if from >= to {
            return Ok(());
        }
        // Whoever takes a queue's rows one by one comes back again and again, each time a little further on.
        let named = (table, to.to_vec());
        let (mut from, mut limit) = (from.to_vec(), PAGE);
        loop {
            let read = self.pages.borrow().get(&named).filter(|read| read.from <= from).cloned();
            let read = match read {
                Some(read) => read,
                None => {
                    self.runtime.block_on(self.load_page(table, &from, to, limit))?;
                    let read = self.pages.borrow().get(&named).cloned();
                    read.ok_or(StoreError::Corrupt("range"))?
                }
            };
            for (key, row) in read.rows.iter().filter(|(key, _)| *key >= from) {
                if each(key, row)?.is_break() {
                    return Ok(());
                }
            }
            let Some((last, _)) = read.rows.last().filter(|_| !read.is_last()) else {
                return Ok(());
            };
            let next = [last.as_slice(), &[0]].concat();
            from = from.max(next);
            limit = (read.limit * 2).min(PAGE_MAX);
            self.runtime.block_on(self.load_page(table, &from, to, limit))?;
        }
    }

    fn find(&self, window: Window, key: &WindowKey, now_ms: u64) -> Result<Option<(u64, Bytes)>, StoreError> {
        if let Some(found) = self.windows.borrow().get(&(window, *key)) {
            return Ok(found.clone());
        }
        self.runtime.block_on(self.load_window(window, HashSet::from([*key]), (now_ms, now_ms)))?;
        Ok(self.windows.borrow().get(&(window, *key)).cloned().flatten())
    }

    fn idempotency_ms(&self) -> u64 {
        self.idempotency_ms
    }

    fn is_here(&self, merchant_id: MerchantId) -> bool {
        self.gate.get().is_here(merchant_id)
    }

    fn log_key(&self) -> &LogKey {
        self.log_key
    }

    fn is_at_work(&self, run: u64) -> Result<bool, StoreError> {
        let query = Query::Fixed(
            // Whose lock can be had is gone: its connection has ended. The lock is shared among those who try.
            "SELECT 1 FROM instances WHERE run = $1 AND seen_at > now() - make_interval(secs => $2::integer)
             AND NOT pg_try_advisory_xact_lock_shared($1)",
        );
        let found = self.runtime.block_on(self.link.query_opt(query, &[&run.cast_signed(), &SILENCE_S]))?;
        Ok(found.is_some())
    }

    fn all_keep_days(&self) -> Result<bool, StoreError> {
        let query = Query::Fixed(
            "SELECT 1 FROM instances WHERE NOT keeps_days AND seen_at > now() - make_interval(secs => $1::integer)",
        );
        Ok(self.runtime.block_on(self.link.query(query, &[&SILENCE_S]))?.is_empty())
    }

    fn volume(&self, of: &VolumeKey) -> Result<Option<i128>, StoreError> {
        let known = self.volumes.borrow().get(of).copied();
        if known.is_some() {
            return Ok(known);
        }
        self.runtime.block_on(self.load_volumes(HashSet::from([*of])))?;
        Ok(self.volumes.borrow().get(of).copied())
    }

    fn volume_change(&self, batch: &Changes, of: &VolumeKey) -> i128 {
        batch.volumes.get(of).copied().unwrap_or(0)
    }

    fn add_volume(&self, batch: &mut Changes, of: VolumeKey, change: i128) {
        *batch.volumes.entry(of).or_default() += change;
    }

    fn put_outcome(&self, batch: &mut Changes, sequence: u64, outcome: &WebhookOutcome, row: &[u8]) {
        batch.outcomes.add(sequence, outcome, row);
    }

    fn forget_outcomes(
        &self,
        batch: &mut Changes,
        from: u64,
        before_ms: u64,
        most: usize,
    ) -> Result<u64, StoreError> {
        batch.outcomes.forget(before_ms, most);
        Ok(from)
    }

    fn put(&self, batch: &mut Changes, table: Table, key: &[u8], row: &[u8]) {
        batch.set(table, key, Some(row));
    }

    fn remove(&self, batch: &mut Changes, table: Table, key: &[u8]) {
        batch.set(table, key, None);
    }

    fn keep(
        &self,
        batch: &mut Changes,
        window: Window,
        day: u64,
        key: &WindowKey,
        row: &[u8],
    ) -> Result<(), StoreError> {
        let found =
            self.windows.borrow().get(&(window, *key)).and_then(|found| found.as_ref().map(|it| it.0));
        let kind = if found == Some(day) { Kind::Present } else { Kind::New };
        batch.keep(window, kind, (day, key), row);
        Ok(())
    }

    fn put_payment(&self, batch: &mut Changes, payment: &Payment, row: &[u8]) {
        batch.put_payment(
            self.kind(Table::Payments, payment_key(payment.merchant_id, payment.id)),
            payment,
            row,
        );
    }

    fn put_attempt(&self, batch: &mut Changes, attempt: &Attempt, row: &[u8]) {
        batch.put_attempt(self.kind(Table::Attempts, attempt.id.to_bytes().to_vec()), attempt, row);
    }

    fn attempt(&self, id: AttemptId) -> Result<Option<Bytes>, StoreError> {
        self.get(Table::Attempts, &id.to_bytes())
    }

    fn rewrite_event(&self, batch: &mut Changes, record: &EventRecord, row: &[u8]) {
        batch.masked_events.add(record, row);
    }

    fn list_events(&self, _: &mut Changes, _: MerchantId, _: &[u64]) -> Result<(), StoreError> {
        Ok(())
    }

    fn put_event(
        &self,
        batch: &mut Changes,
        (record, row): (&EventRecord, Vec<u8>),
        posting: Option<(&Posting, Vec<u8>)>,
    ) {
        batch.events.add(record, &row);
        if let Some((posting, row)) = posting {
            batch.postings.add(record.merchant_id, record.payment_id, posting, &row);
        }
    }
}

/// The bytes of a payment's key.
pub(super) fn payment_key(merchant_id: MerchantId, id: PaymentId) -> Vec<u8> {
    keys::owned(merchant_id, id.to_bytes()).to_vec()
}
