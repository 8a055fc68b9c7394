//! `POST /api/v1/payments/{id}/cancel`: releases an authorization or gives up waiting.

use super::path::InPath;
use super::submission::{self, Submission};
use crate::auth::Caller;
use crate::input::CancelBody;
use crate::problem::{ChangeProblems, Problem};
use crate::render;
use crate::schemas::CancelSchema;
use crate::state::AppState;
use crate::views::payment::PaymentView;
use axum::extract::{Request, State};
use axum::response::Response;
use tollgate_core::id::PaymentId;

/// Cancel a payment
///
/// Releases what was authorized, or ends a payment that still waits for its customer. No money was taken.
#[utoipa::path(
    post,
    path = "/api/v1/payments/{id}/cancel",
    tag = "Payments",
    operation_id = "cancel_payment",
    params(
        ("id" = String, Path, pattern = "^pay_[0-9A-Za-z]{22}$", description = "The payment's id."),
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
            nullable = false,
            description = "A text of your choice. The same key with the same request gets the first reply again.")
    ),
    request_body = Option<CancelSchema>,
    responses(
        (status = 200, body = PaymentView, description = "The payment, cancelled."),
        (status = 202, body = PaymentView, description = "The payment; whether it was released is not known yet."),
        ChangeProblems
    ),
    security(("api_key" = []))
)]
pub(crate) async fn cancel_payment(
    State(state): State<AppState>,
    caller: Caller,
    InPath(id): InPath<PaymentId>,
    request: Request,
) -> Result<Response, Problem> {
    let submission = Submission::read_optional(&state, request).await?;
    let CancelBody {} = submission.parse_optional()?;
    let key = submission.key;
    let said = state.engine().cancel(caller.id(), id, key.clone(), render::cancelled).await;
    submission::answer(&state, &caller, key.as_ref(), said).await
}
