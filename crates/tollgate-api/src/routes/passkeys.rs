//! `POST /api/v1/passkeys/options` and `POST /api/v1/passkeys`: registering a customer's passkey.

use crate::auth::Caller;
use crate::body;
use crate::codes;
use crate::input::methods::{NewPasskeyBody, PasskeyOptionsBody};
use crate::passkeys::{Options, Owner, PASSKEYS_MAX, Passkeys, Rejected};
use crate::problem::{AskProblems, Problem};
use crate::query::Params;
use crate::reply;
use crate::schemas::methods::{NewPasskeySchema, PasskeyOptionsSchema};
use crate::state::AppState;
use crate::validate;
use crate::views::text::{At, Shown};
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use tollgate_core::id::PasskeyId;
use tollgate_store::commit::Admin;
use utoipa::ToSchema;

/// What a browser needs to make a passkey.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PasskeyOptions)]
pub(crate) struct PasskeyOptionsView {
    /// Always `passkey_options`.
    #[schema(value_type = String, example = "passkey_options")]
    object: &'static str,
    /// For `PublicKeyCredential.parseCreationOptionsFromJSON` and `navigator.credentials.create`.
    #[schema(value_type = Object)]
    public_key: Value,
    /// Until when the browser's answer is taken.
    #[schema(value_type = String, format = DateTime)]
    expires_at: At,
}

/// A customer's passkey.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Passkey)]
pub(crate) struct PasskeyView {
    /// Its id.
    #[schema(value_type = String, pattern = "^psk_[0-9A-Za-z]{22}$")]
    id: Shown<PasskeyId>,
    /// Always `passkey`.
    #[schema(value_type = String, example = "passkey")]
    object: &'static str,
    /// Your id of the customer.
    user_id: String,
    /// When it was registered.
    #[schema(value_type = String, format = DateTime)]
    created_at: At,
}

/// Begin to register a passkey
///
/// For a customer whom you have signed in yourself: whoever registers a passkey can confirm payments as this customer.
#[utoipa::path(
    post,
    path = "/api/v1/passkeys/options",
    tag = "Confirmations",
    operation_id = "passkey_options",
    request_body = PasskeyOptionsSchema,
    responses((status = 200, body = PasskeyOptionsView, description = "What the browser needs."), AskProblems),
    security(("api_key" = []))
)]
pub(crate) async fn passkey_options(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let bytes = read(&state, request).await?;
    let (user_id, name) = validate::methods::passkey_options(body::parse::<PasskeyOptionsBody<'_>>(&bytes)?)?;
    let owner = Owner { merchant_id: caller.id(), user_id: &user_id };
    let known = state.engine().store().passkeys(caller.id(), &user_id).await?;
    if known.len() >= PASSKEYS_MAX {
        return Err(Problem::field("/user_id", "has as many passkeys as a user may have"));
    }
    let options = passkeys(&state)?.registration_options(owner, &name, &known, state.engine().now_ms());
    let Options { public_key, expires_at_ms } = options.ok_or_else(|| Problem::new(&codes::INTERNAL))?;
    let view = PasskeyOptionsView { object: "passkey_options", public_key, expires_at: At(expires_at_ms) };
    reply::json(StatusCode::OK, &view)
}

/// Register a passkey
///
/// Takes what `navigator.credentials.create` gave, within the options' time. The same answer again gives the same passkey.
#[utoipa::path(
    post,
    path = "/api/v1/passkeys",
    tag = "Confirmations",
    operation_id = "register_passkey",
    request_body = NewPasskeySchema,
    responses((status = 201, body = PasskeyView, description = "The passkey."), AskProblems),
    security(("api_key" = []))
)]
pub(crate) async fn register_passkey(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let bytes = read(&state, request).await?;
    let (user_id, answer) = validate::methods::new_passkey(body::parse::<NewPasskeyBody<'_>>(&bytes)?)?;
    let owner = Owner { merchant_id: caller.id(), user_id: &user_id };
    let store = state.engine().store();
    let known = store.passkeys(caller.id(), &user_id).await?;
    let passkey = passkeys(&state)?.register(owner, &answer, state.engine().now_ms());
    let passkey = passkey.map_err(|rejected| {
        let why = match rejected {
            Rejected::Wrong(why) => why,
            Rejected::Expired => "the time to answer the options is over",
        };
        Problem::new(&codes::PASSKEY_INVALID).at("/credential").because(why)
    })?;
    if known.len() >= PASSKEYS_MAX && known.iter().all(|it| it.id != passkey.id) {
        return Err(Problem::field("/user_id", "has as many passkeys as a user may have"));
    }
    let view = PasskeyView {
        id: Shown(passkey.id),
        object: "passkey",
        user_id: user_id.clone(),
        created_at: At(known
            .iter()
            .find(|it| it.id == passkey.id)
            .map_or(passkey.created_at_ms, |it| it.created_at_ms)),
    };
    let by = caller.by(state.engine().now_ms());
    store.administer(Admin::PutPasskey(passkey), by).await.map_err(tollgate_engine::EngineError::from)?;
    reply::json(StatusCode::CREATED, &view)
}

/// The passkeys of this gateway, if any are configured.
pub(crate) fn passkeys(state: &AppState) -> Result<&Passkeys, Problem> {
    let missing = || Problem::new(&codes::NOT_SUPPORTED).because("passkeys are not configured here");
    state.passkeys().ok_or_else(missing)
}

/// A body without an idempotency key: what these endpoints do may be repeated.
pub(super) async fn read(state: &AppState, request: Request) -> Result<bytes::Bytes, Problem> {
    let (parts, incoming) = request.into_parts();
    Params::parse(parts.uri.query(), &[])?;
    body::require_json(&parts.headers)?;
    body::read(&parts.headers, incoming, body::BODY_BYTES_MAX, state.body_timeout()).await
}
