//! `/api/v1/payment_methods`: cards that customers let the merchant use again.

use super::cards;
use crate::auth::Caller;
use crate::body;
use crate::codes;
use crate::input::methods::PaymentMethodBody;
use crate::problem::{AskProblems, Problem, QueryProblems};
use crate::query::Params;
use crate::reply;
use crate::schemas::methods::PaymentMethodSchema;
use crate::state::AppState;
use crate::validate::{self, methods::NewSavedCard};
use crate::views::text::{At, Shown};
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use tollgate_core::card::CardBrand;
use tollgate_core::saved_card::SavedCard;
use tollgate_engine::EngineError;
use tollgate_store::commit::Admin;
use tollgate_vault::{CardToken, Fingerprint, Owner, VaultError};
use utoipa::ToSchema;

/// Most cards of one customer.
const CARDS_MAX: usize = 50;

/// A card on file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PaymentMethod)]
pub(crate) struct PaymentMethodView {
    /// Its id: what to send as `payment_method.card.token`.
    #[schema(value_type = String, pattern = "^tok_[0-9A-Za-z]{22}$")]
    id: Shown<CardToken>,
    /// Always `payment_method`.
    #[schema(value_type = String, example = "payment_method")]
    object: &'static str,
    /// Always `card`.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "card")]
    kind: &'static str,
    /// Your id of the customer.
    user_id: String,
    /// What may be shown of it.
    card: SavedCardView,
    /// The holder's consent.
    consent: ConsentView,
    /// When it was saved.
    #[schema(value_type = String, format = DateTime)]
    created_at: At,
}

/// What may be shown of a card on file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SavedCard)]
pub(crate) struct SavedCardView {
    /// The network.
    #[schema(value_type = String, example = "visa")]
    brand: CardBrand,
    /// First six digits.
    #[schema(example = "411111")]
    bin: String,
    /// Last four digits.
    #[schema(example = "1111")]
    last4: String,
    /// The last month it is good in.
    exp_month: u8,
    /// The year of that month.
    exp_year: u16,
    /// Whether it is a network token, not the card's own number.
    network_token: bool,
    /// The same for the same number.
    #[schema(value_type = String, pattern = "^fp_[0-9A-Za-z]{22}$")]
    fingerprint: Shown<Fingerprint>,
}

/// A holder's consent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Consent)]
pub(crate) struct ConsentView {
    /// When it was given.
    #[schema(value_type = String, format = DateTime)]
    given_at: At,
    /// From which address.
    ip: Option<String>,
    /// To which text.
    terms: String,
}

/// A customer's cards on file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PaymentMethodList)]
pub(crate) struct PaymentMethodsView {
    /// The cards.
    data: Vec<PaymentMethodView>,
}

impl PaymentMethodView {
    fn new(saved: SavedCard) -> Self {
        let card = saved.summary;
        Self {
            id: Shown(CardToken::from_bytes(saved.token)),
            object: "payment_method",
            kind: "card",
            user_id: saved.user_id,
            card: SavedCardView {
                brand: card.brand,
                bin: card.bin,
                last4: card.last4,
                exp_month: card.exp_month,
                exp_year: card.exp_year,
                network_token: card.network_token,
                fingerprint: Shown(Fingerprint::from_bytes(saved.fingerprint)),
            },
            consent: ConsentView {
                given_at: At(saved.consent.given_at_ms),
                ip: saved.consent.ip,
                terms: saved.consent.terms,
            },
            created_at: At(saved.created_at_ms),
        }
    }
}

/// Save a card
///
/// Stores a card in the vault, with its holder's consent, to be used for many payments. The same card saved again keeps its
/// id. Accounts in India can save network tokens alone: card numbers may not be stored there (RBI, card-on-file
/// tokenisation).
#[utoipa::path(
    post,
    path = "/api/v1/payment_methods",
    tag = "Cards",
    operation_id = "create_payment_method",
    request_body = PaymentMethodSchema,
    responses((status = 201, body = PaymentMethodView, description = "The card on file."), AskProblems),
    security(("api_key" = []))
)]
pub(crate) async fn create_payment_method(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, incoming) = request.into_parts();
    body::require_json(&parts.headers)?;
    let bytes = body::read(&parts.headers, incoming, body::BODY_BYTES_MAX, state.body_timeout()).await?;
    let now_ms = state.engine().now_ms();
    let read = body::parse::<PaymentMethodBody<'_>>(&bytes);
    let read = read.and_then(|body| validate::methods::payment_method(body, now_ms));
    body::wipe(bytes);
    let saved = save(&state, &caller, read?, now_ms).await?;
    reply::json(StatusCode::CREATED, &PaymentMethodView::new(saved))
}

