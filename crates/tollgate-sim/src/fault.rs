//! Faults on command: how slow, how often refused, how often lost, all from one seed.

use serde::{Deserialize, Deserializer, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The longest a latency or a hang may be.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(300);

/// How long a simulator takes to answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Latency {
    /// Always the same.
    Constant {
        /// Milliseconds.
        #[serde(deserialize_with = "float")]
        ms: f64,
    },
    /// Anything between two bounds.
    Uniform {
        /// Milliseconds.
        #[serde(deserialize_with = "float")]
        min_ms: f64,
        /// Milliseconds.
        #[serde(deserialize_with = "float")]
        max_ms: f64,
    },
    /// Mostly quick, sometimes very slow, as real processors are.
    Lognormal {
        /// The median in milliseconds.
        #[serde(deserialize_with = "float")]
        median_ms: f64,
        /// Spread: 0.5 is ordinary, 1.5 is a bad day.
        #[serde(deserialize_with = "float")]
        sigma: f64,
    },
}

/// A number, in whatever form `serde_json` hands it on: behind a tag its `arbitrary_precision` makes
/// an object of every fraction, which `f64` alone does not read.
fn float<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    number.as_f64().ok_or_else(|| serde::de::Error::custom("must be a number"))
}

impl Default for Latency {
    fn default() -> Self {
        Self::Constant { ms: 0.0 }
    }
}

/// Which webhooks a simulator sends by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookPolicy {
    /// None at all: only enquiries tell.
    None,
    /// Those the caller cannot know otherwise: pending payments and refunds that were decided, and
    /// answers that were lost on purpose.
    #[default]
    Async,
    /// One for every change, as real processors do.
    All,
}

/// What becomes of pending payments without anybody's doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PendingEnd {
    /// The customer approves.
    #[default]
    Approve,
    /// The customer refuses.
    Reject,
    /// Nothing, until the control endpoint is called.
    Never,
}

/// The faults of one simulator. Probabilities are between 0 and 1; those of one request are tried
/// in the order of the fields, and their sum must not be above 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultProfile {
    /// Time to answer.
    pub latency: Latency,
    /// A charge is refused by the bank.
    pub decline: f64,
    /// `429`, nothing done.
    pub rate_limited: f64,
    /// `500`, nothing done.
    pub error_500: f64,
    /// `500` although it was done.
    pub error_500_after: f64,
    /// `503`, nothing done.
    pub unavailable_503: f64,
    /// No answer, nothing done.
    pub timeout_before: f64,
    /// No answer although it was done.
    pub timeout_after: f64,
    /// The connection is closed, nothing done.
    pub drop_before: f64,
    /// The connection is closed although it was done.
    pub drop_after: f64,
    /// Done, and answered with a signature that does not hold.
    pub wrong_signature: f64,
    /// Done, and answered with `200` and nonsense.
    pub garbage: f64,
    /// Nothing done, and answered with a well-formed success that is not this request's: another's, or of
    /// another amount.
    pub lying: f64,
    /// The faults above also strike enquiries.
    pub enquiries_too: bool,
    /// How long a timeout holds the connection, in milliseconds.
    pub hang_ms: u64,
    /// Enquiries find nothing of a payment younger than this, in milliseconds.
    pub enquiry_blind_ms: u64,
    /// A refund is accepted and decided later.
    pub refund_pending: f64,
    /// A refund that is decided later fails.
    pub refund_fail: f64,
    /// What becomes of pending payments by themselves.
    pub pending_end: PendingEnd,
    /// After how many milliseconds.
    pub pending_ms: u64,
    /// Which webhooks are sent.
    pub webhooks: WebhookPolicy,
    /// How long a webhook waits, in milliseconds.
    pub webhook_delay_ms: u64,
    /// A webhook is delivered twice.
    pub webhook_duplicate: f64,
    /// Webhooks of one payment are delivered in the wrong order.
    pub webhook_out_of_order: f64,
    /// A webhook's signature does not hold.
    pub webhook_wrong_signature: f64,
}

impl Default for FaultProfile {
    fn default() -> Self {
        Self {
            latency: Latency::default(),
            decline: 0.0,
            rate_limited: 0.0,
            error_500: 0.0,
            error_500_after: 0.0,
            unavailable_503: 0.0,
            timeout_before: 0.0,
            timeout_after: 0.0,
            drop_before: 0.0,
            drop_after: 0.0,
            wrong_signature: 0.0,
            garbage: 0.0,
            lying: 0.0,
            enquiries_too: false,
            hang_ms: 60_000,
            enquiry_blind_ms: 0,
            refund_pending: 0.0,
            refund_fail: 0.0,
            pending_end: PendingEnd::default(),
            pending_ms: 3_000,
            webhooks: WebhookPolicy::default(),
            webhook_delay_ms: 0,
            webhook_duplicate: 0.0,
            webhook_out_of_order: 0.0,
            webhook_wrong_signature: 0.0,
        }
    }
}

