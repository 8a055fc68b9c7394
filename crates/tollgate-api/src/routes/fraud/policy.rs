//! `/api/v1/fraud/policy`: what a merchant wants done with risky payments, and trying it out.

use crate::auth::Caller;
use crate::problem::{AskProblems, Problem, QueryProblems};
use crate::query::Params;
use crate::reply;
use crate::routes::policies;
use crate::schemas::fraud::{PolicySchema, VerdictSchema};
use crate::state::AppState;
use crate::views::text::Shown;
use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use tollgate_core::id::PaymentId;
use tollgate_core::risk::{Policy, Score, Verdict};
use tollgate_engine::risk::DryRun;
use utoipa::ToSchema;

/// Most bytes of a policy: its lists may have 10,000 entries.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// A merchant's fraud policy.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FraudPolicyReply)]
pub(crate) struct PolicyView<'a> {
    /// Always `fraud_policy`.
    #[schema(value_type = String, example = "fraud_policy")]
    object: &'static str,
    /// Whether it says just what applies without a policy of your own.
    is_default: bool,
    /// The policy, as `PUT` takes it.
    #[schema(value_type = PolicySchema)]
    policy: &'a Value,
}

/// What a policy would have done.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FraudDryRun)]
pub(crate) struct DryRunView {
    /// Always `fraud_dry_run`.
    #[schema(value_type = String, example = "fraud_dry_run")]
    object: &'static str,
    /// Payments judged.
    payments: usize,
    /// Payments that could not be judged, because something that the policy asks for was not kept: the customer's browser
    /// never is, and payments made while the fraud check was off or failed have no features.
    not_judged: usize,
    /// How many had each verdict.
    before: VerdictCounts,
    /// How many would have each verdict.
    after: VerdictCounts,
    /// How many would have another verdict.
    changed: usize,
    /// Up to 20 of these, newest first.
    examples: Vec<ChangedView>,
}

/// Payments by verdict.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VerdictCounts {
    allow: usize,
    step_up: usize,
    review: usize,
    block: usize,
}

/// A payment that would have another verdict.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FraudDryRunExample)]
pub(crate) struct ChangedView {
    /// Which.
    #[schema(value_type = String, pattern = "^pay_[0-9A-Za-z]{22}$")]
    payment_id: Shown<PaymentId>,
    /// What was done.
    #[schema(value_type = VerdictSchema)]
    before: &'static str,
    /// What would be done.
    #[schema(value_type = VerdictSchema)]
    after: &'static str,
    /// The score it would have, from 0 to 1.
    #[schema(value_type = String, example = "0.1234")]
    score: Shown<Score>,
    /// The rules that would match.
    rules: Vec<String>,
}

/// Get the fraud policy
///
/// What is done with risky payments: yours, or the default.
#[utoipa::path(
    get,
    path = "/api/v1/fraud/policy",
    tag = "Fraud",
    operation_id = "get_fraud_policy",
    responses((status = 200, body = PolicyView, description = "The policy."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get_policy(
    State(state): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref(), &[])?;
    shown(&*state.engine().fraud_policy(caller.id()).await?)
}

/// Set the fraud policy
///
/// Replaces the whole policy; members that are left out have their defaults. The next payment is judged by it. Try it with
/// `POST /api/v1/fraud/policy/dry_run` first.
#[utoipa::path(
    put,
    path = "/api/v1/fraud/policy",
    tag = "Fraud",
    operation_id = "put_fraud_policy",
    request_body = PolicySchema,
    responses((status = 200, body = PolicyView, description = "The policy."), AskProblems),
    security(("api_key" = []))
)]
pub(crate) async fn put_policy(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let policy = read(&state, request).await?;
    shown(
        &*state
            .engine()
            .put_fraud_policy(caller.id(), Some(policy), caller.by(state.engine().now_ms()))
            .await?,
    )
}

/// Remove the fraud policy
///
/// The default applies again.
#[utoipa::path(
    delete,
    path = "/api/v1/fraud/policy",
    tag = "Fraud",
    operation_id = "delete_fraud_policy",
    responses((status = 200, body = PolicyView, description = "The default policy."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn delete_policy(
    State(state): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref(), &[])?;
    shown(&*state.engine().put_fraud_policy(caller.id(), None, caller.by(state.engine().now_ms())).await?)
}

/// Try a fraud policy
///
/// Judges your latest payments, at most 1,000, by this policy, with what was kept of them and the present model. Nothing
/// is changed.
#[utoipa::path(
    post,
    path = "/api/v1/fraud/policy/dry_run",
    tag = "Fraud",
    operation_id = "try_fraud_policy",
    request_body = PolicySchema,
    responses((status = 200, body = DryRunView, description = "What it would have done."), AskProblems),
    security(("api_key" = []))
)]
pub(crate) async fn try_policy(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let policy = read(&state, request).await?;
    let run = state.engine().try_fraud_policy(&caller.merchant, &policy).await?;
    reply::json(StatusCode::OK, &DryRunView::new(run))
}

impl DryRunView {
    fn new(run: DryRun) -> Self {
        let counts =
            |[allow, step_up, review, block]: [usize; 4]| VerdictCounts { allow, step_up, review, block };
        let examples = run.examples.into_iter().map(|one| ChangedView {
            payment_id: Shown(one.payment_id),
            before: Verdict::as_str(one.before),
            after: Verdict::as_str(one.after),
            score: Shown(one.score),
            rules: one.rules,
        });
        Self {
            object: "fraud_dry_run",
            payments: run.judged,
            not_judged: run.not_judged,
            before: counts(run.before),
            after: counts(run.after),
            changed: run.changed,
            examples: examples.collect(),
        }
    }
}

async fn read(state: &AppState, request: Request) -> Result<Policy, Problem> {
    let value = policies::read(state, request, BODY_BYTES_MAX).await?;
    Policy::from_value(&value).map_err(|error| policies::refused("", error))
}

fn shown(policy: &Policy) -> Result<Response, Problem> {
    let is_default = *policy == Policy::default();
    let view = PolicyView { object: "fraud_policy", is_default, policy: policy.as_value() };
    reply::json(StatusCode::OK, &view)
}
