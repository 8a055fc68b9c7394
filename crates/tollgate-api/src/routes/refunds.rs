//! Refunds: `POST /api/v1/payments/{id}/refunds` and `GET /api/v1/refunds/{id}`.

use super::path::InPath;
use super::submission::{self, Submission};
use crate::auth::Caller;
use crate::codes;
use crate::input::RefundBody;
use crate::problem::{Problem, QueryProblems, RefundProblems};
use crate::query::Params;
use crate::render;
use crate::reply;
use crate::schemas::NewRefundSchema;
use crate::state::AppState;
use crate::validate;
use crate::views::refund::RefundView;
use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use http::StatusCode;
use tollgate_core::id::{PaymentId, RefundId};

/// Refund a payment
///
/// Returns captured money, whole or in part, once or several times; never more than was captured. Without a body all that
/// is left is returned. A refund that the processor refused is a refund: it is answered with 201 and `status: failed`.
#[utoipa::path(
    post,
    path = "/api/v1/payments/{id}/refunds",
    tag = "Refunds",
    operation_id = "create_refund",
    params(
        ("id" = String, Path, pattern = "^pay_[0-9A-Za-z]{22}$", description = "The payment's id."),
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
            nullable = false,
            description = "A text of your choice. The same key with the same request gets the first reply again.")
    ),
    request_body = Option<NewRefundSchema>,
    responses(
        (status = 201, body = RefundView, description = "The refund, done or refused."),
        (status = 202, body = RefundView, description = "The refund; the processor has not confirmed it yet."),
        RefundProblems
    ),
    security(("api_key" = []))
)]
pub(crate) async fn create_refund(
    State(state): State<AppState>,
    caller: Caller,
    InPath(id): InPath<PaymentId>,
    request: Request,
) -> Result<Response, Problem> {
    let submission = Submission::read_optional(&state, request).await?;
    let body: RefundBody<'_> = submission.parse_optional()?;
    let new = validate::refund(body)?;
    let key = submission.key;
    let said = state.engine().refund(caller.id(), id, new, key.clone(), render::refunded).await;
    submission::answer(&state, &caller, key.as_ref(), said).await
}

/// Read a refund
#[utoipa::path(
    get,
    path = "/api/v1/refunds/{id}",
    tag = "Refunds",
    operation_id = "get_refund",
    params(("id" = String, Path, pattern = "^ref_[0-9A-Za-z]{22}$", description = "The refund's id.")),
    responses((status = 200, body = RefundView, description = "The refund as it stands."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get_refund(
    State(state): State<AppState>,
    caller: Caller,
    InPath(id): InPath<RefundId>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref(), &[])?;
    let refund = state.engine().store().refund(caller.id(), id).await?;
    let refund = refund.ok_or_else(|| Problem::new(&codes::NOT_FOUND))?;
    reply::json(StatusCode::OK, &RefundView::new(&refund))
}
