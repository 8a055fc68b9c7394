//! The charge: tries processor after processor, and the same one again, as long as each provably took
//! nothing and there is time.

use crate::desk::CardInHand;
use crate::error::EngineError;
use crate::exchange::Performed;
use crate::flow::{Begun, Engine, Told};
use crate::ids;
use crate::routing::CallGuard;
use crate::send::{CardSource, ChargeSecrets, ms};
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tollgate_core::attempt::{AttemptStart, ProcessorName};
use tollgate_core::event::PaymentEvent;
use tollgate_core::id::AttemptId;
use tollgate_core::merchant::Mode;
use tollgate_core::outcome::Outcome;
use tollgate_core::payment::Payment;
use tollgate_core::routing::retry::{NextTry, Tried};

/// What a charge needs on its way beside its payment.
pub(crate) struct Trip {
    /// For the length of the call.
    pub(crate) secrets: ChargeSecrets,
    /// The right to make the first call.
    pub(crate) call: CallGuard,
    /// The processors that may be tried next, the first first.
    pub(crate) rest: VecDeque<ProcessorName>,
    /// When all of it has to be over.
    pub(crate) until: Instant,
    /// Whether another processor may try what one declined softly.
    pub(crate) soft_declines: bool,
    /// Whose estimates it counts for.
    pub(crate) mode: Mode,
}

/// What has been tried so far.
struct Tries {
    attempts: u32,
    /// How often the present processor was asked again.
    repeats: u32,
}

impl Engine {
    /// The end of a payment that the fraud check declines: nothing is sent, its card is not kept.
    pub(crate) async fn block(
        self: Arc<Self>,
        begun: Begun,
        card: Option<CardInHand>,
    ) -> Result<Told, EngineError> {
        let blocked = begun.committed.clone();
        if let Some(card) = card {
            self.vault.release(blocked.payment.merchant_id, card.token, card.proof).await;
        }
        self.finish(&begun, blocked).await.map(Told::at_once)
    }

    /// Sends a charge that was begun, and answers with what came of it.
    pub(crate) async fn charge(self: Arc<Self>, begun: Begun, trip: Box<Trip>) -> Result<Told, EngineError> {
        let mut payment = Arc::clone(&begun.committed.payment);
        let merchant_id = payment.merchant_id;
        let card = match &trip.secrets.card {
            CardSource::Vault(card) => Some(*card),
            CardSource::None | CardSource::Test(_) => None,
        };
        let said = self.charge_at_each(&begun, &mut payment, trip).await;
        if let Some(card) = card {
            // Whatever came of it, its security code is not kept.
            self.vault.release(merchant_id, card.token, card.proof).await;
        }
        said
    }

    async fn charge_at_each(
        self: &Arc<Self>,
        begun: &Begun,
        payment: &mut Arc<Payment>,
        mut trip: Box<Trip>,
    ) -> Result<Told, EngineError> {
        let (until, soft_declines, mode) = (trip.until, trip.soft_declines, trip.mode);
        let mut call = trip.call;
        let mut tries = Tries { attempts: 1, repeats: 0 };
        let mut waited = Duration::ZERO;
        loop {
            let attempt_id = payment.charge_attempt_id;
            let done = self.call(payment, &trip.secrets, call, (until, mode)).await;
            waited += done.waited;
            let next =
                self.next_try(payment, &done, &mut tries, &mut trip.rest, (until, soft_declines)).await;
            let start = next.as_ref().map(|(processor, _)| {
                let (parts, _) = ids::fresh(&self.clock, payment.merchant_id.bucket());
                let id = AttemptId::from_parts(parts);
                AttemptStart { id, processor: processor.clone(), amount_minor: payment.terms.amount.minor }
            });
            let goes_on = start.is_some();
            let subject = (payment.merchant_id, payment.id, attempt_id);
            let finish = if goes_on { None } else { begun.finish(None) };
            let failed = match &done.outcome {
                Outcome::NotTaken(failure) | Outcome::Declined(failure) => Some(failure.clone()),
                _ => None,
            };
            let settled = self.settle(subject, done.outcome, start, finish).await?;
            let failed_over = settled
                .event
                .as_ref()
                .is_some_and(|record| matches!(record.event, PaymentEvent::FailedOver { .. }));
            if let (true, Some((_, guard)), Some(failure)) = (failed_over, next, failed) {
                self.router.failed_over(mode, payment, &payment.processor, &failure);
                *payment = settled.payment;
                call = guard;
                continue;
            }
            if goes_on {
                // A webhook settled it in between: the reply is still to be remembered.
                let reply = Box::pin(self.finish(begun, settled)).await?;
                return Ok(Told { reply, waited });
            }
            return Ok(Told { reply: begun.reply(settled), waited });
        }
    }

    /// Sends a charge to its present processor, with the right to do so.
    async fn call(
        &self,
        payment: &Payment,
        secrets: &ChargeSecrets,
        mut call: CallGuard,
        (until, mode): (Instant, Mode),
    ) -> Performed {
        let mut sent = pin!(self.send_charge(payment, secrets, until));
        let done = tokio::select! {
            done = &mut sent => done,
            // A processor that hangs is left alone from now on, not only when patience with this call is over.
            () = tokio::time::sleep(self.router.overdue_after()) => {
                call.overdue();
                sent.await
            }
        };
        call.end(mode, &done);
        done
    }

    /// Who is asked next, with the right to ask. Waits where the same processor is to be asked again.
    async fn next_try(
        &self,
        payment: &Payment,
        done: &Performed,
        tries: &mut Tries,
        rest: &mut VecDeque<ProcessorName>,
        (until, soft_declines): (Instant, bool),
    ) -> Option<(ProcessorName, CallGuard)> {
        let method = payment.terms.instrument.family();
        let decision = self.router.retry().next(&Tried {
            outcome: &done.outcome,
            attempts: tries.attempts,
            repeats: tries.repeats,
            retry_after_ms: done.retry_after_ms,
            left_ms: ms(until.saturating_duration_since(Instant::now())),
            has_other: rest.iter().any(|name| self.router.would_admit(name, method)),
            soft_declines,
            random: rand::random(),
        });
        let is_own = |name: &ProcessorName| payment.own_account_at(name).is_some();
        let elsewhere = |rest: &mut VecDeque<ProcessorName>| {
            while let Some(name) = rest.pop_front() {
                if let Some(guard) = self.router.admit(payment.merchant_id, &name, method, is_own(&name)) {
                    return Some((name, guard));
                }
            }
            None
        };
        let found = match decision {
            NextTry::Stop => None,
            NextTry::Elsewhere => {
                tries.repeats = 0;
                elsewhere(rest)
            }
            NextTry::Again { after_ms } => {
                let own = is_own(&payment.processor).then_some(payment.merchant_id);
                if !self.router.pays_for_repeat(&payment.processor, own) {
                    return None;
                }
                let away = self.pressure.away();
                tokio::time::sleep(Duration::from_millis(after_ms)).await;
                drop(away);
                tries.repeats += 1;
                // Its breaker may have opened meanwhile, and another's closed.
                match self.router.admit(payment.merchant_id, &payment.processor, method, own.is_some()) {
                    Some(guard) => Some((payment.processor.clone(), guard)),
                    None => elsewhere(rest),
                }
            }
        };
        tries.attempts += u32::from(found.is_some());
        found
    }
}
