//! `POST /vault/cards`: where card numbers are sent to by browsers, and by servers that must not hold them.
//!
//! The request needs no API key but a card session ([`CardSession`]), which is for one merchant and a short
//! time. The reply is a token for one payment. The card itself goes into the vault's memory; the request's
//! bytes are wiped. With the vault as a process of its own, that process serves this and nothing else.

mod shelf;

use crate::body;
use crate::codes;
use crate::finish;
use crate::input::{CardBody, VaultBody};
use crate::problem::Problem;
use crate::reply;
use crate::routes::cards;
use crate::validate;
use crate::views::text::Shown;
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::post;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE,
};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use shelf::CardShelf;
use std::sync::Arc;
use std::time::Duration;
use tollgate_core::card::{CardBrand, Secret};
use tollgate_engine::clock::Clock;
use tollgate_vault::{CardSession, CardToken, CardVault};
use tower_http::catch_panic::CatchPanicLayer;

/// Where the card port is on its server.
pub const PATH: &str = "/vault/cards";

/// Most bytes of a card.
const BODY_BYTES_MAX: usize = 2 * 1024;

/// Takes cards into a vault.
#[derive(Debug)]
pub struct CardPort {
    vault: Arc<dyn CardVault>,
    secret: Secret,
    clock: Clock,
    body_timeout: Duration,
    shelf: CardShelf,
}

/// A card that was taken.
#[derive(Debug, Serialize)]
struct Taken {
    token: Shown<CardToken>,
    brand: CardBrand,
    last4: String,
    exp_month: u8,
    exp_year: u16,
}

impl CardPort {
    /// A port into `vault`, for the sessions signed with `secret`.
    #[must_use]
    pub fn new(vault: Arc<dyn CardVault>, secret: Secret, clock: Clock, body_timeout: Duration) -> Self {
        Self { vault, secret, clock, body_timeout, shelf: CardShelf::default() }
    }

    async fn take(&self, bytes: &[u8]) -> Result<Taken, Problem> {
        let body: VaultBody<'_> = body::parse(bytes)?;
        let now_ms = self.clock.now_ms();
        let session = body.session.ok_or_else(|| Problem::field("/session", "is required"))?;
        let session = CardSession::verify(&self.secret, session.as_str(), now_ms)
            .map_err(|_| Problem::field("/session", "is no card session, or its time is over"))?;
        if body.cvc.is_none() {
            return Err(Problem::field("/cvc", "is required"));
        }
        let card = CardBody {
            number: body.number,
            exp_month: body.exp_month,
            exp_year: body.exp_year,
            cvc: body.cvc,
            name: body.name,
            network_token: None,
            token: None,
        };
        let card = validate::method::card(card, now_ms).map_err(as_sent)?;
        let held = self.vault.hold(session.merchant_id, card, now_ms).await.map_err(cards::refusal)?;
        match self.shelf.put(session, held.token, now_ms) {
            Ok(replaced) => {
                if let Some(replaced) = replaced {
                    self.vault.release(session.merchant_id, replaced, None).await;
                }
            }
            Err(_full) => {
                self.vault.release(session.merchant_id, held.token, None).await;
                return Err(Problem::new(&codes::OVERLOADED).retry_after_s(1));
            }
        }
        Ok(Taken {
            token: Shown(held.token),
            brand: held.summary.brand,
            last4: held.summary.last4,
            exp_month: held.summary.exp_month,
            exp_year: held.summary.exp_year,
        })
    }
}

/// The port's one route. Pages of every origin may call it: who may is told by the session, not by a
/// cookie.
pub(crate) fn route<S: Clone + Send + Sync + 'static>(port: Arc<CardPort>) -> Router<S> {
    Router::new().route(PATH, post(take_card).options(preflight)).with_state(port)
}

/// The port as a server of its own.
pub fn app(port: Arc<CardPort>) -> Router {
    route(port)
        .method_not_allowed_fallback(finish::method_not_allowed)
        .fallback(finish::not_found)
        .layer(CatchPanicLayer::custom(finish::panicked))
        .layer(from_fn(finish::plainly))
}

async fn preflight() -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    opened(response)
}

async fn take_card(State(port): State<Arc<CardPort>>, request: Request) -> Response {
    use axum::response::IntoResponse;
    let said = taken(&port, request).await;
    opened(said.into_response())
}

async fn taken(port: &CardPort, request: Request) -> Result<Response, Problem> {
    let (parts, incoming) = request.into_parts();
    // No form can send this type.
    body::require_json(&parts.headers)?;
    let bytes = body::read(&parts.headers, incoming, BODY_BYTES_MAX, port.body_timeout).await?;
    let taken = port.take(&bytes).await;
    body::wipe(bytes);
    reply::json(StatusCode::OK, &taken?)
}

fn opened(mut response: Response) -> Response {
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// A problem with a card that stands alone in its body.
fn as_sent(problem: Problem) -> Problem {
    let own = problem.field_name().and_then(|pointer| pointer.strip_prefix("/payment_method/card"));
    match own.map(str::to_owned) {
        Some(pointer) => problem.at(pointer),
        None => problem,
    }
}