/// A profile was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// A probability is not between 0 and 1, or those of one request add up to more.
    #[error("probabilities must be between 0 and 1, those of one request together at most 1")]
    Probability,
    /// A time is negative, not a number, or above five minutes.
    #[error("times must be between 0 and 300000 milliseconds")]
    Time,
}

/// What goes wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Decline,
    RateLimited,
    Error500,
    Error500After,
    Unavailable503,
    TimeoutBefore,
    TimeoutAfter,
    DropBefore,
    DropAfter,
    WrongSignature,
    Garbage,
    Lying,
}

impl Fault {
    /// Every fault, by the name of its field in the profile.
    pub(crate) const ALL: [(&'static str, Self); 12] = [
        ("decline", Self::Decline),
        ("rate_limited", Self::RateLimited),
        ("error_500", Self::Error500),
        ("error_500_after", Self::Error500After),
        ("unavailable_503", Self::Unavailable503),
        ("timeout_before", Self::TimeoutBefore),
        ("timeout_after", Self::TimeoutAfter),
        ("drop_before", Self::DropBefore),
        ("drop_after", Self::DropAfter),
        ("wrong_signature", Self::WrongSignature),
        ("garbage", Self::Garbage),
        ("lying", Self::Lying),
    ];

    /// Whether the caller is left without a usable answer although it was done.
    pub(crate) const fn loses_the_answer(self) -> bool {
        matches!(
            self,
            Self::Error500After | Self::TimeoutAfter | Self::DropAfter | Self::WrongSignature | Self::Garbage
        )
    }
}

impl FaultProfile {
    const fn faults(&self) -> [(f64, Fault); 12] {
        [
            (self.decline, Fault::Decline),
            (self.rate_limited, Fault::RateLimited),
            (self.error_500, Fault::Error500),
            (self.error_500_after, Fault::Error500After),
            (self.unavailable_503, Fault::Unavailable503),
            (self.timeout_before, Fault::TimeoutBefore),
            (self.timeout_after, Fault::TimeoutAfter),
            (self.drop_before, Fault::DropBefore),
            (self.drop_after, Fault::DropAfter),
            (self.wrong_signature, Fault::WrongSignature),
            (self.garbage, Fault::Garbage),
            (self.lying, Fault::Lying),
        ]
    }

    /// Checks the bounds.
    ///
    /// # Errors
    /// [`ProfileError`] naming what is out of bounds.
    pub fn check(&self) -> Result<(), ProfileError> {
        let probability = |value: f64| (0.0..=1.0).contains(&value);
        let others = [
            self.refund_pending,
            self.refund_fail,
            self.webhook_duplicate,
            self.webhook_out_of_order,
            self.webhook_wrong_signature,
        ];
        let single = self.faults().into_iter().map(|(value, _)| value).chain(others);
        let sum: f64 = self.faults().into_iter().map(|(value, _)| value).sum();
        if !single.into_iter().all(probability) || sum > 1.000_001 {
            return Err(ProfileError::Probability);
        }
        let time = |ms: f64| (0.0..=300_000.0).contains(&ms);
        let latency_right = match self.latency {
            Latency::Constant { ms } => time(ms),
            Latency::Uniform { min_ms, max_ms } => time(min_ms) && time(max_ms) && min_ms <= max_ms,
            Latency::Lognormal { median_ms, sigma } => time(median_ms) && (0.0..=5.0).contains(&sigma),
        };
        let waits = [self.hang_ms, self.pending_ms, self.webhook_delay_ms, self.enquiry_blind_ms];
        if !latency_right || waits.into_iter().any(|ms| ms > 300_000) {
            return Err(ProfileError::Time);
        }
        Ok(())
    }

    /// What goes wrong with the next request, if anything.
    pub(crate) fn draw(&self, dice: &Dice) -> Option<Fault> {
        let mut left = dice.roll();
        for (probability, fault) in self.faults() {
            if left < probability {
                return Some(fault);
            }
            left -= probability;
        }
        None
    }

