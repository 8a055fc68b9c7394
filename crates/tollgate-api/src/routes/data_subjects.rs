//! `/api/v1/data_subjects/export` and `/erase`: what is known of a person, and forgetting one.

use crate::auth::Caller;
use crate::body;
use crate::codes;
use crate::problem::{AlterProblems, Problem};
use crate::query::Params;
use crate::reply;
use crate::routes::cards;
use crate::routes::payment::whole;
use crate::schemas::partners::SubjectSchema;
use crate::state::AppState;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tollgate_core::base62;
use tollgate_core::erasure::Subject;
use tollgate_core::id::{MerchantId, PaymentId};
use tollgate_engine::EngineError;
use tollgate_engine::subjects::{Forgotten, SubjectError, forget, payments_of, tell};
use tollgate_store::Store;
use tollgate_store::error::StoreError;

/// Most characters of each text.
const TEXT_CHARS_MAX: usize = 255;

/// Payments of a page of an export.
const PAGE: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct SubjectBody {
    user_id: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    vpa: Option<String>,
    device_id: Option<String>,
    before: Option<String>,
}

/// Export a person's data
///
/// Who it is: one or more of `user_id`, `email`, `phone`, `vpa`, `device_id`. A page has at most 100 payments; send `next`
/// as `before` for the next one.
#[utoipa::path(
    post,
    path = "/api/v1/data_subjects/export",
    tag = "Access",
    operation_id = "export_data_subject",
    request_body = SubjectSchema,
    responses((status = 200, body = Value, description = "What is known of the person."), AlterProblems),
    security(("api_key" = []))
)]
pub(crate) async fn export_subject(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let (subject, before) = read(&state, request).await?;
    let store = state.engine().store().as_ref();
    let (page, payments) = export_page(store, caller.id(), &subject, before).await?;
    let by = caller.by(state.engine().now_ms());
    let told = tell(store, "data_subject.exported", (caller.id(), &subject), payments, by).await;
    told.map_err(EngineError::from)?;
    reply::json(StatusCode::OK, &page)
}

/// Forget a person
///
/// Masks them in payments, events, refunds, checkout sessions and remembered replies, deletes saved cards and removes passkeys;
/// amounts, references and the ledger stay. Refused with `subject_busy` while one of their payments has not ended, or a
/// mandate is in force. May be repeated; with `next` in the reply, send it as `before` to go on.
#[utoipa::path(
    post,
    path = "/api/v1/data_subjects/erase",
    tag = "Access",
    operation_id = "erase_data_subject",
    request_body = SubjectSchema,
    responses((status = 200, body = Value, description = "What was masked and removed."), AlterProblems),
    security(("api_key" = []))
)]
pub(crate) async fn erase_subject(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let (subject, before) = read(&state, request).await?;
    let engine = state.engine();
    let by = caller.by(engine.now_ms());
    let places = (engine.store().as_ref(), engine.vault().as_ref());
    let done = forget(places, caller.id(), (&subject, before), by).await.map_err(|error| match error {
        SubjectError::Busy { .. } => Problem::new(&codes::SUBJECT_BUSY).because(error.to_string()),
        SubjectError::Vault(error) => cards::refusal(error),
        SubjectError::Commit(error) => EngineError::from(error).into(),
        SubjectError::Store(error) => error.into(),
    })?;
    reply::json(StatusCode::OK, &forgotten_json(&done))
}

/// What was done, as it is told.
#[must_use]
pub fn forgotten_json(done: &Forgotten) -> Value {
    json!({
        "object": "data_subject_erasure",
        "payments": done.payments,
        "saved_cards": done.saved_cards,
        "passkeys": done.passkeys,
        "checkout_sessions": done.checkouts,
        "replies": done.replies,
        "next": done.next.map(|id| id.to_string()),
    })
}

/// A page of all that is known of a person, and how many payments it has.
///
/// # Errors
/// A store's fault.
pub async fn export_page(
    store: &dyn Store,
    merchant_id: MerchantId,
    subject: &Subject,
    before: Option<PaymentId>,
) -> Result<(Value, usize), StoreError> {
    let found = payments_of(store, merchant_id, subject, (before, PAGE)).await?;
    let mut payments: Vec<Value> = Vec::with_capacity(found.payments.len());
    for payment in &found.payments {
        let text = whole(store, payment).await?;
        payments.push(serde_json::from_str(&text).map_err(|_| StoreError::Corrupt("payment"))?);
    }
    let mut page = json!({
        "object": "data_subject_export",
        "payments": payments,
        "next": found.next.map(|id| id.to_string()),
    });
    if before.is_none()
        && let Some(members) = page.as_object_mut()
    {
        let sessions = store.checkouts_of(merchant_id, subject.clone()).await?;
        let sessions: Vec<Value> = sessions
            .iter()
            .map(|session| {
                json!({
                    "id": session.id.to_string(),
                    "customer": {
                        "user_id": session.customer.user_id, "name": session.customer.name,
                        "email": session.customer.email, "phone": session.customer.phone,
                    },
                    "description": session.description,
                    "created_at_ms": session.created_at_ms,
                })
            })
            .collect();
        members.insert("checkout_sessions".to_owned(), sessions.into());
        if let Some(user_id) = &subject.user_id {
            let cards = store.saved_cards(merchant_id, user_id).await?;
            let cards: Vec<Value> = cards
                .iter()
                .map(|card| {
                    let mut id = "tok_".to_owned();
                    base62::encode_into(u128::from_be_bytes(card.token), &mut id);
                    json!({
                        "id": id, "brand": card.summary.brand, "bin": card.summary.bin,
                        "last4": card.summary.last4, "exp_month": card.summary.exp_month,
                        "exp_year": card.summary.exp_year, "created_at_ms": card.created_at_ms,
                        "consent": {
                            "given_at_ms": card.consent.given_at_ms, "ip": card.consent.ip,
                            "terms": card.consent.terms,
                        },
                    })
                })
                .collect();
            members.insert("saved_cards".to_owned(), cards.into());
            let passkeys = store.passkeys(merchant_id, user_id).await?;
            let passkeys: Vec<Value> = passkeys
                .iter()
                .map(|one| json!({"id": one.id.to_string(), "created_at_ms": one.created_at_ms}))
                .collect();
            members.insert("passkeys".to_owned(), passkeys.into());
        }
    }
    Ok((page, found.payments.len()))
}

async fn read(state: &AppState, request: Request) -> Result<(Subject, Option<PaymentId>), Problem> {
    let (parts, incoming) = request.into_parts();
    Params::parse(parts.uri.query(), &[])?;
    body::require_json(&parts.headers)?;
    let bytes = body::read(&parts.headers, incoming, body::BODY_BYTES_MAX, state.body_timeout()).await?;
    let body: SubjectBody = body::parse(&bytes)?;
    let text = |name: &'static str, text: Option<String>| match text {
        Some(text) if text.trim().is_empty() || text.chars().count() > TEXT_CHARS_MAX => {
            Err(Problem::field(format!("/{name}"), "must have 1 to 255 characters"))
        }
        text => Ok(text),
    };
    let subject = Subject {
        user_id: text("user_id", body.user_id)?,
        email: text("email", body.email)?,
        phone: text("phone", body.phone)?,
        vpa: text("vpa", body.vpa)?,
        device_id: text("device_id", body.device_id)?,
    };
    if subject.is_empty() {
        return Err(Problem::new(&codes::INVALID_FIELD).because("names nobody"));
    }
    let before =
        body.before.map(|text| text.parse().map_err(|_| Problem::field("/before", "must be a payment's id")));
    Ok((subject, before.transpose()?))
}
