//! `GET /api/v1/analytics/payments`: counts, sums, averages and completion rates over a period, from
//! the running totals that every commit keeps. Nothing is scanned.

use crate::auth::Caller;
use crate::problem::{Problem, QueryProblems};
use crate::query::Params;
use crate::reply;
use crate::schemas::{CurrencySchema, MethodSchema, StatusSchema};
use crate::state::AppState;
use crate::views::text::{At, Major};
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use std::collections::BTreeMap;
use tollgate_core::currency::Currency;
use tollgate_core::method::MethodKind;
use tollgate_core::totals::{PERIOD_MS, Total, Totals, TotalsKey, hour_of};
use tollgate_core::transition::PaymentStatus;
use utoipa::ToSchema;

/// The period when the caller does not say: one day back.
const PERIOD_DEFAULT_MS: u64 = 24 * PERIOD_MS;

/// The longest period: a leap year.
const PERIOD_MAX_MS: u64 = 366 * 24 * PERIOD_MS;

/// Analytics of payments.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PaymentAnalytics)]
pub(crate) struct AnalyticsView {
    /// The period that was counted: what was asked for, widened to whole hours.
    period: Period,
    /// How many payments were made in it.
    count: i64,
    /// Which part of them was completed, from 0 to 1; none if there are none.
    completion_rate: Option<f64>,
    /// By currency. Sums of different currencies are never added.
    by_currency: Vec<CurrencyRow>,
    /// By present status and currency.
    by_status: Vec<StatusRow>,
    /// By method and currency.
    by_method: Vec<MethodRow>,
}

/// A period.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Period {
    /// From this moment on.
    #[schema(value_type = String, format = DateTime)]
    from: At,
    /// Up to before this moment.
    #[schema(value_type = String, format = DateTime)]
    to: At,
}

/// The payments of one currency.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AnalyticsByCurrency)]
pub(crate) struct CurrencyRow {
    /// The currency.
    #[schema(value_type = CurrencySchema)]
    currency: String,
    /// How many.
    count: i64,
    /// The sum of their amounts.
    #[schema(value_type = String)]
    sum: Major,
    /// The mean amount, rounded half up.
    #[schema(value_type = String)]
    average: Major,
    /// Which part of them was completed, from 0 to 1; none if there are none.
    completion_rate: Option<f64>,
}

/// The payments in one status.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AnalyticsByStatus)]
pub(crate) struct StatusRow {
    /// The status now.
    #[schema(value_type = StatusSchema)]
    status: &'static str,
    /// The currency.
    #[schema(value_type = CurrencySchema)]
    currency: String,
    /// How many.
    count: i64,
    /// The sum of their amounts.
    #[schema(value_type = String)]
    sum: Major,
    /// The mean amount, rounded half up.
    #[schema(value_type = String)]
    average: Major,
}

/// The payments by one method.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AnalyticsByMethod)]
pub(crate) struct MethodRow {
    /// The method.
    #[schema(value_type = MethodSchema)]
    method: &'static str,
    /// The currency.
    #[schema(value_type = CurrencySchema)]
    currency: String,
    /// How many.
    count: i64,
    /// The sum of their amounts.
    #[schema(value_type = String)]
    sum: Major,
    /// The mean amount, rounded half up.
    #[schema(value_type = String)]
    average: Major,
    /// Which part of them was completed, from 0 to 1; none if there are none.
    completion_rate: Option<f64>,
}

