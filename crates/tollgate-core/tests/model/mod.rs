//! A store in memory that keeps payments as a real store must: decide, apply, book, all or nothing.
//! Beside it an oracle that knows only what processors were asked and what they answered.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test support; each test uses its part of it"
)]

mod invariants;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tollgate_core::attempt::{Attempt, AttemptKind, AttemptStart, AttemptStatus, ProcessorName};
use tollgate_core::command::{Command, Policy, Refusal};
use tollgate_core::currency::Currency;
use tollgate_core::decide::{Situation, decide};
use tollgate_core::event::{PaymentEvent, PaymentTerms};
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::id::{AttemptId, MerchantId, PaymentId, RefundId};
use tollgate_core::ledger::{self, Account, Balance, Posting};
use tollgate_core::merchant::FeePlan;
use tollgate_core::method::{CaptureMode, InstrumentSummary, MethodKind, UpiFlow};
use tollgate_core::money::Money;
use tollgate_core::outcome::Outcome;
use tollgate_core::payment::Payment;
use tollgate_core::refund::{Refund, RefundStatus};

/// The one merchant of the tests.
pub(crate) const MERCHANT: MerchantId = MerchantId::from_u128(1);

/// The processors of the tests.
pub(crate) const PROCESSORS: [&str; 3] = ["alpha", "beta", "gamma"];

/// What may be chosen about a payment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice {
    pub(crate) amount_minor: i64,
    pub(crate) currency: Currency,
    pub(crate) capture: CaptureMode,
    pub(crate) fee: FeePlan,
}

/// Terms of a payment.
pub(crate) fn terms(choice: Choice) -> Arc<PaymentTerms> {
    Arc::new(PaymentTerms {
        amount: Money::new(choice.amount_minor, choice.currency),
        capture: choice.capture,
        method: MethodKind::Upi,
        instrument: InstrumentSummary::Upi { flow: UpiFlow::Intent, vpa: None },
        fee: choice.fee,
        user_id: None,
        customer_name: None,
        customer_email: None,
        customer_phone: None,
        description: None,
        statement_descriptor: None,
        return_url: None,
        metadata: Vec::new(),
        mandate: None,
        confirmed_by: None,
        checkout: None,
        risk: None,
        routing: None,
    })
}

/// A failure of no interest.
pub(crate) fn failure() -> Failure {
    Failure::new(FailureCode::CardDeclined, "no")
}

/// What the processors did, by their own answers alone.
#[derive(Debug, Clone, Default)]
struct Oracle {
    /// What each attempt took from a customer, and for which processor.
    took: BTreeMap<AttemptId, Taking>,
}

#[derive(Debug, Clone)]
struct Taking {
    payment_id: PaymentId,
    processor: ProcessorName,
    currency: Currency,
    late: bool,
    took_minor: i64,
    gave_back_minor: i64,
}

/// The store.
#[derive(Debug, Clone, Default)]
pub(crate) struct Store {
    pub(crate) payments: BTreeMap<PaymentId, Payment>,
    pub(crate) attempts: BTreeMap<AttemptId, Attempt>,
    pub(crate) refunds: BTreeMap<RefundId, Refund>,
    pub(crate) balances: BTreeMap<(Currency, Account), Balance>,
    pub(crate) histories: BTreeMap<PaymentId, Vec<(PaymentEvent, u64)>>,
    postings: BTreeMap<PaymentId, Vec<Posting>>,
    oracle: Oracle,
    /// Refunds of the payment that were undone: only then may the fee's share be uneven.
    undone: BTreeSet<PaymentId>,
    /// Names of all events and statuses seen.
    pub(crate) seen: BTreeSet<&'static str>,
    next_id: u128,
}

impl Store {
    /// A fresh number for an id.
    pub(crate) fn fresh(&mut self) -> u128 {
        self.next_id += 1;
        self.next_id
    }

    /// A fresh attempt at a processor.
    pub(crate) fn start(&mut self, processor: usize, amount_minor: i64) -> AttemptStart {
        AttemptStart {
            id: AttemptId::from_u128(self.fresh()),
            processor: ProcessorName::new(PROCESSORS[processor % PROCESSORS.len()]),
            amount_minor,
        }
    }