    /// How long the next answer takes.
    pub(crate) fn wait(&self, dice: &Dice) -> Duration {
        let ms = match self.latency {
            Latency::Constant { ms } => ms,
            Latency::Uniform { min_ms, max_ms } => min_ms + (max_ms - min_ms) * dice.roll(),
            Latency::Lognormal { median_ms, sigma } => median_ms * (sigma * dice.normal()).exp(),
        };
        Duration::try_from_secs_f64(ms / 1_000.0).unwrap_or(WAIT_MAX).min(WAIT_MAX)
    }
}

/// A stream of random numbers from a seed. Lock-free: each roll is a number of a counter.
#[derive(Debug)]
pub(crate) struct Dice {
    seed: u64,
    rolls: AtomicU64,
}

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { seed, rolls: AtomicU64::new(0) }
    }

    /// Evenly between 0 and 1, 1 excluded.
    pub(crate) fn roll(&self) -> f64 {
        let step = self.rolls.fetch_add(1, Ordering::Relaxed);
        // SplitMix64 (Steele, Lea, Flood 2014), as a function of its counter.
        let mut bits = self.seed.wrapping_add(step.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^= bits >> 31;
        (bits >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether something of that probability happens.
    pub(crate) fn happens(&self, probability: f64) -> bool {
        probability > 0.0 && self.roll() < probability
    }

    /// Normally distributed around 0 with deviation 1 (Box and Muller 1958).
    fn normal(&self) -> f64 {
        let radius = (-2.0 * (1.0 - self.roll()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.roll()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_faults() {
        let profile = FaultProfile { decline: 0.3, drop_after: 0.2, ..FaultProfile::default() };
        let drawn = |seed| {
            let dice = Dice::new(seed);
            (0..10_000).map(|_| profile.draw(&dice)).collect::<Vec<_>>()
        };
        let first = drawn(7);
        assert_eq!(first, drawn(7));
        assert_ne!(first, drawn(8));
        let count = |fault| first.iter().filter(|drawn| **drawn == fault).count();
        assert!((2_700..3_300).contains(&count(Some(Fault::Decline))));
        assert!((1_800..2_200).contains(&count(Some(Fault::DropAfter))));
        assert!((4_700..5_300).contains(&count(None)));
    }

    #[test]
    fn bounds() {
        assert_eq!(FaultProfile::default().check(), Ok(()));
        let wrong = |change: fn(&mut FaultProfile)| {
            let mut profile = FaultProfile::default();
            change(&mut profile);
            profile.check()
        };
        assert!(wrong(|profile| profile.decline = 1.1).is_err());
        assert!(wrong(|profile| profile.decline = f64::NAN).is_err());
        assert!(wrong(|profile| (profile.decline, profile.garbage) = (0.6, 0.6)).is_err());
        assert!(wrong(|profile| profile.latency = Latency::Constant { ms: -1.0 }).is_err());
        assert!(wrong(|profile| profile.hang_ms = 300_001).is_err());
    }

    #[test]
    fn profiles_are_read_as_they_are_written() {
        let latency = Latency::Lognormal { median_ms: 12.5, sigma: 0.75 };
        let profile = FaultProfile { latency, decline: 0.25, ..FaultProfile::default() };
        let text = serde_json::to_string(&profile).unwrap();
        assert_eq!(serde_json::from_str::<FaultProfile>(&text).unwrap(), profile);
        let text = r#"{"latency":{"kind":"uniform","min_ms":0,"max_ms":2.5}}"#;
        let read: FaultProfile = serde_json::from_str(text).unwrap();
        assert_eq!(read.latency, Latency::Uniform { min_ms: 0.0, max_ms: 2.5 });
        assert!(serde_json::from_str::<FaultProfile>(r#"{"latency":{"kind":"constant","ms":"5"}}"#).is_err());
    }

    #[test]
    fn latencies() {
        let dice = Dice::new(1);
        let mean_ms = |latency| {
            let profile = FaultProfile { latency, ..FaultProfile::default() };
            let total: f64 = (0..20_000).map(|_| profile.wait(&dice).as_secs_f64()).sum();
            total / 20.0
        };
        assert!((mean_ms(Latency::Constant { ms: 5.0 }) - 5.0).abs() < 0.01);
        assert!((mean_ms(Latency::Uniform { min_ms: 0.0, max_ms: 20.0 }) - 10.0).abs() < 0.5);
        let lognormal = mean_ms(Latency::Lognormal { median_ms: 10.0, sigma: 0.5 });
        assert!((lognormal - 11.33).abs() < 0.5, "{lognormal}");
    }
}
