//! `POST /api/v1/payments/recent`: the latest payment of each of many users, in one call.

use crate::auth::Caller;
use crate::body;
use crate::input::RecentBody;
use crate::problem::{AskProblems, Problem};
use crate::query::Params;
use crate::reply;
use crate::schemas::RecentSchema;
use crate::state::AppState;
use crate::validate;
use crate::views::payment::PaymentView;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

/// A thousand ids of 128 characters, each written as `\uXXXX`.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// The latest payments of users.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecentPayments)]
pub(crate) struct RecentView<'a> {
    /// One entry for each user asked for, in that order.
    data: Vec<RecentEntry<'a>>,
}

/// The latest payment of one user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecentPayment)]
pub(crate) struct RecentEntry<'a> {
    /// The user.
    #[schema(value_type = String)]
    user_id: &'a str,
    /// The payment, if there is one.
    payment: Option<PaymentView<'a>>,
}

/// Latest payment of many users
///
/// Asks for up to 1,000 users at once. Changes nothing.
#[utoipa::path(
    post,
    path = "/api/v1/payments/recent",
    tag = "Payments",
    operation_id = "recent_payments",
    request_body = RecentSchema,
    responses((status = 200, body = RecentView, description = "One entry for each user."), AskProblems),
    security(("api_key" = []))
)]
pub(crate) async fn recent_payments(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, incoming) = request.into_parts();
    Params::parse(parts.uri.query(), &[])?;
    body::require_json(&parts.headers)?;
    let bytes = body::read(&parts.headers, incoming, BODY_BYTES_MAX, state.body_timeout()).await?;
    let users = validate::recent(body::parse::<RecentBody<'_>>(&bytes)?)?;
    let payments = state.engine().store().recent_payments(caller.id(), users.clone()).await?;
    let entries = users
        .iter()
        .zip(&payments)
        .map(|(user_id, payment)| RecentEntry { user_id, payment: payment.as_ref().map(PaymentView::new) });
    reply::json(StatusCode::OK, &RecentView { data: entries.collect() })
}
