//! `/checkout/{session}`: the customer's side of a session. The address is what proves the right to it.

use crate::body;
use crate::codes;
use crate::pages::choose::{self, Choices, Notice};
use crate::pages::html::see_other;
use crate::pages::waiting::{self, Arrival};
use crate::pages::{live, outcome};
use crate::problem::Problem;
use crate::render;
use crate::routes::bnpl::today;
use crate::routes::card_sessions;
use crate::server::Activity;
use crate::state::AppState;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::Response;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tollgate_core::checkout::CheckoutStatus;
use tollgate_core::method::{InstrumentSummary, MethodFamily, MethodKind, UpiFlow, is_vpa};
use tollgate_core::transition::PaymentStatus;
use tollgate_engine::EngineError;
use tollgate_engine::checkout::{Checkout, CheckoutChoice};
use tollgate_engine::desk::CardInHand;
use tollgate_engine::flow::Answer;
use tollgate_engine::offers::Offer;
use tollgate_engine::request::NewInstrument;
use tollgate_vault::{CardOnFile, VaultError};

/// Most bytes of what a customer chose.
const BODY_BYTES_MAX: usize = 4 * 1024;

/// What a customer chose, as a form or as JSON.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Chosen {
    method: String,
    provider: String,
    vpa: String,
    token: String,
    plan: String,
}

/// The page as it stands.
pub(crate) async fn show(
    State(state): State<AppState>,
    Path(token): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Some(open) = find(&state, &token).await? else {
        return Ok(nothing());
    };
    let arrival = match query.as_deref() {
        Some("chosen") => Arrival::Chosen,
        Some("busy") => Arrival::Busy,
        _ => Arrival::Plain,
    };
    Ok(page(&state, &open, &headers, arrival, None))
}

/// Begins a payment.
pub(crate) async fn pay(
    State(state): State<AppState>,
    Path(token): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, incoming) = request.into_parts();
    let bytes = body::read(&parts.headers, incoming, BODY_BYTES_MAX, state.body_timeout()).await?;
    let Some(open) = find(&state, &token).await? else {
        return Ok(nothing());
    };
    let shown_at = path(&open);
    match open.state.status {
        CheckoutStatus::Open => {}
        CheckoutStatus::Processing => return Ok(see_other(&format!("{shown_at}?busy"))),
        CheckoutStatus::Paid | CheckoutStatus::Expired => return Ok(see_other(&shown_at)),
    }
    let chosen = read(&parts.headers, &bytes);
    let refused = |notice| page(&state, &open, &parts.headers, Arrival::Plain, Some(notice));
    let Some(chosen) = chosen else {
        return Ok(refused(Notice::NotUnderstood));
    };
    let engine = state.engine();
    let offers = engine.checkout_offers(&open.merchant, &open.session);
    let (method, instrument) = match instrument(&state, &open, &offers, &chosen).await {
        Ok(found) => found,
        Err(notice) => return Ok(refused(notice)),
    };
    let card = instrument.card;
    let choice = CheckoutChoice {
        method,
        instrument,
        user_agent: user_agent(&parts.headers).map(str::to_owned),
        ip: state.client_address().of(&parts.headers, &parts.extensions).map(|ip| ip.to_string()),
        fingerprint: fingerprint(&chosen),
    };
    let said = engine.pay_checkout(&open, choice, render::created).await;
    if let (Err(_) | Ok(Answer { replayed: true, .. }), Some(card)) = (&said, card) {
        // What was refused before its charge has left the card in the vault.
        engine.vault().release(open.merchant.id, card.token, card.proof).await;
    }
    Ok(match said {
        Ok(_) => see_other(&format!("{shown_at}?chosen")),
        Err(EngineError::KeyMismatch | EngineError::KeyInFlight) => see_other(&format!("{shown_at}?busy")),
        Err(EngineError::Overloaded) => refused(Notice::Busy),
        Err(EngineError::NoProcessor | EngineError::CollectDiscontinued) => refused(Notice::NotOffered),
        Err(EngineError::MerchantSuspended) => {
            outcome::says("This shop takes no payments right now", "No money was taken. Please ask the shop.")
                .reply(StatusCode::FORBIDDEN)
        }
        Err(error) => return Err(error.into()),
    })
}

