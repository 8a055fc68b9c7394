//! Status enquiries: what settles every attempt whose outcome is not known.
//!
//! An open attempt is asked about by its own reference, again and again with growing pauses, for as
//! long as it is open. Asking for long raises a flag for a person; it never turns an attempt into a
//! failure. The schedule lives in memory and is refilled from the store's index of open attempts,
//! at start and once in a while, so nothing can fall out of it.

use crate::error::EngineError;
use crate::flow::Engine;
use crate::origin::Origin;
use crate::processors::Processor;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tollgate_connectors::Operation;
use tollgate_core::attempt::{Attempt, AttemptKind, AttemptStatus};
use tollgate_core::command::Command;
use tollgate_core::event::Flag;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::id::{AttemptId, MerchantId, PaymentId};
use tollgate_core::outcome::Outcome;
use tollgate_core::payment::{LateMoney, Payment};
use tollgate_core::transition::PaymentStatus;
use tollgate_store::query::Deadline;

/// When and how long open attempts are asked about.
#[derive(Debug, Clone, Copy)]
pub struct EnquiryOptions {
    /// The pause before the first enquiry after a doubtful answer; each further one is twice as long.
    pub first_ms: u64,
    /// The longest pause.
    pub longest_ms: u64,
    /// Age of an attempt from which a person is asked to look.
    pub escalate_ms: u64,
    /// Age from which "still authorized" proves that a capture or void never arrived.
    pub settle_absent_ms: u64,
    /// Most enquiries at once.
    pub concurrency: usize,
    /// How often the store's open attempts are gone through.
    pub sweep_ms: u64,
}

impl Default for EnquiryOptions {
    fn default() -> Self {
        Self {
            first_ms: 1_000,
            longest_ms: 3_600_000,
            escalate_ms: 600_000,
            settle_absent_ms: 120_000,
            concurrency: 32,
            sweep_ms: 60_000,
        }
    }
}

/// In the place of a number of tries: asked for by a hint about an attempt that is settled.
const HINTED: u32 = u32::MAX;

/// Most enquiries in the schedule; what does not fit is found again by the next sweep.
const SCHEDULE_MAX: usize = 200_000;

/// Attempts read at once when the store is gone through.
const SWEEP_PAGE: usize = 1_000;

/// Most payments whose time is over that are handled at once.
const DEADLINES_MAX: usize = 500;
/// When what could not be done at its time is tried again.
const DEADLINE_AGAIN_MS: u64 = 60_000;

/// The schedule.
#[derive(Debug)]
pub(crate) struct Enquiries {
    pub(crate) options: EnquiryOptions,
    due: Mutex<Schedule>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Schedule {
    order: BTreeSet<(u64, AttemptId)>,
    tries: HashMap<AttemptId, (u64, u32)>,
}

impl Enquiries {
    pub(crate) fn new(options: EnquiryOptions) -> Self {
        Self { options, due: Mutex::default(), wake: Notify::new() }
    }

    /// Plans the next enquiry, after `tries` that settled nothing. An earlier plan stays.
    pub(crate) fn schedule(&self, id: AttemptId, now_ms: u64, tries: u32) {
        let doubled = self.options.first_ms.saturating_mul(1_u64 << tries.min(32));
        let pause_ms = doubled.clamp(1, self.options.longest_ms.max(1));
        // A quarter of the pause is left to chance, so that an outage's attempts do not ask as one.
        let jitter_ms = rand::random_range(0..=pause_ms / 4);
        self.put(id, now_ms.saturating_add(pause_ms - jitter_ms), tries);
    }

    fn put(&self, id: AttemptId, due_ms: u64, tries: u32) {
        let mut due = self.due.lock();
        if due.tries.contains_key(&id) || due.tries.len() >= SCHEDULE_MAX {
            return;
        }
        due.tries.insert(id, (due_ms, tries));
        due.order.insert((due_ms, id));
        drop(due);
        self.wake.notify_one();
    }

