//! `POST /api/v1/routing/preview`: where a payment would go, and why.

use crate::auth::Caller;
use crate::body;
use crate::input::routing::PreviewBody;
use crate::problem::{AskProblems, Problem};
use crate::query::Params;
use crate::reply;
use crate::routes::policies;
use crate::schemas::routing::PreviewSchema;
use crate::state::AppState;
use crate::validate;
use crate::views::routing::PreviewView;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde_json::Value;
use serde_json::value::RawValue;
use tollgate_core::routing::policy::RoutingPolicy;

/// Most bytes of a body: it may have a policy.
const BODY_BYTES_MAX: usize = super::policy::BODY_BYTES_MAX + body::BODY_BYTES_MAX;

/// Preview a payment's route
///
/// Tells where a payment would go now and why, with every term of every candidate's score, and the processors left out.
/// Nothing is charged or kept. Exploring is left out: a real payment may now and then go elsewhere.
#[utoipa::path(
    post,
    path = "/api/v1/routing/preview",
    tag = "Routing",
    operation_id = "preview_route",
    request_body = PreviewSchema,
    responses((status = 200, body = PreviewView, description = "The route."), AskProblems),
    security(("api_key" = []))
)]
pub(crate) async fn preview_route(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, incoming) = request.into_parts();
    Params::parse(parts.uri.query(), &[])?;
    body::require_json(&parts.headers)?;
    let bytes = body::read(&parts.headers, incoming, BODY_BYTES_MAX, state.body_timeout()).await?;
    let body: PreviewBody<'_> = body::parse(&bytes)?;
    let policy = body.policy.map(|raw| read_policy(&state, &caller, raw)).transpose()?;
    let engine = state.engine();
    let asked = validate::preview(body, engine.now_ms())?;
    let preview = engine.preview_route(&caller.merchant, &asked, policy.as_ref()).await?;
    reply::json(StatusCode::OK, &PreviewView::new(preview, asked.amount.currency))
}

/// Reads the policy to try, at the pointer `/policy`.
fn read_policy(state: &AppState, caller: &Caller, raw: &RawValue) -> Result<RoutingPolicy, Problem> {
    // It was read as JSON with the whole body; what is left to go wrong is a number beyond all bounds.
    let value: Value = serde_json::from_str(raw.get())
        .map_err(|_| Problem::field("/policy", "has a number that is out of range"))?;
    policies::refuse_cards("/policy", &value)?;
    let read = state.engine().read_routing_policy(&caller.merchant, &value);
    read.map_err(|error| policies::refused("/policy", error))
}