/// Payment analytics
///
/// Counts payments by when they were made, whole hours at a time, in their present status; the reply says which period was
/// counted. *Completed* are `completed`, `partially_refunded` and `refunded`.
#[utoipa::path(
    get,
    path = "/api/v1/analytics/payments",
    tag = "Reports",
    operation_id = "payment_analytics",
    params(
        ("from" = Option<String>, Query, format = DateTime, nullable = false,
            description = "Made at or after; a day before `to` if not given."),
        ("to" = Option<String>, Query, format = DateTime, nullable = false,
            description = "Made before; now if not given. At most 366 days after `from`."),
        ("currency" = Option<CurrencySchema>, Query, nullable = false, description = "Only this currency."),
        ("method" = Option<MethodSchema>, Query, nullable = false, description = "Only this method.")
    ),
    responses((status = 200, body = AnalyticsView, description = "The totals of the period."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn payment_analytics(
    State(state): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let params = Params::parse(query.as_deref(), &["from", "to", "currency", "method"])?;
    let (from_hour, to_hour) = hours(&params, state.engine().now_ms())?;
    let currency = params.currency()?;
    let method = params.read("method", "is not a known method", MethodKind::from_name)?;
    let mut rows = state.engine().store().totals_by_day(caller.id(), from_hour, to_hour).await?;
    rows.retain(|(key, _)| {
        currency.is_none_or(|currency| key.currency == currency)
            && method.is_none_or(|method| key.method == method)
    });
    reply::json(StatusCode::OK, &view(from_hour, to_hour, &rows))
}

/// The whole hours that cover the period asked for.
fn hours(params: &Params<'_>, now_ms: u64) -> Result<(u32, u32), Problem> {
    let to_ms = params.moment("to")?.unwrap_or(now_ms.saturating_add(1));
    let from_ms = params.moment("from")?.unwrap_or(to_ms.saturating_sub(PERIOD_DEFAULT_MS));
    if from_ms > to_ms {
        return Err(Problem::parameter("from", "must not be after to"));
    }
    if to_ms - from_ms > PERIOD_MAX_MS {
        return Err(Problem::parameter("from", "must be at most 366 days before to"));
    }
    let to_hour = hour_of(to_ms.saturating_add(PERIOD_MS - 1));
    Ok((hour_of(from_ms), to_hour))
}

/// What is added up of payments that have something in common.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    total: Total,
    completed: i64,
}

impl Sum {
    fn of(totals: &Totals) -> Self {
        use PaymentStatus::{Completed, PartiallyRefunded, Refunded};
        let mut sum = Self::default();
        for status in PaymentStatus::ALL {
            sum.add(totals.of(status));
        }
        sum.completed =
            [Completed, PartiallyRefunded, Refunded].into_iter().map(|status| totals.of(status).count).sum();
        sum
    }

    fn add(&mut self, total: Total) {
        self.total.count += total.count;
        self.total.sum_minor += total.sum_minor;
    }

    fn rate(self) -> Option<f64> {
        // Counts are far below 2^53, where a float is exact.
        #[expect(clippy::cast_precision_loss, reason = "a rate of counts, not money")]
        let rate = (self.completed as f64) / (self.total.count as f64);
        (self.total.count > 0).then(|| (rate * 10_000.0).round() / 10_000.0)
    }
}

fn average(total: Total, currency: Currency) -> Major {
    let (sum, count) = (total.sum_minor, i128::from(total.count));
    let mean = if count > 0 { (2 * sum + count).div_euclid(2 * count) } else { 0 };
    Major::new(mean, currency)
}

fn view(from_hour: u32, to_hour: u32, rows: &[(TotalsKey, Totals)]) -> AnalyticsView {
    let mut all = Sum::default();
    let mut currencies: BTreeMap<Currency, Totals> = BTreeMap::new();
    let mut methods: BTreeMap<(MethodKind, Currency), Totals> = BTreeMap::new();
    for (key, totals) in rows {
        let sum = Sum::of(totals);
        all.total.count += sum.total.count;
        all.completed += sum.completed;
        currencies.entry(key.currency).or_default().add(totals);
        methods.entry((key.method, key.currency)).or_default().add(totals);
    }
    let statuses = PaymentStatus::ALL.into_iter().flat_map(|status| {
        currencies.iter().map(move |(currency, totals)| (status, *currency, totals.of(status)))
    });
    AnalyticsView {
        period: Period { from: At(u64::from(from_hour) * PERIOD_MS), to: At(u64::from(to_hour) * PERIOD_MS) },
        count: all.total.count,
        completion_rate: all.rate(),
        by_status: statuses
            .filter(|(_, _, total)| total.count > 0)
            .map(|(status, currency, total)| StatusRow {
                status: status.as_str(),
                currency: currency.to_string(),
                count: total.count,
                sum: Major::new(total.sum_minor, currency),
                average: average(total, currency),
            })
            .collect(),
        by_currency: currencies
            .iter()
            .map(|(currency, totals)| (*currency, Sum::of(totals)))
            .map(|(currency, sum)| CurrencyRow {
                currency: currency.to_string(),
                count: sum.total.count,
                sum: Major::new(sum.total.sum_minor, currency),
                average: average(sum.total, currency),
                completion_rate: sum.rate(),
            })
            .collect(),
        by_method: methods
            .iter()
            .map(|((method, currency), totals)| (*method, *currency, Sum::of(totals)))
            .map(|(method, currency, sum)| MethodRow {
                method: method.as_str(),
                currency: currency.to_string(),
                count: sum.total.count,
                sum: Major::new(sum.total.sum_minor, currency),
                average: average(sum.total, currency),
                completion_rate: sum.rate(),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 2] = ["from", "to"];

    #[test]
    fn the_period_is_widened_to_whole_hours() {
        let now_ms = 10 * PERIOD_MS + 5;
        let of = |query| hours(&Params::parse(Some(query), &KNOWN).unwrap(), now_ms);
        assert_eq!(of("").unwrap(), (0, 11));
        assert_eq!(of("from=1970-01-01T02:30:00Z&to=1970-01-01T03:00:00Z").unwrap(), (2, 3));
        assert_eq!(of("from=1970-01-01T02:30:00Z&to=1970-01-01T03:00:00.001Z").unwrap(), (2, 4));
        let late = of("from=1970-01-02T00:00:00Z&to=1970-01-01T00:00:00Z").unwrap_err();
        assert_eq!(late.field_name(), Some("from"));
        assert!(of("from=1970-01-01T00:00:00Z&to=1971-01-03T00:00:00Z").is_err());
    }

    #[test]
    fn averages_are_rounded_half_up_and_rates_need_payments() {
        let mean = |sum_minor, count| average(Total { count, sum_minor }, Currency::INR).to_string();
        assert_eq!((mean(5, 2), mean(4, 3), mean(0, 0)), ("0.03".into(), "0.01".into(), "0.00".into()));
        assert_eq!(Sum::default().rate(), None);
        let sum = Sum { total: Total { count: 3, sum_minor: 0 }, completed: 2 };
        assert_eq!(sum.rate(), Some(0.6667));
    }

    #[test]
    fn an_empty_period_is_shown_as_such() {
        let shown = serde_json::to_value(view(0, 1, &[])).unwrap();
        assert_eq!(shown["count"], 0);
        assert_eq!(shown["period"]["to"], "1970-01-01T01:00:00.000Z");
        assert!(shown["completion_rate"].is_null() && shown["by_status"] == serde_json::json!([]));
    }
}
