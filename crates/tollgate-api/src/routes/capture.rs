//! `POST /api/v1/payments/{id}/capture`: takes an authorized amount.

use super::path::InPath;
use super::submission::{self, Submission};
use crate::auth::Caller;
use crate::input::CaptureBody;
use crate::problem::{ChangeProblems, Problem};
use crate::render;
use crate::schemas::CaptureSchema;
use crate::state::AppState;
use crate::validate;
use crate::views::payment::PaymentView;
use axum::extract::{Request, State};
use axum::response::Response;
use tollgate_core::id::PaymentId;

/// Capture a payment
///
/// Takes the authorized amount, or part of it once; the rest is released. Without a body all of it is taken.
#[utoipa::path(
    post,
    path = "/api/v1/payments/{id}/capture",
    tag = "Payments",
    operation_id = "capture_payment",
    params(
        ("id" = String, Path, pattern = "^pay_[0-9A-Za-z]{22}$", description = "The payment's id."),
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
            nullable = false,
            description = "A text of your choice. The same key with the same request gets the first reply again.")
    ),
    request_body = Option<CaptureSchema>,
    responses(
        (status = 200, body = PaymentView, description = "The payment, captured."),
        (status = 202, body = PaymentView, description = "The payment; whether it was captured is not known yet."),
        ChangeProblems
    ),
    security(("api_key" = []))
)]
pub(crate) async fn capture_payment(
    State(state): State<AppState>,
    caller: Caller,
    InPath(id): InPath<PaymentId>,
    request: Request,
) -> Result<Response, Problem> {
    let submission = Submission::read_optional(&state, request).await?;
    let body: CaptureBody<'_> = submission.parse_optional()?;
    let amount = validate::optional_amount(body.amount)?;
    let key = submission.key;
    let said = state.engine().capture(caller.id(), id, amount, key.clone(), render::captured).await;
    submission::answer(&state, &caller, key.as_ref(), said).await
}