    /// Plans an enquiry at once: the processor has hinted that something happened. An attempt that is
    /// settled already is asked about once ([`HINTED`]); the hint may be of late money.
    pub(crate) fn hurry(&self, id: AttemptId, now_ms: u64, is_settled: bool) {
        let mut due = self.due.lock();
        if let Some((due_ms, _)) = due.tries.remove(&id) {
            due.order.remove(&(due_ms, id));
        }
        drop(due);
        self.put(id, now_ms, if is_settled { HINTED } else { 0 });
    }

    /// Takes what is due, at most `count`; and the moment the next one is.
    fn take_due(&self, now_ms: u64, count: usize) -> (Vec<(AttemptId, u32)>, Option<u64>) {
        let mut due = self.due.lock();
        let mut taken = Vec::new();
        while let Some(&(due_ms, id)) = due.order.first().filter(|(due_ms, _)| *due_ms <= now_ms) {
            if taken.len() == count {
                break;
            }
            due.order.remove(&(due_ms, id));
            if let Some((_, tries)) = due.tries.remove(&id) {
                taken.push((id, tries));
            }
        }
        (taken, due.order.first().map(|(due_ms, _)| *due_ms))
    }

    /// How many enquiries are planned.
    pub(crate) fn len(&self) -> usize {
        self.due.lock().tries.len()
    }
}

impl Engine {
    /// Starts the background work: recovery, enquiries and deadlines. It ends with the runtime.
    pub fn start(self: &Arc<Self>) {
        let (engine, changes) = (Arc::clone(self), self.router.changes());
        tokio::spawn(async move { engine.run_announcements(changes).await });
        let engine = Arc::clone(self);
        tokio::spawn(async move { engine.run_enquiries().await });
        let engine = Arc::clone(self);
        tokio::spawn(async move { engine.run_sweeps().await });
        let engine = Arc::clone(self);
        tokio::spawn(async move { engine.run_deadlines().await });
        let engine = Arc::clone(self);
        tokio::spawn(async move { engine.run_reviews().await });
        let engine = Arc::clone(self);
        tokio::spawn(async move { engine.run_erasures().await });
        let engine = Arc::clone(self);
        tokio::spawn(async move { engine.run_wipes().await });
        if let Some(changes) = self.store.changes() {
            tokio::spawn(Arc::clone(self).run_heeding(changes));
        }
    }

    /// How many attempts wait for an enquiry.
    #[must_use]
    pub fn enquiries_planned(&self) -> usize {
        self.enquiries.len()
    }

    async fn run_enquiries(self: Arc<Self>) {
        let places = Arc::new(Semaphore::new(self.enquiries.options.concurrency.max(1)));
        loop {
            let free = places.available_permits();
            let (due, next_ms) = self.enquiries.take_due(self.now_ms(), free);
            for (id, tries) in due {
                let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                    return;
                };
                let engine = Arc::clone(&self);
                tokio::spawn(async move {
                    engine.enquire(id, tries).await;
                    drop(place);
                });
            }
            let pause_ms =
                next_ms.map_or(1_000, |due_ms| due_ms.saturating_sub(self.now_ms()).clamp(5, 1_000));
            let pause = tokio::time::sleep(Duration::from_millis(pause_ms));
            tokio::select! {
                () = pause => {}
                () = self.enquiries.wake.notified() => {}
            }
        }
    }

    /// Goes through the store's open attempts: at start all of them at once, later those old enough
    /// that nobody can be working on them.
    async fn run_sweeps(self: Arc<Self>) {
        let started_ms = self.now_ms();
        let mut least_age_ms = 0;
        loop {
            match self.sweep(started_ms, least_age_ms).await {
                Ok(found) if found > 0 => {
                    tracing::info!(found, "open attempts will be settled by enquiry")
                }
                Ok(_) => {}
                Err(error) => tracing::error!(%error, "open attempts could not be read"),
            }
            tokio::time::sleep(Duration::from_millis(self.enquiries.options.sweep_ms.max(10))).await;
            // The longest a live flow can take: a few exchanges at their time limit.
            let slowest = self.processors.iter().map(|processor| processor.timeout).max();
            least_age_ms = slowest
                .map_or(0, |timeout| u64::try_from(timeout.as_millis()).unwrap_or(0))
                .saturating_mul(6);
        }
    }

