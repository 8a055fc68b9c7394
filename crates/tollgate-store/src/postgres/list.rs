//! Pages: of payments by the index that fits the conditions, of jobs and deliveries by their keys.

use crate::batch::codec::{decode, decode_first};
use crate::batch::days::read_mark;
use crate::batch::digests::user_digest;
use crate::batch::{Table, keys};
use crate::error::StoreError;
use crate::jobs::{DeliveryFilter, DeliveryPage, JobFilter};
use crate::postgres::base::{fetch, page, split};
use crate::postgres::link::{Id, Link, Param, Query, big, column};
use crate::postgres::spans;
use crate::query::{LIMIT_MAX, OFFSET_MAX, PaymentFilter, PaymentPage, SCAN_MAX};
use std::collections::HashSet;
use std::fmt::Write;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use tollgate_core::id::{DeliveryId, JobId, MerchantId};
use tollgate_core::job::Job;
use tollgate_core::payment::Payment;
use tollgate_core::totals::{Totals, TotalsKey};
use tollgate_core::webhook::{Delivery, DeliveryState};

/// Rows of a page that is filtered here.
const ROWS: usize = 1_000;

/// A statement in the making. What varies is always a parameter, never text.
pub(super) struct Conditions {
    text: String,
    params: Vec<Box<dyn ToSql + Sync + Send>>,
}

impl Conditions {
    fn new(text: &str) -> Self {
        Self { text: text.to_owned(), params: Vec::new() }
    }

    /// Adds text that ends where a parameter belongs.
    fn add(&mut self, text: &str, param: impl ToSql + Sync + Send + 'static) {
        self.params.push(Box::new(param));
        // Writing to a string cannot fail.
        let _ = write!(self.text, "{text} ${}", self.params.len());
    }

    fn add_some<T: ToSql + Sync + Send + 'static>(&mut self, text: &str, param: Option<T>) {
        if let Some(param) = param {
            self.add(text, param);
        }
    }

    /// The text, to be looked at.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn params(&self) -> Vec<Param<'_>> {
        self.params.iter().map(|param| -> Param<'_> { param.as_ref() }).collect()
    }
}

/// From when to when payments are looked for, where that is known: milliseconds of their identifiers.
pub(super) type Span = Option<(u64, u64)>;

/// The statement that reads a page of payments, newest first, and one row more.
pub(super) fn payments_query(merchant_id: MerchantId, filter: &PaymentFilter, span: Span) -> Conditions {
    let limit = filter.limit.clamp(1, LIMIT_MAX).saturating_add(1);
    let mut made = Conditions::new("SELECT record FROM payments WHERE");
    let offset = filter.offset.min(OFFSET_MAX);
    if offset > 0 && skips_by_index(filter) {
        // The page begins where an index alone says; the rows before it are not looked at.
        conditions(&mut made, merchant_id, filter, span);
        made.text.push_str(" AND id <= (SELECT id FROM payments WHERE");
        conditions(&mut made, merchant_id, filter, span);
        made.add(" ORDER BY id DESC LIMIT 1 OFFSET", count(offset));
        made.add(") ORDER BY id DESC LIMIT", count(limit));
        return made;
    }
    conditions(&mut made, merchant_id, filter, span);
    made.add(" ORDER BY id DESC LIMIT", count(limit));
    if offset > 0 {
        made.add(" OFFSET", count(offset));
    }
    made
}

/// Whether some index holds all that the conditions ask for.
const fn skips_by_index(filter: &PaymentFilter) -> bool {
    let listed = filter.status.is_some() as u8
        + filter.processor.is_some() as u8
        + filter.method.is_some() as u8
        + filter.user_id.is_some() as u8;
    listed <= 1
        && filter.currency.is_none()
        && filter.created_from_ms.is_none()
        && filter.created_to_ms.is_none()
        && filter.amount_minor_min.is_none()
        && filter.amount_minor_max.is_none()
}

/// What must hold of a payment that is listed.
fn conditions(made: &mut Conditions, merchant_id: MerchantId, filter: &PaymentFilter, span: Span) {
    // Ids begin with their time: a created range is a key range.
    let begin = |ms: u64| u128::from(ms.min(1 << 47)) << 80;
    let from = begin(filter.created_from_ms.unwrap_or(0).max(span.map_or(0, |(from, _)| from)));
    let until = [filter.created_to_ms, span.map(|(_, to)| to)].into_iter().flatten().min();
    let until = until.map_or(u128::MAX, begin);
    let to = filter.before.map_or(until, |id| id.as_u128().min(until));
    made.add(" merchant_id =", Id(merchant_id.to_bytes()));
    if from > 0 {
        made.add(" AND id >=", Id(from.to_be_bytes()));
    }
    if to < u128::MAX {
        made.add(" AND id <", Id(to.to_be_bytes()));
    }
    made.add_some(" AND customer =", filter.user_id.as_deref().map(|user| user_digest(user).to_vec()));
    made.add_some(" AND status =", filter.status.map(|status| status.as_str()));
    made.add_some(" AND processor =", filter.processor.clone());
    made.add_some(" AND method =", filter.method.map(|method| method.as_str()));
    made.add_some(" AND currency =", filter.currency.map(|currency| currency.code().to_owned()));
    made.add_some(" AND created_at_ms >=", filter.created_from_ms.map(big));
    made.add_some(" AND created_at_ms <", filter.created_to_ms.map(big));
    made.add_some(" AND amount_minor >=", filter.amount_minor_min);
    made.add_some(" AND amount_minor <=", filter.amount_minor_max);
}

