//! `/api/v1/rate_limits` and `/api/v1/merchants/{id}/rate_limits`: how much is set for everybody, and for one account.

use super::path::InPath;
use crate::auth::Signed;
use crate::body;
use crate::codes;
use crate::guard::limits::{self, EVERYBODY, RateLimitOptions, Wish};
use crate::input::Whole;
use crate::problem::{AlterProblems, Problem, QueryProblems};
use crate::query::Params;
use crate::reply;
use crate::schemas::access::LimitsSchema;
use crate::state::AppState;
use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tollgate_core::id::MerchantId;
use tollgate_core::share::WEIGHT_MAX;
use tollgate_engine::EngineError;
use tollgate_store::commit::Admin;
use tollgate_store::query::PolicyKind;
use utoipa::ToSchema;

/// Most requests a minute.
const PER_MINUTE_MAX: u32 = 10_000_000;

/// Rate limits.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RateLimits)]
pub(crate) struct LimitsView {
    /// Always `rate_limits`.
    #[schema(value_type = String, example = "rate_limits")]
    object: &'static str,
    /// What is set here.
    #[schema(value_type = LimitsSchema)]
    set: Wish,
    /// What applies; absent if nobody is limited.
    effective: Option<EffectiveView>,
}

/// Limits that apply.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EffectiveRateLimits)]
pub(crate) struct EffectiveView {
    /// Requests of an account a minute.
    requests_per_minute: u32,
    /// Requests of an account at once.
    requests_burst: u32,
    /// Of these, lists, reports and batches a minute.
    bulk_per_minute: u32,
    /// Of these, changes of keys and policies a minute.
    admin_per_minute: u32,
    /// Requests of an address a minute.
    address_per_minute: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct LimitsBody {
    requests_per_minute: Option<Whole<u32>>,
    requests_burst: Option<Whole<u32>>,
    bulk_per_minute: Option<Whole<u32>>,
    admin_per_minute: Option<Whole<u32>>,
    address_per_minute: Option<Whole<u32>>,
    weight: Option<Whole<u32>>,
}

/// Get everybody's rate limits
#[utoipa::path(
    get,
    path = "/api/v1/rate_limits",
    tag = "Platform",
    operation_id = "get_rate_limits",
    responses((status = 200, body = LimitsView, description = "The limits."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get_limits(
    State(state): State<AppState>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref(), &[])?;
    shown(&state, EVERYBODY).await
}

/// Set everybody's rate limits
///
/// Replaces what was set; what is left out is as configured. Counts from the next request on.
#[utoipa::path(
    put,
    path = "/api/v1/rate_limits",
    tag = "Platform",
    operation_id = "put_rate_limits",
    request_body = LimitsSchema,
    responses((status = 200, body = LimitsView, description = "The limits."), AlterProblems),
    security(("api_key" = []))
)]
pub(crate) async fn put_limits(
    State(state): State<AppState>,
    signed: Signed,
    request: Request,
) -> Result<Response, Problem> {
    let wish = wish(&state, request).await?;
    if wish.weight.is_some() {
        return Err(Problem::field("/weight", "is one account's: everybody's is 1"));
    }
    put(&state, signed, EVERYBODY, Some(wish)).await
}

/// Remove everybody's rate limits
///
/// Those that are configured apply again.
#[utoipa::path(
    delete,
    path = "/api/v1/rate_limits",
    tag = "Platform",
    operation_id = "delete_rate_limits",
    responses((status = 200, body = LimitsView, description = "The limits."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn delete_limits(
    State(state): State<AppState>,
    signed: Signed,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref(), &[])?;
    put(&state, signed, EVERYBODY, None).await
}

/// Get an account's rate limits
#[utoipa::path(
    get,
    path = "/api/v1/merchants/{id}/rate_limits",
    tag = "Platform",
    operation_id = "get_partner_rate_limits",
    params(("id" = String, Path, pattern = "^mer_[0-9A-Za-z]{22}$", description = "The partner's id.")),
    responses((status = 200, body = LimitsView, description = "The limits."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get_partner_limits(
    State(state): State<AppState>,
    InPath(id): InPath<MerchantId>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref(), &[])?;
    require(&state, id).await?;
    shown(&state, id).await
}

/// Set an account's rate limits
///
/// They win over everybody's. Replaces what was set; counts from the next request on.
#[utoipa::path(
    put,
    path = "/api/v1/merchants/{id}/rate_limits",
    tag = "Platform",
    operation_id = "put_partner_rate_limits",
    params(("id" = String, Path, pattern = "^mer_[0-9A-Za-z]{22}$", description = "The partner's id.")),
    request_body = LimitsSchema,
    responses((status = 200, body = LimitsView, description = "The limits."), AlterProblems),
    security(("api_key" = []))
)]
pub(crate) async fn put_partner_limits(
    State(state): State<AppState>,
    signed: Signed,
    InPath(id): InPath<MerchantId>,
    request: Request,
) -> Result<Response, Problem> {
    require(&state, id).await?;
    let wish = wish(&state, request).await?;
    if wish.address_per_minute.is_some() {
        return Err(Problem::field("/address_per_minute", "is everybody's: addresses belong to no account"));
    }
    put(&state, signed, id, Some(wish)).await
}

