//! `GET /api/v1/audit`: who did what to an account.

use crate::auth::{Anyone, Owner};
use crate::problem::{Problem, QueryProblems};
use crate::query::Params;
use crate::reply;
use crate::state::AppState;
use crate::views::text::{At, Shown};
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use tollgate_core::audit::{AuditRecord, hex};
use tollgate_core::json;
use tollgate_store::Store;
use tollgate_store::query::LIMIT_MAX;
use utoipa::ToSchema;

/// Records of a page when the caller does not say.
const LIMIT_DEFAULT: usize = 100;

/// Sequence numbers fit a JSON number that every client reads exactly.
const SEQUENCE_MAX: u64 = 9_007_199_254_740_991;

/// What something was done to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditSubject)]
pub(crate) struct SubjectView {
    /// Its kind.
    #[serde(rename = "type")]
    #[schema(example = "api_key")]
    kind: String,
    /// Its id.
    id: String,
}

/// One record of the audit log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditRecord)]
pub(crate) struct AuditRecordView {
    /// Its place in the log of the whole service: other accounts' records stand in between.
    sequence: u64,
    /// Always `audit_record`.
    #[schema(value_type = String, example = "audit_record")]
    object: &'static str,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: At,
    /// Who: an API key's id, `command_line:…`, `token:…` or `system`.
    actor: String,
    /// From which address, where that is known.
    ip: Option<String>,
    /// In which request.
    request_id: Option<String>,
    /// What.
    #[schema(example = "fraud_policy.put")]
    action: String,
    /// To what.
    subject: SubjectView,
    /// What it was before; secrets are masked.
    #[schema(value_type = Option<Object>)]
    before: Option<Value>,
    /// What it was afterwards; secrets are masked.
    #[schema(value_type = Option<Object>)]
    after: Option<Value>,
    /// SHA-256 over the record and the hash of the one before it.
    hash: String,
}

impl AuditRecordView {
    fn new(record: &AuditRecord) -> Self {
        let entry = &record.entry;
        let read = |text: &str| json::read(text).unwrap_or(Value::Null);
        Self {
            sequence: record.sequence,
            object: "audit_record",
            at: At(entry.at_ms()),
            actor: entry.actor().to_owned(),
            ip: entry.ip().map(str::to_owned),
            request_id: entry.request_id().map(str::to_owned),
            action: entry.action().to_owned(),
            subject: SubjectView { kind: entry.subject().kind.clone(), id: entry.subject().id.clone() },
            before: entry.before().map(read),
            after: entry.after().map(read),
            hash: hex(&record.hash),
        }
    }
}

/// A page of the audit log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditRecordList)]
pub(crate) struct AuditListView {
    /// The records, newest first.
    data: Vec<AuditRecordView>,
    /// Whether there may be more.
    has_more: bool,
    /// What to send as `cursor` for the next page.
    #[schema(value_type = Option<String>)]
    next_cursor: Option<Shown<u64>>,
}

/// List the audit log
///
/// Who did what to this account, newest first: keys, policies, reviews, cards on file, passkeys, and what the operator
/// did. With a key of the platform: who did what to anything. The log is append-only and chained by hashes.
#[utoipa::path(
    get,
    path = "/api/v1/audit",
    tag = "Reports",
    operation_id = "list_audit_records",
    params(
        ("cursor" = Option<u64>, Query, minimum = 1, maximum = 9007199254740991_u64, nullable = false,
            description = "`next_cursor` of the page before, or any sequence number: only records before it."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, nullable = false,
            description = "Records wanted, 100 if not given.")
    ),
    responses((status = 200, body = AuditListView, description = "A page of records."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn list_audit(
    State(state): State<AppState>,
    Anyone(principal): Anyone,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let params = Params::parse(query.as_deref(), &["cursor", "limit"])?;
    let before = params.number("cursor", 1..=SEQUENCE_MAX)?;
    let limit = params.count("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
    let store = state.engine().store().as_ref();
    let records = match &principal.owner {
        Owner::Merchant(merchant) => store.merchant_audit(merchant.id, before, limit).await?,
        Owner::Platform => newest(store, before, limit).await?,
    };
    let full = records.len() >= limit;
    let next = records.last().map(|last| last.sequence).filter(|last| full && *last > 1);
    let data = records.iter().map(AuditRecordView::new).collect();
    reply::json(
        StatusCode::OK,
        &AuditListView { data, has_more: next.is_some(), next_cursor: next.map(Shown) },
    )
}

/// The newest records of the whole log before a position, newest first. A damaged one is left out: `tollgate audit verify` tells
/// of it.
async fn newest(store: &dyn Store, before: Option<u64>, limit: usize) -> Result<Vec<AuditRecord>, Problem> {
    let end = match before {
        Some(before) => before,
        None => store.audit_head().await?.count.saturating_add(1),
    };
    let after = end.saturating_sub(1).saturating_sub(u64::try_from(limit).unwrap_or(u64::MAX));
    let records = store.audit(after, limit).await?;
    let mut records: Vec<_> =
        records.into_iter().filter(|(at, _)| *at < end).filter_map(|(_, record)| record).collect();
    records.reverse();
    Ok(records)
}
