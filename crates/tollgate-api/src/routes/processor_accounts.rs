//! `/api/v1/partners/{id}/processors` and `/api/v1/partner/processors`: accounts that partners have at processors
//! themselves. Credentials come in here and never go out again.

use super::partners::find;
use super::path::InPath;
use crate::auth::Caller;
use crate::body;
use crate::codes;
use crate::input::Whole;
use crate::platform::Platform;
use crate::problem::{AlterProblems, Problem, QueryProblems};
use crate::query::Params;
use crate::reply;
use crate::schemas::partners::ProcessorAccountSchema;
use crate::state::AppState;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tollgate_core::audit::By;
use tollgate_core::id::{MerchantId, PartnerId};
use tollgate_core::merchant::Mode;
use tollgate_core::partner::Partner;
use tollgate_core::processor_account::ProcessorAccount;
use tollgate_engine::accounts::Credentials;
use tollgate_engine::accounts::manage::AccountWish;

/// How long credentials that are replaced prove webhooks when the caller does not say, in hours.
const OVERLAP_HOURS_DEFAULT: u32 = 24;

/// Most of it: 30 days.
const OVERLAP_HOURS_MAX: u32 = 720;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct AccountBody {
    mode: Option<Mode>,
    credentials: Credentials,
    overlap_hours: Option<Whole<u32>>,
    same_account: Option<bool>,
}

/// List a partner's own accounts at processors
#[utoipa::path(
    get,
    path = "/api/v1/partners/{id}/processors",
    tag = "Partners",
    operation_id = "list_processor_accounts",
    params(("id" = String, Path, description = "The partner's id.")),
    responses((status = 200, body = Value, description = "The accounts, credentials masked."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn list_accounts(
    State(state): State<AppState>,
    _platform: Platform,
    InPath(id): InPath<PartnerId>,
) -> Result<Response, Problem> {
    let partner = find(&state, id).await?;
    let mut data = Vec::new();
    for (_, merchant_id) in partner.merchants() {
        data.extend(listed(&state, merchant_id).await?);
    }
    reply::json(StatusCode::OK, &json!({"data": data}))
}

/// Set a partner's own account at a processor
///
/// `credentials` are named as in the processor's configuration, `mode` is `sandbox` or `live`. Payments that begin a second
/// later go through this account, and so do their refunds and enquiries for good. Setting it again renews the credentials
/// of the same account; those before prove webhooks for `overlap_hours` more, 24 if not given. Credentials of another account are
/// refused, unless `same_account` is false: then what went through the first stays with it. Where the credentials do not tell,
/// `same_account` has to. Credentials are never shown again.
#[utoipa::path(
    put,
    path = "/api/v1/partners/{id}/processors/{processor}",
    tag = "Partners",
    operation_id = "put_processor_account",
    params(
        ("id" = String, Path, description = "The partner's id."),
        ("processor" = String, Path, pattern = "^[a-z0-9_-]{2,32}$", description = "The processor's name.")
    ),
    request_body = ProcessorAccountSchema,
    responses((status = 200, body = Value, description = "The account, credentials masked."), AlterProblems),
    security(("api_key" = []))
)]
pub(crate) async fn put_account(
    State(state): State<AppState>,
    platform: Platform,
    Path((id, processor)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let body = read(&state, request).await?;
    let partner = partner_of_path(&state, &id).await?;
    let mode = body.mode.ok_or_else(|| Problem::field("/mode", "is required"))?;
    let merchant_id = side(&partner, mode).ok_or_else(|| Problem::field("/mode", "has no account yet"))?;
    let by = platform.by(state.engine().now_ms());
    put(&state, merchant_id, &processor, &body, by).await
}

/// End a partner's own account at a processor
///
/// Payments that begin a second later go through the gateway's account. What went through the partner's goes on with it.
#[utoipa::path(
    delete,
    path = "/api/v1/partners/{id}/processors/{processor}",
    tag = "Partners",
    operation_id = "end_processor_account",
    params(
        ("id" = String, Path, description = "The partner's id."),
        ("processor" = String, Path, pattern = "^[a-z0-9_-]{2,32}$", description = "The processor's name."),
        ("mode" = String, Query, pattern = "^(sandbox|live)$", description = "Which of its accounts here.")
    ),
    responses((status = 200, body = Value, description = "The account as it ends."), AlterProblems),
    security(("api_key" = []))
)]
pub(crate) async fn end_account(
    State(state): State<AppState>,
    platform: Platform,
    Path((id, processor)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let params = Params::parse(request.uri().query(), &["mode"])?;
    let mode = params.read("mode", "must be sandbox or live", |text| match text {
        "sandbox" => Some(Mode::Sandbox),
        "live" => Some(Mode::Live),
        _ => None,
    })?;
    let mode = mode.ok_or_else(|| Problem::parameter("mode", "is required"))?;
    let partner = partner_of_path(&state, &id).await?;
    let merchant_id = side(&partner, mode).ok_or_else(|| Problem::new(&codes::NOT_FOUND))?;
    let by = platform.by(state.engine().now_ms());
    let account = state.engine().end_processor_account(merchant_id, &processor, by).await?;
    reply::json(StatusCode::OK, &shown(&state, &account))
}

/// List the account's own accounts at processors
#[utoipa::path(
    get,
    path = "/api/v1/partner/processors",
    tag = "Access",
    operation_id = "list_own_processor_accounts",
    responses((status = 200, body = Value, description = "The accounts, credentials masked."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn list_own(State(state): State<AppState>, caller: Caller) -> Result<Response, Problem> {
    reply::json(StatusCode::OK, &json!({"data": listed(&state, caller.id()).await?}))
}

/// Set the account's own account at a processor
///
/// As for the platform; the mode is the key's.
#[utoipa::path(
    put,
    path = "/api/v1/partner/processors/{processor}",
    tag = "Access",
    operation_id = "put_own_processor_account",
    params(("processor" = String, Path, pattern = "^[a-z0-9_-]{2,32}$", description = "The processor's name.")),
    request_body = ProcessorAccountSchema,
    responses((status = 200, body = Value, description = "The account, credentials masked."), AlterProblems),
    security(("api_key" = []))
)]
pub(crate) async fn put_own(
    State(state): State<AppState>,
    caller: Caller,
    InPath(processor): InPath<String>,
    request: Request,
) -> Result<Response, Problem> {
    let body = read(&state, request).await?;
    if body.mode.is_some_and(|mode| mode != caller.merchant.mode) {
        return Err(Problem::field("/mode", "is not the key's"));
    }
    let by = caller.by(state.engine().now_ms());
    put(&state, caller.id(), &processor, &body, by).await
}

/// End the account's own account at a processor
#[utoipa::path(
    delete,
    path = "/api/v1/partner/processors/{processor}",
    tag = "Access",
    operation_id = "end_own_processor_account",
    params(("processor" = String, Path, pattern = "^[a-z0-9_-]{2,32}$", description = "The processor's name.")),
    responses((status = 200, body = Value, description = "The account as it ends."), AlterProblems),
    security(("api_key" = []))
)]
pub(crate) async fn end_own(
    State(state): State<AppState>,
    caller: Caller,
    InPath(processor): InPath<String>,
) -> Result<Response, Problem> {
    let by = caller.by(state.engine().now_ms());
    let account = state.engine().end_processor_account(caller.id(), &processor, by).await?;
    reply::json(StatusCode::OK, &shown(&state, &account))
}

