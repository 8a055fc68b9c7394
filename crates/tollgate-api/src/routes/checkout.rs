//! `/api/v1/checkout/sessions`: hosted payment pages, as their merchant opens and reads them.

use super::path::InPath;
use super::submission::Submission;
use crate::auth::Caller;
use crate::body;
use crate::codes;
use crate::input::CheckoutBody;
use crate::problem::{CreateProblems, Problem, QueryProblems};
use crate::query::Params;
use crate::reply;
use crate::schemas::NewCheckoutSchema;
use crate::state::AppState;
use crate::validate;
use crate::views::checkout::CheckoutView;
use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use http::StatusCode;
use tollgate_core::id::CheckoutId;

/// Open a payment page
///
/// Send your customer to `url`: a page of this gateway that offers the methods your account's processors take for this
/// amount. The page takes at most one payment; a refused one can be followed by another until the page is paid or its time
/// is over. Afterwards the customer is offered `return_url` with `payment_id` and `status`. Those two prove nothing: read
/// the session or the payment before you deliver. Every call opens a page of its own.
#[utoipa::path(
    post,
    path = "/api/v1/checkout/sessions",
    tag = "Checkout",
    operation_id = "create_checkout_session",
    request_body = NewCheckoutSchema,
    responses(
        (status = 201, body = CheckoutView, description = "The page is open."),
        CreateProblems
    ),
    security(("api_key" = []))
)]
pub(crate) async fn create_session(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let submission = Submission::read(&state, request).await?;
    let body: CheckoutBody<'_> = body::parse(&submission.body)?;
    let engine = state.engine();
    let new = validate::checkout(body, engine.now_ms())?;
    let session = engine.open_checkout(&caller.merchant, new).await?;
    let opened = tollgate_core::checkout::state(&session, &[], engine.now_ms());
    reply::json(StatusCode::CREATED, &CheckoutView::new(&session, &opened, engine.public_url()))
}

/// Read a payment page
///
/// `status` is `open`, `processing` while a payment is under way, `paid`, or `expired`.
#[utoipa::path(
    get,
    path = "/api/v1/checkout/sessions/{id}",
    tag = "Checkout",
    operation_id = "get_checkout_session",
    params(("id" = String, Path, pattern = "^cs_[0-9A-Za-z]{22}$", description = "The session's id.")),
    responses((status = 200, body = CheckoutView, description = "The page as it stands."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get_session(
    State(state): State<AppState>,
    caller: Caller,
    InPath(id): InPath<CheckoutId>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref(), &[])?;
    let engine = state.engine();
    let found = engine.checkout(id).await?.filter(|found| found.session.merchant_id == caller.id());
    let found = found.ok_or_else(|| Problem::new(&codes::NOT_FOUND))?;
    reply::json(StatusCode::OK, &CheckoutView::new(&found.session, &found.state, engine.public_url()))
}
