//! Which processors a payment goes to, in which order, and why.

use super::router::Router;
use crate::processors::{Processor, Processors};
use tollgate_connectors::capability::Wanted;
use tollgate_core::attempt::ProcessorName;
use tollgate_core::merchant::Merchant;
use tollgate_core::routing::policy::{RoutingPolicy, Strategy};
use tollgate_core::routing::rank::{self, Candidate, Measure, Ranked};
use tollgate_core::routing::record::{PassedOver, RouteReason, RouteRecord};
use tollgate_core::routing::region::stays_within;
use tollgate_core::routing::rules::{RouteFacts, Rule, Then};
use tollgate_core::routing::stats::Issuer;

/// What a plan is made for.
pub(crate) struct Ask<'a> {
    pub(crate) merchant: &'a Merchant,
    pub(crate) policy: &'a RoutingPolicy,
    pub(crate) wanted: Wanted<'a>,
    pub(crate) facts: RouteFacts<'a>,
    /// The one processor to use, if the caller wants one.
    pub(crate) processor: Option<&'a str>,
    /// The processor of the mandate that is debited.
    pub(crate) mandate_at: Option<&'a ProcessorName>,
    /// Any number that differs from payment to payment; none: nothing is left to chance.
    pub(crate) random: Option<u64>,
    pub(crate) now_ms: u64,
}

/// Processors in the order in which they are to be tried, and why.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) ranked: Vec<Ranked>,
    pub(crate) passed_over: Vec<(ProcessorName, PassedOver)>,
    pub(crate) reason: RouteReason,
    pub(crate) rule: Option<String>,
    /// When it is worth trying again if nobody is left, in milliseconds.
    pub(crate) wait_ms: Option<u64>,
    /// Whether another processor may try what one declined softly.
    pub(crate) soft_declines: bool,
}

impl Plan {
    /// Nobody can take it.
    pub(crate) const fn is_empty(&self) -> bool {
        self.ranked.is_empty()
    }

    /// What the payment keeps of it.
    pub(crate) fn record(&self, deadline_ms: u64) -> RouteRecord {
        RouteRecord::new(self.reason, self.rule.as_deref(), deadline_ms, &self.ranked, &self.passed_over)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = ProcessorName> {
        self.ranked.iter().map(|one| one.candidate.name.clone())
    }
}

impl Router {
    /// Puts the processors that can take a payment in order.
    pub(crate) fn plan(
        &self,
        processors: &Processors,
        ask: &Ask<'_>,
        suits: &dyn Fn(&Processor) -> bool,
    ) -> Plan {
        let rule = ask.policy.rule_for(&ask.facts);
        let (mut passed_over, mut wait_ms) = (Vec::new(), None::<u64>);
        let mut able = Vec::new();
        for processor in processors.iter().filter(|processor| ask.may_use(processor)) {
            let why = match ask.obstacle(processor, rule, suits) {
                Some(why) => Some(why),
                None => {
                    let closed = self.closed_to(&processor.name, ask.wanted.instrument.family(), ask.now_ms);
                    closed.map(|(why, ms)| {
                        wait_ms = Some(wait_ms.map_or(ms, |least| least.min(ms)));
                        why
                    })
                }
            };
            match why {
                Some(why) => passed_over.push((processor.name.clone(), why)),
                None => able.push(processor),
            }
        }
        let measure = Measure {
            weights: ask.policy.weights,
            latency_target_ms: ask.policy.latency_target_ms,
            amount_minor: ask.wanted.amount.minor,
        };
        let mut ranked = measure.rank(self.candidates(&able, ask));
        let reason = self.arrange(&mut ranked, &measure, ask, rule);
        Plan {
            ranked,
            passed_over,
            reason,
            rule: rule.map(|rule| rule.name.clone()),
            wait_ms,
            soft_declines: ask.policy.retry_soft_declines,
        }
    }

    fn candidates(&self, able: &[&Processor], ask: &Ask<'_>) -> Vec<Candidate> {
        let instrument = ask.wanted.instrument;
        let (method, issuer) = (instrument.family(), Issuer::of(instrument));
        let stats = self.stats(ask.merchant.mode).lock();
        able.iter()
            .map(|processor| Candidate {
                name: processor.name.clone(),
                estimate: stats.estimate(&processor.name, method, issuer, ask.now_ms),
                fee_minor: processor.fee_minor(method, ask.wanted.amount),
                is_near: processor.is_in(&ask.policy.prefer_regions),
            })
            .collect()
    }

