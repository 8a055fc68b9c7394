//! What is remembered of earlier payments, in memory of fixed size, and the features it gives.
//!
//! The memory is split over shards by key, each behind its own lock that is held for well under a
//! microsecond. All time comes in with the signals; a clock that goes backwards only stops time.
//! Nothing is exact between threads: two payments of one card at the same moment may not see each other.

use super::clock::Tick;
use super::feature::{Age, FeatureVector, age_byte, at, count_byte, deviation_byte, surge_byte};
use super::hash::{Key, mix};
use super::keys::RiskKeys;
use super::shard::{Shard, WINDOW_5M_S, WINDOW_24H_S, Window};
use super::signals::Signals;
use super::sketch::{CELL_BYTES, DEPTH};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Parts of the memory that are locked one by one.
const SHARDS: usize = 64;

/// How much is remembered. Every number is rounded up to a power of two, at least 1,024.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RiskOptions {
    /// Width of the 5-minute sketch.
    pub width_5m: usize,
    /// Width of the 1-hour sketch.
    pub width_1h: usize,
    /// Width of the 24-hour sketch.
    pub width_24h: usize,
    /// Names whose first sight and declines are kept: up to seven a payment.
    pub seen: usize,
    /// Devices, addresses and instruments whose company is counted.
    pub spreads: usize,
    /// Customers and merchants whose usual amounts are kept.
    pub profiles: usize,
}

impl Default for RiskOptions {
    /// For about a million payments a day: 162 MiB when full, untouched parts of which the operating
    /// system does not hand out.
    fn default() -> Self {
        Self {
            width_5m: 1 << 16,
            width_1h: 1 << 18,
            width_24h: 1 << 20,
            seen: 1 << 22,
            spreads: 1 << 20,
            profiles: 1 << 20,
        }
    }
}

impl RiskOptions {
    /// For tests and small machines: about 3 MiB.
    #[must_use]
    pub const fn small() -> Self {
        Self {
            width_5m: 1 << 12,
            width_1h: 1 << 13,
            width_24h: 1 << 14,
            seen: 1 << 16,
            spreads: 1 << 14,
            profiles: 1 << 14,
        }
    }

    const fn rounded(self) -> Self {
        Self {
            width_5m: rounded(self.width_5m),
            width_1h: rounded(self.width_1h),
            width_24h: rounded(self.width_24h),
            seen: rounded(self.seen),
            spreads: rounded(self.spreads),
            profiles: rounded(self.profiles),
        }
    }

    fn shard(self) -> Self {
        Self {
            width_5m: self.width_5m / SHARDS,
            width_1h: self.width_1h / SHARDS,
            width_24h: self.width_24h / SHARDS,
            seen: self.seen / SHARDS,
            spreads: self.spreads / SHARDS,
            profiles: self.profiles / SHARDS,
        }
    }
}

const fn rounded(count: usize) -> usize {
    let count = if count < 1_024 { 1_024 } else { count };
    // Beyond this no machine has the memory: the bound keeps the rounding from overflowing.
    let count = if count > 1 << 32 { 1 << 32 } else { count };
    count.next_power_of_two()
}

/// What is remembered of earlier payments.
pub struct RiskState {
    shards: Vec<Mutex<Shard>>,
    key: Key,
}

impl RiskState {
    /// Remembers nothing yet. The seed keys the hashes: keep it secret, and the same for as long as
    /// [`RiskKeys`] are kept.
    #[must_use]
    pub fn new(options: RiskOptions, seed: u64) -> Self {
        let options = options.rounded().shard();
        let shards = (0..SHARDS).map(|_| Mutex::new(Shard::new(options))).collect();
        Self { shards, key: Key::from_seed(seed) }
    }

