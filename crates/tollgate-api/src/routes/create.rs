//! `POST /api/v1/payments`: takes a payment.

use super::cards::{self, Presented};
use super::confirmations;
use super::submission::{self, Submission};
use crate::auth::Caller;
use crate::body;
use crate::deadline;
use crate::input::PaymentBody;
use crate::problem::{CreateProblems, Problem};
use crate::render;
use crate::reply;
use crate::schemas::NewPaymentSchema;
use crate::state::AppState;
use crate::validate::{self, CheckedPayment};
use crate::views::payment::PaymentView;
use axum::extract::{Request, State};
use axum::response::Response;
use std::time::Duration;
use tollgate_core::passkey::Passkey;
use tollgate_engine::flow::Answer;
use tollgate_engine::request::{IdempotencyKey, NewPayment};
use tollgate_store::commit::Upkeep;

/// Take a payment
///
/// Charges the customer, or reserves the amount with `capture_mode: manual`. A declined payment is a payment: it is
/// answered with 201 and `status: declined`. While nobody knows the outcome the reply is 202 and the status `pending` or
/// `processing`; read the payment again, or wait for its event. Send an `Idempotency-Key`: then a request can be repeated
/// after a lost connection without charging twice.
#[utoipa::path(
    post,
    path = "/api/v1/payments",
    tag = "Payments",
    operation_id = "create_payment",
    params(
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
            nullable = false,
            description = "A text of your choice. The same key with the same request gets the first reply again."),
        ("Tollgate-Timeout-Ms" = Option<u32>, Header, minimum = 100, maximum = 600000, nullable = false,
            description = "How long you wait for the reply, in milliseconds. No call to a processor and no pause between two \
                lasts longer; a payment whose outcome is not known by then is answered with 202 and settled later. The \
                service's own limit applies if it is shorter: see `routing.deadline_ms` of the payment.")
    ),
    request_body = NewPaymentSchema,
    responses(
        (status = 201, body = PaymentView, description = "The payment, settled, authorized, refused or waiting for its customer."),
        (status = 202, body = PaymentView, description = "The payment; its outcome is not known yet."),
        CreateProblems
    ),
    security(("api_key" = []))
)]
pub(crate) async fn create_payment(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let (time_max, reading) = opened(&state, request)?;
    let Submission { body, key } = reading.await?;
    let asked = match body::parse(&body).and_then(|asked| checked(&state, &caller, asked)) {
        Ok(checked) => presented(&state, &caller, checked, time_max).await,
        Err(problem) => Err(problem),
    };
    if asked.as_ref().is_ok_and(|asked| asked.presented.is_some()) {
        body::wipe(body);
    }
    take(&state, &caller, asked, key).await.map(reply::answered)
}

/// How long the caller waits, and what reads the request.
fn opened(
    state: &AppState,
    request: Request,
) -> Result<(Option<Duration>, impl Future<Output = Result<Submission, Problem>> + Send + use<>), Problem> {
    let time_max = deadline::of(request.headers())?;
    Ok((time_max, Submission::read(state, request)))
}

/// Takes the payment that was read, or says again what was said before under its key.
pub(super) async fn take(
    state: &AppState,
    caller: &Caller,
    asked: Result<Asked, Problem>,
    key: Option<IdempotencyKey>,
) -> Result<Answer, Problem> {
    let Asked { new, presented, counted } = match asked {
        Ok(asked) => asked,
        Err(problem) => {
            return Box::pin(submission::given_before(state, caller, key.as_ref(), problem)).await;
        }
    };
    let engine = state.engine();
    let said = engine.create_payment(&caller.merchant, new, key.clone(), render::created).await;
    // What was refused before its charge has left the card in the vault.
    let left = presented.filter(|_| matches!(said, Err(_) | Ok(Answer { replayed: true, .. })));
    if let Some(left) = left {
        Box::pin(async move { left.forget(state, caller.id()).await }).await;
    }
    if let (Ok(_), Some(counted)) = (&said, counted) {
        // The payment stands; a counter that is not kept now is kept with the next confirmation.
        if let Err(error) = engine.store().upkeep(Upkeep::CountPasskey(*counted)).await {
            tracing::warn!(%error, "a passkey's signature counter was not kept");
        }
    }
    submission::settled(state, caller, key.as_ref(), said).await
}

/// What a payment's body asks for. Small: it is handed on from future to future.
pub(super) struct Asked {
    new: Box<NewPayment>,
    presented: Option<Presented>,
    /// The passkey that confirmed it, with its counter moved on.
    counted: Option<Box<Passkey>>,
}

/// Checks a payment's body.
pub(super) fn checked(
    state: &AppState,
    caller: &Caller,
    body: PaymentBody<'_>,
) -> Result<CheckedPayment, Problem> {
    validate::payment(body, caller.id(), state.engine().now_ms())
}

/// Checks a payment's confirmation, if it has one; its card goes into the vault then.
pub(super) async fn presented(
    state: &AppState,
    caller: &Caller,
    checked: CheckedPayment,
    time_max: Option<Duration>,
) -> Result<Asked, Problem> {
    let CheckedPayment { mut new, card, confirmation } = checked;
    new.time_max = time_max;
    let mut counted = None;
    if let Some(answer) = confirmation {
        let confirmed = Box::pin(confirmations::confirm(state, caller, &new, &answer)).await?;
        new.confirmation = Some(confirmed.confirmation);
        counted = confirmed.counted.map(Box::new);
    }
    let presented = match card {
        Some(card) => Some(cards::present(state, caller.id(), card).await?),
        None => None,
    };
    if let (Some(presented), Some(instrument)) = (&presented, &mut new.instrument) {
        presented.fill(instrument);
    }
    Ok(Asked { new, presented, counted })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn room<A, F>(_: fn(A) -> F) -> usize {
        size_of::<F>()
    }

    /// What is kept for a payment while it is under way, its flow in the engine apart, and copied from where it is made.
    #[test]
    fn a_payments_request_stays_small() {
        type Asked = (State<AppState>, Caller, Request);
        let create = room(|(state, caller, request): Asked| create_payment(state, caller, request));
        assert!(create < 3_000, "{create} bytes");
    }
}
