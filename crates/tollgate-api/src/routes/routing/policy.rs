//! `/api/v1/routing/policy`: what a merchant wants of routing, and trying it out.

use crate::auth::Caller;
use crate::problem::{AskProblems, Problem, QueryProblems};
use crate::query::Params;
use crate::reply;
use crate::routes::policies;
use crate::schemas::routing::{PolicySchema, ReasonSchema};
use crate::state::AppState;
use crate::views::text::Shown;
use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use tollgate_core::attempt::ProcessorName;
use tollgate_core::id::PaymentId;
use tollgate_core::routing::policy::RoutingPolicy;
use tollgate_engine::routing::{RouteChange, RouteDryRun};
use utoipa::ToSchema;

/// Most bytes of a policy: 100 rules with a hundred values a condition.
pub(super) const BODY_BYTES_MAX: usize = 1024 * 1024;

/// A merchant's routing policy.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RoutingPolicyReply)]
pub(crate) struct PolicyView<'a> {
    /// Always `routing_policy`.
    #[schema(value_type = String, example = "routing_policy")]
    object: &'static str,
    /// Whether it says just what applies without a policy of your own.
    is_default: bool,
    /// The policy, as `PUT` takes it.
    #[schema(value_type = PolicySchema)]
    policy: &'a Value,
}

/// Where a policy would have sent payments.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RoutingDryRun)]
pub(crate) struct DryRunView {
    /// Always `routing_dry_run`.
    #[schema(value_type = String, example = "routing_dry_run")]
    object: &'static str,
    /// Payments looked at.
    payments: usize,
    /// Payments that nobody could take now.
    nobody: usize,
    /// How many went to each processor first.
    #[schema(value_type = BTreeMap<String, usize>)]
    before: BTreeMap<String, usize>,
    /// How many would go to each first, as the processors do now.
    #[schema(value_type = BTreeMap<String, usize>)]
    after: BTreeMap<String, usize>,
    /// How many would go elsewhere.
    changed: usize,
    /// Up to 20 of these, newest first.
    examples: Vec<ChangeView>,
}

/// A payment that would go elsewhere.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RoutingDryRunExample)]
pub(crate) struct ChangeView {
    /// Which.
    #[schema(value_type = String, pattern = "^pay_[0-9A-Za-z]{22}$")]
    payment_id: Shown<PaymentId>,
    /// Where it went first.
    #[schema(value_type = String)]
    before: Shown<ProcessorName>,
    /// Where it would go; absent if nobody could take it.
    #[schema(value_type = Option<String>)]
    after: Option<Shown<ProcessorName>>,
    /// What would decide.
    #[schema(value_type = ReasonSchema)]
    reason: &'static str,
    /// The rule that would apply.
    rule: Option<String>,
}

/// Get the routing policy
///
/// Where your payments go: your policy, or the default.
#[utoipa::path(
    get,
    path = "/api/v1/routing/policy",
    tag = "Routing",
    operation_id = "get_routing_policy",
    responses((status = 200, body = PolicyView, description = "The policy."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get_policy(
    State(state): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref(), &[])?;
    shown(&*state.engine().routing_policy(caller.id()).await?)
}

/// Set the routing policy
///
/// Replaces the whole policy; members that are left out have their defaults. The next payment goes by it. Try it with
/// `POST /api/v1/routing/policy/dry_run` first.
#[utoipa::path(
    put,
    path = "/api/v1/routing/policy",
    tag = "Routing",
    operation_id = "put_routing_policy",
    request_body = PolicySchema,
    responses((status = 200, body = PolicyView, description = "The policy."), AskProblems),
    security(("api_key" = []))
)]
pub(crate) async fn put_policy(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let policy = read(&state, &caller, request).await?;
    shown(
        &*state
            .engine()
            .put_routing_policy(caller.id(), Some(policy), caller.by(state.engine().now_ms()))
            .await?,
    )
}

/// Remove the routing policy
///
/// The default applies again.
#[utoipa::path(
    delete,
    path = "/api/v1/routing/policy",
    tag = "Routing",
    operation_id = "delete_routing_policy",
    responses((status = 200, body = PolicyView, description = "The default policy."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn delete_policy(
    State(state): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref(), &[])?;
    shown(&*state.engine().put_routing_policy(caller.id(), None, caller.by(state.engine().now_ms())).await?)
}

/// Try a routing policy
///
/// Says where your latest payments, at most 1,000, would go by this policy, as the processors do now. Payments that had no
/// choice (debits on mandates, and those that named their processor) are left out. Nothing is changed.
#[utoipa::path(
    post,
    path = "/api/v1/routing/policy/dry_run",
    tag = "Routing",
    operation_id = "try_routing_policy",
    request_body = PolicySchema,
    responses((status = 200, body = DryRunView, description = "What it would have done."), AskProblems),
    security(("api_key" = []))
)]
pub(crate) async fn try_policy(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let policy = read(&state, &caller, request).await?;
    let run = state.engine().try_routing_policy(&caller.merchant, &policy).await?;
    reply::json(StatusCode::OK, &DryRunView::new(run))
}

impl DryRunView {
    fn new(run: RouteDryRun) -> Self {
        let counts = |counts: BTreeMap<ProcessorName, usize>| {
            counts.into_iter().map(|(name, count)| (name.to_string(), count)).collect()
        };
        Self {
            object: "routing_dry_run",
            payments: run.payments,
            nobody: run.nobody,
            before: counts(run.before),
            after: counts(run.after),
            changed: run.changed,
            examples: run.examples.into_iter().map(ChangeView::new).collect(),
        }
    }
}

impl ChangeView {
    fn new(change: RouteChange) -> Self {
        Self {
            payment_id: Shown(change.payment_id),
            before: Shown(change.before),
            after: change.after.map(Shown),
            reason: change.reason.as_str(),
            rule: change.rule,
        }
    }
}

async fn read(state: &AppState, caller: &Caller, request: Request) -> Result<RoutingPolicy, Problem> {
    let value = policies::read(state, request, BODY_BYTES_MAX).await?;
    let read = state.engine().read_routing_policy(&caller.merchant, &value);
    read.map_err(|error| policies::refused("", error))
}

fn shown(policy: &RoutingPolicy) -> Result<Response, Problem> {
    let is_default = *policy == RoutingPolicy::default();
    let view = PolicyView { object: "routing_policy", is_default, policy: policy.as_value() };
    reply::json(StatusCode::OK, &view)
}
