//! When the payments of an open loop are due. Pure: time comes in as an argument, so that a stall can be tested.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use super::options::Arrivals;

/// The instants payments are due at, counted from the start of the run. They never depend on how the server answers.
pub(super) struct Schedule {
    arrivals: Arrivals,
    rate_per_s: f64,
    end: Duration,
    released: u64,
    next_due: Duration,
    /// Poisson only: the exact instant in seconds, kept apart from the rounded one so that rounding does not add up.
    clock_s: f64,
    rng: SmallRng,
}

impl Schedule {
    /// Payments are due from zero up to, and not including, `end`.
    pub(super) fn new(arrivals: Arrivals, rate_per_s: f64, end: Duration, seed: u64) -> Self {
        let mut schedule = Self {
            arrivals,
            rate_per_s,
            end,
            released: 0,
            next_due: Duration::ZERO,
            clock_s: 0.0,
            // Another stream than the payments', so that the arrival kind does not change what is sent.
            rng: SmallRng::seed_from_u64(seed ^ 0x5ced_0a11_07a1_5eed),
        };
        if arrivals == Arrivals::Poisson {
            schedule.next_due = schedule.after();
        }
        schedule
    }

    /// The next instant, or nothing when the schedule is at its end.
    pub(super) fn next_due(&self) -> Option<Duration> {
        (self.next_due < self.end).then_some(self.next_due)
    }

    /// Takes the next payment if it is due at `now`, and says when it was due.
    pub(super) fn take_due(&mut self, now: Duration) -> Option<Duration> {
        let due = self.next_due().filter(|due| *due <= now)?;
        self.released += 1;
        self.next_due = self.after();
        Some(due)
    }

    /// Nothing more falls due from `end` on.
    pub(super) fn cut(&mut self, end: Duration) {
        self.end = self.end.min(end);
    }

    fn after(&mut self) -> Duration {
        let seconds = match self.arrivals {
            // From the count and not from the last instant: no rounding error adds up over an hour.
            Arrivals::Constant => self.released as f64 / self.rate_per_s,
            Arrivals::Poisson => {
                // 1 - u is in (0, 1], so the logarithm is finite.
                let u: f64 = self.rng.random();
                self.clock_s -= (1.0 - u).ln() / self.rate_per_s;
                self.clock_s
            }
        };
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(schedule: &mut Schedule, now: Duration) -> Vec<Duration> {
        std::iter::from_fn(|| schedule.take_due(now)).collect()
    }

    #[test]
    fn constant_arrivals_are_evenly_spaced_and_exact_in_number() {
        let mut schedule = Schedule::new(Arrivals::Constant, 1_000.0, Duration::from_secs(2), 1);
        let due = drain(&mut schedule, Duration::MAX);
        assert_eq!(due.len(), 2_000);
        assert_eq!(due[0], Duration::ZERO);
        for (index, at) in due.iter().enumerate() {
            assert_eq!(at.as_micros(), index as u128 * 1_000);
        }
        assert_eq!(schedule.next_due(), None);
    }

    #[test]
    fn odd_rates_do_not_drift() {
        let mut schedule = Schedule::new(Arrivals::Constant, 10_247.0, Duration::from_secs(3_600), 1);
        assert_eq!(drain(&mut schedule, Duration::MAX).len(), 10_247 * 3_600);
    }

    #[test]
    fn nothing_is_released_early_and_a_stall_moves_nothing() {
        let mut schedule = Schedule::new(Arrivals::Constant, 100.0, Duration::from_secs(10), 1);
        assert_eq!(drain(&mut schedule, Duration::from_millis(25)).len(), 3);
        assert_eq!(schedule.next_due(), Some(Duration::from_millis(30)));
        assert!(drain(&mut schedule, Duration::from_millis(29)).is_empty());
        // Half a second in which nobody asked: what fell due meanwhile keeps its own instants.
        let late = drain(&mut schedule, Duration::from_millis(529));
        assert_eq!(late.len(), 50);
        assert_eq!(late[0], Duration::from_millis(30));
        assert_eq!(late[49], Duration::from_millis(520));
    }

    #[test]
    fn poisson_has_the_rate_and_the_spread_of_independent_customers() {
        let mut schedule = Schedule::new(Arrivals::Poisson, 1_000.0, Duration::from_secs(100), 42);
        let due = drain(&mut schedule, Duration::MAX);
        assert!((98_500..101_500).contains(&due.len()), "{}", due.len());
        let gaps: Vec<f64> = due.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        // Exponential: the standard deviation equals the mean. Even spacing would give 0.
        assert!((0.95..1.05).contains(&(variance.sqrt() / mean)));
    }

    #[test]
    fn a_cut_ends_it() {
        let mut schedule = Schedule::new(Arrivals::Constant, 100.0, Duration::from_secs(10), 1);
        schedule.cut(Duration::from_millis(100));
        assert_eq!(drain(&mut schedule, Duration::MAX).len(), 10);
    }
}
