//! Trying a policy out on payments that were made before.

use super::signals;
use crate::error::EngineError;
use crate::flow::Engine;
use serde_json::Value;
use tollgate_core::id::PaymentId;
use tollgate_core::merchant::Merchant;
use tollgate_core::payment::Payment;
use tollgate_core::risk::{FeatureVector, Policy, Score, Verdict, assess};
use tollgate_store::query::PaymentFilter;

/// Most payments looked at.
const PAYMENTS_MAX: usize = 1_000;

/// Most examples told.
const EXAMPLES_MAX: usize = 20;

/// Payments judged between two pauses in which others may work.
const BREATH: usize = 50;

/// What a policy would have done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DryRun {
    /// Payments judged.
    pub judged: usize,
    /// Payments that could not be judged, because something the policy asks for was not kept.
    pub not_judged: usize,
    /// How many had each verdict, in the order of strictness.
    pub before: [usize; 4],
    /// How many would have each verdict.
    pub after: [usize; 4],
    /// How many would have another verdict.
    pub changed: usize,
    /// Some of these, newest first.
    pub examples: Vec<Changed>,
}

/// A payment that would have another verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Which.
    pub payment_id: PaymentId,
    /// What was done.
    pub before: Verdict,
    /// What would be done.
    pub after: Verdict,
    /// The score it would have.
    pub score: Score,
    /// The rules that would match.
    pub rules: Vec<String>,
}

impl Engine {
    /// Judges a merchant's latest payments by a policy, with the present model and what was kept of them.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn try_fraud_policy(
        &self,
        merchant: &Merchant,
        policy: &Policy,
    ) -> Result<DryRun, EngineError> {
        let filter = PaymentFilter { limit: PAYMENTS_MAX, ..PaymentFilter::default() };
        let payments = self.store.payments(merchant.id, filter).await?.payments;
        // The customer's browser is the one thing that is not kept.
        let asks_too_much = asks_for(policy.as_value(), "user_agent");
        let mut run = DryRun::default();
        for (place, payment) in payments.iter().enumerate() {
            if place % BREATH == BREATH - 1 {
                tokio::task::yield_now().await;
            }
            match self.judged(merchant, policy, payment).filter(|_| !asks_too_much) {
                Some(changed) => run.add(changed),
                None => run.not_judged += 1,
            }
        }
        Ok(run)
    }

    fn judged(&self, merchant: &Merchant, policy: &Policy, payment: &Payment) -> Option<Changed> {
        let screening = payment.terms.risk.as_deref()?;
        let features = FeatureVector::try_from(screening.assessment.features.as_slice()).ok()?;
        let country = merchant.country.as_deref().and_then(|country| country.parse().ok());
        let owner = (merchant.id, country);
        let signals = signals::of(owner, &payment.terms, screening, None, payment.created_at_ms);
        let now = assess(policy, &signals, &features, &self.risk.model);
        Some(Changed {
            payment_id: payment.id,
            before: screening.assessment.verdict,
            after: now.verdict,
            score: now.score,
            rules: now.rules,
        })
    }
}

impl DryRun {
    fn add(&mut self, one: Changed) {
        self.judged += 1;
        for (counts, verdict) in [(&mut self.before, one.before), (&mut self.after, one.after)] {
            if let Some(count) = counts.get_mut(place(verdict)) {
                *count += 1;
            }
        }
        if one.before != one.after {
            self.changed += 1;
            if self.examples.len() < EXAMPLES_MAX {
                self.examples.push(one);
            }
        }
    }
}

const fn place(verdict: Verdict) -> usize {
    match verdict {
        Verdict::Allow => 0,
        Verdict::StepUp => 1,
        Verdict::Review => 2,
        Verdict::Block => 3,
    }
}

/// Whether a condition anywhere in a policy asks for a fact.
fn asks_for(value: &Value, fact: &str) -> bool {
    match value {
        Value::Object(members) => {
            members.get("fact").and_then(Value::as_str) == Some(fact)
                || members.values().any(|member| asks_for(member, fact))
        }
        Value::Array(items) => items.iter().any(|item| asks_for(item, fact)),
        _ => false,
    }
}
