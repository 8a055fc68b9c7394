//! Puts the processors that can take a payment in order.

use super::dice::step;
use super::rules::Then;
use super::score::{Scale, Terms, Weights};
use super::stats::Estimate;
use crate::attempt::ProcessorName;

/// A processor that can take the payment.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Which.
    pub name: ProcessorName,
    /// What is believed of it.
    pub estimate: Estimate,
    /// What it would cost, in minor units.
    pub fee_minor: i64,
    /// Whether it is where the merchant likes processors to be.
    pub is_near: bool,
}

/// A candidate with its score.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// Which, and what is known of it.
    pub candidate: Candidate,
    /// The terms of its score.
    pub terms: Terms,
    /// Their weighted sum.
    pub score: f64,
}

/// What candidates are measured by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measure {
    /// What is how important, adding up to one.
    pub weights: Weights,
    /// A latency at or below it is as good as any, in milliseconds.
    pub latency_target_ms: f64,
    /// The amount, in minor units.
    pub amount_minor: i64,
}

impl Measure {
    /// Scores candidates, the best first; of equals the cheaper, then the earlier.
    #[must_use]
    pub fn rank(&self, candidates: Vec<Candidate>) -> Vec<Ranked> {
        let rates: Vec<f64> = candidates.iter().map(|candidate| candidate.estimate.rate).collect();
        let scores = self.scores(&candidates, &rates);
        let ranked = candidates.into_iter().zip(scores);
        let mut ranked: Vec<_> =
            ranked.map(|(candidate, (terms, score))| Ranked { candidate, terms, score }).collect();
        ranked.sort_by(|one, other| {
            let by_score = other.score.total_cmp(&one.score);
            by_score.then(one.candidate.fee_minor.cmp(&other.candidate.fee_minor))
        });
        ranked
    }

    /// The candidate that would be best if each had a success rate that could just as well be its true one
    /// (Thompson sampling): the surer the estimates, the rarer it is another than the best known.
    #[must_use]
    pub fn explore(&self, ranked: &[Ranked], random: u64) -> usize {
        let mut seed = random;
        let rates: Vec<f64> = ranked
            .iter()
            .map(|one| {
                let (bits, next) = step(seed);
                seed = next;
                one.candidate.estimate.sample(bits)
            })
            .collect();
        let candidates: Vec<_> = ranked.iter().map(|one| one.candidate.clone()).collect();
        let scores = self.scores(&candidates, &rates);
        let best = scores.iter().enumerate().max_by(|(one_at, (_, one)), (other_at, (_, other))| {
            one.total_cmp(other).then(other_at.cmp(one_at))
        });
        best.map_or(0, |(place, _)| place)
    }

    fn scores(&self, candidates: &[Candidate], rates: &[f64]) -> Vec<(Terms, f64)> {
        let scale = Scale {
            best_rate: rates.iter().copied().fold(0.0, f64::max),
            least_fee_minor: candidates.iter().map(|candidate| candidate.fee_minor).min().unwrap_or(0),
            amount_minor: self.amount_minor,
            latency_target_ms: self.latency_target_ms,
        };
        let each = candidates.iter().zip(rates);
        each.map(|(candidate, rate)| {
            let terms = scale.terms(*rate, candidate.estimate.latency_ms, candidate.fee_minor);
            (terms, terms.score(&self.weights))
        })
        .collect()
    }
}

/// Moves those near the merchant to the front; otherwise the order stays.
pub fn near_first(ranked: &mut [Ranked]) {
    ranked.sort_by_key(|one| !one.candidate.is_near);
}

/// Puts candidates in a list's order; those not in it behind.
pub fn by_list(ranked: &mut [Ranked], list: &[ProcessorName]) {
    ranked.sort_by_key(|one| place_in(list, &one.candidate.name).unwrap_or(usize::MAX));
}

/// Moves one to the front.
pub fn put_first(ranked: &mut [Ranked], place: usize) {
    if let Some(front) = ranked.get_mut(..=place) {
        front.rotate_right(1);
    }
}

