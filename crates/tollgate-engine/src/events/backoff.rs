//! The pauses between tries of what will pass by itself.

use rand::RngExt;
use std::time::Duration;

/// The first pause.
const FIRST_MS: u64 = 100;

/// The longest.
const LONGEST_MS: u64 = 30_000;

/// Pauses that double, up to half a minute, spread so that instances do not come back together.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after one more failure.
    pub(super) fn next(&mut self) -> Duration {
        let pause_ms = FIRST_MS.saturating_mul(1 << self.failures.min(16)).min(LONGEST_MS);
        self.failures = self.failures.saturating_add(1);
        // Three quarters to the whole of it.
        let spread = rand::rng().random_range(0..=pause_ms / 4);
        Duration::from_millis(pause_ms - spread)
    }

    /// It went well.
    pub(super) const fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_their_bound() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u128> = (0..100).map(|_| backoff.next().as_millis()).collect();
        assert!((75..=100).contains(&pauses[0]) && (150..=200).contains(&pauses[1]), "{pauses:?}");
        assert!(pauses[20..].iter().all(|pause| (22_500..=30_000).contains(pause)), "{pauses:?}");
        backoff.reset();
        assert!(backoff.next().as_millis() <= 100);
    }
}