    /// Most memory a state of these options takes, in bytes:
    /// `32 · (width_5m + width_1h + width_24h) + 16 · seen + 28 · spreads + 28 · profiles + 64 KiB`,
    /// with every number rounded up to a power of two.
    #[must_use]
    pub const fn memory_bytes(options: RiskOptions) -> usize {
        let options = options.rounded();
        CELL_BYTES * DEPTH * (options.width_5m + options.width_1h + options.width_24h)
            + Shard::SEEN_BYTES * options.seen
            + Shard::SPREAD_BYTES * options.spreads
            + Shard::PROFILE_BYTES * options.profiles
            + 64 * 1_024
    }

    /// The names of a payment, hashed: what [`Self::outcome`] needs later.
    #[must_use]
    pub fn keys(&self, signals: &Signals<'_>) -> RiskKeys {
        RiskKeys::of(self.key, signals)
    }

    /// What the payment looks like before it is counted itself.
    #[must_use]
    pub fn features(&self, signals: &Signals<'_>) -> FeatureVector {
        let keys = self.keys(signals);
        let now = Tick::of_ms(signals.now_ms);
        let mut features = super::plain::features(signals);
        let count = |window, key: Option<u64>| {
            key.map_or(0, |key| count_byte(self.shard(key).count(window, key, now)))
        };
        let age = |key: Option<u64>| {
            age_byte(key.map_or(Age::Absent, |key| {
                self.shard(key).first_seen(key).map_or(Age::Never, |first| Age::Seconds(seconds(now, first)))
            }))
        };
        let streak = |key: Option<u64>| key.map_or(0, |key| self.shard(key).declines(key));
        let spread = |key: Option<u64>| key.map_or(0, |key| count_byte(self.shard(key).different(key, now)));
        let amount = super::plain::log_amount(signals.amount);
        let deviation = |key: Option<u64>| {
            deviation_byte(key.and_then(|key| self.shard(key).profile(key, now)?.deviation(amount)))
        };
        features[at::AMOUNT_VS_CUSTOMER] = deviation(keys.customer_amounts);
        features[at::AMOUNT_VS_MERCHANT] = deviation(Some(keys.merchant_amounts));
        features[at::MERCHANT_SURGE] = surge_byte(self.surge(keys.merchant_amounts, now));
        features[at::MERCHANT_DECLINES_5M] = count(Window::FiveMinutes, Some(keys.merchant_declines));
        features[at::INSTRUMENT_5M] = count(Window::FiveMinutes, keys.instrument);
        features[at::INSTRUMENT_1H] = count(Window::Hour, keys.instrument);
        features[at::INSTRUMENT_24H] = count(Window::Day, keys.instrument);
        features[at::DEVICE_5M] = count(Window::FiveMinutes, keys.device);
        features[at::DEVICE_24H] = count(Window::Day, keys.device);
        features[at::IP_5M] = count(Window::FiveMinutes, keys.ip);
        features[at::IP_1H] = count(Window::Hour, keys.ip);
        features[at::SUBNET_1H] = count(Window::Hour, keys.subnet);
        features[at::CUSTOMER_24H] = count(Window::Day, keys.customer);
        features[at::BIN_1H] = count(Window::Hour, keys.bin);
        features[at::DEVICE_INSTRUMENTS] = spread(keys.device);
        features[at::IP_INSTRUMENTS] = spread(keys.ip);
        features[at::INSTRUMENT_CUSTOMERS] = spread(keys.instrument);
        features[at::INSTRUMENT_DECLINES] = streak(keys.instrument);
        features[at::DEVICE_DECLINES] = streak(keys.device);
        features[at::IP_DECLINES] = streak(keys.ip);
        features[at::INSTRUMENT_AGE] = age(keys.instrument);
        features[at::DEVICE_AGE] = age(keys.device);
        features[at::CUSTOMER_AGE] = age(keys.customer);
        features[at::DEVICE_FOR_CUSTOMER] = age(keys.customer_device);
        features[at::COUNTRY_FOR_CUSTOMER] = age(keys.customer_country);
        features
    }

