//! Reports: the payments of many merchants, added up by day, by merchant or by processor.
//!
//! A store may answer from sums that were made some time ago: a report says as of when it is. The embedded store adds
//! up what is there; PostgreSQL keeps a materialised view (`docs/schema.md`).

use crate::Store;
use crate::error::StoreError;
use crate::query::{LIMIT_MAX, PaymentFilter};
use std::collections::BTreeMap;
use tollgate_core::attempt::ProcessorName;
use tollgate_core::currency::Currency;
use tollgate_core::id::MerchantId;
use tollgate_core::totals::Total;
use tollgate_core::transition::PaymentStatus;

/// Most merchants of one report.
pub const MERCHANTS_MAX: usize = 100_000;

/// Most days of one report.
pub const DAYS_MAX: u32 = 366;

/// How many days back reports go where they are made ahead, today left out.
pub const DAYS_KEPT: u32 = 400;

const DAY_HOURS: u32 = 24;
const DAY_MS: u64 = 86_400_000;

/// What a row is a sum of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportBy {
    /// A day and a currency.
    Day,
    /// A merchant and a currency.
    Merchant,
    /// A processor and a currency.
    Processor,
}

/// Which report.
#[derive(Debug, Clone)]
pub struct ReportWish {
    /// Of these merchants, at most [`MERCHANTS_MAX`].
    pub merchants: Vec<MerchantId>,
    /// Payments made from this day on, counted from 1970-01-01 (UTC).
    pub from_day: u32,
    /// Up to before this day, at most [`DAYS_MAX`] later.
    pub to_day: u32,
    /// By what.
    pub by: ReportBy,
    /// Now, in milliseconds since the Unix epoch.
    pub now_ms: u64,
}

impl ReportWish {
    /// Holds it to its bounds.
    pub(crate) fn bounded(&self) -> Result<(), StoreError> {
        let days = self.to_day.saturating_sub(self.from_day);
        if self.merchants.len() > MERCHANTS_MAX || days > DAYS_MAX {
            let text = format!("a report is of {MERCHANTS_MAX} merchants and {DAYS_MAX} days at most");
            return Err(StoreError::Unavailable(text));
        }
        Ok(())
    }

    /// Holds it to what is kept where reports are made ahead.
    pub(crate) fn is_kept(&self) -> Result<(), StoreError> {
        self.bounded()?;
        let today = u32::try_from(self.now_ms / DAY_MS).unwrap_or(u32::MAX);
        if self.from_day < today.saturating_sub(DAYS_KEPT) {
            return Err(StoreError::Unavailable(format!("reports go back {DAYS_KEPT} days")));
        }
        Ok(())
    }
}

/// What a row is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReportKey {
    /// The day, in a report by day.
    pub day: Option<u32>,
    /// The merchant, in a report by merchant.
    pub merchant_id: Option<MerchantId>,
    /// The processor of the last charge, in a report by processor.
    pub processor: Option<ProcessorName>,
    /// The currency: sums of different currencies are never added.
    pub currency: Currency,
}

/// What payments come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReportSums {
    /// How many were made.
    pub payments: i64,
    /// Of these, money was reserved or taken; part of it or all may have gone back.
    pub succeeded: i64,
    /// Declined or failed.
    pub failed: i64,
    /// The amounts of those that succeeded, in minor units.
    pub volume_minor: i128,
}

impl ReportSums {
    /// Adds payments of one status.
    pub fn add_status(&mut self, status: PaymentStatus, total: Total) {
        self.payments += total.count;
        match status {
            PaymentStatus::Authorized
            | PaymentStatus::Completed
            | PaymentStatus::PartiallyRefunded
            | PaymentStatus::Refunded => {
                self.succeeded += total.count;
                self.volume_minor += total.sum_minor;
            }
            PaymentStatus::Declined | PaymentStatus::Failed => self.failed += total.count,
            _ => {}
        }
    }

    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.payments += other.payments;
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.volume_minor += other.volume_minor;
    }

    /// Of a thousand that have come to an end, how many succeeded; none: none has.
    #[must_use]
    pub fn success_per_mille(&self) -> Option<i64> {
        let ended = self.succeeded.saturating_add(self.failed);
        (ended > 0).then(|| self.succeeded.saturating_mul(1_000) / ended)
    }
}

