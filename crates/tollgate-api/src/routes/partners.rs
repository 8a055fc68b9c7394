//! `/api/v1/partners`: looking after partners, for whoever holds a key of the platform.

pub(crate) mod export;
pub(crate) mod profile;

use crate::body;
use crate::codes;
use crate::partners::change::{ChangeError, change_state};
use crate::partners::import::{BYTES_MAX, ImportError, import};
use crate::partners::onboard::{FreshKey, Sides, onboard};
use crate::platform::Platform;
use crate::problem::{PlatformProblems, Problem};
use crate::query::Params;
use crate::reply;
use crate::routes::path::InPath;
use crate::state::AppState;
use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tollgate_core::id::PartnerId;
use tollgate_core::merchant::Mode;
use tollgate_core::partner::input::{FieldError, NewPartner};
use tollgate_core::partner::{Partner, PartnerState};
use tollgate_engine::EngineError;
use tollgate_store::commit::{CommitError, Conflict};

/// Partners of a page when the caller does not say.
const LIMIT_DEFAULT: usize = 100;

/// Make a partner
///
/// The body names texts as a line of an import does. The keys are told once.
#[utoipa::path(
    post,
    path = "/api/v1/partners",
    tag = "Partners",
    operation_id = "create_partner",
    request_body = Value,
    responses((status = 201, body = Value, description = "The partner, and its first keys."), PlatformProblems),
    security(("api_key" = []))
)]
pub(crate) async fn create_partner(
    State(state): State<AppState>,
    platform: Platform,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, incoming) = request.into_parts();
    Params::parse(parts.uri.query(), &[])?;
    body::require_json(&parts.headers)?;
    let bytes = body::read(&parts.headers, incoming, body::BODY_BYTES_MAX, state.body_timeout()).await?;
    let fields: BTreeMap<String, String> = body::parse(&bytes)?;
    let new = NewPartner::read(&fields).map_err(wrong_fields)?;
    let store = state.engine().store();
    let parent = match &new.parent_reference {
        None => None,
        Some(reference) => {
            let parent =
                store.partner_by_reference(reference).await?.filter(|parent| parent.parent.is_none());
            let missing =
                || Problem::field("/parent_reference", "names no partner that may have sub-merchants");
            Some(parent.ok_or_else(missing)?.id)
        }
    };
    let sides = if new.live { Sides::Both } else { Sides::Sandbox };
    let made = onboard(new, parent, sides);
    store.administer(made.change, platform.by(state.engine().now_ms())).await.map_err(EngineError::from)?;
    let view = json!({"partner": made.partner.as_json(), "keys": keys_json(&made.keys)});
    reply::json(StatusCode::CREATED, &view)
}

/// List partners
#[utoipa::path(
    get,
    path = "/api/v1/partners",
    tag = "Partners",
    operation_id = "list_partners",
    params(
        ("after" = Option<String>, Query, nullable = false, pattern = "^par_[0-9A-Za-z]{22}$",
            description = "Only partners made after this one; from the oldest if not given."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, nullable = false,
            description = "Partners wanted, 100 if not given.")
    ),
    responses((status = 200, body = Value, description = "A page of partners, oldest first."), PlatformProblems),
    security(("api_key" = []))
)]
pub(crate) async fn list_partners(
    State(state): State<AppState>,
    _platform: Platform,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let params = Params::parse(query.as_deref(), &["after", "limit"])?;
    let after = params.read("after", "must be a partner's id", |text| text.parse::<PartnerId>().ok())?;
    let limit = params.count("limit", 1..=tollgate_store::query::LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
    let partners = state.engine().store().partners(after, limit).await?;
    let next = partners.last().map(|last| last.id.to_string()).filter(|_| partners.len() >= limit);
    let data: Vec<Value> = partners.iter().map(Partner::as_json).collect();
    reply::json(StatusCode::OK, &json!({"data": data, "next_after": next}))
}

/// Read a partner
#[utoipa::path(
    get,
    path = "/api/v1/partners/{id}",
    tag = "Partners",
    operation_id = "get_partner",
    params(("id" = String, Path, description = "The partner's id.")),
    responses((status = 200, body = Value, description = "The partner."), PlatformProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get_partner(
    State(state): State<AppState>,
    _platform: Platform,
    InPath(id): InPath<PartnerId>,
) -> Result<Response, Problem> {
    profile::shown(&find(&state, id).await?)
}

/// Make many partners
///
/// A CSV, as `tollgate partner import` takes it. Bad lines are told, the others are made, unless `all_or_nothing` is `true`.
#[utoipa::path(
    post,
    path = "/api/v1/partners/import",
    tag = "Partners",
    operation_id = "import_partners",
    params(("all_or_nothing" = Option<bool>, Query, nullable = false,
        description = "Make all partners or, if any line is bad, none.")),
    request_body(content = String, content_type = "text/csv"),
    responses((status = 200, body = Value, description = "What was made, with keys, and what was not."), PlatformProblems),
    security(("api_key" = []))
)]
pub(crate) async fn import_partners(
    State(state): State<AppState>,
    platform: Platform,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, incoming) = request.into_parts();
    let params = Params::parse(parts.uri.query(), &["all_or_nothing"])?;
    let all_or_nothing = params.read("all_or_nothing", "must be true or false", |text| text.parse().ok())?;
    let announced = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()?.split(';').next());
    if !announced.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("text/csv")) {
        return Err(Problem::new(&codes::UNSUPPORTED_MEDIA_TYPE).at("Content-Type"));
    }
    let bytes = body::read(&parts.headers, incoming, BYTES_MAX, state.body_timeout()).await?;
    let engine = state.engine();
    let by = platform.by(engine.now_ms());
    let report = import(engine.store(), &bytes, all_or_nothing.unwrap_or(false), &by).await;
    let report = report.map_err(|error| match error {
        ImportError::TooLong | ImportError::Head(_) => {
            Problem::new(&codes::INVALID_FIELD).because(error.to_string())
        }
        ImportError::Store(error) => error.into(),
        ImportError::Commit(error) => EngineError::from(error).into(),
    })?;
    let made: Vec<Value> = report
        .made
        .iter()
        .map(|made| {
            json!({
                "line": made.line,
                "partner": made.partner_id.to_string(),
                "reference": made.reference,
                "keys": keys_json(&made.keys),
            })
        })
        .collect();
    let errors: Vec<Value> = report
        .errors
        .iter()
        .map(|bad| json!({"line": bad.line, "field": bad.error.field, "reason": bad.error.reason}))
        .collect();
    let view = json!({
        "lines": report.lines, "made": made, "errors": errors, "error_count": report.error_count,
    });
    reply::json(StatusCode::OK, &view)
}