    async fn sweep(&self, started_ms: u64, least_age_ms: u64) -> Result<usize, EngineError> {
        let (mut after, mut found) = (None, 0);
        loop {
            let page = self.store.open_attempts(after, SWEEP_PAGE).await?;
            let Some(last) = page.last().map(|attempt| attempt.id) else {
                return Ok(found);
            };
            let now_ms = self.now_ms();
            for attempt in page {
                let left_behind = attempt.created_at_ms < started_ms && least_age_ms == 0;
                let old = least_age_ms > 0 && attempt.created_at_ms.saturating_add(least_age_ms) < now_ms;
                if left_behind || old {
                    self.enquiries.put(attempt.id, now_ms, 0);
                    found += 1;
                }
            }
            after = Some(last);
        }
    }

    async fn enquire(self: &Arc<Self>, id: AttemptId, tries: u32) {
        match self.enquire_once(id, tries == HINTED).await {
            Ok(true) => {}
            Ok(false) if tries == HINTED => {}
            Ok(false) => self.enquiries.schedule(id, self.now_ms(), tries.saturating_add(1)),
            Err(error) => {
                tracing::warn!(attempt = %id, %error, "an enquiry could not be booked");
                self.enquiries.schedule(id, self.now_ms(), tries.saturating_add(1));
            }
        }
    }

    /// Asks once; about a settled attempt only if there is a hint. Returns whether the attempt is settled.
    pub(crate) async fn enquire_once(
        self: &Arc<Self>,
        id: AttemptId,
        hinted: bool,
    ) -> Result<bool, EngineError> {
        let Some(attempt) = self.store.attempt(id).await? else {
            return Ok(true);
        };
        if !attempt.status.is_watched() && !hinted {
            return Ok(true);
        }
        let Some(payment) = self.store.payment(attempt.merchant_id, attempt.payment_id).await? else {
            return Ok(true);
        };
        let outcome = self.ask(&payment, &attempt).await?;
        let subject = (attempt.merchant_id, attempt.payment_id, attempt.id);
        let command = Command::Settle { payment_id: subject.1, attempt_id: id, outcome, next: None };
        let committed = self.commit_later(subject.0, command, None, None).await?;
        if committed.event.is_some() {
            self.after_settling_late(&committed);
        }
        let settled = self.store.attempt(id).await?.is_none_or(|attempt| !attempt.status.is_watched());
        if !settled {
            self.escalate(&committed.payment, &attempt).await?;
        }
        Ok(settled)
    }

    fn after_settling_late(self: &Arc<Self>, committed: &tollgate_store::commit::Committed) {
        self.follow_review(committed);
        let event = committed.event.as_ref().map(|record| &record.event);
        if matches!(event, Some(tollgate_core::event::PaymentEvent::LateSuccess { .. })) {
            let (engine, payment) = (Arc::clone(self), Arc::clone(&committed.payment));
            tokio::spawn(async move { engine.return_late(&payment).await });
        }
    }

    async fn ask(&self, payment: &Payment, attempt: &Attempt) -> Result<Outcome, EngineError> {
        let processor = self.through(self.processor(&attempt.processor)?, payment).await?;
        let origin = Origin::of(payment, attempt);
        let charge = origin.handle(payment);
        let reference = attempt.id.reference();
        let operation = match attempt.kind {
            AttemptKind::Charge | AttemptKind::Capture | AttemptKind::Void => {
                Operation::EnquireCharge { charge }
            }
            AttemptKind::Refund | AttemptKind::Return => Operation::EnquireRefund {
                charge,
                reference: &reference,
                amount: payment.money(attempt.amount_minor),
            },
        };
        let outcome = self.ask_hedged(&processor, &operation).await;
        let age_ms = self.now_ms().saturating_sub(attempt.created_at_ms);
        Ok(self.read_for(attempt.kind, outcome, age_ms))
    }