    /// Puts scored candidates in the order that the merchant wants.
    fn arrange(
        &self,
        ranked: &mut Vec<Ranked>,
        measure: &Measure,
        ask: &Ask<'_>,
        rule: Option<&Rule>,
    ) -> RouteReason {
        if ask.mandate_at.is_some() {
            return RouteReason::Mandate;
        }
        if ask.processor.is_some() {
            return RouteReason::Requested;
        }
        if !ask.policy.prefer_regions.is_empty() {
            rank::near_first(ranked);
        }
        let in_order = match ask.policy.strategy {
            Strategy::Account => !ask.merchant.processors.is_empty(),
            Strategy::Order => true,
            Strategy::Score => false,
        };
        if in_order {
            rank::by_list(ranked, &ask.merchant.processors);
        }
        if let Some(rule) = rule {
            rank::apply(&rule.then, ranked);
            if let Then::Split(members) = &rule.then
                && self.take_turn(ranked, ask, &rule.name, members)
            {
                return RouteReason::Split;
            }
        }
        if ranked.len() < 2 {
            return RouteReason::OnlyOne;
        }
        match rule.map(|rule| &rule.then) {
            Some(Then::Prefer(_)) => return RouteReason::Rule,
            _ if in_order => return RouteReason::Order,
            _ => {}
        }
        self.explore(ranked, measure, ask, rule)
    }

    /// Now and then another than the best known, to learn how it does.
    fn explore(
        &self,
        ranked: &mut [Ranked],
        measure: &Measure,
        ask: &Ask<'_>,
        rule: Option<&Rule>,
    ) -> RouteReason {
        // Nobody is tried whom a rule or a region puts behind.
        let is_bound = matches!(rule.map(|rule| &rule.then), Some(Then::Avoid(_)))
            || !ask.policy.prefer_regions.is_empty();
        let Some(random) = ask.random.filter(|_| !is_bound) else { return RouteReason::Score };
        if !self.meter(ask.merchant.mode).lock().allows(ask.policy.explore) {
            return RouteReason::Score;
        }
        match measure.explore(ranked, random) {
            0 => RouteReason::Score,
            place => {
                rank::put_first(ranked, place);
                RouteReason::Explored
            }
        }
    }

    /// Puts the member of a volume split whose turn it is in front, if one is there.
    fn take_turn(
        &self,
        ranked: &mut [Ranked],
        ask: &Ask<'_>,
        rule: &str,
        members: &[(ProcessorName, u32)],
    ) -> bool {
        let place_of = |name: &ProcessorName| ranked.iter().position(|one| one.candidate.name == *name);
        let able: Vec<bool> = members.iter().map(|(name, _)| place_of(name).is_some()).collect();
        let weights: Vec<u32> = members.iter().map(|(_, weight)| *weight).collect();
        let key = (ask.merchant.id, rule.to_owned());
        let splits = self.splits.lock();
        let chosen = splits.get(&key).cloned().unwrap_or_default().choose(&weights, &able);
        drop(splits);
        let Some(place) = chosen.and_then(|chosen| members.get(chosen)).and_then(|(name, _)| place_of(name))
        else {
            return false;
        };
        rank::put_first(ranked, place);
        true
    }
}

impl Ask<'_> {
    /// Whether the merchant, the caller and the mandate leave a processor in the choice at all.
    fn may_use(&self, processor: &Processor) -> bool {
        let merchant = self.merchant;
        processor.serves(merchant.id)
            && (merchant.processors.is_empty() || merchant.processors.contains(&processor.name))
            && self.processor.is_none_or(|wanted| processor.name.as_str() == wanted)
            && self.mandate_at.is_none_or(|at| processor.name == *at)
    }

    /// Why a processor cannot take the payment, however well it does.
    fn obstacle(
        &self,
        processor: &Processor,
        rule: Option<&Rule>,
        suits: &dyn Fn(&Processor) -> bool,
    ) -> Option<PassedOver> {
        let left_out = |then: &Then| matches!(then, Then::Only(names) if !names.contains(&processor.name));
        if !processor.connector.capabilities().takes(&self.wanted) || !suits(processor) {
            Some(PassedOver::Unable)
        } else if !stays_within(processor.data_regions(), &self.policy.residency) {
            Some(PassedOver::Residency)
        } else if rule.is_some_and(|rule| left_out(&rule.then)) {
            Some(PassedOver::Rule)
        } else if processor.is_closed(self.now_ms)
            || self.policy.is_closed(processor.name.as_str(), self.now_ms)
        {
            Some(PassedOver::Maintenance)
        } else {
            None
        }
    }
}
