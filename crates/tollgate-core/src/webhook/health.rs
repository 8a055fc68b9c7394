//! How an endpoint does: how many messages it may be sent at once, and when it is left alone.
//!
//! A breaker of its own kind: the breakers of processors weigh rates over windows of many calls, while an
//! endpoint may see a handful of messages an hour.

/// Failures in a row after which an endpoint is left alone.
pub const FAILURES_MAX: u32 = 5;

/// How long it is left alone the first time; each further time twice as long.
pub const PAUSE_MS: u64 = 5_000;

/// The longest it is left alone.
pub const PAUSE_MS_MAX: u64 = 300_000;

/// Answers that take longer make an endpoint slow.
pub const SLOW_MS: u64 = 2_000;

/// An endpoint that has failed for this long is disabled.
pub const FAILING_MS_MAX: u64 = 5 * 86_400_000;

/// How an endpoint does, as far as this process has seen.
#[derive(Debug, Clone, Default)]
pub struct EndpointHealth {
    failures: u32,
    pauses: u32,
    open_until_ms: u64,
    usual_ms: u64,
}

impl EndpointHealth {
    /// How many messages may be under way at once, of at most `most`: none while it is left alone, one while
    /// it is in doubt.
    #[must_use]
    pub const fn places(&self, most: usize, now_ms: u64) -> usize {
        if now_ms < self.open_until_ms {
            0
        } else if self.failures > 0 && most > 1 {
            1
        } else {
            most
        }
    }

    /// Until when it is left alone.
    #[must_use]
    pub const fn open_until_ms(&self) -> u64 {
        self.open_until_ms
    }

    /// Whether it may hold only the places left for those in doubt: it fails, or is slow.
    #[must_use]
    pub const fn is_suspect(&self) -> bool {
        self.failures > 0 || self.usual_ms > SLOW_MS
    }

    /// Hears how a message went. Tells whether an endpoint that was left alone is well again.
    pub fn hear(&mut self, is_delivered: bool, took_ms: u64, now_ms: u64) -> bool {
        self.usual_ms = (self.usual_ms.saturating_mul(3).saturating_add(took_ms)) / 4;
        if is_delivered {
            let was_alone = self.pauses > 0;
            (self.failures, self.pauses, self.open_until_ms) = (0, 0, 0);
            return was_alone;
        }
        // Those that were under way when it was found out say nothing new.
        if now_ms >= self.open_until_ms {
            self.failures = self.failures.saturating_add(1);
            if self.failures >= FAILURES_MAX {
                let pause_ms = PAUSE_MS.saturating_mul(1 << self.pauses.min(16)).min(PAUSE_MS_MAX);
                self.pauses = self.pauses.saturating_add(1);
                self.open_until_ms = now_ms.saturating_add(pause_ms);
            }
        }
        false
    }
}

/// Whether an endpoint that has failed since `failing_since_ms` is to be disabled.
#[must_use]
pub const fn is_lost(failing_since_ms: Option<u64>, now_ms: u64) -> bool {
    matches!(failing_since_ms, Some(since_ms) if now_ms.saturating_sub(since_ms) >= FAILING_MS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_endpoint_is_left_alone_for_longer_and_longer() {
        let mut health = EndpointHealth::default();
        assert_eq!(health.places(8, 0), 8);
        for _ in 0..4 {
            assert!(!health.hear(false, 10, 0));
            assert_eq!(health.places(8, 0), 1);
        }
        health.hear(false, 10, 0);
        assert_eq!((health.places(8, 0), health.open_until_ms()), (0, PAUSE_MS));
        // A straggler does not make it worse.
        health.hear(false, 10, 1);
        assert_eq!(health.places(8, PAUSE_MS), 1);
        health.hear(false, 10, PAUSE_MS);
        assert_eq!(health.open_until_ms(), 3 * PAUSE_MS);
        for _ in 0..40 {
            let now_ms = health.open_until_ms();
            health.hear(false, 10, now_ms);
            assert!(health.open_until_ms() - now_ms <= PAUSE_MS_MAX);
        }
        let now_ms = health.open_until_ms();
        assert!(health.hear(true, 10, now_ms));
        assert_eq!(health.places(8, now_ms), 8);
        assert!(!health.hear(true, 10, now_ms));
    }

    #[test]
    fn slow_endpoints_are_suspect() {
        let mut health = EndpointHealth::default();
        health.hear(true, 9_000, 0);
        assert!(health.is_suspect());
        for _ in 0..10 {
            health.hear(true, 5, 0);
        }
        assert!(!health.is_suspect());
    }

    #[test]
    fn five_days_are_enough() {
        assert!(!is_lost(None, FAILING_MS_MAX));
        assert!(!is_lost(Some(5), FAILING_MS_MAX));
        assert!(is_lost(Some(5), FAILING_MS_MAX + 5));
    }
}