    /// Asks once, and a second time where the first answer is long in coming; the first that tells something
    /// counts. Asking changes nothing at the processor, so asking twice is safe; the retry budget bounds it.
    async fn ask_hedged(&self, processor: &Processor, operation: &Operation<'_>) -> Outcome {
        let mut first = pin!(self.http.perform(processor, operation, None));
        let patience = tokio::time::sleep(self.router.hedge_after());
        tokio::select! {
            done = &mut first => return done.outcome,
            () = patience => {}
        }
        if !self.router.pays_for_repeat(&processor.name, processor.own) {
            return first.await.outcome;
        }
        metrics::counter!("tollgate_hedged_enquiries_total").increment(1);
        let mut second = pin!(self.http.perform(processor, operation, None));
        let tells = |outcome: &Outcome| !matches!(outcome, Outcome::Unknown(_));
        tokio::select! {
            done = &mut first => if tells(&done.outcome) { done.outcome } else { second.await.outcome },
            done = &mut second => if tells(&done.outcome) { done.outcome } else { first.await.outcome },
        }
    }

    /// What the state of a charge says about a capture or a void of it.
    fn read_for(&self, kind: AttemptKind, outcome: Outcome, age_ms: u64) -> Outcome {
        let absent = |what: &str| {
            Outcome::NotTaken(Failure::new(
                FailureCode::ProcessorUnavailable,
                format!("the {what} did not arrive"),
            ))
        };
        match (kind, outcome) {
            // Captures and voids happen at most once at the processor, so a straggler that arrives
            // after all cannot take money twice: the next operation's enquiry will find it.
            (AttemptKind::Capture, Outcome::Authorized { .. })
                if age_ms >= self.enquiries.options.settle_absent_ms =>
            {
                absent("capture")
            }
            (AttemptKind::Void, Outcome::Authorized { .. })
                if age_ms >= self.enquiries.options.settle_absent_ms =>
            {
                absent("void")
            }
            (AttemptKind::Capture | AttemptKind::Void, Outcome::Authorized { .. } | Outcome::NotFound) => {
                Outcome::Pending { processor_payment_id: None }
            }
            // The void came too late: it is closed, and the capture shows at the next enquiry.
            (AttemptKind::Void, Outcome::Captured { .. }) => Outcome::Declined(Failure::new(
                FailureCode::ProcessorRejected,
                "the processor has captured the payment",
            )),
            // A refusal of the charge says nothing about an operation on its authorization.
            (
                AttemptKind::Capture | AttemptKind::Void,
                Outcome::Declined(failure) | Outcome::NotTaken(failure),
            ) => Outcome::Unknown(failure),
            (_, outcome) => outcome,
        }
    }

    async fn escalate(&self, payment: &Payment, attempt: &Attempt) -> Result<(), EngineError> {
        let age_ms = self.now_ms().saturating_sub(attempt.created_at_ms);
        let waits_for_customer =
            payment.status == PaymentStatus::RequiresAction || attempt.status == AttemptStatus::Abandoned;
        if age_ms < self.enquiries.options.escalate_ms || waits_for_customer {
            return Ok(());
        }
        if payment.flags.contains(&Flag::OutcomeUnknown) {
            return Ok(());
        }
        let command =
            Command::Flag { payment_id: payment.id, attempt_id: attempt.id, flag: Flag::OutcomeUnknown };
        self.commit_later(payment.merchant_id, command, None, None).await?;
        metrics::counter!("tollgate_escalations_total").increment(1);
        tracing::warn!(payment = %payment.id, attempt = %attempt.id, "the outcome is still unknown; a person should look");
        Ok(())
    }

