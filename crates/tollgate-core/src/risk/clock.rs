//! Time as the counters keep it: 32-bit ticks of a quarter of a second (256 ms), compared around the
//! wrap, which comes every 34 years.

/// Milliseconds of a tick.
const TICK_MS: u64 = 256;

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tick(pub(super) u32);

impl Tick {
    /// Of milliseconds since the Unix epoch.
    #[expect(clippy::cast_possible_truncation, reason = "wraps: ticks are compared around the wrap")]
    pub(super) const fn of_ms(now_ms: u64) -> Self {
        Self((now_ms / TICK_MS) as u32)
    }

    /// Ticks from an earlier point to this one; 0 when that point is not earlier, so that a clock that
    /// goes backwards only stops time for a while.
    pub(super) fn since(self, earlier: Self) -> u32 {
        let ticks = self.0.wrapping_sub(earlier.0);
        if ticks > u32::MAX / 2 { 0 } else { ticks }
    }

    /// Seconds from an earlier point to this one.
    pub(super) fn seconds_since(self, earlier: Self) -> f64 {
        f64::from(self.since(earlier)) * 0.256
    }

    /// The later of two.
    pub(super) fn latest(self, other: Self) -> Self {
        if self.since(other) > 0 { self } else { other }
    }
}

/// What is left of 1 after so many seconds: `exp(-seconds / mean life)`.
pub(super) fn left_after(seconds: f64, mean_life_s: f64) -> f64 {
    (-seconds / mean_life_s).exp()
}
