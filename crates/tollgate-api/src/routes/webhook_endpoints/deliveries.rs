//! `/api/v1/webhook_deliveries`: what was sent, and what came of it.

use crate::auth::Caller;
use crate::codes;
use crate::problem::{Problem, QueryProblems};
use crate::query::Params;
use crate::reply;
use crate::routes::path::InPath;
use crate::state::AppState;
use crate::views::text::Shown;
use crate::views::webhook_endpoints::DeliveryView;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use tollgate_core::id::DeliveryId;
use tollgate_core::webhook::DeliveryState;
use tollgate_store::jobs::DeliveryFilter;
use tollgate_store::query::LIMIT_MAX;
use utoipa::ToSchema;

/// Deliveries of a page when the caller does not say.
const LIMIT_DEFAULT: usize = 100;

/// A page of deliveries.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDeliveryList)]
pub(crate) struct DeliveryListView<'a> {
    /// The deliveries, those of the newest events first.
    data: Vec<DeliveryView<'a>>,
    /// Whether there are more.
    has_more: bool,
    /// What to send as `cursor` for the next page.
    #[schema(value_type = Option<String>, pattern = "^whd_[0-9A-Za-z]{22}$")]
    next_cursor: Option<Shown<DeliveryId>>,
}

/// Where deliveries stand.
#[derive(Debug, ToSchema)]
#[schema(as = WebhookDeliveryStatus, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) enum StatusParameter {
    /// To be sent, or to be sent again.
    Waiting,
    /// Arrived.
    Delivered,
    /// Given up: the dead letters.
    Dead,
    /// Not sent, as the endpoint is gone.
    Cancelled,
}

/// List webhook deliveries
///
/// Those of the newest events first. `status=dead` lists the dead letters. Deliveries are kept for 30 days.
#[utoipa::path(
    get,
    path = "/api/v1/webhook_deliveries",
    tag = "Webhooks out",
    operation_id = "list_webhook_deliveries",
    params(
        ("endpoint_id" = Option<String>, Query, pattern = "^whe_[0-9A-Za-z]{22}$", nullable = false,
            description = "Only those to this endpoint."),
        ("status" = Option<StatusParameter>, Query, nullable = false, description = "Only those that stand here."),
        ("cursor" = Option<String>, Query, pattern = "^whd_[0-9A-Za-z]{22}$", nullable = false,
            description = "`next_cursor` of the page before."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, nullable = false,
            description = "Deliveries wanted, 100 if not given.")
    ),
    responses((status = 200, body = DeliveryListView, description = "A page of deliveries."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn list_deliveries(
    State(state): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let params = Params::parse(query.as_deref(), &["endpoint_id", "status", "cursor", "limit"])?;
    let filter = DeliveryFilter {
        endpoint_id: params.read("endpoint_id", "is not an endpoint's id", |text| text.parse().ok())?,
        state: params.read("status", "must be waiting, delivered, dead or cancelled", |text| {
            DeliveryState::ALL.into_iter().find(|state| state.as_str() == text)
        })?,
        before: params.read("cursor", "is not a cursor of this list", |text| text.parse().ok())?,
        limit: params.count("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT),
    };
    let page = state.engine().store().deliveries(caller.id(), filter).await?;
    let view = DeliveryListView {
        data: page.deliveries.iter().map(DeliveryView::new).collect(),
        has_more: page.next.is_some(),
        next_cursor: page.next.map(Shown),
    };
    reply::json(StatusCode::OK, &view)
}

/// Read a webhook delivery
///
/// With what is sent, and the last ten attempts.
#[utoipa::path(
    get,
    path = "/api/v1/webhook_deliveries/{id}",
    tag = "Webhooks out",
    operation_id = "get_webhook_delivery",
    params(("id" = String, Path, pattern = "^whd_[0-9A-Za-z]{22}$", description = "The delivery's id.")),
    responses((status = 200, body = DeliveryView, description = "The delivery."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get_delivery(
    State(state): State<AppState>,
    caller: Caller,
    InPath(id): InPath<DeliveryId>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref(), &[])?;
    let store = state.engine().store();
    let delivery = store.delivery(caller.id(), id).await?.ok_or_else(|| Problem::new(&codes::NOT_FOUND))?;
    let payload = match store.webhook_endpoint(caller.id(), delivery.endpoint_id).await? {
        Some(endpoint) => state.webhooks().body(&delivery, &endpoint).await?.map(|(bytes, _)| bytes),
        None => None,
    };
    reply::json(StatusCode::OK, &DeliveryView::whole(&delivery, payload))
}

/// Send a webhook delivery again
///
/// At once and under the same `webhook-id`, whether it arrived or not; if that fails, by the usual schedule from its
/// beginning.
#[utoipa::path(
    post,
    path = "/api/v1/webhook_deliveries/{id}/retry",
    tag = "Webhooks out",
    operation_id = "retry_webhook_delivery",
    params(("id" = String, Path, pattern = "^whd_[0-9A-Za-z]{22}$", description = "The delivery's id.")),
    responses((status = 202, body = DeliveryView, description = "It is on its way."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn retry_delivery(
    State(state): State<AppState>,
    caller: Caller,
    InPath(id): InPath<DeliveryId>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref(), &[])?;
    let retried = state.webhooks().retry(caller.id(), id).await?;
    let delivery = retried.ok_or_else(|| Problem::new(&codes::NOT_FOUND))?;
    reply::json(StatusCode::ACCEPTED, &DeliveryView::new(&delivery))
}