async fn partner_of_path(state: &AppState, id: &str) -> Result<Partner, Problem> {
    let id: PartnerId = id.parse().map_err(|_| Problem::new(&codes::NOT_FOUND))?;
    find(state, id).await
}

fn side(partner: &Partner, mode: Mode) -> Option<MerchantId> {
    partner.merchants().find(|(known, _)| *known == mode).map(|(_, id)| id)
}

async fn read(state: &AppState, request: Request) -> Result<AccountBody, Problem> {
    let (parts, incoming) = request.into_parts();
    Params::parse(parts.uri.query(), &[])?;
    body::require_json(&parts.headers)?;
    let bytes = body::read(&parts.headers, incoming, body::BODY_BYTES_MAX, state.body_timeout()).await?;
    let parsed = body::parse(&bytes);
    body::wipe(bytes);
    parsed
}

async fn put(
    state: &AppState,
    merchant_id: MerchantId,
    processor: &str,
    body: &AccountBody,
    by: By,
) -> Result<Response, Problem> {
    let hours = body.overlap_hours.as_ref().map_or(OVERLAP_HOURS_DEFAULT, |hours| hours.0);
    if hours > OVERLAP_HOURS_MAX {
        return Err(Problem::field("/overlap_hours", "must be from 0 to 720"));
    }
    let wish = AccountWish {
        credentials: &body.credentials,
        overlap_ms: u64::from(hours).saturating_mul(3_600_000),
        same_account: body.same_account,
    };
    let account = state.engine().put_processor_account(merchant_id, processor, wish, by).await?;
    reply::json(StatusCode::OK, &shown(state, &account))
}

async fn listed(state: &AppState, merchant_id: MerchantId) -> Result<Vec<Value>, Problem> {
    let accounts = state.engine().processor_accounts(merchant_id).await?;
    Ok(accounts.iter().map(|account| shown(state, account)).collect())
}

/// An account as it may be seen, with the address for its webhooks.
fn shown(state: &AppState, account: &ProcessorAccount) -> Value {
    let mut shown = account.as_json();
    let base = state.engine().public_url();
    let url = format!("{base}/api/v1/webhooks/{}/{}", account.processor.as_str(), account.merchant_id);
    if let Some(members) = shown.as_object_mut() {
        members.insert("webhook_url".to_owned(), url.into());
    }
    shown
}
