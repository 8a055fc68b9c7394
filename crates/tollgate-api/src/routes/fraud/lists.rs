//! `GET /api/v1/fraud/alerts` and `GET /api/v1/fraud/reviews`: payments that something was found in.

use crate::auth::Caller;
use crate::problem::{Problem, QueryProblems};
use crate::query::Params;
use crate::reply;
use crate::state::AppState;
use crate::views::payment::PaymentView;
use crate::views::text::Shown;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use tollgate_core::id::PaymentId;
use tollgate_store::query::RiskList;
use utoipa::ToSchema;

/// Payments of a page when the caller does not say.
const LIMIT_DEFAULT: usize = 20;

/// Most payments of a page.
const LIMIT_MAX: usize = 100;

/// A page of payments.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FraudList)]
pub(crate) struct FraudListView<'a> {
    /// The payments, newest first.
    data: Vec<PaymentView<'a>>,
    /// Whether there are more.
    has_more: bool,
    /// What to send as `cursor` for the next page: the last payment's id.
    #[schema(value_type = Option<String>, pattern = "^pay_[0-9A-Za-z]{22}$")]
    next_cursor: Option<Shown<PaymentId>>,
}

/// List fraud alerts
///
/// The payments in which the fraud check found something: those that were stepped up, reviewed or declined, and those that
/// it could not score. Newest first.
#[utoipa::path(
    get,
    path = "/api/v1/fraud/alerts",
    tag = "Fraud",
    operation_id = "list_fraud_alerts",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, nullable = false,
            description = "Payments wanted, 20 if not given."),
        ("cursor" = Option<String>, Query, pattern = "^pay_[0-9A-Za-z]{22}$", nullable = false,
            description = "`next_cursor` of the page before.")
    ),
    responses((status = 200, body = FraudListView, description = "A page of payments."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn list_alerts(
    State(state): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    list(&state, &caller, query.as_deref(), RiskList::Alerts).await
}

/// List payments in review
///
/// The payments that wait for a person's decision (`POST /api/v1/payments/{id}/review`). Newest first.
#[utoipa::path(
    get,
    path = "/api/v1/fraud/reviews",
    tag = "Fraud",
    operation_id = "list_fraud_reviews",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, nullable = false,
            description = "Payments wanted, 20 if not given."),
        ("cursor" = Option<String>, Query, pattern = "^pay_[0-9A-Za-z]{22}$", nullable = false,
            description = "`next_cursor` of the page before.")
    ),
    responses((status = 200, body = FraudListView, description = "A page of payments."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn list_reviews(
    State(state): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    list(&state, &caller, query.as_deref(), RiskList::Review).await
}

async fn list(
    state: &AppState,
    caller: &Caller,
    query: Option<&str>,
    which: RiskList,
) -> Result<Response, Problem> {
    let params = Params::parse(query, &["limit", "cursor"])?;
    let limit = params.count("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
    let before = params.read("cursor", "is not a cursor of this list", |text| text.parse().ok())?;
    let mut page = state.engine().store().risk_payments(caller.id(), which, before, limit + 1).await?;
    let has_more = page.len() > limit;
    page.truncate(limit);
    let next_cursor = page.last().filter(|_| has_more).map(|last| Shown(last.id));
    let data = page.iter().map(PaymentView::new).collect();
    reply::json(StatusCode::OK, &FraudListView { data, has_more, next_cursor })
}
