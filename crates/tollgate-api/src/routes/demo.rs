//! `/demo`: a shop of `tollgate dev`, to try the payment pages with.

use crate::body;
use crate::codes;
use crate::pages::demo::{self, GOODS};
use crate::pages::html::see_other;
use crate::pages::outcome;
use crate::problem::Problem;
use crate::query::Params;
use crate::state::AppState;
use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use http::StatusCode;
use tollgate_core::checkout::{CheckoutCustomer, OPEN_MS_DEFAULT};
use tollgate_core::id::{MerchantId, PaymentId};
use tollgate_engine::checkout::NewCheckout;

/// The shop.
pub(crate) async fn shop(State(state): State<AppState>) -> Result<Response, Problem> {
    merchant_id(&state)?;
    Ok(demo::shop().reply(StatusCode::OK))
}

/// Opens a payment page for a good and goes to it.
pub(crate) async fn pay(State(state): State<AppState>, request: Request) -> Result<Response, Problem> {
    let merchant_id = merchant_id(&state)?;
    let (parts, incoming) = request.into_parts();
    let bytes = body::read(&parts.headers, incoming, 1_024, state.body_timeout()).await?;
    let chosen = form_urlencoded::parse(&bytes).find(|(name, _)| name == "good").map(|(_, value)| value);
    let good = GOODS.into_iter().find(|good| chosen.as_deref() == Some(good.code));
    let Some(good) = good else {
        return Ok(see_other("/demo"));
    };
    let engine = state.engine();
    let merchant = engine.store().merchant(merchant_id).await?.ok_or_else(missing)?;
    let new = NewCheckout {
        amount: good.price,
        methods: Vec::new(),
        customer: CheckoutCustomer {
            user_id: Some("demo-customer".to_owned()),
            name: Some("Asha Rao".to_owned()),
            email: Some("asha@example.com".to_owned()),
            phone: Some("+919876543210".to_owned()),
        },
        description: Some(good.name.to_owned()),
        statement_descriptor: None,
        return_url: Some(format!("{}/demo/receipt", engine.public_url())),
        cancel_url: Some(format!("{}/demo", engine.public_url())),
        metadata: vec![("good".to_owned(), good.code.to_owned())],
        mandate: None,
        open_ms: OPEN_MS_DEFAULT,
    };
    let session = engine.open_checkout(&merchant, new).await?;
    Ok(see_other(&format!("/checkout/{}", session.token().expose())))
}

/// What the shop shows after paying. It reads the payment: the query proves nothing.
pub(crate) async fn receipt(
    State(state): State<AppState>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let merchant_id = merchant_id(&state)?;
    let params = Params::parse(query.as_deref(), &["payment_id", "status"])?;
    let id = params.text("payment_id").and_then(|id| id.parse::<PaymentId>().ok());
    let payment = match id {
        Some(id) => state.engine().store().payment_view(merchant_id, id).await?,
        None => None,
    };
    Ok(match payment {
        Some(payment) => demo::receipt(&payment).reply(StatusCode::OK),
        None => outcome::says("There is no such receipt", "The address is not complete or not right.")
            .reply(StatusCode::NOT_FOUND),
    })
}

fn missing() -> Problem {
    Problem::new(&codes::NOT_FOUND)
}

/// The shop's account; nobody has a demo shop but `tollgate dev`.
fn merchant_id(state: &AppState) -> Result<MerchantId, Problem> {
    state.demo().ok_or_else(missing)
}
