//! Versions of the API: the one that an account is pinned to, what it calls, what changed, and who is behind.

use crate::auth::{Caller, Signed};
use crate::body;
use crate::input::Text;
use crate::platform::Platform;
use crate::problem::{AlterProblems, PlatformProblems, Problem, QueryProblems};
use crate::query::Params;
use crate::reply;
use crate::schemas::versions::{NewVersionSchema, VersionSchema};
use crate::state::AppState;
use crate::versions::account::pinned;
use crate::versions::layer::sunset_ms;
use crate::versions::usage::report::{
    DAYS_DEFAULT, DAYS_MAX, EndpointUse, Report, endpoint_use, of_account, report,
};
use crate::versions::{ChangelogView, VersionId, changelog_view};
use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tollgate_core::id::MerchantId;
use tollgate_engine::EngineError;
use tollgate_store::commit::Admin;
use tollgate_store::query::{LIMIT_MAX, PolicyKind};
use utoipa::ToSchema;

/// Accounts of a report when the caller does not say.
const LIMIT_DEFAULT: usize = 100;

/// The version that an account uses.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiVersion)]
pub(crate) struct VersionView {
    /// Always `api_version`.
    #[schema(value_type = String, example = "api_version")]
    object: &'static str,
    /// The version of calls that name none, and of webhooks.
    #[schema(value_type = VersionSchema)]
    version: &'static str,
    /// Whether the account is pinned to it; otherwise it is the newest, whichever that is.
    pinned: bool,
    /// The newest there is.
    #[schema(value_type = VersionSchema)]
    newest: &'static str,
    /// The day from which on nobody should use it.
    #[schema(value_type = Option<String>, format = Date)]
    deprecated_since: Option<&'static str>,
    /// The day from which on it is answered with 410.
    #[schema(value_type = Option<String>, format = Date)]
    sunset: Option<&'static str>,
}

impl VersionView {
    fn new(pin: Option<VersionId>) -> Self {
        let version = pin.unwrap_or(VersionId::NEWEST).version();
        Self {
            object: "api_version",
            version: version.date,
            pinned: pin.is_some(),
            newest: VersionId::NEWEST.version().date,
            deprecated_since: version.deprecated_since,
            sunset: version.sunset,
        }
    }
}

/// What an account calls with a version.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiVersionCalls)]
pub(crate) struct VersionCalls {
    /// The version.
    #[schema(example = "2026-11-01")]
    version: String,
    /// Its calls by endpoint.
    endpoints: Vec<EndpointUse>,
}

/// What an account calls.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiVersionUsage)]
pub(crate) struct UsageView {
    /// Always `api_version_usage`.
    #[schema(value_type = String, example = "api_version_usage")]
    object: &'static str,
    /// Over how many days, today among them.
    days: u32,
    /// The versions called, the oldest first.
    data: Vec<VersionCalls>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct VersionBody<'a> {
    #[serde(borrow)]
    version: Option<Text<'a>>,
}

/// Get the account's version
///
/// An account is pinned to the newest version by its first call that names none.
#[utoipa::path(
    get,
    path = "/api/v1/api_version",
    tag = "Versions",
    operation_id = "get_api_version",
    responses((status = 200, body = VersionView, description = "The version."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get_version(
    State(state): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref(), &[])?;
    let pin = pinned(state.engine().store().as_ref(), caller.id()).await?;
    reply::json(StatusCode::OK, &VersionView::new(pin))
}

/// Pin the account to a version
///
/// Calls that name no version, and webhooks, have this one from now on; other gateways on the same store follow within half a
/// minute.
#[utoipa::path(
    put,
    path = "/api/v1/api_version",
    tag = "Versions",
    operation_id = "put_api_version",
    request_body = NewVersionSchema,
    responses((status = 200, body = VersionView, description = "The version."), AlterProblems),
    security(("api_key" = []))
)]
pub(crate) async fn put_version(
    State(state): State<AppState>,
    caller: Caller,
    signed: Signed,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, incoming) = request.into_parts();
    Params::parse(parts.uri.query(), &[])?;
    body::require_json(&parts.headers)?;
    let bytes = body::read(&parts.headers, incoming, body::BODY_BYTES_MAX, state.body_timeout()).await?;
    let wanted = body::parse::<VersionBody<'_>>(&bytes)?.version;
    let wanted = wanted.ok_or_else(|| Problem::field("/version", "is required"))?;
    let now_ms = state.engine().now_ms();
    let version = VersionId::named(wanted.as_str())
        .filter(|version| sunset_ms(*version).is_none_or(|at_ms| now_ms < at_ms))
        .ok_or_else(|| Problem::field("/version", "is no version that is served"))?;
    let change = Admin::PutPolicy {
        merchant_id: caller.id(),
        kind: PolicyKind::ApiVersion,
        policy: Some(version.version().date.to_owned()),
    };
    state.engine().store().administer(change, signed.by(now_ms)).await.map_err(EngineError::from)?;
    // What is remembered with its keys is old now; the other accounts' keys are not concerned.
    state.auth().forget(caller.id());
    reply::json(StatusCode::OK, &VersionView::new(Some(version)))
}

