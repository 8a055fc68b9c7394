//! `/pay/{merchant}/{payment}`: what the customer's browser must do for a payment, for as long as the
//! payment waits for it. An id of 52 random bits and a moment that nobody else knows is the right to it;
//! the page shows the amount and the way on, nothing else.

use crate::codes;
use crate::pages::html::see_other;
use crate::pages::{hand_over, outcome, waiting};
use crate::problem::Problem;
use crate::state::AppState;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use tollgate_core::payment::Payment;
use tollgate_core::transition::PaymentStatus;

/// Leads the browser on.
pub(crate) async fn show(
    State(state): State<AppState>,
    Path((merchant, payment)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let Some(payment) = find(&state, &merchant, &payment).await? else {
        return Ok(nothing());
    };
    match (payment.status, &payment.next_action) {
        (PaymentStatus::RequiresAction, Some(action)) => {
            let path = waiting::hand_over_path(payment.merchant_id, payment.id);
            Ok(hand_over::reply(&payment, action, &path))
        }
        _ => came_back(&state, &payment).await,
    }
}

/// The UPI link of a payment as a QR code.
pub(crate) async fn picture(
    State(state): State<AppState>,
    Path((merchant, payment, name)): Path<(String, String, String)>,
) -> Result<Response, Problem> {
    let missing = || Problem::new(&codes::NOT_FOUND);
    let payment = find(&state, &merchant, &payment).await?.ok_or_else(missing)?;
    if payment.status != PaymentStatus::RequiresAction {
        return Err(missing());
    }
    hand_over::picture(&payment, &name).ok_or_else(missing)
}

/// Where a browser goes whose payment does not wait for it any more.
pub(crate) async fn came_back(state: &AppState, payment: &Payment) -> Result<Response, Problem> {
    if let Some(id) = payment.terms.checkout
        && let Some(open) = state.engine().checkout(id).await?
        && open.session.merchant_id == payment.merchant_id
    {
        return Ok(see_other(&super::checkout_page::path(&open)));
    }
    Ok(match outcome::come_back(payment) {
        Some(url) => see_other(&url),
        None => outcome::of_payment(payment).reply(StatusCode::OK),
    })
}

async fn find(state: &AppState, merchant: &str, payment: &str) -> Result<Option<Payment>, Problem> {
    match (merchant.parse(), payment.parse()) {
        (Ok(merchant), Ok(payment)) => Ok(state.engine().store().payment_view(merchant, payment).await?),
        _ => Ok(None),
    }
}

fn nothing() -> Response {
    outcome::says("There is no such payment", "The address is not complete or not right.")
        .reply(StatusCode::NOT_FOUND)
}
