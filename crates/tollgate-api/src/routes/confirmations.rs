//! `POST /api/v1/confirmations`: what a customer signs to confirm a payment.

use super::passkeys::{passkeys, read};
use crate::auth::Caller;
use crate::body;
use crate::codes;
use crate::input::methods::ConfirmationBody;
use crate::passkeys::{Confirmed, Options, Owner, Rejected};
use crate::problem::{AskProblems, Problem};
use crate::reply;
use crate::schemas::CurrencySchema;
use crate::schemas::methods::ConfirmationSchema;
use crate::state::AppState;
use crate::validate;
use crate::views::text::{At, Major};
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use tollgate_engine::request::NewPayment;
use utoipa::ToSchema;
use webauthn_rs_core::proto::PublicKeyCredential;

/// What a browser needs to confirm a payment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConfirmationOptions)]
pub(crate) struct ConfirmationView<'a> {
    /// Always `confirmation_options`.
    #[schema(value_type = String, example = "confirmation_options")]
    object: &'static str,
    /// For `PublicKeyCredential.parseRequestOptionsFromJSON` and `navigator.credentials.get`.
    #[schema(value_type = Object)]
    public_key: Value,
    /// What the customer agrees to pay; show it.
    #[schema(value_type = String, example = "100.00")]
    amount: Major,
    /// In which currency.
    #[schema(value_type = CurrencySchema)]
    currency: String,
    /// Whom the customer agrees to pay; show it.
    #[schema(value_type = String, example = "Corner Shop")]
    payee: &'a str,
    /// Until when a payment may be begun with the answer.
    #[schema(value_type = String, format = DateTime)]
    expires_at: At,
}

/// Ask a customer to confirm a payment
///
/// The answer, sent as `confirmation` of `POST /api/v1/payments`, is good for one payment of exactly this amount and
/// currency, by this customer, to your account. Nothing is stored.
#[utoipa::path(
    post,
    path = "/api/v1/confirmations",
    tag = "Confirmations",
    operation_id = "confirmation_options",
    request_body = ConfirmationSchema,
    responses((status = 200, body = ConfirmationView, description = "What the browser needs."), AskProblems),
    security(("api_key" = []))
)]
pub(crate) async fn confirmation_options(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let bytes = read(&state, request).await?;
    let (amount, user_id) = validate::methods::confirmation(body::parse::<ConfirmationBody<'_>>(&bytes)?)?;
    let known = state.engine().store().passkeys(caller.id(), &user_id).await?;
    if known.is_empty() {
        return Err(Problem::field("/user_id", "has no passkey"));
    }
    let owner = Owner { merchant_id: caller.id(), user_id: &user_id };
    let options = passkeys(&state)?.confirmation_options(owner, amount, &known, state.engine().now_ms());
    let Options { public_key, expires_at_ms } = options.ok_or_else(|| Problem::new(&codes::INTERNAL))?;
    let view = ConfirmationView {
        object: "confirmation_options",
        public_key,
        amount: Major::new(amount.minor, amount.currency),
        currency: amount.currency.to_string(),
        payee: &caller.merchant.name,
        expires_at: At(expires_at_ms),
    };
    reply::json(StatusCode::OK, &view)
}

/// Checks the confirmation that a payment comes with, against that very payment.
pub(super) async fn confirm(
    state: &AppState,
    caller: &Caller,
    new: &NewPayment,
    answer: &PublicKeyCredential,
) -> Result<Confirmed, Problem> {
    let user_id = new.customer.user_id.as_deref();
    let user_id = user_id.ok_or_else(|| Problem::field("/user_id", "is required with a confirmation"))?;
    let owner = Owner { merchant_id: caller.id(), user_id };
    let known = state.engine().store().passkeys(caller.id(), user_id).await?;
    let said = passkeys(state)?.confirm(owner, new.amount, &known, answer, state.engine().now_ms());
    said.map_err(|rejected| match rejected {
        Rejected::Expired => Problem::new(&codes::CONFIRMATION_EXPIRED).at("/confirmation"),
        Rejected::Wrong(why) => Problem::new(&codes::CONFIRMATION_INVALID).at("/confirmation").because(why),
    })
}
