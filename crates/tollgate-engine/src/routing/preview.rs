//! What would be done with a payment and why, and how the processors do.

use super::plan::{Ask, Plan};
use crate::error::EngineError;
use crate::flow::Engine;
use crate::processors::Processor;
use crate::sandbox;
use tollgate_connectors::capability::Wanted;
use tollgate_core::attempt::ProcessorName;
use tollgate_core::merchant::Merchant;
use tollgate_core::method::{CaptureMode, InstrumentSummary, MethodFamily, MethodKind};
use tollgate_core::money::Money;
use tollgate_core::routing::breaker::BreakerState;
use tollgate_core::routing::policy::RoutingPolicy;
use tollgate_core::routing::rank::Ranked;
use tollgate_core::routing::record::{PassedOver, RouteReason};
use tollgate_core::routing::rules::RouteFacts;
use tollgate_core::routing::score::Weights;

/// A payment that might be made.
#[derive(Debug, Clone)]
pub struct PreviewAsked {
    /// How it would be paid.
    pub method: MethodKind,
    /// What would pay.
    pub instrument: InstrumentSummary,
    /// How much.
    pub amount: Money,
    /// Take it at once or reserve it.
    pub capture: CaptureMode,
    /// Whether a UPI AutoPay mandate would be set up with it.
    pub sets_up_mandate: bool,
    /// The country of the card's issuer, where known.
    pub card_country: Option<String>,
    /// The merchant's own data.
    pub metadata: Vec<(String, String)>,
}

impl PreviewAsked {
    /// What a payment that names only its method is looked at as: the method's public test instrument. Methods
    /// that are a plan have none.
    #[must_use]
    pub fn usual_instrument(method: MethodKind) -> Option<InstrumentSummary> {
        sandbox::instrument(method).map(|instrument| instrument.summary)
    }
}

/// Where a payment would go, and why.
#[derive(Debug, Clone)]
pub struct RoutePreview {
    /// What decides.
    pub reason: RouteReason,
    /// The rule that applies.
    pub rule: Option<String>,
    /// What is how important, adding up to one.
    pub weights: Weights,
    /// A latency at or below it is as good as any, in milliseconds.
    pub latency_target_ms: f64,
    /// The candidates, in the order in which they would be tried.
    pub ranked: Vec<Ranked>,
    /// The merchant's other processors, and why each is not among them.
    pub passed_over: Vec<(ProcessorName, PassedOver)>,
}

/// How a processor account does.
#[derive(Debug, Clone)]
pub struct ProcessorHealth {
    /// Which.
    pub processor: ProcessorName,
    /// Charges under way.
    pub under_way: usize,
    /// Most there may be.
    pub under_way_max: usize,
    /// Whether it is closed for maintenance.
    pub in_maintenance: bool,
    /// Its methods.
    pub lanes: Vec<LaneHealth>,
}

/// How a processor does with one method.
#[derive(Debug, Clone)]
pub struct LaneHealth {
    /// The method.
    pub method: MethodFamily,
    /// Its breaker.
    pub breaker: BreakerState,
    /// Until when the breaker is open.
    pub open_until_ms: Option<u64>,
    /// Believed success rate.
    pub rate: f64,
    /// How many observations that belief is worth.
    pub observations: f64,
    /// Mean time to an answer, in milliseconds, where one was seen.
    pub latency_ms: Option<f64>,
}

impl Engine {
    /// Says where a payment would go now, and why. Nothing is left to chance: what is now and then tried to
    /// learn of it is not shown.
    ///
    /// # Errors
    /// A store's fault, or [`EngineError::PolicyUnreadable`].
    pub async fn preview_route(
        &self,
        merchant: &Merchant,
        asked: &PreviewAsked,
        policy: Option<&RoutingPolicy>,
    ) -> Result<RoutePreview, EngineError> {
        let stored;
        let policy = match policy {
            Some(policy) => policy,
            None => {
                stored = self.routing_policy(merchant.id).await?;
                &*stored
            }
        };
        let plan = self.plan_for(merchant, asked, policy, self.now_ms());
        Ok(RoutePreview {
            reason: plan.reason,
            rule: plan.rule,
            weights: policy.weights,
            latency_target_ms: policy.latency_target_ms,
            ranked: plan.ranked,
            passed_over: plan.passed_over,
        })
    }

    pub(super) fn plan_for(
        &self,
        merchant: &Merchant,
        asked: &PreviewAsked,
        policy: &RoutingPolicy,
        now_ms: u64,
    ) -> Plan {
        let ask = Ask {
            merchant,
            policy,
            wanted: Wanted {
                instrument: &asked.instrument,
                amount: asked.amount,
                capture: asked.capture,
                sets_up_mandate: asked.sets_up_mandate,
                country: merchant.country.as_deref(),
            },
            facts: RouteFacts {
                method: asked.method,
                instrument: &asked.instrument,
                amount: asked.amount,
                card_country: asked.card_country.as_deref(),
                metadata: &asked.metadata,
            },
            processor: None,
            mandate_at: None,
            random: None,
            now_ms,
        };
        self.router.plan(&self.processors, &ask, &|_| true)
    }

    /// How the processors that a merchant may use do.
    #[must_use]
    pub fn routing_health(&self, merchant: &Merchant) -> Vec<ProcessorHealth> {
        let now_ms = self.now_ms();
        let used = self.processors.of(merchant).map(|processor| {
            let rules = &processor.connector.capabilities().methods;
            let lane = self.router.lanes.get(&processor.name);
            let stats = self.router.stats(merchant.mode).lock();
            let lanes = rules.iter().map(|rule| {
                let estimate = stats.estimate(&processor.name, rule.family, None, now_ms);
                let breaker = self.router.breaker_state(&processor.name, rule.family, now_ms);
                let (breaker, open_until_ms) = breaker.unwrap_or((BreakerState::Closed, None));
                LaneHealth {
                    method: rule.family,
                    breaker,
                    open_until_ms,
                    rate: estimate.rate,
                    observations: estimate.weight,
                    latency_ms: estimate.latency_ms,
                }
            });
            ProcessorHealth {
                processor: processor.name.clone(),
                under_way: lane.map_or(0, |lane| lane.places.lock().taken()),
                under_way_max: processor.traits.concurrency_max,
                in_maintenance: processor.is_closed(now_ms),
                lanes: lanes.collect(),
            }
        });
        used.collect()
    }

    /// The breakers that are not closed, of all processors.
    #[must_use]
    pub fn breakers_not_closed(&self) -> Vec<(ProcessorName, MethodFamily, BreakerState)> {
        let now_ms = self.now_ms();
        let of = |processor: &Processor| {
            let name = processor.name.clone();
            MethodFamily::ALL.map(|method| {
                let (state, _) = self.router.breaker_state(&name, method, now_ms)?;
                (state != BreakerState::Closed).then(|| (name.clone(), method, state))
            })
        };
        self.processors.iter().flat_map(of).flatten().collect()
    }
}