/// A page of a merchant's payments.
pub(super) async fn payments(
    link: &Link,
    merchant_id: MerchantId,
    filter: &PaymentFilter,
) -> Result<PaymentPage, StoreError> {
    let limit = filter.limit.clamp(1, LIMIT_MAX);
    let mut payments = Vec::new();
    match filter.currency {
        Some(currency) if filter.offset == 0 => {
            for span in spans::of_currency(link, merchant_id, currency, filter).await? {
                let rest = PaymentFilter { limit: limit.saturating_sub(payments.len()), ..filter.clone() };
                payments.extend(read_payments(link, merchant_id, &rest, Some((span.start, span.end))).await?);
                if payments.len() > limit {
                    break;
                }
            }
        }
        _ => payments = read_payments(link, merchant_id, filter, None).await?,
    }
    let goes_on = payments.len() > limit;
    payments.truncate(limit);
    let next = payments.last().map(|payment| payment.id).filter(|_| goes_on);
    Ok(PaymentPage { payments, next })
}

/// As many payments as a page has and, where there are more, one.
async fn read_payments(
    link: &Link,
    merchant_id: MerchantId,
    filter: &PaymentFilter,
    span: Span,
) -> Result<Vec<Payment>, StoreError> {
    let made = payments_query(merchant_id, filter, span);
    let rows = link.query(Query::Text(made.text().to_owned()), &made.params()).await?;
    rows.iter().map(|row| decode(column(row, 0, "payment")?, "payment")).collect()
}

/// A merchant's jobs, newest first.
pub(super) async fn jobs(
    link: &Link,
    merchant_id: MerchantId,
    filter: JobFilter,
) -> Result<Vec<Job>, StoreError> {
    let (merchant, from) = (Id(merchant_id.to_bytes()), [0_u8; 16].as_slice());
    let mut to = filter.before.map_or([u8::MAX; 16], JobId::to_bytes).to_vec();
    let mut found = Vec::new();
    for _ in 0..SCAN_MAX / ROWS {
        let query = Query::Of(include_str!("sql/owned_scan_back.sql"), "jobs");
        let rows = link.query(query, &[&merchant, &from, &to, &count(ROWS)]).await?;
        for row in &rows {
            let job: Job = decode(column(row, 1, "job")?, "job")?;
            if filter.kind.is_none_or(|kind| job.kind == kind)
                && filter.state.is_none_or(|state| job.state == state)
            {
                found.push(job);
            }
            if found.len() >= filter.limit.clamp(1, LIMIT_MAX) {
                return Ok(found);
            }
        }
        match rows.last() {
            Some(last) if rows.len() == ROWS => to = column::<&[u8]>(last, 0, "job")?.to_vec(),
            _ => break,
        }
    }
    Ok(found)
}

/// A page of a merchant's deliveries, newest first, by the narrowest index there is.
pub(super) async fn deliveries(
    link: &Link,
    merchant_id: MerchantId,
    filter: DeliveryFilter,
) -> Result<DeliveryPage, StoreError> {
    let limit = filter.limit.clamp(1, LIMIT_MAX);
    let endpoint = filter.endpoint_id.map(|id| id.to_bytes().to_vec());
    let (text, prefix) = match (endpoint, filter.state) {
        (_, Some(DeliveryState::Dead)) => (DEAD, Vec::new()),
        (Some(endpoint), _) => (OF_ENDPOINT, endpoint),
        _ => (ALL, Vec::new()),
    };
    let merchant = Id(merchant_id.to_bytes());
    let from = [prefix.as_slice(), &[0; 16]].concat();
    let mut last = filter.before.map_or([u8::MAX; 16], DeliveryId::to_bytes);
    let mut page = DeliveryPage::default();
    for _ in 0..SCAN_MAX / ROWS {
        let to = [prefix.as_slice(), &last].concat();
        let rows = link.query(Query::Fixed(text), &[&merchant, &from, &to, &count(ROWS)]).await?;
        for row in &rows {
            let delivery: Delivery = decode(column(row, 0, "delivery")?, "delivery")?;
            last = delivery.id.to_bytes();
            let right = filter.state.is_none_or(|state| delivery.state == state)
                && filter.endpoint_id.is_none_or(|endpoint| delivery.endpoint_id == endpoint);
            if !right {
                continue;
            }
            if page.deliveries.len() == limit {
                page.next = page.deliveries.last().map(|delivery| delivery.id);
                return Ok(page);
            }
            page.deliveries.push(delivery);
        }
        if rows.len() < ROWS {
            return Ok(page);
        }
    }
    page.next = Some(DeliveryId::from_bytes(last));
    Ok(page)
}