/// Ends the payment that waits for the customer, so that another way can be chosen.
pub(crate) async fn cancel(
    State(state): State<AppState>,
    Path(token): Path<String>,
) -> Result<Response, Problem> {
    let Some(open) = find(&state, &token).await? else {
        return Ok(nothing());
    };
    let waits = open.payment().filter(|payment| payment.status == PaymentStatus::RequiresAction);
    if let Some(payment) = waits {
        let engine = state.engine();
        match engine.cancel(payment.merchant_id, payment.id, None, render::cancelled).await {
            // It went on in between: the page shows where to.
            Ok(_) | Err(EngineError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(see_other(&path(&open)))
}

/// The live state.
pub(crate) async fn events(
    State(state): State<AppState>,
    Path(token): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let open = find(&state, &token).await?.ok_or_else(|| Problem::new(&codes::NOT_FOUND))?;
    // The server counts the connection as in use for as long as this lives.
    let held = request.extensions().get::<Activity>().map(Activity::hold);
    live::stream(&state, open.session.id, held)
}

/// The session of an address; none if the secret is wrong.
async fn find(state: &AppState, token: &str) -> Result<Option<Checkout>, Problem> {
    match token.parse() {
        Ok(token) => Ok(state.engine().checkout_at(token).await?),
        Err(_) => Ok(None),
    }
}

/// Where a session's page is.
pub(crate) fn path(open: &Checkout) -> String {
    format!("/checkout/{}", open.session.token().expose())
}

fn nothing() -> Response {
    outcome::says(
        "There is no such payment page",
        "The address is not complete or not right. Please go back to the shop and begin again.",
    )
    .reply(StatusCode::NOT_FOUND)
}

fn page(
    state: &AppState,
    open: &Checkout,
    headers: &HeaderMap,
    arrival: Arrival,
    notice: Option<Notice>,
) -> Response {
    let payment = open.payment();
    match (open.state.status, payment) {
        (CheckoutStatus::Processing, Some(payment)) => {
            waiting::page(open, payment, arrival).reply(StatusCode::OK)
        }
        (CheckoutStatus::Paid, Some(payment)) => outcome::paid(open, payment).reply(StatusCode::OK),
        (CheckoutStatus::Expired, _) => outcome::expired(open).reply(StatusCode::GONE),
        _ => {
            let engine = state.engine();
            let choices = Choices {
                offers: &engine.checkout_offers(&open.merchant, &open.session),
                user_agent: user_agent(headers),
                notice,
                today: today(engine.now_ms()),
                card_session: &state.card_session(
                    open.merchant.id,
                    engine.now_ms().saturating_add(card_sessions::SESSION_MS).min(open.session.expires_at_ms),
                ),
                card_url: state.card_url(),
            };
            let status = match notice {
                None => StatusCode::OK,
                Some(Notice::Busy) => StatusCode::SERVICE_UNAVAILABLE,
                Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
            };
            choose::page(open, &choices).reply(status)
        }
    }
}

fn user_agent(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(USER_AGENT)?.to_str().ok()?;
    // As much of it as a payment may carry.
    Some(text.get(..text.len().min(crate::validate::DESCRIPTION_CHARS_MAX)).unwrap_or(text))
}

fn read(headers: &HeaderMap, bytes: &[u8]) -> Option<Chosen> {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if media.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
    {
        return body::parse(bytes).ok();
    }
    let mut chosen = Chosen::default();
    for (name, value) in form_urlencoded::parse(bytes) {
        let field = match name.as_ref() {
            "method" => &mut chosen.method,
            "provider" => &mut chosen.provider,
            "vpa" => &mut chosen.vpa,
            "token" => &mut chosen.token,
            "plan" => &mut chosen.plan,
            _ => return None,
        };
        value.trim().clone_into(field);
    }
    Some(chosen)
}

/// A digest of what was chosen: the same choice twice is one payment.
fn fingerprint(chosen: &Chosen) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in [&chosen.method, &chosen.provider, &chosen.vpa, &chosen.token, &chosen.plan] {
        digest.update(part);
        digest.update(b"\n");
    }
    digest.finalize().into()
}

async fn instrument(
    state: &AppState,
    open: &Checkout,
    offers: &[Offer],
    chosen: &Chosen,
) -> Result<(MethodKind, NewInstrument), Notice> {
    let family = MethodFamily::ALL.into_iter().find(|family| family.as_str() == chosen.method);
    let family = family.ok_or(Notice::NotUnderstood)?;
    let offer = offers.iter().find(|offer| offer.family == family).ok_or(Notice::NotOffered)?;
    let provider = || {
        let known = offer.providers.iter().find(|entry| entry.code == chosen.provider);
        known.map(|entry| entry.code.to_owned()).ok_or(Notice::NotUnderstood)
    };
    let plain = |kind, summary| Ok((kind, NewInstrument { summary, card: None }));
    let upi = |kind, flow| plain(kind, InstrumentSummary::Upi { flow, vpa: None });
    match family {
        MethodFamily::UpiIntent => upi(MethodKind::Upi, UpiFlow::Intent),
        MethodFamily::UpiQr => upi(MethodKind::Qr, UpiFlow::Qr),
        MethodFamily::UpiCollect if is_vpa(&chosen.vpa) => plain(
            MethodKind::Upi,
            InstrumentSummary::Upi { flow: UpiFlow::Collect, vpa: Some(chosen.vpa.clone()) },
        ),
        MethodFamily::UpiCollect => Err(Notice::NotUnderstood),
        MethodFamily::UpiAutopay => Err(Notice::NotOffered),
        MethodFamily::Wallet => {
            plain(MethodKind::Wallet, InstrumentSummary::Wallet { provider: provider()? })
        }
        MethodFamily::NetBanking => {
            plain(MethodKind::NetBanking, InstrumentSummary::NetBanking { bank: provider()? })
        }
        MethodFamily::Bnpl => {
            let plans = choose::bnpl_plans(&open.session, offer, today(state.engine().now_ms()));
            let wanted = plans.into_iter().find(|plan| {
                chosen.plan.split_once(':') == Some((plan.provider.as_str(), plan.kind.as_str()))
            });
            plain(MethodKind::Bnpl, InstrumentSummary::Bnpl { plan: wanted.ok_or(Notice::NotUnderstood)? })
        }
        MethodFamily::Card => {
            let CardOnFile { summary, token, fingerprint, .. } = card(state, open, chosen).await?;
            let card = CardInHand { token, proof: None, fingerprint };
            let instrument = NewInstrument { summary: InstrumentSummary::Card(summary), card: Some(card) };
            Ok((MethodKind::Card, instrument))
        }
        MethodFamily::Emi => {
            let wanted = choose::emi_plans(&open.session, offer).into_iter().find(|plan| {
                chosen.plan.split_once(':').is_some_and(|(bank, months)| {
                    bank == plan.bank && months.parse() == Ok(plan.tenure_months)
                })
            });
            let plan = wanted.ok_or(Notice::NotUnderstood)?;
            let CardOnFile { summary, token, fingerprint, .. } = card(state, open, chosen).await?;
            let card = CardInHand { token, proof: None, fingerprint };
            let summary = InstrumentSummary::Emi { card: summary, plan };
            Ok((MethodKind::Emi, NewInstrument { summary, card: Some(card) }))
        }
    }
}

/// The card that this page has just put into the vault. Cards on file are not for payment pages: whoever
/// has the page's address could use them.
async fn card(state: &AppState, open: &Checkout, chosen: &Chosen) -> Result<CardOnFile, Notice> {
    let token = chosen.token.parse().map_err(|_| Notice::CardGone)?;
    let engine = state.engine();
    match engine.vault().describe(open.merchant.id, token, engine.now_ms()).await {
        Ok(found) if !found.stored => Ok(found),
        Ok(_) | Err(VaultError::NotFound) => Err(Notice::CardGone),
        Err(_) => Err(Notice::Busy),
    }
}