/// Suspend a partner
///
/// No new payments from now on; refunds and reads go on.
#[utoipa::path(
    post,
    path = "/api/v1/partners/{id}/suspend",
    tag = "Partners",
    operation_id = "suspend_partner",
    params(("id" = String, Path, description = "The partner's id.")),
    responses((status = 200, body = Value, description = "The partner."), PlatformProblems),
    security(("api_key" = []))
)]
pub(crate) async fn suspend_partner(
    State(state): State<AppState>,
    platform: Platform,
    InPath(id): InPath<PartnerId>,
) -> Result<Response, Problem> {
    move_on(&state, &platform, id, PartnerState::Suspended).await
}

/// Let a partner go on, or begin
#[utoipa::path(
    post,
    path = "/api/v1/partners/{id}/resume",
    tag = "Partners",
    operation_id = "resume_partner",
    params(("id" = String, Path, description = "The partner's id.")),
    responses((status = 200, body = Value, description = "The partner."), PlatformProblems),
    security(("api_key" = []))
)]
pub(crate) async fn resume_partner(
    State(state): State<AppState>,
    platform: Platform,
    InPath(id): InPath<PartnerId>,
) -> Result<Response, Problem> {
    move_on(&state, &platform, id, PartnerState::Active).await
}

/// End a partner
///
/// Its keys are revoked; what it has booked stays. Export it first: `tollgate partner export`.
#[utoipa::path(
    post,
    path = "/api/v1/partners/{id}/offboard",
    tag = "Partners",
    operation_id = "offboard_partner",
    params(("id" = String, Path, description = "The partner's id.")),
    responses((status = 200, body = Value, description = "The partner."), PlatformProblems),
    security(("api_key" = []))
)]
pub(crate) async fn offboard_partner(
    State(state): State<AppState>,
    platform: Platform,
    InPath(id): InPath<PartnerId>,
) -> Result<Response, Problem> {
    move_on(&state, &platform, id, PartnerState::Offboarded).await
}

pub(super) async fn find(state: &AppState, id: PartnerId) -> Result<Partner, Problem> {
    let partner = state.engine().store().partner(id).await?;
    partner.ok_or_else(|| Problem::new(&codes::NOT_FOUND))
}

async fn move_on(
    state: &AppState,
    platform: &Platform,
    id: PartnerId,
    next: PartnerState,
) -> Result<Response, Problem> {
    let engine = state.engine();
    let partner = find(state, id).await?;
    let moved = change_state(engine.store().as_ref(), partner, next, platform.by(engine.now_ms())).await;
    let partner = moved.map_err(|error| changed(error, false))?;
    // What is remembered of its keys and merchants is old now.
    state.auth().clear();
    reply::json(StatusCode::OK, &partner.as_json())
}

/// The first field that is wrong.
fn wrong_fields(errors: Vec<FieldError>) -> Problem {
    match errors.into_iter().next() {
        Some(error) if error.field.is_empty() => Problem::new(&codes::INVALID_FIELD).because(error.reason),
        Some(error) => Problem::field(format!("/{}", error.field), error.reason),
        None => Problem::new(&codes::INVALID_FIELD),
    }
}

/// Why a partner was not changed; `versioned`: the caller told from which version.
fn changed(error: ChangeError, versioned: bool) -> Problem {
    match error {
        ChangeError::Fields(errors) => wrong_fields(errors),
        ChangeError::Version(_) => Problem::new(&codes::VERSION_CHANGED).because(error.to_string()),
        ChangeError::Commit(CommitError::Conflict(Conflict::Stale)) if versioned => {
            Problem::new(&codes::VERSION_CHANGED)
        }
        ChangeError::Move(_) | ChangeError::NotVerified | ChangeError::LiveAlready | ChangeError::Gone => {
            Problem::new(&codes::CONFLICT).because(error.to_string())
        }
        ChangeError::Commit(error) => EngineError::from(error).into(),
        ChangeError::Store(error) => error.into(),
    }
}

fn keys_json(keys: &[FreshKey]) -> Vec<Value> {
    let mode = |mode: Mode| match mode {
        Mode::Sandbox => "sandbox",
        Mode::Live => "live",
    };
    keys.iter()
        .map(|key| json!({"merchant": key.merchant_id.to_string(), "mode": mode(key.mode), "key": key.text}))
        .collect()
}
