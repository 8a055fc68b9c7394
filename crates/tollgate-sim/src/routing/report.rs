//! What the strategies came to.

use super::SPAN_MS;
use super::arrivals::Payment;
use super::run::{Part, Played, Tally};
use super::world::World;
use serde::Serialize;

/// Most points of success below the oracle that are accepted.
pub(super) const SUCCESS_GAP_MAX: f64 = 0.5;
/// The highest cost that is accepted, as a multiple of the oracle's.
pub(super) const COST_RATIO_MAX: f64 = 1.05;

/// What one strategy came to.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// Which.
    pub strategy: &'static str,
    /// Payments that succeeded, in percent.
    pub success_percent: f64,
    /// Points of success below the oracle; negative: above it.
    pub success_gap_points: f64,
    /// Fees of the successful payments, in hundredths of a percent of their amounts.
    pub cost_bps: f64,
    /// The same over the payments alone that the oracle brought through too.
    pub cost_equal_bps: f64,
    /// The latter as a multiple of what the oracle paid for the same payments.
    pub cost_ratio: f64,
    /// Mean time from a payment's arrival to the last processor's answer, in milliseconds.
    pub latency_mean_ms: f64,
    /// The time that 95 of 100 payments stayed within, in milliseconds.
    pub latency_p95_ms: u64,
    /// Expected score below the oracle's choice, added up over all payments.
    pub regret_score: f64,
    /// What of it was lost by sending payments elsewhere to learn.
    pub regret_score_exploring: f64,
    /// Expected successes below the oracle's choice, added up over all payments, as if there was no failover.
    pub regret_success: f64,
    /// Payments sent elsewhere to learn, in percent.
    pub explored_percent: f64,
    /// How often a breaker opened.
    pub breaker_openings: u32,
    /// Calls of another processor after a refusal.
    pub failovers: u32,
    /// Calls of the same processor after a refusal.
    pub repeats: u32,
    /// Payments that were left without an answer.
    pub unanswered: u32,
}

/// Whether the router is as good as it has to be.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Verdict {
    /// Points of success below the oracle.
    pub success_gap_points: f64,
    /// Cost at equal success as a multiple of the oracle's.
    pub cost_ratio: f64,
    /// Both within their bounds, and no simple strategy has lost less score.
    pub holds: bool,
}

/// One simulation.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The seed that everything follows from.
    pub seed: u64,
    /// How many payments.
    pub payments: usize,
    /// Simulated time, in milliseconds.
    pub span_ms: u64,
    /// The processors.
    pub processors: Vec<String>,
    /// What the strategies came to: the oracle first, then the router.
    pub strategies: Vec<Figures>,
    /// Whether the router is as good as it has to be.
    pub verdict: Verdict,
    /// What each strategy did in each part of the span.
    #[serde(skip)]
    pub(super) parts: Vec<Vec<Part>>,
}

impl Report {
    pub(super) fn new(seed: u64, world: &World, payments: &[Payment], tallies: &[Tally]) -> Self {
        let oracle = tallies.first().map_or(&[][..], |tally| &tally.played);
        let strategies: Vec<_> = tallies.iter().map(|tally| Figures::of(tally, payments, oracle)).collect();
        Self {
            seed,
            payments: payments.len(),
            span_ms: SPAN_MS,
            processors: world.processors.iter().map(|it| it.name.to_string()).collect(),
            verdict: Verdict::of(&strategies),
            strategies,
            parts: tallies.iter().map(|tally| tally.parts.clone()).collect(),
        }
    }
}

impl Figures {
    fn of(tally: &Tally, payments: &[Payment], oracle: &[Played]) -> Self {
        let all = payments.len().max(1) as f64;
        let mut took_ms: Vec<u64> = tally.played.iter().map(|played| played.took_ms).collect();
        took_ms.sort_unstable();
        let (mut own, mut equal, mut equal_oracle) = (Cost::default(), Cost::default(), Cost::default());
        for ((payment, played), best) in payments.iter().zip(&tally.played).zip(oracle) {
            if played.succeeded {
                own.add(payment, played);
            }
            if played.succeeded && best.succeeded {
                equal.add(payment, played);
                equal_oracle.add(payment, best);
            }
        }
        let percent = |these: usize| 100.0 * these as f64 / all;
        let successes = |played: &[Played]| percent(played.iter().filter(|played| played.succeeded).count());
        Self {
            strategy: tally.strategy.name(),
            success_percent: successes(&tally.played),
            success_gap_points: successes(oracle) - successes(&tally.played),
            cost_bps: own.bps(),
            cost_equal_bps: equal.bps(),
            cost_ratio: equal.bps() / equal_oracle.bps().max(f64::MIN_POSITIVE),
            latency_mean_ms: took_ms.iter().sum::<u64>() as f64 / all,
            latency_p95_ms: took_ms.get(took_ms.len() * 95 / 100).copied().unwrap_or(0),
            regret_score: tally.lost.0,
            regret_score_exploring: tally.lost_exploring,
            regret_success: tally.lost.1,
            explored_percent: 100.0 * f64::from(tally.explored) / all,
            breaker_openings: tally.openings,
            failovers: tally.failovers,
            repeats: tally.repeats,
            unanswered: tally.hung,
        }
    }
}

impl Verdict {
    fn of(strategies: &[Figures]) -> Self {
        let [_, router, simple @ ..] = strategies else {
            return Self { success_gap_points: 0.0, cost_ratio: 0.0, holds: false };
        };
        let (success_gap_points, cost_ratio) = (router.success_gap_points, router.cost_ratio);
        let least = simple.iter().map(|figures| figures.regret_score).fold(f64::INFINITY, f64::min);
        let holds = success_gap_points <= SUCCESS_GAP_MAX
            && cost_ratio <= COST_RATIO_MAX
            && router.regret_score < least;
        Self { success_gap_points, cost_ratio, holds }
    }
}

/// Fees and the amounts that they were paid for.
#[derive(Default)]
struct Cost {
    fees_minor: i64,
    amounts_minor: i64,
}

impl Cost {
    fn add(&mut self, payment: &Payment, played: &Played) {
        self.fees_minor += played.fee_minor;
        self.amounts_minor += payment.amount_minor;
    }

    fn bps(&self) -> f64 {
        10_000.0 * self.fees_minor as f64 / self.amounts_minor.max(1) as f64
    }
}