    /// Ends what has lapsed, and sends late money back that nobody is sending back. What cannot be done now is tried again
    /// a minute later.
    async fn run_deadlines(self: Arc<Self>) {
        let mut later: HashMap<PaymentId, u64> = HashMap::new();
        loop {
            let now_ms = self.now_ms();
            later.retain(|_, again_ms| *again_ms > now_ms);
            match self.store.deadlines(now_ms, DEADLINES_MAX + later.len()).await {
                Ok(due) => {
                    for deadline in due {
                        if later.contains_key(&deadline.payment_id) {
                            continue;
                        }
                        later.insert(deadline.payment_id, now_ms.saturating_add(DEADLINE_AGAIN_MS));
                        let engine = Arc::clone(&self);
                        tokio::spawn(async move { engine.lapse(deadline).await });
                    }
                }
                Err(error) => tracing::error!(%error, "deadlines could not be read"),
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// One payment whose time is over: asked about once more, then ended.
    async fn lapse(self: &Arc<Self>, deadline: Deadline) {
        if let Err(error) = self.lapse_now(deadline.merchant_id, deadline.payment_id).await {
            tracing::warn!(payment = %deadline.payment_id, %error, "a lapsed payment could not be ended");
        }
    }

    async fn lapse_now(
        self: &Arc<Self>,
        merchant_id: MerchantId,
        payment_id: PaymentId,
    ) -> Result<(), EngineError> {
        let Some(payment) = self.store.payment(merchant_id, payment_id).await? else {
            return Ok(());
        };
        let now_ms = self.now_ms();
        let returns = payment.late.iter().filter_map(LateMoney::return_due_ms);
        if returns.min().is_some_and(|at_ms| at_ms <= now_ms) {
            self.return_late(&payment).await;
        }
        if payment.expires_at_ms.is_none_or(|at_ms| at_ms > now_ms) {
            return Ok(());
        }
        // The customer may have acted in the last moment, or the webhook may have been lost.
        if payment.status == PaymentStatus::RequiresAction
            && self.enquire_once(payment.charge_attempt_id, false).await?
        {
            return Ok(());
        }
        let (parts, _) = crate::ids::fresh(&self.clock, merchant_id.bucket());
        let attempt_id = AttemptId::from_parts(parts);
        let committed =
            self.commit_later(merchant_id, Command::Expire { payment_id, attempt_id }, None, None).await?;
        let Some(attempt) = committed.attempt.filter(|attempt| attempt.status == AttemptStatus::Open) else {
            return Ok(());
        };
        let done = self.send_follow_up(&committed.payment, &attempt).await;
        self.settle((merchant_id, payment_id, attempt.id), done.outcome, None, None).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_no_further() {
        let enquiries = Enquiries::new(EnquiryOptions::default());
        for (tries, longest_ms) in [(0, 1_000), (3, 8_000), (12, 3_600_000), (4_000_000, 3_600_000)] {
            let id = AttemptId::from_u128(u128::from(tries));
            enquiries.schedule(id, 0, tries);
            let (due_ms, _) = *enquiries.due.lock().tries.get(&id).unwrap();
            assert!(due_ms <= longest_ms && due_ms >= longest_ms * 3 / 4, "{tries}: {due_ms}");
        }
    }

    #[test]
    fn a_hint_comes_before_the_plan() {
        let enquiries = Enquiries::new(EnquiryOptions::default());
        let id = AttemptId::from_u128(7);
        enquiries.put(id, 9_000, 3);
        enquiries.hurry(id, 10, false);
        assert_eq!(enquiries.take_due(10, 9), (vec![(id, 0)], None));
        enquiries.hurry(id, 20, true);
        assert_eq!(enquiries.take_due(20, 9), (vec![(id, HINTED)], None));
    }

    #[test]
    fn due_ones_are_taken_once_and_in_order() {
        let enquiries = Enquiries::new(EnquiryOptions::default());
        for (id, due_ms) in [(1, 30), (2, 10), (3, 20), (2, 5)] {
            enquiries.put(AttemptId::from_u128(id), due_ms, 0);
        }
        let ids = |taken: Vec<(AttemptId, u32)>| taken.iter().map(|(id, _)| id.as_u128()).collect::<Vec<_>>();
        let (taken, next) = enquiries.take_due(25, 1);
        assert_eq!((ids(taken), next), (vec![2], Some(20)));
        let (taken, next) = enquiries.take_due(25, 9);
        assert_eq!((ids(taken), next), (vec![3], Some(30)));
        assert_eq!(enquiries.len(), 1);
    }
}