/// Read what the account calls
///
/// How often it called which endpoint with which version, and which changes it would meet with the newest.
#[utoipa::path(
    get,
    path = "/api/v1/api_version/usage",
    tag = "Versions",
    operation_id = "get_api_version_usage",
    params(("days" = Option<u32>, Query, minimum = 1, maximum = 90, nullable = false,
        description = "How many days, today among them; 30 if not given.")),
    responses((status = 200, body = UsageView, description = "The calls."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get_usage(
    State(state): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let params = Params::parse(query.as_deref(), &["days"])?;
    let days = days(&params)?;
    let store = state.engine().store().as_ref();
    let now_ms = state.engine().now_ms();
    state.versions().store_account(store, caller.id(), now_ms).await;
    let mut data: Vec<VersionCalls> = Vec::new();
    for ((version, endpoint), calls) in of_account(store, caller.id(), now_ms, days).await? {
        let used = endpoint_use(&version, endpoint, calls);
        match data.last_mut().filter(|last| last.version == version) {
            Some(last) => last.endpoints.push(used),
            None => data.push(VersionCalls { version, endpoints: vec![used] }),
        }
    }
    reply::json(StatusCode::OK, &UsageView { object: "api_version_usage", days, data })
}

/// List the versions of the API
///
/// What each has changed, and until when it is served.
#[utoipa::path(
    get,
    path = "/api/v1/api_versions",
    tag = "Versions",
    operation_id = "list_api_versions",
    responses((status = 200, body = ChangelogView, description = "The versions, the newest first."))
)]
pub(crate) async fn list_versions() -> Result<Response, Problem> {
    reply::json(StatusCode::OK, &changelog_view())
}

/// Read who calls which version
///
/// Accounts that call versions before the newest, with their endpoints, and all versions with their numbers.
#[utoipa::path(
    get,
    path = "/api/v1/platform/api_versions",
    tag = "Platform",
    operation_id = "get_api_version_report",
    params(
        ("days" = Option<u32>, Query, minimum = 1, maximum = 90, nullable = false,
            description = "How many days, today among them; 30 if not given."),
        ("after" = Option<String>, Query, pattern = "^mer_[0-9A-Za-z]{22}$", nullable = false,
            description = "Only accounts after this one."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, nullable = false,
            description = "Accounts wanted, 100 if not given.")
    ),
    responses((status = 200, body = Report, description = "The report."), PlatformProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get_report(
    State(state): State<AppState>,
    _platform: Platform,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let params = Params::parse(query.as_deref(), &["days", "after", "limit"])?;
    let days = days(&params)?;
    let after = params.read("after", "must be an account's id", |text| text.parse::<MerchantId>().ok())?;
    let limit = params.count("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
    let store = state.engine().store().as_ref();
    let now_ms = state.engine().now_ms();
    state.versions().store(store, now_ms).await;
    reply::json(StatusCode::OK, &report(store, now_ms, days, after, limit).await?)
}

fn days(params: &Params<'_>) -> Result<u32, Problem> {
    let days = params.number("days", 1..=u64::from(DAYS_MAX))?;
    Ok(days.and_then(|days| u32::try_from(days).ok()).unwrap_or(DAYS_DEFAULT))
}
