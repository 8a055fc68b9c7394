//! `POST /api/v1/payments/{id}/review` and `/label`: what people say of a payment.

use crate::auth::Caller;
use crate::body;
use crate::input::{LabelBody, ReviewBody, Text};
use crate::problem::{ChangeProblems, Problem};
use crate::render;
use crate::routes::path::InPath;
use crate::routes::submission::{self, Submission};
use crate::schemas::fraud::{LabelSchema, ReviewSchema};
use crate::state::AppState;
use crate::validate;
use crate::views::payment::PaymentView;
use axum::extract::{Request, State};
use axum::response::Response;
use tollgate_core::id::PaymentId;

/// Decide a review
///
/// `approve`: the payment is genuine; money that was only reserved until the decision is taken. `reject`: what is reserved is
/// released, what was taken is refunded in full. A payment that is still under way is seen to as soon as it settles. The
/// decision is final.
#[utoipa::path(
    post,
    path = "/api/v1/payments/{id}/review",
    tag = "Fraud",
    operation_id = "review_payment",
    params(
        ("id" = String, Path, pattern = "^pay_[0-9A-Za-z]{22}$", description = "The payment's id."),
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
            nullable = false,
            description = "A text of your choice. The same key with the same request gets the first reply again.")
    ),
    request_body = ReviewSchema,
    responses(
        (status = 200, body = PaymentView,
            description = "The payment, decided. Its status tells whether the money has moved already."),
        ChangeProblems
    ),
    security(("api_key" = []))
)]
pub(crate) async fn review_payment(
    State(state): State<AppState>,
    caller: Caller,
    InPath(id): InPath<PaymentId>,
    request: Request,
) -> Result<Response, Problem> {
    let submission = Submission::read(&state, request).await?;
    let body: ReviewBody<'_> = body::parse(&submission.body)?;
    let approved = match body.decision.as_ref().map(Text::as_str) {
        Some("approve") => true,
        Some("reject") => false,
        Some(_) => return Err(Problem::field("/decision", "must be approve or reject")),
        None => return Err(Problem::field("/decision", "is required")),
    };
    let note = validate::note(body.note)?;
    let key = submission.key;
    let (engine, said) = (state.engine(), (approved, note));
    let by = caller.by(engine.now_ms());
    let said = engine.review(caller.id(), id, said, by, key.clone(), render::reviewed).await;
    submission::answer(&state, &caller, key.as_ref(), said).await
}

/// Say whether a payment was fraud
///
/// For instance after a chargeback, or when a declined customer turned out to be genuine. The model can be trained on it
/// (`GET /api/v1/fraud/feedback`). It may be said again, also otherwise; the last word counts. No money moves.
#[utoipa::path(
    post,
    path = "/api/v1/payments/{id}/label",
    tag = "Fraud",
    operation_id = "label_payment",
    params(
        ("id" = String, Path, pattern = "^pay_[0-9A-Za-z]{22}$", description = "The payment's id."),
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
            nullable = false,
            description = "A text of your choice. The same key with the same request gets the first reply again.")
    ),
    request_body = LabelSchema,
    responses((status = 200, body = PaymentView, description = "The payment, labelled."), ChangeProblems),
    security(("api_key" = []))
)]
pub(crate) async fn label_payment(
    State(state): State<AppState>,
    caller: Caller,
    InPath(id): InPath<PaymentId>,
    request: Request,
) -> Result<Response, Problem> {
    let submission = Submission::read(&state, request).await?;
    let LabelBody { fraud } = body::parse(&submission.body)?;
    let fraud = fraud.ok_or_else(|| Problem::field("/fraud", "is required"))?;
    let key = submission.key;
    let by = caller.by(state.engine().now_ms());
    let said = state.engine().label(caller.id(), id, fraud, by, key.clone(), render::reviewed).await;
    submission::answer(&state, &caller, key.as_ref(), said).await
}