/// Remove an account's rate limits
///
/// Everybody's apply again.
#[utoipa::path(
    delete,
    path = "/api/v1/merchants/{id}/rate_limits",
    tag = "Platform",
    operation_id = "delete_partner_rate_limits",
    params(("id" = String, Path, pattern = "^mer_[0-9A-Za-z]{22}$", description = "The partner's id.")),
    responses((status = 200, body = LimitsView, description = "The limits."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn delete_partner_limits(
    State(state): State<AppState>,
    signed: Signed,
    InPath(id): InPath<MerchantId>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref(), &[])?;
    require(&state, id).await?;
    put(&state, signed, id, None).await
}

async fn require(state: &AppState, id: MerchantId) -> Result<(), Problem> {
    match state.engine().store().merchant(id).await? {
        Some(_) => Ok(()),
        None => Err(Problem::new(&codes::NOT_FOUND)),
    }
}

async fn wish(state: &AppState, request: Request) -> Result<Wish, Problem> {
    let (parts, incoming) = request.into_parts();
    Params::parse(parts.uri.query(), &[])?;
    body::require_json(&parts.headers)?;
    let bytes = body::read(&parts.headers, incoming, body::BODY_BYTES_MAX, state.body_timeout()).await?;
    let body: LimitsBody = body::parse(&bytes)?;
    let within = |field: &'static str, number: Option<Whole<u32>>| match number {
        Some(Whole(number)) if !(1..=PER_MINUTE_MAX).contains(&number) => {
            Err(Problem::field(field, format!("must be a whole number from 1 to {PER_MINUTE_MAX}")))
        }
        number => Ok(number.map(|Whole(number)| number)),
    };
    Ok(Wish {
        requests_per_minute: within("/requests_per_minute", body.requests_per_minute)?,
        requests_burst: within("/requests_burst", body.requests_burst)?,
        bulk_per_minute: within("/bulk_per_minute", body.bulk_per_minute)?,
        admin_per_minute: within("/admin_per_minute", body.admin_per_minute)?,
        address_per_minute: within("/address_per_minute", body.address_per_minute)?,
        weight: match body.weight {
            Some(Whole(weight)) if !(1..=WEIGHT_MAX).contains(&weight) => {
                return Err(Problem::field(
                    "/weight",
                    format!("must be a whole number from 1 to {WEIGHT_MAX}"),
                ));
            }
            weight => weight.map(|Whole(weight)| weight),
        },
    })
}

async fn put(
    state: &AppState,
    signed: Signed,
    merchant_id: MerchantId,
    wish: Option<Wish>,
) -> Result<Response, Problem> {
    let text = wish.as_ref().map(serde_json::to_string).transpose().map_err(|error| {
        tracing::error!(%error, "rate limits cannot be serialised");
        Problem::new(&codes::INTERNAL)
    })?;
    let change = Admin::PutPolicy { merchant_id, kind: PolicyKind::Limits, policy: text };
    state
        .engine()
        .store()
        .administer(change, signed.by(state.engine().now_ms()))
        .await
        .map_err(EngineError::from)?;
    let wish = wish.unwrap_or_default();
    state.limits().set(merchant_id, wish);
    if merchant_id != EVERYBODY {
        state.engine().store().weights().set(merchant_id, wish.weight.unwrap_or(1));
    }
    shown(state, merchant_id).await
}

async fn shown(state: &AppState, merchant_id: MerchantId) -> Result<Response, Problem> {
    let store = state.engine().store();
    let own = limits::read(store.as_ref(), merchant_id).await?;
    let everybody = limits::read(store.as_ref(), EVERYBODY).await?;
    let effective = state.limits().effective(everybody, own).map(|limits: RateLimitOptions| EffectiveView {
        requests_per_minute: limits.requests.per_minute,
        requests_burst: limits.requests.burst,
        bulk_per_minute: limits.bulk.per_minute,
        admin_per_minute: limits.admin.per_minute,
        address_per_minute: limits.address.per_minute,
    });
    reply::json(StatusCode::OK, &LimitsView { object: "rate_limits", set: own, effective })
}
