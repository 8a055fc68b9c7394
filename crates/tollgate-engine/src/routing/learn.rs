//! What the estimates hear of: everything that was committed.

use super::router::{Router, SPLITS_MAX};
use tollgate_core::attempt::ProcessorName;
use tollgate_core::event::PaymentEvent;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::merchant::Mode;
use tollgate_core::payment::Payment;
use tollgate_core::routing::record::RouteReason;
use tollgate_core::routing::rules::Then;
use tollgate_core::routing::stats::Issuer;

impl Router {
    /// Hears of what was committed.
    pub(crate) fn hear(&self, mode: Option<Mode>, payment: &Payment, event: &PaymentEvent) {
        let Some(mode) = mode else { return };
        match event {
            PaymentEvent::Created { .. } => self.begun(mode, payment),
            PaymentEvent::Authorized { .. } | PaymentEvent::Completed { .. } => {
                self.ended(mode, payment, &payment.processor, true);
            }
            PaymentEvent::Declined { failure, .. } | PaymentEvent::Failed { failure, .. }
                if is_processor_s(failure) =>
            {
                self.ended(mode, payment, &payment.processor, false);
            }
            // What nobody knows the outcome of has failed for the customer who waits; what comes of it later
            // counts once more.
            PaymentEvent::BecameProcessing { failure: Some(_), .. } | PaymentEvent::Expired { .. } => {
                self.ended(mode, payment, &payment.processor, false);
            }
            _ => {}
        }
    }

    /// Counts an attempt that was followed by another: the payment does not name its processor any more.
    pub(crate) fn failed_over(
        &self,
        mode: Mode,
        payment: &Payment,
        processor: &ProcessorName,
        failure: &Failure,
    ) {
        if is_processor_s(failure) {
            self.ended(mode, payment, processor, false);
        }
    }

    fn ended(&self, mode: Mode, payment: &Payment, processor: &ProcessorName, succeeded: bool) {
        // How a merchant's own account does says nothing of how the gateway's would.
        if payment.own_account_at(processor).is_some() {
            return;
        }
        let instrument = &payment.terms.instrument;
        let (method, issuer) = (instrument.family(), Issuer::of(instrument));
        let at_ms = payment.updated_at_ms;
        self.stats(mode).lock().ended(processor, method, issuer, succeeded, at_ms);
    }

    fn begun(&self, mode: Mode, payment: &Payment) {
        let Some(record) = payment.terms.routing.as_deref() else { return };
        if matches!(record.reason, RouteReason::Score | RouteReason::Explored) {
            self.meter(mode).lock().count(record.reason == RouteReason::Explored);
        }
        if let (RouteReason::Split, Some(rule)) = (record.reason, &record.rule) {
            let able: Vec<_> = record.considered.iter().map(|one| &one.processor).collect();
            self.took_turn(payment, rule, &able);
        }
    }

    /// Books a turn of a volume split. The rule as it is now counts; where it is gone, nothing does.
    fn took_turn(&self, payment: &Payment, rule: &str, able: &[&ProcessorName]) {
        let Some(policy) = self.policies.ready(payment.merchant_id) else { return };
        let found = policy.rules().iter().find(|one| one.name == rule);
        let Some(Then::Split(members)) = found.map(|rule| &rule.then) else { return };
        let weights: Vec<u32> = members.iter().map(|(_, weight)| *weight).collect();
        let able: Vec<bool> = members.iter().map(|(name, _)| able.contains(&name)).collect();
        let Some(chosen) = members.iter().position(|(name, _)| *name == payment.processor) else { return };
        let mut splits = self.splits.lock();
        let key = (payment.merchant_id, rule.to_owned());
        if splits.len() >= SPLITS_MAX && !splits.contains_key(&key) {
            splits.clear();
        }
        splits.entry(key).or_default().took(&weights, &able, chosen);
    }
}

/// Whether a failure says something of the processor. What the customer did, or could not do anywhere, does
/// not.
const fn is_processor_s(failure: &Failure) -> bool {
    !matches!(
        failure.code,
        FailureCode::CustomerCancelled
            | FailureCode::InsufficientFunds
            | FailureCode::InstrumentInvalid
            | FailureCode::LimitExceeded
            | FailureCode::FraudDetected
            | FailureCode::VaultUnavailable
            | FailureCode::AccountRejected
            | FailureCode::NoProcessor
    )
}
