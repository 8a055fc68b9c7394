//! `POST /api/v1/payments/{id}/mandate/revoke`: ends a UPI AutoPay mandate.

use super::path::InPath;
use super::submission::Submission;
use crate::auth::Caller;
use crate::input::CancelBody;
use crate::problem::{ChangeProblems, Problem};
use crate::reply;
use crate::schemas::CancelSchema;
use crate::state::AppState;
use crate::views::payment::PaymentView;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use tollgate_core::id::PaymentId;

/// Revoke a mandate
///
/// Ends the UPI AutoPay mandate that the payment set up, at the processor and here: no further debit is possible. May be
/// repeated.
#[utoipa::path(
    post,
    path = "/api/v1/payments/{id}/mandate/revoke",
    tag = "Payments",
    operation_id = "revoke_mandate",
    params(("id" = String, Path, pattern = "^pay_[0-9A-Za-z]{22}$", description = "The payment that set it up.")),
    request_body = Option<CancelSchema>,
    responses(
        (status = 200, body = PaymentView, description = "The payment; its mandate is revoked."),
        ChangeProblems
    ),
    security(("api_key" = []))
)]
pub(crate) async fn revoke_mandate(
    State(state): State<AppState>,
    caller: Caller,
    InPath(id): InPath<PaymentId>,
    request: Request,
) -> Result<Response, Problem> {
    let submission = Submission::read_optional(&state, request).await?;
    let CancelBody {} = submission.parse_optional()?;
    let payment = state.engine().revoke_mandate(caller.id(), id).await?;
    reply::json(StatusCode::OK, &PaymentView::new(&payment))
}
