//! `/api/v1/api_keys`: the keys of an account, or of the platform: made, looked at, rotated, revoked.
//!
//! A secret is shown once, in the reply that makes it. Nobody makes a key stronger than their own, nor rotates or revokes
//! one that is.

mod read;

pub(crate) use read::examine;
pub(super) use read::list_of;

use super::path::InPath;
use crate::auth::{self, Anyone, Principal, Signed};
use crate::codes;
use crate::problem::{AlterProblems, Problem, QueryProblems};
use crate::query::Params;
use crate::reply;
use crate::schemas::access::{NewKeySchema, PermissionSchema, RoleSchema, RotationSchema};
use crate::state::AppState;
use crate::views::text::{At, Shown};
use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use tollgate_core::access::{Permission, Role};
use tollgate_core::api_key::{ApiKey, Means};
use tollgate_core::certificate::CertificateFingerprint;
use tollgate_core::id::ApiKeyId;
use tollgate_core::network::Network;
use tollgate_engine::EngineError;
use tollgate_engine::ids;
use tollgate_store::commit::Admin;
use utoipa::ToSchema;

/// Most keys of one owner that work at once.
const WORKING_MAX: usize = 100;

/// Most keys of one owner, with those that have ended.
const KEPT_MAX: usize = 10_000;

/// An API key, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(crate) struct KeyView {
    /// Its id.
    #[schema(value_type = String, pattern = "^key_[0-9A-Za-z]{22}$")]
    id: Shown<ApiKeyId>,
    /// Always `api_key`.
    #[schema(value_type = String, example = "api_key")]
    object: &'static str,
    /// What you call it.
    name: String,
    /// `active`, `expired` or `revoked`.
    #[schema(value_type = String, example = "active")]
    status: &'static str,
    /// The role of its holder.
    #[schema(value_type = RoleSchema)]
    role: Shown<Role>,
    /// What its holder may do.
    #[schema(value_type = Vec<PermissionSchema>)]
    permissions: Vec<Shown<Permission>>,
    /// From where it may be used; empty: from anywhere.
    #[schema(value_type = Vec<String>)]
    networks: Vec<Shown<Network>>,
    /// Over connections of which clients' certificates it may be used (SHA-256); empty: over any.
    #[schema(value_type = Vec<String>)]
    certificates_sha256: Vec<Shown<CertificateFingerprint>>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: At,
    /// From when on it no longer works.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<At>,
    /// When it was revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<At>,
    /// When it was last used, to the minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<At>,
    /// The key that takes its place.
    #[schema(value_type = Option<String>, pattern = "^key_[0-9A-Za-z]{22}$")]
    rotated_to: Option<Shown<ApiKeyId>>,
}

/// A new API key, with its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NewApiKey)]
pub(crate) struct NewKeyView {
    /// The key itself: keep it well, it is not shown again.
    key: String,
    #[serde(flatten)]
    view: KeyView,
}

/// API keys.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKeyList)]
pub(crate) struct KeysView {
    /// The keys, oldest first.
    data: Vec<KeyView>,
}

impl KeyView {
    fn new(key: &ApiKey, last_used_at_ms: Option<u64>, now_ms: u64) -> Self {
        let status = match key.revoked_at_ms {
            Some(_) => "revoked",
            None if key.works_at(now_ms) => "active",
            None => "expired",
        };
        Self {
            id: Shown(key.id),
            object: "api_key",
            name: key.name.clone(),
            status,
            role: Shown(key.role),
            permissions: key.permissions().iter().map(Shown).collect(),
            networks: key.networks.iter().copied().map(Shown).collect(),
            certificates_sha256: key.certificates.iter().copied().map(Shown).collect(),
            created_at: At(key.created_at_ms),
            expires_at: key.expires_at_ms.map(At),
            revoked_at: key.revoked_at_ms.map(At),
            last_used_at: last_used_at_ms.map(At),
            rotated_to: key.rotated_to.map(Shown),
        }
    }
}

