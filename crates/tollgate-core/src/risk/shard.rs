//! One part of the memory of earlier payments: sketches and tables, single-threaded.

use super::clock::{Tick, left_after};
use super::sketch::{Sketch, low_bits};
use super::state::RiskOptions;
use super::table::{HEAD_WORDS, Table};

/// Seconds of the shortest window.
pub(super) const WINDOW_5M_S: f64 = 300.0;
/// Seconds of the middle window.
pub(super) const WINDOW_1H_S: f64 = 3_600.0;
/// Seconds of the longest window.
pub(super) const WINDOW_24H_S: f64 = 86_400.0;
/// Seconds after which a usual amount has faded to a third.
const USUAL_S: f64 = 30.0 * 86_400.0;
/// Spread of log-amounts that is taken for granted before there are enough to measure it, and the
/// payments this guess weighs.
const GUESSED_VARIANCE: f64 = 0.5;
const GUESS_WEIGHT: f64 = 2.0;

/// A time over which is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Window {
    FiveMinutes,
    Hour,
    Day,
}

/// Head, first seen, declines in a row.
const SEEN_WORDS: usize = HEAD_WORDS + 2;
/// Head, start of the day, two halves of today's and of yesterday's bits.
const SPREAD_WORDS: usize = HEAD_WORDS + 5;
/// Head, mean, variance, weight, two rates.
const PROFILE_WORDS: usize = HEAD_WORDS + 5;

pub(super) struct Shard {
    sketch_5m: Sketch,
    sketch_1h: Sketch,
    sketch_24h: Sketch,
    seen: Table<SEEN_WORDS>,
    spreads: Table<SPREAD_WORDS>,
    profiles: Table<PROFILE_WORDS>,
}

impl Shard {
    pub(super) const SEEN_BYTES: usize = Table::<SEEN_WORDS>::SLOT_BYTES;
    pub(super) const SPREAD_BYTES: usize = Table::<SPREAD_WORDS>::SLOT_BYTES;
    pub(super) const PROFILE_BYTES: usize = Table::<PROFILE_WORDS>::SLOT_BYTES;

    pub(super) fn new(options: RiskOptions) -> Self {
        Self {
            sketch_5m: Sketch::new(options.width_5m, WINDOW_5M_S),
            sketch_1h: Sketch::new(options.width_1h, WINDOW_1H_S),
            sketch_24h: Sketch::new(options.width_24h, WINDOW_24H_S),
            seen: Table::new(options.seen),
            spreads: Table::new(options.spreads),
            profiles: Table::new(options.profiles),
        }
    }

    #[cfg(test)]
    pub(super) const fn allocated_bytes(&self) -> usize {
        let sketches = self.sketch_5m.cells_allocated()
            + self.sketch_1h.cells_allocated()
            + self.sketch_24h.cells_allocated();
        let tables =
            self.seen.words_allocated() + self.spreads.words_allocated() + self.profiles.words_allocated();
        sketches * size_of::<u64>() + tables * size_of::<u32>()
    }

    const fn sketch(&mut self, window: Window) -> &mut Sketch {
        match window {
            Window::FiveMinutes => &mut self.sketch_5m,
            Window::Hour => &mut self.sketch_1h,
            Window::Day => &mut self.sketch_24h,
        }
    }

    pub(super) fn count(&mut self, window: Window, key: u64, now: Tick) -> f64 {
        self.sketch(window).count(key, now)
    }

    pub(super) fn add(&mut self, window: Window, key: u64, now: Tick) {
        self.sketch(window).add(key, now);
    }

    /// When a name was first seen.
    pub(super) fn first_seen(&self, key: u64) -> Option<Tick> {
        let [_, _, first, _] = *self.seen.find(key)?;
        // What was only heard of in an outcome was not seen.
        (first != 0).then_some(Tick(first))
    }

    pub(super) fn see(&mut self, key: u64, now: Tick) {
        if let Some(([_, _, first, _], _)) = self.seen.find_or_make(key, now)
            && *first == 0
        {
            *first = now.0.max(1);
        }
    }

    /// Declines in a row.
    pub(super) fn declines(&self, key: u64) -> u8 {
        self.seen.find(key).map_or(0, |[.., declines]| u8::try_from(*declines).unwrap_or(u8::MAX))
    }

    pub(super) fn heard(&mut self, key: u64, declined: bool, now: Tick) {
        if let Some(([.., declines], _)) = self.seen.find_or_make(key, now) {
            *declines = if declined { declines.saturating_add(1).min(255) } else { 0 };
        }
    }

    /// How many different others a name met since yesterday: linear counting (Whang and others, 1990)
    /// in 64 bits a day. Standard error below 12 % up to 60; it ends at 266.
    pub(super) fn different(&self, key: u64, now: Tick) -> f64 {
        let Some(slot) = self.spreads.find(key) else { return 0.0 };
        let [_, _, day, today_high, today_low, before_high, before_low] = *slot;
        let age_s = now.seconds_since(Tick(day));
        let (today, before) = (joined(today_high, today_low), joined(before_high, before_low));
        let bits = match age_s {
            age_s if age_s < WINDOW_24H_S => today | before,
            age_s if age_s < 2.0 * WINDOW_24H_S => today,
            _ => 0,
        };
        let empty = f64::from(bits.count_zeros().max(1));
        -64.0 * (empty / 64.0).ln()
    }