    /// Creates a payment.
    pub(crate) fn create(&mut self, choice: Choice, processor: usize, now_ms: u64) -> PaymentId {
        let payment_id = PaymentId::from_u128(self.fresh());
        let attempt = self.start(processor, choice.amount_minor);
        let command = Command::Create { payment_id, terms: terms(choice), attempt };
        self.commit(command, now_ms).unwrap().unwrap();
        payment_id
    }

    /// The payment.
    pub(crate) fn payment(&self, id: PaymentId) -> &Payment {
        &self.payments[&id]
    }

    /// The payment's open attempts, oldest first.
    pub(crate) fn open_attempts(&self, id: PaymentId) -> Vec<AttemptId> {
        let attempts = self.payments[&id].attempts.iter().copied();
        attempts.filter(|id| self.attempts[id].status == AttemptStatus::Open).collect()
    }

    /// Settles an attempt without anything to fail over to.
    pub(crate) fn settle(
        &mut self,
        attempt_id: AttemptId,
        outcome: Outcome,
        now_ms: u64,
    ) -> Option<PaymentEvent> {
        let payment_id = self.attempts[&attempt_id].payment_id;
        let command = Command::Settle { payment_id, attempt_id, outcome, next: None };
        self.commit(command, now_ms).unwrap()
    }

    /// One command, all or nothing, with every invariant asked afterwards.
    pub(crate) fn commit(&mut self, command: Command, now_ms: u64) -> Result<Option<PaymentEvent>, Refusal> {
        let mut after = self.clone();
        let told = command.clone();
        let result = after.change(command, now_ms);
        if let Ok(Some(event)) = &result {
            after.tell_oracle(self, &told);
            after.check_step(self, &told, event);
            after.check(told.payment_id());
            *self = after;
        } else {
            after.check_unchanged(self, told.payment_id());
            self.check_silence(&told, result.as_ref().err());
        }
        result
    }

    fn change(&mut self, command: Command, now_ms: u64) -> Result<Option<PaymentEvent>, Refusal> {
        let payment_id = command.payment_id();
        let before = self.payments.get(&payment_id).cloned();
        let attempt = command.settled_attempt().and_then(|id| self.attempts.get(&id)).cloned();
        let refund =
            attempt.as_ref().and_then(|attempt| attempt.refund_id).map(|id| self.refunds[&id].clone());
        let situation = Situation {
            payment: before.as_ref(),
            attempt: attempt.as_ref(),
            refund: refund.as_ref(),
            now_ms,
            policy: Policy::default(),
        };
        let Some(event) = decide(&situation, command)? else {
            return Ok(None);
        };
        let payment = match before {
            None => Payment::begin(payment_id, MERCHANT, &event, now_ms).expect("begins"),
            Some(mut payment) => {
                payment.apply(&event, now_ms).expect("a decided event applies");
                payment
            }
        };
        let posting = ledger::posting(&payment, &event, now_ms).expect("a decided event books");
        if let Some(posting) = &posting {
            self.book(posting)?;
            self.postings.entry(payment_id).or_default().push(posting.clone());
        }
        self.keep_attempts(&payment, &event, now_ms);
        self.keep_refund(&payment, &event, now_ms);
        self.seen.insert(event.name());
        self.seen.insert(payment.status.as_str());
        self.payments.insert(payment_id, payment);
        let history = self.histories.entry(payment_id).or_default();
        history.push((event.clone(), now_ms));
        Ok(Some(event))
    }

    fn book(&mut self, posting: &Posting) -> Result<(), Refusal> {
        for entry in posting.entries() {
            let key = (posting.currency, entry.account.clone());
            let balance = self.balances.get(&key).copied().unwrap_or_default();
            let balance = balance.after(entry).ok_or(Refusal::InsufficientBalance)?;
            self.balances.insert(key, balance);
        }
        Ok(())
    }