/// A report.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Its rows.
    pub rows: BTreeMap<ReportKey, ReportSums>,
    /// Everything that was written before this moment is in, in milliseconds since the Unix epoch; none: the sums are
    /// still to be made, and there are no rows.
    pub as_of_ms: Option<u64>,
    /// Shards whose part is missing: they do not answer, or their sums are still to be made.
    pub missing: Vec<u16>,
}

impl Report {
    /// Adds another part, of other merchants: the whole is as old as its oldest part, and not there if one is not.
    pub fn join(&mut self, other: Self) {
        for (key, sums) in &other.rows {
            self.rows.entry(key.clone()).or_default().add(sums);
        }
        self.as_of_ms = self.as_of_ms.zip(other.as_of_ms).map(|(mine, theirs)| mine.min(theirs));
        self.missing.extend(other.missing);
    }
}

/// Adds up what is there: exact, and as long as it takes.
pub(crate) async fn of_store<S: Store + ?Sized>(store: &S, wish: ReportWish) -> Result<Report, StoreError> {
    wish.bounded()?;
    let mut rows: BTreeMap<ReportKey, ReportSums> = BTreeMap::new();
    for merchant_id in &wish.merchants {
        if wish.by == ReportBy::Processor {
            add_processors(store, *merchant_id, &wish, &mut rows).await?;
            continue;
        }
        let hour = |day: u32| day.saturating_mul(DAY_HOURS);
        for (key, totals) in store.totals(*merchant_id, hour(wish.from_day), hour(wish.to_day)).await? {
            let key = ReportKey {
                day: (wish.by == ReportBy::Day).then_some(key.hour / DAY_HOURS),
                merchant_id: (wish.by == ReportBy::Merchant).then_some(*merchant_id),
                processor: None,
                currency: key.currency,
            };
            let sums = rows.entry(key).or_default();
            for status in PaymentStatus::ALL {
                sums.add_status(status, totals.of(status));
            }
        }
    }
    Ok(Report { rows, as_of_ms: Some(wish.now_ms), missing: Vec::new() })
}

/// Totals know no processor: the payments are read.
async fn add_processors<S: Store + ?Sized>(
    store: &S,
    merchant_id: MerchantId,
    wish: &ReportWish,
    rows: &mut BTreeMap<ReportKey, ReportSums>,
) -> Result<(), StoreError> {
    let mut filter = PaymentFilter {
        created_from_ms: Some(u64::from(wish.from_day) * DAY_MS),
        created_to_ms: Some(u64::from(wish.to_day) * DAY_MS),
        limit: LIMIT_MAX,
        ..PaymentFilter::default()
    };
    loop {
        let page = store.payments(merchant_id, filter.clone()).await?;
        for payment in &page.payments {
            let amount = payment.terms.amount;
            let key = ReportKey {
                day: None,
                merchant_id: None,
                processor: Some(payment.processor.clone()),
                currency: amount.currency,
            };
            let total = Total { count: 1, sum_minor: i128::from(amount.minor) };
            rows.entry(key).or_default().add_status(payment.status, total);
        }
        if page.next.is_none() {
            return Ok(());
        }
        filter.before = page.next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(payments: i64) -> ReportSums {
        ReportSums { payments, ..ReportSums::default() }
    }

    #[test]
    fn a_joined_report_is_as_old_as_its_oldest_part() {
        let key =
            |day| ReportKey { day: Some(day), merchant_id: None, processor: None, currency: Currency::INR };
        let part = |as_of_ms, day, payments| Report {
            rows: BTreeMap::from([(key(day), sums(payments))]),
            as_of_ms,
            missing: Vec::new(),
        };
        let mut report = part(Some(9), 1, 2);
        report.join(part(Some(7), 1, 3));
        report.join(part(Some(8), 2, 1));
        assert_eq!(report.as_of_ms, Some(7));
        assert_eq!(report.rows, BTreeMap::from([(key(1), sums(5)), (key(2), sums(1))]));
        report.join(part(None, 3, 1));
        assert_eq!(report.as_of_ms, None);
    }

    #[test]
    fn success_is_counted_of_what_has_ended() {
        let mut all = ReportSums::default();
        let one = Total { count: 1, sum_minor: 5 };
        for status in PaymentStatus::ALL {
            all.add_status(status, one);
        }
        assert_eq!((all.payments, all.succeeded, all.failed, all.volume_minor), (11, 4, 2, 20));
        assert_eq!(all.success_per_mille(), Some(666));
        assert_eq!(sums(3).success_per_mille(), None);
    }
}
