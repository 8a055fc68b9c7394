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
    let time_max = deadline::of(request.headers())?;
    let Submission { body, key } = Submission::read(&state, request).await?;
    let mut asked = match body::parse(&body) {
        Ok(asked) => read(&state, &caller, asked).await,
        Err(problem) => Err(problem),
    };
    if let Ok(asked) = &mut asked {
        asked.new.time_max = time_max;
    }
    if asked.as_ref().is_ok_and(|asked| asked.presented.is_some()) {
        body::wipe(body);
    }
    take(&state, &caller, asked, key).await.map(reply::answered)
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
    if let (Err(_) | Ok(Answer { replayed: true, .. }), Some(presented)) = (&said, presented) {
        // What was refused before its charge has left the card in the vault.
        presented.forget(state, caller.id()).await;
    }
    if let (Ok(_), Some(counted)) = (&said, counted) {
        // The payment stands; a counter that is not kept now is kept with the next confirmation.
        if let Err(error) = engine.store().upkeep(Upkeep::CountPasskey(counted)).await {
            tracing::warn!(%error, "a passkey's signature counter was not kept");
        }
    }
    submission::settled(state, caller, key.as_ref(), said).await
}

/// What a payment's body asks for.
pub(super) struct Asked {
    new: NewPayment,
    presented: Option<Presented>,
    /// The passkey that confirmed it, with its counter moved on.
    counted: Option<Passkey>,
}

/// Checks a payment's body and its confirmation; its card goes into the vault then.
pub(super) async fn read(state: &AppState, caller: &Caller, body: PaymentBody<'_>) -> Result<Asked, Problem> {
    let CheckedPayment { mut new, card, confirmation } =
        validate::payment(body, caller.id(), state.engine().now_ms())?;
    let mut counted = None;
    if let Some(answer) = &confirmation {
        let confirmed = Box::pin(confirmations::confirm(state, caller, &new, answer)).await?;
        new.confirmation = Some(confirmed.confirmation);
        counted = confirmed.counted;
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
