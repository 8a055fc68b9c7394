//! `POST /api/v1/tokens`: a short-lived token in place of a key; and the keys that such tokens are checked with.

use super::api_keys::list_of;
use crate::auth::Anyone;
use crate::body;
use crate::codes;
use crate::input::{Text, Whole};
use crate::problem::{AlterProblems, Problem};
use crate::query::Params;
use crate::reply;
use crate::schemas::access::{NewTokenSchema, PermissionSchema};
use crate::state::AppState;
use crate::tokens::{LIFETIME_MAX_S, LIFETIME_MIN_S};
use crate::views::text::{At, Shown};
use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use tollgate_core::access::{Permission, Permissions};
use utoipa::ToSchema;

/// A token.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Token)]
pub(crate) struct TokenView {
    /// Always `token`.
    #[schema(value_type = String, example = "token")]
    object: &'static str,
    /// The token: send it as `Authorization: Bearer <token>`.
    access_token: String,
    /// Always `Bearer`.
    #[schema(value_type = String, example = "Bearer")]
    token_type: &'static str,
    /// For how many seconds it works.
    expires_in: u32,
    /// From when on it no longer works.
    #[schema(value_type = String, format = DateTime)]
    expires_at: At,
    /// What its holder may do.
    #[schema(value_type = Vec<PermissionSchema>)]
    permissions: Vec<Shown<Permission>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct NewTokenBody<'a> {
    #[serde(borrow)]
    permissions: Option<Vec<Text<'a>>>,
    lifetime_s: Option<Whole<u32>>,
}

/// Make a token
///
/// Stands for the API key it is made with, for 15 minutes at most: it does what the key may do at that moment, or less, and ends when the
/// key does. It is a JWT (EdDSA or ES256) that can be checked with `/.well-known/jwks.json`.
#[utoipa::path(
    post,
    path = "/api/v1/tokens",
    tag = "Access",
    operation_id = "create_token",
    request_body = NewTokenSchema,
    responses((status = 201, body = TokenView, description = "The token."), AlterProblems),
    security(("api_key" = []))
)]
pub(crate) async fn create_token(
    State(state): State<AppState>,
    Anyone(principal): Anyone,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, incoming) = request.into_parts();
    Params::parse(parts.uri.query(), &[])?;
    body::require_json(&parts.headers)?;
    let bytes = body::read(&parts.headers, incoming, body::BODY_BYTES_MAX, state.body_timeout()).await?;
    let body: NewTokenBody<'_> = body::parse(&bytes)?;
    let lifetime_s = body.lifetime_s.map_or(LIFETIME_MAX_S, |Whole(lifetime_s)| lifetime_s);
    if !(LIFETIME_MIN_S..=LIFETIME_MAX_S).contains(&lifetime_s) {
        let rule = format!("must be a whole number from {LIFETIME_MIN_S} to {LIFETIME_MAX_S}");
        return Err(Problem::field("/lifetime_s", rule));
    }
    let wanted: Option<Vec<Permission>> =
        list_of("/permissions", body.permissions, 1..=32, "must be the name of a permission")?;
    let permissions = match wanted {
        None => principal.permissions,
        Some(wanted) => {
            let wanted: Permissions = wanted.into_iter().collect();
            if let Some(missing) = wanted.iter().find(|permission| !principal.permissions.has(*permission)) {
                let detail = format!("the token would have the permission {missing}, which your key has not");
                return Err(Problem::new(&codes::FORBIDDEN).because(detail));
            }
            wanted
        }
    };
    // A token does not make its own successor: it would live for ever.
    let key = principal.key.as_ref().filter(|_| !principal.by_token);
    let key =
        key.ok_or_else(|| Problem::new(&codes::FORBIDDEN).because("a token is made with an API key"))?;
    let tokens = state.tokens().ok_or_else(|| Problem::new(&codes::NOT_FOUND))?;
    let now_ms = state.engine().now_ms();
    let token = tokens.issue(key.id, permissions, lifetime_s, now_ms);
    let view = TokenView {
        object: "token",
        access_token: token.ok_or_else(|| Problem::new(&codes::INTERNAL))?,
        token_type: "Bearer",
        expires_in: lifetime_s,
        expires_at: At(now_ms.saturating_add(u64::from(lifetime_s) * 1_000)),
        permissions: permissions.iter().map(Shown).collect(),
    };
    reply::json(StatusCode::CREATED, &view)
}

/// Get the keys for tokens
///
/// The public keys that our tokens are signed with (JWKS, RFC 7517). A new one is published an hour before it signs.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    tag = "Access",
    operation_id = "get_jwks",
    responses((status = 200, body = Object, content_type = "application/json", description = "The key set."))
)]
pub(crate) async fn get_jwks(
    State(state): State<AppState>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref(), &[])?;
    let tokens = state.tokens().ok_or_else(|| Problem::new(&codes::NOT_FOUND))?;
    let mut response = reply::bytes_of(StatusCode::OK, "application/json", tokens.key_set());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    Ok(response)
}
