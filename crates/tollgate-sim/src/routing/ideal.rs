//! What the oracle knows of a payment: the true score of every processor at the moment it comes in.

use super::arrivals::Payment;
use super::world::{PROCESSORS_MAX, World};
use tollgate_core::routing::policy::RoutingPolicy;
use tollgate_core::routing::rank::{Candidate, Measure};
use tollgate_core::routing::stats::Estimate;

/// Processors in the order in which they are to be asked, by their places in the world.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Order {
    places: [u8; PROCESSORS_MAX],
    count: u8,
}

impl Order {
    pub(super) fn of(places: impl IntoIterator<Item = usize>) -> Self {
        let mut order = Self::default();
        for (slot, place) in order.places.iter_mut().zip(places) {
            *slot = u8::try_from(place).unwrap_or(u8::MAX);
            order.count += 1;
        }
        order
    }

    pub(super) fn get(&self, number: usize) -> Option<usize> {
        self.places[..usize::from(self.count)].get(number).map(|place| usize::from(*place))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        self.places[..usize::from(self.count)].iter().map(|place| usize::from(*place))
    }
}

/// The truth about all processors and one payment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ideal {
    /// By true score, the best first.
    pub(super) order: Order,
    scores: [f32; PROCESSORS_MAX],
    rates: [f32; PROCESSORS_MAX],
}

impl Ideal {
    pub(super) fn of(world: &World, payment: &Payment) -> Self {
        let candidates = (0..world.processors.len()).filter_map(|place| {
            let truth = world.truth(place, payment, payment.at_ms)?;
            Some(Candidate {
                name: world.processors[place].name.clone(),
                estimate: Estimate {
                    rate: truth.success(),
                    weight: f64::INFINITY,
                    latency_ms: Some(truth.latency_ms),
                },
                fee_minor: truth.fee_minor,
                is_near: false,
            })
        });
        let ranked = measure(payment).rank(candidates.collect());
        let mut ideal =
            Self { order: Order::default(), scores: [0.0; PROCESSORS_MAX], rates: [0.0; PROCESSORS_MAX] };
        ideal.order = Order::of(ranked.iter().filter_map(|one| {
            let place = world.place(&one.candidate.name)?;
            ideal.scores[place] = narrow(one.score);
            ideal.rates[place] = narrow(one.candidate.estimate.rate);
            Some(place)
        }));
        ideal
    }

    /// Whether a processor could take the payment at all.
    pub(super) fn knows(&self, place: usize) -> bool {
        self.order.iter().any(|known| known == place)
    }

    /// By how much a processor's expected score and success are below the oracle's choice's. The latter may
    /// be negative: the oracle looks at time and price too.
    pub(super) fn lost(&self, place: usize) -> (f64, f64) {
        let Some(best) = self.order.get(0) else { return (0.0, 0.0) };
        let less = |all: &[f32; PROCESSORS_MAX]| f64::from(all[best]) - f64::from(all[place]);
        (less(&self.scores), less(&self.rates))
    }
}

/// What the merchant finds how important: the defaults.
pub(super) fn measure(payment: &Payment) -> Measure {
    let policy = RoutingPolicy::default();
    Measure {
        weights: policy.weights,
        latency_target_ms: policy.latency_target_ms,
        amount_minor: payment.amount_minor,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "shares; seven digits do")]
const fn narrow(share: f64) -> f32 {
    share as f32
}
