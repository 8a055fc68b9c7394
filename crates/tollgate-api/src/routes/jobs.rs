//! `/api/v1/jobs` and `/api/v1/partners/{id}/jobs`: what waits to be done, and ending it.

use super::data_subjects::counts;
use super::partners::find;
use super::path::InPath;
use crate::auth::{Anyone, Caller};
use crate::codes;
use crate::platform::Platform;
use crate::problem::{AlterProblems, Problem, QueryProblems};
use crate::query::Params;
use crate::reply;
use crate::state::AppState;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};
use tollgate_core::access::Permission;
use tollgate_core::audit::By;
use tollgate_core::id::{JobId, MerchantId, PartnerId};
use tollgate_core::job::{Job, JobKind, JobState};
use tollgate_engine::subjects::job::outcome;
use tollgate_engine::webhooks::Cancelled;
use tollgate_store::jobs::JobFilter;
use tollgate_store::query::LIMIT_MAX;

/// Jobs of a page when the caller does not say.
const LIMIT_DEFAULT: usize = 100;

/// List jobs
///
/// The newest first. What a job of a delivery came to is told by its delivery: it is here for as long as it waits. A job that
/// forgets a person has what it has masked and removed so far under `result`.
#[utoipa::path(
    get,
    path = "/api/v1/jobs",
    tag = "Webhooks out",
    operation_id = "list_jobs",
    params(
        ("kind" = Option<String>, Query, nullable = false, pattern = "^(webhook_delivery|webhook_replay|subject_erasure)$", description = "Only those of this kind."),
        ("status" = Option<String>, Query, nullable = false, pattern = "^(waiting|leased|done|dead|cancelled)$", description = "Only those that stand there."),
        ("before" = Option<String>, Query, nullable = false, pattern = "^job_[0-9A-Za-z]{22}$", description = "Only those older than this one."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, nullable = false, description = "Jobs wanted, 100 if not given.")
    ),
    responses((status = 200, body = Value, description = "A page of jobs."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn list_jobs(
    State(state): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let filter = filter(query.as_deref())?;
    let jobs = state.engine().store().jobs(caller.id(), filter).await?;
    reply::json(StatusCode::OK, &page(&jobs, filter.limit))
}

/// Read a job
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{id}",
    tag = "Webhooks out",
    operation_id = "get_job",
    params(("id" = String, Path, description = "The job's id.")),
    responses((status = 200, body = Value, description = "The job."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get_job(
    State(state): State<AppState>,
    caller: Caller,
    InPath(id): InPath<JobId>,
) -> Result<Response, Problem> {
    let job = state.engine().store().job(caller.id(), id).await?;
    reply::json(StatusCode::OK, &shown(&job.ok_or_else(|| Problem::new(&codes::NOT_FOUND))?))
}

/// Cancel a job
///
/// What has not been done yet is not done. Refused while a worker has it, and once it has ended otherwise. One that forgets a
/// person is called off between two of its pages: what was masked stays masked.
#[utoipa::path(
    post,
    path = "/api/v1/jobs/{id}/cancel",
    tag = "Webhooks out",
    operation_id = "cancel_job",
    params(("id" = String, Path, description = "The job's id.")),
    responses((status = 200, body = Value, description = "The job."), AlterProblems),
    security(("api_key" = []))
)]
pub(crate) async fn cancel_job(
    State(state): State<AppState>,
    caller: Caller,
    Anyone(principal): Anyone,
    InPath(id): InPath<JobId>,
) -> Result<Response, Problem> {
    let job = state.engine().store().job(caller.id(), id).await?;
    let is_erasure = job.is_some_and(|job| job.kind == JobKind::SubjectErasure);
    if is_erasure && !principal.permissions.has(Permission::PartnerWrite) {
        return Err(Problem::new(&codes::FORBIDDEN).because("who may erase may call it off"));
    }
    let by = caller.by(state.engine().now_ms());
    cancel(&state, caller.id(), id, by).await
}

/// List a partner's jobs
#[utoipa::path(
    get,
    path = "/api/v1/partners/{id}/jobs",
    tag = "Partners",
    operation_id = "list_partner_jobs",
    params(
        ("id" = String, Path, description = "The partner's id."),
        ("kind" = Option<String>, Query, nullable = false, pattern = "^(webhook_delivery|webhook_replay|subject_erasure)$", description = "Only those of this kind."),
        ("status" = Option<String>, Query, nullable = false, pattern = "^(waiting|leased|done|dead|cancelled)$", description = "Only those that stand there."),
        ("before" = Option<String>, Query, nullable = false, pattern = "^job_[0-9A-Za-z]{22}$", description = "Only those older than this one."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, nullable = false, description = "Jobs wanted, 100 if not given.")
    ),
    responses((status = 200, body = Value, description = "A page of jobs."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn list_partner_jobs(
    State(state): State<AppState>,
    _platform: Platform,
    InPath(id): InPath<PartnerId>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let filter = filter(query.as_deref())?;
    let partner = find(&state, id).await?;
    let mut jobs = Vec::new();
    for (_, merchant_id) in partner.merchants() {
        jobs.extend(state.engine().store().jobs(merchant_id, filter).await?);
    }
    jobs.sort_by_key(|job| std::cmp::Reverse(job.id));
    jobs.truncate(filter.limit);
    reply::json(StatusCode::OK, &page(&jobs, filter.limit))
}

/// Cancel a partner's job
#[utoipa::path(
    post,
    path = "/api/v1/partners/{id}/jobs/{job}/cancel",
    tag = "Partners",
    operation_id = "cancel_partner_job",
    params(
        ("id" = String, Path, description = "The partner's id."),
        ("job" = String, Path, description = "The job's id.")
    ),
    responses((status = 200, body = Value, description = "The job."), AlterProblems),
    security(("api_key" = []))
)]
pub(crate) async fn cancel_partner_job(
    State(state): State<AppState>,
    platform: Platform,
    Path((id, job)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let not_found = || Problem::new(&codes::NOT_FOUND);
    let id: PartnerId = id.parse().map_err(|_| not_found())?;
    let job: JobId = job.parse().map_err(|_| not_found())?;
    let partner = find(&state, id).await?;
    for (_, merchant_id) in partner.merchants() {
        if state.engine().store().job(merchant_id, job).await?.is_some() {
            let by = platform.by(state.engine().now_ms());
            return cancel(&state, merchant_id, job, by).await;
        }
    }
    Err(not_found())
}

async fn cancel(state: &AppState, merchant_id: MerchantId, id: JobId, by: By) -> Result<Response, Problem> {
    match state.webhooks().cancel_job(merchant_id, id, by).await? {
        Cancelled::Done(job) => reply::json(StatusCode::OK, &shown(&job)),
        Cancelled::Ended(job) => {
            let why = format!("the job is {}", job.state.as_str());
            Err(Problem::new(&codes::CONFLICT).because(why))
        }
        Cancelled::Busy => {
            Err(Problem::new(&codes::CONFLICT).because("the job is being done this very moment"))
        }
        Cancelled::None => Err(Problem::new(&codes::NOT_FOUND)),
    }
}

fn filter(query: Option<&str>) -> Result<JobFilter, Problem> {
    let params = Params::parse(query, &["kind", "status", "before", "limit"])?;
    Ok(JobFilter {
        kind: params.read(
            "kind",
            "must be webhook_delivery, webhook_replay or subject_erasure",
            JobKind::parse,
        )?,
        state: params.read("status", "must be waiting, leased, done, dead or cancelled", JobState::parse)?,
        before: params.read("before", "must be a job's id", |text| text.parse().ok())?,
        limit: params.count("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT),
    })
}

fn page(jobs: &[Job], limit: usize) -> Value {
    let next = jobs.last().filter(|_| jobs.len() >= limit).map(|last| last.id.to_string());
    json!({"data": jobs.iter().map(shown).collect::<Vec<_>>(), "next_before": next})
}

/// A job without its payload, which is its worker's business; but with what it has come to, if it forgets a person.
pub(super) fn shown(job: &Job) -> Value {
    let mut view = json!({
        "id": job.id.to_string(),
        "object": "job",
        "merchant_id": job.merchant_id.to_string(),
        "kind": job.kind.as_str(),
        "status": job.state.as_str(),
        "attempts": job.attempts,
        "last_error": job.last_error,
        "run_at_ms": job.run_at_ms,
        "created_at_ms": job.created_at_ms,
        "updated_at_ms": job.updated_at_ms,
    });
    if let (Some((name, done)), Some(members)) = (outcome(job), view.as_object_mut()) {
        let mut result = counts(&done);
        if let Some(members) = result.as_object_mut() {
            members.insert("data_subject".to_owned(), name.into());
        }
        members.insert("result".to_owned(), result);
    }
    view
}
