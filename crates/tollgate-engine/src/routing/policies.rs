//! Merchants' routing policies: kept, changed, and tried out on payments that were made before.

use super::preview::PreviewAsked;
use crate::error::EngineError;
use crate::flow::Engine;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use tollgate_core::attempt::ProcessorName;
use tollgate_core::audit::By;
use tollgate_core::id::{MerchantId, PaymentId};
use tollgate_core::merchant::Merchant;
use tollgate_core::payment::Payment;
use tollgate_core::routing::PolicyError;
use tollgate_core::routing::policy::RoutingPolicy;
use tollgate_core::routing::record::RouteReason;
use tollgate_store::query::PaymentFilter;

/// Most payments looked at by a trial.
const PAYMENTS_MAX: usize = 1_000;

/// Most examples told.
const EXAMPLES_MAX: usize = 20;

/// Payments routed between two pauses in which others may work.
const BREATH: usize = 50;

/// Where a policy would have sent payments.
#[derive(Debug, Clone, Default)]
pub struct RouteDryRun {
    /// Payments looked at.
    pub payments: usize,
    /// Payments that nobody could have taken.
    pub nobody: usize,
    /// How many went to each processor first.
    pub before: BTreeMap<ProcessorName, usize>,
    /// How many would go to each first.
    pub after: BTreeMap<ProcessorName, usize>,
    /// How many would go elsewhere.
    pub changed: usize,
    /// Some of these, newest first.
    pub examples: Vec<RouteChange>,
}

/// A payment that would go elsewhere.
#[derive(Debug, Clone)]
pub struct RouteChange {
    /// Which.
    pub payment_id: PaymentId,
    /// Where it went first.
    pub before: ProcessorName,
    /// Where it would go; none: nobody could take it.
    pub after: Option<ProcessorName>,
    /// What would decide.
    pub reason: RouteReason,
    /// The rule that would apply.
    pub rule: Option<String>,
}

impl super::router::Router {
    /// Forgets a merchant's policy, or all: somebody else has changed them.
    pub(crate) fn forget_policies(&self, merchant_id: Option<MerchantId>) {
        self.policies.forget(merchant_id);
    }
}

impl Engine {
    /// A merchant's routing policy; the default where it has none.
    ///
    /// # Errors
    /// A store's fault, or [`EngineError::PolicyUnreadable`].
    pub async fn routing_policy(&self, merchant_id: MerchantId) -> Result<Arc<RoutingPolicy>, EngineError> {
        self.router.policies.of(self.store.as_ref(), merchant_id, self.now_ms()).await
    }

    /// Reads a routing policy for a merchant: every processor it names must be one that the merchant may use.
    ///
    /// # Errors
    /// [`PolicyError`]: where it is wrong, and how.
    pub fn read_routing_policy(
        &self,
        merchant: &Merchant,
        value: &Value,
    ) -> Result<RoutingPolicy, PolicyError> {
        let known = |name: &str| self.processors.of(merchant).any(|one| one.name.as_str() == name);
        RoutingPolicy::from_value(value, &known)
    }

    /// Keeps a merchant's routing policy; none: the default applies again. The next payment goes by it.
    ///
    /// # Errors
    /// A store's fault; the earlier policy applies then.
    pub async fn put_routing_policy(
        &self,
        merchant_id: MerchantId,
        policy: Option<RoutingPolicy>,
        by: By,
    ) -> Result<Arc<RoutingPolicy>, EngineError> {
        self.router.policies.put(self.store.as_ref(), merchant_id, policy, by).await
    }

    /// Says where a merchant's latest payments would go by a policy, as the processors do now. Debits on
    /// mandates are left out: they have no choice.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn try_routing_policy(
        &self,
        merchant: &Merchant,
        policy: &RoutingPolicy,
    ) -> Result<RouteDryRun, EngineError> {
        let filter = PaymentFilter { limit: PAYMENTS_MAX, ..PaymentFilter::default() };
        let payments = self.store.payments(merchant.id, filter).await?.payments;
        let mut run = RouteDryRun::default();
        let now_ms = self.now_ms();
        for (place, payment) in payments.iter().enumerate() {
            if place % BREATH == BREATH - 1 {
                tokio::task::yield_now().await;
            }
            let Some(before) = first_processor(payment) else { continue };
            let plan = self.plan_for(merchant, &asked_again(payment), policy, now_ms);
            let after = plan.names().next();
            run.payments += 1;
            *run.before.entry(before.clone()).or_default() += 1;
            match &after {
                Some(name) => *run.after.entry(name.clone()).or_default() += 1,
                None => run.nobody += 1,
            }
            if after.as_ref() != Some(&before) {
                run.changed += 1;
                if run.examples.len() < EXAMPLES_MAX {
                    let (payment_id, reason, rule) = (payment.id, plan.reason, plan.rule);
                    run.examples.push(RouteChange { payment_id, before, after, reason, rule });
                }
            }
        }
        Ok(run)
    }
}

/// Where a payment was sent first, if it was sent and there was a choice.
fn first_processor(payment: &Payment) -> Option<ProcessorName> {
    let record = payment.terms.routing.as_deref()?;
    if matches!(record.reason, RouteReason::Mandate | RouteReason::Requested) {
        return None;
    }
    record.considered.first().map(|one| one.processor.clone())
}

fn asked_again(payment: &Payment) -> PreviewAsked {
    let terms = &payment.terms;
    PreviewAsked {
        method: terms.method,
        instrument: terms.instrument.clone(),
        amount: terms.amount,
        capture: terms.capture,
        sets_up_mandate: terms.mandate.is_some(),
        card_country: terms.risk.as_ref().and_then(|risk| risk.card_country.clone()),
        metadata: terms.metadata.clone(),
    }
}
