//! `GET /api/v1/routing/health`: how the processors do.

use crate::auth::Caller;
use crate::problem::{Problem, QueryProblems};
use crate::query::Params;
use crate::reply;
use crate::state::AppState;
use crate::views::routing::HealthView;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;

/// See how processors do
///
/// Those that your account may use: circuit breakers, success rates and latencies as routing knows them now, and how much is
/// under way. Sandbox and live accounts see what their own kind of payments has shown.
#[utoipa::path(
    get,
    path = "/api/v1/routing/health",
    tag = "Routing",
    operation_id = "routing_health",
    responses((status = 200, body = HealthView, description = "The processors."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get_health(
    State(state): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref(), &[])?;
    reply::json(StatusCode::OK, &HealthView::new(state.engine().routing_health(&caller.merchant)))
}
