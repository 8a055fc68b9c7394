//! `/api/v1/partners/{id}/statistics` and `/api/v1/partner/statistics`: how payments do, live and by period.

use super::partners::find;
use super::path::InPath;
use crate::auth::Caller;
use crate::platform::Platform;
use crate::problem::{PlatformProblems, Problem, QueryProblems};
use crate::query::Params;
use crate::reply;
use crate::state::AppState;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tollgate_core::failure::FailureCode;
use tollgate_core::id::{MerchantId, PartnerId};
use tollgate_core::merchant::Mode;
use tollgate_core::partner::period::Period;
use tollgate_core::totals::{PERIOD_MS, Totals, hour_of};
use tollgate_core::transition::PaymentStatus;

/// Longest time that statistics cover, in hours: 366 days.
const HOURS_MAX: u32 = 366 * 24;

/// Read a partner's statistics
///
/// By merchant: `live`, how payments did in the last five to ten minutes (success rate, p50 and p95 of the time to their outcome,
/// the most frequent failures), and `periods`, number, volume, success rate and failures by currency, from the totals that are booked
/// with them.
#[utoipa::path(
    get,
    path = "/api/v1/partners/{id}/statistics",
    tag = "Partners",
    operation_id = "get_partner_statistics",
    params(
        ("id" = String, Path, description = "The partner's id."),
        ("from" = Option<String>, Query, format = DateTime, nullable = false,
            description = "From the hour of this time; the last 24 hours if not given."),
        ("to" = Option<String>, Query, format = DateTime, nullable = false,
            description = "Up to before the hour of this time; up to now if not given."),
        ("by" = Option<String>, Query, nullable = false, pattern = "^(all|day|month)$",
            description = "One sum of all, or one a day or calendar month (UTC).")
    ),
    responses((status = 200, body = Value, description = "The statistics."), PlatformProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get_statistics(
    State(state): State<AppState>,
    _platform: Platform,
    InPath(id): InPath<PartnerId>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let wanted = Wanted::read(&state, query.as_deref())?;
    let partner = find(&state, id).await?;
    let mut merchants = Vec::new();
    for (mode, merchant_id) in partner.merchants() {
        merchants.push(statistics(&state, (mode, merchant_id), wanted).await?);
    }
    reply::json(StatusCode::OK, &json!({"partner": id.to_string(), "merchants": merchants}))
}

/// Read the account's statistics
///
/// As the platform sees them.
#[utoipa::path(
    get,
    path = "/api/v1/partner/statistics",
    tag = "Reports",
    operation_id = "get_own_statistics",
    params(
        ("from" = Option<String>, Query, format = DateTime, nullable = false,
            description = "From the hour of this time; the last 24 hours if not given."),
        ("to" = Option<String>, Query, format = DateTime, nullable = false,
            description = "Up to before the hour of this time; up to now if not given."),
        ("by" = Option<String>, Query, nullable = false, pattern = "^(all|day|month)$",
            description = "One sum of all, or one a day or calendar month (UTC).")
    ),
    responses((status = 200, body = Value, description = "The statistics."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get_own_statistics(
    State(state): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let wanted = Wanted::read(&state, query.as_deref())?;
    let view = statistics(&state, (caller.merchant.mode, caller.id()), wanted).await?;
    reply::json(StatusCode::OK, &view)
}

/// How totals are put together.
#[derive(Debug, Clone, Copy)]
enum By {
    All,
    Day,
    Month,
}

/// Of which hours, and how.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    from_hour: u32,
    to_hour: u32,
    by: By,
}

impl Wanted {
    fn read(state: &AppState, query: Option<&str>) -> Result<Self, Problem> {
        let params = Params::parse(query, &["from", "to", "by"])?;
        let now = || hour_of(state.engine().now_ms()).saturating_add(1);
        let to_hour = params.moment("to")?.map_or_else(now, hour_of);
        let from_hour = params.moment("from")?.map_or_else(|| to_hour.saturating_sub(24), hour_of);
        if from_hour >= to_hour || to_hour - from_hour > HOURS_MAX {
            return Err(Problem::parameter("from", "must be before to, by 366 days at most"));
        }
        let by = params.read("by", "must be all, day or month", |text| match text {
            "all" => Some(By::All),
            "day" => Some(By::Day),
            "month" => Some(By::Month),
            _ => None,
        })?;
        Ok(Self { from_hour, to_hour, by: by.unwrap_or(By::All) })
    }

    /// The hour in which the period of an hour begins.
    fn period_of(self, hour: u32) -> u32 {
        let at_ms = u64::from(hour).saturating_mul(PERIOD_MS);
        let begin = match self.by {
            By::All => self.from_hour,
            By::Day => Period::day_of(at_ms).from_hour,
            By::Month => Period::month_of(at_ms).from_hour,
        };
        begin.max(self.from_hour)
    }
}

/// Payments of one currency in one period.
#[derive(Debug, Default)]
struct Sum {
    payments: i64,
    succeeded: i64,
    failed: i64,
    volume_minor: i128,
    failures: BTreeMap<FailureCode, i64>,
}

impl Sum {
    fn add(&mut self, totals: &Totals) {
        for status in PaymentStatus::ALL {
            let total = totals.of(status);
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
        for (code, count) in totals.failures() {
            *self.failures.entry(code).or_default() += count;
        }
    }

    fn as_json(&self, currency: &str) -> Value {
        let settled = self.succeeded.saturating_add(self.failed);
        let mut failures: Vec<_> = self.failures.iter().collect();
        failures.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let errors: Vec<Value> =
            failures.iter().map(|(code, count)| json!({"code": code.as_str(), "count": count})).collect();
        json!({
            "currency": currency, "payments": self.payments, "succeeded": self.succeeded, "failed": self.failed,
            "success_per_mille": (settled > 0).then(|| self.succeeded.saturating_mul(1_000) / settled),
            "volume_minor": self.volume_minor.to_string(), "errors": errors,
        })
    }
}

async fn statistics(
    state: &AppState,
    (mode, merchant_id): (Mode, MerchantId),
    wanted: Wanted,
) -> Result<Value, Problem> {
    let engine = state.engine();
    let mut periods: BTreeMap<u32, BTreeMap<String, Sum>> = BTreeMap::new();
    for (key, totals) in engine.store().totals_by_day(merchant_id, wanted.from_hour, wanted.to_hour).await? {
        let period = periods.entry(wanted.period_of(key.hour)).or_default();
        period.entry(key.currency.code().to_owned()).or_default().add(&totals);
    }
    let periods: Vec<Value> = periods
        .iter()
        .map(|(hour, sums)| {
            let currencies: Vec<Value> = sums.iter().map(|(currency, sum)| sum.as_json(currency)).collect();
            json!({"from_ms": u64::from(*hour).saturating_mul(PERIOD_MS), "currencies": currencies})
        })
        .collect();
    let live = engine.live(merchant_id);
    let settled = live.succeeded.saturating_add(live.failed);
    let errors: Vec<Value> =
        live.codes.iter().map(|(code, count)| json!({"code": code.as_str(), "count": count})).collect();
    Ok(json!({
        "merchant": merchant_id.to_string(),
        "mode": mode,
        "live": {
            "window_ms": live.window_ms,
            "succeeded": live.succeeded,
            "failed": live.failed,
            "success_per_mille": (settled > 0).then(|| live.succeeded.saturating_mul(1_000) / settled),
            "p50_ms": live.p50_ms,
            "p95_ms": live.p95_ms,
            "errors": errors,
        },
        "periods": periods,
    }))
}
