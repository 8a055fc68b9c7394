//! How processors have done lately: decaying counts by processor, method and issuer.
//!
//! A count loses half of its weight with every half-life, so the window slides by itself and costs a few
//! numbers however much traffic there is. There are two memories: a short one of how a processor does now, and
//! a long one of what it is like in general, which stands in where the short one has seen little.
//!
//! What is known of a processor with one issuer leans on what is known of it with the method, and that on the
//! mean of all processors with the method: few observations move an estimate little. Without this leaning,
//! chance alone would often make a processor that is rarely asked look better than the best.

use super::dice::Dice;
use crate::attempt::ProcessorName;
use crate::method::{InstrumentSummary, MethodFamily};
use std::collections::HashMap;

/// How the past is remembered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StatsOptions {
    /// After this time an observation counts half, in milliseconds.
    pub half_life_ms: u64,
    /// The same for what a processor is like in general, in milliseconds.
    pub long_half_life_ms: u64,
    /// How many observations that is worth in the estimate of how it does now.
    pub long_weight: f64,
    /// The success rate supposed where nothing is known of any processor.
    pub prior_rate: f64,
    /// How many observations that guess is worth.
    pub prior_weight: f64,
    /// How many observations the mean of all processors is worth in the estimate of one; also the most that
    /// one counts in that mean.
    pub pool_weight: f64,
    /// How many observations a method's rate is worth in the estimate of one issuer.
    pub issuer_weight: f64,
    /// Most issuers remembered, over all processors and methods.
    pub issuers_max: usize,
}

impl Default for StatsOptions {
    fn default() -> Self {
        Self {
            half_life_ms: 200_000,
            long_half_life_ms: 7_200_000,
            long_weight: 300.0,
            prior_rate: 0.9,
            prior_weight: 10.0,
            pool_weight: 50.0,
            issuer_weight: 120.0,
            issuers_max: 20_000,
        }
    }
}

/// A customer's bank, wallet or lender, or the range of a card: a number that stands for its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Issuer(u64);

impl Issuer {
    /// That of an instrument, where it shows: the card's first six digits, the handle of a UPI address, the
    /// wallet, bank or lender.
    #[must_use]
    pub fn of(instrument: &InstrumentSummary) -> Option<Self> {
        let name = match instrument {
            InstrumentSummary::Card(card) => card.bin.as_str(),
            InstrumentSummary::Upi { vpa, .. } => vpa.as_deref()?.rsplit_once('@')?.1,
            InstrumentSummary::UpiAutopay { .. } => return None,
            other => other.provider()?,
        };
        Some(Self::named(name))
    }

    /// By its name (FNV-1a; Fowler, Noll, Vo).
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self(name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3)
        }))
    }
}

/// By how much the half-life of latencies is shorter than that of successes.
const LATENCY_SHORTER: i32 = 10;

/// Counts that fade.
#[derive(Debug, Clone, Copy, Default)]
struct Fading {
    successes: f64,
    failures: f64,
    /// The same with the long memory.
    long_successes: f64,
    long_failures: f64,
    latency_ms: f64,
    answers: f64,
    at_ms: u64,
}

impl Fading {
    #[expect(clippy::cast_precision_loss, reason = "spans of time are short")]
    fn at(mut self, now_ms: u64, options: &StatsOptions) -> Self {
        let passed_ms = now_ms.saturating_sub(self.at_ms);
        if passed_ms > 0 {
            let halves = |half_life_ms: u64| (-(passed_ms as f64) / (half_life_ms.max(1) as f64)).exp2();
            let left = halves(options.long_half_life_ms);
            self.long_successes *= left;
            self.long_failures *= left;
            let left = halves(options.half_life_ms);
            self.successes *= left;
            self.failures *= left;
            // Latencies differ little from call to call: a shorter memory knows them well enough.
            let left = left.powi(LATENCY_SHORTER);
            self.latency_ms *= left;
            self.answers *= left;
            self.at_ms = now_ms;
        }
        self
    }

    fn weight(&self) -> f64 {
        self.successes + self.failures
    }

    fn long_weight(&self) -> f64 {
        self.long_successes + self.long_failures
    }
}

/// What is believed of a processor: its success rate and how sure that is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Success rate, from 0 to 1.
    pub rate: f64,
    /// How many observations it is worth.
    pub weight: f64,
    /// Mean time to an answer, in milliseconds, where one was seen.
    pub latency_ms: Option<f64>,
}

