//! Who takes a payment: the strategies that are compared.

use super::arrivals::Payment;
use super::ideal::{Ideal, Order, measure};
use super::world::{METHODS, World};
use tollgate_core::routing::rank::{Candidate, ExploreMeter, Measure, put_first};
use tollgate_core::routing::score::Weights;
use tollgate_core::routing::stats::{Issuer, RouteStats};

/// A way to choose. All of them have the same breakers and the same failover; the oracle needs no breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strategy {
    /// Knows the truth and takes the best true score.
    Oracle,
    /// The router of `tollgate-core` with its defaults.
    Router,
    /// The router with success alone as its score.
    SuccessOnly,
    /// One after the other.
    RoundRobin,
    /// Always the one that was best on the whole when the simulation began.
    Fixed,
}

impl Strategy {
    pub(super) const ALL: [Self; 5] =
        [Self::Oracle, Self::Router, Self::SuccessOnly, Self::RoundRobin, Self::Fixed];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Oracle => "oracle",
            Self::Router => "router",
            Self::SuccessOnly => "success rate only",
            Self::RoundRobin => "round robin",
            Self::Fixed => "fixed primary",
        }
    }
}

/// What choosing needs to remember.
pub(super) struct Chooser<'a> {
    world: &'a World,
    strategy: Strategy,
    explore: f64,
    meters: [ExploreMeter; METHODS.len()],
    turns: [usize; METHODS.len()],
    fixed: Vec<usize>,
    issuers: [Vec<Issuer>; METHODS.len()],
}

impl<'a> Chooser<'a> {
    pub(super) fn new(world: &'a World, strategy: Strategy, ideal: &[Ideal], explore: f64) -> Self {
        Self {
            world,
            strategy,
            explore,
            meters: Default::default(),
            turns: [0; METHODS.len()],
            fixed: best_at_first(world, ideal),
            issuers: World::issuers(),
        }
    }

    /// Whether the truth is known, and no breaker needed.
    pub(super) fn is_oracle(&self) -> bool {
        self.strategy == Strategy::Oracle
    }

    /// The bank or wallet of a payment, as the estimates know it.
    pub(super) fn issuer(&self, payment: &Payment) -> Issuer {
        self.issuers[payment.method][payment.issuer]
    }

    /// The order in which the able ones are asked, and whether it begins with one that is not the best known.
    pub(super) fn choose(
        &mut self,
        payment: &Payment,
        ideal: &Ideal,
        able: &[usize],
        stats: &RouteStats,
        now_ms: u64,
    ) -> (Order, bool) {
        match self.strategy {
            Strategy::Oracle => (ideal.order, false),
            Strategy::Router => self.by_score(payment, able, stats, now_ms, measure(payment)),
            Strategy::SuccessOnly => {
                let weights = Weights { success: 1.0, latency: 0.0, cost: 0.0 };
                self.by_score(payment, able, stats, now_ms, Measure { weights, ..measure(payment) })
            }
            Strategy::RoundRobin => {
                let turn = &mut self.turns[payment.method];
                *turn += 1;
                let first = *turn % able.len().max(1);
                (Order::of(able[first..].iter().chain(&able[..first]).copied()), false)
            }
            Strategy::Fixed => {
                (Order::of(self.fixed.iter().copied().filter(|place| able.contains(place))), false)
            }
        }
    }

    /// As the engine does it: estimates, rank, and now and then another one first.
    fn by_score(
        &mut self,
        payment: &Payment,
        able: &[usize],
        stats: &RouteStats,
        now_ms: u64,
        measure: Measure,
    ) -> (Order, bool) {
        let (method, issuer) = (METHODS[payment.method], self.issuer(payment));
        let candidates = able.iter().filter_map(|place| {
            let name = self.world.processors[*place].name.clone();
            let fee_minor = self.world.truth(*place, payment, now_ms)?.fee_minor;
            let estimate = stats.estimate(&name, method, Some(issuer), now_ms);
            Some(Candidate { name, estimate, fee_minor, is_near: false })
        });
        let mut ranked = measure.rank(candidates.collect());
        let meter = &mut self.meters[payment.method];
        let first = if meter.allows(self.explore) { measure.explore(&ranked, payment.seed) } else { 0 };
        meter.count(first > 0);
        put_first(&mut ranked, first);
        (Order::of(ranked.iter().filter_map(|one| self.world.place(&one.candidate.name))), first > 0)
    }
}

/// Processors by their mean true score over the first payments: what a merchant would sign up with.
fn best_at_first(world: &World, ideal: &[Ideal]) -> Vec<usize> {
    const LOOKED_AT: usize = 2_000;
    let lost = |place: usize| {
        let first = ideal.iter().take(LOOKED_AT);
        let each = first.map(|ideal| if ideal.knows(place) { ideal.lost(place).0 } else { 1.0 });
        each.sum::<f64>()
    };
    let mut places: Vec<_> = (0..world.processors.len()).map(|place| (place, lost(place))).collect();
    places.sort_by(|one, other| one.1.total_cmp(&other.1));
    places.into_iter().map(|(place, _)| place).collect()
}
