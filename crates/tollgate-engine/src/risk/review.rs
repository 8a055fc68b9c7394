//! Reviews: a person's decision, and what follows from it, once and even after a crash.
//!
//! A decision is durable before anything is done. What is left to be done follows from the payment's
//! record alone ([`FollowUp`]); the store keeps a list of the payments of which something is. It is done at
//! once, or when a payment that was still under way settles, and what was cut off or refused is taken up by
//! a sweep over that list, at start and once in a while. Each step is decided inside a commit, so doing it
//! from two places does it once.

use crate::error::EngineError;
use crate::flow::{Answer, Engine, Told};
use crate::ids;
use crate::request::IdempotencyKey;
use std::sync::Arc;
use std::time::Duration;
use tollgate_core::attempt::AttemptStatus;
use tollgate_core::audit::By;
use tollgate_core::command::Command;
use tollgate_core::event::PaymentEvent;
use tollgate_core::id::{AttemptId, MerchantId, PaymentId, RefundId};
use tollgate_core::payment::Payment;
use tollgate_core::risk::FollowUp;
use tollgate_store::commit::{Committed, Render};
use tollgate_store::query::RiskList;

/// Most payments of one merchant that one sweep takes up.
const SWEEP_MAX: usize = 100;

/// The pause between two sweeps.
const SWEEP_PAUSE: Duration = Duration::from_secs(60);

/// The pause after the first failure; each further one is twice as long.
const AGAIN_MS: u64 = 60_000;

/// The longest pause: a day.
const AGAIN_MS_MAX: u64 = 86_400_000;

impl Engine {
    /// Decides a payment's review and does what follows from it.
    ///
    /// # Errors
    /// [`EngineError`]; nothing was decided then.
    pub async fn review(
        self: &Arc<Self>,
        merchant_id: MerchantId,
        payment_id: PaymentId,
        (approved, note): (bool, Option<String>),
        by: By,
        key: Option<IdempotencyKey>,
        render: Render,
    ) -> Result<Answer, EngineError> {
        let (parts, now_ms) = ids::fresh(&self.clock, merchant_id.bucket());
        let command = Command::Review { payment_id, approved, note, by: Box::new(by) };
        self.run((merchant_id, parts, now_ms), command, (key, None), render, move |engine, begun| async move {
            let decided = begun.committed.clone();
            let done = engine.carry_out(&decided.payment).await.unwrap_or_else(|error| {
                tracing::warn!(payment = %payment_id, %error, "a review's decision will be carried out later");
                None
            });
            engine.finish(&begun, done.unwrap_or(decided)).await.map(Told::at_once)
        })
        .await
    }

    /// Keeps whether a payment was fraud.
    ///
    /// # Errors
    /// [`EngineError`]; nothing was kept then.
    pub async fn label(
        self: &Arc<Self>,
        merchant_id: MerchantId,
        payment_id: PaymentId,
        fraud: bool,
        by: By,
        key: Option<IdempotencyKey>,
        render: Render,
    ) -> Result<Answer, EngineError> {
        let (parts, now_ms) = ids::fresh(&self.clock, merchant_id.bucket());
        let command = Command::Label { payment_id, fraud, by: Box::new(by) };
        self.run((merchant_id, parts, now_ms), command, (key, None), render, |engine, begun| async move {
            let labelled = begun.committed.clone();
            engine.finish(&begun, labelled).await.map(Told::at_once)
        })
        .await
    }

    /// Looks after a payment whose review was decided while it was still under way.
    pub(crate) fn follow_review(self: &Arc<Self>, committed: &Committed) {
        let settles = committed.event.as_ref().is_some_and(|record| {
            // Not after a failure: the sweep tries again, with pauses.
            matches!(
                record.event,
                PaymentEvent::ActionRequired { .. }
                    | PaymentEvent::Authorized { .. }
                    | PaymentEvent::Completed { .. }
                    | PaymentEvent::Captured { .. }
            )
        });
        if settles && FollowUp::of(&committed.payment).is_some() {
            let (engine, payment) = (Arc::clone(self), Arc::clone(&committed.payment));
            tokio::spawn(async move { engine.carry_out_or_say(&payment).await });
        }
    }

    /// Takes up what decided reviews have left to be done: at start, and once in a while.
    pub(crate) async fn run_reviews(self: Arc<Self>) {
        loop {
            if let Err(error) = self.sweep_reviews().await {
                tracing::error!(%error, "decided reviews could not be read");
            }
            tokio::time::sleep(SWEEP_PAUSE).await;
        }
    }

    async fn sweep_reviews(self: &Arc<Self>) -> Result<(), EngineError> {
        for merchant in self.store.merchants().await? {
            let decided = self.store.risk_payments(merchant.id, RiskList::Decided, None, SWEEP_MAX).await?;
            for payment in decided {
                if due_ms(&payment) <= self.now_ms() {
                    self.carry_out_or_say(&payment).await;
                }
            }
        }
        Ok(())
    }

    async fn carry_out_or_say(self: &Arc<Self>, payment: &Payment) {
        if let Err(error) = self.carry_out(payment).await {
            tracing::warn!(payment = %payment.id, %error, "a review's decision could not be carried out now");
        }
    }

    /// Does what a decided review asks for now, if anything.
    async fn carry_out(self: &Arc<Self>, payment: &Payment) -> Result<Option<Committed>, EngineError> {
        let Some(next) = FollowUp::of(payment) else {
            return Ok(None);
        };
        let (merchant_id, payment_id) = (payment.merchant_id, payment.id);
        let (parts, _) = ids::fresh(&self.clock, merchant_id.bucket());
        let attempt_id = AttemptId::from_parts(ids::sibling(parts));
        let command = match next {
            FollowUp::Capture => Command::Capture { payment_id, attempt_id, amount_minor: None },
            FollowUp::Cancel => Command::Cancel { payment_id, attempt_id },
            FollowUp::Refund => Command::Refund {
                payment_id,
                refund_id: RefundId::from_parts(parts),
                attempt_id,
                amount_minor: None,
                reason: Some("rejected by a review".to_owned()),
                metadata: Vec::new(),
            },
        };
        let begun = self.commit_later(merchant_id, command, None, None).await?;
        let Some(attempt) = begun.attempt.clone().filter(|attempt| attempt.status == AttemptStatus::Open)
        else {
            return Ok(Some(begun));
        };
        let done = self.send_follow_up(&begun.payment, &attempt).await;
        let subject = (merchant_id, payment_id, attempt.id);
        self.settle(subject, done.outcome, None, None).await.map(Some)
    }
}

/// When a decision is tried to be carried out: at once the first time, then after growing pauses.
fn due_ms(payment: &Payment) -> u64 {
    let tries = payment.attempts.len().saturating_sub(1);
    let Some(doublings) = tries.checked_sub(1) else {
        return 0;
    };
    let pause_ms = AGAIN_MS << doublings.min(20);
    payment.updated_at_ms.saturating_add(pause_ms.min(AGAIN_MS_MAX))
}
