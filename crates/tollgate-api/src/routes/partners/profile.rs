//! `PATCH /api/v1/partners/{id}` and `/api/v1/partner`: changing what a partner is and what was agreed with it.

use super::{changed, find};
use crate::auth::Caller;
use crate::body;
use crate::codes;
use crate::partners::change::change_profile;
use crate::platform::Platform;
use crate::problem::{AlterProblems, Problem, QueryProblems};
use crate::query::Params;
use crate::reply;
use crate::routes::path::InPath;
use crate::schemas::partners::OwnPatchSchema;
use crate::state::AppState;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::{ETAG, IF_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value;
use std::collections::BTreeMap;
use tollgate_core::audit::By;
use tollgate_core::id::PartnerId;
use tollgate_core::partner::profile::OWN_FIELDS;
use tollgate_core::partner::{Partner, Patch};

/// Change a partner
///
/// A JSON merge patch (RFC 7396): texts by the names that an import's columns have; `null` removes, and what is not named
/// stays. The next payment is decided by it. With `If-Match` it is made only if the partner's version is still that one.
#[utoipa::path(
    patch,
    path = "/api/v1/partners/{id}",
    tag = "Partners",
    operation_id = "change_partner",
    params(
        ("id" = String, Path, description = "The partner's id."),
        ("If-Match" = Option<String>, Header, nullable = false, pattern = r#"^"[0-9]{1,9}"$"#,
            description = "The version, as `ETag` told it.")
    ),
    request_body(content((Value = "application/merge-patch+json"), (Value = "application/json"))),
    responses(
        (status = 200, body = Value, description = "The partner as it is now.",
            headers(("ETag" = String, description = "Its version."))),
        (status = 412, body = crate::problem::ProblemBody, content_type = "application/problem+json",
            description = "Refused. Codes: `version_changed`."),
        AlterProblems
    ),
    security(("api_key" = []))
)]
pub(crate) async fn change_partner(
    State(state): State<AppState>,
    platform: Platform,
    InPath(id): InPath<PartnerId>,
    request: Request,
) -> Result<Response, Problem> {
    let (patch, version) = read(&state, request).await?;
    let partner = find(&state, id).await?;
    let by = platform.by(state.engine().now_ms());
    change(&state, partner, (&patch, version), by).await
}

/// Read the account's partner
#[utoipa::path(
    get,
    path = "/api/v1/partner",
    tag = "Access",
    operation_id = "get_own_partner",
    responses(
        (status = 200, body = Value, description = "The partner whose account it is.",
            headers(("ETag" = String, description = "Its version."))),
        QueryProblems
    ),
    security(("api_key" = []))
)]
pub(crate) async fn get_own_partner(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Response, Problem> {
    shown(&own(&state, &caller).await?)
}

/// Change the account's partner
///
/// As for the platform, but `display_name`, `contact_name`, `contact_email` and `contact_phone` alone: the rest is agreed.
#[utoipa::path(
    patch,
    path = "/api/v1/partner",
    tag = "Access",
    operation_id = "change_own_partner",
    params(("If-Match" = Option<String>, Header, nullable = false, pattern = r#"^"[0-9]{1,9}"$"#,
        description = "The version, as `ETag` told it.")),
    request_body(content((OwnPatchSchema = "application/merge-patch+json"), (OwnPatchSchema = "application/json"))),
    responses(
        (status = 200, body = Value, description = "The partner as it is now.",
            headers(("ETag" = String, description = "Its version."))),
        (status = 412, body = crate::problem::ProblemBody, content_type = "application/problem+json",
            description = "Refused. Codes: `version_changed`."),
        AlterProblems
    ),
    security(("api_key" = []))
)]
pub(crate) async fn change_own_partner(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let (patch, version) = read(&state, request).await?;
    if let Some(name) = patch.keys().find(|name| !OWN_FIELDS.contains(&name.as_str())) {
        let pointer = format!("/{}", body::scrub(name));
        return Err(Problem::field(pointer, "is changed by whoever runs the gateway"));
    }
    let partner = own(&state, &caller).await?;
    let by = caller.by(state.engine().now_ms());
    change(&state, partner, (&patch, version), by).await
}

/// The partner of the caller's account.
pub(crate) async fn own(state: &AppState, caller: &Caller) -> Result<Partner, Problem> {
    let partner = state.engine().store().partner_of(caller.id()).await?;
    partner.ok_or_else(|| Problem::new(&codes::NOT_FOUND))
}

/// A partner with its version.
pub(super) fn shown(partner: &Partner) -> Result<Response, Problem> {
    let mut response = reply::json(StatusCode::OK, &partner.as_json())?;
    if let Ok(version) = HeaderValue::from_str(&format!("\"{}\"", partner.version)) {
        response.headers_mut().insert(ETAG, version);
    }
    Ok(response)
}

async fn change(
    state: &AppState,
    partner: Partner,
    (patch, version): (&Patch, Option<u32>),
    by: By,
) -> Result<Response, Problem> {
    let store = state.engine().store();
    let partner = change_profile(store.as_ref(), partner, (patch, version), by).await;
    let partner = partner.map_err(|error| changed(error, version.is_some()))?;
    // What is remembered of its keys and merchants is old now.
    state.auth().clear();
    shown(&partner)
}

/// The change and the version it was made from, if that was told.
async fn read(state: &AppState, request: Request) -> Result<(Patch, Option<u32>), Problem> {
    let (parts, incoming) = request.into_parts();
    Params::parse(parts.uri.query(), &[])?;
    body::require_patch(&parts.headers)?;
    let version = version_of(&parts.headers)?;
    let bytes = body::read(&parts.headers, incoming, body::BODY_BYTES_MAX, state.body_timeout()).await?;
    let fields: BTreeMap<String, Value> = body::parse(&bytes)?;
    let text = |(name, value): (String, Value)| match value {
        Value::Null => Ok((name, None)),
        Value::String(text) => Ok((name, Some(text))),
        Value::Number(number) => Ok((name, Some(number.to_string()))),
        _ => Err(Problem::field(format!("/{}", body::scrub(&name)), "must be a text, a number or null")),
    };
    Ok((fields.into_iter().map(text).collect::<Result<_, _>>()?, version))
}

/// The version in `If-Match` (RFC 9110, section 13.1.1); none: whatever it is.
fn version_of(headers: &HeaderMap) -> Result<Option<u32>, Problem> {
    let mut sent = headers.get_all(IF_MATCH).iter();
    let Some(value) = sent.next() else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let number = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    match number.and_then(|number| number.parse().ok()) {
        Some(version) if sent.next().is_none() => Ok(Some(version)),
        _ => {
            Err(Problem::new(&codes::INVALID_HEADER).at("If-Match").because("must be one version in quotes"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_number_in_quotes() {
        let read = |texts: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for text in texts {
                headers.append(IF_MATCH, HeaderValue::from_static(text));
            }
            version_of(&headers).map_err(|problem| problem.code().name)
        };
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["*"]), Ok(None));
        assert_eq!(read(&["\"7\""]), Ok(Some(7)));
        for wrong in [&["7"][..], &["\"x\""], &["W/\"7\""], &["\"7\"", "\"8\""], &["\"7\", \"8\""]] {
            assert_eq!(read(wrong), Err("invalid_header"), "{wrong:?}");
        }
    }
}
