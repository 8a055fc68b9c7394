//! `POST /api/v1/card_sessions`: where to send a card to, for callers that must not hold its number.

use crate::auth::Caller;
use crate::problem::{AskProblems, Problem};
use crate::reply;
use crate::state::AppState;
use crate::views::text::At;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

/// How long a card session is good for.
pub(crate) const SESSION_MS: u64 = 30 * 60_000;

/// A grant to put one card into the vault.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CardSession)]
pub(crate) struct CardSessionView {
    /// Always `card_session`.
    #[schema(value_type = String, example = "card_session")]
    object: &'static str,
    /// Where the card is sent to: `POST` a JSON object with `session`, `number`, `exp_month`, `exp_year`, `cvc` and, if
    /// you like, `name`. The reply has `token`, for `payment_method.card.token`.
    #[schema(example = "https://cards.example.com/vault/cards")]
    url: String,
    /// What to send as `session`. It may be given to a browser.
    #[schema(pattern = "^cst_[0-9A-Za-z_-]+$")]
    session: String,
    /// Until when.
    #[schema(value_type = String, format = DateTime)]
    expires_at: At,
}

/// Ask where to send a card
///
/// For your own payment form, or your own server: the card's number goes to the vault and not to this API. The token that
/// the vault gives is for one payment, or to be saved with `POST /api/v1/payment_methods`.
#[utoipa::path(
    post,
    path = "/api/v1/card_sessions",
    tag = "Cards",
    operation_id = "create_card_session",
    responses((status = 201, body = CardSessionView, description = "The session."), AskProblems),
    security(("api_key" = []))
)]
pub(crate) async fn create_card_session(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Response, Problem> {
    let expires_at_ms = state.engine().now_ms().saturating_add(SESSION_MS);
    let session = state.card_session(caller.id(), expires_at_ms);
    let url = state.card_url().unwrap_or_else(|| state.engine().public_url()).to_owned();
    let view = CardSessionView {
        object: "card_session",
        url: url + crate::card_port::PATH,
        session,
        expires_at: At(expires_at_ms),
    };
    reply::json(StatusCode::CREATED, &view)
}
