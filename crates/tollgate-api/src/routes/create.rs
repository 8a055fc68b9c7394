//! `POST /api/v1/payments`: takes a payment.

use super::submission::{self, Submission};
use super::{cards, confirmations};
use crate::auth::Caller;
use crate::body;
use crate::input::PaymentBody;
use crate::problem::{CreateProblems, Problem};
use crate::render;
use crate::schemas::NewPaymentSchema;
use crate::state::AppState;
use crate::validate;
use crate::views::payment::PaymentView;
use axum::extract::{Request, State};
use axum::response::Response;
use tollgate_core::passkey::Passkey;
use tollgate_engine::desk::CardInHand;
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
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
        nullable = false,
        description = "A text of your choice. The same key with the same request gets the first reply again.")),
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
    let submission = Submission::read(&state, request).await?;
    let (new, counted) = match read(&state, &caller, &submission).await {
        Ok(read) => read,
        Err(problem) => {
            return submission::refuse(&state, &caller, submission.key.as_ref(), problem).await;
        }
    };
    let (merchant_id, card) = (caller.id(), new.instrument.as_ref().and_then(|instrument| instrument.card));
    if card.is_some() {
        body::wipe(submission.body);
    }
    let key = submission.key;
    let engine = state.engine();
    let said = engine.create_payment(&caller.merchant, new, key.clone(), render::created).await;
    if let (Err(_) | Ok(Answer { replayed: true, .. }), Some(card)) = (&said, card) {
        // What was refused before its charge has left the card in the vault.
        engine.vault().release(merchant_id, card.token, card.cvc).await;
    }
    if let (Ok(_), Some(counted)) = (&said, counted) {
        // The payment stands; a counter that is not kept now is kept with the next confirmation.
        if let Err(error) = engine.store().administer(Admin::PutPasskey(counted)).await {
            tracing::warn!(%error, "a passkey's signature counter was not kept");
        }
    }
    submission::answer(&state, &caller, key.as_ref(), said).await
}

/// Reads and checks the body and its confirmation; its card goes into the vault then.
async fn read(
    state: &AppState,
    caller: &Caller,
    submission: &Submission,
) -> Result<(NewPayment, Option<Passkey>), Problem> {
    let body: PaymentBody<'_> = body::parse(&submission.body)?;
    let engine = state.engine();
    let now_ms = engine.now_ms();
    let mut checked = validate::payment(body, caller.id(), now_ms)?;
    let mut counted = None;
    if let Some(answer) = &checked.confirmation {
        let confirmed = confirmations::confirm(state, caller, &checked.new, answer).await?;
        checked.new.confirmation = Some(confirmed.confirmation);
        counted = confirmed.counted;
    }
    if let Some(card) = checked.card {
        let held = engine.vault().hold(caller.id(), card, now_ms).await.map_err(cards::refusal)?;
        if let Some(instrument) = &mut checked.new.instrument {
            instrument.card =
                Some(CardInHand { token: held.token, cvc: None, fingerprint: held.fingerprint });
        }
    }
    Ok((checked.new, counted))
}
