//! `POST /api/v1/webhooks/{processor}` and `…/{processor}/{merchant}`: processors tell what became of a payment.
//!
//! No API key: the message proves itself by its signature. The engine verifies the very bytes that
//! arrived and makes sure that a message counts once.

use super::path::InPath;
use crate::body;
use crate::codes;
use crate::problem::{Problem, WebhookProblems};
use crate::reply;
use crate::state::AppState;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use tollgate_core::id::MerchantId;
use utoipa::ToSchema;

/// Most bytes of a processor's message.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// A message was taken.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookReceived {
    /// Always true.
    received: bool,
}

/// Receive a processor's webhook
///
/// For processors, not for you. Repeated messages are recognised.
#[utoipa::path(
    post,
    path = "/api/v1/webhooks/{processor}",
    tag = "Webhooks",
    operation_id = "receive_webhook",
    params(("processor" = String, Path, pattern = "^[a-z0-9_-]{2,32}$", description = "The processor's name.")),
    request_body(
        content((serde_json::Value = "application/json"), (String = "application/x-www-form-urlencoded")),
        description = "The message as the processor signs it."
    ),
    responses(
        (status = 200, body = WebhookReceived, description = "Verified and taken, now or before."),
        WebhookProblems
    )
)]
pub(crate) async fn receive_webhook(
    State(state): State<AppState>,
    InPath(processor): InPath<String>,
    request: Request,
) -> Result<Response, Problem> {
    receive(&state, (&processor, None), request).await
}

/// Receive a processor's webhook about a partner's own account
///
/// For processors, not for you.
#[utoipa::path(
    post,
    path = "/api/v1/webhooks/{processor}/{merchant}",
    tag = "Webhooks",
    operation_id = "receive_own_webhook",
    params(
        ("processor" = String, Path, pattern = "^[a-z0-9_-]{2,32}$", description = "The processor's name."),
        ("merchant" = String, Path, pattern = "^mer_[0-9A-Za-z]{22}$", description = "Whose account it is.")
    ),
    request_body(
        content((serde_json::Value = "application/json"), (String = "application/x-www-form-urlencoded")),
        description = "The message as the processor signs it."
    ),
    responses(
        (status = 200, body = WebhookReceived, description = "Verified and taken, now or before."),
        WebhookProblems
    )
)]
pub(crate) async fn receive_own_webhook(
    State(state): State<AppState>,
    Path((processor, merchant)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let merchant_id = merchant.parse().map_err(|_| Problem::new(&codes::NOT_FOUND))?;
    receive(&state, (&processor, Some(merchant_id)), request).await
}

async fn receive(
    state: &AppState,
    account: (&str, Option<MerchantId>),
    request: Request,
) -> Result<Response, Problem> {
    let (parts, incoming) = request.into_parts();
    let bytes = body::read(&parts.headers, incoming, BODY_BYTES_MAX, state.body_timeout()).await?;
    let headers = &parts.headers;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let receipt = state.engine().webhook(account, &header, &bytes).await?;
    tracing::debug!(processor = account.0, ?receipt, "webhook");
    reply::json(StatusCode::OK, &WebhookReceived { received: true })
}