const ALL: &str = "
    SELECT record FROM deliveries
    WHERE merchant_id = $1 AND key >= $2 AND key < $3 ORDER BY key DESC LIMIT $4";

const DEAD: &str = "
    SELECT deliveries.record FROM dead_deliveries AS listed
    JOIN deliveries ON deliveries.merchant_id = listed.merchant_id AND deliveries.key = listed.key
    WHERE listed.merchant_id = $1 AND listed.key >= $2 AND listed.key < $3 ORDER BY listed.key DESC LIMIT $4";

const OF_ENDPOINT: &str = "
    SELECT deliveries.record FROM endpoint_deliveries AS listed
    JOIN deliveries ON deliveries.merchant_id = listed.merchant_id AND deliveries.key = substr(listed.key, 17)
    WHERE listed.merchant_id = $1 AND listed.key >= $2 AND listed.key < $3 ORDER BY listed.key DESC LIMIT $4";

/// A merchant's totals of some hours.
pub(super) async fn totals(
    link: &Link,
    merchant_id: MerchantId,
    from_hour: u32,
    to_hour: u32,
) -> Result<Vec<(TotalsKey, Totals)>, StoreError> {
    let hours = keys::totals_hours(merchant_id, from_hour, to_hour);
    let ((merchant, from), (_, to)) = (split(&hours.start)?, split(&hours.end)?);
    let query = Query::Fixed(include_str!("sql/totals.sql"));
    let row = link.query_opt(query, &[&merchant, &from, &to]).await?;
    read_totals(merchant_id, row)
}

/// The same; whole days that are added up already are read as such.
pub(super) async fn totals_by_day(
    link: &Link,
    merchant_id: MerchantId,
    from_hour: u32,
    to_hour: u32,
) -> Result<Vec<(TotalsKey, Totals)>, StoreError> {
    // It only moves on: what is read after it is added up at least so far.
    let wanted = HashSet::from([keys::totals_mark(merchant_id).to_vec()]);
    let mark = fetch(link, Table::Totals, &wanted).await?;
    let upto = mark.first().map_or(Ok(0), |(_, row)| read_mark(row))?;
    let first = keys::day_begin(from_hour.saturating_add(23));
    let last = keys::day_begin(to_hour.min(upto));
    if first >= last {
        return totals(link, merchant_id, from_hour, to_hour).await;
    }
    let before = keys::totals_hours(merchant_id, from_hour, first);
    let days = keys::totals_days(merchant_id, first, last);
    let behind = keys::totals_hours(merchant_id, last, to_hour);
    let mut bounds = Vec::with_capacity(6);
    for bound in [&before.start, &before.end, &days.start, &days.end, &behind.start, &behind.end] {
        bounds.push(split(bound)?.1);
    }
    let merchant = Id(merchant_id.to_bytes());
    let mut params: Vec<Param<'_>> = vec![&merchant];
    params.extend(bounds.iter().map(|bound| -> Param<'_> { bound }));
    let row = link.query_opt(Query::Fixed(include_str!("sql/totals_days.sql")), &params).await?;
    let mut found = read_totals(merchant_id, row)?;
    found.sort_unstable_by_key(|(key, _)| *key);
    Ok(found)
}

/// Reads totals that came as one value.
fn read_totals(merchant_id: MerchantId, row: Option<Row>) -> Result<Vec<(TotalsKey, Totals)>, StoreError> {
    let row = row.ok_or(StoreError::Corrupt("totals"))?;
    let mut rest: &[u8] = column(&row, 0, "totals")?;
    let mut found = Vec::new();
    while let Some((key, behind)) = rest.split_first_chunk::<8>() {
        let key = keys::read_totals(&keys::totals_row(merchant_id, *key));
        let key = keys::begin(key.ok_or(StoreError::Corrupt("totals key"))?);
        let (totals, behind) = decode_first(behind, "totals")?;
        found.push((key, totals));
        rest = behind;
    }
    if rest.is_empty() { Ok(found) } else { Err(StoreError::Corrupt("totals")) }
}

/// All rows of a table whose keys begin so, in their order.
pub(super) async fn prefixed(
    link: &Link,
    table: Table,
    prefix: &[u8],
    limit: usize,
) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
    // No key is longer than what follows here.
    let to = [prefix, &[u8::MAX; 80]].concat();
    page(link, table, prefix, &to, count(limit)).await
}

/// A count as PostgreSQL's.
pub(super) fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The key of a merchant's row with a 16-byte id.
pub(super) fn owned(merchant_id: MerchantId, id: [u8; 16]) -> Vec<u8> {
    keys::owned(merchant_id, id).to_vec()
}