/// Make an API key
///
/// A key of your own account (or, with a key of the platform, of the platform). It can do at most what yours can, for as long,
/// from the same networks, with the same client certificates.
#[utoipa::path(
    post,
    path = "/api/v1/api_keys",
    tag = "Access",
    operation_id = "create_api_key",
    request_body = NewKeySchema,
    responses((status = 201, body = NewKeyView, description = "The key, with its secret."), AlterProblems),
    security(("api_key" = []))
)]
pub(crate) async fn create_key(
    State(state): State<AppState>,
    Anyone(principal): Anyone,
    signed: Signed,
    request: Request,
) -> Result<Response, Problem> {
    let now_ms = state.engine().now_ms();
    let wanted = read::new_key(&state, request, now_ms).await?;
    let own = principal.key.as_deref();
    let key = |key: ApiKey| ApiKey {
        name: wanted.name,
        role: wanted.role,
        scopes: wanted.scopes,
        // What is not asked for is as it is for the caller.
        networks: wanted.networks.unwrap_or_else(|| own.map(|own| own.networks.clone()).unwrap_or_default()),
        certificates: wanted
            .certificates
            .unwrap_or_else(|| own.map(|own| own.certificates.clone()).unwrap_or_default()),
        expires_at_ms: wanted.expires_at_ms.or(own.and_then(|own| own.expires_at_ms)),
        ..key
    };
    let (key, text) = make(&state, (&principal, &signed), key).await?;
    let view = NewKeyView { key: text, view: KeyView::new(&key, None, now_ms) };
    reply::json(StatusCode::CREATED, &view)
}

/// List the API keys
///
/// Those that have ended too.
#[utoipa::path(
    get,
    path = "/api/v1/api_keys",
    tag = "Access",
    operation_id = "list_api_keys",
    responses((status = 200, body = KeysView, description = "The keys."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn list_keys(
    State(state): State<AppState>,
    Anyone(principal): Anyone,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref(), &[])?;
    let keys = state.engine().store().api_keys(principal.owner.of_keys()).await?;
    reply::json(StatusCode::OK, &KeysView { data: shown(&state, &keys).await? })
}

/// Get an API key
///
/// Without its secret.
#[utoipa::path(
    get,
    path = "/api/v1/api_keys/{id}",
    tag = "Access",
    operation_id = "get_api_key",
    params(("id" = String, Path, pattern = "^key_[0-9A-Za-z]{22}$", description = "The key's id.")),
    responses((status = 200, body = KeyView, description = "The key."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get_key(
    State(state): State<AppState>,
    Anyone(principal): Anyone,
    InPath(id): InPath<ApiKeyId>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref(), &[])?;
    let key = find(&state, &principal, id).await?;
    reply::json(StatusCode::OK, &shown_one(&state, key).await?)
}

/// Rotate an API key
///
/// Makes a new key that is like this one, and lets this one live on for `overlap_s` seconds, so that both work while the new one is put
/// in place. The new one ends when this one would have ended; it is bound to the same client certificates, unless others are given.
#[utoipa::path(
    post,
    path = "/api/v1/api_keys/{id}/rotate",
    tag = "Access",
    operation_id = "rotate_api_key",
    params(("id" = String, Path, pattern = "^key_[0-9A-Za-z]{22}$", description = "The key's id.")),
    request_body = RotationSchema,
    responses((status = 201, body = NewKeyView, description = "The new key, with its secret."), AlterProblems),
    security(("api_key" = []))
)]
pub(crate) async fn rotate_key(
    State(state): State<AppState>,
    Anyone(principal): Anyone,
    signed: Signed,
    InPath(id): InPath<ApiKeyId>,
    request: Request,
) -> Result<Response, Problem> {
    let now_ms = state.engine().now_ms();
    let read::Rotation { overlap_s, certificates } = read::rotation(&state, request).await?;
    let old = find(&state, &principal, id).await?;
    if !old.works_at(now_ms) || old.rotated_to.is_some() {
        return Err(Problem::new(&codes::API_KEY_ENDED));
    }
    let like = |key: ApiKey| ApiKey {
        name: old.name.clone(),
        role: old.role,
        scopes: old.scopes.clone(),
        networks: old.networks.clone(),
        certificates: certificates.unwrap_or_else(|| old.certificates.clone()),
        expires_at_ms: old.expires_at_ms,
        ..key
    };
    // The new one first: if the end comes in between, nobody has its secret and the old one works on.
    let (new, text) = make(&state, (&principal, &signed), like).await?;
    let end_ms = now_ms.saturating_add(overlap_s.saturating_mul(1_000));
    put(&state, &signed, ApiKey { expires_at_ms: Some(end_ms), rotated_to: Some(new.id), ..old }).await?;
    let view = NewKeyView { key: text, view: KeyView::new(&new, None, now_ms) };
    reply::json(StatusCode::CREATED, &view)
}

