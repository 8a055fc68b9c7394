//! Reports from the materialised view `report_days`, and keeping it fresh.
//!
//! Servers refresh it side by side: each looks often, and a lock and the view's age decide that one of them does it. It is
//! refreshed concurrently: whoever reads it meanwhile reads what was there before.

use crate::error::StoreError;
use crate::postgres::PostgresOptions;
use crate::postgres::link::{Id, Link, Param, Query, column};
use crate::report::{Report, ReportBy, ReportKey, ReportSums, ReportWish};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tollgate_core::attempt::ProcessorName;
use tollgate_core::id::MerchantId;

/// Refreshes what reports read, unless somebody is about it or it is younger than that. Whether it was done.
///
/// # Errors
/// The database does not answer, or refuses.
pub async fn refresh_reports(options: &PostgresOptions, least_age: Duration) -> Result<bool, StoreError> {
    let link = options.patient_link().await?;
    let seconds = i64::try_from(least_age.as_secs()).unwrap_or(i64::MAX);
    let query = Query::Fixed("SELECT tollgate_refresh_reports($1::bigint * interval '1 s')");
    let begun = Instant::now();
    let row = link.query_opt(query, &[&seconds]).await?;
    let done = column(&row.ok_or(StoreError::Corrupt("report"))?, 0, "report")?;
    if done {
        metrics::gauge!("tollgate_reports_refresh_seconds").set(begun.elapsed().as_secs_f64());
    }
    Ok(done)
}

/// The statement of a report.
pub(super) const fn statement(by: ReportBy) -> &'static str {
    match by {
        ReportBy::Day => include_str!("sql/report_days.sql"),
        ReportBy::Merchant => include_str!("sql/report_merchants.sql"),
        ReportBy::Processor => include_str!("sql/report_processors.sql"),
    }
}

/// Reads a report.
pub(super) async fn read(link: &Link, wish: &ReportWish) -> Result<Report, StoreError> {
    wish.is_kept()?;
    let what = "report";
    let query =
        Query::Fixed("SELECT (extract(epoch FROM as_of) * 1000)::bigint FROM reports WHERE name = 'days'");
    // Read before the sums: they may be younger by then, never older.
    let made = link.query_opt(query, &[]).await?;
    let made = made.map(|row| column::<Option<i64>>(&row, 0, what)).transpose()?.flatten();
    // A view that was never filled cannot be read.
    let Some(as_of_ms) = made.and_then(|made| u64::try_from(made).ok()) else {
        return Ok(Report::default());
    };
    let merchants: Vec<Id> = wish.merchants.iter().map(|id| Id(id.to_bytes())).collect();
    let day = |day: u32| i32::try_from(day).unwrap_or(i32::MAX);
    let params: [Param<'_>; 3] = [&merchants, &day(wish.from_day), &day(wish.to_day)];
    let mut rows = BTreeMap::new();
    for row in link.query(Query::Fixed(statement(wish.by)), &params).await? {
        let corrupt = || StoreError::Corrupt(what);
        let day = column::<Option<i32>>(&row, 0, what)?;
        let merchant = column::<Option<Id>>(&row, 1, what)?;
        let processor = column::<Option<&str>>(&row, 3, what)?;
        let key = ReportKey {
            day: day.map(u32::try_from).transpose().map_err(|_| corrupt())?,
            merchant_id: merchant.map(|id| MerchantId::from_bytes(id.0)),
            processor: processor.map(ProcessorName::new),
            currency: column::<&str>(&row, 2, what)?.parse().map_err(|_| corrupt())?,
        };
        let sums = ReportSums {
            payments: column(&row, 4, what)?,
            succeeded: column(&row, 5, what)?,
            failed: column(&row, 6, what)?,
            volume_minor: column::<&str>(&row, 7, what)?.parse().map_err(|_| corrupt())?,
        };
        rows.insert(key, sums);
    }
    Ok(Report { rows, as_of_ms: Some(as_of_ms), missing: Vec::new() })
}