    /// Counts a payment that was made; gives its names, hashed.
    #[expect(clippy::must_use_candidate, reason = "most callers have no use for the names")]
    pub fn observe(&self, signals: &Signals<'_>) -> RiskKeys {
        let keys = self.keys(signals);
        let now = Tick::of_ms(signals.now_ms);
        let windows: [(&[Window], Option<u64>); 6] = [
            (&[Window::FiveMinutes, Window::Hour, Window::Day], keys.instrument),
            (&[Window::FiveMinutes, Window::Day], keys.device),
            (&[Window::FiveMinutes, Window::Hour], keys.ip),
            (&[Window::Hour], keys.subnet),
            (&[Window::Day], keys.customer),
            (&[Window::Hour], keys.bin),
        ];
        for (windows, key) in windows {
            let Some(key) = key else { continue };
            let mut shard = self.shard(key);
            for window in windows {
                shard.add(*window, key, now);
            }
        }
        let seen = [keys.instrument, keys.device, keys.customer, keys.customer_device, keys.customer_country];
        for key in seen.into_iter().flatten() {
            self.shard(key).see(key, now);
        }
        let instrument = keys.instrument;
        let company = [(keys.device, instrument), (keys.ip, instrument), (keys.instrument, keys.customer)];
        for (key, other) in company {
            if let (Some(key), Some(other)) = (key, other) {
                self.shard(key).meet(key, mix(other), now);
            }
        }
        let amount = super::plain::log_amount(signals.amount);
        for key in [Some(keys.merchant_amounts), keys.customer_amounts].into_iter().flatten() {
            self.shard(key).usual(key, amount, now);
        }
        keys
    }

    /// Hears whether a payment was declined. Declines in a row end with the first that was not.
    pub fn outcome(&self, keys: &RiskKeys, now_ms: u64, declined: bool) {
        let now = Tick::of_ms(now_ms);
        for key in [keys.instrument, keys.device, keys.ip].into_iter().flatten() {
            self.shard(key).heard(key, declined, now);
        }
        if declined {
            self.shard(keys.merchant_declines).add(Window::FiveMinutes, keys.merchant_declines, now);
        }
    }

    /// The merchant's rate of the last minutes against its usual one; nothing before it had a usual one.
    fn surge(&self, key: u64, now: Tick) -> Option<f64> {
        let profile = self.shard(key).profile(key, now)?;
        let usual = profile.rate_24h * WINDOW_5M_S / WINDOW_24H_S;
        // Half a payment more on both sides: one payment at a quiet merchant is no surge.
        (profile.rate_24h >= 5.0).then(|| (profile.rate_5m + 0.5) / (usual + 0.5))
    }

    /// The part a key lives in; a panic elsewhere leaves counters as usable as they were.
    fn shard(&self, key: u64) -> MutexGuard<'_, Shard> {
        let place = super::sketch::low_bits(key >> 26, SHARDS);
        // The list is never empty and its length is a power of two above every place.
        let shard = &self.shards[place];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for RiskState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RiskState").finish_non_exhaustive()
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; never negative")]
fn seconds(now: Tick, first: Tick) -> u32 {
    now.seconds_since(first) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_within_the_stated_bound() {
        for options in [
            RiskOptions::small(),
            RiskOptions::default(),
            RiskOptions { seen: 70_000, ..RiskOptions::small() },
        ] {
            let state = RiskState::new(options, 1);
            let parts: usize = state.shards.iter().map(|shard| shard.lock().unwrap().allocated_bytes()).sum();
            let own = state.shards.capacity() * size_of::<Mutex<Shard>>() + size_of::<RiskState>();
            let (all, stated) = (parts + own, RiskState::memory_bytes(options));
            assert!(all <= stated && all + 64 * 1_024 >= stated, "{all} of {stated}");
        }
        assert_eq!(RiskState::memory_bytes(RiskOptions::default()) / 1_024 / 1_024, 162);
    }
}