/// What a rule does to the order.
pub fn apply(then: &Then, ranked: &mut Vec<Ranked>) {
    match then {
        Then::Only(names) => {
            ranked.retain(|one| names.contains(&one.candidate.name));
        }
        Then::Prefer(names) => by_list(ranked, names),
        Then::Avoid(names) => ranked.sort_by_key(|one| names.contains(&one.candidate.name)),
        // Members first; which of them takes this payment is the split's to say.
        Then::Split(members) => {
            ranked.sort_by_key(|one| !members.iter().any(|(name, _)| *name == one.candidate.name));
        }
    }
}

fn place_in(list: &[ProcessorName], name: &ProcessorName) -> Option<usize> {
    list.iter().position(|listed| listed == name)
}

/// How often the best known processor was not the one taken, and how often it may be: what exploring costs
/// is bounded by this share of the largest difference between two processors.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExploreMeter {
    routed: f64,
    explored: f64,
}

/// Payments after which the meter forgets half.
const METER_HALVES_AT: f64 = 2_000.0;

impl ExploreMeter {
    /// Whether one more may be sent elsewhere.
    #[must_use]
    pub fn allows(&self, share: f64) -> bool {
        self.explored + 1.0 <= share * (self.routed + 1.0).max(1.0 / share.max(f64::MIN_POSITIVE))
    }

    /// Counts a payment.
    pub fn count(&mut self, explored: bool) {
        self.routed += 1.0;
        self.explored += f64::from(u8::from(explored));
        if self.routed >= METER_HALVES_AT {
            self.routed /= 2.0;
            self.explored /= 2.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(name: &str, rate: f64, latency_ms: f64, fee_minor: i64) -> Candidate {
        let estimate = Estimate { rate, weight: 200.0, latency_ms: Some(latency_ms) };
        Candidate { name: ProcessorName::new(name), estimate, fee_minor, is_near: name == "c" }
    }

    fn ranked() -> Vec<Ranked> {
        let measure = Measure { weights: Weights::default(), latency_target_ms: 200.0, amount_minor: 10_000 };
        let all = [("a", 0.90, 150.0, 200), ("b", 0.95, 150.0, 200), ("c", 0.95, 150.0, 180)];
        measure.rank(all.map(|(name, rate, ms, fee)| candidate(name, rate, ms, fee)).to_vec())
    }

    fn names(ranked: &[Ranked]) -> String {
        ranked.iter().map(|one| one.candidate.name.as_str()).collect()
    }

    #[test]
    fn the_better_then_the_cheaper() {
        assert_eq!(names(&ranked()), "cba");
    }

    #[test]
    fn rules_and_lists_reorder() {
        let list = |text: &[&str]| text.iter().map(|name| ProcessorName::new(name)).collect::<Vec<_>>();
        let after = |then: Then| {
            let mut all = ranked();
            apply(&then, &mut all);
            names(&all)
        };
        assert_eq!(after(Then::Only(list(&["a", "b"]))), "ba");
        assert_eq!(after(Then::Prefer(list(&["a", "b"]))), "abc");
        assert_eq!(after(Then::Avoid(list(&["c"]))), "bac");
        assert_eq!(after(Then::Split(vec![(ProcessorName::new("a"), 1)])), "acb");
        let mut all = ranked();
        put_first(&mut all, 2);
        assert_eq!(names(&all), "acb");
        near_first(&mut all);
        assert_eq!(names(&all), "cab");
    }

    #[test]
    fn exploring_prefers_the_best_and_tries_the_others() {
        let measure = Measure { weights: Weights::default(), latency_target_ms: 200.0, amount_minor: 10_000 };
        let ranked = ranked();
        let mut taken = [0; 3];
        (0..10_000).for_each(|random| taken[measure.explore(&ranked, random * 7_919)] += 1);
        assert!(taken[0] > 5_000 && taken[1] > 500 && taken[2] > 10, "{taken:?}");
    }

    #[test]
    fn the_meter_bounds_what_is_explored() {
        let (mut meter, mut explored) = (ExploreMeter::default(), 0);
        for _ in 0..10_000 {
            let explores = meter.allows(0.05);
            meter.count(explores);
            explored += u32::from(explores);
        }
        assert!((400..=510).contains(&explored), "{explored}");
        assert!(!ExploreMeter::default().allows(0.0));
    }
}
