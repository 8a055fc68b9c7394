//! `/return/{processor}/{reference}`: where processors send the customer's browser back to.
//!
//! What the browser brings is believed only where the processor signed it; else the processor is asked.

use super::hand_over;
use crate::body;
use crate::pages::outcome;
use crate::problem::Problem;
use crate::state::AppState;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use tollgate_core::command::Refusal;
use tollgate_engine::{CallbackRequest, EngineError};

/// Most bytes of what a bank's page posts.
const BODY_BYTES_MAX: usize = 64 * 1024;

pub(crate) async fn receive(
    State(state): State<AppState>,
    Path((processor, reference)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, incoming) = request.into_parts();
    let bytes = body::read(&parts.headers, incoming, BODY_BYTES_MAX, state.body_timeout()).await?;
    let query = parts.uri.query().unwrap_or_default();
    let request = CallbackRequest { reference: &reference, query, body: &bytes };
    match state.engine().callback(&processor, &request).await {
        Ok(payment) => hand_over::came_back(&state, &payment).await,
        Err(EngineError::WebhookSignature | EngineError::WebhookMalformed) => {
            tracing::warn!(processor, "a browser came back with a message that is not the processor's");
            Ok(outcome::says(
                "This message was not accepted",
                "It does not come from the bank as it was sent, so nothing was changed by it. If you have paid, the \
                 payment is found without it. Please go back to the shop’s page.",
            )
            .reply(StatusCode::BAD_REQUEST))
        }
        Err(EngineError::UnknownProcessor | EngineError::Refused(Refusal::NotFound)) => Ok(outcome::says(
            "There is no such payment",
            "The address is not complete or not right. Please go back to the shop’s page.",
        )
        .reply(StatusCode::NOT_FOUND)),
        Err(error) => Err(error.into()),
    }
}
