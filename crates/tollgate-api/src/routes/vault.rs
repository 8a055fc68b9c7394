//! `POST /vault/cards`: where the browser sends a card's digits, and nothing else does.
//!
//! The reply is a token that is good once, for one minute, in the session it was made for. The card itself
//! goes into the vault's memory; the request's bytes are wiped.

use super::cards;
use crate::body;
use crate::codes;
use crate::input::{CardBody, VaultBody};
use crate::problem::Problem;
use crate::reply;
use crate::shelf::Shelved;
use crate::state::AppState;
use crate::validate;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use tollgate_core::checkout::CheckoutStatus;
use tollgate_core::method::MethodFamily;
use tollgate_engine::desk::CardInHand;

/// Most bytes of a card.
const BODY_BYTES_MAX: usize = 2 * 1024;

#[derive(Debug, Serialize)]
struct CardKept {
    token: String,
}

pub(crate) async fn keep_card(State(state): State<AppState>, request: Request) -> Result<Response, Problem> {
    let (parts, incoming) = request.into_parts();
    // No form can send this type, and no other site's script may: it would have to ask first.
    body::require_json(&parts.headers)?;
    let bytes = body::read(&parts.headers, incoming, BODY_BYTES_MAX, state.body_timeout()).await?;
    let kept = keep(&state, &bytes).await;
    body::wipe(bytes);
    let token = kept?;
    reply::json(StatusCode::OK, &CardKept { token })
}

async fn keep(state: &AppState, bytes: &[u8]) -> Result<String, Problem> {
    let body: VaultBody<'_> = body::parse(bytes)?;
    let engine = state.engine();
    let required = |pointer: &'static str| move || Problem::field(pointer, "is required");
    let session = body.session.ok_or_else(required("/session"))?;
    let open = match session.as_str().parse() {
        Ok(token) => engine.checkout_at(token).await?,
        Err(_) => None,
    };
    let open = open.filter(|open| open.state.status == CheckoutStatus::Open);
    let open = open.ok_or_else(|| Problem::field("/session", "is no payment page that is open"))?;
    let offers = engine.checkout_offers(&open.merchant, &open.session);
    if !offers.iter().any(|offer| matches!(offer.family, MethodFamily::Card | MethodFamily::Emi)) {
        return Err(Problem::new(&codes::NO_PROCESSOR));
    }
    if body.cvc.is_none() {
        return Err(required("/cvc")());
    }
    let card = CardBody {
        number: body.number,
        exp_month: body.exp_month,
        exp_year: body.exp_year,
        cvc: body.cvc,
        name: body.name,
        network_token: None,
    };
    let now_ms = engine.now_ms();
    let card = validate::method::card(card, now_ms).map_err(as_sent)?;
    let merchant_id = open.merchant.id;
    let held = engine.vault().hold(merchant_id, card, now_ms).await.map_err(cards::refusal)?;
    let card = CardInHand { token: held.token, cvc: None, fingerprint: held.fingerprint };
    match state.cards().put(open.session.id, Shelved { card, summary: held.summary }, now_ms) {
        Ok((token, replaced)) => {
            if let Some(replaced) = replaced {
                engine.vault().release(merchant_id, replaced.token, None).await;
            }
            Ok(token)
        }
        Err(_full) => {
            engine.vault().release(merchant_id, card.token, None).await;
            Err(Problem::new(&codes::OVERLOADED).retry_after_s(1))
        }
    }
}

/// A problem with a card that stands alone in its body.
fn as_sent(problem: Problem) -> Problem {
    let own = problem.field_name().and_then(|pointer| pointer.strip_prefix("/payment_method/card"));
    match own.map(str::to_owned) {
        Some(pointer) => problem.at(pointer),
        None => problem,
    }
}
