//! `/api/v1/data_subjects/export` and `/erase`: what is known of a person, and forgetting one.

use crate::auth::Caller;
use crate::body;
use crate::codes;
use crate::problem::{AlterProblems, Problem};
use crate::query::Params;
use crate::reply;
use crate::routes::cards;
use crate::routes::jobs::shown;
use crate::routes::payment::whole;
use crate::schemas::partners::{EraseSchema, SubjectSchema};
use crate::state::AppState;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tollgate_core::base62;
use tollgate_core::checkout::CheckoutSession;
use tollgate_core::erasure::Subject;
use tollgate_core::id::MerchantId;
use tollgate_core::json;
use tollgate_engine::EngineError;
use tollgate_engine::subjects::{Cursor, Forgotten, SubjectError, find, forget, tell};
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
    #[serde(rename = "async")]
    is_async: Option<bool>,
}

/// Who it is about, where to go on, and whether a job is to do it.
struct Asked {
    subject: Subject,
    before: Option<Cursor>,
    is_async: Option<bool>,
}

/// Export a person's data
///
/// Who it is: one or more of `user_id`, `email`, `phone`, `vpa`, `device_id`. A page has at most 100 payments and 100 checkout
/// sessions; send `next` as `before` for the next one.
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
    let Asked { subject, before, is_async } = read(&state, request).await?;
    if is_async.is_some() {
        return Err(Problem::field("/async", "belongs to erasing"));
    }
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
/// amounts, references and the ledger stay. `customers_left` counts customers whose saved cards and passkeys stay, since they may be
/// another person's: name those by `user_id`. Their open checkout sessions end. Refused with `subject_busy` while one of their
/// payments has not ended, or a mandate is in force. May be repeated; with `next` in the reply, send it as `before` to go on.
/// With `"async": true` a job does all of it, and the reply is that job.
#[utoipa::path(
    post,
    path = "/api/v1/data_subjects/erase",
    tag = "Access",
    operation_id = "erase_data_subject",
    request_body = EraseSchema,
    responses(
        (status = 200, body = Value, description = "What was masked and removed."),
        (status = 202, body = Value, description = "The job that does it."),
        AlterProblems
    ),
    security(("api_key" = []))
)]
pub(crate) async fn erase_subject(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let Asked { subject, before, is_async } = read(&state, request).await?;
    let engine = state.engine();
    let by = caller.by(engine.now_ms());
    if is_async == Some(true) {
        let job = engine.erase_later(caller.id(), (&subject, before), by).await.map_err(refusal)?;
        return reply::json(StatusCode::ACCEPTED, &shown(&job));
    }
    let places = (engine.store().as_ref(), engine.vault().as_ref());
    let done = forget(places, caller.id(), (&subject, before), by).await.map_err(refusal)?;
    reply::json(StatusCode::OK, &forgotten_json(&done))
}

fn refusal(error: SubjectError) -> Problem {
    match error {
        SubjectError::Busy { .. } => Problem::new(&codes::SUBJECT_BUSY).because(error.to_string()),
        SubjectError::Vault(error) => cards::refusal(error),
        SubjectError::Commit(error) => EngineError::from(error).into(),
        SubjectError::Store(error) => error.into(),
    }
}

/// What was done, as it is told.
#[must_use]
pub fn forgotten_json(done: &Forgotten) -> Value {
    let mut view = counts(done);
    if let Some(members) = view.as_object_mut() {
        members.insert("object".to_owned(), "data_subject_erasure".into());
        members.insert("next".to_owned(), done.next.map(|next| next.to_string()).into());
    }
    view
}

/// How much was done.
pub(super) fn counts(done: &Forgotten) -> Value {
    json!({
        "payments": done.payments,
        "saved_cards": done.saved_cards,
        "passkeys": done.passkeys,
        "customers_left": done.customers_left,
        "checkout_sessions": done.checkouts,
        "replies": done.replies,
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
    before: Option<Cursor>,
) -> Result<(Value, usize), StoreError> {
    let found = find(store, merchant_id, subject, (before, PAGE, PAGE)).await?;
    let count = found.payments.len();
    let mut payments: Vec<Value> = Vec::with_capacity(count);
    for payment in found.payments {
        let text = whole(store, payment).await?;
        payments.push(json::read(&text).ok_or(StoreError::Corrupt("payment"))?);
    }
    let sessions: Vec<Value> = found.sessions.iter().map(session_json).collect();
    let mut page = json!({
        "object": "data_subject_export",
        "payments": payments,
        "checkout_sessions": sessions,
        "next": found.next.map(|next| next.to_string()),
    });
    if before.is_none()
        && let Some(members) = page.as_object_mut()
        && let Some(user_id) = &subject.user_id
    {
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
    Ok((page, count))
}

fn session_json(session: &CheckoutSession) -> Value {
    json!({
        "id": session.id.to_string(),
        "customer": {
            "user_id": session.customer.user_id, "name": session.customer.name,
            "email": session.customer.email, "phone": session.customer.phone,
        },
        "description": session.description,
        "created_at_ms": session.created_at_ms,
    })
}

async fn read(state: &AppState, request: Request) -> Result<Asked, Problem> {
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
    let rule = "must be a payment's id or a checkout session's";
    let before = body.before.map(|text| text.parse().map_err(|_| Problem::field("/before", rule)));
    Ok(Asked { subject, before: before.transpose()?, is_async: body.is_async })
}