    /// Notes that a name met another, given by its hash.
    pub(super) fn meet(&mut self, key: u64, other: u64, now: Tick) {
        let Some((slot, known)) = self.spreads.find_or_make(key, now) else { return };
        let [_, _, day, today_high, today_low, before_high, before_low] = slot;
        if !known {
            *day = now.0;
        }
        let age_s = now.seconds_since(Tick(*day));
        if age_s >= WINDOW_24H_S {
            let recent = age_s < 2.0 * WINDOW_24H_S;
            (*before_high, *before_low) = if recent { (*today_high, *today_low) } else { (0, 0) };
            (*today_high, *today_low, *day) = (0, 0, now.0);
        }
        let bit = low_bits(other, 64);
        let half = if bit < 32 { today_low } else { today_high };
        *half |= 1 << (bit % 32);
    }

    /// What is usual for a customer or merchant.
    pub(super) fn profile(&self, key: u64, now: Tick) -> Option<Profile> {
        self.profiles.find(key).map(|slot| Profile::read(slot).faded(now.seconds_since(Tick(slot[1]))))
    }

    /// Adds an amount (its logarithm) to what is usual.
    pub(super) fn usual(&mut self, key: u64, amount: f64, now: Tick) {
        // Before the slot is touched: that moves its time.
        let before = self.profile(key, now).unwrap_or_default();
        if let Some((slot, _)) = self.profiles.find_or_make(key, now) {
            before.with(amount).write(slot);
        }
    }
}

fn joined(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

/// What is usual for a customer or merchant: fading mean and variance of the logarithm of amounts, and
/// two fading counts of payments.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Profile {
    mean: f64,
    variance: f64,
    weight: f64,
    pub(super) rate_5m: f64,
    pub(super) rate_24h: f64,
}

impl Profile {
    /// Standard deviations of an amount from the mean; nothing before the first amounts.
    pub(super) fn deviation(&self, amount: f64) -> Option<f64> {
        let variance =
            (self.weight * self.variance + GUESS_WEIGHT * GUESSED_VARIANCE) / (self.weight + GUESS_WEIGHT);
        // Somebody who always pays the same may pay a little more without alarm.
        let deviation = variance.max(0.04).sqrt();
        (self.weight >= 0.5).then(|| (amount - self.mean) / deviation)
    }

    fn faded(self, seconds: f64) -> Self {
        Self {
            weight: self.weight * left_after(seconds, USUAL_S),
            rate_5m: self.rate_5m * left_after(seconds, WINDOW_5M_S),
            rate_24h: self.rate_24h * left_after(seconds, WINDOW_24H_S),
            ..self
        }
    }

    fn with(self, amount: f64) -> Self {
        let weight = self.weight + 1.0;
        let distance = amount - self.mean;
        let mean = self.mean + distance / weight;
        Self {
            mean,
            variance: (self.weight * self.variance + distance * (amount - mean)) / weight,
            weight,
            rate_5m: self.rate_5m + 1.0,
            rate_24h: self.rate_24h + 1.0,
        }
    }

    fn read(slot: &[u32; PROFILE_WORDS]) -> Self {
        let [_, _, mean, variance, weight, rate_5m, rate_24h] =
            slot.map(|word| f64::from(f32::from_bits(word)));
        Self { mean, variance, weight, rate_5m, rate_24h }
    }

    #[expect(clippy::cast_possible_truncation, reason = "statistics need no more than a 32-bit float")]
    fn write(self, slot: &mut [u32; PROFILE_WORDS]) {
        let values = [self.mean, self.variance, self.weight, self.rate_5m, self.rate_24h];
        for (word, value) in slot.iter_mut().skip(HEAD_WORDS).zip(values) {
            *word = (value as f32).to_bits();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Tick {
        Tick::of_ms(1_800_000_000_000 + seconds * 1_000)
    }

    fn shard() -> Shard {
        Shard::new(RiskOptions {
            width_5m: 64,
            width_1h: 64,
            width_24h: 64,
            seen: 64,
            spreads: 64,
            profiles: 64,
        })
    }

    #[test]
    fn company_is_counted_and_forgotten_after_two_days() {
        let mut shard = shard();
        for other in 0..10 {
            shard.meet(7, super::super::hash::mix(other), at(other));
            shard.meet(7, super::super::hash::mix(other), at(other));
        }
        let count = shard.different(7, at(60));
        assert!((count - 10.0).abs() < 2.5, "{count}");
        assert!(shard.different(7, at(100_000)) > 7.0, "yesterday counts");
        shard.meet(7, 1, at(100_000));
        assert!(shard.different(7, at(100_001)) > 7.0, "yesterday counts");
        assert!(shard.different(7, at(190_000)) < 2.0, "the day before does not");
        assert!(shard.different(8, at(0)) < 1e-9);
    }

    #[test]
    fn the_usual_amount() {
        let mut shard = shard();
        assert!(shard.profile(3, at(0)).is_none());
        for (step, amount) in [4.0, 4.2, 3.8, 4.1, 3.9, 4.0].into_iter().enumerate() {
            shard.usual(3, amount, at(step as u64 * 60));
        }
        let profile = shard.profile(3, at(360)).unwrap();
        assert!(profile.deviation(4.0).unwrap().abs() < 0.1);
        assert!(profile.deviation(8.0).unwrap() > 5.0);
        assert!((profile.mean - 4.0).abs() < 0.01 && (profile.weight - 6.0).abs() < 0.01);
        // Long forgotten.
        assert!(shard.profile(3, at(400 * 86_400)).unwrap().deviation(8.0).is_none());
    }

    #[test]
    fn declines_in_a_row_end_with_a_success() {
        let mut shard = shard();
        for _ in 0..300 {
            shard.heard(9, true, at(0));
        }
        assert_eq!((shard.declines(9), shard.first_seen(9)), (255, None));
        shard.see(9, at(5));
        shard.heard(9, false, at(6));
        assert_eq!((shard.declines(9), shard.first_seen(9)), (0, Some(at(5))));
    }
}
