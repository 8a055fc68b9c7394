//! Reports from the materialised view `report_days` and the sums made of it, and keeping them fresh.
//!
//! Servers refresh them side by side: each looks often, and a lock and the views' age decide that one of them does it. They are
//! refreshed concurrently and together: whoever reads them meanwhile reads what was there before.

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

/// How a report is added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// From the merchants' own sums.
    Own,
    /// From the sums of all merchants, less those of merchants that are not asked for.
    AllButOthers,
}

/// The statement of a report. All give the same.
pub(super) const fn statement(by: ReportBy, way: Way) -> &'static str {
    match (by, way) {
        (ReportBy::Merchant, _) => include_str!("sql/report_merchants.sql"),
        (ReportBy::Day, Way::Own) => include_str!("sql/report_days.sql"),
        (ReportBy::Day, Way::AllButOthers) => include_str!("sql/report_days_of_all.sql"),
        (ReportBy::Processor, Way::Own) => include_str!("sql/report_processors.sql"),
        (ReportBy::Processor, Way::AllButOthers) => include_str!("sql/report_processors_of_all.sql"),
    }
}

/// The way that reads less.
pub(super) async fn way(link: &Link, by: ReportBy, merchants: &Vec<Id>) -> Result<Way, StoreError> {
    if by == ReportBy::Merchant {
        return Ok(Way::Own);
    }
    let row = link.query_opt(Query::Fixed(include_str!("sql/report_weight.sql")), &[merchants]).await?;
    let row = row.ok_or(StoreError::Corrupt("report"))?;
    let (wanted, others): (i64, i64) = (column(&row, 0, "report")?, column(&row, 1, "report")?);
    Ok(if others < wanted { Way::AllButOthers } else { Way::Own })
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
    let way = way(link, wish.by, &merchants).await?;
    for row in link.query(Query::Fixed(statement(wish.by, way)), &params).await? {
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