impl Estimate {
    /// A rate that could just as well be the true one (a normal approximation of its beta distribution).
    #[must_use]
    pub fn sample(&self, seed: u64) -> f64 {
        let deviation = (self.rate * (1.0 - self.rate) / (self.weight + 1.0)).sqrt();
        (self.rate + deviation * Dice::new(seed).normal()).clamp(0.0, 1.0)
    }
}

/// All that is remembered.
#[derive(Debug, Default)]
pub struct RouteStats {
    options: StatsOptions,
    /// Lists, not maps: they are short, and sums over them come out the same every time.
    methods: HashMap<MethodFamily, Vec<(ProcessorName, Fading)>>,
    issuers: HashMap<(ProcessorName, MethodFamily, Issuer), Fading>,
}

impl RouteStats {
    /// Nothing yet.
    #[must_use]
    pub fn new(options: StatsOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// Remembers how a payment ended.
    pub fn ended(
        &mut self,
        processor: &ProcessorName,
        method: MethodFamily,
        issuer: Option<Issuer>,
        succeeded: bool,
        now_ms: u64,
    ) {
        self.change(processor, method, issuer, now_ms, |fading| {
            if succeeded {
                fading.successes += 1.0;
                fading.long_successes += 1.0;
            } else {
                fading.failures += 1.0;
                fading.long_failures += 1.0;
            }
        });
    }

    /// Remembers how long an answer took.
    #[expect(clippy::cast_precision_loss, reason = "answers take minutes at most")]
    pub fn answered(&mut self, processor: &ProcessorName, method: MethodFamily, took_ms: u64, now_ms: u64) {
        self.change(processor, method, None, now_ms, |fading| {
            fading.latency_ms += took_ms as f64;
            fading.answers += 1.0;
        });
    }

    fn change(
        &mut self,
        processor: &ProcessorName,
        method: MethodFamily,
        issuer: Option<Issuer>,
        now_ms: u64,
        change: impl Fn(&mut Fading),
    ) {
        let options = self.options;
        let apply = |fading: &mut Fading| {
            *fading = fading.at(now_ms, &options);
            change(fading);
        };
        let processors = self.methods.entry(method).or_default();
        match processors.iter_mut().find(|(name, _)| name == processor) {
            Some((_, known)) => apply(known),
            None => {
                let mut new = Fading::default();
                apply(&mut new);
                processors.push((processor.clone(), new));
            }
        }
        let Some(issuer) = issuer else { return };
        let key = (processor.clone(), method, issuer);
        if self.issuers.len() >= self.options.issuers_max && !self.issuers.contains_key(&key) {
            // What has faded goes first; where nothing has, the method's own rate has to do.
            self.issuers.retain(|_, fading| fading.at(now_ms, &options).weight() >= 0.5);
            if self.issuers.len() >= self.options.issuers_max {
                return;
            }
        }
        apply(self.issuers.entry(key).or_default());
    }

    /// What is believed of a processor now.
    #[must_use]
    pub fn estimate(
        &self,
        processor: &ProcessorName,
        method: MethodFamily,
        issuer: Option<Issuer>,
        now_ms: u64,
    ) -> Estimate {
        let options = &self.options;
        let mut known = self.methods.get(&method).into_iter().flatten();
        let found = known.find(|(name, _)| name == processor).map(|(_, fading)| *fading);
        let seen = found.unwrap_or_default().at(now_ms, options);
        let pooled = self.pooled(method, now_ms) * options.pool_weight;
        let long = seen.long_weight() + options.pool_weight;
        let general = (seen.long_successes + pooled) / long.max(f64::MIN_POSITIVE);
        let lent = long.min(options.long_weight);
        let weight = seen.weight() + lent;
        let rate = (seen.successes + general * lent) / weight.max(f64::MIN_POSITIVE);
        let latency_ms = (seen.answers > 0.01).then(|| seen.latency_ms / seen.answers);
        let own = issuer.and_then(|issuer| self.issuers.get(&(processor.clone(), method, issuer)));
        match own.map(|own| own.at(now_ms, options)) {
            Some(own) => {
                let lent = weight.min(options.issuer_weight);
                let weight = own.weight() + lent;
                Estimate {
                    rate: (own.successes + rate * lent) / weight.max(f64::MIN_POSITIVE),
                    weight,
                    latency_ms,
                }
            }
            None => Estimate { rate, weight, latency_ms },
        }
    }

    /// The mean rate of all processors with a method. Each counts by what is known of it, up to a bound: the
    /// one that takes most payments is not the measure of the others.
    fn pooled(&self, method: MethodFamily, now_ms: u64) -> f64 {
        let options = &self.options;
        let (mut sum, mut weights) = (options.prior_rate * options.prior_weight, options.prior_weight);
        for (_, fading) in self.methods.get(&method).into_iter().flatten() {
            let seen = fading.at(now_ms, options);
            let counts = seen.long_weight().min(options.pool_weight);
            if counts > 0.0 {
                sum += counts * seen.long_successes / seen.long_weight();
                weights += counts;
            }
        }
        sum / weights.max(f64::MIN_POSITIVE)
    }

    /// Issuers remembered.
    #[must_use]
    pub fn issuers(&self) -> usize {
        self.issuers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: MethodFamily = MethodFamily::Card;

    #[test]
    fn estimates_follow_what_is_seen_and_forget_it() {
        let (mut stats, name) = (RouteStats::default(), ProcessorName::new("one"));
        assert!((stats.estimate(&name, CARD, None, 0).rate - 0.9).abs() < 1e-9);
        for _ in 0..990 {
            stats.ended(&name, CARD, None, false, 0);
        }
        assert!(stats.estimate(&name, CARD, None, 0).rate < 0.02);
        let half = stats.estimate(&name, CARD, None, 200_000);
        assert!(
            (half.weight - 795.0).abs() < 1e-6,
            "half of it after a half-life, and what the long memory lends"
        );
        assert!((stats.estimate(&name, CARD, None, 200_000_000).rate - 0.9).abs() < 1e-3);
        stats.answered(&name, CARD, 100, 0);
        stats.answered(&name, CARD, 300, 0);
        assert_eq!(stats.estimate(&name, CARD, None, 0).latency_ms, Some(200.0));
    }

    #[test]
    fn after_a_silence_the_long_memory_stands_in_and_news_soon_outweigh_it() {
        let (mut stats, name) = (RouteStats::default(), ProcessorName::new("one"));
        (0..20_000).for_each(|number| stats.ended(&name, CARD, None, number % 2 > 0, 0));
        let later_ms = 4_000_000;
        let general = stats.estimate(&name, CARD, None, later_ms);
        assert!((0.49..0.52).contains(&general.rate) && general.weight < 320.0, "{general:?}");
        (0..900).for_each(|_| stats.ended(&name, CARD, None, true, later_ms));
        let news = stats.estimate(&name, CARD, None, later_ms).rate;
        assert!((0.85..0.90).contains(&news), "{news}");
    }

    #[test]
    fn little_known_ones_are_believed_to_be_like_the_others() {
        let (mut stats, much, little) =
            (RouteStats::default(), ProcessorName::new("much"), ProcessorName::new("little"));
        for number in 0..1_000 {
            stats.ended(&much, CARD, None, number % 5 > 0, 0);
        }
        let new = stats.estimate(&little, CARD, None, 0).rate;
        assert!((0.80..0.82).contains(&new), "{new}");
        (0..5).for_each(|_| stats.ended(&little, CARD, None, true, 0));
        let lucky = stats.estimate(&little, CARD, None, 0).rate;
        assert!(lucky > new && lucky < 0.87, "{lucky}");
    }

    #[test]
    fn one_issuer_s_trouble_shows_and_leans_on_the_method() {
        let (mut stats, name) = (RouteStats::default(), ProcessorName::new("one"));
        let (bad, new) = (Issuer::named("HDFC"), Issuer::named("SBIN"));
        for _ in 0..1_000 {
            stats.ended(&name, CARD, Some(Issuer::named("ICIC")), true, 0);
        }
        for _ in 0..200 {
            stats.ended(&name, CARD, Some(bad), false, 0);
        }
        assert!(stats.estimate(&name, CARD, Some(bad), 0).rate < 0.55);
        assert!(stats.estimate(&name, CARD, Some(new), 0).rate > 0.8);
    }

    #[test]
    fn issuers_are_bounded() {
        let options = StatsOptions { issuers_max: 10, ..StatsOptions::default() };
        let (mut stats, name) = (RouteStats::new(options), ProcessorName::new("one"));
        for number in 0..100 {
            stats.ended(&name, CARD, Some(Issuer(number)), true, 0);
        }
        assert_eq!(stats.issuers(), 10);
        stats.ended(&name, CARD, Some(Issuer(1_000)), true, 10_000_000);
        assert_eq!(stats.issuers(), 1, "what has faded makes room");
    }

    #[test]
    fn samples_are_chance_around_the_rate() {
        let estimate = Estimate { rate: 0.9, weight: 99.0, latency_ms: None };
        let mean = (0..10_000).map(|seed| estimate.sample(seed)).sum::<f64>() / 10_000.0;
        assert!((mean - 0.9).abs() < 0.005, "{mean}");
        assert!((estimate.sample(1) - estimate.sample(1)).abs() < f64::EPSILON);
    }
}
