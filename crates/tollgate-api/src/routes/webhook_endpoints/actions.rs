//! What is done with a webhook endpoint: a new secret, a test, a replay.

use crate::auth::Caller;
use crate::body;
use crate::codes;
use crate::input::webhook_endpoints::{ReplayBody, RotateBody};
use crate::problem::{EndpointProblems, Problem, QueryProblems};
use crate::query::Params;
use crate::reply;
use crate::routes::passkeys;
use crate::routes::path::InPath;
use crate::schemas::webhook_endpoints::{ReplaySchema, RotateSchema};
use crate::state::AppState;
use crate::validate;
use crate::views::webhook_endpoints::{DeliveryView, EndpointView, ReplayView};
use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use http::StatusCode;
use tollgate_core::id::WebhookEndpointId;

/// Rotate a webhook endpoint's secret
///
/// Makes a new secret, which is in this reply alone. While the old one is good, messages carry a signature by each.
#[utoipa::path(
    post,
    path = "/api/v1/webhook_endpoints/{id}/rotate_secret",
    tag = "Webhooks out",
    operation_id = "rotate_webhook_secret",
    params(("id" = String, Path, pattern = "^whe_[0-9A-Za-z]{22}$", description = "The endpoint's id.")),
    request_body = RotateSchema,
    responses((status = 200, body = EndpointView, description = "The endpoint, with its new secret."), EndpointProblems),
    security(("api_key" = []))
)]
pub(crate) async fn rotate_secret(
    State(state): State<AppState>,
    caller: Caller,
    InPath(id): InPath<WebhookEndpointId>,
    request: Request,
) -> Result<Response, Problem> {
    let bytes = passkeys::read(&state, request).await?;
    let overlap_ms = validate::webhook_endpoints::overlap_ms(&body::parse::<RotateBody>(&bytes)?)?;
    let rotated = state
        .webhooks()
        .rotate_secret(caller.id(), id, overlap_ms, caller.by(state.engine().now_ms()))
        .await?;
    let (endpoint, secret) = rotated.ok_or_else(|| Problem::new(&codes::NOT_FOUND))?;
    reply::json(StatusCode::OK, &EndpointView::with_secret(&endpoint, &secret, state.engine().now_ms()))
}

/// Send a test event
///
/// Sends an event of the type `webhook.test`, whatever the endpoint asks for and though it be disabled. Read the delivery to
/// see what came of it.
#[utoipa::path(
    post,
    path = "/api/v1/webhook_endpoints/{id}/test",
    tag = "Webhooks out",
    operation_id = "test_webhook_endpoint",
    params(("id" = String, Path, pattern = "^whe_[0-9A-Za-z]{22}$", description = "The endpoint's id.")),
    responses((status = 202, body = DeliveryView, description = "It is on its way."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn send_test(
    State(state): State<AppState>,
    caller: Caller,
    InPath(id): InPath<WebhookEndpointId>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref(), &[])?;
    let sent = state.webhooks().send_test(caller.id(), id).await?;
    let sent = sent.ok_or_else(|| Problem::new(&codes::NOT_FOUND))?;
    reply::json(StatusCode::ACCEPTED, &DeliveryView::new(&sent.delivery))
}

/// Replay events
///
/// Sends the events of a time again that the endpoint asks for now, under the ids they had, whether they arrived or not.
/// Events from before the endpoint was made are sent as well.
#[utoipa::path(
    post,
    path = "/api/v1/webhook_endpoints/{id}/replay",
    tag = "Webhooks out",
    operation_id = "replay_webhooks",
    params(("id" = String, Path, pattern = "^whe_[0-9A-Za-z]{22}$", description = "The endpoint's id.")),
    request_body = ReplaySchema,
    responses((status = 202, body = ReplayView, description = "It has begun."), EndpointProblems),
    security(("api_key" = []))
)]
pub(crate) async fn replay(
    State(state): State<AppState>,
    caller: Caller,
    InPath(id): InPath<WebhookEndpointId>,
    request: Request,
) -> Result<Response, Problem> {
    let bytes = passkeys::read(&state, request).await?;
    let wish = validate::webhook_endpoints::replay(
        &body::parse::<ReplayBody<'_>>(&bytes)?,
        state.engine().now_ms(),
    )?;
    let job = state.webhooks().replay(caller.id(), id, wish).await?;
    let job = job.ok_or_else(|| Problem::new(&codes::NOT_FOUND))?;
    reply::json(StatusCode::ACCEPTED, &ReplayView::new(&job))
}
