//! `GET /metrics`: the Prometheus text format.

use crate::reply;
use crate::state::AppState;
use crate::telemetry::record_pools;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

/// Metrics
///
/// In the Prometheus text format.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "Operation",
    operation_id = "metrics",
    responses((status = 200, body = String, content_type = "text/plain", description = "Counters, gauges and histograms."))
)]
pub(crate) async fn metrics(State(state): State<AppState>) -> Response {
    // What others count is read when somebody asks.
    record_pools(&state.engine().store().connections());
    let text = state.prometheus().render();
    reply::bytes_of(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
}
