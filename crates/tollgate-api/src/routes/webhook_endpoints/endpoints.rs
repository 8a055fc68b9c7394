//! `/api/v1/webhook_endpoints`: where events are sent.

use crate::auth::Caller;
use crate::body;
use crate::codes;
use crate::input::webhook_endpoints::EndpointBody;
use crate::problem::{EndpointProblems, Problem, QueryProblems};
use crate::query::Params;
use crate::reply;
use crate::routes::passkeys;
use crate::routes::path::InPath;
use crate::schemas::webhook_endpoints::EndpointSchema;
use crate::state::AppState;
use crate::validate;
use crate::views::webhook_endpoints::EndpointView;
use axum::extract::{RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use tollgate_core::id::WebhookEndpointId;
use tollgate_engine::webhooks::EndpointWish;
use utoipa::ToSchema;

/// All endpoints.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookEndpointList)]
pub(crate) struct EndpointListView<'a> {
    /// The endpoints, oldest first.
    data: Vec<EndpointView<'a>>,
}

/// Make a webhook endpoint
///
/// From now on it gets the events it asks for. Its signing secret is in this reply alone.
#[utoipa::path(
    post,
    path = "/api/v1/webhook_endpoints",
    tag = "Webhooks out",
    operation_id = "create_webhook_endpoint",
    request_body = EndpointSchema,
    responses((status = 201, body = EndpointView, description = "The endpoint, with its secret."), EndpointProblems),
    security(("api_key" = []))
)]
pub(crate) async fn create_endpoint(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let wish = read(&state, request).await?;
    let made =
        state.webhooks().create_endpoint(caller.id(), wish, caller.by(state.engine().now_ms())).await?;
    let (endpoint, secret) = made.ok_or_else(|| Problem::new(&codes::TOO_MANY_ENDPOINTS))?;
    reply::json(StatusCode::CREATED, &EndpointView::with_secret(&endpoint, &secret, state.engine().now_ms()))
}

/// List webhook endpoints
///
/// All of them, at most 50, oldest first.
#[utoipa::path(
    get,
    path = "/api/v1/webhook_endpoints",
    tag = "Webhooks out",
    operation_id = "list_webhook_endpoints",
    responses((status = 200, body = EndpointListView, description = "The endpoints."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn list_endpoints(
    State(state): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref(), &[])?;
    let endpoints = state.engine().store().webhook_endpoints(caller.id()).await?;
    let now_ms = state.engine().now_ms();
    let data = endpoints.iter().map(|endpoint| EndpointView::new(endpoint, now_ms)).collect();
    reply::json(StatusCode::OK, &EndpointListView { data })
}

/// Read a webhook endpoint
#[utoipa::path(
    get,
    path = "/api/v1/webhook_endpoints/{id}",
    tag = "Webhooks out",
    operation_id = "get_webhook_endpoint",
    params(("id" = String, Path, pattern = "^whe_[0-9A-Za-z]{22}$", description = "The endpoint's id.")),
    responses((status = 200, body = EndpointView, description = "The endpoint."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get_endpoint(
    State(state): State<AppState>,
    caller: Caller,
    InPath(id): InPath<WebhookEndpointId>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref(), &[])?;
    let found = state.engine().store().webhook_endpoint(caller.id(), id).await?;
    let endpoint = found.ok_or_else(|| Problem::new(&codes::NOT_FOUND))?;
    reply::json(StatusCode::OK, &EndpointView::new(&endpoint, state.engine().now_ms()))
}

/// Change a webhook endpoint
///
/// Replaces all of it but the secret; members that are left out have their defaults. An endpoint that was disabled is
/// enabled again unless `enabled` is false.
#[utoipa::path(
    put,
    path = "/api/v1/webhook_endpoints/{id}",
    tag = "Webhooks out",
    operation_id = "put_webhook_endpoint",
    params(("id" = String, Path, pattern = "^whe_[0-9A-Za-z]{22}$", description = "The endpoint's id.")),
    request_body = EndpointSchema,
    responses((status = 200, body = EndpointView, description = "The endpoint."), EndpointProblems),
    security(("api_key" = []))
)]
pub(crate) async fn put_endpoint(
    State(state): State<AppState>,
    caller: Caller,
    InPath(id): InPath<WebhookEndpointId>,
    request: Request,
) -> Result<Response, Problem> {
    let wish = read(&state, request).await?;
    let changed =
        state.webhooks().update_endpoint(caller.id(), id, wish, caller.by(state.engine().now_ms())).await?;
    let endpoint = changed.ok_or_else(|| Problem::new(&codes::NOT_FOUND))?;
    reply::json(StatusCode::OK, &EndpointView::new(&endpoint, state.engine().now_ms()))
}

/// Delete a webhook endpoint
///
/// What waits for it is not sent any more.
#[utoipa::path(
    delete,
    path = "/api/v1/webhook_endpoints/{id}",
    tag = "Webhooks out",
    operation_id = "delete_webhook_endpoint",
    params(("id" = String, Path, pattern = "^whe_[0-9A-Za-z]{22}$", description = "The endpoint's id.")),
    responses((status = 204, description = "It is gone."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn delete_endpoint(
    State(state): State<AppState>,
    caller: Caller,
    InPath(id): InPath<WebhookEndpointId>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref(), &[])?;
    if state.webhooks().remove_endpoint(caller.id(), id, caller.by(state.engine().now_ms())).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(Problem::new(&codes::NOT_FOUND))
    }
}

async fn read(state: &AppState, request: Request) -> Result<EndpointWish, Problem> {
    let bytes = passkeys::read(state, request).await?;
    let body = body::parse::<EndpointBody<'_>>(&bytes)?;
    validate::webhook_endpoints::endpoint(body, state.webhooks().allows_private())
}