/// Revoke an API key
///
/// It stops working at once, and for ever.
#[utoipa::path(
    post,
    path = "/api/v1/api_keys/{id}/revoke",
    tag = "Access",
    operation_id = "revoke_api_key",
    params(("id" = String, Path, pattern = "^key_[0-9A-Za-z]{22}$", description = "The key's id.")),
    responses((status = 200, body = KeyView, description = "The key."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn revoke_key(
    State(state): State<AppState>,
    Anyone(principal): Anyone,
    signed: Signed,
    InPath(id): InPath<ApiKeyId>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref(), &[])?;
    let mut key = find(&state, &principal, id).await?;
    // Without its time and place: what has less to say may end what could do more for less long.
    let means = means(&principal);
    let strength = ApiKey {
        expires_at_ms: Some(0),
        networks: means.networks.to_vec(),
        certificates: means.certificates.to_vec(),
        ..key.clone()
    };
    allow(&principal, &strength)?;
    key.revoked_at_ms.get_or_insert(state.engine().now_ms());
    put(&state, &signed, key.clone()).await?;
    reply::json(StatusCode::OK, &shown_one(&state, key).await?)
}

/// A key of the caller's own owner.
async fn find(state: &AppState, principal: &Principal, id: ApiKeyId) -> Result<ApiKey, Problem> {
    let key = state.engine().store().api_key(id).await?;
    key.filter(|key| key.owner == principal.owner.of_keys()).ok_or_else(|| Problem::new(&codes::NOT_FOUND))
}

/// Makes a key and keeps it; its text comes with it.
async fn make(
    state: &AppState,
    (principal, signed): (&Principal, &Signed),
    fill: impl FnOnce(ApiKey) -> ApiKey,
) -> Result<(ApiKey, String), Problem> {
    let engine = state.engine();
    let owner = principal.owner.of_keys();
    let (parts, created_at_ms) = ids::fresh(engine.clock(), owner.bucket());
    let secret = auth::secret_from_random(rand::random());
    let id = ApiKeyId::from_parts(parts);
    let key = fill(ApiKey::new(id, owner, auth::secret_sha256(&secret), created_at_ms));
    allow(principal, &key)?;
    let known = engine.store().api_keys(owner).await?;
    let working = known.iter().filter(|key| key.works_at(created_at_ms)).count();
    if working >= WORKING_MAX || known.len() >= KEPT_MAX {
        return Err(Problem::new(&codes::TOO_MANY_API_KEYS));
    }
    put(state, signed, key.clone()).await?;
    Ok((key, auth::format_key(principal.owner.kind(), id, &secret)))
}

async fn put(state: &AppState, signed: &Signed, key: ApiKey) -> Result<(), Problem> {
    let id = key.id;
    let kept =
        state.engine().store().administer(Admin::PutApiKey(key), signed.by(state.engine().now_ms())).await;
    state.auth().invalidate(id);
    kept.map_err(|error| EngineError::from(error).into())
}

/// What a caller can give on.
fn means(principal: &Principal) -> Means<'_> {
    let own = principal.key.as_deref();
    Means {
        permissions: principal.permissions,
        expires_at_ms: own.and_then(|key| key.expires_at_ms),
        networks: own.map_or(&[], |key| &key.networks),
        certificates: own.map_or(&[], |key| &key.certificates),
    }
}

fn allow(principal: &Principal, key: &ApiKey) -> Result<(), Problem> {
    let allowed = means(principal).allow(key);
    allowed.map_err(|too_strong| Problem::new(&codes::FORBIDDEN).because(too_strong.to_string()))
}

async fn shown(state: &AppState, keys: &[ApiKey]) -> Result<Vec<KeyView>, Problem> {
    let now_ms = state.engine().now_ms();
    let stored = state.engine().store().key_uses(keys.iter().map(|key| key.id).collect()).await?;
    let view = |(key, stored): (&ApiKey, Option<u64>)| {
        KeyView::new(key, state.auth().noted_use(key.id).or(stored), now_ms)
    };
    Ok(keys.iter().zip(stored).map(view).collect())
}

async fn shown_one(state: &AppState, key: ApiKey) -> Result<KeyView, Problem> {
    shown(state, &[key]).await?.pop().ok_or_else(|| Problem::new(&codes::INTERNAL))
}