async fn save(
    state: &AppState,
    caller: &Caller,
    new: NewSavedCard,
    now_ms: u64,
) -> Result<SavedCard, Problem> {
    let store = state.engine().store();
    let known = store.saved_cards(caller.id(), &new.user_id).await?;
    let presented = cards::present(state, caller.id(), new.card).await.map_err(|problem| {
        let own = problem.field_name().and_then(|pointer| pointer.strip_prefix("/payment_method"));
        let own = own.map(str::to_owned);
        match own {
            Some(pointer) => problem.at(pointer),
            None => problem,
        }
    })?;
    let said = async {
        if caller.merchant.country.as_deref() == Some("IN") && !presented.summary.network_token {
            return Err(Problem::new(&codes::CARD_STORAGE_FORBIDDEN).at("/card"));
        }
        if known.len() >= CARDS_MAX {
            return Err(Problem::field("/user_id", "has as many cards as a customer may have"));
        }
        let vault = state.engine().vault();
        let stored = vault.store(caller.id(), Owner::of(&new.user_id), presented.card.token, now_ms).await;
        let stored = stored.map_err(|error| match error {
            VaultError::NotFound => cards::refusal(error).at("/card/token"),
            error => cards::refusal(error),
        })?;
        let saved = SavedCard {
            token: stored.token.to_bytes(),
            merchant_id: caller.id(),
            user_id: new.user_id,
            summary: stored.summary,
            fingerprint: stored.fingerprint.to_bytes(),
            consent: new.consent,
            created_at_ms: now_ms,
        };
        let put = Admin::PutSavedCard(Box::new(saved.clone()));
        store.administer(put, caller.by(now_ms)).await.map_err(EngineError::from)?;
        Ok(saved)
    }
    .await;
    presented.forget(state, caller.id()).await;
    said
}

/// List a customer's cards on file
#[utoipa::path(
    get,
    path = "/api/v1/payment_methods",
    tag = "Cards",
    operation_id = "list_payment_methods",
    params(("user_id" = String, Query, min_length = 1, max_length = 128, description = "Your id of the customer.",
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")),
    responses((status = 200, body = PaymentMethodsView, description = "The cards."), AskProblems),
    security(("api_key" = []))
)]
pub(crate) async fn list_payment_methods(
    State(state): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let params = Params::parse(query.as_deref(), &["user_id"])?;
    let user_id = params.text("user_id").ok_or_else(|| Problem::parameter("user_id", "is required"))?;
    if !validate::is_user_id(user_id) {
        return Err(Problem::parameter("user_id", "must be 1 to 128 characters of text"));
    }
    let saved = state.engine().store().saved_cards(caller.id(), user_id).await?;
    let data = saved.into_iter().map(PaymentMethodView::new).collect();
    reply::json(StatusCode::OK, &PaymentMethodsView { data })
}

/// Read a card on file
#[utoipa::path(
    get,
    path = "/api/v1/payment_methods/{id}",
    tag = "Cards",
    operation_id = "get_payment_method",
    params(("id" = String, Path, description = "The card's id.")),
    responses((status = 200, body = PaymentMethodView, description = "The card on file."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get_payment_method(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let saved = find(&state, &caller, &id).await?;
    reply::json(StatusCode::OK, &PaymentMethodView::new(saved))
}

/// Delete a card on file
///
/// The card is removed from the vault: no payment can be made with it any more.
#[utoipa::path(
    delete,
    path = "/api/v1/payment_methods/{id}",
    tag = "Cards",
    operation_id = "delete_payment_method",
    params(("id" = String, Path, description = "The card's id.")),
    responses((status = 204, description = "It is gone."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn delete_payment_method(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let saved = find(&state, &caller, &id).await?;
    let engine = state.engine();
    // The number first: if the second step fails, deleting again ends it.
    match engine.vault().delete(caller.id(), CardToken::from_bytes(saved.token), engine.now_ms()).await {
        Ok(()) | Err(VaultError::NotFound | VaultError::Shredded) => {}
        Err(error) => return Err(cards::refusal(error)),
    }
    let remove = Admin::RemoveSavedCard { merchant_id: caller.id(), token: saved.token };
    engine.store().administer(remove, caller.by(engine.now_ms())).await.map_err(EngineError::from)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn find(state: &AppState, caller: &Caller, id: &str) -> Result<SavedCard, Problem> {
    let token: CardToken = id.parse().map_err(|_| Problem::new(&codes::NOT_FOUND))?;
    let saved = state.engine().store().saved_card(caller.id(), token.to_bytes()).await?;
    saved.ok_or_else(|| Problem::new(&codes::NOT_FOUND))
}
