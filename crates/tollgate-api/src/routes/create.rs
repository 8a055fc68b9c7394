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
use crate::schemas::NewPaymentSchema;
use crate::state::AppState;
use crate::validate::{self, CheckedPayment};
use crate::views::payment::PaymentView;
use axum::extract::{Request, State};
use axum::response::Response;
use tollgate_core::passkey::Passkey;
use tollgate_engine::flow::Answer;
use tollgate_engine::request::NewPayment;
use tollgate_store::commit::Admin;

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
    let submission = Submission::read(&state, request).await?;
    let Read { mut new, presented, counted } = match read(&state, &caller, &submission).await {
        Ok(read) => read,
        Err(problem) => {
            return submission::refuse(&state, &caller, submission.key.as_ref(), problem).await;
        }
    };
    new.time_max = time_max;
    if presented.is_some() {
        body::wipe(submission.body);
    }
    let key = submission.key;
    let engine = state.engine();
    let said = engine.create_payment(&caller.merchant, new, key.clone(), render::created).await;
    if let (Err(_) | Ok(Answer { replayed: true, .. }), Some(presented)) = (&said, presented) {
        // What was refused before its charge has left the card in the vault.
        presented.forget(&state, caller.id()).await;
    }
    if let (Ok(_), Some(counted)) = (&said, counted) {
        // The payment stands; a counter that is not kept now is kept with the next confirmation.
        if let Err(error) = engine.store().administer(Admin::PutPasskey(counted)).await {
            tracing::warn!(%error, "a passkey's signature counter was not kept");
        }
    }
    submission::answer(&state, &caller, key.as_ref(), said).await
}

/// What a request asks for.
struct Read {
    new: NewPayment,
    presented: Option<Presented>,
    /// The passkey that confirmed it, with its counter moved on.
    counted: Option<Passkey>,
}

/// Reads and checks the body and its confirmation; its card goes into the vault then.
async fn read(state: &AppState, caller: &Caller, submission: &Submission) -> Result<Read, Problem> {
    let body: PaymentBody<'_> = body::parse(&submission.body)?;
    let CheckedPayment { mut new, card, confirmation } =
        validate::payment(body, caller.id(), state.engine().now_ms())?;
    let mut counted = None;
    if let Some(answer) = &confirmation {
        let confirmed = confirmations::confirm(state, caller, &new, answer).await?;
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
    Ok(Read { new, presented, counted })
}