    fn keep_attempts(&mut self, payment: &Payment, event: &PaymentEvent, now_ms: u64) {
        if let Some(update) = event.attempt_update() {
            let attempt = self.attempts.get_mut(&update.attempt_id).expect("known");
            attempt.status = update.status;
            attempt.failure = update.failure.cloned();
            attempt.updated_at_ms = now_ms;
            if let Some(id) = update.processor_id {
                attempt.processor_id = Some(id.clone());
            }
        }
        if let Some((start, kind)) = event.started_attempt() {
            let refund_id = match event {
                PaymentEvent::RefundStarted { refund_id, .. } => Some(*refund_id),
                _ => None,
            };
            let attempt = Attempt {
                id: start.id,
                merchant_id: MERCHANT,
                payment_id: payment.id,
                refund_id,
                kind,
                processor: start.processor.clone(),
                amount_minor: start.amount_minor,
                status: AttemptStatus::Open,
                processor_id: None,
                failure: None,
                created_at_ms: now_ms,
                updated_at_ms: now_ms,
            };
            let twin = self.attempts.insert(start.id, attempt);
            assert!(twin.is_none(), "attempt {:?} began twice", start.id);
        }
    }

    fn keep_refund(&mut self, payment: &Payment, event: &PaymentEvent, now_ms: u64) {
        match event {
            PaymentEvent::RefundStarted {
                refund_id,
                attempt,
                fee_returned_minor,
                subvention_returned_minor,
                reason,
                metadata,
            } => {
                let refund = Refund {
                    id: *refund_id,
                    merchant_id: MERCHANT,
                    payment_id: payment.id,
                    attempt_id: attempt.id,
                    amount: payment.money(attempt.amount_minor),
                    fee_returned_minor: *fee_returned_minor,
                    subvention_returned_minor: *subvention_returned_minor,
                    status: RefundStatus::Pending,
                    reason: reason.clone(),
                    metadata: metadata.clone(),
                    processor_refund_id: None,
                    failure: None,
                    created_at_ms: now_ms,
                    updated_at_ms: now_ms,
                };
                self.refunds.insert(*refund_id, refund);
            }
            PaymentEvent::RefundSucceeded { refund_id, .. } => {
                self.refunds.get_mut(refund_id).unwrap().status = RefundStatus::Succeeded;
            }
            PaymentEvent::RefundFailed { refund_id, .. } => {
                self.refunds.get_mut(refund_id).unwrap().status = RefundStatus::Failed;
                self.undone.insert(payment.id);
            }
            _ => {}
        }
    }

    /// Notes what a processor took or gave back, when its answer made the attempt count as done.
    fn tell_oracle(&mut self, before: &Self, command: &Command) {
        let Command::Settle { attempt_id, outcome, .. } = command else {
            return;
        };
        let attempt = &self.attempts[attempt_id];
        let payment = &self.payments[&attempt.payment_id];
        let booked = attempt.status != before.attempts[attempt_id].status
            && matches!(attempt.status, AttemptStatus::Succeeded | AttemptStatus::LateSuccess);
        match (attempt.kind, outcome) {
            (AttemptKind::Charge | AttemptKind::Capture, Outcome::Captured { amount_minor, .. })
                if booked =>
            {
                let taking = Taking {
                    payment_id: payment.id,
                    processor: attempt.processor.clone(),
                    currency: payment.terms.amount.currency,
                    late: attempt.status == AttemptStatus::LateSuccess,
                    took_minor: *amount_minor,
                    gave_back_minor: 0,
                };
                let twin = self.oracle.took.insert(attempt.id, taking);
                assert!(twin.is_none(), "{attempt:?} took twice");
            }
            (AttemptKind::Refund | AttemptKind::Return, Outcome::Refunded { amount_minor, .. }) if booked => {
                // A return says whose money it is; a refund's is that of the one taking in time.
                let returned = before.payments[&payment.id]
                    .late
                    .iter()
                    .find(|late| late.open_return == Some(attempt.id))
                    .map(|late| late.attempt_id);
                let source = self.oracle.took.iter_mut().find(|(id, taking)| {
                    let meant = match attempt.kind {
                        AttemptKind::Return => returned == Some(**id) && taking.late,
                        _ => taking.payment_id == payment.id && !taking.late,
                    };
                    meant && taking.processor == attempt.processor
                });
                let (_, source) = source.expect("money goes back through the processor that took it");
                source.gave_back_minor += amount_minor;
                assert!(source.gave_back_minor <= source.took_minor, "gave more than it took");
            }
            _ => {}
        }
    }
}
